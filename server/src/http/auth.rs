//! Who is calling, for handlers.
//!
//! [`Caller`] says who, [`Member`] also for which organizer, [`Staff`] the same for people and system accounts
//! alike. All refuse with 401 what is claimed and not true; a call that claims nothing is
//! [`Caller::Anonymous`]. Whether such a caller may do what the route does, they look up in the one table,
//! `domain::access`, before the handler runs.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HeaderName};
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::error::ApiError;
use super::{cookie, session, supabase};
use crate::app::{App, AppState};
use crate::auth::named_secret::{NamedSecret, SYSTEM_TOKEN};
use crate::auth::{TokenError, verify_access_token};
use crate::domain::access::{self, Aal, Action, Denied, Scope, Standing};
pub use crate::domain::account::PlatformRole;
use crate::store::member::{self, OrgRole};
use crate::store::{system, totp};

pub const BOOKING_SECRET: HeaderName = HeaderName::from_static("booking-secret");
pub const ORGANIZER_ID: HeaderName = HeaderName::from_static("organizer-id");

/// Who is calling.
#[derive(Debug, Clone)]
pub enum Caller {
    Anonymous,
    User(User),
    Guest(Guest),
    System(System),
}

/// A signed-in account.
#[derive(Debug, Clone)]
pub struct User {
    pub user_id: Uuid,
    pub email: String,
    pub role: PlatformRole,
    /// Nil for users of a Supabase project, whose sessions are kept there.
    pub session_id: Uuid,
    pub aal: Aal,
}

/// A system account of an organizer.
#[derive(Debug, Clone)]
pub struct System {
    pub organizer_id: Uuid,
    pub account_id: Uuid,
    pub label: String,
    pub scopes: Vec<Scope>,
    /// When its token ends.
    pub expires_at: OffsetDateTime,
}

/// The holder of a booking's secret.
#[derive(Debug, Clone, Copy)]
pub struct Guest {
    pub organizer_id: Uuid,
    /// SHA-256 of the secret's text.
    pub secret_hash: [u8; 32],
}

impl Caller {
    /// The account that limits count.
    pub fn account_id(&self) -> Option<Uuid> {
        match self {
            Self::User(user) => Some(user.user_id),
            Self::System(system) => Some(system.account_id),
            Self::Anonymous | Self::Guest(_) => None,
        }
    }

    /// The account, or 401.
    pub fn require_user(&self) -> Result<&User, ApiError> {
        match self {
            Self::User(user) => Ok(user),
            _ => Err(ApiError::unauthorized("not_signed_in", "sign in first")),
        }
    }

    /// The account if it is an administrator of the platform, else 401 or 403.
    pub fn require_admin(&self) -> Result<&User, ApiError> {
        let user = self.require_user()?;
        match user.role {
            PlatformRole::Admin => Ok(user),
            _ => Err(ApiError::forbidden("only administrators may do this")),
        }
    }

    /// The guest, or 401.
    pub fn require_guest(&self) -> Result<&Guest, ApiError> {
        match self {
            Self::Guest(guest) => Ok(guest),
            _ => Err(ApiError::unauthorized("no_booking_secret", "send the booking's secret")),
        }
    }

    /// The account if it has at least `role` with the organizer, else 401, or 404 for a stranger,
    /// who may not know what exists there, or 403 for a member of a lesser role.
    /// `tx` is under that organizer's context.
    pub async fn require_org_role(
        &self,
        tx: &mut PgConnection,
        organizer_id: Uuid,
        role: OrgRole,
    ) -> Result<&User, ApiError> {
        let user = self.require_user()?;
        match member::role(tx, organizer_id, user.user_id).await? {
            None => Err(ApiError::not_found("organizer")),
            Some(held) if held < role => Err(lesser_role(role)),
            Some(_) => Ok(user),
        }
    }
}

/// A signed-in member of an organizer: the one of the `Organizer-Id` header, or the only one.
#[derive(Debug, Clone)]
pub struct Member {
    pub user: User,
    pub organizer_id: Uuid,
    pub role: OrgRole,
}

