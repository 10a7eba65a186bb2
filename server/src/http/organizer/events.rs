//! `/organizer/events…`: creating, changing, publishing.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::admission::zone::EventZone;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::door::{GateJson, ListJson, Numbers, StewardJson, gate_json, steward_json};
use super::ticket_types::{QuotaJson, TicketTypeJson, json as type_json, quota_json};
use super::{finish, look, open, still_on};
use crate::app::{App, AppState};
use crate::domain::catalog::{EventStatus, type_window};
use crate::domain::pricing::FeeBearer;
use crate::domain::text::{MAX_SLUG, looks_like_time_zone, slug_of};
use crate::domain::webhook::Fact;
use crate::http::auth::Staff;
use crate::http::error::{ApiError, FieldError, Problem};
use crate::http::extract::{ApiJson, ApiPath, ApiQuery};
use crate::http::fields::{Instant, Wrong, given, money};
use crate::http::page::{self, MoneyJson, Page, PageQuery};
use crate::selling::keys;
use crate::store::directory::{self, Place};
use crate::store::door::{self, CheckinList};
use crate::store::event::{self, Event};
use crate::store::outbox::{self, NewMail};
use crate::store::{Tx, change, is_unique_violation, message, organizer, ticket_type};
use crate::webhooks::facts;

const LIST: &str = "organizer_events";

/// An event as its organizer sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventJson {
    event_id: Uuid,
    /// Of which series it is a date: POST /organizer/events/{event_id}/series.
    series_id: Option<Uuid>,
    status: EventStatus,
    /// The readable part of its public address.
    slug: String,
    title: String,
    /// Who plays, speaks or is shown.
    artists: Vec<String>,
    description: String,
    /// Of title and description, ISO 639-1; search then knows the forms of its words.
    language: Option<String>,
    category_id: String,
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
    hold_secs: i32,
    extension_secs: i32,
    max_per_booking: i32,
    #[serde(with = "time::serde::rfc3339::option")]
    refundable_until: Option<OffsetDateTime>,
    fee: EventFeeJson,
    max_per_person: Option<i32>,
    waiting_list: bool,
    offer_secs: i32,
    admit_per_minute: Option<i32>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    published_at: Option<OffsetDateTime>,
}

/// A fee on each ticket that costs something, beside the one that its type states.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EventFeeJson {
    /// Fixed.
    amount: MoneyJson,
    /// Of the stated price, in hundredths of a percent: 250 is 2.5 %.
    #[schema(minimum = 0, maximum = 10_000)]
    rate_bp: u16,
    /// `buyer`: on top of the price. `organizer`: out of the price, the buyer pays nothing more.
    bearer: FeeBearer,
}

/// An event and all that belongs to it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventDetail {
    #[serde(flatten)]
    event: EventJson,
    ticket_types: Vec<TicketTypeJson>,
    quotas: Vec<QuotaJson>,
    /// The attendance list first.
    lists: Vec<ListJson>,
    gates: Vec<GateJson>,
    stewards: Vec<StewardJson>,
}

