//! One-time tokens: what a mail's link or code proves once. Using one deletes it.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::one_time::{Purpose, TRIES};

/// A new token; takes the place of the account's last one of the same purpose.
#[derive(Debug, Clone)]
pub struct NewToken<'a> {
    pub id: Uuid,
    pub user_id: Uuid,
    pub purpose: Purpose,
    /// Where the mail goes.
    pub email: &'a str,
    pub token_hash: &'a [u8; 32],
    pub code_hash: Option<&'a [u8; 32]>,
    /// (challenge, method) of RFC 7636.
    pub challenge: Option<(&'a str, &'static str)>,
    pub expires_at: OffsetDateTime,
}

/// A token that was found.
#[derive(Debug, Clone)]
pub struct Found {
    pub id: Uuid,
    pub user_id: Uuid,
    pub purpose: String,
    pub email: String,
    /// Tries of its code, the present one included.
    pub tries: i16,
    pub code_hash: Option<Vec<u8>>,
    pub code_challenge: Option<String>,
    pub challenge_method: Option<String>,
}

/// Stores a token.
pub async fn put(
    conn: &mut PgConnection,
    token: &NewToken<'_>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into one_time_tokens (id, user_id, purpose, email, token_hash, code_hash, code_challenge,
                                      challenge_method, created_at, expires_at)
         values ($1, $2, $3, $4::text::citext, $5, $6, $7, $8, $9, $10)
         on conflict (user_id, purpose) do update
            set id = excluded.id, email = excluded.email, token_hash = excluded.token_hash,
                code_hash = excluded.code_hash, tries = 0, code_challenge = excluded.code_challenge,
                challenge_method = excluded.challenge_method, created_at = excluded.created_at,
                expires_at = excluded.expires_at",
        token.id,
        token.user_id,
        token.purpose.as_str(),
        token.email,
        &token.token_hash[..],
        token.code_hash.map(|hash| &hash[..]),
        token.challenge.map(|(challenge, _)| challenge),
        token.challenge.map(|(_, method)| method),
        now,
        token.expires_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Uses the token that hashes to `hash`, if it is one of `purposes` and still good.
pub async fn take(
    conn: &mut PgConnection,
    hash: &[u8; 32],
    purposes: &[Purpose],
    now: OffsetDateTime,
) -> Result<Option<Found>, sqlx::Error> {
    let purposes: Vec<String> = purposes.iter().map(|p| p.as_str().to_owned()).collect();
    sqlx::query_as!(
        Found,
        r#"
        delete from one_time_tokens
         where token_hash = $1 and purpose = any($2) and expires_at > $3
        returning id, user_id, purpose, email::text as "email!", tries, code_hash, code_challenge, challenge_method
        "#,
        &hash[..],
        &purposes,
        now,
    )
    .fetch_optional(conn)
    .await
}

/// The tokens that a code typed for `email` may belong to. Each counts the try before anybody looks at the
/// code, so that no race gives a sixth one.
pub async fn try_code(
    conn: &mut PgConnection,
    email: &str,
    purposes: &[Purpose],
    now: OffsetDateTime,
) -> Result<Vec<Found>, sqlx::Error> {
    let purposes: Vec<String> = purposes.iter().map(|p| p.as_str().to_owned()).collect();
    sqlx::query_as!(
        Found,
        r#"
        update one_time_tokens set tries = tries + 1
         where id in (
           select id from one_time_tokens
            where email = $1::text::citext and purpose = any($2) and expires_at > $3 and tries < $4
              and code_hash is not null
            order by created_at desc, id
            limit 4
              for update)
           and tries < $4
        returning id, user_id, purpose, email::text as "email!", tries, code_hash, code_challenge, challenge_method
        "#,
        email,
        &purposes,
        now,
        TRIES,
    )
    .fetch_all(conn)
    .await
}

/// Uses a token whose code was right. False if somebody was quicker.
pub async fn take_by_id(conn: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!("delete from one_time_tokens where id = $1", id).execute(conn).await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets what was sent to an account, as after a new password.
pub async fn forget(conn: &mut PgConnection, user_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from one_time_tokens where user_id = $1", user_id).execute(conn).await?;
    Ok(())
}

/// The address that an account wants to change to, if the change is still open.
pub async fn pending_email(
    conn: &mut PgConnection,
    user_id: Uuid,
    now: OffsetDateTime,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select email::text as "email!" from one_time_tokens
            where user_id = $1 and purpose = 'email_change' and expires_at > $2"#,
        user_id,
        now,
    )
    .fetch_optional(conn)
    .await
}

/// Removes up to 10,000 tokens that are good no longer. Returns how many.
pub async fn remove_expired(conn: &mut PgConnection, now: OffsetDateTime) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "delete from one_time_tokens where id in (
           select id from one_time_tokens where expires_at < $1 order by expires_at limit 10000
              for update skip locked)",
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
