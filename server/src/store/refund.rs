//! Money back. The row of the refund is written, and the tickets blocked, before the provider is asked;
//! its answer revokes them or gives them back.

use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::issue::NewLedgerLine;
use super::ticket::ChangedTicket;

/// A refund about to be asked of the provider.
#[derive(Debug, Clone)]
pub struct NewRefund {
    pub refund_id: Uuid,
    pub reason: Option<String>,
    /// When the reconcile job asks, if nobody else did.
    pub next_attempt_at: OffsetDateTime,
}

/// A refund that was begun.
#[derive(Debug, Clone)]
pub struct Begun {
    pub event_id: Uuid,
    pub payment_id: Uuid,
    pub amount_minor: i64,
    pub currency: String,
    pub provider: String,
    pub provider_token: Option<String>,
    pub provider_ref: Option<String>,
}

/// Reserves the whole of a paid booking for refund under its row's lock, and writes the refund's row.
/// `None` if it is not wholly paid, or its money is on its way back already.
pub async fn begin(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    booking_id: Uuid,
    refund: &NewRefund,
    now: OffsetDateTime,
) -> Result<Option<Begun>, sqlx::Error> {
    sqlx::query_as!(
        Begun,
        r#"
        with mine as (
          update bookings set refunded_minor = total_minor
           where organizer_id = $1 and booking_id = $2 and status = 'paid' and refunded_minor = 0 and total_minor > 0
          returning booking_id, event_id, user_id, booking_secret_hash, total_minor, currency
        ), payment as (
          select t.transaction_id, t.provider, t.provider_token, t.provider_ref
            from transactions t join mine on mine.booking_id = t.booking_id
           where t.organizer_id = $1 and t.kind = 'payment' and t.status = 'completed'
        ), begun as (
          insert into transactions (organizer_id, transaction_id, booking_id, event_id, user_id, booking_secret_hash,
                                    kind, status, amount_minor, currency, provider, provider_token, refund_of, reason,
                                    next_attempt_at, created_at)
          select $1, $3, $2, mine.event_id, mine.user_id, mine.booking_secret_hash, 'refund', 'pending',
                 mine.total_minor, mine.currency, payment.provider, payment.provider_token, payment.transaction_id, $4,
                 $5, $6
            from mine, payment
          returning transaction_id
        )
        select mine.event_id, payment.transaction_id as payment_id, mine.total_minor as amount_minor, mine.currency,
               payment.provider, payment.provider_token, payment.provider_ref
          from mine, payment, begun
        "#,
        organizer_id,
        booking_id,
        refund.refund_id,
        refund.reason,
        refund.next_attempt_at,
        now,
    )
    .fetch_optional(conn)
    .await
}

/// Stops the valid tickets of a booking while its refund is in flight.
pub async fn block_tickets(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    booking_id: Uuid,
) -> Result<Vec<ChangedTicket>, sqlx::Error> {
    sqlx::query_as!(
        ChangedTicket,
        "update tickets set state = 'blocked', block_reason = 'refund'
          where organizer_id = $1 and booking_id = $2 and state = 'valid'
         returning ticket_id, type_no, generation, state",
        organizer_id,
        booking_id,
    )
    .fetch_all(conn)
    .await
}

