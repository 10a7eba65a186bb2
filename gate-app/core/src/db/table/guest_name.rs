//! Names in plain, to be searched: on devices of the box office only, and no longer than they may know them.

use super::device::DeviceNo;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, named_params};
use shared::ids::TicketId;

/// Its migration. `folded` is name and booking as [`crate::folded`] makes them, each word after a space. `walk` as in
/// [`super::guest_sealed`].
pub const V3: &str = "
create table guest_name (
  device_no integer not null references device (no),
  ticket blob not null check (length(ticket) = 16),
  walk integer not null default 0,
  type_no integer not null,
  booking text not null,
  name text,
  note text,
  folded text not null,
  primary key (device_no, ticket)
) strict, without rowid;
";

/// Who comes with a ticket.
#[derive(Clone, PartialEq, Eq)]
pub struct GuestName {
    /// The ticket.
    pub ticket: TicketId,
    /// Number of its type.
    pub type_no: u16,
    /// How people name the booking.
    pub booking: String,
    /// Name.
    pub name: Option<String>,
    /// For the door.
    pub note: Option<String>,
}

/// What it says stays out of logs.
impl std::fmt::Debug for GuestName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuestName").field("ticket", &self.ticket).finish_non_exhaustive()
    }
}

const COLUMNS: &str = "ticket, type_no, booking, name, note";

fn guest(r: &Row<'_>) -> rusqlite::Result<GuestName> {
    Ok(GuestName {
        ticket: TicketId::from_bytes(r.get(0)?),
        type_no: r.get(1)?,
        booking: r.get(2)?,
        name: r.get(3)?,
        note: r.get(4)?,
    })
}

/// Who comes with a ticket.
///
/// # Errors
/// SQLite's.
pub fn get(db: &Connection, device: DeviceNo, ticket: TicketId) -> rusqlite::Result<Option<GuestName>> {
    db.prepare_cached(&format!("select {COLUMNS} from guest_name where device_no = ?1 and ticket = ?2"))?
        .query_row((device.0, ticket.as_bytes()), guest)
        .optional()
}

/// Those in whose name or booking some word begins with each of the given ones, by name; at most `limit`. The words are
/// folded. Reads all rows: 100,000 in some ten milliseconds.
///
/// # Errors
/// SQLite's.
pub fn search(
    db: &Connection,
    device: DeviceNo,
    words: &[String],
    limit: usize,
) -> rusqlite::Result<Vec<GuestName>> {
    let words: Vec<String> = words.iter().map(|word| format!(" {word}")).collect();
    let mut sql = format!("select {COLUMNS} from guest_name where device_no = ?1");
    let mut values: Vec<&dyn ToSql> = vec![&device.0];
    for word in &words {
        values.push(word);
        sql.push_str(&format!(" and instr(folded, ?{}) > 0", values.len()));
    }
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    values.push(&limit);
    sql.push_str(&format!(" order by folded, ticket limit ?{}", values.len()));
    db.prepare(&sql)?.query_map(&values[..], guest)?.collect()
}

/// Puts a row in the place of an older one.
///
/// # Errors
/// SQLite's.
pub fn put(
    db: &Connection,
    device: DeviceNo,
    walk: i64,
    guest: &GuestName,
    folded: &str,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "insert into guest_name (device_no, ticket, walk, type_no, booking, name, note, folded)
           values (:device_no, :ticket, :walk, :type_no, :booking, :name, :note, :folded)
           on conflict (device_no, ticket) do update
             set walk = excluded.walk, type_no = excluded.type_no, booking = excluded.booking, name = excluded.name,
                 note = excluded.note, folded = excluded.folded",
    )?
    .execute(named_params! {
        ":device_no": device.0,
        ":ticket": guest.ticket.as_bytes(),
        ":walk": walk,
        ":type_no": guest.type_no,
        ":booking": guest.booking,
        ":name": guest.name,
        ":note": guest.note,
        ":folded": folded,
    })?;
    Ok(())
}

/// Forgets who comes with a ticket.
///
/// # Errors
/// SQLite's.
pub fn delete(db: &Connection, device: DeviceNo, ticket: TicketId) -> rusqlite::Result<()> {
    db.prepare_cached("delete from guest_name where device_no = ?1 and ticket = ?2")?
        .execute((device.0, ticket.as_bytes()))?;
    Ok(())
}

/// As [`super::guest_sealed::delete_before`].
///
/// # Errors
/// SQLite's.
pub fn delete_before(db: &Connection, device: DeviceNo, walk: i64) -> rusqlite::Result<usize> {
    db.execute("delete from guest_name where device_no = ?1 and walk < ?2", (device.0, walk))
}
