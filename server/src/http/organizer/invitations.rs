//! `/organizer/invitations`: asking somebody to become a member. The token goes by mail to the address, and
//! only the account of that address may use it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::{App, AppState};
use crate::auth::limit::Daily;
use crate::auth::named_secret::{INVITATION, NamedSecret};
use crate::domain::account::Email;
use crate::http::auth::{Caller, Member};
use crate::http::edge;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::{ApiJson, ApiPath, ApiQuery};
use crate::http::page::{Page, PageQuery};
use crate::jobs::outbox::seal;
use crate::store::invitation::{self, Invitation};
use crate::store::member::{self, OrgRole};
use crate::store::outbox::{self, NewMail};
use crate::store::{Tx, organizer, users};

/// How long an invitation may be accepted.
const GOOD_FOR: Duration = Duration::days(7);
/// Open ones of one organizer at most.
const MAX_OPEN: i64 = 200;
/// What goes out within 24 hours; thirty times as many in development. An organizer is anybody who founds one: without
/// a count of all of them together an address could be flooded by many. Those that an administrator approved have no
/// part in that: others must not be able to use up what they need.
const BY_ORGANIZER: u32 = 100;
const TO_ADDRESS_BY_ORGANIZER: u32 = 3;
const TO_ADDRESS: u32 = 10;

/// An open invitation.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InvitationJson {
    invitation_id: Uuid,
    email: String,
    role: OrgRole,
    invited_by: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
    /// With `--dev`, and in the answer to POST alone: what the mail carries.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "email": "door@nachtklang.example", "role": "door" }))]
pub(super) struct NewInvitation {
    email: String,
    role: OrgRole,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "token": "hvi_…" }))]
pub(super) struct AcceptInvitation {
    /// From the mail.
    token: String,
}

/// What an invitation says.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InvitationShown {
    /// The organizer's name.
    organizer: String,
    role: OrgRole,
    /// Whose account may accept it.
    email: String,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

/// The membership that an invitation led to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AcceptedJson {
    organizer_id: Uuid,
    role: OrgRole,
}

/// Invites the owner of an address to become a member, for seven days.
///
/// Owners invite to every role, managers to the door. A new invitation of the same address replaces the old, unless the
/// caller could not have made the old one. Within 24 hours an organizer sends 100 invitations, three of them to one address;
/// an address gets ten from all organizers.
#[utoipa::path(
    post, path = "/organizer/invitations", operation_id = "create_invitation", tag = "organizer",
    params(("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    request_body = NewInvitation, security(("bearer" = [])),
    responses(
        (status = 201, body = InvitationJson), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 409, description = "`too_many`, `already_invited`: to a role that the caller may not give", body = Problem),
        (status = 422, description = "`invalid_fields`, `invalid_body`", body = Problem),
        (status = 429, description = "`rate_limited`, with Retry-After", body = Problem),
    ),
)]
pub(super) async fn create(
    State(app): State<AppState>,
    member: Member,
    ApiJson(body): ApiJson<NewInvitation>,
) -> Result<(StatusCode, Json<InvitationJson>), ApiError> {
    if !member.role.may_appoint(body.role) {
        return Err(ApiError::forbidden("managers invite people for the door; owners invite everybody"));
    }
    let email =
        Email::parse(&body.email).map_err(|e| ApiError::invalid_field("email", "invalid", e.to_string()))?;
    let organizer_id = member.organizer_id;
    let now = app.clock.now();
    let token = NamedSecret::generate(INVITATION, organizer_id, &app.rng);
    let invitation = Invitation {
        invitation_id: app.rng.uuid(&*app.clock),
        email: email.as_str().to_owned(),
        role: body.role,
        invited_by: member.user.user_id,
        created_at: now,
        expires_at: now + GOOD_FOR,
    };
    let mut tx = app.db.tenant(organizer_id).await?;
    if invitation::count_open(&mut tx, organizer_id, now).await? >= MAX_OPEN {
        return Err(ApiError::conflict(
            "too_many",
            format!("at most {MAX_OPEN} invitations are open at once"),
        ));
    }
    let open = invitation::open_roles(&mut tx, organizer_id, email.as_str(), now).await?;
    if !open.iter().all(|role| member.role.may_appoint(*role)) {
        return Err(ApiError::conflict(
            "already_invited",
            "the address is invited to a role that only owners give, or take back",
        ));
    }
    count(&app, &mut tx, organizer_id, email.as_str()).await?;
    invitation::insert(&mut tx, organizer_id, &invitation, &token.hash()).await?;
    let object = ("invitation", invitation.invitation_id);
    let detail = json!({ "role": body.role.as_str() });
    super::record(&app, &mut tx, &member, "invitation.created", object, detail).await?;
    mail(&app, &mut tx, organizer_id, &invitation, &token).await?;
    tx.commit().await?;
    let told = app.config.dev.then(|| token.reveal().to_owned());
    Ok((StatusCode::CREATED, Json(InvitationJson { token: told, ..invitation_json(invitation) })))
}

