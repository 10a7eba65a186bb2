//! Movements of money: begun before the provider is asked, closed by its answer, never deleted.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::sale::NewPayment;
use crate::domain::ledger::Amounts;

/// Why a movement did not take place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailedBy {
    /// The holder's bank, or the provider, refused.
    Decline,
    /// The provider failed; asking again may help.
    Provider,
    /// It was ended before money moved.
    Canceled,
}

impl FailedBy {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Decline => "decline",
            Self::Provider => "provider",
            Self::Canceled => "canceled",
        }
    }
}

/// A movement as stored.
#[derive(Debug, Clone)]
pub struct Transaction {
    pub organizer_id: Uuid,
    pub transaction_id: Uuid,
    pub booking_id: Uuid,
    pub event_id: Uuid,
    pub kind: String,
    pub status: String,
    pub amount_minor: i64,
    pub currency: String,
    pub provider: String,
    /// The organizer's own account with the provider; none: the server's.
    pub account_id: Option<Uuid>,
    pub provider_token: Option<String>,
    pub provider_ref: Option<String>,
    pub refund_of: Option<Uuid>,
    pub reason: Option<String>,
    /// `decline`, `provider` or `canceled`, of a failed one.
    pub failed_by: Option<String>,
    pub failure_code: Option<String>,
    /// What the customer has to do.
    pub action_sealed: Option<Vec<u8>>,
    /// Of a refund: its parts.
    pub price_minor: Option<i64>,
    pub fee_minor: Option<i64>,
    pub tax_minor: Option<i64>,
    /// Why a person should look.
    pub flag: Option<String>,
    pub attempts: i32,
    pub created_at: OffsetDateTime,
    pub completed_at: Option<OffsetDateTime>,
}

impl Transaction {
    /// True if it failed for no reason of the customer's: it may be tried again.
    #[must_use]
    pub fn failed_at_provider(&self) -> bool {
        self.failed_by.as_deref() == Some("provider")
    }

    /// Of a refund: its parts.
    #[must_use]
    pub fn amounts(&self) -> Option<Amounts> {
        Some(Amounts {
            price_minor: self.price_minor?,
            fee_minor: self.fee_minor?,
            tax_minor: self.tax_minor?,
        })
    }
}

/// One movement.
pub async fn find(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    transaction_id: Uuid,
) -> Result<Option<Transaction>, sqlx::Error> {
    sqlx::query_as!(
        Transaction,
        "select organizer_id, transaction_id, booking_id, event_id, kind, status, amount_minor, currency, provider,
                account_id, provider_token, provider_ref, refund_of, reason, failed_by, failure_code, action_sealed,
                price_minor, fee_minor, tax_minor, flag, attempts, created_at, completed_at
           from transactions where organizer_id = $1 and transaction_id = $2",
        organizer_id,
        transaction_id,
    )
    .fetch_optional(conn)
    .await
}

/// The movements of a booking, oldest first.
pub async fn of_booking(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    booking_id: Uuid,
) -> Result<Vec<Transaction>, sqlx::Error> {
    sqlx::query_as!(
        Transaction,
        "select organizer_id, transaction_id, booking_id, event_id, kind, status, amount_minor, currency, provider,
                account_id, provider_token, provider_ref, refund_of, reason, failed_by, failure_code, action_sealed,
                price_minor, fee_minor, tax_minor, flag, attempts, created_at, completed_at
           from transactions where organizer_id = $1 and booking_id = $2 order by created_at, transaction_id",
        organizer_id,
        booking_id,
    )
    .fetch_all(conn)
    .await
}

/// Begins the payment of an open hold: the hold waits for it. False if it is not open (any more).
/// A unique index refuses a second payment beside one that is pending or done.
pub async fn begin_payment(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    booking_id: Uuid,
    payment: &NewPayment,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        with mine as (
          update bookings set payment_until = $3
           where organizer_id = $1 and booking_id = $2 and status = 'held' and held_until > $4
             and (payment_until is null or payment_until <= $4) and total_minor > 0
          returning event_id, user_id, booking_secret_hash, total_minor, currency
        )
        insert into transactions (organizer_id, transaction_id, booking_id, event_id, user_id, booking_secret_hash,
                                  kind, status, amount_minor, currency, provider, account_id, provider_token,
                                  next_attempt_at, created_at)
        select $1, $5, $2, event_id, user_id, booking_secret_hash, 'payment', 'pending', total_minor, currency,
               $6, $9, $7, $8, $4
          from mine
        returning transaction_id
        "#,
        organizer_id,
        booking_id,
        payment.payment_until,
        now,
        payment.payment_id,
        payment.provider,
        payment.token,
        payment.next_attempt_at,
        payment.account_id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.is_some())
}

