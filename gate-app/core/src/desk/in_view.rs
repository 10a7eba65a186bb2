//! A code that was answered and still lies before the camera is no second scan.
//!
//! A camera gives a dozen pictures a second, a code is missed in some of them, and two phones may be held up at once.
//! So each answered code counts as in view until it was missing for [`GONE_AFTER_MS`]; every sighting begins that time
//! anew. Codes are told apart by their hash; the texts are not kept.

use shared::bytes::{Hash32, Nonce16};

/// Missing for so long, a code has left.
pub const GONE_AFTER_MS: u64 = 3_000;
/// Codes before one camera at most.
const MAX_IN_VIEW: usize = 8;

/// The answered codes before the camera.
#[derive(Debug, Default)]
pub struct InView(Vec<Seen>);

#[derive(Debug)]
struct Seen {
    code: Hash32,
    /// The attempt that was answered.
    nonce: Nonce16,
    last_ms: u64,
}

impl InView {
    /// True if this code was answered and has not left since; this is a sighting. The attempt that was answered may
    /// be asked for again by its nonce. Times are of a clock that never jumps.
    pub fn still(&mut self, code: Hash32, nonce: Nonce16, now_ms: u64) -> bool {
        self.0.retain(|s| now_ms.saturating_sub(s.last_ms) < GONE_AFTER_MS);
        match self.0.iter_mut().find(|s| s.code == code) {
            Some(seen) => {
                seen.last_ms = now_ms;
                seen.nonce != nonce
            }
            None => false,
        }
    }

    /// This code was answered.
    pub fn answered(&mut self, code: Hash32, nonce: Nonce16, now_ms: u64) {
        self.0.retain(|s| s.code != code);
        if self.0.len() == MAX_IN_VIEW {
            self.0.remove(0);
        }
        self.0.push(Seen { code, nonce, last_ms: now_ms });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Hash32 = Hash32([1; 32]);
    const B: Hash32 = Hash32([2; 32]);

    fn nonce(n: u8) -> Nonce16 {
        Nonce16([n; 16])
    }

    #[test]
    fn a_code_stays_in_view_while_it_is_seen_and_leaves_when_it_was_missing_long_enough() {
        let mut view = InView::default();
        assert!(!view.still(A, nonce(1), 0));
        view.answered(A, nonce(1), 0);
        let mut now = 0;
        for n in 2..100 {
            now += GONE_AFTER_MS - 1;
            assert!(view.still(A, nonce(n), now), "each sighting begins the time anew");
        }
        assert!(!view.still(A, nonce(100), now + GONE_AFTER_MS));
    }

    #[test]
    fn two_phones_at_once_are_two_scans_and_not_four() {
        let mut view = InView::default();
        view.answered(A, nonce(1), 0);
        assert!(!view.still(B, nonce(2), 80), "another code is another scan");
        view.answered(B, nonce(2), 80);
        assert!(view.still(A, nonce(3), 160));
        assert!(view.still(B, nonce(4), 240));
    }

    #[test]
    fn the_answered_attempt_may_be_asked_for_again() {
        let mut view = InView::default();
        view.answered(A, nonce(1), 0);
        assert!(!view.still(A, nonce(1), 80));
        assert!(view.still(A, nonce(2), 160));
    }
}
