//! `/organizer/events/{id}/ticket-types` and `/quotas`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{finish, look, open, room_for_one_more, still_on};
use crate::app::{App, AppState};
use crate::domain::catalog::type_window;
use crate::http::auth::Staff;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::{ApiJson, ApiPath, ApiQuery};
use crate::http::fields::{Instant, Wrong, given, money};
use crate::http::page::{MoneyJson, Page, PageQuery};
use crate::store::Tx;
use crate::store::event::Event;
use crate::store::ticket_type::{self, Quota, TicketType};
use crate::webhooks::facts;

/// A ticket type with what is left of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TicketTypeJson {
    ticket_type_id: Uuid,
    event_id: Uuid,
    /// Within the event, as in the ticket's code.
    number: i32,
    name: String,
    description: String,
    /// As stated.
    price: MoneyJson,
    /// As stated.
    fee: MoneyJson,
    tax: TaxJson,
    /// What a buyer pays for one.
    total: MoneyJson,
    quota_id: Uuid,
    capacity: i32,
    held: i32,
    sold: i32,
    #[serde(with = "time::serde::rfc3339::option")]
    sales_from: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    sales_until: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    valid_from: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    valid_until: Option<OffsetDateTime>,
    grace_secs: i32,
    max_per_booking: i32,
    max_per_person: Option<i32>,
    attention: Option<String>,
    hidden: bool,
    /// People wait for it: what becomes free is offered to them, and nobody else buys.
    queued: bool,
    position: i32,
}

/// A tax rate.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TaxJson {
    /// Hundredths of a percent: 700 is 7 %.
    #[schema(minimum = 0, maximum = 10_000)]
    rate_bp: u16,
    /// True if the stated price contains it.
    inclusive: bool,
}

/// Fields of a ticket type. To create: `name`, `price`, and `capacity` or `quota_id` are required. To update:
/// what is given is changed, null empties.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "Standing", "price": { "amount_minor": 2500, "currency": "EUR" },
    "fee": { "amount_minor": 150, "currency": "EUR" }, "tax": { "rate_bp": 700, "inclusive": true }, "capacity": 500,
}))]
pub(super) struct TicketTypeFields {
    name: Option<String>,
    description: Option<String>,
    price: Option<MoneyJson>,
    fee: Option<MoneyJson>,
    tax: Option<TaxJson>,
    /// Makes a quota of this type's own, or changes the capacity of the one it has.
    #[schema(minimum = 0, maximum = 4_000_000)]
    capacity: Option<i32>,
    /// Draws on an existing quota, which other types may share.
    quota_id: Option<Uuid>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Instant>)]
    sales_from: Option<Option<Instant>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Instant>)]
    sales_until: Option<Option<Instant>>,
    /// Lets in from then on; null: from the start.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Instant>)]
    valid_from: Option<Option<Instant>>,
    /// Lets in until then (and the grace after it); null: the end of the event.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Instant>)]
    valid_until: Option<Option<Instant>>,
    /// 24 hours without it.
    #[schema(minimum = 0, maximum = 31_536_000)]
    grace_secs: Option<i32>,
    #[schema(minimum = 1, maximum = 1_000)]
    max_per_booking: Option<i32>,
    /// Tickets of this type for one person at most, over all bookings (null: no limit). A person is whoever gets
    /// mail at one address; what was bought before there was a limit does not count.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 100_000)]
    max_per_person: Option<Option<i32>>,
    /// Shown to door staff at each scan, as "check the student card".
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    attention: Option<Option<String>>,
    /// Not on sale to the public: only with a promo code that unlocks it.
    hidden: Option<bool>,
    position: Option<i32>,
}

