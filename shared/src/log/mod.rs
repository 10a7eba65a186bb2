//! The device's append-only log: entries, their hash chain, the signature that closes a run.

pub mod entry;
