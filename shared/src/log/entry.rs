//! One log entry as canonical CBOR. These bytes are evidence: a gate signs them, servers and other gates keep
//! them for ever. Changing their layout makes every stored signature worthless.

use crate::admission::{Flag, Flags, Outcome};
use crate::bytes::{Hash32, Kid, Nonce16};
use crate::cbor::{self, CborError};
use crate::ids::{DeviceId, GateId, ListId, StewardId, TicketId};
use crate::manifest::docs::ManifestVersion;
use crate::time::UnixMillis;
use crate::wire::gates::MAX_RUN_BYTES;
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

impl EntryPlace {
    /// Highest number in a log: databases count in signed 64 bits.
    pub const MAX_SEQ: u64 = i64::MAX as u64;

    /// True if an entry can stand there: both numbers from 1, seq up to [`Self::MAX_SEQ`].
    #[must_use]
    pub const fn is_possible(self) -> bool {
        self.log_no > 0 && self.seq > 0 && self.seq <= Self::MAX_SEQ
    }

    /// The place after it in the same log; `None` at the end of numbers.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        Some(Self { seq: self.seq.checked_add(1)?, ..self })
    }
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

/// Characters of [`LogEntry::reason`] at most.
pub const MAX_REASON_CHARS: usize = 200;

/// What is wrong with an entry that its device signed all the same. It is stored, it is an incident, and the fold
/// takes from it what it can: an admission whose reason is too long is still an admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum EntryFault {
    /// The first of a log names an entry before it, or a later one names none.
    #[error("the first entry of a log, and only that one, has no entry before it")]
    PrevHash,
    /// A fork that does not open a second or later log, or such a log opened by something else.
    #[error("a fork entry, and nothing else, opens a log after the first")]
    Fork,
    /// An undo without target, or a target on something else.
    #[error("an undo, and nothing else, has a target")]
    Target,
    /// An undo that names itself or a place that cannot exist.
    #[error("the target cannot be the place of another entry")]
    TargetPlace,
    /// Anything but a fork without a list.
    #[error("the list is missing")]
    List,
    /// An admission without ticket; an exit or refusal with neither ticket nor hash of the text.
    #[error("it does not say what was scanned")]
    Ticket,
    /// More than 15.
    #[error("the generation is above 15")]
    Generation,
    /// An entry that went out, an exit that went in.
    #[error("the direction contradicts the kind")]
    Direction,
    /// An accepted scan with a refusal as outcome, or a refused one with ok.
    #[error("the outcome contradicts the kind")]
    Outcome,
    /// The answer was never durable, so it cannot stand in a log.
    #[error("what could not be recorded stands in the record")]
    CannotRecord,
    /// An override without reason.
    #[error("an override needs a reason")]
    NoReason,
    /// More than [`MAX_REASON_CHARS`].
    #[error("the reason is too long")]
    LongReason,
    /// Flag and field disagree.
    #[error("the rehearsal flag contradicts the rehearsal field")]
    Rehearsal,
    /// Flag and kind disagree.
    #[error("the overridden flag contradicts the kind")]
    Overridden,
    /// Not ascending by (number, log), or a number twice in one log.
    #[error("the seen changes are not sorted")]
    Seen,
}

impl LogEntry {
    /// The canonical bytes: what is hashed, signed, stored and sent.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// From its canonical bytes.
    ///
    /// # Errors
    /// Anything else, and more bytes than a whole run may have.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CborError> {
        cbor::decode(bytes, MAX_RUN_BYTES)
    }

    /// True if it names this hash as that of the entry before it.
    #[must_use]
    pub fn follows(&self, before: &Hash32) -> bool {
        self.prev_hash == *before
    }

    /// The first thing in it that contradicts itself. Never a reason to refuse an authentic entry.
    ///
    /// # Errors
    /// [`EntryFault`], for an incident.
    pub fn check(&self) -> Result<(), EntryFault> {
        use EntryKind as K;
        let scan = !matches!(self.kind, K::Undo | K::Fork);
        let opens = self.place.seq == 1;
        let target_possible = self.target.is_none_or(|t| t != self.place && t.is_possible());
        let identified = match self.kind {
            K::Entry | K::Override => self.ticket.is_some(),
            K::Exit | K::Refuse => self.ticket.is_some() || self.text_hash.is_some(),
            K::Undo | K::Fork => true,
        };
        let direction = match self.kind {
            K::Entry | K::Override => self.direction == Direction::In,
            K::Exit => self.direction == Direction::Out,
            K::Refuse | K::Undo | K::Fork => true,
        };
        let reason_chars = self.reason.as_deref().map_or(0, |r| r.chars().count());
        let sound = [
            ((self.prev_hash == super::run::NO_ENTRY) == opens, EntryFault::PrevHash),
            ((self.kind == K::Fork) == (opens && self.place.log_no > 1), EntryFault::Fork),
            ((self.kind == K::Undo) == self.target.is_some(), EntryFault::Target),
            (target_possible, EntryFault::TargetPlace),
            (self.kind == K::Fork || self.list.is_some(), EntryFault::List),
            (identified, EntryFault::Ticket),
            (self.generation.is_none_or(|g| g <= 15), EntryFault::Generation),
            (direction, EntryFault::Direction),
            (self.outcome != Outcome::CannotRecord, EntryFault::CannotRecord),
            ((self.kind == K::Refuse) == (self.outcome != Outcome::Ok), EntryFault::Outcome),
            (self.kind != K::Override || reason_chars > 0, EntryFault::NoReason),
            (reason_chars <= MAX_REASON_CHARS, EntryFault::LongReason),
            (!scan || self.rehearsal == self.flags.contains(Flag::Rehearsal), EntryFault::Rehearsal),
            (self.flags.contains(Flag::Overridden) == (self.kind == K::Override), EntryFault::Overridden),
            (self.seen.is_sorted_by(|a, b| (a.number, a.log_no) < (b.number, b.log_no)), EntryFault::Seen),
        ];
        sound.into_iter().find(|(ok, _)| !ok).map_or(Ok(()), |(_, fault)| Err(fault))
    }
}