/// Closes a pending payment that the provider refused; its hold waits no longer. False if it is closed.
pub async fn fail_payment(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    transaction_id: Uuid,
    (failed_by, failure_code): (FailedBy, &str),
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    // The booking's row first, as everywhere.
    let row = sqlx::query!(
        r#"
        with mine as materialized (
          select b.booking_id from bookings b
            join transactions t on t.organizer_id = b.organizer_id and t.booking_id = b.booking_id
           where b.organizer_id = $1 and t.transaction_id = $2 and t.status = 'pending'
             for update of b
        ), freed as (
          update bookings b set payment_until = null from mine
           where b.organizer_id = $1 and b.booking_id = mine.booking_id and b.status = 'held'
          returning b.booking_id
        )
        update transactions t set status = 'failed', failed_by = $5, failure_code = $3, completed_at = $4,
                                  next_attempt_at = null, action_sealed = null
          from mine
         where t.organizer_id = $1 and t.transaction_id = $2 and t.status = 'pending'
        returning (select count(*) from freed) as "freed!"
        "#,
        organizer_id,
        transaction_id,
        failure_code,
        now,
        failed_by.as_str(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.is_some())
}

/// Notes what a provider said of a pending movement: its reference, and what the customer has to do. Whoever tells
/// us of the payment by its reference is led to the organizer. False if it is closed.
pub async fn note(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    transaction_id: Uuid,
    provider_ref: &str,
    action_sealed: Option<&[u8]>,
) -> Result<bool, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        with noted as (
          update transactions set provider_ref = $3, action_sealed = $4
           where organizer_id = $1 and transaction_id = $2 and status = 'pending'
          returning provider
        ), entered as (
          insert into directory (kind, key, organizer_id)
          select 'payment', provider || ':' || $3, $1 from noted
          on conflict do nothing
          returning key
        )
        select (select count(*) from noted) as "noted!", (select count(*) from entered) as "entered!"
        "#,
        organizer_id,
        transaction_id,
        provider_ref,
        action_sealed,
    )
    .fetch_one(conn)
    .await?;
    Ok(row.noted == 1)
}

/// Makes a pending movement due now, and notes its reference if none is known. False if it is closed.
pub async fn wake(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    transaction_id: Uuid,
    provider_ref: Option<&str>,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update transactions set provider_ref = coalesce(provider_ref, $3), next_attempt_at = $4
          where organizer_id = $1 and transaction_id = $2 and status = 'pending'",
        organizer_id,
        transaction_id,
        provider_ref,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Opens a failed payment again, whose money came after all. False if it is not failed; a unique violation
/// `transactions_one_payment` if the booking has another one.
pub async fn revive(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    transaction_id: Uuid,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update transactions
            set status = 'pending', failed_by = null, failure_code = null, completed_at = null, next_attempt_at = $3
          where organizer_id = $1 and transaction_id = $2 and kind = 'payment' and status = 'failed'",
        organizer_id,
        transaction_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Marks a movement for a person to look at. False if it carries this mark already.
pub async fn flag(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    transaction_id: Uuid,
    flag: &str,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update transactions set flag = $3
          where organizer_id = $1 and transaction_id = $2 and flag is distinct from $3",
        organizer_id,
        transaction_id,
        flag,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The movement that a provider knows by this reference.
pub async fn find_by_ref(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    provider: &str,
    provider_ref: &str,
) -> Result<Option<Transaction>, sqlx::Error> {
    sqlx::query_as!(
        Transaction,
        "select organizer_id, transaction_id, booking_id, event_id, kind, status, amount_minor, currency, provider,
                account_id, provider_token, provider_ref, refund_of, reason, failed_by, failure_code, action_sealed,
                price_minor, fee_minor, tax_minor, flag, attempts, created_at, completed_at
           from transactions where organizer_id = $1 and provider_ref = $3 and provider = $2 limit 1",
        organizer_id,
        provider,
        provider_ref,
    )
    .fetch_optional(conn)
    .await
}

/// True if movements of an account are open.
pub async fn is_account_busy(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    account_id: Uuid,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from transactions
                           where organizer_id = $1 and account_id = $2 and status = 'pending') as "busy!""#,
        organizer_id,
        account_id,
    )
    .fetch_one(conn)
    .await
}

/// True if payments of an account could still have to be given back: not all of their money went back, and their event
/// ended after `ended_after`.
pub async fn is_account_refundable(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    account_id: Uuid,
    ended_after: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (
             select from transactions t
               join bookings b on b.organizer_id = t.organizer_id and b.booking_id = t.booking_id
               join events e on e.organizer_id = t.organizer_id and e.event_id = t.event_id
              where t.organizer_id = $1 and t.account_id = $2 and t.kind = 'payment' and t.status = 'completed'
                and b.refunded_minor < b.total_minor and e.ends_at > $3) as "refundable!""#,
        organizer_id,
        account_id,
        ended_after,
    )
    .fetch_one(conn)
    .await
}

