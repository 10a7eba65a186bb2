//! One's bookings: looking, extending, giving up.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use time::Duration;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::Caller;
use super::booking_view::{BookingJson, Relation, actor, booking_json, booking_of, buyers_json};
use super::error::{ApiError, Problem};
use super::extract::ApiPath;
use super::once::{Answer, Scope, once};
use crate::app::AppState;
use crate::domain::booking::NotHeld;
use crate::fault;
use crate::selling::{Actor, pay};
use crate::store::audit::{self, Act};
use crate::store::booking::Booking;
use crate::store::{booking, event};

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(extend)).routes(routes!(cancel))
}

/// One booking with its tickets.
#[utoipa::path(
    get, path = "/bookings/{booking_id}", operation_id = "get_booking", tag = "bookings", params(("booking_id" = Uuid, Path)),
    security(("bearer" = []), ("booking_secret" = [])),
    responses((status = 200, body = BookingJson), (status = 401, body = Problem), (status = 404, body = Problem)),
)]
async fn show(
    State(app): State<AppState>,
    caller: Caller,
    ApiPath(booking_id): ApiPath<Uuid>,
) -> Result<Response, ApiError> {
    let (booking, relation) = booking_of(&app, &caller, booking_id).await?;
    let json = match relation {
        Relation::Holder | Relation::Guest => buyers_json(&app, &booking).await?,
        Relation::Staff => booking_json(&app, &booking).await?,
    };
    Ok(([(header::CACHE_CONTROL, "private, no-store")], Json(json)).into_response())
}

/// Holds an unpaid booking longer, once.
#[utoipa::path(
    post, path = "/bookings/{booking_id}/extend", operation_id = "extend_booking", tag = "bookings",
    params(("booking_id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header)),
    security(("bearer" = []), ("booking_secret" = [])),
    responses(
        (status = 200, body = BookingJson),
        (status = 403, description = "`forbidden`", body = Problem),
        (status = 403, description = "`forbidden`: only the buyer extends a hold", body = Problem),
        (status = 409, description = "`already_extended`, `already_paid`, `payment_in_flight`, `booking_canceled`", body = Problem),
        (status = 410, description = "`hold_expired`", body = Problem),
    ),
)]
async fn extend(
    State(app): State<AppState>,
    caller: Caller,
    ApiPath(booking_id): ApiPath<Uuid>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (booking, relation) = booking_of(&app, &caller, booking_id).await?;
    refuse_staff(relation)?;
    let (state, organizer_id) = (app.clone(), booking.organizer_id);
    let route = format!("POST /bookings/{booking_id}/extend");
    let run = move |turn: super::once::Turn| async move {
        let app = state;
        let now = app.clock.now();
        let mut tx = app.db.tenant(organizer_id).await?;
        let event = event::find(&mut tx, organizer_id, booking.event_id).await?;
        let by = Duration::seconds(event.map_or(0, |e| e.extension_secs).into());
        match booking.hold().extended(now, by) {
            Ok(held_until) => {
                if !booking::extend(&mut tx, organizer_id, booking_id, held_until, now).await? {
                    return Err(changed());
                }
            }
            // The extension is there, its answer was lost.
            Err(NotHeld::AlreadyExtended) if turn.again => {}
            Err(why) => return Err(refuse_not_held(why)),
        }
        let now = booking::find(&mut tx, organizer_id, booking_id).await?.unwrap_or(booking);
        tx.commit().await?;
        Answer::json(StatusCode::OK, &booking_json(&app, &now).await?)
    };
    let scope = Scope { organizer_id, line: organizer_id, route: &route };
    once(&app, &caller, &headers, scope, b"", run).await
}

