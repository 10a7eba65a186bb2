//! `/organizer/events/{id}/complimentary`: tickets given away; and who waits for what.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use shared::ids::TicketTypeId;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::look;
use crate::app::AppState;
use crate::domain::catalog::{NotGivable, Wish};
use crate::domain::text::is_email;
use crate::http::auth::{Acting as _, Caller, Staff, Worker};
use crate::http::booking_view::{BookingJson, actor, booking_json};
use crate::http::edge;
use crate::http::error::{ApiError, Problem};
use crate::http::events::{WaitingJson, waiting_json};
use crate::http::extract::{ApiBytes, ApiPath, ApiQuery, parse_json, require_json};
use crate::http::fields::Wrong;
use crate::http::once::{Answer, Scope, Turn, once};
use crate::http::page::{Page, PageQuery};
use crate::selling::booking_secret;
use crate::selling::gift::{Gift, GiftError, give as give_away};
use crate::selling::waiting::leave;
use crate::store::complimentary::{self, Listed};
use crate::store::{booking, waiting};

const LIST: &str = "complimentary";
const WAITING: &str = "organizer_waiting_list";

/// Tickets to give away.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "ticket_type_id": "0192f0c1-0000-7000-8000-000000000002", "quantity": 2, "email": "guest@example.org",
    "note": "Sponsor",
}))]
pub(super) struct GiftRequest {
    ticket_type_id: Uuid,
    #[schema(minimum = 1, maximum = 100)]
    quantity: u32,
    /// Who gets them: a mail with a link goes there.
    email: String,
    /// Why, for one's own eyes.
    note: Option<String>,
}

/// Tickets that were given away.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GiftJson {
    booking_id: Uuid,
    ticket_type_id: Uuid,
    quantity: i32,
    email: Option<String>,
    note: String,
    given_by: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

/// Gives tickets away: they cost nothing, take capacity like others, and go by mail to whom they are given.
///
/// Hidden types, sales windows and limits do not matter; room does. Send an `Idempotency-Key`.
#[utoipa::path(
    post, path = "/organizer/events/{event_id}/complimentary", operation_id = "give_tickets", tag = "organizer",
    params(("event_id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header, description = "Makes repeating harmless; a UUID")),
    request_body = GiftRequest, security(("bearer" = [])),
    responses(
        (status = 201, body = BookingJson), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "`sold_out`, `event_canceled`, `hold_expired`, `request_in_flight`", body = Problem),
        (status = 422, description = "`invalid_fields`, `idempotency_key_reused`", body = Problem),
        (status = 503, description = "`busy`: please repeat", body = Problem),
    ),
)]
pub(super) async fn give(
    State(app): State<AppState>,
    member: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
    headers: HeaderMap,
    ApiBytes(body): ApiBytes,
) -> Result<Response, ApiError> {
    require_json(&headers)?;
    let request: GiftRequest = parse_json(&body)?;
    let mut wrong = Wrong::default();
    wrong.within("quantity", request.quantity, 1, 100);
    if !is_email(&request.email) {
        wrong.note("email", "invalid", "this is no e-mail address");
    }
    let note = wrong.length("note", request.note.as_deref().unwrap_or_default(), 0, 500);
    wrong.check()?;
    let (tx, _) = look(&app, &member, event_id).await?;
    tx.commit().await?;
    let (organizer_id, (_, given_by)) = (member.organizer_id, member.actor());
    let caller = match member.who {
        Worker::Member(user, _) => Caller::User(user),
        Worker::System(system) => Caller::System(system),
    };
    let (state, actor) = (app.clone(), actor(&caller));
    let run = move |turn: Turn| async move {
        let app = state;
        let booking_id = turn.resource_id;
        let (_, secret_hash) = booking_secret(&app, organizer_id, booking_id);
        let wish = Wish { ticket_type_id: TicketTypeId(request.ticket_type_id), quantity: request.quantity };
        let email = request.email;
        let language = edge::language();
        let gift = Gift { booking_id, event_id, wish, email, language, note, given_by, secret_hash, actor };
        give_away(&app, gift).await.map_err(refuse)?;
        let mut tx = app.db.tenant(organizer_id).await?;
        let made = booking::find(&mut tx, organizer_id, booking_id).await?;
        tx.commit().await?;
        let made = made.ok_or_else(|| ApiError::not_found("booking"))?;
        Answer::json(StatusCode::CREATED, &booking_json(&app, &made).await?)
    };
    let route = format!("POST /organizer/events/{event_id}/complimentary");
    let scope = Scope { organizer_id, line: event_id, route: &route };
    once(&app, &caller, &headers, scope, &body, run).await
}

