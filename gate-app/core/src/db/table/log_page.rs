//! Reading a device's own part of [`super::log_entry`] newest first, as people do: by page, by kind, by what is unsent.

use super::cert::Author;
use super::device::DeviceNo;
use super::log_entry::{STORED, Stored, kind_no, stored};
use crate::db::{int, uint};
use rusqlite::{Connection, named_params};
use shared::log::entry::EntryKind;

/// Which entries of an author.
#[derive(Debug, Clone, Copy)]
pub struct Which<'k> {
    /// Whose.
    pub author: Author,
    /// Only these kinds; all if absent.
    pub kinds: Option<&'k [EntryKind]>,
    /// Only what the server has not acknowledged to this enrolment.
    pub unsent_of: Option<DeviceNo>,
    /// Only from before this log number and number in the log.
    pub before: Option<(u32, u64)>,
}

impl Which<'_> {
    /// Binds `:author`, `:log_no`, `:seq` and `:device_no`.
    fn sql(&self, what: &str, order: &str) -> String {
        let kinds = self.kinds.map_or_else(String::new, |kinds| {
            let numbers: Vec<String> = kinds.iter().map(|k| kind_no(*k).to_string()).collect();
            format!(" and kind in ({})", numbers.join(", "))
        });
        format!(
            "select {what} from log_entry e
               where author = :author and (log_no, seq) < (:log_no, :seq){kinds}
                 and (:device_no is null or not exists (select 1 from upload u
                       where u.device_no = :device_no and u.log_no = e.log_no and u.acknowledged >= e.seq))
               {order}"
        )
    }

    fn values(&self) -> (i64, i64, i64, Option<i64>) {
        let (log_no, seq) = self.before.map_or((i64::MAX, 0), |(log_no, seq)| (log_no.into(), int(seq)));
        (self.author.0, log_no, seq, self.unsent_of.map(|no| no.0))
    }
}

/// How many there are; no entry is opened for it.
///
/// # Errors
/// SQLite's.
pub fn count(db: &Connection, which: &Which<'_>) -> rusqlite::Result<u64> {
    let (author, log_no, seq, device_no) = which.values();
    let named = named_params! { ":author": author, ":log_no": log_no, ":seq": seq, ":device_no": device_no };
    db.prepare_cached(&which.sql("count(*)", ""))?.query_row(named, |r| r.get(0)).map(uint)
}

/// Calls `each` with one after the other, newest first, until it says false. What is not asked for is not read.
///
/// # Errors
/// SQLite's, or an entry that does not read any more.
pub fn each(
    db: &Connection,
    which: &Which<'_>,
    mut each: impl FnMut(Stored) -> bool,
) -> rusqlite::Result<()> {
    let (author, log_no, seq, device_no) = which.values();
    let named = named_params! { ":author": author, ":log_no": log_no, ":seq": seq, ":device_no": device_no };
    let mut statement = db.prepare_cached(&which.sql(STORED, "order by log_no desc, seq desc"))?;
    let mut rows = statement.query(named)?;
    while let Some(row) = rows.next()? {
        if !each(stored(row)?) {
            break;
        }
    }
    Ok(())
}
