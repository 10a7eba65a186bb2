//! Keeps true what search says of sales (something to be had, how popular), rewrites rows of an older form, and removes
//! events that are over. A change of the catalogue writes its row by itself.

use time::Duration;
use uuid::Uuid;

use super::for_each_organizer;
use crate::app::AppState;
use crate::domain::search::popularity;
use crate::store::search_row;

/// An event is found until it is over; its row stays a day longer.
const KEPT: Duration = Duration::DAY;

pub async fn run(app: &AppState) -> anyhow::Result<()> {
    for_each_organizer(app, "search is not kept up to date", of_organizer).await
}

async fn of_organizer(app: &AppState, organizer_id: Uuid) -> anyhow::Result<()> {
    let now = app.clock.now();
    let mut tx = app.db.worker_tenant(organizer_id).await?;
    search_row::remove_over(&mut tx, organizer_id, now - KEPT).await?;
    let stale = search_row::of_other_form(&mut tx, organizer_id).await?;
    let figures = search_row::figures(&mut tx, organizer_id, now).await?;
    tx.commit().await?;
    // Each in a transaction of its own: whoever changes an event waits for no more than one row.
    for event_id in stale {
        let mut tx = app.db.worker_tenant(organizer_id).await?;
        search_row::refresh(&mut tx, organizer_id, event_id, now).await?;
        tx.commit().await?;
    }
    for of in figures {
        let popularity = popularity(of.sold, 0);
        if (of.available, of.popularity) == (of.available_now, popularity) {
            continue;
        }
        let mut tx = app.db.worker_tenant(organizer_id).await?;
        search_row::set_figures(&mut tx, organizer_id, of.event_id, of.available_now, popularity).await?;
        tx.commit().await?;
    }
    Ok(())
}
