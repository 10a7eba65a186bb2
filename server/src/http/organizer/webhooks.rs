//! `/organizer/webhooks`: servers of the organizer that are told what happens, for its owners.

pub(super) mod deliveries;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;
use uuid::Uuid;

use self::deliveries::QueuedJson;
use crate::app::AppState;
use crate::domain::webhook::{FactType, Signing, in_use, rotated, secret_of};
use crate::http::auth::Member;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::{ApiJson, ApiPath};
use crate::http::fields::Wrong;
use crate::http::page::Page;
use crate::store::Tx;
use crate::store::webhook::{self, Endpoint};
use crate::webhooks::{facts, open, seal};

/// Endpoints of one organizer.
const MOST: i64 = 20;
/// How long an old secret signs beside the new one, unless it is said.
const OVERLAP_HOURS: u32 = 24;
const LONGEST_OVERLAP_HOURS: u32 = 168;

/// A server that is told what happens.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WebhookJson {
    endpoint_id: Uuid,
    url: String,
    description: String,
    /// What it is told; empty: everything.
    types: Vec<FactType>,
    /// False: it is told nothing; what happens meanwhile can be replayed.
    enabled: bool,
    /// `by_hand`, `failing` (nothing arrived for three days) or `gone` (it answered 410).
    disabled_because: Option<String>,
    /// Nothing has arrived since then.
    #[serde(with = "time::serde::rfc3339::option")]
    failing_since: Option<OffsetDateTime>,
    /// To ten seconds.
    #[serde(with = "time::serde::rfc3339::option")]
    last_success_at: Option<OffsetDateTime>,
    /// Secrets that sign just now: several while one is being changed.
    secrets: usize,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

/// An endpoint with its newest secret, which is told this once.
#[derive(Serialize, ToSchema)]
pub(super) struct WebhookWithSecretJson {
    #[serde(flatten)]
    endpoint: WebhookJson,
    /// `whsec_…`: what signatures are made with, as Standard Webhooks says.
    secret: String,
}

/// Fields of an endpoint. To create, `url` is required. To update: what is given is changed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "url": "https://hooks.example.org/tickets", "types": ["booking.paid", "booking.refunded"] }))]
pub(super) struct WebhookFields {
    /// By HTTPS, at a public address.
    #[schema(max_length = 2_000)]
    url: Option<String>,
    #[schema(max_length = 200)]
    description: Option<String>,
    /// What it is told; empty: everything.
    types: Option<Vec<FactType>>,
    enabled: Option<bool>,
}

/// How to change the secret.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "overlap_hours": 24 }))]
pub(super) struct RotateRequest {
    /// How long the old secret signs beside the new one; 24 without it, 0 if it became known.
    #[schema(minimum = 0, maximum = 168)]
    overlap_hours: Option<u32>,
}

/// The organizer's endpoints, without their secrets: always one page.
#[utoipa::path(
    get, path = "/organizer/webhooks", operation_id = "list_webhooks", tag = "webhooks",
    params(("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    security(("bearer" = [])),
    responses((status = 200, body = Page<WebhookJson>), (status = 401, body = Problem), (status = 403, body = Problem)),
)]
pub(super) async fn list(
    State(app): State<AppState>,
    member: Member,
) -> Result<Json<Page<WebhookJson>>, ApiError> {
    let mut tx = app.db.tenant(member.organizer_id).await?;
    let all = webhook::endpoints(&mut tx, member.organizer_id).await?;
    tx.commit().await?;
    let items = all.iter().map(|of| endpoint_json(&app, of)).collect::<Result<_, _>>()?;
    Ok(Json(Page { items, next_cursor: None }))
}

/// Adds an endpoint. Its secret is in the answer and nowhere else.
#[utoipa::path(
    post, path = "/organizer/webhooks", operation_id = "create_webhook", tag = "webhooks",
    params(("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    request_body = WebhookFields, security(("bearer" = [])),
    responses(
        (status = 201, body = WebhookWithSecretJson), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 409, description = "`too_many`", body = Problem),
        (status = 422, description = "`invalid_fields`, `invalid_body`", body = Problem),
    ),
)]
pub(super) async fn create(
    State(app): State<AppState>,
    member: Member,
    ApiJson(fields): ApiJson<WebhookFields>,
) -> Result<(StatusCode, Json<WebhookWithSecretJson>), ApiError> {
    let now = app.clock.now();
    let endpoint_id = app.rng.uuid(&*app.clock);
    let secret = secret_of(&app.rng.bytes());
    let mut of = Endpoint {
        organizer_id: member.organizer_id,
        endpoint_id,
        url: String::new(),
        description: String::new(),
        types: Vec::new(),
        secrets_sealed: seal(&app, endpoint_id, &[Signing { secret: secret.clone(), until: None }]),
        disabled_because: None,
        failing_since: None,
        failures: 0,
        last_success_at: None,
        created_at: now,
        updated_at: now,
    };
    let mut wrong = Wrong::default();
    if fields.url.is_none() {
        wrong.note("url", "required", "this field is required");
    }
    fields.apply(&app, &mut of, &mut wrong);
    wrong.check()?;
    let mut tx = app.db.tenant(member.organizer_id).await?;
    if !webhook::insert(&mut tx, &of, MOST).await? {
        let text = format!("an organizer has at most {MOST} webhooks: remove one first");
        return Err(ApiError::conflict("too_many", text));
    }
    let detail = json!({ "types": of.types });
    super::record(&app, &mut tx, &member, "webhook.created", ("webhook", endpoint_id), detail).await?;
    tx.commit().await?;
    let endpoint = endpoint_json(&app, &of)?;
    Ok((StatusCode::CREATED, Json(WebhookWithSecretJson { endpoint, secret })))
}

