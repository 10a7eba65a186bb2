//! Money back. The row of the refund is written, and the tickets blocked, before the provider is asked;
//! its answer revokes them or gives them back.

use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::issue::NewLedgerLine;
use super::ticket::ChangedTicket;
use super::transaction::FailedBy;
use crate::domain::ledger::Amounts;
use crate::domain::refund::{Facts, Left, Sold};

/// A refund about to be asked of the provider.
#[derive(Debug, Clone)]
pub struct NewRefund {
    pub refund_id: Uuid,
    pub reason: Option<String>,
    pub amounts: Amounts,
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
    pub account_id: Option<Uuid>,
    pub provider_token: Option<String>,
    /// Of the payment.
    pub provider_ref: Option<String>,
}

/// What can be given back of a booking, whose row is locked from here on. `None` if it is not paid.
/// `asker`: the user who asks for their own; tickets of others are not theirs to give back.
pub async fn facts(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    booking_id: Uuid,
    asker: Option<Uuid>,
) -> Result<Option<Facts>, sqlx::Error> {
    let booking = sqlx::query!(
        "select price_minor, fee_minor, tax_minor from bookings b
          where organizer_id = $1 and booking_id = $2
            and (status in ('paid', 'partially_refunded', 'refunded')
                 -- A payment that came too late, and whose refund was refused.
                 or status in ('expired', 'canceled')
                    and exists (select from transactions t
                                 where t.organizer_id = $1 and t.booking_id = b.booking_id and t.kind = 'payment'
                                   and t.status in ('completed', 'refunded')))
            for update",
        organizer_id,
        booking_id,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(booking) = booking else { return Ok(None) };
    let back = sqlx::query!(
        r#"select coalesce(sum(price_minor), 0)::bigint as "price!", coalesce(sum(fee_minor), 0)::bigint as "fee!",
                  coalesce(sum(tax_minor), 0)::bigint as "tax!"
             from transactions
            where organizer_id = $1 and booking_id = $2 and kind = 'refund' and status in ('pending', 'completed')"#,
        organizer_id,
        booking_id,
    )
    .fetch_one(&mut *conn)
    .await?;
    let lines = sqlx::query!(
        "select ticket_type_id, quantity, unit_price_minor, unit_fee_minor, unit_tax_minor from booking_lines
          where organizer_id = $1 and booking_id = $2 order by line",
        organizer_id,
        booking_id,
    )
    .fetch_all(&mut *conn)
    .await?;
    let left = sqlx::query_as!(
        Left,
        r#"select ticket_id, ticket_type_id, ($3::uuid is null or user_id is not distinct from $3) as "theirs!"
             from tickets
            where organizer_id = $1 and booking_id = $2
              and (state = 'valid' or (state = 'blocked' and block_reason <> 'refund'))
            order by type_no, ticket_id"#,
        organizer_id,
        booking_id,
        asker,
    )
    .fetch_all(conn)
    .await?;
    let sold = lines.into_iter().map(|l| Sold {
        ticket_type_id: l.ticket_type_id,
        quantity: l.quantity.into(),
        unit: Amounts {
            price_minor: l.unit_price_minor,
            fee_minor: l.unit_fee_minor,
            tax_minor: l.unit_tax_minor,
        },
    });
    Ok(Some(Facts {
        total: Amounts {
            price_minor: booking.price_minor,
            fee_minor: booking.fee_minor,
            tax_minor: booking.tax_minor,
        },
        refunded: Amounts { price_minor: back.price, fee_minor: back.fee, tax_minor: back.tax },
        sold: sold.collect(),
        left,
    }))
}

/// Reserves a part of a paid booking's money, or all that is left of it, and writes the refund's row. `None` if
/// not so much is left.
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
          update bookings set refunded_minor = refunded_minor + $7::bigint
           where organizer_id = $1 and booking_id = $2 and status in ('paid', 'partially_refunded', 'expired', 'canceled')
             and $7::bigint > 0 and refunded_minor + $7::bigint <= total_minor
          returning booking_id, event_id, user_id, booking_secret_hash, currency
        ), payment as (
          select t.transaction_id, t.provider, t.account_id, t.provider_token, t.provider_ref
            from transactions t join mine on mine.booking_id = t.booking_id
           where t.organizer_id = $1 and t.kind = 'payment' and t.status = 'completed'
        ), begun as (
          insert into transactions (organizer_id, transaction_id, booking_id, event_id, user_id, booking_secret_hash,
                                    kind, status, amount_minor, currency, provider, account_id, provider_token,
                                    refund_of, reason, price_minor, fee_minor, tax_minor, next_attempt_at, created_at)
          select $1, $3, $2, mine.event_id, mine.user_id, mine.booking_secret_hash, 'refund', 'pending',
                 $7::bigint, mine.currency, payment.provider, payment.account_id, payment.provider_token,
                 payment.transaction_id, $4, $8, $9, $10, $5, $6
            from mine, payment
          returning transaction_id
        )
        select mine.event_id, payment.transaction_id as payment_id, $7::bigint as "amount_minor!", mine.currency,
               payment.provider, payment.account_id, payment.provider_token, payment.provider_ref
          from mine, payment, begun
        "#,
        organizer_id,
        booking_id,
        refund.refund_id,
        refund.reason,
        refund.next_attempt_at,
        now,
        refund.amounts.total(),
        refund.amounts.price_minor,
        refund.amounts.fee_minor,
        refund.amounts.tax_minor,
    )
    .fetch_optional(conn)
    .await
}

