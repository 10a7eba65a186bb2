//! `POST /payment/refund`

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::AppState;
use crate::domain::booking::BookingStatus;
use crate::http::auth::Caller;
use crate::http::booking_view::{BookingJson, Relation, actor, booking_json, booking_of};
use crate::http::error::{ApiError, Problem};
use crate::http::extract::{ApiBytes, parse_json, require_json};
use crate::http::once::{Answer, Scope, Turn, once};
use crate::selling::refund::{self, Refunded};
use crate::store::booking::Booking;
use crate::store::{booking, event, transaction};

/// Which booking to refund.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "booking_id": "0192f0c1-0000-7000-8000-000000000003", "reason": "could not come" }))]
pub(super) struct RefundRequest {
    booking_id: Uuid,
    /// For the records.
    #[schema(max_length = 500)]
    reason: Option<String>,
}

/// Gives the money of a whole booking back and revokes its tickets.
///
/// By owners and managers of the organizer; by the buyer's account as long as the event allows it
/// (`refundable_until`). The tickets are blocked before the provider is asked, so that nobody is refunded and
/// admitted; gates learn it with their next manifest.
#[utoipa::path(
    post, path = "/payment/refund", operation_id = "refund_payment", tag = "payment",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes repeating harmless; a UUID")),
    request_body = RefundRequest,
    security(("bearer" = [])),
    responses(
        (status = 200, description = "Refunded", body = BookingJson),
        (status = 202, description = "Begun; the provider's answer is not known yet", body = BookingJson),
        (status = 403, description = "`forbidden`, `refund_not_allowed`", body = Problem),
        (status = 404, body = Problem),
        (status = 409, description = "`already_refunded`, `refund_in_flight`, `not_paid`, `request_in_flight`", body = Problem),
        (status = 422, description = "`refund_declined`: the provider refused; the tickets are valid again", body = Problem),
    ),
)]
pub(super) async fn refund(
    State(app): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    ApiBytes(body): ApiBytes,
) -> Result<Response, ApiError> {
    require_json(&headers)?;
    let request: RefundRequest = parse_json(&body)?;
    caller.require_user()?;
    let reason = request.reason.as_deref().map(str::trim).filter(|r| !r.is_empty()).map(str::to_owned);
    if reason.as_ref().is_some_and(|r| r.chars().count() > 500 || r.contains('\0')) {
        return Err(ApiError::invalid_field("reason", "too_long", "at most 500 characters"));
    }
    let (booking, relation) = booking_of(&app, &caller, request.booking_id).await?;
    if relation == Relation::Holder {
        may_refund_oneself(&app, &booking).await?;
    }
    let organizer_id = booking.organizer_id;
    let (state, who) = (app.clone(), caller.clone());
    let run = move |turn| async move { run(&state, &who, booking, reason, turn).await };
    let scope = Scope { organizer_id, line: organizer_id, route: "POST /payment/refund" };
    once(&app, &caller, &headers, scope, &body, run).await
}

async fn may_refund_oneself(app: &AppState, booking: &Booking) -> Result<(), ApiError> {
    let mut tx = app.db.tenant(booking.organizer_id).await?;
    let event = event::find(&mut tx, booking.organizer_id, booking.event_id).await?;
    tx.commit().await?;
    match event.and_then(|e| e.refundable_until) {
        Some(until) if app.clock.now() < until => Ok(()),
        _ => Err(ApiError::forbidden_code(
            "refund_not_allowed",
            "refunds of this event are made by its organizer",
        )),
    }
}

async fn run(
    app: &AppState,
    caller: &Caller,
    booking: Booking,
    reason: Option<String>,
    turn: Turn,
) -> Result<Answer, ApiError> {
    let (organizer_id, booking_id) = (booking.organizer_id, booking.booking_id);
    let outcome = match begun_before(app, organizer_id, turn).await? {
        Some(outcome) => outcome,
        None => {
            let begun =
                refund::whole_booking(app, organizer_id, booking_id, turn.resource_id, reason, actor(caller))
                    .await?;
            match begun {
                Some(outcome) => outcome,
                None => return Err(why_not(app, organizer_id, booking_id).await?),
            }
        }
    };
    let mut tx = app.db.tenant(organizer_id).await?;
    let now = booking::find(&mut tx, organizer_id, booking_id).await?.unwrap_or(booking);
    tx.commit().await?;
    let json = booking_json(app, &now).await?;
    match outcome {
        Refunded::Done => Answer::json(StatusCode::OK, &json),
        Refunded::Pending => Answer::json(StatusCode::ACCEPTED, &json),
        Refunded::Declined(code) => Err(ApiError::unprocessable(
            "refund_declined",
            "the payment provider refused the refund; the tickets are valid again",
        )
        .with_member("decline_code", code)),
    }
}

/// What became of the refund of this very request, if it was begun before.
async fn begun_before(app: &AppState, organizer_id: Uuid, turn: Turn) -> Result<Option<Refunded>, ApiError> {
    if !turn.again {
        return Ok(None);
    }
    let mut tx = app.db.tenant(organizer_id).await?;
    let row = transaction::find(&mut tx, organizer_id, turn.resource_id).await?;
    tx.commit().await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(match row.status.as_str() {
        "pending" => refund::resume(app, &row, crate::selling::Actor::job()).await?,
        "failed" => Refunded::Declined(row.failure_code.unwrap_or_default()),
        _ => Refunded::Done,
    }))
}

async fn why_not(app: &AppState, organizer_id: Uuid, booking_id: Uuid) -> Result<ApiError, ApiError> {
    let mut tx = app.db.tenant(organizer_id).await?;
    let booking = booking::find(&mut tx, organizer_id, booking_id).await?;
    tx.commit().await?;
    Ok(match booking {
        Some(b) if b.status == BookingStatus::Refunded => {
            ApiError::conflict("already_refunded", "the booking is refunded already")
        }
        Some(b) if b.status == BookingStatus::Paid && b.total_minor > 0 => {
            ApiError::conflict("refund_in_flight", "a refund of this booking is on its way")
        }
        _ => ApiError::conflict("not_paid", "there is no money to give back"),
    })
}
