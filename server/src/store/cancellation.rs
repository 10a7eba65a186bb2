//! Canceling an event, piece by piece: holds are released, tickets revoked, holders told, money given back. Every
//! statement here may be repeated and finds only what is still to do.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::ticket::ChangedTicket;
use crate::domain::booking::BookingStatus;
use crate::store::booking::StatusColumn;

/// Asks for it, or for a new try of what failed. From the commit on nothing of the event is held: who had the room of a
/// quota before is waited for here, and whoever gets it afterwards sees that it is closed. The event's row comes first.
pub async fn begin(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    reason: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into event_cancellations (organizer_id, event_id, reason, requested_at) values ($1, $2, $3, $4)
         on conflict (organizer_id, event_id) do update set finished_at = null",
        organizer_id,
        event_id,
        reason,
        now,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "with room as materialized (
           select quota_id from quotas where organizer_id = $1 and event_id = $2 and not closed
            order by quota_id for no key update
         )
         update quotas q set closed = true from room where q.organizer_id = $1 and q.quota_id = room.quota_id",
        organizer_id,
        event_id,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update cancellation_items set status = 'open', attempts = 0, next_attempt_at = $3
          where organizer_id = $1 and event_id = $2 and status = 'failed'",
        organizer_id,
        event_id,
        now,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update waiting_list set status = 'closed', ended_at = $3
          where organizer_id = $1 and event_id = $2 and status = 'waiting'",
        organizer_id,
        event_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Canceled events of an organizer that still have something to do, and why they were canceled.
pub async fn open(conn: &mut PgConnection, organizer_id: Uuid) -> Result<Vec<(Uuid, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select event_id, reason from event_cancellations where organizer_id = $1 and finished_at is null
          order by requested_at",
        organizer_id,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.event_id, row.reason)).collect())
}

/// Gives up to `limit` unpaid holds of the event up, and their capacity back. Those with a payment in flight wait
/// for it. How many.
pub async fn release_holds(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    limit: i64,
    now: OffsetDateTime,
) -> Result<i64, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        with due as materialized (
          select booking_id from bookings
           where organizer_id = $1 and event_id = $2 and status = 'held'
             and (payment_until is null or payment_until <= $4)
           order by created_at
           limit $3
             for update skip locked
        ), gone as (
          update bookings b set status = 'canceled', closed_at = $4, payment_until = null
            from due
           where b.organizer_id = $1 and b.booking_id = due.booking_id and b.status = 'held'
          returning b.booking_id
        ), back as (
          select l.quota_id, sum(l.quantity)::integer as n
            from booking_lines l join gone on gone.booking_id = l.booking_id
           where l.organizer_id = $1 group by l.quota_id
        ), room as materialized (
          select q.quota_id, back.n from quotas q join back on back.quota_id = q.quota_id
           where q.organizer_id = $1 order by q.quota_id for no key update of q
        ), given as (
          update quotas q set held = q.held - room.n from room
           where q.organizer_id = $1 and q.quota_id = room.quota_id
          returning q.quota_id
        )
        select (select count(*) from gone) as "gone!", (select count(*) from given) as "given!"
        "#,
        organizer_id,
        event_id,
        limit,
        now,
    )
    .fetch_one(conn)
    .await?;
    Ok(row.gone)
}

