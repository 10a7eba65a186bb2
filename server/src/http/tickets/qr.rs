//! `GET /tickets/{id}/qr.svg` and `qr.png`: the code as a picture, QR version 6-M with a quiet zone of four.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::show::ticket_of;
use crate::app::AppState;
use crate::documents::qr::Symbol;
use crate::http::auth::Caller;
use crate::http::booking_view::code_of;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::{ApiPath, ApiQuery};

const DEFAULT_SCALE: usize = 8;
const MAX_SCALE: usize = 40;

/// How large.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct PictureQuery {
    /// Pixels of a module, 2 to 40; the picture has 49 modules a side with its quiet zone. 8 without it: 392 pixels.
    #[param(minimum = 2, maximum = 40)]
    scale: Option<usize>,
}

impl PictureQuery {
    fn scale(&self) -> Result<usize, ApiError> {
        match self.scale.unwrap_or(DEFAULT_SCALE) {
            scale @ 2..=MAX_SCALE => Ok(scale),
            _ => Err(ApiError::bad_request("invalid_query", format!("scale is 2 to {MAX_SCALE}"))),
        }
    }
}

/// The code as SVG.
#[utoipa::path(
    get, path = "/tickets/{ticket_id}/qr.svg", operation_id = "get_ticket_qr_svg", tag = "tickets",
    params(("ticket_id" = Uuid, Path), PictureQuery),
    security(("bearer" = []), ("booking_secret" = [])),
    responses(
        (status = 200, description = "The picture", content_type = "image/svg+xml", body = String),
        (status = 404, body = Problem),
        (status = 409, description = "`ticket_not_valid`", body = Problem),
    ),
)]
pub(super) async fn svg(
    State(app): State<AppState>,
    caller: Caller,
    ApiPath(ticket_id): ApiPath<Uuid>,
    ApiQuery(query): ApiQuery<PictureQuery>,
) -> Result<Response, ApiError> {
    let scale = query.scale()?;
    let text = symbol(&app, &caller, ticket_id).await?.svg(scale);
    Ok(([(header::CONTENT_TYPE, "image/svg+xml"), PRIVATE], text).into_response())
}

/// The code as PNG, black on white.
#[utoipa::path(
    get, path = "/tickets/{ticket_id}/qr.png", operation_id = "get_ticket_qr_png", tag = "tickets",
    params(("ticket_id" = Uuid, Path), PictureQuery),
    security(("bearer" = []), ("booking_secret" = [])),
    responses(
        (status = 200, description = "The picture", content_type = "image/png", body = Vec<u8>),
        (status = 404, body = Problem),
        (status = 409, description = "`ticket_not_valid`", body = Problem),
    ),
)]
pub(super) async fn png(
    State(app): State<AppState>,
    caller: Caller,
    ApiPath(ticket_id): ApiPath<Uuid>,
    ApiQuery(query): ApiQuery<PictureQuery>,
) -> Result<Response, ApiError> {
    let scale = query.scale()?;
    let bytes = symbol(&app, &caller, ticket_id).await?.png(scale).map_err(ApiError::internal)?;
    Ok(([(header::CONTENT_TYPE, "image/png"), PRIVATE], bytes).into_response())
}

pub(super) const PRIVATE: (header::HeaderName, &str) = (header::CACHE_CONTROL, "private, no-store");

async fn symbol(app: &AppState, caller: &Caller, ticket_id: Uuid) -> Result<Symbol, ApiError> {
    let ticket = ticket_of(app, caller, ticket_id).await?;
    let state = if ticket.state == "valid" { "imported" } else { &ticket.state };
    let text = code_of(app, &ticket).await?.ok_or_else(|| not_valid(state))?;
    Symbol::of(&text).map_err(ApiError::internal)
}

/// 409 for a ticket that lets nobody in.
pub(super) fn not_valid(state: &str) -> ApiError {
    ApiError::conflict("ticket_not_valid", format!("this ticket is {state} and has no code"))
}
