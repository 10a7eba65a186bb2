//! Pages to find an event and buy, for organizers to watch one, and those that a mail leads to: HTML, style and script as they stand here, without a
//! build. A page is a browser's client of the API like any other and may do nothing that the API does not. They stand
//! beside the OpenAPI document, not in it.

mod event;
mod sitemap;

use axum::Router;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::Redirect;
use axum::routing::get;

pub use sitemap::Sitemap;

use crate::app::AppState;

/// The page runs the script and style that stand beside it, and asks this server alone. Forms are the script's: without
/// it no password leaves the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

pub(super) fn routes() -> Router<AppState> {
    let page = |kind: &'static str, text: &'static str| {
        get(async move || ([(CONTENT_TYPE, kind), (CONTENT_SECURITY_POLICY, POLICY)], text))
    };
    Router::new()
        // Browsers take the fragment of a mail's link along.
        .route("/", get(async || Redirect::to("/web/")))
        .route("/web/", page("text/html; charset=utf-8", include_str!("home.html")))
        .route("/web/common.js", page("text/javascript; charset=utf-8", include_str!("common.js")))
        .route("/web/home.js", page("text/javascript; charset=utf-8", include_str!("home.js")))
        // By id or slug; the script reads it from the address.
        .route("/web/events/{event}", get(event::page))
        .route("/web/event.js", page("text/javascript; charset=utf-8", include_str!("event.js")))
        // One page: the organizer's events, and one of them live.
        .route("/web/organizer/", page("text/html; charset=utf-8", include_str!("organizer.html")))
        .route(
            "/web/organizer/events/{event_id}",
            page("text/html; charset=utf-8", include_str!("organizer.html")),
        )
        .route(
            "/web/organizer/events/{event_id}/dates",
            page("text/html; charset=utf-8", include_str!("dates.html")),
        )
        .route("/web/dates.js", page("text/javascript; charset=utf-8", include_str!("dates.js")))
        .route("/web/organizer.js", page("text/javascript; charset=utf-8", include_str!("organizer.js")))
        .route("/web/invitation", page("text/html; charset=utf-8", include_str!("invitation.html")))
        .route("/web/invitation.js", page("text/javascript; charset=utf-8", include_str!("invitation.js")))
        // One page for both: a booking shows its tickets, a ticket itself. The script reads which from the address.
        .route("/web/bookings/{id}", page("text/html; charset=utf-8", include_str!("tickets.html")))
        .route("/web/tickets/{id}", page("text/html; charset=utf-8", include_str!("tickets.html")))
        .route("/web/tickets.js", page("text/javascript; charset=utf-8", include_str!("tickets.js")))
        .route("/web/offline.js", page("text/javascript; charset=utf-8", include_str!("offline.js")))
        .route("/robots.txt", get(sitemap::robots))
        .route("/sitemap.xml", get(sitemap::sitemap))
        .route("/web/page.css", page("text/css; charset=utf-8", include_str!("page.css")))
}
