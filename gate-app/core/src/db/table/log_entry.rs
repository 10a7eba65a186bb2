//! Log entries, own and foreign, as their exact canonical bytes, with what is needed to find them again. Rows are
//! only ever added; a fork's other side stands beside the first as its `twin`.

use super::cert::Author;
use crate::db::{int, uint, unreadable};
use rusqlite::{Connection, OptionalExtension, Row};
use shared::admission::Flag;
use shared::admission::history::Record;
use shared::bytes::{Hash32, Nonce16};
use shared::ids::{DeviceId, EventId, ListId, TicketId};
use shared::log::entry::{EntryKind, EntryPlace, LogEntry};
use shared::time::UnixMillis;
use std::collections::BTreeSet;

/// Its migration. `late` marks scans of codes that the manifest did not know yet: they teach a generation, even
/// when they were refused. `session` names the process that wrote an own entry (absent on others' entries), `shown` says
/// that its answer reached the person at the gate.
pub const V1: &str = "
create table log_entry (
  id integer primary key,
  author integer not null references cert (no),
  log_no integer not null check (log_no > 0),
  seq integer not null check (seq > 0),
  twin integer not null default 0,
  hash blob not null check (length(hash) = 32),
  kind integer not null,
  list blob check (length(list) = 16),
  ticket blob check (length(ticket) = 16),
  nonce blob not null check (length(nonce) = 16),
  target_device blob,
  target_log_no integer,
  target_seq integer,
  late integer not null,
  corrected integer not null,
  session integer,
  shown integer not null,
  bytes blob not null
) strict;
create unique index log_entry_place on log_entry (author, log_no, seq, twin);
create index log_entry_ticket on log_entry (ticket) where ticket is not null;
create index log_entry_nonce on log_entry (nonce) where session is not null;
create index log_entry_target on log_entry (target_device, target_log_no, target_seq)
  where target_device is not null;
";

/// An entry with its hash and bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Row.
    pub id: i64,
    /// What it says.
    pub entry: LogEntry,
    /// Hash of its bytes.
    pub hash: Hash32,
    /// Its canonical bytes.
    pub bytes: Vec<u8>,
}

/// What storing a foreign entry came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Insertion {
    /// It is new.
    New,
    /// It was there already.
    Same,
    /// Another entry stands at its place: both are kept.
    Twin,
}

/// The last entry of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its number; 0 for an empty log.
    pub seq: u64,
    /// Its hash; zeros for an empty log.
    pub hash: Hash32,
    /// Its corrected time, if there is one.
    pub corrected: Option<UnixMillis>,
}

/// Adds an own entry. Its place must be free.
///
/// # Errors
/// SQLite's, such as a place that is taken.
pub fn insert_own(
    db: &Connection,
    author: Author,
    entry: &LogEntry,
    bytes: &[u8],
    hash: &Hash32,
    session: i64,
    shown: bool,
) -> rusqlite::Result<i64> {
    insert(db, author, 0, entry, bytes, hash, Some(session), shown)
}

/// Adds a verified entry of another device, unless it is there.
///
/// # Errors
/// SQLite's.
pub fn insert_foreign(
    db: &Connection,
    author: Author,
    entry: &LogEntry,
    bytes: &[u8],
    hash: &Hash32,
) -> rusqlite::Result<Insertion> {
    let mut twin = 0;
    {
        let mut same_place = db.prepare_cached(
            "select twin, hash from log_entry where author = ?1 and log_no = ?2 and seq = ?3 order by twin",
        )?;
        let mut rows = same_place.query((author.0, entry.place.log_no, int(entry.place.seq)))?;
        while let Some(row) = rows.next()? {
            if row.get::<_, [u8; 32]>(1)? == hash.0 {
                return Ok(Insertion::Same);
            }
            twin = row.get::<_, i64>(0)? + 1;
        }
    }
    insert(db, author, twin, entry, bytes, hash, None, true)?;
    Ok(if twin == 0 { Insertion::New } else { Insertion::Twin })
}

