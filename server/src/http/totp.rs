//! `/auth/totp`: the second factor of an account. Once it is in force, work for an organizer or the platform
//! takes a session that has shown it (`http::auth`, 403 `totp_required`).

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::{Caller, User};
use super::cookie::{self, CookieText};
use super::edge::Client;
use super::error::{ApiError, Problem};
use super::extract::ApiJson;
use super::session::prove;
use crate::app::{App, AppState};
use crate::auth::access_token::{self, Subject};
use crate::auth::limit::{Limit, Whom};
use crate::auth::totp::{RECOVERY_CODES, Secret, recovery_code, recovery_hash};
use crate::domain::access::Aal;
use crate::domain::account::Password;
use crate::store::{Tx, cookie as cookies, totp, users};

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(begin, remove)).routes(routes!(confirm)).routes(routes!(verify))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "password": "a long enough password" }))]
struct BeginTotp {
    /// Not needed by a session of level `aal2`.
    #[schema(value_type = Option<String>)]
    password: Option<Password>,
}

/// What an authenticator app needs. Told this once.
#[derive(Serialize, ToSchema)]
struct TotpSecret {
    /// Base32, to be typed.
    secret: String,
    /// To be shown as a QR code.
    otpauth_url: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "code": "123456" }))]
struct ConfirmTotp {
    code: String,
}

/// One of the two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "code": "123456" }))]
struct ShowTotp {
    code: Option<String>,
    recovery_code: Option<String>,
}

/// The session has shown two factors.
#[derive(Serialize, ToSchema)]
struct Raised {
    aal: Aal,
    /// Of a session by tokens: the one to go on with. That of a browser gets a new cookie instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<i64>,
    /// After POST /auth/totp/confirm: each signs in once instead of a code. Told this once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    recovery_codes: Vec<String>,
    recovery_codes_left: i64,
}

/// Begins: makes a secret for an authenticator app, which POST /auth/totp/confirm puts in force.
#[utoipa::path(
    post, path = "/auth/totp", operation_id = "begin_totp", tag = "accounts", request_body = BeginTotp, security(("session" = []), ("bearer" = [])),
    responses(
        (status = 200, body = TotpSecret), (status = 401, body = Problem),
        (status = 409, description = "`totp_enabled`", body = Problem),
        (status = 422, description = "`reauthentication_needed`, `invalid_fields`", body = Problem),
        (status = 429, description = "`rate_limited`, with Retry-After", body = Problem),
    ),
)]
async fn begin(
    State(app): State<AppState>,
    client: Client,
    caller: Caller,
    ApiJson(body): ApiJson<BeginTotp>,
) -> Result<Json<TotpSecret>, ApiError> {
    let caller = caller.require_user()?;
    let user = prove(&app, client, caller, body.password.as_ref()).await?;
    let secret = Secret::generate(&app.rng);
    let sealed = app.master_key.seal(&purpose(user.id), secret.as_bytes(), &app.rng);
    let mut tx = app.db.user(user.id).await?;
    if !totp::begin(&mut tx, user.id, &sealed, app.clock.now()).await? {
        return Err(ApiError::conflict("totp_enabled", "there is a second factor: remove it first"));
    }
    tx.commit().await?;
    Ok(Json(TotpSecret { secret: secret.text(), otpauth_url: secret.url("HVFLVSPOT", &user.email) }))
}

/// Puts the second factor in force by its first code. The session is then of level `aal2`.
#[utoipa::path(
    post, path = "/auth/totp/confirm", operation_id = "confirm_totp", tag = "accounts", request_body = ConfirmTotp, security(("session" = []), ("bearer" = [])),
    responses(
        (status = 200, body = Raised), (status = 401, body = Problem),
        (status = 409, description = "`totp_not_begun`", body = Problem),
        (status = 422, description = "`wrong_code`", body = Problem),
        (status = 429, description = "`rate_limited`, with Retry-After", body = Problem),
    ),
)]
async fn confirm(
    State(app): State<AppState>,
    client: Client,
    caller: Caller,
    headers: HeaderMap,
    ApiJson(body): ApiJson<ConfirmTotp>,
) -> Result<Response, ApiError> {
    let caller = caller.require_user()?;
    limited(&app, client, caller).await?;
    let now = app.clock.now();
    let not_begun = || ApiError::conflict("totp_not_begun", "begin with POST /auth/totp");
    let mut tx = app.db.user(caller.user_id).await?;
    let factor = totp::find(&mut tx, caller.user_id).await?;
    let factor = factor.filter(|f| f.confirmed_at.is_none()).ok_or_else(not_begun)?;
    let step =
        opened(&app, caller.user_id, &factor.sealed)?.step_of(&body.code, now).ok_or_else(wrong_code)?;
    let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| recovery_code(&app.rng)).collect();
    let hashes: Vec<Vec<u8>> = codes.iter().map(|c| recovery_hash(caller.user_id, c).to_vec()).collect();
    if !totp::confirm(&mut tx, caller.user_id, step, &hashes, now).await? {
        return Err(not_begun());
    }
    raise(&app, tx, caller, &headers, codes, now).await
}

