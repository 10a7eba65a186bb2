//! Users of a Supabase project: their tokens open our routes once `POST /auth/supabase/callback` has made, or
//! found, their account here.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::PlatformRole;
use super::edge::{self, Client};
use super::error::{ApiError, Problem};
use crate::app::{App, AppState};
use crate::auth::limit::{Limit, Whom};
use crate::auth::supabase::{Identity, Refusal, Supabase};
use crate::domain::account::Email;
use crate::store::users::{self, NewUser, PasswordHash, User};
use crate::store::{self, user_identity};

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(callback))
}

/// The account as we keep it.
#[derive(Debug, Serialize, ToSchema)]
struct SupabaseProfile {
    user_id: Uuid,
    email: String,
    #[serde(with = "time::serde::rfc3339::option")]
    email_confirmed_at: Option<OffsetDateTime>,
    name: Option<String>,
    /// What it may do here; nothing of the token changes it.
    role: PlatformRole,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

/// Whom the project's token in the header means; nobody else gets in.
struct Vouched(Identity);

impl FromRequestParts<AppState> for Vouched {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, ApiError> {
        let Some(supabase) = &app.supabase else {
            return Err(ApiError::new(
                StatusCode::NOT_FOUND,
                "supabase_not_configured",
                "this server does not know a Supabase project",
            ));
        };
        let client = Client::from_request_parts(parts, app).await?;
        let limit = Limit::per_minute("supabase_callback", 60);
        limit.attempt(&app.db, &*app.clock, &[Whom::Client(client.addr)]).await?;
        let header = parts.headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok());
        let token = header
            .and_then(|v| v.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .ok_or_else(|| ApiError::unauthorized("not_signed_in", "send the project's access token"))?;
        identify(supabase, token).await.map(Self)
    }
}

/// Checks a token of the project.
pub(super) async fn identify(supabase: &Supabase, token: &str) -> Result<Identity, ApiError> {
    supabase.verify(token).await.map_err(|refusal| match refusal {
        Refusal::Expired => ApiError::unauthorized("token_expired", "the access token has expired"),
        other => ApiError::unauthorized("invalid_token", "the access token is not valid").with_cause(other),
    })
}

/// The account that a good token of the project means.
pub(super) async fn account(
    app: &App,
    supabase: &Supabase,
    token: &str,
) -> Result<(User, Identity), ApiError> {
    let identity = identify(supabase, token).await?;
    let mut tx = app.db.platform().await?;
    let user = match user_identity::user_of(&mut tx, &identity.issuer, &identity.subject).await? {
        Some(id) => users::by_id(&mut tx, id).await?,
        None => None,
    };
    tx.commit().await?;
    let user = user.ok_or_else(|| {
        ApiError::unauthorized(
            "profile_required",
            "this user is new here: call POST /auth/supabase/callback once",
        )
    })?;
    Ok((user, identity))
}

/// Makes or finds the account of a Supabase project's user and takes over address and name.
///
/// To be called after each sign-in at the project; from then on its access tokens open our routes. A user is told
/// by issuer and subject, never by address: an address that another account here has already is refused.
#[utoipa::path(
    post, path = "/auth/supabase/callback", operation_id = "supabase_callback", tag = "accounts", security(("bearer" = [])),
    responses(
        (status = 200, description = "Known already, and synchronised", body = SupabaseProfile),
        (status = 201, description = "Made", body = SupabaseProfile),
        (status = 401, description = "`not_signed_in`, `invalid_token`, `token_expired`", body = Problem),
        (status = 404, description = "`supabase_not_configured`", body = Problem),
        (status = 409, description = "`email_exists`: another account here has this address", body = Problem),
        (status = 422, description = "`email_required`: anonymous, or without an address", body = Problem),
        (status = 429, description = "`rate_limited`, with Retry-After", body = Problem),
    ),
)]
async fn callback(
    State(app): State<AppState>,
    Vouched(identity): Vouched,
) -> Result<(StatusCode, Json<SupabaseProfile>), ApiError> {
    let email = match &identity.email {
        Some(email) if !identity.anonymous => Email::parse(email).ok(),
        _ => None,
    };
    let email = email.ok_or_else(|| {
        ApiError::unprocessable("email_required", "an account here needs an e-mail address")
    })?;
    let taken = || {
        ApiError::conflict(
            "email_exists",
            "another account here has this address: sign in to that one, or change one of the two addresses",
        )
    };
    let confirmed = app.config.supabase.emails_confirmed;
    let name = identity.name.as_deref().filter(|name| !name.contains('\0'));
    let now = app.clock.now();
    let mut tx = app.db.platform().await?;
    let known = user_identity::user_of(&mut tx, &identity.issuer, &identity.subject).await?;
    let (id, status) = match known {
        Some(id) => {
            user_identity::synchronise(&mut tx, id, Some(email.as_str()), confirmed, name, now)
                .await
                .map_err(|e| {
                    if store::is_unique_violation(&e, "users_email") { taken() } else { ApiError::from(e) }
                })?;
            (id, StatusCode::OK)
        }
        None => {
            let metadata = name.map_or_else(|| json!({}), |name| json!({ "name": name }));
            let new = NewUser {
                id: app.rng.uuid(&*app.clock),
                email: email.as_str(),
                password_hash: PasswordHash(None),
                confirmed,
                role: PlatformRole::User,
                user_metadata: &metadata,
                language: edge::language(),
            };
            let user = users::insert(&mut tx, &new, now).await?.ok_or_else(taken)?;
            if !user_identity::tie(&mut tx, &identity.issuer, &identity.subject, user.id, now).await? {
                return Err(ApiError::conflict(
                    "try_again",
                    "the same user came twice at once; please repeat",
                ));
            }
            (user.id, StatusCode::CREATED)
        }
    };
    let user = users::by_id(&mut tx, id)
        .await?
        .ok_or_else(|| ApiError::internal(anyhow::anyhow!("an account vanished within its transaction")))?;
    tx.commit().await?;
    Ok((status, Json(profile(user))))
}

fn profile(user: User) -> SupabaseProfile {
    SupabaseProfile {
        user_id: user.id,
        email: user.email,
        email_confirmed_at: user.email_confirmed_at,
        name: user.user_metadata["name"].as_str().map(str::to_owned),
        role: user.role,
        created_at: user.created_at,
    }
}