/// Revokes up to `limit` tickets of the event and gives their places back. Tickets that a refund in flight has
/// stopped are left to it: it revokes them, or gives them back to be revoked here.
pub async fn cancel_tickets(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    limit: i64,
) -> Result<Vec<ChangedTicket>, sqlx::Error> {
    let due = sqlx::query_scalar!(
        "select ticket_id from tickets
          where organizer_id = $1 and event_id = $2
            and (state = 'valid' or (state = 'blocked' and block_reason <> 'refund'))
          order by ticket_id
          limit $3
            for update",
        organizer_id,
        event_id,
        limit,
    )
    .fetch_all(&mut *conn)
    .await?;
    if due.is_empty() {
        return Ok(Vec::new());
    }
    // The tickets are ours now: what is counted is what is changed.
    sqlx::query!(
        "with back as (
           select l.quota_id, count(*)::integer as n
             from tickets k
             join booking_lines l on l.organizer_id = k.organizer_id and l.booking_id = k.booking_id
                                 and l.ticket_type_id = k.ticket_type_id
            where k.organizer_id = $1 and k.ticket_id = any ($2)
            group by l.quota_id
         ), room as materialized (
           select q.quota_id, back.n from quotas q join back on back.quota_id = q.quota_id
            where q.organizer_id = $1 order by q.quota_id for no key update of q
         )
         update quotas q set sold = q.sold - room.n from room
          where q.organizer_id = $1 and q.quota_id = room.quota_id",
        organizer_id,
        &due,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query_as!(
        ChangedTicket,
        "update tickets set state = 'canceled', block_reason = null
          where organizer_id = $1 and ticket_id = any ($2)
         returning ticket_id, type_no, generation, state",
        organizer_id,
        &due,
    )
    .fetch_all(conn)
    .await
}

/// A booking whose holder is to be told and paid back.
#[derive(Debug, Clone)]
pub struct Holder {
    pub booking_id: Uuid,
    pub email: Option<String>,
    pub user_id: Option<Uuid>,
    pub language: String,
    pub total_minor: i64,
    pub currency: String,
}

/// Notes up to `limit` paid and free bookings of the event that were not noted yet.
pub async fn note_bookings(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    limit: i64,
    now: OffsetDateTime,
) -> Result<Vec<Holder>, sqlx::Error> {
    sqlx::query_as!(
        Holder,
        r#"
        with found as (
          select b.booking_id, b.email, b.user_id, b.language, b.total_minor, b.currency
            from bookings b
           where b.organizer_id = $1 and b.event_id = $2 and b.status in ('paid', 'partially_refunded')
             and not exists (select from cancellation_items i
                              where i.organizer_id = $1 and i.booking_id = b.booking_id)
           order by b.created_at
           limit $3
        ), noted as (
          insert into cancellation_items (organizer_id, booking_id, event_id, next_attempt_at)
          select $1, found.booking_id, $2, $4 from found
          on conflict (organizer_id, booking_id) do nothing
          returning booking_id
        )
        select f.booking_id as "booking_id!", f.email, f.user_id, f.language as "language!", f.total_minor as "total_minor!", f.currency as "currency!"
          from found f join noted on noted.booking_id = f.booking_id
        "#,
        organizer_id,
        event_id,
        limit,
        now,
    )
    .fetch_all(conn)
    .await
}

/// A booking to pay back.
#[derive(Debug, Clone)]
pub struct Item {
    pub booking_id: Uuid,
    pub status: BookingStatus,
    pub total_minor: i64,
}

/// Takes up to `limit` bookings that are due; who takes them next waits until `next_attempt_at`.
pub async fn take_due(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    limit: i64,
    now: OffsetDateTime,
    next_attempt_at: OffsetDateTime,
) -> Result<Vec<Item>, sqlx::Error> {
    sqlx::query_as!(
        Item,
        r#"
        update cancellation_items i set next_attempt_at = $5
          from bookings b
         where i.organizer_id = $1 and b.organizer_id = $1 and b.booking_id = i.booking_id
           and i.booking_id in (
             select booking_id from cancellation_items
              where organizer_id = $1 and event_id = $2 and status = 'open' and next_attempt_at <= $4
              order by next_attempt_at, booking_id
              limit $3
                for update skip locked)
        returning i.booking_id, b.status as "status: StatusColumn", b.total_minor
        "#,
        organizer_id,
        event_id,
        limit,
        now,
        next_attempt_at,
    )
    .fetch_all(conn)
    .await
}

