//! Evaluation. `not` is pushed down to the conditions when a rule is compiled, so that each condition knows what
//! would satisfy it and a refusal can name it.

use super::expr::{Comparison, Edge, EventEdge, Moment, Operand, Operator, Rule, Weekday};
use super::{Broken, RuleContext, Unmet};
use crate::ids::GateId;
use crate::time::UnixMillis;
use std::collections::BTreeSet;
use time::{Date, PrimitiveDateTime};

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// A compiled expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Leaf(Leaf),
}

/// A condition; `in_set` is false for its negation.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Leaf {
    Compare(Comparison),
    Present(bool),
    TicketType {
        set: Vec<u16>,
        in_set: bool,
    },
    Gate {
        set: Vec<GateId>,
        in_set: bool,
    },
    Weekday {
        set: Vec<Weekday>,
        in_set: bool,
    },
    /// `now ≥ moment + shift` (from) or `now < moment + shift`.
    Time {
        moment: Moment,
        shift_ms: i64,
        from: bool,
    },
}

/// A condition that does not hold, and how far away it is.
pub(super) struct Miss {
    pub unmet: Unmet,
    distance: Distance,
}

/// What stands between a person and a condition, nearest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Distance {
    /// Walk to another gate.
    Walk,
    /// Wait so many milliseconds.
    Wait(i64),
    /// Something must happen that no clock brings: an exit, an entry.
    Event,
    /// Nothing will.
    Never,
}

impl Node {
    pub(super) fn of(rule: &Rule, holds: bool) -> Self {
        let all = |parts: &[Rule]| parts.iter().map(|p| Self::of(p, holds)).collect();
        Self::Leaf(match rule {
            Rule::And(parts) if holds => return Self::All(all(parts)),
            Rule::Or(parts) if !holds => return Self::All(all(parts)),
            Rule::And(parts) | Rule::Or(parts) => return Self::Any(all(parts)),
            Rule::Not(part) => return Self::of(part, !holds),
            Rule::Compare(c) if holds => Leaf::Compare(*c),
            Rule::Compare(c) => Leaf::Compare(Comparison { op: c.op.inverse(), ..*c }),
            Rule::Present(wanted) => Leaf::Present(*wanted == holds),
            Rule::TicketType(set) => Leaf::TicketType { set: set.clone(), in_set: holds },
            Rule::Gate(set) => Leaf::Gate { set: set.clone(), in_set: holds },
            Rule::Weekday(set) => Leaf::Weekday { set: set.clone(), in_set: holds },
            Rule::After(edge) => Leaf::Time { moment: edge.time, shift_ms: -tolerance_ms(edge), from: holds },
            Rule::Before(edge) => {
                Leaf::Time { moment: edge.time, shift_ms: tolerance_ms(edge), from: !holds }
            }
        })
    }

    /// `None` if it holds.
    pub(super) fn evaluate(&self, context: &RuleContext<'_>) -> Result<Option<Miss>, Broken> {
        // Every part is evaluated before any is judged: one that cannot be breaks the whole.
        let misses = |parts: &[Self]| {
            parts.iter().map(|p| p.evaluate(context)).collect::<Result<Vec<Option<Miss>>, Broken>>()
        };
        match self {
            Self::Leaf(leaf) => leaf.evaluate(context),
            Self::All(parts) => Ok(misses(parts)?.into_iter().flatten().max_by_key(|m| m.distance)),
            Self::Any(parts) => {
                let all: Option<Vec<Miss>> = misses(parts)?.into_iter().collect();
                Ok(all.and_then(|all| all.into_iter().min_by_key(|m| m.distance)))
            }
        }
    }
}

impl Leaf {
    fn evaluate(&self, context: &RuleContext<'_>) -> Result<Option<Miss>, Broken> {
        let miss = match self {
            Self::Compare(comparison) => return compare(comparison, context),
            Self::Present(wanted) => {
                (context.history.present() != *wanted).then_some((Unmet::Present(*wanted), Distance::Event))
            }
            Self::TicketType { set, in_set } => {
                let number = context.type_no.ok_or_else(|| Broken::new("the ticket type is not known"))?;
                (set.contains(&number) != *in_set).then_some((Unmet::TicketType, Distance::Never))
            }
            Self::Gate { set, in_set } => {
                let gate = context.gate.ok_or_else(|| Broken::new("the gate is not known"))?;
                let unmet = if *in_set { Unmet::Gate(set.clone()) } else { Unmet::OtherGate };
                (set.contains(&gate) != *in_set).then_some((unmet, Distance::Walk))
            }
            Self::Weekday { set, in_set } => weekday(set, *in_set, context)?,
            Self::Time { moment, shift_ms, from } => {
                let at = resolve(moment, context)?.plus_ms(*shift_ms);
                wait_or_over(at, *from, context.now)
            }
        };
        Ok(miss.map(|(unmet, distance)| Miss { unmet, distance }))
    }
}

type Unreached = Option<(Unmet, Distance)>;

/// `now ≥ at` if `from`, else `now < at`.
fn wait_or_over(at: UnixMillis, from: bool, now: UnixMillis) -> Unreached {
    match (from, now >= at) {
        (true, false) => Some((Unmet::From(at), Distance::Wait(at.ms_since(now)))),
        (false, true) => Some((Unmet::Until(at), Distance::Never)),
        (true, true) | (false, false) => None,
    }
}