#[expect(clippy::too_many_arguments, reason = "one row's columns")]
fn insert(
    db: &Connection,
    author: Author,
    twin: i64,
    entry: &LogEntry,
    bytes: &[u8],
    hash: &Hash32,
    session: Option<i64>,
    shown: bool,
) -> rusqlite::Result<i64> {
    let target = entry.target.as_ref();
    let late = entry.flags.contains(Flag::LateSale) || entry.flags.contains(Flag::LateReissue);
    db.prepare_cached(
        "insert into log_entry (author, log_no, seq, twin, hash, kind, list, ticket, nonce, target_device,
             target_log_no, target_seq, late, corrected, session, shown, bytes)
           values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
    )?
    .insert(rusqlite::params![
        author.0,
        entry.place.log_no,
        int(entry.place.seq),
        twin,
        hash.0,
        kind_no(entry.kind),
        entry.list.as_ref().map(ListId::as_bytes),
        entry.ticket.as_ref().map(TicketId::as_bytes),
        entry.nonce.0,
        target.map(|t| *t.device.as_bytes()),
        target.map(|t| t.log_no),
        target.map(|t| int(t.seq)),
        late,
        entry.time.corrected.0,
        session,
        shown,
        bytes,
    ])
}

/// The kind as a small number for SQL.
#[must_use]
pub const fn kind_no(kind: EntryKind) -> i64 {
    match kind {
        EntryKind::Entry => 0,
        EntryKind::Exit => 1,
        EntryKind::Refuse => 2,
        EntryKind::Override => 3,
        EntryKind::Undo => 4,
        EntryKind::Fork => 5,
    }
}

/// The last entry of a log.
///
/// # Errors
/// SQLite's.
pub fn head(db: &Connection, author: Author, log_no: u32) -> rusqlite::Result<Head> {
    let found = db
        .prepare_cached(
            "select seq, hash, corrected from log_entry where author = ?1 and log_no = ?2
               order by seq desc, twin desc limit 1",
        )?
        .query_row((author.0, log_no), |r| {
            Ok(Head { seq: uint(r.get(0)?), hash: Hash32(r.get(1)?), corrected: Some(UnixMillis(r.get(2)?)) })
        })
        .optional()?;
    Ok(found.unwrap_or(Head { seq: 0, hash: shared::log::run::NO_ENTRY, corrected: None }))
}

pub(super) const STORED: &str = "id, hash, bytes";

pub(super) fn stored(r: &Row<'_>) -> rusqlite::Result<Stored> {
    let bytes: Vec<u8> = r.get(2)?;
    let entry = LogEntry::from_bytes(&bytes).map_err(|e| unreadable(2, e))?;
    Ok(Stored { id: r.get(0)?, entry, hash: Hash32(r.get(1)?), bytes })
}

/// What is known of a ticket at an event, on all lists: entries, exits, overrides, refusals that teach a
/// generation; and every undo of one of them. Other refusals never count and are left out.
///
/// # Errors
/// SQLite's.
pub fn of_ticket(db: &Connection, event: EventId, ticket: TicketId) -> rusqlite::Result<Vec<Record>> {
    let mut found: Vec<Record> = db
        .prepare_cached(
            "select e.hash, e.bytes from log_entry e join cert c on c.no = e.author
               where e.ticket = ?1 and (e.kind in (0, 1, 3) or e.late) and c.event = ?2",
        )?
        .query_map((ticket.as_bytes(), event.as_bytes()), record)?
        .collect::<rusqlite::Result<_>>()?;
    if !found.is_empty() {
        let mut undos = db.prepare_cached(
            "select e.hash, e.bytes from log_entry e join cert c on c.no = e.author
               where e.target_device = ?1 and e.target_log_no = ?2 and e.target_seq = ?3 and c.event = ?4",
        )?;
        for i in 0..found.len() {
            let place = found[i].place;
            let key = (place.device.as_bytes(), place.log_no, int(place.seq), event.as_bytes());
            for undo in undos.query_map(key, record)? {
                found.push(undo?);
            }
        }
    }
    Ok(found)
}

