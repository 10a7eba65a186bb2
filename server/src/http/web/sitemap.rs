//! `/sitemap.xml` (sitemaps.org) and `/robots.txt`: where search engines find the events, and what they leave alone.

use std::fmt::Write as _;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use time::format_description::well_known::Rfc3339;
use tokio::sync::Mutex;

use crate::app::AppState;
use crate::domain::text::escaped;
use crate::http::caching;
use crate::http::error::ApiError;
use crate::store::search;

/// Events that are listed, the next ones first. Five times as many may stand in one file.
const MOST: i64 = 10_000;
/// How old the list may be.
const FRESH: Duration = Duration::from_secs(600);

/// The list as it was made last: (when, bytes, tag). One request makes it anew, and the others wait.
#[derive(Debug, Default)]
pub struct Sitemap(Mutex<Option<(Duration, Bytes, String)>>);

pub(super) async fn sitemap(State(app): State<AppState>, headers: HeaderMap) -> Result<Response, ApiError> {
    let mut kept = app.sitemap.0.lock().await;
    let now = app.clock.monotonic();
    let fresh = kept.as_ref().filter(|(made, ..)| now.saturating_sub(*made) < FRESH);
    let (xml, tag) = match fresh {
        Some((_, xml, tag)) => (xml.clone(), tag.clone()),
        None => {
            let xml = Bytes::from(listed(&app).await?);
            let tag = caching::tag_of(&xml);
            *kept = Some((now, xml.clone(), tag.clone()));
            (xml, tag)
        }
    };
    Ok(caching::tagged_as(&headers, "application/xml", xml, &tag))
}

async fn listed(app: &AppState) -> Result<String, ApiError> {
    let mut tx = app.db.platform().await?;
    let pages = search::pages(&mut tx, app.clock.now(), MOST).await?;
    tx.commit().await?;
    let origin = escaped(app.config.link_origin());
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n\
         <url><loc>{origin}/web/</loc></url>\n"
    );
    for (slug, updated_at) in pages {
        let updated = updated_at.replace_nanosecond(0).unwrap_or(updated_at).format(&Rfc3339);
        let updated = updated.map_err(ApiError::internal)?;
        // A slug is letters, digits and hyphens.
        writeln!(xml, "<url><loc>{origin}/web/events/{slug}</loc><lastmod>{updated}</lastmod></url>")
            .map_err(ApiError::internal)?;
    }
    xml.push_str("</urlset>\n");
    Ok(xml)
}

/// Pages of organizers, bookings and tickets are nobody's to list, and neither are the answers of the API: but what a page
/// asks for, and the pictures of events.
pub(super) async fn robots(State(app): State<AppState>) -> Response {
    let text = format!(
        "User-agent: *\nAllow: /web/\nAllow: /events/\nDisallow: /web/organizer/\nDisallow: /web/bookings/\n\
         Disallow: /web/tickets/\nDisallow: /web/invitation\nDisallow: /auth/\nDisallow: /organizer/\n\
         Sitemap: {}/sitemap.xml\n",
        app.config.link_origin()
    );
    ([(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "public, max-age=3600")], text)
        .into_response()
}
