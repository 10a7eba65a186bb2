//! Counts of very many events, kept for a moment: counting visits all that matches, and under a rush everybody asks for
//! the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::store::search::Count;

/// So many events are worth remembering how many they are; fewer are counted anew each time.
const MANY: i64 = 5_000;
/// Availability is known within half a minute; the job that writes it takes the other half.
const KEPT: Duration = Duration::from_secs(15);
/// Entries at most; when full, all are forgotten.
const MOST: usize = 500;

#[derive(Debug)]
struct Kept {
    /// When it was counted, on the monotonic clock.
    at: Duration,
    counts: Vec<Count>,
}

/// Counts by what was asked.
#[derive(Debug, Default)]
pub struct Counted(Mutex<HashMap<String, Arc<OnceCell<Kept>>>>);

impl Counted {
    /// What was counted for `key` a moment ago, or what `count` says. Who asks while somebody is counting waits for
    /// that; nothing is kept of a failure. `now` is the monotonic clock's.
    ///
    /// # Errors
    /// Of `count`.
    pub async fn or_count<E>(
        &self,
        key: String,
        now: Duration,
        count: impl Future<Output = Result<Vec<Count>, E>>,
    ) -> Result<Vec<Count>, E> {
        let cell = self.cell(&key, now);
        let kept =
            cell.get_or_try_init(|| async { Ok(Kept { at: now, counts: count.await? }) }).await.map(|kept| {
                let many = kept.counts.iter().any(|of| of.events >= MANY);
                (many, kept.counts.clone())
            });
        if !matches!(kept, Ok((true, _))) {
            self.forget(&key, &cell);
        }
        kept.map(|(_, counts)| counts)
    }

    fn cell(&self, key: &str, now: Duration) -> Arc<OnceCell<Kept>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let young = |cell: &&Arc<OnceCell<Kept>>| cell.get().is_none_or(|kept| now < kept.at + KEPT);
        if let Some(cell) = all.get(key).filter(young) {
            return Arc::clone(cell);
        }
        if all.len() >= MOST {
            all.clear();
        }
        let cell = Arc::default();
        all.insert(key.to_owned(), Arc::clone(&cell));
        cell
    }

    fn forget(&self, key: &str, cell: &Arc<OnceCell<Kept>>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.get(key).is_some_and(|ours| Arc::ptr_eq(ours, cell)) {
            all.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn total(events: i64) -> Vec<Count> {
        vec![Count { facet: "total".to_owned(), value: String::new(), events }]
    }

    async fn ask(counted: &Counted, secs: u64, events: i64) -> i64 {
        let count = async { Ok::<_, Infallible>(total(events)) };
        let Ok(counts) = counted.or_count("all".to_owned(), Duration::from_secs(secs), count).await;
        counts[0].events
    }

    #[tokio::test]
    async fn many_are_counted_once_in_a_while_and_few_each_time() {
        let counted = Counted::default();
        assert_eq!(ask(&counted, 0, MANY).await, MANY);
        assert_eq!(ask(&counted, 14, 9_000).await, MANY, "kept");
        assert_eq!(ask(&counted, 15, 9_000).await, 9_000, "over");
        assert_eq!(ask(&counted, 30, 3).await, 3, "over again");
        assert_eq!(ask(&counted, 30, 4).await, 4, "few are not kept");
    }

    #[tokio::test]
    async fn a_failure_is_not_kept() {
        let counted = Counted::default();
        let failing = async { Err::<Vec<Count>, _>("no database") };
        assert!(counted.or_count("all".to_owned(), Duration::ZERO, failing).await.is_err());
        assert_eq!(ask(&counted, 0, 7).await, 7);
    }
}
