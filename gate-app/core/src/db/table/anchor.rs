//! The last comparison with the server's clock, with the boot that it belongs to.

use super::device::DeviceNo;
use crate::db::{int, uint};
use rusqlite::{Connection, OptionalExtension};
use shared::bytes::Nonce16;
use shared::log::entry::Anchor;
use shared::time::UnixMillis;

/// Its migration. `floor` is the latest time that the server or an anchored clock has proven; time never falls
/// below it, in any boot.
pub const V1: &str = "
create table anchor (
  device_no integer primary key references device (no),
  boot_id blob not null check (length(boot_id) = 16),
  server_time integer not null,
  monotonic_ns integer not null check (monotonic_ns >= 0),
  uncertainty_ms integer not null check (uncertainty_ms >= 0),
  floor integer not null
) strict;
";

/// A stored anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The boot it belongs to.
    pub boot_id: Nonce16,
    /// The comparison.
    pub anchor: Anchor,
    /// Time never falls below this.
    pub floor: UnixMillis,
}

/// The anchor; `None` before the first sync.
///
/// # Errors
/// SQLite's.
pub fn get(db: &Connection, device: DeviceNo) -> rusqlite::Result<Option<Stored>> {
    db.prepare_cached(
        "select boot_id, server_time, monotonic_ns, uncertainty_ms, floor from anchor where device_no = ?1",
    )?
    .query_row([device.0], |r| {
        Ok(Stored {
            boot_id: Nonce16(r.get(0)?),
            anchor: Anchor {
                server_time: UnixMillis(r.get(1)?),
                monotonic_ns: uint(r.get(2)?),
                uncertainty_ms: r.get(3)?,
            },
            floor: UnixMillis(r.get(4)?),
        })
    })
    .optional()
}

/// Replaces it; the floor only rises.
///
/// # Errors
/// SQLite's.
pub fn put(db: &Connection, device: DeviceNo, s: &Stored) -> rusqlite::Result<()> {
    db.execute(
        "insert into anchor (device_no, boot_id, server_time, monotonic_ns, uncertainty_ms, floor)
           values (?1, ?2, ?3, ?4, ?5, ?6)
           on conflict (device_no) do update set boot_id = excluded.boot_id, server_time = excluded.server_time,
             monotonic_ns = excluded.monotonic_ns, uncertainty_ms = excluded.uncertainty_ms,
             floor = max(floor, excluded.floor)",
        (
            device.0,
            s.boot_id.0,
            s.anchor.server_time.0,
            int(s.anchor.monotonic_ns),
            s.anchor.uncertainty_ms,
            s.floor.0,
        ),
    )?;
    Ok(())
}
