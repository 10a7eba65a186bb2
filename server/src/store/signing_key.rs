//! Keys of the platform itself; private halves come and go sealed.

use sqlx::PgConnection;
use time::OffsetDateTime;

/// A key pair as stored.
#[derive(Debug, Clone)]
pub struct SigningKeyRow {
    pub kid: String,
    /// Uncompressed point, 65 bytes.
    pub public_key: Vec<u8>,
    pub private_key_sealed: Vec<u8>,
}

/// The access token keys that still verify, the one that signs first.
pub async fn access_token_keys(conn: &mut PgConnection) -> Result<Vec<SigningKeyRow>, sqlx::Error> {
    sqlx::query_as!(
        SigningKeyRow,
        "select kid, public_key, private_key_sealed from signing_keys
          where purpose = 'access_token' and retired_at is null
          order by created_at, kid"
    )
    .fetch_all(conn)
    .await
}

/// The key by which push services know us: the eldest.
pub async fn vapid_key(conn: &mut PgConnection) -> Result<Option<SigningKeyRow>, sqlx::Error> {
    sqlx::query_as!(
        SigningKeyRow,
        "select kid, public_key, private_key_sealed from signing_keys
          where purpose = 'vapid' and retired_at is null
          order by created_at, kid limit 1"
    )
    .fetch_optional(conn)
    .await
}

/// Adds such a key.
pub async fn insert_vapid_key(
    conn: &mut PgConnection,
    key: &SigningKeyRow,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into signing_keys (kid, purpose, algorithm, public_key, private_key_sealed, created_at)
         values ($1, 'vapid', 'ES256', $2, $3, $4)",
        key.kid,
        key.public_key,
        key.private_key_sealed,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds an access token key.
pub async fn insert_access_token_key(
    conn: &mut PgConnection,
    key: &SigningKeyRow,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into signing_keys (kid, purpose, algorithm, public_key, private_key_sealed, created_at)
         values ($1, 'access_token', 'ES256', $2, $3, $4)",
        key.kid,
        key.public_key,
        key.private_key_sealed,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
