//! `GET /events/{id}/share` and its picture: what an event is shown by elsewhere.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::public;
use super::show::find_public;
use crate::app::{App, AppState};
use crate::documents::card::Card;
use crate::documents::share::{Offered, Shown};
use crate::domain::catalog::Availability;
use crate::http::caching;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::ApiPath;
use crate::store::{organizer, ticket_type};

/// What a share sheet, a message or a post takes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ShareJson {
    /// Of the event's page, for good.
    #[schema(example = "https://tickets.example/web/events/winter-concert-4f8k2a")]
    url: String,
    title: String,
    /// When and where, in the event's language if it is English, German, Spanish or French.
    text: String,
    /// A PNG of 1200 × 630 pixels.
    #[schema(example = "https://tickets.example/events/0192f0c1-0000-7000-8000-000000000001/card.png")]
    image: String,
}

/// What to share an event by.
#[utoipa::path(
    get, path = "/events/{event_id}/share", operation_id = "get_event_share", tag = "events", params(("event_id" = String, Path, description = "Id or slug")),
    responses((status = 200, body = ShareJson), (status = 304, description = "Not changed (If-None-Match)"), (status = 404, body = Problem)),
)]
pub(super) async fn share(
    State(app): State<AppState>,
    ApiPath(id): ApiPath<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let shown = find(&app, &id).await?;
    let text = shown.when_and_where();
    public(&headers, &ShareJson { url: shown.url, title: shown.title, text, image: shown.image })
}

/// A picture of the event for link previews: title, when, where, organizer.
#[utoipa::path(
    get, path = "/events/{event_id}/card.png", operation_id = "get_event_card", tag = "events", params(("event_id" = String, Path, description = "Id or slug")),
    responses(
        (status = 200, description = "The picture", content_type = "image/png", body = Vec<u8>),
        (status = 304, description = "Not changed (If-None-Match)"), (status = 404, body = Problem),
    ),
)]
pub(super) async fn card(
    State(app): State<AppState>,
    ApiPath(id): ApiPath<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let shown = find(&app, &id).await?;
    let (when, place) = (shown.when(), shown.place_in_words());
    let card = Card { title: shown.title, when, place, organizer: shown.organizer_name };
    let tag = caching::tag_of(format!("{card:?}").as_bytes());
    if let Some(unchanged) = caching::unchanged(&headers, &tag) {
        return Ok(unchanged);
    }
    let state = app.clone();
    let picture = app.cards.picture(&tag, move || card.png(&state.fonts)).await?;
    Ok(caching::tagged_as(&headers, "image/png", picture, &tag))
}

/// A published or canceled event as it is shown elsewhere; 404 if there is none.
pub(in crate::http) async fn find(app: &App, id: &str) -> Result<Shown, ApiError> {
    let (mut tx, event) = find_public(app, id).await?;
    let types = ticket_type::of_event(&mut tx, event.organizer_id, event.event_id).await?;
    let organizer = organizer::find(&mut tx, event.organizer_id).await?;
    tx.commit().await?;
    let organizer = organizer.ok_or_else(|| ApiError::not_found("event"))?;
    let now = app.clock.now();
    let on_sale = types
        .iter()
        .filter(|t| !t.hidden && t.archived_at.is_none() && t.sales_until.is_none_or(|until| until > now));
    let offers = on_sale.filter_map(|t| {
        Some(Offered {
            name: t.name.clone(),
            total_minor: t.stated(event.fee()).unit()?.total_minor()?,
            availability: match t.queued {
                true => Availability::SoldOut,
                false => Availability::of(t.capacity, t.held, t.sold),
            },
            sales_from: t.sales_from,
            sales_until: t.sales_until,
        })
    });
    let origin = app.config.link_origin();
    Ok(Shown {
        offers: offers.collect(),
        url: format!("{origin}/web/events/{}", event.slug),
        image: format!("{origin}/events/{}/card.png", event.event_id),
        title: event.title,
        artists: event.artists,
        description: event.description,
        language: event.language,
        organizer_name: organizer.name,
        organizer_website: organizer.website,
        venue_name: event.venue_name,
        venue_address: event.venue_address,
        city: event.city,
        country: event.country,
        place: event.latitude.zip(event.longitude),
        time_zone: event.time_zone,
        admission_at: event.admission_at,
        starts_at: event.starts_at,
        ends_at: event.ends_at,
        canceled: event.status == "canceled",
        currency: event.currency,
    })
}
