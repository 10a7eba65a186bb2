//! `/auth/session`: browsers' sessions by cookie; `/auth/sessions`: all sessions of the account.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::{Caller, User, insufficient_aal};
use super::cookie::{self, CookieText};
use super::edge::Client;
use super::error::{ApiError, Problem};
use super::extract::{ApiBytes, ApiPath, ApiQuery, parse_json, require_json};
use super::notice;
use super::page::{Page, PageQuery};
use crate::app::{App, AppState};
use crate::auth::sign_in::{self, SignInError};
use crate::domain::access::Aal;
use crate::domain::account::{Password, PlatformRole, RECENT, SESSION_MAX};
use crate::store::cookie::{self as rows, NewCookieSession};
use crate::store::sessions::{self, Ending};
use crate::store::{Tx, totp, users};

/// A browser that nobody uses for this long has to sign in again.
pub const IDLE: Duration = Duration::days(14);
/// How often use moves that on at most.
pub const SLIDE_EVERY: Duration = Duration::minutes(10);

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(open, show, end)).routes(routes!(list)).routes(routes!(revoke))
}

/// Address and password; without a body the request's bearer token is exchanged.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "email": "ann@nachtklang.example", "password": "a long enough password" }))]
struct Login {
    email: String,
    #[schema(value_type = String)]
    password: Password,
}

/// Who is signed in.
#[derive(Debug, Serialize, ToSchema)]
struct SessionHere {
    session_id: Uuid,
    user_id: Uuid,
    email: String,
    role: PlatformRole,
    /// `aal1`, or `aal2` once a second factor was shown.
    aal: Aal,
    /// The account has a second factor and this session has not shown it: POST /auth/totp/verify.
    totp_required: bool,
}

/// A session of the account.
#[derive(Debug, Serialize, ToSchema)]
struct SessionInList {
    session_id: Uuid,
    /// The one that asks.
    current: bool,
    /// By cookie, or else by tokens.
    browser: bool,
    user_agent: Option<String>,
    aal: Aal,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    last_used_at: OffsetDateTime,
    /// It ends then at the latest.
    #[serde(with = "time::serde::rfc3339")]
    not_after: OffsetDateTime,
}

/// Opens a browser's session and sets its cookie.
///
/// By address and password, or without a body by the bearer token of the request, whose age and level it takes
/// over. The cookie is `__Host-session` (HttpOnly, Secure, SameSite=Lax); it lasts 90 days, and 14 without use.
#[utoipa::path(
    post, path = "/auth/session", operation_id = "open_session", tag = "accounts", request_body(content = Option<Login>), security((), ("bearer" = [])),
    responses(
        (status = 201, body = SessionHere, headers(("Set-Cookie" = String, description = "The session's cookie"))),
        (status = 400, description = "`two_credentials`, `malformed_json`", body = Problem),
        (status = 401, description = "`invalid_credentials`, `email_not_confirmed`, `invalid_token`, `session_ended`", body = Problem),
        (status = 403, description = "`bad_origin`", body = Problem),
        (status = 422, description = "`invalid_body`", body = Problem),
        (status = 429, description = "`rate_limited`, with Retry-After", body = Problem),
    ),
)]
async fn open(
    State(app): State<AppState>,
    client: Client,
    caller: Caller,
    headers: HeaderMap,
    ApiBytes(body): ApiBytes,
) -> Result<Response, ApiError> {
    cookie::refuse_other_page(&app, &headers)?;
    let user_agent = user_agent(&headers);
    let now = app.clock.now();
    let text = CookieText::generate(&app.rng);
    let new = NewCookieSession {
        id: app.rng.uuid(&*app.clock),
        user_id: Uuid::nil(),
        aal: Aal::Aal1,
        signed_in_at: now,
        not_after: now + SESSION_MAX,
        user_agent,
        token_hash: &text.hash(),
        expires_at: now + IDLE,
    };
    let (mut tx, new, user) = match (&caller, body.is_empty()) {
        (Caller::User(bearer), true) => {
            let mut tx = app.db.user(bearer.user_id).await?;
            let found = users::in_session(&mut tx, bearer.user_id, bearer.session_id, now).await?;
            let (user, session) = found.ok_or_else(session_ended)?;
            // As old as the session it comes from: a token alone does not prove the password anew.
            let new = NewCookieSession {
                user_id: user.id,
                aal: bearer.aal,
                signed_in_at: session.created_at,
                not_after: session.created_at + SESSION_MAX,
                ..new
            };
            (tx, new, user)
        }
        (Caller::User(_), false) => {
            return Err(ApiError::bad_request(
                "two_credentials",
                "send a bearer token or address and password, not both",
            ));
        }
        _ => {
            require_json(&headers)?;
            let login: Login = parse_json(&body)?;
            let (tx, user) = sign_in::by_password(&app, client.addr, &login.email, &login.password).await?;
            (tx, NewCookieSession { user_id: user.id, ..new }, user)
        }
    };
    rows::open(&mut tx, &new, now).await?;
    note_place(&app, &mut tx, &user, client, user_agent, now).await?;
    let here = SessionHere {
        session_id: new.id,
        user_id: user.id,
        email: user.email,
        role: user.role,
        aal: new.aal,
        totp_required: new.aal < Aal::Aal2 && totp::is_on(&mut tx, user.id).await?,
    };
    tx.commit().await?;
    let max_age = (new.not_after - now).whole_seconds();
    let set = cookie::set(&app, &text, max_age)?;
    Ok((StatusCode::CREATED, [(header::SET_COOKIE, set)], Json(here)).into_response())
}

