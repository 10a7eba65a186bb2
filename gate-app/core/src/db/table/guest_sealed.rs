//! Guest records as they came: sealed, each to the code of its ticket. Without that code they say nothing.

use super::device::DeviceNo;
use rusqlite::{Connection, OptionalExtension};
use shared::ids::TicketId;

/// Its migration. `walk` is the number of the last time that all records came in which this one did.
pub const V3: &str = "
create table guest_sealed (
  device_no integer not null references device (no),
  ticket blob not null check (length(ticket) = 16),
  walk integer not null default 0,
  generation integer not null check (generation between 0 and 15),
  sealed blob not null,
  primary key (device_no, ticket)
) strict, without rowid;
";

/// The sealed record of a ticket, if it is of this generation.
///
/// # Errors
/// SQLite's.
pub fn get(
    db: &Connection,
    device: DeviceNo,
    ticket: TicketId,
    generation: u8,
) -> rusqlite::Result<Option<Vec<u8>>> {
    db.prepare_cached(
        "select sealed from guest_sealed where device_no = ?1 and ticket = ?2 and generation = ?3",
    )?
    .query_row((device.0, ticket.as_bytes(), generation), |r| r.get(0))
    .optional()
}

/// Puts a record in the place of an older one.
///
/// # Errors
/// SQLite's.
pub fn put(
    db: &Connection,
    device: DeviceNo,
    walk: i64,
    ticket: TicketId,
    generation: u8,
    sealed: &[u8],
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "insert into guest_sealed (device_no, ticket, walk, generation, sealed) values (?1, ?2, ?3, ?4, ?5)
           on conflict (device_no, ticket) do update
             set walk = excluded.walk, generation = excluded.generation, sealed = excluded.sealed",
    )?
    .execute((device.0, ticket.as_bytes(), walk, generation, sealed))?;
    Ok(())
}

/// Takes a ticket's record back.
///
/// # Errors
/// SQLite's.
pub fn delete(db: &Connection, device: DeviceNo, ticket: TicketId) -> rusqlite::Result<()> {
    db.prepare_cached("delete from guest_sealed where device_no = ?1 and ticket = ?2")?
        .execute((device.0, ticket.as_bytes()))?;
    Ok(())
}

/// Forgets those that did not come in this walk; all, for a walk that never was.
///
/// # Errors
/// SQLite's.
pub fn delete_before(db: &Connection, device: DeviceNo, walk: i64) -> rusqlite::Result<usize> {
    db.execute("delete from guest_sealed where device_no = ?1 and walk < ?2", (device.0, walk))
}
