//! Pages to find an event and buy, for organizers to watch one, and those that a mail leads to: HTML, style and script as
//! they stand here, without a build. A page is a browser's client of the API like any other and may do nothing that the
//! API does not. They stand beside the OpenAPI document, not in it.

mod event;
mod sitemap;

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::Redirect;
use axum::routing::{MethodRouter, get};

pub use sitemap::Sitemap;

use super::caching;
use crate::app::AppState;

/// The page runs the script and style that stand beside it, and asks this server alone. Forms are the script's: without
/// it no password leaves the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Of the page that takes cards, and of no other: Stripe's script must come from Stripe, the card is typed into frames of
/// its own, and what they ask goes there.
const CARD_POLICY: &str = "default-src 'none'; script-src 'self' https://js.stripe.com https://*.js.stripe.com; \
                           style-src 'self'; img-src 'self'; connect-src 'self' https://api.stripe.com; \
                           frame-src https://js.stripe.com https://*.js.stripe.com https://hooks.stripe.com; \
                           base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A page.
fn page(text: &'static str) -> MethodRouter<AppState> {
    under(POLICY, HTML, text)
}

/// What pages share. A browser keeps it and asks by its tag, so that the next page does not load it again.
fn part(kind: &'static str, text: &'static str) -> MethodRouter<AppState> {
    let body = Bytes::from_static(text.as_bytes());
    let tag = caching::tag_of(&body);
    get(async move |headers: HeaderMap| {
        ([(CONTENT_SECURITY_POLICY, POLICY)], caching::tagged_as(&headers, kind, body, &tag))
    })
}

fn under(policy: &'static str, kind: &'static str, text: &'static str) -> MethodRouter<AppState> {
    get(async move || ([(CONTENT_TYPE, kind), (CONTENT_SECURITY_POLICY, policy)], text))
}

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        // Browsers take the fragment of a mail's link along.
        .route("/", get(async || Redirect::to("/web/")))
        .route("/web/", page(include_str!("home.html")))
        .route("/web/common.js", part(SCRIPT, include_str!("common.js")))
        .route("/web/home.js", part(SCRIPT, include_str!("home.js")))
        // By id or slug; the script reads it from the address.
        .route("/web/events/{event}", get(event::page))
        .route("/web/event.js", part(SCRIPT, include_str!("event.js")))
        // One page: the organizer's events, and one of them live.
        .route("/web/organizer/", page(include_str!("organizer.html")))
        .route("/web/organizer/events/{event_id}", page(include_str!("organizer.html")))
        .route("/web/organizer/events/{event_id}/dates", page(include_str!("dates.html")))
        .route("/web/dates.js", part(SCRIPT, include_str!("dates.js")))
        .route("/web/organizer.js", part(SCRIPT, include_str!("organizer.js")))
        .route("/web/invitation", page(include_str!("invitation.html")))
        .route("/web/invitation.js", part(SCRIPT, include_str!("invitation.js")))
        // One page for both: a booking shows its tickets, a ticket itself. The script reads which from the address.
        .route("/web/bookings/{id}", page(include_str!("tickets.html")))
        .route("/web/tickets/{id}", page(include_str!("tickets.html")))
        .route("/web/tickets.js", part(SCRIPT, include_str!("tickets.js")))
        .route("/web/offline.js", part(SCRIPT, include_str!("offline.js")))
        .route("/web/bookings/{id}/card", under(CARD_POLICY, HTML, include_str!("card.html")))
        .route("/web/card.js", part(SCRIPT, include_str!("card.js")))
        .route("/robots.txt", get(sitemap::robots))
        .route("/sitemap.xml", get(sitemap::sitemap))
        .route("/web/icon.svg", part("image/svg+xml", include_str!("icon.svg")))
        .route("/web/page.css", part("text/css; charset=utf-8", include_str!("page.css")))
}
