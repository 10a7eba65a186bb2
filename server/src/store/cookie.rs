//! Browsers' sessions: rows of `sessions` that a cookie opens instead of refresh tokens.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::access::Aal;
use crate::domain::account::PlatformRole;

/// A new session for a browser.
#[derive(Debug, Clone)]
pub struct NewCookieSession<'a> {
    pub id: Uuid,
    pub user_id: Uuid,
    pub aal: Aal,
    /// When its user last proved who it is: earlier than now if another session was exchanged for this.
    pub signed_in_at: OffsetDateTime,
    pub not_after: OffsetDateTime,
    pub user_agent: Option<&'a str>,
    pub token_hash: &'a [u8; 32],
    pub expires_at: OffsetDateTime,
}

/// What a cookie opens.
#[derive(Debug, Clone)]
pub struct CookieSession {
    pub session_id: Uuid,
    pub user_id: Uuid,
    pub email: String,
    pub role: PlatformRole,
    pub aal: Aal,
    pub used_at: OffsetDateTime,
}

/// A session, for its owner to look at.
#[derive(Debug, Clone)]
pub struct SessionRow {
    pub id: Uuid,
    pub created_at: OffsetDateTime,
    pub refreshed_at: OffsetDateTime,
    pub not_after: OffsetDateTime,
    pub user_agent: Option<String>,
    pub aal: String,
    pub browser: bool,
}

/// Opens a session.
pub async fn open(
    conn: &mut PgConnection,
    new: &NewCookieSession<'_>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into sessions (id, user_id, created_at, refreshed_at, not_after, user_agent, aal)
         values ($1, $2, $3, $4, $5, $6, $7)",
        new.id,
        new.user_id,
        new.signed_in_at,
        now,
        new.not_after,
        new.user_agent,
        new.aal.as_str(),
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "insert into cookie_tokens (token_hash, session_id, user_id, created_at, expires_at)
         values ($1, $2, $3, $4, $5)",
        &new.token_hash[..],
        new.id,
        new.user_id,
        now,
        new.expires_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The live session of a cookie; under no context.
pub async fn find(
    conn: &mut PgConnection,
    token_hash: &[u8; 32],
    now: OffsetDateTime,
) -> Result<Option<CookieSession>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        select s.id, s.user_id, s.aal, s.refreshed_at, u.email::text as "email!", u.role
          from cookie_tokens c
          join sessions s on s.id = c.session_id
          join users u on u.id = s.user_id
         where c.token_hash = $1 and c.expires_at > $2 and s.revoked_at is null and s.not_after > $2
        "#,
        &token_hash[..],
        now,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| CookieSession {
        session_id: row.id,
        user_id: row.user_id,
        email: row.email,
        role: PlatformRole::from_word(&row.role),
        aal: Aal::from_word(&row.aal),
        used_at: row.refreshed_at,
    }))
}

/// Moves the end of an idle session on.
pub async fn slide(
    conn: &mut PgConnection,
    session_id: Uuid,
    expires_at: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!("update cookie_tokens set expires_at = $2 where session_id = $1", session_id, expires_at)
        .execute(&mut *conn)
        .await?;
    sqlx::query!("update sessions set refreshed_at = $2 where id = $1", session_id, now)
        .execute(conn)
        .await?;
    Ok(())
}

/// Gives a session another cookie, as when it rises to a higher level. False if it has none.
pub async fn replace(
    conn: &mut PgConnection,
    session_id: Uuid,
    token_hash: &[u8; 32],
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update cookie_tokens set token_hash = $2 where session_id = $1",
        session_id,
        &token_hash[..],
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The live sessions of a user, browsers' and clients', the latest used first.
pub async fn sessions_of(
    conn: &mut PgConnection,
    user_id: Uuid,
    now: OffsetDateTime,
) -> Result<Vec<SessionRow>, sqlx::Error> {
    sqlx::query_as!(
        SessionRow,
        r#"
        select s.id, s.created_at, s.refreshed_at, s.not_after, s.user_agent, s.aal,
               c.session_id is not null as "browser!"
          from sessions s
          left join cookie_tokens c on c.session_id = s.id
         where s.user_id = $1 and s.revoked_at is null and s.not_after > $2
           and (c.expires_at > $2
                or c.session_id is null and exists (
                     select from refresh_tokens t
                      where t.session_id = s.id and t.used_at is null and t.expires_at > $2))
         order by s.refreshed_at desc, s.id
         limit 200
        "#,
        user_id,
        now,
    )
    .fetch_all(conn)
    .await
}

/// Notes from where an account signs in. True if that place is new and others are known.
pub async fn is_new_place(
    conn: &mut PgConnection,
    user_id: Uuid,
    fingerprint: &[u8; 32],
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let known =
        sqlx::query_scalar!(r#"select count(*) as "n!" from known_clients where user_id = $1"#, user_id,)
            .fetch_one(&mut *conn)
            .await?;
    let inserted = sqlx::query_scalar!(
        r#"
        insert into known_clients (user_id, fingerprint, first_seen_at, last_seen_at) values ($1, $2, $3, $3)
        on conflict (user_id, fingerprint) do update set last_seen_at = $3
        returning (xmax = 0) as "inserted!"
        "#,
        user_id,
        &fingerprint[..],
        now,
    )
    .fetch_one(conn)
    .await?;
    Ok(inserted && known > 0)
}
