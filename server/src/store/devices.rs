//! Devices, and what they said last of their health.

use shared::bytes::{Hash32, PublicKey};
use shared::ids::{DeviceId, EventId};
use shared::manifest::docs::{Capability, LogPlace, ManifestVersion};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// A device to store.
#[derive(Debug)]
pub struct NewDevice<'a> {
    pub device_id: DeviceId,
    pub event_id: Uuid,
    pub number: u32,
    pub label: &'a str,
    pub box_office: bool,
    pub public_key: PublicKey,
    /// Of the virtual device alone.
    pub private_key_sealed: Option<&'a [u8]>,
    pub certificate: &'a [u8],
    pub not_after: OffsetDateTime,
    pub confirmed_at: OffsetDateTime,
    pub confirmed_by: Option<Uuid>,
}

/// A device as stored.
#[derive(Debug, Clone)]
pub struct Device {
    pub device_id: DeviceId,
    pub event_id: EventId,
    pub number: u32,
    pub label: String,
    pub box_office: bool,
    pub public_key: PublicKey,
    pub private_key_sealed: Option<Vec<u8>>,
    pub certificate: Vec<u8>,
    pub not_after: OffsetDateTime,
    pub confirmed_at: OffsetDateTime,
    pub revoked: Option<Revoked>,
    pub health: Health,
}

/// What stands of a revoked device's log.
#[derive(Debug, Clone, Copy)]
pub struct Revoked {
    pub at: OffsetDateTime,
    pub cut_off: LogPlace,
    pub accepted_to: Option<LogPlace>,
    pub decided_to: Option<LogPlace>,
}

/// What a device said last.
#[derive(Debug, Clone, Copy, Default)]
pub struct Health {
    pub last_sync_at: Option<OffsetDateTime>,
    pub clock_offset_ms: Option<i64>,
    pub clock_uncertainty_ms: Option<i64>,
    pub unsent: Option<i64>,
    pub manifest: Option<ManifestVersion>,
}

impl Device {
    /// Its capabilities, sorted.
    pub fn capabilities(&self) -> Vec<Capability> {
        capabilities(self.box_office)
    }
}

/// Every device scans; some see names.
pub fn capabilities(box_office: bool) -> Vec<Capability> {
    if box_office { vec![Capability::Scan, Capability::BoxOffice] } else { vec![Capability::Scan] }
}

struct DeviceRow {
    device_id: Uuid,
    event_id: Uuid,
    number: i64,
    label: String,
    box_office: bool,
    public_key: Vec<u8>,
    private_key_sealed: Option<Vec<u8>>,
    certificate: Vec<u8>,
    not_after: OffsetDateTime,
    confirmed_at: OffsetDateTime,
    revoked_at: Option<OffsetDateTime>,
    cut_off_log_no: Option<i64>,
    cut_off_seq: Option<i64>,
    accepted_log_no: Option<i64>,
    accepted_seq: Option<i64>,
    decided_log_no: Option<i64>,
    decided_seq: Option<i64>,
    last_sync_at: Option<OffsetDateTime>,
    clock_offset_ms: Option<i64>,
    clock_uncertainty_ms: Option<i64>,
    unsent: Option<i64>,
    manifest_epoch: Option<i64>,
    manifest_change_seq: Option<i64>,
    manifest_as_of: Option<OffsetDateTime>,
}

impl TryFrom<DeviceRow> for Device {
    type Error = sqlx::Error;

    fn try_from(r: DeviceRow) -> Result<Self, sqlx::Error> {
        let place = |log_no: Option<i64>, seq: Option<i64>| -> Result<Option<LogPlace>, sqlx::Error> {
            let (Some(log_no), Some(seq)) = (log_no, seq) else { return Ok(None) };
            Ok(Some(LogPlace { log_no: number(log_no)?, seq: number(seq)? }))
        };
        let revoked = match (r.revoked_at, place(r.cut_off_log_no, r.cut_off_seq)?) {
            (Some(at), Some(cut_off)) => Some(Revoked {
                at,
                cut_off,
                accepted_to: place(r.accepted_log_no, r.accepted_seq)?,
                decided_to: place(r.decided_log_no, r.decided_seq)?,
            }),
            _ => None,
        };
        let manifest = match (r.manifest_epoch, r.manifest_change_seq, r.manifest_as_of) {
            (Some(epoch), Some(seq), Some(as_of)) => {
                Some(ManifestVersion { epoch: number(epoch)?, change_seq: number(seq)?, as_of: as_of.into() })
            }
            _ => None,
        };
        Ok(Self {
            device_id: r.device_id.into(),
            event_id: r.event_id.into(),
            number: number(r.number)?,
            public_key: PublicKey::from_slice(&r.public_key).ok_or_else(|| corrupt("devices.public_key"))?,
            revoked,
            health: Health {
                last_sync_at: r.last_sync_at,
                clock_offset_ms: r.clock_offset_ms,
                clock_uncertainty_ms: r.clock_uncertainty_ms,
                unsent: r.unsent,
                manifest,
            },
            label: r.label,
            box_office: r.box_office,
            private_key_sealed: r.private_key_sealed,
            certificate: r.certificate,
            not_after: r.not_after,
            confirmed_at: r.confirmed_at,
        })
    }
}

