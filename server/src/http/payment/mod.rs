//! Paying, giving back, and what was paid.

mod history;
mod process;
mod refund;
mod webhook;

use shared::bytes::sha256;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::bookings::refuse_not_held;
use super::error::ApiError;
use crate::app::AppState;
use crate::selling::pay::BeginError;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(process::process))
        .routes(routes!(refund::refund))
        .routes(routes!(history::history))
        .merge(webhook::routes())
}

/// The ids of a request's movement: its own, and one for each time that the provider failed and the request came again
/// under the same key. A function of the first, so that whoever repeats it finds what was begun.
fn tries(resource_id: Uuid) -> impl Iterator<Item = Uuid> {
    (0..MAX_TRIES).map(move |n| {
        if n == 0 {
            return resource_id;
        }
        let hash = sha256(b"hvflvspot/movement-again/v1\0", &[resource_id.as_bytes(), &n.to_be_bytes()]);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.0[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    })
}

/// How often one request may find the provider failing.
const MAX_TRIES: u32 = 50;

/// Why a payment cannot begin, as a refusal.
pub(super) fn refuse_begin(error: BeginError) -> ApiError {
    match error {
        BeginError::NotHeld(why) => refuse_not_held(why),
        BeginError::Free => ApiError::conflict("already_paid", "the booking is free"),
        BeginError::Database(e) => e.into(),
    }
}