/// Who is signed in here.
#[utoipa::path(
    get, path = "/auth/session", operation_id = "get_session", tag = "accounts", security(("session" = []), ("bearer" = [])),
    responses((status = 200, body = SessionHere), (status = 401, description = "`not_signed_in`, `session_ended`", body = Problem)),
)]
async fn show(State(app): State<AppState>, caller: Caller) -> Result<Json<SessionHere>, ApiError> {
    let caller = caller.require_user()?;
    let mut tx = app.db.user(caller.user_id).await?;
    let found = users::in_session(&mut tx, caller.user_id, caller.session_id, app.clock.now()).await?;
    let totp_on = totp::is_on(&mut tx, caller.user_id).await?;
    tx.commit().await?;
    let (user, session) = found.ok_or_else(session_ended)?;
    Ok(Json(SessionHere {
        session_id: session.id,
        user_id: user.id,
        email: user.email,
        role: user.role,
        aal: caller.aal,
        totp_required: totp_on && caller.aal < Aal::Aal2,
    }))
}

/// Ends the browser's session and takes its cookie away; also one that has ended already.
#[utoipa::path(
    delete, path = "/auth/session", operation_id = "end_session", tag = "accounts", security(("session" = [])),
    responses((status = 204), (status = 403, description = "`bad_origin`", body = Problem)),
)]
async fn end(State(app): State<AppState>, method: Method, headers: HeaderMap) -> Result<Response, ApiError> {
    if let Some(text) = cookie::read(&app, &headers) {
        cookie::require_own_page(&app, &method, &headers)?;
        let now = app.clock.now();
        let mut tx = app.db.platform().await?;
        if let Some(session) = rows::find(&mut tx, &text.hash(), now).await? {
            sessions::revoke(&mut tx, session.user_id, Ending::This(session.session_id), now).await?;
        }
        tx.commit().await?;
    }
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie::clear(&app)?)]).into_response())
}

/// The account's sessions that have not ended, the latest used first.
#[utoipa::path(
    get, path = "/auth/sessions", operation_id = "list_sessions", tag = "accounts", params(PageQuery), security(("session" = []), ("bearer" = [])),
    responses((status = 200, body = Page<SessionInList>), (status = 401, body = Problem)),
)]
async fn list(
    State(app): State<AppState>,
    caller: Caller,
    ApiQuery(page): ApiQuery<PageQuery>,
) -> Result<Json<Page<SessionInList>>, ApiError> {
    let user = caller.require_user()?;
    let mut tx = app.db.user(user.user_id).await?;
    let found = rows::sessions_of(&mut tx, user.user_id, app.clock.now()).await?;
    tx.commit().await?;
    let json = |row: rows::SessionRow| SessionInList {
        session_id: row.id,
        current: row.id == user.session_id,
        browser: row.browser,
        user_agent: row.user_agent,
        aal: Aal::from_word(&row.aal),
        created_at: row.created_at,
        last_used_at: row.refreshed_at,
        not_after: row.not_after,
    };
    let all = found.into_iter().map(json).collect();
    Page::of_few("sessions", &page, all, |of: &SessionInList| of.session_id).map(Json)
}

