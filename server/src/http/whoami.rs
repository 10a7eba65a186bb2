//! `GET /auth/verify`: whose token is this, and does it still hold?

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::{Caller, PlatformRole};
use super::error::{ApiError, Problem};
use crate::app::AppState;
use crate::store::member::{self, OrgRole};
use crate::store::users;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(verify))
}

/// Who is calling.
#[derive(Debug, Serialize, ToSchema)]
struct WhoAmI {
    kind: Kind,
    user_id: Uuid,
    email: String,
    #[serde(with = "time::serde::rfc3339::option")]
    email_confirmed_at: Option<OffsetDateTime>,
    /// As it is now; the token still says what it was.
    role: PlatformRole,
    session_id: Uuid,
    /// The organizers that the caller is a member of.
    organizers: Vec<Organizer>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    User,
}

#[derive(Debug, Serialize, ToSchema)]
struct Organizer {
    organizer_id: Uuid,
    role: OrgRole,
}

/// Checks the access token, and that its session has not ended.
#[utoipa::path(
    get, path = "/auth/verify", tag = "accounts", security(("bearer" = [])),
    responses(
        (status = 200, body = WhoAmI),
        (status = 401, description = "`not_signed_in`, `invalid_token`, `token_expired`, `session_ended`", body = Problem),
    ),
)]
async fn verify(State(app): State<AppState>, caller: Caller) -> Result<Json<WhoAmI>, ApiError> {
    let caller = caller.require_user()?;
    let mut tx = app.db.user(caller.user_id).await?;
    let found = users::in_session(&mut tx, caller.user_id, caller.session_id, app.clock.now()).await?;
    let memberships = member::of_user(&mut tx, caller.user_id).await?;
    tx.commit().await?;
    let Some((user, session)) = found else {
        return Err(ApiError::unauthorized("session_ended", "the session has ended, sign in again"));
    };
    Ok(Json(WhoAmI {
        kind: Kind::User,
        user_id: user.id,
        email: user.email,
        email_confirmed_at: user.email_confirmed_at,
        role: user.role,
        session_id: session.id,
        organizers: memberships
            .into_iter()
            .map(|m| Organizer { organizer_id: m.organizer_id, role: m.role })
            .collect(),
    }))
}
