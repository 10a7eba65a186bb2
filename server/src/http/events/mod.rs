//! What everybody may see: published events, categories, the keys that tickets verify with.

mod keys;
mod search;
mod show;

use axum::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use shared::bytes::sha256;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiError;
use crate::app::AppState;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(search::search))
        .routes(routes!(search::categories))
        .routes(routes!(show::show))
        .routes(routes!(keys::ticket_keys))
}

/// A public answer: kept by everybody for half a minute, and then asked for by its tag.
fn public(headers: &HeaderMap, body: &impl Serialize) -> Result<Response, ApiError> {
    let bytes = serde_json::to_vec(body).map_err(ApiError::internal)?;
    let hash = sha256(b"hvflvspot/etag/v1\0", &[&bytes]);
    let tag = format!("W/\"{}\"", hex::encode(&hash.0[..12]));
    let caching = [(CACHE_CONTROL, "public, max-age=30".to_owned()), (ETAG, tag.clone())];
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok());
    let known = known.flat_map(|v| v.split(',')).map(str::trim).any(|t| t == tag || t == "*");
    if known {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    let kind = [(axum::http::header::CONTENT_TYPE, "application/json")];
    Ok((caching, kind, bytes).into_response())
}
