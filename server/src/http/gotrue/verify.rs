//! What a mail's link or code proves: opens a session, confirms an address. Used once.

use axum::Json;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use reqwest::Url;
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use super::super::edge::Client;
use super::super::error::ApiError;
use super::super::extract::{ApiJson, ApiQuery};
use super::super::notice;
use super::letter::return_url;
use super::shape::SessionJson;
use super::token::sign_in_from;
use super::{GoTrueError, bad_request, user_agent};
use crate::app::{App, AppState};
use crate::auth::limit::{Daily, Limit, Whom};
use crate::auth::one_time::{OneTime, is_code, token_hash};
use crate::domain::account::{Email, SessionMethod};
use crate::domain::one_time::{AUTH_CODE_TTL, Purpose, TRIES};
use crate::store::one_time::{self, Found, NewToken};
use crate::store::users::{self, User};
use crate::store::{self, Tx};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LinkQuery {
    /// Of the mail's link.
    token: Option<String>,
    /// `signup`, `magiclink`, `email`, `recovery`, `email_change`.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    kind: Option<String>,
    /// Where to go on to; must be allowed by `auth.redirect_urls`.
    redirect_to: Option<String>,
}

/// A link's token, or an address and the code sent to it; further members are ignored.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct VerifyRequest {
    /// `email` (or `signup`, `magiclink`), `recovery`, `email_change`.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// The token of the mail's link.
    token_hash: Option<String>,
    email: Option<String>,
    /// The six digits sent to `email`.
    #[schema(example = "123456")]
    token: Option<String>,
}

/// Follows a mail's link: leads back to `redirect_to` with a session in the fragment, or with a `code` for
/// `grant_type=pkce` where the sign-in began with a challenge. What went wrong stands in the fragment too.
#[utoipa::path(
    get, path = "/auth/v1/verify", operation_id = "auth_follow_link", tag = "accounts", params(LinkQuery),
    responses(
        (status = 200, description = "To HEAD: looking uses nothing up"),
        (status = 303, description = "On to `redirect_to`; with `error_code=otp_expired` if the link is used or old"),
        (status = 429, description = "`over_request_rate_limit`, with Retry-After", body = GoTrueError),
    ),
)]
pub(super) async fn follow(
    State(app): State<AppState>,
    method: Method,
    client: Client,
    headers: HeaderMap,
    ApiQuery(query): ApiQuery<LinkQuery>,
) -> Result<Response, ApiError> {
    let mut target = return_url(&app, query.redirect_to.as_deref());
    // Mail programs look at links with HEAD: looking uses nothing up.
    if method == Method::HEAD {
        return Ok(StatusCode::OK.into_response());
    }
    let kind = query.kind.as_deref().unwrap_or_default();
    let token = query.token.as_deref().unwrap_or_default();
    match by_link(&app, client, kind, token, &headers).await {
        Ok(Followed::Session(session)) => target.set_fragment(Some(&session.fragment(kind))),
        Ok(Followed::Code(code)) => {
            target.query_pairs_mut().append_pair("code", &code);
        }
        Err(e) if e.status().is_server_error() || e.status() == StatusCode::TOO_MANY_REQUESTS => {
            return Err(e);
        }
        Err(e) => target.set_fragment(Some(&failure(&e))),
    }
    Ok((StatusCode::SEE_OTHER, [(LOCATION, target.to_string())]).into_response())
}

/// Opens a session by `{type, token_hash}` or `{type, email, token}`.
///
/// A code is good for five tries. Everything that is wrong, also an address without an account, is answered
/// `otp_expired`.
#[utoipa::path(
    post, path = "/auth/v1/verify", operation_id = "auth_verify_token", tag = "accounts", request_body = VerifyRequest,
    responses(
        (status = 200, body = SessionJson),
        (status = 400, description = "`validation_failed`, `bad_json`", body = GoTrueError),
        (status = 403, description = "`otp_expired`", body = GoTrueError),
        (status = 422, description = "`email_exists`", body = GoTrueError),
        (status = 429, description = "`over_request_rate_limit`, with Retry-After", body = GoTrueError),
    ),
)]
pub(super) async fn verify(
    State(app): State<AppState>,
    client: Client,
    headers: HeaderMap,
    ApiJson(body): ApiJson<VerifyRequest>,
) -> Result<Json<SessionJson>, ApiError> {
    let kind = body.kind.as_deref().unwrap_or_default();
    let purposes = purposes(kind)?;
    let now = app.clock.now();
    match (&body.token_hash, &body.email, &body.token) {
        (Some(token), _, _) => {
            let counted = count(&app, client).await?;
            let mut tx = app.db.platform().await?;
            let found =
                one_time::take(&mut tx, &token_hash(token), purposes, now).await?.ok_or_else(expired)?;
            let (user, method) = settle(&mut tx, &found, now).await?;
            let session =
                sign_in_from(&app, &mut tx, &user, (client, user_agent(&headers)), method, now).await?;
            counted.take_back(&mut tx, 0).await?;
            tx.commit().await?;
            Ok(Json(session))
        }
        (None, Some(email), Some(code)) => {
            let counted = count(&app, client).await?;
            let found = by_code(&app, email, code, purposes, now).await?.ok_or_else(expired)?;
            let mut tx = app.db.platform().await?;
            if !one_time::take_by_id(&mut tx, found.id).await? {
                return Err(expired());
            }
            let (user, method) = settle(&mut tx, &found, now).await?;
            let session =
                sign_in_from(&app, &mut tx, &user, (client, user_agent(&headers)), method, now).await?;
            counted.take_back(&mut tx, 0).await?;
            tx.commit().await?;
            Ok(Json(session))
        }
        _ => Err(bad_request("validation_failed", "Verify requires token_hash, or email and token")),
    }
}

