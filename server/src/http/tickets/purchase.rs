//! `POST /tickets/purchase`

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use shared::ids::TicketTypeId;
use utoipa::ToSchema;
use uuid::Uuid;

use super::attendee::{AttendeeWish, seats};
use crate::app::AppState;
use crate::domain::booking::BookingStatus;
use crate::domain::catalog::{NotOnSale, Wish};
use crate::domain::promo::{CodeRefused, is_code};
use crate::domain::question::Seat;
use crate::domain::text::is_email;
use crate::domain::ticket::code_text;
use crate::http::auth::Caller;
use crate::http::booking_view::{BookingJson, ItemJson, TicketJson, actor, booking_secret, buyers_json};
use crate::http::edge;
use crate::http::error::{ApiError, FieldError, Problem};
use crate::http::extract::{ApiBytes, parse_json, require_json};
use crate::http::fields::money;
use crate::http::once::{Answer, Scope, Turn, once_ahead};
use crate::selling::gateway;
use crate::selling::issue::IssuedTicket;
use crate::selling::keys;
use crate::selling::once::Ahead;
use crate::selling::pay::{self, PayBy, Settled};
use crate::selling::purchase::{Buyer, Order, PurchaseError, PurchaseResult, Purchased, purchase as buy};
use crate::selling::waiting_room::{NotAdmitted, Place};
use crate::store::question::{self, NewSeat};
use crate::store::{booking, transaction};

/// What to buy, and how to pay.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "event_id": "0192f0c1-0000-7000-8000-000000000001",
    "items": [{ "ticket_type_id": "0192f0c1-0000-7000-8000-000000000002", "quantity": 2 }],
    "email": "guest@example.org",
    "payment": { "method": "simulated", "token": "tok_always_succeeds" },
}))]
pub(super) struct PurchaseRequest {
    pub(super) event_id: Uuid,
    /// One item per ticket type.
    pub(super) items: Vec<ItemWish>,
    /// Where the tickets go. Required of guests; else the account's address.
    email: Option<String>,
    /// Lowers the price, or opens hidden ticket types. Upper and lower case are the same.
    pub(super) promo_code: Option<String>,
    /// Of events with a waiting room: the token of POST /events/{event_id}/queue, once it is let in.
    queue_token: Option<String>,
    /// Who will come, one for each ticket. Needed if the organizer asks something (GET /events/{id}).
    attendees: Option<Vec<AttendeeWish>>,
    /// Pays in the same call. Without it the booking is held, and paid by POST /payment/process.
    payment: Option<PaymentWish>,
}

/// One item.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ItemWish {
    pub(super) ticket_type_id: Uuid,
    #[schema(minimum = 1)]
    pub(super) quantity: u32,
}

impl ItemWish {
    pub(super) fn wish(&self) -> Wish {
        Wish { ticket_type_id: TicketTypeId(self.ticket_type_id), quantity: self.quantity }
    }
}

/// How to pay.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct PaymentWish {
    /// `stripe`, where the organizer or the server has an account; `simulated` where nobody has.
    #[schema(example = "simulated")]
    pub method: String,
    /// The provider's reference to a means of payment, never a card number. Stripe: a PaymentMethod, `pm_…`.
    /// Simulated: `tok_always_succeeds`, `tok_declined`, `tok_insufficient_funds`, `tok_error`, `tok_timeout`,
    /// `tok_slow`, `tok_requires_action`, `tok_action_failed`, `tok_action_abandoned`, `tok_refund_declined`,
    /// `tok_refund_pending`, `tok_refund_error`; none or `tok_random` succeeds 9 times of 10.
    #[schema(example = "tok_always_succeeds")]
    pub token: Option<String>,
}

