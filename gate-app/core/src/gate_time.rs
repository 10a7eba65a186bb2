//! What time it is, and how far that can be wrong: the last comparison with the server plus the boot clock's
//! elapsed time, or the wall clock when there was no comparison in this boot.

use crate::clock::Clock;
use crate::db::table::anchor::Stored;
use shared::bytes::Nonce16;
use shared::log::entry::{Anchor, ScanTime};
use shared::time::UnixMillis;

/// Error of a wall clock that nobody has compared in this boot.
pub const UNANCHORED_ERROR_MS: u32 = 600_000;

/// Quartz clocks drift by less than 100 µs a second.
const DRIFT_PPM: u64 = 100;

/// One reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateTime {
    /// Best estimate of true time.
    pub best: UnixMillis,
    /// Half-width of its error.
    pub error_ms: u32,
    /// The machine's wall clock.
    pub wall: UnixMillis,
    /// The boot.
    pub boot_id: Nonce16,
    /// Its clock.
    pub monotonic_ns: u64,
    /// The comparison used, if any.
    pub anchor: Option<Anchor>,
}

impl GateTime {
    /// Reads all clocks once.
    #[must_use]
    pub fn read(clock: &dyn Clock, stored: Option<&Stored>) -> Self {
        let (wall, boot_id, monotonic_ns) = (clock.wall(), clock.boot_id(), clock.boottime_ns());
        let anchored = stored.filter(|s| s.boot_id == boot_id && s.anchor.monotonic_ns <= monotonic_ns);
        match anchored {
            Some(s) => {
                let elapsed_ms = (monotonic_ns - s.anchor.monotonic_ns) / 1_000_000;
                let drift_ms = (elapsed_ms / 1_000_000).saturating_mul(DRIFT_PPM)
                    + (elapsed_ms % 1_000_000) * DRIFT_PPM / 1_000_000;
                let elapsed = i64::try_from(elapsed_ms).unwrap_or(i64::MAX);
                Self {
                    best: s.anchor.server_time.plus_ms(elapsed),
                    error_ms: s
                        .anchor
                        .uncertainty_ms
                        .saturating_add(u32::try_from(drift_ms).unwrap_or(u32::MAX)),
                    wall,
                    boot_id,
                    monotonic_ns,
                    anchor: Some(s.anchor),
                }
            }
            // A battery that died sets the clock back by years; what was proven once stays a lower bound.
            None => Self {
                best: stored.map_or(wall, |s| wall.max(s.floor)),
                error_ms: UNANCHORED_ERROR_MS,
                wall,
                boot_id,
                monotonic_ns,
                anchor: None,
            },
        }
    }

    /// As an entry records it. Time within a log never goes back, so that its own order survives a clock that is
    /// set right; where it would, the error grows to reach the best estimate.
    #[must_use]
    pub fn scan_time(&self, entry_before: Option<UnixMillis>) -> ScanTime {
        let corrected = entry_before.map_or(self.best, |before| self.best.max(before));
        let held_back = u32::try_from(corrected.ms_since(self.best)).unwrap_or(u32::MAX);
        ScanTime {
            corrected,
            error_ms: self.error_ms.saturating_add(held_back),
            wall: self.wall,
            boot_id: self.boot_id,
            monotonic_ns: self.monotonic_ns,
            anchor: self.anchor,
        }
    }

    /// How far the wall clock is ahead of the best estimate.
    #[must_use]
    pub const fn wall_offset_ms(&self) -> i64 {
        self.wall.ms_since(self.best)
    }
}

/// The anchor from one exchange: `sent` and `received` are boot clock readings around the request, the other two
/// the server's clock at arrival and departure.
#[must_use]
pub fn anchor_from_exchange(
    boot_id: Nonce16,
    sent_ns: u64,
    received_ns: u64,
    server_received: UnixMillis,
    server_sent: UnixMillis,
) -> Stored {
    let round_trip_ns = received_ns.saturating_sub(sent_ns);
    let inside_ns =
        u64::try_from(server_sent.ms_since(server_received).max(0)).unwrap_or(0).saturating_mul(1_000_000);
    // Time on the wire, both ways. The answer left the server between "now − wire" and "now".
    let wire_ns = round_trip_ns.saturating_sub(inside_ns);
    let half_ms = wire_ns.div_ceil(2).div_ceil(1_000_000);
    let server_time = server_sent.plus_ms(i64::try_from(half_ms).unwrap_or(i64::MAX));
    Stored {
        boot_id,
        anchor: Anchor {
            server_time,
            monotonic_ns: received_ns,
            // One more for the server's clock being cut to whole milliseconds.
            uncertainty_ms: u32::try_from(half_ms).unwrap_or(u32::MAX).saturating_add(1),
        },
        floor: server_sent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::TestClock;

    const NOON: UnixMillis = UnixMillis(1_800_000_000_000);

    fn anchored(clock: &TestClock, server: UnixMillis, round_trip_ms: u64) -> Stored {
        let now = clock.boottime_ns();
        let half = i64::try_from(round_trip_ms / 2).unwrap();
        anchor_from_exchange(
            clock.boot_id(),
            now - round_trip_ms * 1_000_000,
            now,
            server.plus_ms(-half),
            server.plus_ms(-half),
        )
    }

    #[test]
    fn without_a_comparison_the_wall_clock_counts_with_ten_minutes_of_doubt() {
        let t = GateTime::read(&TestClock::at(NOON), None);
        assert_eq!((t.best, t.error_ms, t.anchor), (NOON, 600_000, None));
    }

    #[test]
    fn a_comparison_outweighs_the_wall_clock_and_survives_its_jumps() {
        let clock = TestClock::at(NOON.plus_ms(3_600_000));
        let stored = anchored(&clock, NOON, 40);
        clock.set_wall(UnixMillis(0));
        clock.advance_ms(10_000);
        let t = GateTime::read(&clock, Some(&stored));
        assert_eq!(t.best, NOON.plus_ms(10_000));
        assert_eq!(t.error_ms, 22, "half the round trip, the millisecond that was cut, and 1 ms of drift");
        assert_eq!(t.wall_offset_ms(), UnixMillis(10_000).ms_since(t.best));
    }

    #[test]
    fn after_a_restart_the_wall_clock_counts_but_never_below_what_was_proven() {
        let clock = TestClock::at(NOON);
        let stored = anchored(&clock, NOON, 0);
        clock.reboot();
        clock.set_wall(UnixMillis(0));
        let t = GateTime::read(&clock, Some(&stored));
        assert_eq!((t.best, t.error_ms), (NOON, 600_000));
    }

    #[test]
    fn recorded_time_never_goes_back_and_says_how_far_it_was_held() {
        let t = GateTime::read(&TestClock::at(NOON), None);
        let s = t.scan_time(Some(NOON.plus_ms(5_000)));
        assert_eq!((s.corrected, s.error_ms), (NOON.plus_ms(5_000), 605_000));
        assert_eq!(t.scan_time(Some(NOON.plus_ms(-1))).corrected, NOON);
    }
}
