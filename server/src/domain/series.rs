//! An event on other dates: when a repeated one takes place, and where its moments move to. What counts is what clocks at
//! the venue show: a Thursday's concert at eight is at eight on every Thursday, also after the clocks were set.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use shared::admission::rule::Rule;
use shared::admission::rule::expr::{Edge, Moment, Operand, Weekday};
use shared::admission::zone::Zone;
use shared::ids::GateId;
use shared::time::UnixMillis;
use time::{Date, Duration, Month, OffsetDateTime, PrimitiveDateTime};

/// Dates that one request adds at most.
pub const MAX_DATES: usize = 60;
/// Days, weeks or months from one occurrence to the next at most.
pub const MAX_INTERVAL: u32 = 100;
/// No event goes on after this year: what a ticket's code can say, with years of grace to spare.
pub const LAST_YEAR: i32 = 2100;

/// What is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Frequency {
    /// Every day.
    Daily,
    /// Every week.
    Weekly,
    /// The same day of every month; months without it are left out.
    Monthly,
}

/// A rule as RFC 5545 knows it (section 3.3.10), as much of it as events need. The first occurrence is the event that is
/// repeated; weeks begin on Monday.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeat {
    pub frequency: Frequency,
    /// Every so many days, weeks or months; at least 1.
    pub interval: u32,
    /// Of a weekly rule; empty: the first occurrence's own.
    pub weekdays: Vec<Weekday>,
    pub ends: Ends,
}

/// How long it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// Occurrences in all, the first one too.
    After(u32),
    /// The last day that may have one.
    On(Date),
}

/// Why a rule has no dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoDates {
    #[error("at most {MAX_DATES} dates at once")]
    TooMany,
    #[error("it would go on after the year {LAST_YEAR}")]
    TooFar,
}

impl Repeat {
    /// The dates after `first`, in their order.
    ///
    /// # Errors
    /// [`NoDates`]
    pub fn dates_after(&self, first: Date) -> Result<Vec<Date>, NoDates> {
        let mut dates = Vec::new();
        for step in 0.. {
            let Some(candidates) = self.step(first, step) else {
                return match self.ends {
                    Ends::After(_) => Err(NoDates::TooFar),
                    Ends::On(_) => Ok(dates),
                };
            };
            for date in candidates.into_iter().filter(|date| *date > first) {
                let over = match self.ends {
                    Ends::After(count) => dates.len() + 1 >= usize::try_from(count).unwrap_or(usize::MAX),
                    Ends::On(last) => date > last,
                };
                if over {
                    return Ok(dates);
                }
                if dates.len() == MAX_DATES {
                    return Err(NoDates::TooMany);
                }
                dates.push(date);
            }
        }
        Ok(dates)
    }

    /// The candidates of the `step`-th day, week or month; `None` after the last year.
    fn step(&self, first: Date, step: u32) -> Option<Vec<Date>> {
        let by = step.checked_mul(self.interval)?;
        let days = |n: u32| Duration::days(n.into());
        let dates = match self.frequency {
            Frequency::Daily => vec![first.checked_add(days(by))?],
            Frequency::Weekly => {
                let monday = first - days(first.weekday().number_days_from_monday().into());
                let monday = monday.checked_add(Duration::weeks(by.into()))?;
                let own = [Weekday::from(first.weekday())];
                let wanted = if self.weekdays.is_empty() { &own[..] } else { &self.weekdays };
                let week = (0..7).map(|n| monday.checked_add(days(n))).collect::<Option<Vec<_>>>()?;
                week.into_iter().filter(|day| wanted.contains(&day.weekday().into())).collect()
            }
            Frequency::Monthly => {
                let months = u32::from(u8::from(first.month()) - 1).checked_add(by)?;
                let year = first.year().checked_add_unsigned(months / 12)?;
                if year > LAST_YEAR {
                    return None;
                }
                let month = Month::try_from(u8::try_from(months % 12 + 1).ok()?).ok()?;
                Date::from_calendar_date(year, month, first.day()).into_iter().collect()
            }
        };
        dates.iter().all(|date| date.year() <= LAST_YEAR).then_some(dates)
    }
}

/// When clocks at the venue show `local`. In a gap: as much later as the gap is long. `None` outside the calendar.
#[must_use]
pub fn instant(zone: &dyn Zone, local: PrimitiveDateTime) -> Option<OffsetDateTime> {
    zone.instant(local)?.to_datetime()
}

/// What clocks at the venue show. `None` outside the calendar.
#[must_use]
pub fn local(zone: &dyn Zone, at: OffsetDateTime) -> Option<PrimitiveDateTime> {
    zone.local(UnixMillis::from(at))
}

