//! `/events/{id}/queue`: the waiting room of an event that many want to buy at once.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::AppState;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::ApiPath;
use crate::selling::catalog;
use crate::selling::waiting_room::{ADMITTED_FOR, NotAdmitted, Place, arrive};

/// A place in a waiting room.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct QueuePlaceJson {
    /// Send it as `queue_token` of POST /tickets/purchase once it is admitted; it buys once.
    queue_token: String,
    /// 1 is the first who ever came.
    place: i64,
    /// How many are let in before.
    ahead: i64,
    admitted: bool,
    /// When it is let in, or was.
    #[serde(with = "time::serde::rfc3339")]
    admitted_at: OffsetDateTime,
    /// First moment at which it lets in no more.
    #[serde(with = "time::serde::rfc3339")]
    admitted_until: OffsetDateTime,
}

/// Takes the next place in the waiting room.
#[utoipa::path(
    post, path = "/events/{event_id}/queue", operation_id = "join_queue", tag = "events", params(("event_id" = Uuid, Path)),
    security((), ("bearer" = [])),
    responses(
        (status = 201, body = QueuePlaceJson), (status = 404, body = Problem),
        (status = 409, description = "`no_waiting_room`: buy without", body = Problem),
    ),
)]
pub(super) async fn join(
    State(app): State<AppState>,
    ApiPath(event_id): ApiPath<Uuid>,
) -> Result<Response, ApiError> {
    let (organizer_id, per_minute) = room(&app, event_id).await?;
    let place = arrive(&app, organizer_id, event_id, per_minute).await?;
    Ok((StatusCode::CREATED, json(&app, place, per_minute)).into_response())
}

/// How far one's place is; the token in the header `Queue-Token`.
#[utoipa::path(
    get, path = "/events/{event_id}/queue", operation_id = "get_queue_place", tag = "events",
    params(("event_id" = Uuid, Path), ("Queue-Token" = Option<String>, Header, description = "The token of POST")),
    security((), ("bearer" = [])),
    responses(
        (status = 200, body = QueuePlaceJson),
        (status = 404, description = "`not_found`: no such event, or no place of it", body = Problem),
        (status = 409, description = "`no_waiting_room`: buy without", body = Problem),
    ),
)]
pub(super) async fn show(
    State(app): State<AppState>,
    ApiPath(event_id): ApiPath<Uuid>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (_, per_minute) = room(&app, event_id).await?;
    let token = headers.get("queue-token").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let place =
        Place::of_token(&app, event_id, token).map_err(|_: NotAdmitted| ApiError::not_found("place"))?;
    Ok(([(header::CACHE_CONTROL, "private, no-store")], json(&app, place, per_minute)).into_response())
}

async fn room(app: &AppState, event_id: Uuid) -> Result<(Uuid, u32), ApiError> {
    let event = catalog::event_for_sale(app, event_id).await?;
    let event = event
        .filter(|e| e.status == crate::domain::catalog::EventStatus::Published)
        .ok_or_else(|| ApiError::not_found("event"))?;
    match event.admit_per_minute {
        Some(per_minute) => Ok((event.organizer_id.0, per_minute)),
        None => Err(ApiError::conflict("no_waiting_room", "this event has no waiting room")),
    }
}

fn json(app: &AppState, place: Place, per_minute: u32) -> Json<QueuePlaceJson> {
    let now = app.clock.now();
    Json(QueuePlaceJson {
        queue_token: place.token(app),
        place: place.place,
        ahead: place.ahead(per_minute, now),
        admitted: place.check(now).is_ok(),
        admitted_at: place.admitted_at,
        admitted_until: place.admitted_at + ADMITTED_FOR,
    })
}
