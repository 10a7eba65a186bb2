//! Offers what became free to those who wait for it, line by line, in the order of their coming.

use uuid::Uuid;

use super::for_each_organizer;
use crate::app::AppState;
use crate::selling::waiting::{issue_free, offer_next};
use crate::store::waiting;

/// Offers of one line in one run.
const AT_ONCE: usize = 500;

pub async fn run(app: &AppState) -> anyhow::Result<()> {
    for_each_organizer(app, "offers to who waits are not made", of_organizer).await
}

async fn of_organizer(app: &AppState, organizer_id: Uuid) -> anyhow::Result<()> {
    let mut tx = app.db.worker_tenant(organizer_id).await?;
    waiting::settle(&mut tx, organizer_id, app.clock.now()).await?;
    let lines = waiting::lines(&mut tx, organizer_id).await?;
    let free = waiting::free_offers(&mut tx, organizer_id).await?;
    tx.commit().await?;
    for booking_id in free {
        issue_free(app, organizer_id, booking_id).await?;
    }
    for (event_id, quota_id) in lines {
        for _ in 0..AT_ONCE {
            if !offer_next(app, organizer_id, event_id, quota_id).await? {
                break;
            }
        }
    }
    Ok(())
}
