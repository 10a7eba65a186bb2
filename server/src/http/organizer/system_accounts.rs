//! `/organizer/system-accounts`: integrations of the organizer, for its owners.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::AppState;
use crate::auth::named_secret::{CLIENT_SECRET, NamedSecret, client_id};
use crate::domain::access::Scope;
use crate::http::auth::Member;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::{ApiJson, ApiPath, ApiQuery};
use crate::http::fields::Wrong;
use crate::http::page::{Page, PageQuery};
use crate::store::system::{self, SystemAccount, scopes_of};

/// Live accounts of one organizer at most.
const MAX_ACCOUNTS: i64 = 100;

/// A system account.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SystemAccountJson {
    account_id: Uuid,
    /// What it signs in as, at POST /auth/system/login.
    client_id: String,
    label: String,
    scopes: Vec<Scope>,
    created_by: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    rotated_at: Option<OffsetDateTime>,
    /// To the minute.
    #[serde(with = "time::serde::rfc3339::option")]
    last_used_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    revoked_at: Option<OffsetDateTime>,
}

/// A system account with its secret, which is told this once.
#[derive(Serialize, ToSchema)]
pub(super) struct NewSystemAccountJson {
    #[serde(flatten)]
    account: SystemAccountJson,
    client_secret: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "label": "Turnstile north", "scopes": ["tickets.validate"] }))]
pub(super) struct NewSystemAccount {
    #[schema(min_length = 1, max_length = 200)]
    label: String,
    /// What it may do; at least one.
    scopes: Vec<Scope>,
}

/// Makes a system account. Its secret is in the answer and nowhere else.
#[utoipa::path(
    post, path = "/organizer/system-accounts", operation_id = "create_system_account", tag = "organizer",
    params(("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    request_body = NewSystemAccount, security(("bearer" = [])),
    responses(
        (status = 201, body = NewSystemAccountJson), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 409, description = "`too_many`", body = Problem), (status = 422, description = "`invalid_fields`, `invalid_body`", body = Problem),
    ),
)]
pub(super) async fn create(
    State(app): State<AppState>,
    member: Member,
    ApiJson(body): ApiJson<NewSystemAccount>,
) -> Result<(StatusCode, Json<NewSystemAccountJson>), ApiError> {
    let mut wrong = Wrong::default();
    let label = wrong.line("label", &body.label, 1, 200);
    let mut scopes = body.scopes;
    scopes.sort_unstable();
    scopes.dedup();
    if scopes.is_empty() {
        wrong.note("scopes", "required", "an account that may do nothing is of no use");
    }
    wrong.check()?;
    let organizer_id = member.organizer_id;
    let now = app.clock.now();
    let secret = NamedSecret::generate(CLIENT_SECRET, organizer_id, &app.rng);
    let account = SystemAccount {
        account_id: app.rng.uuid(&*app.clock),
        label,
        scopes: scopes.iter().map(|s| s.as_str().to_owned()).collect(),
        created_by: member.user.user_id,
        created_at: now,
        rotated_at: None,
        last_used_at: None,
        revoked_at: None,
    };
    let mut tx = app.db.tenant(organizer_id).await?;
    if system::live(&mut tx, organizer_id).await? >= MAX_ACCOUNTS {
        let text = format!("an organizer has at most {MAX_ACCOUNTS} system accounts: revoke one first");
        return Err(ApiError::conflict("too_many", text));
    }
    system::insert(&mut tx, organizer_id, &account, &secret.hash()).await?;
    let object = ("system_account", account.account_id);
    let detail = json!({ "scopes": account.scopes });
    super::record(&app, &mut tx, &member, "system_account.created", object, detail).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(with_secret(organizer_id, account, &secret))))
}