/// The ticket types of an event.
#[utoipa::path(
    get, path = "/organizer/events/{event_id}/ticket-types", operation_id = "list_ticket_types", tag = "organizer", params(("event_id" = Uuid, Path), PageQuery),
    security(("bearer" = [])),
    responses((status = 200, body = Page<TicketTypeJson>), (status = 403, body = Problem), (status = 404, body = Problem)),
)]
pub(super) async fn list(
    State(app): State<AppState>,
    member: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<TicketTypeJson>>, ApiError> {
    let (mut tx, event) = look(&app, &member, event_id).await?;
    let types = ticket_type::of_event(&mut tx, member.organizer_id, event_id).await?;
    tx.commit().await?;
    let live = types.into_iter().filter(|t| t.archived_at.is_none());
    let all = live.map(|t| json(t, &event)).collect();
    Ok(Json(Page::of_few("ticket_types", &query, all, |t: &TicketTypeJson| t.ticket_type_id)?))
}

/// Adds a ticket type, with a quota of its own or on an existing one.
#[utoipa::path(
    post, path = "/organizer/events/{event_id}/ticket-types", operation_id = "create_ticket_type", tag = "organizer", params(("event_id" = Uuid, Path)),
    request_body = TicketTypeFields, security(("bearer" = [])),
    responses((status = 201, body = TicketTypeJson), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, description = "`event_canceled`, `too_many`", body = Problem), (status = 422, description = "`invalid_fields`", body = Problem)),
)]
pub(super) async fn create(
    State(app): State<AppState>,
    member: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
    ApiJson(fields): ApiJson<TicketTypeFields>,
) -> Result<(StatusCode, Json<TicketTypeJson>), ApiError> {
    let (mut tx, event) = open(&app, &member, event_id).await?;
    still_on(&event)?;
    let before = ticket_type::of_event(&mut tx, member.organizer_id, event_id).await?;
    room_for_one_more(before.len())?;
    let now = app.clock.now();
    let mut wrong = Wrong::default();
    for (field, missing) in [
        ("name", fields.name.is_none()),
        ("price", fields.price.is_none()),
        ("capacity", fields.capacity.is_none() && fields.quota_id.is_none()),
    ] {
        if missing {
            wrong.note(field, "required", "this field is required");
        }
    }
    if fields.capacity.is_some() && fields.quota_id.is_some() {
        wrong.note("capacity", "conflict", "either a capacity or an existing quota");
    }
    let mut of = TicketType {
        organizer_id: member.organizer_id,
        ticket_type_id: app.rng.uuid(&*app.clock),
        event_id,
        number: 0,
        quota_id: fields.quota_id.unwrap_or_else(|| app.rng.uuid(&*app.clock)),
        name: String::new(),
        description: String::new(),
        price_minor: 0,
        fee_minor: 0,
        tax_rate_bp: 0,
        tax_inclusive: true,
        sales_from: None,
        sales_until: None,
        valid_from: None,
        valid_until: None,
        grace_secs: 86_400,
        max_per_booking: 10,
        max_per_person: None,
        attention: None,
        hidden: false,
        position: 0,
        created_at: now,
        updated_at: now,
        archived_at: None,
        capacity: fields.capacity.unwrap_or_default(),
        held: 0,
        sold: 0,
        queued: false,
    };
    fields.apply(&mut of, &event, &mut wrong);
    wrong.check()?;
    match fields.quota_id {
        Some(id) => {
            let quotas = ticket_type::quotas(&mut tx, member.organizer_id, event_id).await?;
            let quota = quotas
                .into_iter()
                .find(|q| q.quota_id == id)
                .ok_or_else(|| ApiError::invalid_field("quota_id", "unknown", "there is no such quota"))?;
            (of.capacity, of.held, of.sold) = (quota.capacity, quota.held, quota.sold);
            of.queued = quota.queued;
        }
        None => {
            let quota = Quota {
                quota_id: of.quota_id,
                event_id,
                name: of.name.clone(),
                capacity: of.capacity,
                held: 0,
                sold: 0,
                queued: false,
            };
            ticket_type::insert_quota(&mut tx, member.organizer_id, &quota, now).await?;
        }
    }
    of.number = ticket_type::take_number(&mut tx, member.organizer_id, event_id).await?.ok_or_else(|| {
        ApiError::unprocessable("too_many_ticket_types", "an event has at most 65,535 ticket types")
    })?;
    ticket_type::insert(&mut tx, &of).await?;
    tell_changes(&app, &mut tx, &event, &before).await?;
    let object = ("ticket_type", of.ticket_type_id);
    finish(&app, tx, &member, event_id, "ticket_type.created", object).await?;
    Ok((StatusCode::CREATED, Json(json(of, &event))))
}

