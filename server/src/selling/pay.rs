//! Asking a provider for money, and acting on its answer. Everything here may be repeated: the provider
//! answers the same under the same key, and our statements act on pending rows only.

use std::time::Duration;

use time::Duration as Span;
use uuid::Uuid;

use super::issue::{self, IssueOrder, IssuedTicket, Lot, Paid};
use super::{Actor, StepError, refund};
use crate::adapters::payment::{Charge, Outcome, provider_key};
use crate::app::AppState;
use crate::domain::booking::{BookingStatus, PAYMENT_PATIENCE};
use crate::domain::catalog::type_window;
use crate::domain::ledger::Amounts;
use crate::store::booking::{self, Booking, Line};
use crate::store::sale::{self, NewPayment};
use crate::store::transaction::{self, Transaction};

/// How long a provider is listened to; then the reconcile job asks again.
const PROVIDER_PATIENCE: Duration = Duration::from_secs(20);
/// When the reconcile job asks if nobody has closed a movement: well after our own patience.
pub const FIRST_RECONCILE: Span = Span::seconds(60);

/// A payment that was begun: its row is pending.
#[derive(Debug, Clone)]
pub struct Payment {
    pub organizer_id: Uuid,
    pub event_id: Uuid,
    pub booking_id: Uuid,
    pub transaction_id: Uuid,
    pub provider: String,
    pub token: Option<String>,
    pub amount_minor: i64,
    pub currency: String,
    /// How often the provider was asked, this time included.
    pub attempt: u32,
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
    /// Not known yet; the hold waits, and the reconcile job asks again.
    Pending,
    /// The money came after the hold had gone and no room is left: it goes back.
    TooLate,
}

/// The row of a payment about to begin.
#[must_use]
pub fn new_payment(app: &AppState, payment_id: Uuid, provider: &str, token: Option<String>) -> NewPayment {
    let now = app.clock.now();
    NewPayment {
        payment_id,
        provider: provider.to_owned(),
        token,
        payment_until: now + PAYMENT_PATIENCE,
        next_attempt_at: now + FIRST_RECONCILE,
    }
}

/// Asks the provider and acts on the answer.
///
/// # Errors
/// [`StepError`]; the payment is pending then, and the reconcile job goes on.
pub async fn drive(app: &AppState, payment: &Payment, actor: Actor) -> Result<Settled, StepError> {
    let provider = app
        .selling
        .providers
        .get(&payment.provider)
        .ok_or_else(|| StepError::NoProvider(payment.provider.clone()))?;
    let charge = Charge {
        key: provider_key(payment.transaction_id),
        amount_minor: payment.amount_minor,
        currency: payment.currency.clone(),
        token: payment.token.clone(),
        attempt: payment.attempt,
    };
    let outcome =
        tokio::time::timeout(PROVIDER_PATIENCE, provider.charge(&charge)).await.unwrap_or(Outcome::Unknown);
    match outcome {
        Outcome::Succeeded { provider_ref } => arrived(app, payment, provider_ref, actor).await,
        Outcome::Declined { code } => {
            let ours = fail(app, payment, &code).await?;
            Ok(if ours { Settled::Declined(code) } else { Settled::Elsewhere })
        }
        Outcome::Failed { code } => {
            let ours = fail(app, payment, &code).await?;
            Ok(if ours { Settled::Failed(code) } else { Settled::Elsewhere })
        }
        Outcome::Unknown => Ok(Settled::Pending),
    }
}

async fn fail(app: &AppState, payment: &Payment, code: &str) -> Result<bool, StepError> {
    let mut tx = app.db.tenant(payment.organizer_id).await?;
    let now = app.clock.now();
    let ours =
        transaction::fail_payment(&mut tx, payment.organizer_id, payment.transaction_id, code, now).await?;
    tx.commit().await?;
    Ok(ours)
}

/// The money is there: tickets, if the booking is held or can be had again; else the money goes back.
async fn arrived(
    app: &AppState,
    payment: &Payment,
    provider_ref: String,
    actor: Actor,
) -> Result<Settled, StepError> {
    let paid = Paid {
        transaction_id: payment.transaction_id,
        provider: payment.provider.clone(),
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
        };
        if let Some(tickets) = issue::issue(app, order).await? {
            return Ok(Settled::Paid(tickets));
        }
        let mut tx = app.db.tenant(payment.organizer_id).await?;
        let now = app.clock.now();
        let again =
            sale::reacquire(&mut tx, payment.organizer_id, payment.booking_id, now + PAYMENT_PATIENCE)
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
        provider: row.provider.clone(),
        token: row.provider_token.clone(),
        amount_minor: row.amount_minor,
        currency: row.currency.clone(),
        attempt: row.attempts.unsigned_abs(),
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
    provider: &str,
    token: Option<String>,
) -> Result<Payment, BeginError> {
    booking.hold().may_pay(app.clock.now())?;
    if booking.total_minor == 0 {
        return Err(BeginError::Free);
    }
    let row = new_payment(app, payment_id, provider, token.clone());
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
        provider: provider.to_owned(),
        token,
        amount_minor: booking.total_minor,
        currency: booking.currency.clone(),
        attempt: 1,
        amounts: amounts(booking),
        lots: lots(&lines),
    })
}

/// True if nothing is left to be paid.
#[must_use]
pub const fn is_paid(status: BookingStatus) -> bool {
    matches!(status, BookingStatus::Paid | BookingStatus::PartiallyRefunded | BookingStatus::Refunded)
}
