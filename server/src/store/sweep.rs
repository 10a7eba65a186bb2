//! Removing what is over for good. Runs as the worker.

use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// Removes up to 1,000 sessions that ended more than a week ago, with their refresh tokens: a reused
/// token is still recognised as such for that week. Returns how many.
pub async fn remove_ended_sessions(conn: &mut PgConnection, now: OffsetDateTime) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "delete from sessions where id in (
           select id from sessions where least(not_after, revoked_at) < $1
            order by id limit 1000 for update skip locked)",
        now - Duration::days(7),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Removes up to 10,000 counts that nobody added to for a day. Returns how many.
pub async fn remove_old_days(conn: &mut PgConnection, now: OffsetDateTime) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "delete from daily_attempts where key in (
           select key from daily_attempts where last_at < $1 order by last_at limit 10000 for update skip locked)",
        now - Duration::DAY,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Removes up to 10,000 counts of attempts that nobody added to for an hour, the longest window of any
/// limit. Returns how many.
pub async fn remove_old_attempts(conn: &mut PgConnection, now: OffsetDateTime) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "delete from rate_limits where key in (
           select key from rate_limits where last_at < $1 order by last_at limit 10000 for update skip locked)",
        now - Duration::hours(1),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Removes up to 10,000 rows by which an organizer's sales locked somebody and that none took for a day. One that is
/// locked stays. Returns how many.
pub async fn remove_old_locks(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "delete from claim_locks where organizer_id = $1 and (event_id, claimant) in (
           select event_id, claimant from claim_locks where organizer_id = $1 and seen_at < $2
            order by event_id, claimant limit 10000 for update skip locked)",
        organizer_id,
        now - Duration::DAY,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