/// One endpoint, without its secrets.
#[utoipa::path(
    get, path = "/organizer/webhooks/{endpoint_id}", operation_id = "get_webhook", tag = "webhooks",
    params(("endpoint_id" = Uuid, Path), ("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    security(("bearer" = [])),
    responses(
        (status = 200, body = WebhookJson), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem),
    ),
)]
pub(super) async fn show(
    State(app): State<AppState>,
    member: Member,
    ApiPath(endpoint_id): ApiPath<Uuid>,
) -> Result<Json<WebhookJson>, ApiError> {
    let mut tx = app.db.tenant(member.organizer_id).await?;
    let of = webhook::find(&mut tx, member.organizer_id, endpoint_id).await?;
    tx.commit().await?;
    endpoint_json(&app, &of.ok_or_else(|| ApiError::not_found("webhook"))?).map(Json)
}

/// Changes an endpoint: what is given is changed. Enabling one forgets that it failed; what happened meanwhile is told
/// by POST …/replay.
#[utoipa::path(
    put, path = "/organizer/webhooks/{endpoint_id}", operation_id = "update_webhook", tag = "webhooks",
    params(("endpoint_id" = Uuid, Path), ("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    request_body = WebhookFields, security(("bearer" = [])),
    responses(
        (status = 200, body = WebhookJson), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 422, description = "`invalid_fields`, `invalid_body`", body = Problem),
    ),
)]
pub(super) async fn update(
    State(app): State<AppState>,
    member: Member,
    ApiPath(endpoint_id): ApiPath<Uuid>,
    ApiJson(fields): ApiJson<WebhookFields>,
) -> Result<Json<WebhookJson>, ApiError> {
    let (mut tx, mut of) = open_endpoint(&app, &member, endpoint_id).await?;
    let mut wrong = Wrong::default();
    fields.apply(&app, &mut of, &mut wrong);
    wrong.check()?;
    of.updated_at = app.clock.now();
    webhook::update(&mut tx, &of).await?;
    let detail =
        json!({ "url": fields.url.is_some(), "types": of.types, "enabled": of.disabled_because.is_none() });
    super::record(&app, &mut tx, &member, "webhook.updated", ("webhook", endpoint_id), detail).await?;
    tx.commit().await?;
    endpoint_json(&app, &of).map(Json)
}

/// Removes an endpoint. What was still to be told it is told nobody.
#[utoipa::path(
    delete, path = "/organizer/webhooks/{endpoint_id}", operation_id = "delete_webhook", tag = "webhooks",
    params(("endpoint_id" = Uuid, Path), ("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    security(("bearer" = [])),
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)),
)]
pub(super) async fn remove(
    State(app): State<AppState>,
    member: Member,
    ApiPath(endpoint_id): ApiPath<Uuid>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.db.tenant(member.organizer_id).await?;
    if !webhook::delete(&mut tx, member.organizer_id, endpoint_id).await? {
        return Err(ApiError::not_found("webhook"));
    }
    super::record(&app, &mut tx, &member, "webhook.removed", ("webhook", endpoint_id), json!({})).await?;
    tx.commit().await?;
    app.webhooks.note(endpoint_id, true);
    Ok(StatusCode::NO_CONTENT)
}

/// Gives the endpoint a new secret. The old one signs beside it for a while: every message then carries a signature of
/// each, and a receiver may change at its leisure.
#[utoipa::path(
    post, path = "/organizer/webhooks/{endpoint_id}/rotate", operation_id = "rotate_webhook_secret", tag = "webhooks",
    params(("endpoint_id" = Uuid, Path), ("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    request_body = RotateRequest, security(("bearer" = [])),
    responses(
        (status = 200, body = WebhookWithSecretJson), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 422, description = "`invalid_fields`, `invalid_body`", body = Problem),
    ),
)]
pub(super) async fn rotate(
    State(app): State<AppState>,
    member: Member,
    ApiPath(endpoint_id): ApiPath<Uuid>,
    ApiJson(request): ApiJson<RotateRequest>,
) -> Result<Json<WebhookWithSecretJson>, ApiError> {
    let hours = request.overlap_hours.unwrap_or(OVERLAP_HOURS);
    let mut wrong = Wrong::default();
    wrong.within("overlap_hours", hours, 0, LONGEST_OVERLAP_HOURS);
    wrong.check()?;
    let now = app.clock.now();
    let (mut tx, mut of) = open_endpoint(&app, &member, endpoint_id).await?;
    let secret = secret_of(&app.rng.bytes());
    let known = open(&app, endpoint_id, &of.secrets_sealed).map_err(ApiError::internal)?;
    let secrets = rotated(&known, secret.clone(), now + Duration::hours(hours.into()), now);
    of.secrets_sealed = seal(&app, endpoint_id, &secrets);
    of.updated_at = now;
    webhook::update(&mut tx, &of).await?;
    let detail = json!({ "overlap_hours": hours });
    super::record(&app, &mut tx, &member, "webhook.rotated", ("webhook", endpoint_id), detail).await?;
    tx.commit().await?;
    Ok(Json(WebhookWithSecretJson { endpoint: endpoint_json(&app, &of)?, secret }))
}

