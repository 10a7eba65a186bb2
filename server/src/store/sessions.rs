//! Sign-ins and their refresh tokens. A session is the family of its tokens: revoking it kills them all.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::access::Aal;
use crate::domain::account::SessionMethod;

/// A sign-in that still holds.
#[derive(Debug, Clone, Copy)]
pub struct Session {
    pub id: Uuid,
    pub created_at: OffsetDateTime,
    pub aal: Aal,
    pub method: SessionMethod,
}

/// A new sign-in with its first refresh token.
#[derive(Debug, Clone)]
pub struct NewSession<'a> {
    pub id: Uuid,
    pub user_id: Uuid,
    pub not_after: OffsetDateTime,
    pub user_agent: Option<&'a str>,
    pub method: SessionMethod,
    pub token_hash: &'a [u8; 32],
    pub token_expires_at: OffsetDateTime,
}

/// A refresh token as stored.
#[derive(Debug, Clone)]
pub struct Token {
    pub session_id: Uuid,
    pub user_id: Uuid,
    pub expires_at: OffsetDateTime,
    pub used_at: Option<OffsetDateTime>,
    /// Its successor has been used too.
    pub successor_used: bool,
}

/// Which of a user's sign-ins end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    This(Uuid),
    AllBut(Uuid),
    All,
}

/// Opens a session.
pub async fn open(
    conn: &mut PgConnection,
    new: &NewSession<'_>,
    now: OffsetDateTime,
) -> Result<Session, sqlx::Error> {
    sqlx::query!(
        "insert into sessions (id, user_id, created_at, refreshed_at, not_after, user_agent, method)
         values ($1, $2, $3, $3, $4, $5, $6)",
        new.id,
        new.user_id,
        now,
        new.not_after,
        new.user_agent,
        new.method.as_str(),
    )
    .execute(&mut *conn)
    .await?;
    insert_token(conn, new.id, new.user_id, new.token_hash, new.token_expires_at, now).await?;
    Ok(Session { id: new.id, created_at: now, aal: Aal::Aal1, method: new.method })
}

/// What is known of a token.
pub async fn token(conn: &mut PgConnection, hash: &[u8; 32]) -> Result<Option<Token>, sqlx::Error> {
    sqlx::query_as!(
        Token,
        r#"
        select t.session_id, t.user_id, t.expires_at, t.used_at,
               coalesce(next.used_at is not null, false) as "successor_used!"
          from refresh_tokens t
          left join refresh_tokens next on next.token_hash = t.replaced_by
         where t.token_hash = $1
        "#,
        &hash[..],
    )
    .fetch_optional(conn)
    .await
}

/// Locks the session for the rest of the transaction, so that of two exchanges of its tokens one waits
/// for the other. `None` if it is over.
pub async fn lock_live(
    conn: &mut PgConnection,
    session_id: Uuid,
    now: OffsetDateTime,
) -> Result<Option<Session>, sqlx::Error> {
    let row = sqlx::query!(
        "update sessions set refreshed_at = $2
          where id = $1 and revoked_at is null and not_after > $2
         returning id, created_at, aal, method",
        session_id,
        now,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Session {
        id: row.id,
        created_at: row.created_at,
        aal: Aal::from_word(&row.aal),
        method: SessionMethod::from_column(&row.method),
    }))
}

/// Uses a token and stores its successor; false if it was used or has expired. The session is locked.
pub async fn exchange(
    conn: &mut PgConnection,
    hash: &[u8; 32],
    successor: &[u8; 32],
    successor_expires_at: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let used = sqlx::query!(
        "update refresh_tokens set used_at = $2, replaced_by = $3
          where token_hash = $1 and used_at is null and expires_at > $2
         returning session_id, user_id",
        &hash[..],
        now,
        &successor[..],
    )
    .fetch_optional(&mut *conn)
    .await?;
    match used {
        Some(used) => {
            insert_token(conn, used.session_id, used.user_id, successor, successor_expires_at, now).await?;
            Ok(true)
        }
        None => Ok(false),
    }
}

/// Ends sign-ins of a user. Says how many.
pub async fn revoke(
    conn: &mut PgConnection,
    user_id: Uuid,
    which: Ending,
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let (only, but) = match which {
        Ending::This(id) => (Some(id), None),
        Ending::AllBut(id) => (None, Some(id)),
        Ending::All => (None, None),
    };
    let done = sqlx::query!(
        "update sessions set revoked_at = $4
          where user_id = $1 and revoked_at is null
            and ($2::uuid is null or id = $2) and ($3::uuid is null or id <> $3)",
        user_id,
        only,
        but,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

async fn insert_token(
    conn: &mut PgConnection,
    session_id: Uuid,
    user_id: Uuid,
    hash: &[u8; 32],
    expires_at: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into refresh_tokens (token_hash, session_id, user_id, created_at, expires_at)
         values ($1, $2, $3, $4, $5)",
        &hash[..],
        session_id,
        user_id,
        now,
        expires_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}