/// Fields of an event. To create: `title`, `category_id`, `time_zone`, `starts_at` and `currency` are required.
/// To update: what is given is changed, null empties; `slug` and `currency` are fixed from the start.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "title": "Winter concert", "category_id": "music", "venue_name": "Main hall", "city": "Vienna",
    "time_zone": "Europe/Vienna", "starts_at": "2026-12-24T19:00:00Z", "ends_at": "2026-12-24T22:00:00Z",
    "currency": "EUR",
}))]
pub(super) struct EventFields {
    title: Option<String>,
    /// Who plays, speaks or is shown; 50 at most.
    artists: Option<Vec<String>>,
    description: Option<String>,
    /// Of title and description, ISO 639-1, as `de`; search then knows the forms of its words.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, pattern = "^[a-z]{2}$")]
    language: Option<Option<String>>,
    /// See GET /categories.
    category_id: Option<String>,
    venue_name: Option<String>,
    venue_address: Option<String>,
    city: Option<String>,
    /// ISO 3166-1, two letters.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    country: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<f64>)]
    latitude: Option<Option<f64>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<f64>)]
    longitude: Option<Option<f64>>,
    /// IANA name.
    time_zone: Option<String>,
    /// Doors open; without it admission begins with the event.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Instant>)]
    admission_at: Option<Option<Instant>>,
    starts_at: Option<Instant>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Instant>)]
    ends_at: Option<Option<Instant>>,
    /// ISO 4217.
    currency: Option<String>,
    /// Lower-case words joined by hyphens; made from the title without it.
    slug: Option<String>,
    /// How long an unpaid booking is held.
    #[schema(minimum = 60, maximum = 86_400)]
    hold_secs: Option<i32>,
    /// How much longer it is held if it is extended, once.
    #[schema(minimum = 0, maximum = 86_400)]
    extension_secs: Option<i32>,
    /// Tickets in one booking at most.
    #[schema(minimum = 1, maximum = 1_000)]
    max_per_booking: Option<i32>,
    /// Until then buyers refund by themselves; null: never.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Instant>)]
    refundable_until: Option<Option<Instant>>,
    fee: Option<EventFeeJson>,
    /// Tickets of one person at most, over all bookings (null: no limit). A person is whoever gets mail at one
    /// address; what was bought before there was a limit does not count.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 100_000)]
    max_per_person: Option<Option<i32>>,
    /// Whether people may wait for what is sold out. True without it.
    waiting_list: Option<bool>,
    /// How long an offer to somebody who waited is held. 4 hours without it.
    #[schema(minimum = 600, maximum = 604_800)]
    offer_secs: Option<i32>,
    /// A waiting room lets so many buyers in a minute, in the order of their coming; null: there is none.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 100_000)]
    admit_per_minute: Option<Option<i32>>,
}

/// Creates an event as a draft.
///
/// It comes with its ticket key and an attendance list "Admission" for all ticket types. A ticket type is all
/// that is missing before it can be published; more lists, gates and stewards may follow at any time.
#[utoipa::path(
    post, path = "/organizer/events/create", operation_id = "create_event", tag = "organizer",
    params(("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    request_body = EventFields, security(("bearer" = [])),
    responses(
        (status = 201, body = EventJson), (status = 403, body = Problem),
        (status = 409, description = "`slug_taken`", body = Problem), (status = 422, description = "`invalid_fields`", body = Problem),
    ),
)]
pub(super) async fn create(
    State(app): State<AppState>,
    member: Staff,
    ApiJson(fields): ApiJson<EventFields>,
) -> Result<(StatusCode, Json<EventJson>), ApiError> {
    let now = app.clock.now();
    let mut wrong = Wrong::default();
    for (field, missing) in [
        ("title", fields.title.is_none()),
        ("category_id", fields.category_id.is_none()),
        ("time_zone", fields.time_zone.is_none()),
        ("starts_at", fields.starts_at.is_none()),
        ("currency", fields.currency.is_none()),
    ] {
        if missing {
            wrong.note(field, "required", "this field is required");
        }
    }
    let mut event = blank(&app, &member, &fields, now);
    if let Some(currency) = &fields.currency {
        wrong.currency("currency", currency);
    }
    if !is_slug(&event.slug) {
        wrong.note("slug", "invalid", "3 to 80 characters: lower-case words and digits joined by hyphens");
    }
    fields.apply(&mut event, &mut wrong);
    wrong.check()?;

    let (organizer_id, event_id) = (event.organizer_id, event.event_id);
    let mut tx = app.db.tenant(organizer_id).await?;
    check_category(&mut tx, &event).await?;
    event::insert(&mut tx, &event).await.map_err(slug_taken("events_organizer_id_slug"))?;
    let place = Place { organizer_id, event_id: Some(event_id) };
    directory::add(&mut tx, "event", &event_id.to_string(), place).await?;
    directory::add(&mut tx, "slug", &event.slug, place).await.map_err(slug_taken("directory_pkey"))?;
    change::create_counter(&mut tx, organizer_id, event_id).await?;
    keys::found_event(&mut tx, &app, organizer_id, event_id, now).await?;
    door::put_list(&mut tx, organizer_id, &first_list(&app, event_id, now)).await?;
    finish(&app, tx, &member, event_id, "event.created", ("event", event_id)).await?;
    Ok((StatusCode::CREATED, Json(json(event))))
}

