//! The waiting room of a rush. Who comes gets a place and the moment at which it is let in: the next free one, a
//! minute holding as many as the event admits. Both stand in a token signed under the master key, so that asking
//! again costs the database nothing, and a restart forgets nobody. The database keeps one row per event; arrivals
//! that come together are counted in one statement.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::StepError;
use super::queue::Queue;
use crate::app::{App, AppState};
use crate::store::waiting_room;

/// How long a place is let in for.
pub const ADMITTED_FOR: Duration = Duration::minutes(10);
const BODY: usize = 16 + 8 + 8;

/// Arrivals that wait to be counted.
pub(crate) type Arrivals = Queue<(), Place, StepError>;

/// A place in an event's waiting room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub event_id: Uuid,
    /// 1 is the first who ever came.
    pub place: i64,
    /// Whole milliseconds.
    pub admitted_at: OffsetDateTime,
}

/// Why a place does not let one buy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    #[error("this is no place in this event's waiting room")]
    Unknown,
    #[error("it is not your turn yet")]
    NotYet(Duration),
    #[error("your turn is over; take a new place")]
    Over,
}

impl Place {
    /// Whether it lets one buy now.
    ///
    /// # Errors
    /// [`NotAdmitted`]
    pub fn check(&self, now: OffsetDateTime) -> Result<(), NotAdmitted> {
        if now < self.admitted_at {
            Err(NotAdmitted::NotYet(self.admitted_at - now))
        } else if now >= self.admitted_at + ADMITTED_FOR {
            Err(NotAdmitted::Over)
        } else {
            Ok(())
        }
    }

    /// How many are let in before it, from now on.
    #[must_use]
    pub fn ahead(&self, per_minute: u32, now: OffsetDateTime) -> i64 {
        let wait = (self.admitted_at - now).whole_milliseconds().max(0);
        let ahead = (wait * i128::from(per_minute) + 59_999) / 60_000;
        i64::try_from(ahead).unwrap_or(i64::MAX).min(self.place.saturating_sub(1))
    }

    /// Its token.
    #[must_use]
    pub fn token(&self, app: &App) -> String {
        let mut bytes = self.body().to_vec();
        bytes.extend_from_slice(hmac::sign(&key(app), &self.body()).as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn body(&self) -> [u8; BODY] {
        let mut body = [0; BODY];
        body[..16].copy_from_slice(self.event_id.as_bytes());
        body[16..24].copy_from_slice(&self.place.to_be_bytes());
        body[24..].copy_from_slice(&millis(self.admitted_at).to_be_bytes());
        body
    }

    /// Reads a token of this event.
    ///
    /// # Errors
    /// [`NotAdmitted::Unknown`] if it is not one of ours.
    pub fn of_token(app: &App, event_id: Uuid, token: &str) -> Result<Self, NotAdmitted> {
        let bytes =
            if token.len() <= 200 { URL_SAFE_NO_PAD.decode(token).unwrap_or_default() } else { Vec::new() };
        let (body, tag) = bytes.split_first_chunk::<BODY>().ok_or(NotAdmitted::Unknown)?;
        hmac::verify(&key(app), body, tag).map_err(|_| NotAdmitted::Unknown)?;
        let number = |at: usize| -> i64 {
            i64::from_be_bytes(*body[at..].first_chunk().expect("the body holds two numbers after the id"))
        };
        let admitted_at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(number(24)) * 1_000_000)
            .map_err(|_| NotAdmitted::Unknown)?;
        let place = Self { event_id, place: number(16), admitted_at };
        if place.body() == *body { Ok(place) } else { Err(NotAdmitted::Unknown) }
    }
}

fn millis(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).unwrap_or(i64::MAX)
}

fn key(app: &App) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, &*app.master_key.subkey("hvflvspot/waiting-room/v1\0"))
}

/// Takes the next place.
///
/// # Errors
/// [`StepError`]; no place was taken then.
pub async fn arrive(
    app: &AppState,
    organizer_id: Uuid,
    event_id: Uuid,
    per_minute: u32,
) -> Result<Place, StepError> {
    let state = app.clone();
    let work = move |all: Vec<()>| count(state.clone(), organizer_id, event_id, per_minute, all.len());
    app.selling.arrivals.submit(&app.selling.tasks, event_id, (), work).await.ok_or(StepError::Died)?
}

/// Counts `n` arrivals in one statement and spreads them over the moments to come.
async fn count(
    app: AppState,
    organizer_id: Uuid,
    event_id: Uuid,
    per_minute: u32,
    n: usize,
) -> Result<Vec<Place>, StepError> {
    let each = Duration::MINUTE / i32::try_from(per_minute.max(1)).unwrap_or(i32::MAX);
    let n = u32::try_from(n).unwrap_or(u32::MAX);
    let mut tx = app.db.tenant(organizer_id).await?;
    let (last, next) =
        waiting_room::arrive(&mut tx, organizer_id, event_id, n, each * n, app.clock.now()).await?;
    tx.commit().await?;
    let place = |i: u32| Place {
        event_id,
        place: last - i64::from(n - 1 - i),
        admitted_at: floored(next - each * (n - i)),
    };
    Ok((0..n).map(place).collect())
}

/// As a token says it.
fn floored(at: OffsetDateTime) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis(at)) * 1_000_000).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_place_lets_in_from_its_moment_for_ten_minutes() {
        let at = datetime!(2026-11-22 12:00 UTC);
        let place = Place { event_id: Uuid::nil(), place: 31, admitted_at: at };
        assert_eq!(place.check(at - Duration::SECOND), Err(NotAdmitted::NotYet(Duration::SECOND)));
        assert_eq!(place.check(at), Ok(()));
        assert_eq!(place.check(at + ADMITTED_FOR), Err(NotAdmitted::Over));
        assert_eq!(place.ahead(60, at - Duration::seconds(10)), 10);
        assert_eq!(place.ahead(60, at + Duration::MINUTE), 0);
        assert_eq!(place.ahead(6_000, at - Duration::MINUTE), 30, "never more than came before");
    }
}
