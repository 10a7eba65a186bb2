//! The signed state of an event for gates: documents, ticket rows, buckets.

pub mod docs;
pub mod rows;