/// Gives an unpaid booking up; its tickets are free for others at once.
#[utoipa::path(
    post, path = "/bookings/{booking_id}/cancel", operation_id = "cancel_booking", tag = "bookings",
    params(("booking_id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header)),
    security(("bearer" = []), ("booking_secret" = [])),
    responses(
        (status = 200, body = BookingJson),
        (status = 403, description = "`forbidden`", body = Problem),
        (status = 409, description = "`already_paid` (ask for a refund), `payment_in_flight`, `booking_canceled`", body = Problem),
        (status = 410, description = "`hold_expired`", body = Problem),
    ),
)]
async fn cancel(
    State(app): State<AppState>,
    caller: Caller,
    ApiPath(booking_id): ApiPath<Uuid>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (booking, _) = booking_of(&app, &caller, booking_id).await?;
    let (state, organizer_id, actor) = (app.clone(), booking.organizer_id, actor(&caller));
    let route = format!("POST /bookings/{booking_id}/cancel");
    let run = move |turn: super::once::Turn| async move {
        let app = state;
        let booking = without_payment(&app, booking, &actor).await?;
        let now = app.clock.now();
        let mut tx = app.db.tenant(organizer_id).await?;
        match booking.hold().may_cancel(now) {
            Ok(()) => {
                if !booking::cancel(&mut tx, organizer_id, booking_id, now).await? {
                    return Err(changed());
                }
                let act = Act {
                    audit_id: app.rng.uuid(&*app.clock),
                    actor_kind: actor.kind,
                    actor_id: actor.id,
                    action: "booking.canceled",
                    object_kind: "booking",
                    object_id: booking_id,
                    request_id: actor.request_id.as_deref(),
                    detail: serde_json::json!({}),
                };
                audit::record(&mut tx, organizer_id, &act, now).await?;
                fault!("cancel.written");
            }
            Err(NotHeld::Canceled) if turn.again => {}
            Err(why) => return Err(refuse_not_held(why)),
        }
        let now: Booking = booking::find(&mut tx, organizer_id, booking_id).await?.unwrap_or(booking);
        tx.commit().await?;
        fault!("cancel.done");
        Answer::json(StatusCode::OK, &booking_json(&app, &now).await?)
    };
    let scope = Scope { organizer_id, line: organizer_id, route: &route };
    once(&app, &caller, &headers, scope, b"", run).await
}

/// The booking, after a payment was ended that waits for its buyer: who gives up does not pay.
async fn without_payment(app: &AppState, booking: Booking, actor: &Actor) -> Result<Booking, ApiError> {
    if booking.hold().may_cancel(app.clock.now()) != Err(NotHeld::PaymentInFlight) {
        return Ok(booking);
    }
    let Some(payment) = pay::awaiting_action(app, &booking).await? else { return Ok(booking) };
    pay::withdraw(app, &payment, actor.clone()).await?;
    let mut tx = app.db.tenant(booking.organizer_id).await?;
    let now = booking::find(&mut tx, booking.organizer_id, booking.booking_id).await?;
    tx.commit().await?;
    Ok(now.unwrap_or(booking))
}

fn refuse_staff(relation: Relation) -> Result<(), ApiError> {
    match relation {
        Relation::Staff => Err(ApiError::forbidden("only the buyer may extend a hold")),
        Relation::Holder | Relation::Guest => Ok(()),
    }
}

/// Somebody changed the booking between our look and our write.
fn changed() -> ApiError {
    ApiError::conflict("try_again", "the booking changed at the same time; please repeat")
        .with_retry_after(std::time::Duration::from_secs(1))
}

/// Why a hold cannot be acted on, as a refusal.
pub(super) fn refuse_not_held(why: NotHeld) -> ApiError {
    let text = why.to_string();
    match why {
        NotHeld::Expired => ApiError::gone("hold_expired", text),
        NotHeld::Canceled => ApiError::conflict("booking_canceled", text),
        NotHeld::AlreadyPaid => ApiError::conflict("already_paid", text),
        NotHeld::PaymentInFlight => ApiError::conflict("payment_in_flight", text),
        NotHeld::AlreadyExtended => ApiError::conflict("already_extended", text),
    }
}
