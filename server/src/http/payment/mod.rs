//! Paying, giving back, and what was paid.

mod history;
mod process;
mod refund;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::bookings::refuse_not_held;
use super::error::ApiError;
use crate::app::AppState;
use crate::selling::pay::BeginError;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(process::process))
        .routes(routes!(refund::refund))
        .routes(routes!(history::history))
}

/// Why a payment cannot begin, as a refusal.
pub(super) fn refuse_begin(error: BeginError) -> ApiError {
    match error {
        BeginError::NotHeld(why) => refuse_not_held(why),
        BeginError::Free => ApiError::conflict("already_paid", "the booking is free"),
        BeginError::Database(e) => e.into(),
    }
}
