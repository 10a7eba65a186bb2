//! System accounts and their tokens; under the organizer's context.

use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::domain::access::Scope;

/// How often use is written down at most.
const USED_EVERY: Duration = Duration::MINUTE;
/// Tokens of one account that are good at once; the eldest ends.
const MAX_TOKENS: i64 = 20;

/// An account as stored.
#[derive(Debug, Clone)]
pub struct SystemAccount {
    pub account_id: Uuid,
    pub label: String,
    pub scopes: Vec<String>,
    pub created_by: Uuid,
    pub created_at: OffsetDateTime,
    pub rotated_at: Option<OffsetDateTime>,
    pub last_used_at: Option<OffsetDateTime>,
    pub revoked_at: Option<OffsetDateTime>,
}

/// What a token stands for.
#[derive(Debug, Clone)]
pub struct Session {
    pub account_id: Uuid,
    pub label: String,
    pub scopes: Vec<Scope>,
    pub expires_at: OffsetDateTime,
    pub last_used_at: Option<OffsetDateTime>,
}

/// Scopes as words; what is no scope any more allows nothing.
pub fn scopes_of(words: &[String]) -> Vec<Scope> {
    words.iter().filter_map(|word| Scope::from_word(word)).collect()
}

/// Adds an account.
pub async fn insert(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    account: &SystemAccount,
    secret_hash: &[u8; 32],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into system_accounts (organizer_id, account_id, label, scopes, secret_hash, created_by, created_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        organizer_id,
        account.account_id,
        account.label,
        &account.scopes,
        &secret_hash[..],
        account.created_by,
        account.created_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A page of the accounts by id, revoked ones too.
pub async fn list(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<SystemAccount>, sqlx::Error> {
    sqlx::query_as!(
        SystemAccount,
        "select account_id, label, scopes, created_by, created_at, rotated_at, last_used_at, revoked_at
           from system_accounts
          where organizer_id = $1 and ($2::uuid is null or account_id > $2)
          order by account_id limit $3",
        organizer_id,
        after,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Accounts that are not revoked.
pub async fn live(conn: &mut PgConnection, organizer_id: Uuid) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "n!" from system_accounts where organizer_id = $1 and revoked_at is null"#,
        organizer_id,
    )
    .fetch_one(conn)
    .await
}

/// Gives an account a new secret; the old one and all tokens are dead. `None` if it is unknown or revoked.
pub async fn rotate(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    account_id: Uuid,
    secret_hash: &[u8; 32],
    now: OffsetDateTime,
) -> Result<Option<SystemAccount>, sqlx::Error> {
    let account = sqlx::query_as!(
        SystemAccount,
        "update system_accounts set secret_hash = $3, rotated_at = $4
          where organizer_id = $1 and account_id = $2 and revoked_at is null
         returning account_id, label, scopes, created_by, created_at, rotated_at, last_used_at, revoked_at",
        organizer_id,
        account_id,
        &secret_hash[..],
        now,
    )
    .fetch_optional(&mut *conn)
    .await?;
    if account.is_some() {
        end_tokens(conn, organizer_id, account_id).await?;
    }
    Ok(account)
}

/// Ends an account and its tokens. `None` if it is unknown; false if it was revoked before.
pub async fn revoke(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    account_id: Uuid,
    now: OffsetDateTime,
) -> Result<Option<bool>, sqlx::Error> {
    let done = sqlx::query!(
        "update system_accounts set revoked_at = $3
          where organizer_id = $1 and account_id = $2 and revoked_at is null",
        organizer_id,
        account_id,
        now,
    )
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == 1 {
        end_tokens(conn, organizer_id, account_id).await?;
        return Ok(Some(true));
    }
    let known = sqlx::query_scalar!(
        "select account_id from system_accounts where organizer_id = $1 and account_id = $2",
        organizer_id,
        account_id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(known.map(|_| false))
}

async fn end_tokens(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    account_id: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from system_tokens where organizer_id = $1 and account_id = $2",
        organizer_id,
        account_id,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Signs an account in: stores the token if the secret is right, and says which scopes it has. Locks the
/// account, so that a rotation at the same time comes before or after.
pub async fn sign_in(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    account_id: Uuid,
    secret_hash: &[u8; 32],
    token_hash: &[u8; 32],
    expires_at: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<Option<Vec<Scope>>, sqlx::Error> {
    let words = sqlx::query_scalar!(
        "update system_accounts set last_used_at = $4
          where organizer_id = $1 and account_id = $2 and secret_hash = $3 and revoked_at is null
         returning scopes",
        organizer_id,
        account_id,
        &secret_hash[..],
        now,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(words) = words else { return Ok(None) };
    sqlx::query!(
        "delete from system_tokens
          where organizer_id = $1 and account_id = $2
            and (expires_at <= $3 or token_hash in (
              select token_hash from system_tokens where organizer_id = $1 and account_id = $2
               order by created_at desc, token_hash offset $4))",
        organizer_id,
        account_id,
        now,
        MAX_TOKENS - 1,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "insert into system_tokens (organizer_id, token_hash, account_id, created_at, expires_at)
         values ($1, $2, $3, $4, $5)",
        organizer_id,
        &token_hash[..],
        account_id,
        now,
        expires_at,
    )
    .execute(conn)
    .await?;
    Ok(Some(scopes_of(&words)))
}

/// The account of a token that is good now.
pub async fn by_token(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    token_hash: &[u8; 32],
    now: OffsetDateTime,
) -> Result<Option<Session>, sqlx::Error> {
    let row = sqlx::query!(
        "select a.account_id, a.label, a.scopes, a.last_used_at, t.expires_at
           from system_tokens t
           join system_accounts a on a.organizer_id = t.organizer_id and a.account_id = t.account_id
          where t.organizer_id = $1 and t.token_hash = $2 and t.expires_at > $3 and a.revoked_at is null",
        organizer_id,
        &token_hash[..],
        now,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Session {
        account_id: row.account_id,
        label: row.label,
        scopes: scopes_of(&row.scopes),
        expires_at: row.expires_at,
        last_used_at: row.last_used_at,
    }))
}

/// Notes use, unless that was done within the minute.
pub async fn used(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    session: &Session,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let before = now - USED_EVERY;
    if session.last_used_at.is_some_and(|at| at > before) {
        return Ok(());
    }
    sqlx::query!(
        "update system_accounts set last_used_at = $3
          where organizer_id = $1 and account_id = $2 and (last_used_at is null or last_used_at <= $4)",
        organizer_id,
        session.account_id,
        now,
        before,
    )
    .execute(conn)
    .await?;
    Ok(())
}
