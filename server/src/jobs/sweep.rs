//! Removes sessions and refresh tokens that are over for good, and counts of attempts of long ago.

use crate::app::AppState;
use crate::store::sweep;

pub(super) async fn run(app: &AppState) -> anyhow::Result<()> {
    let mut tx = app.db.worker_platform().await?;
    let sessions = sweep::remove_ended_sessions(&mut tx, app.clock.now()).await?;
    let attempts = sweep::remove_old_attempts(&mut tx, app.clock.now()).await?;
    tx.commit().await?;
    if sessions + attempts > 0 {
        tracing::debug!(sessions, attempts, "removed what is over");
    }
    Ok(())
}
