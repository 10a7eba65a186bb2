//! Who did what to what. Append only.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// One act.
#[derive(Debug, Clone)]
pub struct Act<'a> {
    pub audit_id: Uuid,
    /// `user`, `guest`, `device`, `system` or `job`.
    pub actor_kind: &'static str,
    pub actor_id: Option<Uuid>,
    /// As `event.published`.
    pub action: &'static str,
    pub object_kind: &'static str,
    pub object_id: Uuid,
    pub request_id: Option<&'a str>,
    /// No secrets, no personal data.
    pub detail: serde_json::Value,
}

/// Writes it down, in the transaction of the act.
pub async fn record(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    act: &Act<'_>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into audit (organizer_id, audit_id, at, actor_kind, actor_id, action, object_kind, object_id,
                            request_id, detail)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        organizer_id,
        act.audit_id,
        now,
        act.actor_kind,
        act.actor_id,
        act.action,
        act.object_kind,
        act.object_id,
        act.request_id,
        act.detail,
    )
    .execute(conn)
    .await?;
    Ok(())
}
