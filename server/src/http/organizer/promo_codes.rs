//! `/organizer/events/{id}/promo-codes`: codes that lower prices or open hidden ticket types, and how they are used.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{look, open, record, still_on};
use crate::app::AppState;
use crate::domain::promo::{code_key, is_code};
use crate::http::auth::Staff;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::{ApiJson, ApiPath, ApiQuery};
use crate::http::fields::{Instant, Wrong, given, money};
use crate::http::page::{MoneyJson, Page, PageQuery};
use crate::store::event::Event;
use crate::store::promo::{self, Stored, Usage};
use crate::store::{Tx, is_unique_violation, ticket_type};

const LIST: &str = "promo_codes";

/// A promo code and how it is used.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PromoCodeJson {
    promo_code_id: Uuid,
    code: String,
    percent_bp: Option<i32>,
    amount: Option<MoneyJson>,
    ticket_type_ids: Option<Vec<Uuid>>,
    unlocks: bool,
    #[serde(with = "time::serde::rfc3339::option")]
    valid_from: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    valid_until: Option<OffsetDateTime>,
    max_uses: Option<i32>,
    max_uses_per_person: Option<i32>,
    budget: Option<MoneyJson>,
    usage: UsageJson,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

/// Bookings under a code, and what they save their buyers. What expired or was given up unpaid does not count; what
/// was paid counts for good, refunded or not.
#[derive(Debug, Serialize, ToSchema)]
struct UsageJson {
    /// Bookings not paid yet.
    held: i64,
    used: i64,
    discount_held: MoneyJson,
    discount_used: MoneyJson,
}

/// Fields of a promo code. To create, `code` is required. To update: what is given is changed, null empties. Either
/// `percent_bp` or `amount`, or neither: a code that only unlocks.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "code": "EARLY-BIRD", "percent_bp": 1500, "max_uses": 100, "max_uses_per_person": 1 }))]
pub(super) struct PromoCodeFields {
    /// 2 to 64 letters, digits, hyphens, underscores and points; case does not matter to buyers.
    code: Option<String>,
    /// Off the stated price of each ticket, in hundredths of a percent: 1500 is 15 %.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 10_000)]
    percent_bp: Option<Option<i32>>,
    /// Off the stated price of each ticket, at most that price.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<MoneyJson>)]
    amount: Option<Option<MoneyJson>>,
    /// Of which types; null: of all.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Vec<Uuid>>)]
    ticket_type_ids: Option<Option<Vec<Uuid>>>,
    /// Whether hidden types that it is for can be bought with it.
    unlocks: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Instant>)]
    valid_from: Option<Option<Instant>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Instant>)]
    valid_until: Option<Option<Instant>>,
    /// Bookings in all.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 10_000_000)]
    max_uses: Option<Option<i32>>,
    /// Bookings of one person. A person is whoever gets mail at one address.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 100_000)]
    max_uses_per_person: Option<Option<i32>>,
    /// What all buyers together save at most.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<MoneyJson>)]
    budget: Option<Option<MoneyJson>>,
}