/// Buys tickets: holds them, or pays in the same call.
///
/// As a guest (no sign-in; `email` required) or with an account. Capacity is taken at once or not at all: never
/// one ticket too many. Unpaid, the booking is held until `held_until`. A guest's answer carries
/// `booking_secret`, this once. If the payment is declined (422 `payment_declined`) the tickets stay held: the
/// problem's member `booking` says which and until when; pay by POST /payment/process. Send an
/// `Idempotency-Key` (a UUID): repeating the request is then harmless.
#[utoipa::path(
    post, path = "/tickets/purchase", operation_id = "purchase_tickets", tag = "tickets",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes repeating harmless; a UUID")),
    request_body = PurchaseRequest,
    security((), ("bearer" = [])),
    responses(
        (status = 201, description = "Held, or paid with its tickets", body = BookingJson),
        (status = 403, description = "`place_needed`, `place_unknown`, `not_admitted_yet`, `place_over`: the event has a waiting room", body = Problem),
        (status = 202, description = "Held; the payment's outcome is not known yet: look at GET /bookings/{id}. With `transaction.next_action` the buyer has to do something first", body = BookingJson),
        (status = 404, description = "`not_found`: no such event", body = Problem),
        (status = 409, description = "`sold_out`, `person_limit`, `promo_code_used_up`, `place_used`, `request_in_flight`", body = Problem),
        (status = 422, description = "`payment_declined`, `not_on_sale`, `event_canceled`, `promo_code_invalid`, `invalid_fields`, `idempotency_key_reused`", body = Problem),
        (status = 503, description = "`payment_provider_error`: nothing was charged, the booking stays held", body = Problem),
    ),
)]
pub(super) async fn purchase(
    State(app): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    ApiBytes(body): ApiBytes,
) -> Result<Response, ApiError> {
    require_json(&headers)?;
    let request: PurchaseRequest = parse_json(&body)?;
    check(&caller, &request)?;
    let event = crate::selling::catalog::event_for_sale(&app, request.event_id)
        .await?
        .ok_or_else(|| ApiError::not_found("event"))?;
    let bought: Vec<(Uuid, u32)> = request.items.iter().map(|i| (i.ticket_type_id, i.quantity)).collect();
    let seats = seats(&event.questions, &bought, request.attendees.as_deref())?;
    let organizer_id = event.organizer_id.0;
    let by = match &request.payment {
        Some(wish) => Some(pay_by(&app, organizer_id, wish).await?),
        None => None,
    };
    let (state, who) = (app.clone(), caller.clone());
    let asked = Arc::new((request, by, seats));
    let run = move |turn, key| {
        let (state, who, asked) = (state.clone(), who.clone(), Arc::clone(&asked));
        async move { run(&state, &who, organizer_id, &asked, turn, key).await }
    };
    let scope = Scope { organizer_id, line: event.event_id.0, route: "POST /tickets/purchase" };
    once_ahead(&app, &caller, &headers, scope, &body, run).await
}

fn check(caller: &Caller, request: &PurchaseRequest) -> Result<(), ApiError> {
    let mut errors = Vec::new();
    match (&request.email, caller) {
        (Some(email), _) if !is_email(email) => {
            errors.push(FieldError::new("email", "invalid", "this is no e-mail address"));
        }
        (None, Caller::Anonymous | Caller::Guest(_) | Caller::System(_)) => {
            errors.push(FieldError::new("email", "required", "a guest says where the tickets go"));
        }
        _ => {}
    }
    errors.extend(wrong_items(request));
    if let Some(payment) = &request.payment {
        errors.extend(check_payment(payment, "payment."));
    }
    if errors.is_empty() { Ok(()) } else { Err(ApiError::invalid(errors)) }
}

/// What is wrong with the shopping list.
fn wrong_items(request: &PurchaseRequest) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if request.items.len() > 50 {
        errors.push(FieldError::new("items", "too_many", "at most 50 items"));
    }
    if request.promo_code.as_ref().is_some_and(|code| !is_code(code.trim())) {
        errors.push(FieldError::new("promo_code", "invalid", "this is no promo code"));
    }
    errors
}

/// 422 unless the shopping list can be priced.
pub(super) fn check_items(request: &PurchaseRequest) -> Result<(), ApiError> {
    let errors = wrong_items(request);
    if errors.is_empty() { Ok(()) } else { Err(ApiError::invalid(errors)) }
}

/// What is wrong with a payment's fields.
pub(in crate::http) fn check_payment(payment: &PaymentWish, prefix: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let token = payment.token.as_deref().unwrap_or_default();
    if token.len() > 255 {
        errors.push(FieldError::new(format!("{prefix}token"), "too_long", "at most 255 characters"));
    }
    let digits = token.chars().filter(char::is_ascii_digit).count();
    if token.contains('\0') || (digits >= 12 && token.chars().all(|c| c.is_ascii_digit() || " -".contains(c)))
    {
        let message = "a token is the provider's reference; card numbers must never be sent here";
        errors.push(FieldError::new(format!("{prefix}token"), "invalid", message));
    }
    errors
}