/// The open invitations.
#[utoipa::path(
    get, path = "/organizer/invitations", operation_id = "list_invitations", tag = "organizer",
    params(PageQuery, ("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    security(("bearer" = [])),
    responses((status = 200, body = Page<InvitationJson>), (status = 400, description = "`invalid_cursor`", body = Problem), (status = 401, body = Problem), (status = 403, body = Problem)),
)]
pub(super) async fn list(
    State(app): State<AppState>,
    member: Member,
    ApiQuery(page): ApiQuery<PageQuery>,
) -> Result<Json<Page<InvitationJson>>, ApiError> {
    let after = page.after::<Uuid>("invitations")?;
    let (organizer_id, now) = (member.organizer_id, app.clock.now());
    let mut tx = app.db.tenant(organizer_id).await?;
    let rows = invitation::open(&mut tx, organizer_id, after, page.limit() + 1, now).await?;
    tx.commit().await?;
    let items = rows.into_iter().map(invitation_json).collect();
    Ok(Json(Page::of(
        "invitations",
        page.limit(),
        items,
        |item: &InvitationJson| item.invitation_id,
        |item| item,
    )))
}

/// Takes an invitation back.
#[utoipa::path(
    delete, path = "/organizer/invitations/{invitation_id}", operation_id = "withdraw_invitation", tag = "organizer",
    params(("invitation_id" = Uuid, Path), ("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    security(("bearer" = [])),
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)),
)]
pub(super) async fn withdraw(
    State(app): State<AppState>,
    member: Member,
    ApiPath(invitation_id): ApiPath<Uuid>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.db.tenant(member.organizer_id).await?;
    let role = invitation::withdraw(&mut tx, member.organizer_id, invitation_id, app.clock.now()).await?;
    let role = role.ok_or_else(|| ApiError::not_found("invitation"))?;
    if !member.role.may_appoint(role) {
        // Dropping the transaction leaves the invitation as it was.
        return Err(ApiError::forbidden("only owners take back invitations to other roles than door"));
    }
    let object = ("invitation", invitation_id);
    super::record(&app, &mut tx, &member, "invitation.withdrawn", object, json!({})).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What an invitation says, to whoever holds its token.
#[utoipa::path(
    post, path = "/auth/invitations/show", operation_id = "show_invitation", tag = "accounts", request_body = AcceptInvitation,
    responses(
        (status = 200, body = InvitationShown),
        (status = 404, description = "it was accepted, withdrawn or replaced, is over, or whoever invited may no longer do so", body = Problem),
        (status = 422, description = "`invalid_body`", body = Problem),
    ),
)]
pub(super) async fn show(
    State(app): State<AppState>,
    ApiJson(body): ApiJson<AcceptInvitation>,
) -> Result<Json<InvitationShown>, ApiError> {
    let unknown = || ApiError::not_found("open invitation");
    let token = NamedSecret::parse(INVITATION, &body.token).ok_or_else(unknown)?;
    let organizer_id = token.organizer_id();
    let mut tx = app.db.tenant(organizer_id).await?;
    let found = invitation::by_token(&mut tx, organizer_id, &token.hash(), app.clock.now()).await?;
    let found = found.ok_or_else(unknown)?;
    let stands = still_stands(&mut tx, organizer_id, found.invited_by, found.role).await?;
    let organizer = organizer::find(&mut tx, organizer_id).await?.filter(|_| stands).ok_or_else(unknown)?;
    tx.commit().await?;
    Ok(Json(InvitationShown {
        organizer: organizer.name,
        role: found.role,
        email: found.email,
        expires_at: found.expires_at,
    }))
}

