//! Ticket rows of the manifest in use: 4,096 buckets of concatenated, sorted 20-byte rows. A scan reads one bucket
//! by its number and searches inside it; a change rewrites only the buckets it touches.

use super::device::DeviceNo;
use rusqlite::{Connection, OptionalExtension};
use shared::bytes::Hash32;

/// Their migration. `id` is device_no × 4,096 + number of the bucket: one b-tree, one descent. Hashes stand apart,
/// so that the hash over all buckets never reads the rows.
pub const V1: &str = "
create table bucket (
  id integer primary key,
  rows blob not null check (length(rows) % 20 = 0)
) strict;
create table bucket_hash (
  device_no integer not null,
  no integer not null,
  hash blob not null check (length(hash) = 32),
  primary key (device_no, no)
) strict, without rowid;
";

const fn id(device: DeviceNo, no: u16) -> i64 {
    device.0 * 4096 + no as i64
}

/// Calls `read` with the rows of one bucket; an absent bucket is an empty one.
///
/// # Errors
/// SQLite's.
pub fn with_rows<T>(
    db: &Connection,
    device: DeviceNo,
    no: u16,
    read: impl FnOnce(&[u8]) -> T,
) -> rusqlite::Result<T> {
    let mut statement = db.prepare_cached("select rows from bucket where id = ?1")?;
    let mut rows = statement.query([id(device, no)])?;
    match rows.next()? {
        Some(row) => Ok(read(row.get_ref(0)?.as_blob()?)),
        None => Ok(read(&[])),
    }
}

/// Replaces one bucket; an empty one is removed.
///
/// # Errors
/// SQLite's.
pub fn put(db: &Connection, device: DeviceNo, no: u16, rows: &[u8], hash: &Hash32) -> rusqlite::Result<()> {
    if rows.is_empty() {
        db.prepare_cached("delete from bucket where id = ?1")?.execute([id(device, no)])?;
        db.prepare_cached("delete from bucket_hash where device_no = ?1 and no = ?2")?
            .execute((device.0, no))?;
        return Ok(());
    }
    db.prepare_cached(
        "insert into bucket (id, rows) values (?1, ?2) on conflict (id) do update set rows = excluded.rows",
    )?
    .execute((id(device, no), rows))?;
    db.prepare_cached(
        "insert into bucket_hash (device_no, no, hash) values (?1, ?2, ?3)
           on conflict (device_no, no) do update set hash = excluded.hash",
    )?
    .execute((device.0, no, hash.0))?;
    Ok(())
}

/// Overwrites `hashes[no]` for each bucket that is there.
///
/// # Errors
/// SQLite's.
pub fn read_hashes(db: &Connection, device: DeviceNo, hashes: &mut [Hash32]) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached("select no, hash from bucket_hash where device_no = ?1")?;
    let mut rows = statement.query([device.0])?;
    while let Some(row) = rows.next()? {
        let no: u16 = row.get(0)?;
        if let Some(slot) = hashes.get_mut(usize::from(no)) {
            *slot = Hash32(row.get(1)?);
        }
    }
    Ok(())
}

/// Forgets all buckets of an enrolment.
///
/// # Errors
/// SQLite's.
pub fn delete_all(db: &Connection, device: DeviceNo) -> rusqlite::Result<()> {
    db.execute("delete from bucket where id between ?1 and ?2", [id(device, 0), id(device, 4095)])?;
    db.execute("delete from bucket_hash where device_no = ?1", [device.0])?;
    Ok(())
}

/// True if any bucket is there.
///
/// # Errors
/// SQLite's.
pub fn any(db: &Connection, device: DeviceNo) -> rusqlite::Result<bool> {
    let range = [id(device, 0), id(device, 4095)];
    db.query_row("select 1 from bucket where id between ?1 and ?2 limit 1", range, |_| Ok(()))
        .optional()
        .map(|row| row.is_some())
}
