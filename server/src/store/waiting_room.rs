//! Places in waiting rooms: one row per event.

use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// Counts `n` arrivals, whose admissions take `span` together from the first free moment on. The last one's place,
/// and the moment that is free after them.
pub async fn arrive(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    n: u32,
    span: Duration,
    now: OffsetDateTime,
) -> Result<(i64, OffsetDateTime), sqlx::Error> {
    let row = sqlx::query!(
        "insert into waiting_rooms as r (organizer_id, event_id, arrivals, next_admission_at) values ($1, $2, $3, $4)
         on conflict (organizer_id, event_id) do update
            set arrivals = r.arrivals + $3,
                next_admission_at = greatest(r.next_admission_at, $5) + ($4 - $5)
         returning arrivals, next_admission_at",
        organizer_id,
        event_id,
        i64::from(n),
        now + span,
        now,
    )
    .fetch_one(conn)
    .await?;
    Ok((row.arrivals, row.next_admission_at))
}
