//! Brings canceled events to their end: releases what is held, revokes the tickets, tells their holders, gives the
//! money back. Each piece is a transaction of its own that finds only what is still to do, so that the job may stop
//! and begin anew anywhere.

use serde_json::json;
use time::Duration;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::for_each_organizer;
use crate::app::AppState;
use crate::domain::booking::BookingStatus;
use crate::selling::refund;
use crate::selling::{Actor, StepError};
use crate::store::cancellation::{self as rows, Holder, Item};
use crate::store::outbox::{self, About, NewMail};
use crate::store::ticket::manifest_rows;
use crate::store::{change, event};

const HOLDS: i64 = 200;
/// One manifest change.
const TICKETS: i64 = 500;
const BOOKINGS: i64 = 200;
/// Refunds asked of the provider at once.
const REFUNDS: i64 = 8;
/// Until the next try; a refund in flight is brought to its end by the reconcile job.
const PAUSE: Duration = Duration::seconds(30);

pub async fn run(app: &AppState) -> anyhow::Result<()> {
    for_each_organizer(app, "a canceled event is not brought to its end", of_organizer).await
}

async fn of_organizer(app: &AppState, organizer_id: Uuid) -> anyhow::Result<()> {
    let mut tx = app.db.worker_tenant(organizer_id).await?;
    let open = rows::open(&mut tx, organizer_id).await?;
    tx.commit().await?;
    for (event_id, reason) in open {
        while !app.stopping.is_cancelled() {
            let holds = release_holds(app, organizer_id, event_id).await?;
            let tickets = cancel_tickets(app, organizer_id, event_id).await?;
            let noted = tell_holders(app, organizer_id, event_id, &reason).await?;
            let refunds = give_back(app, organizer_id, event_id).await?;
            if !(holds || tickets || noted || refunds) {
                break;
            }
        }
        let mut tx = app.db.worker_tenant(organizer_id).await?;
        let finished = rows::finish(&mut tx, organizer_id, event_id, app.clock.now()).await?;
        tx.commit().await?;
        if finished {
            tracing::info!(%organizer_id, %event_id, "the event's cancellation is complete");
        }
    }
    Ok(())
}

/// True if there may be more.
async fn release_holds(app: &AppState, organizer_id: Uuid, event_id: Uuid) -> anyhow::Result<bool> {
    let mut tx = app.db.worker_tenant(organizer_id).await?;
    let gone = rows::release_holds(&mut tx, organizer_id, event_id, HOLDS, app.clock.now()).await?;
    tx.commit().await?;
    Ok(gone == HOLDS)
}

async fn cancel_tickets(app: &AppState, organizer_id: Uuid, event_id: Uuid) -> anyhow::Result<bool> {
    let mut tx = app.db.worker_tenant(organizer_id).await?;
    let canceled = rows::cancel_tickets(&mut tx, organizer_id, event_id, TICKETS).await?;
    if canceled.is_empty() {
        return Ok(false);
    }
    change::record(&mut tx, organizer_id, event_id, &manifest_rows(&canceled), None).await?;
    tx.commit().await?;
    app.news.publish(event_id);
    Ok(true)
}

/// Notes bookings and writes their holders, in one transaction: everybody is told once.
async fn tell_holders(
    app: &AppState,
    organizer_id: Uuid,
    event_id: Uuid,
    reason: &str,
) -> anyhow::Result<bool> {
    let now = app.clock.now();
    let mut tx = app.db.worker_tenant(organizer_id).await?;
    let Some(event) = event::find(&mut tx, organizer_id, event_id).await? else { return Ok(false) };
    let holders = rows::note_bookings(&mut tx, organizer_id, event_id, BOOKINGS, now).await?;
    for Holder { booking_id, email, user_id, language, total_minor, currency } in &holders {
        let Some(email) = email else { continue };
        let id = app.rng.uuid(&*app.clock);
        let refund = (*total_minor > 0).then(|| json!({ "amount_minor": total_minor, "currency": currency }));
        let facts = json!({ "event": event.title, "reason": reason, "refund": refund });
        let mail = NewMail {
            id,
            kind: "offer.event_canceled",
            recipient: email,
            organizer_id: Some(organizer_id),
            language,
            facts: &facts,
            sealed_facts: None,
            expires_at: None,
        };
        let about = About { user_id: *user_id, event_id: Some(event_id), booking_id: Some(*booking_id) };
        outbox::enqueue_about(&mut tx, &mail, about, now).await?;
    }
    tx.commit().await?;
    Ok(!holders.is_empty())
}

/// Asks for a few refunds side by side. True if there may be more to do at once.
async fn give_back(app: &AppState, organizer_id: Uuid, event_id: Uuid) -> anyhow::Result<bool> {
    let now = app.clock.now();
    let mut tx = app.db.worker_tenant(organizer_id).await?;
    let due = rows::take_due(&mut tx, organizer_id, event_id, REFUNDS, now, now + PAUSE).await?;
    tx.commit().await?;
    let more = !due.is_empty();
    let mut all = JoinSet::new();
    for item in due {
        let app = app.clone();
        all.spawn(async move {
            let booking = item.booking_id;
            (booking, refund_one(&app, organizer_id, item).await)
        });
    }
    while let Some(done) = all.join_next().await {
        let (booking, outcome) = done?;
        if let Err(e) = outcome {
            tracing::warn!(%booking, "its refund is tried again: {e:#}");
        }
    }
    Ok(more)
}

async fn refund_one(app: &AppState, organizer_id: Uuid, item: Item) -> Result<(), StepError> {
    let now = app.clock.now();
    let booking_id = item.booking_id;
    let ended = match item.status {
        BookingStatus::Paid if item.total_minor == 0 => {
            let mut tx = app.db.tenant(organizer_id).await?;
            rows::close_free(&mut tx, organizer_id, booking_id, now).await?;
            tx.commit().await?;
            Some("free")
        }
        BookingStatus::Canceled => Some("free"),
        BookingStatus::Refunded => Some("refunded"),
        _ => {
            let refund_id = app.rng.uuid(&*app.clock);
            let why = Some("the event was canceled".to_owned());
            // Refused: it is counted there, and asked for later again. Done, in flight, or another's: the next look
            // sees whether all is back, for another refund of a part may still be on its way, and be refused.
            refund::whole_booking(app, organizer_id, booking_id, refund_id, why, Actor::job()).await?;
            None
        }
    };
    if let Some(status) = ended {
        let mut tx = app.db.tenant(organizer_id).await?;
        rows::end(&mut tx, organizer_id, booking_id, status).await?;
        tx.commit().await?;
    }
    Ok(())
}