impl Member {
    /// 403 unless the member has at least `role`; where the route's entry in `domain::access` is not enough.
    pub fn require(&self, role: OrgRole) -> Result<(), ApiError> {
        if self.role < role { Err(lesser_role(role)) } else { Ok(()) }
    }
}

/// Who works for an organizer: a member, or a system account with the scope of the route.
#[derive(Debug, Clone)]
pub struct Staff {
    pub organizer_id: Uuid,
    pub who: Worker,
}

#[derive(Debug, Clone)]
pub enum Worker {
    Member(User, OrgRole),
    System(System),
}

/// Who acts for an organizer, for what is done and written down the same for all of them.
pub trait Acting {
    fn organizer_id(&self) -> Uuid;
    /// `user` or `system`, and its id: for the audit.
    fn actor(&self) -> (&'static str, Uuid);
}

impl Acting for Member {
    fn organizer_id(&self) -> Uuid {
        self.organizer_id
    }

    fn actor(&self) -> (&'static str, Uuid) {
        ("user", self.user.user_id)
    }
}

impl Acting for Staff {
    fn organizer_id(&self) -> Uuid {
        self.organizer_id
    }

    fn actor(&self) -> (&'static str, Uuid) {
        match &self.who {
            Worker::Member(user, _) => ("user", user.user_id),
            Worker::System(system) => ("system", system.account_id),
        }
    }
}

impl FromRequestParts<AppState> for Member {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, ApiError> {
        match Caller::from_request_parts(parts, app).await? {
            Caller::User(user) => member_of(parts, app, user).await,
            Caller::System(_) => Err(refuse(Denied::Scope(None))),
            Caller::Anonymous | Caller::Guest(_) => Err(refuse(Denied::SignIn { secret_helps: false })),
        }
    }
}

impl FromRequestParts<AppState> for Staff {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, ApiError> {
        match Caller::from_request_parts(parts, app).await? {
            Caller::User(user) => {
                let member = member_of(parts, app, user).await?;
                let organizer_id = member.organizer_id;
                Ok(Self { organizer_id, who: Worker::Member(member.user, member.role) })
            }
            Caller::System(system) => {
                let organizer_id = system.organizer_id;
                match organizer_header(&parts.headers)? {
                    Some(other) if other != organizer_id => Err(not_a_member()),
                    _ => Ok(Self { organizer_id, who: Worker::System(system) }),
                }
            }
            Caller::Anonymous | Caller::Guest(_) => Err(refuse(Denied::SignIn { secret_helps: false })),
        }
    }
}

/// The organizer that an account acts for, if its role there allows what the route does.
async fn member_of(parts: &Parts, app: &AppState, user: User) -> Result<Member, ApiError> {
    let wanted = organizer_header(&parts.headers)?;
    let mut tx = app.db.user(user.user_id).await?;
    let memberships = member::of_user(&mut tx, user.user_id).await?;
    tx.commit().await?;
    let chosen = match wanted {
        Some(id) => memberships.into_iter().find(|m| m.organizer_id == id).ok_or_else(not_a_member)?,
        None => {
            let mut all = memberships.into_iter();
            match (all.next(), all.next()) {
                (Some(only), None) => only,
                (None, _) => {
                    return Err(ApiError::forbidden_code(
                        "not_an_organizer",
                        "create an organizer profile first",
                    ));
                }
                _ => {
                    return Err(ApiError::bad_request(
                        "organizer_id_required",
                        "you are a member of several organizers: choose one by the Organizer-Id header",
                    ));
                }
            }
        }
    };
    access::member_may(action(parts), chosen.role).map_err(lesser_role)?;
    Ok(Member { user, organizer_id: chosen.organizer_id, role: chosen.role })
}

fn organizer_header(headers: &HeaderMap) -> Result<Option<Uuid>, ApiError> {
    header_text(headers, &ORGANIZER_ID)?
        .map(|text| {
            text.parse::<Uuid>().map_err(|_| {
                ApiError::bad_request("invalid_organizer_id", "Organizer-Id must be an organizer's id")
            })
        })
        .transpose()
}

/// What the route does.
fn action(parts: &Parts) -> Option<Action> {
    let path = parts.extensions.get::<MatchedPath>()?;
    access::action_of(parts.method.as_str(), path.as_str())
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, ApiError> {
        // A layer before us may have had to know.
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(known.clone());
        }
        let caller = identify(parts, app).await?;
        let action = action(parts);
        access::may_try(action, caller.standing()).map_err(refuse)?;
        if let Self::User(user) = &caller
            && action.is_some_and(Action::is_staff_work)
            && lacks_second_factor(app, user).await?
        {
            return Err(ApiError::forbidden_code(
                "totp_required",
                "show the second factor of your account first: POST /auth/totp/verify",
            ));
        }
        Ok(caller)
    }
}

