//! Removes sessions and refresh tokens that are over for good, counts of attempts of long ago, old mails,
//! and what sales locked persons by.

use crate::app::AppState;
use crate::store::{directory, one_time, outbox, sweep};

pub async fn run(app: &AppState) -> anyhow::Result<()> {
    let mut tx = app.db.worker_platform().await?;
    let sessions = sweep::remove_ended_sessions(&mut tx, app.clock.now()).await?;
    let attempts = sweep::remove_old_attempts(&mut tx, app.clock.now()).await?
        + sweep::remove_old_days(&mut tx, app.clock.now()).await?;
    let tokens = one_time::remove_expired(&mut tx, app.clock.now()).await?;
    let mails = outbox::remove_old(&mut tx, app.clock.now()).await?;
    let organizers = directory::organizers(&mut tx).await?;
    tx.commit().await?;
    let mut locks = 0;
    for organizer_id in organizers {
        let mut tx = app.db.worker_tenant(organizer_id).await?;
        locks += sweep::remove_old_locks(&mut tx, organizer_id, app.clock.now()).await?;
        tx.commit().await?;
    }
    if sessions + attempts + tokens + mails + locks > 0 {
        tracing::debug!(sessions, attempts, tokens, mails, locks, "removed what is over");
    }
    Ok(())
}
