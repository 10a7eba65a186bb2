//! Conditions of a list: a typed expression, JSON on the wire, compiled once, evaluated at each scan.
//!
//! Evaluating is strict: if any part cannot be evaluated, the whole rule cannot, whatever the other parts say. Such a
//! rule refuses and no override helps, because nobody at the door can know what it was meant to forbid.

mod eval;
pub mod expr;

pub use expr::{Rule, RuleError};

use super::history::TicketHistory;
use super::zone::Zone;
use crate::ids::GateId;
use crate::manifest::docs::EventInfo;
use crate::time::UnixMillis;
use expr::{Operand, Operator, Weekday};

/// Bytes of a rule's JSON at most.
pub const MAX_RULE_BYTES: usize = 16 * 1024;
/// Nesting of `and`, `or`, `not` at most.
pub const MAX_RULE_DEPTH: usize = 16;
/// Conditions and connectives of a rule at most.
pub const MAX_RULE_NODES: usize = 200;

/// A rule, ready to be evaluated. One that cannot be is kept as such and refuses.
#[derive(Debug, Clone, PartialEq)]
pub struct CompiledRule {
    root: Result<eval::Node, Broken>,
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

/// Why a rule cannot be evaluated. Completes "the rule of this list cannot be evaluated: …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);

impl Broken {
    fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

/// A condition that is not met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unmet {
    /// From this moment on.
    From(UnixMillis),
    /// It was met until this moment.
    Until(UnixMillis),
    /// Only on these days.
    Weekday(Vec<Weekday>),
    /// Only at these gates.
    Gate(Vec<GateId>),
    /// Not at this gate.
    OtherGate,
    /// Not for this type.
    TicketType,
    /// Only for somebody who is inside (true) or outside (false).
    Present(bool),
    /// A count or duration is not as it must be.
    Number {
        /// What was counted.
        operand: Operand,
        /// How it must compare.
        op: Operator,
        /// To what.
        to: i64,
        /// What it is.
        actual: i64,
    },
}

/// What a rule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleAnswer {
    /// Lets in.
    Pass,
    /// Does not.
    Fail {
        /// What would have to change: of alternatives the one that comes true soonest, of conditions that must all hold
        /// the one that comes true last.
        nearest: Unmet,
    },
    /// Cannot be evaluated; nothing lifts this.
    Broken {
        /// Why.
        why: Broken,
    },
}

impl CompiledRule {
    /// Compiles the JSON of a list's rule; for organizers, who should hear of mistakes at once.
    ///
    /// # Errors
    /// Not JSON of this shape, too big, too deep, or with an empty set in it.
    pub fn parse(json: &str) -> Result<Self, RuleError> {
        if json.len() > MAX_RULE_BYTES {
            return Err(RuleError::TooBig);
        }
        let rule: Rule = serde_json::from_str(json).map_err(|e| RuleError::Shape(e.to_string()))?;
        Self::of(&rule)
    }

    /// Compiles a rule.
    ///
    /// # Errors
    /// Too big, too deep, or with an empty set in it.
    pub fn of(rule: &Rule) -> Result<Self, RuleError> {
        rule.check()?;
        Ok(Self { root: Ok(eval::Node::of(rule, true)) })
    }

    /// Compiles the JSON of a list's rule; for gates, which must refuse what they cannot read.
    #[must_use]
    pub fn compile(json: &str) -> Self {
        Self::parse(json).unwrap_or_else(|e| Self { root: Err(Broken(e.to_string())) })
    }

    /// Evaluates it.
    #[must_use]
    pub fn evaluate(&self, context: &RuleContext<'_>) -> RuleAnswer {
        let answer = self.root.as_ref().map_err(Clone::clone).and_then(|root| root.evaluate(context));
        match answer {
            Ok(None) => RuleAnswer::Pass,
            Ok(Some(miss)) => RuleAnswer::Fail { nearest: miss.unmet },
            Err(why) => RuleAnswer::Broken { why },
        }
    }
}