/// The account that calls, if one does: where everybody is answered alike. What is wrong with its token is told elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct Viewer(pub Option<Uuid>);

impl FromRequestParts<AppState> for Viewer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Infallible> {
        match Caller::from_request_parts(parts, app).await {
            Ok(Caller::User(user)) => Ok(Self(Some(user.user_id))),
            _ => Ok(Self(None)),
        }
    }
}

impl Caller {
    fn standing(&self) -> Standing<'_> {
        match self {
            Self::Anonymous => Standing::Anonymous,
            Self::Guest(_) => Standing::Guest,
            Self::User(user) => Standing::Account(user.role),
            Self::System(system) => Standing::System(&system.scopes),
        }
    }
}

async fn has_second_factor(app: &App, user_id: Uuid) -> Result<bool, sqlx::Error> {
    let mut tx = app.db.user(user_id).await?;
    let on = totp::is_on(&mut tx, user_id).await?;
    tx.commit().await?;
    Ok(on)
}

/// True if the account has a second factor that this session has not shown.
pub async fn lacks_second_factor(app: &App, user: &User) -> Result<bool, sqlx::Error> {
    if user.aal == Aal::Aal2 {
        return Ok(false);
    }
    let mut tx = app.db.user(user.user_id).await?;
    let on = totp::is_on(&mut tx, user.user_id).await?;
    tx.commit().await?;
    Ok(on)
}

/// For what changes the account itself, where it has a second factor.
pub fn insufficient_aal() -> ApiError {
    ApiError::forbidden_code(
        "insufficient_aal",
        "show the second factor of your account first: POST /auth/totp/verify",
    )
}

/// Who it is, whatever it may do.
async fn identify(parts: &Parts, app: &AppState) -> Result<Caller, ApiError> {
    let bearer = header_text(&parts.headers, &AUTHORIZATION)?;
    let secret = header_text(&parts.headers, &BOOKING_SECRET)?;
    match (bearer, cookie::read(app, &parts.headers), secret) {
        (None, None, None) => Ok(Caller::Anonymous),
        (None, None, Some(secret)) => guest(secret).map(Caller::Guest),
        (Some(_), Some(_), _) => Err(ApiError::bad_request(
            "two_credentials",
            "send a bearer token or the session's cookie, not both",
        )),
        (None, Some(text), _) => {
            cookie::require_own_page(app, &parts.method, &parts.headers)?;
            session::of_cookie(app, &text).await.map(Caller::User)
        }
        // An account that also holds a booking's secret acts as the account; claiming a guest
        // booking is a route of its own, which reads the secret itself.
        (Some(authorization), None, _) => {
            let token = bearer_token(authorization)?;
            if token.starts_with(SYSTEM_TOKEN) {
                system_account(app, token).await.map(Caller::System)
            } else {
                user(app, token).await.map(Caller::User)
            }
        }
    }
}