/// Through whom it is paid; 422 for a method that the organizer does not take.
pub(in crate::http) async fn pay_by(
    app: &AppState,
    organizer_id: Uuid,
    wish: &PaymentWish,
) -> Result<PayBy, ApiError> {
    let gateway = gateway::for_payment(app, organizer_id, &wish.method).await?.ok_or_else(|| {
        ApiError::invalid_field(
            "payment.method",
            "unknown",
            "the organizer does not take this payment method",
        )
    })?;
    Ok(PayBy { provider: wish.method.clone(), account_id: gateway.account_id, token: wish.token.clone() })
}

async fn run(
    app: &AppState,
    caller: &Caller,
    organizer_id: Uuid,
    (request, payment, seats): &(PurchaseRequest, Option<PayBy>, Vec<Seat>),
    turn: Turn,
    key: Option<Ahead>,
) -> Result<Answer, ApiError> {
    let booking_id = turn.resource_id;
    let (buyer, secret, email) = match caller {
        Caller::User(user) => {
            (Buyer::User(user.user_id), None, request.email.clone().or_else(|| Some(user.email.clone())))
        }
        Caller::Anonymous | Caller::Guest(_) | Caller::System(_) => {
            let (text, guest) = booking_secret(app, organizer_id, booking_id);
            (Buyer::Guest(guest.secret_hash), Some(text), request.email.clone())
        }
    };
    if turn.again
        && let Some(answer) = resume(app, caller, organizer_id, booking_id, payment, secret.as_ref()).await?
    {
        return Ok(answer);
    }
    let person = match caller {
        Caller::User(user) => user.email.clone(),
        _ => email.clone().unwrap_or_default(),
    };
    let place = match &request.queue_token {
        Some(token) => Some(admitted(app, request.event_id, token)?),
        None => None,
    };
    let order = Order {
        booking_id,
        event_id: request.event_id,
        buyer,
        wishes: request.items.iter().map(ItemWish::wish).collect(),
        email: email.clone(),
        language: edge::language(),
        mail: true,
        person,
        promo_code: request.promo_code.clone(),
        place,
        payment: payment.clone(),
        actor: actor(caller),
        key,
    };
    if !seats.is_empty() {
        // Before the hold, so that no ticket is ever issued without them.
        let seats: Vec<NewSeat> = seats.iter().cloned().map(NewSeat::from).collect();
        let mut tx = app.db.tenant(organizer_id).await?;
        question::keep(&mut tx, organizer_id, booking_id, &seats, app.clock.now()).await?;
        tx.commit().await?;
        let done = buy(app, order).await.map_err(|e| refuse(e, &request.items))?;
        return attended(app, organizer_id, booking_id, done, secret).await;
    }
    let done = buy(app, order).await.map_err(|e| refuse(e, &request.items))?;
    answer(app, organizer_id, booking_id, done, secret, email).await
}