/// Changes an event: what is given is changed, the rest stays. Gates learn new times with their next manifest.
#[utoipa::path(
    put, path = "/organizer/events/{event_id}/update", operation_id = "update_event", tag = "organizer",
    params(("event_id" = Uuid, Path), ("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    request_body = EventFields, security(("bearer" = [])),
    responses((status = 200, body = EventJson), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, description = "`event_canceled`", body = Problem), (status = 422, description = "`invalid_fields`", body = Problem)),
)]
pub(super) async fn update(
    State(app): State<AppState>,
    member: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
    ApiJson(fields): ApiJson<EventFields>,
) -> Result<Json<EventJson>, ApiError> {
    let (mut tx, mut event) = open(&app, &member, event_id).await?;
    still_on(&event)?;
    let before = event.clone();
    let mut wrong = Wrong::default();
    for (field, value, now) in
        [("currency", &fields.currency, &event.currency), ("slug", &fields.slug, &event.slug)]
    {
        if value.as_ref().is_some_and(|v| v != now) {
            wrong.note(field, "fixed", "this cannot be changed after the event was created");
        }
    }
    fields.apply(&mut event, &mut wrong);
    let types = ticket_type::of_event(&mut tx, member.organizer_id, event_id).await?;
    for of in types.iter().filter(|t| t.archived_at.is_none()) {
        let times = (event.starts_at, event.ends_at);
        let window = type_window(times, (of.valid_from, of.valid_until, of.grace_secs));
        if window.not_before.is_some_and(|from| from >= window.expires_at) {
            let message = format!("the validity of ticket type {} would be empty", of.name);
            wrong.note("ends_at", "conflict", message);
        }
    }
    wrong.check()?;
    check_category(&mut tx, &event).await?;
    event.updated_at = app.clock.now();
    event::update(&mut tx, &event).await?;
    if is_elsewhere(&before, &event) && event.status == "published" {
        tell_holders(&app, &mut tx, &event).await?;
    }
    let mut told: Vec<Fact> = facts::event_changed(&app, &before, &event).into_iter().collect();
    told.extend(facts::ticket_types_changed(&app, (&before, &types), (&event, &types)));
    facts::tell(&mut tx, member.organizer_id, &told, event.updated_at).await?;
    finish(&app, tx, &member, event_id, "event.updated", ("event", event_id)).await?;
    Ok(Json(json(event)))
}

/// Whether those who come have to know: it takes place at another time or place.
fn is_elsewhere(before: &Event, now: &Event) -> bool {
    let of = |e: &Event| {
        let place = (e.venue_name.clone(), e.venue_address.clone(), e.city.clone(), e.country.clone());
        (e.starts_at, e.ends_at, e.admission_at, e.time_zone.clone(), place)
    };
    of(before) != of(now)
}

/// Writes to everybody who holds a ticket.
async fn tell_holders(app: &App, tx: &mut Tx, event: &Event) -> Result<(), sqlx::Error> {
    let to = message::holders(tx, event.organizer_id, event.event_id, &[]).await?;
    let to: Vec<_> = to.into_iter().map(|r| (app.rng.uuid(&*app.clock), r)).collect();
    let mail = NewMail {
        id: Uuid::nil(),
        kind: "event.changed",
        recipient: "",
        organizer_id: Some(event.organizer_id),
        language: "en",
        facts: &serde_json::json!({}),
        sealed_facts: None,
        expires_at: Some(event.ends_at.unwrap_or(event.starts_at)),
    };
    outbox::enqueue_many(tx, &mail, event.event_id, &to, app.clock.now()).await?;
    Ok(())
}

