//! Claiming idempotency keys and storing their answers, those of many requests in one transaction.

use std::sync::Arc;

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::StepError;
use super::queue::Queue;
use crate::app::AppState;
use crate::store::idempotency::{self, Answered, Claim, Claiming, Key};

/// After so long a request that went silent is taken over by who repeats it.
const LEASE: Duration = Duration::seconds(60);

/// Waiting claims and answers, by organizer.
#[derive(Debug, Default)]
pub struct Keys {
    claims: Queue<Claiming, Claim, StepError>,
    answers: Queue<Arc<Answered>, (), StepError>,
}

/// Claims a key; durable when it returns. `resource_id` is used if the key is new.
///
/// # Errors
/// [`StepError`]
pub async fn claim(app: &AppState, key: Key, resource_id: Uuid) -> Result<Claim, StepError> {
    let state = app.clone();
    let work = move |wanted: Vec<Claiming>| claim_batch(state.clone(), key.organizer_id, wanted);
    let keys = &app.selling.once;
    let item = Claiming { key, resource_id };
    keys.claims.submit(&app.selling.tasks, key.organizer_id, item, work).await.ok_or(StepError::Died)?
}

async fn claim_batch(
    app: AppState,
    organizer_id: Uuid,
    wanted: Vec<Claiming>,
) -> Result<Vec<Claim>, StepError> {
    let now: OffsetDateTime = app.clock.now();
    let mut tx = app.db.tenant(organizer_id).await?;
    let claims = idempotency::claim(&mut tx, organizer_id, &wanted, now, now + LEASE).await?;
    tx.commit().await?;
    Ok(claims)
}

/// Stores the answer of a key; durable when it returns.
///
/// # Errors
/// [`StepError`]
pub async fn answer(app: &AppState, answered: Answered) -> Result<(), StepError> {
    let (state, organizer_id) = (app.clone(), answered.key.organizer_id);
    let work = move |all: Vec<Arc<Answered>>| answer_batch(state.clone(), organizer_id, all);
    let keys = &app.selling.once;
    let item = Arc::new(answered);
    keys.answers.submit(&app.selling.tasks, organizer_id, item, work).await.ok_or(StepError::Died)?
}

async fn answer_batch(
    app: AppState,
    organizer_id: Uuid,
    all: Vec<Arc<Answered>>,
) -> Result<Vec<()>, StepError> {
    let answers: Vec<Answered> = all.iter().map(|a| Answered::clone(a)).collect();
    let mut tx = app.db.tenant(organizer_id).await?;
    idempotency::answer(&mut tx, organizer_id, &answers).await?;
    tx.commit().await?;
    Ok(vec![(); all.len()])
}
