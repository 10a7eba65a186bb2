//! Hashing, chaining and signing of entries; the check that a [`Run`] is authentic.

use super::entry::{EntryPlace, LogEntry};
use crate::bytes::{Hash32, Signature64, sha256};
use crate::cbor::CborError;
use crate::ids::DeviceId;
use crate::wire::gates::{MAX_RUN_BYTES, MAX_RUN_ENTRIES, Run};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

const ENTRY_DOMAIN: &[u8] = b"hvflvspot/log-entry/v1\0";
const RUN_DOMAIN: &[u8; 21] = b"hvflvspot/log-run/v1\0";

/// The first entry of a log has no entry before it.
pub const NO_ENTRY: Hash32 = Hash32([0; 32]);

/// Length of [`run_message`].
pub const RUN_MESSAGE_LEN: usize = 21 + 16 + 4 + 8 + 32;

/// Identity of an entry: SHA-256("hvflvspot/log-entry/v1\0" ‖ its canonical bytes).
#[must_use]
pub fn entry_hash(bytes: &[u8]) -> Hash32 {
    sha256(ENTRY_DOMAIN, &[bytes])
}

/// What closes a run: "hvflvspot/log-run/v1\0" ‖ device 16 ‖ log_no u32 BE ‖ seq u64 BE ‖ hash of the last entry.
#[must_use]
pub fn run_message(device: DeviceId, log_no: u32, seq: u64, hash: &Hash32) -> [u8; RUN_MESSAGE_LEN] {
    let mut m = [0; RUN_MESSAGE_LEN];
    m[..21].copy_from_slice(RUN_DOMAIN);
    m[21..37].copy_from_slice(device.as_bytes());
    m[37..41].copy_from_slice(&log_no.to_be_bytes());
    m[41..49].copy_from_slice(&seq.to_be_bytes());
    m[49..].copy_from_slice(hash.as_bytes());
    m
}

/// Signs the last entry of a run; through the chain this covers every entry before it.
#[must_use]
pub fn sign_run(key: &SigningKey, last: EntryPlace, hash: &Hash32) -> Signature64 {
    Signature64(key.sign(&run_message(last.device, last.log_no, last.seq, hash)).to_bytes())
}

/// Why a run is not what the named device wrote. Indexes count from 0 within the run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// No entries: nothing is signed.
    #[error("the run is empty")]
    Empty,
    /// More than [`MAX_RUN_ENTRIES`].
    #[error("{0} entries are more than the {MAX_RUN_ENTRIES} allowed")]
    TooManyEntries(usize),
    /// More than [`MAX_RUN_BYTES`].
    #[error("{0} bytes of entries are more than the {MAX_RUN_BYTES} allowed")]
    TooManyBytes(usize),
    /// Not the canonical bytes of an entry.
    #[error("entry {index}: {error}")]
    NotAnEntry {
        /// Which one.
        index: usize,
        /// Why.
        error: CborError,
    },
    /// Of another device or log than the run says, out of sequence, or at a place that cannot be.
    #[error("entry {index} stands at {found:?}, which does not belong there")]
    Misplaced {
        /// Which one.
        index: usize,
        /// What it says.
        found: EntryPlace,
    },
    /// It does not name the hash of the entry before it.
    #[error("entry {index} does not chain to the entry before it")]
    BrokenChain {
        /// Which one.
        index: usize,
    },
    /// The device's key did not sign the last entry.
    #[error("the run's signature does not verify")]
    BadSignature,
}

/// Decodes a run and proves that the device's key signed it: size caps before parsing, canonical entries, all of
/// the named device and log, numbered without gaps, chained, closed by a strictly valid signature.
///
/// What the entries *say* is not judged here (see [`LogEntry::check`]). Whether the first one chains to what is
/// already known is the caller's question: [`LogEntry::follows`].
///
/// # Errors
/// [`RunError`]; then none of the entries may be trusted.
pub fn verify_run(run: &Run, key: &VerifyingKey) -> Result<Vec<(LogEntry, Hash32)>, RunError> {
    if run.entries.is_empty() {
        return Err(RunError::Empty);
    }
    if run.entries.len() > MAX_RUN_ENTRIES {
        return Err(RunError::TooManyEntries(run.entries.len()));
    }
    let bytes = run.entries.iter().fold(0_usize, |sum, e| sum.saturating_add(e.len()));
    if bytes > MAX_RUN_BYTES {
        return Err(RunError::TooManyBytes(bytes));
    }

    let mut entries: Vec<(LogEntry, Hash32)> = Vec::with_capacity(run.entries.len());
    for (index, bytes) in run.entries.iter().enumerate() {
        let entry = LogEntry::from_bytes(bytes).map_err(|error| RunError::NotAnEntry { index, error })?;
        if entry.place.device != run.device || entry.place.log_no != run.log_no {
            return Err(RunError::Misplaced { index, found: entry.place });
        }
        entries.push((entry, entry_hash(bytes)));
    }
    check_chain(&entries)?;

    let (last, hash) = entries.last().expect("a run with entries has a last one");
    let message = run_message(run.device, run.log_no, last.place.seq, hash);
    key.verify_strict(&message, &Signature::from_bytes(&run.signature.0))
        .map_err(|_| RunError::BadSignature)?;
    Ok(entries)
}

/// Checks that entries stand in one log without gaps, each naming the hash of the one before it.
///
/// # Errors
/// [`RunError::Misplaced`] or [`RunError::BrokenChain`] with the first entry that does not fit.
pub fn check_chain(entries: &[(LogEntry, Hash32)]) -> Result<(), RunError> {
    for (index, (entry, _)) in entries.iter().enumerate() {
        let expected = index.checked_sub(1).map(|i| entries[i].0.place.next());
        if !entry.place.is_possible() || expected.is_some_and(|e| e != Some(entry.place)) {
            return Err(RunError::Misplaced { index, found: entry.place });
        }
        let before = index.checked_sub(1).map(|i| &entries[i].1);
        if before.is_some_and(|hash| !entry.follows(hash)) {
            return Err(RunError::BrokenChain { index });
        }
    }
    Ok(())
}
