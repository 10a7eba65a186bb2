//! `POST /events/{id}/unlock`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::show::{PublicType, find_public, public_type};
use crate::app::AppState;
use crate::domain::promo::code_key;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::{ApiJson, ApiPath};
use crate::store::{promo, ticket_type};

/// A promo code to look at.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "promo_code": "BACKSTAGE" }))]
pub(super) struct UnlockRequest {
    promo_code: String,
}

/// What a code opens.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Unlocked {
    /// Hidden ticket types that can be bought with it, at their undiscounted prices.
    ticket_types: Vec<PublicType>,
}

/// The hidden ticket types that a code opens. What it takes off, POST /tickets/quote says.
#[utoipa::path(
    post, path = "/events/{event_id}/unlock", operation_id = "unlock_ticket_types", tag = "events",
    params(("event_id" = String, Path, description = "Id or slug")), request_body = UnlockRequest,
    security((), ("bearer" = [])),
    responses(
        (status = 200, body = Unlocked), (status = 404, body = Problem),
        (status = 422, description = "`promo_code_invalid`", body = Problem),
    ),
)]
pub(super) async fn unlock(
    State(app): State<AppState>,
    ApiPath(id): ApiPath<String>,
    ApiJson(request): ApiJson<UnlockRequest>,
) -> Result<Json<Unlocked>, ApiError> {
    let invalid = |why: String| ApiError::unprocessable("promo_code_invalid", why);
    if request.promo_code.contains('\0') || request.promo_code.len() > 1_000 {
        return Err(invalid("there is no such code".to_owned()));
    }
    let (mut tx, event) = find_public(&app, &id).await?;
    let key = code_key(&request.promo_code);
    let code = promo::by_key(&mut tx, event.organizer_id, event.event_id, &key).await?;
    let types = ticket_type::of_event(&mut tx, event.organizer_id, event.event_id).await?;
    tx.commit().await?;
    let code = code.ok_or_else(|| invalid("there is no such code".to_owned()))?.terms();
    code.check_time(app.clock.now()).map_err(|why| invalid(why.to_string()))?;
    let opened = types
        .into_iter()
        .filter(|t| t.hidden && t.archived_at.is_none() && code.unlocks && code.covers(t.ticket_type_id));
    Ok(Json(Unlocked { ticket_types: opened.filter_map(|t| public_type(t, &event)).collect() }))
}