/// The promo codes of an event, the youngest first.
#[utoipa::path(
    get, path = "/organizer/events/{event_id}/promo-codes", operation_id = "list_promo_codes", tag = "organizer",
    params(("event_id" = Uuid, Path), PageQuery), security(("bearer" = [])),
    responses((status = 200, body = Page<PromoCodeJson>), (status = 403, body = Problem), (status = 404, body = Problem)),
)]
pub(super) async fn list(
    State(app): State<AppState>,
    member: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<PromoCodeJson>>, ApiError> {
    let after = query.after(LIST)?;
    let limit = query.limit();
    let (mut tx, event) = look(&app, &member, event_id).await?;
    let codes = promo::list(&mut tx, member.organizer_id, event_id, after, limit + 1).await?;
    let ids: Vec<Uuid> = codes.iter().map(|c| c.promo_code_id).collect();
    let usage = promo::usage(&mut tx, member.organizer_id, &ids).await?;
    tx.commit().await?;
    let of = |c: Stored| {
        let used = usage.iter().find(|u| u.promo_code_id == c.promo_code_id).copied().unwrap_or_default();
        json(c, used, &event.currency)
    };
    Ok(Json(Page::of(LIST, limit, codes, |c| (c.created_at, c.promo_code_id), of)))
}

/// Adds a promo code.
#[utoipa::path(
    post, path = "/organizer/events/{event_id}/promo-codes", operation_id = "create_promo_code", tag = "organizer",
    params(("event_id" = Uuid, Path)), request_body = PromoCodeFields, security(("bearer" = [])),
    responses(
        (status = 201, body = PromoCodeJson), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "`code_taken`, `event_canceled`", body = Problem),
        (status = 422, description = "`invalid_fields`", body = Problem),
    ),
)]
pub(super) async fn create(
    State(app): State<AppState>,
    member: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
    ApiJson(fields): ApiJson<PromoCodeFields>,
) -> Result<(StatusCode, Json<PromoCodeJson>), ApiError> {
    let (mut tx, event) = open(&app, &member, event_id).await?;
    still_on(&event)?;
    let now = app.clock.now();
    let mut of = Stored {
        promo_code_id: app.rng.uuid(&*app.clock),
        event_id,
        code: String::new(),
        code_key: String::new(),
        percent_bp: None,
        amount_minor: None,
        ticket_type_ids: None,
        unlocks: false,
        valid_from: None,
        valid_until: None,
        max_uses: None,
        max_uses_per_person: None,
        budget_minor: None,
        revision: 1,
        uses: 0,
        spent_minor: 0,
        created_at: now,
        updated_at: now,
        archived_at: None,
    };
    let mut wrong = Wrong::default();
    if fields.code.is_none() {
        wrong.note("code", "required", "this field is required");
    }
    fields.apply(&mut tx, &mut of, &event, &mut wrong).await?;
    wrong.check()?;
    promo::insert(&mut tx, member.organizer_id, &of).await.map_err(taken)?;
    let object = ("promo_code", of.promo_code_id);
    record(&app, &mut tx, &member, "promo_code.created", object, serde_json::json!({})).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(json(of, Usage::default(), &event.currency))))
}

/// Changes a promo code: what is given is changed. Bookings that were made with it keep their price.
#[utoipa::path(
    put, path = "/organizer/events/{event_id}/promo-codes/{promo_code_id}", operation_id = "update_promo_code", tag = "organizer",
    params(("event_id" = Uuid, Path), ("promo_code_id" = Uuid, Path)), request_body = PromoCodeFields,
    security(("bearer" = [])),
    responses(
        (status = 200, body = PromoCodeJson), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "`code_taken`, `code_in_use`: more than that is used", body = Problem),
        (status = 422, description = "`invalid_fields`", body = Problem),
    ),
)]
pub(super) async fn update(
    State(app): State<AppState>,
    member: Staff,
    ApiPath((event_id, promo_code_id)): ApiPath<(Uuid, Uuid)>,
    ApiJson(fields): ApiJson<PromoCodeFields>,
) -> Result<Json<PromoCodeJson>, ApiError> {
    let organizer_id = member.organizer_id;
    let (mut tx, event) = open(&app, &member, event_id).await?;
    let mut of = locked(&mut tx, organizer_id, event_id, promo_code_id).await?;
    let mut wrong = Wrong::default();
    fields.apply(&mut tx, &mut of, &event, &mut wrong).await?;
    wrong.check()?;
    of.updated_at = app.clock.now();
    // What came to nothing must not stand in the way of a lower limit.
    promo::settle(&mut tx, organizer_id, promo_code_id).await?;
    if !promo::update(&mut tx, organizer_id, &of).await.map_err(taken)? {
        return Err(ApiError::conflict("code_in_use", "more than that is held and used already"));
    }
    let used = promo::usage(&mut tx, organizer_id, &[promo_code_id]).await?;
    let object = ("promo_code", promo_code_id);
    record(&app, &mut tx, &member, "promo_code.updated", object, serde_json::json!({})).await?;
    tx.commit().await?;
    Ok(Json(json(of, used.first().copied().unwrap_or_default(), &event.currency)))
}

