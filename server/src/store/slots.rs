//! Slots: invitations of devices, from open to confirmed or declined.

use shared::bytes::{Hash32, Nonce16, Nonce32, PublicKey};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::devices::{corrupt, hash};
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

/// How a slot is named.
#[derive(Debug, Clone, Copy)]
pub enum SlotKey<'a> {
    Id(Uuid),
    Name(&'a str),
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

pub async fn insert(conn: &mut PgConnection, organizer: Uuid, slot: &NewSlot<'_>) -> Result<(), sqlx::Error> {
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

/// The slot, locked, so that tries and steps follow one another. `key` is its id, its typed name or the id
/// of its enrolment: exactly one of them.
pub async fn lock(
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

/// The invitations of an event, newest first.
pub async fn of_event(
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
pub async fn commit(
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
pub async fn reveal(
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
pub async fn confirm(
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
pub async fn decline(
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
