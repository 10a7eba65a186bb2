//! Series: events that are one thing on several dates.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// Makes a series without dates.
pub async fn create(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    series_id: Uuid,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into event_series (organizer_id, series_id, created_at) values ($1, $2, $3)",
        organizer_id,
        series_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Locks a series: one request at a time adds dates to it.
pub async fn lock(conn: &mut PgConnection, organizer_id: Uuid, series_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "select series_id from event_series where organizer_id = $1 and series_id = $2 for no key update",
        organizer_id,
        series_id,
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}

/// Makes an event, which is a date of no series yet, one of this; false if it is none any more, or already one of some.
pub async fn join(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    series_id: Uuid,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update events set series_id = $3 where organizer_id = $1 and event_id = $2 and series_id is null",
        organizer_id,
        event_id,
        series_id,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// When the dates of a series begin, without those that were canceled.
pub async fn starts(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    series_id: Uuid,
) -> Result<Vec<(OffsetDateTime, Uuid)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select starts_at, event_id from events
          where organizer_id = $1 and series_id = $2 and status <> 'canceled'
          order by starts_at, event_id",
        organizer_id,
        series_id,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.starts_at, row.event_id)).collect())
}

/// A date as the public sees it.
#[derive(Debug, Clone)]
pub struct PublicDate {
    pub event_id: Uuid,
    pub slug: String,
    pub title: String,
    pub time_zone: String,
    pub starts_at: OffsetDateTime,
    pub ends_at: Option<OffsetDateTime>,
}

/// The published dates of a series that are not over, without that of `event_id`: the first ones.
pub async fn other_dates(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    series_id: Uuid,
    event_id: Uuid,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<PublicDate>, sqlx::Error> {
    sqlx::query_as!(
        PublicDate,
        "select event_id, slug, title, time_zone, starts_at, ends_at from events
          where organizer_id = $1 and series_id = $2 and event_id <> $3 and status = 'published'
            and coalesce(ends_at, starts_at) > $4
          order by starts_at, event_id
          limit $5",
        organizer_id,
        series_id,
        event_id,
        now,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Those of the events that there are.
pub async fn made(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_ids: &[Uuid],
) -> Result<Vec<(OffsetDateTime, Uuid)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select starts_at, event_id from events where organizer_id = $1 and event_id = any($2)
          order by starts_at, event_id",
        organizer_id,
        event_ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.starts_at, row.event_id)).collect())
}
