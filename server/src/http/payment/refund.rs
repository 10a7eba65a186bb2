//! `POST /payment/refund`

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::tries;
use crate::app::AppState;
use crate::domain::refund::{NotRefundable, What, Wish};
use crate::http::auth::Caller;
use crate::http::booking_view::{BookingJson, Relation, actor, booking_json, booking_of};
use crate::http::error::{ApiError, Problem};
use crate::http::extract::{ApiBytes, parse_json, require_json};
use crate::http::fields::Wrong;
use crate::http::once::{Answer, Scope, Turn, once};
use crate::http::page::MoneyJson;
use crate::selling::refund::{self, BeginError, Refunded};
use crate::store::booking::Booking;
use crate::store::{booking, event, transaction};

/// What to refund: with neither `items` nor `amount` all that is left of the booking.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "booking_id": "0192f0c1-0000-7000-8000-000000000003",
    "items": [{ "ticket_type_id": "0192f0c1-0000-7000-8000-000000000002", "quantity": 1 }],
    "reason": "could not come",
}))]
pub(super) struct RefundRequest {
    booking_id: Uuid,
    /// Single tickets, for what they cost with their fee and tax.
    #[schema(min_items = 1, max_items = 200)]
    items: Option<Vec<RefundItem>>,
    /// So much, and no ticket: less than what is left. By the organizer alone.
    amount: Option<MoneyJson>,
    /// For the records.
    #[schema(max_length = 500)]
    reason: Option<String>,
}

/// A ticket, or so many of one type.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RefundItem {
    ticket_id: Option<Uuid>,
    ticket_type_id: Option<Uuid>,
    /// With a type; 1 without it.
    #[schema(minimum = 1)]
    quantity: Option<u32>,
}

/// Gives money of a booking back, all that is left of it or a part, and revokes the tickets that it is for.
///
/// By owners and managers of the organizer; by the buyer's account as long as the event allows it
/// (`refundable_until`), and not for tickets that have let somebody in. Parts add up to exactly what was paid, tax and fees included. The tickets are blocked before the provider is asked, so that nobody is refunded and
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
        (status = 409, description = "`already_refunded`, `refund_in_flight`, `not_paid`, `already_admitted`, `request_in_flight`", body = Problem),
        (status = 422, description = "`refund_declined`, `refund_too_large`, `nothing_to_refund`, `invalid_fields`, `idempotency_key_reused`: after a decline the tickets are valid again", body = Problem),
        (status = 503, description = "`payment_provider_error`: nothing went back, the tickets are valid again", body = Problem),
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
    let what = what(&request, &booking)?;
    if relation == Relation::Holder {
        may_refund_oneself(&app, &booking).await?;
        if matches!(what, What::Amount(_)) {
            return Err(ApiError::forbidden("only the organizer gives back an amount without a ticket"));
        }
    }
    let asker = booking.user_id.filter(|_| relation == Relation::Holder);
    let organizer_id = booking.organizer_id;
    let (state, who) = (app.clone(), caller.clone());
    let wanted = Wanted { what, reason, asker };
    let run = move |turn| async move { run(&state, &who, booking, wanted, turn).await };
    let scope = Scope { organizer_id, line: organizer_id, route: "POST /payment/refund" };
    once(&app, &caller, &headers, scope, &body, run).await
}

struct Wanted {
    what: What,
    reason: Option<String>,
    asker: Option<Uuid>,
}

