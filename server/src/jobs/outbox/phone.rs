//! Whose number a text message goes to: looked up when it is sent, so that nothing goes to a number that was changed or
//! removed meanwhile; and what its provider says of it.

use crate::adapters::mail::{Receipt, SendError};
use crate::app::{App, AppState};
use crate::domain::notification::{Channel, carries_key};
use crate::store::outbox::Leased;
use crate::store::phone;

/// Whether the number is still its account's. A code goes to one that is not yet.
pub(super) async fn is_theirs(app: &App, message: &Leased) -> Result<bool, sqlx::Error> {
    let Some(user_id) = message.about.user_id.filter(|_| is_text(message) && !carries_key(&message.kind))
    else {
        return Ok(true);
    };
    let mut tx = app.db.worker_platform().await?;
    let number = phone::reachable(&mut tx, user_id).await?;
    tx.commit().await?;
    Ok(number.is_some_and(|number| number == message.recipient))
}

/// Keeps of a number that nothing more may go there.
pub(super) async fn note(
    app: &AppState,
    message: &Leased,
    sent: &Result<Receipt, SendError>,
) -> Result<(), sqlx::Error> {
    if !(is_text(message) && matches!(sent, Err(SendError::Unwanted(_)))) {
        return Ok(());
    }
    let mut tx = app.db.worker_platform().await?;
    phone::stop(&mut tx, &message.recipient, app.clock.now()).await?;
    tx.commit().await
}

fn is_text(message: &Leased) -> bool {
    message.channel == Channel::Sms
}
