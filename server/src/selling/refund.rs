//! Money back: tickets are blocked and the row is written, then the provider is asked, then its answer
//! revokes the tickets or gives them back.

use uuid::Uuid;

use super::issue::{Paid, entry, payment_entry};
use super::pay::{FIRST_RECONCILE, Payment, amounts};
use super::{Actor, StepError};
use crate::adapters::payment::{Outcome, Refund, provider_key};
use crate::app::AppState;
use crate::domain::ledger;
use crate::store::audit::{self, Act};
use crate::store::refund::{self as rows, Begun, NewRefund};
use crate::store::ticket::manifest_rows;
use crate::store::transaction::Transaction;
use crate::store::{booking, change, transaction};

/// How long a provider is listened to.
const PROVIDER_PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// How a refund ended, or that it has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refunded {
    /// The money is back, the tickets are revoked.
    Done,
    /// The provider refused; the tickets are valid again.
    Declined(String),
    /// Not known yet; the tickets stay blocked, and the reconcile job asks again.
    Pending,
}

/// Begins and drives the refund of a whole booking. `None` if it is not paid, or refunded already, or on
/// its way.
///
/// # Errors
/// [`StepError`]; if the refund was begun the reconcile job goes on.
pub async fn whole_booking(
    app: &AppState,
    organizer_id: Uuid,
    booking_id: Uuid,
    refund_id: Uuid,
    reason: Option<String>,
    actor: Actor,
) -> Result<Option<Refunded>, StepError> {
    let now = app.clock.now();
    let new = NewRefund { refund_id, reason, next_attempt_at: now + FIRST_RECONCILE };
    let mut tx = app.db.tenant(organizer_id).await?;
    let Some(begun) = rows::begin(&mut tx, organizer_id, booking_id, &new, now).await? else {
        return Ok(None);
    };
    let blocked = rows::block_tickets(&mut tx, organizer_id, booking_id).await?;
    let act = act(app, "booking.refund_begun", booking_id, &actor);
    audit::record(&mut tx, organizer_id, &act, now).await?;
    change::record(&mut tx, organizer_id, begun.event_id, &manifest_rows(&blocked), None).await?;
    tx.commit().await?;
    app.news.publish(begun.event_id);
    drive(app, organizer_id, refund_id, begun, 1, actor).await.map(Some)
}

/// Asks the provider of a begun refund and acts on the answer.
async fn drive(
    app: &AppState,
    organizer_id: Uuid,
    refund_id: Uuid,
    begun: Begun,
    attempt: u32,
    actor: Actor,
) -> Result<Refunded, StepError> {
    let provider = app
        .selling
        .providers
        .get(&begun.provider)
        .ok_or_else(|| StepError::NoProvider(begun.provider.clone()))?;
    let ask = Refund {
        key: provider_key(refund_id),
        amount_minor: begun.amount_minor,
        currency: begun.currency,
        provider_ref: begun.provider_ref,
        token: begun.provider_token,
        attempt,
    };
    let outcome =
        tokio::time::timeout(PROVIDER_PATIENCE, provider.refund(&ask)).await.unwrap_or(Outcome::Unknown);
    match outcome {
        Outcome::Succeeded { provider_ref } => {
            complete(app, organizer_id, refund_id, &begun.provider, &provider_ref, &actor).await?;
            Ok(Refunded::Done)
        }
        Outcome::Declined { code } | Outcome::Failed { code } => {
            fail(app, organizer_id, refund_id, &code, &actor).await?;
            Ok(Refunded::Declined(code))
        }
        Outcome::Unknown => Ok(Refunded::Pending),
    }
}

/// Goes on with a refund that was left pending.
///
/// # Errors
/// [`StepError`]; it is pending then.
pub async fn resume(app: &AppState, row: &Transaction, actor: Actor) -> Result<Refunded, StepError> {
    let mut tx = app.db.tenant(row.organizer_id).await?;
    let payment = match row.refund_of {
        Some(id) => transaction::find(&mut tx, row.organizer_id, id).await?,
        None => None,
    };
    tx.commit().await?;
    let begun = Begun {
        event_id: row.event_id,
        payment_id: row.refund_of.unwrap_or(row.transaction_id),
        amount_minor: row.amount_minor,
        currency: row.currency.clone(),
        provider: row.provider.clone(),
        provider_token: row.provider_token.clone(),
        provider_ref: payment.and_then(|p| p.provider_ref),
    };
    drive(app, row.organizer_id, row.transaction_id, begun, row.attempts.unsigned_abs(), actor).await
}