/// A purchase that was begun before: goes on with its booking, if there is one.
async fn resume(
    app: &AppState,
    caller: &Caller,
    organizer_id: Uuid,
    booking_id: Uuid,
    payment: &Option<PayBy>,
    secret: Option<&String>,
) -> Result<Option<Answer>, ApiError> {
    let mut tx = app.db.tenant(organizer_id).await?;
    let found = booking::find(&mut tx, organizer_id, booking_id).await?;
    let movements = transaction::of_booking(&mut tx, organizer_id, booking_id).await?;
    tx.commit().await?;
    let Some(booking) = found else { return Ok(None) };
    let settled = match (booking.status, payment, movements.last()) {
        (BookingStatus::Held, Some(_), Some(last)) if last.status == "pending" => {
            match pay::load(app, last).await? {
                Some(mut payment) => {
                    payment.attempt += 1;
                    Some(pay::drive(app, &payment, actor(caller)).await?)
                }
                None => None,
            }
        }
        (BookingStatus::Held, Some(_), Some(last))
            if last.failed_by.is_some() && !last.failed_at_provider() =>
        {
            last.failure_code.clone().map(Settled::Declined)
        }
        (BookingStatus::Held, Some(by), Some(_)) => {
            let payment_id = app.rng.uuid(&*app.clock);
            let begun = pay::begin(app, &booking, payment_id, by.clone()).await;
            let payment = begun.map_err(crate::http::payment::refuse_begin)?;
            Some(pay::drive(app, &payment, actor(caller)).await?)
        }
        (BookingStatus::Held, _, None) if booking.total_minor == 0 => {
            let mut tx = app.db.tenant(organizer_id).await?;
            let lines = booking::lines(&mut tx, organizer_id, booking_id).await?;
            tx.commit().await?;
            let free = crate::selling::issue::IssueOrder {
                organizer_id,
                event_id: booking.event_id,
                booking_id,
                paid: None,
                lots: pay::lots(&lines),
                actor: actor(caller),
                mail: true,
            };
            crate::selling::issue::issue(app, free).await?;
            None
        }
        _ => None,
    };
    let mut tx = app.db.tenant(organizer_id).await?;
    let now = booking::find(&mut tx, organizer_id, booking_id).await?.unwrap_or(booking);
    tx.commit().await?;
    let mut json = buyers_json(app, &now).await?;
    json.booking_secret = secret.cloned();
    let status = match settled {
        Some(settled) => refuse_unpaid(settled, &json)?,
        None => StatusCode::CREATED,
    };
    Answer::json(status, &json).map(Some)
}

async fn answer(
    app: &AppState,
    organizer_id: Uuid,
    booking_id: Uuid,
    done: Purchased,
    secret: Option<String>,
    email: Option<String>,
) -> Result<Answer, ApiError> {
    let (tickets, settled) = match &done.result {
        PurchaseResult::Held => (&[][..], None),
        PurchaseResult::Paid(tickets) => (tickets.as_slice(), None),
        PurchaseResult::Unpaid(settled) => (&[][..], Some(settled.clone())),
    };
    if let Some(Settled::Elsewhere | Settled::TooLate | Settled::ActionNeeded) = settled {
        // Another hand was quicker, or the provider said more than is at hand: say what is stored.
        let mut tx = app.db.tenant(organizer_id).await?;
        let now = booking::find(&mut tx, organizer_id, booking_id).await?;
        tx.commit().await?;
        let mut json = buyers_json(app, &now.ok_or_else(|| ApiError::not_found("booking"))?).await?;
        json.booking_secret = secret;
        let status = refuse_unpaid(settled.unwrap_or(Settled::Elsewhere), &json)?;
        return Answer::json(status, &json);
    }
    let codes = codes(app, &done, tickets).await?;
    let json = fresh_json(booking_id, &done, codes, secret, email);
    let status = match settled {
        None => StatusCode::CREATED,
        Some(settled) => refuse_unpaid(settled, &json)?,
    };
    Answer::json(status, &json)
}

/// A purchase that says who will come, as it stands in the database.
async fn attended(
    app: &AppState,
    organizer_id: Uuid,
    booking_id: Uuid,
    done: Purchased,
    secret: Option<String>,
) -> Result<Answer, ApiError> {
    let mut tx = app.db.tenant(organizer_id).await?;
    let now = booking::find(&mut tx, organizer_id, booking_id).await?;
    tx.commit().await?;
    let mut json = buyers_json(app, &now.ok_or_else(|| ApiError::not_found("booking"))?).await?;
    json.booking_secret = secret;
    let status = match done.result {
        PurchaseResult::Unpaid(settled) => refuse_unpaid(settled, &json)?,
        PurchaseResult::Held | PurchaseResult::Paid(_) => StatusCode::CREATED,
    };
    Answer::json(status, &json)
}

/// The texts of the codes of just issued tickets.
async fn codes(
    app: &AppState,
    done: &Purchased,
    tickets: &[IssuedTicket],
) -> Result<Vec<(IssuedTicket, String)>, ApiError> {
    let (organizer, event) = (done.event.organizer_id, done.event.event_id);
    let purpose = crate::domain::keys::Purpose::Ticket;
    let opened = keys::opened(app, organizer.0, purpose, Some(event.0)).await?;
    let text = |ticket: &IssuedTicket| {
        let key = opened
            .of_kid(ticket.facts.kid)
            .ok_or_else(|| ApiError::internal(anyhow::anyhow!("the ticket key is gone")))?;
        Ok((*ticket, code_text(key, organizer, event, &ticket.facts)))
    };
    tickets.iter().map(text).collect()
}

