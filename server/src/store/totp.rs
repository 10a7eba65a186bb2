//! Second factors and recovery codes; under the user's context.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// A second factor as stored.
#[derive(Debug, Clone)]
pub struct Totp {
    pub sealed: Vec<u8>,
    pub confirmed_at: Option<OffsetDateTime>,
}

/// The account's second factor, confirmed or not.
pub async fn find(conn: &mut PgConnection, user_id: Uuid) -> Result<Option<Totp>, sqlx::Error> {
    sqlx::query_as!(Totp, "select sealed, confirmed_at from totp where user_id = $1", user_id)
        .fetch_optional(conn)
        .await
}

/// Whether the account has one in force.
pub async fn is_on(conn: &mut PgConnection, user_id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from totp where user_id = $1 and confirmed_at is not null) as "on!""#,
        user_id,
    )
    .fetch_one(conn)
    .await
}

/// Stores a new one, to be confirmed; false if one is in force.
pub async fn begin(
    conn: &mut PgConnection,
    user_id: Uuid,
    sealed: &[u8],
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "insert into totp (user_id, sealed, created_at) values ($1, $2, $3)
         on conflict (user_id) do update set sealed = $2, created_at = $3, last_step = 0
          where totp.confirmed_at is null",
        user_id,
        sealed,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Puts it in force by the code of `step`, with these recovery codes and no others; false if it was.
pub async fn confirm(
    conn: &mut PgConnection,
    user_id: Uuid,
    step: i64,
    recovery_hashes: &[Vec<u8>],
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update totp set confirmed_at = $3, last_step = $2
          where user_id = $1 and confirmed_at is null and last_step < $2",
        user_id,
        step,
        now,
    )
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!("delete from recovery_codes where user_id = $1", user_id).execute(&mut *conn).await?;
    sqlx::query!(
        "insert into recovery_codes (user_id, code_hash) select $1, hash from unnest($2::bytea[]) hash
         on conflict do nothing",
        user_id,
        recovery_hashes,
    )
    .execute(conn)
    .await?;
    Ok(true)
}

/// Uses the code of a step; false if that step or a later one was used before.
pub async fn use_step(conn: &mut PgConnection, user_id: Uuid, step: i64) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update totp set last_step = $2 where user_id = $1 and confirmed_at is not null and last_step < $2",
        user_id,
        step,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Uses a recovery code up; false if it is none or was used.
pub async fn use_recovery_code(
    conn: &mut PgConnection,
    user_id: Uuid,
    hash: &[u8; 32],
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update recovery_codes set used_at = $3 where user_id = $1 and code_hash = $2 and used_at is null",
        user_id,
        &hash[..],
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Recovery codes that are left.
pub async fn codes_left(conn: &mut PgConnection, user_id: Uuid) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "n!" from recovery_codes where user_id = $1 and used_at is null"#,
        user_id,
    )
    .fetch_one(conn)
    .await
}

/// Takes the second factor and its recovery codes away; false if there was none.
pub async fn remove(conn: &mut PgConnection, user_id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query!("delete from recovery_codes where user_id = $1", user_id).execute(&mut *conn).await?;
    let done = sqlx::query!("delete from totp where user_id = $1", user_id).execute(conn).await?;
    Ok(done.rows_affected() == 1)
}

/// Raises a session to the level of two factors; false if it has ended.
pub async fn raise_session(
    conn: &mut PgConnection,
    user_id: Uuid,
    session_id: Uuid,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update sessions set aal = 'aal2'
          where id = $2 and user_id = $1 and revoked_at is null and not_after > $3",
        user_id,
        session_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
