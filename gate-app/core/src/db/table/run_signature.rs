//! Closings of other devices' runs: each proves, through the chain, every entry before it, and travels on with
//! them to devices that cannot reach the server.

use super::cert::Author;
use crate::db::{int, uint};
use rusqlite::{Connection, OptionalExtension};
use shared::bytes::{Hash32, Signature64};

/// Its migration.
pub const V1: &str = "
create table run_signature (
  author integer not null references cert (no),
  log_no integer not null,
  last_seq integer not null,
  last_hash blob not null check (length(last_hash) = 32),
  signature blob not null check (length(signature) = 64),
  primary key (author, log_no, last_seq, last_hash)
) strict, without rowid;
";

/// Keeps one; the same again changes nothing.
///
/// # Errors
/// SQLite's.
pub fn insert(
    db: &Connection,
    author: Author,
    log_no: u32,
    last_seq: u64,
    last_hash: &Hash32,
    signature: &Signature64,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "insert into run_signature (author, log_no, last_seq, last_hash, signature) values (?1, ?2, ?3, ?4, ?5)
           on conflict do nothing",
    )?
    .execute((author.0, log_no, int(last_seq), last_hash.0, signature.0))?;
    Ok(())
}

/// The first closing at or after a place: what a relay sends with the entries up to it.
///
/// # Errors
/// SQLite's.
pub fn first_from(
    db: &Connection,
    author: Author,
    log_no: u32,
    seq: u64,
) -> rusqlite::Result<Option<(u64, Hash32, Signature64)>> {
    db.prepare_cached(
        "select last_seq, last_hash, signature from run_signature
           where author = ?1 and log_no = ?2 and last_seq >= ?3 order by last_seq limit 1",
    )?
    .query_row((author.0, log_no, int(seq)), |r| {
        Ok((uint(r.get(0)?), Hash32(r.get(1)?), Signature64(r.get(2)?)))
    })
    .optional()
}
