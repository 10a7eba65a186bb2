//! The state hash of a manifest: 4,096 buckets of sorted rows, a hash each, one hash over those.
//!
//! A changed ticket touches one bucket, so that a delta of k tickets costs k small hashes and one over 128 KiB.

use super::rows::{ROW_LEN, TicketRow};
use crate::bytes::{Hash32, sha256};
use crate::ids::TicketId;

/// Number of buckets: the values of the first 12 bits of SHA-256(ticket id).
pub const BUCKETS: usize = 4096;

/// The hashes of all buckets in order.
pub type BucketHashes = [Hash32; BUCKETS];

/// The bucket of a ticket, 0..4096.
#[must_use]
pub fn bucket_of(ticket: &TicketId) -> u16 {
    let h = sha256(b"", &[ticket.as_bytes()]);
    u16::from_be_bytes([h.0[0], h.0[1]]) >> 4
}

/// Hash of one bucket: its number and its rows, sorted by ticket.
#[must_use]
pub fn bucket_hash(no: u16, rows_blob: &[u8]) -> Hash32 {
    sha256(b"hvflvspot/bucket/v1\0", &[&no.to_be_bytes(), rows_blob])
}

/// Hash of the bucket hashes, as signed in the header.
#[must_use]
pub fn buckets_hash(hashes: &BucketHashes) -> Hash32 {
    let mut all = Vec::with_capacity(BUCKETS * Hash32::LEN);
    for h in hashes {
        all.extend_from_slice(&h.0);
    }
    sha256(b"hvflvspot/buckets/v1\0", &[&all])
}

/// Hash of each bucket. `blobs` yields the buckets in order.
///
/// # Panics
/// If there are not exactly 4,096.
#[must_use]
pub fn hash_all<B: AsRef<[u8]>>(blobs: impl IntoIterator<Item = B>) -> Box<BucketHashes> {
    let hashes: Vec<Hash32> = (0u16..).zip(blobs).map(|(no, blob)| bucket_hash(no, blob.as_ref())).collect();
    hashes.try_into().expect("callers pass all 4,096 buckets")
}

/// The hashes of a manifest without tickets.
#[must_use]
pub fn empty_hashes() -> Box<BucketHashes> {
    hash_all(std::iter::repeat_n([], BUCKETS))
}

/// The row of a ticket in its bucket's blob. The blob must have passed [`bucket_hash`] against a signed header;
/// an unreadable row counts as absent.
#[must_use]
pub fn find(blob: &[u8], ticket: &TicketId) -> Option<TicketRow> {
    let (rows, _) = blob.as_chunks::<ROW_LEN>();
    let at = rows.binary_search_by(|row| row[..16].cmp(ticket.as_bytes())).ok()?;
    TicketRow::from_bytes(&rows[at]).ok()
}

/// A bucket's blob with `changes` inserted or put in place of the rows of the same tickets. Both are strictly
/// sorted by ticket, and so is the result.
#[must_use]
pub fn merge(blob: &[u8], changes: &[TicketRow]) -> Vec<u8> {
    let (old, _) = blob.as_chunks::<ROW_LEN>();
    let mut out = Vec::with_capacity((old.len() + changes.len()) * ROW_LEN);
    let mut old = old.iter().peekable();
    for change in changes {
        let id = &change.ticket_id.as_bytes()[..];
        while let Some(row) = old.next_if(|row| &row[..16] < id) {
            out.extend_from_slice(row);
        }
        old.next_if(|row| &row[..16] == id);
        out.extend_from_slice(&change.to_bytes());
    }
    for row in old {
        out.extend_from_slice(row);
    }
    out
}

/// All buckets' blobs of a manifest's rows (strictly sorted by ticket). Two passes: the first sizes each bucket,
/// so that no blob grows.
#[must_use]
pub fn split(rows: &[TicketRow]) -> Vec<Vec<u8>> {
    let numbers: Vec<u16> = rows.iter().map(|row| bucket_of(&row.ticket_id)).collect();
    let mut sizes = vec![0usize; BUCKETS];
    for &no in &numbers {
        sizes[usize::from(no)] += ROW_LEN;
    }
    let mut blobs: Vec<Vec<u8>> = sizes.into_iter().map(Vec::with_capacity).collect();
    for (row, &no) in rows.iter().zip(&numbers) {
        blobs[usize::from(no)].extend_from_slice(&row.to_bytes());
    }
    blobs
}
