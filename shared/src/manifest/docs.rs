//! The documents that gates trust, as CBOR values. Each is signed as COSE_Sign1 (RFC 9052) with external_aad
//! `hvflvspot/<kind>/v1`; the signed bytes are kept and passed on, never re-serialised.

use crate::bytes::{Hash32, Kid, Nonce16, PublicKey};
use crate::ids::{DeviceId, EventId, GateId, ListId, OrganizerId, StewardId, TicketTypeId};
use crate::time::{UnixMillis, UnixSecs};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Which document a signature covers; part of the external_aad, so that none passes for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocKind {
    /// [`TrustRoot`], signed by its own root key.
    TrustRoot,
    /// SHA-256 of a signed trust root, signed by the root key before it.
    TrustRootSuccession,
    /// [`KeyList`].
    KeyList,
    /// [`DeviceCertificate`].
    DeviceCertificate,
    /// [`ManifestHeader`].
    ManifestHeader,
    /// [`Freshness`].
    Freshness,
    /// [`ServerTime`].
    ServerTime,
}

impl DocKind {
    /// The external_aad of its signature.
    #[must_use]
    pub const fn external_aad(self) -> &'static [u8] {
        match self {
            Self::TrustRoot => b"hvflvspot/trust-root/v1",
            Self::TrustRootSuccession => b"hvflvspot/trust-root-succession/v1",
            Self::KeyList => b"hvflvspot/key-list/v1",
            Self::DeviceCertificate => b"hvflvspot/device-certificate/v1",
            Self::ManifestHeader => b"hvflvspot/manifest-header/v1",
            Self::Freshness => b"hvflvspot/freshness/v1",
            Self::ServerTime => b"hvflvspot/server-time/v1",
        }
    }
}

/// Root, manifest and online keys of an organizer. Version N is signed by root key N, and its hash by root key
/// N−1 ([`SignedTrustRoot::succession`]).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct TrustRoot {
    /// Version, from 1; never falls on a gate.
    #[n(0)]
    pub version: u32,
    /// The tenant.
    #[n(1)]
    pub organizer: OrganizerId,
    /// Signs trust roots only; may be kept offline.
    #[n(2)]
    pub root_key: PublicKey,
    /// Sign manifest headers and key lists.
    #[n(3)]
    pub manifest_keys: Vec<PublicKey>,
    /// Sign device certificates, freshness and time.
    #[n(4)]
    pub online_keys: Vec<PublicKey>,
    /// When it was made.
    #[n(5)]
    pub created_at: UnixSecs,
}

/// A trust root as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SignedTrustRoot {
    /// COSE_Sign1 of a [`TrustRoot`] by its own root key.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub document: Vec<u8>,
    /// COSE_Sign1 of SHA-256(document) by the root key before it; absent for version 1.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub succession: Option<Vec<u8>>,
}

/// What a ticket key may still do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum KeyStatus {
    /// Signs and verifies.
    #[n(0)]
    Active,
    /// Verifies only.
    #[n(1)]
    VerifyOnly,
    /// Refuses all its codes: their `issued_at` proves nothing.
    #[n(2)]
    Compromised,
}

/// A key that signs ticket codes of one event.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct TicketKey {
    /// Short name.
    #[n(0)]
    pub kid: Kid,
    /// The key.
    #[n(1)]
    pub public_key: PublicKey,
    /// The only event whose codes it signs.
    #[n(2)]
    pub event: EventId,
    /// What it may do.
    #[n(3)]
    pub status: KeyStatus,
}

/// The last place of a log that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(map)]
pub struct LogPlace {
    /// Which log of the device.
    #[n(0)]
    pub log_no: u32,
    /// The entry's number in it, from 1; 0 means "none of this log".
    #[n(1)]
    pub seq: u64,
}

/// A revoked device: entries up to the cut-off count, later ones wait for the owner's decision.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RevokedDevice {
    /// The device.
    #[n(0)]
    pub device: DeviceId,
    /// Last entry that counts.
    #[n(1)]
    pub cut_off: LogPlace,
    /// Entries after the cut-off up to here were accepted by the owner. All others stay in quarantine.
    #[n(2)]
    pub accepted_to: Option<LogPlace>,
}

/// Ticket keys and revoked devices of an organizer. Signed by a manifest key; its hash stands in the header.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KeyList {
    /// The tenant.
    #[n(0)]
    pub organizer: OrganizerId,
    /// When it was made.
    #[n(1)]
    pub issued_at: UnixSecs,
    /// All ticket keys of all events that gates may meet; sorted by (kid, public key).
    #[n(2)]
    pub ticket_keys: Vec<TicketKey>,
    /// Sorted by device.
    #[n(3)]
    pub revoked_devices: Vec<RevokedDevice>,
}

/// What a device may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Scan tickets.
    #[n(0)]
    Scan,
    /// Receive plain names for search.
    #[n(1)]
    BoxOffice,
}

/// Says that a key is a device of an event. Signed by an online key.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DeviceCertificate {
    /// The tenant.
    #[n(0)]
    pub organizer: OrganizerId,
    /// The one event.
    #[n(1)]
    pub event: EventId,
    /// The enrolment.
    #[n(2)]
    pub device: DeviceId,
    /// Small number within the event; 0 is the server's virtual device.
    #[n(3)]
    pub number: u32,
    /// The device's key.
    #[n(4)]
    pub public_key: PublicKey,
    /// Sorted.
    #[n(5)]
    pub capabilities: Vec<Capability>,
    /// End (half-open).
    #[n(6)]
    pub not_after: UnixSecs,
    /// What people call it.
    #[n(7)]
    pub label: String,
}

