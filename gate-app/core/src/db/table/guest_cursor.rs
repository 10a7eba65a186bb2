//! How far guest records have been fetched.

use super::device::DeviceNo;
use crate::db::{int, uint};
use rusqlite::{Connection, OptionalExtension, named_params};

/// Its migration. `cursor` is the server's; `epoch` and `change_seq` say up to where records are complete; `walk` counts how
/// often all of them came; `names` says whether the server gives names to this device.
pub const V3: &str = "
create table guest_cursor (
  device_no integer primary key references device (no),
  cursor blob not null,
  walk integer not null,
  epoch integer not null default 0,
  change_seq integer not null default 0 check (change_seq >= 0),
  names integer not null
) strict;
";

/// One enrolment's row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GuestCursor {
    /// To be given back to the server; empty before the first page.
    pub cursor: Vec<u8>,
    /// Which time all records came, or are coming.
    pub walk: i64,
    /// Records are complete up to this epoch and change of the manifest; zeros until they are.
    pub complete: (u32, u64),
    /// The server gives names to this device.
    pub names: bool,
}

/// The row; empty before the first page.
///
/// # Errors
/// SQLite's.
pub fn get(db: &Connection, device: DeviceNo) -> rusqlite::Result<GuestCursor> {
    db.prepare_cached("select cursor, walk, epoch, change_seq, names from guest_cursor where device_no = ?1")?
        .query_row([device.0], |r| {
            Ok(GuestCursor {
                cursor: r.get(0)?,
                walk: r.get(1)?,
                complete: (r.get(2)?, uint(r.get(3)?)),
                names: r.get(4)?,
            })
        })
        .optional()
        .map(Option::unwrap_or_default)
}

/// Replaces the row, in the transaction that stored what lies before the cursor.
///
/// # Errors
/// SQLite's.
pub fn put(db: &Connection, device: DeviceNo, at: &GuestCursor) -> rusqlite::Result<()> {
    db.prepare_cached(
        "insert into guest_cursor (device_no, cursor, walk, epoch, change_seq, names)
           values (:device_no, :cursor, :walk, :epoch, :change_seq, :names)
           on conflict (device_no) do update
             set cursor = excluded.cursor, walk = excluded.walk, epoch = excluded.epoch,
                 change_seq = excluded.change_seq, names = excluded.names",
    )?
    .execute(named_params! {
        ":device_no": device.0,
        ":cursor": at.cursor,
        ":walk": at.walk,
        ":epoch": at.complete.0,
        ":change_seq": int(at.complete.1),
        ":names": at.names,
    })?;
    Ok(())
}

/// Forgets it: all records come anew.
///
/// # Errors
/// SQLite's.
pub fn delete(db: &Connection, device: DeviceNo) -> rusqlite::Result<()> {
    db.execute("delete from guest_cursor where device_no = ?1", [device.0])?;
    Ok(())
}