async fn complete(
    app: &AppState,
    organizer_id: Uuid,
    refund_id: Uuid,
    provider: &str,
    provider_ref: &str,
    actor: &Actor,
) -> Result<(), StepError> {
    let now = app.clock.now();
    let mut tx = app.db.tenant(organizer_id).await?;
    let Some(row) = transaction::find(&mut tx, organizer_id, refund_id).await? else { return Ok(()) };
    let Some(booking) = booking::find(&mut tx, organizer_id, row.booking_id).await? else { return Ok(()) };
    let lines = entry(refund_id, row.booking_id, ledger::refund(provider, amounts(&booking)));
    let Some(done) = rows::complete(&mut tx, organizer_id, refund_id, provider_ref, &lines, now).await?
    else {
        // Somebody else was here first.
        return Ok(());
    };
    let revoked = rows::revoke_tickets(&mut tx, organizer_id, done.booking_id).await?;
    audit::record(&mut tx, organizer_id, &act(app, "booking.refunded", done.booking_id, actor), now).await?;
    if !revoked.is_empty() {
        change::record(&mut tx, organizer_id, done.event_id, &manifest_rows(&revoked), None).await?;
    }
    tx.commit().await?;
    app.news.publish(done.event_id);
    Ok(())
}

async fn fail(
    app: &AppState,
    organizer_id: Uuid,
    refund_id: Uuid,
    code: &str,
    actor: &Actor,
) -> Result<(), StepError> {
    let now = app.clock.now();
    let mut tx = app.db.tenant(organizer_id).await?;
    let Some(done) = rows::fail(&mut tx, organizer_id, refund_id, code, now).await? else { return Ok(()) };
    let valid_again = rows::unblock_tickets(&mut tx, organizer_id, done.booking_id).await?;
    audit::record(&mut tx, organizer_id, &act(app, "booking.refund_failed", done.booking_id, actor), now)
        .await?;
    if !valid_again.is_empty() {
        change::record(&mut tx, organizer_id, done.event_id, &manifest_rows(&valid_again), None).await?;
    }
    tx.commit().await?;
    app.news.publish(done.event_id);
    Ok(())
}

/// A payment came for a booking that cannot be had any more: it is booked as it came, and goes back. False
/// if somebody else has settled it.
pub(super) async fn of_late_payment(
    app: &AppState,
    payment: &Payment,
    paid: &Paid,
) -> Result<bool, StepError> {
    let now = app.clock.now();
    let new = NewRefund {
        refund_id: app.rng.uuid(&*app.clock),
        reason: Some("the payment arrived after the hold had expired".to_owned()),
        // At once: the reconcile job gives it back, however we end.
        next_attempt_at: now,
    };
    let lines = payment_entry(payment.booking_id, paid);
    let mut tx = app.db.tenant(payment.organizer_id).await?;
    let ours = rows::begin_of_late_payment(
        &mut tx,
        payment.organizer_id,
        payment.transaction_id,
        &paid.provider_ref,
        &lines,
        &new,
        now,
    )
    .await?;
    if !ours {
        return Ok(false);
    }
    let job = Actor::job();
    let act = act(app, "booking.paid_too_late", payment.booking_id, &job);
    audit::record(&mut tx, payment.organizer_id, &act, now).await?;
    tx.commit().await?;
    Ok(true)
}

fn act<'a>(app: &AppState, action: &'static str, booking_id: Uuid, actor: &'a Actor) -> Act<'a> {
    Act {
        audit_id: app.rng.uuid(&*app.clock),
        actor_kind: actor.kind,
        actor_id: actor.id,
        action,
        object_kind: "booking",
        object_id: booking_id,
        request_id: actor.request_id.as_deref(),
        detail: serde_json::json!({}),
    }
}
