//! Compares database, black box and what the server acknowledged, at each start that will write or upload, and
//! mends what can be proven: an entry proves itself by its hash and by the entry before it. A tail that nothing
//! proves is never guessed: the next log begins with a fork entry that says so.

use crate::blackbox::{self, Frame};
use crate::clock::Clock;
use crate::db::Db;
use crate::db::table::device::Device;
use crate::db::table::{anchor, device, log_entry, upload};
use crate::gate_time::GateTime;
use crate::own_log;
use rand::Rng;
use rusqlite::Connection;
use shared::bytes::{Hash32, Nonce16};
use shared::log::entry::LogEntry;
use shared::log::entry_hash;
use shared::log::run::NO_ENTRY;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

/// What was mended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Healed {
    /// Entries put back into the database from the black box.
    pub reinserted: u64,
    /// Entries whose bytes in the database were rotten.
    pub repaired: u64,
    /// Entries added to the black box.
    pub boxed: u64,
    /// A new log was opened, for this reason.
    pub forked: Option<String>,
}

/// Why healing failed; the gate must not write then.
#[derive(Debug, thiserror::Error)]
pub enum HealError {
    /// SQLite's.
    #[error("comparing the log with its black box")]
    Sql(#[from] rusqlite::Error),
    /// The box cannot be read or written.
    #[error("reading the black box")]
    Box(#[from] std::io::Error),
}

type Boxed = BTreeMap<(u32, u64), Vec<(Hash32, u64)>>;

/// Mends one device's log. Other processes may be scanning meanwhile: the box is read first, and all it can hold
/// was committed before.
///
/// # Errors
/// [`HealError`]; nothing is half mended.
pub fn heal(db: &Db, me: &Device, clock: &dyn Clock, rng: &mut dyn Rng) -> Result<Healed, HealError> {
    let path = blackbox::path(db.dir(), me.device);
    let mut boxed = Boxed::new();
    blackbox::read(&path, |offset, frame| {
        let places = boxed.entry((frame.log_no, frame.seq)).or_default();
        if places.iter().all(|(hash, _)| *hash != frame.hash) {
            places.push((frame.hash, offset));
        }
    })?;

    let mut healed = Healed::default();
    let tx = db.begin()?;
    let (_, log_no) = device::state_and_log(&tx, me.no)?;
    let acknowledged = upload::all(&tx, me.no)?;
    let newest_boxed = boxed.keys().next_back().map_or(0, |(log_no, _)| *log_no);
    let newest = acknowledged.iter().map(|(l, _)| *l).fold(log_no.max(newest_boxed), u32::max);
    let mut unproven = None;
    for log_no in log_no..=newest {
        let known = acknowledged.iter().find(|(l, _)| *l == log_no).map_or(0, |(_, seq)| *seq);
        unproven = heal_log(&tx, me, log_no, known, &boxed, &path, &mut healed)?;
    }
    device::set_log_no(&tx, me.no, newest)?;
    if let Some(why) = unproven {
        let time = GateTime::read(clock, anchor::get(&tx, me.no)?.as_ref());
        own_log::open_next_log(&tx, me, newest, why.clone(), &time, nonce(rng))?;
        healed.forked = Some(why);
    }
    let current = newest + u32::from(healed.forked.is_some());
    tx.commit()?;
    // The database is durable; now the box may follow it.
    healed.boxed = fill_box(db.conn(), me, log_no..=current, &boxed, &path)?;
    Ok(healed)
}

/// A fresh identity for an entry that no scan made.
pub fn nonce(rng: &mut dyn Rng) -> Nonce16 {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    Nonce16(bytes)
}

/// Mends one log; the sentence for a fork entry if its tail cannot be proven.
fn heal_log(
    tx: &Connection,
    me: &Device,
    log_no: u32,
    acknowledged: u64,
    boxed: &Boxed,
    path: &Path,
    healed: &mut Healed,
) -> Result<Option<String>, HealError> {
    let rows: BTreeMap<u64, Hash32> = log_entry::hashes(tx, me.author, log_no)?.into_iter().collect();
    let last_boxed =
        boxed.range((log_no, 0)..=(log_no, u64::MAX)).next_back().map_or(0, |((_, seq), _)| *seq);
    let last_row = rows.keys().next_back().copied().unwrap_or(0);
    let last = last_row.max(last_boxed).max(acknowledged);
    let mut before = NO_ENTRY;
    for seq in 1..=last {
        if let Some(hash) = rows.get(&seq) {
            // What the server holds it has checked. Later rows are read, because a rotten one would be refused
            // there for ever.
            if seq <= acknowledged || sound_row(tx, me, log_no, seq, hash, &before)? {
                before = *hash;
                continue;
            }
        }
        let candidates = boxed.get(&(log_no, seq)).map_or(&[][..], Vec::as_slice);
        match proven(candidates, path, &before, me)? {
            Some((frame, entry)) => {
                if rows.contains_key(&seq) {
                    log_entry::repair(tx, me.author, log_no, seq, &frame.hash, &frame.bytes)?;
                    healed.repaired += 1;
                } else {
                    log_entry::insert_own(tx, me.author, &entry, &frame.bytes, &frame.hash, 0, true)?;
                    healed.reinserted += 1;
                }
                before = frame.hash;
            }
            None if seq == last => return Ok(Some(format!("log {log_no}: entry {seq} cannot be proven"))),
            None => return Ok(Some(format!("log {log_no}: entries {seq} to {last} cannot be proven"))),
        }
    }
    Ok(None)
}

fn sound_row(
    tx: &Connection,
    me: &Device,
    log_no: u32,
    seq: u64,
    hash: &Hash32,
    before: &Hash32,
) -> Result<bool, HealError> {
    let row = log_entry::range(tx, me.author, log_no, seq, seq, 1)?;
    Ok(row.first().is_some_and(|(_, _, bytes)| {
        entry_hash(bytes) == *hash && LogEntry::from_bytes(bytes).is_ok_and(|e| e.follows(before))
    }))
}

/// The frame among those with one number that is sound and follows the entry before it.
fn proven(
    candidates: &[(Hash32, u64)],
    path: &Path,
    before: &Hash32,
    me: &Device,
) -> Result<Option<(Frame, LogEntry)>, HealError> {
    for (_, offset) in candidates {
        let Some(frame) = blackbox::read_at(path, *offset)? else { continue };
        let Ok(entry) = LogEntry::from_bytes(&frame.bytes) else { continue };
        let here = entry.place.device == me.device
            && (entry.place.log_no, entry.place.seq) == (frame.log_no, frame.seq);
        if here && entry_hash(&frame.bytes) == frame.hash && entry.follows(before) {
            return Ok(Some((frame, entry)));
        }
    }
    Ok(None)
}

/// Adds what the database has and the box lacks: the process ended between the two.
fn fill_box(
    db: &Connection,
    me: &Device,
    logs: std::ops::RangeInclusive<u32>,
    boxed: &Boxed,
    path: &Path,
) -> Result<u64, HealError> {
    let mut missing = Vec::new();
    for log_no in logs {
        for (seq, hash) in log_entry::hashes(db, me.author, log_no)? {
            let there = boxed.get(&(log_no, seq)).is_some_and(|c| c.iter().any(|(h, _)| *h == hash));
            if !there {
                missing.push((log_no, seq));
            }
        }
    }
    if missing.is_empty() {
        return Ok(0);
    }
    let mut out = Vec::new();
    let mut added = 0;
    for (log_no, seq) in missing {
        for (seq, hash, bytes) in log_entry::range(db, me.author, log_no, seq, seq, 1)? {
            Frame { log_no, seq, hash, bytes }.append_to(&mut out);
            added += 1;
        }
    }
    let mut file = blackbox::open_private(path)?;
    file.lock()?;
    file.write_all(&out)?;
    file.sync_data()?;
    file.unlock()?;
    Ok(added)
}
