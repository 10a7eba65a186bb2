//! Tickets: reading them, and their rows for the manifest.

use shared::bytes::Kid;
use shared::ids::TicketId;
use shared::manifest::rows::{TicketRow, TicketState};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::question::Answers;
use crate::domain::ticket::CodeFacts;

/// A ticket as stored.
#[derive(Debug, Clone)]
pub struct Ticket {
    pub organizer_id: Uuid,
    pub ticket_id: Uuid,
    pub event_id: Uuid,
    pub booking_id: Uuid,
    pub ticket_type_id: Uuid,
    pub type_no: i32,
    pub attendee_name: Option<String>,
    pub state: String,
    pub generation: i16,
    pub kid: Vec<u8>,
    pub issued_at: OffsetDateTime,
    pub not_before: Option<OffsetDateTime>,
    pub expires_at: OffsetDateTime,
    /// Of a blocked one: `refund` or `organizer`.
    pub block_reason: Option<String>,
    /// Of one that was handed on: whom its mails reach.
    pub holder_email: Option<String>,
    /// It is not its buyer's any more.
    pub transferred_at: Option<OffsetDateTime>,
    pub user_id: Option<Uuid>,
    pub answers: serde_json::Value,
    /// It goes on under this id.
    pub replaced_by: Option<Uuid>,
}

impl Ticket {
    /// What was answered, by question.
    #[must_use]
    pub fn answers(&self) -> Answers {
        serde_json::from_value(self.answers.clone()).unwrap_or_default()
    }

    /// What its code says.
    #[must_use]
    pub fn facts(&self) -> CodeFacts {
        CodeFacts {
            ticket_id: TicketId(self.ticket_id),
            type_no: u16::try_from(self.type_no).expect("a CHECK bounds type numbers"),
            generation: u8::try_from(self.generation).expect("a CHECK bounds generations"),
            kid: Kid::from_slice(&self.kid).expect("a CHECK bounds kids"),
            issued_at: self.issued_at,
            not_before: self.not_before,
            expires_at: self.expires_at,
        }
    }
}

/// A ticket that a statement changed, as gates must learn it.
#[derive(Debug, Clone)]
pub struct ChangedTicket {
    pub ticket_id: Uuid,
    pub type_no: i32,
    pub generation: i16,
    pub state: String,
}

/// The 20-byte rows of changed tickets.
#[must_use]
pub fn manifest_rows(changed: &[ChangedTicket]) -> Vec<u8> {
    changed.iter().flat_map(|ticket| manifest_row(ticket).to_bytes()).collect()
}

fn manifest_row(ticket: &ChangedTicket) -> TicketRow {
    TicketRow {
        ticket_id: TicketId(ticket.ticket_id),
        type_no: u16::try_from(ticket.type_no).expect("a CHECK bounds type numbers"),
        generation: u8::try_from(ticket.generation).expect("a CHECK bounds generations"),
        state: match ticket.state.as_str() {
            "valid" => TicketState::Valid,
            "blocked" => TicketState::Blocked,
            "refunded" => TicketState::Refunded,
            "canceled" => TicketState::Canceled,
            "withdrawn" => TicketState::Withdrawn,
            other => unreachable!("the CHECK of tickets.state does not know {other}"),
        },
    }
}

/// One ticket of one of the organizers, if the context may see it.
pub async fn find(
    conn: &mut PgConnection,
    organizers: &[Uuid],
    ticket_id: Uuid,
) -> Result<Option<Ticket>, sqlx::Error> {
    sqlx::query_as!(
        Ticket,
        "select organizer_id, ticket_id, event_id, booking_id, ticket_type_id, type_no, attendee_name, state,
                generation, kid, issued_at, not_before, expires_at, block_reason, holder_email, transferred_at,
                user_id, answers, replaced_by
           from tickets where organizer_id = any($1) and ticket_id = $2",
        organizers,
        ticket_id,
    )
    .fetch_optional(conn)
    .await
}

/// The tickets of a booking, in the order of their making; without those that go on under another id.
pub async fn of_booking(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    booking_id: Uuid,
) -> Result<Vec<Ticket>, sqlx::Error> {
    sqlx::query_as!(
        Ticket,
        "select organizer_id, ticket_id, event_id, booking_id, ticket_type_id, type_no, attendee_name, state,
                generation, kid, issued_at, not_before, expires_at, block_reason, holder_email, transferred_at,
                user_id, answers, replaced_by
           from tickets where organizer_id = $1 and booking_id = $2 and replaced_by is null order by type_no, ticket_id",
        organizer_id,
        booking_id,
    )
    .fetch_all(conn)
    .await
}

/// A user's tickets with the given organizers, newest first; under the user's context.
pub async fn of_user(
    conn: &mut PgConnection,
    organizers: &[Uuid],
    user_id: Uuid,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Ticket>, sqlx::Error> {
    sqlx::query_as!(
        Ticket,
        "select organizer_id, ticket_id, event_id, booking_id, ticket_type_id, type_no, attendee_name, state,
                generation, kid, issued_at, not_before, expires_at, block_reason, holder_email, transferred_at,
                user_id, answers, replaced_by
           from tickets
          where organizer_id = any($1) and user_id = $2 and replaced_by is null and ($3::uuid is null or ticket_id < $3)
          order by ticket_id desc
          limit $4",
        organizers,
        user_id,
        after,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// The tickets that a guest's secret opens; under the guest's context.
pub async fn of_guest(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    secret_hash: &[u8; 32],
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Ticket>, sqlx::Error> {
    sqlx::query_as!(
        Ticket,
        "select organizer_id, ticket_id, event_id, booking_id, ticket_type_id, type_no, attendee_name, state,
                generation, kid, issued_at, not_before, expires_at, block_reason, holder_email, transferred_at,
                user_id, answers, replaced_by
           from tickets
          where organizer_id = $1 and booking_secret_hash = $2 and replaced_by is null and ($3::uuid is null or ticket_id < $3)
          order by ticket_id desc
          limit $4",
        organizer_id,
        secret_hash.as_slice(),
        after,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// What tickets are for, in words.
#[derive(Debug, Clone)]
pub struct TypeInWords {
    pub ticket_type_id: Uuid,
    pub name: String,
    pub event_id: Uuid,
    pub event_title: String,
    pub slug: String,
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
    pub event_status: String,
    pub event_created_at: OffsetDateTime,
    pub event_updated_at: OffsetDateTime,
    pub organizer_name: String,
}

/// Types in words; under the organizer's context.
pub async fn types_in_words(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    ticket_types: &[Uuid],
) -> Result<Vec<TypeInWords>, sqlx::Error> {
    sqlx::query_as!(
        TypeInWords,
        "select t.ticket_type_id, t.name, e.event_id, e.title as event_title, e.slug, e.venue_name, e.venue_address,
                e.city, e.country, e.latitude, e.longitude, e.time_zone, e.admission_at, e.starts_at, e.ends_at,
                e.status as event_status, e.created_at as event_created_at, e.updated_at as event_updated_at,
                o.name as organizer_name
           from ticket_types t
           join events e on e.organizer_id = t.organizer_id and e.event_id = t.event_id
           join organizers o on o.organizer_id = t.organizer_id
          where t.organizer_id = $1 and t.ticket_type_id = any($2)",
        organizer_id,
        ticket_types,
    )
    .fetch_all(conn)
    .await
}
