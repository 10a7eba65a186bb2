//! Accounts at GoTrue's paths, so that supabase-js signs in here as it would there
//! (docs/decisions/0007-accounts-at-gotrues-paths.md). Errors take GoTrue's form (`http::error`), unknown fields are
//! tolerated, and an answer never tells whether an address has an account, unless new addresses count as
//! confirmed at once: then signing up has to tell.

mod about;
mod bearer;
mod letter;
mod logout;
mod otp;
mod shape;
mod signup;
mod token;
mod user;
mod verify;

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiError;
use crate::app::{App, AppState};
use crate::auth::limit::{Limit, Refused};
use crate::auth::password::HashError;
use crate::domain::account::{Email, EmailError, MetadataError, Password, PasswordError, check_metadata};
use crate::store;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(signup::signup))
        .routes(routes!(token::token))
        .routes(routes!(user::read, user::change))
        .routes(routes!(otp::otp))
        .routes(routes!(otp::magiclink))
        .routes(routes!(otp::recover))
        .routes(routes!(otp::resend))
        .routes(routes!(otp::reauthenticate))
        .routes(routes!(verify::follow, verify::verify))
        .routes(routes!(logout::logout))
        .routes(routes!(about::settings))
        .routes(routes!(about::health))
        .routes(routes!(about::jwks))
        .routes(routes!(about::jwks_of_auth))
}

/// How these routes refuse. Clients that send `X-Supabase-Api-Version: 2024-01-01` or later get
/// `{code: "invalid_credentials", message}` instead.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "only described here; http::error writes it")]
struct GoTrueError {
    /// The HTTP status.
    code: u16,
    /// Stable word a client may act on.
    error_code: String,
    /// For people.
    msg: String,
    request_id: String,
}

/// Address and password, in a body whose further members are ignored.
#[derive(Debug, Deserialize, ToSchema)]
struct Credentials {
    email: Option<String>,
    #[schema(value_type = Option<String>)]
    password: Option<Password>,
    phone: Option<String>,
    refresh_token: Option<String>,
    /// `grant_type=pkce`: what the mail's link brought back.
    auth_code: Option<String>,
    /// `grant_type=pkce`: what the challenge was made of.
    code_verifier: Option<String>,
    /// At sign-up: RFC 7636, for the link of the confirmation mail.
    code_challenge: Option<String>,
    /// `s256` or `plain`.
    code_challenge_method: Option<String>,
    /// The user's own metadata.
    #[schema(value_type = Option<Object>)]
    data: Option<Map<String, Value>>,
}

fn signups(app: &App) -> Limit {
    let max = app.config.auth.signups_per_minute;
    Limit::per_minute("signup", if app.config.dev { max.saturating_mul(30) } else { max })
}

fn autoconfirm(app: &App) -> bool {
    app.config.auth.autoconfirm.unwrap_or(app.config.dev)
}

fn bad_request(code: &'static str, message: &'static str) -> ApiError {
    ApiError::bad_request(code, message)
}

fn invalid_email(error: EmailError) -> ApiError {
    let text = match error {
        EmailError::Form => "Unable to validate email address: invalid format",
        EmailError::TooLong => "Unable to validate email address: it is too long",
    };
    bad_request("validation_failed", text)
}

/// The new password, if it may be one.
fn new_password<'a>(
    password: Option<&'a Password>,
    email: &Email,
    at_least: usize,
) -> Result<&'a Password, ApiError> {
    let password = password
        .filter(|p| !p.is_empty())
        .ok_or_else(|| bad_request("validation_failed", "A password is required"))?;
    password.check(email, at_least).map_err(|e| {
        let reason = match e {
            PasswordError::TooLong => {
                return ApiError::bad_request("validation_failed", e.to_string());
            }
            PasswordError::TooShort(_) => "length",
            PasswordError::Guessable => "characters",
        };
        ApiError::unprocessable("weak_password", e.to_string())
            .with_member("weak_password", json!({ "reasons": [reason] }))
    })?;
    Ok(password)
}

fn new_metadata(data: Option<Map<String, Value>>) -> Result<Map<String, Value>, ApiError> {
    let data = data.unwrap_or_default();
    check_metadata(&data).map_err(unfit_metadata)?;
    Ok(data)
}

fn unfit_metadata(error: MetadataError) -> ApiError {
    ApiError::bad_request("validation_failed", error.to_string())
}

/// An error of a write that carries metadata.
fn metadata_or_database(error: sqlx::Error) -> ApiError {
    if store::is_check_violation(&error, "users_metadata_size") {
        unfit_metadata(MetadataError::TooLarge)
    } else {
        ApiError::from(error)
    }
}

fn user_agent(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::USER_AGENT)?.to_str().ok()?;
    text.get(..text.len().min(400))
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::TooMany { retry_after } => Self::too_many(retry_after),
            Refused::Database(e) => Self::from(e),
        }
    }
}

impl From<HashError> for ApiError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "too many sign-ins at once, please wait",
            )
            .with_retry_after(Duration::from_secs(3)),
            HashError::Failed(cause) => Self::internal(cause),
        }
    }
}
