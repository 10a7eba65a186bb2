//! `GET /gates/wait`: what is new for a gate, at once or as soon as it happens.

use std::time::Duration;

use axum::extract::{FromRequestParts, State};
use serde::Deserialize;
use shared::ids::{EventId, OrganizerId};
use shared::manifest::docs::ManifestVersion;
use shared::time::UnixSecs;
use shared::wire::gates::{MAX_WAIT_BYTES, WaitAnswer};
use utoipa::IntoParams;

use super::CborBody;
use super::device::SignedDevice;
use super::manifest::device_of;
use crate::app::AppState;
use crate::gates::issue::{self, Current};
use crate::http::edge::InFlight;
use crate::http::error::ApiError;
use crate::http::extract::ApiQuery;
use crate::store::devices::{self, Health};
use crate::store::scans::{self, Page};

/// A poll never lasts longer.
const MAX_WAIT_SECS: u64 = 55;
/// News can be lost between servers; nobody waits longer than this without looking.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Room for certificates and frames beside the entries of a page.
const FRAME_BYTES: usize = 512 * 1024;

/// What the gate holds, and what it likes to tell of itself.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct WaitQuery {
    /// Of the manifest it holds.
    epoch: u32,
    /// Change number of the manifest it holds.
    seq: u64,
    /// Seconds since 1970: how fresh the manifest it holds is.
    as_of: u32,
    /// Cursor of the last answer, 0 at first. A cursor beyond ours begins anew.
    scans: u64,
    /// Seconds, 0 to 55.
    timeout: u64,
    /// Entries that it has not uploaded yet.
    unsent: Option<u32>,
    /// Its wall clock less the server's, as it reckons.
    offset_ms: Option<i64>,
    /// By how much that may be wrong.
    uncertainty_ms: Option<u32>,
}

/// Runs of other devices after the cursor and the manifest's version, as soon as either is new.
#[utoipa::path(get, path = "/gates/wait", operation_id = "gate_wait", tag = "gates", params(WaitQuery), security(("device_signature" = [])),
    responses((status = 200, content_type = "application/cbor", body = Vec<u8>, description = "WaitAnswer of docs/PROTOCOL.md"),
              (status = 401, body = crate::http::Problem, description = "`clock_skew`: carries the signed time"),
              (status = 403, body = crate::http::Problem, description = "`device_revoked`, `certificate_expired`")))]
pub(super) async fn wait(
    State(app): State<AppState>,
    place: InFlight,
    request: axum::extract::Request,
) -> Result<CborBody<WaitAnswer>, ApiError> {
    let (mut parts, body) = request.into_parts();
    let query = ApiQuery::<WaitQuery>::from_request_parts(&mut parts, &app).await;
    let signed = device_of(&app, axum::extract::Request::from_parts(parts, body)).await?;
    let ApiQuery(query) = query?;
    signed.require_active(app.clock.now())?;
    note(&app, &signed, &query).await?;

    let (organizer, event) = (signed.organizer, signed.event);
    let held = ManifestVersion { epoch: query.epoch, change_seq: query.seq, as_of: UnixSecs(query.as_of) };
    let deadline = tokio::time::sleep(Duration::from_secs(query.timeout.min(MAX_WAIT_SECS)));
    tokio::pin!(deadline);
    let mut last = query.timeout == 0;
    // Subscribed before looking: what happens in between wakes us.
    let mut news = app.news.subscribe(event);
    loop {
        news.mark_unchanged();
        let current = issue::current(&app, organizer, event, Some((signed.device.device_id, held))).await?;
        let page = page(&app, &signed, query.scans).await?;
        let newer = (current.version.epoch, current.version.change_seq) != (held.epoch, held.change_seq);
        let moved = !page.runs.is_empty() || page.more || page.cursor < query.scans;
        if newer || moved || last || app.stopping.is_cancelled() {
            return answer(&app, organizer, event, current, page).await;
        }
        // While it waits it is no work for us.
        place.release();
        let look = current.due_in_ms.map_or(LOOK_EVERY, |ms| Duration::from_millis(ms.max(1).unsigned_abs()));
        tokio::select! {
            _ = news.changed() => {}
            () = tokio::time::sleep(look.min(LOOK_EVERY)) => {}
            () = &mut deadline => last = true,
            () = app.stopping.cancelled() => last = true,
        }
        // It may have been revoked while it waited.
        let mut tx = app.db.tenant(organizer.0).await?;
        let device = devices::find(&mut tx, organizer.0, signed.device.device_id).await?;
        tx.commit().await?;
        if let Some(device) = device {
            let body = axum::body::Bytes::new();
            SignedDevice { organizer, event, device, body }.require_active(app.clock.now())?;
        }
    }
}

async fn note(app: &AppState, signed: &SignedDevice, query: &WaitQuery) -> Result<(), ApiError> {
    let mut tx = app.db.tenant(signed.organizer.0).await?;
    let health = Health {
        last_sync_at: Some(app.clock.now()),
        clock_offset_ms: query.offset_ms,
        clock_uncertainty_ms: query.uncertainty_ms.map(i64::from),
        unsent: query.unsent.map(i64::from),
        manifest: Some(ManifestVersion {
            epoch: query.epoch,
            change_seq: query.seq,
            as_of: UnixSecs(query.as_of),
        }),
    };
    devices::note_health(&mut tx, signed.organizer.0, signed.device.device_id, &health).await?;
    tx.commit().await?;
    Ok(())
}

async fn page(app: &AppState, signed: &SignedDevice, after: u64) -> Result<Page, ApiError> {
    let (organizer, event) = (signed.organizer.0, signed.event.0);
    let mut tx = app.db.tenant(organizer).await?;
    // A cursor that this database never gave out: it lost something, and everything is offered again.
    let after = if after > scans::cursor(&mut tx, organizer, event).await? { 0 } else { after };
    let max = MAX_WAIT_BYTES - FRAME_BYTES;
    let page = scans::runs_after(&mut tx, organizer, event, after, signed.device.device_id, max).await?;
    tx.commit().await?;
    Ok(page)
}

async fn answer(
    app: &AppState,
    organizer: OrganizerId,
    event: EventId,
    current: Current,
    page: Page,
) -> Result<CborBody<WaitAnswer>, ApiError> {
    let mut named: Vec<uuid::Uuid> = page.runs.iter().map(|r| r.device.0).collect();
    named.sort_unstable();
    named.dedup();
    let mut tx = app.db.tenant(organizer.0).await?;
    let certificates = scans::certificates(&mut tx, organizer.0, &named).await?;
    tx.commit().await?;
    tracing::debug!(%event, runs = page.runs.len(), cursor = page.cursor, "told a gate of news");
    Ok(CborBody(WaitAnswer {
        manifest: current.version,
        certificates: certificates.into_iter().map(Into::into).collect(),
        runs: page.runs,
        scans: page.cursor,
        more: page.more,
    }))
}
