//! Chains the audit, organizer by organizer.

use crate::app::AppState;
use crate::audit;
use crate::store::directory;

pub async fn run(app: &AppState) -> anyhow::Result<()> {
    let mut tx = app.db.worker_platform().await?;
    let organizers = directory::organizers(&mut tx).await?;
    tx.commit().await?;
    let mut failed = None;
    for organizer_id in organizers {
        if app.stopping.is_cancelled() {
            break;
        }
        // One organizer's trouble is not the others'.
        if let Err(e) = audit::extend(app, organizer_id).await {
            tracing::warn!(%organizer_id, "the audit is not chained: {e:#}");
            failed = Some(e);
        }
    }
    failed.map_or(Ok(()), |e| Err(e.into()))
}