fn what(request: &RefundRequest, booking: &Booking) -> Result<What, ApiError> {
    let mut wrong = Wrong::default();
    let what = match (&request.items, &request.amount) {
        (None, None) => What::Whole,
        (Some(_), Some(_)) => {
            wrong.note("amount", "conflict", "either items or an amount");
            What::Whole
        }
        (None, Some(amount)) => {
            let minor = wrong.amount("amount", amount, &booking.currency);
            if minor < 1 {
                wrong.note("amount.amount_minor", "out_of_range", "at least 1");
            }
            What::Amount(minor)
        }
        (Some(items), None) => {
            if items.is_empty() || items.len() > 200 {
                wrong.note("items", "out_of_range", "1 to 200 items");
            }
            let wish = |(at, item): (usize, &RefundItem)| match (item.ticket_id, item.ticket_type_id) {
                (Some(ticket_id), None) if item.quantity.is_none_or(|n| n == 1) => {
                    Some(Wish::One { ticket_id })
                }
                (None, Some(ticket_type_id)) => {
                    let quantity = item.quantity.unwrap_or(1);
                    if quantity == 0 {
                        wrong.note(format!("items[{at}].quantity"), "out_of_range", "at least 1");
                    }
                    Some(Wish::OfType { ticket_type_id, quantity })
                }
                _ => {
                    let message = "a ticket_id, or a ticket_type_id with a quantity";
                    wrong.note(format!("items[{at}]"), "invalid", message);
                    None
                }
            };
            What::Tickets(items.iter().enumerate().filter_map(wish).collect())
        }
    };
    wrong.check()?;
    Ok(what)
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
    wanted: Wanted,
    turn: Turn,
) -> Result<Answer, ApiError> {
    let (organizer_id, booking_id) = (booking.organizer_id, booking.booking_id);
    let outcome = match begun_before(app, organizer_id, turn).await? {
        Before::Ended(outcome) => outcome,
        Before::Not { refund_id } => {
            let Wanted { what, reason, asker } = wanted;
            let request = refund::Request { organizer_id, booking_id, refund_id, what, reason, asker };
            match refund::refund(app, request, actor(caller)).await {
                Ok(outcome) => outcome,
                Err(why) => return Err(refuse(app, organizer_id, booking_id, why).await?),
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
        Refunded::Failed(code) => Err(ApiError::unavailable(
            "payment_provider_error",
            "the payment provider failed and nothing went back; the tickets are valid again, please repeat",
            std::time::Duration::from_secs(5),
        )
        .with_member("decline_code", code)),
    }
}

/// What became of this very request before.
enum Before {
    Ended(Refunded),
    /// It made no refund yet, or none that came to anything: this one is its next.
    Not {
        refund_id: Uuid,
    },
}

async fn begun_before(app: &AppState, organizer_id: Uuid, turn: Turn) -> Result<Before, ApiError> {
    if !turn.again {
        return Ok(Before::Not { refund_id: turn.resource_id });
    }
    for refund_id in tries(turn.resource_id) {
        let mut tx = app.db.tenant(organizer_id).await?;
        let row = transaction::find(&mut tx, organizer_id, refund_id).await?;
        tx.commit().await?;
        let Some(mut row) = row else { return Ok(Before::Not { refund_id }) };
        return Ok(Before::Ended(match row.status.as_str() {
            "pending" => {
                row.attempts += 1;
                refund::resume(app, &row, crate::selling::Actor::job()).await?
            }
            "failed" if row.failed_at_provider() => continue,
            "failed" => Refunded::Declined(row.failure_code.unwrap_or_default()),
            _ => Refunded::Done,
        }));
    }
    Ok(Before::Ended(Refunded::Failed("provider_error".to_owned())))
}

async fn refuse(
    app: &AppState,
    organizer_id: Uuid,
    booking_id: Uuid,
    why: BeginError,
) -> Result<ApiError, ApiError> {
    let item = |at: usize, code: &'static str, text: String| {
        ApiError::invalid_field(&format!("items[{at}]"), code, text)
    };
    let text = why.to_string();
    Ok(match why {
        BeginError::Step(e) => e.into(),
        BeginError::NotPaid => ApiError::conflict("not_paid", "there is no money to give back"),
        BeginError::Admitted => ApiError::conflict("already_admitted", text),
        BeginError::NotRefundable(why) => match why {
            NotRefundable::NothingLeft => nothing_left(app, organizer_id, booking_id).await?,
            NotRefundable::HandedOn => ApiError::forbidden_code("refund_not_allowed", text),
            NotRefundable::Free => ApiError::unprocessable("nothing_to_refund", text),
            NotRefundable::TooMuch { left_minor } => {
                ApiError::unprocessable("refund_too_large", text).with_member("left_minor", left_minor)
            }
            NotRefundable::NoSuchTicket { item: at } => item(at, "unknown", text),
            NotRefundable::NotSoMany { item: at } => item(at, "out_of_range", text),
            NotRefundable::Repeated { item: at } => item(at, "repeated", text),
        },
    })
}

/// The money went back, or is on its way, or there never was any.
async fn nothing_left(app: &AppState, organizer_id: Uuid, booking_id: Uuid) -> Result<ApiError, ApiError> {
    let mut tx = app.db.tenant(organizer_id).await?;
    let all = transaction::of_booking(&mut tx, organizer_id, booking_id).await?;
    tx.commit().await?;
    let refund = |status: &str| all.iter().any(|t| t.kind == "refund" && t.status == status);
    Ok(if refund("pending") {
        ApiError::conflict("refund_in_flight", "a refund of this booking is on its way")
    } else if refund("completed") {
        ApiError::conflict("already_refunded", "the booking is refunded already")
    } else {
        ApiError::conflict("not_paid", "there is no money to give back")
    })
}
