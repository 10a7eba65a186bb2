//! What a provider tells us by webhook. An event decides nothing by itself: it is written down once, together with its
//! one effect – the movement that it is about is asked for now, or marked for a person – and the provider's own
//! answer to that question is what counts. So events may come twice, late and in any order.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Actor, StepError, pay, refund};
use crate::adapters::payment::stripe;
use crate::adapters::payment::stripe::webhook::{Matter, Notice};
use crate::app::AppState;
use crate::fault;
use crate::store::payment_event::{self, NewEvent};
use crate::store::transaction::{self, Transaction};
use crate::store::{Tx, directory};

/// From whom it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// The server's own account, which serves many organizers.
    Servers,
    /// An organizer's account.
    Own { organizer_id: Uuid, account_id: Uuid },
}

/// What was done about an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Its one effect was had before.
    Again,
    /// It is about nothing of ours.
    NotOurs,
    /// Written down, with this effect.
    Now(&'static str),
}

/// What an event leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Effect {
    None,
    /// Ask the provider.
    Ask,
    Flag(&'static str, serde_json::Value),
}

impl Effect {
    const fn word(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Ask => "asked",
            Self::Flag(..) => "flagged",
        }
    }
}

/// Takes an event whose signature is good. Durable when it returns; what it leads to goes on by itself.
///
/// # Errors
/// [`StepError`]; nothing was done then, and the provider will tell it again.
pub async fn take(
    app: &AppState,
    from: Endpoint,
    notice: Notice,
    body_sha256: [u8; 32],
) -> Result<Taken, StepError> {
    let Some(organizer_id) = organizer_of(app, from, &notice).await? else { return Ok(Taken::NotOurs) };
    let account_id = match from {
        Endpoint::Own { account_id, .. } => Some(account_id),
        Endpoint::Servers => None,
    };
    let now = app.clock.now();
    let mut tx = app.db.tenant(organizer_id).await?;
    let row = match notice.transaction_id {
        Some(id) => transaction::find(&mut tx, organizer_id, id).await?,
        None => None,
    };
    let row = match (row, &notice.refund_ref, &notice.payment_ref) {
        (Some(row), ..) => Some(row),
        (None, Some(id), _) | (None, None, Some(id)) => {
            transaction::find_by_ref(&mut tx, organizer_id, stripe::NAME, id).await?
        }
        _ => None,
    };
    // Of the very account that the event came from.
    let row = row.filter(|row| row.account_id == account_id && row.provider == stripe::NAME);
    let effect = match &row {
        Some(row) => effect_on(row, &notice, refunded_so_far(&mut tx, row).await?),
        None => Effect::None,
    };
    let event = NewEvent {
        provider: stripe::NAME,
        event_id: &notice.event_id,
        account_id,
        kind: &notice.kind,
        body_sha256,
        transaction_id: row.as_ref().map(|r| r.transaction_id),
        effect: effect.word(),
    };
    if !payment_event::record(&mut tx, organizer_id, &event, now).await? {
        return Ok(Taken::Again);
    }
    if let Some(row) = &row {
        match &effect {
            Effect::Ask if row.status == "failed" => {
                revive(app, &mut tx, row, notice.payment_ref.as_deref(), now).await?;
            }
            Effect::Ask => {
                let own = if row.kind == "refund" { &notice.refund_ref } else { &notice.payment_ref };
                transaction::wake(&mut tx, organizer_id, row.transaction_id, own.as_deref(), now).await?;
            }
            Effect::Flag(flag, detail) => {
                let id = row.transaction_id;
                pay::raise(app, &mut tx, organizer_id, id, flag, detail.clone()).await?;
            }
            Effect::None => {}
        }
    }
    fault!("webhook.recorded");
    tx.commit().await?;
    fault!("webhook.committed");
    let word = effect.word();
    if let (Effect::Ask, Some(row)) = (effect, row) {
        let state = app.clone();
        app.selling.tasks.spawn(async move {
            if let Err(e) = ask(&state, organizer_id, row.transaction_id).await {
                tracing::warn!(transaction = %row.transaction_id, "not closed by its event, the job goes on: {e}");
            }
            fault!("webhook.done");
        });
    }
    Ok(Taken::Now(word))
}

