//! `/organizer/events/{id}/clone`, and what is common to all copies of an event.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::events::{EventJson, json};
use super::{look, open, record};
use crate::app::{App, AppState};
use crate::http::auth::{Acting, Caller, Staff, Worker};
use crate::http::error::{ApiError, Problem};
use crate::http::extract::{ApiBytes, ApiPath, parse_json, require_json};
use crate::http::fields::{Instant, Wrong};
use crate::http::once::{Answer, Scope, Turn, once};
use crate::selling::StepError;
use crate::series::{Changes, MAX_ROWS, Whole};
use crate::store::{Tx, change, event};

/// What is different about the copy.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "title": "Winter concert, second night", "starts_at": "2026-12-25T19:00:00Z" }))]
pub(super) struct CloneRequest {
    /// The same without it.
    title: Option<String>,
    /// Everything else moves along with it, by the clocks at the venue.
    starts_at: Instant,
    /// Whether it gets the promo codes too, unused. False without it: who has a code for one event has none for another.
    #[serde(default)]
    promo_codes: bool,
}

/// Copies an event to another date, as a draft.
///
/// The copy has the texts, place, fees and limits, quotas (empty), ticket types under their numbers, check-in lists with
/// their rules, gates, questions and, if asked for, promo codes. Doors, end, sales windows, validities, refund limit and
/// the dates in rules move as far as the start does by the clocks at the venue, also where these are set in between. It
/// gets a slug and a ticket key of its own, and no bookings, tickets, waiting list, devices, stewards or archived parts. It
/// is no date of a series. Send an `Idempotency-Key`.
#[utoipa::path(
    post, path = "/organizer/events/{event_id}/clone", operation_id = "clone_event", tag = "organizer",
    params(
        ("event_id" = Uuid, Path), ("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes repeating harmless; a UUID"),
    ),
    request_body = CloneRequest, security(("bearer" = [])),
    responses(
        (status = 201, body = EventJson), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "`request_in_flight`", body = Problem),
        (status = 422, description = "`invalid_fields`, `idempotency_key_reused`", body = Problem),
    ),
)]
pub(super) async fn clone_event(
    State(app): State<AppState>,
    member: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
    headers: HeaderMap,
    ApiBytes(body): ApiBytes,
) -> Result<Response, ApiError> {
    require_json(&headers)?;
    let request: CloneRequest = parse_json(&body)?;
    let mut wrong = Wrong::default();
    let title = request.title.as_deref().map(|title| wrong.line("title", title, 1, 200));
    wrong.check()?;
    let (tx, _) = look(&app, &member, event_id).await?;
    tx.commit().await?;
    let (organizer_id, caller) = (member.organizer_id, caller(&member));
    let state = app.clone();
    let run = move |turn: Turn| async move {
        let app = state;
        // Locked, so that it is read as it was between two changes.
        let (mut tx, source) = open(&app, &member, event_id).await?;
        if turn.again
            && let Some(made) = event::find(&mut tx, organizer_id, turn.resource_id).await?
        {
            return Answer::json(StatusCode::CREATED, &json(made));
        }
        let whole = Whole::read(&mut tx, source, request.promo_codes).await?;
        fits(&whole, 1, "promo_codes")?;
        let changes =
            Changes { event_id: turn.resource_id, starts_at: request.starts_at.0, title, series_id: None };
        let copy = whole.copy(&app, changes, app.clock.now());
        let copy = copy.map_err(|e| ApiError::invalid_field("starts_at", "conflict", e.to_string()))?;
        write(&app, &mut tx, &member, &copy, event_id).await?;
        tx.commit().await?;
        Answer::json(StatusCode::CREATED, &json(copy.event))
    };
    let route = format!("POST /organizer/events/{event_id}/clone");
    let scope = Scope { organizer_id, line: event_id, route: &route };
    once(&app, &caller, &headers, scope, &body, run).await
}

/// Who calls, for what counts by caller.
pub(super) fn caller(member: &Staff) -> Caller {
    match &member.who {
        Worker::Member(user, _) => Caller::User(user.clone()),
        Worker::System(system) => Caller::System(system.clone()),
    }
}

/// 422 for more than one request writes.
pub(super) fn fits(whole: &Whole, copies: usize, field: &str) -> Result<(), ApiError> {
    if whole.rows().saturating_mul(copies) <= MAX_ROWS {
        return Ok(());
    }
    let most = MAX_ROWS / whole.rows().max(1);
    Err(ApiError::invalid_field(
        field,
        "too_large",
        format!("the event is so large that one request copies it {most} times at most"),
    ))
}

/// Writes a copy and what is to be known of it. As with every event its first change is that it was made.
pub(super) async fn write(
    app: &App,
    tx: &mut Tx,
    acting: &impl Acting,
    copy: &Whole,
    source: Uuid,
) -> Result<(), ApiError> {
    let (organizer_id, event_id) = (copy.event.organizer_id, copy.event.event_id);
    copy.write(tx, app).await?;
    let detail = serde_json::json!({ "source": source });
    record(app, tx, acting, "event.cloned", ("event", event_id), detail).await?;
    change::record(tx, organizer_id, event_id, &[], None).await.map_err(StepError::from)?;
    Ok(())
}
