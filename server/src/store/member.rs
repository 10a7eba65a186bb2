//! Who may act for an organizer.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// What a member may do, each role including the ones before it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum OrgRole {
    Door,
    Manager,
    Owner,
}

impl OrgRole {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Door => "door",
            Self::Manager => "manager",
            Self::Owner => "owner",
        }
    }

    /// From the column, whose values a CHECK bounds; an unknown one may do the least.
    fn from_column(text: &str) -> Self {
        match text {
            "owner" => Self::Owner,
            "manager" => Self::Manager,
            _ => Self::Door,
        }
    }
}

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
