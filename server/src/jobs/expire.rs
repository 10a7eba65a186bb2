//! Lets holds expire that ran out, organizer by organizer, and forgets old idempotency keys and codes.

use time::Duration;

use super::for_each_organizer;
use crate::app::AppState;
use crate::store::{booking, guest_code, idempotency, question};

const AT_ONCE: i64 = 200;
/// An answer can be repeated for this long.
const REMEMBERED: Duration = Duration::hours(48);
/// Codes of mails are kept for this long once they are over.
const CODES: Duration = Duration::days(1);
/// Who would have come with tickets that nobody bought is forgotten; a payment may be days late.
const UNBOUGHT: Duration = Duration::days(14);

pub async fn run(app: &AppState) -> anyhow::Result<()> {
    for_each_organizer(app, "holds do not expire", of_organizer).await
}

async fn of_organizer(app: &AppState, organizer_id: uuid::Uuid) -> anyhow::Result<()> {
    loop {
        let now = app.clock.now();
        let mut tx = app.db.worker_tenant(organizer_id).await?;
        let expired = booking::expire(&mut tx, organizer_id, AT_ONCE, now).await?;
        idempotency::forget(&mut tx, organizer_id, now - REMEMBERED).await?;
        guest_code::forget(&mut tx, organizer_id, now - CODES).await?;
        question::forget(&mut tx, organizer_id, now - UNBOUGHT).await?;
        tx.commit().await?;
        if !expired.is_empty() {
            tracing::debug!(%organizer_id, holds = expired.len(), "expired");
        }
        if i64::try_from(expired.len()).unwrap_or(i64::MAX) < AT_ONCE {
            return Ok(());
        }
    }
}
