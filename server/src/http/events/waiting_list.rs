//! `/events/{id}/waiting-list`: waiting for what is sold out.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use shared::ids::TicketTypeId;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::AppState;
use crate::domain::catalog::{NotOnSale, Wish};
use crate::domain::text::is_email;
use crate::http::auth::{Caller, not_signed_in};
use crate::http::edge;
use crate::http::error::{ApiError, FieldError, Problem};
use crate::http::extract::{ApiJson, ApiPath};
use crate::selling::booking_secret;
use crate::selling::catalog::event_for_sale;
use crate::selling::purchase::Buyer;
use crate::selling::waiting::{JoinError, Joining, join as wait, leave as stop_waiting};
use crate::store::waiting::{self, Entry};

/// What to wait for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "ticket_type_id": "0192f0c1-0000-7000-8000-000000000002", "quantity": 2, "email": "guest@example.org",
}))]
pub(super) struct WaitRequest {
    ticket_type_id: Uuid,
    #[schema(minimum = 1)]
    quantity: u32,
    /// Where the offer goes. Required of guests; else the account's address.
    email: Option<String>,
}

/// A place on a waiting list.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct WaitingJson {
    /// Also the `booking_id` of the offer, once there is one.
    pub entry_id: Uuid,
    pub event_id: Uuid,
    pub ticket_type_id: Uuid,
    pub quantity: i32,
    /// `waiting`, `offered` (the booking is held until `offer_until`: pay it), `taken`, `lapsed`, `left` or `closed`.
    pub status: String,
    /// While waiting: 1 is next. Types that share a capacity share the line.
    pub place: Option<i64>,
    /// Opens this place, and later the booking, without an account. Told once, to a guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub booking_secret: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub offered_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub offer_until: Option<OffsetDateTime>,
}

/// Waits for tickets that are sold out. What becomes free is offered in the order of coming, and nobody else can buy
/// it meanwhile. An offer is a held booking; a mail says when it is there.
#[utoipa::path(
    post, path = "/events/{event_id}/waiting-list", operation_id = "join_waiting_list", tag = "events",
    params(("event_id" = Uuid, Path)), request_body = WaitRequest, security((), ("bearer" = [])),
    responses(
        (status = 201, body = WaitingJson), (status = 404, body = Problem),
        (status = 409, description = "`still_available` (buy it), `already_waiting`, `no_waiting_list`", body = Problem),
        (status = 422, description = "`not_on_sale`, `event_canceled`, `invalid_fields`", body = Problem),
    ),
)]
pub(super) async fn join(
    State(app): State<AppState>,
    caller: Caller,
    ApiPath(event_id): ApiPath<Uuid>,
    ApiJson(request): ApiJson<WaitRequest>,
) -> Result<(StatusCode, Json<WaitingJson>), ApiError> {
    if request.email.as_ref().is_some_and(|email| !is_email(email)) {
        return Err(ApiError::invalid_field("email", "invalid", "this is no e-mail address"));
    }
    let event = event_for_sale(&app, event_id).await?.ok_or_else(|| ApiError::not_found("event"))?;
    let entry_id = app.rng.uuid(&*app.clock);
    let (buyer, secret, email) = match (&caller, request.email) {
        (Caller::User(user), email) => {
            (Buyer::User(user.user_id), None, email.unwrap_or_else(|| user.email.clone()))
        }
        (_, Some(email)) => {
            let (text, hash) = booking_secret(&app, event.organizer_id.0, entry_id);
            (Buyer::Guest(hash), Some(text), email)
        }
        (_, None) => {
            return Err(ApiError::invalid_field("email", "required", "a guest says where the offer goes"));
        }
    };
    let wish = Wish { ticket_type_id: TicketTypeId(request.ticket_type_id), quantity: request.quantity };
    let joining = Joining { entry_id, event_id, wish, buyer, email, language: edge::language() };
    let (entry, place) = wait(&app, joining).await.map_err(refuse)?;
    let mut json = waiting_json(entry, Some(place));
    json.booking_secret = secret;
    Ok((StatusCode::CREATED, Json(json)))
}

