//! Civil time at the venue, for "today", weekdays, times of day and for printing.

use crate::time::UnixMillis;
use time::PrimitiveDateTime;

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
