//! One log entry as canonical CBOR. These bytes are evidence: a gate signs them, servers and other gates keep
//! them for ever. Changing their layout makes every stored signature worthless.

use crate::admission::{Flags, Outcome};
use crate::bytes::{Hash32, Kid, Nonce16};
use crate::ids::{DeviceId, GateId, ListId, StewardId, TicketId};
use crate::manifest::docs::ManifestVersion;
use crate::time::UnixMillis;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// What an entry records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// An accepted scan in: an admission.
    #[n(0)]
    Entry,
    /// An accepted scan out.
    #[n(1)]
    Exit,
    /// A refused scan.
    #[n(2)]
    Refuse,
    /// A supervisor's admission against the verdict.
    #[n(3)]
    Override,
    /// Takes back one entry, override or exit.
    #[n(4)]
    Undo,
    /// First entry of a log that replaces one whose tail could not be proven.
    #[n(5)]
    Fork,
}

/// Which way the person went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Into the venue.
    #[n(0)]
    In,
    /// Out of it.
    #[n(1)]
    Out,
}

/// Where an entry stands: unique per tenant, gapless within (device, log_no).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize,
)]
#[cbor(map)]
pub struct EntryPlace {
    /// The device.
    #[n(0)]
    pub device: DeviceId,
    /// Its log, from 1.
    #[n(1)]
    pub log_no: u32,
    /// Number in the log, from 1.
    #[n(2)]
    pub seq: u64,
}

/// Last successful comparison with the server's clock in the same boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
pub struct Anchor {
    /// Server's clock.
    #[n(0)]
    pub server_time: UnixMillis,
    /// Boot clock (`CLOCK_BOOTTIME`) at that moment, nanoseconds.
    #[n(1)]
    pub monotonic_ns: u64,
    /// Half the round trip, rounded up, milliseconds.
    #[n(2)]
    pub uncertainty_ms: u32,
}

/// When something was scanned, with the evidence for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
pub struct ScanTime {
    /// Best estimate of true time: anchor + elapsed boot time, or the wall clock without an anchor. Orders the fold.
    #[n(0)]
    pub corrected: UnixMillis,
    /// Half-width of the error, milliseconds (600,000 without an anchor in this boot).
    #[n(1)]
    pub error_ms: u32,
    /// The machine's wall clock.
    #[n(2)]
    pub wall: UnixMillis,
    /// Names the boot that `monotonic_ns` belongs to.
    #[n(3)]
    pub boot_id: Nonce16,
    /// Boot clock, nanoseconds.
    #[n(4)]
    pub monotonic_ns: u64,
    /// The anchor used, if any.
    #[n(5)]
    pub anchor: Option<Anchor>,
}

/// "I have seen entries 1..=seq of this device's newest log."
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
pub struct Seen {
    /// The other device's number within the event.
    #[n(0)]
    pub number: u32,
    /// Its log.
    #[n(1)]
    pub log_no: u32,
    /// Contiguous up to here.
    #[n(2)]
    pub seq: u64,
}

/// One entry. Refusals are logged too; the code's text and signature never are.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LogEntry {
    /// Device, log and number.
    #[n(0)]
    pub place: EntryPlace,
    /// Hash of the entry before it; zeros for the first of a log.
    #[n(1)]
    pub prev_hash: Hash32,
    /// What it records.
    #[n(2)]
    pub kind: EntryKind,
    /// The verdict's outcome ([`Outcome::Ok`] for undo and fork).
    #[n(3)]
    pub outcome: Outcome,
    /// The verdict's flags.
    #[n(4)]
    pub flags: Flags,
    /// The list (absent for fork).
    #[n(5)]
    pub list: Option<ListId>,
    /// The ticket, once the code could be read.
    #[n(6)]
    pub ticket: Option<TicketId>,
    /// Its generation in the code.
    #[n(7)]
    pub generation: Option<u8>,
    /// Key named in the code.
    #[n(8)]
    pub kid: Option<Kid>,
    /// SHA-256 of the code's text as scanned.
    #[n(9)]
    pub text_hash: Option<Hash32>,
    /// Ticket type number, once known.
    #[n(10)]
    pub type_no: Option<u16>,
    /// Supervisor's reason for override and undo; what a fork could not prove. At most 200 characters.
    #[n(11)]
    pub reason: Option<String>,
    /// The place.
    #[n(12)]
    pub gate: Option<GateId>,
    /// Who was at the device.
    #[n(13)]
    pub staff: Option<StewardId>,
    /// Identity of the scan attempt: the same nonce is the same scan.
    #[n(14)]
    pub nonce: Nonce16,
    /// The entry taken back (undo only).
    #[n(15)]
    pub target: Option<EntryPlace>,
    /// Which way.
    #[n(16)]
    pub direction: Direction,
    /// Scanned in rehearsal: never counts.
    #[n(17)]
    pub rehearsal: bool,
    /// When, with evidence.
    #[n(18)]
    pub time: ScanTime,
    /// Manifest that was used (absent before the first).
    #[n(19)]
    pub manifest: Option<ManifestVersion>,
    /// What changed in the device's knowledge of other logs since its last entry; sorted by number.
    #[n(20)]
    pub seen: Vec<Seen>,
}
