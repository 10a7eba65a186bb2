//! One scan, as a window shows it.

use super::Moment;
use crate::answer::{Answer, First};
use serde::{Deserialize, Serialize};
use shared::admission::rule::expr::{Operator, Weekday};
use shared::bytes::Nonce16;
use shared::ids::GateId;

/// All that the window shows of one scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Verdict {
    /// As `gate scan` prints it.
    pub answer: Answer,
    /// Why, as data.
    pub reason: Reason,
    /// Name of the ticket's type.
    pub ticket_type_name: Option<String>,
    /// The ticket type's note for every scan.
    pub attention: Option<String>,
    /// What only the code could open; absent if no record of it is here.
    pub guest: Option<Guest>,
    /// Seconds since the manifest's `as_of`.
    pub manifest_age_secs: Option<u32>,
    /// Half-width of the clock's error.
    pub uncertainty_ms: u32,
}

/// What only the scanned code could open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Guest {
    /// Name.
    pub name: Option<String>,
    /// The organizer's note.
    pub note: Option<String>,
    /// Civil date.
    pub born_on: Option<String>,
    /// To the questions that are marked for the door.
    pub answers: Vec<GuestAnswer>,
}

/// What a guest answered to one question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct GuestAnswer {
    /// The question.
    pub label: String,
    /// The answer.
    pub value: AnswerShown,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(untagged)]
pub enum AnswerShown {
    /// In words, or one of the choices.
    Text(String),
    /// Yes or no, to be worded by the window.
    YesNo(bool),
}

/// Why an answer is as it is: [`shared::admission::explain::Explanation`], tagged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reason {
    /// No defect.
    Admitted,
    /// On the way out.
    LetOut {
        /// What would have refused the way in.
        defect: Option<Box<Reason>>,
    },
    /// A supervisor admits.
    Overridden {
        /// The first defect that was lifted.
        defect: Box<Reason>,
    },
    /// No code.
    Malformed,
    /// Key not known, or compromised.
    UnknownKey,
    /// Signature wrong.
    BadSignature,
    /// Genuine, for another event.
    WrongEvent,
    /// Genuine and not known.
    UnknownTicket {
        /// Why.
        because: Because,
    },
    /// Final.
    Revoked {
        /// How.
        state: FinalState,
    },
    /// A newer code exists.
    Superseded {
        /// Generation in the code.
        code: u8,
        /// Generation that is valid.
        current: u8,
    },
    /// Stopped for now.
    Blocked,
    /// Too early.
    NotYetValid {
        /// First second.
        #[cfg_attr(test, ts(type = "Moment"))]
        from: Moment,
    },
    /// Too late.
    Expired {
        /// First second after.
        #[cfg_attr(test, ts(type = "Moment"))]
        since: Moment,
    },
    /// Type not on the list.
    Product,
    /// A condition of the list is not met.
    Rule {
        /// The one that is nearest to being met.
        nearest: Unmet,
    },
    /// A condition of the list cannot be evaluated.
    RuleBroken {
        /// Why.
        why: String,
    },
    /// Used.
    AlreadyAdmitted {
        /// When and where.
        first: First,
    },
    /// Manifest too old.
    StaleManifest {
        /// Since when; absent if there never was one.
        #[cfg_attr(test, ts(type = "Moment | null"))]
        since: Option<Moment>,
    },
    /// The answer could not be made durable.
    CannotRecord,
    /// The same attempt was answered before (same nonce), or its answer was never shown.
    Repeated {
        /// Its answer was never shown.
        resumed: bool,
    },
}

/// Why a genuine code is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// Issued before the manifest and not in it.
    NotInManifest,
    /// In it with a lower generation.
    GenerationAhead,
    /// A foreign barcode that nobody imported.
    UnlistedBarcode,
}

/// A state that nothing brings back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum FinalState {
    /// The money went back.
    Refunded,
    /// The event or the booking was canceled.
    Canceled,
    /// By the organizer.
    Withdrawn,
}

/// A condition that is not met: [`shared::admission::rule::Unmet`], tagged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Unmet {
    /// From this moment on.
    From {
        /// When.
        #[cfg_attr(test, ts(type = "Moment"))]
        at: Moment,
    },
    /// It was met until this moment.
    Until {
        /// When.
        #[cfg_attr(test, ts(type = "Moment"))]
        at: Moment,
    },
    /// Only on these days.
    Weekday {
        /// Which.
        #[cfg_attr(test, ts(type = "Weekday[]"))]
        days: Vec<Weekday>,
    },
    /// Only at these gates.
    Gate {
        /// Which.
        #[cfg_attr(test, ts(type = "GateId[]"))]
        gates: Vec<GateId>,
    },
    /// Not at this gate.
    OtherGate,
    /// Not for this type.
    TicketType,
    /// Only for somebody who is inside, or outside.
    Present {
        /// Which of the two.
        inside: bool,
    },
    /// A count or duration is not as it must be.
    Number {
        /// What was counted.
        operand: Operand,
        /// How it must compare.
        #[cfg_attr(test, ts(type = "Operator"))]
        op: Operator,
        /// To what.
        #[cfg_attr(test, ts(type = "number"))]
        to: i64,
        /// What it is.
        #[cfg_attr(test, ts(type = "number"))]
        actual: i64,
    },
}

/// What a rule counts, without the moment that two of them carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Operand {
    /// Entries.
    EntriesTotal,
    /// Entries of this day.
    EntriesToday,
    /// Days with an entry.
    EntriesDays,
    /// Whole minutes since the first entry.
    MinutesSinceFirst,
    /// Whole minutes since the last entry.
    MinutesSinceLast,
    /// Entries at or after a moment.
    EntriesSince,
    /// Entries before a moment.
    EntriesBefore,
}

/// How a code came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ScanSource {
    /// A reader that types.
    Reader,
    /// Pasted.
    Paste,
    /// Typed by hand.
    Typed,
    /// Seen by a camera.
    Camera,
    /// In an image file.
    Image,
}

/// Where a picture comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum PictureSource {
    /// One of many pictures of the same code.
    Camera,
    /// Chosen by somebody: a scan each.
    Image,
}

/// A picture as gray bytes, row by row, one byte a pixel: the raw body of a command, the rest are its headers.
#[derive(Debug, Clone, Copy)]
pub struct GrayFrame<'p> {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `width` × `height` bytes, 0 is black.
    pub pixels: &'p [u8],
    /// Names the attempt.
    pub nonce: Nonce16,
    /// Where it comes from.
    pub source: PictureSource,
}

/// What a picture came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "found", rename_all = "snake_case")]
pub enum FrameAnswer {
    /// No code in the picture.
    Nothing,
    /// A code that was answered still lies before the camera: no second scan.
    InView,
    /// A scan.
    Scan {
        /// Its answer.
        verdict: Box<Verdict>,
    },
}

/// One entry of this device's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Which log.
    pub log_no: u32,
    /// Number in it.
    #[cfg_attr(test, ts(type = "number"))]
    pub seq: u64,
}
