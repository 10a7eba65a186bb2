//! Entries of a revoked device after its cut-off: the owner accepts or rejects them.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::admission::Outcome;
use shared::ids::{DeviceId, EventId, OrganizerId};
use shared::log::entry::{EntryKind, LogEntry};
use shared::manifest::docs::LogPlace;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::device::DeviceJson;
use super::note;
use super::revoke::{enrolled, refold_after, tell_gates};
use crate::app::AppState;
use crate::gates::record;
use crate::http::{ApiError, ApiJson, ApiPath, ApiQuery, Member, Page, PageQuery, Problem};
use crate::store::devices::{self, Revoked};
use crate::store::scans::{self, Waiting};

const LIST: &str = "quarantine";

/// An entry that waits.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct QuarantinedJson {
    log_no: u32,
    seq: u64,
    #[schema(value_type = String)]
    kind: EntryKind,
    #[schema(value_type = String)]
    outcome: Outcome,
    list_id: Option<Uuid>,
    ticket_id: Option<Uuid>,
    gate_id: Option<Uuid>,
    steward_id: Option<Uuid>,
    /// As the device reckoned.
    #[serde(with = "time::serde::rfc3339::option")]
    scanned_at: Option<OffsetDateTime>,
    error_ms: u32,
    #[serde(with = "time::serde::rfc3339")]
    received_at: OffsetDateTime,
}

/// Entries of a revoked device that nobody has decided on, in the order of its log.
#[utoipa::path(get, path = "/organizer/events/{event_id}/devices/{device_id}/quarantine", operation_id = "list_quarantine", tag = "devices",
    params(("event_id" = Uuid, Path), ("device_id" = Uuid, Path), PageQuery), security(("bearer" = [])),
    responses((status = 200, body = Page<QuarantinedJson>), (status = 404, body = Problem), (status = 409, body = Problem, description = "`not_revoked`")))]
pub(super) async fn list(
    State(app): State<AppState>,
    member: Member,
    ApiPath((event_id, device_id)): ApiPath<(Uuid, Uuid)>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<QuarantinedJson>>, ApiError> {
    let mut tx = app.db.tenant(member.organizer_id).await?;
    let device = enrolled(&mut tx, member.organizer_id, event_id, DeviceId(device_id)).await?;
    let undecided = undecided_from(&device.revoked.ok_or_else(not_revoked)?);
    let after = query.after::<(u32, u64)>(LIST)?.map(|(log_no, seq)| LogPlace { log_no, seq });
    let (from, limit) = (after.map_or(undecided, |after| after.max(undecided)), query.limit());
    let entries = scans::entries_after(
        &mut tx,
        member.organizer_id,
        device.device_id,
        from.log_no,
        from.seq,
        limit + 1,
    )
    .await?;
    tx.commit().await?;
    let key = |w: &Waiting| (w.entry.place.log_no, w.entry.place.seq);
    Ok(Json(Page::of(LIST, limit, entries, key, waiting_json)))
}

fn waiting_json(w: Waiting) -> QuarantinedJson {
    let LogEntry { place, kind, outcome, list, ticket, gate, staff, time, .. } = w.entry;
    QuarantinedJson {
        log_no: place.log_no,
        seq: place.seq,
        kind,
        outcome,
        list_id: list.map(Uuid::from),
        ticket_id: ticket.map(Uuid::from),
        gate_id: gate.map(Uuid::from),
        steward_id: staff.map(Uuid::from),
        scanned_at: time.corrected.to_datetime(),
        error_ms: time.error_ms,
        received_at: w.received_at,
    }
}

fn undecided_from(revoked: &Revoked) -> LogPlace {
    revoked.decided_to.map_or(revoked.cut_off, |to| to.max(revoked.cut_off))
}

fn not_revoked() -> ApiError {
    ApiError::conflict("not_revoked", "the device is not revoked, so nothing of it waits")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Decision {
    Accept,
    Reject,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DecideQuarantine {
    decision: Decision,
    /// The last entry that was looked at; later ones go on waiting.
    log_no: u32,
    seq: u64,
}

/// Accepts or rejects what waits up to an entry. Only the owner may. A rejection is final, and nothing
/// behind it can be accepted: gates know one place up to which a log counts.
#[utoipa::path(post, path = "/organizer/events/{event_id}/devices/{device_id}/quarantine", operation_id = "decide_quarantine", tag = "devices",
    params(("event_id" = Uuid, Path), ("device_id" = Uuid, Path)), request_body = DecideQuarantine, security(("bearer" = [])),
    responses((status = 200, body = DeviceJson), (status = 404, body = Problem),
              (status = 409, body = Problem, description = "`not_revoked`, `already_rejected`"), (status = 422, body = Problem)))]
pub(super) async fn decide(
    State(app): State<AppState>,
    member: Member,
    ApiPath((event_id, device_id)): ApiPath<(Uuid, Uuid)>,
    ApiJson(body): ApiJson<DecideQuarantine>,
) -> Result<Json<DeviceJson>, ApiError> {
    let (organizer, now) = (member.organizer_id, app.clock.now());
    let id = DeviceId(device_id);
    let to = LogPlace { log_no: body.log_no, seq: body.seq };
    let mut tx = app.db.tenant(organizer).await?;
    enrolled(&mut tx, organizer, event_id, id).await?;
    scans::lock_cursor(&mut tx, organizer, event_id).await?;
    // Again under the lock: another owner may have decided just now.
    let revoked = enrolled(&mut tx, organizer, event_id, id).await?.revoked.ok_or_else(not_revoked)?;
    if to > undecided_from(&revoked) {
        let before = LogPlace { seq: to.seq.saturating_sub(1), ..to };
        let known = scans::entries_after(&mut tx, organizer, id, before.log_no, before.seq, 1)
            .await?
            .into_iter()
            .next();
        if !known.is_some_and(|w| w.entry.place.log_no == to.log_no && w.entry.place.seq == to.seq) {
            return Err(ApiError::invalid_field("seq", "unknown", "no such entry has arrived"));
        }
        let accept = body.decision == Decision::Accept;
        if accept && revoked.decided_to != revoked.accepted_to {
            return Err(ApiError::conflict("already_rejected", "entries before it were rejected"));
        }
        devices::decide_quarantine(&mut tx, organizer, id, to, accept).await?;
        let detail = json!({ "event_id": event_id, "accepted": accept, "log_no": to.log_no, "seq": to.seq });
        note(&app, &mut tx, &member, "device.quarantine_decided", ("device", device_id), detail).await?;
        if accept {
            refold_after(&mut tx, organizer, event_id, id, revoked.cut_off, now).await?;
            let from = undecided_from(&revoked);
            record::tell_accepted(&mut tx, OrganizerId(organizer), EventId(event_id), id, from, now).await?;
            tell_gates(&mut tx, organizer, event_id).await?;
        }
    }
    let device = enrolled(&mut tx, organizer, event_id, id).await?;
    tx.commit().await?;
    app.news.publish(event_id);
    Ok(Json(DeviceJson::of(&device, now)))
}
