//! What the window shows all the time.

use super::Moment;
use crate::status::Status;
use serde::Serialize;

/// Distinct people on the list that is scanned for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Counts {
    /// Came in at least once.
    #[cfg_attr(test, ts(type = "number"))]
    pub admitted: u64,
    /// Are inside.
    #[cfg_attr(test, ts(type = "number"))]
    pub on_site: u64,
    /// Entries and overrides, repeats included.
    #[cfg_attr(test, ts(type = "number"))]
    pub entries: u64,
    /// Valid and blocked tickets of its types.
    #[cfg_attr(test, ts(type = "number"))]
    pub expected: u64,
}

/// The status line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct WindowStatus {
    /// As `gate status` prints it.
    pub status: Status,
    /// Corrected time; the window counts on from it.
    #[cfg_attr(test, ts(type = "Moment"))]
    pub now: Moment,
    /// Of the chosen list; of the attendance list without a post.
    pub counts: Counts,
}

/// What synchronising is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum SyncPhase {
    /// Nothing, or waiting for news.
    Idle,
    /// Comparing clocks.
    Connecting,
    /// Sending; counted in entries.
    Uploading,
    /// Fetching a manifest; counted in bytes.
    Downloading,
    /// Verifying it.
    Checking,
    /// Putting it in the place of the old one.
    Storing,
}

/// How far synchronising is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SyncProgress {
    /// What.
    pub phase: SyncPhase,
    /// So much.
    #[cfg_attr(test, ts(type = "number"))]
    pub done: u64,
    /// Of so much; 0 while nobody knows.
    #[cfg_attr(test, ts(type = "number"))]
    pub of: u64,
    /// There is no manifest yet: nobody can scan before it ends.
    pub first: bool,
}
