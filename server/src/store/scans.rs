//! The log: storing authentic entries once, acknowledging, and where its cursor stands. `runs` relays what was stored as
//! it was signed, `histories` reads back what folds, `online` remembers the check-ins that were decided here.

mod histories;
mod online;
mod runs;

use shared::bytes::Hash32;
use shared::ids::DeviceId;
use shared::log::entry::{Direction, EntryPlace, LogEntry};
use shared::wire::gates::Hole;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

pub use self::histories::{Pair, Waiting, entries_after, pairs_after, pairs_at, records_after, records_of};
pub use self::online::{
    NewOnlineScan, OnlineScan, event_of_code, online_scan, remember_online_scan, ticket_row,
};
pub use self::runs::{Arrived, NewRun, Page, arrived, arrived_since, certificates, insert_run, runs_after};
use super::devices::{hash, number};

/// Holes named in one acknowledgement at most: whoever closes them hears of the next.
const MAX_HOLES: i64 = 100;

/// What of a log is durable.
#[derive(Debug, Clone)]
pub struct Received {
    /// Entries 1..=acknowledged.
    pub acknowledged: u64,
    pub holes: Vec<Hole>,
}

/// Notes that `first..=last` of a log are here, and locks the log until the transaction ends. First
/// statement of an upload.
pub async fn receive(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    device: DeviceId,
    log_no: u32,
    first: u64,
    last: u64,
) -> Result<Received, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        insert into device_logs as l (organizer_id, device_id, log_no, event_id, received)
        values ($1, $2, $3, $4, int8multirange(int8range($5, $6, '[]')))
        on conflict (organizer_id, device_id, log_no) do update set received = l.received + excluded.received
        returning
          coalesce((select max(upper(r)) - 1 from unnest(l.received) r where lower(r) = 1), 0) as "acknowledged!",
          array(select lower(h) from unnest(int8multirange(int8range(1, upper(l.received))) - l.received) h
                 order by 1 limit $7) as "from!",
          array(select upper(h) - 1 from unnest(int8multirange(int8range(1, upper(l.received))) - l.received) h
                 order by 1 limit $7) as "to!"
        "#,
        organizer,
        device.0,
        i64::from(log_no),
        event,
        signed(first)?,
        signed(last)?,
        MAX_HOLES,
    )
    .fetch_one(conn)
    .await?;
    let holes = row.from.into_iter().zip(row.to);
    Ok(Received {
        acknowledged: number(row.acknowledged)?,
        holes: holes
            .map(|(from, to)| Ok(Hole { from: number(from)?, to: number(to)? }))
            .collect::<Result<_, sqlx::Error>>()?,
    })
}

fn signed(n: u64) -> Result<i64, sqlx::Error> {
    i64::try_from(n).map_err(|e| sqlx::Error::Encode(e.into()))
}

