//! Removes what is over for good: sessions and refresh tokens, counts of attempts of long ago, old mails, and of each
//! organizer the events that payment providers told and what sales locked persons by; and the role of whoever works for none
//! any more, where a server died before it could.

use std::collections::BTreeSet;

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::for_each_organizer;
use crate::app::AppState;
use crate::store::{audit, one_time, outbox, payment_event, sweep, taste, users, webhook};

/// Providers tell an event again for some days, and by hand for a month; a later repeat only asks how things stand.
const EVENTS: Duration = Duration::days(90);

/// As long as a delivery that was given up is kept.
const ATTEMPTS: Duration = Duration::days(90);

/// The role of an account is its own row, which no organizer's transaction sees: who was put out in the moment that a
/// server died is still called an organizer. So far back that is looked for.
const DEPARTURES: Duration = Duration::days(30);

/// What an account looked at is of no more use to it.
const LOOKS: Duration = Duration::days(180);

/// One step.
///
/// # Errors
/// Of the database; what was removed is removed.
pub async fn run(app: &AppState) -> anyhow::Result<()> {
    let mut tx = app.db.worker_platform().await?;
    let sessions = sweep::remove_ended_sessions(&mut tx, app.clock.now()).await?;
    let attempts = sweep::remove_old_attempts(&mut tx, app.clock.now()).await?
        + sweep::remove_old_days(&mut tx, app.clock.now()).await?;
    let tokens = one_time::remove_expired(&mut tx, app.clock.now()).await?;
    let mails = outbox::remove_old(&mut tx, app.clock.now()).await?;
    let looks = taste::forget_old(&mut tx, app.clock.now() - LOOKS).await?;
    tx.commit().await?;
    if sessions + attempts + tokens + mails + looks > 0 {
        tracing::debug!(sessions, attempts, tokens, mails, looks, "removed what is over");
    }
    for_each_organizer(app, "what is over is not removed", of_organizer).await
}

async fn of_organizer(app: &AppState, organizer_id: Uuid) -> anyhow::Result<()> {
    let now = app.clock.now();
    let mut tx = app.db.worker_tenant(organizer_id).await?;
    payment_event::forget(&mut tx, organizer_id, now - EVENTS).await?;
    sweep::remove_old_locks(&mut tx, organizer_id, now).await?;
    webhook::forget(&mut tx, organizer_id, now - ATTEMPTS).await?;
    let departed = audit::departed(&mut tx, organizer_id, first_id_of(now - DEPARTURES)).await?;
    tx.commit().await?;
    let departed: BTreeSet<Uuid> = departed.into_iter().collect();
    for user_id in departed {
        // In the account's own context, as when the membership ended: there alone all memberships are seen.
        let mut tx = app.db.user(user_id).await?;
        users::end_organizer(&mut tx, user_id, now).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// The least UUIDv7 of a moment.
fn first_id_of(at: OffsetDateTime) -> Uuid {
    let ms = u64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
    Uuid::from_u128(u128::from(ms) << 80)
}
