//! What payment providers told by webhook: each event once.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// An event that came.
#[derive(Debug, Clone)]
pub struct NewEvent<'a> {
    pub provider: &'a str,
    pub event_id: &'a str,
    /// The organizer's own account that it came from; none: the server's.
    pub account_id: Option<Uuid>,
    pub kind: &'a str,
    pub body_sha256: [u8; 32],
    pub transaction_id: Option<Uuid>,
    /// `none`, `asked` or `flagged`.
    pub effect: &'static str,
}

/// Forgets events that came before `until`. As the worker.
pub async fn forget(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    until: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "delete from payment_events where organizer_id = $1 and received_at < $2",
        organizer_id,
        until
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Writes an event down, in the transaction of its effect. False if it came before: then nothing else may be done.
pub async fn record(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event: &NewEvent<'_>,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let row = sqlx::query_scalar!(
        "insert into payment_events (organizer_id, provider, event_id, account_id, kind, body_sha256, transaction_id,
                                     effect, received_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         on conflict (organizer_id, provider, account_id, event_id) do nothing
         returning event_id",
        organizer_id,
        event.provider,
        event.event_id,
        event.account_id.unwrap_or_default(),
        event.kind,
        event.body_sha256.as_slice(),
        event.transaction_id,
        event.effect,
        now,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.is_some())
}
