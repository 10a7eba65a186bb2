//! Messages on their way out. Enqueued in the transaction of their cause, under whatever context that has;
//! worked off by the worker (`jobs::outbox`).

use serde_json::Value;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// A mail to send.
#[derive(Debug, Clone)]
pub struct NewMail<'a> {
    pub id: Uuid,
    /// Names the template: `auth.magic_link`.
    pub kind: &'a str,
    pub recipient: &'a str,
    /// Whose mail it is, if an organizer's.
    pub organizer_id: Option<Uuid>,
    /// A language tag (BCP 47), as `en`.
    pub language: &'a str,
    /// What the template needs: a JSON object.
    pub facts: &'a Value,
    /// The same, for links and codes: sealed for this id by `jobs::outbox::seal`.
    pub sealed_facts: Option<&'a [u8]>,
    /// Not worth sending afterwards.
    pub expires_at: Option<OffsetDateTime>,
}

/// A mail that this worker holds until its lease ends.
#[derive(Debug, Clone)]
pub struct Leased {
    pub id: Uuid,
    pub kind: String,
    pub recipient: String,
    pub language: String,
    pub facts: Value,
    pub sealed_facts: Option<Vec<u8>>,
    /// This one included.
    pub attempts: i32,
    pub created_at: OffsetDateTime,
    pub leased_until: OffsetDateTime,
}

/// How an attempt ended.
#[derive(Debug, Clone)]
pub enum Ending<'a> {
    Sent,
    /// To be tried again then.
    Failed {
        error: &'a str,
        next_attempt_at: OffsetDateTime,
    },
    /// Given up.
    Dead {
        error: &'a str,
    },
}

/// Puts a mail into the outbox.
pub async fn enqueue(
    conn: &mut PgConnection,
    mail: &NewMail<'_>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into outbox (id, channel, kind, recipient, organizer_id, language, facts, sealed_facts,
                             next_attempt_at, created_at, expires_at)
         values ($1, 'email', $2, $3, $4, $5, $6, $7, $8, $8, $9)",
        mail.id,
        mail.kind,
        mail.recipient,
        mail.organizer_id,
        mail.language,
        mail.facts,
        mail.sealed_facts,
        now,
        mail.expires_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes up to `limit` mails that are due, for `lease`. Whom another worker holds is passed over.
pub async fn lease(
    conn: &mut PgConnection,
    limit: i64,
    lease: Duration,
    now: OffsetDateTime,
) -> Result<Vec<Leased>, sqlx::Error> {
    sqlx::query_as!(
        Leased,
        r#"
        update outbox set attempts = attempts + 1, leased_until = $3
         where id in (
           select id from outbox
            where status in ('queued', 'failed') and next_attempt_at <= $1
              and (leased_until is null or leased_until <= $1)
            order by next_attempt_at, id
            limit $2
              for update skip locked)
        returning id, kind, recipient, language, facts, sealed_facts, attempts, created_at,
                  leased_until as "leased_until!"
        "#,
        now,
        limit,
        now + lease,
    )
    .fetch_all(conn)
    .await
}

/// Notes how an attempt ended. False if the lease had run out and another worker holds the mail now.
pub async fn end(
    conn: &mut PgConnection,
    mail: &Leased,
    ending: &Ending<'_>,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let (status, error, next) = match ending {
        Ending::Sent => ("sent", None, None),
        Ending::Failed { error, next_attempt_at } => ("failed", Some(*error), Some(*next_attempt_at)),
        Ending::Dead { error } => ("dead", Some(*error), None),
    };
    let done = sqlx::query!(
        "update outbox
            set status = $3, last_error = left($4, 500), next_attempt_at = coalesce($5, next_attempt_at),
                leased_until = null, sent_at = case when $3 = 'sent' then $6::timestamptz end,
                sealed_facts = case when $3 = 'failed' then sealed_facts end
          where id = $1 and leased_until = $2 and status in ('queued', 'failed')",
        mail.id,
        mail.leased_until,
        status,
        error,
        next,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives up mails that are not worth sending any more. Returns how many.
pub async fn expire(conn: &mut PgConnection, now: OffsetDateTime) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "update outbox set status = 'dead', last_error = 'it was not delivered while it was good for something',
                           leased_until = null, sealed_facts = null
          where id in (
            select id from outbox
             where status in ('queued', 'failed') and expires_at <= $1
               and (leased_until is null or leased_until <= $1)
             limit 1000 for update skip locked)",
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Removes up to 10,000 mails that were sent 30 days ago or given up 90 days ago. Returns how many.
pub async fn remove_old(conn: &mut PgConnection, now: OffsetDateTime) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "delete from outbox where id in (
           select id from outbox
            where (status = 'sent' and created_at < $1) or (status = 'dead' and created_at < $2)
            limit 10000 for update skip locked)",
        now - Duration::days(30),
        now - Duration::days(90),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
