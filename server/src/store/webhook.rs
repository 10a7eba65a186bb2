//! Webhooks of organizers: endpoints, attempts, and what is told to them. A delivery is a row of the outbox whose channel
//! is `webhook` and whose recipient is the endpoint; it is written in the transaction of the fact that it tells of.

use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::domain::notification::DeadBecause;
use crate::domain::webhook::{Fact, FactType};

/// Where an organizer is told.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub organizer_id: Uuid,
    pub endpoint_id: Uuid,
    pub url: String,
    pub description: String,
    /// Empty: everything.
    pub types: Vec<String>,
    pub secrets_sealed: Vec<u8>,
    /// `by_hand`, `failing` or `gone`; none: it is told.
    pub disabled_because: Option<String>,
    pub failing_since: Option<OffsetDateTime>,
    pub failures: i32,
    pub last_success_at: Option<OffsetDateTime>,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

// Endpoints ----------------------------------------------------------------------------------------

/// All endpoints, the oldest first; under the organizer's context.
pub async fn endpoints(conn: &mut PgConnection, organizer_id: Uuid) -> Result<Vec<Endpoint>, sqlx::Error> {
    sqlx::query_as!(
        Endpoint,
        "select organizer_id, endpoint_id, url, description, types, secrets_sealed, disabled_because, failing_since,
                failures, last_success_at, created_at, updated_at
           from webhook_endpoints where organizer_id = $1 order by created_at, endpoint_id",
        organizer_id,
    )
    .fetch_all(conn)
    .await
}

/// One endpoint; under the organizer's context.
pub async fn find(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    endpoint_id: Uuid,
) -> Result<Option<Endpoint>, sqlx::Error> {
    sqlx::query_as!(
        Endpoint,
        "select organizer_id, endpoint_id, url, description, types, secrets_sealed, disabled_because, failing_since,
                failures, last_success_at, created_at, updated_at
           from webhook_endpoints where organizer_id = $1 and endpoint_id = $2",
        organizer_id,
        endpoint_id,
    )
    .fetch_optional(conn)
    .await
}

/// The same, held against other changes.
pub async fn lock(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    endpoint_id: Uuid,
) -> Result<Option<Endpoint>, sqlx::Error> {
    sqlx::query_as!(
        Endpoint,
        "select organizer_id, endpoint_id, url, description, types, secrets_sealed, disabled_because, failing_since,
                failures, last_success_at, created_at, updated_at
           from webhook_endpoints where organizer_id = $1 and endpoint_id = $2 for update",
        organizer_id,
        endpoint_id,
    )
    .fetch_optional(conn)
    .await
}

/// Adds an endpoint, unless there are `most` already. False then.
pub async fn insert(conn: &mut PgConnection, of: &Endpoint, most: i64) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "insert into webhook_endpoints (organizer_id, endpoint_id, url, description, types, secrets_sealed,
                                        disabled_because, created_at, updated_at)
         select $1, $2, $3, $4, $5, $6, $7, $8, $8
          where (select count(*) from webhook_endpoints where organizer_id = $1) < $9
         on conflict (organizer_id, endpoint_id) do nothing",
        of.organizer_id,
        of.endpoint_id,
        of.url,
        of.description,
        &of.types,
        of.secrets_sealed,
        of.disabled_because,
        of.created_at,
        most,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes a locked endpoint.
pub async fn update(conn: &mut PgConnection, of: &Endpoint) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update webhook_endpoints
            set url = $3, description = $4, types = $5, secrets_sealed = $6, disabled_because = $7, failing_since = $8,
                failures = $9, updated_at = $10
          where organizer_id = $1 and endpoint_id = $2",
        of.organizer_id,
        of.endpoint_id,
        of.url,
        of.description,
        &of.types,
        of.secrets_sealed,
        of.disabled_because,
        of.failing_since,
        of.failures,
        of.updated_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes an endpoint. What was still to be told it finds it gone. False if there was none.
