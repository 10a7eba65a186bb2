//! Organizers: their profile, their keys and trust roots.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// A profile as stored.
#[derive(Debug, Clone)]
pub struct Organizer {
    pub organizer_id: Uuid,
    pub name: String,
    pub legal_name: Option<String>,
    pub description: String,
    pub contact_email: String,
    pub website: Option<String>,
    pub address: Option<String>,
    pub country: Option<String>,
    pub tax_id: Option<String>,
    pub status: String,
    pub status_reason: Option<String>,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

/// How far an organizer's approval is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OrganizerStatus)]
pub enum Status {
    Draft,
    Submitted,
    Approved,
    Rejected,
}

impl Status {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Submitted => "submitted",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }

    /// From the column, whose values a CHECK bounds; an unknown one may do the least.
    pub fn from_column(text: &str) -> Self {
        match text {
            "submitted" => Self::Submitted,
            "approved" => Self::Approved,
            "rejected" => Self::Rejected,
            _ => Self::Draft,
        }
    }
}

/// The profile; under the organizer's context.
pub async fn find(conn: &mut PgConnection, organizer_id: Uuid) -> Result<Option<Organizer>, sqlx::Error> {
    sqlx::query_as!(
        Organizer,
        "select organizer_id, name, legal_name, description, contact_email, website, address, country, tax_id, status,
                status_reason, created_at, updated_at
           from organizers where organizer_id = $1",
        organizer_id,
    )
    .fetch_optional(conn)
    .await
}

/// Adds an organizer; false if it is there already, which this then leaves alone.
pub async fn create(conn: &mut PgConnection, organizer: &Organizer) -> Result<bool, sqlx::Error> {
    let row = sqlx::query_scalar!(
        "insert into organizers (organizer_id, name, legal_name, description, contact_email, website, address, country,
                                 tax_id, status, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         on conflict (organizer_id) do nothing
         returning organizer_id",
        organizer.organizer_id,
        organizer.name,
        organizer.legal_name,
        organizer.description,
        organizer.contact_email,
        organizer.website,
        organizer.address,
        organizer.country,
        organizer.tax_id,
        organizer.status,
        organizer.created_at,
        organizer.updated_at,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.is_some())
}

/// Writes the profile: a new one with its status, or the fields of a known one (its status stays).
pub async fn put(conn: &mut PgConnection, organizer: &Organizer) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into organizers (organizer_id, name, legal_name, description, contact_email, website, address, country,
                                 tax_id, status, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         on conflict (organizer_id) do update set
           name = excluded.name, legal_name = excluded.legal_name, description = excluded.description,
           contact_email = excluded.contact_email, website = excluded.website, address = excluded.address,
           country = excluded.country, tax_id = excluded.tax_id, updated_at = excluded.updated_at",
        organizer.organizer_id,
        organizer.name,
        organizer.legal_name,
        organizer.description,
        organizer.contact_email,
        organizer.website,
        organizer.address,
        organizer.country,
        organizer.tax_id,
        organizer.status,
        organizer.created_at,
        organizer.updated_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A key as stored; its private half sealed.
#[derive(Debug, Clone)]
pub struct OrganizerKey {
    pub key_id: Uuid,
    pub purpose: String,
    pub event_id: Option<Uuid>,
    pub kid: Vec<u8>,
    pub public_key: Vec<u8>,
    pub sealed: Option<Vec<u8>>,
    pub status: String,
    pub created_at: OffsetDateTime,
}

/// Adds a key.
pub async fn add_key(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    key: &OrganizerKey,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into organizer_keys (organizer_id, key_id, purpose, event_id, kid, public_key, sealed, status, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        organizer_id,
        key.key_id,
        key.purpose,
        key.event_id,
        key.kid,
        key.public_key,
        key.sealed,
        key.status,
        key.created_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The keys of one purpose (of one event, for ticket keys), the newest first.
pub async fn keys(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    purpose: &str,
    event_id: Option<Uuid>,
) -> Result<Vec<OrganizerKey>, sqlx::Error> {
    sqlx::query_as!(
        OrganizerKey,
        "select key_id, purpose, event_id, kid, public_key, sealed, status, created_at
           from organizer_keys
          where organizer_id = $1 and purpose = $2 and ($3::uuid is null or event_id = $3)
          order by created_at desc, key_id desc",
        organizer_id,
        purpose,
        event_id,
    )
    .fetch_all(conn)
    .await
}

/// Adds a signed trust root.
pub async fn add_trust_root(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    version: i32,
    document: &[u8],
    succession: Option<&[u8]>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into trust_roots (organizer_id, version, document, succession, created_at) values ($1, $2, $3, $4, $5)",
        organizer_id,
        version,
        document,
        succession,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Signed trust roots newer than `version`, in order: (document, succession).
pub async fn trust_roots_after(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    version: i32,
) -> Result<Vec<(Vec<u8>, Option<Vec<u8>>)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select document, succession from trust_roots where organizer_id = $1 and version > $2 order by version",
        organizer_id,
        version,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.document, row.succession)).collect())
}

/// Submits a draft or rejected profile for approval. False if it is neither.
pub async fn submit(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update organizers set status = 'submitted', status_reason = null, updated_at = $2
          where organizer_id = $1 and status in ('draft', 'rejected')",
        organizer_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Organizers of a status, the oldest first; under an administrator's context.
pub async fn of_status(
    conn: &mut PgConnection,
    status: Status,
    after: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<Organizer>, sqlx::Error> {
    let (created_at, organizer_id) = after.unzip();
    sqlx::query_as!(
        Organizer,
        "select organizer_id, name, legal_name, description, contact_email, website, address, country, tax_id, status,
                status_reason, created_at, updated_at
           from organizers
          where status = $1 and ($2::timestamptz is null or (created_at, organizer_id) > ($2, $3::uuid))
          order by created_at, organizer_id
          limit $4",
        status.as_str(),
        created_at,
        organizer_id,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// The profile, locked until the transaction ends.
pub async fn lock(conn: &mut PgConnection, organizer_id: Uuid) -> Result<Option<Organizer>, sqlx::Error> {
    sqlx::query_as!(
        Organizer,
        "select organizer_id, name, legal_name, description, contact_email, website, address, country, tax_id, status,
                status_reason, created_at, updated_at
           from organizers where organizer_id = $1 for update",
        organizer_id,
    )
    .fetch_optional(conn)
    .await
}

/// Writes an administrator's decision.
pub async fn decide(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    status: Status,
    reason: Option<&str>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update organizers set status = $2, status_reason = $3, updated_at = $4 where organizer_id = $1",
        organizer_id,
        status.as_str(),
        reason,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