/// Ends a session of the account. A cookie or refresh token of it is dead at once, an access token within its hour.
#[utoipa::path(
    delete, path = "/auth/sessions/{session_id}", operation_id = "revoke_session", tag = "accounts", params(("session_id" = Uuid, Path)),
    security(("session" = []), ("bearer" = [])),
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem)),
)]
async fn revoke(
    State(app): State<AppState>,
    caller: Caller,
    ApiPath(session_id): ApiPath<Uuid>,
) -> Result<StatusCode, ApiError> {
    let user = caller.require_user()?;
    let mut tx = app.db.user(user.user_id).await?;
    let ended = sessions::revoke(&mut tx, user.user_id, Ending::This(session_id), app.clock.now()).await?;
    tx.commit().await?;
    if ended == 0 { Err(ApiError::not_found("session")) } else { Ok(StatusCode::NO_CONTENT) }
}

/// The account whose session a cookie opens; its end moves on with use.
pub(super) async fn of_cookie(app: &App, text: &CookieText) -> Result<User, ApiError> {
    let now = app.clock.now();
    let mut tx = app.db.platform().await?;
    let session = rows::find(&mut tx, &text.hash(), now).await?.ok_or_else(session_ended)?;
    if now - session.used_at >= SLIDE_EVERY {
        rows::slide(&mut tx, session.session_id, now + IDLE, now).await?;
    }
    tx.commit().await?;
    Ok(User {
        user_id: session.user_id,
        email: session.email,
        role: session.role,
        session_id: session.session_id,
        aal: session.aal,
    })
}

/// Notes from where the account signs in now; a place that is new to an account with others is told to its owner.
pub(super) async fn note_place(
    app: &App,
    tx: &mut Tx,
    user: &users::User,
    client: Client,
    user_agent: Option<&str>,
    now: OffsetDateTime,
) -> Result<(), ApiError> {
    let place = sign_in::place(&app.master_key, client.addr, user_agent);
    if !rows::is_new_place(tx, user.id, &place, now).await? {
        return Ok(());
    }
    let facts = json!({
        "at": now.replace_nanosecond(0).unwrap_or(now).format(&Rfc3339).map_err(ApiError::internal)?,
        "client": user_agent,
        "address": client.addr,
    });
    let expires_at = Some(now + Duration::days(2));
    notice::send(app, tx, ("auth.new_login", &facts), &user.email, expires_at, now).await?;
    Ok(())
}

/// Somebody holding a session, perhaps a stolen one, must not take the account over or away: the password is
/// told once more, or the session has shown two factors. An account without a password shows a young session; one with
/// a second factor must have shown it.
pub(super) async fn prove(
    app: &App,
    client: Client,
    caller: &User,
    password: Option<&Password>,
) -> Result<users::User, ApiError> {
    let mut tx = app.db.user(caller.user_id).await?;
    let found = users::in_session(&mut tx, caller.user_id, caller.session_id, app.clock.now()).await?;
    let two_factors = totp::is_on(&mut tx, caller.user_id).await?;
    tx.commit().await?;
    let (user, session) = found.ok_or_else(session_ended)?;
    if two_factors && caller.aal < Aal::Aal2 {
        return Err(insufficient_aal());
    }
    let young = user.secret.0.is_none() && app.clock.now() - session.created_at < RECENT;
    match password {
        _ if caller.aal == Aal::Aal2 || young => Ok(user),
        None => Err(ApiError::unprocessable(
            "reauthentication_needed",
            "send the password, or show the second factor first",
        )),
        Some(password) => match sign_in::knows_password(app, client.addr, &user, password).await? {
            true => Ok(user),
            false => Err(ApiError::invalid_field("password", "wrong", "the password is wrong")),
        },
    }
}

pub(super) fn user_agent(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::USER_AGENT)?.to_str().ok()?;
    text.get(..text.len().min(400))
}

pub(super) fn session_ended() -> ApiError {
    ApiError::unauthorized("session_ended", "the session has ended, sign in again")
}

impl From<SignInError> for ApiError {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Wrong => Self::unauthorized("invalid_credentials", "address or password is wrong"),
            SignInError::Unconfirmed => {
                Self::unauthorized("email_not_confirmed", "confirm the address first: look into your mail")
            }
            SignInError::Refused(e) => e.into(),
            SignInError::Hash(e) => e.into(),
            SignInError::Database(e) => e.into(),
        }
    }
}
