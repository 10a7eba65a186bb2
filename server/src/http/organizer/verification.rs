//! Who may publish events: an organizer asks (`/organizer/verification`), an administrator decides
//! (`/admin/organizers`), and the organizer's owners and managers are told, with the reason of a refusal.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::profile::{OrganizerJson, ProfileJson, json};
use crate::app::AppState;
use crate::http::auth::{Caller, Member};
use crate::http::edge;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::{ApiJson, ApiPath, ApiQuery};
use crate::http::fields::Wrong;
use crate::http::page::{self, Page, PageQuery};
use crate::store::audit::{self, Act};
use crate::store::noticed;
use crate::store::organizer::{self, Status};
use crate::store::outbox::{self, NewMail};

const LIST: &str = "organizers";

/// Asks for approval.
#[utoipa::path(
    post, path = "/organizer/verification", operation_id = "submit_verification", tag = "organizer",
    params(("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    security(("bearer" = [])),
    responses(
        (status = 202, description = "Submitted", body = ProfileJson), (status = 403, body = Problem),
        (status = 409, description = "`already_submitted`", body = Problem),
    ),
)]
pub(super) async fn submit(
    State(app): State<AppState>,
    member: Member,
) -> Result<(StatusCode, Json<ProfileJson>), ApiError> {
    let mut tx = app.db.tenant(member.organizer_id).await?;
    if !organizer::submit(&mut tx, member.organizer_id, app.clock.now()).await? {
        return Err(ApiError::conflict("already_submitted", "only a draft or rejected profile is submitted"));
    }
    let object = ("organizer", member.organizer_id);
    super::record(&app, &mut tx, &member, "organizer.submitted", object, serde_json::json!({})).await?;
    let found = organizer::find(&mut tx, member.organizer_id).await?;
    tx.commit().await?;
    let organizer = found.ok_or_else(|| ApiError::not_found("organizer"))?;
    Ok((StatusCode::ACCEPTED, Json(json(organizer, member.role))))
}

/// Which organizers.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ReviewQuery {
    /// Only those; without it those that wait for a decision.
    #[param(inline)]
    status: Option<Status>,
    /// How many at most; 50 without it.
    #[serde(default, deserialize_with = "page::limit")]
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Why not.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "The tax number belongs to another company." }))]
pub(super) struct RejectRequest {
    /// The organizer reads it.
    #[schema(min_length = 1, max_length = 1_000)]
    reason: String,
}

/// Organizers that wait for approval, or that are in another state; the oldest first.
#[utoipa::path(
    get, path = "/admin/organizers", operation_id = "list_organizers", tag = "admin", params(ReviewQuery),
    security(("bearer" = [])),
    responses(
        (status = 200, body = Page<OrganizerJson>), (status = 400, description = "`invalid_cursor`", body = Problem),
        (status = 401, body = Problem), (status = 403, description = "`forbidden`: for administrators alone", body = Problem),
    ),
)]
pub(super) async fn list(
    State(app): State<AppState>,
    caller: Caller,
    ApiQuery(query): ApiQuery<ReviewQuery>,
) -> Result<Json<Page<OrganizerJson>>, ApiError> {
    let admin = caller.require_admin()?;
    let status = query.status.unwrap_or(Status::Submitted);
    // A cursor goes on in the list of its status.
    let list = format!("{LIST} {}", status.as_str());
    let page = PageQuery { limit: query.limit, cursor: query.cursor };
    let (after, limit) = (page.after(&list)?, page.limit());
    let mut tx = app.db.admin(admin.user_id).await?;
    let rows = organizer::of_status(&mut tx, status, after, limit + 1).await?;
    tx.commit().await?;
    Ok(Json(Page::of(&list, limit, rows, |o| (o.created_at, o.organizer_id), OrganizerJson::from)))
}

