//! What keeps a gate from recording, told apart by what people can do about it.

use crate::db::DbError;
use crate::gate::OpenError;
use crate::heal::HealError;
use crate::loaded::LoadError;
use rusqlite::ErrorCode;
use std::error::Error;
use std::io::{self, ErrorKind};

/// A fault, by its remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The disk or a quota is full.
    DiskFull,
    /// The file system takes no writes.
    ReadOnly,
    /// Another error of the disk.
    Disk(String),
    /// Another process was writing for longer than one waits. Nothing is wrong with the disk, and it passes by itself.
    Busy(String),
    /// The database file is no sound database any more.
    Damaged(String),
    /// The database was written by a later version of this program.
    Newer {
        /// Form of the file.
        found: i64,
        /// Newest known form.
        known: i64,
    },
    /// The organizer took the device out of use.
    Revoked,
    /// There is no manifest yet.
    NoManifest,
    /// The stored manifest cannot be used.
    Manifest(String),
    /// Anything else.
    Other(String),
}

impl Fault {
    /// True if the machine is at fault, not what was asked: nobody may be let in, and it may pass.
    #[must_use]
    pub const fn is_of_the_machine(&self) -> bool {
        matches!(
            self,
            Self::DiskFull
                | Self::ReadOnly
                | Self::Disk(_)
                | Self::Busy(_)
                | Self::Damaged(_)
                | Self::Newer { .. }
        )
    }

    /// Of the file system.
    #[must_use]
    pub fn of_io(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Self::DiskFull,
            ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => Self::ReadOnly,
            _ => Self::Disk(error.to_string()),
        }
    }

    /// Of SQLite.
    #[must_use]
    pub fn of_sql(error: &rusqlite::Error) -> Self {
        if error.sqlite_error().is_some_and(|e| e.extended_code == rusqlite::ffi::SQLITE_READONLY_DBMOVED) {
            // The disk is well, and so is the database that stands there now.
            return Self::Busy(error.to_string());
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error.to_string()),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy(error.to_string()),
            Some(_) => Self::Disk(error.to_string()),
            // A stored value that no longer reads as what was written.
            None => Self::Damaged(chain(error)),
        }
    }

    /// Of opening the database.
    #[must_use]
    pub fn of_db(error: &DbError) -> Self {
        match error {
            DbError::FromTheFuture { found, known } => Self::Newer { found: *found, known: *known },
            DbError::Folder { source, .. } => Self::of_io(source),
            DbError::Sql(sql) => Self::of_sql(sql),
            DbError::OldSqlite { .. } | DbError::NoWal(_) => Self::Disk(chain(error)),
        }
    }

    /// Of reading the manifest.
    #[must_use]
    pub fn of_load(error: &LoadError) -> Self {
        match error {
            LoadError::Sql(sql) => Self::of_sql(sql),
            _ => Self::Manifest(chain(error)),
        }
    }

    /// Of opening an enrolment.
    #[must_use]
    pub fn of_open(error: &OpenError) -> Self {
        match error {
            OpenError::Db(db) => Self::of_db(db),
            OpenError::Sql(sql) | OpenError::Heal(HealError::Sql(sql)) => Self::of_sql(sql),
            OpenError::Io(io) | OpenError::Heal(HealError::Box(io)) => Self::of_io(io),
            OpenError::Load(load) => Self::of_load(load),
            OpenError::Revoked => Self::Revoked,
            OpenError::NoManifest => Self::NoManifest,
            _ => Self::Other(error.to_string()),
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::DiskFull => f.write_str("the disk is full"),
            Self::ReadOnly => f.write_str("the disk cannot be written"),
            Self::Revoked => f.write_str("this device was revoked"),
            Self::NoManifest => f.write_str("there is no manifest yet"),
            Self::Newer { found, known } => {
                write!(f, "the data folder has form {found}, this program knows forms up to {known}")
            }
            Self::Disk(why)
            | Self::Busy(why)
            | Self::Damaged(why)
            | Self::Manifest(why)
            | Self::Other(why) => f.write_str(why),
        }
    }
}

/// An error with its causes, for logs.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    fn sql(code: i32) -> Fault {
        Fault::of_sql(&rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
    }

    #[test]
    fn a_fault_is_told_by_its_remedy() {
        assert_eq!(sql(ffi::SQLITE_FULL), Fault::DiskFull);
        assert_eq!(sql(ffi::SQLITE_READONLY), Fault::ReadOnly);
        assert!(matches!(sql(ffi::SQLITE_CORRUPT), Fault::Damaged(_)));
        assert!(matches!(sql(ffi::SQLITE_NOTADB), Fault::Damaged(_)));
        assert!(matches!(sql(ffi::SQLITE_IOERR), Fault::Disk(_)));
        assert!(matches!(sql(ffi::SQLITE_BUSY), Fault::Busy(_)));
        assert!(matches!(sql(ffi::SQLITE_LOCKED), Fault::Busy(_)));
        assert!(sql(ffi::SQLITE_BUSY).is_of_the_machine(), "what could not be recorded is not green");
        assert_eq!(Fault::of_io(&io::Error::from(ErrorKind::StorageFull)), Fault::DiskFull);
        assert_eq!(Fault::of_io(&io::Error::from(ErrorKind::ReadOnlyFilesystem)), Fault::ReadOnly);
        assert!(Fault::of_io(&io::Error::other("cable")).is_of_the_machine());
        let newer = Fault::of_db(&DbError::FromTheFuture { found: 9, known: 2 });
        assert_eq!(newer, Fault::Newer { found: 9, known: 2 });
        assert!(!Fault::of_open(&OpenError::Revoked).is_of_the_machine());
    }
}