fn record(r: &Row<'_>) -> rusqlite::Result<Record> {
    let entry = LogEntry::from_bytes(r.get_ref(1)?.as_blob()?).map_err(|e| unreadable(1, e))?;
    Ok(Record::of(&entry, Hash32(r.get(0)?)))
}

/// The own entry of a scan attempt.
///
/// # Errors
/// SQLite's.
pub fn by_nonce(db: &Connection, author: Author, nonce: &Nonce16) -> rusqlite::Result<Option<Stored>> {
    db.prepare_cached(&format!(
        "select {STORED} from log_entry where nonce = ?1 and session is not null and author = ?2 limit 1"
    ))?
    .query_row((nonce.0, author.0), stored)
    .optional()
}

/// The entry at a place of an event; the first side of a fork.
///
/// # Errors
/// SQLite's.
pub fn at(db: &Connection, place: &EntryPlace) -> rusqlite::Result<Option<Stored>> {
    db.prepare_cached(
        "select e.id, e.hash, e.bytes from log_entry e join cert c on c.no = e.author
           where c.device = ?1 and e.log_no = ?2 and e.seq = ?3 order by e.twin limit 1",
    )?
    .query_row((place.device.as_bytes(), place.log_no, int(place.seq)), stored)
    .optional()
}

/// True if an undo of this entry is stored.
///
/// # Errors
/// SQLite's.
pub fn is_undone(db: &Connection, place: &EntryPlace) -> rusqlite::Result<bool> {
    db.prepare_cached(
        "select 1 from log_entry where target_device = ?1 and target_log_no = ?2 and target_seq = ?3 limit 1",
    )?
    .exists((place.device.as_bytes(), place.log_no, int(place.seq)))
}

/// The entries of a device that some stored undo takes back.
///
/// # Errors
/// SQLite's.
pub fn undone_of(db: &Connection, device: DeviceId) -> rusqlite::Result<BTreeSet<EntryPlace>> {
    db.prepare_cached("select target_log_no, target_seq from log_entry where target_device = ?1")?
        .query_map([device.as_bytes()], |r| {
            Ok(EntryPlace { device, log_no: r.get(0)?, seq: uint(r.get(1)?) })
        })?
        .collect()
}

/// Entries of a log from a place on, at most `limit` of them.
///
/// # Errors
/// SQLite's.
pub fn range(
    db: &Connection,
    author: Author,
    log_no: u32,
    from: u64,
    to: u64,
    limit: usize,
) -> rusqlite::Result<Vec<(u64, Hash32, Vec<u8>)>> {
    db.prepare_cached(
        "select seq, hash, bytes from log_entry
           where author = ?1 and log_no = ?2 and seq between ?3 and ?4 order by seq, twin limit ?5",
    )?
    .query_map((author.0, log_no, int(from), int(to), int(limit as u64)), |r| {
        Ok((uint(r.get(0)?), Hash32(r.get(1)?), r.get(2)?))
    })?
    .collect()
}

/// Calls `each` with every entry of an event, both sides of forks, in no order that means anything.
///
/// # Errors
/// SQLite's.
pub fn for_each_of_event(
    db: &Connection,
    event: EventId,
    mut each: impl FnMut(Record),
) -> rusqlite::Result<()> {
    let mut statement = db.prepare(
        "select e.hash, e.bytes from log_entry e join cert c on c.no = e.author where c.event = ?1",
    )?;
    let mut rows = statement.query([event.as_bytes()])?;
    while let Some(row) = rows.next()? {
        each(record(row)?);
    }
    Ok(())
}

/// Calls `each` with every entry of an author that can still be read, in no order that means anything.
///
/// # Errors
/// SQLite's.
pub fn for_each_of_author(
    db: &Connection,
    author: Author,
    mut each: impl FnMut(LogEntry),
) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached("select bytes from log_entry where author = ?1")?;
    let mut rows = statement.query([author.0])?;
    while let Some(row) = rows.next()? {
        if let Ok(entry) = LogEntry::from_bytes(row.get_ref(0)?.as_blob()?) {
            each(entry);
        }
    }
    Ok(())
}

