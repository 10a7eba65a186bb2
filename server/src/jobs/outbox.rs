//! Delivers what stands in the outbox, over every channel. A message is leased, sent without a transaction open, and
//! its row is written; a crash in between sends it again, a mail with the same Message-ID. What cannot be delivered
//! is tried again later and later, and in the end given up; it never holds up another. What its recipient switched off
//! meanwhile does not go.

mod copies;
mod news;
mod phone;
mod push;

pub(crate) use self::push::purpose as subscription_purpose;

use anyhow::Context as _;
use serde_json::{Map, Value};
use time::Duration;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use self::news::Told;
use crate::adapters::mail::{Mail, SendError};
use crate::app::{App, AppState};
use crate::clock::SharedRng;
use crate::domain::mail::compose;
use crate::domain::notification::{Channel, DeadBecause, NoticeType, Receipt, carries_key};
use crate::store::outbox::{self, Ending, Leased};
use crate::store::preferences;

/// Messages on their way at once.
const AT_ONCE: i64 = 8;
/// Rounds of that in one run.
const ROUNDS: usize = 25;
/// Looks for what is due at least so often.
const PERIOD: std::time::Duration = std::time::Duration::from_secs(1);
/// Rest for each message that was tried: a rush of mails, each with tickets to draw, leaves the processor to those who buy.
const REST: std::time::Duration = std::time::Duration::from_millis(2);
/// Longer than any conversation with a mail server.
const LEASE: Duration = Duration::minutes(5);
/// Tries before a mail is given up: about five hours.
const TRIES: i32 = 12;
const FIRST_PAUSE: Duration = Duration::seconds(10);
const LONGEST_PAUSE: Duration = Duration::hours(1);

/// Works until the server stops: as soon as a transaction of this server has put something into the outbox, and every
/// [`PERIOD`] for what is due again or came from elsewhere.
pub(super) async fn serve(app: AppState) {
    let mut period = tokio::time::interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let looks = tokio::select! {
            biased;
            () = app.stopping.cancelled() => break,
            _ = period.tick() => true,
            () = app.db.outbox_filled() => false,
        };
        let (tried, outcome) = work(&app, looks).await;
        if let Err(e) = &outcome {
            tracing::warn!(job = "outbox", "failed: {e:#}");
        }
        app.heartbeats.beat("outbox", PERIOD, outcome.is_ok());
        // Woken for each of a rush of sales it would draw their tickets as fast as it can: so it rests.
        tokio::select! {
            () = tokio::time::sleep(REST.saturating_mul(tried).min(PERIOD)) => {}
            () = app.stopping.cancelled() => {}
        }
    }
}

/// Gives up what is too late and delivers what is due, up to a limit.
///
/// # Errors
/// Of the database, or if a message was not delivered.
pub async fn run(app: &AppState) -> anyhow::Result<()> {
    work(app, true).await.1
}

