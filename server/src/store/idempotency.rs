//! Repeating a request is harmless: one row per Idempotency-Key in its scope.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// What a key says about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Ours to run, under this id for what it makes. `again`: somebody began it before and went silent, so
    /// that parts of it may exist.
    Run { resource_id: Uuid, again: bool },
    /// It was answered.
    Answered { status: i16, answer_sealed: Vec<u8> },
    /// Somebody is at it.
    InFlight,
    /// The key was used with another body.
    OtherBody,
}

/// A key in its scope, with the body it came with.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    pub organizer_id: Uuid,
    pub scope_hash: [u8; 32],
    pub body_hash: [u8; 32],
}

/// Claims the key until `leased_until`; `resource_id` is used if the key is new. Commit before running.
pub async fn claim(
    conn: &mut PgConnection,
    key: &Key,
    resource_id: Uuid,
    now: OffsetDateTime,
    leased_until: OffsetDateTime,
) -> Result<Claim, sqlx::Error> {
    let ours = sqlx::query!(
        r#"insert into idempotency_keys as k (organizer_id, scope_hash, body_hash, resource_id, leased_until, created_at)
           values ($1, $2, $3, $4, $5, $6)
           on conflict (organizer_id, scope_hash) do update set leased_until = excluded.leased_until
            where k.body_hash = excluded.body_hash and k.leased_until <= $6
           returning resource_id"#,
        key.organizer_id,
        &key.scope_hash,
        &key.body_hash,
        resource_id,
        leased_until,
        now,
    )
    .fetch_optional(&mut *conn)
    .await?;
    if let Some(row) = ours {
        return Ok(Claim::Run { resource_id: row.resource_id, again: row.resource_id != resource_id });
    }
    let row = sqlx::query!(
        "select body_hash, status, answer_sealed from idempotency_keys where organizer_id = $1 and scope_hash = $2",
        key.organizer_id,
        &key.scope_hash,
    )
    .fetch_one(conn)
    .await?;
    Ok(match (row.status, row.answer_sealed) {
        _ if row.body_hash != key.body_hash => Claim::OtherBody,
        (Some(status), Some(answer_sealed)) => Claim::Answered { status, answer_sealed },
        _ => Claim::InFlight,
    })
}

/// Stores the answer. A later one for the same key is ignored.
pub async fn answer(
    conn: &mut PgConnection,
    key: &Key,
    status: i16,
    answer_sealed: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update idempotency_keys set leased_until = null, status = $3, answer_sealed = $4
          where organizer_id = $1 and scope_hash = $2 and leased_until is not null",
        key.organizer_id,
        &key.scope_hash,
        status,
        answer_sealed,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives the key back unanswered: who repeats the request runs it again at once, under the same id.
pub async fn give_back(conn: &mut PgConnection, key: &Key, now: OffsetDateTime) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update idempotency_keys set leased_until = $3
          where organizer_id = $1 and scope_hash = $2 and leased_until is not null",
        key.organizer_id,
        &key.scope_hash,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets answered keys of before `until`.
pub async fn forget(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    until: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "delete from idempotency_keys where organizer_id = $1 and created_at < $2 and leased_until is null",
        organizer_id,
        until,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
