//! The expression as it stands in JSON.
//!
//! ```json
//! {"and": [
//!   {"after": {"time": {"event": {"edge": "admission", "offset_minutes": -30}}}},
//!   {"or": [{"compare": {"value": "entries_today", "op": "<", "to": 2}}, {"ticket_type": [3]}]}
//! ]}
//! ```

use super::{MAX_RULE_DEPTH, MAX_RULE_NODES};
use crate::ids::GateId;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// One condition or a combination of conditions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Rule {
    /// All hold.
    And(Vec<Rule>),
    /// At least one holds.
    Or(Vec<Rule>),
    /// Does not hold.
    Not(Box<Rule>),
    /// A count or a duration compared to a number.
    Compare(Comparison),
    /// The person is inside (true) or outside (false), as far as the log knows.
    Present(bool),
    /// Type numbers of the event.
    TicketType(Vec<u16>),
    /// Gates of the event.
    Gate(Vec<GateId>),
    /// Days at the venue.
    Weekday(Vec<Weekday>),
    /// `now ≥ time − tolerance`.
    After(Edge),
    /// `now < time + tolerance`.
    Before(Edge),
}

/// `value op to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// What is looked at.
    pub value: Operand,
    /// How.
    pub op: Operator,
    /// The number.
    pub to: i64,
}

/// What can be counted of the ticket's entries (overrides included) on this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Operand {
    /// Entries.
    EntriesTotal,
    /// Entries of this day at the venue.
    EntriesToday,
    /// Days at the venue with an entry.
    EntriesDays,
    /// Whole minutes since the first entry; −1 without one.
    MinutesSinceFirst,
    /// Whole minutes since the last entry; −1 without one.
    MinutesSinceLast,
    /// Entries at or after a moment.
    EntriesSince(Moment),
    /// Entries before a moment.
    EntriesBefore(Moment),
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operator {
    /// Less.
    #[serde(rename = "<")]
    Less,
    /// Less or equal.
    #[serde(rename = "<=")]
    AtMost,
    /// Equal.
    #[serde(rename = "==")]
    Equal,
    /// Different.
    #[serde(rename = "!=")]
    Different,
    /// Greater or equal.
    #[serde(rename = ">=")]
    AtLeast,
    /// Greater.
    #[serde(rename = ">")]
    More,
}

impl Operator {
    /// Applies it.
    #[must_use]
    pub const fn holds(self, value: i64, to: i64) -> bool {
        match self {
            Self::Less => value < to,
            Self::AtMost => value <= to,
            Self::Equal => value == to,
            Self::Different => value != to,
            Self::AtLeast => value >= to,
            Self::More => value > to,
        }
    }

    /// The one that holds exactly when this one does not.
    #[must_use]
    pub const fn inverse(self) -> Self {
        match self {
            Self::Less => Self::AtLeast,
            Self::AtMost => Self::More,
            Self::Equal => Self::Different,
            Self::Different => Self::Equal,
            Self::AtLeast => Self::Less,
            Self::More => Self::AtMost,
        }
    }
}

/// A moment with a tolerance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// The moment.
    pub time: Moment,
    /// Widens what is allowed.
    #[serde(default)]
    pub tolerance_minutes: u32,
}

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Moment {
    /// RFC 3339.
    At(#[serde(with = "time::serde::rfc3339")] OffsetDateTime),
    /// `HH:MM` of the present day at the venue.
    TimeOfDay(ClockTime),
    /// Relative to the event.
    Event(EventMoment),
}

/// Relative to the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventMoment {
    /// Which moment of it.
    pub edge: EventEdge,
    /// Later; earlier if negative.
    #[serde(default)]
    pub offset_minutes: i32,
}

/// A moment of the event. What it does not say falls back to the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventEdge {
    /// Doors open.
    Admission,
    /// Start.
    Start,
    /// End.
    End,
}

/// `HH:MM`, 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClockTime(time::Time);

impl ClockTime {
    /// `None` unless `hour < 24` and `minute < 60`.
    #[must_use]
    pub fn new(hour: u8, minute: u8) -> Option<Self> {
        time::Time::from_hms(hour, minute, 0).ok().map(Self)
    }

    /// As a time of day.
    #[must_use]
    pub const fn time(self) -> time::Time {
        self.0
    }
}

impl TryFrom<String> for ClockTime {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let two = |s: &str| s.parse().ok().filter(|_| s.len() == 2 && s.bytes().all(|b| b.is_ascii_digit()));
        text.split_once(':')
            .and_then(|(hour, minute)| Self::new(two(hour)?, two(minute)?))
            .ok_or_else(|| format!("{text:?} is not a time of day as HH:MM"))
    }
}

impl From<ClockTime> for String {
    fn from(time: ClockTime) -> Self {
        format!("{:02}:{:02}", time.0.hour(), time.0.minute())
    }
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weekday {
    /// First day by ISO 8601.
    Monday,
    /// Second.
    Tuesday,
    /// Third.
    Wednesday,
    /// Fourth.
    Thursday,
    /// Fifth.
    Friday,
    /// Sixth.
    Saturday,
    /// Seventh.
    Sunday,
}

impl From<time::Weekday> for Weekday {
    fn from(day: time::Weekday) -> Self {
        match day {
            time::Weekday::Monday => Self::Monday,
            time::Weekday::Tuesday => Self::Tuesday,
            time::Weekday::Wednesday => Self::Wednesday,
            time::Weekday::Thursday => Self::Thursday,
            time::Weekday::Friday => Self::Friday,
            time::Weekday::Saturday => Self::Saturday,
            time::Weekday::Sunday => Self::Sunday,
        }
    }
}

/// Why a rule is refused when it is set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Not JSON, or not of this shape.
    #[error("it is not a rule: {0}")]
    Shape(String),
    /// Too many bytes or conditions.
    #[error("it is too big")]
    TooBig,
    /// Nested too deeply.
    #[error("it is nested too deeply")]
    TooDeep,
    /// `and`, `or`, `ticket_type`, `gate` or `weekday` without anything in it: all or nothing? Nobody can tell.
    #[error("a set in it is empty")]
    EmptySet,
}

impl Rule {
    /// Checks size, depth and sets.
    ///
    /// # Errors
    /// [`RuleError`].
    pub fn check(&self) -> Result<(), RuleError> {
        let mut nodes = 0;
        self.check_below(MAX_RULE_DEPTH, &mut nodes)
    }

    fn check_below(&self, depth_left: usize, nodes: &mut usize) -> Result<(), RuleError> {
        *nodes += 1;
        if *nodes > MAX_RULE_NODES {
            return Err(RuleError::TooBig);
        }
        let deeper = || depth_left.checked_sub(1).ok_or(RuleError::TooDeep);
        let empty = match self {
            Self::And(parts) | Self::Or(parts) => {
                for part in parts {
                    part.check_below(deeper()?, nodes)?;
                }
                parts.is_empty()
            }
            Self::Not(part) => return part.check_below(deeper()?, nodes),
            Self::TicketType(set) => set.is_empty(),
            Self::Gate(set) => set.is_empty(),
            Self::Weekday(set) => set.is_empty(),
            Self::Compare(_) | Self::Present(_) | Self::After(_) | Self::Before(_) => false,
        };
        if empty { Err(RuleError::EmptySet) } else { Ok(()) }
    }
}
