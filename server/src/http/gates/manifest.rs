//! `GET /gates/manifest`: the signed state of the event.

use axum::extract::{FromRequestParts, State};
use serde::Deserialize;
use shared::bytes::Nonce16;
use shared::manifest::docs::ManifestVersion;
use shared::time::UnixSecs;
use shared::wire::gates::ManifestAnswer;
use utoipa::IntoParams;

use super::CborBody;
use super::device::SignedDevice;
use crate::app::AppState;
use crate::gates::issue::{self, Wish};
use crate::http::error::ApiError;
use crate::http::extract::ApiQuery;
use crate::store::devices::{self, Health};

/// What the gate holds; zeros if it holds nothing.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ManifestQuery {
    /// Version of its newest trust root.
    root: u32,
    /// Of the manifest it holds.
    epoch: u32,
    /// Change number of the manifest it holds.
    seq: u64,
    /// Seconds since 1970: how fresh the manifest it holds is.
    as_of: u32,
    /// 16 random bytes in hex; the freshness echoes them.
    #[param(value_type = String)]
    nonce: Nonce16,
    /// Send all rows, whatever it holds.
    #[serde(default)]
    full: bool,
}

/// The newest manifest: nothing, what changed, or everything; signed as fresh for this request.
#[utoipa::path(get, path = "/gates/manifest", operation_id = "gate_manifest", tag = "gates", params(ManifestQuery), security(("device_signature" = [])),
    responses((status = 200, content_type = "application/cbor", body = Vec<u8>, description = "ManifestAnswer of docs/PROTOCOL.md"),
              (status = 401, body = crate::http::Problem, description = "`clock_skew`: carries the signed time"),
              (status = 403, body = crate::http::Problem, description = "`device_revoked`, `certificate_expired`"),
              (status = 409, body = crate::http::Problem, description = "`event_not_ready`"),
              (status = 422, body = crate::http::Problem, description = "`absurd_version`")))]
pub(super) async fn manifest(
    State(app): State<AppState>,
    request: axum::extract::Request,
) -> Result<CborBody<ManifestAnswer>, ApiError> {
    let (mut parts, body) = request.into_parts();
    let query = ApiQuery::<ManifestQuery>::from_request_parts(&mut parts, &app).await;
    let signed = device_of(&app, axum::extract::Request::from_parts(parts, body)).await?;
    let ApiQuery(query) = query?;
    signed.require_active(app.clock.now())?;
    let held = ManifestVersion { epoch: query.epoch, change_seq: query.seq, as_of: UnixSecs(query.as_of) };
    let (organizer, event, device) = (signed.organizer, signed.event, signed.device.device_id);
    issue::current(&app, organizer, event, Some((device, held))).await?;
    let wish = Wish { root: query.root, held, full: query.full, nonce: query.nonce };
    let answer = issue::answer(&app, organizer, event, &wish).await?;
    let mut tx = app.db.tenant(organizer.0).await?;
    let health = Health { last_sync_at: Some(app.clock.now()), manifest: Some(held), ..Health::default() };
    devices::note_health(&mut tx, organizer.0, device, &health).await?;
    tx.commit().await?;
    Ok(CborBody(answer))
}

/// Who asks comes before what is asked: a stranger learns nothing of our parameters.
pub(super) async fn device_of(
    app: &AppState,
    request: axum::extract::Request,
) -> Result<SignedDevice, ApiError> {
    use axum::extract::FromRequest as _;
    SignedDevice::from_request(request, app).await
}
