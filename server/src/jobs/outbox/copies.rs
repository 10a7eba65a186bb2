//! Copies notices to their account's other channels, as it chose. The copies are written in the transaction that
//! notes that they are made: each is made once.

use anyhow::Context as _;

use super::purpose;
use crate::app::AppState;
use crate::domain::notification::{Channel, NoticeType};
use crate::store::outbox::{self, ToCopy};
use crate::store::{Tx, phone, preferences, push};

const AT_ONCE: i64 = 100;

pub(super) async fn make(app: &AppState) -> anyhow::Result<()> {
    while !app.stopping.is_cancelled() {
        let mut tx = app.db.worker_platform().await?;
        let due = outbox::to_copy(&mut tx, AT_ONCE).await?;
        for notice in &due {
            copy(app, &mut tx, notice).await?;
        }
        let ids: Vec<_> = due.iter().map(|notice| notice.id).collect();
        outbox::copied(&mut tx, &ids).await?;
        if !due.is_empty() {
            crate::fault!("outbox.copied");
        }
        tx.commit().await?;
        if !due.is_empty() {
            crate::fault!("outbox.copies_committed");
        }
        if i64::try_from(due.len()).unwrap_or(i64::MAX) < AT_ONCE {
            break;
        }
    }
    Ok(())
}

async fn copy(app: &AppState, tx: &mut Tx, notice: &ToCopy) -> anyhow::Result<()> {
    let Some(user_id) = notice.user_id else { return Ok(()) };
    let browsers = push::of_user(tx, user_id).await?.into_iter();
    let mut to: Vec<(Channel, String)> =
        browsers.map(|browser| (Channel::Push, browser.subscription_id.to_string())).collect();
    // Where nobody sends text messages they would wait for ever.
    if app.ways.of(Channel::Sms).is_some() {
        to.extend(phone::reachable(tx, user_id).await?.map(|number| (Channel::Sms, number)));
    }
    if to.is_empty() {
        return Ok(());
    }
    let of = NoticeType::of_kind(&notice.kind);
    let preferences = preferences::of_user(tx, user_id).await?;
    for (channel, recipient) in to {
        if !preferences.allow(of, channel) {
            continue;
        }
        let id = app.rng.uuid(&*app.clock);
        // What is sealed is sealed for one row.
        let sealed = match &notice.sealed_facts {
            Some(sealed) => {
                let plain = app.master_key.open(&purpose(notice.id), sealed).context("sealed facts")?;
                Some(app.master_key.seal(&purpose(id), &plain, &app.rng))
            }
            None => None,
        };
        let (ids, to) = ((id, notice.id), (channel, recipient.as_str()));
        outbox::copy(tx, ids, to, sealed.as_deref(), app.clock.now()).await?;
    }
    Ok(())
}