enum Followed {
    Session(Box<SessionJson>),
    Code(String),
}

async fn by_link(
    app: &App,
    client: Client,
    kind: &str,
    token: &str,
    headers: &HeaderMap,
) -> Result<Followed, ApiError> {
    let purposes = purposes(kind)?;
    let counted = count(app, client).await?;
    let now = app.clock.now();
    let mut tx = app.db.platform().await?;
    let found = one_time::take(&mut tx, &token_hash(token), purposes, now).await?.ok_or_else(expired)?;
    let (user, method) = settle(&mut tx, &found, now).await?;
    let followed = match (&found.code_challenge, &found.challenge_method) {
        (Some(challenge), Some(challenge_method)) => {
            let code = auth_code(app, &mut tx, &user, (challenge, challenge_method), now).await?;
            Followed::Code(code)
        }
        _ => Followed::Session(Box::new(
            sign_in_from(app, &mut tx, &user, (client, user_agent(headers)), method, now).await?,
        )),
    };
    counted.take_back(&mut tx, 0).await?;
    tx.commit().await?;
    Ok(followed)
}

/// A code that whoever began the sign-in exchanges for a session.
async fn auth_code(
    app: &App,
    tx: &mut Tx,
    user: &User,
    (challenge, method): (&str, &str),
    now: OffsetDateTime,
) -> Result<String, ApiError> {
    let secret = OneTime::new(&app.rng);
    let token = NewToken {
        id: app.rng.uuid(&*app.clock),
        user_id: user.id,
        purpose: Purpose::Pkce,
        email: &user.email,
        token_hash: &token_hash(&secret.token),
        code_hash: None,
        challenge: Some((challenge, if method == "s256" { "s256" } else { "plain" })),
        expires_at: now + AUTH_CODE_TTL,
    };
    one_time::put(tx, &token, now).await?;
    Ok(secret.token.to_string())
}

/// The token that a typed code belongs to. Its try is counted, whatever becomes of the request. Of a code that died by it
/// the address is told, once a day.
pub(super) async fn by_code(
    app: &App,
    email: &str,
    code: &str,
    purposes: &[Purpose],
    now: OffsetDateTime,
) -> Result<Option<Found>, ApiError> {
    let email = Email::parse(email).map_or_else(|_| String::new(), |email| email.as_str().to_owned());
    let mut tx = app.db.platform().await?;
    let tried = one_time::try_code(&mut tx, &email, purposes, now).await?;
    let code = code.trim();
    let fits = |found: &Found| {
        found.code_hash.as_deref().is_some_and(|stored| is_code(&app.master_key, found.id, code, stored))
    };
    let dead = tried.iter().any(|found| found.tries >= TRIES);
    let found = tried.into_iter().find(fits);
    if dead && found.is_none() && Daily::first("code_guessed", &mut tx, &*app.clock, &email).await? {
        notice::send(app, &mut tx, ("auth.code_guessed", &json!({})), &email, None, now).await?;
    }
    tx.commit().await?;
    Ok(found)
}

/// What the token proves takes effect; the account and how its session begins.
async fn settle(tx: &mut Tx, found: &Found, now: OffsetDateTime) -> Result<(User, SessionMethod), ApiError> {
    let purpose = Purpose::from_column(&found.purpose).ok_or_else(expired)?;
    let user = users::proved(tx, found.user_id, &found.email, purpose, now).await.map_err(|e| {
        if store::is_unique_violation(&e, "users_email") {
            ApiError::unprocessable(
                "email_exists",
                "A user with this email address has already been registered",
            )
        } else {
            ApiError::from(e)
        }
    })?;
    let method = if purpose == Purpose::Recovery { SessionMethod::Recovery } else { SessionMethod::Otp };
    Ok((user.ok_or_else(expired)?, method))
}

fn purposes(kind: &str) -> Result<&'static [Purpose], ApiError> {
    Purpose::of_type(kind).ok_or_else(|| bad_request("validation_failed", "Unsupported verification type"))
}

/// Wrong ones count against the client: it may try other accounts' codes too.
async fn count(app: &App, client: Client) -> Result<crate::auth::limit::Counted, ApiError> {
    let limit = Limit::per_minute("verify", app.config.auth.logins_per_minute.saturating_mul(2));
    Ok(limit.attempt(&app.db, &*app.clock, &[Whom::Client(client.addr)]).await?)
}

fn expired() -> ApiError {
    ApiError::forbidden_code("otp_expired", "Token has expired or is invalid")
}

/// An error as GoTrue writes it into a fragment.
fn failure(error: &ApiError) -> String {
    let mut form = Url::parse("x:/").expect("a constant");
    form.query_pairs_mut()
        .append_pair("error", "access_denied")
        .append_pair("error_code", error.code())
        .append_pair("error_description", "Email link is invalid or has expired");
    form.query().unwrap_or_default().to_owned()
}
