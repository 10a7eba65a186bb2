//! The numbers that accounts are sent text messages at. Under the user's own context, or read and stopped by the
//! worker. Trying a code is counted before anybody looks at it.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::one_time::TRIES;

/// An account's number.
#[derive(Debug, Clone)]
pub struct Phone {
    pub number: String,
    /// Since when it is known to be the account's.
    pub verified_at: Option<OffsetDateTime>,
    /// Since when its holder wants nothing more.
    pub stopped_at: Option<OffsetDateTime>,
}

/// A number to be, and the code that goes there.
#[derive(Debug, Clone)]
pub struct NewPhone<'a> {
    pub user_id: Uuid,
    /// E.164.
    pub number: &'a str,
    pub code_id: Uuid,
    pub code_hash: &'a [u8; 32],
    pub expires_at: OffsetDateTime,
}

/// What a try is compared with.
#[derive(Debug, Clone)]
pub struct Stored {
    pub code_id: Uuid,
    pub code_hash: Vec<u8>,
}

pub async fn find(conn: &mut PgConnection, user_id: Uuid) -> Result<Option<Phone>, sqlx::Error> {
    sqlx::query_as!(Phone, "select number, verified_at, stopped_at from phones where user_id = $1", user_id)
        .fetch_optional(conn)
        .await
}

/// Keeps a number in place of the last one, and the code on its way there. The same number again stays verified.
pub async fn put(
    conn: &mut PgConnection,
    new: &NewPhone<'_>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into phones (user_id, number, code_id, code_hash, code_expires_at, created_at)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (user_id) do update
            set number = excluded.number, code_id = excluded.code_id, code_hash = excluded.code_hash,
                code_expires_at = excluded.code_expires_at, tries = 0, created_at = excluded.created_at,
                verified_at = case when phones.number = excluded.number then phones.verified_at end,
                stopped_at = case when phones.number = excluded.number then phones.stopped_at end",
        new.user_id,
        new.number,
        new.code_id,
        &new.code_hash[..],
        new.expires_at,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Counts a try. `None` if there is no code, it is over, or it was tried too often.
pub async fn try_one(
    conn: &mut PgConnection,
    user_id: Uuid,
    now: OffsetDateTime,
) -> Result<Option<Stored>, sqlx::Error> {
    sqlx::query_as!(
        Stored,
        r#"update phones set tries = tries + 1
            where user_id = $1 and code_expires_at > $2 and tries < $3
           returning code_id as "code_id!", code_hash as "code_hash!""#,
        user_id,
        now,
        TRIES,
    )
    .fetch_optional(conn)
    .await
}

/// Its code was typed: the number is the account's, and who asked for the code wants messages again. False if another
/// code took its place meanwhile.
pub async fn verify(
    conn: &mut PgConnection,
    user_id: Uuid,
    code_id: Uuid,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update phones set verified_at = $3, stopped_at = null, code_id = null, code_hash = null,
                           code_expires_at = null, tries = 0
          where user_id = $1 and code_id = $2",
        user_id,
        code_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub async fn remove(conn: &mut PgConnection, user_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from phones where user_id = $1", user_id).execute(conn).await?;
    Ok(())
}

/// Where an account may be sent text messages. By the worker.
pub async fn reachable(conn: &mut PgConnection, user_id: Uuid) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "select number from phones where user_id = $1 and verified_at is not null and stopped_at is null",
        user_id,
    )
    .fetch_optional(conn)
    .await
}

/// The provider says that a number's holder wants nothing more, whichever accounts name it. By the worker.
pub async fn stop(conn: &mut PgConnection, number: &str, now: OffsetDateTime) -> Result<(), sqlx::Error> {
    sqlx::query!("update phones set stopped_at = $2 where number = $1 and stopped_at is null", number, now)
        .execute(conn)
        .await?;
    Ok(())
}
