//! Closes movements of money that nobody closed: a crash between a provider's answer and our commit, an
//! answer that was lost. Asks the provider again under the same key, which moves no money twice.

use uuid::Uuid;

use crate::app::AppState;
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
        let outcome = pay::drive(app, &payment, Actor::job()).await?;
        let paid = matches!(outcome, pay::Settled::Paid(_));
        tracing::info!(transaction = %row.transaction_id, paid, "payment reconciled");
    }
    Ok(())
}
