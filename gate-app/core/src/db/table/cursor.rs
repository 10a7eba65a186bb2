//! Where downloads stand, and what the last attempt to reach the server came to.

use super::device::DeviceNo;
use crate::db::{int, uint};
use rusqlite::{Connection, OptionalExtension};
use shared::time::UnixMillis;

/// Its migration. `rejected` counts other devices' runs that did not verify and were kept out.
pub const V1: &str = "
create table cursor (
  device_no integer primary key references device (no),
  scans integer not null default 0 check (scans >= 0),
  last_sync_at integer,
  online integer not null default 0,
  rejected integer not null default 0,
  problem text
) strict;
";

/// One enrolment's row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Scans of other devices are here up to this cursor of the server.
    pub scans: u64,
    /// Last time that both ways worked.
    pub last_sync_at: Option<UnixMillis>,
    /// The last attempt reached the server.
    pub online: bool,
    /// Runs kept out.
    pub rejected: u64,
    /// What the last attempt complained of.
    pub problem: Option<String>,
}

/// The row; empty before the first attempt.
///
/// # Errors
/// SQLite's.
pub fn get(db: &Connection, device: DeviceNo) -> rusqlite::Result<Cursor> {
    db.prepare_cached(
        "select scans, last_sync_at, online, rejected, problem from cursor where device_no = ?1",
    )?
    .query_row([device.0], |r| {
        Ok(Cursor {
            scans: uint(r.get(0)?),
            last_sync_at: r.get::<_, Option<i64>>(1)?.map(UnixMillis),
            online: r.get(2)?,
            rejected: uint(r.get(3)?),
            problem: r.get(4)?,
        })
    })
    .optional()
    .map(Option::unwrap_or_default)
}

/// Moves the cursor on, in the transaction that stored what lies before it. Never back.
///
/// # Errors
/// SQLite's.
pub fn advance(db: &Connection, device: DeviceNo, scans: u64, rejected: u64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "insert into cursor (device_no, scans, rejected) values (?1, ?2, ?3)
           on conflict (device_no) do update set scans = max(scans, excluded.scans),
             rejected = rejected + excluded.rejected",
    )?
    .execute((device.0, int(scans), int(rejected)))?;
    Ok(())
}

/// A new epoch: the server's numbering may have begun anew; all scans are asked for again.
///
/// # Errors
/// SQLite's.
pub fn restart(db: &Connection, device: DeviceNo) -> rusqlite::Result<()> {
    db.execute("update cursor set scans = 0 where device_no = ?1", [device.0])?;
    Ok(())
}

/// Notes how an attempt went. `synced_at` only if both ways worked.
///
/// # Errors
/// SQLite's.
pub fn note_attempt(
    db: &Connection,
    device: DeviceNo,
    online: bool,
    synced_at: Option<UnixMillis>,
    problem: Option<&str>,
) -> rusqlite::Result<()> {
    db.execute(
        "insert into cursor (device_no, online, last_sync_at, problem) values (?1, ?2, ?3, ?4)
           on conflict (device_no) do update set online = excluded.online,
             last_sync_at = coalesce(excluded.last_sync_at, last_sync_at), problem = excluded.problem",
        (device.0, online, synced_at.map(|t| t.0), problem),
    )?;
    Ok(())
}
