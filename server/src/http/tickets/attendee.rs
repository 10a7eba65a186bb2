//! `PUT /tickets/{id}/attendee`: who will come, and what they answer.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::hand_on::one_json;
use super::show::ticket_of;
use crate::app::AppState;
use crate::domain::question::{self as domain, Answers, Attendee, Fault, Question, Seat};
use crate::http::auth::Caller;
use crate::http::booking_view::{TicketJson, actor};
use crate::http::error::{ApiError, FieldError, Problem};
use crate::http::extract::{ApiJson, ApiPath};
use crate::http::fields::{Wrong, given};
use crate::http::guest_code::require_code;
use crate::selling::StepError;
use crate::selling::hand_on::audit_it;
use crate::store::ticket::{ChangedTicket, manifest_rows};
use crate::store::{change, event, question};

/// Somebody who will come.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AttendeeWish {
    /// Of the ticket; not needed if all are of one type.
    ticket_type_id: Option<Uuid>,
    name: Option<String>,
    /// By question (GET /events/{id} lists them): a text, one of the choices, or true or false.
    #[serde(default)]
    #[schema(value_type = Object)]
    answers: BTreeMap<Uuid, Value>,
}

/// The places of those who will come, or what is wrong with them.
pub(super) fn seats(
    questions: &[Question],
    items: &[(Uuid, u32)],
    wishes: Option<&[AttendeeWish]>,
) -> Result<Vec<Seat>, ApiError> {
    let mut wrong = Wrong::default();
    let all: Vec<Attendee> = wishes
        .unwrap_or_default()
        .iter()
        .enumerate()
        .map(|(at, wish)| Attendee {
            ticket_type_id: wish.ticket_type_id,
            name: wish.name.as_deref().map(|n| wrong.line(&format!("attendees[{at}].name"), n, 1, 200)),
            answers: wish.answers.clone(),
        })
        .collect();
    wrong.check()?;
    domain::seats(questions, items, &all).map_err(refuse)
}

fn refuse(faults: Vec<Fault>) -> ApiError {
    ApiError::invalid(faults.into_iter().map(|f| FieldError::new(f.field, f.code, f.message)).collect())
}

/// What changes of who will come.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "A Guest", "code": "012345" }))]
pub(super) struct AttendeeFields {
    /// Null: nobody is named.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    name: Option<Option<String>>,
    /// By question; null takes an answer back. What is not named stays.
    #[schema(value_type = Option<Object>)]
    answers: Option<BTreeMap<Uuid, Value>>,
    /// Of guests: the code of the mail that POST /bookings/code sent.
    code: Option<String>,
}

/// Says who will come with a ticket, and what they answer.
///
/// By its holder (guests with the code of a mail) until the event begins, by managers of its organizer at any time.
#[utoipa::path(
    put, path = "/tickets/{ticket_id}/attendee", operation_id = "update_attendee", tag = "tickets",
    params(("ticket_id" = Uuid, Path)), request_body = AttendeeFields,
    security(("bearer" = []), ("booking_secret" = [])),
    responses(
        (status = 200, body = TicketJson),
        (status = 403, description = "`code_required`, `wrong_code`", body = Problem),
        (status = 404, body = Problem),
        (status = 409, description = "`ticket_not_valid`, `event_begun`", body = Problem),
        (status = 422, body = Problem),
    ),
)]
pub(super) async fn update(
    State(app): State<AppState>,
    caller: Caller,
    ApiPath(ticket_id): ApiPath<Uuid>,
    ApiJson(fields): ApiJson<AttendeeFields>,
) -> Result<Json<TicketJson>, ApiError> {
    let found = ticket_of(&app, &caller, ticket_id).await?;
    require_code(&app, &caller, fields.code.as_deref()).await?;
    let organizer_id = found.organizer_id;
    let own = match &caller {
        Caller::User(user) => found.user_id == Some(user.user_id),
        _ => true,
    };
    let mut wrong = Wrong::default();
    let name = match &fields.name {
        None => found.attendee_name.clone(),
        Some(name) => name.as_deref().map(|n| wrong.line("name", n, 1, 200)),
    };
    wrong.check()?;
    let mut tx = app.db.tenant(organizer_id).await?;
    let event = event::find(&mut tx, organizer_id, found.event_id).await?;
    if own && event.is_some_and(|e| app.clock.now() >= e.starts_at) {
        return Err(ApiError::conflict("event_begun", "the event has begun: tell its organizer"));
    }
    let asked: Vec<Question> = question::asked(&mut tx, organizer_id, found.event_id)
        .await?
        .into_iter()
        .map(Question::from)
        .collect();
    let answers = merged(&asked, found.ticket_type_id, found.answers(), fields.answers.unwrap_or_default())?;
    let done =
        question::attend(&mut tx, organizer_id, ticket_id, found.generation, name.as_deref(), &answers)
            .await?;
    if !done {
        return Err(ApiError::conflict(
            "ticket_not_valid",
            "this ticket is blocked, revoked or somebody else's",
        ));
    }
    let detail = serde_json::json!({ "answers": answers.len() });
    audit_it(&app, &mut tx, organizer_id, ticket_id, "ticket.attendee_changed", detail, &actor(&caller))
        .await?;
    let changed = name != found.attendee_name || answers != found.answers();
    if changed {
        // Gates fetch guest records in the order of the manifest's changes.
        let same_row = ChangedTicket {
            ticket_id,
            type_no: found.type_no,
            generation: found.generation,
            state: "valid".to_owned(),
        };
        change::record(&mut tx, organizer_id, found.event_id, &manifest_rows(&[same_row]), None)
            .await
            .map_err(StepError::from)?;
    }
    tx.commit().await?;
    if changed {
        app.news.publish(found.event_id);
    }
    one_json(&app, organizer_id, ticket_id).await.map(Json)
}

/// The answers that stand afterwards. What was answered to questions that are asked no more stays.
fn merged(
    asked: &[Question],
    ticket_type: Uuid,
    before: Answers,
    changes: BTreeMap<Uuid, Value>,
) -> Result<Answers, ApiError> {
    let (taken_back, new): (Answers, Answers) = changes.into_iter().partition(|(_, value)| value.is_null());
    let new = domain::check(asked, ticket_type, &new, "answers", false).map_err(refuse)?;
    if let Some(required) = asked.iter().find(|q| q.required && taken_back.contains_key(&q.question_id)) {
        let field = format!("answers.{}", required.question_id);
        return Err(ApiError::invalid_field(&field, "required", "this must be answered"));
    }
    let mut all = before;
    all.retain(|id, _| !taken_back.contains_key(id));
    all.extend(new);
    Ok(all)
}