/// From one start to another, by the clocks at the venue.
#[derive(Debug, Clone, Copy)]
pub struct Shift<'z> {
    zone: &'z dyn Zone,
    by: Duration,
}

impl<'z> Shift<'z> {
    /// `None` outside the calendar.
    #[must_use]
    pub fn between(zone: &'z dyn Zone, from: OffsetDateTime, to: OffsetDateTime) -> Option<Self> {
        Some(Self { zone, by: local(zone, to)? - local(zone, from)? })
    }

    /// Where a moment of the one is with the other: as far from the start by the clocks at the venue. `None` outside the
    /// years 1970 to [`LAST_YEAR`].
    #[must_use]
    pub fn moved(&self, at: OffsetDateTime) -> Option<OffsetDateTime> {
        let then = local(self.zone, at)?.checked_add(self.by)?;
        instant(self.zone, then).filter(|at| (1970..=LAST_YEAR).contains(&at.year()))
    }

    /// The same for what may be open. Outside of the years: `None`.
    #[must_use]
    pub fn moved_if(&self, at: Option<OffsetDateTime>) -> Option<Option<OffsetDateTime>> {
        at.map_or(Some(None), |at| self.moved(at).map(Some))
    }

    /// A list's rule with its dates moved, and with the gates of the other event. A gate that the event has not any more
    /// stays as it is: it is nobody's there either. `None` if a date would lie outside of the years.
    #[must_use]
    pub fn moved_rule(&self, rule: Rule, gates: &HashMap<GateId, GateId>) -> Option<Rule> {
        let moment = |of: Moment| match of {
            Moment::At(at) => self.moved(at).map(Moment::At),
            other => Some(other),
        };
        let edge = |of: Edge| Some(Edge { time: moment(of.time)?, ..of });
        let parts = |of: Vec<Rule>| -> Option<Vec<Rule>> {
            of.into_iter().map(|part| self.moved_rule(part, gates)).collect()
        };
        Some(match rule {
            Rule::And(of) => Rule::And(parts(of)?),
            Rule::Or(of) => Rule::Or(parts(of)?),
            Rule::Not(of) => Rule::Not(Box::new(self.moved_rule(*of, gates)?)),
            Rule::Compare(mut of) => {
                of.value = match of.value {
                    Operand::EntriesSince(at) => Operand::EntriesSince(moment(at)?),
                    Operand::EntriesBefore(at) => Operand::EntriesBefore(moment(at)?),
                    other => other,
                };
                Rule::Compare(of)
            }
            Rule::Gate(of) => {
                Rule::Gate(of.into_iter().map(|g| gates.get(&g).copied().unwrap_or(g)).collect())
            }
            Rule::After(of) => Rule::After(edge(of)?),
            Rule::Before(of) => Rule::Before(edge(of)?),
            same @ (Rule::Present(_) | Rule::TicketType(_) | Rule::Weekday(_)) => same,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use shared::admission::zone::EventZone;
    use time::macros::{date, datetime};
    use uuid::Uuid;

    fn rule(frequency: Frequency, interval: u32, ends: Ends) -> Repeat {
        Repeat { frequency, interval, weekdays: Vec::new(), ends }
    }

    fn vienna() -> EventZone {
        EventZone::named("Europe/Vienna").unwrap()
    }

    #[test]
    fn days_weeks_and_months_are_counted_from_the_first() {
        let first = date!(2026 - 12 - 24);
        let after = |frequency, interval, count| {
            rule(frequency, interval, Ends::After(count)).dates_after(first).unwrap()
        };
        assert_eq!(after(Frequency::Daily, 1, 3), [date!(2026 - 12 - 25), date!(2026 - 12 - 26)]);
        assert_eq!(after(Frequency::Weekly, 2, 3), [date!(2027 - 01 - 07), date!(2027 - 01 - 21)]);
        assert_eq!(after(Frequency::Monthly, 1, 3), [date!(2027 - 01 - 24), date!(2027 - 02 - 24)]);
        assert_eq!(after(Frequency::Daily, 1, 1), [], "the first alone");
        let until = rule(Frequency::Daily, 7, Ends::On(date!(2027 - 01 - 07)));
        assert_eq!(until.dates_after(first).unwrap(), [date!(2026 - 12 - 31), date!(2027 - 01 - 07)]);
        let passed = rule(Frequency::Daily, 7, Ends::On(date!(2026 - 12 - 30)));
        assert_eq!(passed.dates_after(first).unwrap(), []);
    }

    #[test]
    fn weekdays_are_of_weeks_that_begin_on_monday() {
        // A Thursday; every second week on Tuesday, Thursday and Sunday.
        let mut rule = rule(Frequency::Weekly, 2, Ends::After(6));
        rule.weekdays = vec![Weekday::Sunday, Weekday::Tuesday, Weekday::Thursday];
        let dates = rule.dates_after(date!(2026 - 12 - 24)).unwrap();
        assert_eq!(
            dates,
            [
                date!(2026 - 12 - 27),
                date!(2027 - 01 - 05),
                date!(2027 - 01 - 07),
                date!(2027 - 01 - 10),
                date!(2027 - 01 - 19)
            ]
        );
    }

    #[test]
    fn months_without_the_day_are_left_out() {
        let dates = rule(Frequency::Monthly, 1, Ends::After(4)).dates_after(date!(2026 - 12 - 31)).unwrap();
        assert_eq!(dates, [date!(2027 - 01 - 31), date!(2027 - 03 - 31), date!(2027 - 05 - 31)]);
        let leap = rule(Frequency::Monthly, 12, Ends::After(2)).dates_after(date!(2028 - 02 - 29)).unwrap();
        assert_eq!(leap, [date!(2032 - 02 - 29)]);
    }

    #[test]
    fn a_rule_ends() {
        let first = date!(2026 - 12 - 24);
        let all = |ends| rule(Frequency::Daily, 1, ends).dates_after(first);
        assert_eq!(all(Ends::After(61)).map(|d| d.len()), Ok(60));
        assert_eq!(all(Ends::After(62)), Err(NoDates::TooMany));
        assert_eq!(all(Ends::After(u32::MAX)), Err(NoDates::TooMany));
        assert_eq!(all(Ends::On(date!(2090 - 01 - 01))), Err(NoDates::TooMany));
        let rare = |ends| rule(Frequency::Monthly, 100, ends).dates_after(date!(2028 - 02 - 29));
        assert_eq!(rare(Ends::After(60)), Err(NoDates::TooFar));
        assert!(rare(Ends::On(Date::MAX)).unwrap().iter().all(|d| d.year() <= LAST_YEAR));
        for frequency in [Frequency::Daily, Frequency::Weekly] {
            let far = rule(frequency, MAX_INTERVAL, Ends::After(61)).dates_after(date!(2100 - 12 - 01));
            assert_eq!(far, Err(NoDates::TooFar), "{frequency:?}");
        }
    }

    #[test]
    fn clocks_at_the_venue_show_the_same_on_both_sides_of_a_change() {
        let zone = vienna();
        // From winter to summer: 19:00 is an hour earlier in UTC.
        let shift =
            Shift::between(&zone, datetime!(2027-03-21 18:00 UTC), datetime!(2027-03-28 17:00 UTC)).unwrap();
        assert_eq!(shift.moved(datetime!(2027-03-21 22:30 UTC)), Some(datetime!(2027-03-28 21:30 UTC)));
        // The sale that begins weeks before is moved by its own clocks: both in winter.
        assert_eq!(shift.moved(datetime!(2027-03-01 09:00 UTC)), Some(datetime!(2027-03-08 09:00 UTC)));
        // A moment that the clocks leave out comes when they would have shown it.
        assert_eq!(shift.moved(datetime!(2027-03-21 01:30 UTC)), Some(datetime!(2027-03-28 01:30 UTC)));
        assert_eq!(shift.moved_if(None), Some(None));
        let far =
            Shift::between(&zone, datetime!(2027-03-21 18:00 UTC), datetime!(2099-03-21 18:00 UTC)).unwrap();
        assert_eq!(far.moved(datetime!(2030-01-01 18:00 UTC)), None, "after the last year");
    }

    #[test]
    fn a_rule_is_moved_with_its_event() {
        let zone = vienna();
        let shift =
            Shift::between(&zone, datetime!(2027-03-21 18:00 UTC), datetime!(2027-03-28 17:00 UTC)).unwrap();
        let (from, to, gone) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let gates = HashMap::from([(GateId(from), GateId(to))]);
        let rule = |at: &str, gate: Uuid| -> Rule {
            let text = json!({ "and": [
                { "not": { "after": { "time": { "at": at }, "tolerance_minutes": 5 } } },
                { "or": [{ "gate": [gate, gone] }, { "ticket_type": [3] }] },
                { "compare": { "value": { "entries_since": { "at": at } }, "op": "<", "to": 2 } },
                { "before": { "time": { "time_of_day": "18:30" }, "tolerance_minutes": 0 } },
            ]});
            serde_json::from_value(text).unwrap()
        };
        let moved = shift.moved_rule(rule("2027-03-21T20:00:00Z", from), &gates);
        assert_eq!(moved, Some(rule("2027-03-28T19:00:00Z", to)));
    }
}
