//! Devices of our events whose certificate was verified, our own included: the only ones whose entries are kept.
//! Also how far we know each one's log, and how far our own log has said so.

use crate::db::{int, uint};
use rusqlite::{Connection, OptionalExtension, Row, named_params};
use shared::bytes::PublicKey;
use shared::ids::{DeviceId, EventId};
use shared::log::entry::Seen;

/// Its migration. `seen_*`: entries 1..=seen_seq of log seen_log_no (the newest) are stored. `told_*`: what our
/// last entry's seen vector said.
pub const V1: &str = "
create table cert (
  no integer primary key,
  event blob not null check (length(event) = 16),
  device blob not null unique check (length(device) = 16),
  number integer not null check (number >= 0),
  public_key blob not null check (length(public_key) = 32),
  certificate blob not null,
  label text not null,
  seen_log_no integer not null default 0,
  seen_seq integer not null default 0,
  told_log_no integer not null default 0,
  told_seq integer not null default 0
) strict;
create index cert_event on cert (event);
";

/// Local number of a device that writes entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Author(pub i64);

/// A verified device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cert {
    /// Local number.
    pub no: Author,
    /// Its event.
    pub event: EventId,
    /// Its id.
    pub device: DeviceId,
    /// Its number within the event.
    pub number: u32,
    /// Its key.
    pub public_key: PublicKey,
    /// COSE_Sign1 of the certificate, to pass on.
    pub certificate: Vec<u8>,
    /// What people call it.
    pub label: String,
}

const COLUMNS: &str = "no, event, device, number, public_key, certificate, label";

fn cert(r: &Row<'_>) -> rusqlite::Result<Cert> {
    Ok(Cert {
        no: Author(r.get(0)?),
        event: EventId::from_bytes(r.get(1)?),
        device: DeviceId::from_bytes(r.get(2)?),
        number: r.get(3)?,
        public_key: PublicKey(r.get(4)?),
        certificate: r.get(5)?,
        label: r.get(6)?,
    })
}

/// The device with this id.
///
/// # Errors
/// SQLite's.
pub fn find(db: &Connection, device: DeviceId) -> rusqlite::Result<Option<Cert>> {
    db.prepare_cached(&format!("select {COLUMNS} from cert where device = ?1"))?
        .query_row([device.as_bytes()], cert)
        .optional()
}

/// All devices of an event, by number.
///
/// # Errors
/// SQLite's.
pub fn of_event(db: &Connection, event: EventId) -> rusqlite::Result<Vec<Cert>> {
    db.prepare_cached(&format!("select {COLUMNS} from cert where event = ?1 order by number, no"))?
        .query_map([event.as_bytes()], cert)?
        .collect()
}

/// Keeps a verified certificate; a newer one of the same device and key replaces the older. The local number in
/// the argument is ignored.
///
/// # Errors
/// SQLite's.
pub fn put(db: &Connection, c: &Cert) -> rusqlite::Result<Author> {
    db.query_row(
        "insert into cert (event, device, number, public_key, certificate, label)
           values (:event, :device, :number, :public_key, :certificate, :label)
           on conflict (device) do update set certificate = excluded.certificate, label = excluded.label
             where public_key = excluded.public_key and event = excluded.event
           returning no",
        named_params! {
            ":event": c.event.as_bytes(),
            ":device": c.device.as_bytes(),
            ":number": c.number,
            ":public_key": c.public_key.0,
            ":certificate": c.certificate,
            ":label": c.label,
        },
        |r| r.get(0),
    )
    .map(Author)
}

/// What our log has not said yet about the other devices of the event, by number.
///
/// # Errors
/// SQLite's.
pub fn untold(db: &Connection, event: EventId, own: Author) -> rusqlite::Result<Vec<(Author, Seen)>> {
    db.prepare_cached(
        "select no, number, seen_log_no, seen_seq from cert
           where event = ?1 and no <> ?2 and seen_log_no > 0
             and (seen_log_no > told_log_no or (seen_log_no = told_log_no and seen_seq > told_seq))
           order by number, no",
    )?
    .query_map((event.as_bytes(), own.0), |r| {
        Ok((Author(r.get(0)?), Seen { number: r.get(1)?, log_no: r.get(2)?, seq: uint(r.get(3)?) }))
    })?
    .collect()
}

/// Our log now says so.
///
/// # Errors
/// SQLite's.
pub fn set_told(db: &Connection, author: Author, seen: &Seen) -> rusqlite::Result<()> {
    db.prepare_cached("update cert set told_log_no = ?2, told_seq = ?3 where no = ?1")?.execute((
        author.0,
        seen.log_no,
        int(seen.seq),
    ))?;
    Ok(())
}

/// A new log of our own repeats the whole seen vector: what the old log said may not be provable.
///
/// # Errors
/// SQLite's.
pub fn forget_told(db: &Connection, event: EventId) -> rusqlite::Result<()> {
    db.execute("update cert set told_log_no = 0, told_seq = 0 where event = ?1", [event.as_bytes()])?;
    Ok(())
}

/// Brings `seen_*` up to what is stored: the newest log, contiguous from 1.
///
/// # Errors
/// SQLite's.
pub fn refresh_seen(db: &Connection, author: Author) -> rusqlite::Result<()> {
    let (mut log_no, mut seq): (u32, i64) = db
        .prepare_cached("select seen_log_no, seen_seq from cert where no = ?1")?
        .query_row([author.0], |r| Ok((r.get(0)?, r.get(1)?)))?;
    let newest: Option<u32> = db
        .prepare_cached("select max(log_no) from log_entry where author = ?1")?
        .query_row([author.0], |r| r.get(0))?;
    let Some(newest) = newest else { return Ok(()) };
    if newest > log_no {
        (log_no, seq) = (newest, 0);
    }
    // Walks the index of places from the last contiguous one on; stops at the first hole.
    let mut statement = db.prepare_cached(
        "select seq from log_entry where author = ?1 and log_no = ?2 and seq > ?3 order by seq, twin",
    )?;
    let mut rows = statement.query((author.0, log_no, seq))?;
    while let Some(row) = rows.next()? {
        match row.get::<_, i64>(0)? {
            next if next == seq => {}
            next if next == seq + 1 => seq = next,
            _ => break,
        }
    }
    db.prepare_cached("update cert set seen_log_no = ?2, seen_seq = ?3 where no = ?1")?
        .execute((author.0, log_no, seq))?;
    Ok(())
}