/// A payment that arrived for a booking that can no longer be had is booked as it came, and its refund begun.
/// False if the payment is closed already.
pub async fn begin_of_late_payment(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    payment_id: Uuid,
    provider_ref: &str,
    ledger: &[NewLedgerLine],
    refund: &NewRefund,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        with mine as materialized (
          select b.booking_id, b.event_id, b.user_id, b.booking_secret_hash, b.total_minor, b.currency,
                 t.provider, t.provider_token
            from bookings b
            join transactions t on t.organizer_id = b.organizer_id and t.booking_id = b.booking_id
           where b.organizer_id = $1 and t.transaction_id = $2 and t.status = 'pending'
             and b.status in ('expired', 'canceled') and b.refunded_minor = 0
             for update of b
        ), reserved as (
          update bookings b set refunded_minor = b.total_minor from mine
           where b.organizer_id = $1 and b.booking_id = mine.booking_id
          returning b.booking_id
        ), paid as (
          update transactions t set status = 'completed', provider_ref = $3, completed_at = $4, next_attempt_at = null
            from mine
           where t.organizer_id = $1 and t.transaction_id = $2 and t.status = 'pending'
          returning t.transaction_id
        ), entries as materialized (
          select e.*, sum(e.amount_minor) over (partition by e.entry_id) as balance
            from jsonb_to_recordset($5) as e(entry_id uuid, line smallint, booking_id uuid, account text,
                                             amount_minor bigint)
        ), entered as (
          insert into ledger (organizer_id, entry_id, line, booking_id, event_id, kind, account, amount_minor,
                              currency, booked_at)
          select $1, e.entry_id, e.line, e.booking_id, mine.event_id, 'payment', e.account, e.amount_minor,
                 mine.currency, $4
            from entries e join mine on mine.booking_id = e.booking_id
           where e.balance = 0
          returning entry_id
        ), begun as (
          insert into transactions (organizer_id, transaction_id, booking_id, event_id, user_id, booking_secret_hash,
                                    kind, status, amount_minor, currency, provider, provider_token, refund_of, reason,
                                    next_attempt_at, created_at)
          select $1, $6, mine.booking_id, mine.event_id, mine.user_id, mine.booking_secret_hash, 'refund', 'pending',
                 mine.total_minor, mine.currency, mine.provider, mine.provider_token, $2, $7, $8, $4
            from mine
          returning transaction_id
        )
        select (select count(*) from mine) as "mine!", (select count(*) from entered) as "entered!",
               (select count(*) from begun) as "begun!", (select count(*) from reserved) as "reserved!",
               (select count(*) from paid) as "paid!"
        "#,
        organizer_id,
        payment_id,
        provider_ref,
        now,
        Json(ledger) as _,
        refund.refund_id,
        refund.reason,
        refund.next_attempt_at,
    )
    .fetch_one(conn)
    .await?;
    if row.mine == 0 {
        return Ok(false);
    }
    if row.paid != 1
        || row.begun != 1
        || row.reserved != 1
        || usize::try_from(row.entered) != Ok(ledger.len())
    {
        return Err(sqlx::Error::Protocol("a late payment was booked in part".to_owned()));
    }
    Ok(true)
}

/// What completing a refund changed.
#[derive(Debug, Clone)]
pub struct Completed {
    pub booking_id: Uuid,
    pub event_id: Uuid,
}

