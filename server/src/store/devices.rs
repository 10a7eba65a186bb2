//! Invitations (slots), devices, and what they said last of their health.

use shared::bytes::{Hash32, Nonce16, Nonce32, PublicKey};
use shared::ids::{DeviceId, EventId};
use shared::manifest::docs::{Capability, LogPlace, ManifestVersion};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::device::{Attempt, Revealed, Slot, SlotState};

/// A new invitation.
#[derive(Debug)]
pub struct NewSlot<'a> {
    pub slot_id: Uuid,
    pub event_id: Uuid,
    pub label: &'a str,
    pub box_office: bool,
    pub short_name: &'a str,
    pub link_secret_hash: Hash32,
    pub typed_secret_hash: Hash32,
    pub tries: i16,
    pub created_by: Uuid,
    pub created_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
}

/// Takes a key of the directory, if nobody holds it. `kind` as 'slot' or 'device'.
pub async fn claim_key(
    conn: &mut PgConnection,
    kind: &str,
    key: &str,
    organizer: Uuid,
    event: Uuid,
) -> Result<bool, sqlx::Error> {
    let taken = sqlx::query!(
        "insert into directory (kind, key, organizer_id, event_id) values ($1, $2, $3, $4)
         on conflict (kind, key) do nothing",
        kind,
        key,
        organizer,
        event,
    )
    .execute(conn)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Gives back the typed names of this organizer's slots that are over. There are only a million.
pub async fn release_names(
    conn: &mut PgConnection,
    organizer: Uuid,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from directory d using device_slots s
          where d.kind = 'slot' and d.organizer_id = $1 and s.organizer_id = $1
            and d.key in (s.short_name, s.slot_id::text)
            and s.expires_at <= $2::timestamptz - interval '1 hour'",
        organizer,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub async fn insert_slot(
    conn: &mut PgConnection,
    organizer: Uuid,
    slot: &NewSlot<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into device_slots (organizer_id, slot_id, event_id, label, box_office, short_name, link_secret_hash,
                                   typed_secret_hash, tries_left, created_by, created_at, expires_at, state)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'open')",
        organizer,
        slot.slot_id,
        slot.event_id,
        slot.label,
        slot.box_office,
        slot.short_name,
        &slot.link_secret_hash.0[..],
        &slot.typed_secret_hash.0[..],
        slot.tries,
        slot.created_by,
        slot.created_at,
        slot.expires_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

struct SlotRow {
    slot_id: Uuid,
    event_id: Uuid,
    label: String,
    box_office: bool,
    short_name: String,
    link_secret_hash: Vec<u8>,
    typed_secret_hash: Vec<u8>,
    tries_left: i16,
    created_at: OffsetDateTime,
    expires_at: OffsetDateTime,
    state: String,
    enrolment_id: Option<Vec<u8>>,
    commitment: Option<Vec<u8>>,
    server_nonce: Option<Vec<u8>>,
    public_key: Option<Vec<u8>>,
    device_nonce: Option<Vec<u8>>,
    digits: Option<String>,
    device_id: Option<Uuid>,
}

impl TryFrom<SlotRow> for Slot {
    type Error = sqlx::Error;

    fn try_from(r: SlotRow) -> Result<Self, sqlx::Error> {
        let attempt = || {
            Some(Attempt {
                enrolment: Nonce16::from_slice(r.enrolment_id.as_deref()?)?,
                commitment: Hash32::from_slice(r.commitment.as_deref()?)?,
                server_nonce: Nonce32::from_slice(r.server_nonce.as_deref()?)?,
            })
        };
        let revealed = || {
            Some(Revealed {
                public_key: PublicKey::from_slice(r.public_key.as_deref()?)?,
                device_nonce: Nonce32::from_slice(r.device_nonce.as_deref()?)?,
                digits: r.digits.clone()?,
            })
        };
        let state = match r.state.as_str() {
            "open" => Some(SlotState::Open),
            "committed" => attempt().map(SlotState::Committed),
            "revealed" => attempt().zip(revealed()).map(|(a, k)| SlotState::Revealed(a, k)),
            "confirmed" => attempt()
                .zip(revealed())
                .zip(r.device_id)
                .map(|((a, k), device)| SlotState::Confirmed(a, k, device)),
            "declined" => Some(SlotState::Declined),
            _ => None,
        };
        Ok(Self {
            slot_id: r.slot_id,
            event_id: r.event_id,
            link_secret_hash: hash(&r.link_secret_hash, "device_slots.link_secret_hash")?,
            typed_secret_hash: hash(&r.typed_secret_hash, "device_slots.typed_secret_hash")?,
            state: state.ok_or_else(|| corrupt("device_slots.state"))?,
            label: r.label,
            box_office: r.box_office,
            short_name: r.short_name,
            tries_left: r.tries_left,
            created_at: r.created_at,
            expires_at: r.expires_at,
        })
    }
}

/// A value that the table's own checks forbid.
pub(super) fn corrupt(column: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(format!("{column} holds what its check forbids").into())
}

pub(super) fn hash(bytes: &[u8], column: &'static str) -> Result<Hash32, sqlx::Error> {
    Hash32::from_slice(bytes).ok_or_else(|| corrupt(column))
}

/// The slot, locked, so that tries and steps follow one another. `key` is its id, its typed name or the id
/// of its enrolment: exactly one of them.
pub async fn lock_slot(
    conn: &mut PgConnection,
    organizer: Uuid,
    key: SlotKey<'_>,
) -> Result<Option<Slot>, sqlx::Error> {
    let (id, name) = match key {
        SlotKey::Id(id) => (Some(id), None),
        SlotKey::Name(name) => (None, Some(name)),
    };
    // A name may have been used before: the newest slot is meant.
    sqlx::query_as!(
        SlotRow,
        "select slot_id, event_id, label, box_office, short_name, link_secret_hash, typed_secret_hash, tries_left,
                created_at, expires_at, state, enrolment_id, commitment, server_nonce, public_key, device_nonce,
                digits, device_id
           from device_slots
          where organizer_id = $1 and (slot_id = $2 or short_name = $3)
          order by created_at desc limit 1 for update",
        organizer,
        id,
        name,
    )
    .fetch_optional(conn)
    .await?
    .map(Slot::try_from)
    .transpose()
}

/// How a slot is named.
#[derive(Debug, Clone, Copy)]
pub enum SlotKey<'a> {
    Id(Uuid),
    Name(&'a str),
}

/// The invitations of an event, newest first.
pub async fn slots(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    before: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<Slot>, sqlx::Error> {
    let (before_at, before_id) = before.unzip();
    sqlx::query_as!(
        SlotRow,
        "select slot_id, event_id, label, box_office, short_name, link_secret_hash, typed_secret_hash, tries_left,
                created_at, expires_at, state, enrolment_id, commitment, server_nonce, public_key, device_nonce,
                digits, device_id
           from device_slots
          where organizer_id = $1 and event_id = $2
            and ($3::timestamptz is null or (created_at, slot_id) < ($3, $4::uuid))
          order by created_at desc, slot_id desc limit $5",
        organizer,
        event,
        before_at,
        before_id,
        limit,
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Slot::try_from)
    .collect()
}

/// A wrong secret or wrong digits. The slot is locked by the caller; it dies with its last try.
pub async fn spend_try(
    conn: &mut PgConnection,
    organizer: Uuid,
    slot: Uuid,
    now: OffsetDateTime,
) -> Result<i16, sqlx::Error> {
    sqlx::query_scalar!(
        "update device_slots
            set tries_left = greatest(tries_left - 1, 0),
                state = case when tries_left <= 1 and state <> 'confirmed' then 'declined' else state end,
                decided_at = case when tries_left <= 1 and state <> 'confirmed' then $3 else decided_at end
          where organizer_id = $1 and slot_id = $2
          returning tries_left",
        organizer,
        slot,
        now,
    )
    .fetch_one(conn)
    .await
}

/// open → committed. False if it is no longer open.
pub async fn commit_slot(
    conn: &mut PgConnection,
    organizer: Uuid,
    slot: Uuid,
    attempt: &Attempt,
    expires_at: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update device_slots
            set state = 'committed', enrolment_id = $3, commitment = $4, server_nonce = $5, expires_at = $6
          where organizer_id = $1 and slot_id = $2 and state = 'open'",
        organizer,
        slot,
        &attempt.enrolment.0[..],
        &attempt.commitment.0[..],
        &attempt.server_nonce.0[..],
        expires_at,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// committed → revealed. False if it is no longer committed.
pub async fn reveal_slot(
    conn: &mut PgConnection,
    organizer: Uuid,
    slot: Uuid,
    revealed: &Revealed,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update device_slots set state = 'revealed', public_key = $3, device_nonce = $4, digits = $5
          where organizer_id = $1 and slot_id = $2 and state = 'committed'",
        organizer,
        slot,
        &revealed.public_key.0[..],
        &revealed.device_nonce.0[..],
        revealed.digits,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// revealed → confirmed. False if it is no longer revealed.
pub async fn confirm_slot(
    conn: &mut PgConnection,
    organizer: Uuid,
    slot: Uuid,
    device: Uuid,
    by: Uuid,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update device_slots set state = 'confirmed', device_id = $3, decided_by = $4, decided_at = $5
          where organizer_id = $1 and slot_id = $2 and state = 'revealed'",
        organizer,
        slot,
        device,
        by,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Anything but confirmed → declined. False if it was confirmed.
pub async fn decline_slot(
    conn: &mut PgConnection,
    organizer: Uuid,
    slot: Uuid,
    by: Uuid,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update device_slots set state = 'declined', decided_by = $3, decided_at = $4
          where organizer_id = $1 and slot_id = $2 and state <> 'confirmed'",
        organizer,
        slot,
        by,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

// Devices -----------------------------------------------------------------------------------------

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

/// A column that a check keeps within a smaller type.
pub(super) fn number<T: TryFrom<i64>>(value: i64) -> Result<T, sqlx::Error> {
    T::try_from(value)
        .map_err(|_| sqlx::Error::Decode(format!("{value} is out of its column's range").into()))
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
