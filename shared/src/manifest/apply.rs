//! From checked rows to bucket blobs, compared with what the header signed. Pure: the caller reads the old blobs,
//! writes the new ones in one transaction, and rolls back on [`WrongState`].

use super::buckets::{BucketHashes, bucket_hash, bucket_of, buckets_hash, hash_all, merge, split};
use super::check::{Advice, Change, Checked};
use super::rows::{ROW_LEN, TicketRow};

/// The new blobs of an accepted manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Bucket numbers, ascending, with their new blobs. After a Full all 4,096 of them, empty ones too, so that
    /// writing these leaves nothing of the old state behind.
    pub touched: Vec<(u16, Vec<u8>)>,
    /// The hashes of all buckets afterwards.
    pub hashes: Box<BucketHashes>,
}

/// The rows do not add up to what the header signed. Nothing may be kept of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WrongState {
    /// A blob that was held does not have the hash that was held: the store is damaged.
    #[error("bucket {0} was damaged in the store")]
    DamagedBucket(u16),
    /// The number of rows is not the header's.
    #[error("{rows} rows where the header says {tickets}")]
    Count {
        /// Rows after applying.
        rows: u64,
        /// Tickets in the header.
        tickets: u32,
    },
    /// The hash of the buckets is not the header's.
    #[error("the bucket hashes are not the header's")]
    Hash,
}

/// Why no new blobs came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError<E> {
    /// Reading an old blob failed.
    #[error("reading a bucket")]
    Read(#[source] E),
    /// The result is not the signed state.
    #[error("{state}")]
    WrongState {
        /// What is wrong.
        state: WrongState,
        /// The rows were all rows.
        full: bool,
    },
}

impl<E> ApplyError<E> {
    /// Whether the whole manifest would help: not if it was the whole manifest that failed.
    #[must_use]
    pub const fn advice(&self) -> Advice {
        match self {
            Self::WrongState { full: false, .. } => Advice::AskFull,
            Self::WrongState { full: true, .. } | Self::Read(_) => Advice::Refuse,
        }
    }
}

/// Turns the rows of `checked` into blobs and compares them with its header.
///
/// `held` are the hashes of the buckets in the store ([`super::buckets::empty_hashes`] before the first
/// manifest) and `old` reads one blob; a Full uses neither.
///
/// # Errors
/// [`ApplyError`]; the caller rolls back and follows [`ApplyError::advice`].
pub fn apply<E>(
    checked: &Checked,
    held: &BucketHashes,
    mut old: impl FnMut(u16) -> Result<Vec<u8>, E>,
) -> Result<Applied, ApplyError<E>> {
    let full = matches!(checked.change, Change::Full(_));
    let wrong = |state| ApplyError::WrongState { state, full };
    let (applied, rows) = match &checked.change {
        Change::Same => {
            let applied = Applied { touched: Vec::new(), hashes: Box::new(*held) };
            (applied, u64::from(checked.held_tickets))
        }
        Change::Full(rows) => {
            let blobs = split(rows);
            let hashes = hash_all(&blobs);
            (Applied { touched: (0..).zip(blobs).collect(), hashes }, rows.len() as u64)
        }
        Change::Delta(rows) => {
            let mut applied = Applied { touched: Vec::new(), hashes: Box::new(*held) };
            let mut count = u64::from(checked.held_tickets);
            for (no, changes) in by_bucket(rows) {
                let before = old(no).map_err(ApplyError::Read)?;
                if bucket_hash(no, &before) != held[usize::from(no)] {
                    return Err(wrong(WrongState::DamagedBucket(no)));
                }
                let after = merge(&before, &changes);
                // Merging never drops a row, so this is never negative.
                count += (after.len().saturating_sub(before.len()) / ROW_LEN) as u64;
                applied.hashes[usize::from(no)] = bucket_hash(no, &after);
                applied.touched.push((no, after));
            }
            (applied, count)
        }
    };
    if rows != u64::from(checked.header.tickets) {
        return Err(wrong(WrongState::Count { rows, tickets: checked.header.tickets }));
    }
    if buckets_hash(&applied.hashes) != checked.header.buckets_hash {
        return Err(wrong(WrongState::Hash));
    }
    Ok(applied)
}

/// Groups rows by bucket, ascending; within a bucket they stay sorted by ticket.
fn by_bucket(rows: &[TicketRow]) -> Vec<(u16, Vec<TicketRow>)> {
    let mut numbered: Vec<(u16, TicketRow)> =
        rows.iter().map(|row| (bucket_of(&row.ticket_id), *row)).collect();
    numbered.sort_by_key(|(no, _)| *no); // stable
    numbered
        .chunk_by(|a, b| a.0 == b.0)
        .map(|group| (group[0].0, group.iter().map(|(_, row)| *row).collect()))
        .collect()
}
