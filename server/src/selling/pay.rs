//! Asking a provider for money, and acting on its answer. Everything here may be repeated: the provider
//! answers the same under the same key, and our statements act on pending rows only.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;
use time::{Duration as Span, OffsetDateTime};
use uuid::Uuid;

use super::issue::{self, IssueOrder, IssuedTicket, Lot, Paid};
use super::{Actor, StepError, gateway, refund};
use crate::adapters::payment::{
    Charge, CustomerAction, Ours, Outcome, PaymentProvider, provider_key, simulated,
};
use crate::app::AppState;
use crate::domain::booking::{BookingStatus, PAYMENT_PATIENCE};
use crate::domain::catalog::type_window;
use crate::domain::ledger::Amounts;
use crate::fault;
use crate::store::audit::{self, Act};
use crate::store::booking::{self, Booking, Line};
use crate::store::sale::{self, NewPayment};
use crate::store::transaction::{self, FailedBy, Transaction};
use crate::store::{noticed, outbox};

/// How long a provider is listened to; then the reconcile job asks again.
const PROVIDER_PATIENCE: Duration = Duration::from_secs(20);
/// When the reconcile job asks if nobody has closed a movement: well after our own patience.
pub const FIRST_RECONCILE: Span = Span::seconds(60);
/// What a customer's action is sealed for.
const ACTION: &str = "transactions/action";

/// How somebody wants to pay.
#[derive(Debug, Clone)]
pub struct PayBy {
    pub provider: String,
    /// The organizer's own account with the provider; none: the server's.
    pub account_id: Option<Uuid>,
    /// The provider's reference to a means of payment.
    pub token: Option<String>,
}

/// A payment that was begun: its row is pending.
#[derive(Debug, Clone)]
pub struct Payment {
    pub organizer_id: Uuid,
    pub event_id: Uuid,
    pub booking_id: Uuid,
    pub transaction_id: Uuid,
    pub by: PayBy,
    /// The provider's, once it told one.
    pub provider_ref: Option<String>,
    pub amount_minor: i64,
    pub currency: String,
    /// How often the provider was asked, this time included.
    pub attempt: u32,
    pub begun_at: OffsetDateTime,
    pub amounts: Amounts,
    pub lots: Vec<Lot>,
}

/// How a payment ended, or that it has not.
#[derive(Debug, Clone)]
pub enum Settled {
    /// Paid; the tickets are issued.
    Paid(Vec<IssuedTicket>),
    /// Somebody else has settled it meanwhile: read what became of it.
    Elsewhere,
    /// The holder's bank refused; the booking is held as before.
    Declined(String),
    /// The provider failed, no money moved; the booking is held as before.
    Failed(String),
    /// The buyer has something to do first; the hold waits.
    ActionNeeded,
    /// Not known yet; the hold waits, and the reconcile job asks again.
    Pending,
    /// The money came after the hold had gone and no room is left: it goes back.
    TooLate,
}

/// The row of a payment about to begin.
#[must_use]
pub fn new_payment(app: &AppState, payment_id: Uuid, by: &PayBy) -> NewPayment {
    let now = app.clock.now();
    NewPayment {
        payment_id,
        provider: by.provider.clone(),
        account_id: by.account_id,
        token: by.token.clone(),
        payment_until: now + PAYMENT_PATIENCE,
        next_attempt_at: now + FIRST_RECONCILE,
    }
}

impl Payment {
    fn charge(&self, now: OffsetDateTime) -> Charge {
        Charge {
            key: provider_key(self.transaction_id),
            ours: Ours {
                organizer_id: self.organizer_id,
                booking_id: self.booking_id,
                transaction_id: self.transaction_id,
            },
            amount_minor: self.amount_minor,
            currency: self.currency.clone(),
            token: self.by.token.clone(),
            provider_ref: self.provider_ref.clone(),
            attempt: self.attempt,
            age: now - self.begun_at,
            over: now >= self.begun_at + PAYMENT_PATIENCE,
        }
    }
}

