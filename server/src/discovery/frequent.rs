//! Queries that match too much to be ranked, remembered for a moment: finding that out visits a thousand events, and what
//! many match is what many ask for.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// As long as it is believed.
const KEPT: Duration = Duration::from_secs(60);
/// Queries at most; when full, all are forgotten.
const MOST: usize = 1_000;

/// What was asked, and when (monotonic clock) it last matched too much.
#[derive(Debug, Default)]
pub struct Frequent(Mutex<HashMap<String, Duration>>);

impl Frequent {
    /// Whether `asked` matched too much a moment ago. `now` is the monotonic clock's.
    pub fn knows(&self, asked: &str, now: Duration) -> bool {
        self.all().get(asked).is_some_and(|at| now < *at + KEPT)
    }

    pub fn note(&self, asked: String, now: Duration) {
        let mut all = self.all();
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(asked, now);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Duration>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_frequent_is_known_for_a_moment_and_there_is_room_for_so_many() {
        let frequent = Frequent::default();
        let at = Duration::from_secs(5);
        frequent.note("live".to_owned(), at);
        assert!(frequent.knows("live", at + KEPT - Duration::from_millis(1)));
        assert!(!frequent.knows("live", at + KEPT) && !frequent.knows("jazz", at));
        for n in 0..MOST {
            frequent.note(n.to_string(), at);
        }
        assert!(frequent.all().len() <= MOST && frequent.knows(&(MOST - 1).to_string(), at));
    }
}
