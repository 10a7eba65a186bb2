//! Invitations to become a member; under the organizer's context.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::access::OrgRole;

/// An invitation as stored.
#[derive(Debug, Clone)]
pub struct Invitation {
    pub invitation_id: Uuid,
    pub email: String,
    pub role: OrgRole,
    pub invited_by: Uuid,
    pub created_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
}

/// The roles that open invitations of an address offer, to be replaced in this transaction.
pub async fn open_roles(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    email: &str,
    now: OffsetDateTime,
) -> Result<Vec<OrgRole>, sqlx::Error> {
    let roles = sqlx::query_scalar!(
        "select role from invitations
          where organizer_id = $1 and lower(email) = lower($2) and accepted_at is null and withdrawn_at is null
            and expires_at > $3
            for update",
        organizer_id,
        email,
        now,
    )
    .fetch_all(conn)
    .await?;
    Ok(roles.iter().map(|role| OrgRole::from_column(role)).collect())
}

/// The open invitation of a token.
pub async fn by_token(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    token_hash: &[u8; 32],
    now: OffsetDateTime,
) -> Result<Option<Invitation>, sqlx::Error> {
    let row = sqlx::query!(
        "select invitation_id, email, role, invited_by, created_at, expires_at from invitations
          where organizer_id = $1 and token_hash = $2 and accepted_at is null and withdrawn_at is null
            and expires_at > $3",
        organizer_id,
        &token_hash[..],
        now,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Invitation {
        invitation_id: row.invitation_id,
        email: row.email,
        role: OrgRole::from_column(&row.role),
        invited_by: row.invited_by,
        created_at: row.created_at,
        expires_at: row.expires_at,
    }))
}

/// Adds one; earlier open ones of the same address are withdrawn, whatever they offer.
pub async fn insert(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    invitation: &Invitation,
    token_hash: &[u8; 32],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update invitations set withdrawn_at = $3
          where organizer_id = $1 and lower(email) = lower($2) and accepted_at is null and withdrawn_at is null",
        organizer_id,
        invitation.email,
        invitation.created_at,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "insert into invitations (organizer_id, invitation_id, email, role, token_hash, invited_by, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        organizer_id,
        invitation.invitation_id,
        invitation.email,
        invitation.role.as_str(),
        &token_hash[..],
        invitation.invited_by,
        invitation.created_at,
        invitation.expires_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A page of those that may still be accepted, by id.
pub async fn open(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    after: Option<Uuid>,
    limit: i64,
    now: OffsetDateTime,
) -> Result<Vec<Invitation>, sqlx::Error> {
    let rows = sqlx::query!(
        "select invitation_id, email, role, invited_by, created_at, expires_at
           from invitations
          where organizer_id = $1 and accepted_at is null and withdrawn_at is null and expires_at > $4
            and ($2::uuid is null or invitation_id > $2)
          order by invitation_id limit $3",
        organizer_id,
        after,
        limit,
        now,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Invitation {
            invitation_id: row.invitation_id,
            email: row.email,
            role: OrgRole::from_column(&row.role),
            invited_by: row.invited_by,
            created_at: row.created_at,
            expires_at: row.expires_at,
        })
        .collect())
}

/// How many are open.
pub async fn count_open(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    now: OffsetDateTime,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "n!" from invitations
            where organizer_id = $1 and accepted_at is null and withdrawn_at is null and expires_at > $2"#,
        organizer_id,
        now,
    )
    .fetch_one(conn)
    .await
}

/// Takes one back, whatever role it offers; the role it offered. `None` if it is not open.
pub async fn withdraw(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    invitation_id: Uuid,
    now: OffsetDateTime,
) -> Result<Option<OrgRole>, sqlx::Error> {
    let role = sqlx::query_scalar!(
        "update invitations set withdrawn_at = $3
          where organizer_id = $1 and invitation_id = $2 and accepted_at is null and withdrawn_at is null
         returning role",
        organizer_id,
        invitation_id,
        now,
    )
    .fetch_optional(conn)
    .await?;
    Ok(role.as_deref().map(OrgRole::from_column))
}

/// Accepts one for the account of `user_id` with the confirmed address `email`. `None` if the token is no
/// open invitation of that address.
pub async fn accept(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    token_hash: &[u8; 32],
    (user_id, email): (Uuid, &str),
    now: OffsetDateTime,
) -> Result<Option<(Uuid, OrgRole, Uuid)>, sqlx::Error> {
    let row = sqlx::query!(
        "update invitations set accepted_at = $5, accepted_by = $3
          where organizer_id = $1 and token_hash = $2 and lower(email) = lower($4)
            and accepted_at is null and withdrawn_at is null and expires_at > $5
         returning invitation_id, role, invited_by",
        organizer_id,
        &token_hash[..],
        user_id,
        email,
        now,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (row.invitation_id, OrgRole::from_column(&row.role), row.invited_by)))
}

/// Erases the invitations of an address.
pub async fn forget(conn: &mut PgConnection, organizer_id: Uuid, email: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from invitations where organizer_id = $1 and lower(email) = lower($2)",
        organizer_id,
        email,
    )
    .execute(conn)
    .await?;
    Ok(())
}
