//! Mails on request: to sign in, to choose a new password, to confirm. The answer is always the same, whether or
//! not there is such an account.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::super::edge::Client;
use super::super::error::ApiError;
use super::super::extract::{ApiJson, ApiQuery};
use super::bearer::SignedIn;
use super::letter::{self, Flow, send_token};
use super::{GoTrueError, bad_request, invalid_email, metadata_or_database, new_metadata};
use crate::app::{App, AppState};
use crate::domain::account::{Email, PlatformRole};
use crate::domain::one_time::Purpose;
use crate::store::one_time;
use crate::store::users::{self, NewUser, PasswordHash};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RedirectQuery {
    /// Where the mail's link leads in the end; must be allowed by `auth.redirect_urls`.
    pub redirect_to: Option<String>,
}

/// Whom to write to; further members are ignored.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct MailRequest {
    #[schema(example = "ada@example.org")]
    email: Option<String>,
    phone: Option<String>,
    /// Make an account if there is none; also without it.
    create_user: Option<bool>,
    /// Metadata of the new account.
    #[schema(value_type = Option<Object>)]
    data: Option<Map<String, Value>>,
    /// RFC 7636: the link then gives a code for `grant_type=pkce`.
    code_challenge: Option<String>,
    /// `s256` or `plain`.
    code_challenge_method: Option<String>,
}

/// Which mail to send again.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct ResendRequest {
    /// `signup` or `email_change`.
    #[serde(rename = "type")]
    kind: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
}

/// Nothing to tell.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Nothing {}

fn address(email: Option<&str>, phone: Option<&str>) -> Result<Email, ApiError> {
    match (email, phone) {
        (Some(email), _) => Email::parse(email).map_err(invalid_email),
        (None, Some(_)) => Err(bad_request("phone_provider_disabled", "Phone numbers are not kept here")),
        (None, None) => Err(bad_request("validation_failed", "An email address is required")),
    }
}

/// Mails a link and a code to sign in with; makes an account where there is none.
#[utoipa::path(
    post, path = "/auth/v1/otp", operation_id = "auth_otp", tag = "accounts", params(RedirectQuery), request_body = MailRequest,
    responses(
        (status = 200, body = Nothing),
        (status = 400, description = "`validation_failed`, `phone_provider_disabled`, `bad_json`", body = GoTrueError),
        (status = 429, description = "`over_email_send_rate_limit`, with Retry-After", body = GoTrueError),
    ),
)]
pub(super) async fn otp(
    State(app): State<AppState>,
    client: Client,
    ApiQuery(query): ApiQuery<RedirectQuery>,
    ApiJson(body): ApiJson<MailRequest>,
) -> Result<Json<Nothing>, ApiError> {
    magic(&app, client, query, body).await
}

/// The same under its old name.
#[utoipa::path(
    post, path = "/auth/v1/magiclink", operation_id = "auth_magiclink", tag = "accounts", params(RedirectQuery), request_body = MailRequest,
    responses(
        (status = 200, body = Nothing),
        (status = 400, description = "`validation_failed`, `phone_provider_disabled`, `bad_json`", body = GoTrueError),
        (status = 429, description = "`over_email_send_rate_limit`, with Retry-After", body = GoTrueError),
    ),
)]
pub(super) async fn magiclink(
    State(app): State<AppState>,
    client: Client,
    ApiQuery(query): ApiQuery<RedirectQuery>,
    ApiJson(body): ApiJson<MailRequest>,
) -> Result<Json<Nothing>, ApiError> {
    magic(&app, client, query, body).await
}

async fn magic(
    app: &App,
    client: Client,
    query: RedirectQuery,
    body: MailRequest,
) -> Result<Json<Nothing>, ApiError> {
    let email = address(body.email.as_deref(), body.phone.as_deref())?;
    let flow = Flow::new(query.redirect_to, body.code_challenge, body.code_challenge_method.as_deref())?;
    let metadata = Value::Object(new_metadata(body.data)?);
    letter::allow(app, client, email.as_str()).await?;
    let now = app.clock.now();
    let mut tx = app.db.platform().await?;
    let mut user = users::by_email(&mut tx, email.as_str()).await?;
    if user.is_none() && body.create_user != Some(false) {
        let new = NewUser {
            id: app.rng.uuid(&*app.clock),
            email: email.as_str(),
            password_hash: PasswordHash(None),
            confirmed: false,
            role: PlatformRole::User,
            user_metadata: &metadata,
        };
        user = users::insert(&mut tx, &new, now).await.map_err(metadata_or_database)?;
    }
    if let Some(user) = user {
        send_token(app, &mut tx, user.id, Purpose::MagicLink, &user.email, &flow, now).await?;
    }
    tx.commit().await?;
    Ok(Json(Nothing {}))
}

