//! `/organizer/profile`

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use shared::bytes::sha256;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::AppState;
use crate::domain::text::is_email;
use crate::http::auth::{Caller, Member, ORGANIZER_ID, User, lacks_second_factor};
use crate::http::error::{ApiError, Problem};
use crate::http::extract::ApiJson;
use crate::http::fields::Wrong;
use crate::selling::keys;
use crate::store::directory::{self, Place};
use crate::store::member::{self, OrgRole};
use crate::store::organizer::{self, Organizer, Status};
use crate::store::{search_row, users};

/// An organizer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OrganizerJson {
    organizer_id: Uuid,
    /// Only approved organizers publish events.
    status: Status,
    /// Why it was rejected.
    status_reason: Option<String>,
    name: String,
    legal_name: Option<String>,
    description: String,
    contact_email: String,
    website: Option<String>,
    address: Option<String>,
    country: Option<String>,
    tax_id: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

impl From<Organizer> for OrganizerJson {
    fn from(of: Organizer) -> Self {
        Self {
            organizer_id: of.organizer_id,
            status: Status::from_column(&of.status),
            status_reason: of.status_reason,
            name: of.name,
            legal_name: of.legal_name,
            description: of.description,
            contact_email: of.contact_email,
            website: of.website,
            address: of.address,
            country: of.country,
            tax_id: of.tax_id,
            created_at: of.created_at,
            updated_at: of.updated_at,
        }
    }
}

/// An organizer as one of its members sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProfileJson {
    #[serde(flatten)]
    organizer: OrganizerJson,
    /// The caller's role: `owner`, `manager` or `door`.
    role: OrgRole,
}

/// A profile. What is left out is empty.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Nachtklang", "contact_email": "office@nachtklang.example", "country": "AT" }))]
pub(super) struct ProfileRequest {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    contact_email: String,
    legal_name: Option<String>,
    description: Option<String>,
    website: Option<String>,
    /// As printed on receipts.
    address: Option<String>,
    /// ISO 3166-1, two letters.
    country: Option<String>,
    tax_id: Option<String>,
}

/// My organizer.
#[utoipa::path(
    get, path = "/organizer/profile", operation_id = "get_organizer_profile", tag = "organizer",
    params(("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    security(("bearer" = [])),
    responses((status = 200, body = ProfileJson), (status = 401, body = Problem), (status = 403, description = "`not_an_organizer`", body = Problem)),
)]
pub(super) async fn show(State(app): State<AppState>, member: Member) -> Result<Json<ProfileJson>, ApiError> {
    let mut tx = app.db.tenant(member.organizer_id).await?;
    let found = organizer::find(&mut tx, member.organizer_id).await?;
    tx.commit().await?;
    let organizer = found.ok_or_else(|| ApiError::not_found("organizer"))?;
    Ok(Json(json(organizer, member.role)))
}

/// Creates my organizer, or changes its profile.
///
/// Who is a member of none becomes the owner of a new one, which gets its keys; it starts as `draft` (with
/// `--dev` as `approved`). The access token shows the new role after the next refresh.
#[utoipa::path(
    put, path = "/organizer/profile", operation_id = "put_organizer_profile", tag = "organizer",
    params(("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    request_body = ProfileRequest, security(("bearer" = [])),
    responses(
        (status = 200, description = "Changed", body = ProfileJson), (status = 201, description = "Created", body = ProfileJson),
        (status = 401, body = Problem), (status = 403, body = Problem), (status = 422, description = "`invalid_fields`", body = Problem),
    ),
)]
pub(super) async fn put(
    State(app): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    ApiJson(request): ApiJson<ProfileRequest>,
) -> Result<(StatusCode, Json<ProfileJson>), ApiError> {
    let user = caller.require_user()?;
    let now = app.clock.now();
    let known = membership(&app, user, &headers).await?;
    let organizer_id = known.map_or_else(|| first_organizer_of(user.user_id), |m| m.organizer_id);
    // Founding one is everybody's; changing it is staff's.
    if known.is_some() && lacks_second_factor(&app, user).await? {
        return Err(ApiError::forbidden_code(
            "totp_required",
            "show the second factor of your account first: POST /auth/totp/verify",
        ));
    }
    let mut organizer = request.into_organizer(organizer_id, now)?;
    let mut tx = app.db.tenant(organizer_id).await?;
    if known.is_some_and(|m| m.role < OrgRole::Manager) {
        return Err(ApiError::forbidden("this needs the role manager or more"));
    }
    if app.config.dev {
        "approved".clone_into(&mut organizer.status);
    }
    // The first call twice at once: the second waits here for the first and has nothing left to make.
    let is_new = known.is_none() && organizer::create(&mut tx, &organizer).await?;
    if is_new {
        member::put(&mut tx, organizer_id, user.user_id, OrgRole::Owner, now).await?;
        let place = Place { organizer_id, event_id: None };
        directory::add(&mut tx, "organizer", &organizer_id.to_string(), place).await?;
        keys::found_organizer(&mut tx, &app, organizer_id, now).await?;
    }
    let role = member::role(&mut tx, organizer_id, user.user_id).await?;
    let Some(role) = role.filter(|role| *role >= OrgRole::Manager) else {
        // It made this organizer once and was put out of it, or was demoted just now.
        return Err(ApiError::forbidden_code(
            "not_a_member",
            "you are no manager of your organizer any more",
        ));
    };
    if !is_new {
        organizer::put(&mut tx, &organizer).await?;
        search_row::refresh_organizer(&mut tx, organizer_id, now).await?;
    }
    let stored = organizer::find(&mut tx, organizer_id).await?;
    tx.commit().await?;
    // The account's own row is the user's, not the organizer's: a transaction of its own. Repeated with each
    // change, for a crash may have come before it.
    let mut tx = app.db.user(user.user_id).await?;
    users::make_organizer(&mut tx, user.user_id, now).await?;
    tx.commit().await?;
    let stored = stored.ok_or_else(|| ApiError::not_found("organizer"))?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(json(stored, role))))
}

