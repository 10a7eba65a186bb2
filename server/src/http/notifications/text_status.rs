//! `POST /notifications/sms/{notification_id}/status`

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::adapters::sms::callback::{self, Told};
use crate::app::AppState;
use crate::domain::notification::{DeadBecause, Step, step};
use crate::http::error::{ApiError, Problem};
use crate::http::extract::{ApiBytes, ApiPath, sole_header};
use crate::store::{delivery, phone};

/// Some twenty short fields.
const MAX_BODY: usize = 16 << 10;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(receive)).layer(DefaultBodyLimit::max(MAX_BODY))
}

/// Where the provider of text messages tells how one fares.
///
/// For the provider alone: the header `X-Twilio-Signature` must be by the account's token over this address under
/// PUBLIC_URL and over all fields. `MessageStatus` moves the message's delivery status; callbacks may come twice, late
/// and in any order. Fields and statuses that mean nothing here are accepted too.
#[utoipa::path(
    post, path = "/notifications/sms/{notification_id}/status", operation_id = "receive_text_status", tag = "notifications",
    params(
        ("notification_id" = String, Path, description = "As the message was handed over with"),
        ("X-Twilio-Signature" = Option<String>, Header, description = "Required"),
    ),
    request_body(
        content = serde_json::Value, description = "`MessageSid`, `MessageStatus`, `ErrorCode` and more, signed",
        content_type = "application/x-www-form-urlencoded",
    ),
    security(()),
    responses(
        (status = 204, description = "Taken, now or before"),
        (status = 400, description = "`invalid_signature`, `malformed_event`, `body_unreadable`", body = Problem),
        (status = 404, description = "`not_found`: no such message, or no provider that tells of it", body = Problem),
        (status = 413, description = "`body_too_large`", body = Problem),
    ),
)]
async fn receive(
    State(app): State<AppState>,
    ApiPath(notification_id): ApiPath<String>,
    headers: HeaderMap,
    ApiBytes(body): ApiBytes,
) -> Result<StatusCode, ApiError> {
    let unknown = || ApiError::not_found("message");
    let token = app.config.sms.auth_token.as_ref().ok_or_else(unknown)?;
    let malformed = || ApiError::bad_request("malformed_event", "the body is no callback");
    let fields = callback::fields(&body).ok_or_else(malformed)?;
    let signature = sole_header(&headers, "x-twilio-signature");
    // Before anything is looked up: who does not sign learns of no message. An id in another spelling than ours was
    // never given away.
    let path = format!("/notifications/sms/{notification_id}/status");
    if !callback::is_signed(signature, app.config.origin(), &path, &fields, token) {
        return Err(ApiError::bad_request(
            "invalid_signature",
            "the signature is not by this account's token",
        ));
    }
    let told = callback::read(&fields).ok_or_else(malformed)?;
    let id: Uuid = notification_id.parse().map_err(|_| unknown())?;
    if take(&app, id, &told).await? { Ok(StatusCode::NO_CONTENT) } else { Err(unknown()) }
}

/// Moves the message by what was told of it. False if there is none.
async fn take(app: &AppState, id: Uuid, told: &Told) -> Result<bool, sqlx::Error> {
    let now = app.clock.now();
    let mut tx = app.db.worker_platform().await?;
    let Some(text) = delivery::lock(&mut tx, id, now).await? else { return Ok(false) };
    let Some(step) = told.news.and_then(|news| step(text.stands(), &told.provider_ref, news)) else {
        tx.commit().await?;
        return Ok(true);
    };
    let error = told.error_code.map(|code| format!("{code}: the provider could not deliver it"));
    delivery::move_on(&mut tx, id, &told.provider_ref, (step, error.as_deref()), now).await?;
    if step == Step::Dead(DeadBecause::SwitchedOff) {
        phone::stop(&mut tx, &text.recipient, now).await?;
    }
    tx.commit().await?;
    tracing::debug!(message = %id, ?step, "its provider told of it");
    Ok(true)
}
