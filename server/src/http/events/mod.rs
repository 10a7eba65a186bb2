//! What everybody may see: published events, categories, the keys that tickets verify with.

mod cards;
mod keys;
mod queue;
mod recommended;
mod search;
mod share;
mod show;
mod unlock;
mod waiting_list;

use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caching;
use super::error::ApiError;
use crate::app::AppState;

pub use cards::Cards;
pub(super) use share::find as shown;
pub(super) use waiting_list::{WaitingJson, waiting_json};

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(search::search))
        .routes(routes!(recommended::recommended))
        .routes(routes!(search::categories))
        .routes(routes!(show::show))
        .routes(routes!(share::share))
        .routes(routes!(share::card))
        .routes(routes!(unlock::unlock))
        .routes(routes!(queue::join, queue::show))
        .routes(routes!(waiting_list::join))
        .routes(routes!(waiting_list::show, waiting_list::leave))
        .routes(routes!(keys::ticket_keys))
}

/// A public answer.
fn public(headers: &HeaderMap, body: &impl Serialize) -> Result<Response, ApiError> {
    Ok(caching::public(headers, serde_json::to_vec(body).map_err(ApiError::internal)?.into()))
}
