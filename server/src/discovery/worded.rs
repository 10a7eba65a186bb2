//! Which events have the words of a query, remembered for a moment where very many have them: looking them up visits
//! each, and what many events have is what many people ask for. Who asks first is told by a sample.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::PgConnection;
use tokio::sync::{OnceCell, Semaphore};
use uuid::Uuid;

use super::columns::MANY;
use crate::app::App;
use crate::store::search;

/// Who asks after so long has them looked up again, and is answered by what was remembered.
const RENEWED: Duration = Duration::from_secs(10);
/// Nothing older is believed.
const KEPT: Duration = Duration::from_secs(60);
/// Identifiers that are remembered in all, 16 bytes each; when more, all are forgotten.
const MOST: usize = 2_000_000;
/// Queries that are remembered or looked up; when more, all are forgotten.
const MOST_QUERIES: usize = 1_000;
/// Queries that are looked up at a time without anybody waiting.
const AT_A_TIME: usize = 2;

/// Events by the words asked for, a tsquery.
#[derive(Debug)]
pub struct Worded {
    all: Mutex<HashMap<String, Arc<Entry>>>,
    turns: Arc<Semaphore>,
}

impl Default for Worded {
    fn default() -> Self {
        Self { all: Mutex::default(), turns: Arc::new(Semaphore::new(AT_A_TIME)) }
    }
}

#[derive(Debug, Default)]
struct Entry {
    found: OnceCell<Found>,
    /// What a sample says until then.
    sample: OnceCell<Vec<Uuid>>,
    renewing: AtomicBool,
}

#[derive(Debug)]
struct Found {
    /// When they were looked up, on the monotonic clock.
    at: Duration,
    /// In order of their identifiers.
    events: Arc<[Uuid]>,
}

impl Found {
    async fn look_up(conn: &mut PgConnection, document: &str, now: Duration) -> Result<Self, sqlx::Error> {
        let mut events = search::with_words(conn, document).await?;
        events.sort_unstable();
        Ok(Self { at: now, events: events.into() })
    }
}

impl Worded {
    /// Events with the words, over or not, in order of their identifiers. Who asks while they are looked up waits for that;
    /// nothing is kept of a failure.
    ///
    /// # Errors
    /// Of the database.
    pub async fn events(
        self: &Arc<Self>,
        app: &App,
        conn: &mut PgConnection,
        document: &str,
    ) -> Result<Arc<[Uuid]>, sqlx::Error> {
        let now = app.clock.monotonic();
        let entry = self.entry(document, now);
        let look_up = entry.found.get_or_try_init(|| Found::look_up(conn, document, now)).await;
        let found = look_up.map(|found| Arc::clone(&found.events));
        if !found.as_ref().is_ok_and(|events| events.len() >= MANY) {
            self.forget(document, &entry);
        }
        if entry.found.get().is_some_and(|found| now >= found.at + RENEWED) {
            self.renew(app, document, entry, now);
        }
        found
    }

    /// What `by` makes of a sample of the events with the words, while nothing better is known; nothing if it makes nothing
    /// of it. All events are looked up meanwhile, for those who ask next.
    ///
    /// # Errors
    /// Of the database.
    pub async fn estimate<T>(
        self: &Arc<Self>,
        app: &App,
        conn: &mut PgConnection,
        document: &str,
        by: impl FnOnce(&[Uuid]) -> Option<T>,
    ) -> Result<Option<T>, sqlx::Error> {
        let now = app.clock.monotonic();
        let entry = self.entry(document, now);
        if entry.found.get().is_some() {
            return Ok(None);
        }
        let look_up = async {
            let mut events = search::sample_with_words(conn, document).await?;
            events.sort_unstable();
            Ok::<_, sqlx::Error>(events)
        };
        let estimate = by(entry.sample.get_or_try_init(|| look_up).await?);
        if estimate.is_some() {
            self.renew(app, document, entry, now);
        }
        Ok(estimate)
    }

    /// Looks them up in the background, unless somebody does or too many others are.
    fn renew(self: &Arc<Self>, app: &App, document: &str, old: Arc<Entry>, now: Duration) {
        if old.renewing.swap(true, Ordering::Relaxed) {
            return;
        }
        let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() else {
            old.renewing.store(false, Ordering::Relaxed);
            return;
        };
        let (worded, db, stopping) = (Arc::clone(self), app.db.clone(), app.stopping.clone());
        let document = document.to_owned();
        app.background.spawn(async move {
            let _turn = turn;
            let look_up = async {
                let mut tx = db.platform().await?;
                search::prepare(&mut tx, search::Reading::Indexes).await?;
                let found = Found::look_up(&mut tx, &document, now).await?;
                tx.commit().await?;
                Ok::<_, sqlx::Error>(found)
            };
            match stopping.run_until_cancelled(look_up).await {
                Some(Ok(found)) => {
                    let found = OnceCell::new_with(Some(found));
                    worded.all().insert(document, Arc::new(Entry { found, ..Entry::default() }));
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "events with the words of a query cannot be looked up again");
                    // The next one who asks tries again.
                    old.renewing.store(false, Ordering::Relaxed);
                }
                None => {}
            }
        });
    }

    fn entry(&self, document: &str, now: Duration) -> Arc<Entry> {
        let mut all = self.all();
        // One without an answer is somebody's who looks it up, or was left by somebody who went away.
        let young = |entry: &Arc<Entry>| match entry.found.get() {
            Some(found) => now < found.at + KEPT,
            None => Arc::strong_count(entry) > 1,
        };
        if let Some(entry) = all.get(document).filter(|entry| young(entry)) {
            return Arc::clone(entry);
        }
        all.retain(|_, entry| young(entry));
        let remembered: usize = all.values().filter_map(|e| e.found.get()).map(|f| f.events.len()).sum();
        if remembered >= MOST || all.len() >= MOST_QUERIES {
            all.clear();
        }
        let entry = Arc::default();
        all.insert(document.to_owned(), Arc::clone(&entry));
        entry
    }

    fn forget(&self, document: &str, entry: &Arc<Entry>) {
        let mut all = self.all();
        if all.get(document).is_some_and(|ours| Arc::ptr_eq(ours, entry)) {
            all.remove(document);
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Entry>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