/// Shows the second factor: a code of the app, or one of the recovery codes. The session is then of level `aal2`.
///
/// A code is good for its half minute, and once.
#[utoipa::path(
    post, path = "/auth/totp/verify", operation_id = "verify_totp", tag = "accounts", request_body = ShowTotp, security(("session" = []), ("bearer" = [])),
    responses(
        (status = 200, body = Raised), (status = 401, body = Problem),
        (status = 409, description = "`totp_not_enabled`", body = Problem),
        (status = 422, description = "`wrong_code`, `invalid_fields`", body = Problem),
        (status = 429, description = "`rate_limited`, with Retry-After", body = Problem),
    ),
)]
async fn verify(
    State(app): State<AppState>,
    client: Client,
    caller: Caller,
    headers: HeaderMap,
    ApiJson(body): ApiJson<ShowTotp>,
) -> Result<Response, ApiError> {
    let caller = caller.require_user()?;
    let user_id = caller.user_id;
    if body.code.is_some() == body.recovery_code.is_some() {
        return Err(ApiError::invalid_field("code", "required", "send a code or a recovery code"));
    }
    limited(&app, client, caller).await?;
    let now = app.clock.now();
    let mut tx = app.db.user(user_id).await?;
    let factor = totp::find(&mut tx, user_id).await?.filter(|f| f.confirmed_at.is_some());
    let factor =
        factor.ok_or_else(|| ApiError::conflict("totp_not_enabled", "the account has no second factor"))?;
    let good = match (&body.code, &body.recovery_code) {
        (Some(code), _) => match opened(&app, user_id, &factor.sealed)?.step_of(code, now) {
            Some(step) => totp::use_step(&mut tx, user_id, step).await?,
            None => false,
        },
        (None, Some(code)) => {
            totp::use_recovery_code(&mut tx, user_id, &recovery_hash(user_id, code), now).await?
        }
        (None, None) => false,
    };
    if !good {
        return Err(wrong_code());
    }
    raise(&app, tx, caller, &headers, Vec::new(), now).await
}

/// Takes the second factor away; by a session that has shown it.
#[utoipa::path(
    delete, path = "/auth/totp", operation_id = "remove_totp", tag = "accounts", security(("session" = []), ("bearer" = [])),
    responses(
        (status = 204), (status = 401, body = Problem), (status = 409, description = "`totp_not_enabled`", body = Problem),
        (status = 422, description = "`reauthentication_needed`: show the second factor first", body = Problem),
    ),
)]
async fn remove(State(app): State<AppState>, caller: Caller) -> Result<StatusCode, ApiError> {
    let caller = caller.require_user()?;
    let now = app.clock.now();
    let mut tx = app.db.user(caller.user_id).await?;
    // A token outlives its session by up to an hour: what it could do then is not this.
    if caller.session_id.is_nil()
        || users::in_session(&mut tx, caller.user_id, caller.session_id, now).await?.is_none()
    {
        return Err(ApiError::unauthorized("session_ended", "the session has ended, sign in again"));
    }
    if totp::is_on(&mut tx, caller.user_id).await? && caller.aal < Aal::Aal2 {
        return Err(ApiError::unprocessable(
            "reauthentication_needed",
            "show the second factor first: POST /auth/totp/verify",
        ));
    }
    if !totp::remove(&mut tx, caller.user_id).await? {
        return Err(ApiError::conflict("totp_not_enabled", "the account has no second factor"));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Five tries a minute, for each account and each address.
async fn limited(app: &App, client: Client, caller: &User) -> Result<(), ApiError> {
    let account = caller.user_id.to_string();
    let whom = [Whom::Client(client.addr), Whom::Account(&account)];
    Limit::per_minute("totp", app.config.auth.logins_per_minute).attempt(&app.db, &*app.clock, &whom).await?;
    Ok(())
}

/// The session has shown both factors: from here on it goes by another cookie, or another access token.
async fn raise(
    app: &App,
    mut tx: Tx,
    caller: &User,
    headers: &HeaderMap,
    recovery_codes: Vec<String>,
    now: OffsetDateTime,
) -> Result<Response, ApiError> {
    let ended = || ApiError::unauthorized("session_ended", "the session has ended, sign in again");
    if !totp::raise_session(&mut tx, caller.user_id, caller.session_id, now).await? {
        return Err(ended());
    }
    let found = users::in_session(&mut tx, caller.user_id, caller.session_id, now).await?;
    let (user, session) = found.ok_or_else(ended)?;
    let recovery_codes_left = totp::codes_left(&mut tx, user.id).await?;
    let mut raised =
        Raised { aal: Aal::Aal2, access_token: None, expires_in: None, recovery_codes, recovery_codes_left };
    if cookie::read(app, headers).is_some() {
        let text = CookieText::generate(&app.rng);
        cookies::replace(&mut tx, caller.session_id, &text.hash()).await?;
        tx.commit().await?;
        let left = session.created_at + crate::domain::account::SESSION_MAX - now;
        let set = cookie::set(app, &text, left.whole_seconds())?;
        return Ok(([(header::SET_COOKIE, set)], Json(raised)).into_response());
    }
    tx.commit().await?;
    let subject = Subject {
        user_id: user.id,
        email: &user.email,
        role: user.role.as_str(),
        session_id: session.id,
        signed_in_at: session.created_at,
        aal: Aal::Aal2,
        method: session.method.as_str(),
        user_metadata: user.user_metadata.clone(),
    };
    raised.access_token = Some(app.tokens.issue(&subject).map_err(ApiError::internal)?);
    raised.expires_in = Some(access_token::TTL_SECS);
    Ok(Json(raised).into_response())
}

fn opened(app: &App, user_id: Uuid, sealed: &[u8]) -> Result<Secret, ApiError> {
    let bytes = app.master_key.open(&purpose(user_id), sealed).map_err(ApiError::internal)?;
    Ok(Secret::from_bytes(bytes))
}

/// Sealed for its account: a row copied to another does not open there.
fn purpose(user_id: Uuid) -> String {
    format!("totp/{user_id}")
}

fn wrong_code() -> ApiError {
    ApiError::unprocessable("wrong_code", "the code is wrong, too old, or was used before")
}
