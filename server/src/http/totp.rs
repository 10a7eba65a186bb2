//! `/auth/totp`: the second factor of an account. Once it is in force, work for an organizer or the platform
//! takes a session that has shown it (`http::auth`, 403 `totp_required`).

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::{Caller, User, insufficient_aal};
use super::cookie::{self, CookieText};
use super::edge::Client;
use super::error::{ApiError, Problem};
use super::extract::ApiJson;
use super::notice;
use super::session::{prove, session_ended};
use crate::app::{App, AppState};
use crate::auth::access_token::{self, Subject};
use crate::auth::limit::{Daily, Limit, Refused, Whom};
use crate::auth::totp::{RECOVERY_CODES, Secret, recovery_code, recovery_hash};
use crate::domain::access::Aal;
use crate::domain::account::{Password, SessionMethod};
use crate::store::{Tx, cookie as cookies, totp, users};

/// Then codes of the app are refused: twenty of a million, three of which are good at a time.
const WRONG_CODES_PER_DAY: u32 = 20;

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
        (status = 403, description = "`insufficient_aal`: there is a second factor, which the session has not shown", body = Problem),
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
    let user = users::by_id(&mut tx, caller.user_id).await?.ok_or_else(session_ended)?;
    notice::send(&app, &mut tx, ("auth.totp_on", &json!({})), &user.email, None, now).await?;
    raise(&app, tx, caller, &headers, codes, now).await
}

/// Shows the second factor: a code of the app, or one of the recovery codes. The session is then of level `aal2`.
///
/// A code is good for its half minute, and once. After twenty wrong ones within 24 hours codes of the app are refused
/// (`second_factor_locked`) until the day has passed; a recovery code opens at once, and so does a code of the app in a
/// session that began by a mail instead of the password: guesses are counted for either by itself.
#[utoipa::path(
    post, path = "/auth/totp/verify", operation_id = "verify_totp", tag = "accounts", request_body = ShowTotp, security(("session" = []), ("bearer" = [])),
    responses(
        (status = 200, body = Raised), (status = 401, body = Problem),
        (status = 409, description = "`totp_not_enabled`", body = Problem),
        (status = 422, description = "`wrong_code`, `invalid_fields`", body = Problem),
        (status = 429, description = "`rate_limited`, `second_factor_locked`, with Retry-After", body = Problem),
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
    let found = users::in_session(&mut tx, user_id, caller.session_id, now).await?;
    let (user, session) = found.ok_or_else(session_ended)?;
    // Counted before anybody looks at the code, so that no race gives a guess more.
    let guess = match guesses(session.method).attempt(&mut tx, &*app.clock, &user_id.to_string()).await {
        Ok(guess) => Some(guess),
        Err(Refused::Database(e)) => return Err(e.into()),
        // Nobody guesses eighty bits: the way out stays open.
        Err(Refused::TooMany { .. }) if body.recovery_code.is_some() => None,
        Err(Refused::TooMany { retry_after }) => return Err(locked(retry_after)),
    };
    tx.commit().await?;
    let mut tx = app.db.user(user_id).await?;
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
        if guess.is_some_and(|guess| guess.last) {
            tell_of_lock(&app, &mut tx, &user, now).await?;
            tx.commit().await?;
        }
        return Err(wrong_code());
    }
    match guess {
        Some(guess) if body.code.is_some() => guess.take_back(&mut tx).await?,
        _ => forget_guesses(&mut tx, user_id).await?,
    }
    raise(&app, tx, caller, &headers, Vec::new(), now).await
}

/// Takes the second factor away; by a session that has shown it.
#[utoipa::path(
    delete, path = "/auth/totp", operation_id = "remove_totp", tag = "accounts", security(("session" = []), ("bearer" = [])),
    responses(
        (status = 204), (status = 401, body = Problem), (status = 409, description = "`totp_not_enabled`", body = Problem),
        (status = 403, description = "`insufficient_aal`: show the second factor first, POST /auth/totp/verify", body = Problem),
    ),
)]
async fn remove(State(app): State<AppState>, caller: Caller) -> Result<StatusCode, ApiError> {
    let caller = caller.require_user()?;
    let now = app.clock.now();
    let mut tx = app.db.user(caller.user_id).await?;
    // A token outlives its session by up to an hour: what it could do then is not this.
    let found = users::in_session(&mut tx, caller.user_id, caller.session_id, now).await?;
    let (user, _) = found.ok_or_else(session_ended)?;
    let on = totp::is_on(&mut tx, user.id).await?;
    if on && caller.aal < Aal::Aal2 {
        return Err(insufficient_aal());
    }
    if !totp::remove(&mut tx, user.id).await? {
        return Err(ApiError::conflict("totp_not_enabled", "the account has no second factor"));
    }
    if on {
        notice::send(&app, &mut tx, ("auth.totp_off", &json!({})), &user.email, None, now).await?;
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Wrong codes of 24 hours. Whoever guesses knows the password, or reads the mails: the owner comes in by the other way.
fn guesses(method: SessionMethod) -> Daily {
    let name = match method {
        SessionMethod::Password => "totp_after_password",
        SessionMethod::Otp | SessionMethod::Recovery => "totp_after_mail",
    };
    Daily { name, max: WRONG_CODES_PER_DAY }
}

/// The account's owner was here: what was guessed before is over.
pub(super) async fn forget_guesses(conn: &mut sqlx::PgConnection, user_id: Uuid) -> Result<(), sqlx::Error> {
    for method in [SessionMethod::Password, SessionMethod::Otp] {
        guesses(method).forget(conn, &user_id.to_string()).await?;
    }
    Ok(())
}

fn locked(retry_after: std::time::Duration) -> ApiError {
    ApiError::new(
        StatusCode::TOO_MANY_REQUESTS,
        "second_factor_locked",
        "too many wrong codes today: use a recovery code, or sign in by a mail and show the code there",
    )
    .with_retry_after(retry_after)
}

/// Once a day.
async fn tell_of_lock(
    app: &App,
    tx: &mut Tx,
    user: &users::User,
    now: OffsetDateTime,
) -> Result<(), ApiError> {
    if Daily::first("totp_locked_notice", tx, &*app.clock, &user.id.to_string()).await? {
        let facts = json!({ "tries": WRONG_CODES_PER_DAY });
        notice::send(app, tx, ("auth.totp_locked", &facts), &user.email, None, now).await?;
    }
    Ok(())
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
    if !totp::raise_session(&mut tx, caller.user_id, caller.session_id, now).await? {
        return Err(session_ended());
    }
    let found = users::in_session(&mut tx, caller.user_id, caller.session_id, now).await?;
    let (user, session) = found.ok_or_else(session_ended)?;
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