pub async fn delete(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    endpoint_id: Uuid,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "delete from webhook_endpoints where organizer_id = $1 and endpoint_id = $2",
        organizer_id,
        endpoint_id,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// An endpoint has answered well.
pub async fn note_success(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    endpoint_id: Uuid,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    // Under a burst one row would be written again and again.
    sqlx::query!(
        "update webhook_endpoints set failing_since = null, failures = 0, last_success_at = $3
          where organizer_id = $1 and endpoint_id = $2
            and (failures > 0 or last_success_at is null or last_success_at < $4)",
        organizer_id,
        endpoint_id,
        now,
        now - Duration::seconds(10),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// An endpoint has failed once more. Disables it if it `is_gone`, or if it failed `most` times since `patience` ago;
/// true if this call did.
pub async fn note_failure(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    endpoint_id: Uuid,
    is_gone: bool,
    (most, patience): (i32, Duration),
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let row = sqlx::query!(
        r#"with before as (
             select disabled_because from webhook_endpoints where organizer_id = $1 and endpoint_id = $2 for update
           )
           update webhook_endpoints e
              set failures = e.failures + 1, failing_since = coalesce(e.failing_since, $3),
                  disabled_because = coalesce(e.disabled_because, case
                    when $4 then 'gone' when e.failures + 1 >= $5 and e.failing_since <= $6 then 'failing' end),
                  updated_at = $3
             from before
            where e.organizer_id = $1 and e.endpoint_id = $2
           returning before.disabled_because is null and e.disabled_because is not null as "ended!""#,
        organizer_id,
        endpoint_id,
        now,
        is_gone,
        most,
        now - patience,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.is_some_and(|row| row.ended))
}

// Telling ------------------------------------------------------------------------------------------

/// Enters facts for every endpoint that wants to hear of them, in the transaction of what happened; under the organizer's
/// context. For an endpoint that is disabled they are kept, dead, so that they can be replayed. Returns how many.
pub async fn tell(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    facts: &[Fact],
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    if facts.is_empty() {
        return Ok(0);
    }
    let rows: Vec<Value> = facts
        .iter()
        .map(|fact| {
            serde_json::json!({
                "id": fact.id, "kind": fact.of.as_str(), "event_id": fact.event_id, "booking_id": fact.booking_id,
                "body": fact.body(now),
            })
        })
        .collect();
    // The same fact for the same endpoint is the same row, however often it is entered.
    let done = sqlx::query!(
        "insert into outbox (id, channel, kind, type, recipient, organizer_id, event_id, booking_id, language, facts, status,
                             dead_because, last_error, next_attempt_at, created_at)
         select md5(f.id::text || e.endpoint_id::text)::uuid, 'webhook', f.kind, 'webhook', e.endpoint_id::text, $1,
                f.event_id, f.booking_id, 'en', f.body, case when e.disabled_because is null then 'queued' else 'dead' end,
                case when e.disabled_because is not null then 'switched_off' end,
                case when e.disabled_because is not null then 'the endpoint was disabled' end, $3, $3
           from jsonb_to_recordset($2) as f(id uuid, kind text, event_id uuid, booking_id uuid, body jsonb)
           join webhook_endpoints e on e.organizer_id = $1 and (e.types = '{}' or f.kind = any(e.types))
         on conflict (id) do nothing",
        organizer_id,
        Json(rows) as _,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Enters a fact for one endpoint, whatever it wants to hear of. Returns the delivery.
pub async fn tell_one(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    endpoint_id: Uuid,
    fact: &Fact,
    now: OffsetDateTime,
) -> Result<Uuid, sqlx::Error> {
    sqlx::query!(
        "insert into outbox (id, channel, kind, type, recipient, organizer_id, language, facts, next_attempt_at, created_at)
         values ($1, 'webhook', $2, 'webhook', $3, $4, 'en', $5, $6, $6)",
        fact.id,
        fact.of.as_str(),
        endpoint_id.to_string(),
        organizer_id,
        fact.body(now),
        now,
    )
    .execute(conn)
    .await?;
    Ok(fact.id)
}

/// A quota of which nothing is left.
#[derive(Debug, Clone)]
pub struct SoldOut {
    pub quota_id: Uuid,
    pub name: String,
    pub capacity: i32,
    pub ticket_type_ids: Vec<Uuid>,
}

/// What there is to say of quotas; under the organizer's context.
pub async fn quotas(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    ids: &[Uuid],
) -> Result<Vec<SoldOut>, sqlx::Error> {
    sqlx::query_as!(
        SoldOut,
        r#"select q.quota_id, q.name, q.capacity,
                  array(select t.ticket_type_id from ticket_types t
                         where t.organizer_id = $1 and t.quota_id = q.quota_id order by t.ticket_type_id) as "ticket_type_ids!"
             from quotas q where q.organizer_id = $1 and q.quota_id = any($2) order by q.quota_id"#,
        organizer_id,
        ids,
    )
    .fetch_all(conn)
    .await
}

// Delivering ---------------------------------------------------------------------------------------

/// A delivery that this worker holds until its lease ends.
#[derive(Debug, Clone)]
pub struct Leased {
    pub id: Uuid,
    pub organizer_id: Uuid,
    pub endpoint_id: Uuid,
    pub kind: String,
    pub body: Value,
    /// This one included.
    pub attempts: i32,
    pub leased_until: OffsetDateTime,
}

/// Which deliveries to take.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// Endpoints that something is on its way to.
    pub busy: &'a [String],
    pub failing: &'a [String],
    /// Only those that are failing, or only the others.
    pub of_failing: bool,
    pub of_each: i64,
    pub limit: i64,
}

/// Takes deliveries that are due, for `lease`; of each endpoint a few, so that none holds up the others.
pub async fn lease(
    conn: &mut PgConnection,
    wanted: &Wanted<'_>,
    lease: Duration,
    now: OffsetDateTime,
) -> Result<Vec<Leased>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        with recursive waiting(recipient) as (
          (select recipient from outbox
            where channel = 'webhook' and status in ('queued', 'failed') order by recipient limit 1)
          union all
          select (select o.recipient from outbox o
                   where o.channel = 'webhook' and o.status in ('queued', 'failed') and o.recipient > w.recipient
                   order by o.recipient limit 1)
            from waiting w where w.recipient is not null
        ), due as (
          select d.id from waiting w cross join lateral (
            select o.id, o.next_attempt_at from outbox o
             where o.channel = 'webhook' and o.status in ('queued', 'failed') and o.recipient = w.recipient
               and o.next_attempt_at <= $1 and (o.leased_until is null or o.leased_until <= $1)
             order by o.next_attempt_at, o.id limit $5
               for update skip locked) d
           where w.recipient <> all ($2) and (w.recipient = any ($3)) = $4
           order by d.next_attempt_at, d.id limit $6
        )
        update outbox set attempts = attempts + 1, leased_until = $7
         where id in (select id from due)
        returning id, organizer_id as "organizer_id!", recipient, kind, facts, attempts, leased_until as "leased_until!"
        "#,
        now,
        wanted.busy,
        wanted.failing,
        wanted.of_failing,
        wanted.of_each,
        wanted.limit,
        now + lease,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Leased {
                id: row.id,
                organizer_id: row.organizer_id,
                endpoint_id: row.recipient.parse().map_err(|e| sqlx::Error::Decode(Box::new(e)))?,
                kind: row.kind,
                body: row.facts,
                attempts: row.attempts,
                leased_until: row.leased_until,
            })
        })
        .collect()
}

