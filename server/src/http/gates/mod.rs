//! The routes of gate devices: `/gates/…`. Bodies are CBOR (docs/PROTOCOL.md); errors are problem+json.
//! All but `enroll` and `time` are signed by the device ([`device::SignedDevice`]).

pub mod device;
mod enroll;
mod guests;
mod log;
mod manifest;
mod time;
mod wait;

pub use enroll::{first_root, origin};

use axum::extract::DefaultBodyLimit;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use shared::cbor;
use shared::wire::gates::CBOR;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiError;
use crate::app::AppState;
use crate::gates::KeyError;
use crate::gates::issue::IssueError;

/// Body of an enrolment step at most.
const ENROLL_LIMIT: usize = 4 * 1024;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(
            OpenApiRouter::new().routes(routes!(enroll::enroll)).layer(DefaultBodyLimit::max(ENROLL_LIMIT)),
        )
        .routes(routes!(time::time))
        .routes(routes!(manifest::manifest))
        .routes(routes!(guests::guest_records))
        .merge(OpenApiRouter::new().routes(routes!(log::upload)).layer(DefaultBodyLimit::max(log::LIMIT)))
        .routes(routes!(wait::wait))
}

/// A CBOR body of an answer.
struct CborBody<T>(T);

impl<T: minicbor::Encode<()>> IntoResponse for CborBody<T> {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, CBOR), (header::CACHE_CONTROL, "no-store")], cbor::encode(&self.0))
            .into_response()
    }
}

/// Reads a CBOR body.
fn parse_cbor<'b, T>(body: &'b [u8], max: usize) -> Result<T, ApiError>
where
    T: minicbor::Decode<'b, ()> + minicbor::Encode<()>,
{
    cbor::decode(body, max).map_err(|e| match e {
        cbor::CborError::TooLong { .. } => ApiError::too_large("the body is larger than this route accepts"),
        e => ApiError::bad_request("malformed_cbor", "the body is not the canonical CBOR of this route")
            .with_cause(e),
    })
}

impl From<IssueError> for ApiError {
    fn from(e: IssueError) -> Self {
        match e {
            IssueError::NoEvent => Self::not_found("event"),
            IssueError::NotReady(_) => Self::conflict("event_not_ready", format!("{e}"))
                .with_retry_after(std::time::Duration::from_secs(5)),
            IssueError::AbsurdClaim(_) => {
                Self::unprocessable("absurd_version", "no manifest of that epoch can exist").with_cause(e)
            }
            IssueError::Keys(e) => e.into(),
            IssueError::Database(e) => e.into(),
            e @ IssueError::Damaged(_) => Self::internal(e),
        }
    }
}

impl From<KeyError> for ApiError {
    fn from(e: KeyError) -> Self {
        match e {
            KeyError::Database(e) => e.into(),
            e => Self::internal(e),
        }
    }
}
