//! Removes sessions and refresh tokens that are over for good.

use crate::app::AppState;
use crate::store::sweep;

pub(super) async fn run(app: &AppState) -> anyhow::Result<()> {
    let mut tx = app.db.worker_platform().await?;
    let removed = sweep::remove_ended_sessions(&mut tx, app.clock.now()).await?;
    tx.commit().await?;
    if removed > 0 {
        tracing::debug!(removed, "removed expired sessions");
    }
    Ok(())
}
