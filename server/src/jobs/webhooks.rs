//! Delivers what organizers' endpoints are to be told. A delivery is leased, sent without a transaction open, and its row
//! and the attempt are written; a crash in between sends it again under the same `webhook-id`.
//!
//! An endpoint has few deliveries on their way at once, and those that fail have few places among all: a slow one holds
//! up itself. What fails is tried again for about three days; an endpoint that took nothing for so long is disabled, and
//! its organizer is written to.

use std::collections::HashSet;

use anyhow::Context as _;
use serde_json::json;
use time::Duration;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::adapters::webhook::{Answer, Signed, send};
use crate::app::AppState;
use crate::domain::notification::DeadBecause;
use crate::domain::webhook::{in_use, message_id, signature};
use crate::jobs::outbox::pause;
use crate::store::audit::{self, Act};
use crate::store::outbox::{self, NewMail};
use crate::store::webhook::{self, Attempt, Ending, Endpoint, Leased, Wanted};
use crate::store::{Tx, organizer};
use crate::webhooks::open;

/// Deliveries on their way at once …
const PLACES: usize = 48;
/// … and to endpoints whose last attempt failed.
const PLACES_OF_FAILING: usize = 16;
/// To one endpoint.
const OF_EACH: i64 = 4;
/// Longer than any call (`adapters::outside`) and the writing after it.
const LEASE: Duration = Duration::seconds(40);
/// Tries before a delivery is given up: about three days.
const TRIES: i32 = 20;
const LONGEST_PAUSE: Duration = Duration::hours(12);
/// An endpoint that took nothing for so long, and failed so often, is disabled.
const FAILING: (i32, Duration) = (10, Duration::days(3));
/// New facts are looked for this often while others are on their way.
const LOOK: std::time::Duration = std::time::Duration::from_millis(250);