/// Tells the endpoint `endpoint.ping`, whatever else it is told. How it went is in the delivery.
#[utoipa::path(
    post, path = "/organizer/webhooks/{endpoint_id}/ping", operation_id = "ping_webhook", tag = "webhooks",
    params(("endpoint_id" = Uuid, Path), ("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    security(("bearer" = [])),
    responses(
        (status = 202, body = QueuedJson), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, description = "`endpoint_disabled`", body = Problem),
    ),
)]
pub(super) async fn ping(
    State(app): State<AppState>,
    member: Member,
    ApiPath(endpoint_id): ApiPath<Uuid>,
) -> Result<(StatusCode, Json<QueuedJson>), ApiError> {
    let mut tx = app.db.tenant(member.organizer_id).await?;
    enabled(webhook::find(&mut tx, member.organizer_id, endpoint_id).await?)?;
    let data = json!({ "endpoint_id": endpoint_id });
    let ping = facts::fact(&app, FactType::EndpointPing, None, None, data);
    let delivery_id =
        webhook::tell_one(&mut tx, member.organizer_id, endpoint_id, &ping, app.clock.now()).await?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(QueuedJson { delivery_id })))
}

/// The organizer's transaction and the endpoint, locked against other changes.
async fn open_endpoint(
    app: &AppState,
    member: &Member,
    endpoint_id: Uuid,
) -> Result<(Tx, Endpoint), ApiError> {
    let mut tx = app.db.tenant(member.organizer_id).await?;
    let of = webhook::lock(&mut tx, member.organizer_id, endpoint_id).await?;
    Ok((tx, of.ok_or_else(|| ApiError::not_found("webhook"))?))
}

/// The endpoint, if it is told anything.
fn enabled(of: Option<Endpoint>) -> Result<Endpoint, ApiError> {
    let of = of.ok_or_else(|| ApiError::not_found("webhook"))?;
    match of.disabled_because {
        None => Ok(of),
        Some(_) => Err(ApiError::conflict("endpoint_disabled", "the endpoint is disabled: enable it first")),
    }
}

impl WebhookFields {
    fn apply(&self, app: &AppState, of: &mut Endpoint, wrong: &mut Wrong) {
        if let Some(url) = &self.url {
            of.url = wrong.line("url", url, 1, 2_000);
            match app.outside.allow(&of.url) {
                // As it will be called: an address that hides behind its spelling is seen by who reads it here.
                Ok((url, _)) => url.as_str().clone_into(&mut of.url),
                Err(e) => wrong.note("url", "invalid", e.to_string()),
            }
            if of.url.len() > 2_000 {
                wrong.note("url", "too_long", "at most 2000 characters");
            }
        }
        if let Some(text) = &self.description {
            of.description = wrong.length("description", text, 0, 200);
        }
        if let Some(types) = &self.types {
            let mut types: Vec<String> = types.iter().map(|t| t.as_str().to_owned()).collect();
            types.sort_unstable();
            types.dedup();
            of.types = types;
        }
        match self.enabled {
            None => {}
            Some(false) => {
                of.disabled_because.get_or_insert_with(|| "by_hand".to_owned());
            }
            Some(true) => {
                of.disabled_because = None;
                of.failing_since = None;
                of.failures = 0;
            }
        }
    }
}

fn endpoint_json(app: &AppState, of: &Endpoint) -> Result<WebhookJson, ApiError> {
    let secrets = open(app, of.endpoint_id, &of.secrets_sealed).map_err(ApiError::internal)?;
    Ok(WebhookJson {
        endpoint_id: of.endpoint_id,
        url: of.url.clone(),
        description: of.description.clone(),
        types: of.types.iter().filter_map(|t| FactType::from_column(t)).collect(),
        enabled: of.disabled_because.is_none(),
        disabled_because: of.disabled_because.clone(),
        failing_since: of.failing_since,
        last_success_at: of.last_success_at,
        secrets: in_use(&secrets, app.clock.now()).count(),
        created_at: of.created_at,
        updated_at: of.updated_at,
    })
}
