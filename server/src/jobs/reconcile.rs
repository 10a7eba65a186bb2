//! Closes movements of money that nobody closed: a crash between a provider's answer and our commit, an
//! answer that was lost. Asks the provider again under the same key, which moves no money twice.

use uuid::Uuid;

use crate::app::AppState;
use crate::domain::booking::PAYMENT_PATIENCE;
use crate::selling::{Actor, pay, refund};
use crate::store::transaction::Transaction;
use crate::store::{directory, transaction};

const AT_ONCE: i64 = 50;

pub async fn run(app: &AppState) -> anyhow::Result<()> {
    let mut tx = app.db.worker_platform().await?;
    let organizers = directory::organizers(&mut tx).await?;
    tx.commit().await?;
    let mut failed = None;
    for organizer_id in organizers {
        if app.stopping.is_cancelled() {
            break;
        }
        if let Err(e) = of_organizer(app, organizer_id).await {
            tracing::warn!(%organizer_id, "payments are not reconciled: {e:#}");
            failed = Some(e);
        }
    }
    failed.map_or(Ok(()), Err)
}

async fn of_organizer(app: &AppState, organizer_id: Uuid) -> anyhow::Result<()> {
    let now = app.clock.now();
    let mut tx = app.db.worker_tenant(organizer_id).await?;
    // Ours until then; whoever asks next waits longer.
    let due = transaction::claim_pending(&mut tx, organizer_id, AT_ONCE, now).await?;
    tx.commit().await?;
    for row in due {
        if let Err(e) = close(app, &row).await {
            tracing::warn!(transaction = %row.transaction_id, attempts = row.attempts, "still pending: {e:#}");
        }
    }
    Ok(())
}

async fn close(app: &AppState, row: &Transaction) -> anyhow::Result<()> {
    if row.kind == "refund" {
        let outcome = refund::resume(app, row, Actor::job()).await?;
        tracing::info!(transaction = %row.transaction_id, ?outcome, "refund reconciled");
    } else if let Some(payment) = pay::load(app, row).await? {
        let mut outcome = pay::drive(app, &payment, Actor::job()).await?;
        // The hold waits no longer: nobody may pay for it any more.
        if matches!(outcome, pay::Settled::ActionNeeded)
            && app.clock.now() >= row.created_at + PAYMENT_PATIENCE
        {
            let again = transaction_of(app, row).await?;
            if let Some(payment) = pay::load(app, &again).await? {
                outcome = pay::withdraw(app, &payment, Actor::job()).await?;
            }
        }
        let paid = matches!(outcome, pay::Settled::Paid(_));
        tracing::info!(transaction = %row.transaction_id, paid, "payment reconciled");
    }
    Ok(())
}

/// The row as it stands now: the provider's answer may have named the payment.
async fn transaction_of(app: &AppState, row: &Transaction) -> anyhow::Result<Transaction> {
    let mut tx = app.db.worker_tenant(row.organizer_id).await?;
    let now = transaction::find(&mut tx, row.organizer_id, row.transaction_id).await?;
    tx.commit().await?;
    Ok(now.unwrap_or_else(|| row.clone()))
}