/// How a delivery goes on.
#[derive(Debug, Clone)]
pub enum Ending<'a> {
    Delivered,
    /// To be tried again then.
    Failed {
        error: &'a str,
        next_attempt_at: OffsetDateTime,
    },
    Dead {
        error: &'a str,
        because: DeadBecause,
    },
}

/// Notes how an attempt ended. False if the lease had run out and another worker holds the delivery now.
pub async fn end(
    conn: &mut PgConnection,
    of: &Leased,
    ending: &Ending<'_>,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let (status, error, next, because) = match ending {
        Ending::Delivered => ("delivered", None, None, None),
        Ending::Failed { error, next_attempt_at } => ("failed", Some(*error), Some(*next_attempt_at), None),
        Ending::Dead { error, because } => ("dead", Some(*error), None, Some(because.as_str())),
    };
    let done = sqlx::query!(
        "update outbox
            set status = $3, last_error = left($4, 500), next_attempt_at = coalesce($5, next_attempt_at),
                leased_until = null, dead_because = $6, sent_at = case when $3 = 'delivered' then $7::timestamptz end,
                delivered_at = case when $3 = 'delivered' then $7::timestamptz end
          where id = $1 and leased_until = $2 and status in ('queued', 'failed')",
        of.id,
        of.leased_until,
        status,
        error,
        next,
        because,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// How one attempt went.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub attempt_id: Uuid,
    pub attempted_at: OffsetDateTime,
    pub duration_ms: i32,
    /// None: no answer came.
    pub status: Option<i32>,
    pub excerpt: Option<String>,
    pub error: Option<String>,
}