/// Stores the entries that are not yet here; returns the numbers of those that were new, rising. `entries`
/// are verified, `bytes` are theirs.
pub async fn insert(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    entries: &[(LogEntry, Hash32)],
    bytes: &[&[u8]],
    received_at: OffsetDateTime,
) -> Result<Vec<u64>, sqlx::Error> {
    let Some((first, _)) = entries.first() else { return Ok(Vec::new()) };
    let (device, log_no) = (first.place.device, first.place.log_no);
    let seqs: Vec<i64> = entries.iter().map(|(e, _)| signed(e.place.seq)).collect::<Result<_, _>>()?;
    let hashes: Vec<&[u8]> = entries.iter().map(|(_, h)| &h.0[..]).collect();
    let kinds: Vec<i16> = entries.iter().map(|(e, _)| e.kind as i16).collect();
    let outcomes: Vec<i16> = entries.iter().map(|(e, _)| e.outcome as i16).collect();
    let flags: Vec<i64> = entries.iter().map(|(e, _)| i64::from(e.flags.0)).collect();
    let lists: Vec<Option<Uuid>> = entries.iter().map(|(e, _)| e.list.map(Uuid::from)).collect();
    let tickets: Vec<Option<Uuid>> = entries.iter().map(|(e, _)| e.ticket.map(Uuid::from)).collect();
    let types: Vec<Option<i32>> = entries.iter().map(|(e, _)| e.type_no.map(i32::from)).collect();
    let gates: Vec<Option<Uuid>> = entries.iter().map(|(e, _)| e.gate.map(Uuid::from)).collect();
    let staff: Vec<Option<Uuid>> = entries.iter().map(|(e, _)| e.staff.map(Uuid::from)).collect();
    let outward: Vec<bool> = entries.iter().map(|(e, _)| e.direction == Direction::Out).collect();
    let rehearsal: Vec<bool> = entries.iter().map(|(e, _)| e.rehearsal).collect();
    let corrected: Vec<i64> = entries.iter().map(|(e, _)| e.time.corrected.0).collect();
    let errors: Vec<i64> = entries.iter().map(|(e, _)| i64::from(e.time.error_ms)).collect();
    let target = |get: fn(EntryPlace) -> Result<i64, sqlx::Error>| {
        entries.iter().map(|(e, _)| e.target.map(get).transpose()).collect::<Result<Vec<Option<i64>>, _>>()
    };
    let target_devices: Vec<Option<Uuid>> =
        entries.iter().map(|(e, _)| e.target.map(|t| t.device.0)).collect();
    let target_logs = target(|t| Ok(i64::from(t.log_no)))?;
    // A place that no log can have is no place: it is kept in the entry's own bytes.
    let target_seqs = target(|t| Ok(i64::try_from(t.seq).unwrap_or(i64::MAX)))?;
    let mut new: Vec<u64> = sqlx::query_scalar!(
        r#"insert into scans (organizer_id, event_id, device_id, log_no, received_at, seq, entry_hash, entry, kind, outcome,
                              flags, list_id, ticket_id, type_no, gate_id, staff_id, outward, rehearsal, corrected_ms,
                              error_ms, target_device_id, target_log_no, target_seq)
           select $1, $2, $3, $4, $5, r.*
             from unnest($6::bigint[], $7::bytea[], $8::bytea[], $9::smallint[], $10::smallint[], $11::bigint[],
                         $12::uuid[], $13::uuid[], $14::integer[], $15::uuid[], $16::uuid[], $17::boolean[],
                         $18::boolean[], $19::bigint[], $20::bigint[], $21::uuid[], $22::bigint[], $23::bigint[]) as r
           on conflict (organizer_id, device_id, log_no, seq, entry_hash) do nothing
           returning seq"#,
        organizer,
        event,
        device.0,
        i64::from(log_no),
        received_at,
        &seqs,
        &hashes as &[&[u8]],
        &bytes as &[&[u8]],
        &kinds,
        &outcomes,
        &flags,
        &lists as &[Option<Uuid>],
        &tickets as &[Option<Uuid>],
        &types as &[Option<i32>],
        &gates as &[Option<Uuid>],
        &staff as &[Option<Uuid>],
        &outward,
        &rehearsal,
        &corrected,
        &errors,
        &target_devices as &[Option<Uuid>],
        &target_logs as &[Option<i64>],
        &target_seqs as &[Option<i64>],
    )
    .fetch_all(&mut *conn)
    .await?
    .into_iter()
    .map(number)
    .collect::<Result<_, _>>()?;
    new.sort_unstable();
    insert_seen(conn, organizer, entries).await?;
    Ok(new)
}

