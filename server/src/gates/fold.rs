//! The fold of a whole event, and what the statistics count of its log, kept while nothing new arrives.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError};

use shared::admission::fold::{EventFold, ListPolicies};
use shared::admission::history::{CutOffs, Record};
use shared::bytes::Hash32;
use shared::ids::{EventId, ListId, OrganizerId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::record::cut_offs;
use crate::app::AppState;
use crate::store::manifests::{self, Position};
use crate::store::scans;
use crate::store::stats::{self, Attempts, States};

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
    /// What was counted of the same log: known as soon as somebody asked.
    counted: Option<Counted>,
}

/// What statistics count of a log and its fold.
#[derive(Debug, Clone)]
pub struct Counted {
    /// As stored, not as they count.
    pub attempts: Arc<Vec<Attempts>>,
    /// What gates compare with theirs.
    pub hash: Hash32,
    /// Tickets that are sold and were admitted on the attendance list, by type.
    pub inside: Arc<HashMap<Uuid, u64>>,
    /// All tickets, by type.
    pub states: Arc<HashMap<Uuid, States>>,
    /// Of which tickets these are true.
    of: Option<Tickets>,
}

/// A state of an event's tickets: whatever changes one raises the counter of changes in the same transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tickets {
    epoch: Option<u32>,
    change_seq: u64,
    attendance: Option<ListId>,
}

/// The event's fold over everything up to the scan cursor that the transaction sees.
pub async fn of(
    app: &AppState,
    conn: &mut PgConnection,
    organizer: OrganizerId,
    event: EventId,
) -> Result<Arc<EventFold>, sqlx::Error> {
    Ok(kept(app, conn, organizer, event).await?.fold)
}

/// The same, and what is counted of it. `position` and `attendance` are the event's, of the same snapshot.
pub async fn counted(
    app: &AppState,
    conn: &mut PgConnection,
    organizer: OrganizerId,
    event: EventId,
    position: Option<&Position>,
    attendance: Option<ListId>,
) -> Result<(Arc<EventFold>, Counted), sqlx::Error> {
    let mut kept = kept(app, conn, organizer, event).await?;
    let tickets = position.map(|p| Tickets {
        epoch: p.lineage.as_ref().map(|l| l.epoch),
        change_seq: p.change_seq,
        attendance,
    });
    let known = kept.counted.take();
    let counted = match known {
        Some(known) if known.of == tickets && tickets.is_some() => known,
        known => {
            let (attempts, hash) = match known {
                Some(known) => (known.attempts, known.hash),
                None => {
                    let fold = Arc::clone(&kept.fold);
                    let hash = tokio::task::spawn_blocking(move || fold.hash());
                    let attempts = stats::attempts(conn, organizer.0, event.0).await?;
                    (Arc::new(attempts), hash.await.expect("hashing does not panic"))
                }
            };
            let admitted = admitted(&kept.fold, attendance);
            let inside = stats::sold_of(conn, organizer.0, event.0, &admitted).await?;
            let states = stats::states(conn, organizer.0, event.0).await?;
            Counted {
                attempts,
                hash,
                inside: Arc::new(inside.into_iter().collect()),
                states: Arc::new(states),
                of: tickets,
            }
        }
    };
    kept.counted = Some(counted.clone());
    let fold = Arc::clone(&kept.fold);
    put(app, kept);
    Ok((fold, counted))
}

/// Tickets with an admission on the list.
fn admitted(fold: &EventFold, list: Option<ListId>) -> Vec<Uuid> {
    let on_list =
        fold.histories().filter(|(of, _, history)| Some(*of) == list && history.entries_total() > 0);
    on_list.map(|(_, ticket, _)| ticket.0).collect()
}

async fn kept(
    app: &AppState,
    conn: &mut PgConnection,
    organizer: OrganizerId,
    event: EventId,
) -> Result<Kept, sqlx::Error> {
    let cursor = scans::cursor(conn, organizer.0, event.0).await?;
    let policies = ListPolicies::of(&manifests::lists(conn, organizer.0, event.0, false).await?);
    let cut_offs = cut_offs(&manifests::revoked_devices(conn, organizer.0).await?);
    let inputs = (policies, cut_offs);
    let kept = take(app, event.0);
    if let Some(kept) = kept.as_ref().filter(|k| k.cursor == cursor && k.inputs == inputs) {
        put(app, kept.clone());
        return Ok(kept.clone());
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
    let kept = Kept { event: event.0, cursor, records, inputs, fold, counted: None };
    put(app, kept.clone());
    Ok(kept)
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