/// The provider gave the money back: closes the refund, the payment and the booking, returns the capacity
/// of the tickets (revoke them next, in the same transaction), books the reversal. `None` if closed already.
pub async fn complete(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    refund_id: Uuid,
    provider_ref: &str,
    ledger: &[NewLedgerLine],
    now: OffsetDateTime,
) -> Result<Option<Completed>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        with mine as materialized (
          select b.booking_id, b.event_id, b.currency, t.refund_of
            from bookings b
            join transactions t on t.organizer_id = b.organizer_id and t.booking_id = b.booking_id
           where b.organizer_id = $1 and t.transaction_id = $2 and t.kind = 'refund' and t.status = 'pending'
             for update of b
        ), closed as (
          update transactions t set status = 'completed', provider_ref = $3, completed_at = $4, next_attempt_at = null
            from mine
           where t.organizer_id = $1 and t.transaction_id = $2 and t.status = 'pending'
          returning t.transaction_id
        ), payment as (
          update transactions t set status = 'refunded' from mine
           where t.organizer_id = $1 and t.transaction_id = mine.refund_of and t.status = 'completed'
          returning t.transaction_id
        ), booking as (
          update bookings b
             set status = case when b.status in ('paid', 'partially_refunded') then 'refunded' else b.status end,
                 closed_at = coalesce(b.closed_at, $4)
            from mine
           where b.organizer_id = $1 and b.booking_id = mine.booking_id
          returning b.booking_id, b.status
        ), back as (
          select y.quota_id, count(*)::integer as n
            from tickets k
            join mine on mine.booking_id = k.booking_id
            join booking_lines y on y.organizer_id = k.organizer_id and y.booking_id = k.booking_id
                                and y.ticket_type_id = k.ticket_type_id
           where k.organizer_id = $1 and k.state in ('valid', 'blocked')
           group by y.quota_id
        ), room as materialized (
          select q.quota_id, back.n from quotas q join back on back.quota_id = q.quota_id
           where q.organizer_id = $1 order by q.quota_id for no key update of q
        ), given as (
          update quotas q set sold = q.sold - room.n from room
           where q.organizer_id = $1 and q.quota_id = room.quota_id
          returning q.quota_id
        ), entries as materialized (
          select e.*, sum(e.amount_minor) over (partition by e.entry_id) as balance
            from jsonb_to_recordset($5) as e(entry_id uuid, line smallint, booking_id uuid, account text,
                                             amount_minor bigint)
        ), entered as (
          insert into ledger (organizer_id, entry_id, line, booking_id, event_id, kind, account, amount_minor,
                              currency, booked_at)
          select $1, e.entry_id, e.line, e.booking_id, mine.event_id, 'refund', e.account, e.amount_minor,
                 mine.currency, $4
            from entries e join mine on mine.booking_id = e.booking_id
           where e.balance = 0
          returning entry_id
        )
        select mine.booking_id, mine.event_id, (select count(*) from entered) as "entered!",
               (select count(*) from closed) as "closed!", (select count(*) from payment) as "payment!",
               (select count(*) from booking) as "booking!", (select count(*) from given) as "given!"
          from mine
        "#,
        organizer_id,
        refund_id,
        provider_ref,
        now,
        Json(ledger) as _,
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    if row.closed != 1 || row.payment != 1 || usize::try_from(row.entered) != Ok(ledger.len()) {
        return Err(sqlx::Error::Protocol("a refund was booked in part".to_owned()));
    }
    Ok(Some(Completed { booking_id: row.booking_id, event_id: row.event_id }))
}

/// Revokes what is left of a booking's tickets.
pub async fn revoke_tickets(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    booking_id: Uuid,
) -> Result<Vec<ChangedTicket>, sqlx::Error> {
    sqlx::query_as!(
        ChangedTicket,
        "update tickets set state = 'refunded', block_reason = null
          where organizer_id = $1 and booking_id = $2 and state in ('valid', 'blocked')
         returning ticket_id, type_no, generation, state",
        organizer_id,
        booking_id,
    )
    .fetch_all(conn)
    .await
}

/// The provider refused: the refund is closed as failed and the reserved amount is free again (give the
/// tickets back next, in the same transaction). `None` if closed already.
pub async fn fail(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    refund_id: Uuid,
    failure_code: &str,
    now: OffsetDateTime,
) -> Result<Option<Completed>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        with mine as materialized (
          select b.booking_id, b.event_id
            from bookings b
            join transactions t on t.organizer_id = b.organizer_id and t.booking_id = b.booking_id
           where b.organizer_id = $1 and t.transaction_id = $2 and t.kind = 'refund' and t.status = 'pending'
             for update of b
        ), closed as (
          update transactions t set status = 'failed', failure_code = $3, completed_at = $4, next_attempt_at = null
            from mine
           where t.organizer_id = $1 and t.transaction_id = $2 and t.status = 'pending'
          returning t.amount_minor
        ), freed as (
          update bookings b set refunded_minor = b.refunded_minor - closed.amount_minor
            from mine, closed
           where b.organizer_id = $1 and b.booking_id = mine.booking_id
          returning b.booking_id
        )
        select mine.booking_id, mine.event_id, (select count(*) from freed) as "freed!" from mine
        "#,
        organizer_id,
        refund_id,
        failure_code,
        now,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Completed { booking_id: row.booking_id, event_id: row.event_id }))
}

/// Gives the tickets back that the refund had stopped.
pub async fn unblock_tickets(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    booking_id: Uuid,
) -> Result<Vec<ChangedTicket>, sqlx::Error> {
    sqlx::query_as!(
        ChangedTicket,
        "update tickets set state = 'valid', block_reason = null
          where organizer_id = $1 and booking_id = $2 and state = 'blocked' and block_reason = 'refund'
         returning ticket_id, type_no, generation, state",
        organizer_id,
        booking_id,
    )
    .fetch_all(conn)
    .await
}
