//! The fold of a whole event, kept while nothing new arrives: statistics and the hash that gates compare.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};

use shared::admission::fold::{EventFold, ListPolicies};
use shared::admission::history::{CutOffs, Record};
use shared::ids::{EventId, OrganizerId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::record::cut_offs;
use crate::app::AppState;
use crate::store::{manifests, scans};

/// Events whose fold is kept.
const KEPT: usize = 8;

/// Folds of events, the last used last.
#[derive(Debug, Default)]
pub(super) struct Folds(VecDeque<Kept>);

#[derive(Debug, Clone)]
struct Kept {
    event: Uuid,
    cursor: u64,
    records: Arc<Vec<Record>>,
    inputs: (ListPolicies, CutOffs),
    fold: Arc<EventFold>,
}

/// The event's fold over everything up to the scan cursor that the transaction sees.
pub async fn of(
    app: &AppState,
    conn: &mut PgConnection,
    organizer: OrganizerId,
    event: EventId,
) -> Result<Arc<EventFold>, sqlx::Error> {
    let cursor = scans::cursor(conn, organizer.0, event.0).await?;
    let policies = ListPolicies::of(&manifests::lists(conn, organizer.0, event.0, false).await?);
    let cut_offs = cut_offs(&manifests::revoked_devices(conn, organizer.0).await?);
    let inputs = (policies, cut_offs);
    let kept = take(app, event.0);
    if let Some(kept) = kept.as_ref().filter(|k| k.cursor == cursor && k.inputs == inputs) {
        let fold = Arc::clone(&kept.fold);
        put(app, kept.clone());
        return Ok(fold);
    }
    // A cursor above the database's: another lineage of the database. Begin anew.
    let known = kept.filter(|k| k.cursor <= cursor);
    let (after, mut records) = known.map_or((0, Arc::default()), |k| (k.cursor, k.records));
    if after < cursor {
        let new = scans::records_after(conn, organizer.0, event.0, after).await?;
        Arc::make_mut(&mut records).extend(new);
    }
    let (records, inputs, fold) = tokio::task::spawn_blocking(move || {
        let fold = EventFold::of(records.iter().copied(), inputs.0.clone(), &inputs.1);
        (records, inputs, Arc::new(fold))
    })
    .await
    .expect("folding does not panic");
    put(app, Kept { event: event.0, cursor, records, inputs, fold: Arc::clone(&fold) });
    Ok(fold)
}

fn take(app: &AppState, event: Uuid) -> Option<Kept> {
    let mut folds = app.gates.folds.lock().unwrap_or_else(PoisonError::into_inner);
    let at = folds.0.iter().position(|k| k.event == event)?;
    folds.0.remove(at)
}

fn put(app: &AppState, kept: Kept) {
    let mut folds = app.gates.folds.lock().unwrap_or_else(PoisonError::into_inner);
    folds.0.retain(|k| k.event != kept.event);
    folds.0.push_back(kept);
    while folds.0.len() > KEPT {
        folds.0.pop_front();
    }
}
