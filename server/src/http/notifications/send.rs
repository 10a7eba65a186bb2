//! `POST /notifications/send`: an organizer writes to those who come.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::AppState;
use crate::auth::limit::{Daily, Refused};
use crate::http::auth::{Acting as _, Caller, Staff, Worker};
use crate::http::edge;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::{ApiBytes, parse_json, require_json};
use crate::http::fields::Wrong;
use crate::http::once::{Answer, Scope, Turn, once};
use crate::store::audit::{self, Act};
use crate::store::message::{self, Message};
use crate::store::outbox::{self, NewMail};
use crate::store::{event, ticket_type};

/// What a message is.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum MessageType {
    /// What holders must know: another entrance, a changed time. Its mail cannot be switched off.
    EventChanges,
    /// What they may like to know. Goes to those who did not switch messages off.
    Messages,
}

impl MessageType {
    const fn kind(self) -> &'static str {
        match self {
            Self::EventChanges => "message.event",
            Self::Messages => "message.news",
        }
    }
}

/// Whom.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Audience {
    event_id: Uuid,
    /// Only holders of tickets of these types; without it all.
    #[serde(default)]
    #[schema(max_items = 100)]
    ticket_type_ids: Vec<Uuid>,
}

#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "type": "event_changes", "audience": { "event_id": "01936f2e-0000-7000-8000-000000000000" },
    "subject": "The doors open at seven", "body": "Come by the entrance in the yard."
}))]
pub(super) struct NewMessage {
    #[serde(rename = "type")]
    message_type: MessageType,
    audience: Audience,
    #[schema(min_length = 1, max_length = 200)]
    subject: String,
    /// Plain text; an empty line begins a new paragraph.
    #[schema(min_length = 1, max_length = 5000)]
    body: String,
}

/// A message on its way.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MessageJson {
    message_id: Uuid,
    event_id: Uuid,
    /// Addresses that it goes to, each once.
    recipients: i32,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

/// Writes to the holders of an event's tickets.
///
/// Each address once: who holds a ticket now, or bought it. A limited number of messages a day and organizer.
#[utoipa::path(
    post, path = "/notifications/send", operation_id = "send_notification", tag = "notifications",
    params(
        ("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes repeating harmless; a UUID"),
    ),
    security(("bearer" = [])), request_body = NewMessage,
    responses(
        (status = 202, description = "On its way", body = MessageJson),
        (status = 401, body = Problem),
        (status = 403, description = "`forbidden`, `not_a_member`, `not_an_organizer`, `scope_required`: `notifications.send`", body = Problem),
        (status = 404, description = "`not_found`: no such event", body = Problem),
        (status = 409, description = "`request_in_flight`", body = Problem),
        (status = 422, description = "`invalid_fields`, `invalid_body`, `idempotency_key_reused`", body = Problem),
        (status = 429, description = "`rate_limited`, with Retry-After", body = Problem),
    ),
)]
pub(super) async fn send(
    State(app): State<AppState>,
    staff: Staff,
    headers: HeaderMap,
    ApiBytes(body): ApiBytes,
) -> Result<Response, ApiError> {
    require_json(&headers)?;
    let message: NewMessage = parse_json(&body)?;
    let mut wrong = Wrong::default();
    let subject = wrong.line("subject", &message.subject, 1, 200);
    let text = wrong.length("body", &message.body, 1, 5_000);
    if message.audience.ticket_type_ids.len() > 100 {
        wrong.note("audience.ticket_type_ids", "too_many", "at most 100");
    }
    wrong.check()?;
    let message = NewMessage { subject, body: text, ..message };
    let organizer_id = staff.organizer_id;
    let caller = match &staff.who {
        Worker::Member(user, _) => Caller::User(user.clone()),
        Worker::System(system) => Caller::System(system.clone()),
    };
    let scope = Scope { organizer_id, line: organizer_id, route: "POST /notifications/send" };
    let state = app.clone();
    let run = move |turn| async move { run(&state, &staff, &message, turn).await };
    once(&app, &caller, &headers, scope, &body, run).await
}

async fn run(app: &AppState, staff: &Staff, new: &NewMessage, turn: Turn) -> Result<Answer, ApiError> {
    let (organizer_id, now) = (staff.organizer_id, app.clock.now());
    let (event_id, types) = (new.audience.event_id, &new.audience.ticket_type_ids);
    let mut tx = app.db.tenant(organizer_id).await?;
    if turn.again
        && let Some(done) = message::find(&mut tx, organizer_id, turn.resource_id).await?
    {
        return answer(&done);
    }
    let event = event::find(&mut tx, organizer_id, event_id).await?;
    let event = event.ok_or_else(|| ApiError::not_found("event"))?;
    let known = ticket_type::of_event(&mut tx, organizer_id, event_id).await?;
    if let Some(at) = types.iter().position(|id| !known.iter().any(|t| t.ticket_type_id == *id)) {
        let field = format!("audience.ticket_type_ids[{at}]");
        return Err(ApiError::invalid_field(&field, "unknown", "the event has no such ticket type"));
    }
    tx.commit().await?;
    count(app, organizer_id).await?;
    let (actor_kind, actor_id) = staff.actor();
    let mut tx = app.db.tenant(organizer_id).await?;
    let to = message::holders(&mut tx, organizer_id, event_id, types).await?;
    let to: Vec<_> = to.into_iter().map(|r| (app.rng.uuid(&*app.clock), r)).collect();
    let message = Message {
        message_id: turn.resource_id,
        event_id,
        kind: new.message_type.kind().to_owned(),
        subject: new.subject.clone(),
        body: new.body.clone(),
        ticket_type_ids: types.clone(),
        recipients: i32::try_from(to.len()).map_err(ApiError::internal)?,
        sent_by: actor_id,
        created_at: now,
    };
    message::insert(&mut tx, organizer_id, &message).await?;
    let facts = json!({ "event": event.title, "subject": message.subject, "body": message.body });
    let mail = NewMail {
        id: message.message_id,
        kind: &message.kind,
        recipient: "",
        organizer_id: Some(organizer_id),
        language: "en",
        facts: &facts,
        sealed_facts: None,
        expires_at: None,
    };
    outbox::enqueue_many(&mut tx, &mail, event_id, &to, now).await?;
    let (request_id, _) = edge::current();
    let act = Act {
        audit_id: app.rng.uuid(&*app.clock),
        actor_kind,
        actor_id: Some(actor_id),
        action: "message.sent",
        object_kind: "message",
        object_id: message.message_id,
        request_id: Some(&request_id),
        detail: json!({ "event_id": event_id, "kind": message.kind, "recipients": message.recipients }),
    };
    audit::record(&mut tx, organizer_id, &act, now).await?;
    tx.commit().await?;
    answer(&message)
}

/// Messages of an organizer are counted by the day.
async fn count(app: &AppState, organizer_id: Uuid) -> Result<(), ApiError> {
    let limit = Daily { name: "messages", max: app.config.messages_per_day };
    let mut tx = app.db.platform().await?;
    match limit.attempt(&mut tx, &*app.clock, &organizer_id.to_string()).await {
        Ok(_) => {}
        Err(Refused::TooMany { retry_after }) => return Err(ApiError::too_many(retry_after)),
        Err(Refused::Database(e)) => return Err(e.into()),
    }
    tx.commit().await?;
    Ok(())
}

fn answer(message: &Message) -> Result<Answer, ApiError> {
    let json = MessageJson {
        message_id: message.message_id,
        event_id: message.event_id,
        recipients: message.recipients,
        created_at: message.created_at,
    };
    Answer::json(StatusCode::ACCEPTED, &json)
}