/// The organizer's system accounts, revoked ones too.
#[utoipa::path(
    get, path = "/organizer/system-accounts", operation_id = "list_system_accounts", tag = "organizer",
    params(PageQuery, ("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    security(("bearer" = [])),
    responses((status = 200, body = Page<SystemAccountJson>), (status = 400, description = "`invalid_cursor`", body = Problem), (status = 401, body = Problem), (status = 403, body = Problem)),
)]
pub(super) async fn list(
    State(app): State<AppState>,
    member: Member,
    ApiQuery(page): ApiQuery<PageQuery>,
) -> Result<Json<Page<SystemAccountJson>>, ApiError> {
    let organizer_id = member.organizer_id;
    let after = page.after::<Uuid>("system_accounts")?;
    let mut tx = app.db.tenant(organizer_id).await?;
    let rows = system::list(&mut tx, organizer_id, after, page.limit() + 1).await?;
    tx.commit().await?;
    let items = rows.into_iter().map(|row| account_json(organizer_id, row)).collect();
    Ok(Json(Page::of(
        "system_accounts",
        page.limit(),
        items,
        |item: &SystemAccountJson| item.account_id,
        |item| item,
    )))
}

/// Gives the account a new secret. The old one and all its tokens are dead at once.
#[utoipa::path(
    post, path = "/organizer/system-accounts/{account_id}/rotate", operation_id = "rotate_system_account", tag = "organizer",
    params(("account_id" = Uuid, Path), ("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    security(("bearer" = [])),
    responses((status = 200, body = NewSystemAccountJson), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, description = "unknown or revoked", body = Problem)),
)]
pub(super) async fn rotate(
    State(app): State<AppState>,
    member: Member,
    ApiPath(account_id): ApiPath<Uuid>,
) -> Result<Json<NewSystemAccountJson>, ApiError> {
    let organizer_id = member.organizer_id;
    let secret = NamedSecret::generate(CLIENT_SECRET, organizer_id, &app.rng);
    let mut tx = app.db.tenant(organizer_id).await?;
    let account = system::rotate(&mut tx, organizer_id, account_id, &secret.hash(), app.clock.now())
        .await?
        .ok_or_else(|| ApiError::not_found("system account"))?;
    let object = ("system_account", account_id);
    super::record(&app, &mut tx, &member, "system_account.rotated", object, json!({})).await?;
    tx.commit().await?;
    Ok(Json(with_secret(organizer_id, account, &secret)))
}

/// Ends the account and all its tokens at once. Repeating it changes nothing.
#[utoipa::path(
    delete, path = "/organizer/system-accounts/{account_id}", operation_id = "revoke_system_account", tag = "organizer",
    params(("account_id" = Uuid, Path), ("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    security(("bearer" = [])),
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)),
)]
pub(super) async fn revoke(
    State(app): State<AppState>,
    member: Member,
    ApiPath(account_id): ApiPath<Uuid>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.db.tenant(member.organizer_id).await?;
    match system::revoke(&mut tx, member.organizer_id, account_id, app.clock.now()).await? {
        None => return Err(ApiError::not_found("system account")),
        Some(false) => {}
        Some(true) => {
            let object = ("system_account", account_id);
            super::record(&app, &mut tx, &member, "system_account.revoked", object, json!({})).await?;
        }
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

fn with_secret(organizer_id: Uuid, account: SystemAccount, secret: &NamedSecret) -> NewSystemAccountJson {
    NewSystemAccountJson {
        account: account_json(organizer_id, account),
        client_secret: secret.reveal().to_owned(),
    }
}

fn account_json(organizer_id: Uuid, of: SystemAccount) -> SystemAccountJson {
    SystemAccountJson {
        account_id: of.account_id,
        client_id: client_id(organizer_id, of.account_id),
        label: of.label,
        scopes: scopes_of(&of.scopes),
        created_by: of.created_by,
        created_at: of.created_at,
        rotated_at: of.rotated_at,
        last_used_at: of.last_used_at,
        revoked_at: of.revoked_at,
    }
}