/// Which of my events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    /// Only events of this status.
    status: Option<EventStatus>,
    /// Only the dates of this series.
    series: Option<Uuid>,
    /// How many at most; 50 without it.
    #[serde(default, deserialize_with = "page::limit")]
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// My events, the latest first.
#[utoipa::path(
    get, path = "/organizer/events", operation_id = "list_events", tag = "organizer",
    params(EventsQuery, ("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    security(("bearer" = [])),
    responses((status = 200, body = Page<EventJson>), (status = 403, body = Problem)),
)]
pub(super) async fn list(
    State(app): State<AppState>,
    member: Staff,
    ApiQuery(query): ApiQuery<EventsQuery>,
) -> Result<Json<Page<EventJson>>, ApiError> {
    let page = PageQuery { limit: query.limit, cursor: query.cursor };
    let status = query.status.map(EventStatus::as_str);
    let after = page.after(LIST)?;
    let limit = page.limit();
    let mut tx = app.db.tenant(member.organizer_id).await?;
    let events = event::list(&mut tx, member.organizer_id, status, query.series, after, limit + 1).await?;
    tx.commit().await?;
    Ok(Json(Page::of(LIST, limit, events, |e| (e.starts_at, e.event_id), json)))
}

/// One of my events, with its ticket types, quotas, lists, gates and stewards.
#[utoipa::path(
    get, path = "/organizer/events/{event_id}", operation_id = "get_event", tag = "organizer",
    params(("event_id" = Uuid, Path), ("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    security(("bearer" = [])),
    responses((status = 200, body = EventDetail), (status = 403, body = Problem), (status = 404, body = Problem)),
)]
pub(super) async fn show(
    State(app): State<AppState>,
    member: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
) -> Result<Json<EventDetail>, ApiError> {
    let organizer_id = member.organizer_id;
    let (mut tx, event) = look(&app, &member, event_id).await?;
    let types = ticket_type::of_event(&mut tx, organizer_id, event_id).await?;
    let quotas = ticket_type::quotas(&mut tx, organizer_id, event_id).await?;
    let lists = door::lists(&mut tx, organizer_id, event_id).await?;
    let gates = door::gates(&mut tx, organizer_id, event_id).await?;
    let stewards = door::stewards(&mut tx, organizer_id, event_id).await?;
    tx.commit().await?;
    let numbers = Numbers::of_types(&types);
    let live = types.into_iter().filter(|t| t.archived_at.is_none());
    Ok(Json(EventDetail {
        ticket_types: live.map(|t| type_json(t, &event)).collect(),
        quotas: quotas.into_iter().map(quota_json).collect(),
        lists: lists.into_iter().map(|l| numbers.json(l)).collect(),
        gates: gates.into_iter().map(gate_json).collect(),
        stewards: stewards.into_iter().map(steward_json).collect(),
        event: json(event),
    }))
}

