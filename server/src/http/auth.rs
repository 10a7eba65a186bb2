//! Who is calling, for handlers.
//!
//! [`Caller`] says who, [`Member`] also for which organizer. Both refuse with 401 what is claimed
//! and not true; a call that claims nothing is [`Caller::Anonymous`].

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HeaderName};
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use super::error::ApiError;
use crate::app::AppState;
use crate::auth::{TokenError, verify_access_token};
pub use crate::domain::account::PlatformRole;
use crate::store::member::{self, OrgRole};

pub const BOOKING_SECRET: HeaderName = HeaderName::from_static("booking-secret");
pub const ORGANIZER_ID: HeaderName = HeaderName::from_static("organizer-id");

/// Who is calling.
#[derive(Debug, Clone)]
pub enum Caller {
    Anonymous,
    User(User),
    Guest(Guest),
}

/// A signed-in account.
#[derive(Debug, Clone)]
pub struct User {
    pub user_id: Uuid,
    pub email: String,
    pub role: PlatformRole,
    pub session_id: Uuid,
}

/// The holder of a booking's secret.
#[derive(Debug, Clone, Copy)]
pub struct Guest {
    pub organizer_id: Uuid,
    /// SHA-256 of the secret's text.
    pub secret_hash: [u8; 32],
}

impl Caller {
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
    /// 403 unless the member has at least `role`.
    pub fn require(&self, role: OrgRole) -> Result<(), ApiError> {
        if self.role < role { Err(lesser_role(role)) } else { Ok(()) }
    }
}

impl FromRequestParts<AppState> for Member {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, app).await?;
        let user = caller.require_user()?.clone();
        let wanted = header_text(&parts.headers, &ORGANIZER_ID)?
            .map(|text| {
                text.parse::<Uuid>().map_err(|_| {
                    ApiError::bad_request("invalid_organizer_id", "Organizer-Id must be an organizer's id")
                })
            })
            .transpose()?;
        let mut tx = app.db.user(user.user_id).await?;
        let memberships = member::of_user(&mut tx, user.user_id).await?;
        tx.commit().await?;
        let chosen = match wanted {
            Some(id) => memberships.into_iter().find(|m| m.organizer_id == id).ok_or_else(|| {
                ApiError::forbidden_code("not_a_member", "you are no member of this organizer")
            })?,
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
        Ok(Self { user, organizer_id: chosen.organizer_id, role: chosen.role })
    }
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, ApiError> {
        let bearer = header_text(&parts.headers, &AUTHORIZATION)?;
        let secret = header_text(&parts.headers, &BOOKING_SECRET)?;
        match (bearer, secret) {
            (None, None) => Ok(Self::Anonymous),
            (None, Some(secret)) => guest(secret).map(Self::Guest),
            // An account that also holds a booking's secret acts as the account; claiming a guest
            // booking is a route of its own, which reads the secret itself.
            (Some(authorization), _) => user(app, authorization).await.map(Self::User),
        }
    }
}

async fn user(app: &AppState, authorization: &str) -> Result<User, ApiError> {
    let token = match authorization.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => {
            return Err(ApiError::unauthorized(
                "invalid_token",
                "Authorization must be `Bearer <access token>`",
            ));
        }
    };
    let claims = verify_access_token(app, token).await.map_err(|e| match e {
        TokenError::Expired => ApiError::unauthorized("token_expired", "the access token has expired"),
        TokenError::Keys(cause) => ApiError::from(cause),
        other => ApiError::unauthorized("invalid_token", "the access token is not valid").with_cause(other),
    })?;
    let role = PlatformRole::from_word(&claims.app_metadata.role);
    Ok(User { user_id: claims.sub, email: claims.email, role, session_id: claims.session_id })
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
