//! Occasions that somebody has to look for: what is due, each given out once. Finding and noting are one statement; the
//! caller enqueues in the same transaction, so that a notice is neither lost nor written twice.

use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::outbox::Recipient;

/// Notes that a subject gave rise to a notice. False if it did before.
pub async fn first(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    subject_id: Uuid,
    kind: &str,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "insert into noticed (organizer_id, subject_id, kind, at) values ($1, $2, $3, $4) on conflict do nothing",
        organizer_id,
        subject_id,
        kind,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Unpaid bookings whose hold of at least `least` ends within `before`, at most `limit`.
pub async fn ending_holds(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    (before, least): (Duration, Duration),
    limit: i64,
    now: OffsetDateTime,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "insert into noticed (organizer_id, subject_id, kind, at)
         select $1, b.booking_id, 'booking.hold_ending', $2
           from bookings b
          where b.organizer_id = $1 and b.status = 'held' and b.held_until > $2 and b.held_until <= $3
            and (b.payment_until is null or b.payment_until <= $2) and b.email is not null
            and extract(epoch from b.held_until - b.created_at) >= $4::float8
            and not exists (select from noticed n where n.organizer_id = $1 and n.subject_id = b.booking_id
                                                    and n.kind = 'booking.hold_ending')
          limit $5
         on conflict do nothing
         returning subject_id",
        organizer_id,
        now,
        now + before,
        least.as_seconds_f64(),
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Published events that begin within `before`.
pub async fn soon(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    before: Duration,
    now: OffsetDateTime,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select event_id from events
          where organizer_id = $1 and status = 'published' and starts_at > $2 and starts_at <= $3
          order by starts_at limit 1000",
        organizer_id,
        now,
        now + before,
    )
    .fetch_all(conn)
    .await
}

/// Bookings of such an event that are to be reminded of it, at most `limit`: those that still have a ticket, and were
/// not just made.
pub async fn reminders(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    before: Duration,
    limit: i64,
    now: OffsetDateTime,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "insert into noticed (organizer_id, subject_id, kind, at)
         select $1, b.booking_id, 'booking.reminder', $3
           from bookings b
           join events e on e.organizer_id = b.organizer_id and e.event_id = b.event_id
          where b.organizer_id = $1 and b.event_id = $2 and b.status in ('paid', 'partially_refunded')
            and b.email is not null and extract(epoch from e.starts_at - b.paid_at) > $4::float8
            and exists (select from tickets t where t.organizer_id = $1 and t.booking_id = b.booking_id
                                                and t.state = 'valid' and t.transferred_at is null)
            and not exists (select from noticed n where n.organizer_id = $1 and n.subject_id = b.booking_id
                                                    and n.kind = 'booking.reminder')
          limit $5
         on conflict do nothing
         returning subject_id",
        organizer_id,
        event_id,
        now,
        before.as_seconds_f64(),
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Something that an organizer is told of.
#[derive(Debug, Clone)]
pub struct Sale {
    /// What it is about, for [`first`].
    pub subject_id: Uuid,
    pub event_id: Uuid,
    pub title: String,
    /// Of an incident.
    pub what: String,
}

/// Published events with a sale that nobody was told of; what was given away or taken in from elsewhere is none.
pub async fn first_sales(conn: &mut PgConnection, organizer_id: Uuid) -> Result<Vec<Sale>, sqlx::Error> {
    sqlx::query_as!(
        Sale,
        r#"select e.event_id as subject_id, e.event_id, e.title, '' as "what!" from events e
            where e.organizer_id = $1 and e.status = 'published'
              and not exists (select from noticed n where n.organizer_id = $1 and n.subject_id = e.event_id
                                                      and n.kind = 'sales.first')
              and exists (
                select from bookings b
                 where b.organizer_id = $1 and b.event_id = e.event_id and b.paid_at is not null
                   and not exists (select from complimentary c
                                    where c.organizer_id = $1 and c.booking_id = b.booking_id)
                   and not exists (select from imports i where i.organizer_id = $1 and i.event_id = e.event_id
                                                           and i.booking_id = b.booking_id))
            limit 100"#,
        organizer_id,
    )
    .fetch_all(conn)
    .await
}

/// Published events of which everything is sold that was on sale, and nobody was told.
pub async fn sold_out(conn: &mut PgConnection, organizer_id: Uuid) -> Result<Vec<Sale>, sqlx::Error> {
    sqlx::query_as!(
        Sale,
        r#"select e.event_id as subject_id, e.event_id, e.title, '' as "what!" from events e
            where e.organizer_id = $1 and e.status = 'published'
              and not exists (select from noticed n where n.organizer_id = $1 and n.subject_id = e.event_id
                                                      and n.kind = 'sales.sold_out')
              and exists (select from quotas q where q.organizer_id = $1 and q.event_id = e.event_id and q.sold > 0)
              and not exists (
                select from quotas q
                 where q.organizer_id = $1 and q.event_id = e.event_id and q.sold < q.capacity
                   and exists (select from ticket_types t where t.organizer_id = $1 and t.quota_id = q.quota_id
                                                            and t.archived_at is null))
            limit 100"#,
        organizer_id,
    )
    .fetch_all(conn)
    .await
}

/// Open incidents that nobody was told of.
pub async fn incidents(conn: &mut PgConnection, organizer_id: Uuid) -> Result<Vec<Sale>, sqlx::Error> {
    sqlx::query_as!(
        Sale,
        "select i.incident_id as subject_id, i.event_id, e.title, i.kind as what
           from incidents i join events e on e.organizer_id = i.organizer_id and e.event_id = i.event_id
          where i.organizer_id = $1 and i.state = 'open'
            and not exists (select from noticed n where n.organizer_id = $1 and n.subject_id = i.incident_id
                                                    and n.kind = 'sales.incident')
          order by i.opened_at limit 20",
        organizer_id,
    )
    .fetch_all(conn)
    .await
}

/// The organizer's owners and managers; by the worker, who sees accounts under any context.
pub async fn staff(conn: &mut PgConnection, organizer_id: Uuid) -> Result<Vec<Recipient>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select u.email::text as "email!", u.id, u.language
             from members m join users u on u.id = m.user_id
            where m.organizer_id = $1 and m.role in ('owner', 'manager')"#,
        organizer_id,
    )
    .fetch_all(conn)
    .await?;
    let recipients = rows.into_iter().map(|row| Recipient {
        email: row.email,
        user_id: Some(row.id),
        language: row.language,
    });
    Ok(recipients.collect())
}
