//! Events as their organizers keep them.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::pricing::{EventFee, FeeBearer};

/// An event as stored.
#[derive(Debug, Clone)]
pub struct Event {
    pub organizer_id: Uuid,
    pub event_id: Uuid,
    pub slug: String,
    pub title: String,
    pub description: String,
    pub category_id: String,
    pub venue_name: String,
    pub venue_address: String,
    pub city: String,
    pub country: Option<String>,
    pub latitude: Option<f64>,
    pub longitude: Option<f64>,
    pub time_zone: String,
    pub admission_at: Option<OffsetDateTime>,
    pub starts_at: OffsetDateTime,
    pub ends_at: Option<OffsetDateTime>,
    pub status: String,
    pub currency: String,
    pub hold_secs: i32,
    pub extension_secs: i32,
    pub max_per_booking: i32,
    pub refundable_until: Option<OffsetDateTime>,
    pub fee_fixed_minor: i64,
    pub fee_rate_bp: i32,
    pub fee_bearer: String,
    pub max_per_person: Option<i32>,
    pub waiting_list: bool,
    pub offer_secs: i32,
    pub admit_per_minute: Option<i32>,
    pub artists: Vec<String>,
    /// ISO 639-1, of title and description.
    pub language: Option<String>,
    /// Of which series it is a date.
    pub series_id: Option<Uuid>,
    pub sale_version: i64,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
    pub published_at: Option<OffsetDateTime>,
}

impl Event {
    /// Its fee on each ticket.
    #[must_use]
    pub fn fee(&self) -> EventFee {
        EventFee {
            fixed_minor: self.fee_fixed_minor,
            rate_bp: u16::try_from(self.fee_rate_bp).expect("a CHECK bounds the fee's rate"),
            bearer: FeeBearer::from_column(&self.fee_bearer),
        }
    }
}

/// One event; under the organizer's context. `lock` holds its row against other changes of the catalogue.
pub async fn find(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
) -> Result<Option<Event>, sqlx::Error> {
    sqlx::query_as!(
        Event,
        "select organizer_id, event_id, slug, title, description, category_id, venue_name, venue_address, city, country,
                latitude, longitude, time_zone, admission_at, starts_at, ends_at, status, currency, hold_secs,
                extension_secs, max_per_booking, refundable_until, fee_fixed_minor, fee_rate_bp, fee_bearer,
                max_per_person, waiting_list, offer_secs, admit_per_minute, artists, language, series_id, sale_version,
                created_at, updated_at, published_at
           from events where organizer_id = $1 and event_id = $2",
        organizer_id,
        event_id,
    )
    .fetch_optional(conn)
    .await
}

/// The version of what is sold of an event and for how much.
pub async fn sale_version(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "select sale_version from events where organizer_id = $1 and event_id = $2",
        organizer_id,
        event_id,
    )
    .fetch_optional(conn)
    .await
}

/// Locks an event's row: one change of its catalogue at a time. Sales are not held up.
pub async fn lock(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
) -> Result<Option<Event>, sqlx::Error> {
    sqlx::query!(
        "select event_id from events where organizer_id = $1 and event_id = $2 for no key update",
        organizer_id,
        event_id
    )
    .fetch_optional(&mut *conn)
    .await?;
    find(conn, organizer_id, event_id).await
}

