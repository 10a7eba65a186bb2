//! Where a push message goes: the address and keys of its browser are opened when it is sent, and the browser's row is
//! removed when its push service says that it is gone.

use anyhow::Context as _;
use uuid::Uuid;

use crate::adapters::mail::{Receipt, SendError};
use crate::app::{App, AppState};
use crate::domain::notification::Channel;
use crate::store::outbox::Leased;
use crate::store::push;

/// What a subscription's address and keys are sealed for.
pub(crate) fn purpose(subscription_id: Uuid) -> String {
    format!("push_subscriptions/{subscription_id}")
}

/// The address of a push message: `Some(None)` for one of another channel, `None` if the browser is gone.
pub(super) async fn address(app: &App, message: &Leased) -> anyhow::Result<Option<Option<String>>> {
    let Some(id) = browser(message) else { return Ok(Some(None)) };
    let mut tx = app.db.worker_platform().await?;
    let found = push::find(&mut tx, id).await?;
    tx.commit().await?;
    let Some(found) = found else { return Ok(None) };
    let plain = app.master_key.open(&purpose(id), &found.sealed).context("the subscription does not open")?;
    Ok(Some(Some(String::from_utf8(plain.to_vec()).context("the subscription is no text")?)))
}

/// Keeps of a browser that something was sent, or forgets it.
pub(super) async fn note(
    app: &AppState,
    message: &Leased,
    sent: &Result<Receipt, SendError>,
) -> Result<(), sqlx::Error> {
    let (Some(id), Some(user_id)) = (browser(message), message.about.user_id) else { return Ok(()) };
    let mut tx = app.db.worker_platform().await?;
    match sent {
        Ok(_) => push::sent(&mut tx, id, app.clock.now()).await?,
        Err(SendError::Gone(_)) => {
            push::remove(&mut tx, user_id, id).await?;
        }
        Err(_) => {}
    }
    tx.commit().await
}

fn browser(message: &Leased) -> Option<Uuid> {
    match message.channel {
        Channel::Push => message.recipient.parse().ok(),
        Channel::Email | Channel::Sms => None,
    }
}
