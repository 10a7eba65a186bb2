//! The one place of the gate that reads clocks and gathers chance. Everything else takes them as arguments.

use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};
use shared::bytes::Nonce16;
use shared::time::UnixMillis;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

/// What the machine says about time.
pub trait Clock: Send + Sync + Debug {
    /// The wall clock: may be wrong, may jump.
    fn wall(&self) -> UnixMillis;
    /// Nanoseconds since boot, sleep included; never jumps within a boot.
    fn boottime_ns(&self) -> u64;
    /// Names the boot that [`Clock::boottime_ns`] belongs to.
    fn boot_id(&self) -> Nonce16;
}

/// The real clocks.
#[derive(Debug)]
pub struct SystemClock {
    boot_id: Nonce16,
}

impl SystemClock {
    /// Reads the boot's name once. Where the system has none, a random one stands for this process, which only
    /// means that an anchor does not outlive the process.
    #[must_use]
    pub fn new(rng: &mut dyn rand::Rng) -> Self {
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .ok()
            .and_then(|text| uuid::Uuid::parse_str(text.trim()).ok())
            .map_or_else(
                || {
                    let mut bytes = [0; 16];
                    rng.fill_bytes(&mut bytes);
                    Nonce16(bytes)
                },
                |id| Nonce16(*id.as_bytes()),
            );
        Self { boot_id }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock's home")]
    fn wall(&self) -> UnixMillis {
        let ms = match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        };
        UnixMillis(ms)
    }

    #[cfg(target_os = "linux")]
    fn boottime_ns(&self) -> u64 {
        let t = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let secs = u64::try_from(t.tv_sec).unwrap_or(0);
        secs.saturating_mul(1_000_000_000).saturating_add(u64::try_from(t.tv_nsec).unwrap_or(0))
    }

    #[cfg(not(target_os = "linux"))]
    fn boottime_ns(&self) -> u64 {
        let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let secs = u64::try_from(t.tv_sec).unwrap_or(0);
        secs.saturating_mul(1_000_000_000).saturating_add(u64::try_from(t.tv_nsec).unwrap_or(0))
    }

    fn boot_id(&self) -> Nonce16 {
        self.boot_id
    }
}

/// A generator seeded by the operating system.
///
/// # Errors
/// If the system gives no randomness; nothing secret may be made then.
pub fn system_rng() -> Result<StdRng, rand::rngs::SysError> {
    StdRng::try_from_rng(&mut SysRng)
}

/// A clock that stands still until told otherwise.
#[derive(Debug, Clone)]
pub struct TestClock(Arc<Mutex<TestTime>>);

#[derive(Debug)]
struct TestTime {
    wall: i64,
    boottime_ns: u64,
    boot_id: Nonce16,
}

impl TestClock {
    /// Starts at a wall time, one hour after boot.
    #[must_use]
    pub fn at(wall: UnixMillis) -> Self {
        Self(Arc::new(Mutex::new(TestTime {
            wall: wall.0,
            boottime_ns: 3_600_000_000_000,
            boot_id: Nonce16([7; 16]),
        })))
    }

    /// Both clocks go on.
    pub fn advance_ms(&self, ms: u64) {
        let mut t = self.lock();
        t.wall += i64::try_from(ms).expect("tests advance by less than ages");
        t.boottime_ns += ms * 1_000_000;
    }

    /// Only the wall clock jumps, as when somebody sets it.
    pub fn set_wall(&self, wall: UnixMillis) {
        self.lock().wall = wall.0;
    }

    /// The machine restarts: another boot, boot time near zero.
    pub fn reboot(&self) {
        let mut t = self.lock();
        t.boottime_ns = 5_000_000_000;
        t.boot_id.0[0] = t.boot_id.0[0].wrapping_add(1);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, TestTime> {
        self.0.lock().expect("no test panics while it holds the clock")
    }
}

impl Clock for TestClock {
    fn wall(&self) -> UnixMillis {
        UnixMillis(self.lock().wall)
    }

    fn boottime_ns(&self) -> u64 {
        self.lock().boottime_ns
    }

    fn boot_id(&self) -> Nonce16 {
        self.lock().boot_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_never_goes_back_and_the_boot_keeps_its_name() {
        let mut rng = StdRng::seed_from_u64(1);
        let clock = SystemClock::new(&mut rng);
        let (a, b) = (clock.boottime_ns(), clock.boottime_ns());
        assert!(a > 0 && b >= a);
        assert_eq!(clock.boot_id(), SystemClock::new(&mut rng).boot_id());
        assert!(clock.wall().0 > 1_600_000_000_000);
    }
}