/// A just made booking from what is at hand, without asking the database again.
fn fresh_json(
    booking_id: Uuid,
    done: &Purchased,
    tickets: Vec<(IssuedTicket, String)>,
    secret: Option<String>,
    email: Option<String>,
) -> BookingJson {
    let event = &done.event;
    let amount = |minor| money(minor, event.currency.as_str());
    let name = |id: Uuid| {
        event.types.iter().find(|t| t.ticket_type_id.0 == id).map(|t| t.name.clone()).unwrap_or_default()
    };
    let paid = matches!(done.result, PurchaseResult::Paid(_));
    let items = done.quote.lines.iter().map(|line| ItemJson {
        ticket_type_id: line.ticket_type_id.0,
        name: name(line.ticket_type_id.0),
        quantity: line.quantity,
        unit_total: amount(line.unit.total_minor().unwrap_or_default()),
    });
    let ticket = |(ticket, code): (IssuedTicket, String)| {
        let facts = ticket.facts;
        TicketJson {
            ticket_id: facts.ticket_id.0,
            booking_id,
            event_id: event.event_id.0,
            ticket_type_id: ticket.ticket_type_id,
            ticket_type: name(ticket.ticket_type_id),
            state: "valid".to_owned(),
            generation: facts.generation,
            attendee_name: None,
            answers: Vec::new(),
            transferred: false,
            replaced_by: None,
            code: Some(code),
            qr_svg: format!("/tickets/{}/qr.svg", facts.ticket_id),
            qr_png: format!("/tickets/{}/qr.png", facts.ticket_id),
            issued_at: facts.issued_at,
            not_before: facts.not_before,
            expires_at: facts.expires_at,
        }
    };
    BookingJson {
        booking_id,
        booking_secret: secret,
        event_id: event.event_id.0,
        event_title: event.title.clone(),
        status: if paid { BookingStatus::Paid } else { BookingStatus::Held },
        items: items.collect(),
        price: amount(done.quote.sum.price_minor),
        fee: amount(done.quote.sum.fee_minor),
        tax: amount(done.quote.sum.tax_minor),
        total: amount(done.quote.total_minor),
        discount: amount(done.quote.discount_minor),
        refunded: amount(0),
        payment_methods: None,
        card: None,
        held_until: done.held_until,
        created_at: done.created_at,
        paid_at: paid.then_some(done.created_at),
        email,
        transaction: None,
        tickets: tickets.into_iter().map(ticket).collect(),
    }
}

/// The status of a payment's outcome, or the refusal that it is; `booking` as it stands.
pub(in crate::http) fn refuse_unpaid(
    settled: Settled,
    booking: &BookingJson,
) -> Result<StatusCode, ApiError> {
    let member = || serde_json::to_value(booking).map_err(ApiError::internal);
    match settled {
        Settled::Paid(_) | Settled::Elsewhere => Ok(StatusCode::CREATED),
        Settled::Pending | Settled::ActionNeeded => Ok(StatusCode::ACCEPTED),
        Settled::Declined(code) => Err(ApiError::unprocessable(
            "payment_declined",
            "the payment was declined; the tickets stay held, try another means of payment",
        )
        .with_member("decline_code", code)
        .with_member("booking", member()?)),
        Settled::Failed(code) => Err(ApiError::unavailable(
            "payment_provider_error",
            "the payment provider failed and nothing was charged; the tickets stay held, please repeat",
            std::time::Duration::from_secs(5),
        )
        .with_member("decline_code", code)
        .with_member("booking", member()?)),
        Settled::TooLate => Err(too_late()),
    }
}

/// 410: the money came after the hold.
pub(in crate::http) fn too_late() -> ApiError {
    ApiError::gone(
        "hold_expired",
        "the payment arrived after the hold had expired and nothing was left; the money goes back",
    )
}