/// How often this job means to run; one run lasts as long as something is on its way.
pub const EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// Delivers what is due, until nothing is.
///
/// # Errors
/// Of the database.
pub async fn run(app: &AppState) -> anyhow::Result<()> {
    let mut sending: JoinSet<(Uuid, bool)> = JoinSet::new();
    let mut on_their_way: Vec<(Uuid, bool)> = Vec::new();
    loop {
        app.heartbeats.beat("webhooks", EVERY, true);
        if !app.stopping.is_cancelled() {
            let failing = app.webhooks.failing();
            for of_failing in [false, true] {
                let places = if of_failing { PLACES_OF_FAILING } else { PLACES };
                let taken = on_their_way.iter().filter(|(_, failing)| *failing == of_failing).count();
                let busy: HashSet<String> = on_their_way.iter().map(|(id, _)| id.to_string()).collect();
                let busy: Vec<String> = busy.into_iter().collect();
                let wanted = Wanted {
                    busy: &busy,
                    failing: &failing,
                    of_failing,
                    of_each: if of_failing { 1 } else { OF_EACH },
                    limit: i64::try_from(places.saturating_sub(taken)).unwrap_or(0),
                };
                if wanted.limit == 0 {
                    continue;
                }
                let mut tx = app.db.worker_platform().await?;
                let due = webhook::lease(&mut tx, &wanted, LEASE, app.clock.now()).await?;
                tx.commit().await?;
                for delivery in due {
                    on_their_way.push((delivery.endpoint_id, of_failing));
                    let app = app.clone();
                    sending.spawn(async move {
                        if let Err(e) = deliver(&app, &delivery).await {
                            tracing::warn!(delivery = %delivery.id, "a delivery's row could not be written: {e:#}");
                        }
                        (delivery.endpoint_id, of_failing)
                    });
                }
            }
        }
        if sending.is_empty() {
            return Ok(());
        }
        tokio::select! {
            Some(ended) = sending.join_next() => match ended {
                Ok(ended) => {
                    if let Some(at) = on_their_way.iter().position(|of| *of == ended) {
                        on_their_way.swap_remove(at);
                    }
                }
                Err(e) => {
                    // Whose it was is not known: its place stays taken until this run ends.
                    tracing::error!("a delivery panicked: {e}");
                }
            },
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// How one attempt went.
enum Outcome {
    Delivered(Answer),
    /// An answer, or none and why.
    Failed(Option<Answer>, String),
    /// Nothing was sent, and nothing will be.
    Over(&'static str, DeadBecause),
}

async fn deliver(app: &AppState, of: &Leased) -> anyhow::Result<()> {
    let mut tx = app.db.worker_tenant(of.organizer_id).await?;
    let endpoint = webhook::find(&mut tx, of.organizer_id, of.endpoint_id).await?;
    tx.commit().await?;
    let attempted_at = app.clock.now();
    let began = app.clock.monotonic();
    let outcome = match &endpoint {
        None => Outcome::Over("the endpoint is no more", DeadBecause::Gone),
        Some(of) if of.disabled_because.is_some() => {
            Outcome::Over("the endpoint was disabled", DeadBecause::SwitchedOff)
        }
        Some(endpoint) => attempt(app, of, endpoint).await,
    };
    let took = app.clock.monotonic().saturating_sub(began);
    let now = app.clock.now();
    let answer = match &outcome {
        Outcome::Delivered(answer) | Outcome::Failed(Some(answer), _) => Some(answer),
        Outcome::Failed(None, _) | Outcome::Over(..) => None,
    };
    let is_gone = answer.is_some_and(|answer| answer.status == 410);
    let ending = match &outcome {
        Outcome::Delivered(_) => Ending::Delivered,
        Outcome::Failed(_, error) if is_gone => Ending::Dead { error, because: DeadBecause::Refused },
        Outcome::Failed(answer, error) if of.attempts < TRIES => {
            let asked = answer.as_ref().and_then(|answer| answer.retry_after).unwrap_or_default();
            let asked = Duration::try_from(asked).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE);
            let pause = pause(of.attempts, LONGEST_PAUSE, &app.rng).max(asked);
            Ending::Failed { error, next_attempt_at: now + pause }
        }
        Outcome::Failed(_, error) => Ending::Dead { error, because: DeadBecause::Exhausted },
        Outcome::Over(error, because) => Ending::Dead { error, because: *because },
    };
    let mut tx = app.db.worker_tenant(of.organizer_id).await?;
    // The attempt was made, whoever holds the delivery now.
    if !matches!(outcome, Outcome::Over(..)) {
        let attempt = Attempt {
            attempt_id: app.rng.uuid(&*app.clock),
            attempted_at,
            duration_ms: i32::try_from(took.as_millis()).unwrap_or(i32::MAX),
            status: answer.map(|answer| answer.status.into()),
            excerpt: answer.map(|answer| answer.excerpt.clone()),
            error: match &outcome {
                Outcome::Failed(_, error) => Some(error.clone()),
                _ => None,
            },
        };
        webhook::log(&mut tx, of.organizer_id, of.id, &attempt).await?;
    }
    let (organizer_id, endpoint_id) = (of.organizer_id, of.endpoint_id);
    if matches!(outcome, Outcome::Delivered(_)) {
        webhook::note_success(&mut tx, organizer_id, endpoint_id, now).await?;
    }
    if let (Outcome::Failed(..), Some(endpoint)) = (&outcome, &endpoint)
        && webhook::note_failure(&mut tx, organizer_id, endpoint_id, is_gone, FAILING, now).await?
    {
        disabled(app, &mut tx, endpoint, is_gone).await?;
    }
    let ours = webhook::end(&mut tx, of, &ending, now).await?;
    tx.commit().await?;
    app.webhooks.note(endpoint_id, !matches!(outcome, Outcome::Failed(..)));
    if !ours {
        tracing::warn!(delivery = %of.id, "took longer than its lease and may go twice");
    }
    tracing::debug!(delivery = %of.id, kind = of.kind, attempts = of.attempts, status = ?answer.map(|a| a.status), "told");
    Ok(())
}

/// Signs and sends.
async fn attempt(app: &AppState, of: &Leased, endpoint: &Endpoint) -> Outcome {
    let now = app.clock.now();
    match sign(app, of, endpoint, now) {
        Err(e) => {
            tracing::error!(endpoint = %endpoint.endpoint_id, "a delivery cannot be signed: {e:#}");
            Outcome::Failed(None, "it could not be signed: ask whoever runs the server".to_owned())
        }
        Ok(message) => match send(&app.outside, &endpoint.url, &message).await {
            Ok(answer) if (200..300).contains(&answer.status) => Outcome::Delivered(answer),
            Ok(answer) => {
                let error = match answer.status {
                    300..=399 => format!("answered {}: redirects are not followed", answer.status),
                    status => format!("answered {status}"),
                };
                Outcome::Failed(Some(answer), error)
            }
            Err(error) => Outcome::Failed(None, error),
        },
    }
}

fn sign(
    app: &AppState,
    of: &Leased,
    endpoint: &Endpoint,
    now: time::OffsetDateTime,
) -> anyhow::Result<Signed> {
    let secrets = open(app, endpoint.endpoint_id, &endpoint.secrets_sealed)?;
    // The fact's, for all endpoints and tries alike.
    let id = of.body["id"].as_str().map_or_else(|| message_id(of.id), str::to_owned);
    let body = serde_json::to_vec(&of.body).context("a value becomes JSON")?;
    let timestamp = now.unix_timestamp();
    let secrets = in_use(&secrets, now).map(|s| s.secret.as_str());
    let signature = signature(secrets, &id, timestamp, &body).context("no secret signs")?;
    Ok(Signed { id, timestamp, signature, body })
}

/// Says to the organizer that an endpoint is told nothing any more.
async fn disabled(app: &AppState, tx: &mut Tx, of: &Endpoint, is_gone: bool) -> anyhow::Result<()> {
    let (organizer_id, now) = (of.organizer_id, app.clock.now());
    tracing::warn!(%organizer_id, endpoint = %of.endpoint_id, is_gone, "a webhook endpoint is disabled");
    let act = Act {
        audit_id: app.rng.uuid(&*app.clock),
        actor_kind: "job",
        actor_id: None,
        action: "webhook.disabled",
        object_kind: "webhook",
        object_id: of.endpoint_id,
        request_id: None,
        detail: json!({ "because": if is_gone { "gone" } else { "failing" } }),
    };
    audit::record(tx, organizer_id, &act, now).await?;
    let Some(profile) = organizer::find(tx, organizer_id).await? else { return Ok(()) };
    let facts = json!({ "url": of.url });
    let mail = NewMail {
        id: app.rng.uuid(&*app.clock),
        kind: if is_gone { "webhook.gone" } else { "webhook.failing" },
        recipient: &profile.contact_email,
        organizer_id: Some(organizer_id),
        language: "en",
        facts: &facts,
        sealed_facts: None,
        expires_at: None,
    };
    outbox::enqueue(tx, &mail, now).await?;
    Ok(())
}
