//! Mails on request: to sign in, to choose a new password, to confirm. The answer is always the same, whether or
//! not there is such an account, and takes as long: it is given before anybody looks for the account.
//!
//! What is done before the answer is the same for every address: the request is read, and its mail is counted. Looking
//! for the account, making one, its token and its mail happen in a task of the server's own (`App::background`), for
//! which a server that stops waits. So neither the answer nor its time says whether anything was written. What is lost if
//! the server dies in between is a mail, which its reader asks for again.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing::Instrument as _;
use utoipa::{IntoParams, ToSchema};

use super::super::edge::{self, Client};
use super::super::error::ApiError;
use super::super::extract::{ApiJson, ApiQuery};
use super::bearer::SignedIn;
use super::letter::{self, Flow, send_token};
use super::{GoTrueError, bad_request, invalid_email, new_metadata};
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

/// Which mail is asked for.
#[derive(Debug)]
enum Asked {
    /// To sign in; with metadata for the account that is made where there is none.
    MagicLink(Option<Value>),
    Recovery,
    /// The confirmation of a sign-up or of a new address once more.
    Again(Purpose),
}

/// A request for a mail, as far as it can be judged without the account.
struct Request {
    asked: Asked,
    email: Email,
    flow: Flow,
}

impl Request {
    fn new(
        asked: Asked,
        (email, phone): (Option<&str>, Option<&str>),
        redirect: RedirectQuery,
        (challenge, method): (Option<String>, Option<String>),
    ) -> Result<Self, ApiError> {
        let email = match (email, phone) {
            (Some(email), _) => Email::parse(email).map_err(invalid_email)?,
            (None, Some(_)) => {
                return Err(bad_request("phone_provider_disabled", "Phone numbers are not kept here"));
            }
            (None, None) => return Err(bad_request("validation_failed", "An email address is required")),
        };
        let flow = Flow::new(redirect.redirect_to, challenge, method.as_deref())?;
        Ok(Self { asked, email, flow })
    }

    /// Counts the mail and answers; the rest is done afterwards.
    async fn answer(self, app: AppState, client: Client) -> Result<Json<Nothing>, ApiError> {
        let with_code = letter::allow(&app, client, self.email.as_str()).await?;
        let state = app.clone();
        let work = async move {
            if let Err(e) = self.write(&state, with_code).await {
                tracing::error!("a mail that was asked for was not written: {e:#}");
            }
        };
        app.background.spawn(edge::carried(work).in_current_span());
        Ok(Json(Nothing {}))
    }

    async fn write(self, app: &App, with_code: bool) -> Result<(), sqlx::Error> {
        let Self { asked, email, flow } = self;
        let now = app.clock.now();
        let mut tx = app.db.platform().await?;
        let found = users::by_email(&mut tx, email.as_str()).await?;
        let (user, purpose) = match (&asked, found) {
            (Asked::MagicLink(Some(metadata)), None) => {
                let new = NewUser {
                    id: app.rng.uuid(&*app.clock),
                    email: email.as_str(),
                    password_hash: PasswordHash(None),
                    confirmed: false,
                    role: PlatformRole::User,
                    user_metadata: metadata,
                    language: edge::language(),
                };
                (users::insert(&mut tx, &new, now).await?, Purpose::MagicLink)
            }
            (Asked::MagicLink(_), found) => (found, Purpose::MagicLink),
            (Asked::Recovery, found) => (found, Purpose::Recovery),
            (Asked::Again(purpose), found) => (found, *purpose),
        };
        let Some(user) = user else { return tx.commit().await };
        let to = match &asked {
            Asked::Again(Purpose::EmailChange) => one_time::pending_email(&mut tx, user.id, now).await?,
            Asked::Again(_) => user.email_confirmed_at.is_none().then(|| user.email.clone()),
            _ => Some(user.email.clone()),
        };
        if let Some(to) = to {
            send_token(app, &mut tx, user.id, purpose, (&to, with_code), &flow, now).await?;
        }
        tx.commit().await
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
    magic(app, client, query, body).await
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
    magic(app, client, query, body).await
}

async fn magic(
    app: AppState,
    client: Client,
    query: RedirectQuery,
    body: MailRequest,
) -> Result<Json<Nothing>, ApiError> {
    let metadata = Value::Object(new_metadata(body.data)?);
    let asked = Asked::MagicLink((body.create_user != Some(false)).then_some(metadata));
    let whom = (body.email.as_deref(), body.phone.as_deref());
    Request::new(asked, whom, query, (body.code_challenge, body.code_challenge_method))?
        .answer(app, client)
        .await
}

/// Mails a link and a code to choose a new password with.
#[utoipa::path(
    post, path = "/auth/v1/recover", operation_id = "auth_recover", tag = "accounts", params(RedirectQuery), request_body = MailRequest,
    responses(
        (status = 200, body = Nothing),
        (status = 400, description = "`validation_failed`, `phone_provider_disabled`, `bad_json`", body = GoTrueError),
        (status = 429, description = "`over_email_send_rate_limit`, with Retry-After", body = GoTrueError),
    ),
)]
pub(super) async fn recover(
    State(app): State<AppState>,
    client: Client,
    ApiQuery(query): ApiQuery<RedirectQuery>,
    ApiJson(body): ApiJson<MailRequest>,
) -> Result<Json<Nothing>, ApiError> {
    let whom = (body.email.as_deref(), body.phone.as_deref());
    Request::new(Asked::Recovery, whom, query, (body.code_challenge, body.code_challenge_method))?
        .answer(app, client)
        .await
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
    let asked = Asked::Again(match body.kind.as_deref() {
        Some("signup") => Purpose::Signup,
        Some("email_change") => Purpose::EmailChange,
        _ => return Err(bad_request("validation_failed", "type must be signup or email_change")),
    });
    let whom = (body.email.as_deref(), body.phone.as_deref());
    Request::new(asked, whom, query, (body.code_challenge, body.code_challenge_method))?
        .answer(app, client)
        .await
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
    letter::allow_nonce(&app, client, &user.email).await?;
    let mut tx = app.db.user(user.id).await?;
    let (to, flow) = ((user.email.as_str(), true), Flow::default());
    send_token(&app, &mut tx, user.id, Purpose::Reauthentication, to, &flow, app.clock.now()).await?;
    tx.commit().await?;
    Ok(Json(Nothing {}))
}
