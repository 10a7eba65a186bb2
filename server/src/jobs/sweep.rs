//! Removes what is over for good: sessions and refresh tokens, counts of attempts of long ago, old mails, and of each
//! organizer the events that payment providers told and what sales locked persons by.

use time::Duration;
use uuid::Uuid;

use super::for_each_organizer;
use crate::app::AppState;
use crate::store::{one_time, outbox, payment_event, sweep, taste, webhook};

/// Providers tell an event again for some days, and by hand for a month; a later repeat only asks how things stand.
const EVENTS: Duration = Duration::days(90);

/// As long as a delivery that was given up is kept.
const ATTEMPTS: Duration = Duration::days(90);

/// What an account looked at is of no more use to it.
const LOOKS: Duration = Duration::days(180);

/// One step.
///
/// # Errors
/// Of the database; what was removed is removed.
pub async fn run(app: &AppState) -> anyhow::Result<()> {
    let mut tx = app.db.worker_platform().await?;
    let sessions = sweep::remove_ended_sessions(&mut tx, app.clock.now()).await?;
    let attempts = sweep::remove_old_attempts(&mut tx, app.clock.now()).await?
        + sweep::remove_old_days(&mut tx, app.clock.now()).await?;
    let tokens = one_time::remove_expired(&mut tx, app.clock.now()).await?;
    let mails = outbox::remove_old(&mut tx, app.clock.now()).await?;
    let looks = taste::forget_old(&mut tx, app.clock.now() - LOOKS).await?;
    tx.commit().await?;
    if sessions + attempts + tokens + mails + looks > 0 {
        tracing::debug!(sessions, attempts, tokens, mails, looks, "removed what is over");
    }
    for_each_organizer(app, "what is over is not removed", of_organizer).await
}

async fn of_organizer(app: &AppState, organizer_id: Uuid) -> anyhow::Result<()> {
    let now = app.clock.now();
    let mut tx = app.db.worker_tenant(organizer_id).await?;
    payment_event::forget(&mut tx, organizer_id, now - EVENTS).await?;
    sweep::remove_old_locks(&mut tx, organizer_id, now).await?;
    webhook::forget(&mut tx, organizer_id, now - ATTEMPTS).await?;
    tx.commit().await?;
    Ok(())
}