/// Ends a promo code for good. Bookings that were made with it keep their price, and its text may be given anew.
#[utoipa::path(
    delete, path = "/organizer/events/{event_id}/promo-codes/{promo_code_id}", operation_id = "archive_promo_code", tag = "organizer",
    params(("event_id" = Uuid, Path), ("promo_code_id" = Uuid, Path)), security(("bearer" = [])),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)),
)]
pub(super) async fn archive(
    State(app): State<AppState>,
    member: Staff,
    ApiPath((event_id, promo_code_id)): ApiPath<(Uuid, Uuid)>,
) -> Result<StatusCode, ApiError> {
    let organizer_id = member.organizer_id;
    let (mut tx, _) = open(&app, &member, event_id).await?;
    let mut of = locked(&mut tx, organizer_id, event_id, promo_code_id).await?;
    of.archived_at = Some(app.clock.now());
    promo::update(&mut tx, organizer_id, &of).await?;
    let object = ("promo_code", promo_code_id);
    record(&app, &mut tx, &member, "promo_code.archived", object, serde_json::json!({})).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn locked(
    tx: &mut Tx,
    organizer_id: Uuid,
    event_id: Uuid,
    promo_code_id: Uuid,
) -> Result<Stored, ApiError> {
    let found = promo::lock(tx, organizer_id, &[promo_code_id]).await?;
    let of = found.into_iter().find(|c| c.event_id == event_id);
    of.ok_or_else(|| ApiError::not_found("promo code"))
}

fn taken(error: sqlx::Error) -> ApiError {
    if is_unique_violation(&error, "promo_codes_code") {
        ApiError::conflict("code_taken", "the event has this code already")
    } else {
        error.into()
    }
}

impl PromoCodeFields {
    async fn apply(
        &self,
        tx: &mut Tx,
        of: &mut Stored,
        event: &Event,
        wrong: &mut Wrong,
    ) -> Result<(), ApiError> {
        if let Some(code) = &self.code {
            code.trim().clone_into(&mut of.code);
            of.code_key = code_key(code);
            if !is_code(&of.code) {
                wrong.note("code", "invalid", "2 to 64 letters, digits, hyphens, underscores and points");
            }
        }
        for (field, value, at, max) in [
            ("percent_bp", self.percent_bp, &mut of.percent_bp, 10_000),
            ("max_uses", self.max_uses, &mut of.max_uses, 10_000_000),
            ("max_uses_per_person", self.max_uses_per_person, &mut of.max_uses_per_person, 100_000),
        ] {
            if let Some(value) = value {
                wrong.within(field, value.unwrap_or(1), 1, max);
                *at = value;
            }
        }
        for (field, value, at) in
            [("amount", &self.amount, &mut of.amount_minor), ("budget", &self.budget, &mut of.budget_minor)]
        {
            match value {
                None => {}
                Some(None) => *at = None,
                Some(Some(money)) => {
                    let minor = wrong.amount(field, money, &event.currency);
                    if minor == 0 {
                        wrong.note(format!("{field}.amount_minor"), "out_of_range", "more than nothing");
                    }
                    *at = Some(minor);
                }
            }
        }
        if of.percent_bp.is_some() && of.amount_minor.is_some() {
            wrong.note("amount", "conflict", "either a percentage or an amount");
        }
        of.unlocks = self.unlocks.unwrap_or(of.unlocks);
        for (value, at) in [(self.valid_from, &mut of.valid_from), (self.valid_until, &mut of.valid_until)] {
            if let Some(value) = value {
                *at = value.map(|t| t.0);
            }
        }
        if let (Some(from), Some(until)) = (of.valid_from, of.valid_until)
            && from >= until
        {
            wrong.note("valid_until", "out_of_order", "a code ends after it begins");
        }
        if let Some(types) = &self.ticket_type_ids {
            of.ticket_type_ids.clone_from(types);
            let known = ticket_type::of_event(tx, event.organizer_id, event.event_id).await?;
            for id in types.iter().flatten() {
                if !known.iter().any(|t| t.ticket_type_id == *id) {
                    wrong.note("ticket_type_ids", "unknown", format!("there is no ticket type {id}"));
                }
            }
            if types.as_ref().is_some_and(|all| all.is_empty() || all.len() > 500) {
                wrong.note("ticket_type_ids", "out_of_range", "1 to 500 types, or null for all");
            }
        }
        Ok(())
    }
}

fn json(of: Stored, used: Usage, currency: &str) -> PromoCodeJson {
    PromoCodeJson {
        promo_code_id: of.promo_code_id,
        percent_bp: of.percent_bp,
        amount: of.amount_minor.map(|minor| money(minor, currency)),
        ticket_type_ids: of.ticket_type_ids,
        unlocks: of.unlocks,
        valid_from: of.valid_from,
        valid_until: of.valid_until,
        max_uses: of.max_uses,
        max_uses_per_person: of.max_uses_per_person,
        budget: of.budget_minor.map(|minor| money(minor, currency)),
        usage: UsageJson {
            held: used.held,
            used: used.used,
            discount_held: money(used.discount_held_minor, currency),
            discount_used: money(used.discount_used_minor, currency),
        },
        created_at: of.created_at,
        updated_at: of.updated_at,
        code: of.code,
    }
}
