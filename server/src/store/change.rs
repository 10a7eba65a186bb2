//! What gates must learn. The counter's row is incremented in the LAST statement of a transaction, so that
//! a gate which has seen change N has seen all before it.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// Seconds after `issued_at` in which issuing must reach its last statement. A manifest says that nothing
/// issued 120 s before it is missing; this leaves the other half for the commit.
pub const ISSUE_DEADLINE_SECS: f64 = 60.0;

/// The last statement came too late after `issued_at`, or the event does not exist: roll back.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("the tickets were issued too long before the end of their transaction")]
    TooLate,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Records one change of the event: the 20-byte rows of the tickets that changed, or nothing if only its
/// configuration did. The last statement of the transaction. `issued_at` if tickets were issued in it.
pub async fn record(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    rows: &[u8],
    issued_at: Option<OffsetDateTime>,
) -> Result<i64, RecordError> {
    // The clock is read after the counter's row is ours, however long that took.
    sqlx::query_scalar!(
        "with counter as materialized (
           update change_counters set change_seq = change_seq + 1
            where organizer_id = $1 and event_id = $2
           returning change_seq
         )
         insert into manifest_changes (organizer_id, event_id, change_seq, rows)
         select $1, $2, counter.change_seq, $3 from counter
          where $4::timestamptz is null or db_clock() < $4 + make_interval(secs => $5)
         returning change_seq",
        organizer_id,
        event_id,
        rows,
        issued_at,
        ISSUE_DEADLINE_SECS,
    )
    .fetch_optional(conn)
    .await?
    .ok_or(RecordError::TooLate)
}

/// The counter of a new event.
pub async fn create_counter(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into change_counters (organizer_id, event_id) values ($1, $2)",
        organizer_id,
        event_id
    )
    .execute(conn)
    .await?;
    Ok(())
}