/// One's place on a waiting list.
#[utoipa::path(
    get, path = "/events/{event_id}/waiting-list/{entry_id}", operation_id = "get_waiting_entry", tag = "events",
    params(("event_id" = Uuid, Path), ("entry_id" = Uuid, Path)),
    security(("bearer" = []), ("booking_secret" = [])),
    responses((status = 200, body = WaitingJson), (status = 401, body = Problem), (status = 404, body = Problem)),
)]
pub(super) async fn show(
    State(app): State<AppState>,
    caller: Caller,
    ApiPath((event_id, entry_id)): ApiPath<(Uuid, Uuid)>,
) -> Result<Response, ApiError> {
    let (organizer_id, entry) = own(&app, &caller, event_id, entry_id).await?;
    let mut tx = app.db.tenant(organizer_id).await?;
    let place = match entry.status.as_str() {
        "waiting" => Some(waiting::place(&mut tx, organizer_id, &entry).await?),
        _ => None,
    };
    tx.commit().await?;
    Ok(([(header::CACHE_CONTROL, "private, no-store")], Json(waiting_json(entry, place))).into_response())
}

/// Leaves a waiting list. An offer that was made already is given up by POST /bookings/{booking_id}/cancel.
#[utoipa::path(
    delete, path = "/events/{event_id}/waiting-list/{entry_id}", operation_id = "leave_waiting_list", tag = "events",
    params(("event_id" = Uuid, Path), ("entry_id" = Uuid, Path)),
    security(("bearer" = []), ("booking_secret" = [])),
    responses(
        (status = 204), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "`not_waiting`: an offer was made, or it is over", body = Problem),
    ),
)]
pub(super) async fn leave(
    State(app): State<AppState>,
    caller: Caller,
    ApiPath((event_id, entry_id)): ApiPath<(Uuid, Uuid)>,
) -> Result<StatusCode, ApiError> {
    let (organizer_id, entry) = own(&app, &caller, event_id, entry_id).await?;
    if stop_waiting(&app, organizer_id, &entry, "left").await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::conflict("not_waiting", "this place waits no more"))
    }
}

/// The caller's own entry.
async fn own(
    app: &AppState,
    caller: &Caller,
    event_id: Uuid,
    entry_id: Uuid,
) -> Result<(Uuid, Entry), ApiError> {
    let unknown = || ApiError::not_found("place");
    let event = event_for_sale(app, event_id).await?.ok_or_else(unknown)?;
    let organizer_id = event.organizer_id.0;
    let mut tx = match caller {
        Caller::User(user) => app.db.user(user.user_id).await?,
        Caller::Guest(guest) => app.db.guest(&guest.secret_hash).await?,
        Caller::Anonymous | Caller::System(_) => return Err(not_signed_in()),
    };
    let found = waiting::find(&mut tx, organizer_id, entry_id).await?;
    tx.commit().await?;
    let entry = found.filter(|e| e.event_id == event_id).ok_or_else(unknown)?;
    Ok((organizer_id, entry))
}

pub(in crate::http) fn waiting_json(of: Entry, place: Option<i64>) -> WaitingJson {
    WaitingJson {
        entry_id: of.entry_id,
        event_id: of.event_id,
        ticket_type_id: of.ticket_type_id,
        quantity: of.quantity,
        status: of.status,
        place,
        booking_secret: None,
        created_at: of.created_at,
        offered_at: of.offered_at,
        offer_until: of.offer_until,
    }
}

fn refuse(error: JoinError) -> ApiError {
    let text = error.to_string();
    match error {
        JoinError::NoEvent => ApiError::not_found("event"),
        JoinError::NoList => ApiError::conflict("no_waiting_list", text),
        JoinError::StillAvailable => ApiError::conflict("still_available", text),
        JoinError::AlreadyWaiting => ApiError::conflict("already_waiting", text),
        JoinError::Step(e) => e.into(),
        JoinError::NotOnSale(why) => match why {
            NotOnSale::Event => ApiError::not_found("event"),
            NotOnSale::Canceled => ApiError::unprocessable("event_canceled", text),
            NotOnSale::UnknownType { .. } => ApiError::invalid_field("ticket_type_id", "unknown", text),
            NotOnSale::Quantity { .. } | NotOnSale::TooMany { .. } | NotOnSale::PersonLimit { .. } => {
                ApiError::invalid(vec![FieldError::new("quantity", "out_of_range", text)])
            }
            _ => ApiError::unprocessable("not_on_sale", text),
        },
    }
}
