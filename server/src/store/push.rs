//! Browsers that asked for notices. Under the user's own context, or read and removed by the worker.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// A browser.
#[derive(Debug, Clone)]
pub struct Subscription {
    pub subscription_id: Uuid,
    pub user_id: Uuid,
    /// Endpoint and keys, sealed for this id.
    pub sealed: Vec<u8>,
    pub label: String,
    pub created_at: OffsetDateTime,
}

/// Adds a browser. False if somebody added it at the same moment.
pub async fn put(
    conn: &mut PgConnection,
    of: &Subscription,
    endpoint_hash: &[u8; 32],
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "insert into push_subscriptions (subscription_id, user_id, endpoint_hash, sealed, label, created_at)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (endpoint_hash) do nothing",
        of.subscription_id,
        of.user_id,
        &endpoint_hash[..],
        of.sealed,
        of.label,
        of.created_at,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets whoever had this browser before: it proved that it is there by telling its address, which nobody else knows.
/// By the worker.
pub async fn forget_endpoint(conn: &mut PgConnection, endpoint_hash: &[u8; 32]) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from push_subscriptions where endpoint_hash = $1", &endpoint_hash[..])
        .execute(conn)
        .await?;
    Ok(())
}

/// A user's browsers, the eldest first.
pub async fn of_user(conn: &mut PgConnection, user_id: Uuid) -> Result<Vec<Subscription>, sqlx::Error> {
    sqlx::query_as!(
        Subscription,
        "select subscription_id, user_id, sealed, label, created_at from push_subscriptions
          where user_id = $1 order by created_at, subscription_id",
        user_id,
    )
    .fetch_all(conn)
    .await
}

/// One, by the worker.
pub async fn find(
    conn: &mut PgConnection,
    subscription_id: Uuid,
) -> Result<Option<Subscription>, sqlx::Error> {
    sqlx::query_as!(
        Subscription,
        "select subscription_id, user_id, sealed, label, created_at from push_subscriptions where subscription_id = $1",
        subscription_id,
    )
    .fetch_optional(conn)
    .await
}

/// Removes one of the user's. False if there is none.
pub async fn remove(
    conn: &mut PgConnection,
    user_id: Uuid,
    subscription_id: Uuid,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "delete from push_subscriptions where user_id = $1 and subscription_id = $2",
        user_id,
        subscription_id,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes that something was sent there.
pub async fn sent(
    conn: &mut PgConnection,
    subscription_id: Uuid,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update push_subscriptions set last_sent_at = $2 where subscription_id = $1",
        subscription_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