/// The same, giving up only if it `looks`. How many messages were tried, and how it went.
async fn work(app: &AppState, looks: bool) -> (u32, anyhow::Result<()>) {
    let mut tried = 0;
    let outcome = async {
        if looks {
            expire(app).await?;
        }
        copies::make(app).await?;
        let channels = app.ways.open();
        let mut failed = 0_u32;
        for _ in 0..ROUNDS {
            if app.stopping.is_cancelled() || channels.is_empty() {
                break;
            }
            let mut tx = app.db.worker_platform().await?;
            let due = outbox::lease(&mut tx, &channels, AT_ONCE, LEASE, app.clock.now()).await?;
            if due.is_empty() {
                tx.commit().await?;
                break;
            }
            crate::fault!("outbox.leased");
            tx.commit().await?;
            crate::fault!("outbox.lease_committed");
            let mut sending = JoinSet::new();
            for mail in due {
                tried += 1;
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
    .await;
    (tried, outcome)
}

async fn expire(app: &AppState) -> Result<(), sqlx::Error> {
    let mut tx = app.db.worker_platform().await?;
    let expired = outbox::expire(&mut tx, app.clock.now()).await?;
    tx.commit().await?;
    if expired > 0 {
        tracing::warn!(mails = expired, "mails were not delivered in time and are given up");
    }
    Ok(())
}

/// Seals facts that nobody but the recipient of the mail `id` may know.
pub fn seal(app: &App, id: Uuid, facts: &Value) -> Vec<u8> {
    app.master_key.seal(&purpose(id), facts.to_string().as_bytes(), &app.rng)
}

fn purpose(id: Uuid) -> String {
    format!("outbox/{id}")
}

/// How one attempt went.
enum Attempt {
    Sent(Receipt),
    Failed(String),
    Over(String, DeadBecause),
}

impl From<SendError> for Attempt {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Refused(error) => Self::Over(error, DeadBecause::Refused),
            SendError::Failed(error) => Self::Failed(error),
            SendError::Gone(error) => Self::Over(error, DeadBecause::Gone),
            SendError::Unwanted(error) => Self::Over(error, DeadBecause::SwitchedOff),
        }
    }
}

/// One attempt. True if the message need not be tried again.
async fn deliver(app: &AppState, message: &Leased) -> anyhow::Result<bool> {
    let (attempt, subject) = attempt(app, message).await;
    let now = app.clock.now();
    let ending = match &attempt {
        Attempt::Sent(receipt) => Ending::Sent(receipt),
        Attempt::Failed(error) if message.attempts < TRIES => {
            Ending::Failed { error, next_attempt_at: now + pause(message.attempts, LONGEST_PAUSE, &app.rng) }
        }
        Attempt::Failed(error) => Ending::Dead { error, because: DeadBecause::Exhausted },
        Attempt::Over(error, because) => Ending::Dead { error, because: *because },
    };
    let (id, kind, channel) = (message.id, &message.kind, message.channel.as_str());
    let well = match &ending {
        Ending::Sent(_) => {
            tracing::debug!(message = %id, kind, channel, "sent");
            true
        }
        Ending::Dead { because: DeadBecause::SwitchedOff | DeadBecause::Gone, .. } => {
            tracing::debug!(message = %id, kind, channel, "not wanted, or about nothing any more");
            true
        }
        // What a provider says may repeat the address: it stands in the row, not in the log.
        Ending::Failed { .. } => {
            tracing::warn!(message = %id, channel, attempts = message.attempts, "not delivered yet");
            false
        }
        Ending::Dead { .. } => {
            tracing::error!(message = %id, kind, channel, "given up");
            false
        }
    };
    let mut tx = app.db.worker_platform().await?;
    let ours = outbox::end(&mut tx, message, &ending, subject.as_deref(), now).await?;
    crate::fault!("outbox.ended");
    tx.commit().await?;
    crate::fault!("outbox.end_committed");
    if !ours {
        tracing::warn!(message = %id, "took longer than its lease and may go twice, or its provider told of it first");
    }
    Ok(well)
}

/// Writes the message and hands it to its provider; also how its subject was written.
async fn attempt(app: &AppState, message: &Leased) -> (Attempt, Option<String>) {
    match is_wanted(app, message).await {
        Ok(true) => {}
        Ok(false) => {
            let error = "its recipient switched this off".to_owned();
            return (Attempt::Over(error, DeadBecause::SwitchedOff), None);
        }
        Err(e) => return (Attempt::Failed(e.to_string()), None),
    }
    let told = match news::of(app, message).await {
        Ok(Some(told)) => told,
        Ok(None) => {
            let error = "what it told of is over".to_owned();
            return (Attempt::Over(error, DeadBecause::Gone), None);
        }
        Err(e) => return (Attempt::Failed(format!("{e:#}")), None),
    };
    let mut mail = match write(app, message, told) {
        Ok(mail) => mail,
        // Written wrong today, written wrong tomorrow.
        Err(e) => return (Attempt::Over(format!("{e:#}"), DeadBecause::Refused), None),
    };
    match phone::is_theirs(app, message).await {
        Ok(true) => {}
        Ok(false) => {
            let error = "the number was removed".to_owned();
            return (Attempt::Over(error, DeadBecause::Gone), None);
        }
        Err(e) => return (Attempt::Failed(e.to_string()), None),
    }
    let subscription = match push::address(app, message).await {
        Ok(Some(address)) => address,
        Ok(None) => return (Attempt::Over("the browser was removed".to_owned(), DeadBecause::Gone), None),
        Err(e) => return (Attempt::Failed(format!("{e:#}")), None),
    };
    if let Some(address) = subscription {
        mail.to = address;
    }
    crate::fault!("outbox.written");
    let sent = match app.ways.of(message.channel) {
        Some(way) => way.send(&mail).await,
        None => Err(SendError::Failed("this channel is not configured".to_owned())),
    };
    crate::fault!("outbox.answered");
    if let Err(e) = push::note(app, message, &sent).await {
        tracing::warn!(message = %message.id, "its browser's row could not be written: {e}");
    }
    if let Err(e) = phone::note(app, message, &sent).await {
        tracing::warn!(message = %message.id, "its number's row could not be written: {e}");
    }
    (sent.map_or_else(Attempt::from, Attempt::Sent), Some(mail.subject))
}

/// Whether its recipient wants to hear of such things on this channel, as they chose last.
async fn is_wanted(app: &AppState, message: &Leased) -> Result<bool, sqlx::Error> {
    let of = NoticeType::of_kind(&message.kind);
    // A code was asked for a moment ago.
    let may_choose = of.may_choose(message.channel) && !carries_key(&message.kind);
    let Some(user_id) = message.about.user_id.filter(|_| may_choose) else {
        return Ok(true);
    };
    let mut tx = app.db.worker_platform().await?;
    let preferences = preferences::of_user(&mut tx, user_id).await?;
    tx.commit().await?;
    Ok(preferences.allow(of, message.channel))
}

fn write(app: &App, message: &Leased, told: Told) -> anyhow::Result<Mail> {
    let Told { mut facts, attachments } = told;
    if let Value::Object(given) = &message.facts {
        facts.extend(given.clone());
    }
    if let Some(sealed) = &message.sealed_facts {
        let plain =
            app.master_key.open(&purpose(message.id), sealed).context("the sealed facts do not open")?;
        facts.extend(
            serde_json::from_slice::<Map<String, Value>>(&plain).context("the sealed facts are none")?,
        );
    }
    let letter = compose(&message.kind, &message.language, &facts)?;
    let text = match message.channel {
        Channel::Email => letter.text(),
        Channel::Push => letter.brief().to_owned(),
        Channel::Sms => letter.short(),
    };
    Ok(Mail {
        id: message.id,
        channel: message.channel,
        kind: message.kind.clone(),
        to: message.recipient.clone(),
        link: letter.link().map(str::to_owned),
        text,
        html: letter.html(&message.language),
        subject: letter.subject,
        language: message.language.clone(),
        attachments,
        created_at: message.created_at,
    })
}

/// How long to wait after the `attempts`-th: twice as long each time, up to `longest`, half of it chance, so
/// that what failed together does not come back together.
pub(super) fn pause(attempts: i32, longest: Duration, rng: &SharedRng) -> Duration {
    let doublings = u32::try_from(attempts - 1).unwrap_or(0).min(16);
    let full = (FIRST_PAUSE * 2_i32.pow(doublings)).min(longest);
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
                let pause = pause(attempts, LONGEST_PAUSE, &rng).whole_seconds();
                assert!(pause >= longest / 2 - 1 && pause <= longest, "{attempts}: {pause}");
            }
        }
        assert_ne!(pause(5, LONGEST_PAUSE, &rng), pause(5, LONGEST_PAUSE, &rng));
    }
}
