//! Closes movements of money that nobody closed: a crash between a provider's answer and our commit, an
//! answer that was lost. Asks the provider again under the same key, which moves no money twice.

use std::time::Duration;

use tokio::task::JoinSet;
use uuid::Uuid;

use crate::app::AppState;
use crate::domain::booking::PAYMENT_PATIENCE;
use crate::selling::{Actor, pay, refund};
use crate::store::transaction::Transaction;
use crate::store::{directory, transaction};

/// Movements of one organizer that are asked for side by side.
const AT_ONCE: i64 = 4;
/// Organizers that are looked after side by side: one whose provider does not answer holds up nobody else's.
const ORGANIZERS: usize = 16;
/// After so long the rest of an organizer's movements wait for the next run. A call in flight is waited for.
const BUDGET: Duration = Duration::from_secs(10);

/// One step.
///
/// # Errors
/// Of the database; other organizers were looked after all the same.
pub async fn run(app: &AppState) -> anyhow::Result<()> {
    let mut tx = app.db.worker_platform().await?;
    let organizers = directory::organizers(&mut tx).await?;
    tx.commit().await?;
    let mut failed = None;
    let mut at_work = JoinSet::new();
    let mut end = |done: Result<anyhow::Result<()>, tokio::task::JoinError>| {
        if let Err(e) = done.map_err(anyhow::Error::from).flatten() {
            failed = Some(e);
        }
    };
    for organizer_id in organizers {
        if app.stopping.is_cancelled() {
            break;
        }
        if at_work.len() >= ORGANIZERS
            && let Some(done) = at_work.join_next().await
        {
            end(done);
        }
        let app = app.clone();
        at_work.spawn(async move {
            of_organizer(&app, organizer_id).await.inspect_err(|e| {
                tracing::warn!(%organizer_id, "payments are not reconciled: {e:#}");
            })
        });
    }
    while let Some(done) = at_work.join_next().await {
        end(done);
    }
    failed.map_or(Ok(()), Err)
}

async fn of_organizer(app: &AppState, organizer_id: Uuid) -> anyhow::Result<()> {
    let begun = app.clock.monotonic();
    // What is due now; what becomes due meanwhile waits for the next run.
    let now = app.clock.now();
    while app.clock.monotonic().saturating_sub(begun) < BUDGET && !app.stopping.is_cancelled() {
        let mut tx = app.db.worker_tenant(organizer_id).await?;
        // Ours until then; whoever asks next waits longer.
        let due = transaction::claim_pending(&mut tx, organizer_id, AT_ONCE, now).await?;
        tx.commit().await?;
        if due.is_empty() {
            break;
        }
        let mut all = JoinSet::new();
        for row in due {
            let app = app.clone();
            all.spawn(async move {
                if let Err(e) = close(&app, &row).await {
                    tracing::warn!(transaction = %row.transaction_id, attempts = row.attempts, "still pending: {e:#}");
                }
            });
        }
        while let Some(done) = all.join_next().await {
            done?;
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
