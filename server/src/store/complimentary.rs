//! Tickets given away.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// What was given, by whom.
#[derive(Debug, Clone)]
pub struct Given {
    pub booking_id: Uuid,
    pub event_id: Uuid,
    pub ticket_type_id: Uuid,
    pub quantity: i32,
    pub note: String,
    pub given_by: Uuid,
    pub created_at: OffsetDateTime,
}

/// Writes it down. False if it was before.
pub async fn insert(conn: &mut PgConnection, organizer_id: Uuid, of: &Given) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "insert into complimentary (organizer_id, booking_id, event_id, ticket_type_id, quantity, note, given_by,
                                    created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)
         on conflict (organizer_id, booking_id) do nothing",
        organizer_id,
        of.booking_id,
        of.event_id,
        of.ticket_type_id,
        of.quantity,
        of.note,
        of.given_by,
        of.created_at,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A gift with where it went.
#[derive(Debug, Clone)]
pub struct Listed {
    pub booking_id: Uuid,
    pub ticket_type_id: Uuid,
    pub quantity: i32,
    pub note: String,
    pub given_by: Uuid,
    pub created_at: OffsetDateTime,
    /// Null once its account was deleted.
    pub email: Option<String>,
}

/// The gifts of an event, the latest first.
pub async fn list(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    after: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<Listed>, sqlx::Error> {
    let (after_at, after_id) = after.unzip();
    sqlx::query_as!(
        Listed,
        "select c.booking_id, c.ticket_type_id, c.quantity, c.note, c.given_by, c.created_at, b.email
           from complimentary c
           join bookings b on b.organizer_id = c.organizer_id and b.booking_id = c.booking_id
          where c.organizer_id = $1 and c.event_id = $2
            and ($3::timestamptz is null or (c.created_at, c.booking_id) < ($3, $4))
          order by c.created_at desc, c.booking_id desc
          limit $5",
        organizer_id,
        event_id,
        after_at,
        after_id,
        limit,
    )
    .fetch_all(conn)
    .await
}
