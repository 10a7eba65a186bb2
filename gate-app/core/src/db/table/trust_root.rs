//! The organizer's trust roots as they were accepted, from version 1 on: the chain is checked anew at each start.

use super::device::DeviceNo;
use rusqlite::Connection;
use shared::manifest::docs::SignedTrustRoot;

/// Its migration.
pub const V1: &str = "
create table trust_root (
  device_no integer not null references device (no),
  version integer not null check (version > 0),
  document blob not null,
  succession blob,
  primary key (device_no, version)
) strict, without rowid;
";

/// The chain, oldest first.
///
/// # Errors
/// SQLite's.
pub fn chain(db: &Connection, device: DeviceNo) -> rusqlite::Result<Vec<SignedTrustRoot>> {
    db.prepare_cached("select document, succession from trust_root where device_no = ?1 order by version")?
        .query_map([device.0], |r| Ok(SignedTrustRoot { document: r.get(0)?, succession: r.get(1)? }))?
        .collect()
}

/// Keeps one more version. A version that is there stays as it is: roots are never replaced.
///
/// # Errors
/// SQLite's.
pub fn insert(
    db: &Connection,
    device: DeviceNo,
    version: u32,
    root: &SignedTrustRoot,
) -> rusqlite::Result<()> {
    db.execute(
        "insert into trust_root (device_no, version, document, succession) values (?1, ?2, ?3, ?4)
           on conflict do nothing",
        (device.0, version, &root.document, &root.succession),
    )?;
    Ok(())
}

/// Forgets the chain of an enrolment that was declined.
///
/// # Errors
/// SQLite's.
pub fn delete_all(db: &Connection, device: DeviceNo) -> rusqlite::Result<()> {
    db.execute("delete from trust_root where device_no = ?1", [device.0])?;
    Ok(())
}
