//! Messages on their way out, over every channel. Enqueued in the transaction of their cause, under whatever context
//! that has; worked off by the worker (`jobs::outbox`). What organizers' webhooks are told stands in the same table, of the
//! channel `webhook`: `store::webhook`.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::domain::notification::{Channel, DeadBecause, NoticeType, Receipt, carries_key};

/// Statements of this process that put something into the outbox, committed or not.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

/// How many statements of this process put something into the outbox so far, committed or not. If it changed while a
/// transaction was open, that may have been the transaction.
pub(super) fn written() -> u64 {
    WRITTEN.load(Ordering::Relaxed)
}

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

/// What a message is about, as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct About {
    /// Whose account it goes to.
    pub user_id: Option<Uuid>,
    pub event_id: Option<Uuid>,
    pub booking_id: Option<Uuid>,
}

/// A message that this worker holds until its lease ends.
#[derive(Debug, Clone)]
pub struct Leased {
    pub id: Uuid,
    pub channel: Channel,
    pub kind: String,
    /// A mail's address.
    pub recipient: String,
    pub organizer_id: Option<Uuid>,
    pub about: About,
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
    Sent(&'a Receipt),
    /// To be tried again then.
    Failed {
        error: &'a str,
        next_attempt_at: OffsetDateTime,
    },
    /// Given up.
    Dead {
        error: &'a str,
        because: DeadBecause,
    },
}

/// Puts a mail into the outbox. Under no organizer's context the account of its address is noted with it.
pub async fn enqueue(
    conn: &mut PgConnection,
    mail: &NewMail<'_>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    enqueue_about(conn, mail, About::default(), now).await
}

/// The same, and says what it is about.
pub async fn enqueue_about(
    conn: &mut PgConnection,
    mail: &NewMail<'_>,
    about: About,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    WRITTEN.fetch_add(1, Ordering::Relaxed);
    sqlx::query!(
        "insert into outbox (id, channel, kind, type, recipient, organizer_id, user_id, event_id, booking_id, language,
                             facts, sealed_facts, next_attempt_at, created_at, expires_at, to_copy)
         values ($1, 'email', $2, $3, $4, $5, coalesce($6, (select id from users where email = $4::text::citext)),
                 $7, $8, $9, $10, $11, $12, $12, $13, $14)",
        mail.id,
        mail.kind,
        NoticeType::of_kind(mail.kind).as_str(),
        mail.recipient,
        mail.organizer_id,
        about.user_id,
        about.event_id,
        about.booking_id,
        mail.language,
        mail.facts,
        mail.sealed_facts,
        now,
        mail.expires_at,
        !carries_key(mail.kind),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Puts a text message to an account into the outbox; its recipient is a number.
pub async fn enqueue_text(
    conn: &mut PgConnection,
    text: &NewMail<'_>,
    user_id: Uuid,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    WRITTEN.fetch_add(1, Ordering::Relaxed);
    sqlx::query!(
        "insert into outbox (id, channel, kind, type, recipient, organizer_id, user_id, language, facts, sealed_facts,
                             next_attempt_at, created_at, expires_at)
         values ($1, 'sms', $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11)",
        text.id,
        text.kind,
        NoticeType::of_kind(text.kind).as_str(),
        text.recipient,
        text.organizer_id,
        user_id,
        text.language,
        text.facts,
        text.sealed_facts,
        now,
        text.expires_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Somebody that many are written to at once.
#[derive(Debug, Clone)]
pub struct Recipient {
    pub email: String,
    pub user_id: Option<Uuid>,
    pub language: String,
}

/// The same mail to many; nothing of it is sealed. `ids` has one for each recipient.
pub async fn enqueue_many(
    conn: &mut PgConnection,
    mail: &NewMail<'_>,
    event_id: Uuid,
    to: &[(Uuid, Recipient)],
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let ids: Vec<Uuid> = to.iter().map(|(id, _)| *id).collect();
    let emails: Vec<String> = to.iter().map(|(_, r)| r.email.clone()).collect();
    let languages: Vec<String> = to.iter().map(|(_, r)| r.language.clone()).collect();
    // No array of optional ids: the nil one is nobody's.
    let users: Vec<Uuid> = to.iter().map(|(_, r)| r.user_id.unwrap_or_default()).collect();
    WRITTEN.fetch_add(1, Ordering::Relaxed);
    let done = sqlx::query!(
        "insert into outbox (id, channel, kind, type, recipient, organizer_id, user_id, event_id, language, facts,
                             next_attempt_at, created_at, expires_at, to_copy)
         select r.id, 'email', $1, $2, r.email, $3,
                nullif(r.user_id, '00000000-0000-0000-0000-000000000000'), $4, r.language, $5, $6, $6, $7, true
           from unnest($8::uuid[], $9::text[], $10::uuid[], $11::text[]) as r(id, email, user_id, language)",
        mail.kind,
        NoticeType::of_kind(mail.kind).as_str(),
        mail.organizer_id,
        event_id,
        mail.facts,
        now,
        mail.expires_at,
        &ids,
        &emails,
        &users,
        &languages,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// A mail of one kind to the buyer of each of these bookings, in the buyer's language; what it says of the booking is
/// read when it is sent. `mails` are (mail, booking). Bookings without an address are passed over. Under the
/// organizer's context.
pub async fn enqueue_bookings(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    kind: &str,
    mails: &[(Uuid, Uuid)],
    facts: &Value,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if mails.is_empty() {
        return Ok(());
    }
    let (ids, bookings): (Vec<Uuid>, Vec<Uuid>) = mails.iter().copied().unzip();
    WRITTEN.fetch_add(1, Ordering::Relaxed);
    sqlx::query!(
        "insert into outbox (id, channel, kind, type, recipient, organizer_id, user_id, event_id, booking_id, language,
                             facts, next_attempt_at, created_at, to_copy)
         select m.id, 'email', $2, $3, b.email, $1, b.user_id, b.event_id, b.booking_id, b.language, $4, $5, $5, true
           from unnest($6::uuid[], $7::uuid[]) as m(id, booking_id)
           join bookings b on b.organizer_id = $1 and b.booking_id = m.booking_id
          where b.email is not null",
        organizer_id,
        kind,
        NoticeType::of_kind(kind).as_str(),
        facts,
        now,
        &ids,
        &bookings,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes up to `limit` messages of `channels` that are due, for `lease`. What another worker holds is passed over.
pub async fn lease(
    conn: &mut PgConnection,
    channels: &[Channel],
    limit: i64,
    lease: Duration,
    now: OffsetDateTime,
) -> Result<Vec<Leased>, sqlx::Error> {
    let channels: Vec<String> = channels.iter().map(|c| c.as_str().to_owned()).collect();
    let rows = sqlx::query!(
        r#"
        update outbox set attempts = attempts + 1, leased_until = $3
         where id in (
           select id from outbox
            where status in ('queued', 'failed') and next_attempt_at <= $1 and channel = any($4)
              and (leased_until is null or leased_until <= $1)
            order by next_attempt_at, id
            limit $2
              for update skip locked)
        returning id, channel, kind, recipient, organizer_id, user_id, event_id, booking_id, language, facts,
                  sealed_facts, attempts, created_at, leased_until as "leased_until!"
        "#,
        now,
        limit,
        now + lease,
        &channels,
    )
    .fetch_all(conn)
    .await?;
    let leased = rows.into_iter().map(|row| Leased {
        id: row.id,
        channel: Channel::from_column(&row.channel),
        kind: row.kind,
        recipient: row.recipient,
        organizer_id: row.organizer_id,
        about: About { user_id: row.user_id, event_id: row.event_id, booking_id: row.booking_id },
        language: row.language,
        facts: row.facts,
        sealed_facts: row.sealed_facts,
        attempts: row.attempts,
        created_at: row.created_at,
        leased_until: row.leased_until,
    });
    Ok(leased.collect())
}

/// Notes how an attempt ended, and how its subject was written. False if the lease had run out and another worker
/// holds the message now. What a mail carries of keys goes with its end; what opens a ticket stays, sealed, with a
/// mail that is given up, so that it can be sent again.
pub async fn end(
    conn: &mut PgConnection,
    message: &Leased,
    ending: &Ending<'_>,
    subject: Option<&str>,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let (status, error, next, because) = match ending {
        Ending::Sent(receipt) if receipt.delivered => ("delivered", None, None, None),
        Ending::Sent(_) => ("sent", None, None, None),
        Ending::Failed { error, next_attempt_at } => ("failed", Some(*error), Some(*next_attempt_at), None),
        Ending::Dead { error, because } => ("dead", Some(*error), None, Some(*because)),
    };
    let provider_ref = match ending {
        Ending::Sent(receipt) => receipt.provider_ref.as_deref(),
        _ => None,
    };
    let keeps_facts = match because {
        Some(because) => because.may_replay() && !carries_key(&message.kind),
        None => status == "failed",
    };
    let done = sqlx::query!(
        "update outbox
            set status = $3, last_error = left($4, 500), next_attempt_at = coalesce($5, next_attempt_at),
                leased_until = null, sent_at = case when $3 in ('sent', 'delivered') then $6::timestamptz end,
                delivered_at = case when $3 = 'delivered' then $6::timestamptz end,
                sealed_facts = case when $7 then sealed_facts end, dead_because = $8,
                provider_ref = coalesce($9, provider_ref), subject = coalesce(left($10, 400), subject)
          where id = $1 and leased_until = $2 and status in ('queued', 'failed')",
        message.id,
        message.leased_until,
        status,
        error,
        next,
        now,
        keeps_facts,
        because.map(DeadBecause::as_str),
        provider_ref,
        subject,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives up messages that are not worth sending any more. Returns how many.
pub async fn expire(conn: &mut PgConnection, now: OffsetDateTime) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "update outbox set status = 'dead', dead_because = 'expired', leased_until = null, sealed_facts = null,
                           last_error = 'it was not delivered while it was good for something'
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

/// Removes up to 10,000 messages that were sent 30 days ago or given up 90 days ago. Returns how many.
pub async fn remove_old(conn: &mut PgConnection, now: OffsetDateTime) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "delete from outbox where id in (
           select id from outbox
            where (status in ('sent', 'delivered') and created_at < $1) or (status = 'dead' and created_at < $2)
            limit 10000 for update skip locked)",
        now - Duration::days(30),
        now - Duration::days(90),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

// Copies ------------------------------------------------------------------------------------------

/// A notice whose copies are still to be made.
#[derive(Debug, Clone)]
pub struct ToCopy {
    pub id: Uuid,
    pub kind: String,
    pub user_id: Option<Uuid>,
    pub sealed_facts: Option<Vec<u8>>,
}

/// Up to `limit` of them, locked; those that another worker copies are passed over.
pub async fn to_copy(conn: &mut PgConnection, limit: i64) -> Result<Vec<ToCopy>, sqlx::Error> {
    sqlx::query_as!(
        ToCopy,
        "select id, kind, user_id, sealed_facts from outbox where to_copy
          order by created_at limit $1 for update skip locked",
        limit,
    )
    .fetch_all(conn)
    .await
}

/// A copy of a notice to another channel; once for each recipient there.
pub async fn copy(
    conn: &mut PgConnection,
    (id, of): (Uuid, Uuid),
    (channel, recipient): (Channel, &str),
    sealed_facts: Option<&[u8]>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into outbox (id, channel, kind, type, recipient, organizer_id, user_id, event_id, booking_id, language,
                             facts, sealed_facts, next_attempt_at, created_at, expires_at, copy_of)
         select $1, $3, kind, type, $4, organizer_id, user_id, event_id, booking_id, language, facts, $5, $6, created_at,
                expires_at, id
           from outbox where id = $2
         on conflict do nothing",
        id,
        of,
        channel.as_str(),
        recipient,
        sealed_facts,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The copies of these are made.
pub async fn copied(conn: &mut PgConnection, ids: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query!("update outbox set to_copy = false where id = any($1)", ids).execute(conn).await?;
    Ok(())
}

// Reading -----------------------------------------------------------------------------------------

/// A notice to an account.
#[derive(Debug, Clone)]
pub struct Notice {
    pub id: Uuid,
    pub channel: Channel,
    pub kind: String,
    pub notice_type: String,
    pub subject: Option<String>,
    pub organizer_id: Option<Uuid>,
    pub event_id: Option<Uuid>,
    pub booking_id: Option<Uuid>,
    pub status: String,
    pub created_at: OffsetDateTime,
    pub sent_at: Option<OffsetDateTime>,
    pub delivered_at: Option<OffsetDateTime>,
}

/// A user's notices of the last weeks, newest first, after a cursor; under the user's context. `of_type` filters.
pub async fn of_user(
    conn: &mut PgConnection,
    user_id: Uuid,
    of_type: Option<NoticeType>,
    channel: Option<Channel>,
    before: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<Notice>, sqlx::Error> {
    let rows = sqlx::query!(
        "select id, channel, kind, type as notice_type, subject, organizer_id, event_id, booking_id, status, created_at,
                sent_at, delivered_at
           from outbox
          where user_id = $1 and ($2::text is null or type = $2) and ($3::text is null or channel = $3)
            and ($4::timestamptz is null or (created_at, id) < ($4, $5::uuid))
          order by created_at desc, id desc limit $6",
        user_id,
        of_type.map(NoticeType::as_str),
        channel.map(Channel::as_str),
        before.map(|b| b.0),
        before.map(|b| b.1),
        limit,
    )
    .fetch_all(conn)
    .await?;
    let notices = rows.into_iter().map(|row| Notice {
        id: row.id,
        channel: Channel::from_column(&row.channel),
        kind: row.kind,
        notice_type: row.notice_type,
        subject: row.subject,
        organizer_id: row.organizer_id,
        event_id: row.event_id,
        booking_id: row.booking_id,
        status: row.status,
        created_at: row.created_at,
        sent_at: row.sent_at,
        delivered_at: row.delivered_at,
    });
    Ok(notices.collect())
}

/// A message that was given up.
#[derive(Debug, Clone)]
pub struct Dead {
    pub id: Uuid,
    pub channel: Channel,
    pub kind: String,
    pub recipient: String,
    pub organizer_id: Option<Uuid>,
    pub attempts: i32,
    pub because: DeadBecause,
    pub last_error: Option<String>,
    pub created_at: OffsetDateTime,
}

/// Dead letters, newest first, after a cursor; under an administrator's context or the worker's.
pub async fn dead(
    conn: &mut PgConnection,
    before: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<Dead>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select id, channel, kind, recipient, organizer_id, attempts, dead_because as "because!", last_error, created_at
             from outbox
            where status = 'dead' and dead_because <> 'switched_off' and channel <> 'webhook'
              and ($1::timestamptz is null or (created_at, id) < ($1, $2::uuid))
            order by created_at desc, id desc limit $3"#,
        before.map(|b| b.0),
        before.map(|b| b.1),
        limit,
    )
    .fetch_all(conn)
    .await?;
    let dead = rows.into_iter().map(|row| Dead {
        id: row.id,
        channel: Channel::from_column(&row.channel),
        kind: row.kind,
        recipient: row.recipient,
        organizer_id: row.organizer_id,
        attempts: row.attempts,
        because: DeadBecause::from_column(&row.because),
        last_error: row.last_error,
        created_at: row.created_at,
    });
    Ok(dead.collect())
}

/// (kind, why it is dead, its organizer) of a dead letter; locks it. By the worker.
pub async fn lock_dead(
    conn: &mut PgConnection,
    id: Uuid,
) -> Result<Option<(String, DeadBecause, Option<Uuid>)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select kind, dead_because as "because!", organizer_id from outbox
            where id = $1 and status = 'dead' and channel <> 'webhook' for update"#,
        id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (row.kind, DeadBecause::from_column(&row.because), row.organizer_id)))
}

/// Queues a locked dead letter again, with as many tries as a new one. By the worker.
pub async fn replay(conn: &mut PgConnection, id: Uuid, now: OffsetDateTime) -> Result<(), sqlx::Error> {
    WRITTEN.fetch_add(1, Ordering::Relaxed);
    sqlx::query!(
        "update outbox set status = 'queued', dead_because = null, last_error = null, attempts = 0, next_attempt_at = $2
          where id = $1 and status = 'dead'",
        id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
