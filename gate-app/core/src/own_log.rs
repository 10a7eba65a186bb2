//! Writing this device's log: one place fills in number, chain, time and seen vector, for scans, undos and forks.

use crate::db::table::device::Device;
use crate::db::table::{cert, device, log_entry};
use crate::gate_time::GateTime;
use rusqlite::Connection;
use shared::admission::{Flags, Outcome};
use shared::bytes::{Hash32, Kid, Nonce16};
use shared::ids::{GateId, ListId, StewardId, TicketId};
use shared::log::entry::{Direction, EntryKind, EntryPlace, LogEntry, MAX_REASON_CHARS};
use shared::log::entry_hash;
use shared::manifest::docs::ManifestVersion;

/// What a new entry says; the rest is the log's to fill in.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What it records.
    pub kind: EntryKind,
    /// The verdict's outcome.
    pub outcome: Outcome,
    /// The verdict's flags.
    pub flags: Flags,
    /// The list.
    pub list: Option<ListId>,
    /// The ticket.
    pub ticket: Option<TicketId>,
    /// Generation in the code.
    pub generation: Option<u8>,
    /// Key named in the code.
    pub kid: Option<Kid>,
    /// SHA-256 of the text.
    pub text_hash: Option<Hash32>,
    /// Ticket type number.
    pub type_no: Option<u16>,
    /// A person's or the program's reason; cut to the length that an entry may hold.
    pub reason: Option<String>,
    /// The place.
    pub gate: Option<GateId>,
    /// Who was at the device.
    pub staff: Option<StewardId>,
    /// Identity of the attempt.
    pub nonce: Nonce16,
    /// The entry taken back.
    pub target: Option<EntryPlace>,
    /// Which way.
    pub direction: Direction,
    /// Never counts.
    pub rehearsal: bool,
    /// Manifest in use.
    pub manifest: Option<ManifestVersion>,
}

impl Draft {
    /// An entry that is no scan.
    #[must_use]
    pub const fn plain(kind: EntryKind, nonce: Nonce16) -> Self {
        Self {
            kind,
            outcome: Outcome::Ok,
            flags: Flags::NONE,
            list: None,
            ticket: None,
            generation: None,
            kid: None,
            text_hash: None,
            type_no: None,
            reason: None,
            gate: None,
            staff: None,
            nonce,
            target: None,
            direction: Direction::In,
            rehearsal: false,
            manifest: None,
        }
    }
}

/// An entry as it was written.
#[derive(Debug, Clone)]
pub struct Appended {
    /// Row.
    pub id: i64,
    /// The entry.
    pub entry: LogEntry,
    /// Its hash.
    pub hash: Hash32,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Appended {
    /// As the black box keeps it.
    #[must_use]
    pub fn frame(&self) -> crate::blackbox::Frame {
        let EntryPlace { log_no, seq, .. } = self.entry.place;
        crate::blackbox::Frame { log_no, seq, hash: self.hash, bytes: self.bytes.clone() }
    }
}

/// Adds the next entry to a log of ours. Must run inside an immediate transaction: the number is read and used.
///
/// # Errors
/// SQLite's; the caller rolls back.
pub fn append(
    db: &Connection,
    me: &Device,
    log_no: u32,
    draft: Draft,
    time: &GateTime,
    session: i64,
    shown: bool,
) -> rusqlite::Result<Appended> {
    let head = log_entry::head(db, me.author, log_no)?;
    let untold = cert::untold(db, me.event, me.author)?;
    let entry = LogEntry {
        place: EntryPlace { device: me.device, log_no, seq: head.seq + 1 },
        prev_hash: head.hash,
        kind: draft.kind,
        outcome: draft.outcome,
        flags: draft.flags,
        list: draft.list,
        ticket: draft.ticket,
        generation: draft.generation,
        kid: draft.kid,
        text_hash: draft.text_hash,
        type_no: draft.type_no,
        reason: draft.reason.map(|r| r.chars().take(MAX_REASON_CHARS).collect()),
        gate: draft.gate,
        staff: draft.staff,
        nonce: draft.nonce,
        target: draft.target,
        direction: draft.direction,
        rehearsal: draft.rehearsal,
        time: time.scan_time(head.corrected),
        manifest: draft.manifest,
        seen: untold.iter().map(|(_, seen)| *seen).collect(),
    };
    debug_assert_eq!(entry.check(), Ok(()), "we write only entries that make sense");
    let bytes = entry.to_bytes();
    let hash = entry_hash(&bytes);
    let id = log_entry::insert_own(db, me.author, &entry, &bytes, &hash, session, shown)?;
    for (author, seen) in &untold {
        cert::set_told(db, *author, seen)?;
    }
    Ok(Appended { id, entry, hash, bytes })
}

/// Closes the log whose tail cannot be proven and opens the next with a fork entry that says why. Must run inside
/// an immediate transaction.
///
/// # Errors
/// SQLite's; the caller rolls back.
pub fn open_next_log(
    db: &Connection,
    me: &Device,
    after: u32,
    why: String,
    time: &GateTime,
    nonce: Nonce16,
) -> rusqlite::Result<Appended> {
    let log_no = after + 1;
    device::set_log_no(db, me.no, log_no)?;
    cert::forget_told(db, me.event)?;
    let draft = Draft { reason: Some(why), ..Draft::plain(EntryKind::Fork, nonce) };
    append(db, me, log_no, draft, time, 0, true)
}
