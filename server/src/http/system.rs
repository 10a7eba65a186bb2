//! `/auth/system/login`: where integrations get their tokens.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::edge::{self, Client};
use super::error::{ApiError, Problem};
use super::extract::ApiJson;
use crate::app::AppState;
use crate::auth::limit::{Limit, Whom};
use crate::auth::named_secret::{self, CLIENT_SECRET, NamedSecret, SYSTEM_TOKEN};
use crate::domain::access::Scope;
use crate::store::audit::{self, Act};
use crate::store::system;

/// How long a token is good.
const TOKEN_DAYS: i64 = 30;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(login))
}

/// What an owner was shown when the system account was made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "client_id": "hva_…", "client_secret": "hvk_…" }))]
struct SystemCredentials {
    client_id: String,
    client_secret: String,
}

/// A token for `Authorization: Bearer`.
#[derive(Serialize, ToSchema)]
struct SystemTokenJson {
    access_token: String,
    /// Always `bearer`.
    token_type: &'static str,
    /// Seconds: 30 days.
    expires_in: i64,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
    organizer_id: Uuid,
    account_id: Uuid,
    scopes: Vec<Scope>,
}

/// Signs a system account in, for 30 days.
///
/// Up to twenty tokens of an account are good at once. They end when the account is rotated or revoked.
#[utoipa::path(
    post, path = "/auth/system/login", operation_id = "system_login", tag = "accounts", request_body = SystemCredentials,
    responses(
        (status = 200, body = SystemTokenJson),
        (status = 401, description = "`invalid_client`", body = Problem),
        (status = 422, description = "`invalid_body`", body = Problem),
        (status = 429, description = "`rate_limited`, with Retry-After", body = Problem),
    ),
)]
async fn login(
    State(app): State<AppState>,
    client: Client,
    ApiJson(body): ApiJson<SystemCredentials>,
) -> Result<Json<SystemTokenJson>, ApiError> {
    let wrong =
        || ApiError::unauthorized("invalid_client", "client_id or client_secret is wrong, or revoked");
    let limit = Limit::per_minute("system_login", app.config.auth.logins_per_minute);
    let whom = [Whom::Client(client.addr), Whom::Account(&body.client_id)];
    let counted = limit.attempt(&app.db, &*app.clock, &whom).await?;
    let (organizer_id, account_id) = named_secret::parse_client_id(&body.client_id).ok_or_else(wrong)?;
    let secret = NamedSecret::parse(CLIENT_SECRET, &body.client_secret).ok_or_else(wrong)?;

    let now = app.clock.now();
    let expires_at = now + Duration::days(TOKEN_DAYS);
    let token = NamedSecret::generate(SYSTEM_TOKEN, organizer_id, &app.rng);
    let mut tx = app.db.tenant(organizer_id).await?;
    let (hash, token_hash) = (secret.hash(), token.hash());
    let scopes = system::sign_in(&mut tx, organizer_id, account_id, &hash, &token_hash, expires_at, now)
        .await?
        .ok_or_else(wrong)?;
    let (request_id, _) = edge::current();
    let act = Act {
        audit_id: app.rng.uuid(&*app.clock),
        actor_kind: "system",
        actor_id: Some(account_id),
        action: "system_account.signed_in",
        object_kind: "system_account",
        object_id: account_id,
        request_id: Some(&request_id),
        detail: serde_json::json!({}),
    };
    audit::record(&mut tx, organizer_id, &act, now).await?;
    tx.commit().await?;
    // Many integrations share an address; only wrong secrets count against it.
    let mut tx = app.db.platform().await?;
    counted.take_back(&mut tx, 0).await?;
    tx.commit().await?;
    Ok(Json(SystemTokenJson {
        access_token: token.reveal().to_owned(),
        token_type: "bearer",
        expires_in: TOKEN_DAYS * 86_400,
        expires_at,
        organizer_id,
        account_id,
        scopes,
    }))
}
