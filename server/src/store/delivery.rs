//! What providers tell later of messages that they took. By the worker.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::notification::{Stands, Step};

/// A text message, as far as its provider's news concern it.
#[derive(Debug, Clone)]
pub struct Text {
    pub recipient: String,
    status: String,
    is_leased: bool,
    provider_ref: Option<String>,
}

impl Text {
    pub fn stands(&self) -> Stands<'_> {
        Stands { status: &self.status, is_leased: self.is_leased, provider_ref: self.provider_ref.as_deref() }
    }
}

/// The text message, locked: what is decided of it holds until the commit.
pub async fn lock(
    conn: &mut PgConnection,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<Option<Text>, sqlx::Error> {
    sqlx::query_as!(
        Text,
        r#"select recipient, status, coalesce(leased_until > $2, false) as "is_leased!", provider_ref
             from outbox where id = $1 and channel = 'sms' for update"#,
        id,
        now,
    )
    .fetch_optional(conn)
    .await
}

/// Moves a locked text message by what its provider told of the attempt `provider_ref`. What it carried goes with it.
pub async fn move_on(
    conn: &mut PgConnection,
    id: Uuid,
    provider_ref: &str,
    (step, error): (Step, Option<&str>),
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let (status, because) = match step {
        Step::Sent => ("sent", None),
        Step::Delivered => ("delivered", None),
        Step::Dead(because) => ("dead", Some(because.as_str())),
    };
    sqlx::query!(
        "update outbox
            set status = $2, dead_because = $3, provider_ref = $4, last_error = coalesce(left($5, 500), last_error),
                sent_at = case when $2 <> 'dead' then coalesce(sent_at, $6::timestamptz) end,
                delivered_at = case when $2 = 'delivered' then $6::timestamptz end,
                leased_until = null, sealed_facts = null
          where id = $1 and channel = 'sms'",
        id,
        status,
        because,
        provider_ref,
        error,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
