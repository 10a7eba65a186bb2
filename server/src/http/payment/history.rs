//! `GET /payment/history`

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::app::AppState;
use crate::http::auth::{Caller, ORGANIZER_ID};
use crate::http::booking_view::staff_of;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::ApiQuery;
use crate::http::fields::{Instant, money};
use crate::http::page::{self, MoneyJson, Page, PageQuery};
use crate::store::booking;
use crate::store::transaction::{self, HistoryFilter, Transaction};

const LIST: &str = "transactions";

/// A payment or refund.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TransactionJson {
    transaction_id: Uuid,
    booking_id: Uuid,
    event_id: Uuid,
    /// `payment` or `refund`.
    #[serde(rename = "type")]
    kind: String,
    /// `pending`, `completed`, `failed` or `refunded`.
    status: String,
    amount: MoneyJson,
    /// The provider.
    method: String,
    provider_ref: Option<String>,
    /// Of a refund: the payment that went back.
    refund_of: Option<Uuid>,
    reason: Option<String>,
    /// `decline`, `provider` or `canceled`, of a failed one.
    failed_by: Option<String>,
    failure_code: Option<String>,
    /// Why a person should look: `contradicted` (the provider knows it otherwise), `disputed`, `refunded_elsewhere`,
    /// `refund_undone`. Told to the organizer alone.
    flag: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    completed_at: Option<OffsetDateTime>,
}

/// What the list is narrowed to.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryQuery {
    /// `pending`, `completed`, `failed` or `refunded`.
    status: Option<String>,
    /// `payment` or `refund`.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    kind: Option<String>,
    /// Of one event.
    event_id: Option<Uuid>,
    /// Of one booking.
    booking_id: Option<Uuid>,
    /// `true`: only those that a person should look at. The organizer's alone.
    flagged: Option<bool>,
    /// Not before.
    #[param(value_type = Option<String>)]
    from: Option<Instant>,
    /// Before.
    #[param(value_type = Option<String>)]
    to: Option<Instant>,
    /// Minor units, at least.
    min_amount: Option<i64>,
    /// Minor units, at most.
    max_amount: Option<i64>,
    /// How many at most; 50 without it.
    #[serde(default, deserialize_with = "page::limit")]
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Payments and refunds, the newest first.
///
/// One's own; with the header `Organizer-Id` all of that organizer's, for its owners and managers. System accounts
/// with the scope `bookings.read` see their organizer's.
#[utoipa::path(
    get, path = "/payment/history", operation_id = "payment_history", tag = "payment",
    params(HistoryQuery, ("Organizer-Id" = Option<Uuid>, Header, description = "The organizer's instead of one's own")),
    security(("bearer" = [])),
    responses((status = 200, body = Page<TransactionJson>), (status = 401, body = Problem), (status = 403, description = "`not_a_member`", body = Problem), (status = 422, description = "`invalid_fields`", body = Problem)),
)]
pub(super) async fn history(
    State(app): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    ApiQuery(query): ApiQuery<HistoryQuery>,
) -> Result<Response, ApiError> {
    let page = PageQuery { limit: query.limit, cursor: query.cursor.clone() };
    let (limit, filter) = (page.limit(), filter(&query, &page)?);
    let rows = match (&caller, headers.get(&ORGANIZER_ID)) {
        (Caller::System(system), wanted) => {
            let id = system.organizer_id;
            if wanted.is_some_and(|wanted| wanted.as_bytes() != id.to_string().as_bytes()) {
                return Err(ApiError::forbidden_code(
                    "not_a_member",
                    "this is another organizer's system account",
                ));
            }
            let mut tx = app.db.tenant(id).await?;
            let rows = transaction::history(&mut tx, &[id], None, &filter, limit + 1).await?;
            tx.commit().await?;
            rows
        }
        (caller, None) => {
            let user = caller.require_user()?;
            let mut tx = app.db.user(user.user_id).await?;
            let organizers = booking::organizers_of_user(&mut tx, user.user_id).await?;
            let filter = HistoryFilter { flagged: None, ..filter };
            let mut rows =
                transaction::history(&mut tx, &organizers, Some(user.user_id), &filter, limit + 1).await?;
            tx.commit().await?;
            // Between organizer and provider.
            rows.iter_mut().for_each(|row| row.flag = None);
            rows
        }
        (caller, Some(id)) => {
            let user = caller.require_user()?;
            let id: Uuid = id.to_str().ok().and_then(|id| id.parse().ok()).ok_or_else(|| {
                ApiError::bad_request("invalid_organizer_id", "Organizer-Id must be an organizer's id")
            })?;
            if !staff_of(&app, user).await?.iter().any(|m| m.organizer_id == id) {
                return Err(ApiError::forbidden_code(
                    "not_a_member",
                    "you are no owner or manager of this organizer",
                ));
            }
            let mut tx = app.db.tenant(id).await?;
            let rows = transaction::history(&mut tx, &[id], None, &filter, limit + 1).await?;
            tx.commit().await?;
            rows
        }
    };
    let page = Page::of(LIST, limit, rows, |t| (t.created_at, t.transaction_id), json);
    Ok(([(header::CACHE_CONTROL, "private, no-store")], Json(page)).into_response())
}

fn filter(query: &HistoryQuery, page: &PageQuery) -> Result<HistoryFilter, ApiError> {
    let one_of = |name: &str, value: &Option<String>, words: &[&str]| match value {
        Some(word) if !words.contains(&word.as_str()) => {
            Err(ApiError::invalid_field(name, "unknown", format!("one of {}", words.join(", "))))
        }
        _ => Ok(()),
    };
    one_of("status", &query.status, &["pending", "completed", "failed", "refunded"])?;
    one_of("type", &query.kind, &["payment", "refund"])?;
    Ok(HistoryFilter {
        status: query.status.clone(),
        kind: query.kind.clone(),
        event_id: query.event_id,
        booking_id: query.booking_id,
        flagged: query.flagged,
        from: query.from.map(|t| t.0),
        to: query.to.map(|t| t.0),
        min_minor: query.min_amount,
        max_minor: query.max_amount,
        after: page.after(LIST)?,
    })
}

fn json(row: Transaction) -> TransactionJson {
    TransactionJson {
        transaction_id: row.transaction_id,
        booking_id: row.booking_id,
        event_id: row.event_id,
        kind: row.kind,
        status: row.status,
        amount: money(row.amount_minor, &row.currency),
        method: row.provider,
        provider_ref: row.provider_ref,
        refund_of: row.refund_of,
        reason: row.reason,
        failed_by: row.failed_by,
        failure_code: row.failure_code,
        flag: row.flag,
        created_at: row.created_at,
        completed_at: row.completed_at,
    }
}
