//! Accounts. Under no context (nobody is signed in yet) or under the user's own.

use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::sessions::Session;
use crate::domain::access::Aal;
use crate::domain::account::{PlatformRole, SessionMethod};
use crate::domain::language::Language;
use crate::domain::one_time::Purpose;

/// An account as stored.
#[derive(Debug, Clone)]
pub struct User {
    pub id: Uuid,
    pub email: String,
    pub email_confirmed_at: Option<OffsetDateTime>,
    pub role: PlatformRole,
    pub user_metadata: Value,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
    pub last_sign_in_at: Option<OffsetDateTime>,
    pub secret: PasswordHash,
}

/// What a password is compared with; not printed.
#[derive(Clone)]
pub struct PasswordHash(pub Option<String>);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// A new account.
#[derive(Debug, Clone)]
pub struct NewUser<'a> {
    pub id: Uuid,
    pub email: &'a str,
    pub password_hash: PasswordHash,
    pub confirmed: bool,
    pub role: PlatformRole,
    pub user_metadata: &'a Value,
    /// In which it is written to.
    pub language: Language,
}

/// What an account changes of itself; `None` leaves it.
#[derive(Debug, Clone, Default)]
pub struct Changes<'a> {
    /// The new address, confirmed now.
    pub email: Option<&'a str>,
    pub password_hash: Option<&'a str>,
    /// Members to set in the metadata.
    pub set: Option<&'a Value>,
    /// Members to remove from it.
    pub remove: &'a [String],
}

struct Row {
    id: Uuid,
    email: String,
    password_hash: Option<String>,
    email_confirmed_at: Option<OffsetDateTime>,
    role: String,
    user_metadata: Value,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    last_sign_in_at: Option<OffsetDateTime>,
}

impl From<Row> for User {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            email: row.email,
            email_confirmed_at: row.email_confirmed_at,
            role: PlatformRole::from_word(&row.role),
            user_metadata: row.user_metadata,
            created_at: row.created_at,
            updated_at: row.updated_at,
            last_sign_in_at: row.last_sign_in_at,
            secret: PasswordHash(row.password_hash),
        }
    }
}

/// Adds an account; `None` if the address is taken.
pub async fn insert(
    conn: &mut PgConnection,
    user: &NewUser<'_>,
    now: OffsetDateTime,
) -> Result<Option<User>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"
        insert into users (id, email, password_hash, email_confirmed_at, role, user_metadata, created_at, updated_at,
                           language)
        values ($1, $2::text::citext, $3, $4, $5, $6, $7, $7, $8)
        on conflict (email) do nothing
        returning id, email::text as "email!", password_hash, email_confirmed_at, role, user_metadata,
                  created_at, updated_at, last_sign_in_at
        "#,
        user.id,
        user.email,
        user.password_hash.0,
        user.confirmed.then_some(now),
        user.role.as_str(),
        user.user_metadata,
        now,
        user.language.as_str(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(User::from))
}

/// The account of an address, in whatever case.
pub async fn by_email(conn: &mut PgConnection, email: &str) -> Result<Option<User>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"
        select id, email::text as "email!", password_hash, email_confirmed_at, role, user_metadata,
               created_at, updated_at, last_sign_in_at
          from users where email = $1::text::citext
        "#,
        email,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(User::from))
}

pub async fn by_id(conn: &mut PgConnection, id: Uuid) -> Result<Option<User>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"
        select id, email::text as "email!", password_hash, email_confirmed_at, role, user_metadata,
               created_at, updated_at, last_sign_in_at
          from users where id = $1
        "#,
        id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(User::from))
}

