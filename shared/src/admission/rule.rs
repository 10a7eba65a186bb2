//! Conditions of a list.

use super::history::TicketHistory;
use super::zone::Zone;
use crate::ids::GateId;
use crate::manifest::docs::EventInfo;
use crate::time::UnixMillis;

/// A rule, ready to be evaluated. One that cannot be is kept as such and refuses.
#[derive(Debug, Clone, PartialEq)]
pub struct CompiledRule {
    broken: Broken,
}

/// What a rule looks at.
#[derive(Debug, Clone, Copy)]
pub struct RuleContext<'a> {
    /// Corrected time of the scan.
    pub now: UnixMillis,
    /// The ticket on this list.
    pub history: &'a TicketHistory,
    /// Its type.
    pub type_no: Option<u16>,
    /// The place.
    pub gate: Option<GateId>,
    /// Facts of the event; absent before the first manifest.
    pub info: Option<&'a EventInfo>,
    /// The event's zone.
    pub zone: Option<&'a dyn Zone>,
}

/// Why a rule cannot be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);

/// The nearest condition that is not met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unmet {
    /// From this moment on.
    From(UnixMillis),
}

/// What a rule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleAnswer {
    /// Lets in.
    Pass,
    /// Does not.
    Fail {
        /// What is missing most nearly.
        nearest: Unmet,
    },
    /// Cannot be evaluated; nothing lifts this.
    Broken {
        /// Why.
        why: Broken,
    },
}

impl CompiledRule {
    /// Compiles the JSON of a list's rule.
    #[must_use]
    pub fn compile(_json: &str) -> Self {
        Self { broken: Broken("rules are not known here".to_owned()) }
    }

    /// Evaluates it.
    #[must_use]
    pub fn evaluate(&self, _context: &RuleContext<'_>) -> RuleAnswer {
        RuleAnswer::Broken { why: self.broken.clone() }
    }
}
