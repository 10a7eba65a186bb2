//! The gate's SQLite file: how it is opened, and the steps that brought its tables to today's form. Each table's
//! SQL stands in its own module below [`table`]; nowhere else.
//!
//! `gate run` and any number of `gate scan` work beside each other on one folder. Each process holds one
//! connection; writes begin `immediate`, so that what a transaction reads is still true when it writes.

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use rustix::fs::FlockOperation;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub mod table;

/// The first version without the write-ahead log's reset bug (<https://sqlite.org/wal.html#walresetbug>).
pub const OLDEST_SQLITE: i32 = 3_051_003;

/// Name of the database inside a data folder.
pub const FILE: &str = "gate.sqlite";

/// How long a write waits for another process's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Pages in the write-ahead log at which a commit also writes them back. Idle moments do it earlier, see
/// [`Db::checkpoint`].
const AUTOCHECKPOINT_PAGES: i64 = 4000;

/// One entry per form of the tables; an entry is never changed once released.
const MIGRATIONS: &[&[&str]] = &[
    &[
        table::device::V1,
        table::trust_root::V1,
        table::manifest::V1,
        table::bucket::V1,
        table::cert::V1,
        table::log_entry::V1,
        table::run_signature::V1,
        table::cursor::V1,
        table::upload::V1,
        table::anchor::V1,
        table::steward_attempt::V1,
    ],
    &[table::setting::V2, table::own_note::V2],
    &[table::guest_sealed::V3, table::guest_name::V3, table::guest_cursor::V3],
];

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// Linked against a library that can lose data.
    #[error("SQLite {found} is older than {OLDEST_SQLITE}, which first closed a way to lose commits")]
    OldSqlite {
        /// Its version number.
        found: i32,
    },
    /// The file was written by a later version of this program.
    #[error(
        "the data folder has form {found}; this program knows forms up to {known}: install the newer version"
    )]
    FromTheFuture {
        /// Form of the file.
        found: i64,
        /// Newest known form.
        known: i64,
    },
    /// The file system cannot keep a write-ahead log.
    #[error("the data folder's file system does not support a write-ahead log (journal mode is {0})")]
    NoWal(String),
    /// The folder cannot be made or protected.
    #[error("data folder {path}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Anything SQLite says.
    #[error("database")]
    Sql(#[from] rusqlite::Error),
}

/// Refuses to go on with a library that can lose commits.
///
/// # Errors
/// [`DbError::OldSqlite`].
pub fn assert_sqlite() -> Result<(), DbError> {
    let found = rusqlite::version_number();
    if found < OLDEST_SQLITE { Err(DbError::OldSqlite { found }) } else { Ok(()) }
}

/// An open database of one data folder.
#[derive(Debug)]
pub struct Db {
    conn: Connection,
    dir: PathBuf,
    file: FileId,
}

impl Db {
    /// Opens the folder's database, makes both if they are missing, and brings the tables to today's form.
    ///
    /// # Errors
    /// [`DbError`]; nothing is half migrated.
    pub fn open(dir: &Path) -> Result<Self, DbError> {
        assert_sqlite()?;
        make_private_folder(dir)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE;
        let path = dir.join(FILE);
        let _standing = Folder::shared(dir);
        let conn = Connection::open_with_flags(&path, flags)?;
        conn.busy_timeout(BUSY_TIMEOUT)?;
        configure(&conn)?;
        migrate(&conn)?;
        let file = FileId::of(&path).ok_or_else(moved)?;
        Ok(Self { conn, dir: dir.to_owned(), file })
    }

    /// The connection.
    #[must_use]
    pub const fn conn(&self) -> &Connection {
        &self.conn
    }

    /// The data folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Begins a write transaction; it rolls back unless committed.
    ///
    /// # Errors
    /// SQLite's, such as "busy" after five seconds, or [`Db::assert_in_place`]'s.
    pub fn begin(&self) -> rusqlite::Result<Transaction<'_>> {
        let tx = Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate)?;
        self.assert_in_place()?;
        Ok(tx)
    }

    /// That the folder's database is the one that was opened: another process may have put a damaged one aside. Inside
    /// of a write transaction, before anything is written: whoever makes the database anew holds that lock until the new
    /// one stands there, and what is written to the old one afterwards nobody would read.
    ///
    /// # Errors
    /// `SQLITE_READONLY_DBMOVED` (<https://sqlite.org/rescode.html#readonly_dbmoved>), which SQLite itself looks for only
    /// without a write-ahead log.
    pub fn assert_in_place(&self) -> rusqlite::Result<()> {
        if FileId::of(&self.dir.join(FILE)) == Some(self.file) { Ok(()) } else { Err(moved()) }
    }

    /// Changes whenever another connection has committed.
    ///
    /// # Errors
    /// SQLite's.
    pub fn data_version(&self) -> rusqlite::Result<i64> {
        self.conn.prepare_cached("pragma data_version")?.query_row([], |r| r.get(0))
    }

    /// Writes the log's pages back into the database as far as no reader is in the way: for idle moments, so
    /// that no scan has to.
    ///
    /// # Errors
    /// SQLite's; harmless, a later commit tries again.
    pub fn checkpoint(&self) -> rusqlite::Result<()> {
        self.conn.prepare_cached("pragma wal_checkpoint(passive)")?.query_row([], |_| Ok(()))
    }
}