/// Mails a link and a code to choose a new password with.
#[utoipa::path(
    post, path = "/auth/v1/recover", operation_id = "auth_recover", tag = "accounts", params(RedirectQuery), request_body = MailRequest,
    responses(
        (status = 200, body = Nothing),
        (status = 400, description = "`validation_failed`, `bad_json`", body = GoTrueError),
        (status = 429, description = "`over_email_send_rate_limit`, with Retry-After", body = GoTrueError),
    ),
)]
pub(super) async fn recover(
    State(app): State<AppState>,
    client: Client,
    ApiQuery(query): ApiQuery<RedirectQuery>,
    ApiJson(body): ApiJson<MailRequest>,
) -> Result<Json<Nothing>, ApiError> {
    let email = address(body.email.as_deref(), body.phone.as_deref())?;
    let flow = Flow::new(query.redirect_to, body.code_challenge, body.code_challenge_method.as_deref())?;
    letter::allow(&app, client, email.as_str()).await?;
    let mut tx = app.db.platform().await?;
    if let Some(user) = users::by_email(&mut tx, email.as_str()).await? {
        send_token(&app, &mut tx, user.id, Purpose::Recovery, &user.email, &flow, app.clock.now()).await?;
    }
    tx.commit().await?;
    Ok(Json(Nothing {}))
}

/// Sends a confirmation mail again; the one before is worth nothing then.
#[utoipa::path(
    post, path = "/auth/v1/resend", operation_id = "auth_resend", tag = "accounts", params(RedirectQuery), request_body = ResendRequest,
    responses(
        (status = 200, body = Nothing),
        (status = 400, description = "`validation_failed`, `phone_provider_disabled`, `bad_json`", body = GoTrueError),
        (status = 429, description = "`over_email_send_rate_limit`, with Retry-After", body = GoTrueError),
    ),
)]
pub(super) async fn resend(
    State(app): State<AppState>,
    client: Client,
    ApiQuery(query): ApiQuery<RedirectQuery>,
    ApiJson(body): ApiJson<ResendRequest>,
) -> Result<Json<Nothing>, ApiError> {
    let purpose = match body.kind.as_deref() {
        Some("signup") => Purpose::Signup,
        Some("email_change") => Purpose::EmailChange,
        _ => return Err(bad_request("validation_failed", "type must be signup or email_change")),
    };
    let email = address(body.email.as_deref(), body.phone.as_deref())?;
    let flow = Flow::new(query.redirect_to, body.code_challenge, body.code_challenge_method.as_deref())?;
    letter::allow(&app, client, email.as_str()).await?;
    let now = app.clock.now();
    let mut tx = app.db.platform().await?;
    if let Some(user) = users::by_email(&mut tx, email.as_str()).await? {
        let to = match purpose {
            Purpose::EmailChange => one_time::pending_email(&mut tx, user.id, now).await?,
            _ => user.email_confirmed_at.is_none().then(|| user.email.clone()),
        };
        if let Some(to) = to {
            send_token(&app, &mut tx, user.id, purpose, &to, &flow, now).await?;
        }
    }
    tx.commit().await?;
    Ok(Json(Nothing {}))
}

/// Mails a code that, as `nonce`, proves presence when address or password are changed.
#[utoipa::path(
    get, path = "/auth/v1/reauthenticate", operation_id = "auth_reauthenticate", tag = "accounts", security(("bearer" = [])),
    responses(
        (status = 200, body = Nothing),
        (status = 401, description = "`no_authorization`, `bad_jwt`, `session_not_found`", body = GoTrueError),
        (status = 429, description = "`over_email_send_rate_limit`, with Retry-After", body = GoTrueError),
    ),
)]
pub(super) async fn reauthenticate(
    State(app): State<AppState>,
    client: Client,
    signed_in: SignedIn,
) -> Result<Json<Nothing>, ApiError> {
    let user = &signed_in.user;
    letter::allow(&app, client, &user.email).await?;
    let mut tx = app.db.user(user.id).await?;
    let flow = Flow::default();
    send_token(&app, &mut tx, user.id, Purpose::Reauthentication, &user.email, &flow, app.clock.now())
        .await?;
    tx.commit().await?;
    Ok(Json(Nothing {}))
}
