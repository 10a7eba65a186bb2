//! What accounts chose to hear of, and how. Under the user's own context, or read by the worker.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::notification::{Channel, NoticeType, Preferences};

/// What an account chose; the rest is as by default.
pub async fn of_user(conn: &mut PgConnection, user_id: Uuid) -> Result<Preferences, sqlx::Error> {
    let rows = sqlx::query!(
        "select type as of, channel, enabled from notification_preferences where user_id = $1",
        user_id
    )
    .fetch_all(conn)
    .await?;
    Ok(Preferences::new(rows.into_iter().filter_map(|row| {
        Some((NoticeType::from_column(&row.of)?, Channel::from_column(&row.channel), row.enabled))
    })))
}

/// Keeps choices.
pub async fn choose(
    conn: &mut PgConnection,
    user_id: Uuid,
    choices: &[(NoticeType, Channel, bool)],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let types: Vec<String> = choices.iter().map(|c| c.0.as_str().to_owned()).collect();
    let channels: Vec<String> = choices.iter().map(|c| c.1.as_str().to_owned()).collect();
    let enabled: Vec<bool> = choices.iter().map(|c| c.2).collect();
    sqlx::query!(
        "insert into notification_preferences (user_id, type, channel, enabled, updated_at)
         select $1, c.of, c.channel, c.enabled, $5 from unnest($2::text[], $3::text[], $4::boolean[]) as c(of, channel, enabled)
         on conflict (user_id, type, channel) do update
            set enabled = excluded.enabled, updated_at = excluded.updated_at",
        user_id,
        &types,
        &channels,
        &enabled,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
