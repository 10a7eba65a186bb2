//! Who calls, for routes that change the account itself: the access token must be good and its session
//! must still hold. Other routes believe the token alone, for its hour.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::super::error::ApiError;
use crate::app::AppState;
use crate::auth::{TokenError, verify_access_token};
use crate::domain::access::Aal;
use crate::store::sessions::Session;
use crate::store::users::{self, User};

/// The signed-in account and its session.
#[derive(Debug)]
pub(super) struct SignedIn {
    pub user: User,
    pub session: Session,
    /// What the token says; the session may have risen since.
    pub aal: Aal,
}

impl FromRequestParts<AppState> for SignedIn {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, ApiError> {
        let header = parts.headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok());
        let token = header
            .and_then(|v| v.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .ok_or_else(|| {
                ApiError::unauthorized("no_authorization", "This endpoint requires a valid Bearer token")
            })?;
        let claims = verify_access_token(app, token).await.map_err(|e| match e {
            TokenError::Keys(cause) => ApiError::from(cause),
            TokenError::Expired => ApiError::unauthorized("bad_jwt", "invalid JWT: token is expired"),
            other => ApiError::unauthorized("bad_jwt", "invalid JWT: unable to parse or verify signature")
                .with_cause(other),
        })?;
        let mut tx = app.db.user(claims.sub).await?;
        let found = users::in_session(&mut tx, claims.sub, claims.session_id, app.clock.now()).await?;
        tx.commit().await?;
        match found {
            Some((user, session)) => Ok(Self { user, session, aal: Aal::from_word(&claims.aal) }),
            None => Err(ApiError::unauthorized(
                "session_not_found",
                "Session from session_id claim in JWT does not exist",
            )),
        }
    }
}
