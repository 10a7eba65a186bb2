//! Codes that prove who reads a guest's mails. Trying one is counted before anybody looks at it.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::one_time::TRIES;

/// A code that went out.
#[derive(Debug, Clone)]
pub struct NewCode<'a> {
    pub code_id: Uuid,
    pub secret_hash: &'a [u8; 32],
    pub email: &'a str,
    pub code_hash: &'a [u8; 32],
    pub expires_at: OffsetDateTime,
}

/// What a try is compared with.
#[derive(Debug, Clone)]
pub struct Stored {
    pub code_id: Uuid,
    pub code_hash: Vec<u8>,
}

/// Stores a code in place of the last one.
pub async fn put(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    code: &NewCode<'_>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into guest_codes (organizer_id, secret_hash, code_id, email, code_hash, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (organizer_id, secret_hash) do update
            set code_id = excluded.code_id, email = excluded.email, code_hash = excluded.code_hash, tries = 0,
                created_at = excluded.created_at, expires_at = excluded.expires_at",
        organizer_id,
        &code.secret_hash[..],
        code.code_id,
        code.email,
        &code.code_hash[..],
        now,
        code.expires_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Counts a try. `None` if there is no code, it is over, or it was tried too often.
pub async fn try_one(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    secret_hash: &[u8; 32],
    now: OffsetDateTime,
) -> Result<Option<Stored>, sqlx::Error> {
    sqlx::query_as!(
        Stored,
        "update guest_codes set tries = tries + 1
          where organizer_id = $1 and secret_hash = $2 and expires_at > $3 and tries < $4
         returning code_id, code_hash",
        organizer_id,
        &secret_hash[..],
        now,
        TRIES,
    )
    .fetch_optional(conn)
    .await
}

/// A right code takes its try back.
pub async fn was_right(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    secret_hash: &[u8; 32],
    code_id: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update guest_codes set tries = tries - 1
          where organizer_id = $1 and secret_hash = $2 and code_id = $3 and tries > 0",
        organizer_id,
        &secret_hash[..],
        code_id,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets codes that were over before `until`, and the addresses that they went to.
pub async fn forget(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    until: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "delete from guest_codes where organizer_id = $1 and expires_at < $2",
        organizer_id,
        until
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
