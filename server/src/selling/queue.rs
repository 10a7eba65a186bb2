//! Many waiting requests, one transaction. Under a rush on one event each request would wait for the same
//! rows; here the first one leads, takes along who came meanwhile, and does the work of all in one go. When
//! nobody waits a request goes alone and at once.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// Items of one transaction at most.
pub const BATCH: usize = 64;

/// Lines of waiting items of type `T`, one line per key, answered with `R` or `E` each.
#[derive(Debug)]
pub struct Queue<T, R, E> {
    lines: Lines<T, R, E>,
}

#[derive(Debug)]
struct Waiting<T, R, E> {
    item: T,
    reply: oneshot::Sender<Result<R, E>>,
}

type Line<T, R, E> = VecDeque<Waiting<T, R, E>>;
type Lines<T, R, E> = Arc<Mutex<HashMap<Uuid, Line<T, R, E>>>>;

impl<T, R, E> Default for Queue<T, R, E> {
    fn default() -> Self {
        Self { lines: Arc::default() }
    }
}

impl<T, R, E> Queue<T, R, E>
where
    T: Clone + Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    /// Puts `item` into the line of `key`, at once; the future waits for its answer. `work` answers a batch in
    /// its order; if it fails for several items, each is tried alone, so that one bad item harms itself only.
    /// The work goes on if the caller goes away. `None` if the work panicked.
    pub fn submit<W, F>(
        &self,
        tasks: &TaskTracker,
        key: Uuid,
        item: T,
        work: W,
    ) -> impl Future<Output = Option<Result<R, E>>> + Send + use<T, R, E, W, F>
    where
        W: Fn(Vec<T>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Vec<R>, E>> + Send,
    {
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting { item, reply };
        let leads = {
            let mut lines = lock(&self.lines);
            // A line exists exactly while somebody leads it.
            match lines.get_mut(&key) {
                Some(line) => {
                    line.push_back(waiting);
                    false
                }
                None => {
                    lines.insert(key, VecDeque::from([waiting]));
                    true
                }
            }
        };
        if leads {
            let mut lead = Lead { lines: Arc::clone(&self.lines), key, closed: false };
            tasks.spawn(async move {
                while let Some(batch) = lead.next() {
                    serve(batch, &work).await;
                }
            });
        }
        async move { answer.await.ok() }
    }
}

/// Leads a line; if its task dies the line is dissolved, and who waits in it is told.
struct Lead<T, R, E> {
    lines: Lines<T, R, E>,
    key: Uuid,
    closed: bool,
}

impl<T, R, E> Lead<T, R, E> {
    /// The next batch; without one the line is closed.
    fn next(&mut self) -> Option<Vec<Waiting<T, R, E>>> {
        let mut lines = lock(&self.lines);
        let line = lines.get_mut(&self.key)?;
        if line.is_empty() {
            lines.remove(&self.key);
            self.closed = true;
            return None;
        }
        let n = line.len().min(BATCH);
        Some(line.drain(..n).collect())
    }
}

impl<T, R, E> Drop for Lead<T, R, E> {
    fn drop(&mut self) {
        // After the last batch the line is gone already, and another may lead a new one.
        if !self.closed {
            lock(&self.lines).remove(&self.key);
        }
    }
}

async fn serve<T, R, E, W, F>(batch: Vec<Waiting<T, R, E>>, work: &W)
where
    T: Clone,
    W: Fn(Vec<T>) -> F,
    F: Future<Output = Result<Vec<R>, E>>,
{
    let alone = batch.len() == 1;
    match work(batch.iter().map(|w| w.item.clone()).collect()).await {
        Ok(answers) => {
            for (waiting, answer) in batch.into_iter().zip(answers) {
                // Who went away needs no answer.
                let _ = waiting.reply.send(Ok(answer));
            }
        }
        Err(e) if alone => {
            if let Some(waiting) = batch.into_iter().next() {
                let _ = waiting.reply.send(Err(e));
            }
        }
        Err(_) => {
            for waiting in batch {
                let answer = work(vec![waiting.item]).await.map(|mut all| all.remove(0));
                let _ = waiting.reply.send(answer);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const KEY: Uuid = Uuid::nil();

    #[tokio::test]
    async fn everybody_is_answered_in_person_and_batches_form_under_a_rush() {
        let queue: Arc<Queue<u32, u32, ()>> = Arc::default();
        let tasks = TaskTracker::new();
        let batches = Arc::new(AtomicUsize::new(0));
        let all: Vec<_> = (0..100)
            .map(|n| {
                let (queue, tasks, batches) = (Arc::clone(&queue), tasks.clone(), Arc::clone(&batches));
                tokio::spawn(async move {
                    queue
                        .submit(&tasks, KEY, n, move |items: Vec<u32>| {
                            batches.fetch_add(1, Ordering::SeqCst);
                            async move {
                                tokio::task::yield_now().await;
                                assert!(items.len() <= BATCH);
                                Ok(items.into_iter().map(|n| n * 2).collect())
                            }
                        })
                        .await
                })
            })
            .collect();
        for (n, task) in (0..).zip(all) {
            assert_eq!(task.await.unwrap(), Some(Ok(n * 2)));
        }
        assert!(batches.load(Ordering::SeqCst) < 100, "nobody was taken along");
        assert!(lock(&queue.lines).is_empty(), "a line outlived its work");
    }

    #[tokio::test]
    async fn a_bad_item_fails_alone() {
        let queue: Arc<Queue<u32, u32, String>> = Arc::default();
        let tasks = TaskTracker::new();
        let work = |items: Vec<u32>| async move {
            tokio::task::yield_now().await;
            if items.contains(&3) { Err("three".to_owned()) } else { Ok(items) }
        };
        let all: Vec<_> = (0..8)
            .map(|n| {
                let (queue, tasks) = (Arc::clone(&queue), tasks.clone());
                tokio::spawn(async move { queue.submit(&tasks, KEY, n, work).await.unwrap() })
            })
            .collect();
        for (n, task) in (0..).zip(all) {
            assert_eq!(task.await.unwrap(), if n == 3 { Err("three".to_owned()) } else { Ok(n) });
        }
    }

    #[tokio::test]
    async fn after_a_panic_nobody_waits_for_ever_and_the_line_works_again() {
        let queue: Arc<Queue<u32, u32, ()>> = Arc::default();
        let tasks = TaskTracker::new();
        let work = |items: Vec<u32>| async move {
            assert!(!items.contains(&7), "a bug");
            Ok(items)
        };
        assert_eq!(queue.submit(&tasks, KEY, 7, work).await, None);
        assert_eq!(queue.submit(&tasks, KEY, 8, work).await, Some(Ok(8)));
    }
}
