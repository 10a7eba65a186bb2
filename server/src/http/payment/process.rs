//! `POST /payment/process`

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::refuse_begin;
use crate::app::AppState;
use crate::http::auth::Caller;
use crate::http::booking_view::{BookingJson, Relation, actor, booking_json, booking_of};
use crate::http::error::{ApiError, Problem};
use crate::http::extract::{ApiBytes, parse_json, require_json};
use crate::http::once::{Answer, Scope, Turn, once};
use crate::http::tickets::{PaymentWish, check_payment, refuse_unpaid};
use crate::selling::pay::{self, Settled};
use crate::store::booking::Booking;
use crate::store::{booking, transaction};

/// Which booking to pay, and how.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "booking_id": "0192f0c1-0000-7000-8000-000000000003",
    "payment": { "method": "simulated", "token": "tok_always_succeeds" },
}))]
pub(super) struct ProcessRequest {
    booking_id: Uuid,
    payment: PaymentWish,
}

/// Pays a held booking and issues its tickets.
///
/// By its buyer: signed in, or as a guest with the header `Booking-Secret`.
#[utoipa::path(
    post, path = "/payment/process", operation_id = "process_payment", tag = "payment",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes repeating harmless; a UUID")),
    request_body = ProcessRequest,
    security(("bearer" = []), ("booking_secret" = [])),
    responses(
        (status = 200, description = "Paid, with its tickets", body = BookingJson),
        (status = 202, description = "The payment's outcome is not known yet", body = BookingJson),
        (status = 403, description = "`forbidden`: only the buyer pays", body = Problem),
        (status = 404, body = Problem),
        (status = 409, description = "`already_paid`, `payment_in_flight`, `booking_canceled`, `request_in_flight`", body = Problem),
        (status = 410, description = "`hold_expired`", body = Problem),
        (status = 422, description = "`payment_declined`, `invalid_fields`, `idempotency_key_reused`", body = Problem),
        (status = 503, description = "`payment_provider_error`: nothing was charged", body = Problem),
    ),
)]
pub(super) async fn process(
    State(app): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    ApiBytes(body): ApiBytes,
) -> Result<Response, ApiError> {
    require_json(&headers)?;
    let request: ProcessRequest = parse_json(&body)?;
    let errors = check_payment(&app, &request.payment, "payment.");
    if !errors.is_empty() {
        return Err(ApiError::invalid(errors));
    }
    let (booking, relation) = booking_of(&app, &caller, request.booking_id).await?;
    if relation == Relation::Staff {
        return Err(ApiError::forbidden("only the buyer pays a booking"));
    }
    let organizer_id = booking.organizer_id;
    let (state, who) = (app.clone(), caller.clone());
    let run = move |turn| async move { run(&state, &who, booking, request.payment, turn).await };
    let scope = Scope { organizer_id, line: organizer_id, route: "POST /payment/process" };
    once(&app, &caller, &headers, scope, &body, run).await
}

async fn run(
    app: &AppState,
    caller: &Caller,
    booking: Booking,
    wish: PaymentWish,
    turn: Turn,
) -> Result<Answer, ApiError> {
    let settled = match begun_before(app, &booking, turn).await? {
        Some(settled) => settled,
        None => {
            let begun = pay::begin(app, &booking, turn.resource_id, &wish.method, wish.token).await;
            let payment = begun.map_err(refuse_begin)?;
            pay::drive(app, &payment, actor(caller)).await?
        }
    };
    let mut tx = app.db.tenant(booking.organizer_id).await?;
    let now = booking::find(&mut tx, booking.organizer_id, booking.booking_id).await?.unwrap_or(booking);
    tx.commit().await?;
    let json = booking_json(app, &now).await?;
    let status = match refuse_unpaid(settled, &json)? {
        StatusCode::CREATED => StatusCode::OK,
        other => other,
    };
    Answer::json(status, &json)
}

/// What became of the payment of this very request, if it was begun before.
async fn begun_before(app: &AppState, booking: &Booking, turn: Turn) -> Result<Option<Settled>, ApiError> {
    if !turn.again {
        return Ok(None);
    }
    let mut tx = app.db.tenant(booking.organizer_id).await?;
    let row = transaction::find(&mut tx, booking.organizer_id, turn.resource_id).await?;
    tx.commit().await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(match row.status.as_str() {
        "pending" => match pay::load(app, &row).await? {
            Some(mut payment) => {
                payment.attempt += 1;
                pay::drive(app, &payment, crate::selling::Actor::job()).await?
            }
            None => Settled::Elsewhere,
        },
        "failed" => Settled::Declined(row.failure_code.unwrap_or_default()),
        _ => Settled::Elsewhere,
    }))
}
