//! `/notifications`: what an account hears of and how, what it was told, what organizers write to those who come; and
//! for administrators what could not be delivered.

mod dead;
mod mine;
mod phone;
mod preferences;
mod push;
mod send;
mod text_status;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::AppState;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(mine::list))
        .routes(routes!(preferences::show, preferences::put))
        .routes(routes!(phone::show, phone::put, phone::remove))
        .routes(routes!(phone::verify))
        .routes(routes!(push::key))
        .routes(routes!(push::list, push::add))
        .routes(routes!(push::remove))
        .routes(routes!(send::send))
        .merge(text_status::routes())
        .routes(routes!(dead::list))
        .routes(routes!(dead::replay))
}
