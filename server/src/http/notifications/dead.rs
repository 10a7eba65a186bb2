//! `/admin/notifications/dead`: what could not be delivered, and sending it again.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::AppState;
use crate::domain::notification::{Channel, DeadBecause, carries_key};
use crate::http::auth::Caller;
use crate::http::edge;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::{ApiPath, ApiQuery};
use crate::http::page::{Page, PageQuery};
use crate::store::audit::{self, Act};
use crate::store::outbox::{self, Dead};

const LIST: &str = "dead_notifications";

/// A message that was given up.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeadJson {
    notification_id: Uuid,
    channel: Channel,
    kind: String,
    recipient: String,
    organizer_id: Option<Uuid>,
    attempts: i32,
    because: DeadBecause,
    /// What the other side said last.
    last_error: Option<String>,
    /// POST …/replay sends it again.
    may_replay: bool,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

impl From<Dead> for DeadJson {
    fn from(dead: Dead) -> Self {
        Self {
            notification_id: dead.id,
            channel: dead.channel,
            may_replay: dead.because.may_replay() && !carries_key(&dead.kind),
            kind: dead.kind,
            recipient: dead.recipient,
            organizer_id: dead.organizer_id,
            attempts: dead.attempts,
            because: dead.because,
            last_error: dead.last_error,
            created_at: dead.created_at,
        }
    }
}

/// Messages that were given up in the last 90 days, newest first.
#[utoipa::path(
    get, path = "/admin/notifications/dead", operation_id = "list_dead_notifications", tag = "admin", params(PageQuery),
    security(("bearer" = [])),
    responses(
        (status = 200, body = Page<DeadJson>),
        (status = 400, description = "`invalid_cursor`", body = Problem),
        (status = 401, body = Problem),
        (status = 403, description = "`forbidden`: for administrators alone", body = Problem),
    ),
)]
pub(super) async fn list(
    State(app): State<AppState>,
    caller: Caller,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<DeadJson>>, ApiError> {
    let admin = caller.require_admin()?;
    let (before, limit) = (query.after(LIST)?, query.limit());
    let mut tx = app.db.admin(admin.user_id).await?;
    let rows = outbox::dead(&mut tx, before, limit + 1).await?;
    tx.commit().await?;
    Ok(Json(Page::of(LIST, limit, rows, |d| (d.created_at, d.id), DeadJson::from)))
}

/// Sends a dead letter again, with as many tries as a new one.
///
/// Not a mail that carried a key to an account: the key died with it, and its owner asks for another.
#[utoipa::path(
    post, path = "/admin/notifications/dead/{notification_id}/replay", operation_id = "replay_notification",
    tag = "admin", params(("notification_id" = Uuid, Path)), security(("bearer" = [])),
    responses(
        (status = 202, description = "Queued"),
        (status = 401, body = Problem),
        (status = 403, description = "`forbidden`: for administrators alone", body = Problem),
        (status = 404, description = "`not_found`: there is no such dead letter", body = Problem),
        (status = 409, description = "`not_replayable`", body = Problem),
    ),
)]
pub(super) async fn replay(
    State(app): State<AppState>,
    caller: Caller,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<StatusCode, ApiError> {
    let admin = caller.require_admin()?.user_id;
    let now = app.clock.now();
    let mut tx = app.db.worker_platform().await?;
    let (kind, because, organizer_id) =
        outbox::lock_dead(&mut tx, id).await?.ok_or_else(|| ApiError::not_found("dead letter"))?;
    if carries_key(&kind) || !because.may_replay() {
        return Err(ApiError::conflict("not_replayable", "what it was good for is over"));
    }
    outbox::replay(&mut tx, id, now).await?;
    tx.commit().await?;
    tracing::info!(message = %id, admin = %admin, "a dead letter is sent again");
    if let Some(organizer_id) = organizer_id {
        let (request_id, _) = edge::current();
        let act = Act {
            audit_id: app.rng.uuid(&*app.clock),
            actor_kind: "user",
            actor_id: Some(admin),
            action: "notification.replayed",
            object_kind: "notification",
            object_id: id,
            request_id: Some(&request_id),
            detail: serde_json::json!({ "kind": kind }),
        };
        let mut tx = app.db.tenant(organizer_id).await?;
        audit::record(&mut tx, organizer_id, &act, now).await?;
        tx.commit().await?;
    }
    Ok(StatusCode::ACCEPTED)
}
