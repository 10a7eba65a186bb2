//! What everybody may see: published events, categories, the keys that tickets verify with.

mod keys;
mod search;
mod show;

use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caching;
use super::error::ApiError;
use crate::app::AppState;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(search::search))
        .routes(routes!(search::categories))
        .routes(routes!(show::show))
        .routes(routes!(keys::ticket_keys))
}

/// A public answer.
fn public(headers: &HeaderMap, body: &impl Serialize) -> Result<Response, ApiError> {
    Ok(caching::public(headers, serde_json::to_vec(body).map_err(ApiError::internal)?.into()))
}
