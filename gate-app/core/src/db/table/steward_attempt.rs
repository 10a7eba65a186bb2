//! Wrong PINs. Counted before the PIN is looked at, so that pulling the plug wins no further try.

use super::device::DeviceNo;
use rusqlite::{Connection, OptionalExtension};
use shared::ids::StewardId;
use shared::time::UnixMillis;

/// Its migration.
pub const V1: &str = "
create table steward_attempt (
  device_no integer not null references device (no),
  steward blob not null check (length(steward) = 16),
  wrong integer not null,
  last_at integer not null,
  primary key (device_no, steward)
) strict, without rowid;
";

/// Wrong PINs in a row, and when the last was entered.
///
/// # Errors
/// SQLite's.
pub fn get(
    db: &Connection,
    device: DeviceNo,
    steward: StewardId,
) -> rusqlite::Result<Option<(u32, UnixMillis)>> {
    db.query_row(
        "select wrong, last_at from steward_attempt where device_no = ?1 and steward = ?2",
        (device.0, steward.as_bytes()),
        |r| Ok((r.get(0)?, UnixMillis(r.get(1)?))),
    )
    .optional()
}

/// Sets the count.
///
/// # Errors
/// SQLite's.
pub fn put(
    db: &Connection,
    device: DeviceNo,
    steward: StewardId,
    wrong: u32,
    at: UnixMillis,
) -> rusqlite::Result<()> {
    db.execute(
        "insert into steward_attempt (device_no, steward, wrong, last_at) values (?1, ?2, ?3, ?4)
           on conflict (device_no, steward) do update set wrong = excluded.wrong, last_at = excluded.last_at",
        (device.0, steward.as_bytes(), wrong, at.0),
    )?;
    Ok(())
}

/// The right PIN was entered.
///
/// # Errors
/// SQLite's.
pub fn delete(db: &Connection, device: DeviceNo, steward: StewardId) -> rusqlite::Result<()> {
    db.execute(
        "delete from steward_attempt where device_no = ?1 and steward = ?2",
        (device.0, steward.as_bytes()),
    )?;
    Ok(())
}
