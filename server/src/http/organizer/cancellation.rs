//! `/organizer/events/{id}/cancel`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{finish, look, open};
use crate::app::AppState;
use crate::domain::catalog::EventStatus;
use crate::http::auth::Staff;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::{ApiJson, ApiPath};
use crate::http::fields::{Wrong, money};
use crate::http::page::MoneyJson;
use crate::store::cancellation as rows;
use crate::store::event;
use crate::webhooks::facts;

/// Why an event is canceled.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "The hall is under water." }))]
pub(super) struct CancelEventRequest {
    /// Told to all who hold tickets.
    reason: Option<String>,
}

/// How far the cancellation of an event is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CancellationJson {
    event_id: Uuid,
    reason: String,
    #[serde(with = "time::serde::rfc3339")]
    requested_at: OffsetDateTime,
    /// Null while there is something to do.
    #[serde(with = "time::serde::rfc3339::option")]
    finished_at: Option<OffsetDateTime>,
    /// Unpaid bookings still held: with a payment in flight, or not released yet.
    holds_left: i64,
    /// Tickets that still let in.
    tickets_left: i64,
    bookings: CancellationBookings,
    /// All that went back of this event's payments.
    refunded: MoneyJson,
    /// The first hundred bookings whose money could not be given back. POST again tries them anew.
    failures: Vec<CancellationFailure>,
}

/// Paid and free bookings, by what became of them.
#[derive(Debug, Serialize, ToSchema)]
struct CancellationBookings {
    total: i64,
    /// Still to be paid back.
    open: i64,
    refunded: i64,
    /// There was nothing to pay back.
    free: i64,
    failed: i64,
}

/// A booking whose refund was refused again and again.
#[derive(Debug, Serialize, ToSchema)]
struct CancellationFailure {
    booking_id: Uuid,
    /// The provider's word.
    code: Option<String>,
}

/// Cancels an event for good: sales end at once, and a job releases what is held, revokes all tickets (gates learn it
/// with their next manifest), writes their holders and gives all money back.
///
/// Repeating it is harmless, and tries again what could not be paid back.
#[utoipa::path(
    post, path = "/organizer/events/{event_id}/cancel", operation_id = "cancel_event", tag = "organizer",
    params(("event_id" = Uuid, Path), ("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    request_body = CancelEventRequest, security(("bearer" = [])),
    responses(
        (status = 202, description = "The event is canceled; the rest is on its way", body = CancellationJson),
        (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, description = "`invalid_fields`", body = Problem),
    ),
)]
pub(super) async fn cancel(
    State(app): State<AppState>,
    member: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
    ApiJson(request): ApiJson<CancelEventRequest>,
) -> Result<(StatusCode, Json<CancellationJson>), ApiError> {
    let mut wrong = Wrong::default();
    let reason = wrong.length("reason", request.reason.as_deref().unwrap_or_default(), 0, 1_000);
    wrong.check()?;
    let now = app.clock.now();
    let (mut tx, mut event) = open(&app, &member, event_id).await?;
    rows::begin(&mut tx, member.organizer_id, event_id, &reason, now).await?;
    if EventStatus::from_column(&event.status) == EventStatus::Canceled {
        tx.commit().await?;
    } else {
        EventStatus::Canceled.as_str().clone_into(&mut event.status);
        event.updated_at = now;
        event::update(&mut tx, &event).await?;
        let fact = facts::event_canceled(&app, &event, &reason);
        facts::tell(&mut tx, member.organizer_id, &[fact], now).await?;
        finish(&app, tx, &member, event_id, "event.canceled", ("event", event_id)).await?;
    }
    Ok((StatusCode::ACCEPTED, Json(progress(&app, &member, event_id).await?)))
}

/// How far the cancellation of an event is.
#[utoipa::path(
    get, path = "/organizer/events/{event_id}/cancel", operation_id = "get_cancellation", tag = "organizer",
    params(("event_id" = Uuid, Path), ("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    security(("bearer" = [])),
    responses(
        (status = 200, body = CancellationJson), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "`not_canceled`", body = Problem),
    ),
)]
pub(super) async fn show(
    State(app): State<AppState>,
    member: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
) -> Result<Json<CancellationJson>, ApiError> {
    progress(&app, &member, event_id).await.map(Json)
}

async fn progress(app: &AppState, member: &Staff, event_id: Uuid) -> Result<CancellationJson, ApiError> {
    let (mut tx, event) = look(app, member, event_id).await?;
    let of = rows::progress(&mut tx, member.organizer_id, event_id).await?;
    let failures = rows::failures(&mut tx, member.organizer_id, event_id).await?;
    tx.commit().await?;
    let of = of.ok_or_else(|| ApiError::conflict("not_canceled", "the event was not canceled"))?;
    let failure = |f: rows::Failure| CancellationFailure { booking_id: f.booking_id, code: f.failure };
    Ok(CancellationJson {
        event_id,
        reason: of.reason,
        requested_at: of.requested_at,
        finished_at: of.finished_at,
        holds_left: of.holds,
        tickets_left: of.tickets,
        bookings: CancellationBookings {
            total: of.unnoted + of.open + of.refunded + of.free + of.failed,
            open: of.unnoted + of.open,
            refunded: of.refunded,
            free: of.free,
            failed: of.failed,
        },
        refunded: money(of.refunded_minor, &event.currency),
        failures: failures.into_iter().map(failure).collect(),
    })
}
