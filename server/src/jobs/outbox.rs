//! Delivers what stands in the outbox. A mail is leased, sent without a transaction open, and its row is
//! written; a crash in between sends it again, with the same Message-ID. A mail that cannot be delivered
//! is tried again later and later, and in the end given up; it never holds up another.

use anyhow::Context as _;
use serde_json::{Map, Value};
use time::Duration;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::adapters::mail::{Mail, SendError};
use crate::app::{App, AppState};
use crate::clock::SharedRng;
use crate::domain::mail::compose;
use crate::store::outbox::{self, Ending, Leased};

/// Mails on their way at once.
const AT_ONCE: i64 = 8;
/// Longer than any conversation with a mail server.
const LEASE: Duration = Duration::minutes(5);
/// Tries before a mail is given up: about five hours.
const TRIES: i32 = 12;
const FIRST_PAUSE: Duration = Duration::seconds(10);
const LONGEST_PAUSE: Duration = Duration::hours(1);

pub async fn run(app: &AppState) -> anyhow::Result<()> {
    let now = app.clock.now();
    let mut tx = app.db.worker_platform().await?;
    let expired = outbox::expire(&mut tx, now).await?;
    tx.commit().await?;
    if expired > 0 {
        tracing::warn!(mails = expired, "mails were not delivered in time and are given up");
    }
    if app.mail.mailer().is_none() {
        return Ok(());
    }
    let mut failed = 0_u32;
    while !app.stopping.is_cancelled() {
        let mut tx = app.db.worker_platform().await?;
        let due = outbox::lease(&mut tx, AT_ONCE, LEASE, app.clock.now()).await?;
        tx.commit().await?;
        if due.is_empty() {
            break;
        }
        let mut sending = JoinSet::new();
        for mail in due {
            let app = app.clone();
            sending.spawn(async move { deliver(&app, &mail).await });
        }
        while let Some(outcome) = sending.join_next().await {
            match outcome {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => failed += 1,
                Ok(Err(e)) => {
                    failed += 1;
                    tracing::warn!("a mail's row could not be written: {e:#}");
                }
                Err(e) => {
                    failed += 1;
                    tracing::error!("sending a mail panicked: {e}");
                }
            }
        }
    }
    anyhow::ensure!(failed == 0, "{failed} mails were not delivered");
    Ok(())
}

/// Seals facts that nobody but the recipient of the mail `id` may know.
pub fn seal(app: &App, id: Uuid, facts: &Value) -> Vec<u8> {
    app.master_key.seal(&purpose(id), facts.to_string().as_bytes(), &app.rng)
}

fn purpose(id: Uuid) -> String {
    format!("outbox/{id}")
}

/// One attempt. True if the mail is delivered.
async fn deliver(app: &AppState, mail: &Leased) -> anyhow::Result<bool> {
    let outcome = match write(app, mail) {
        Ok(letter) => match app.mail.mailer() {
            Some(mailer) => mailer.send(&letter).await,
            None => Err(SendError::Failed("mail is not configured".to_owned())),
        },
        // Written wrong today, written wrong tomorrow.
        Err(e) => Err(SendError::Refused(format!("{e:#}"))),
    };
    let now = app.clock.now();
    let ending = match &outcome {
        Ok(()) => Ending::Sent,
        Err(SendError::Failed(error)) if mail.attempts < TRIES => {
            Ending::Failed { error, next_attempt_at: now + pause(mail.attempts, &app.rng) }
        }
        Err(SendError::Failed(error) | SendError::Refused(error)) => Ending::Dead { error },
    };
    match &ending {
        Ending::Sent => tracing::debug!(mail = %mail.id, kind = mail.kind, "delivered"),
        // What a mail server says may repeat the address: it stands in the row, not in the log.
        Ending::Failed { .. } => {
            tracing::warn!(mail = %mail.id, attempts = mail.attempts, "not delivered yet")
        }
        Ending::Dead { .. } => tracing::error!(mail = %mail.id, kind = mail.kind, "given up"),
    }
    let mut tx = app.db.worker_platform().await?;
    let ours = outbox::end(&mut tx, mail, &ending, now).await?;
    tx.commit().await?;
    if !ours {
        tracing::warn!(mail = %mail.id, "took longer than its lease and may go twice");
    }
    Ok(outcome.is_ok())
}

fn write(app: &App, mail: &Leased) -> anyhow::Result<Mail> {
    let mut facts = match &mail.facts {
        Value::Object(facts) => facts.clone(),
        _ => Map::new(),
    };
    if let Some(sealed) = &mail.sealed_facts {
        let plain = app.master_key.open(&purpose(mail.id), sealed).context("the sealed facts do not open")?;
        facts.extend(
            serde_json::from_slice::<Map<String, Value>>(&plain).context("the sealed facts are none")?,
        );
    }
    let letter = compose(&mail.kind, &mail.language, &facts)?;
    Ok(Mail {
        id: mail.id,
        kind: mail.kind.clone(),
        to: mail.recipient.clone(),
        text: letter.text(),
        html: letter.html(&mail.language),
        subject: letter.subject,
        language: mail.language.clone(),
        created_at: mail.created_at,
    })
}

/// How long to wait after the `attempts`-th: twice as long each time, up to an hour, half of it chance, so
/// that what failed together does not come back together.
fn pause(attempts: i32, rng: &SharedRng) -> Duration {
    let doublings = u32::try_from(attempts - 1).unwrap_or(0).min(16);
    let full = (FIRST_PAUSE * 2_i32.pow(doublings)).min(LONGEST_PAUSE);
    let half: Duration = full / 2;
    let millis = u64::try_from(half.whole_milliseconds()).unwrap_or(0);
    let chance = u64::from_le_bytes(rng.bytes()) % (millis + 1);
    half + Duration::milliseconds(chance.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_an_hour_and_differ() {
        let rng = SharedRng::seeded(1);
        for (attempts, longest) in [(1, 10), (2, 20), (5, 160), (9, 2_560), (10, 3_600), (12, 3_600)] {
            for _ in 0..50 {
                let pause = pause(attempts, &rng).whole_seconds();
                assert!(pause >= longest / 2 - 1 && pause <= longest, "{attempts}: {pause}");
            }
        }
        assert_ne!(pause(5, &rng), pause(5, &rng));
    }
}
