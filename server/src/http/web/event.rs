//! `/web/events/{event}`: the same page for every event, but for its head, which says of the event what link previews and
//! search engines read without running a script.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use super::{HTML, POLICY};
use crate::app::AppState;
use crate::http::error::ApiError;
use crate::http::events::shown;
use crate::http::extract::ApiPath;

const PAGE: &str = include_str!("event.html");
/// What the event's head takes the place of.
const TITLE: &str = "<title>HVFLVSPOT</title>\n";
/// For an address that leads to no event.
const NOWHERE: &str = "<title>HVFLVSPOT</title>\n<meta name=\"robots\" content=\"noindex\">\n";

/// Whatever the database says there is a page: its script tells what is wrong, and asks again.
pub(super) async fn page(State(app): State<AppState>, ApiPath(id): ApiPath<String>) -> Response {
    let (head, kept) = match shown(&app, &id).await {
        Ok(event) => (event.head(), "public, max-age=30"),
        Err(e) => (head_without(&e), "no-store"),
    };
    (
        [(CONTENT_TYPE, HTML), (CONTENT_SECURITY_POLICY, POLICY), (CACHE_CONTROL, kept)],
        PAGE.replacen(TITLE, &head, 1),
    )
        .into_response()
}

fn head_without(why: &ApiError) -> String {
    // Only what is surely no event is to be forgotten.
    let gone = matches!(why.status(), StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST);
    if gone { NOWHERE } else { TITLE }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_one_place_for_the_events_head() {
        assert_eq!(PAGE.matches(TITLE).count(), 1);
    }
}
