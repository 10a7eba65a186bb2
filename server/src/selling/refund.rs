//! Money back: tickets are blocked and the row is written, then the provider is asked, then its answer
//! revokes the tickets or gives them back.

use serde_json::{Value, json};
use shared::money::Money;
use time::OffsetDateTime;
use uuid::Uuid;

use super::issue::{Paid, entry, payment_entry};
use super::pay::{self, FIRST_RECONCILE, Payment};
use super::{Actor, StepError, gateway};
use crate::adapters::payment::{Ours, Outcome, Refund, provider_key};
use crate::app::AppState;
use crate::domain::ledger;
use crate::domain::refund::{NotRefundable, What};
use crate::fault;
use crate::gates::record;
use crate::store::audit::{self, Act};
use crate::store::change::RecordError;
use crate::store::outbox::{self, About, NewMail};
use crate::store::refund::{self as rows, Begun, NewRefund};
use crate::store::ticket::manifest_rows;
use crate::store::transaction::{FailedBy, Transaction};
use crate::store::{Tx, booking, cancellation, change, event, scans, transaction};
use crate::webhooks::facts;

/// How long a provider is listened to.
const PROVIDER_PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);
/// A refund of a canceled event is asked for again until it was refused so often; then a person must look.
const TRIES: i32 = 5;

/// How a refund ended, or that it has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refunded {
    /// The money is back, the tickets are revoked.
    Done,
    /// The provider refused; the tickets are valid again.
    Declined(String),
    /// The provider failed, no money moved; the tickets are valid again.
    Failed(String),
    /// Not known yet; the tickets stay blocked, and the reconcile job asks again.
    Pending,
}

/// A refund that somebody asks for.
#[derive(Debug, Clone)]
pub struct Request {
    pub organizer_id: Uuid,
    pub booking_id: Uuid,
    pub refund_id: Uuid,
    pub what: What,
    pub reason: Option<String>,
    /// The user who asks for their own money back; none: the organizer gives it.
    pub asker: Option<Uuid>,
}

/// Why a refund did not begin.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    #[error("the booking is not paid")]
    NotPaid,
    #[error(transparent)]
    NotRefundable(#[from] NotRefundable),
    #[error("a ticket of these has let somebody in: only the organizer gives its money back")]
    Admitted,
    #[error(transparent)]
    Step(#[from] StepError),
}

impl From<sqlx::Error> for BeginError {
    fn from(error: sqlx::Error) -> Self {
        Self::Step(error.into())
    }
}

impl From<RecordError> for BeginError {
    fn from(error: RecordError) -> Self {
        Self::Step(error.into())
    }
}

/// Begins and drives a refund.
///
/// # Errors
/// [`BeginError`]; with a `Step` it may have begun, and the reconcile job goes on.
pub async fn refund(app: &AppState, request: Request, actor: Actor) -> Result<Refunded, BeginError> {
    let now = app.clock.now();
    let Request { organizer_id, booking_id, refund_id, what, reason, asker } = request;
    // Remembered from here on: no second connection is asked for inside the transaction.
    gateway::own(app, organizer_id).await?;
    let mut tx = app.db.tenant(organizer_id).await?;
    let event_id = match asker {
        Some(_) => Some(hold_scans(&mut tx, organizer_id, booking_id).await?.ok_or(BeginError::NotPaid)?),
        None => None,
    };
    let facts = rows::facts(&mut tx, organizer_id, booking_id, asker).await?.ok_or(BeginError::NotPaid)?;
    let plan = facts.plan(&what)?;
    if let Some(event_id) = event_id
        && record::admitted(&mut tx, organizer_id, event_id, &plan.tickets, false).await?
    {
        return Err(BeginError::Admitted);
    }
    let new = NewRefund { refund_id, reason, amounts: plan.amounts, next_attempt_at: now + FIRST_RECONCILE };
    // The booking's row is ours since `facts`: what was planned still holds.
    let begun = rows::begin(&mut tx, organizer_id, booking_id, &new, now).await?;
    let begun = begun.ok_or(BeginError::NotRefundable(NotRefundable::NothingLeft))?;
    // Whom nobody can ask is not begun: its row would be pending for ever.
    gateway::for_movement(app, organizer_id, &begun.provider, begun.account_id).await?;
    let blocked = rows::block_tickets(&mut tx, organizer_id, refund_id, &plan.tickets).await?;
    let detail = serde_json::json!({ "amount_minor": plan.amounts.total(), "tickets": plan.tickets.len() });
    let act = act(app, "booking.refund_begun", booking_id, &actor, detail);
    audit::record(&mut tx, organizer_id, &act, now).await?;
    if !blocked.is_empty() {
        change::record(&mut tx, organizer_id, begun.event_id, &manifest_rows(&blocked), None).await?;
    }
    fault!("refund.reserved");
    tx.commit().await?;
    app.news.publish(begun.event_id);
    fault!("refund.begun");
    let asked = Asked { refund_id, booking_id, provider_ref: None, attempt: 1, begun_at: now };
    Ok(drive(app, organizer_id, asked, begun, actor).await?)
}

/// Nobody is let in to the booking's event until the transaction ends: so that nobody gets in and the money back, too.
/// The event; none if there is no such booking.
async fn hold_scans(tx: &mut Tx, organizer_id: Uuid, booking_id: Uuid) -> Result<Option<Uuid>, sqlx::Error> {
    let Some(booking) = booking::find(tx, organizer_id, booking_id).await? else { return Ok(None) };
    scans::lock_cursor(tx, organizer_id, booking.event_id).await?;
    Ok(Some(booking.event_id))
}

/// Begins and drives the refund of all that is left of a booking. `None` if nothing is.
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
    let what = What::Whole;
    let request = Request { organizer_id, booking_id, refund_id, what, reason, asker: None };
    match refund(app, request, actor).await {
        Ok(done) => Ok(Some(done)),
        Err(BeginError::NotPaid | BeginError::NotRefundable(_) | BeginError::Admitted) => Ok(None),
        Err(BeginError::Step(e)) => Err(e),
    }
}