async fn organizer_of(app: &AppState, from: Endpoint, notice: &Notice) -> Result<Option<Uuid>, sqlx::Error> {
    if let Endpoint::Own { organizer_id, .. } = from {
        return Ok(Some(organizer_id));
    }
    let mut tx = app.db.platform().await?;
    let mut found = None;
    if let Some(id) = notice.organizer_id {
        found = directory::find(&mut tx, "organizer", &id.to_string()).await?;
    }
    for reference in [&notice.payment_ref, &notice.refund_ref].into_iter().flatten() {
        if found.is_none() {
            let key = format!("{}:{reference}", stripe::NAME);
            found = directory::find(&mut tx, "payment", &key).await?;
        }
    }
    tx.commit().await?;
    Ok(found.map(|place| place.organizer_id))
}

/// What we gave back of a payment, or mean to, in minor units.
async fn refunded_so_far(conn: &mut sqlx::PgConnection, row: &Transaction) -> Result<i64, sqlx::Error> {
    let all = transaction::of_booking(conn, row.organizer_id, row.booking_id).await?;
    Ok(all.iter().filter(|t| t.kind == "refund" && t.status != "failed").map(|t| t.amount_minor).sum())
}

fn effect_on(row: &Transaction, notice: &Notice, refunded_minor: i64) -> Effect {
    let pending = row.status == "pending";
    match notice.matter {
        Matter::Payment { .. } | Matter::Refund { .. } if differs(row, notice) => {
            let what = format!(
                "the event {} is of {} {}",
                notice.event_id,
                notice.amount.unwrap_or(0),
                notice.currency.as_deref().unwrap_or("nothing")
            );
            Effect::Flag("contradicted", serde_json::json!({ "what": what }))
        }
        Matter::Payment { .. } if row.kind == "payment" && pending => Effect::Ask,
        // Money for a payment that we gave up: it must find its booking, or go back.
        Matter::Payment { succeeded: true } if row.kind == "payment" && row.status == "failed" => Effect::Ask,
        Matter::Refund { .. } if row.kind == "refund" && pending => Effect::Ask,
        Matter::Refund { failed: true } if row.kind == "refund" && row.status == "completed" => {
            let what = "the provider took back a refund that was done: its money is at the provider again";
            Effect::Flag("refund_undone", serde_json::json!({ "what": what, "event": notice.event_id }))
        }
        Matter::Charge { refunded } => {
            let ours = stripe::to_stripe(refunded_minor, &row.currency).unwrap_or(i64::MAX);
            if refunded > ours {
                let detail =
                    serde_json::json!({ "event": notice.event_id, "refunded": refunded, "ours": ours });
                Effect::Flag("refunded_elsewhere", detail)
            } else {
                Effect::None
            }
        }
        Matter::Dispute => Effect::Flag("disputed", serde_json::json!({ "event": notice.event_id })),
        _ => Effect::None,
    }
}

/// True unless amount and currency are those of our row.
fn differs(row: &Transaction, notice: &Notice) -> bool {
    let same_currency =
        notice.currency.as_deref().is_some_and(|currency| currency.eq_ignore_ascii_case(&row.currency));
    !same_currency || notice.amount != stripe::to_stripe(row.amount_minor, &row.currency)
}

/// Asks the provider how a movement stands, and acts on it.
async fn ask(app: &AppState, organizer_id: Uuid, transaction_id: Uuid) -> Result<(), StepError> {
    let mut tx = app.db.tenant(organizer_id).await?;
    let row = transaction::find(&mut tx, organizer_id, transaction_id).await?;
    tx.commit().await?;
    let Some(mut row) = row else { return Ok(()) };
    row.attempts += 1;
    match (row.kind.as_str(), row.status.as_str()) {
        ("refund", "pending") => refund::resume(app, &row, Actor::job()).await.map(drop),
        ("payment", "pending") => match pay::load(app, &row).await? {
            Some(payment) => pay::drive(app, &payment, Actor::job()).await.map(drop),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// The provider tells of money for a payment that stands here as failed: it is pending again, in the transaction that
/// notes the event, so that the money is never forgotten.
async fn revive(
    app: &AppState,
    tx: &mut Tx,
    row: &Transaction,
    payment_ref: Option<&str>,
    now: OffsetDateTime,
) -> Result<(), StepError> {
    let (organizer_id, id) = (row.organizer_id, row.transaction_id);
    let all = transaction::of_booking(tx, organizer_id, row.booking_id).await?;
    if all.iter().any(|t| t.kind == "payment" && t.status != "failed") {
        let what =
            "money came for a payment that had failed, and its booking is paid, or being paid, by another";
        return Ok(pay::raise(
            app,
            tx,
            organizer_id,
            id,
            "contradicted",
            serde_json::json!({ "what": what }),
        )
        .await?);
    }
    if transaction::revive(tx, organizer_id, id, now).await? {
        transaction::wake(tx, organizer_id, id, payment_ref, now).await?;
    }
    Ok(())
}