/// What the entries newly knew of other logs.
async fn insert_seen(
    conn: &mut PgConnection,
    organizer: Uuid,
    entries: &[(LogEntry, Hash32)],
) -> Result<(), sqlx::Error> {
    let seen = || entries.iter().flat_map(|(e, h)| e.seen.iter().map(move |s| (e, h, s)));
    let Some((first, ..)) = seen().next() else { return Ok(()) };
    let (device, log_no) = (first.place.device, first.place.log_no);
    let seqs: Vec<i64> = seen().map(|(e, ..)| signed(e.place.seq)).collect::<Result<_, _>>()?;
    let hashes: Vec<&[u8]> = seen().map(|(_, h, _)| &h.0[..]).collect();
    let numbers: Vec<i64> = seen().map(|(.., s)| i64::from(s.number)).collect();
    let logs: Vec<i64> = seen().map(|(.., s)| i64::from(s.log_no)).collect();
    let reached: Vec<i64> = seen().map(|(.., s)| i64::try_from(s.seq).unwrap_or(i64::MAX)).collect();
    sqlx::query!(
        "insert into scan_seen (organizer_id, device_id, log_no, seq, entry_hash, other_number, other_log_no, other_seq)
         select $1, $2, $3, r.* from unnest($4::bigint[], $5::bytea[], $6::bigint[], $7::bigint[], $8::bigint[]) as r
         on conflict (organizer_id, device_id, log_no, seq, entry_hash, other_number, other_log_no) do nothing",
        organizer,
        device.0,
        i64::from(log_no),
        &seqs,
        &hashes as &[&[u8]],
        &numbers,
        &logs,
        &reached,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What of a log contradicts a run of it.
#[derive(Debug, Clone, Default)]
pub struct Neighbours {
    /// All entries at places that have several, within the run.
    pub forked: Vec<(LogEntry, Hash32)>,
    /// Hashes of the entries just before the run.
    pub before: Vec<Hash32>,
    /// The entries just after the run.
    pub after: Vec<(LogEntry, Hash32)>,
}

/// Looks at a log within and around `first..=last`.
pub async fn neighbours(
    conn: &mut PgConnection,
    organizer: Uuid,
    device: DeviceId,
    log_no: u32,
    first: u64,
    last: u64,
) -> Result<Neighbours, sqlx::Error> {
    let (first, last) = (signed(first)?, signed(last)?);
    let rows = sqlx::query!(
        r#"with log as (
             select seq, entry_hash, entry from scans
              where organizer_id = $1 and device_id = $2 and log_no = $3 and seq between $4::bigint - 1 and $5::bigint + 1
           ), forked as (
             select seq from log where seq between $4 and $5 group by seq having count(*) > 1 order by seq limit $6
           )
           select seq as "seq!", entry_hash as "entry_hash!", entry as "entry!" from log
            where seq < $4 or seq > $5 or seq in (select seq from forked)"#,
        organizer,
        device.0,
        i64::from(log_no),
        first,
        last,
        MAX_HOLES,
    )
    .fetch_all(conn)
    .await?;
    let mut out = Neighbours::default();
    for row in rows {
        let hash = hash(&row.entry_hash, "scans.entry_hash")?;
        if row.seq < first {
            out.before.push(hash);
        } else {
            let side = if row.seq > last { &mut out.after } else { &mut out.forked };
            side.push((decode(&row.entry)?, hash));
        }
    }
    Ok(out)
}

fn decode(bytes: &[u8]) -> Result<LogEntry, sqlx::Error> {
    LogEntry::from_bytes(bytes).map_err(|e| sqlx::Error::Decode(format!("scans.entry: {e}").into()))
}

/// The next value of the event's scan cursor. While it is held, no other upload of the event can fold.
pub async fn next_cursor(conn: &mut PgConnection, organizer: Uuid, event: Uuid) -> Result<u64, sqlx::Error> {
    let next = sqlx::query_scalar!(
        "insert into scan_counters as c (organizer_id, event_id, scan_seq) values ($1, $2, 1)
         on conflict (organizer_id, event_id) do update set scan_seq = c.scan_seq + 1
         returning scan_seq",
        organizer,
        event,
    )
    .fetch_one(conn)
    .await?;
    number(next)
}

/// Locks the event's scan cursor without moving it, so that what is decided on the log is still true when
/// it is written.
pub async fn lock_cursor(conn: &mut PgConnection, organizer: Uuid, event: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into scan_counters as c (organizer_id, event_id) values ($1, $2)
         on conflict (organizer_id, event_id) do update set scan_seq = c.scan_seq",
        organizer,
        event,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Where the event's scan cursor stands.
pub async fn cursor(conn: &mut PgConnection, organizer: Uuid, event: Uuid) -> Result<u64, sqlx::Error> {
    let at = sqlx::query_scalar!(
        "select scan_seq from scan_counters where organizer_id = $1 and event_id = $2",
        organizer,
        event,
    )
    .fetch_optional(conn)
    .await?;
    number(at.unwrap_or(0))
}

/// Beginning of the hash of the run's last entry that stands at that place of the cursor: another database that counts as
/// far tells another mark. Zero where no run stands, as before the first.
pub async fn mark(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    cursor: u64,
) -> Result<u32, sqlx::Error> {
    let hash = sqlx::query_scalar!(
        "select last_hash from scan_runs where organizer_id = $1 and event_id = $2 and scan_seq = $3",
        organizer,
        event,
        signed(cursor)?,
    )
    .fetch_optional(conn)
    .await?;
    let mark = hash.as_deref().and_then(<[u8]>::first_chunk::<4>);
    Ok(mark.map_or(0, |first| u32::from_be_bytes(*first)))
}

/// The newest entry of a log; locked with the log by [`receive`] or [`lock_log`].
pub async fn head(
    conn: &mut PgConnection,
    organizer: Uuid,
    device: DeviceId,
    log_no: u32,
) -> Result<Option<(u64, Hash32)>, sqlx::Error> {
    let row = sqlx::query!(
        "select seq, entry_hash from scans where organizer_id = $1 and device_id = $2 and log_no = $3
          order by seq desc limit 1",
        organizer,
        device.0,
        i64::from(log_no),
    )
    .fetch_optional(conn)
    .await?;
    row.map(|r| Ok((number(r.seq)?, hash(&r.entry_hash, "scans.entry_hash")?))).transpose()
}

/// Locks a log, so that the virtual device's entries follow one another.
pub async fn lock_log(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    device: DeviceId,
    log_no: u32,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into device_logs as l (organizer_id, device_id, log_no, event_id, received)
         values ($1, $2, $3, $4, '{}')
         on conflict (organizer_id, device_id, log_no) do update set received = l.received",
        organizer,
        device.0,
        i64::from(log_no),
        event,
    )
    .execute(conn)
    .await?;
    Ok(())
}
