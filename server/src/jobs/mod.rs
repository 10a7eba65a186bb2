//! Slow, fallible, repeatable work beside the requests. Each job is one file with
//! `async fn run(app: &AppState) -> anyhow::Result<()>`, listed in [`start`]. A run does a bounded
//! piece of work and may be repeated at any point; one bad item stops nobody else's.

pub mod audit_chain;
pub mod cancel_events;
pub mod expire;
pub mod notices;
pub mod outbox;
pub mod reconcile;
pub mod search;
pub mod sweep;
pub mod waiting;
pub mod webhooks;

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;
use uuid::Uuid;

use crate::app::AppState;
use crate::store::directory;

/// The running jobs.
#[derive(Debug)]
pub struct Jobs(JoinSet<()>);

/// Starts every job.
pub fn start(app: &AppState) -> Jobs {
    let mut jobs = Jobs(JoinSet::new());
    jobs.every(app, "sweep", Duration::from_secs(600), |app| async move { sweep::run(&app).await });
    jobs.0.spawn(crate::news::run(app.clone()));
    jobs.every(
        app,
        "audit_chain",
        Duration::from_secs(15),
        |app| async move { audit_chain::run(&app).await },
    );
    jobs.every(app, "expire", Duration::from_secs(5), |app| async move { expire::run(&app).await });
    jobs.every(app, "waiting", Duration::from_secs(5), |app| async move { waiting::run(&app).await });
    jobs.every(
        app,
        "cancel_events",
        Duration::from_secs(5),
        |app| async move { cancel_events::run(&app).await },
    );
    jobs.every(app, "notices", Duration::from_secs(30), |app| async move { notices::run(&app).await });
    jobs.0.spawn(outbox::serve(app.clone()));
    jobs.every(app, "webhooks", webhooks::EVERY, |app| async move { webhooks::run(&app).await });
    jobs.every(app, "search", Duration::from_secs(15), |app| async move { search::run(&app).await });
    jobs.every(app, "reconcile", Duration::from_secs(15), |app| async move { reconcile::run(&app).await });
    jobs
}

impl Jobs {
    /// Runs `job` at once and then every `period` until the server stops; failures are logged and
    /// tried again next time.
    pub fn every<F, R>(&mut self, app: &AppState, name: &'static str, period: Duration, job: F)
    where
        F: Fn(AppState) -> R + Send + 'static,
        R: Future<Output = anyhow::Result<()>> + Send,
    {
        let app = app.clone();
        self.0.spawn(async move {
            while !app.stopping.is_cancelled() {
                let outcome = job(app.clone()).await;
                if let Err(e) = &outcome {
                    tracing::warn!(job = name, "failed: {e:#}");
                }
                app.heartbeats.beat(name, period, outcome.is_ok());
                tokio::select! {
                    () = tokio::time::sleep(period) => {}
                    () = app.stopping.cancelled() => {}
                }
            }
        });
    }

    /// Waits until every job has finished its step. True if all did within `patience`.
    pub async fn finish(mut self, patience: Duration) -> bool {
        let all = async { while self.0.join_next().await.is_some() {} };
        tokio::time::timeout(patience, all).await.is_ok()
    }
}

/// Does `work` for one organizer after another, until the server stops. One organizer's trouble is not the others': it is
/// logged as `trouble`, and the last of it is the job's.
async fn for_each_organizer<'a, F, R>(app: &'a AppState, trouble: &str, work: F) -> anyhow::Result<()>
where
    F: Fn(&'a AppState, Uuid) -> R,
    R: Future<Output = anyhow::Result<()>>,
{
    let mut tx = app.db.worker_platform().await?;
    let organizers = directory::organizers(&mut tx).await?;
    tx.commit().await?;
    let mut failed = None;
    for organizer_id in organizers {
        if app.stopping.is_cancelled() {
            break;
        }
        if let Err(e) = work(app, organizer_id).await {
            tracing::warn!(%organizer_id, "{trouble}: {e:#}");
            failed = Some(e);
        }
    }
    failed.map_or(Ok(()), Err)
}