fn weekday(set: &[Weekday], in_set: bool, context: &RuleContext<'_>) -> Result<Unreached, Broken> {
    let now = local(context, context.now)?;
    let today = now.date();
    let allowed = |date: Date| set.contains(&date.weekday().into()) == in_set;
    if allowed(today) {
        return Ok(None);
    }
    let mut days = std::iter::successors(today.next_day(), |d| d.next_day()).take(6);
    let since_midnight_ms = i64::from(now.hour()) * 60 * MINUTE_MS + i64::from(now.minute()) * MINUTE_MS;
    let distance = match days.position(allowed) {
        Some(n) => Distance::Wait((i64::try_from(n).unwrap_or(6) + 1) * DAY_MS - since_midnight_ms),
        None => Distance::Never,
    };
    let week = std::iter::successors(Some(time::Weekday::Monday), |d| Some(d.next())).take(7);
    let days = week.map(Weekday::from).filter(|d| set.contains(d) == in_set).collect();
    Ok(Some((Unmet::Weekday(days), distance)))
}

fn compare(c: &Comparison, context: &RuleContext<'_>) -> Result<Option<Miss>, Broken> {
    let actual = number(&c.value, context)?;
    if c.op.holds(actual, c.to) {
        return Ok(None);
    }
    let (unmet, distance) = duration_edge(c, context).unwrap_or_else(|| {
        let distance = if matches!(c.op, Operator::Less | Operator::AtMost) && c.to <= 0 {
            Distance::Never
        } else {
            Distance::Event
        };
        (Unmet::Number { operand: c.value, op: c.op, to: c.to, actual }, distance)
    });
    Ok(Some(Miss { unmet, distance }))
}

/// "At least 30 minutes since the last entry" is a moment, and people understand moments.
fn duration_edge(c: &Comparison, context: &RuleContext<'_>) -> Unreached {
    let entry = match c.value {
        Operand::MinutesSinceFirst => context.history.admissions().next()?,
        Operand::MinutesSinceLast => context.history.admissions().next_back()?,
        _ => return None,
    };
    let after = |minutes: i64| entry.at.plus_ms(minutes.saturating_mul(MINUTE_MS));
    match c.op {
        Operator::AtLeast => wait_or_over(after(c.to), true, context.now),
        Operator::More => wait_or_over(after(c.to.saturating_add(1)), true, context.now),
        Operator::Less => wait_or_over(after(c.to), false, context.now),
        Operator::AtMost => wait_or_over(after(c.to.saturating_add(1)), false, context.now),
        Operator::Equal | Operator::Different => None,
    }
}

fn number(operand: &Operand, context: &RuleContext<'_>) -> Result<i64, Broken> {
    let entries = || context.history.admissions().map(|r| r.at);
    let minutes_since = |at: Option<UnixMillis>| {
        // A scan "in the future" is another gate's clock error, not "no entry".
        at.map_or(-1, |at| context.now.ms_since(at).max(0).div_euclid(MINUTE_MS))
    };
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    Ok(match operand {
        Operand::EntriesTotal => count(context.history.entries_total()),
        Operand::EntriesToday => {
            let today = local(context, context.now)?.date();
            count(local_days(context)?.into_iter().filter(|day| *day == today).count())
        }
        Operand::EntriesDays => count(local_days(context)?.into_iter().collect::<BTreeSet<Date>>().len()),
        Operand::MinutesSinceFirst => minutes_since(entries().next()),
        Operand::MinutesSinceLast => minutes_since(entries().next_back()),
        Operand::EntriesSince(moment) => {
            let t = resolve(moment, context)?;
            count(entries().filter(|at| *at >= t).count())
        }
        Operand::EntriesBefore(moment) => {
            let t = resolve(moment, context)?;
            count(entries().filter(|at| *at < t).count())
        }
    })
}

fn local_days(context: &RuleContext<'_>) -> Result<Vec<Date>, Broken> {
    context.history.admissions().map(|r| Ok(local(context, r.at)?.date())).collect()
}

fn local(context: &RuleContext<'_>, at: UnixMillis) -> Result<PrimitiveDateTime, Broken> {
    let zone = context.zone.ok_or_else(|| Broken::new("the event's time zone is not known"))?;
    zone.local(at).ok_or_else(|| Broken::new("a time is outside the calendar"))
}

fn resolve(moment: &Moment, context: &RuleContext<'_>) -> Result<UnixMillis, Broken> {
    match moment {
        Moment::At(at) => Ok((*at).into()),
        Moment::TimeOfDay(clock) => {
            let today = local(context, context.now)?.date();
            let zone = context.zone.ok_or_else(|| Broken::new("the event's time zone is not known"))?;
            zone.instant(PrimitiveDateTime::new(today, clock.time()))
                .ok_or_else(|| Broken::new("a time is outside the calendar"))
        }
        Moment::Event(moment) => {
            let info = context.info.ok_or_else(|| Broken::new("the event's times are not known"))?;
            let edge = match moment.edge {
                EventEdge::Admission => info.admission_at.unwrap_or(info.starts_at),
                EventEdge::Start => info.starts_at,
                EventEdge::End => info.ends_at.unwrap_or(info.starts_at),
            };
            Ok(edge.millis().plus_ms(i64::from(moment.offset_minutes) * MINUTE_MS))
        }
    }
}

fn tolerance_ms(edge: &Edge) -> i64 {
    i64::from(edge.tolerance_minutes) * MINUTE_MS
}
