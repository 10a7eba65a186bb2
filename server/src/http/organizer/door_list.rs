//! `/organizer/events/{id}/door-list.html`: the list for a door where nothing else works.

use std::sync::LazyLock;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use shared::time::UnixMillis;
use uuid::Uuid;

use super::exports::{AT_ONCE, Door, PAGE, note};
use crate::app::AppState;
use crate::documents::door_list::{self, Guest, Heading, STYLE};
use crate::documents::when::Moment;
use crate::http::auth::Staff;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::ApiPath;
use crate::store::{event, export};

/// The page brings its style along and nothing else: it can be saved, sent and printed.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("base64 is ASCII")
});

/// The tickets of an event to print: by name, with a box to tick, for a door where nothing else works.
///
/// Valid and blocked tickets; those admitted already are ticked. Written to be printed from a browser, and for phones.
#[utoipa::path(
    get, path = "/organizer/events/{event_id}/door-list.html", operation_id = "print_door_list", tag = "statistics",
    params(("event_id" = Uuid, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "A page to print", content_type = "text/html", body = String), (status = 404, body = Problem),
        (status = 503, description = "`overloaded`: others are exporting", body = Problem),
    ),
)]
pub(super) async fn print(
    State(app): State<AppState>,
    staff: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
) -> Result<Response, ApiError> {
    let _permit = AT_ONCE.try_acquire().map_err(|_| ApiError::overloaded())?;
    note(&app, &staff, event_id, "door_list").await?;
    let organizer = staff.organizer_id;
    let mut tx = app.db.tenant_snapshot(organizer).await?;
    let event = event::find(&mut tx, organizer, event_id).await?;
    let event = event.ok_or_else(|| ApiError::not_found("event"))?;
    let door = Door::read(&app, &mut tx, organizer, event_id).await?;
    let here = |at| Moment::new(at, &event.time_zone);
    let mut guests = Vec::new();
    let mut after = None;
    loop {
        let page = export::tickets(&mut tx, organizer, event_id, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.ticket_id);
        guests.extend(page.into_iter().filter(|t| t.sold).map(|t| Guest {
            admitted: door.attendance(t.ticket_id).0.and_then(UnixMillis::to_datetime).map(here),
            name: t.attendee_name,
            email: t.email,
            ticket_type: t.ticket_type,
            booking: t.booking_id.to_string(),
            blocked: t.state == "blocked",
        }));
    }
    tx.commit().await?;
    let (starts, as_of) = (here(event.starts_at), here(app.clock.now()));
    let text = tokio::task::spawn_blocking(move || {
        let heading = Heading {
            title: &event.title,
            starts: &starts,
            venue: &event.venue_name,
            city: &event.city,
            as_of: &as_of,
        };
        door_list::page(&heading, guests)
    })
    .await
    .map_err(ApiError::internal)?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, POLICY.clone()),
        (CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ];
    Ok((headers, text).into_response())
}