/// Puts an event on sale. Repeating it changes nothing.
///
/// Needs an approved organizer, at least one ticket type, and an end that is still to come.
#[utoipa::path(
    post, path = "/organizer/events/{event_id}/publish", operation_id = "publish_event", tag = "organizer",
    params(("event_id" = Uuid, Path), ("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    security(("bearer" = [])),
    responses(
        (status = 200, body = EventJson), (status = 403, description = "`organizer_not_approved`, `forbidden`", body = Problem), (status = 404, body = Problem),
        (status = 409, description = "`event_canceled`", body = Problem), (status = 422, description = "`not_ready`: `errors` lists what is missing", body = Problem),
    ),
)]
pub(super) async fn publish(
    State(app): State<AppState>,
    member: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
) -> Result<Json<EventJson>, ApiError> {
    let (mut tx, mut event) = open(&app, &member, event_id).await?;
    still_on(&event)?;
    if EventStatus::from_column(&event.status) == EventStatus::Published {
        return Ok(Json(json(event)));
    }
    let organizer = organizer::find(&mut tx, member.organizer_id).await?;
    if organizer.is_none_or(|o| o.status != "approved") {
        return Err(ApiError::forbidden_code(
            "organizer_not_approved",
            "only approved organizers publish; ask by POST /organizer/verification",
        ));
    }
    let now = app.clock.now();
    let missing = missing(&mut tx, &event, now).await?;
    if !missing.is_empty() {
        return Err(
            ApiError::unprocessable("not_ready", "the event cannot be published yet").with_errors(missing)
        );
    }
    EventStatus::Published.as_str().clone_into(&mut event.status);
    event.published_at = Some(now);
    event.updated_at = now;
    event::update(&mut tx, &event).await?;
    facts::tell(&mut tx, member.organizer_id, &[facts::event_published(&app, &event)], now).await?;
    finish(&app, tx, &member, event_id, "event.published", ("event", event_id)).await?;
    Ok(Json(json(event)))
}

/// What an event still needs before it can be sold.
async fn missing(tx: &mut Tx, event: &Event, now: OffsetDateTime) -> Result<Vec<FieldError>, sqlx::Error> {
    let types = ticket_type::of_event(tx, event.organizer_id, event.event_id).await?;
    let lists = door::lists(tx, event.organizer_id, event.event_id).await?;
    let mut missing = Vec::new();
    if types.iter().all(|t| t.archived_at.is_some()) {
        missing.push(FieldError::new("ticket_types", "missing", "add at least one ticket type"));
    }
    if !lists.iter().any(|l| l.attendance) {
        missing.push(FieldError::new("lists", "missing", "add an attendance list"));
    }
    if event.ends_at.unwrap_or(event.starts_at) <= now {
        missing.push(FieldError::new("starts_at", "over", "the event is over"));
    }
    Ok(missing)
}

/// The attendance list that an event begins with, so that a simple one needs nothing else.
fn first_list(app: &AppState, event_id: Uuid, now: OffsetDateTime) -> CheckinList {
    CheckinList {
        list_id: app.rng.uuid(&*app.clock),
        event_id,
        name: "Admission".to_owned(),
        attendance: true,
        type_numbers: None,
        multiple_entry: false,
        reentry_after_exit: true,
        rule: None,
        created_at: now,
        updated_at: now,
        archived_at: None,
    }
}

fn blank(app: &AppState, member: &Staff, fields: &EventFields, now: OffsetDateTime) -> Event {
    let title = fields.title.clone().unwrap_or_default();
    let slug = fields.slug.clone().unwrap_or_else(|| slug_of(&title, &mut app.rng.clone()));
    let hold_secs = i32::try_from(app.config.hold_minutes.saturating_mul(60)).unwrap_or(900);
    Event {
        organizer_id: member.organizer_id,
        event_id: app.rng.uuid(&*app.clock),
        slug,
        title,
        description: String::new(),
        category_id: String::new(),
        venue_name: String::new(),
        venue_address: String::new(),
        city: String::new(),
        country: None,
        latitude: None,
        longitude: None,
        time_zone: String::new(),
        admission_at: None,
        starts_at: now,
        ends_at: None,
        status: EventStatus::Draft.as_str().to_owned(),
        currency: fields.currency.clone().unwrap_or_default(),
        hold_secs: hold_secs.clamp(60, 86_400),
        extension_secs: hold_secs.clamp(60, 86_400),
        max_per_booking: 20,
        refundable_until: None,
        fee_fixed_minor: 0,
        fee_rate_bp: 0,
        fee_bearer: FeeBearer::Buyer.as_str().to_owned(),
        max_per_person: None,
        waiting_list: true,
        offer_secs: 14_400,
        admit_per_minute: None,
        artists: Vec::new(),
        language: None,
        series_id: None,
        sale_version: 1,
        created_at: now,
        updated_at: now,
        published_at: None,
    }
}

