//! `POST /payment/process`

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{refuse_begin, tries};
use crate::app::AppState;
use crate::domain::booking::NotHeld;
use crate::http::auth::Caller;
use crate::http::booking_view::{BookingJson, Relation, actor, booking_of, buyers_json};
use crate::http::error::{ApiError, Problem};
use crate::http::extract::{ApiBytes, parse_json, require_json};
use crate::http::once::{Answer, Scope, Turn, once};
use crate::http::tickets::{PaymentWish, check_payment, pay_by, refuse_unpaid};
use crate::selling::Actor;
use crate::selling::pay::{self, PayBy, Settled};
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
/// By its buyer: signed in, or as a guest with the header `Booking-Secret`. If the bank wants the buyer to confirm, the
/// answer is 202 with `transaction.next_action`; afterwards the same call (under a new key) asks the provider at once,
/// and one with another token ends that payment and begins anew. However often it is called, a booking is paid once.
#[utoipa::path(
    post, path = "/payment/process", operation_id = "process_payment", tag = "payment",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes repeating harmless; a UUID")),
    request_body = ProcessRequest,
    security(("bearer" = []), ("booking_secret" = [])),
    responses(
        (status = 200, description = "Paid, with its tickets", body = BookingJson),
        (status = 202, description = "The payment's outcome is not known yet; with `transaction.next_action` the buyer has to do something first", body = BookingJson),
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
    let errors = check_payment(&request.payment, "payment.");
    if !errors.is_empty() {
        return Err(ApiError::invalid(errors));
    }
    let (booking, relation) = booking_of(&app, &caller, request.booking_id).await?;
    if relation == Relation::Staff {
        return Err(ApiError::forbidden("only the buyer pays a booking"));
    }
    let organizer_id = booking.organizer_id;
    let by = pay_by(&app, organizer_id, &request.payment).await?;
    let (state, who) = (app.clone(), caller.clone());
    let run = move |turn| async move { run(&state, &who, booking, by, turn).await };
    let scope = Scope { organizer_id, line: organizer_id, route: "POST /payment/process" };
    once(&app, &caller, &headers, scope, &body, run).await
}

async fn run(
    app: &AppState,
    caller: &Caller,
    booking: Booking,
    by: PayBy,
    turn: Turn,
) -> Result<Answer, ApiError> {
    let settled = match begun_before(app, &booking, turn).await? {
        Before::Settled(settled) => settled,
        Before::Not { payment_id } => begin(app, &booking, payment_id, by, actor(caller)).await?,
    };
    let mut tx = app.db.tenant(booking.organizer_id).await?;
    let now = booking::find(&mut tx, booking.organizer_id, booking.booking_id).await?.unwrap_or(booking);
    tx.commit().await?;
    let json = buyers_json(app, &now).await?;
    let status = match refuse_unpaid(settled, &json)? {
        StatusCode::CREATED => StatusCode::OK,
        other => other,
    };
    Answer::json(status, &json)
}

/// Begins the payment. If another one waits for something that its buyer had to do, the buyer has come back: with the
/// same means it is asked whether that was done, with another it is ended first.
async fn begin(
    app: &AppState,
    booking: &Booking,
    payment_id: Uuid,
    by: PayBy,
    actor: Actor,
) -> Result<Settled, ApiError> {
    let mut booking = booking.clone();
    let in_flight = booking.hold().may_pay(app.clock.now()) == Err(NotHeld::PaymentInFlight);
    if in_flight && let Some(waiting) = pay::awaiting_action(app, &booking).await? {
        let same = waiting.by.provider == by.provider && (by.token.is_none() || by.token == waiting.by.token);
        let settled = match same {
            true => pay::drive(app, &waiting, actor.clone()).await?,
            false => pay::withdraw(app, &waiting, actor.clone()).await?,
        };
        if same || !matches!(settled, Settled::Declined(_)) {
            return Ok(settled);
        }
        let mut tx = app.db.tenant(booking.organizer_id).await?;
        let now = booking::find(&mut tx, booking.organizer_id, booking.booking_id).await?;
        tx.commit().await?;
        booking = now.unwrap_or(booking);
    }
    let payment = pay::begin(app, &booking, payment_id, by).await.map_err(refuse_begin)?;
    Ok(pay::drive(app, &payment, actor).await?)
}

/// What became of this very request before.
enum Before {
    Settled(Settled),
    /// It made no payment yet, or none that came to anything: this one is its next.
    Not {
        payment_id: Uuid,
    },
}

async fn begun_before(app: &AppState, booking: &Booking, turn: Turn) -> Result<Before, ApiError> {
    let mut tries = tries(turn.resource_id);
    let first = tries.next().unwrap_or(turn.resource_id);
    if !turn.again {
        return Ok(Before::Not { payment_id: first });
    }
    for payment_id in std::iter::once(first).chain(tries) {
        let mut tx = app.db.tenant(booking.organizer_id).await?;
        let row = transaction::find(&mut tx, booking.organizer_id, payment_id).await?;
        tx.commit().await?;
        let Some(row) = row else { return Ok(Before::Not { payment_id }) };
        return Ok(Before::Settled(match row.status.as_str() {
            "pending" => match pay::load(app, &row).await? {
                Some(mut payment) => {
                    payment.attempt += 1;
                    pay::drive(app, &payment, Actor::job()).await?
                }
                None => Settled::Elsewhere,
            },
            // The provider's trouble of then is over, or will be told again.
            "failed" if row.failed_at_provider() => continue,
            "failed" => Settled::Declined(row.failure_code.unwrap_or_default()),
            _ => Settled::Elsewhere,
        }));
    }
    Ok(Before::Settled(Settled::Failed("provider_error".to_owned())))
}