/// Held while a database is opened, and alone while another one takes its place: SQLite finds a database's side files by
/// their names. A file system without such locks does without.
#[derive(Debug)]
pub(crate) struct Folder {
    _held: Option<std::fs::File>,
}

impl Folder {
    fn shared(dir: &Path) -> Self {
        Self::held(dir, FlockOperation::LockShared)
    }

    pub(crate) fn alone(dir: &Path) -> Self {
        Self::held(dir, FlockOperation::LockExclusive)
    }

    fn held(dir: &Path, how: FlockOperation) -> Self {
        let held = std::fs::File::open(dir).ok().filter(|folder| match rustix::fs::flock(folder, how) {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(%error, "the data folder cannot be locked");
                false
            }
        });
        Self { _held: held }
    }
}

/// Which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(path: &Path) -> Option<Self> {
        let found = std::fs::metadata(path).ok()?;
        Some(Self { device: found.dev(), inode: found.ino() })
    }
}

fn moved() -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_READONLY_DBMOVED);
    rusqlite::Error::SqliteFailure(
        code,
        Some("another process has made the database anew: start this one again".to_owned()),
    )
}

/// SQLite counts in i64; every number that this product gives out stays far below its end.
#[must_use]
pub fn int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Back from SQLite's i64; the tables' checks keep negative numbers out.
#[must_use]
pub fn uint(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

/// A stored value that no longer reads as what was written.
#[must_use]
pub fn unreadable(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Blob, Box::new(error))
}

fn configure(conn: &Connection) -> Result<(), DbError> {
    conn.set_prepared_statement_cache_capacity(64);
    let mode: String = conn.query_row("pragma journal_mode = wal", [], |r| r.get(0))?;
    if mode != "wal" {
        return Err(DbError::NoWal(mode));
    }
    conn.pragma_update(None, "synchronous", "full")?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "wal_autocheckpoint", AUTOCHECKPOINT_PAGES)?;
    // Deleted guest data must not linger in free pages after a device was revoked.
    conn.pragma_update(None, "secure_delete", true)?;
    Ok(())
}

fn migrate(conn: &Connection) -> Result<(), DbError> {
    let known = int(MIGRATIONS.len() as u64);
    let form: i64 = conn.query_row("pragma user_version", [], |r| r.get(0))?;
    if form == known {
        return Ok(());
    }
    let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
    // Another process may have done it while this one waited.
    let form: i64 = tx.query_row("pragma user_version", [], |r| r.get(0))?;
    if form > known {
        return Err(DbError::FromTheFuture { found: form, known });
    }
    for step in MIGRATIONS.iter().skip(usize::try_from(form).unwrap_or(0)) {
        for sql in *step {
            tx.execute_batch(sql)?;
        }
    }
    tx.pragma_update(None, "user_version", known)?;
    tx.commit()?;
    Ok(())
}

/// The folder holds the device's secret key: nobody else may look into it.
fn make_private_folder(dir: &Path) -> Result<(), DbError> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
    let failed = |source| DbError::Folder { path: dir.to_owned(), source };
    let file = dir.join(FILE);
    if file.exists() {
        return Ok(());
    }
    if !dir.exists() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    }
    // SQLite gives its side files the mode of the database. Only a file that is not there is created here:
    // opening and closing one in use would drop the process's locks on it.
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file) {
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(failed(e)),
    }
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_sqlite_is_new_enough() {
        assert_sqlite().unwrap();
    }

    #[test]
    fn opens_durable_and_private_and_again() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&dir.path().join("new")).unwrap();
        let pragma = |name: &str| -> i64 { db.conn().pragma_query_value(None, name, |r| r.get(0)).unwrap() };
        assert_eq!(pragma("synchronous"), 2);
        assert_eq!(pragma("foreign_keys"), 1);
        let mode = std::fs::metadata(db.dir().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
        let wal = std::fs::metadata(db.dir().join(format!("{FILE}-wal"))).unwrap().permissions().mode();
        assert_eq!(wal & 0o077, 0);
        Db::open(db.dir()).unwrap();
    }

    #[test]
    fn a_folder_of_the_first_form_is_brought_to_todays() {
        let dir = tempfile::tempdir().unwrap();
        let old = Connection::open(dir.path().join(FILE)).unwrap();
        for sql in MIGRATIONS[0] {
            old.execute_batch(sql).unwrap();
        }
        old.pragma_update(None, "user_version", 1).unwrap();
        drop(old);
        let db = Db::open(dir.path()).unwrap();
        table::setting::put(db.conn(), "a", "1").unwrap();
        assert_eq!(table::setting::get(db.conn(), "a").unwrap().as_deref(), Some("1"));
    }

    #[test]
    fn a_folder_of_a_later_version_is_refused_untouched() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path()).unwrap();
        db.conn().pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(Db::open(dir.path()), Err(DbError::FromTheFuture { found: 99, .. })));
    }
}