/// Changes a ticket type: what is given is changed. Tickets that are sold keep their price.
#[utoipa::path(
    put, path = "/organizer/events/{event_id}/ticket-types/{ticket_type_id}", operation_id = "update_ticket_type", tag = "organizer",
    params(("event_id" = Uuid, Path), ("ticket_type_id" = Uuid, Path)), request_body = TicketTypeFields,
    security(("bearer" = [])),
    responses(
        (status = 200, body = TicketTypeJson), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "`capacity_in_use`, `event_canceled`: more is held and sold, or the event is over for good", body = Problem),
        (status = 422, description = "`invalid_fields`", body = Problem),
    ),
)]
pub(super) async fn update(
    State(app): State<AppState>,
    member: Staff,
    ApiPath((event_id, ticket_type_id)): ApiPath<(Uuid, Uuid)>,
    ApiJson(fields): ApiJson<TicketTypeFields>,
) -> Result<Json<TicketTypeJson>, ApiError> {
    let (mut tx, event) = open(&app, &member, event_id).await?;
    still_on(&event)?;
    let before = ticket_type::of_event(&mut tx, member.organizer_id, event_id).await?;
    let mut of = find(&before, ticket_type_id)?;
    let mut wrong = Wrong::default();
    fields.apply(&mut of, &event, &mut wrong);
    if fields.quota_id.is_some_and(|id| id != of.quota_id) {
        wrong.note("quota_id", "fixed", "a ticket type stays on its quota");
    }
    wrong.check()?;
    if let Some(capacity) = fields.capacity {
        let quota = resize(&mut tx, &member, event_id, of.quota_id, None, Some(capacity)).await?;
        (of.capacity, of.held, of.sold) = (quota.capacity, quota.held, quota.sold);
    }
    of.updated_at = app.clock.now();
    ticket_type::update(&mut tx, &of).await?;
    tell_changes(&app, &mut tx, &event, &before).await?;
    let object = ("ticket_type", ticket_type_id);
    finish(&app, tx, &member, event_id, "ticket_type.updated", object).await?;
    Ok(Json(json(of, &event)))
}

/// Takes a ticket type off sale for good. Its sold tickets stay valid.
#[utoipa::path(
    delete, path = "/organizer/events/{event_id}/ticket-types/{ticket_type_id}", operation_id = "archive_ticket_type", tag = "organizer",
    params(("event_id" = Uuid, Path), ("ticket_type_id" = Uuid, Path)), security(("bearer" = [])),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)),
)]
pub(super) async fn archive(
    State(app): State<AppState>,
    member: Staff,
    ApiPath((event_id, ticket_type_id)): ApiPath<(Uuid, Uuid)>,
) -> Result<StatusCode, ApiError> {
    let (mut tx, event) = open(&app, &member, event_id).await?;
    let before = ticket_type::of_event(&mut tx, member.organizer_id, event_id).await?;
    let mut of = find(&before, ticket_type_id)?;
    of.archived_at = Some(app.clock.now());
    ticket_type::update(&mut tx, &of).await?;
    tell_changes(&app, &mut tx, &event, &before).await?;
    let object = ("ticket_type", ticket_type_id);
    finish(&app, tx, &member, event_id, "ticket_type.archived", object).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A capacity that one or more ticket types draw on.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct QuotaJson {
    quota_id: Uuid,
    name: String,
    capacity: i32,
    held: i32,
    sold: i32,
    /// People wait for it.
    queued: bool,
}

/// Fields of a quota.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Main hall", "capacity": 800 }))]
pub(super) struct QuotaFields {
    name: Option<String>,
    #[schema(minimum = 0, maximum = 4_000_000)]
    capacity: Option<i32>,
}

/// The quotas of an event.
#[utoipa::path(
    get, path = "/organizer/events/{event_id}/quotas", operation_id = "list_quotas", tag = "organizer", params(("event_id" = Uuid, Path), PageQuery),
    security(("bearer" = [])),
    responses((status = 200, body = Page<QuotaJson>), (status = 403, body = Problem), (status = 404, body = Problem)),
)]
pub(super) async fn quotas(
    State(app): State<AppState>,
    member: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<QuotaJson>>, ApiError> {
    let (mut tx, _) = look(&app, &member, event_id).await?;
    let quotas = ticket_type::quotas(&mut tx, member.organizer_id, event_id).await?;
    tx.commit().await?;
    let all = quotas.into_iter().map(quota_json).collect();
    Ok(Json(Page::of_few("quotas", &query, all, |q: &QuotaJson| q.quota_id)?))
}

/// Adds a quota that several ticket types share.
#[utoipa::path(
    post, path = "/organizer/events/{event_id}/quotas", operation_id = "create_quota", tag = "organizer", params(("event_id" = Uuid, Path)),
    request_body = QuotaFields, security(("bearer" = [])),
    responses((status = 201, body = QuotaJson), (status = 403, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)),
)]
pub(super) async fn create_quota(
    State(app): State<AppState>,
    member: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
    ApiJson(fields): ApiJson<QuotaFields>,
) -> Result<(StatusCode, Json<QuotaJson>), ApiError> {
    let (mut tx, _) = open(&app, &member, event_id).await?;
    room_for_one_more(ticket_type::quotas(&mut tx, member.organizer_id, event_id).await?.len())?;
    let mut wrong = Wrong::default();
    if fields.capacity.is_none() {
        wrong.note("capacity", "required", "this field is required");
    }
    let capacity = fields.capacity.unwrap_or_default();
    wrong.within("capacity", capacity, 0, MAX_CAPACITY);
    let name = wrong.line("name", fields.name.as_deref().unwrap_or_default(), 1, 200);
    wrong.check()?;
    let quota = Quota {
        quota_id: app.rng.uuid(&*app.clock),
        event_id,
        name,
        capacity,
        held: 0,
        sold: 0,
        queued: false,
    };
    ticket_type::insert_quota(&mut tx, member.organizer_id, &quota, app.clock.now()).await?;
    finish(&app, tx, &member, event_id, "quota.created", ("quota", quota.quota_id)).await?;
    Ok((StatusCode::CREATED, Json(quota_json(quota))))
}

