//! How often something happened within 24 hours. As `limits`, for what must be counted over restarts and crashes too.

use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};

const DAY: Duration = Duration::DAY;

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is the nth of the last 24 hours.
    Counted(i32),
    /// Refused and not counted: there is room after that time.
    Full(Duration),
}

/// Counts an attempt at `now` unless `max` stand within the 24 hours before it.
pub async fn attempt(
    conn: &mut PgConnection,
    key: &[u8; 32],
    max: u32,
    now: OffsetDateTime,
) -> Result<Outcome, sqlx::Error> {
    let counted = sqlx::query_scalar!(
        r#"
        insert into daily_attempts as d (key, attempts, last_at) values ($1, array[$2::timestamptz], $2)
        on conflict (key) do update
           set attempts = array(select a from unnest(d.attempts) a where a > $3 order by a) || $2::timestamptz,
               last_at = $2
         where (select count(*) from unnest(d.attempts) a where a > $3) < $4
        returning cardinality(attempts) as "standing!"
        "#,
        &key[..],
        now,
        now - DAY,
        i64::from(max),
    )
    .fetch_optional(&mut *conn)
    .await?;
    if let Some(standing) = counted {
        return Ok(Outcome::Counted(standing));
    }
    // The attempt that must be a day old before there is room.
    let in_the_way = sqlx::query_scalar!(
        "select a from daily_attempts d, unnest(d.attempts) a where d.key = $1 order by a desc limit 1 offset $2",
        &key[..],
        i64::from(max) - 1,
    )
    .fetch_optional(conn)
    .await?
    .flatten();
    Ok(Outcome::Full(in_the_way.map_or(DAY, |at| at + DAY - now).clamp(Duration::SECOND, DAY)))
}

/// Takes back the attempt counted at `at`.
pub async fn take_back(
    conn: &mut PgConnection,
    key: &[u8; 32],
    at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update daily_attempts
            set attempts = attempts[:array_position(attempts, $2) - 1] || attempts[array_position(attempts, $2) + 1:]
          where key = $1 and array_position(attempts, $2) is not null",
        &key[..],
        at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets all attempts.
pub async fn forget(conn: &mut PgConnection, key: &[u8; 32]) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from daily_attempts where key = $1", &key[..]).execute(conn).await?;
    Ok(())
}
