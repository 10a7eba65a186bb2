//! Repeating a request is harmless: one row per Idempotency-Key in its scope.

use std::collections::HashMap;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// What a key says about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Ours to run, under this id for what it makes. `again`: somebody began it before and went silent, so
    /// that parts of it may exist.
    Run { resource_id: Uuid, again: bool },
    /// It was answered.
    Answered { status: i16, answer_sealed: Vec<u8> },
    /// Somebody is at it.
    InFlight,
    /// The key was used with another body.
    OtherBody,
}

impl Claim {
    /// Nobody began it before.
    #[must_use]
    pub const fn is_fresh(&self) -> bool {
        matches!(self, Self::Run { again: false, .. })
    }
}

/// A key in its scope, with the body it came with.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    pub organizer_id: Uuid,
    pub scope_hash: [u8; 32],
    pub body_hash: [u8; 32],
}

/// A key to be claimed; `resource_id` is used if the key is new.
#[derive(Debug, Clone, Copy)]
pub struct Claiming {
    pub key: Key,
    pub resource_id: Uuid,
}

/// Whether somebody used a key in this scope.
pub async fn is_known(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    scope_hash: &[u8; 32],
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from idempotency_keys where organizer_id = $1 and scope_hash = $2) as "known!""#,
        organizer_id,
        &scope_hash[..],
    )
    .fetch_one(conn)
    .await
}

/// Claims keys of one organizer until `leased_until`, several in one statement. Commit before running. Of the same
/// key twice among them the first is claimed, and the second is told so.
pub async fn claim(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    wanted: &[Claiming],
    now: OffsetDateTime,
    leased_until: OffsetDateTime,
) -> Result<Vec<Claim>, sqlx::Error> {
    let mut firsts: HashMap<[u8; 32], &Claiming> = HashMap::with_capacity(wanted.len());
    for want in wanted {
        firsts.entry(want.key.scope_hash).or_insert(want);
    }
    let scopes: Vec<&[u8]> = firsts.values().map(|w| &w.key.scope_hash[..]).collect();
    let bodies: Vec<&[u8]> = firsts.values().map(|w| &w.key.body_hash[..]).collect();
    let ids: Vec<Uuid> = firsts.values().map(|w| w.resource_id).collect();
    let ours = sqlx::query!(
        r#"insert into idempotency_keys as k (organizer_id, scope_hash, body_hash, resource_id, leased_until, created_at)
           select $1, a.scope_hash, a.body_hash, a.resource_id, $5, $6
             from unnest($2::bytea[], $3::bytea[], $4::uuid[]) as a(scope_hash, body_hash, resource_id)
            order by a.scope_hash
           on conflict (organizer_id, scope_hash) do update set leased_until = excluded.leased_until
            where k.body_hash = excluded.body_hash and k.leased_until <= $6
           returning scope_hash, resource_id"#,
        organizer_id,
        &scopes as &[&[u8]],
        &bodies as &[&[u8]],
        &ids,
        leased_until,
        now,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut claims = Vec::with_capacity(wanted.len());
    for want in wanted {
        let first = firsts.get(&want.key.scope_hash).is_some_and(|f| f.resource_id == want.resource_id);
        if !first {
            claims.push(known(conn, want).await?);
            continue;
        }
        claims.push(match ours.iter().find(|row| row.scope_hash == want.key.scope_hash) {
            Some(row) => {
                Claim::Run { resource_id: row.resource_id, again: row.resource_id != want.resource_id }
            }
            None => known(conn, want).await?,
        });
    }
    Ok(claims)
}

/// What a key says that is not ours to run.
async fn known(
    conn: &mut PgConnection,
    Claiming { key, resource_id }: &Claiming,
) -> Result<Claim, sqlx::Error> {
    let row = sqlx::query!(
        "select resource_id, body_hash, status, answer_sealed from idempotency_keys
          where organizer_id = $1 and scope_hash = $2",
        key.organizer_id,
        &key.scope_hash,
    )
    .fetch_one(conn)
    .await?;
    Ok(match (row.status, row.answer_sealed) {
        _ if row.body_hash != key.body_hash => Claim::OtherBody,
        (Some(status), Some(answer_sealed)) => Claim::Answered { status, answer_sealed },
        // Ours: it was claimed in a transaction whose commit was durable and not heard of.
        _ if row.resource_id == *resource_id => Claim::Run { resource_id: *resource_id, again: false },
        _ => Claim::InFlight,
    })
}

/// An answer to be stored.
#[derive(Debug, Clone)]
pub struct Answered {
    pub key: Key,
    pub status: i16,
    pub answer_sealed: Vec<u8>,
}

/// Stores answers for keys of one organizer, several in one statement. A second answer for a key is ignored.
pub async fn answer(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    answers: &[Answered],
) -> Result<(), sqlx::Error> {
    let scopes: Vec<Vec<u8>> = answers.iter().map(|a| a.key.scope_hash.to_vec()).collect();
    let statuses: Vec<i16> = answers.iter().map(|a| a.status).collect();
    let sealed: Vec<Vec<u8>> = answers.iter().map(|a| a.answer_sealed.clone()).collect();
    sqlx::query!(
        "update idempotency_keys k set leased_until = null, status = a.status, answer_sealed = a.sealed
           from unnest($2::bytea[], $3::smallint[], $4::bytea[]) as a(scope_hash, status, sealed)
          where k.organizer_id = $1 and k.scope_hash = a.scope_hash and k.leased_until is not null",
        organizer_id,
        &scopes,
        &statuses,
        &sealed,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives the key back unanswered: who repeats the request runs it again at once, under the same id.
pub async fn give_back(conn: &mut PgConnection, key: &Key, now: OffsetDateTime) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update idempotency_keys set leased_until = $3
          where organizer_id = $1 and scope_hash = $2 and leased_until is not null",
        key.organizer_id,
        &key.scope_hash,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets keys of before `until`: answered, given back, or left by somebody who went silent.
pub async fn forget(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    until: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "delete from idempotency_keys where organizer_id = $1 and created_at < $2 and (leased_until is null or leased_until < $2)",
        organizer_id,
        until,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
