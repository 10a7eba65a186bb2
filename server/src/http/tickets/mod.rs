//! Buying tickets, and having them.

mod attendee;
pub(crate) mod documents;
mod hand_on;
mod purchase;
mod qr;
mod quote;
mod show;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::AppState;

pub(super) use hand_on::one_json;
pub(super) use purchase::{PaymentWish, check_payment, pay_by, refuse_unpaid};

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(purchase::purchase))
        .routes(routes!(quote::quote))
        .routes(routes!(view::view))
        .routes(routes!(show::show))
        .routes(routes!(qr::svg))
        .routes(routes!(qr::png))
        .routes(routes!(attendee::update))
        .routes(routes!(hand_on::transfer))
        .routes(routes!(hand_on::reissue))
        .routes(routes!(documents::ticket_pdf))
        .routes(routes!(documents::ticket_ics))
        .routes(routes!(documents::booking_pdf))
        .routes(routes!(documents::booking_ics))
}
