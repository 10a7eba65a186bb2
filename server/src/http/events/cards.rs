//! Pictures of events by their tags: drawn once, a few at a time, beside the requests, and kept as long as they are asked
//! for more than others.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use tokio::sync::Semaphore;

use crate::http::error::ApiError;

/// Pictures that are kept, of some 30 kB each.
const KEPT: usize = 128;
/// Drawn at a time: the rest of the processor is for sales.
const AT_ONCE: usize = 2;
/// Requests that wait for a picture; more are told to come back.
const IN_LINE: usize = 64;

/// The pictures, and the line of those who wait for one.
#[derive(Debug)]
pub struct Cards {
    kept: Mutex<Kept>,
    drawing: Arc<Semaphore>,
    line: Semaphore,
}

impl Default for Cards {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            drawing: Arc::new(Semaphore::new(AT_ONCE)),
            line: Semaphore::new(IN_LINE),
        }
    }
}

impl Cards {
    /// The picture of that tag, which `draw` makes if it is not kept. Whoever has it waits for nobody's drawing.
    ///
    /// # Errors
    /// 503 if too many wait; 500 if it cannot be drawn.
    pub(super) async fn picture<E: std::error::Error + Send + Sync + 'static>(
        &self,
        tag: &str,
        draw: impl FnOnce() -> Result<Vec<u8>, E> + Send + 'static,
    ) -> Result<Bytes, ApiError> {
        if let Some(picture) = self.kept().get(tag) {
            return Ok(picture);
        }
        let _place = self.line.try_acquire().map_err(|_| ApiError::overloaded())?;
        let turn = Arc::clone(&self.drawing).acquire_owned().await.map_err(ApiError::internal)?;
        // It may have been drawn while this request waited.
        if let Some(picture) = self.kept().get(tag) {
            return Ok(picture);
        }
        let drawn = tokio::task::spawn_blocking(move || {
            let drawn = draw();
            // Not before: who hangs up must not make room for one more.
            drop(turn);
            drawn
        });
        let picture = Bytes::from(drawn.await.map_err(ApiError::internal)?.map_err(ApiError::internal)?);
        self.kept().put(tag, picture.clone());
        Ok(picture)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // No step leaves it half changed.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one asked for last at the end.
#[derive(Debug, Default)]
struct Kept(VecDeque<(String, Bytes)>);

impl Kept {
    fn get(&mut self, tag: &str) -> Option<Bytes> {
        let at = self.0.iter().position(|(of, _)| of == tag)?;
        let found = self.0.remove(at)?;
        let picture = found.1.clone();
        self.0.push_back(found);
        Some(picture)
    }

    fn put(&mut self, tag: &str, picture: Bytes) {
        if self.get(tag).is_some() {
            return;
        }
        if self.0.len() >= KEPT {
            self.0.pop_front();
        }
        self.0.push_back((tag.to_owned(), picture));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::sync::mpsc;
    use tokio::sync::oneshot;

    async fn have(cards: &Cards, tag: &str) -> Bytes {
        let bytes = tag.as_bytes().to_vec();
        cards.picture(tag, move || Ok::<_, Infallible>(bytes)).await.unwrap()
    }

    /// A drawing that goes on until it is told to end.
    fn slow(cards: &Arc<Cards>, tag: &'static str) -> (oneshot::Receiver<()>, mpsc::Sender<()>) {
        let ((begin, begun), (end, ended)) = (oneshot::channel(), mpsc::channel());
        let cards = Arc::clone(cards);
        tokio::spawn(async move {
            let draw = move || {
                let _ = begin.send(());
                let _ = ended.recv();
                Ok::<_, Infallible>(Vec::new())
            };
            cards.picture(tag, draw).await.map(drop)
        });
        (begun, end)
    }

    #[tokio::test]
    async fn what_is_kept_waits_for_no_drawing() {
        let cards = Arc::new(Cards::default());
        have(&cards, "a").await;
        let (begun, end) = slow(&cards, "b");
        begun.await.unwrap();
        let again =
            cards.picture("a", || -> Result<_, Infallible> { unreachable!("it is kept") }).await.unwrap();
        assert_eq!(&again[..], b"a");
        assert_eq!(&have(&cards, "c").await[..], b"c", "and two are drawn at once");
        end.send(()).unwrap();
    }

    #[tokio::test]
    async fn a_new_picture_takes_the_place_of_the_one_least_asked_for_and_of_no_other() {
        let cards = Cards::default();
        for n in 0..KEPT {
            have(&cards, &n.to_string()).await;
        }
        have(&cards, "0").await;
        have(&cards, "one more").await;
        let kept = |tag: &str| cards.kept().0.iter().any(|(of, _)| of == tag);
        assert_eq!(cards.kept().0.len(), KEPT);
        assert!(kept("0") && !kept("1") && kept("2") && kept("one more"));
    }

    #[tokio::test]
    async fn who_would_wait_too_long_is_told_to_come_back() {
        let cards = Arc::new(Cards::default());
        let places = cards.line.try_acquire_many(u32::try_from(IN_LINE).unwrap()).unwrap();
        let refused = cards.picture("a", || Ok::<_, Infallible>(Vec::new())).await;
        assert!(refused.is_err());
        drop(places);
        have(&cards, "a").await;
    }
}
