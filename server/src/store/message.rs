//! What organizers write to those who come, and who that is.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::outbox::Recipient;

/// A message to the holders of an event's tickets.
#[derive(Debug, Clone)]
pub struct Message {
    pub message_id: Uuid,
    pub event_id: Uuid,
    pub kind: String,
    pub subject: String,
    pub body: String,
    /// Empty: the holders of all types.
    pub ticket_type_ids: Vec<Uuid>,
    pub recipients: i32,
    pub sent_by: Uuid,
    pub created_at: OffsetDateTime,
}

/// Keeps it.
pub async fn insert(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    message: &Message,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into messages (organizer_id, message_id, event_id, kind, subject, body, ticket_type_ids, recipients,
                               sent_by, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        organizer_id,
        message.message_id,
        message.event_id,
        message.kind,
        message.subject,
        message.body,
        &message.ticket_type_ids,
        message.recipients,
        message.sent_by,
        message.created_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub async fn find(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    message_id: Uuid,
) -> Result<Option<Message>, sqlx::Error> {
    sqlx::query_as!(
        Message,
        "select message_id, event_id, kind, subject, body, ticket_type_ids, recipients, sent_by, created_at
           from messages where organizer_id = $1 and message_id = $2",
        organizer_id,
        message_id,
    )
    .fetch_optional(conn)
    .await
}

/// Everybody who holds a ticket of the event (of these types, if any are named) and can be written to, each address
/// once: who it was handed on to, whom the seller named, or who bought it.
pub async fn holders(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    ticket_type_ids: &[Uuid],
) -> Result<Vec<Recipient>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select distinct on (lower(h.email)) h.email as "email!", h.user_id, h.language as "language!"
          from (
            select coalesce(t.holder_email, i.email, b.email) as email, t.user_id, b.language
              from tickets t
              join bookings b on b.organizer_id = t.organizer_id and b.booking_id = t.booking_id
              left join imported_tickets i on i.organizer_id = t.organizer_id and i.ticket_id = t.ticket_id
             where t.organizer_id = $1 and t.event_id = $2 and t.state in ('valid', 'blocked')
               and (cardinality($3::uuid[]) = 0 or t.ticket_type_id = any($3))
          ) h
         where h.email is not null
         order by lower(h.email), h.user_id nulls last
        "#,
        organizer_id,
        event_id,
        ticket_type_ids,
    )
    .fetch_all(conn)
    .await?;
    let recipients = rows.into_iter().map(|row| Recipient {
        email: row.email,
        user_id: row.user_id,
        language: row.language,
    });
    Ok(recipients.collect())
}