/// Asks the provider and acts on the answer.
///
/// # Errors
/// [`StepError`]; the payment is pending then, and the reconcile job goes on.
pub async fn drive(app: &AppState, payment: &Payment, actor: Actor) -> Result<Settled, StepError> {
    let provider = provider_of(app, payment).await?;
    let charge = payment.charge(app.clock.now());
    fault!("pay.begun");
    let asking = if payment.attempt <= 1 { provider.charge(&charge) } else { provider.payment(&charge) };
    let outcome = tokio::time::timeout(PROVIDER_PATIENCE, asking).await.unwrap_or(Outcome::Unknown);
    fault!("pay.answered");
    settle(app, payment, outcome, actor).await
}

/// Ends a payment that waits for its buyer, unless the buyer was quicker.
///
/// # Errors
/// [`StepError`]; the payment is pending then.
pub async fn withdraw(app: &AppState, payment: &Payment, actor: Actor) -> Result<Settled, StepError> {
    let provider = provider_of(app, payment).await?;
    let charge = payment.charge(app.clock.now());
    fault!("cancel.asked");
    let outcome =
        tokio::time::timeout(PROVIDER_PATIENCE, provider.cancel(&charge)).await.unwrap_or(Outcome::Unknown);
    fault!("cancel.answered");
    settle(app, payment, outcome, actor).await
}

async fn provider_of(app: &AppState, payment: &Payment) -> Result<Arc<dyn PaymentProvider>, StepError> {
    gateway::for_movement(app, payment.organizer_id, &payment.by.provider, payment.by.account_id).await
}

async fn settle(
    app: &AppState,
    payment: &Payment,
    outcome: Outcome,
    actor: Actor,
) -> Result<Settled, StepError> {
    match outcome {
        Outcome::Succeeded { provider_ref } => arrived(app, payment, provider_ref, actor).await,
        Outcome::NeedsAction { provider_ref, action } => {
            let ours = note(app, payment, &provider_ref, Some(&action)).await?;
            Ok(if ours { Settled::ActionNeeded } else { Settled::Elsewhere })
        }
        Outcome::Processing { provider_ref } => {
            let ours = note(app, payment, &provider_ref, None).await?;
            Ok(if ours { Settled::Pending } else { Settled::Elsewhere })
        }
        Outcome::Declined { code } => {
            let ours = fail(app, payment, (FailedBy::Decline, &code)).await?;
            Ok(if ours { Settled::Declined(code) } else { Settled::Elsewhere })
        }
        Outcome::Canceled => {
            let ours = fail(app, payment, (FailedBy::Canceled, "canceled")).await?;
            Ok(if ours { Settled::Declined("canceled".to_owned()) } else { Settled::Elsewhere })
        }
        Outcome::Failed { code } => {
            let ours = fail(app, payment, (FailedBy::Provider, &code)).await?;
            Ok(if ours { Settled::Failed(code) } else { Settled::Elsewhere })
        }
        Outcome::Contradicts { what } => {
            let detail = serde_json::json!({ "what": what });
            alarm(app, payment.organizer_id, payment.transaction_id, "contradicted", detail).await?;
            Ok(Settled::Pending)
        }
        Outcome::Unknown => Ok(Settled::Pending),
    }
}

async fn fail(app: &AppState, payment: &Payment, why: (FailedBy, &str)) -> Result<bool, StepError> {
    let mut tx = app.db.tenant(payment.organizer_id).await?;
    let now = app.clock.now();
    let ours =
        transaction::fail_payment(&mut tx, payment.organizer_id, payment.transaction_id, why, now).await?;
    // Told once for each booking: who tries three cards in a minute needs no three mails.
    let (organizer_id, booking_id, kind) =
        (payment.organizer_id, payment.booking_id, "booking.payment_failed");
    if ours
        && !matches!(why.0, FailedBy::Canceled)
        && noticed::first(&mut tx, organizer_id, booking_id, kind, now).await?
    {
        let mail = [(app.rng.uuid(&*app.clock), booking_id)];
        outbox::enqueue_bookings(&mut tx, organizer_id, kind, &mail, &serde_json::json!({}), now).await?;
    }
    tx.commit().await?;
    fault!("pay.failed");
    Ok(ours)
}

/// Keeps what the provider said of a payment that is not done.
async fn note(
    app: &AppState,
    payment: &Payment,
    provider_ref: &str,
    action: Option<&CustomerAction>,
) -> Result<bool, StepError> {
    let sealed = action.map(|action| {
        let bytes = serde_json::to_vec(action).expect("strings become JSON");
        app.master_key.seal(ACTION, &bytes, &app.rng)
    });
    let mut tx = app.db.tenant(payment.organizer_id).await?;
    let (organizer_id, id) = (payment.organizer_id, payment.transaction_id);
    let ours = transaction::note(&mut tx, organizer_id, id, provider_ref, sealed.as_deref()).await?;
    tx.commit().await?;
    fault!("pay.noted");
    Ok(ours)
}

