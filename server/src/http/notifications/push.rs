//! `/notifications/push`: browsers that get notices.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::adapters::push::Subscription as Address;
use crate::app::AppState;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::{ApiJson, ApiPath, ApiQuery};
use crate::http::fields::Wrong;
use crate::http::page::{Page, PageQuery};
use crate::jobs::outbox::subscription_purpose;
use crate::store::push::{self, Subscription};

const LIST: &str = "push_subscriptions";
/// Browsers of one account.
const MOST: usize = 20;

/// What browsers subscribe with.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PushKey {
    /// `applicationServerKey` of `PushManager.subscribe`: base64url of a P-256 point.
    public_key: String,
}

/// The keys of a browser, as `PushSubscription.toJSON()` tells them.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PushKeys {
    p256dh: String,
    auth: String,
}

/// A browser, as `PushSubscription.toJSON()` tells it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "endpoint": "https://push.example.com/abc",
    "keys": {
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg"
    },
    "label": "Phone"
}))]
pub(super) struct NewSubscription {
    #[schema(max_length = 1000)]
    endpoint: String,
    keys: PushKeys,
    /// Browsers tell it; push services do not keep to it.
    #[serde(default, rename = "expirationTime")]
    #[expect(dead_code, reason = "so that PushSubscription.toJSON() can be sent as it is")]
    expiration_time: Option<f64>,
    /// So that its owner knows it again.
    #[serde(default)]
    #[schema(max_length = 200)]
    label: String,
}

/// A browser that gets notices.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SubscriptionJson {
    subscription_id: Uuid,
    label: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

fn json(of: Subscription) -> SubscriptionJson {
    SubscriptionJson { subscription_id: of.subscription_id, label: of.label, created_at: of.created_at }
}

/// The key that a browser subscribes with.
#[utoipa::path(
    get, path = "/notifications/push/key", operation_id = "get_push_key", tag = "notifications",
    security(("bearer" = [])),
    responses((status = 200, body = PushKey), (status = 401, body = Problem)),
)]
pub(super) async fn key(State(app): State<AppState>, caller: Caller) -> Result<Json<PushKey>, ApiError> {
    caller.require_user()?;
    Ok(Json(PushKey { public_key: app.vapid_key.clone() }))
}

/// Adds a browser: it gets my notices from now on, as my preferences say.
///
/// A browser that belonged to another account is mine from then on: whoever knows its address has it at hand.
#[utoipa::path(
    post, path = "/notifications/push", operation_id = "add_push_subscription", tag = "notifications",
    security(("bearer" = [])), request_body = NewSubscription,
    responses(
        (status = 201, body = SubscriptionJson),
        (status = 401, body = Problem),
        (status = 409, description = "`too_many`, `try_again`", body = Problem),
        (status = 422, description = "`invalid_fields`, `invalid_body`", body = Problem),
    ),
)]
pub(super) async fn add(
    State(app): State<AppState>,
    caller: Caller,
    ApiJson(body): ApiJson<NewSubscription>,
) -> Result<(StatusCode, Json<SubscriptionJson>), ApiError> {
    let user_id = caller.require_user()?.user_id;
    let address = Address { endpoint: body.endpoint, p256dh: body.keys.p256dh, auth: body.keys.auth };
    let mut wrong = Wrong::default();
    let label = wrong.line("label", &body.label, 0, 200);
    if address.endpoint.len() > 1_000 {
        wrong.note("endpoint", "too_long", "at most 1000 characters");
    } else if let Err(e) = app.outside.allow(&address.endpoint) {
        wrong.note("endpoint", "invalid", e.to_string());
    }
    if address.keys().is_none() {
        wrong.note("keys", "invalid", "these are no keys of a subscription");
    }
    wrong.check()?;
    // One browser, however its address is written.
    let endpoint = Url::parse(&address.endpoint).map_err(ApiError::internal)?;
    let hash: [u8; 32] = Sha256::digest(endpoint.as_str()).into();
    let mut tx = app.db.user(user_id).await?;
    let have = push::of_user(&mut tx, user_id).await?.len();
    tx.commit().await?;
    if have >= MOST {
        return Err(ApiError::conflict("too_many", format!("an account has at most {MOST} browsers")));
    }
    let mut tx = app.db.worker_platform().await?;
    push::forget_endpoint(&mut tx, &hash).await?;
    tx.commit().await?;
    let subscription_id = app.rng.uuid(&*app.clock);
    let plain = serde_json::to_vec(&address).map_err(ApiError::internal)?;
    let new = Subscription {
        subscription_id,
        user_id,
        sealed: app.master_key.seal(&subscription_purpose(subscription_id), &plain, &app.rng),
        label,
        created_at: app.clock.now(),
    };
    let mut tx = app.db.user(user_id).await?;
    if !push::put(&mut tx, &new, &hash).await? {
        return Err(ApiError::conflict("try_again", "somebody added this browser at the same moment"));
    }
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(json(new))))
}

/// My browsers.
#[utoipa::path(
    get, path = "/notifications/push", operation_id = "list_push_subscriptions", tag = "notifications",
    params(PageQuery), security(("bearer" = [])),
    responses(
        (status = 200, body = Page<SubscriptionJson>),
        (status = 400, description = "`invalid_cursor`", body = Problem),
        (status = 401, body = Problem),
    ),
)]
pub(super) async fn list(
    State(app): State<AppState>,
    caller: Caller,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<SubscriptionJson>>, ApiError> {
    let user_id = caller.require_user()?.user_id;
    let mut tx = app.db.user(user_id).await?;
    let all = push::of_user(&mut tx, user_id).await?.into_iter().map(json).collect();
    tx.commit().await?;
    Ok(Json(Page::of_few(LIST, &query, all, |s: &SubscriptionJson| s.subscription_id)?))
}

/// Removes a browser: it gets nothing more.
#[utoipa::path(
    delete, path = "/notifications/push/{subscription_id}", operation_id = "remove_push_subscription",
    tag = "notifications", params(("subscription_id" = Uuid, Path)), security(("bearer" = [])),
    responses(
        (status = 204, description = "Removed"),
        (status = 401, body = Problem),
        (status = 404, description = "`not_found`", body = Problem),
    ),
)]
pub(super) async fn remove(
    State(app): State<AppState>,
    caller: Caller,
    ApiPath(subscription_id): ApiPath<Uuid>,
) -> Result<StatusCode, ApiError> {
    let user_id = caller.require_user()?.user_id;
    let mut tx = app.db.user(user_id).await?;
    if !push::remove(&mut tx, user_id, subscription_id).await? {
        return Err(ApiError::not_found("subscription"));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
