//! `GET /notifications`: what an account was told.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::app::AppState;
use crate::domain::notification::{Channel, NoticeType};
use crate::http::auth::Caller;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::ApiQuery;
use crate::http::page::{self, Page, PageQuery};
use crate::store::outbox::{self, Notice};

const LIST: &str = "notifications";

/// Something that an account was told, on one channel.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NoticeJson {
    notification_id: Uuid,
    #[serde(rename = "type")]
    #[schema(value_type = NoticeType)]
    notice_type: String,
    /// What exactly, as `booking.paid`.
    kind: String,
    channel: Channel,
    /// Its first line, once it was written.
    subject: Option<String>,
    /// `queued`, `sent` (somebody took it over), `delivered` (it has arrived), `failed` (it is tried again), `dead` (given up, or it
    /// did not arrive).
    #[schema(example = "sent")]
    status: String,
    organizer_id: Option<Uuid>,
    event_id: Option<Uuid>,
    booking_id: Option<Uuid>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    sent_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    delivered_at: Option<OffsetDateTime>,
}

impl From<Notice> for NoticeJson {
    fn from(notice: Notice) -> Self {
        Self {
            notification_id: notice.id,
            notice_type: notice.notice_type,
            kind: notice.kind,
            channel: notice.channel,
            subject: notice.subject,
            status: notice.status,
            organizer_id: notice.organizer_id,
            event_id: notice.event_id,
            booking_id: notice.booking_id,
            created_at: notice.created_at,
            sent_at: notice.sent_at,
            delivered_at: notice.delivered_at,
        }
    }
}

/// Which of my notices.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct NoticesQuery {
    /// Only notices of this type.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    notice_type: Option<NoticeType>,
    /// Only those on this channel.
    channel: Option<Channel>,
    /// How many at most; 50 without it.
    #[serde(default, deserialize_with = "page::limit")]
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// What I was told in the last 30 days, newest first.
#[utoipa::path(
    get, path = "/notifications", operation_id = "list_notifications", tag = "notifications", params(NoticesQuery),
    security(("bearer" = [])),
    responses(
        (status = 200, body = Page<NoticeJson>),
        (status = 400, description = "`invalid_cursor`, `invalid_query`", body = Problem),
        (status = 401, body = Problem),
    ),
)]
pub(super) async fn list(
    State(app): State<AppState>,
    caller: Caller,
    ApiQuery(query): ApiQuery<NoticesQuery>,
) -> Result<Json<Page<NoticeJson>>, ApiError> {
    let user_id = caller.require_user()?.user_id;
    let page = PageQuery { limit: query.limit, cursor: query.cursor };
    let (before, limit) = (page.after(LIST)?, page.limit());
    let mut tx = app.db.user(user_id).await?;
    let rows = outbox::of_user(&mut tx, user_id, query.notice_type, query.channel, before, limit + 1).await?;
    tx.commit().await?;
    Ok(Json(Page::of(LIST, limit, rows, |n| (n.created_at, n.id), NoticeJson::from)))
}
