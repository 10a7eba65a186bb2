//! `GET /auth/verify`: whose token is this, and does it still hold?

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::{Caller, Guest, PlatformRole, User, not_signed_in};
use super::error::{ApiError, Problem};
use crate::app::AppState;
use crate::domain::access::Scope;
use crate::store::member::{self, OrgRole};
use crate::store::{booking, users};

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(verify))
}

/// Who is calling.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum WhoAmI {
    /// A signed-in account.
    User(UserHere),
    /// The holder of a booking's secret.
    Guest(GuestHere),
    /// A system account.
    System(SystemHere),
}

#[derive(Debug, Serialize, ToSchema)]
struct UserHere {
    user_id: Uuid,
    email: String,
    #[serde(with = "time::serde::rfc3339::option")]
    email_confirmed_at: Option<OffsetDateTime>,
    /// As it is now; the token still says what it was.
    role: PlatformRole,
    /// Null for users of a Supabase project, whose sessions are kept there.
    session_id: Option<Uuid>,
    /// The organizers that the caller is a member of.
    organizers: Vec<Organizer>,
}

#[derive(Debug, Serialize, ToSchema)]
struct GuestHere {
    organizer_id: Uuid,
    booking_id: Uuid,
}

#[derive(Debug, Serialize, ToSchema)]
struct SystemHere {
    organizer_id: Uuid,
    account_id: Uuid,
    label: String,
    scopes: Vec<Scope>,
    /// When the token ends.
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

#[derive(Debug, Serialize, ToSchema)]
struct Organizer {
    organizer_id: Uuid,
    role: OrgRole,
}

/// Checks what the caller claims to be: an account's access token and that its session has not ended, a
/// booking's secret, a system account's token. Devices sign each request instead.
#[utoipa::path(
    get, path = "/auth/verify", operation_id = "verify_caller", tag = "accounts", security(("bearer" = []), ("booking_secret" = [])),
    responses(
        (status = 200, body = WhoAmI),
        (status = 401, description = "`not_signed_in`, `invalid_token`, `token_expired`, `session_ended`, \
            `invalid_booking_secret`", body = Problem),
    ),
)]
async fn verify(State(app): State<AppState>, caller: Caller) -> Result<Json<WhoAmI>, ApiError> {
    match caller {
        Caller::User(user) => of_user(&app, &user).await.map(WhoAmI::User),
        Caller::Guest(guest) => of_guest(&app, &guest).await.map(WhoAmI::Guest),
        Caller::System(system) => Ok(WhoAmI::System(SystemHere {
            organizer_id: system.organizer_id,
            account_id: system.account_id,
            label: system.label,
            scopes: system.scopes,
            expires_at: system.expires_at,
        })),
        Caller::Anonymous => Err(not_signed_in()),
    }
    .map(Json)
}

async fn of_user(app: &AppState, caller: &User) -> Result<UserHere, ApiError> {
    let mut tx = app.db.user(caller.user_id).await?;
    let found = match caller.session_id.is_nil() {
        // Signed in at a Supabase project.
        true => users::by_id(&mut tx, caller.user_id).await?,
        false => users::in_session(&mut tx, caller.user_id, caller.session_id, app.clock.now())
            .await?
            .map(|(user, _)| user),
    };
    let memberships = member::of_user(&mut tx, caller.user_id).await?;
    tx.commit().await?;
    let Some(user) = found else {
        return Err(ApiError::unauthorized("session_ended", "the session has ended, sign in again"));
    };
    Ok(UserHere {
        user_id: user.id,
        email: user.email,
        email_confirmed_at: user.email_confirmed_at,
        role: user.role,
        session_id: (!caller.session_id.is_nil()).then_some(caller.session_id),
        organizers: memberships
            .into_iter()
            .map(|m| Organizer { organizer_id: m.organizer_id, role: m.role })
            .collect(),
    })
}

async fn of_guest(app: &AppState, guest: &Guest) -> Result<GuestHere, ApiError> {
    let mut tx = app.db.guest(&guest.secret_hash).await?;
    let booking_id = booking::id_of_secret(&mut tx, guest.organizer_id, &guest.secret_hash).await?;
    tx.commit().await?;
    let booking_id = booking_id.ok_or_else(|| {
        ApiError::unauthorized("invalid_booking_secret", "this secret belongs to no booking")
    })?;
    Ok(GuestHere { organizer_id: guest.organizer_id, booking_id })
}
