//! Time and chance, the only home of both in the server. Everything else takes a [`SharedClock`] and
//! a [`SharedRng`] as arguments, so that a test can hold time still and replay chance from a seed.

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng, TryCryptoRng, TryRng};
use time::OffsetDateTime;
use uuid::Uuid;

/// Where time comes from.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The wall clock, UTC. May jump when the machine's clock is set.
    fn now(&self) -> OffsetDateTime;

    /// Time since an arbitrary moment; never falls and counts the machine's sleep too.
    fn monotonic(&self) -> Duration;

    /// The wall clock in milliseconds since 1970, as ids and wire documents count it.
    fn now_ms(&self) -> i64 {
        (self.now().unix_timestamp_nanos() / 1_000_000) as i64
    }
}

/// A clock that can be handed around.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's own clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock's one home")]
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    fn monotonic(&self) -> Duration {
        let t = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(u64::try_from(t.tv_sec).unwrap_or(0), u32::try_from(t.tv_nsec).unwrap_or(0))
    }
}

/// A clock that stands still until it is moved. Clones share one time.
#[derive(Debug, Clone)]
pub struct TestClock(Arc<Mutex<(OffsetDateTime, Duration)>>);

impl TestClock {
    pub fn at(now: OffsetDateTime) -> Self {
        Self(Arc::new(Mutex::new((now, Duration::from_secs(1_000)))))
    }

    /// Lets time pass on both clocks.
    pub fn advance(&self, by: Duration) {
        let mut state = lock(&self.0);
        state.0 += by;
        state.1 += by;
    }

    /// Sets the wall clock alone, as an administrator would: the monotonic clock goes on.
    pub fn set_wall(&self, now: OffsetDateTime) {
        lock(&self.0).0 = now;
    }
}

impl Clock for TestClock {
    fn now(&self) -> OffsetDateTime {
        lock(&self.0).0
    }

    fn monotonic(&self) -> Duration {
        lock(&self.0).1
    }
}

/// Chance, cryptographically strong (ChaCha12), shared by all requests. It implements the traits of
/// `rand` and `rand_core`: `&mut app.rng.clone()` goes wherever an rng is asked for.
#[derive(Clone)]
pub struct SharedRng(Arc<Mutex<StdRng>>);

impl fmt::Debug for SharedRng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedRng")
    }
}

impl SharedRng {
    /// Seeded by the operating system.
    pub fn from_system() -> Self {
        Self(Arc::new(Mutex::new(rand::make_rng())))
    }

    /// The same seed gives the same chances. For tests and simulations only.
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// `N` random bytes: a secret, a nonce.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        lock(&self.0).fill_bytes(&mut out);
        out
    }

    /// A UUIDv7 of the clock's millisecond. Where a typed id exists in `shared::ids`, use that.
    pub fn uuid(&self, clock: &dyn Clock) -> Uuid {
        let ms = u64::try_from(clock.now_ms()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(ms, &self.bytes()).into_uuid()
    }

    /// An independent generator for one long use, so that it does not hold the shared lock.
    pub fn fork(&self) -> StdRng {
        StdRng::from_seed(self.bytes())
    }
}

impl TryRng for SharedRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(lock(&self.0).next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(lock(&self.0).next_u64())
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        lock(&self.0).fill_bytes(dst);
        Ok(())
    }
}

impl TryCryptoRng for SharedRng {}

/// A panic elsewhere cannot leave these values half-written, so a poisoned lock is as good as another.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_chances() {
        let (a, b) = (SharedRng::seeded(7), SharedRng::seeded(7));
        assert_eq!(a.bytes::<32>(), b.bytes::<32>());
        assert_ne!(a.bytes::<32>(), SharedRng::seeded(8).bytes::<32>());
    }

    #[test]
    fn a_test_clock_stands_still_until_it_is_moved() {
        let clock = TestClock::at(OffsetDateTime::UNIX_EPOCH);
        let (wall, mono) = (clock.now(), clock.monotonic());
        assert_eq!((clock.now(), clock.monotonic()), (wall, mono));
        clock.advance(Duration::from_secs(5));
        assert_eq!(clock.now() - wall, time::Duration::seconds(5));
        clock.set_wall(wall);
        assert_eq!(clock.monotonic() - mono, Duration::from_secs(5));
    }

    #[test]
    fn ids_carry_the_clocks_millisecond() {
        let clock = TestClock::at(OffsetDateTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123));
        let id = SharedRng::seeded(1).uuid(&clock);
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(&id.as_bytes()[..6], &1_700_000_000_123_u64.to_be_bytes()[2..]);
    }
}