/// A begun refund, as it is asked for.
#[derive(Debug, Clone)]
struct Asked {
    refund_id: Uuid,
    booking_id: Uuid,
    /// Of the refund, once the provider told one.
    provider_ref: Option<String>,
    attempt: u32,
    begun_at: OffsetDateTime,
}

/// Asks the provider of a begun refund and acts on the answer.
async fn drive(
    app: &AppState,
    organizer_id: Uuid,
    asked: Asked,
    begun: Begun,
    actor: Actor,
) -> Result<Refunded, StepError> {
    let provider = gateway::for_movement(app, organizer_id, &begun.provider, begun.account_id).await?;
    let refund_id = asked.refund_id;
    let ask = Refund {
        key: provider_key(refund_id),
        ours: Ours { organizer_id, booking_id: asked.booking_id, transaction_id: refund_id },
        amount_minor: begun.amount_minor,
        currency: begun.currency,
        payment_ref: begun.provider_ref,
        token: begun.provider_token,
        provider_ref: asked.provider_ref,
        attempt: asked.attempt,
        age: app.clock.now() - asked.begun_at,
    };
    let asking = if ask.attempt <= 1 { provider.refund(&ask) } else { provider.refunded(&ask) };
    let outcome = tokio::time::timeout(PROVIDER_PATIENCE, asking).await.unwrap_or(Outcome::Unknown);
    fault!("refund.answered");
    match outcome {
        Outcome::Succeeded { provider_ref } => {
            complete(app, organizer_id, refund_id, &begun.provider, &provider_ref, &actor).await?;
            Ok(Refunded::Done)
        }
        Outcome::Declined { code } => {
            fail(app, organizer_id, refund_id, (FailedBy::Decline, &code), &actor).await?;
            Ok(Refunded::Declined(code))
        }
        Outcome::Canceled => {
            fail(app, organizer_id, refund_id, (FailedBy::Canceled, "canceled"), &actor).await?;
            Ok(Refunded::Declined("canceled".to_owned()))
        }
        Outcome::Failed { code } => {
            fail(app, organizer_id, refund_id, (FailedBy::Provider, &code), &actor).await?;
            Ok(Refunded::Failed(code))
        }
        Outcome::Processing { provider_ref } | Outcome::NeedsAction { provider_ref, .. } => {
            let mut tx = app.db.tenant(organizer_id).await?;
            transaction::note(&mut tx, organizer_id, refund_id, &provider_ref, None).await?;
            tx.commit().await?;
            Ok(Refunded::Pending)
        }
        Outcome::Contradicts { what } => {
            let detail = serde_json::json!({ "what": what });
            pay::alarm(app, organizer_id, refund_id, "contradicted", detail).await?;
            Ok(Refunded::Pending)
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
        account_id: row.account_id,
        provider_token: row.provider_token.clone(),
        provider_ref: payment.and_then(|p| p.provider_ref),
    };
    let asked = Asked {
        refund_id: row.transaction_id,
        booking_id: row.booking_id,
        provider_ref: row.provider_ref.clone(),
        attempt: row.attempts.unsigned_abs(),
        begun_at: row.created_at,
    };
    drive(app, row.organizer_id, asked, begun, actor).await
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
    rows::lock_booking(&mut tx, organizer_id, refund_id).await?;
    let Some(row) = transaction::find(&mut tx, organizer_id, refund_id).await? else { return Ok(()) };
    let Some(amounts) = row.amounts() else { return Ok(()) };
    let lines = entry(refund_id, row.booking_id, ledger::refund(provider, amounts));
    let Some(done) = rows::complete(&mut tx, organizer_id, refund_id, provider_ref, &lines, now).await?
    else {
        // Somebody else was here first.
        return Ok(());
    };
    let revoked = rows::revoke_tickets(&mut tx, organizer_id, refund_id).await?;
    let detail = serde_json::json!({ "amount_minor": row.amount_minor, "tickets": revoked.len() });
    let act = act(app, "booking.refunded", done.booking_id, actor, detail);
    audit::record(&mut tx, organizer_id, &act, now).await?;
    tell(app, &mut tx, &row, revoked.len()).await?;
    if let Some(of) = booking::find(&mut tx, organizer_id, done.booking_id).await? {
        let tickets: Vec<Uuid> = revoked.iter().map(|t| t.ticket_id).collect();
        let fact = facts::booking_refunded(app, &of, refund_id, row.amount_minor, &tickets);
        facts::tell(&mut tx, organizer_id, &[fact], now).await?;
    }
    if !revoked.is_empty() {
        change::record(&mut tx, organizer_id, done.event_id, &manifest_rows(&revoked), None).await?;
    }
    fault!("refund.booked");
    tx.commit().await?;
    app.news.publish(done.event_id);
    fault!("refund.done");
    Ok(())
}

async fn fail(
    app: &AppState,
    organizer_id: Uuid,
    refund_id: Uuid,
    why: (FailedBy, &str),
    actor: &Actor,
) -> Result<(), StepError> {
    let now = app.clock.now();
    let mut tx = app.db.tenant(organizer_id).await?;
    let Some(done) = rows::fail(&mut tx, organizer_id, refund_id, why, now).await? else { return Ok(()) };
    cancellation::count_refusal(&mut tx, organizer_id, done.booking_id, why.1, TRIES).await?;
    let valid_again = rows::unblock_tickets(&mut tx, organizer_id, refund_id).await?;
    // Nobody waits for the answer of a job: it must be found in the audit.
    let late = actor.kind == "job";
    let action = if late { "booking.refund_failed_late" } else { "booking.refund_failed" };
    let detail = serde_json::json!({ "code": why.1, "tickets_valid_again": valid_again.len() });
    let act = act(app, action, done.booking_id, actor, detail);
    audit::record(&mut tx, organizer_id, &act, now).await?;
    if late {
        tracing::warn!(%organizer_id, refund = %refund_id, code = why.1, "a refund was refused long after it was begun");
    }
    if !valid_again.is_empty() {
        change::record(&mut tx, organizer_id, done.event_id, &manifest_rows(&valid_again), None).await?;
    }
    tx.commit().await?;
    app.news.publish(done.event_id);
    fault!("refund.failed");
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
        amounts: payment.amounts,
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
    let act = act(app, "booking.paid_too_late", payment.booking_id, &job, serde_json::json!({}));
    audit::record(&mut tx, payment.organizer_id, &act, now).await?;
    let found = booking::find(&mut tx, payment.organizer_id, payment.booking_id).await?;
    if let Some(found) = found {
        let refund = amount(payment.amount_minor, &payment.currency);
        mail(app, &mut tx, &found, "offer.paid_too_late", json!({ "refund": refund })).await?;
    }
    tx.commit().await?;
    fault!("pay.late");
    Ok(true)
}

/// Writes to the buyer what goes back, unless another mail has said so: that the payment came too late, or that the event
/// was canceled.
async fn tell(app: &AppState, tx: &mut Tx, row: &Transaction, tickets: usize) -> Result<(), sqlx::Error> {
    let Some(found) = booking::find(tx, row.organizer_id, row.booking_id).await? else { return Ok(()) };
    if found.paid_at.is_none() {
        return Ok(());
    }
    let facts = json!({ "refund": amount(row.amount_minor, &row.currency), "tickets": tickets });
    mail(app, tx, &found, "offer.refunded", facts).await
}

/// Of the booking's event, to the booking's address. Not of a canceled one, whose holders are written once.
async fn mail(
    app: &AppState,
    tx: &mut Tx,
    found: &booking::Booking,
    kind: &str,
    mut facts: Value,
) -> Result<(), sqlx::Error> {
    let Some(recipient) = &found.email else { return Ok(()) };
    let Some(of) = event::find(tx, found.organizer_id, found.event_id).await? else { return Ok(()) };
    if of.status == "canceled" && kind == "offer.refunded" {
        return Ok(());
    }
    facts["event"] = of.title.into();
    let mail = NewMail {
        id: app.rng.uuid(&*app.clock),
        kind,
        recipient,
        organizer_id: Some(found.organizer_id),
        language: &found.language,
        facts: &facts,
        sealed_facts: None,
        expires_at: None,
    };
    let about =
        About { user_id: found.user_id, event_id: Some(found.event_id), booking_id: Some(found.booking_id) };
    outbox::enqueue_about(tx, &mail, about, app.clock.now()).await
}

/// For people.
fn amount(minor: i64, currency: &str) -> String {
    match currency.parse() {
        Ok(currency) => Money { amount_minor: minor, currency }.to_string(),
        Err(_) => format!("{minor} {currency}"),
    }
}

fn act<'a>(
    app: &AppState,
    action: &'static str,
    booking_id: Uuid,
    actor: &'a Actor,
    detail: serde_json::Value,
) -> Act<'a> {
    Act {
        audit_id: app.rng.uuid(&*app.clock),
        actor_kind: actor.kind,
        actor_id: actor.id,
        action,
        object_kind: "booking",
        object_id: booking_id,
        request_id: actor.request_id.as_deref(),
        detail,
    }
}