/// Facts of the event.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EventInfo {
    /// Title.
    #[n(0)]
    pub title: String,
    /// IANA time zone, for "today" and for printing times.
    #[n(1)]
    pub time_zone: String,
    /// Doors open; falls back to the start.
    #[n(2)]
    pub admission_at: Option<UnixSecs>,
    /// Start.
    #[n(3)]
    pub starts_at: UnixSecs,
    /// End; falls back to the start.
    #[n(4)]
    pub ends_at: Option<UnixSecs>,
}

/// Which ticket types a list or a condition covers. Two cases, so that an empty list is never taken for "all".
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum TypeSet {
    /// Every type, also later ones.
    #[n(0)]
    All,
    /// Only these numbers; sorted; may be empty.
    #[n(1)]
    Only(#[n(0)] Vec<u16>),
}

impl TypeSet {
    /// True if the type number is covered.
    #[must_use]
    pub fn contains(&self, type_no: u16) -> bool {
        match self {
            Self::All => true,
            Self::Only(numbers) => numbers.contains(&type_no),
        }
    }
}

/// A check-in list: which ticket types, which policy.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ListConfig {
    /// Identity.
    #[n(0)]
    pub id: ListId,
    /// Name for people.
    #[n(1)]
    pub name: String,
    /// The ticket types it admits.
    #[n(2)]
    pub ticket_types: TypeSet,
    /// The same ticket may enter again and again.
    #[n(3)]
    pub multiple_entry: bool,
    /// After an exit the ticket may enter again.
    #[n(4)]
    pub reentry_after_exit: bool,
    /// The event's attendance list: totals use it alone. Exactly one per event.
    #[n(5)]
    pub attendance: bool,
    /// Typed rule, JSON as in [`crate::admission::rule`]; absent = no condition.
    #[n(6)]
    pub rule: Option<String>,
}

/// A place.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct GateConfig {
    /// Identity.
    #[n(0)]
    pub id: GateId,
    /// Name for people.
    #[n(1)]
    pub name: String,
}

/// A member of door staff.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Steward {
    /// Identity.
    #[n(0)]
    pub id: StewardId,
    /// Name for people.
    #[n(1)]
    pub label: String,
    /// May override and undo.
    #[n(2)]
    pub supervisor: bool,
    /// argon2id PHC string of the PIN.
    #[n(3)]
    pub pin_hash: String,
}

/// A ticket type as gates need it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct TicketTypeConfig {
    /// Number within the event, as in the code.
    #[n(0)]
    pub number: u16,
    /// Identity.
    #[n(1)]
    pub id: TicketTypeId,
    /// Name for people.
    #[n(2)]
    pub name: String,
    /// First second of validity; 0 = from the start.
    #[n(3)]
    pub not_before: UnixSecs,
    /// First second after validity, grace included (half-open).
    #[n(4)]
    pub expires_at: UnixSecs,
    /// Shown to the steward at every scan of this type ("check the student card").
    #[n(5)]
    pub attention: Option<String>,
}

/// Unknown tickets issued in `[from, to]` count as late sales although `as_of` is later: the database lost them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Gap {
    /// First second.
    #[n(0)]
    pub from: UnixSecs,
    /// Last second.
    #[n(1)]
    pub to: UnixSecs,
}

/// Where a manifest stands; rises lexicographically on a gate.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode, Serialize, Deserialize,
)]
#[cbor(map)]
pub struct ManifestVersion {
    /// Rises when the server's database may have lost something.
    #[n(0)]
    pub epoch: u32,
    /// Rises with each batch of changes of the event.
    #[n(1)]
    pub change_seq: u64,
    /// Nothing sold before this is missing.
    #[n(2)]
    pub as_of: UnixSecs,
}

/// One signed state of an event.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ManifestHeader {
    /// The tenant.
    #[n(0)]
    pub organizer: OrganizerId,
    /// The event.
    #[n(1)]
    pub event: EventId,
    /// Epoch, change sequence and as_of.
    #[n(2)]
    pub version: ManifestVersion,
    /// Losses of the past.
    #[n(3)]
    pub gaps: Vec<Gap>,
    /// Number of ticket rows.
    #[n(4)]
    pub tickets: u32,
    /// Number of foreign barcodes.
    #[n(5)]
    pub imports: u32,
    /// SHA-256 of the signed key list.
    #[n(6)]
    pub key_list_hash: Hash32,
    /// Hash of the 4,096 bucket hashes.
    #[n(7)]
    pub buckets_hash: Hash32,
    /// Facts of the event.
    #[n(8)]
    pub info: EventInfo,
    /// Sorted by id.
    #[n(9)]
    pub lists: Vec<ListConfig>,
    /// Sorted by id.
    #[n(10)]
    pub gates: Vec<GateConfig>,
    /// Sorted by id.
    #[n(11)]
    pub stewards: Vec<Steward>,
    /// Sorted by number.
    #[n(12)]
    pub ticket_types: Vec<TicketTypeConfig>,
    /// After this the gate shows amber and still admits.
    #[n(13)]
    pub fresh_until: UnixSecs,
    /// After this the gate refuses, or a supervisor overrides.
    #[n(14)]
    pub hard_until: UnixSecs,
}

/// Proof that the server answered just now with this header. Signed by an online key.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Freshness {
    /// The gate's nonce.
    #[n(0)]
    pub nonce: Nonce16,
    /// SHA-256 of the signed header.
    #[n(1)]
    pub header_hash: Hash32,
    /// Server's clock.
    #[n(2)]
    pub server_time: UnixMillis,
}

/// The server's clock, signed by an online key, for a device whose own clock is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ServerTime {
    /// The device's nonce.
    #[n(0)]
    pub nonce: Nonce16,
    /// Arrival of the request.
    #[n(1)]
    pub received_at: UnixMillis,
    /// Departure of the answer.
    #[n(2)]
    pub sent_at: UnixMillis,
}