/// The organizer's events, of one status or series or of all, the latest start first.
pub async fn list(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    status: Option<&str>,
    series_id: Option<Uuid>,
    after: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<Event>, sqlx::Error> {
    let (after_at, after_id) = after.unzip();
    sqlx::query_as!(
        Event,
        "select organizer_id, event_id, slug, title, description, category_id, venue_name, venue_address, city, country,
                latitude, longitude, time_zone, admission_at, starts_at, ends_at, status, currency, hold_secs,
                extension_secs, max_per_booking, refundable_until, fee_fixed_minor, fee_rate_bp, fee_bearer,
                max_per_person, waiting_list, offer_secs, admit_per_minute, artists, language, series_id, sale_version,
                created_at, updated_at, published_at
           from events
          where organizer_id = $1 and ($2::timestamptz is null or (starts_at, event_id) < ($2, $3))
            and ($5::text is null or status = $5) and ($6::uuid is null or series_id = $6)
          order by starts_at desc, event_id desc
          limit $4",
        organizer_id,
        after_at,
        after_id,
        limit,
        status,
        series_id,
    )
    .fetch_all(conn)
    .await
}

/// Adds a draft. A taken slug is a unique violation `events_organizer_id_slug`.
pub async fn insert(conn: &mut PgConnection, event: &Event) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into events (organizer_id, event_id, slug, title, description, category_id, venue_name, venue_address,
                             city, country, latitude, longitude, time_zone, admission_at, starts_at, ends_at, status,
                             currency, hold_secs, extension_secs, max_per_booking, refundable_until, created_at,
                             updated_at, fee_fixed_minor, fee_rate_bp, fee_bearer, max_per_person, waiting_list,
                             offer_secs, admit_per_minute, artists, language, series_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,
                 $25, $26, $27, $28, $29, $30, $31, $32, $33, $34)",
        event.organizer_id,
        event.event_id,
        event.slug,
        event.title,
        event.description,
        event.category_id,
        event.venue_name,
        event.venue_address,
        event.city,
        event.country,
        event.latitude,
        event.longitude,
        event.time_zone,
        event.admission_at,
        event.starts_at,
        event.ends_at,
        event.status,
        event.currency,
        event.hold_secs,
        event.extension_secs,
        event.max_per_booking,
        event.refundable_until,
        event.created_at,
        event.updated_at,
        event.fee_fixed_minor,
        event.fee_rate_bp,
        event.fee_bearer,
        event.max_per_person,
        event.waiting_list,
        event.offer_secs,
        event.admit_per_minute,
        &event.artists,
        event.language,
        event.series_id,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes what may change of an event (slug and currency may not) and raises its sale version.
pub async fn update(conn: &mut PgConnection, event: &Event) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update events set title = $3, description = $4, category_id = $5, venue_name = $6, venue_address = $7,
                city = $8, country = $9, latitude = $10, longitude = $11, time_zone = $12, admission_at = $13,
                starts_at = $14, ends_at = $15, status = $16, hold_secs = $17, extension_secs = $18,
                max_per_booking = $19, refundable_until = $20, updated_at = $21, published_at = $22,
                fee_fixed_minor = $23, fee_rate_bp = $24, fee_bearer = $25, max_per_person = $26, waiting_list = $27,
                offer_secs = $28, admit_per_minute = $29, artists = $30, language = $31, sale_version = sale_version + 1
          where organizer_id = $1 and event_id = $2",
        event.organizer_id,
        event.event_id,
        event.title,
        event.description,
        event.category_id,
        event.venue_name,
        event.venue_address,
        event.city,
        event.country,
        event.latitude,
        event.longitude,
        event.time_zone,
        event.admission_at,
        event.starts_at,
        event.ends_at,
        event.status,
        event.hold_secs,
        event.extension_secs,
        event.max_per_booking,
        event.refundable_until,
        event.updated_at,
        event.published_at,
        event.fee_fixed_minor,
        event.fee_rate_bp,
        event.fee_bearer,
        event.max_per_person,
        event.waiting_list,
        event.offer_secs,
        event.admit_per_minute,
        &event.artists,
        event.language,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Raises the sale version: prices that a server keeps in memory are void.
pub async fn bump(conn: &mut PgConnection, organizer_id: Uuid, event_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update events set sale_version = sale_version + 1 where organizer_id = $1 and event_id = $2",
        organizer_id,
        event_id,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A category: (id, name).
pub async fn categories(conn: &mut PgConnection) -> Result<Vec<(String, String)>, sqlx::Error> {
    let rows = sqlx::query!("select category_id, name from categories order by position, category_id")
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().map(|row| (row.category_id, row.name)).collect())
}
