//! Questions of events, and what a purchase says before there are tickets to say it of.

use serde::Serialize;
use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::question::{Answers, Kind, Question, Seat};

/// A question as stored.
#[derive(Debug, Clone)]
pub struct StoredQuestion {
    pub question_id: Uuid,
    pub event_id: Uuid,
    pub ticket_type_id: Option<Uuid>,
    pub label: String,
    pub kind: String,
    pub choices: Vec<String>,
    pub required: bool,
    pub show_at_door: bool,
    pub position: i32,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
    pub archived_at: Option<OffsetDateTime>,
}

impl From<StoredQuestion> for Question {
    fn from(of: StoredQuestion) -> Self {
        Self {
            question_id: of.question_id,
            ticket_type_id: of.ticket_type_id,
            kind: Kind::from_column(&of.kind),
            label: of.label,
            choices: of.choices,
            required: of.required,
        }
    }
}

/// The questions of an event in their order, also those that are asked no more.
pub async fn of_event(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
) -> Result<Vec<StoredQuestion>, sqlx::Error> {
    sqlx::query_as!(
        StoredQuestion,
        "select question_id, event_id, ticket_type_id, label, kind, choices, required, show_at_door, position,
                created_at, updated_at, archived_at
           from questions where organizer_id = $1 and event_id = $2
          order by position, created_at, question_id",
        organizer_id,
        event_id,
    )
    .fetch_all(conn)
    .await
}

/// Those that are asked.
pub async fn asked(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
) -> Result<Vec<StoredQuestion>, sqlx::Error> {
    let mut all = of_event(conn, organizer_id, event_id).await?;
    all.retain(|q| q.archived_at.is_none());
    Ok(all)
}

/// Writes a question, new or changed.
pub async fn put(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    question: &StoredQuestion,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into questions (organizer_id, question_id, event_id, ticket_type_id, label, kind, choices, required,
                                show_at_door, position, created_at, updated_at, archived_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         on conflict (organizer_id, question_id) do update
            set ticket_type_id = excluded.ticket_type_id, label = excluded.label, choices = excluded.choices,
                required = excluded.required, show_at_door = excluded.show_at_door, position = excluded.position,
                updated_at = excluded.updated_at, archived_at = excluded.archived_at",
        organizer_id,
        question.question_id,
        question.event_id,
        question.ticket_type_id,
        question.label,
        question.kind,
        &question.choices,
        question.required,
        question.show_at_door,
        question.position,
        question.created_at,
        question.updated_at,
        question.archived_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Somebody who will come, by place in the booking.
#[derive(Debug, Clone, Serialize)]
pub struct NewSeat {
    pub ticket_type_id: Uuid,
    pub place: i32,
    pub name: Option<String>,
    pub answers: Answers,
}

impl From<Seat> for NewSeat {
    fn from(of: Seat) -> Self {
        Self { ticket_type_id: of.ticket_type_id, place: of.place, name: of.name, answers: of.answers }
    }
}

/// Keeps what a purchase says of who will come, until there are tickets. A second time changes nothing.
pub async fn keep(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    booking_id: Uuid,
    seats: &[NewSeat],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into booking_attendees (organizer_id, booking_id, ticket_type_id, place, name, answers, created_at)
         select $1, $2, s.ticket_type_id, s.place, s.name, s.answers, $4
           from jsonb_to_recordset($3) as s(ticket_type_id uuid, place integer, name text, answers jsonb)
         on conflict do nothing",
        organizer_id,
        booking_id,
        Json(seats) as _,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets what was said of bookings that never became tickets.
pub async fn forget(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    before: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "delete from booking_attendees where organizer_id = $1 and created_at < $2",
        organizer_id,
        before,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Says anew who comes with a ticket. False: it changed meanwhile, or lets nobody in.
pub async fn attend(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    ticket_id: Uuid,
    generation: i16,
    name: Option<&str>,
    answers: &Answers,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update tickets set attendee_name = $4, answers = $5
          where organizer_id = $1 and ticket_id = $2 and generation = $3 and state = 'valid'",
        organizer_id,
        ticket_id,
        generation,
        name,
        Json(answers) as _,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The labels of questions, also of those that are asked no more, with whether the door sees their answers.
pub async fn labels(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    questions: &[Uuid],
) -> Result<Vec<(Uuid, String, bool)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select question_id, label, show_at_door from questions
          where organizer_id = $1 and question_id = any($2) order by position, created_at, question_id",
        organizer_id,
        questions,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|r| (r.question_id, r.label, r.show_at_door)).collect())
}
