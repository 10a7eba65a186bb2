//! Every shape that crosses between the window and the app, as JSON. `gate-app/ui/src/lib/core.ts` is made from these
//! types; a test fails when the two differ.
//!
//! Conventions: snake_case; moments are RFC 3339 in UTC; durations carry their unit in the name; an absent value is
//! `null`. Numbers beyond 2⁵³ never occur in practice and travel as plain numbers.

mod failure;
mod history;
mod scan;
mod state;
mod status;
mod supervision;
#[cfg(test)]
mod typescript;

pub use failure::{CommandError, ErrorCode};
pub use history::{HistoryFilter, HistoryPage, HistoryShow, LogLine};
pub use scan::{
    AnswerShown, Because, FinalState, FrameAnswer, GrayFrame, Guest, GuestAnswer, Operand, PictureSource,
    Place, Reason, ScanSource, Unmet, Verdict,
};
pub use state::{
    AppState, Enrolment, EnrolmentBegun, EnrolmentNews, GateChoice, Interrupted, Language, ListChoice, Post,
    Settings, StewardChoice, Trouble,
};
pub use status::{Counts, SyncPhase, SyncProgress, WindowStatus};
pub use supervision::{ForkedAt, Hit, Incident, QuarantineNote, Side, SidePlace, Supervision, TicketWord};

use serde::Serialize;

/// RFC 3339 in UTC.
pub type Moment = String;

/// What the window is told without asking.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Event {
    /// Something that the status line shows has changed.
    Status(Box<WindowStatus>),
    /// How far synchronising is.
    Sync(SyncProgress),
    /// How an enrolment goes on.
    Enrolment(EnrolmentNews),
    /// Somebody was let in as supervisor, or (`None`) nobody is any more.
    Supervision(Option<Supervision>),
    /// What keeps the device from its work, or that it is over.
    Trouble(Option<Trouble>),
    /// Enrolments, lists or gates have changed.
    AppState(Box<AppState>),
}

impl Event {
    /// The name under which it travels; what it carries is its JSON.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::Sync(_) => "sync",
            Self::Enrolment(_) => "enrolment",
            Self::Supervision(_) => "supervision",
            Self::Trouble(_) => "trouble",
            Self::AppState(_) => "app_state",
        }
    }
}