/// The account together with its session, if that was neither revoked nor has lasted too long.
pub async fn in_session(
    conn: &mut PgConnection,
    id: Uuid,
    session_id: Uuid,
    now: OffsetDateTime,
) -> Result<Option<(User, Session)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        select u.id, u.email::text as "email!", u.password_hash, u.email_confirmed_at, u.role, u.user_metadata,
               u.created_at, u.updated_at, u.last_sign_in_at, s.id as session_id, s.created_at as session_created_at,
               s.aal, s.method as session_method
          from users u
          join sessions s on s.user_id = u.id
         where u.id = $1 and s.id = $2 and s.revoked_at is null and s.not_after > $3
        "#,
        id,
        session_id,
        now,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| {
        let user = User {
            id: row.id,
            email: row.email,
            email_confirmed_at: row.email_confirmed_at,
            role: PlatformRole::from_word(&row.role),
            user_metadata: row.user_metadata,
            created_at: row.created_at,
            updated_at: row.updated_at,
            last_sign_in_at: row.last_sign_in_at,
            secret: PasswordHash(row.password_hash),
        };
        let aal = Aal::from_word(&row.aal);
        let method = SessionMethod::from_column(&row.session_method);
        (user, Session { id: row.session_id, created_at: row.session_created_at, aal, method })
    }))
}

/// Notes a sign-in with the password that `checked` is the hash of; `None` if the password was changed
/// since it was checked, or the account is gone.
pub async fn signed_in(
    conn: &mut PgConnection,
    id: Uuid,
    checked: &PasswordHash,
    now: OffsetDateTime,
) -> Result<Option<User>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"
        update users set last_sign_in_at = $3
         where id = $1 and password_hash is not distinct from $2
        returning id, email::text as "email!", password_hash, email_confirmed_at, role, user_metadata,
                  created_at, updated_at, last_sign_in_at
        "#,
        id,
        checked.0,
        now,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(User::from))
}

/// Notes a sign-in by a mail that went to `email`, and what the mail proves: the address is confirmed, or the account's
/// from now on (`Purpose::EmailChange`; a taken one violates `users_email`). `None` if the account's address is another
/// one meanwhile.
///
/// What was there before the address was confirmed is somebody else's perhaps: ties to an identity provider are cut, and a
/// password stays only if it is its own sign-up that is confirmed.
pub async fn proved(
    conn: &mut PgConnection,
    id: Uuid,
    email: &str,
    purpose: Purpose,
    now: OffsetDateTime,
) -> Result<Option<User>, sqlx::Error> {
    let new_address = purpose == Purpose::EmailChange;
    let keeps_password = new_address || purpose == Purpose::Signup;
    let row = sqlx::query_as!(
        Row,
        r#"
        with untied as (
          delete from user_identities i using users u
           where u.id = $1 and u.email = $2::text::citext and u.email_confirmed_at is null and i.user_id = u.id
        )
        update users
           set email = case when $5 then $2::text::citext else email end,
               password_hash = case when email_confirmed_at is null and not $3 then null else password_hash end,
               updated_at = case when email_confirmed_at is null or $5 then $4 else updated_at end,
               email_confirmed_at = case when $5 then $4 else coalesce(email_confirmed_at, $4) end,
               last_sign_in_at = $4
         where id = $1 and ($5 or email = $2::text::citext)
        returning id, email::text as "email!", password_hash, email_confirmed_at, role, user_metadata,
                  created_at, updated_at, last_sign_in_at
        "#,
        id,
        email,
        keeps_password,
        now,
        new_address,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(User::from))
}

/// Signs up again where the address was never confirmed. Nobody knows which of the sign-ups is the address's owner's,
/// so no password of theirs stays: whoever reads the mail is let in and chooses one. `None` if it was confirmed,
/// belongs to somebody of another identity provider, or there is no such account.
pub async fn sign_up_again(
    conn: &mut PgConnection,
    email: &str,
    now: OffsetDateTime,
) -> Result<Option<User>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"
        update users u set password_hash = null, updated_at = $2
         where email = $1::text::citext and email_confirmed_at is null
           and not exists (select from user_identities i where i.user_id = u.id)
        returning id, email::text as "email!", password_hash, email_confirmed_at, role, user_metadata,
                  created_at, updated_at, last_sign_in_at
        "#,
        email,
        now,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(User::from))
}