/// Writes down which tickets a refund is for, and stops the valid ones of them while it is in flight.
pub async fn block_tickets(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    refund_id: Uuid,
    tickets: &[Uuid],
) -> Result<Vec<ChangedTicket>, sqlx::Error> {
    sqlx::query_as!(
        ChangedTicket,
        "with noted as (
           insert into refund_tickets (organizer_id, refund_id, ticket_id)
           select $1, $2, id from unnest($3::uuid[]) as t(id)
           returning ticket_id
         )
         update tickets k set state = 'blocked', block_reason = 'refund'
           from noted
          where k.organizer_id = $1 and k.ticket_id = noted.ticket_id and k.state = 'valid'
         returning k.ticket_id, k.type_no, k.generation, k.state",
        organizer_id,
        refund_id,
        tickets,
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
                 b.price_minor, b.fee_minor, b.tax_minor, t.provider, t.account_id, t.provider_token
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
          update transactions t set status = 'completed', provider_ref = $3, completed_at = $4, next_attempt_at = null,
                                    action_sealed = null
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
                                    kind, status, amount_minor, currency, provider, account_id, provider_token,
                                    refund_of, reason, price_minor, fee_minor, tax_minor, next_attempt_at, created_at)
          select $1, $6, mine.booking_id, mine.event_id, mine.user_id, mine.booking_secret_hash, 'refund', 'pending',
                 mine.total_minor, mine.currency, mine.provider, mine.account_id, mine.provider_token, $2, $7,
                 mine.price_minor, mine.fee_minor, mine.tax_minor, $8, $4
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

/// Waits for the booking of a movement. Statements that look at its other movements come after this one: a statement
/// that waits itself would see them as they were before.
pub async fn lock_booking(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    transaction_id: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "select b.booking_id from bookings b
           join transactions t on t.organizer_id = b.organizer_id and t.booking_id = b.booking_id
          where b.organizer_id = $1 and t.transaction_id = $2
            for update of b",
        organizer_id,
        transaction_id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(())
}

/// The provider gave the money back: closes the refund, returns the capacity of its tickets (revoke them next, in
/// the same transaction), books the reversal; with the last of the money and of the tickets the payment and the
/// booking are refunded, before that the booking is so in part. `None` if closed already.
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
          select b.booking_id, b.event_id, b.currency, t.refund_of,
                 b.total_minor = t.amount_minor + coalesce((
                   select sum(o.amount_minor) from transactions o
                    where o.organizer_id = $1 and o.booking_id = b.booking_id and o.kind = 'refund'
                      and o.status = 'completed'), 0) as all_money,
                 not exists (
                   select from tickets k
                    where k.organizer_id = $1 and k.booking_id = b.booking_id and k.state in ('valid', 'blocked')
                      and not exists (select from refund_tickets r
                                       where r.organizer_id = $1 and r.refund_id = $2 and r.ticket_id = k.ticket_id)
                 ) as all_tickets
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
             and mine.all_money
          returning t.transaction_id
        ), booking as (
          update bookings b
             set status = case when b.status not in ('paid', 'partially_refunded') then b.status
                               when mine.all_money and mine.all_tickets then 'refunded'
                               else 'partially_refunded' end,
                 closed_at = case when mine.all_money and mine.all_tickets then coalesce(b.closed_at, $4)
                                  else b.closed_at end
            from mine
           where b.organizer_id = $1 and b.booking_id = mine.booking_id
          returning b.booking_id, b.status
        ), back as (
          select y.quota_id, count(distinct k.ticket_id)::integer as n
            from refund_tickets r
            join tickets k on k.organizer_id = r.organizer_id and k.ticket_id = r.ticket_id
            join mine on mine.booking_id = k.booking_id
            join booking_lines y on y.organizer_id = k.organizer_id and y.booking_id = k.booking_id
                                and y.ticket_type_id = k.ticket_type_id
           where r.organizer_id = $1 and r.refund_id = $2 and k.organizer_id = $1 and k.state in ('valid', 'blocked')
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
               (select count(*) from closed) as "closed!",
               mine.all_money = ((select count(*) from payment) = 1) as "payment!",
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
    if row.closed != 1 || !row.payment || usize::try_from(row.entered) != Ok(ledger.len()) {
        return Err(sqlx::Error::Protocol("a refund was booked in part".to_owned()));
    }
    Ok(Some(Completed { booking_id: row.booking_id, event_id: row.event_id }))
}

/// Revokes the tickets of a refund.
pub async fn revoke_tickets(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    refund_id: Uuid,
) -> Result<Vec<ChangedTicket>, sqlx::Error> {
    sqlx::query_as!(
        ChangedTicket,
        "update tickets k set state = 'refunded', block_reason = null
           from refund_tickets r
          where k.organizer_id = $1 and r.organizer_id = $1 and r.refund_id = $2 and k.ticket_id = r.ticket_id
            and k.state in ('valid', 'blocked')
         returning k.ticket_id, k.type_no, k.generation, k.state",
        organizer_id,
        refund_id,
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
    (failed_by, failure_code): (FailedBy, &str),
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
          update transactions t set status = 'failed', failed_by = $5, failure_code = $3, completed_at = $4,
                                    next_attempt_at = null
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
        failed_by.as_str(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Completed { booking_id: row.booking_id, event_id: row.event_id }))
}

/// Gives the tickets back that the refund had stopped.
pub async fn unblock_tickets(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    refund_id: Uuid,
) -> Result<Vec<ChangedTicket>, sqlx::Error> {
    sqlx::query_as!(
        ChangedTicket,
        "update tickets k set state = 'valid', block_reason = null
           from refund_tickets r
          where k.organizer_id = $1 and r.organizer_id = $1 and r.refund_id = $2 and k.ticket_id = r.ticket_id
            and k.state = 'blocked' and k.block_reason = 'refund'
         returning k.ticket_id, k.type_no, k.generation, k.state",
        organizer_id,
        refund_id,
    )
    .fetch_all(conn)
    .await
}
