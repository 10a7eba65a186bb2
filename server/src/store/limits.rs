//! How often somebody tried something lately. In the database, so that the limit holds over all servers.

use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};

/// Counts an attempt at `now` unless `max` stand within `window` before it. `Some(wait)`: refused, the
/// next may be made after that time; refused attempts do not count.
pub async fn attempt(
    conn: &mut PgConnection,
    key: &[u8; 32],
    max: u32,
    window: Duration,
    now: OffsetDateTime,
) -> Result<Option<Duration>, sqlx::Error> {
    let since = now - window;
    let counted = sqlx::query_scalar!(
        r#"
        insert into rate_limits as l (key, attempts, last_at) values ($1, array[$2::timestamptz], $2)
        on conflict (key) do update
           set attempts = array(select a from unnest(l.attempts) a where a > $3 order by a) || $2::timestamptz,
               last_at = $2
         where (select count(*) from unnest(l.attempts) a where a > $3) < $4
        returning true as "counted!"
        "#,
        &key[..],
        now,
        since,
        i64::from(max),
    )
    .fetch_optional(&mut *conn)
    .await?;
    if counted.is_some() {
        return Ok(None);
    }
    // The attempt that must leave the window before there is room.
    let in_the_way = sqlx::query_scalar!(
        "select a from rate_limits l, unnest(l.attempts) a where l.key = $1 order by a desc limit 1 offset $2",
        &key[..],
        i64::from(max) - 1,
    )
    .fetch_optional(conn)
    .await?
    .flatten();
    Ok(Some(in_the_way.map_or(window, |at| at + window - now).clamp(Duration::SECOND, window)))
}

/// Takes back the attempt counted at `at`.
pub async fn take_back(
    conn: &mut PgConnection,
    key: &[u8; 32],
    at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update rate_limits
            set attempts = attempts[:array_position(attempts, $2) - 1] || attempts[array_position(attempts, $2) + 1:]
          where key = $1 and array_position(attempts, $2) is not null",
        &key[..],
        at,
    )
    .execute(conn)
    .await?;
    Ok(())
}
