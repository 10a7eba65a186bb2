//! Why a command has no answer.

use serde::Serialize;

/// Stable words that the window acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Not an enrolment link.
    InvalidLink,
    /// A link of a later version.
    NewerLink,
    /// Not eight characters.
    InvalidCode,
    /// Not a server's address, or a typed code without one.
    InvalidServer,
    /// No answer.
    Unreachable,
    /// The server said no.
    RefusedByServer,
    /// Another server than the invitation names.
    NotTheInvitedServer,
    /// The organizer said no, or took too long.
    Declined,
    /// Not this PIN.
    WrongPin,
    /// Too many wrong ones.
    PinLocked,
    /// The PIN on file cannot be checked.
    PinUnusable,
    /// Not a supervisor.
    NotSupervisor,
    /// Nobody has entered a PIN, or too long ago.
    Locked,
    /// Names and bookings are for devices of the box office.
    NotBoxOffice,
    /// The entry is not the last refused scan.
    NothingToOverride,
    /// Only admissions and exits can be taken back.
    NotUndoable,
    /// Taken back before.
    AlreadyUndone,
    /// What stays on record needs a reason.
    ReasonMissing,
    /// No such entry.
    NoEntry,
    /// Something has not reached the server.
    UnsentEntries,
    /// The organizer took the device out of use.
    Revoked,
    /// Nothing could be recorded.
    CannotRecord,
    /// Anything else.
    Internal,
}

/// A failed command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[error("{detail}")]
pub struct CommandError {
    /// What the window acts on.
    pub code: ErrorCode,
    /// English, for logs.
    pub detail: String,
    /// `wrong_pin`: tries left. `unsent_entries`: how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional, type = "number"))]
    pub count: Option<u64>,
    /// `pin_locked`: still.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional, type = "number"))]
    pub secs: Option<u64>,
}

impl CommandError {
    /// Without numbers.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), count: None, secs: None }
    }

    /// Nothing that a window could act on.
    pub fn internal(error: &dyn std::error::Error) -> Self {
        Self::new(ErrorCode::Internal, crate::fault::chain(error))
    }
}