pub(super) fn refuse(error: PurchaseError, items: &[ItemWish]) -> ApiError {
    let item = |at: usize, part: &str| format!("items[{at}]{part}");
    match error {
        PurchaseError::NoEvent => ApiError::not_found("event"),
        PurchaseError::SoldOut { item: at } => {
            ApiError::conflict("sold_out", "there are not that many tickets left").with_errors(vec![
                FieldError::new(item(at.min(items.len()), ""), "sold_out", "not that many are left"),
            ])
        }
        // Of no matter: whose turn it is answers.
        PurchaseError::NotYourTurn => ApiError::conflict("request_in_flight", "somebody else is at it"),
        PurchaseError::Unsettled => ApiError::unavailable(
            "busy",
            "the event is being changed; please repeat",
            std::time::Duration::from_secs(1),
        ),
        PurchaseError::Step(e) => e.into(),
        PurchaseError::NotOnSale(why) => {
            let text = why.to_string();
            match why {
                NotOnSale::Event => ApiError::not_found("event"),
                NotOnSale::Canceled => ApiError::unprocessable("event_canceled", text),
                NotOnSale::Over => ApiError::unprocessable("not_on_sale", text),
                NotOnSale::Empty => ApiError::invalid_field("items", "required", text),
                NotOnSale::UnknownType { item: at } => {
                    ApiError::invalid_field(&item(at, ".ticket_type_id"), "unknown", text)
                }
                NotOnSale::Repeated { item: at } => {
                    ApiError::invalid_field(&item(at, ".ticket_type_id"), "repeated", text)
                }
                NotOnSale::NotYet { item: at } | NotOnSale::NoLonger { item: at } => ApiError::unprocessable(
                    "not_on_sale",
                    text.clone(),
                )
                .with_errors(vec![FieldError::new(item(at, ".ticket_type_id"), "not_on_sale", text)]),
                NotOnSale::Quantity { item: at, .. } => {
                    ApiError::invalid_field(&item(at, ".quantity"), "out_of_range", text)
                }
                NotOnSale::TooMany { .. } => ApiError::invalid_field("items", "too_many", text),
                NotOnSale::Overflow => ApiError::invalid_field("items", "out_of_range", text),
                NotOnSale::Queued { item: at } => {
                    ApiError::conflict("sold_out", text).with_errors(vec![FieldError::new(
                        item(at, ""),
                        "waiting_list",
                        "POST /events/{event_id}/waiting-list",
                    )])
                }
                NotOnSale::PersonLimit { .. } => ApiError::conflict("person_limit", text),
                NotOnSale::PlaceUsed => ApiError::conflict("place_used", text),
                NotOnSale::PlaceNeeded => ApiError::forbidden_code("place_needed", text),
                NotOnSale::Code(why) => refuse_code(why),
            }
        }
    }
}

/// The place in the waiting room that a token names, if it is let in.
fn admitted(app: &AppState, event_id: Uuid, token: &str) -> Result<i64, ApiError> {
    let place = Place::of_token(app, event_id, token);
    let admitted = place.and_then(|place| place.check(app.clock.now()).map(|()| place.place));
    admitted.map_err(|why| {
        let text = why.to_string();
        match why {
            NotAdmitted::Unknown => ApiError::forbidden_code("place_unknown", text),
            NotAdmitted::Over => ApiError::forbidden_code("place_over", text),
            NotAdmitted::NotYet(wait) => ApiError::forbidden_code("not_admitted_yet", text)
                .with_retry_after(wait.try_into().unwrap_or(std::time::Duration::from_secs(60))),
        }
    })
}

/// Why a promo code is of no use, as a refusal.
fn refuse_code(why: CodeRefused) -> ApiError {
    let text = why.to_string();
    let field = |code| vec![FieldError::new("promo_code", code, text.clone())];
    match why {
        CodeRefused::Unknown => {
            ApiError::unprocessable("promo_code_invalid", text.clone()).with_errors(field("unknown"))
        }
        CodeRefused::NotYet => {
            ApiError::unprocessable("promo_code_invalid", text.clone()).with_errors(field("not_yet"))
        }
        CodeRefused::Over => {
            ApiError::unprocessable("promo_code_invalid", text.clone()).with_errors(field("over"))
        }
        CodeRefused::NotForThese => {
            ApiError::unprocessable("promo_code_invalid", text.clone()).with_errors(field("not_for_these"))
        }
        CodeRefused::UsedUp => {
            ApiError::conflict("promo_code_used_up", text.clone()).with_errors(field("used_up"))
        }
        CodeRefused::UsedByYou => {
            ApiError::conflict("promo_code_used_up", text.clone()).with_errors(field("used_by_you"))
        }
    }
}