/// Lets an organizer publish events.
#[utoipa::path(
    post, path = "/admin/organizers/{organizer_id}/approve", operation_id = "approve_organizer", tag = "admin",
    params(("organizer_id" = Uuid, Path)), security(("bearer" = [])),
    responses(
        (status = 200, body = OrganizerJson), (status = 401, body = Problem),
        (status = 403, description = "`forbidden`: for administrators alone", body = Problem),
        (status = 404, description = "`not_found`", body = Problem),
        (status = 409, description = "`not_submitted`: it did not ask", body = Problem),
    ),
)]
pub(super) async fn approve(
    State(app): State<AppState>,
    caller: Caller,
    ApiPath(organizer_id): ApiPath<Uuid>,
) -> Result<Json<OrganizerJson>, ApiError> {
    let admin = caller.require_admin()?.user_id;
    decide(&app, admin, organizer_id, Status::Approved, None).await
}

/// Refuses an organizer that asked, or takes its approval back.
///
/// It may change its profile and ask again. What it has published stays, and goes on selling: an event is canceled by
/// those who hold it.
#[utoipa::path(
    post, path = "/admin/organizers/{organizer_id}/reject", operation_id = "reject_organizer", tag = "admin",
    params(("organizer_id" = Uuid, Path)), request_body = RejectRequest, security(("bearer" = [])),
    responses(
        (status = 200, body = OrganizerJson), (status = 401, body = Problem),
        (status = 403, description = "`forbidden`: for administrators alone", body = Problem),
        (status = 404, description = "`not_found`", body = Problem),
        (status = 409, description = "`not_submitted`: it did not ask", body = Problem),
        (status = 422, description = "`invalid_fields`", body = Problem),
    ),
)]
pub(super) async fn reject(
    State(app): State<AppState>,
    caller: Caller,
    ApiPath(organizer_id): ApiPath<Uuid>,
    ApiJson(request): ApiJson<RejectRequest>,
) -> Result<Json<OrganizerJson>, ApiError> {
    let admin = caller.require_admin()?.user_id;
    let mut wrong = Wrong::default();
    let reason = wrong.length("reason", request.reason.trim(), 1, 1_000);
    wrong.check()?;
    decide(&app, admin, organizer_id, Status::Rejected, Some(&reason)).await
}

/// Writes the decision, the audit and the letters together. The same decision again changes nothing and tells nobody.
async fn decide(
    app: &AppState,
    admin: Uuid,
    organizer_id: Uuid,
    status: Status,
    reason: Option<&str>,
) -> Result<Json<OrganizerJson>, ApiError> {
    let now = app.clock.now();
    // By the worker: it writes to members, whose accounts an organizer's context does not open.
    let mut tx = app.db.worker_tenant(organizer_id).await?;
    let before =
        organizer::lock(&mut tx, organizer_id).await?.ok_or_else(|| ApiError::not_found("organizer"))?;
    if before.status == status.as_str() && before.status_reason.as_deref() == reason {
        return Ok(Json(before.into()));
    }
    let asked = before.status == Status::Submitted.as_str()
        || status == Status::Rejected && before.status == Status::Approved.as_str();
    if !asked {
        return Err(ApiError::conflict("not_submitted", format!("the profile is {}", before.status)));
    }
    organizer::decide(&mut tx, organizer_id, status, reason, now).await?;
    let (request_id, _) = edge::current();
    let (action, kind) = match status {
        Status::Approved => ("organizer.approved", "organizer.approved"),
        _ => ("organizer.rejected", "organizer.rejected"),
    };
    let act = Act {
        audit_id: app.rng.uuid(&*app.clock),
        actor_kind: "user",
        actor_id: Some(admin),
        action,
        object_kind: "organizer",
        object_id: organizer_id,
        request_id: Some(&request_id),
        detail: serde_json::json!({ "reason": reason }),
    };
    audit::record(&mut tx, organizer_id, &act, now).await?;
    let facts = serde_json::json!({ "organizer": before.name, "reason": reason.unwrap_or_default() });
    for to in noticed::staff(&mut tx, organizer_id).await? {
        let mail = NewMail {
            id: app.rng.uuid(&*app.clock),
            kind,
            recipient: &to.email,
            organizer_id: Some(organizer_id),
            language: &to.language,
            facts: &facts,
            sealed_facts: None,
            expires_at: None,
        };
        outbox::enqueue(&mut tx, &mail, now).await?;
    }
    let stored = organizer::find(&mut tx, organizer_id).await?;
    tx.commit().await?;
    let stored = stored.ok_or_else(|| ApiError::not_found("organizer"))?;
    Ok(Json(stored.into()))
}
