//! Removes sessions and refresh tokens that are over for good, counts of attempts of long ago, old mails.

use crate::app::AppState;
use crate::store::{one_time, outbox, sweep};

pub(super) async fn run(app: &AppState) -> anyhow::Result<()> {
    let mut tx = app.db.worker_platform().await?;
    let sessions = sweep::remove_ended_sessions(&mut tx, app.clock.now()).await?;
    let attempts = sweep::remove_old_attempts(&mut tx, app.clock.now()).await?
        + sweep::remove_old_days(&mut tx, app.clock.now()).await?;
    let tokens = one_time::remove_expired(&mut tx, app.clock.now()).await?;
    let mails = outbox::remove_old(&mut tx, app.clock.now()).await?;
    tx.commit().await?;
    if sessions + attempts + tokens + mails > 0 {
        tracing::debug!(sessions, attempts, tokens, mails, "removed what is over");
    }
    Ok(())
}
