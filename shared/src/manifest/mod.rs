//! The signed state of an event for gates: documents, signatures, trust, ticket rows, buckets, and the
//! acceptance of an answer.

use crate::bytes::{Hash32, sha256};

pub mod apply;
pub mod buckets;
pub mod check;
pub mod docs;
pub mod online;
pub mod rows;
pub mod sign1;
pub mod trust;

/// SHA-256 of a signed document's exact bytes: how documents name each other.
#[must_use]
pub fn document_hash(document: &[u8]) -> Hash32 {
    sha256(b"", &[document])
}
