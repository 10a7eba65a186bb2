//! Taking a device out: what it has uploaded counts, what comes later waits for the owner.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use serde_json::json;
use shared::ids::{DeviceId, EventId, OrganizerId};
use shared::manifest::docs::LogPlace;
use uuid::Uuid;

use super::device::DeviceJson;
use super::note;
use crate::app::AppState;
use crate::gates::record;
use crate::http::{ApiError, ApiPath, Member, Problem};
use crate::store::change::{self, RecordError};
use crate::store::devices::{self, Device};
use crate::store::{Tx, scans};

/// Revokes a device: it reads nothing more; its log counts up to what is acknowledged now.
#[utoipa::path(post, path = "/organizer/events/{event_id}/devices/{device_id}/revoke", operation_id = "revoke_device", tag = "devices",
    params(("event_id" = Uuid, Path), ("device_id" = Uuid, Path)), security(("bearer" = [])),
    responses((status = 200, body = DeviceJson), (status = 404, body = Problem)))]
pub(super) async fn revoke(
    State(app): State<AppState>,
    member: Member,
    ApiPath((event_id, device_id)): ApiPath<(Uuid, Uuid)>,
) -> Result<Json<DeviceJson>, ApiError> {
    let (organizer, now) = (member.organizer_id, app.clock.now());
    let id = DeviceId(device_id);
    let mut tx = app.db.tenant(organizer).await?;
    let device = enrolled(&mut tx, organizer, event_id, id).await?;
    if device.revoked.is_none() {
        // The log first, then the event: as uploads lock them.
        let cut_off = devices::acknowledged_place(&mut tx, organizer, id).await?;
        scans::lock_cursor(&mut tx, organizer, event_id).await?;
        if devices::revoke(&mut tx, organizer, id, cut_off, member.user.user_id, now).await? {
            refold_after(&mut tx, organizer, event_id, id, cut_off, now).await?;
            let detail = json!({ "event_id": event_id, "log_no": cut_off.log_no, "seq": cut_off.seq });
            note(&app, &mut tx, &member, "device.revoked", ("device", device_id), detail).await?;
            tell_gates(&mut tx, organizer, event_id).await?;
        }
    }
    let device = enrolled(&mut tx, organizer, event_id, id).await?;
    tx.commit().await?;
    app.news.publish(event_id);
    Ok(Json(DeviceJson::of(&device, now)))
}

/// A device of the event that a machine holds, or 404.
pub(super) async fn enrolled(
    tx: &mut Tx,
    organizer: Uuid,
    event_id: Uuid,
    device: DeviceId,
) -> Result<Device, ApiError> {
    devices::find(tx, organizer, device)
        .await?
        .filter(|d| d.event_id.0 == event_id && d.number > 0)
        .ok_or_else(|| ApiError::not_found("device"))
}

/// Folds anew whatever the device's entries after a place belong to. The event's cursor is locked.
pub(super) async fn refold_after(
    tx: &mut Tx,
    organizer: Uuid,
    event_id: Uuid,
    device: DeviceId,
    after: LogPlace,
    now: time::OffsetDateTime,
) -> Result<(), ApiError> {
    let pairs: BTreeSet<_> = scans::pairs_after(tx, organizer, event_id, device, after.log_no, after.seq)
        .await?
        .into_iter()
        .collect();
    record::refold(tx, OrganizerId(organizer), EventId(event_id), &pairs, now).await?;
    Ok(())
}

/// The key list changed: the last statement of the transaction.
pub(super) async fn tell_gates(tx: &mut Tx, organizer: Uuid, event_id: Uuid) -> Result<(), ApiError> {
    change::record(tx, organizer, event_id, &[], None).await.map(drop).map_err(|e| match e {
        RecordError::Database(e) => e.into(),
        e @ RecordError::TooLate => ApiError::internal(e),
    })
}
