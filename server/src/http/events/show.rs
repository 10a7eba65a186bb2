//! `GET /events/{id}`

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::public;
use crate::app::App;
use crate::app::AppState;
use crate::domain::catalog::Availability;
use crate::http::auth::Viewer;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::ApiPath;
use crate::http::fields::money;
use crate::http::organizer::QuestionJson;
use crate::http::page::MoneyJson;
use crate::store::event::{self, Event};
use crate::store::series::{self, PublicDate};
use crate::store::ticket_type::TicketType;
use crate::store::{Tx, directory, organizer, question, taste, ticket_type};

/// Other dates of its series that an event tells of.
const OTHER_DATES: i64 = 100;

/// An event as everybody sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PublicEvent {
    event_id: Uuid,
    slug: String,
    /// `published` or `canceled`.
    status: String,
    title: String,
    /// Who plays, speaks or is shown.
    artists: Vec<String>,
    description: String,
    /// Of title and description, ISO 639-1.
    language: Option<String>,
    category_id: String,
    organizer: PublicOrganizer,
    venue_name: String,
    venue_address: String,
    city: String,
    country: Option<String>,
    latitude: Option<f64>,
    longitude: Option<f64>,
    time_zone: String,
    #[serde(with = "time::serde::rfc3339::option")]
    admission_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    starts_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    ends_at: Option<OffsetDateTime>,
    currency: String,
    /// Tickets in one booking at most.
    max_per_booking: i32,
    /// Tickets of one person at most, over all bookings.
    max_per_person: Option<i32>,
    /// True if one may wait for what is sold out: POST /events/{event_id}/waiting-list.
    waiting_list: bool,
    /// True if a purchase takes a place in the waiting room: POST /events/{event_id}/queue.
    waiting_room: bool,
    #[serde(with = "time::serde::rfc3339::option")]
    refundable_until: Option<OffsetDateTime>,
    ticket_types: Vec<PublicType>,
    /// Of which series it is a date.
    series_id: Option<Uuid>,
    /// The other dates of its series that are published and not over, a hundred at most.
    other_dates: Vec<OtherDateJson>,
    /// What is asked of those who will come: `attendees` of POST /tickets/purchase.
    questions: Vec<QuestionJson>,
}

/// Another date of a series.
#[derive(Debug, Serialize, ToSchema)]
struct OtherDateJson {
    event_id: Uuid,
    slug: String,
    title: String,
    time_zone: String,
    #[serde(with = "time::serde::rfc3339")]
    starts_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    ends_at: Option<OffsetDateTime>,
}

impl From<PublicDate> for OtherDateJson {
    fn from(of: PublicDate) -> Self {
        Self {
            event_id: of.event_id,
            slug: of.slug,
            title: of.title,
            time_zone: of.time_zone,
            starts_at: of.starts_at,
            ends_at: of.ends_at,
        }
    }
}

/// Who organizes it.
#[derive(Debug, Serialize, ToSchema)]
struct PublicOrganizer {
    organizer_id: Uuid,
    name: String,
    website: Option<String>,
}

/// What can be bought: price, fee and tax from the first screen.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PublicType {
    ticket_type_id: Uuid,
    name: String,
    description: String,
    /// Net of tax.
    price: MoneyJson,
    /// Net of tax.
    fee: MoneyJson,
    tax: MoneyJson,
    /// What is paid for one.
    total: MoneyJson,
    availability: Availability,
    #[serde(with = "time::serde::rfc3339::option")]
    sales_from: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    sales_until: Option<OffsetDateTime>,
    max_per_booking: i32,
    /// Tickets of this type for one person at most, over all bookings.
    max_per_person: Option<i32>,
}

