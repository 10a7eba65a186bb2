//! Civil time at the venue, for "today", weekdays, times of day and for printing.

use crate::time::UnixMillis;
use jiff::civil;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use time::{Date, Month, PrimitiveDateTime, Time};

/// The event's time zone. A trait, so that tests can build their own daylight-saving gaps.
pub trait Zone: std::fmt::Debug {
    /// What clocks at the venue show; `None` outside the calendar.
    fn local(&self, at: UnixMillis) -> Option<PrimitiveDateTime>;

    /// When clocks at the venue show this. In a gap: as much later as the gap is long; what happens twice: the first
    /// time. `None` outside the calendar.
    fn instant(&self, local: PrimitiveDateTime) -> Option<UnixMillis>;
}

/// Coordinated Universal Time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Utc;

impl Zone for Utc {
    fn local(&self, at: UnixMillis) -> Option<PrimitiveDateTime> {
        at.to_datetime().map(|t| PrimitiveDateTime::new(t.date(), t.time()))
    }

    fn instant(&self, local: PrimitiveDateTime) -> Option<UnixMillis> {
        Some(local.assume_utc().into())
    }
}

/// A zone of the IANA database as compiled into this program: the machine's own copy may be older or missing, and then
/// two gates would disagree about "today".
#[derive(Debug, Clone)]
pub struct EventZone(TimeZone);

impl EventZone {
    /// By IANA name, such as `Europe/Vienna`; `None` if this version does not know it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        TimeZoneDatabase::bundled().get(name).ok().map(Self)
    }
}

impl Zone for EventZone {
    fn local(&self, at: UnixMillis) -> Option<PrimitiveDateTime> {
        let at = jiff::Timestamp::from_millisecond(at.0).ok()?;
        let local = self.0.to_datetime(at);
        let number = |n: i8| u8::try_from(n).ok();
        let month = Month::try_from(number(local.month())?).ok()?;
        let date = Date::from_calendar_date(local.year().into(), month, number(local.day())?).ok()?;
        let nanosecond = u32::try_from(local.subsec_nanosecond()).ok()?;
        let time = Time::from_hms_nano(
            number(local.hour())?,
            number(local.minute())?,
            number(local.second())?,
            nanosecond,
        );
        Some(PrimitiveDateTime::new(date, time.ok()?))
    }

    fn instant(&self, local: PrimitiveDateTime) -> Option<UnixMillis> {
        let number = |n: u8| i8::try_from(n).ok();
        let civil = civil::DateTime::new(
            i16::try_from(local.year()).ok()?,
            number(local.month().into())?,
            number(local.day())?,
            number(local.hour())?,
            number(local.minute())?,
            number(local.second())?,
            i32::try_from(local.nanosecond()).ok()?,
        );
        let at = self.0.to_ambiguous_timestamp(civil.ok()?).compatible().ok()?;
        Some(UnixMillis(at.as_millisecond()))
    }
}
