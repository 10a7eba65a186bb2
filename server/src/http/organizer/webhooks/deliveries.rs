//! What an endpoint is told: looking at it, and telling it again.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::super::record;
use super::enabled;
use crate::app::AppState;
use crate::domain::notification::DeadBecause;
use crate::domain::webhook::FactType;
use crate::http::auth::Member;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::{ApiJson, ApiPath, ApiQuery};
use crate::http::fields::{Instant, Wrong};
use crate::http::page::{self, Page, PageQuery};
use crate::store::webhook::{self, Attempt, Delivery, Range};

const LIST: &str = "webhook_deliveries";
/// Deliveries that one call replays.
const MOST_REPLAYED: i64 = 50_000;

/// What is on its way to an endpoint, or was.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http::organizer) struct DeliveryJson {
    delivery_id: Uuid,
    /// The header `webhook-id`: the same for every endpoint that is told of the fact, and for every try.
    webhook_id: String,
    #[serde(rename = "type")]
    of: String,
    /// `queued`, `failed` (it is tried again), `delivered` or `dead`.
    status: String,
    attempts: i32,
    /// Of a dead one.
    because: Option<DeadBecause>,
    last_error: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// Of one that is not over.
    #[serde(with = "time::serde::rfc3339::option")]
    next_attempt_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    delivered_at: Option<OffsetDateTime>,
}

/// A delivery with all that is known of it.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http::organizer) struct DeliveryDetailJson {
    #[serde(flatten)]
    delivery: DeliveryJson,
    /// What is told.
    #[schema(value_type = Object)]
    body: Value,
    /// The newest first, 100 at most.
    log: Vec<AttemptJson>,
}

/// One attempt.
#[derive(Debug, Serialize, ToSchema)]
struct AttemptJson {
    #[serde(with = "time::serde::rfc3339")]
    attempted_at: OffsetDateTime,
    duration_ms: i32,
    /// Of the answer; null if none came.
    status: Option<i32>,
    /// The beginning of the answer's body.
    excerpt: Option<String>,
    error: Option<String>,
}

/// Which deliveries.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http::organizer) struct DeliveriesQuery {
    /// `queued`, `failed`, `delivered` or `dead`.
    #[param(value_type = Option<String>)]
    status: Option<DeliveryStatus>,
    /// Of this type alone.
    #[serde(rename = "type")]
    of: Option<FactType>,
    /// How many at most; 50 without it.
    #[serde(default, deserialize_with = "page::limit")]
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum DeliveryStatus {
    Queued,
    Failed,
    Delivered,
    Dead,
}

impl DeliveryStatus {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Failed => "failed",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }
}

/// What to tell again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "from": "2026-12-24T00:00:00Z", "to": "2026-12-25T00:00:00Z" }))]
pub(in crate::http::organizer) struct ReplayRequest {
    /// Of facts from then on …
    #[schema(value_type = String, format = DateTime)]
    from: Instant,
    /// … and before then; without it: up to now.
    #[schema(value_type = Option<String>, format = DateTime)]
    to: Option<Instant>,
    #[serde(rename = "type")]
    of: Option<FactType>,
    /// Also what arrived; else only what did not.
    #[serde(default)]
    all: bool,
}

/// How many are told again.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http::organizer) struct ReplayJson {
    queued: i64,
}

/// A delivery that was queued.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http::organizer) struct QueuedJson {
    pub(super) delivery_id: Uuid,
}

/// What the endpoint was told, and what is on its way: newest first, as far back as 30 days, what is dead 90.
#[utoipa::path(
    get, path = "/organizer/webhooks/{endpoint_id}/deliveries", operation_id = "list_webhook_deliveries", tag = "webhooks",
    params(("endpoint_id" = Uuid, Path), DeliveriesQuery, ("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    security(("bearer" = [])),
    responses(
        (status = 200, body = Page<DeliveryJson>), (status = 400, description = "`invalid_cursor`, `invalid_query`", body = Problem),
        (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    ),
)]
pub(in crate::http::organizer) async fn deliveries(
    State(app): State<AppState>,
    member: Member,
    ApiPath(endpoint_id): ApiPath<Uuid>,
    ApiQuery(query): ApiQuery<DeliveriesQuery>,
) -> Result<Json<Page<DeliveryJson>>, ApiError> {
    let page = PageQuery { limit: query.limit, cursor: query.cursor };
    let (before, limit) = (page.after(LIST)?, page.limit());
    let of = (query.status.map(DeliveryStatus::as_str), query.of);
    let mut tx = app.db.tenant(member.organizer_id).await?;
    let known = webhook::find(&mut tx, member.organizer_id, endpoint_id).await?;
    known.ok_or_else(|| ApiError::not_found("webhook"))?;
    let rows = webhook::deliveries(&mut tx, member.organizer_id, endpoint_id, of, before, limit + 1).await?;
    tx.commit().await?;
    Ok(Json(Page::of(LIST, limit, rows, |d| (d.created_at, d.id), |d| delivery_json(&d))))
}

/// One delivery: what is told, and how each attempt went.
#[utoipa::path(
    get, path = "/organizer/webhooks/{endpoint_id}/deliveries/{delivery_id}", operation_id = "get_webhook_delivery", tag = "webhooks",
    params(("endpoint_id" = Uuid, Path), ("delivery_id" = Uuid, Path), ("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    security(("bearer" = [])),
    responses(
        (status = 200, body = DeliveryDetailJson), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem),
    ),
)]
pub(in crate::http::organizer) async fn delivery(
    State(app): State<AppState>,
    member: Member,
    ApiPath((endpoint_id, delivery_id)): ApiPath<(Uuid, Uuid)>,
) -> Result<Json<DeliveryDetailJson>, ApiError> {
    let mut tx = app.db.tenant(member.organizer_id).await?;
    let of = webhook::delivery(&mut tx, member.organizer_id, endpoint_id, delivery_id).await?;
    let log = webhook::attempts(&mut tx, member.organizer_id, delivery_id).await?;
    tx.commit().await?;
    let of = of.ok_or_else(|| ApiError::not_found("delivery"))?;
    Ok(Json(DeliveryDetailJson {
        delivery: delivery_json(&of),
        body: of.body,
        log: log.into_iter().map(AttemptJson::from).collect(),
    }))
}