/// One published event with its ticket types and prices, by id or slug.
///
/// That an account looked at it is remembered for its own recommendations, unless it does not want them.
#[utoipa::path(
    get, path = "/events/{event_id}", operation_id = "get_public_event", tag = "events", params(("event_id" = String, Path, description = "Id or slug")),
    responses((status = 200, body = PublicEvent), (status = 304, description = "Not changed (If-None-Match)"), (status = 404, body = Problem)),
)]
pub(super) async fn show(
    State(app): State<AppState>,
    viewer: Viewer,
    ApiPath(id): ApiPath<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (mut tx, event) = find_public(&app, &id).await?;
    let types = ticket_type::of_event(&mut tx, event.organizer_id, event.event_id).await?;
    let organizer = organizer::find(&mut tx, event.organizer_id).await?;
    let questions = question::asked(&mut tx, event.organizer_id, event.event_id).await?;
    let other_dates = match event.series_id {
        Some(series_id) => {
            let (organizer_id, event_id, now) = (event.organizer_id, event.event_id, app.clock.now());
            series::other_dates(&mut tx, organizer_id, series_id, event_id, now, OTHER_DATES).await?
        }
        None => Vec::new(),
    };
    tx.commit().await?;
    if let Some(user_id) = viewer.0.filter(|_| event.status == "published") {
        remember(&app, user_id, &event).await;
    }
    let organizer = organizer.ok_or_else(|| ApiError::not_found("event"))?;
    let on_sale = types.into_iter().filter(|t| !t.hidden && t.archived_at.is_none());
    let ticket_types = on_sale.filter_map(|t| public_type(t, &event)).collect();
    let body = PublicEvent {
        event_id: event.event_id,
        slug: event.slug,
        status: event.status,
        title: event.title,
        artists: event.artists,
        description: event.description,
        language: event.language,
        category_id: event.category_id,
        organizer: PublicOrganizer {
            organizer_id: organizer.organizer_id,
            name: organizer.name,
            website: organizer.website,
        },
        venue_name: event.venue_name,
        venue_address: event.venue_address,
        city: event.city,
        country: event.country,
        latitude: event.latitude,
        longitude: event.longitude,
        time_zone: event.time_zone,
        admission_at: event.admission_at,
        starts_at: event.starts_at,
        ends_at: event.ends_at,
        currency: event.currency,
        max_per_booking: event.max_per_booking,
        max_per_person: event.max_per_person,
        waiting_list: event.waiting_list,
        waiting_room: event.admit_per_minute.is_some(),
        refundable_until: event.refundable_until,
        ticket_types,
        series_id: event.series_id,
        other_dates: other_dates.into_iter().map(OtherDateJson::from).collect(),
        questions: questions.into_iter().map(QuestionJson::from).collect(),
    };
    public(&headers, &body)
}

/// Notes for the account's recommendations that it looked. If that fails it is not the reader's trouble.
async fn remember(app: &App, user_id: Uuid, event: &Event) {
    let noted = async {
        let mut tx = app.db.user(user_id).await?;
        taste::see(&mut tx, user_id, event.organizer_id, event.event_id, app.clock.now()).await?;
        tx.commit().await
    };
    if let Err(e) = noted.await {
        tracing::warn!("a look is not remembered: {e}");
    }
}

/// A published or canceled event by id or slug, with the transaction under its organizer's context.
pub(super) async fn find_public(app: &App, id: &str) -> Result<(Tx, Event), ApiError> {
    let (kind, key) = match id.parse::<Uuid>() {
        Ok(id) => ("event", id.to_string()),
        Err(_) => ("slug", id.to_ascii_lowercase()),
    };
    // The database takes no NUL; and no key has anything else than these.
    if !key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(ApiError::not_found("event"));
    }
    let mut tx = app.db.platform().await?;
    let place = directory::find(&mut tx, kind, &key).await?;
    tx.commit().await?;
    let no_event = || ApiError::not_found("event");
    let place = place.ok_or_else(no_event)?;
    let event_id = place.event_id.ok_or_else(no_event)?;
    let mut tx = app.db.tenant(place.organizer_id).await?;
    let event = event::find(&mut tx, place.organizer_id, event_id).await?;
    let event = event.filter(|e| e.status != "draft").ok_or_else(no_event)?;
    Ok((tx, event))
}

pub(super) fn public_type(of: TicketType, event: &Event) -> Option<PublicType> {
    let unit = of.stated(event.fee()).unit()?;
    let amount = |minor| money(minor, &event.currency);
    Some(PublicType {
        ticket_type_id: of.ticket_type_id,
        price: amount(unit.price_minor),
        fee: amount(unit.fee_minor),
        tax: amount(unit.tax_minor),
        total: amount(unit.total_minor()?),
        // What is free while people wait is theirs.
        availability: match of.queued {
            true => Availability::SoldOut,
            false => Availability::of(of.capacity, of.held, of.sold),
        },
        sales_from: of.sales_from,
        sales_until: of.sales_until,
        max_per_booking: of.max_per_booking,
        max_per_person: of.max_per_person,
        name: of.name,
        description: of.description,
    })
}
