//! The devices of an event, with their health.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use shared::manifest::docs::LogPlace;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::event;
use crate::app::AppState;
use crate::http::{ApiError, ApiPath, ApiQuery, Member, Page, PageQuery, Problem};
use crate::store::devices::{self, Device};

/// A place in a log.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(super) struct PlaceJson {
    log_no: u32,
    seq: u64,
}

impl From<LogPlace> for PlaceJson {
    fn from(p: LogPlace) -> Self {
        Self { log_no: p.log_no, seq: p.seq }
    }
}

/// What is left of a revoked device.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RevokedJson {
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// Entries up to here count.
    cut_off: PlaceJson,
    /// Later ones were accepted up to here.
    accepted_to: Option<PlaceJson>,
    /// The owner has decided on entries up to here.
    decided_to: Option<PlaceJson>,
}

/// A manifest's version.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ManifestJson {
    epoch: u32,
    change_seq: u64,
    #[serde(with = "time::serde::rfc3339::option")]
    as_of: Option<OffsetDateTime>,
}

/// A gate device.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct DeviceJson {
    device_id: Uuid,
    event_id: Uuid,
    /// Within the event; 0 is the server's virtual device.
    number: u32,
    label: String,
    box_office: bool,
    /// `active`, `expired` or `revoked`.
    status: &'static str,
    #[serde(with = "time::serde::rfc3339")]
    confirmed_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    not_after: OffsetDateTime,
    revoked: Option<RevokedJson>,
    #[serde(with = "time::serde::rfc3339::option")]
    last_sync_at: Option<OffsetDateTime>,
    /// Its wall clock less ours, as it reckons.
    clock_offset_ms: Option<i64>,
    clock_uncertainty_ms: Option<i64>,
    /// Entries it has not uploaded yet, as it said last.
    unsent: Option<i64>,
    /// The manifest it held last.
    manifest: Option<ManifestJson>,
}

impl DeviceJson {
    pub(in crate::http) fn of(d: &Device, now: OffsetDateTime) -> Self {
        let status = match &d.revoked {
            Some(_) => "revoked",
            None if now >= d.not_after => "expired",
            None => "active",
        };
        Self {
            device_id: d.device_id.0,
            event_id: d.event_id.0,
            number: d.number,
            label: d.label.clone(),
            box_office: d.box_office,
            status,
            confirmed_at: d.confirmed_at,
            not_after: d.not_after,
            revoked: d.revoked.map(|r| RevokedJson {
                at: r.at,
                cut_off: r.cut_off.into(),
                accepted_to: r.accepted_to.map(Into::into),
                decided_to: r.decided_to.map(Into::into),
            }),
            last_sync_at: d.health.last_sync_at,
            clock_offset_ms: d.health.clock_offset_ms,
            clock_uncertainty_ms: d.health.clock_uncertainty_ms,
            unsent: d.health.unsent,
            manifest: d.health.manifest.map(|m| ManifestJson {
                epoch: m.epoch,
                change_seq: m.change_seq,
                as_of: m.as_of.millis().to_datetime(),
            }),
        }
    }
}

/// The event's devices by number, with their health.
#[utoipa::path(get, path = "/organizer/events/{event_id}/devices", operation_id = "list_devices", tag = "devices", params(("event_id" = Uuid, Path), PageQuery),
    security(("bearer" = [])), responses((status = 200, body = Page<DeviceJson>), (status = 404, body = Problem)))]
pub(super) async fn list(
    State(app): State<AppState>,
    member: Member,
    ApiPath(event_id): ApiPath<Uuid>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<DeviceJson>>, ApiError> {
    let mut tx = app.db.tenant(member.organizer_id).await?;
    event(&mut tx, member.organizer_id, event_id).await?;
    let devices = devices::of_event(&mut tx, member.organizer_id, event_id).await?;
    tx.commit().await?;
    let now = app.clock.now();
    let all = devices.iter().map(|d| DeviceJson::of(d, now)).collect();
    Ok(Json(Page::of_few("devices", &query, all, |d: &DeviceJson| d.device_id)?))
}
