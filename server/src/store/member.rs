//! Who may act for an organizer.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

pub use crate::domain::access::OrgRole;

/// One organizer of a user.
#[derive(Debug, Clone, Copy)]
pub struct Membership {
    pub organizer_id: Uuid,
    pub role: OrgRole,
}

/// The user's role with the organizer; under the organizer's or the user's context.
pub async fn role(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    user_id: Uuid,
) -> Result<Option<OrgRole>, sqlx::Error> {
    let role = sqlx::query_scalar!(
        "select role from members where organizer_id = $1 and user_id = $2",
        organizer_id,
        user_id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(role.as_deref().map(OrgRole::from_column))
}

/// All memberships of a user; under the user's context.
pub async fn of_user(conn: &mut PgConnection, user_id: Uuid) -> Result<Vec<Membership>, sqlx::Error> {
    let rows = sqlx::query!(
        "select organizer_id, role from members where user_id = $1 order by created_at, organizer_id",
        user_id,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Membership { organizer_id: row.organizer_id, role: OrgRole::from_column(&row.role) })
        .collect())
}

/// Adds a member or changes the role of one; under the organizer's context.
pub async fn put(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    user_id: Uuid,
    role: OrgRole,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into members (organizer_id, user_id, role, created_at) values ($1, $2, $3, $4)
         on conflict (organizer_id, user_id) do update set role = excluded.role",
        organizer_id,
        user_id,
        role.as_str(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A member of an organizer.
#[derive(Debug, Clone, Copy)]
pub struct MemberRow {
    pub user_id: Uuid,
    pub role: OrgRole,
    pub created_at: OffsetDateTime,
}

/// All members, the eldest first; under the organizer's context.
pub async fn of_organizer(
    conn: &mut PgConnection,
    organizer_id: Uuid,
) -> Result<Vec<MemberRow>, sqlx::Error> {
    let rows = sqlx::query!(
        "select user_id, role, created_at from members where organizer_id = $1 order by created_at, user_id",
        organizer_id,
    )
    .fetch_all(conn)
    .await?;
    let member =
        |role: &str, user_id, created_at| MemberRow { user_id, role: OrgRole::from_column(role), created_at };
    Ok(rows.into_iter().map(|row| member(&row.role, row.user_id, row.created_at)).collect())
}

/// Locks the owners for the rest of the transaction, so that of two who leave at once one sees the other
/// gone. Before any change that could take the last one.
pub async fn lock_owners(conn: &mut PgConnection, organizer_id: Uuid) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select user_id from members where organizer_id = $1 and role = 'owner' order by user_id for update",
        organizer_id,
    )
    .fetch_all(conn)
    .await
}

/// Changes the role of a member; false if there is none.
pub async fn change(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    user_id: Uuid,
    role: OrgRole,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update members set role = $3 where organizer_id = $1 and user_id = $2",
        organizer_id,
        user_id,
        role.as_str(),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends a membership; false if there is none.
pub async fn remove(conn: &mut PgConnection, organizer_id: Uuid, user_id: Uuid) -> Result<bool, sqlx::Error> {
    let done =
        sqlx::query!("delete from members where organizer_id = $1 and user_id = $2", organizer_id, user_id)
            .execute(conn)
            .await?;
    Ok(done.rows_affected() == 1)
}
