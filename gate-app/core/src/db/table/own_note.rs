//! What people at this machine noted of an enrolment: their own name for it, and that they are done with it.

use super::device::DeviceNo;
use rusqlite::{Connection, OptionalExtension};
use shared::time::UnixMillis;

/// Its migration. An enrolment that was left stays in its tables, because its log is evidence.
pub const V2: &str = "
create table own_note (
  device_no integer primary key references device (no),
  local_name text,
  left_at integer
) strict;
";

/// One enrolment's row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnNote {
    /// Stays on this machine.
    pub local_name: Option<String>,
    /// When people were done with it.
    pub left_at: Option<UnixMillis>,
}

/// The row; empty if nobody noted anything.
///
/// # Errors
/// SQLite's.
pub fn get(db: &Connection, device: DeviceNo) -> rusqlite::Result<OwnNote> {
    db.prepare_cached("select local_name, left_at from own_note where device_no = ?1")?
        .query_row([device.0], |r| {
            Ok(OwnNote { local_name: r.get(0)?, left_at: r.get::<_, Option<i64>>(1)?.map(UnixMillis) })
        })
        .optional()
        .map(Option::unwrap_or_default)
}

/// Names an enrolment; `None` takes the name away.
///
/// # Errors
/// SQLite's.
pub fn set_name(db: &Connection, device: DeviceNo, name: Option<&str>) -> rusqlite::Result<()> {
    db.execute(
        "insert into own_note (device_no, local_name) values (?1, ?2)
           on conflict (device_no) do update set local_name = excluded.local_name",
        (device.0, name),
    )?;
    Ok(())
}

/// People are done with it.
///
/// # Errors
/// SQLite's.
pub fn set_left(db: &Connection, device: DeviceNo, at: UnixMillis) -> rusqlite::Result<()> {
    db.execute(
        "insert into own_note (device_no, left_at) values (?1, ?2)
           on conflict (device_no) do update set left_at = coalesce(left_at, excluded.left_at)",
        (device.0, at.0),
    )?;
    Ok(())
}