/// Pending movements whose time to be asked again has come, leased to the caller: the next time is 1, 2, 4 …
/// minutes later, an hour at most.
pub async fn claim_pending(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    limit: i64,
    now: OffsetDateTime,
) -> Result<Vec<Transaction>, sqlx::Error> {
    sqlx::query_as!(
        Transaction,
        "with due as materialized (
           select transaction_id from transactions
            where organizer_id = $1 and status = 'pending' and next_attempt_at <= $3
            order by next_attempt_at
            limit $2
              for update skip locked
         )
         update transactions t set next_attempt_at = $3 + least(interval '1 minute' * (2 ^ least(t.attempts - 1, 6)), interval '1 hour'),
                                  attempts = t.attempts + 1
           from due
          where t.organizer_id = $1 and t.transaction_id = due.transaction_id
         returning t.organizer_id, t.transaction_id, t.booking_id, t.event_id, t.kind, t.status, t.amount_minor,
                   t.currency, t.provider, t.account_id, t.provider_token, t.provider_ref, t.refund_of, t.reason,
                   t.failed_by, t.failure_code, t.action_sealed, t.price_minor, t.fee_minor, t.tax_minor, t.flag,
                   t.attempts, t.created_at, t.completed_at",
        organizer_id,
        limit,
        now,
    )
    .fetch_all(conn)
    .await
}

/// What a list of movements is narrowed to.
#[derive(Debug, Clone, Default)]
pub struct HistoryFilter {
    pub status: Option<String>,
    pub kind: Option<String>,
    pub event_id: Option<Uuid>,
    pub booking_id: Option<Uuid>,
    /// Only those that a person should look at, or only the others.
    pub flagged: Option<bool>,
    pub from: Option<OffsetDateTime>,
    pub to: Option<OffsetDateTime>,
    pub min_minor: Option<i64>,
    pub max_minor: Option<i64>,
    /// Continue behind this (created_at, transaction_id).
    pub after: Option<(OffsetDateTime, Uuid)>,
}

/// Movements of the given organizers, newest first. `user_id` for a user's own, under the user's context.
pub async fn history(
    conn: &mut PgConnection,
    organizers: &[Uuid],
    user_id: Option<Uuid>,
    filter: &HistoryFilter,
    limit: i64,
) -> Result<Vec<Transaction>, sqlx::Error> {
    let (after_at, after_id) = filter.after.unzip();
    sqlx::query_as!(
        Transaction,
        "select organizer_id, transaction_id, booking_id, event_id, kind, status, amount_minor, currency, provider,
                account_id, provider_token, provider_ref, refund_of, reason, failed_by, failure_code, action_sealed,
                price_minor, fee_minor, tax_minor, flag, attempts, created_at, completed_at
           from transactions
          where organizer_id = any($1)
            and ($2::uuid is null or user_id = $2)
            and ($3::text is null or status = $3)
            and ($4::text is null or kind = $4)
            and ($5::uuid is null or event_id = $5)
            and ($6::timestamptz is null or created_at >= $6)
            and ($7::timestamptz is null or created_at < $7)
            and ($8::bigint is null or amount_minor >= $8)
            and ($9::bigint is null or amount_minor <= $9)
            and ($13::uuid is null or booking_id = $13)
            and ($14::boolean is null or (flag is not null) = $14)
            and ($10::timestamptz is null or (created_at, transaction_id) < ($10, $11))
          order by created_at desc, transaction_id desc
          limit $12",
        organizers,
        user_id,
        filter.status,
        filter.kind,
        filter.event_id,
        filter.from,
        filter.to,
        filter.min_minor,
        filter.max_minor,
        after_at,
        after_id,
        limit,
        filter.booking_id,
        filter.flagged,
    )
    .fetch_all(conn)
    .await
}
