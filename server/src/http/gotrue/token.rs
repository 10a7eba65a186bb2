//! Sessions: by password, and by the refresh token of the one before.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;
use time::OffsetDateTime;
use utoipa::IntoParams;

use super::super::edge::Client;
use super::super::error::ApiError;
use super::super::extract::{ApiJson, ApiQuery};
use super::super::session::note_place;
use super::shape::SessionJson;
use super::{Credentials, GoTrueError, bad_request, user_agent};
use crate::app::{App, AppState};
use crate::auth::access_token::Subject;
use crate::auth::sign_in::{self, SignInError};
use crate::auth::{RefreshToken, one_time};
use crate::domain::account::{Password, REFRESH_IDLE, SESSION_MAX, SessionMethod};
use crate::domain::one_time::Purpose;
use crate::store::sessions::{self, Ending, NewSession, Session, Token};
use crate::store::users::{self, User};
use crate::store::{self, Tx};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TokenQuery {
    /// `password`, `refresh_token` or `pkce`.
    grant_type: Option<String>,
}

/// Opens a session by `{email, password}` or, after a mail's link, by `{auth_code, code_verifier}`; or goes on
/// with one by `{refresh_token}`.
///
/// A refresh token is good for one use. Using a used one ends the session, because one of its two users
/// has stolen it.
#[utoipa::path(
    post, path = "/auth/v1/token", operation_id = "auth_token", tag = "accounts", params(TokenQuery), request_body = Credentials,
    responses(
        (status = 200, body = SessionJson),
        (status = 400, description = "`invalid_credentials`, `email_not_confirmed`, `refresh_token_not_found`, \
            `refresh_token_already_used`, `session_expired`, `bad_code_verifier`, `validation_failed`, `bad_json`", body = GoTrueError),
        (status = 404, description = "`flow_state_not_found`", body = GoTrueError),
        (status = 429, description = "`over_request_rate_limit`, with Retry-After", body = GoTrueError),
    ),
)]
pub(super) async fn token(
    State(app): State<AppState>,
    client: Client,
    headers: HeaderMap,
    ApiQuery(query): ApiQuery<TokenQuery>,
    ApiJson(body): ApiJson<Credentials>,
) -> Result<Json<SessionJson>, ApiError> {
    match query.grant_type.as_deref() {
        Some("password") => {
            let (Some(email), Some(password)) = (&body.email, &body.password) else {
                return Err(bad_request("validation_failed", "missing email or password"));
            };
            by_password(&app, client, email, password, user_agent(&headers)).await.map(Json)
        }
        Some("refresh_token") => {
            let text = body.refresh_token.filter(|text| !text.is_empty());
            let presented = text.ok_or_else(|| bad_request("validation_failed", "refresh_token required"))?;
            by_refresh_token(&app, &RefreshToken::presented(presented)).await.map(Json)
        }
        Some("pkce") => {
            let (Some(code), Some(verifier)) = (&body.auth_code, &body.code_verifier) else {
                return Err(bad_request("validation_failed", "missing auth_code or code_verifier"));
            };
            by_auth_code(&app, client, code, verifier, user_agent(&headers)).await.map(Json)
        }
        _ => Err(bad_request("validation_failed", "unsupported_grant_type")),
    }
}

async fn by_password(
    app: &App,
    client: Client,
    email: &str,
    password: &Password,
    user_agent: Option<&str>,
) -> Result<SessionJson, ApiError> {
    let (mut tx, user) = sign_in::by_password(app, client.addr, email, password).await.map_err(refused)?;
    let now = app.clock.now();
    let session =
        sign_in_from(app, &mut tx, &user, (client, user_agent), SessionMethod::Password, now).await?;
    tx.commit().await?;
    Ok(session)
}

/// As GoTrue says it.
pub(super) fn refused(error: SignInError) -> ApiError {
    match error {
        SignInError::Wrong => bad_request("invalid_credentials", "Invalid login credentials"),
        SignInError::Unconfirmed => bad_request("email_not_confirmed", "Email not confirmed"),
        other => other.into(),
    }
}

/// Goes on with a sign-in whose mail was followed (RFC 7636).
async fn by_auth_code(
    app: &App,
    client: Client,
    code: &str,
    verifier: &str,
    user_agent: Option<&str>,
) -> Result<SessionJson, ApiError> {
    let unknown = || {
        ApiError::new(
            axum::http::StatusCode::NOT_FOUND,
            "flow_state_not_found",
            "invalid flow state, no valid flow state found",
        )
    };
    let now = app.clock.now();
    let mut tx = app.db.platform().await?;
    let hash = one_time::token_hash(code);
    let found = store::one_time::take(&mut tx, &hash, &[Purpose::Pkce], now).await?.ok_or_else(unknown)?;
    let challenge = found.code_challenge.as_deref().unwrap_or_default();
    if !one_time::answers_challenge(verifier, challenge, found.challenge_method.as_deref().unwrap_or("s256"))
    {
        // Whoever guesses has one guess.
        tx.commit().await?;
        return Err(bad_request(
            "bad_code_verifier",
            "code challenge does not match previously saved code verifier",
        ));
    }
    let user = users::by_id(&mut tx, found.user_id).await?.ok_or_else(unknown)?;
    let session = sign_in_from(app, &mut tx, &user, (client, user_agent), SessionMethod::Otp, now).await?;
    tx.commit().await?;
    Ok(session)
}

