//! Waking those who wait for news of an event: long polls of gates, live views. A write is told here after
//! its commit; one relay per server passes it to the other servers by NOTIFY (inside the transaction NOTIFY
//! would put all commits in a row), one listener hears theirs.
//!
//! News only wakes. Whoever wakes looks into the database, so that a lost or doubled message harms nobody.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::app::AppState;

const CHANNEL: &str = "hvflvspot_news";
/// Topics without subscribers are dropped when there are more than this.
const IDLE_TOPICS: usize = 1_024;
/// One NOTIFY carries so many events; its payload must stay below 8,000 bytes.
const PER_MESSAGE: usize = 200;
/// How long the relay or listener waits after the database failed it.
const PAUSE: Duration = Duration::from_secs(1);

/// Who waits for what, and what the other servers are still to hear.
#[derive(Debug, Default)]
pub struct News {
    topics: Mutex<HashMap<Uuid, watch::Sender<u64>>>,
    outgoing: Mutex<BTreeSet<Uuid>>,
    pending: Notify,
}

impl News {
    /// Something of the event was committed. Wakes the waiters here at once, elsewhere soon.
    pub fn publish(&self, event: impl Into<Uuid>) {
        let event = event.into();
        self.wake(event);
        locked(&self.outgoing).insert(event);
        self.pending.notify_one();
    }

    /// Changes whenever there may be news of the event. Subscribe first, then look, then wait.
    pub fn subscribe(&self, event: impl Into<Uuid>) -> watch::Receiver<u64> {
        let mut topics = locked(&self.topics);
        if topics.len() > IDLE_TOPICS {
            topics.retain(|_, sender| sender.receiver_count() > 0);
        }
        topics.entry(event.into()).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    /// How many wait for news of the event just now.
    pub fn waiting(&self, event: impl Into<Uuid>) -> usize {
        locked(&self.topics).get(&event.into()).map_or(0, watch::Sender::receiver_count)
    }

    fn wake(&self, event: Uuid) {
        if let Some(sender) = locked(&self.topics).get(&event) {
            sender.send_modify(|n| *n = n.wrapping_add(1));
        }
    }

    /// Messages may have been missed: everybody looks again.
    fn wake_all(&self) {
        for sender in locked(&self.topics).values() {
            sender.send_modify(|n| *n = n.wrapping_add(1));
        }
    }

    fn take_outgoing(&self) -> Vec<Uuid> {
        let mut outgoing = locked(&self.outgoing);
        let some: Vec<Uuid> = outgoing.iter().copied().take(PER_MESSAGE).collect();
        for event in &some {
            outgoing.remove(event);
        }
        some
    }

    fn give_back(&self, events: Vec<Uuid>) {
        locked(&self.outgoing).extend(events);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Passes our news on and hears the others', until the server stops.
pub async fn run(app: AppState) {
    let stopping = app.stopping.clone();
    tokio::join!(relay(&app, &stopping), listen(&app, &stopping));
}

async fn relay(app: &AppState, stopping: &CancellationToken) {
    loop {
        let events = app.news.take_outgoing();
        if events.is_empty() {
            tokio::select! {
                () = app.news.pending.notified() => continue,
                () = stopping.cancelled() => return,
            }
        }
        let payload = events.iter().map(Uuid::to_string).collect::<Vec<_>>().join(" ");
        if let Err(e) = app.db.notify(CHANNEL, &payload).await {
            tracing::warn!("cannot tell the other servers of news: {e}");
            app.news.give_back(events);
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = stopping.cancelled() => return,
            }
        }
    }
}

async fn listen(app: &AppState, stopping: &CancellationToken) {
    loop {
        let heard = tokio::select! {
            heard = hear(app) => heard,
            () = stopping.cancelled() => return,
        };
        if let Err(e) = heard {
            tracing::warn!("cannot hear the other servers' news: {e}");
        }
        app.news.wake_all();
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = stopping.cancelled() => return,
        }
    }
}

/// Hears until the connection breaks.
async fn hear(app: &AppState) -> Result<(), sqlx::Error> {
    let mut listener: PgListener = app.db.listener().await?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    app.news.wake_all();
    while let Some(message) = listener.try_recv().await? {
        for event in message.payload().split(' ').filter_map(|id| id.parse().ok()) {
            app.news.wake(event);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_wakes_the_waiters_of_its_event_alone() {
        let news = News::default();
        let (a, b) = (Uuid::from_bytes([1; 16]), Uuid::from_bytes([2; 16]));
        let (mine, other) = (news.subscribe(a), news.subscribe(b));
        news.publish(a);
        assert!(mine.has_changed().unwrap());
        assert!(!other.has_changed().unwrap());
        assert_eq!(news.take_outgoing(), [a]);
        assert!(news.take_outgoing().is_empty(), "told once");
    }
}
