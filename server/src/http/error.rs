//! The one way to refuse: [`ApiError`] becomes `application/problem+json` (RFC 9457) with a stable
//! `code` and the request's id; under `/auth/v1/` it takes GoTrue's form instead.
//!
//! A handler writes `return Err(ApiError::conflict("sold_out", "…"))` or `?` on a database error,
//! which becomes 500 (or 503, 409 by SQLSTATE) without telling its text. The chain is logged once, here.

use std::borrow::Cow;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::arrival::Overloaded;
use super::edge::{self, ErrorForm};
use crate::store;

/// A refusal, on its way to the client.
#[derive(Debug)]
pub struct ApiError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    retry_after: Option<Duration>,
    extra: Option<serde_json::Map<String, serde_json::Value>>,
    cause: Option<anyhow::Error>,
}

/// What is wrong with one field of the request.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FieldError {
    /// Path of the field, as `items[0].quantity`; empty for the whole body.
    pub field: String,
    /// Stable word a client may act on.
    pub code: Cow<'static, str>,
    /// For people.
    pub message: String,
}

/// The body of every refusal (RFC 9457), media type `application/problem+json`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// `urn:hvflvspot:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened, for people.
    pub detail: String,
    /// Stable word a client may act on.
    pub code: String,
    /// Names this request in the server's log.
    pub request_id: String,
    /// The fields that are wrong, if fields are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

impl FieldError {
    pub fn new(
        field: impl Into<String>,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self { field: field.into(), code: code.into(), message: message.into() }
    }
}

impl ApiError {
    /// Any status. The named constructors below read better.
    pub fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Inner {
            status,
            code: code.into(),
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            extra: None,
            cause: None,
        }))
    }

    /// 400: the request cannot be read.
    pub fn bad_request(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 401: who is calling is not known, or no longer believed.
    pub fn unauthorized(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, detail)
    }

    /// 403: the caller may know that the thing exists, and may not do this with it.
    pub fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// 403 with a code of its own, where the client can do something about it.
    pub fn forbidden_code(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, detail)
    }

    /// 404: it does not exist, or the caller may not know that it does. `what` as in "event".
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {what}"))
    }

    /// 409: the present state forbids it (`sold_out`, `state_conflict`, …).
    pub fn conflict(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 410: it was there and is over (`hold_expired`).
    pub fn gone(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::GONE, code, detail)
    }

    /// 413: larger than this route reads.
    pub fn too_large(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
    }

    /// 415: another media type than this route reads.
    pub fn unsupported_media_type(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    /// 422: well-formed, and breaks a rule.
    pub fn unprocessable(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    }

    /// 422 for fields: all of them at once.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        Self::unprocessable("invalid_fields", "some fields are not valid").with_errors(errors)
    }

    /// 422 for one field.
    pub fn invalid_field(field: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError::new(field, code, message)])
    }

    /// 429: too many of these; come back after `retry_after`.
    pub fn too_many(retry_after: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "too many requests, please wait")
            .with_retry_after(retry_after)
    }

    /// 500: our fault. The cause is logged, never told.
    pub fn internal(cause: impl Into<anyhow::Error>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "something went wrong on our side; the request id names it in our log",
        )
        .with_cause(cause)
    }

    /// 503: every place is taken.
    pub fn overloaded() -> Self {
        Self::unavailable("overloaded", Overloaded.to_string(), Duration::from_secs(1))
    }

    /// 503: not now; come back after `retry_after`.
    pub fn unavailable(
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
        retry_after: Duration,
    ) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).with_retry_after(retry_after)
    }

    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.errors = errors;
        self
    }

    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// Adds what is logged and not told.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<anyhow::Error>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// Adds a member beside the standard ones, as `server_time` to `clock_skew`.
    #[must_use]
    pub fn with_member(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.0.extra.get_or_insert_default().insert(name.to_owned(), value.into());
        self
    }

    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    pub fn code(&self) -> &str {
        &self.0.code
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        if store::is_retryable(&error) {
            Self::new(
                StatusCode::CONFLICT,
                "try_again",
                "another request changed the same thing at the same time; please repeat",
            )
            .with_retry_after(Duration::from_secs(1))
            .with_cause(error)
        } else if store::is_unavailable(&error) {
            Self::unavailable(
                "database_unavailable",
                "the database does not answer just now",
                Duration::from_secs(2),
            )
            .with_cause(error)
        } else {
            Self::internal(error)
        }
    }
}

impl From<anyhow::Error> for ApiError {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<sqlx::Error>() {
            Ok(error) => Self::from(error),
            Err(error) => Self::internal(error),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Inner { status, code, detail, errors, retry_after, extra, cause } = *self.0;
        match &cause {
            Some(cause) if status.is_server_error() => {
                tracing::error!(status = status.as_u16(), code = &*code, "refused: {cause:#}");
            }
            Some(cause) => tracing::info!(status = status.as_u16(), code = &*code, "refused: {cause:#}"),
            None => tracing::debug!(status = status.as_u16(), code = &*code, "refused"),
        }
        let (request_id, form) = edge::current();
        let mut response = if form != ErrorForm::Problem {
            let (code, message) = (gotrue_code(&code), gotrue_message(&detail, &errors));
            let mut body = match form {
                ErrorForm::GoTrue2024 => json!({ "code": code, "message": message }),
                _ => json!({ "code": status.as_u16(), "error_code": code, "msg": message }),
            };
            if let Some(members) = body.as_object_mut() {
                members.extend(extra.unwrap_or_default());
                members.insert("request_id".to_owned(), request_id.into());
            }
            let mut response = (status, Json(body)).into_response();
            if form == ErrorForm::GoTrue2024 {
                response.headers_mut().insert(edge::API_VERSION, HeaderValue::from_static(edge::ERRORS_2024));
            }
            response
        } else {
            let problem = Problem {
                kind: format!("urn:hvflvspot:problem:{code}"),
                title: status.canonical_reason().unwrap_or("Error").to_owned(),
                status: status.as_u16(),
                detail: detail.into_owned(),
                code: code.into_owned(),
                request_id,
                errors,
            };
            let mut body = serde_json::to_value(&problem).unwrap_or_default();
            if let (Some(extra), Some(members)) = (extra, body.as_object_mut()) {
                members.extend(extra);
            }
            let mut response = (status, Json(body)).into_response();
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
            response
        };
        let headers = response.headers_mut();
        if let Some(after) = retry_after {
            let secs = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(secs.max(1)));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// GoTrue's own word for what also happens elsewhere.
pub(super) fn gotrue_code(code: &str) -> &str {
    match code {
        "internal_error" | "database_unavailable" | "overloaded" => "unexpected_failure",
        "invalid_body" | "invalid_fields" | "invalid_query" => "validation_failed",
        "malformed_json" => "bad_json",
        "rate_limited" => "over_request_rate_limit",
        "timeout" => "request_timeout",
        "try_again" => "conflict",
        other => other,
    }
}

/// GoTrue has no list of fields: the message names them.
fn gotrue_message(detail: &str, errors: &[FieldError]) -> String {
    errors.iter().fold(detail.to_owned(), |text, e| match e.field.as_str() {
        "" => format!("{text}: {}", e.message),
        field => format!("{text}: {field}: {}", e.message),
    })
}