fn refuse(error: GiftError) -> ApiError {
    let text = error.to_string();
    match error {
        GiftError::NoEvent => ApiError::not_found("event"),
        GiftError::SoldOut => ApiError::conflict("sold_out", text),
        GiftError::Gone => ApiError::conflict("hold_expired", text),
        GiftError::Unsettled => ApiError::unavailable("busy", text, std::time::Duration::from_secs(1)),
        GiftError::NotGivable(NotGivable::Canceled) => ApiError::conflict("event_canceled", text),
        GiftError::NotGivable(NotGivable::UnknownType) => {
            ApiError::invalid_field("ticket_type_id", "unknown", text)
        }
        GiftError::NotGivable(NotGivable::Over) => ApiError::invalid_field("ticket_type_id", "over", text),
        GiftError::Step(e) => e.into(),
    }
}

/// What was given away, the latest first.
#[utoipa::path(
    get, path = "/organizer/events/{event_id}/complimentary", operation_id = "list_given_tickets", tag = "organizer",
    params(("event_id" = Uuid, Path), PageQuery), security(("bearer" = [])),
    responses((status = 200, body = Page<GiftJson>), (status = 403, body = Problem), (status = 404, body = Problem)),
)]
pub(super) async fn list(
    State(app): State<AppState>,
    member: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<GiftJson>>, ApiError> {
    let (after, limit) = (query.after(LIST)?, query.limit());
    let (mut tx, _) = look(&app, &member, event_id).await?;
    let gifts = complimentary::list(&mut tx, member.organizer_id, event_id, after, limit + 1).await?;
    tx.commit().await?;
    let json = |of: Listed| GiftJson {
        booking_id: of.booking_id,
        ticket_type_id: of.ticket_type_id,
        quantity: of.quantity,
        email: of.email,
        note: of.note,
        given_by: of.given_by,
        created_at: of.created_at,
    };
    Ok(Json(Page::of(LIST, limit, gifts, |g| (g.created_at, g.booking_id), json)))
}

/// Somebody on the waiting list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WaiterJson {
    #[serde(flatten)]
    entry: WaitingJson,
    email: String,
}

/// Who waits, waited, and got what they waited for; the first to come first.
#[utoipa::path(
    get, path = "/organizer/events/{event_id}/waiting-list", operation_id = "list_waiting", tag = "organizer",
    params(("event_id" = Uuid, Path), PageQuery), security(("bearer" = [])),
    responses((status = 200, body = Page<WaiterJson>), (status = 403, body = Problem), (status = 404, body = Problem)),
)]
pub(super) async fn waiting_list(
    State(app): State<AppState>,
    member: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<WaiterJson>>, ApiError> {
    let after = query.after::<(u32, u64)>(WAITING)?.map_or(0, |(_, last)| last.cast_signed());
    let limit = query.limit();
    let organizer_id = member.organizer_id;
    let (mut tx, _) = look(&app, &member, event_id).await?;
    let entries = waiting::list(&mut tx, organizer_id, event_id, after, limit + 1).await?;
    let mut places = std::collections::HashMap::new();
    for entry in entries.iter().filter(|e| e.status == "waiting") {
        places.insert(entry.entry_id, waiting::place(&mut tx, organizer_id, entry).await?);
    }
    tx.commit().await?;
    let json = |of: waiting::Entry| WaiterJson {
        email: of.email.clone(),
        entry: {
            let place = places.get(&of.entry_id).copied();
            waiting_json(of, place)
        },
    };
    Ok(Json(Page::of(WAITING, limit, entries, |e| (0_u32, e.line_no.cast_unsigned()), json)))
}

/// Takes somebody out of the line.
#[utoipa::path(
    delete, path = "/organizer/events/{event_id}/waiting-list/{entry_id}", operation_id = "remove_waiting", tag = "organizer",
    params(("event_id" = Uuid, Path), ("entry_id" = Uuid, Path)), security(("bearer" = [])),
    responses(
        (status = 204), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "`not_waiting`: an offer was made, or it is over", body = Problem),
    ),
)]
pub(super) async fn remove_waiting(
    State(app): State<AppState>,
    member: Staff,
    ApiPath((event_id, entry_id)): ApiPath<(Uuid, Uuid)>,
) -> Result<StatusCode, ApiError> {
    let (mut tx, _) = look(&app, &member, event_id).await?;
    let found = waiting::find(&mut tx, member.organizer_id, entry_id).await?;
    tx.commit().await?;
    let entry =
        found.filter(|e| e.event_id == event_id).ok_or_else(|| ApiError::not_found("waiting entry"))?;
    if leave(&app, member.organizer_id, &entry, "closed").await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::conflict("not_waiting", "this place waits no more"))
    }
}
