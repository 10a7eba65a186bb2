//! `POST /gates/log`: a run of a log, own or relayed. Stored whatever it says; acknowledged when durable.

use axum::extract::State;
use shared::log::run::{RunError, verify_run};
use shared::ticket::keys::strong_key;
use shared::wire::gates::{MAX_RUN_BYTES, UploadAnswer, UploadRequest};

use super::device::SignedDevice;
use super::{CborBody, parse_cbor};
use crate::app::AppState;
use crate::gates::record;
use crate::http::error::{ApiError, FieldError};
use crate::store::devices::{self, Health};
use crate::store::is_retryable;

/// Bytes of an upload at most: a run's entries and what frames them.
pub(super) const LIMIT: usize = MAX_RUN_BYTES + 16 * 1024;
/// Entry numbers end here; nobody scans that often.
const MAX_SEQ: u64 = 1 << 53;
/// A transaction that met another is tried again so often.
const ATTEMPTS: usize = 3;

/// Takes a run of any device of the event, once. Says the same again for the same run.
#[utoipa::path(post, path = "/gates/log", operation_id = "gate_upload_log", tag = "gates", security(("device_signature" = [])),
    request_body(content = Vec<u8>, content_type = "application/cbor", description = "UploadRequest of docs/PROTOCOL.md"),
    responses((status = 200, content_type = "application/cbor", body = Vec<u8>, description = "UploadAnswer of docs/PROTOCOL.md: what is durable"),
              (status = 401, body = crate::http::Problem, description = "`clock_skew`: carries the signed time"),
              (status = 413, body = crate::http::Problem),
              (status = 422, body = crate::http::Problem, description = "`unknown_device`, `bad_run`: it is not what that device wrote")))]
pub(super) async fn upload(
    State(app): State<AppState>,
    signed: SignedDevice,
) -> Result<CborBody<UploadAnswer>, ApiError> {
    let UploadRequest { run } = parse_cbor(&signed.body, LIMIT)?;
    let (organizer, event) = (signed.organizer, signed.event);
    let own = run.device == signed.device.device_id;
    let author = if own {
        signed.device.clone()
    } else {
        let mut tx = app.db.tenant(organizer.0).await?;
        let author = devices::find(&mut tx, organizer.0, run.device).await?;
        tx.commit().await?;
        author.filter(|d| d.event_id == event).ok_or_else(|| {
            ApiError::unprocessable("unknown_device", "the run's device is not of this event")
        })?
    };
    let key = strong_key(&author.public_key)
        .ok_or_else(|| ApiError::internal(anyhow::anyhow!("a weak key was enrolled")))?;
    let entries = verify_run(&run, &key).map_err(refuse)?;
    if entries.last().is_some_and(|(e, _)| e.place.seq >= MAX_SEQ) {
        return Err(ApiError::unprocessable("bad_run", "no log is that long"));
    }

    let mut attempt = 1;
    let recorded = loop {
        let mut tx = app.db.tenant(organizer.0).await?;
        let now = app.clock.now();
        let recorded = match record::run(&mut tx, organizer, event, &run, &entries, now).await {
            Ok(recorded) => recorded,
            Err(e) if is_retryable(&e) && attempt < ATTEMPTS => {
                attempt += 1;
                continue;
            }
            Err(e) => return Err(e.into()),
        };
        if recorded.news || own {
            let health = Health { last_sync_at: Some(now), ..Health::default() };
            devices::note_health(&mut tx, organizer.0, signed.device.device_id, &health).await?;
        }
        tx.commit().await?;
        break recorded;
    };
    if recorded.news {
        app.news.publish(event);
    }
    if recorded.forked {
        tracing::warn!(%event, device = %run.device, log_no = run.log_no, "a forked log was uploaded");
    }
    Ok(CborBody(UploadAnswer {
        device: run.device,
        log_no: run.log_no,
        acknowledged: recorded.received.acknowledged,
        holes: recorded.received.holes,
        forked: recorded.forked,
    }))
}

fn refuse(e: RunError) -> ApiError {
    let field = |index: usize, code: &'static str| {
        vec![FieldError::new(format!("run.entries[{index}]"), code, "see detail")]
    };
    let errors = match &e {
        RunError::NotAnEntry { index, .. } => field(*index, "not_an_entry"),
        RunError::Misplaced { index, .. } => field(*index, "misplaced"),
        RunError::BrokenChain { index } => field(*index, "broken_chain"),
        RunError::TooManyEntries(_) | RunError::TooManyBytes(_) => {
            return ApiError::too_large(format!("{e}"));
        }
        RunError::Empty | RunError::BadSignature => Vec::new(),
    };
    ApiError::unprocessable("bad_run", format!("{e}")).with_errors(errors)
}
