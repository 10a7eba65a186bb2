//! Sound entries to start from.

use ed25519_dalek::SigningKey;
use minicbor::bytes::ByteVec;
use shared::admission::{Flags, Outcome};
use shared::bytes::{Hash32, Kid, Nonce16};
use shared::ids::{DeviceId, GateId, ListId, StewardId, TicketId};
use shared::log::entry::{Anchor, Direction, EntryKind, EntryPlace, LogEntry, ScanTime, Seen};
use shared::log::run::NO_ENTRY;
use shared::log::{entry_hash, sign_run};
use shared::manifest::docs::ManifestVersion;
use shared::time::{UnixMillis, UnixSecs};
use shared::wire::gates::Run;

/// The device key of all worked examples: secret `…32`.
pub fn key() -> SigningKey {
    let mut secret = [0; 32];
    secret[31] = 0x32;
    SigningKey::from_bytes(&secret)
}

pub fn device() -> DeviceId {
    DeviceId::from_bytes([0xd0; 16])
}

pub fn place(log_no: u32, seq: u64) -> EntryPlace {
    EntryPlace { device: device(), log_no, seq }
}

/// An admission with every field filled that an admission may fill.
pub fn entry(seq: u64, prev_hash: Hash32) -> LogEntry {
    LogEntry {
        place: place(1, seq),
        prev_hash,
        kind: EntryKind::Entry,
        outcome: Outcome::Ok,
        flags: Flags::NONE,
        list: Some(ListId::from_bytes([0x11; 16])),
        ticket: Some(TicketId::from_bytes([0x22; 16])),
        generation: Some(1),
        kid: Some(Kid([0xaa, 0xbb, 0xcc, 0xdd])),
        text_hash: Some(Hash32([0x33; 32])),
        type_no: Some(300),
        reason: None,
        gate: Some(GateId::from_bytes([0x44; 16])),
        staff: Some(StewardId::from_bytes([0x55; 16])),
        nonce: Nonce16([0x66; 16]),
        target: None,
        direction: Direction::In,
        rehearsal: false,
        time: ScanTime {
            corrected: UnixMillis(1_795_341_600_123),
            error_ms: 42,
            wall: UnixMillis(1_795_341_598_000),
            boot_id: Nonce16([0x77; 16]),
            monotonic_ns: 9_000_000_000,
            anchor: Some(Anchor {
                server_time: UnixMillis(1_795_341_595_000),
                monotonic_ns: 4_000_000_000,
                uncertainty_ms: 40,
            }),
        },
        manifest: Some(ManifestVersion { epoch: 1, change_seq: 70_000, as_of: UnixSecs(1_795_340_000) }),
        seen: vec![Seen { number: 2, log_no: 1, seq: 9 }, Seen { number: 3, log_no: 1, seq: 4 }],
    }
}

/// The first entry of a log.
pub fn first() -> LogEntry {
    entry(1, NO_ENTRY)
}

/// A second one, so that it has one before it.
pub fn second() -> LogEntry {
    entry(2, entry_hash(&first().to_bytes()))
}

/// Chained entries 1..=n.
pub fn chain(n: u64) -> Vec<LogEntry> {
    let mut before = NO_ENTRY;
    (1..=n)
        .map(|seq| {
            let next = entry(seq, before);
            before = entry_hash(&next.to_bytes());
            next
        })
        .collect()
}

/// A run of these entries, signed over whatever is last.
pub fn run(entries: &[LogEntry]) -> Run {
    let bytes: Vec<ByteVec> = entries.iter().map(|e| e.to_bytes().into()).collect();
    let (last, last_bytes) = entries.last().zip(bytes.last()).expect("a run has entries");
    Run {
        device: last.place.device,
        log_no: last.place.log_no,
        signature: sign_run(&key(), last.place, &entry_hash(last_bytes)),
        entries: bytes,
    }
}