/// Writes an attempt down; under the organizer's context.
pub async fn log(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    delivery_id: Uuid,
    of: &Attempt,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into webhook_attempts (organizer_id, attempt_id, delivery_id, attempted_at, duration_ms, status, excerpt,
                                       error)
         values ($1, $2, $3, $4, $5, $6, left($7, 1000), left($8, 500))",
        organizer_id,
        of.attempt_id,
        delivery_id,
        of.attempted_at,
        of.duration_ms,
        of.status,
        of.excerpt,
        of.error,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The newest attempts of a delivery; under the organizer's context.
pub async fn attempts(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    delivery_id: Uuid,
) -> Result<Vec<Attempt>, sqlx::Error> {
    sqlx::query_as!(
        Attempt,
        "select attempt_id, attempted_at, duration_ms, status, excerpt, error from webhook_attempts
          where organizer_id = $1 and delivery_id = $2 order by attempted_at desc, attempt_id desc limit 100",
        organizer_id,
        delivery_id,
    )
    .fetch_all(conn)
    .await
}

/// Removes up to 10,000 attempts from before `before`. Returns how many.
pub async fn forget(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    before: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "delete from webhook_attempts where organizer_id = $1 and attempt_id in (
           select attempt_id from webhook_attempts where organizer_id = $1 and attempted_at < $2 limit 10000)",
        organizer_id,
        before,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

// Reading and replaying ----------------------------------------------------------------------------

/// A delivery as stored.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub id: Uuid,
    pub kind: String,
    pub body: Value,
    pub status: String,
    pub attempts: i32,
    pub because: Option<String>,
    pub last_error: Option<String>,
    pub created_at: OffsetDateTime,
    pub next_attempt_at: OffsetDateTime,
    pub delivered_at: Option<OffsetDateTime>,
}

/// An endpoint's deliveries, newest first, after a cursor; under the organizer's context.
pub async fn deliveries(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    endpoint_id: Uuid,
    of: (Option<&str>, Option<FactType>),
    before: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<Delivery>, sqlx::Error> {
    sqlx::query_as!(
        Delivery,
        "select id, kind, facts as body, status, attempts, dead_because as because, last_error, created_at,
                next_attempt_at, delivered_at
           from outbox
          where channel = 'webhook' and organizer_id = $1 and recipient = $2
            and ($3::text is null or status = $3) and ($4::text is null or kind = $4)
            and ($5::timestamptz is null or (created_at, id) < ($5, $6::uuid))
          order by created_at desc, id desc limit $7",
        organizer_id,
        endpoint_id.to_string(),
        of.0,
        of.1.map(FactType::as_str),
        before.map(|b| b.0),
        before.map(|b| b.1),
        limit,
    )
    .fetch_all(conn)
    .await
}

/// One delivery of an endpoint; under the organizer's context.
pub async fn delivery(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    endpoint_id: Uuid,
    id: Uuid,
) -> Result<Option<Delivery>, sqlx::Error> {
    sqlx::query_as!(
        Delivery,
        "select id, kind, facts as body, status, attempts, dead_because as because, last_error, created_at,
                next_attempt_at, delivered_at
           from outbox where channel = 'webhook' and organizer_id = $1 and recipient = $2 and id = $3",
        organizer_id,
        endpoint_id.to_string(),
        id,
    )
    .fetch_optional(conn)
    .await
}

/// Queues a delivery anew, with as many tries as a new one; not while it is on its way. By the worker.
pub async fn replay(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    endpoint_id: Uuid,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update outbox
            set status = 'queued', attempts = 0, next_attempt_at = $4, leased_until = null, dead_because = null,
                last_error = null, sent_at = null, delivered_at = null
          where channel = 'webhook' and organizer_id = $1 and recipient = $2 and id = $3
            and (leased_until is null or leased_until <= $4)",
        organizer_id,
        endpoint_id.to_string(),
        id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Which of an endpoint's deliveries to replay.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    /// Of facts from then on …
    pub from: OffsetDateTime,
    /// … and before then.
    pub to: OffsetDateTime,
    pub of: Option<FactType>,
    /// Also what arrived.
    pub all: bool,
}

/// The same for a range of time, up to `most` of them; the number, or `None` if there are more: none is queued then. By
/// the worker.
pub async fn replay_range(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    endpoint_id: Uuid,
    range: &Range,
    most: i64,
    now: OffsetDateTime,
) -> Result<Option<i64>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        with meant as materialized (
          select id from outbox
           where channel = 'webhook' and organizer_id = $1 and recipient = $2 and created_at >= $3 and created_at < $4
             and (status in ('failed', 'dead') or ($5 and status = 'delivered')) and ($6::text is null or kind = $6)
             and (leased_until is null or leased_until <= $8)
           limit $7::bigint + 1
        ), queued as (
          update outbox
             set status = 'queued', attempts = 0, next_attempt_at = $8, leased_until = null, dead_because = null,
                 last_error = null, sent_at = null, delivered_at = null
           where id in (select id from meant) and (select count(*) from meant) <= $7::bigint
          returning id
        )
        select (select count(*) from meant) as "meant!", (select count(*) from queued) as "queued!"
        "#,
        organizer_id,
        endpoint_id.to_string(),
        range.from,
        range.to,
        range.all,
        range.of.map(FactType::as_str),
        most,
        now,
    )
    .fetch_one(conn)
    .await?;
    Ok((row.meant <= most).then_some(row.queued))
}
