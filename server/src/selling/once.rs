//! Claiming idempotency keys and storing their answers; `line` is where they wait (see `rush`).

use std::sync::{Arc, OnceLock};

use uuid::Uuid;

use super::StepError;
use super::rush::{self, Done, Step};
use crate::app::AppState;
use crate::store::idempotency::{Answered, Claim, Claiming, Key};

/// A key that is claimed together with the hold that it guards, in one transaction.
#[derive(Debug, Clone)]
pub struct Ahead {
    pub(super) claiming: Claiming,
    told: Arc<OnceLock<Claim>>,
}

impl Ahead {
    /// `resource_id` is used if the key is new.
    #[must_use]
    pub fn new(key: Key, resource_id: Uuid) -> Self {
        Self { claiming: Claiming { key, resource_id }, told: Arc::default() }
    }

    /// What the key said; none if nothing was held so far.
    #[must_use]
    pub fn told(&self) -> Option<Claim> {
        self.told.get().cloned()
    }

    pub(super) fn tell(&self, claim: Claim) {
        // It is claimed once.
        let _ = self.told.set(claim);
    }
}

/// Claims a key; durable when it returns. `resource_id` is used if the key is new.
///
/// # Errors
/// [`StepError`]
pub async fn claim(app: &AppState, line: Uuid, key: Key, resource_id: Uuid) -> Result<Claim, StepError> {
    match rush::submit(app, line, Step::Claim(Claiming { key, resource_id })).await? {
        Done::Claimed(claim) => Ok(claim),
        _ => Err(StepError::Died),
    }
}

/// Stores the answer of a key, in the background: what was done is durable already. A repeat waits in the same line
/// behind it and finds it; on another server, or after a crash, it is told to come back, and then what was done is
/// found in the database.
pub fn answer(app: &AppState, line: Uuid, answered: Answered) {
    let done = rush::submit(app, line, Step::Answer(Arc::new(answered)));
    app.selling.tasks.spawn(async move {
        if let Err(e) = done.await {
            tracing::warn!("an answer could not be kept under its key: {e}");
        }
    });
}