/// A refusal of the table, as an answer.
fn refuse(denied: Denied) -> ApiError {
    match denied {
        Denied::SignIn { secret_helps: true } => not_signed_in(),
        Denied::SignIn { secret_helps: false } => ApiError::unauthorized("not_signed_in", "sign in first"),
        Denied::Scope(Some(scope)) => ApiError::forbidden_code(
            "scope_required",
            format!("this takes a system account with the scope {}", scope.as_str()),
        ),
        Denied::Scope(None) => ApiError::forbidden_code(
            "scope_required",
            "system accounts cannot do this, whatever their scopes",
        ),
        Denied::AdminOnly => ApiError::forbidden("only administrators may do this"),
    }
}

/// 401 where an account or a booking's secret would do.
pub fn not_signed_in() -> ApiError {
    ApiError::unauthorized(
        "not_signed_in",
        "sign in, or send the booking's secret in the header Booking-Secret",
    )
}

fn not_a_member() -> ApiError {
    ApiError::forbidden_code("not_a_member", "you are no member of this organizer")
}

fn bearer_token(authorization: &str) -> Result<&str, ApiError> {
    match authorization.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(ApiError::unauthorized("invalid_token", "Authorization must be `Bearer <access token>`")),
    }
}

/// The account of a system token, which every call looks up: revoking it works at once.
async fn system_account(app: &AppState, token: &str) -> Result<System, ApiError> {
    let unknown = || ApiError::unauthorized("invalid_token", "the system token is not valid or has ended");
    let secret = NamedSecret::parse(SYSTEM_TOKEN, token).ok_or_else(unknown)?;
    let organizer_id = secret.organizer_id();
    let now = app.clock.now();
    let mut tx = app.db.tenant(organizer_id).await?;
    let session = system::by_token(&mut tx, organizer_id, &secret.hash(), now).await?.ok_or_else(unknown)?;
    system::used(&mut tx, organizer_id, &session, now).await?;
    tx.commit().await?;
    Ok(System {
        organizer_id,
        account_id: session.account_id,
        label: session.label,
        scopes: session.scopes,
        expires_at: session.expires_at,
    })
}

async fn user(app: &AppState, token: &str) -> Result<User, ApiError> {
    if let Some(project) = app.supabase.as_ref().filter(|project| project.claims_issue(token)) {
        let (user, identity) = supabase::account(app, project, token).await?;
        // A second factor of the project is not the one that the account chose here.
        let aal =
            if identity.aal2 && !has_second_factor(app, user.id).await? { Aal::Aal2 } else { Aal::Aal1 };
        return Ok(User {
            user_id: user.id,
            email: user.email,
            role: user.role,
            session_id: Uuid::nil(),
            aal,
        });
    }
    let claims = verify_access_token(app, token).await.map_err(|e| match e {
        TokenError::Expired => ApiError::unauthorized("token_expired", "the access token has expired"),
        TokenError::Keys(cause) => ApiError::from(cause),
        other => ApiError::unauthorized("invalid_token", "the access token is not valid").with_cause(other),
    })?;
    let role = PlatformRole::from_word(&claims.app_metadata.role);
    let aal = Aal::from_word(&claims.aal);
    Ok(User { user_id: claims.sub, email: claims.email, role, session_id: claims.session_id, aal })
}

/// A booking's secret is base64url(organizer id, 16 bytes ‖ 32 random bytes): it names its organizer.
fn guest(secret: &str) -> Result<Guest, ApiError> {
    let bytes = URL_SAFE_NO_PAD.decode(secret).unwrap_or_default();
    match bytes.split_first_chunk::<16>() {
        Some((organizer, random)) if random.len() == 32 => Ok(Guest {
            organizer_id: Uuid::from_bytes(*organizer),
            secret_hash: Sha256::digest(secret.as_bytes()).into(),
        }),
        _ => Err(ApiError::unauthorized("invalid_booking_secret", "this is no booking's secret")),
    }
}

fn header_text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ApiError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| {
            ApiError::bad_request("invalid_header", format!("the header {name} must be plain ASCII"))
        }),
        _ => Err(ApiError::bad_request("invalid_header", format!("the header {name} may stand once"))),
    }
}

fn lesser_role(needed: OrgRole) -> ApiError {
    ApiError::forbidden(format!("this needs the role {} or more", needed.as_str()))
}
