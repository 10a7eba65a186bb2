//! Buying tickets, and having them.

mod purchase;
mod qr;
mod quote;
mod show;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::AppState;

pub(super) use purchase::{PaymentWish, check_payment, pay_by, refuse_unpaid};

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(purchase::purchase))
        .routes(routes!(quote::quote))
        .routes(routes!(view::view))
        .routes(routes!(show::show))
        .routes(routes!(qr::svg))
        .routes(routes!(qr::png))
}