/// Changes a quota; never below what is held and sold.
#[utoipa::path(
    put, path = "/organizer/events/{event_id}/quotas/{quota_id}", operation_id = "update_quota", tag = "organizer",
    params(("event_id" = Uuid, Path), ("quota_id" = Uuid, Path)), request_body = QuotaFields, security(("bearer" = [])),
    responses(
        (status = 200, body = QuotaJson), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "`capacity_in_use`", body = Problem), (status = 422, body = Problem),
    ),
)]
pub(super) async fn update_quota(
    State(app): State<AppState>,
    member: Staff,
    ApiPath((event_id, quota_id)): ApiPath<(Uuid, Uuid)>,
    ApiJson(fields): ApiJson<QuotaFields>,
) -> Result<Json<QuotaJson>, ApiError> {
    let (mut tx, event) = open(&app, &member, event_id).await?;
    let before = ticket_type::of_event(&mut tx, member.organizer_id, event_id).await?;
    let mut wrong = Wrong::default();
    let name = fields.name.as_deref().map(|name| wrong.line("name", name, 1, 200));
    wrong.within("capacity", fields.capacity.unwrap_or_default(), 0, MAX_CAPACITY);
    wrong.check()?;
    let quota = resize(&mut tx, &member, event_id, quota_id, name.as_deref(), fields.capacity).await?;
    tell_changes(&app, &mut tx, &event, &before).await?;
    finish(&app, tx, &member, event_id, "quota.updated", ("quota", quota_id)).await?;
    Ok(Json(quota_json(quota)))
}

/// A gate holds no more tickets.
const MAX_CAPACITY: i32 = 4_000_000;

async fn resize(
    tx: &mut Tx,
    member: &Staff,
    event_id: Uuid,
    quota_id: Uuid,
    name: Option<&str>,
    capacity: Option<i32>,
) -> Result<Quota, ApiError> {
    let organizer_id = member.organizer_id;
    match ticket_type::update_quota(tx, organizer_id, event_id, quota_id, name, capacity).await? {
        Some(quota) => Ok(quota),
        None => {
            let quotas = ticket_type::quotas(tx, organizer_id, event_id).await?;
            Err(match quotas.iter().find(|q| q.quota_id == quota_id) {
                Some(q) => ApiError::conflict(
                    "capacity_in_use",
                    format!("{} are held and {} sold already", q.held, q.sold),
                ),
                None => ApiError::not_found("quota"),
            })
        }
    }
}

/// One of the event's types that is still there.
fn find(types: &[TicketType], ticket_type_id: Uuid) -> Result<TicketType, ApiError> {
    let found = types.iter().find(|t| t.ticket_type_id == ticket_type_id && t.archived_at.is_none());
    found.cloned().ok_or_else(|| ApiError::not_found("ticket type"))
}

/// Tells the organizer's own servers which of the event's types are others now, or new. Before the last statement.
async fn tell_changes(app: &App, tx: &mut Tx, event: &Event, before: &[TicketType]) -> Result<(), ApiError> {
    let types = ticket_type::of_event(tx, event.organizer_id, event.event_id).await?;
    let told = facts::ticket_types_changed(app, (event, before), (event, &types));
    facts::tell(tx, event.organizer_id, &told, app.clock.now()).await?;
    Ok(())
}

