//! Ticket types and the quotas they draw on.

use shared::money::Tax;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::pricing::{EventFee, Stated};

/// A ticket type as stored, with the counters of its quota.
#[derive(Debug, Clone)]
pub struct TicketType {
    pub organizer_id: Uuid,
    pub ticket_type_id: Uuid,
    pub event_id: Uuid,
    pub number: i32,
    pub quota_id: Uuid,
    pub name: String,
    pub description: String,
    pub price_minor: i64,
    pub fee_minor: i64,
    pub tax_rate_bp: i32,
    pub tax_inclusive: bool,
    pub sales_from: Option<OffsetDateTime>,
    pub sales_until: Option<OffsetDateTime>,
    pub valid_from: Option<OffsetDateTime>,
    pub valid_until: Option<OffsetDateTime>,
    pub grace_secs: i32,
    pub max_per_booking: i32,
    /// Over all bookings of one person.
    pub max_per_person: Option<i32>,
    pub attention: Option<String>,
    pub hidden: bool,
    pub position: i32,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
    pub archived_at: Option<OffsetDateTime>,
    pub capacity: i32,
    pub held: i32,
    pub sold: i32,
    /// People wait for its quota.
    pub queued: bool,
}

impl TicketType {
    /// What is stated about its price.
    #[must_use]
    pub fn stated(&self, event_fee: EventFee) -> Stated {
        Stated {
            price_minor: self.price_minor,
            fee_minor: self.fee_minor,
            tax: Tax {
                rate_bp: u16::try_from(self.tax_rate_bp).expect("a CHECK bounds tax rates"),
                inclusive: self.tax_inclusive,
            },
            event_fee,
        }
    }
}

/// The types of an event in their order, archived ones too.
pub async fn of_event(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
) -> Result<Vec<TicketType>, sqlx::Error> {
    sqlx::query_as!(
        TicketType,
        "select t.organizer_id, t.ticket_type_id, t.event_id, t.number, t.quota_id, t.name, t.description,
                t.price_minor, t.fee_minor, t.tax_rate_bp, t.tax_inclusive, t.sales_from, t.sales_until, t.valid_from,
                t.valid_until, t.grace_secs, t.max_per_booking, t.max_per_person, t.attention, t.hidden, t.position,
                t.created_at, t.updated_at, t.archived_at, q.capacity, q.held, q.sold, q.queued
           from ticket_types t
           join quotas q on q.organizer_id = t.organizer_id and q.quota_id = t.quota_id
          where t.organizer_id = $1 and t.event_id = $2
          order by t.position, t.number",
        organizer_id,
        event_id,
    )
    .fetch_all(conn)
    .await
}

/// The next type number of an event, never given twice; `None` when all 65,535 are used.
pub async fn take_number(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
) -> Result<Option<i32>, sqlx::Error> {
    let row = sqlx::query_scalar!(
        r#"update events set next_type_no = next_type_no + 1, sale_version = sale_version + 1
            where organizer_id = $1 and event_id = $2 and next_type_no <= 65535
           returning next_type_no - 1 as "number!""#,
        organizer_id,
        event_id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row)
}

/// Says which number the next type of an event gets: of one whose types came with their numbers.
pub async fn go_on_from(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    next: i32,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update events set next_type_no = $3 where organizer_id = $1 and event_id = $2",
        organizer_id,
        event_id,
        next,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds a type.
pub async fn insert(conn: &mut PgConnection, of: &TicketType) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into ticket_types (organizer_id, ticket_type_id, event_id, number, quota_id, name, description,
                                   price_minor, fee_minor, tax_rate_bp, tax_inclusive, sales_from, sales_until,
                                   valid_from, valid_until, grace_secs, max_per_booking, attention, hidden, position,
                                   created_at, updated_at, max_per_person)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
                 $23)",
        of.organizer_id,
        of.ticket_type_id,
        of.event_id,
        of.number,
        of.quota_id,
        of.name,
        of.description,
        of.price_minor,
        of.fee_minor,
        of.tax_rate_bp,
        of.tax_inclusive,
        of.sales_from,
        of.sales_until,
        of.valid_from,
        of.valid_until,
        of.grace_secs,
        of.max_per_booking,
        of.attention,
        of.hidden,
        of.position,
        of.created_at,
        of.updated_at,
        of.max_per_person,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes what may change of a type: all but its number.
pub async fn update(conn: &mut PgConnection, of: &TicketType) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update ticket_types set quota_id = $3, name = $4, description = $5, price_minor = $6, fee_minor = $7,
                tax_rate_bp = $8, tax_inclusive = $9, sales_from = $10, sales_until = $11, valid_from = $12,
                valid_until = $13, grace_secs = $14, max_per_booking = $15, attention = $16, hidden = $17,
                position = $18, updated_at = $19, archived_at = $20, max_per_person = $21
          where organizer_id = $1 and ticket_type_id = $2",
        of.organizer_id,
        of.ticket_type_id,
        of.quota_id,
        of.name,
        of.description,
        of.price_minor,
        of.fee_minor,
        of.tax_rate_bp,
        of.tax_inclusive,
        of.sales_from,
        of.sales_until,
        of.valid_from,
        of.valid_until,
        of.grace_secs,
        of.max_per_booking,
        of.attention,
        of.hidden,
        of.position,
        of.updated_at,
        of.archived_at,
        of.max_per_person,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A quota as stored.
#[derive(Debug, Clone)]
pub struct Quota {
    pub quota_id: Uuid,
    pub event_id: Uuid,
    pub name: String,
    pub capacity: i32,
    pub held: i32,
    pub sold: i32,
    /// People wait for it, and the public sale of it is closed.
    pub queued: bool,
}

/// The quotas of an event.
pub async fn quotas(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
) -> Result<Vec<Quota>, sqlx::Error> {
    sqlx::query_as!(
        Quota,
        "select quota_id, event_id, name, capacity, held, sold, queued from quotas
          where organizer_id = $1 and event_id = $2 order by created_at, quota_id",
        organizer_id,
        event_id,
    )
    .fetch_all(conn)
    .await
}

/// Adds a quota.
pub async fn insert_quota(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    quota: &Quota,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into quotas (organizer_id, quota_id, event_id, name, capacity, created_at) values ($1, $2, $3, $4, $5, $6)",
        organizer_id,
        quota.quota_id,
        quota.event_id,
        quota.name,
        quota.capacity,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Changes name and capacity of a quota; `None` if there is no such quota or its capacity would fall below
/// what is held and sold.
pub async fn update_quota(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    quota_id: Uuid,
    name: Option<&str>,
    capacity: Option<i32>,
) -> Result<Option<Quota>, sqlx::Error> {
    sqlx::query_as!(
        Quota,
        "update quotas set name = coalesce($4, name), capacity = coalesce($5, capacity)
          where organizer_id = $1 and event_id = $2 and quota_id = $3 and held + sold <= coalesce($5, capacity)
         returning quota_id, event_id, name, capacity, held, sold, queued",
        organizer_id,
        event_id,
        quota_id,
        name,
        capacity,
    )
    .fetch_optional(conn)
    .await
}
