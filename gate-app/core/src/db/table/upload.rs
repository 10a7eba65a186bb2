//! What the server has acknowledged of each own log, and runs that it refused.

use super::device::DeviceNo;
use crate::db::{int, uint};
use rusqlite::Connection;
use shared::time::UnixMillis;

/// Their migration. A refused run is not lost: it is offered again later, in smaller pieces.
pub const V1: &str = "
create table upload (
  device_no integer not null references device (no),
  log_no integer not null check (log_no > 0),
  acknowledged integer not null default 0 check (acknowledged >= 0),
  primary key (device_no, log_no)
) strict, without rowid;
create table refused_run (
  device_no integer not null references device (no),
  log_no integer not null,
  from_seq integer not null,
  to_seq integer not null check (to_seq >= from_seq),
  tries integer not null,
  retry_at integer not null,
  problem text not null,
  primary key (device_no, log_no, from_seq)
) strict, without rowid;
";

/// A run that the server refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its log.
    pub log_no: u32,
    /// First entry.
    pub from: u64,
    /// Last entry.
    pub to: u64,
    /// How often it was refused.
    pub tries: u32,
    /// Not before.
    pub retry_at: UnixMillis,
}

/// Contiguous prefix of a log that the server says is durable.
///
/// # Errors
/// SQLite's.
pub fn acknowledged(db: &Connection, device: DeviceNo, log_no: u32) -> rusqlite::Result<u64> {
    db.prepare_cached(
        "select coalesce(max(acknowledged), 0) from upload where device_no = ?1 and log_no = ?2",
    )?
    .query_row((device.0, log_no), |r| r.get(0))
    .map(uint)
}

/// The newest log that the server has acknowledged anything of, with how much.
///
/// # Errors
/// SQLite's.
pub fn all(db: &Connection, device: DeviceNo) -> rusqlite::Result<Vec<(u32, u64)>> {
    db.prepare_cached("select log_no, acknowledged from upload where device_no = ?1 order by log_no")?
        .query_map([device.0], |r| Ok((r.get(0)?, uint(r.get(1)?))))?
        .collect()
}

/// Raises it; never lowers it.
///
/// # Errors
/// SQLite's.
pub fn acknowledge(db: &Connection, device: DeviceNo, log_no: u32, upto: u64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "insert into upload (device_no, log_no, acknowledged) values (?1, ?2, ?3)
           on conflict (device_no, log_no) do update set acknowledged = max(acknowledged, excluded.acknowledged)",
    )?
    .execute((device.0, log_no, int(upto)))?;
    Ok(())
}

/// A new epoch: the server may have lost what it acknowledged; everything is offered again.
///
/// # Errors
/// SQLite's.
pub fn restart(db: &Connection, device: DeviceNo) -> rusqlite::Result<()> {
    db.execute("update upload set acknowledged = 0 where device_no = ?1", [device.0])?;
    db.execute("delete from refused_run where device_no = ?1", [device.0])?;
    Ok(())
}

/// The refused runs.
///
/// # Errors
/// SQLite's.
pub fn refused(db: &Connection, device: DeviceNo) -> rusqlite::Result<Vec<Refused>> {
    db.prepare_cached(
        "select log_no, from_seq, to_seq, tries, retry_at from refused_run where device_no = ?1
           order by log_no, from_seq",
    )?
    .query_map([device.0], |r| {
        Ok(Refused {
            log_no: r.get(0)?,
            from: uint(r.get(1)?),
            to: uint(r.get(2)?),
            tries: r.get(3)?,
            retry_at: UnixMillis(r.get(4)?),
        })
    })?
    .collect()
}

/// Notes a refusal.
///
/// # Errors
/// SQLite's.
pub fn put_refused(db: &Connection, device: DeviceNo, run: &Refused, problem: &str) -> rusqlite::Result<()> {
    db.execute(
        "insert into refused_run (device_no, log_no, from_seq, to_seq, tries, retry_at, problem)
           values (?1, ?2, ?3, ?4, ?5, ?6, ?7)
           on conflict (device_no, log_no, from_seq) do update set to_seq = excluded.to_seq,
             tries = excluded.tries, retry_at = excluded.retry_at, problem = excluded.problem",
        (device.0, run.log_no, int(run.from), int(run.to), run.tries, run.retry_at.0, problem),
    )?;
    Ok(())
}

/// The run starting there was taken, or is offered in pieces from now on.
///
/// # Errors
/// SQLite's.
pub fn delete_refused(db: &Connection, device: DeviceNo, log_no: u32, from: u64) -> rusqlite::Result<()> {
    db.execute(
        "delete from refused_run where device_no = ?1 and log_no = ?2 and from_seq = ?3",
        (device.0, log_no, int(from)),
    )?;
    Ok(())
}