/// Changes an account; `None` if it is gone or its password is no longer the one that was checked.
/// A taken address violates `users_email`, metadata that grow too large `users_metadata_size`.
pub async fn change(
    conn: &mut PgConnection,
    id: Uuid,
    checked: &PasswordHash,
    changes: &Changes<'_>,
    now: OffsetDateTime,
) -> Result<Option<User>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"
        update users
           set email = coalesce($3::text::citext, email),
               email_confirmed_at = case when $3::text is null then email_confirmed_at else $7 end,
               password_hash = coalesce($4, password_hash),
               user_metadata = (user_metadata || coalesce($5, '{}'::jsonb)) - $6::text[],
               updated_at = $7
         where id = $1 and password_hash is not distinct from $2
        returning id, email::text as "email!", password_hash, email_confirmed_at, role, user_metadata,
                  created_at, updated_at, last_sign_in_at
        "#,
        id,
        checked.0,
        changes.email,
        changes.password_hash,
        changes.set,
        changes.remove,
        now,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(User::from))
}

/// Raises a mere user to organizer; leaves the others what they are. It takes the row either way, so that of joining one
/// organizer and leaving another in the same moment ([`end_organizer`]) the joining stands.
pub async fn make_organizer(
    conn: &mut PgConnection,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update users set role = 'organizer', updated_at = case role when 'user' then $2::timestamptz else updated_at end
          where id = $1 and role <> 'admin'",
        id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes an organizer a mere user again who is a member nowhere any more; under the account's own context.
pub async fn end_organizer(
    conn: &mut PgConnection,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    // Who joins meanwhile waits for the row, or was a member before the next statement looks.
    sqlx::query!("select id from users where id = $1 for no key update", id)
        .fetch_optional(&mut *conn)
        .await?;
    sqlx::query!(
        "update users set role = 'user', updated_at = $2
          where id = $1 and role = 'organizer' and not exists (select from members where user_id = $1)",
        id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes the account of an address an administrator; `None` if there is none.
pub async fn make_admin(
    conn: &mut PgConnection,
    email: &str,
    now: OffsetDateTime,
) -> Result<Option<User>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"
        update users set role = 'admin', updated_at = $2
         where email = $1::text::citext
        returning id, email::text as "email!", password_hash, email_confirmed_at, role, user_metadata,
                  created_at, updated_at, last_sign_in_at
        "#,
        email,
        now,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(User::from))
}

/// In which language the account of an address is written to; under no context or the account's own.
pub async fn language_of(conn: &mut PgConnection, email: &str) -> Result<Option<Language>, sqlx::Error> {
    let tag = sqlx::query_scalar!("select language from users where email = $1::text::citext", email)
        .fetch_optional(conn)
        .await?;
    Ok(tag.and_then(|tag| Language::of_tag(&tag)))
}

/// In which language an account is written to.
pub async fn language(conn: &mut PgConnection, id: Uuid) -> Result<Language, sqlx::Error> {
    let tag =
        sqlx::query_scalar!("select language from users where id = $1", id).fetch_optional(conn).await?;
    Ok(tag.and_then(|tag| Language::of_tag(&tag)).unwrap_or_default())
}

/// Changes it.
pub async fn set_language(
    conn: &mut PgConnection,
    id: Uuid,
    language: Language,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update users set language = $2, updated_at = $3 where id = $1 and language <> $2",
        id,
        language.as_str(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Addresses of accounts; under no context.
pub async fn emails(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<(Uuid, String)>, sqlx::Error> {
    let rows = sqlx::query!(r#"select id, email::text as "email!" from users where id = any($1)"#, ids)
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.email)).collect())
}

/// Erases an account and all that hangs on it: sessions, cookies, second factor, known places; under the
/// user's context.
pub async fn delete(conn: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    super::taste::forget(&mut *conn, id).await?;
    sqlx::query!("delete from user_bookings where user_id = $1", id).execute(&mut *conn).await?;
    sqlx::query!("delete from users where id = $1", id).execute(conn).await?;
    Ok(())
}
