//! `/organizer/members`: who works for the organizer. The last owner stays.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::AppState;
use crate::http::auth::Member;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::{ApiJson, ApiPath, ApiQuery};
use crate::http::page::{Page, PageQuery};
use crate::store::member::{self, OrgRole};
use crate::store::{Tx, users};

/// A member.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MemberJson {
    user_id: Uuid,
    /// `owner`, `manager` or `door`.
    role: OrgRole,
    /// Null once the account is gone.
    email: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    since: OffsetDateTime,
}

/// The new role.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "role": "manager" }))]
pub(super) struct RoleChange {
    role: OrgRole,
}

/// The organizer's members, the eldest first.
#[utoipa::path(
    get, path = "/organizer/members", operation_id = "list_members", tag = "organizer",
    params(PageQuery, ("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    security(("bearer" = [])),
    responses((status = 200, body = Page<MemberJson>), (status = 401, body = Problem), (status = 403, body = Problem)),
)]
pub(super) async fn list(
    State(app): State<AppState>,
    member: Member,
    ApiQuery(page): ApiQuery<PageQuery>,
) -> Result<Json<Page<MemberJson>>, ApiError> {
    let mut tx = app.db.tenant(member.organizer_id).await?;
    let rows = member::of_organizer(&mut tx, member.organizer_id).await?;
    tx.commit().await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.user_id).collect();
    let mut tx = app.db.platform().await?;
    let emails = users::emails(&mut tx, &ids).await?;
    tx.commit().await?;
    let email = |id| emails.iter().find(|(user, _)| *user == id).map(|(_, email)| email.clone());
    let json = |row: &member::MemberRow| MemberJson {
        user_id: row.user_id,
        role: row.role,
        email: email(row.user_id),
        since: row.created_at,
    };
    let members = rows.iter().map(json).collect();
    Page::of_few("members", &page, members, |of: &MemberJson| of.user_id).map(Json)
}

/// Changes a member's role. Owners change every role, managers none but that of the door.
#[utoipa::path(
    put, path = "/organizer/members/{user_id}", operation_id = "change_member", tag = "organizer",
    params(("user_id" = Uuid, Path), ("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    request_body = RoleChange, security(("bearer" = [])),
    responses(
        (status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "`last_owner`", body = Problem), (status = 422, body = Problem),
    ),
)]
pub(super) async fn change(
    State(app): State<AppState>,
    member: Member,
    ApiPath(user_id): ApiPath<Uuid>,
    ApiJson(body): ApiJson<RoleChange>,
) -> Result<StatusCode, ApiError> {
    let organizer_id = member.organizer_id;
    let mut tx = app.db.tenant(organizer_id).await?;
    let owners = member::lock_owners(&mut tx, organizer_id).await?;
    let (mine, held) = roles(&mut tx, &member, user_id).await?;
    if !mine.may_appoint(held) || !mine.may_appoint(body.role) {
        return Err(ApiError::forbidden("only owners change roles other than door"));
    }
    if body.role != OrgRole::Owner {
        keep_an_owner(&owners, user_id)?;
    }
    member::change(&mut tx, organizer_id, user_id, body.role).await?;
    let detail = json!({ "from": held.as_str(), "to": body.role.as_str() });
    super::record(&app, &mut tx, &member, "member.role_changed", ("user", user_id), detail).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends a membership: one's own at any time, others' as far as one may appoint them. Works at once.
#[utoipa::path(
    delete, path = "/organizer/members/{user_id}", operation_id = "remove_member", tag = "organizer",
    params(("user_id" = Uuid, Path), ("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    security(("bearer" = [])),
    responses(
        (status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "`last_owner`: hand over first", body = Problem),
    ),
)]
pub(super) async fn remove(
    State(app): State<AppState>,
    member: Member,
    ApiPath(user_id): ApiPath<Uuid>,
) -> Result<StatusCode, ApiError> {
    let organizer_id = member.organizer_id;
    let mut tx = app.db.tenant(organizer_id).await?;
    let owners = member::lock_owners(&mut tx, organizer_id).await?;
    if member.role == OrgRole::Door && member.user.user_id != user_id {
        return Err(ApiError::forbidden("you may end your own membership alone"));
    }
    let (mine, held) = roles(&mut tx, &member, user_id).await?;
    if member.user.user_id != user_id && !mine.may_appoint(held) {
        return Err(ApiError::forbidden("only owners put out others than the people at the door"));
    }
    keep_an_owner(&owners, user_id)?;
    member::remove(&mut tx, organizer_id, user_id).await?;
    let detail = json!({ "role": held.as_str() });
    super::record(&app, &mut tx, &member, "member.removed", ("user", user_id), detail).await?;
    tx.commit().await?;
    // The account's own row is the user's, not the organizer's: a transaction of its own. The sweep repeats it, for a
    // crash may come before it.
    let mut tx = app.db.user(user_id).await?;
    users::end_organizer(&mut tx, user_id, app.clock.now()).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The caller's role as it is now, and that of `user_id`. The owners are locked.
async fn roles(tx: &mut Tx, caller: &Member, user_id: Uuid) -> Result<(OrgRole, OrgRole), ApiError> {
    let organizer_id = caller.organizer_id;
    let mine = member::role(tx, organizer_id, caller.user.user_id).await?;
    let mine = mine.ok_or_else(|| {
        ApiError::forbidden_code("not_a_member", "you are no member of this organizer any more")
    })?;
    let held = member::role(tx, organizer_id, user_id).await?;
    Ok((mine, held.ok_or_else(|| ApiError::not_found("member"))?))
}

fn keep_an_owner(owners: &[Uuid], leaving: Uuid) -> Result<(), ApiError> {
    match owners {
        [last] if *last == leaving => {
            Err(ApiError::conflict("last_owner", "the last owner stays: make somebody else an owner first"))
        }
        _ => Ok(()),
    }
}