impl TicketTypeFields {
    /// Writes what is given into `of` and checks the whole.
    fn apply(&self, of: &mut TicketType, event: &Event, wrong: &mut Wrong) {
        if let Some(name) = &self.name {
            of.name = wrong.line("name", name, 1, 200);
        }
        if let Some(description) = &self.description {
            of.description = wrong.length("description", description, 0, 2_000);
        }
        if let Some(attention) = &self.attention {
            let text = attention.as_ref().map(|a| wrong.line("attention", a, 0, 300));
            of.attention = text.filter(|a| !a.is_empty());
        }
        if let Some(price) = &self.price {
            of.price_minor = wrong.amount("price", price, &event.currency);
        }
        if let Some(fee) = &self.fee {
            of.fee_minor = wrong.amount("fee", fee, &event.currency);
        }
        if let Some(tax) = &self.tax {
            wrong.within("tax.rate_bp", tax.rate_bp, 0, 10_000);
            (of.tax_rate_bp, of.tax_inclusive) = (tax.rate_bp.into(), tax.inclusive);
        }
        for (field, value, at, max) in [
            ("grace_secs", self.grace_secs, &mut of.grace_secs, 31_536_000),
            ("position", self.position, &mut of.position, 1_000_000),
        ] {
            if let Some(value) = value {
                wrong.within(field, value, 0, max);
                *at = value;
            }
        }
        if let Some(max) = self.max_per_booking {
            wrong.within("max_per_booking", max, 1, 1_000);
            of.max_per_booking = max;
        }
        if let Some(max) = self.max_per_person {
            wrong.within("max_per_person", max.unwrap_or(1), 1, 100_000);
            of.max_per_person = max;
        }
        wrong.within("capacity", self.capacity.unwrap_or_default(), 0, MAX_CAPACITY);
        of.hidden = self.hidden.unwrap_or(of.hidden);
        for (value, at) in [
            (&self.sales_from, &mut of.sales_from),
            (&self.sales_until, &mut of.sales_until),
            (&self.valid_from, &mut of.valid_from),
            (&self.valid_until, &mut of.valid_until),
        ] {
            if let Some(value) = value {
                *at = value.map(|t| t.0);
            }
        }
        check_windows(of, event, wrong);
    }
}

fn check_windows(of: &TicketType, event: &Event, wrong: &mut Wrong) {
    if let (Some(from), Some(until)) = (of.sales_from, of.sales_until)
        && from >= until
    {
        wrong.note("sales_until", "out_of_order", "sales end after they begin");
    }
    if let (Some(from), Some(until)) = (of.valid_from, of.valid_until)
        && from >= until
    {
        wrong.note("valid_until", "out_of_order", "validity ends after it begins");
    }
    let years = |at: Option<OffsetDateTime>| at.is_none_or(|at| (1970..=2100).contains(&at.year()));
    if !years(of.sales_from) || !years(of.sales_until) {
        wrong.note("sales_until", "out_of_range", "between 1970 and 2100");
    }
    if !years(of.valid_from) || !years(of.valid_until) {
        wrong.note("valid_until", "out_of_range", "between 1970 and 2100");
        return;
    }
    let times = (event.starts_at, event.ends_at);
    let window = type_window(times, (of.valid_from, of.valid_until, of.grace_secs));
    if window.not_before.is_some_and(|from| from >= window.expires_at) {
        wrong.note("valid_from", "conflict", "the validity would be empty: it ends with the event");
    }
    if of.stated(event.fee()).unit().is_none() {
        wrong.note("price", "out_of_range", "this price cannot be computed with");
    }
}

pub(super) fn json(of: TicketType, event: &Event) -> TicketTypeJson {
    let total = of.stated(event.fee()).unit().and_then(|u| u.total_minor()).unwrap_or_default();
    let currency = &event.currency;
    TicketTypeJson {
        ticket_type_id: of.ticket_type_id,
        event_id: of.event_id,
        number: of.number,
        price: money(of.price_minor, currency),
        fee: money(of.fee_minor, currency),
        tax: TaxJson {
            rate_bp: u16::try_from(of.tax_rate_bp).unwrap_or_default(),
            inclusive: of.tax_inclusive,
        },
        total: money(total, currency),
        quota_id: of.quota_id,
        capacity: of.capacity,
        held: of.held,
        sold: of.sold,
        sales_from: of.sales_from,
        sales_until: of.sales_until,
        valid_from: of.valid_from,
        valid_until: of.valid_until,
        grace_secs: of.grace_secs,
        max_per_booking: of.max_per_booking,
        max_per_person: of.max_per_person,
        attention: of.attention,
        hidden: of.hidden,
        queued: of.queued,
        position: of.position,
        name: of.name,
        description: of.description,
    }
}

pub(super) fn quota_json(of: Quota) -> QuotaJson {
    QuotaJson {
        quota_id: of.quota_id,
        name: of.name,
        capacity: of.capacity,
        held: of.held,
        sold: of.sold,
        queued: of.queued,
    }
}