impl EventFields {
    /// Writes what is given into `event` and checks the whole.
    fn apply(&self, event: &mut Event, wrong: &mut Wrong) {
        if let Some(description) = &self.description {
            event.description = wrong.length("description", description, 0, 20_000);
        }
        for (field, value, at, min, max) in [
            ("title", &self.title, &mut event.title, 1, 200),
            ("category_id", &self.category_id, &mut event.category_id, 1, 40),
            ("venue_name", &self.venue_name, &mut event.venue_name, 0, 200),
            ("city", &self.city, &mut event.city, 0, 120),
        ] {
            if let Some(value) = value {
                *at = wrong.line(field, value, min, max);
            }
        }
        if let Some(artists) = &self.artists {
            wrong.within("artists", artists.len(), 0, 50);
            event.artists = artists.iter().map(|name| wrong.line("artists", name, 1, 200)).collect();
        }
        if let Some(address) = &self.venue_address {
            event.venue_address = wrong.length("venue_address", address, 0, 500);
        }
        if let Some(zone) = &self.time_zone {
            if !looks_like_time_zone(zone) || EventZone::named(zone).is_none() {
                wrong.note("time_zone", "unknown", "an IANA name, as Europe/Vienna");
            }
            event.time_zone.clone_from(zone);
        }
        set(&mut event.country, &self.country);
        set(&mut event.language, &self.language);
        set(&mut event.latitude, &self.latitude);
        set(&mut event.longitude, &self.longitude);
        set(&mut event.admission_at, &self.admission_at.map(|t| t.map(|t| t.0)));
        set(&mut event.ends_at, &self.ends_at.map(|t| t.map(|t| t.0)));
        set(&mut event.refundable_until, &self.refundable_until.map(|t| t.map(|t| t.0)));
        event.starts_at = self.starts_at.map_or(event.starts_at, |t| t.0);
        for (field, value, at, min, max) in [
            ("hold_secs", self.hold_secs, &mut event.hold_secs, 60, 86_400),
            ("extension_secs", self.extension_secs, &mut event.extension_secs, 0, 86_400),
            ("max_per_booking", self.max_per_booking, &mut event.max_per_booking, 1, 1_000),
            ("offer_secs", self.offer_secs, &mut event.offer_secs, 600, 604_800),
        ] {
            if let Some(value) = value {
                wrong.within(field, value, min, max);
                *at = value;
            }
        }
        for (field, value, at) in [
            ("max_per_person", self.max_per_person, &mut event.max_per_person),
            ("admit_per_minute", self.admit_per_minute, &mut event.admit_per_minute),
        ] {
            if let Some(value) = value {
                wrong.within(field, value.unwrap_or(1), 1, 100_000);
                *at = value;
            }
        }
        event.waiting_list = self.waiting_list.unwrap_or(event.waiting_list);
        if let Some(fee) = &self.fee {
            wrong.within("fee.rate_bp", fee.rate_bp, 0, 10_000);
            event.fee_fixed_minor = wrong.amount("fee.amount", &fee.amount, &event.currency);
            event.fee_rate_bp = fee.rate_bp.into();
            fee.bearer.as_str().clone_into(&mut event.fee_bearer);
        }
        if event.language.as_ref().is_some_and(|l| l.len() != 2 || !l.bytes().all(|b| b.is_ascii_lowercase()))
        {
            wrong.note("language", "invalid", "two lower-case letters (ISO 639-1)");
        }
        check_place(event, wrong);
        check_times(event, wrong);
    }
}