/// Accepts an invitation: the caller becomes a member. A member of a higher role keeps it.
#[utoipa::path(
    post, path = "/auth/invitations/accept", operation_id = "accept_invitation", tag = "accounts",
    request_body = AcceptInvitation, security(("bearer" = [])),
    responses(
        (status = 200, body = AcceptedJson), (status = 401, body = Problem),
        (status = 404, description = "no open invitation of the caller's confirmed address", body = Problem),
        (status = 422, description = "`invalid_body`", body = Problem),
    ),
)]
pub(super) async fn accept(
    State(app): State<AppState>,
    caller: Caller,
    ApiJson(body): ApiJson<AcceptInvitation>,
) -> Result<Json<AcceptedJson>, ApiError> {
    let user = caller.require_user()?;
    let unknown = || ApiError::not_found("open invitation for your address");
    let token = NamedSecret::parse(INVITATION, &body.token).ok_or_else(unknown)?;
    let organizer_id = token.organizer_id();
    // The address as it is now, not as the token says it was.
    let mut tx = app.db.user(user.user_id).await?;
    let account = users::by_id(&mut tx, user.user_id).await?.ok_or_else(unknown)?;
    tx.commit().await?;
    if account.email_confirmed_at.is_none() {
        return Err(unknown());
    }
    let now = app.clock.now();
    let mut tx = app.db.tenant(organizer_id).await?;
    let who = (user.user_id, account.email.as_str());
    let (invitation_id, offered, invited_by) =
        invitation::accept(&mut tx, organizer_id, &token.hash(), who, now).await?.ok_or_else(unknown)?;
    if !still_stands(&mut tx, organizer_id, invited_by, offered).await? {
        return Err(unknown());
    }
    let held = member::role(&mut tx, organizer_id, user.user_id).await?;
    let role = held.map_or(offered, |held| held.max(offered));
    member::put(&mut tx, organizer_id, user.user_id, role, now).await?;
    let acting = Member { user: user.clone(), organizer_id, role };
    let detail = json!({ "role": role.as_str(), "invitation": invitation_id });
    super::record(&app, &mut tx, &acting, "member.joined", ("user", user.user_id), detail).await?;
    tx.commit().await?;
    // The account's own row is the user's, not the organizer's: a transaction of its own.
    let mut tx = app.db.user(user.user_id).await?;
    users::make_organizer(&mut tx, user.user_id, now).await?;
    tx.commit().await?;
    Ok(Json(AcceptedJson { organizer_id, role }))
}

/// Whoever was put out, or may no longer appoint such, invites nobody: not even a second self.
async fn still_stands(
    tx: &mut Tx,
    organizer_id: Uuid,
    invited_by: Uuid,
    offered: OrgRole,
) -> Result<bool, sqlx::Error> {
    let inviter = member::role(tx, organizer_id, invited_by).await?;
    Ok(inviter.is_some_and(|inviter| inviter.may_appoint(offered)))
}

/// Counts a mail to `email`, in the transaction that sends it.
async fn count(app: &App, tx: &mut Tx, organizer_id: Uuid, email: &str) -> Result<(), ApiError> {
    let more = if app.config.dev { 30 } else { 1 };
    let approved = organizer::find(tx, organizer_id).await?.is_some_and(|o| o.status == "approved");
    for (name, max, whom) in [
        ("invitations_by", BY_ORGANIZER, organizer_id.to_string()),
        ("invitations_by_to", TO_ADDRESS_BY_ORGANIZER, format!("{organizer_id} {email}")),
        ("invitations_to", TO_ADDRESS, email.to_owned()),
    ] {
        if approved && name == "invitations_to" {
            continue;
        }
        Daily { name, max: max * more }.attempt(tx, &*app.clock, &whom).await?;
    }
    Ok(())
}

/// Puts the mail into the outbox, with its link sealed. Programs that look at links in passing see no fragment.
async fn mail(
    app: &App,
    tx: &mut Tx,
    organizer_id: Uuid,
    invitation: &Invitation,
    token: &NamedSecret,
) -> Result<(), ApiError> {
    let organizer = organizer::find(tx, organizer_id).await?;
    let id = app.rng.uuid(&*app.clock);
    let link = format!("{}/web/invitation#token={}", app.config.link_origin(), token.reveal());
    let mail = NewMail {
        id,
        kind: "auth.invitation",
        recipient: &invitation.email,
        organizer_id: Some(organizer_id),
        language: edge::language().as_str(),
        facts: &json!({ "organizer": organizer.map(|o| o.name), "role": invitation.role.as_str() }),
        sealed_facts: Some(&seal(app, id, &json!({ "link": link }))),
        expires_at: Some(invitation.expires_at),
    };
    outbox::enqueue(tx, &mail, invitation.created_at).await?;
    Ok(())
}

fn invitation_json(of: Invitation) -> InvitationJson {
    InvitationJson {
        invitation_id: of.invitation_id,
        email: of.email,
        role: of.role,
        invited_by: of.invited_by,
        created_at: of.created_at,
        expires_at: of.expires_at,
        token: None,
    }
}