/// Tells one thing again, under the same `webhook-id`, whether it arrived or not; with as many tries as the first time.
#[utoipa::path(
    post, path = "/organizer/webhooks/{endpoint_id}/deliveries/{delivery_id}/replay", operation_id = "replay_webhook_delivery",
    tag = "webhooks",
    params(("endpoint_id" = Uuid, Path), ("delivery_id" = Uuid, Path), ("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    security(("bearer" = [])),
    responses(
        (status = 202, body = QueuedJson), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, description = "`endpoint_disabled`, `in_flight`: it is on its way just now", body = Problem),
    ),
)]
pub(in crate::http::organizer) async fn replay(
    State(app): State<AppState>,
    member: Member,
    ApiPath((endpoint_id, delivery_id)): ApiPath<(Uuid, Uuid)>,
) -> Result<(StatusCode, Json<QueuedJson>), ApiError> {
    let organizer_id = member.organizer_id;
    // The worker's: nobody else changes the outbox.
    let mut tx = app.db.worker_tenant(organizer_id).await?;
    enabled(webhook::find(&mut tx, organizer_id, endpoint_id).await?)?;
    let known = webhook::delivery(&mut tx, organizer_id, endpoint_id, delivery_id).await?;
    known.ok_or_else(|| ApiError::not_found("delivery"))?;
    if !webhook::replay(&mut tx, organizer_id, endpoint_id, delivery_id, app.clock.now()).await? {
        return Err(ApiError::conflict("in_flight", "it is on its way just now"));
    }
    let detail = json!({ "delivery_id": delivery_id });
    record(&app, &mut tx, &member, "webhook.replayed", ("webhook", endpoint_id), detail).await?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(QueuedJson { delivery_id })))
}

/// Tells again what happened within a time: what did not arrive, or (`all`) everything. Each under its old `webhook-id`.
#[utoipa::path(
    post, path = "/organizer/webhooks/{endpoint_id}/replay", operation_id = "replay_webhook", tag = "webhooks",
    params(("endpoint_id" = Uuid, Path), ("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    request_body = ReplayRequest, security(("bearer" = [])),
    responses(
        (status = 202, body = ReplayJson), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem),
        (status = 409, description = "`endpoint_disabled`, `too_many`: more than 50,000; ask for a shorter time", body = Problem),
        (status = 422, description = "`invalid_fields`, `invalid_body`", body = Problem),
    ),
)]
pub(in crate::http::organizer) async fn replay_range(
    State(app): State<AppState>,
    member: Member,
    ApiPath(endpoint_id): ApiPath<Uuid>,
    ApiJson(request): ApiJson<ReplayRequest>,
) -> Result<(StatusCode, Json<ReplayJson>), ApiError> {
    let (organizer_id, now) = (member.organizer_id, app.clock.now());
    // Up to now means: what is entered in this very moment too.
    let to = request.to.map_or(now + Duration::seconds(1), |to| to.0);
    let range = Range { from: request.from.0, to, of: request.of, all: request.all };
    let mut wrong = Wrong::default();
    if range.from >= range.to {
        wrong.note("to", "out_of_order", "a time ends after it begins");
    }
    wrong.check()?;
    let mut tx = app.db.worker_tenant(organizer_id).await?;
    enabled(webhook::find(&mut tx, organizer_id, endpoint_id).await?)?;
    let queued =
        webhook::replay_range(&mut tx, organizer_id, endpoint_id, &range, MOST_REPLAYED, now).await?;
    let Some(queued) = queued else {
        let text = format!("more than {MOST_REPLAYED} deliveries: ask for a shorter time");
        return Err(ApiError::conflict("too_many", text));
    };
    let detail = json!({ "queued": queued, "all": request.all });
    record(&app, &mut tx, &member, "webhook.replayed", ("webhook", endpoint_id), detail).await?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(ReplayJson { queued })))
}

fn delivery_json(of: &Delivery) -> DeliveryJson {
    let over = matches!(of.status.as_str(), "delivered" | "dead");
    DeliveryJson {
        delivery_id: of.id,
        webhook_id: of.body["id"].as_str().unwrap_or_default().to_owned(),
        of: of.kind.clone(),
        status: of.status.clone(),
        attempts: of.attempts,
        because: of.because.as_deref().map(DeadBecause::from_column),
        last_error: of.last_error.clone(),
        created_at: of.created_at,
        next_attempt_at: (!over).then_some(of.next_attempt_at),
        delivered_at: of.delivered_at,
    }
}

impl From<Attempt> for AttemptJson {
    fn from(of: Attempt) -> Self {
        Self {
            attempted_at: of.attempted_at,
            duration_ms: of.duration_ms,
            status: of.status,
            excerpt: of.excerpt,
            error: of.error,
        }
    }
}