async fn by_refresh_token(app: &App, presented: &RefreshToken) -> Result<SessionJson, ApiError> {
    let unknown = || bad_request("refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found");
    let now = app.clock.now();
    let hash = presented.hash();
    let successor = presented.successor(&app.master_key);
    let mut tx = app.db.platform().await?;
    let seen = sessions::token(&mut tx, &hash).await?.ok_or_else(unknown)?;
    let Some(session) = sessions::lock_live(&mut tx, seen.session_id, now).await? else {
        return Err(match seen.used_at {
            Some(_) => already_used(),
            None => bad_request("session_expired", "Invalid Refresh Token: Session Expired or Signed Out"),
        });
    };
    let exchanged = sessions::exchange(&mut tx, &hash, &successor.hash(), now + REFRESH_IDLE, now).await?;
    if !exchanged && !is_repetition(app, &mut tx, &seen, &hash, now).await? {
        if seen.used_at.is_none() && seen.expires_at <= now {
            return Err(bad_request("session_expired", "Invalid Refresh Token: Expired"));
        }
        sessions::revoke(&mut tx, seen.user_id, Ending::This(session.id), now).await?;
        tx.commit().await?;
        tracing::warn!(session = %session.id, "a used refresh token came again: the session has been ended");
        return Err(already_used());
    }
    let user = users::by_id(&mut tx, seen.user_id).await?.ok_or_else(unknown)?;
    let reply = issue(app, &user, session, &successor, now)?;
    tx.commit().await?;
    Ok(reply)
}

/// True if a token that turned out to be used may be answered like the first time: nobody has used its
/// successor, and either it was unused when this request looked (the other one cannot have been answered
/// before this one was sent), or the operator's grace has not passed.
async fn is_repetition(
    app: &App,
    tx: &mut Tx,
    seen: &Token,
    hash: &[u8; 32],
    now: OffsetDateTime,
) -> Result<bool, ApiError> {
    let Some(token) = sessions::token(tx, hash).await? else { return Ok(false) };
    let Some(used_at) = token.used_at else { return Ok(false) };
    let raced = seen.used_at.is_none();
    let within_grace = now - used_at < app.config.auth.refresh_grace;
    Ok(!token.successor_used && (raced || within_grace))
}

fn already_used() -> ApiError {
    bad_request("refresh_token_already_used", "Invalid Refresh Token: Already Used")
}

/// A new session of a user who has just proved who it is.
pub(super) async fn open_session(
    app: &App,
    tx: &mut Tx,
    user: &User,
    user_agent: Option<&str>,
    method: SessionMethod,
    now: OffsetDateTime,
) -> Result<SessionJson, ApiError> {
    let token = RefreshToken::first(&app.rng);
    let new = NewSession {
        id: app.rng.uuid(&*app.clock),
        user_id: user.id,
        not_after: now + SESSION_MAX,
        user_agent,
        method,
        token_hash: &token.hash(),
        token_expires_at: now + REFRESH_IDLE,
    };
    let session = sessions::open(tx, &new, now).await?;
    issue(app, user, session, &token, now)
}

/// The same; a place from which the account never signed in is told to its owner.
pub(super) async fn sign_in_from(
    app: &App,
    tx: &mut Tx,
    user: &User,
    (client, user_agent): (Client, Option<&str>),
    method: SessionMethod,
    now: OffsetDateTime,
) -> Result<SessionJson, ApiError> {
    let session = open_session(app, tx, user, user_agent, method, now).await?;
    note_place(app, tx, user, client, user_agent, now).await?;
    Ok(session)
}

fn issue(
    app: &App,
    user: &User,
    session: Session,
    refresh_token: &RefreshToken,
    now: OffsetDateTime,
) -> Result<SessionJson, ApiError> {
    let subject = Subject {
        user_id: user.id,
        email: &user.email,
        role: user.role.as_str(),
        session_id: session.id,
        signed_in_at: session.created_at,
        aal: session.aal,
        method: session.method.as_str(),
        user_metadata: user.user_metadata.clone(),
    };
    let access_token = app.tokens.issue(&subject).map_err(ApiError::internal)?;
    Ok(SessionJson::new(access_token, refresh_token, user, now))
}
