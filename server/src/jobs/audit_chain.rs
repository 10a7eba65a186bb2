//! Chains the audit, organizer by organizer.

use uuid::Uuid;

use super::for_each_organizer;
use crate::app::AppState;
use crate::audit;

pub async fn run(app: &AppState) -> anyhow::Result<()> {
    for_each_organizer(app, "the audit is not chained", of_organizer).await
}

async fn of_organizer(app: &AppState, organizer_id: Uuid) -> anyhow::Result<()> {
    audit::extend(app, organizer_id).await?;
    Ok(())
}
