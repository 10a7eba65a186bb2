//! Bytes and decisions.
