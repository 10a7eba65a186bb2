//! The device's append-only log: entries, their hash chain, the signature that closes a run.
//!
//! Two questions are kept apart. *Authentic* ([`run::verify_run`]): did this device sign these bytes at these
//! places? Only that may refuse an upload. *Well made* ([`entry::LogEntry::check`]): does the entry say something
//! sensible? If not it is stored all the same and becomes an incident: a thief's nonsense is evidence too.

pub mod entry;
pub mod run;

pub use run::{RunError, check_chain, entry_hash, run_message, sign_run, verify_run};
