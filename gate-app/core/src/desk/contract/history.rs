//! This device's log, as a window shows it.

use super::{Moment, Place};
use serde::{Deserialize, Serialize};
use shared::admission::{Flags, Outcome};
use shared::bytes::Hash32;
use shared::ids::{GateId, ListId, StewardId, TicketId};
use shared::log::entry::{Direction, EntryKind};

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LogLine {
    /// Which log.
    pub log_no: u32,
    /// Number in it.
    #[cfg_attr(test, ts(type = "number"))]
    pub seq: u64,
    /// Of the entry.
    #[cfg_attr(test, ts(type = "Hash"))]
    pub hash: Hash32,
    /// What it records.
    #[cfg_attr(test, ts(type = "EntryKind"))]
    pub kind: EntryKind,
    /// The verdict's.
    #[cfg_attr(test, ts(type = "Outcome"))]
    pub outcome: Outcome,
    /// The verdict's.
    #[cfg_attr(test, ts(type = "Flag[]"))]
    pub flags: Flags,
    /// The list.
    #[cfg_attr(test, ts(type = "ListId | null"))]
    pub list: Option<ListId>,
    /// The ticket.
    #[cfg_attr(test, ts(type = "TicketId | null"))]
    pub ticket_id: Option<TicketId>,
    /// Name of its type.
    pub ticket_type_name: Option<String>,
    /// SHA-256 of the text.
    #[cfg_attr(test, ts(type = "Hash | null"))]
    pub code_sha256: Option<Hash32>,
    /// Which way.
    #[cfg_attr(test, ts(type = "Direction"))]
    pub direction: Direction,
    /// Where.
    #[cfg_attr(test, ts(type = "GateId | null"))]
    pub gate: Option<GateId>,
    /// Who was at the device.
    #[cfg_attr(test, ts(type = "StewardId | null"))]
    pub staff: Option<StewardId>,
    /// A supervisor's, for override and undo; of a fork, what could not be proven.
    pub reason: Option<String>,
    /// What an undo took back.
    pub target: Option<Place>,
    /// Never counts.
    pub rehearsal: bool,
    /// Corrected time.
    #[cfg_attr(test, ts(type = "Moment"))]
    pub scanned_at: Moment,
    /// Error bar.
    pub error_ms: u32,
    /// The server has it.
    pub acknowledged: bool,
    /// Taken back since.
    pub undone: bool,
}

/// Which entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum HistoryShow {
    /// All.
    #[default]
    All,
    /// Let in, let out, or admitted by a supervisor.
    Admitted,
    /// Not.
    Refused,
    /// Overrides and undos.
    Supervised,
    /// Not at the server yet.
    Unsent,
}

/// What is looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct HistoryFilter {
    /// Which entries.
    pub show: HistoryShow,
    /// Part of a ticket id, a ticket type, a reason, or a whole code.
    pub text: String,
}

/// Newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct HistoryPage {
    /// At most as many as were asked for.
    pub lines: Vec<LogLine>,
    /// All that the filter lets through.
    #[cfg_attr(test, ts(type = "number"))]
    pub total: u64,
    /// Where the next page begins, if there is one.
    pub next: Option<Place>,
}
