//! Puts an accepted manifest in the place of the old one: one SQLite transaction, so that after a crash at any
//! point exactly one signed state is there.

use crate::db::Db;
use crate::db::table::device::{self, Device, State};
use crate::db::table::manifest::Manifest;
use crate::db::table::{bucket, cursor, manifest, trust_root, upload};
use crate::loaded;
use shared::manifest::apply::{Applied, ApplyError, apply as to_buckets};
use shared::manifest::buckets::{BucketHashes, empty_hashes};
use shared::manifest::check::{Advice, Change, Checked, Held};
use shared::wire::gates::ManifestAnswer;

/// Called after each write with what was written; an error rolls back. Tests crash here.
pub type AfterWrite<'a> = &'a mut dyn FnMut(&'static str) -> rusqlite::Result<()>;

/// Why the old manifest stays.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite's.
    #[error("storing the manifest")]
    Sql(#[from] rusqlite::Error),
    /// The rows do not add up to the signed state.
    #[error("the manifest's rows: {0}")]
    Rows(ApplyError<rusqlite::Error>),
    /// Another process has changed what is held meanwhile; ask again.
    #[error("the manifest was changed meanwhile")]
    Raced,
    /// The device was revoked or has left while the answer was on its way: no guest's data is stored any more.
    #[error("the device is out of use")]
    OutOfUse,
}

impl StoreError {
    /// Whether the whole manifest would help.
    #[must_use]
    pub const fn advice(&self) -> Advice {
        match self {
            Self::Rows(e) => e.advice(),
            Self::Sql(_) | Self::Raced | Self::OutOfUse => Advice::Refuse,
        }
    }
}

/// What changed beside the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredManifest {
    /// The server began a new epoch: own logs are offered again and all scans asked for again.
    pub new_epoch: bool,
}

/// Stores a checked answer, which was checked against `held`.
///
/// # Errors
/// [`StoreError`]; then everything is as it was.
pub fn store(
    db: &Db,
    me: &Device,
    held: &Held,
    checked: &Checked,
    answer: &ManifestAnswer,
    after_write: AfterWrite<'_>,
) -> Result<StoredManifest, StoreError> {
    // All rows need nothing of the old state: they are hashed before anybody is made to wait for the lock.
    let whole = match checked.change {
        Change::Full(_) => {
            Some(to_buckets(checked, &empty_hashes(), |_| Ok(Vec::new())).map_err(StoreError::Rows)?)
        }
        Change::Same | Change::Delta(_) => None,
    };
    let tx = db.begin()?;
    // Inside of the transaction: whoever wipes the device says so in the same one.
    let (state, _) = device::state_and_log(&tx, me.no)?;
    if state != State::Active {
        return Err(StoreError::OutOfUse);
    }
    if loaded::held(&tx, me.no, me.event)? != *held {
        return Err(StoreError::Raced);
    }
    let Applied { touched, .. } = match whole {
        Some(applied) => applied,
        None => {
            let mut hashes: Box<BucketHashes> = empty_hashes();
            bucket::read_hashes(&tx, me.no, &mut hashes[..])?;
            to_buckets(checked, &hashes, |no| bucket::with_rows(&tx, me.no, no, <[u8]>::to_vec))
                .map_err(StoreError::Rows)?
        }
    };
    let first_new = checked.trust.version() + 1 - u32::try_from(answer.trust_roots.len()).unwrap_or(0);
    for (version, root) in (first_new..).zip(&answer.trust_roots) {
        trust_root::insert(&tx, me.no, version, root)?;
        after_write("trust root")?;
    }
    for (no, rows) in &touched {
        bucket::put(&tx, me.no, *no, rows, &shared::manifest::buckets::bucket_hash(*no, rows))?;
        after_write("bucket")?;
    }
    let new_epoch = held.manifest.is_some_and(|m| m.version.epoch < checked.header.version.epoch);
    if new_epoch {
        upload::restart(&tx, me.no)?;
        after_write("acknowledgements")?;
        cursor::restart(&tx, me.no)?;
        after_write("cursor")?;
    }
    manifest::put(
        &tx,
        me.no,
        &Manifest {
            generation: 0,
            root_version: checked.trust.version(),
            version: checked.header.version,
            header: answer.header.clone(),
            key_list: answer.key_list.clone(),
            server_time: checked.server_time,
        },
    )?;
    after_write("manifest")?;
    tx.commit()?;
    Ok(StoredManifest { new_epoch })
}