pub async fn insert(
    conn: &mut PgConnection,
    organizer: Uuid,
    device: &NewDevice<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into devices (organizer_id, device_id, event_id, number, label, box_office, public_key,
                              private_key_sealed, certificate, not_after, confirmed_at, confirmed_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        organizer,
        device.device_id.0,
        device.event_id,
        i64::from(device.number),
        device.label,
        device.box_office,
        &device.public_key.0[..],
        device.private_key_sealed,
        device.certificate,
        device.not_after,
        device.confirmed_at,
        device.confirmed_by,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The next device number of the event, from 1. Held until the transaction ends.
pub async fn next_number(conn: &mut PgConnection, organizer: Uuid, event: Uuid) -> Result<u32, sqlx::Error> {
    let next = sqlx::query_scalar!(
        "insert into scan_counters (organizer_id, event_id, last_number) values ($1, $2, 1)
         on conflict (organizer_id, event_id) do update set last_number = scan_counters.last_number + 1
         returning last_number",
        organizer,
        event,
    )
    .fetch_one(conn)
    .await?;
    number(next)
}

pub async fn find(
    conn: &mut PgConnection,
    organizer: Uuid,
    device: DeviceId,
) -> Result<Option<Device>, sqlx::Error> {
    sqlx::query_as!(
        DeviceRow,
        "select device_id, event_id, number, label, box_office, public_key, private_key_sealed, certificate, not_after,
                confirmed_at, revoked_at, cut_off_log_no, cut_off_seq, accepted_log_no, accepted_seq,
                decided_log_no, decided_seq, last_sync_at, clock_offset_ms, clock_uncertainty_ms, unsent,
                manifest_epoch, manifest_change_seq, manifest_as_of
           from devices where organizer_id = $1 and device_id = $2",
        organizer,
        device.0,
    )
    .fetch_optional(conn)
    .await?
    .map(Device::try_from)
    .transpose()
}

/// The event's device of that number.
pub async fn by_number(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    number: u32,
) -> Result<Option<Device>, sqlx::Error> {
    sqlx::query_as!(
        DeviceRow,
        "select device_id, event_id, number, label, box_office, public_key, private_key_sealed, certificate, not_after,
                confirmed_at, revoked_at, cut_off_log_no, cut_off_seq, accepted_log_no, accepted_seq,
                decided_log_no, decided_seq, last_sync_at, clock_offset_ms, clock_uncertainty_ms, unsent,
                manifest_epoch, manifest_change_seq, manifest_as_of
           from devices where organizer_id = $1 and event_id = $2 and number = $3",
        organizer,
        event,
        i64::from(number),
    )
    .fetch_optional(conn)
    .await?
    .map(Device::try_from)
    .transpose()
}

/// All devices of an event by number.
pub async fn of_event(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
) -> Result<Vec<Device>, sqlx::Error> {
    sqlx::query_as!(
        DeviceRow,
        "select device_id, event_id, number, label, box_office, public_key, private_key_sealed, certificate, not_after,
                confirmed_at, revoked_at, cut_off_log_no, cut_off_seq, accepted_log_no, accepted_seq,
                decided_log_no, decided_seq, last_sync_at, clock_offset_ms, clock_uncertainty_ms, unsent,
                manifest_epoch, manifest_change_seq, manifest_as_of
           from devices where organizer_id = $1 and event_id = $2 order by number",
        organizer,
        event,
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Device::try_from)
    .collect()
}

/// active → revoked with a cut-off. False if it was revoked before.
pub async fn revoke(
    conn: &mut PgConnection,
    organizer: Uuid,
    device: DeviceId,
    cut_off: LogPlace,
    by: Uuid,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update devices set status = 'revoked', revoked_at = $3, revoked_by = $4, cut_off_log_no = $5, cut_off_seq = $6
          where organizer_id = $1 and device_id = $2 and status = 'active' and number > 0",
        organizer,
        device.0,
        now,
        by,
        i64::from(cut_off.log_no),
        i64::try_from(cut_off.seq).map_err(|e| sqlx::Error::Encode(e.into()))?,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The owner looked at a revoked device's entries up to `to`, and accepts them or not. Neither place falls.
pub async fn decide_quarantine(
    conn: &mut PgConnection,
    organizer: Uuid,
    device: DeviceId,
    to: LogPlace,
    accept: bool,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update devices
            set decided_log_no = case when (coalesce(decided_log_no, 0), coalesce(decided_seq, 0)) < ($3::bigint, $4::bigint) then $3 else decided_log_no end,
                decided_seq = case when (coalesce(decided_log_no, 0), coalesce(decided_seq, 0)) < ($3::bigint, $4::bigint) then $4 else decided_seq end,
                accepted_log_no = case when $5 and (coalesce(accepted_log_no, 0), coalesce(accepted_seq, 0)) < ($3::bigint, $4::bigint) then $3 else accepted_log_no end,
                accepted_seq = case when $5 and (coalesce(accepted_log_no, 0), coalesce(accepted_seq, 0)) < ($3::bigint, $4::bigint) then $4 else accepted_seq end
          where organizer_id = $1 and device_id = $2 and status = 'revoked'",
        organizer,
        device.0,
        i64::from(to.log_no),
        i64::try_from(to.seq).map_err(|e| sqlx::Error::Encode(e.into()))?,
        accept,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What a device told of itself with a signed request. What it did not tell stays.
pub async fn note_health(
    conn: &mut PgConnection,
    organizer: Uuid,
    device: DeviceId,
    health: &Health,
) -> Result<(), sqlx::Error> {
    let as_of = health.manifest.and_then(|m| m.as_of.millis().to_datetime());
    sqlx::query!(
        "update devices
            set last_sync_at = greatest(last_sync_at, $3),
                clock_offset_ms = coalesce($4, clock_offset_ms),
                clock_uncertainty_ms = coalesce($5, clock_uncertainty_ms),
                unsent = coalesce($6, unsent),
                manifest_epoch = coalesce($7, manifest_epoch),
                manifest_change_seq = coalesce($8, manifest_change_seq),
                manifest_as_of = coalesce($9, manifest_as_of)
          where organizer_id = $1 and device_id = $2",
        organizer,
        device.0,
        health.last_sync_at,
        health.clock_offset_ms,
        health.clock_uncertainty_ms,
        health.unsent,
        health.manifest.map(|m| i64::from(m.epoch)),
        health.manifest.and_then(|m| i64::try_from(m.change_seq).ok()),
        as_of,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The place up to which a device's newest log is here without holes; log 0 if nothing is.
pub async fn acknowledged_place(
    conn: &mut PgConnection,
    organizer: Uuid,
    device: DeviceId,
) -> Result<LogPlace, sqlx::Error> {
    let row = sqlx::query!(
        r#"select log_no, coalesce((select max(upper(r)) - 1 from unnest(received) r where lower(r) = 1), 0) as "seq!"
             from device_logs where organizer_id = $1 and device_id = $2 order by log_no desc limit 1 for update"#,
        organizer,
        device.0,
    )
    .fetch_optional(conn)
    .await?;
    match row {
        None => Ok(LogPlace { log_no: 0, seq: 0 }),
        Some(r) => Ok(LogPlace { log_no: number(r.log_no)?, seq: number(r.seq)? }),
    }
}

/// A column that a check keeps within a smaller type.
pub(super) fn number<T: TryFrom<i64>>(value: i64) -> Result<T, sqlx::Error> {
    T::try_from(value)
        .map_err(|_| sqlx::Error::Decode(format!("{value} is out of its column's range").into()))
}

/// A value that the table's own checks forbid.
pub(super) fn corrupt(column: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(format!("{column} holds what its check forbids").into())
}

pub(super) fn hash(bytes: &[u8], column: &'static str) -> Result<Hash32, sqlx::Error> {
    Hash32::from_slice(bytes).ok_or_else(|| corrupt(column))
}