fn check_place(event: &Event, wrong: &mut Wrong) {
    if event.country.as_ref().is_some_and(|c| c.len() != 2 || !c.bytes().all(|b| b.is_ascii_uppercase())) {
        wrong.note("country", "invalid", "two upper-case letters (ISO 3166-1)");
    }
    if event.latitude.is_some() != event.longitude.is_some() {
        wrong.note("latitude", "incomplete", "latitude and longitude come together");
    }
    if let (Some(latitude), Some(longitude)) = (event.latitude, event.longitude) {
        wrong.within("latitude", latitude, -90.0, 90.0);
        wrong.within("longitude", longitude, -180.0, 180.0);
    }
}

fn check_times(event: &Event, wrong: &mut Wrong) {
    if event.ends_at.is_some_and(|end| end <= event.starts_at) {
        wrong.note("ends_at", "out_of_order", "an event ends after it starts");
    }
    if event.admission_at.is_some_and(|at| at > event.ends_at.unwrap_or(event.starts_at)) {
        wrong.note("admission_at", "out_of_order", "doors open before the event is over");
    }
    // What a ticket code can say: seconds in 32 bits, with years of grace to spare.
    let years = |at: OffsetDateTime| (1970..=2100).contains(&at.year());
    for (field, at) in [("admission_at", event.admission_at), ("refundable_until", event.refundable_until)] {
        if at.is_some_and(|at| !years(at)) {
            wrong.note(field, "out_of_range", "between 1970 and 2100");
        }
    }
    if !years(event.starts_at) || event.ends_at.is_some_and(|end| !years(end)) {
        wrong.note("starts_at", "out_of_range", "between 1970 and 2100");
    }
}

fn set<T: Clone>(at: &mut Option<T>, given: &Option<Option<T>>) {
    if let Some(value) = given {
        at.clone_from(value);
    }
}

fn is_slug(text: &str) -> bool {
    (3..=MAX_SLUG).contains(&text.len())
        && text.split('-').all(|word| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        })
}

fn slug_taken(constraint: &'static str) -> impl Fn(sqlx::Error) -> ApiError {
    move |e| {
        if is_unique_violation(&e, constraint) {
            ApiError::conflict("slug_taken", "another event has this slug")
        } else {
            e.into()
        }
    }
}

async fn check_category(tx: &mut Tx, event: &Event) -> Result<(), ApiError> {
    let known = event::categories(tx).await?;
    if known.iter().any(|(id, _)| *id == event.category_id) {
        Ok(())
    } else {
        Err(ApiError::invalid_field("category_id", "unknown", "GET /categories lists them"))
    }
}

pub(super) fn json(of: Event) -> EventJson {
    let fee = of.fee();
    EventJson {
        fee: EventFeeJson {
            amount: money(fee.fixed_minor, &of.currency),
            rate_bp: fee.rate_bp,
            bearer: fee.bearer,
        },
        max_per_person: of.max_per_person,
        waiting_list: of.waiting_list,
        offer_secs: of.offer_secs,
        admit_per_minute: of.admit_per_minute,
        event_id: of.event_id,
        series_id: of.series_id,
        status: EventStatus::from_column(&of.status),
        slug: of.slug,
        title: of.title,
        artists: of.artists,
        description: of.description,
        language: of.language,
        category_id: of.category_id,
        venue_name: of.venue_name,
        venue_address: of.venue_address,
        city: of.city,
        country: of.country,
        latitude: of.latitude,
        longitude: of.longitude,
        time_zone: of.time_zone,
        admission_at: of.admission_at,
        starts_at: of.starts_at,
        ends_at: of.ends_at,
        currency: of.currency,
        hold_secs: of.hold_secs,
        extension_secs: of.extension_secs,
        max_per_booking: of.max_per_booking,
        refundable_until: of.refundable_until,
        created_at: of.created_at,
        updated_at: of.updated_at,
        published_at: of.published_at,
    }
}
