//! `POST /payment/webhooks/{provider}/{endpoint_id}`

use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use sha2::{Digest as _, Sha256};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::adapters::payment::stripe;
use crate::adapters::payment::stripe::webhook;
use crate::app::AppState;
use crate::config::Secret;
use crate::fault;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::{ApiBytes, ApiPath, sole_header};
use crate::selling::gateway;
use crate::selling::webhook::{Endpoint, take};
use crate::store::directory;

/// Events are a few KiB; the largest may carry a long list.
const MAX_BODY: usize = 512 << 10;
/// The endpoint of the server's own account.
pub(in crate::http) const SERVERS: &str = "default";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(receive)).layer(DefaultBodyLimit::max(MAX_BODY))
}

/// Where a payment provider tells what happened to payments and refunds.
///
/// For providers alone: the body must carry the header `Stripe-Signature` by one of the endpoint's signing secrets, at
/// most five minutes old. `endpoint_id` is `default` for the server's own account, and an organizer's from
/// GET /organizer/payment/stripe. Each event has at most one effect, in whatever order they come; events about
/// nothing of ours are accepted too.
#[utoipa::path(
    post, path = "/payment/webhooks/{provider}/{endpoint_id}", operation_id = "receive_payment_event", tag = "payment",
    params(
        ("provider" = String, Path, description = "`stripe`"),
        ("endpoint_id" = String, Path, description = "`default`, or an organizer's"),
        ("Stripe-Signature" = Option<String>, Header, description = "Required of Stripe"),
    ),
    request_body(content = serde_json::Value, description = "An event; its bytes are signed", content_type = "application/json"),
    security(()),
    responses(
        (status = 204, description = "Taken, now or before"),
        (status = 400, description = "`invalid_signature`, `malformed_event`, `body_unreadable`", body = Problem),
        (status = 404, description = "`not_found`: no such endpoint", body = Problem),
        (status = 413, description = "`body_too_large`", body = Problem),
    ),
)]
async fn receive(
    State(app): State<AppState>,
    ApiPath((provider, endpoint_id)): ApiPath<(String, String)>,
    headers: HeaderMap,
    ApiBytes(body): ApiBytes,
) -> Result<StatusCode, ApiError> {
    let (endpoint, secrets) = endpoint(&app, &provider, &endpoint_id).await?;
    webhook::verify(sole_header(&headers, "stripe-signature"), &body, &secrets, app.clock.now())
        .map_err(|why| ApiError::bad_request("invalid_signature", why.to_string()))?;
    fault!("webhook.verified");
    let notice = webhook::read(&body)
        .ok_or_else(|| ApiError::bad_request("malformed_event", "the body is no event"))?;
    let hash: [u8; 32] = Sha256::digest(&body).into();
    let (event, kind) = (notice.event_id.clone(), notice.kind.clone());
    // Goes on if the provider hangs up.
    let state = app.clone();
    let taken = app.selling.tasks.spawn(async move { take(&state, endpoint, notice, hash).await });
    let taken = tokio::time::timeout(Duration::from_secs(10), taken)
        .await
        .map_err(|_| ApiError::unavailable("busy", "tell it again in a moment", Duration::from_secs(5)))?;
    let taken = taken.map_err(ApiError::internal)??;
    tracing::info!(event, kind, ?taken, "a payment event");
    Ok(StatusCode::NO_CONTENT)
}

/// The endpoint and the secrets that sign for it.
async fn endpoint(
    app: &AppState,
    provider: &str,
    endpoint_id: &str,
) -> Result<(Endpoint, Vec<Secret>), ApiError> {
    let unknown = || ApiError::not_found("webhook endpoint");
    if provider != stripe::NAME {
        return Err(unknown());
    }
    if endpoint_id == SERVERS {
        let account = app.selling.gateways.servers().ok_or_else(unknown)?;
        return Ok((Endpoint::Servers, account.webhook_secrets.clone()));
    }
    let account_id: Uuid = endpoint_id.parse().map_err(|_| unknown())?;
    let mut tx = app.db.platform().await?;
    let place = directory::find(&mut tx, "payment_account", &account_id.to_string()).await?;
    tx.commit().await?;
    let organizer_id = place.ok_or_else(unknown)?.organizer_id;
    let account = gateway::own(app, organizer_id).await?.filter(|a| a.account_id == Some(account_id));
    let account = account.ok_or_else(unknown)?;
    Ok((Endpoint::Own { organizer_id, account_id }, account.webhook_secrets.clone()))
}
