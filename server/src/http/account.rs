//! `DELETE /auth/account`: a person leaves. What is personal goes; what the organizers' books need stays,
//! without a name on it.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::{Acting as _, Caller, Member, User};
use super::cookie;
use super::edge::{self, Client};
use super::error::{ApiError, Problem};
use super::extract::ApiJson;
use super::session::prove;
use crate::app::{App, AppState};
use crate::domain::account::Password;
use crate::selling::StepError;
use crate::store::audit::{self, Act};
use crate::store::member::{self, OrgRole};
use crate::store::ticket::manifest_rows;
use crate::store::{booking, change, invitation, users, waiting};

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(delete))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "password": "a long enough password" }))]
struct DeleteAccount {
    /// Not needed by a session of level `aal2`.
    #[schema(value_type = Option<String>)]
    password: Option<Password>,
}

/// What became of the account's traces.
#[derive(Debug, Serialize, ToSchema)]
struct Deleted {
    /// Bookings that go on without a name; their tickets stay as they are.
    bookings: u64,
    memberships: u64,
}

/// Deletes the account for good.
///
/// Address, names, metadata, sessions, second factor and memberships are erased at once, and the address leaves
/// every booking. The bookings themselves, payments and counts stay: organizers' books depend on them. The last
/// owner of an organizer hands it over first. Repeating a call that broke off finishes it.
#[utoipa::path(
    delete, path = "/auth/account", operation_id = "delete_account", tag = "accounts", request_body = DeleteAccount, security(("session" = []), ("bearer" = [])),
    responses(
        (status = 200, body = Deleted), (status = 401, body = Problem),
        (status = 403, description = "`insufficient_aal`: show the second factor first, POST /auth/totp/verify", body = Problem),
        (status = 409, description = "`last_owner`: `organizers` names where", body = Problem),
        (status = 422, description = "`reauthentication_needed`, `invalid_fields`", body = Problem),
        (status = 429, description = "`rate_limited`, with Retry-After", body = Problem),
    ),
)]
async fn delete(
    State(app): State<AppState>,
    client: Client,
    caller: Caller,
    headers: HeaderMap,
    ApiJson(body): ApiJson<DeleteAccount>,
) -> Result<Response, ApiError> {
    let caller = caller.require_user()?;
    let user = prove(&app, client, caller, body.password.as_ref()).await?;
    let mut tx = app.db.user(user.id).await?;
    let memberships = member::of_user(&mut tx, user.id).await?;
    let organizers = booking::organizers_of_user(&mut tx, user.id).await?;
    tx.commit().await?;

    // All or nothing as far as memberships go: first look, then leave, each under the owners' lock.
    let mut owned = Vec::new();
    for at in memberships.iter().filter(|m| m.role == OrgRole::Owner) {
        let mut tx = app.db.tenant(at.organizer_id).await?;
        if member::lock_owners(&mut tx, at.organizer_id).await? == [user.id] {
            owned.push(at.organizer_id);
        }
        tx.commit().await?;
    }
    if !owned.is_empty() {
        return Err(last_owner(&owned));
    }
    for at in &memberships {
        leave(&app, caller, at.organizer_id, at.role).await?;
    }
    let mut bookings = 0;
    for organizer_id in organizers {
        let mut tx = app.db.tenant(organizer_id).await?;
        let (count, changed) = booking::forget_buyer(&mut tx, organizer_id, user.id).await?;
        bookings += count;
        waiting::forget_user(&mut tx, organizer_id, user.id, app.clock.now()).await?;
        invitation::forget(&mut tx, organizer_id, &user.email).await?;
        // So that gates forget the names too. Events rise: nobody waits for two counters in another order.
        for (event_id, tickets) in &changed {
            change::record(&mut tx, organizer_id, *event_id, &manifest_rows(tickets), None)
                .await
                .map_err(StepError::from)?;
        }
        tx.commit().await?;
        for event_id in changed.into_keys() {
            app.news.publish(event_id);
        }
    }
    let mut tx = app.db.user(user.id).await?;
    users::delete(&mut tx, user.id).await?;
    tx.commit().await?;
    tracing::info!(user = %user.id, "an account was deleted by its owner");
    let count = u64::try_from(memberships.len()).unwrap_or(u64::MAX);
    let reply = Json(Deleted { bookings, memberships: count });
    if cookie::read(&app, &headers).is_some() {
        return Ok((StatusCode::OK, [(header::SET_COOKIE, cookie::clear(&app)?)], reply).into_response());
    }
    Ok(reply.into_response())
}

/// Ends a membership, unless it has become the last owner's meanwhile.
async fn leave(app: &App, user: &User, organizer_id: Uuid, role: OrgRole) -> Result<(), ApiError> {
    let mut tx = app.db.tenant(organizer_id).await?;
    if member::lock_owners(&mut tx, organizer_id).await? == [user.user_id] {
        return Err(last_owner(&[organizer_id]));
    }
    member::remove(&mut tx, organizer_id, user.user_id).await?;
    invitation::forget(&mut tx, organizer_id, &user.email).await?;
    let (actor_kind, actor_id) = Member { user: user.clone(), organizer_id, role }.actor();
    let (request_id, _) = edge::current();
    let act = Act {
        audit_id: app.rng.uuid(&*app.clock),
        actor_kind,
        actor_id: Some(actor_id),
        action: "member.removed",
        object_kind: "user",
        object_id: user.user_id,
        request_id: Some(&request_id),
        detail: json!({ "role": role.as_str(), "account": "deleted" }),
    };
    audit::record(&mut tx, organizer_id, &act, app.clock.now()).await?;
    tx.commit().await?;
    Ok(())
}

fn last_owner(organizers: &[Uuid]) -> ApiError {
    ApiError::conflict(
        "last_owner",
        "you are the last owner of an organizer: make somebody else an owner first",
    )
    .with_member("organizers", json!(organizers))
}