/// The newest entries of an author, newest first.
///
/// # Errors
/// SQLite's.
pub fn newest(db: &Connection, author: Author, limit: usize) -> rusqlite::Result<Vec<Stored>> {
    db.prepare(&format!(
        "select {STORED} from log_entry where author = ?1 order by log_no desc, seq desc limit ?2"
    ))?
    .query_map((author.0, int(limit as u64)), stored)?
    .collect()
}

/// The logs of an author with their last numbers.
///
/// # Errors
/// SQLite's.
pub fn logs(db: &Connection, author: Author) -> rusqlite::Result<Vec<(u32, u64)>> {
    db.prepare_cached(
        "select log_no, max(seq) from log_entry where author = ?1 group by log_no order by log_no",
    )?
    .query_map([author.0], |r| Ok((r.get(0)?, uint(r.get(1)?))))?
    .collect()
}

/// Numbers and hashes of a log, ascending.
///
/// # Errors
/// SQLite's.
pub fn hashes(db: &Connection, author: Author, log_no: u32) -> rusqlite::Result<Vec<(u64, Hash32)>> {
    db.prepare("select seq, hash from log_entry where author = ?1 and log_no = ?2 order by seq, twin")?
        .query_map((author.0, log_no), |r| Ok((uint(r.get(0)?), Hash32(r.get(1)?))))?
        .collect()
}

/// An own entry whose answer may not have been seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unshown {
    /// The entry.
    pub stored: Stored,
    /// The process that wrote it.
    pub session: i64,
}

/// The last entry of each process that wrote among the last `limit` entries of a log, if it is an admission or an
/// exit whose answer may not have been seen.
///
/// # Errors
/// SQLite's.
pub fn unshown(db: &Connection, author: Author, log_no: u32, limit: usize) -> rusqlite::Result<Vec<Unshown>> {
    db.prepare(
        "select id, hash, bytes, session from log_entry
           where shown = 0 and kind in (0, 1, 3) and id in
             (select max(id) from
               (select id, session from log_entry
                  where author = ?1 and log_no = ?2 and session is not null order by seq desc limit ?3)
               group by session)",
    )?
    .query_map((author.0, log_no, int(limit as u64)), |r| {
        Ok(Unshown { stored: stored(r)?, session: r.get(3)? })
    })?
    .collect()
}

/// Takes over an unshown entry of a dead process; false if another process was first.
///
/// # Errors
/// SQLite's.
pub fn claim(db: &Connection, id: i64, from: i64, to: i64) -> rusqlite::Result<bool> {
    let changed = db.execute(
        "update log_entry set session = ?3 where id = ?1 and session = ?2 and shown = 0",
        (id, from, to),
    )?;
    Ok(changed == 1)
}

/// The person at the gate has seen its answer.
///
/// # Errors
/// SQLite's.
pub fn set_shown(db: &Connection, id: i64) -> rusqlite::Result<()> {
    db.prepare_cached("update log_entry set shown = 1 where id = ?1")?.execute([id])?;
    Ok(())
}

/// Own entries beyond what the server has acknowledged, over all logs.
///
/// # Errors
/// SQLite's.
pub fn count_after(db: &Connection, author: Author, log_no: u32, seq: u64) -> rusqlite::Result<u64> {
    db.prepare_cached("select count(*) from log_entry where author = ?1 and log_no = ?2 and seq > ?3")?
        .query_row((author.0, log_no, int(seq)), |r| r.get(0))
        .map(uint)
}

/// Puts a proven entry in the place of a rotten one.
///
/// # Errors
/// SQLite's.
pub fn repair(
    db: &Connection,
    author: Author,
    log_no: u32,
    seq: u64,
    hash: &Hash32,
    bytes: &[u8],
) -> rusqlite::Result<()> {
    db.execute(
        "update log_entry set hash = ?4, bytes = ?5 where author = ?1 and log_no = ?2 and seq = ?3 and twin = 0",
        (author.0, log_no, int(seq), hash.0, bytes),
    )?;
    Ok(())
}