/// The id of the organizer that an account makes, a function of the account: whoever repeats the call, even
/// at the same time, cannot make a second one.
fn first_organizer_of(user_id: Uuid) -> Uuid {
    let hash = sha256(b"hvflvspot/first-organizer/v1\0", &[user_id.as_bytes()]);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.0[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// The membership that the call is about: the header's, the only one, or none yet.
async fn membership(
    app: &AppState,
    user: &User,
    headers: &HeaderMap,
) -> Result<Option<member::Membership>, ApiError> {
    let mut tx = app.db.user(user.user_id).await?;
    let all = member::of_user(&mut tx, user.user_id).await?;
    tx.commit().await?;
    match (headers.get(&ORGANIZER_ID), all.as_slice()) {
        (None, []) => Ok(None),
        (None, [only]) => Ok(Some(*only)),
        (None, _) => Err(ApiError::bad_request(
            "organizer_id_required",
            "you are a member of several organizers: choose one by the Organizer-Id header",
        )),
        (Some(id), all) => {
            let id = id.to_str().ok().and_then(|id| id.parse::<Uuid>().ok());
            let found = all.iter().find(|m| Some(m.organizer_id) == id);
            found.copied().map(Some).ok_or_else(|| {
                ApiError::forbidden_code("not_a_member", "you are no member of this organizer")
            })
        }
    }
}

impl ProfileRequest {
    fn into_organizer(self, organizer_id: Uuid, now: OffsetDateTime) -> Result<Organizer, ApiError> {
        let mut wrong = Wrong::default();
        let name = wrong.line("name", &self.name, 1, 200);
        let contact_email = self.contact_email.trim().to_owned();
        if !is_email(&contact_email) {
            wrong.note("contact_email", "invalid", "this is no e-mail address");
        }
        let mut text = |field: &str, value: Option<String>, max| {
            value.map(|v| wrong.length(field, &v, 0, max)).filter(|v| !v.is_empty())
        };
        let legal_name = text("legal_name", self.legal_name, 200);
        let description = text("description", self.description, 10_000).unwrap_or_default();
        let website = text("website", self.website, 500);
        let address = text("address", self.address, 1_000);
        let tax_id = text("tax_id", self.tax_id, 64);
        if website.as_ref().is_some_and(|w| !w.starts_with("https://") && !w.starts_with("http://")) {
            wrong.note("website", "invalid", "an address that begins with https://");
        }
        if self.country.as_ref().is_some_and(|c| c.len() != 2 || !c.bytes().all(|b| b.is_ascii_uppercase())) {
            wrong.note("country", "invalid", "two upper-case letters (ISO 3166-1)");
        }
        wrong.check()?;
        Ok(Organizer {
            organizer_id,
            name,
            legal_name,
            description,
            contact_email,
            website,
            address,
            country: self.country,
            tax_id,
            status: "draft".to_owned(),
            status_reason: None,
            created_at: now,
            updated_at: now,
        })
    }
}

pub(super) fn json(of: Organizer, role: OrgRole) -> ProfileJson {
    ProfileJson { organizer: of.into(), role }
}
