//! What this machine's window remembers beside its enrolments, as JSON by name. Never part of a log.

use rusqlite::{Connection, OptionalExtension};

/// Its migration.
pub const V2: &str = "
create table setting (
  name text primary key,
  value text not null
) strict, without rowid;
";

/// A value; `None` if nobody has set it.
///
/// # Errors
/// SQLite's.
pub fn get(db: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    db.prepare_cached("select value from setting where name = ?1")?.query_row([name], |r| r.get(0)).optional()
}

/// Sets a value.
///
/// # Errors
/// SQLite's.
pub fn put(db: &Connection, name: &str, value: &str) -> rusqlite::Result<()> {
    db.prepare_cached(
        "insert into setting (name, value) values (?1, ?2) on conflict (name) do update set value = excluded.value",
    )?
    .execute([name, value])?;
    Ok(())
}

/// Forgets a value.
///
/// # Errors
/// SQLite's.
pub fn delete(db: &Connection, name: &str) -> rusqlite::Result<()> {
    db.execute("delete from setting where name = ?1", [name])?;
    Ok(())
}