/// Closes a free booking: nothing goes back. False if it is none, or closed.
pub async fn close_free(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    booking_id: Uuid,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update bookings set status = 'canceled', closed_at = $3
          where organizer_id = $1 and booking_id = $2 and status = 'paid' and total_minor = 0",
        organizer_id,
        booking_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Counts a refund that the provider refused, at once or later, if it was for a canceled event. After `tries` of them
/// the booking waits for a person.
pub async fn count_refusal(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    booking_id: Uuid,
    code: &str,
    tries: i32,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update cancellation_items
            set attempts = attempts + 1, failure = left($3, 200),
                status = case when attempts + 1 >= $4 then 'failed' else status end
          where organizer_id = $1 and booking_id = $2 and status = 'open'",
        organizer_id,
        booking_id,
        code,
        tries,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Says how a booking ended: `refunded` or `free`.
pub async fn end(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    booking_id: Uuid,
    status: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update cancellation_items set status = $3, failure = null
          where organizer_id = $1 and booking_id = $2 and status = 'open'",
        organizer_id,
        booking_id,
        status,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends the cancellation if nothing is left to do: no hold, no ticket that lets in, no booking unnoted or open.
pub async fn finish(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update event_cancellations set finished_at = $3
          where organizer_id = $1 and event_id = $2 and finished_at is null
            and not exists (select from tickets
                             where organizer_id = $1 and event_id = $2 and state in ('valid', 'blocked'))
            and not exists (select from cancellation_items
                             where organizer_id = $1 and event_id = $2 and status = 'open')
            and not exists (select from bookings b
                             where b.organizer_id = $1 and b.event_id = $2
                               and (b.status = 'held'
                                    or (b.status in ('paid', 'partially_refunded')
                                        and not exists (select from cancellation_items i
                                                         where i.organizer_id = $1 and i.booking_id = b.booking_id))))",
        organizer_id,
        event_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// How far a cancellation is.
#[derive(Debug, Clone)]
pub struct Progress {
    pub reason: String,
    pub requested_at: OffsetDateTime,
    pub finished_at: Option<OffsetDateTime>,
    pub holds: i64,
    pub tickets: i64,
    pub unnoted: i64,
    pub open: i64,
    pub refunded: i64,
    pub free: i64,
    pub failed: i64,
    pub refunded_minor: i64,
}

/// `None` if the event was not canceled.
pub async fn progress(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
) -> Result<Option<Progress>, sqlx::Error> {
    sqlx::query_as!(
        Progress,
        r#"select c.reason, c.requested_at, c.finished_at,
                  (select count(*) from bookings b
                    where b.organizer_id = $1 and b.event_id = $2 and b.status = 'held') as "holds!",
                  (select count(*) from tickets t
                    where t.organizer_id = $1 and t.event_id = $2 and t.state in ('valid', 'blocked')) as "tickets!",
                  (select count(*) from bookings b
                    where b.organizer_id = $1 and b.event_id = $2 and b.status in ('paid', 'partially_refunded')
                      and not exists (select from cancellation_items i
                                       where i.organizer_id = $1 and i.booking_id = b.booking_id)) as "unnoted!",
                  count(i.booking_id) filter (where i.status = 'open') as "open!",
                  count(i.booking_id) filter (where i.status = 'refunded') as "refunded!",
                  count(i.booking_id) filter (where i.status = 'free') as "free!",
                  count(i.booking_id) filter (where i.status = 'failed') as "failed!",
                  (select coalesce(sum(t.amount_minor), 0)::bigint from transactions t
                    where t.organizer_id = $1 and t.event_id = $2 and t.kind = 'refund' and t.status = 'completed')
                    as "refunded_minor!"
             from event_cancellations c
             left join cancellation_items i on i.organizer_id = c.organizer_id and i.event_id = c.event_id
            where c.organizer_id = $1 and c.event_id = $2
            group by c.reason, c.requested_at, c.finished_at"#,
        organizer_id,
        event_id,
    )
    .fetch_optional(conn)
    .await
}

/// A booking whose money could not be given back.
#[derive(Debug, Clone)]
pub struct Failure {
    pub booking_id: Uuid,
    pub failure: Option<String>,
}

/// The first hundred of them.
pub async fn failures(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
) -> Result<Vec<Failure>, sqlx::Error> {
    sqlx::query_as!(
        Failure,
        "select booking_id, failure from cancellation_items
          where organizer_id = $1 and event_id = $2 and status = 'failed' order by booking_id limit 100",
        organizer_id,
        event_id,
    )
    .fetch_all(conn)
    .await
}
