//! Organizers' own accounts with payment providers; under the organizer's context.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// An account as stored.
#[derive(Debug, Clone)]
pub struct PaymentAccount {
    pub account_id: Uuid,
    pub publishable_key: Option<String>,
    /// None once it was taken away.
    pub secret_key_sealed: Option<Vec<u8>>,
    pub webhook_secrets_sealed: Option<Vec<u8>>,
    /// Whose keys they are, as the provider told.
    pub provider_account: Option<String>,
    pub updated_at: OffsetDateTime,
}

/// The account with a provider, also one that was taken away.
pub async fn find(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    provider: &str,
) -> Result<Option<PaymentAccount>, sqlx::Error> {
    sqlx::query_as!(
        PaymentAccount,
        "select account_id, publishable_key, secret_key_sealed, webhook_secrets_sealed, provider_account, updated_at
           from payment_accounts where organizer_id = $1 and provider = $2",
        organizer_id,
        provider,
    )
    .fetch_optional(conn)
    .await
}

/// Puts an account in place, or its new keys. Its id, which the first call decides, stays.
pub async fn put(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    provider: &str,
    account: &PaymentAccount,
) -> Result<Uuid, sqlx::Error> {
    sqlx::query_scalar!(
        "insert into payment_accounts (organizer_id, account_id, provider, publishable_key, secret_key_sealed,
                                       webhook_secrets_sealed, provider_account, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $8, $7, $7)
         on conflict (organizer_id, provider) do update
            set publishable_key = excluded.publishable_key, secret_key_sealed = excluded.secret_key_sealed,
                webhook_secrets_sealed = excluded.webhook_secrets_sealed,
                provider_account = excluded.provider_account, updated_at = excluded.updated_at
         returning account_id",
        organizer_id,
        account.account_id,
        provider,
        account.publishable_key,
        account.secret_key_sealed,
        account.webhook_secrets_sealed,
        account.updated_at,
        account.provider_account,
    )
    .fetch_one(conn)
    .await
}

/// Takes the keys away. False if there were none.
pub async fn remove(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    provider: &str,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update payment_accounts
            set secret_key_sealed = null, webhook_secrets_sealed = null, publishable_key = null, updated_at = $3
          where organizer_id = $1 and provider = $2 and secret_key_sealed is not null",
        organizer_id,
        provider,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Leads webhooks of the account to the organizer.
pub async fn enter(conn: &mut PgConnection, organizer_id: Uuid, account_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into directory (kind, key, organizer_id) values ('payment_account', $2, $1) on conflict do nothing",
        organizer_id,
        account_id.to_string(),
    )
    .execute(conn)
    .await?;
    Ok(())
}
