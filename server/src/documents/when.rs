//! Moments in words, by the clocks at the venue.

use shared::admission::zone::{EventZone, Utc, Zone};
use shared::time::UnixMillis;
use time::{OffsetDateTime, PrimitiveDateTime};

/// A moment where the event is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    local: PrimitiveDateTime,
    zone: String,
}

impl Moment {
    /// `zone` is an IANA name; by an unknown one the words are those of UTC, and say so.
    pub fn new(at: OffsetDateTime, zone: &str) -> Self {
        let instant = UnixMillis::from(at);
        let utc = PrimitiveDateTime::new(at.date(), at.time());
        match EventZone::named(zone).and_then(|z| z.local(instant)) {
            Some(local) => Self { local, zone: zone.to_owned() },
            None => Self { local: Utc.local(instant).unwrap_or(utc), zone: "UTC".to_owned() },
        }
    }

    /// `Friday, 27 November 2026, 20:30`
    pub fn long(&self) -> String {
        format!("{}, {}, {}", self.local.weekday(), self.date(), self.clock())
    }

    /// `2026`
    pub fn year(&self) -> i32 {
        self.local.year()
    }

    /// `27 November 2026`
    pub fn date(&self) -> String {
        let day = self.local.date();
        format!("{} {} {}", day.day(), day.month(), day.year())
    }

    /// `20:30`
    pub fn clock(&self) -> String {
        format!("{:02}:{:02}", self.local.hour(), self.local.minute())
    }

    /// The time alone if it is the same day as `other`, or the night after it; else all.
    pub fn short_beside(&self, other: &Self) -> String {
        let near = self.local.date() == other.local.date()
            || (other.local.date().next_day() == Some(self.local.date()) && self.local.hour() < 8);
        if near { self.clock() } else { self.long() }
    }

    pub fn zone(&self) -> &str {
        &self.zone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_ticket_says_what_clocks_at_the_venue_show() {
        let at = datetime!(2026-07-01 18:30 UTC);
        assert_eq!(Moment::new(at, "Europe/Vienna").long(), "Wednesday, 1 July 2026, 20:30");
        assert_eq!(Moment::new(at, "Asia/Tokyo").long(), "Thursday, 2 July 2026, 03:30");
        assert_eq!(Moment::new(at, "America/St_Johns").clock(), "16:00", "half an hour off");
        assert_eq!(Moment::new(at, "Nowhere/Else").zone(), "UTC");
        // One winter, one summer: Vienna's clocks are set in between.
        assert_eq!(Moment::new(datetime!(2026-12-01 18:30 UTC), "Europe/Vienna").clock(), "19:30");
    }

    #[test]
    fn an_end_after_midnight_belongs_to_the_night() {
        let at = |at| Moment::new(at, "Europe/Vienna");
        let start = at(datetime!(2026-12-01 20:00 UTC));
        assert_eq!(at(datetime!(2026-12-02 02:00 UTC)).short_beside(&start), "03:00");
        assert_eq!(
            at(datetime!(2026-12-03 20:00 UTC)).short_beside(&start),
            "Thursday, 3 December 2026, 21:00"
        );
    }
}
