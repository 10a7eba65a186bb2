//! What guest records are made of: tickets as they are now, in the order of the manifest's changes.

use shared::ids::TicketId;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::devices::number;
use crate::domain::guest_cursor::{Change, Cursor};
use crate::domain::question::Answers;

/// More tickets than one change can have.
const MAX_SKIP: i32 = 100_000_000;

/// A ticket with what its guest record says.
#[derive(Debug, Clone)]
pub struct GuestTicket {
    pub ticket_id: Uuid,
    pub type_no: i32,
    pub generation: i16,
    pub state: String,
    pub kid: Vec<u8>,
    pub issued_at: OffsetDateTime,
    pub not_before: Option<OffsetDateTime>,
    pub expires_at: OffsetDateTime,
    pub attendee_name: Option<String>,
    pub answers: serde_json::Value,
    pub booking_id: Uuid,
    /// Of an imported one: as its seller names the purchase.
    pub reference: Option<String>,
}

impl GuestTicket {
    /// What was answered, by question.
    #[must_use]
    pub fn answers(&self) -> Answers {
        serde_json::from_value(self.answers.clone()).unwrap_or_default()
    }

    /// True if somebody may come with it, now or once it is unblocked.
    #[must_use]
    pub fn may_come(&self) -> bool {
        matches!(self.state.as_str(), "valid" | "blocked")
    }
}

/// Tickets with which somebody may come, by id; unless `names` only those that a record could say something of.
pub async fn after(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    after: Option<Uuid>,
    names: bool,
    limit: i64,
) -> Result<Vec<GuestTicket>, sqlx::Error> {
    sqlx::query_as!(
        GuestTicket,
        r#"select t.ticket_id, t.type_no, t.generation, t.state, t.kid, t.issued_at, t.not_before, t.expires_at,
                  t.attendee_name, t.answers, t.booking_id, i.reference as "reference?"
             from tickets t
             left join imported_tickets i on i.organizer_id = t.organizer_id and i.ticket_id = t.ticket_id
            where t.organizer_id = $1 and t.event_id = $2 and ($3::uuid is null or t.ticket_id > $3)
              and t.state in ('valid', 'blocked') and ($4 or t.attendee_name is not null or t.answers <> '{}')
            order by t.ticket_id
            limit $5"#,
        organizer,
        event,
        after,
        names,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// These tickets, in any state and order.
pub async fn of(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    tickets: &[TicketId],
) -> Result<Vec<GuestTicket>, sqlx::Error> {
    let ids: Vec<Uuid> = tickets.iter().map(|t| t.0).collect();
    sqlx::query_as!(
        GuestTicket,
        r#"select t.ticket_id, t.type_no, t.generation, t.state, t.kid, t.issued_at, t.not_before, t.expires_at,
                  t.attendee_name, t.answers, t.booking_id, i.reference as "reference?"
             from tickets t
             left join imported_tickets i on i.organizer_id = t.organizer_id and i.ticket_id = t.ticket_id
            where t.organizer_id = $1 and t.event_id = $2 and t.ticket_id = any($3)"#,
        organizer,
        event,
        &ids,
    )
    .fetch_all(conn)
    .await
}

/// Changes after the cursor up to `to`: enough for `max` tickets, if there are so many, and at most `max` of each.
pub async fn changes(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    cursor: &Cursor,
    to: u64,
    max: usize,
) -> Result<Vec<Change>, sqlx::Error> {
    let bound = |n: u64| i64::try_from(n).map_err(|e| sqlx::Error::Encode(e.into()));
    let max = i32::try_from(max).map_err(|e| sqlx::Error::Encode(e.into()))?;
    // Substrings count from 1; the change that is told in part is the next one after the cursor.
    let rows = sqlx::query!(
        r#"select change_seq, rows_in as "tickets!", case
                    when change_seq > $3 + 1 then substring(rows from 1 for $6 * 20)
                    when skip < rows_in then substring(rows from skip * 20 + 1 for $6 * 20)
                    else ''::bytea
                  end as "rows!"
             from (
               select change_seq, rows, length(rows) / 20 as rows_in, $5::integer as skip,
                      sum(length(rows) / 20) over (order by change_seq) - length(rows) / 20 as before
                 from manifest_changes
                where organizer_id = $1 and event_id = $2 and change_seq > $3 and change_seq <= $4) c
            where before < $6 + skip
            order by change_seq
            limit $6"#,
        organizer,
        event,
        bound(cursor.change_seq)?,
        bound(to)?,
        // A device made it up, if it is more than any change has: twenty times as much must not overflow.
        i32::try_from(cursor.skip).unwrap_or(i32::MAX).min(MAX_SKIP),
        max,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| Ok(Change::of_rows(number(r.change_seq)?, &r.rows, number(i64::from(r.tickets))?)))
        .collect()
}

/// A question whose answers the door sees.
#[derive(Debug, Clone)]
pub struct DoorQuestion {
    pub question_id: Uuid,
    pub label: String,
}

/// Those of the event, also those that are asked no more, in their order.
pub async fn questions(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
) -> Result<Vec<DoorQuestion>, sqlx::Error> {
    sqlx::query_as!(
        DoorQuestion,
        "select question_id, label from questions
          where organizer_id = $1 and event_id = $2 and show_at_door
          order by position, created_at, question_id",
        organizer,
        event,
    )
    .fetch_all(conn)
    .await
}
