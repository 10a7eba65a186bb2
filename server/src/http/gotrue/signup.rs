//! New accounts.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::super::edge::{self, Client};
use super::super::error::ApiError;
use super::super::extract::{ApiJson, ApiQuery};
use super::letter::{self, Flow, send_token};
use super::otp::RedirectQuery;
use super::shape::{SessionJson, UserJson};
use super::token::open_session;
use super::{
    Credentials, GoTrueError, autoconfirm, bad_request, invalid_email, metadata_or_database, new_metadata,
    new_password, signups, user_agent,
};
use crate::app::AppState;
use crate::auth::limit::Whom;
use crate::domain::account::{Email, MIN_PASSWORD, PlatformRole, SessionMethod};
use crate::domain::one_time::Purpose;
use crate::store::users::{self, NewUser, PasswordHash, User};

/// A session if the address counts as confirmed, else the account alone.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Signup {
    Session(Box<SessionJson>),
    User(Box<UserJson>),
}

/// Makes an account.
///
/// Where addresses must be confirmed, a mail goes to the address, and a taken one gets the same answer as a new one.
#[utoipa::path(
    post, path = "/auth/v1/signup", operation_id = "auth_signup", tag = "accounts", params(RedirectQuery), request_body = Credentials,
    responses(
        (status = 200, body = Signup),
        (status = 400, description = "`validation_failed`, `bad_json`, `phone_provider_disabled`", body = GoTrueError),
        (status = 422, description = "`weak_password`, `user_already_exists`, `anonymous_provider_disabled`", body = GoTrueError),
        (status = 429, description = "`over_request_rate_limit`, `over_email_send_rate_limit`, with Retry-After", body = GoTrueError),
    ),
)]
pub(super) async fn signup(
    State(app): State<AppState>,
    client: Client,
    headers: HeaderMap,
    ApiQuery(query): ApiQuery<RedirectQuery>,
    ApiJson(body): ApiJson<Credentials>,
) -> Result<Json<Signup>, ApiError> {
    let email = match (&body.email, &body.phone) {
        (Some(email), _) => Email::parse(email).map_err(invalid_email)?,
        (None, Some(_)) => return Err(bad_request("phone_provider_disabled", "Phone signups are disabled")),
        (None, None) => {
            return Err(ApiError::unprocessable(
                "anonymous_provider_disabled",
                "Anonymous sign-ins are disabled",
            ));
        }
    };
    let password = new_password(body.password.as_ref(), &email, MIN_PASSWORD)?;
    let metadata = Value::Object(new_metadata(body.data)?);
    let flow = Flow::new(query.redirect_to, body.code_challenge, body.code_challenge_method.as_deref())?;
    signups(&app).attempt(&app.db, &*app.clock, &[Whom::Client(client.addr)]).await?;
    let confirmed = autoconfirm(&app);
    let with_code = !confirmed && letter::allow(&app, client, email.as_str()).await?;

    // Hashed before anybody asks whether the address is taken: both answers take as long.
    let hash = app.passwords.hash(password).await?;
    let now = app.clock.now();
    let new = NewUser {
        id: app.rng.uuid(&*app.clock),
        email: email.as_str(),
        password_hash: PasswordHash(Some(hash)),
        confirmed,
        role: PlatformRole::User,
        user_metadata: &metadata,
        language: edge::language(),
    };
    let mut tx = app.db.platform().await?;
    let user = users::insert(&mut tx, &new, now).await.map_err(metadata_or_database)?;
    let reply = match (user, confirmed) {
        (Some(user), true) => {
            let user = users::signed_in(&mut tx, user.id, &user.secret, now).await?.unwrap_or(user);
            Signup::Session(Box::new(
                open_session(&app, &mut tx, &user, user_agent(&headers), SessionMethod::Password, now)
                    .await?,
            ))
        }
        (Some(user), false) => {
            let to = (user.email.as_str(), with_code);
            send_token(&app, &mut tx, user.id, Purpose::Signup, to, &flow, now).await?;
            Signup::User(Box::new(UserJson::of(&user)))
        }
        (None, true) => {
            return Err(ApiError::unprocessable("user_already_exists", "User already registered"));
        }
        (None, false) => {
            if let Some(user) = users::sign_up_again(&mut tx, email.as_str(), now).await? {
                let to = (user.email.as_str(), with_code);
                send_token(&app, &mut tx, user.id, Purpose::Signup, to, &flow, now).await?;
            }
            // Of a made-up account: whether there is one stays untold.
            Signup::User(Box::new(UserJson::of(&User {
                id: new.id,
                email: email.as_str().to_owned(),
                email_confirmed_at: None,
                role: new.role,
                user_metadata: metadata.clone(),
                // As the database would have kept it.
                created_at: micros(now),
                updated_at: micros(now),
                last_sign_in_at: None,
                secret: PasswordHash(None),
            })))
        }
    };
    tx.commit().await?;
    Ok(Json(reply))
}

/// Whole microseconds, which is what the database keeps.
fn micros(at: OffsetDateTime) -> OffsetDateTime {
    at.replace_nanosecond(at.microsecond() * 1_000).unwrap_or(at)
}