/// What the buyer has to do for a pending payment.
#[must_use]
pub fn action_of(app: &AppState, row: &Transaction) -> Option<CustomerAction> {
    let sealed = row.action_sealed.as_ref().filter(|_| row.status == "pending")?;
    let bytes = app.master_key.open(ACTION, sealed).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Marks a movement for a person to look at, and writes down why, once.
///
/// # Errors
/// The database's.
pub async fn alarm(
    app: &AppState,
    organizer_id: Uuid,
    transaction_id: Uuid,
    flag: &'static str,
    detail: serde_json::Value,
) -> Result<(), sqlx::Error> {
    let mut tx = app.db.tenant(organizer_id).await?;
    raise(app, &mut tx, organizer_id, transaction_id, flag, detail).await?;
    tx.commit().await
}

/// The same, inside a transaction.
pub(super) async fn raise(
    app: &AppState,
    conn: &mut PgConnection,
    organizer_id: Uuid,
    transaction_id: Uuid,
    flag: &'static str,
    detail: serde_json::Value,
) -> Result<(), sqlx::Error> {
    if !transaction::flag(conn, organizer_id, transaction_id, flag).await? {
        return Ok(());
    }
    tracing::error!(%organizer_id, transaction = %transaction_id, flag, "a payment needs a person to look at it");
    let act = Act {
        audit_id: app.rng.uuid(&*app.clock),
        actor_kind: "job",
        actor_id: None,
        action: match flag {
            "contradicted" => "payment.contradicted",
            "disputed" => "payment.disputed",
            "refunded_elsewhere" => "payment.refunded_elsewhere",
            _ => "payment.refund_undone",
        },
        object_kind: "transaction",
        object_id: transaction_id,
        request_id: None,
        detail,
    };
    audit::record(conn, organizer_id, &act, app.clock.now()).await
}

/// The money is there: tickets, if the booking is held or can be had again; else the money goes back.
async fn arrived(
    app: &AppState,
    payment: &Payment,
    provider_ref: String,
    actor: Actor,
) -> Result<Settled, StepError> {
    // Who tells of the payment later knows it by this reference; and from here on it can be asked for by it.
    if payment.provider_ref.is_none() && payment.by.provider != simulated::NAME {
        note(app, payment, &provider_ref, None).await?;
    }
    let paid = Paid {
        transaction_id: payment.transaction_id,
        provider: payment.by.provider.clone(),
        provider_ref,
        amounts: payment.amounts,
    };
    // Twice: the second time after an expired booking was given its capacity again.
    for _ in 0..2 {
        let order = IssueOrder {
            organizer_id: payment.organizer_id,
            event_id: payment.event_id,
            booking_id: payment.booking_id,
            paid: Some(paid.clone()),
            lots: payment.lots.clone(),
            actor: actor.clone(),
            mail: true,
        };
        if let Some(tickets) = issue::issue(app, order).await? {
            fault!("pay.paid");
            return Ok(Settled::Paid(tickets));
        }
        let mut tx = app.db.tenant(payment.organizer_id).await?;
        let now = app.clock.now();
        let again =
            sale::reacquire(&mut tx, payment.organizer_id, payment.booking_id, now + PAYMENT_PATIENCE, now)
                .await?;
        if !again {
            break;
        }
        tx.commit().await?;
    }
    match refund::of_late_payment(app, payment, &paid).await? {
        true => Ok(Settled::TooLate),
        false => Ok(Settled::Elsewhere),
    }
}

/// A stored pending payment, ready to be driven on.
pub async fn load(app: &AppState, row: &Transaction) -> Result<Option<Payment>, StepError> {
    let mut tx = app.db.tenant(row.organizer_id).await?;
    let booking = booking::find(&mut tx, row.organizer_id, row.booking_id).await?;
    let lines = booking::lines(&mut tx, row.organizer_id, row.booking_id).await?;
    tx.commit().await?;
    Ok(booking.map(|booking| Payment {
        organizer_id: row.organizer_id,
        event_id: row.event_id,
        booking_id: row.booking_id,
        transaction_id: row.transaction_id,
        by: PayBy {
            provider: row.provider.clone(),
            account_id: row.account_id,
            token: row.provider_token.clone(),
        },
        provider_ref: row.provider_ref.clone(),
        amount_minor: row.amount_minor,
        currency: row.currency.clone(),
        attempt: row.attempts.unsigned_abs(),
        begun_at: row.created_at,
        amounts: amounts(&booking),
        lots: lots(&lines),
    }))
}

/// The parts of a booking's total.
#[must_use]
pub fn amounts(booking: &Booking) -> Amounts {
    Amounts { price_minor: booking.price_minor, fee_minor: booking.fee_minor, tax_minor: booking.tax_minor }
}

/// What a booking's lines will be as tickets.
#[must_use]
pub fn lots(lines: &[Line]) -> Vec<Lot> {
    let lot = |line: &Line| Lot {
        ticket_type_id: line.ticket_type_id,
        type_no: u16::try_from(line.type_no).expect("a CHECK bounds type numbers"),
        window: type_window(
            (line.event_starts_at, line.event_ends_at),
            (line.valid_from, line.valid_until, line.grace_secs),
        ),
        quantity: line.quantity.unsigned_abs(),
    };
    lines.iter().map(lot).collect()
}

/// Why a payment of a booking cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    #[error(transparent)]
    NotHeld(#[from] crate::domain::booking::NotHeld),
    #[error("the booking is free")]
    Free,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Begins the payment of a held booking: its row is written and the hold waits.
///
/// # Errors
/// [`BeginError`]
pub async fn begin(
    app: &AppState,
    booking: &Booking,
    payment_id: Uuid,
    by: PayBy,
) -> Result<Payment, BeginError> {
    booking.hold().may_pay(app.clock.now())?;
    if booking.total_minor == 0 {
        return Err(BeginError::Free);
    }
    let row = new_payment(app, payment_id, &by);
    let mut tx = app.db.tenant(booking.organizer_id).await?;
    let begun =
        transaction::begin_payment(&mut tx, booking.organizer_id, booking.booking_id, &row, app.clock.now())
            .await;
    let begun = match begun {
        // Another payment is pending or done: say which.
        Err(e) if crate::store::is_unique_violation(&e, "transactions_one_payment") => false,
        other => other?,
    };
    if !begun {
        drop(tx);
        let mut tx = app.db.tenant(booking.organizer_id).await?;
        let seen = booking::find(&mut tx, booking.organizer_id, booking.booking_id).await?;
        tx.commit().await?;
        let why = seen.map(|b| b.hold().may_pay(app.clock.now()));
        return Err(match why {
            Some(Err(why)) => why.into(),
            _ => crate::domain::booking::NotHeld::PaymentInFlight.into(),
        });
    }
    let lines = booking::lines(&mut tx, booking.organizer_id, booking.booking_id).await?;
    tx.commit().await?;
    Ok(Payment {
        organizer_id: booking.organizer_id,
        event_id: booking.event_id,
        booking_id: booking.booking_id,
        transaction_id: payment_id,
        by,
        provider_ref: None,
        amount_minor: booking.total_minor,
        currency: booking.currency.clone(),
        attempt: 1,
        begun_at: app.clock.now(),
        amounts: amounts(booking),
        lots: lots(&lines),
    })
}

/// The payment of a booking that waits for something its buyer has to do.
///
/// # Errors
/// The database's.
pub async fn awaiting_action(app: &AppState, booking: &Booking) -> Result<Option<Payment>, StepError> {
    let mut tx = app.db.tenant(booking.organizer_id).await?;
    let all = transaction::of_booking(&mut tx, booking.organizer_id, booking.booking_id).await?;
    tx.commit().await?;
    let waits =
        |row: &&Transaction| row.kind == "payment" && row.status == "pending" && row.action_sealed.is_some();
    match all.iter().find(waits) {
        Some(row) => Ok(load(app, row).await?.map(|mut payment| {
            payment.attempt += 1;
            payment
        })),
        None => Ok(None),
    }
}

/// True if nothing is left to be paid.
#[must_use]
pub const fn is_paid(status: BookingStatus) -> bool {
    matches!(status, BookingStatus::Paid | BookingStatus::PartiallyRefunded | BookingStatus::Refunded)
}
