//! `GET /gates/guest-records`: who comes, sealed to the codes; in plain for the box office.

use axum::extract::{FromRequestParts, State};
use serde::Deserialize;
use shared::wire::guests::{GuestPage, MAX_CURSOR_BYTES};
use utoipa::IntoParams;

use super::CborBody;
use super::manifest::device_of;
use crate::app::AppState;
use crate::gates::guests::{self, GuestsError};
use crate::http::error::ApiError;
use crate::http::extract::ApiQuery;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct GuestsQuery {
    /// Of the last page, in hex; without one, or with one that means nothing any more, all records come.
    #[param(max_length = 128)]
    cursor: Option<String>,
}

/// Guest records that changed since the cursor, page by page. Sealed, so that only the ticket's own code opens them; names
/// in plain beside that for devices of the box office.
#[utoipa::path(get, path = "/gates/guest-records", operation_id = "gate_guest_records", tag = "gates", params(GuestsQuery), security(("device_signature" = [])),
    responses((status = 200, content_type = "application/cbor", body = Vec<u8>, description = "GuestPage of docs/PROTOCOL.md"),
              (status = 401, body = crate::http::Problem, description = "`clock_skew`: carries the signed time"),
              (status = 403, body = crate::http::Problem, description = "`device_revoked`, `certificate_expired`"),
              (status = 409, body = crate::http::Problem, description = "`event_not_ready`")))]
pub(super) async fn guest_records(
    State(app): State<AppState>,
    request: axum::extract::Request,
) -> Result<CborBody<GuestPage>, ApiError> {
    let (mut parts, body) = request.into_parts();
    let query = ApiQuery::<GuestsQuery>::from_request_parts(&mut parts, &app).await;
    let signed = device_of(&app, axum::extract::Request::from_parts(parts, body)).await?;
    let ApiQuery(query) = query?;
    signed.require_active(app.clock.now())?;
    let cursor = query.cursor.filter(|c| c.len() <= 2 * MAX_CURSOR_BYTES);
    let cursor = cursor.and_then(|c| hex::decode(c).ok()).unwrap_or_default();
    let names = signed.device.box_office;
    let page = guests::page(&app, signed.organizer, signed.event, names, &cursor).await?;
    tracing::debug!(event = %signed.event, rows = page.rows.len(), more = page.more, "told a gate of guests");
    Ok(CborBody(page))
}

impl From<GuestsError> for ApiError {
    fn from(e: GuestsError) -> Self {
        match e {
            GuestsError::Manifest(e) => e.into(),
            GuestsError::Database(e) => e.into(),
            e @ GuestsError::Keys(_) => Self::internal(e),
        }
    }
}
