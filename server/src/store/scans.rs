//! The log: storing authentic entries once, acknowledging, relaying runs, and reading back what folds.

use shared::admission::history::Record;
use shared::bytes::{Hash32, Signature64};
use shared::ids::{DeviceId, EventId, ListId, TicketId};
use shared::log::entry::{Direction, EntryPlace, LogEntry};
use shared::manifest::rows::{TicketRow, TicketState};
use shared::wire::gates::{Hole, Run};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::devices::{corrupt, hash, number};

/// Holes named in one acknowledgement at most: whoever closes them hears of the next.
const MAX_HOLES: i64 = 100;
/// Runs looked at for one page at most.
const MAX_RUNS: i64 = 500;

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

/// A run to keep as a unit.
#[derive(Debug)]
pub struct NewRun<'a> {
    pub scan_seq: u64,
    pub device: DeviceId,
    pub log_no: u32,
    pub first: u64,
    pub last: u64,
    pub last_hash: &'a Hash32,
    pub signature: &'a Signature64,
    pub entry_bytes: usize,
    pub received_at: OffsetDateTime,
}

pub async fn insert_run(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    run: &NewRun<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into scan_runs (organizer_id, event_id, scan_seq, device_id, log_no, first_seq, last_seq, last_hash,
                                signature, entry_bytes, received_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        organizer,
        event,
        signed(run.scan_seq)?,
        run.device.0,
        i64::from(run.log_no),
        signed(run.first)?,
        signed(run.last)?,
        &run.last_hash.0[..],
        &run.signature.0[..],
        i64::try_from(run.entry_bytes).unwrap_or(i64::MAX),
        run.received_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// One page of runs after a cursor.
#[derive(Debug, Default)]
pub struct Page {
    pub runs: Vec<Run>,
    /// Cursor after them, own ones passed over.
    pub cursor: u64,
    pub more: bool,
}

/// Runs of devices other than `not_of` after the cursor, as they were signed, up to `max_bytes` of entries
/// (but at least one run, if there is one).
pub async fn runs_after(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    after: u64,
    not_of: DeviceId,
    max_bytes: usize,
) -> Result<Page, sqlx::Error> {
    let heads = sqlx::query!(
        "select scan_seq, device_id, log_no, first_seq, last_seq, last_hash, signature, entry_bytes from scan_runs
          where organizer_id = $1 and event_id = $2 and scan_seq > $3
          order by scan_seq limit $4",
        organizer,
        event,
        signed(after)?,
        MAX_RUNS,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut page = Page { runs: Vec::new(), cursor: after, more: heads.len() as i64 == MAX_RUNS };
    let mut chosen = Vec::new();
    let mut bytes = 0;
    for head in heads {
        if head.device_id != not_of.0 {
            let size = usize::try_from(head.entry_bytes).unwrap_or(usize::MAX);
            if !chosen.is_empty() && bytes + size > max_bytes {
                page.more = true;
                break;
            }
            bytes += size;
            page.cursor = number(head.scan_seq)?;
            chosen.push(head);
        } else {
            page.cursor = number(head.scan_seq)?;
        }
    }
    let devices: Vec<Uuid> = chosen.iter().map(|h| h.device_id).collect();
    let logs: Vec<i64> = chosen.iter().map(|h| h.log_no).collect();
    let firsts: Vec<i64> = chosen.iter().map(|h| h.first_seq).collect();
    let lasts: Vec<i64> = chosen.iter().map(|h| h.last_seq).collect();
    let mut rows = sqlx::query!(
        r#"select r.ord as "ord!", s.seq, s.entry_hash, s.entry
             from unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[]) with ordinality
                  as r (device_id, log_no, first_seq, last_seq, ord)
            cross join lateral (
              select seq, entry_hash, entry from scans
               where organizer_id = $1 and device_id = r.device_id and log_no = r.log_no
                 and seq between r.first_seq and r.last_seq
              offset 0 -- run by run, by the key
            ) s
            order by r.ord, s.seq desc"#,
        organizer,
        &devices,
        &logs,
        &firsts,
        &lasts,
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .peekable();
    for (ord, head) in (1_i64..).zip(chosen) {
        // Backwards along the chain: where a log was forked, only this run's entries are taken.
        let mut wanted = hash(&head.last_hash, "scan_runs.last_hash")?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next_if(|row| row.ord == ord) {
            if row.entry_hash == wanted.0 {
                wanted = decode(&row.entry)?.prev_hash;
                entries.push(row.entry.into());
            }
        }
        entries.reverse();
        if entries.len() as i64 != head.last_seq - head.first_seq + 1 {
            return Err(corrupt("scan_runs.last_seq"));
        }
        page.runs.push(Run {
            device: head.device_id.into(),
            log_no: number(head.log_no)?,
            entries,
            signature: Signature64::from_slice(&head.signature)
                .ok_or_else(|| corrupt("scan_runs.signature"))?,
        });
    }
    Ok(page)
}

/// Certificates of devices.
pub async fn certificates(
    conn: &mut PgConnection,
    organizer: Uuid,
    devices: &[Uuid],
) -> Result<Vec<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar!(
        "select certificate from devices where organizer_id = $1 and device_id = any($2) order by number",
        organizer,
        devices,
    )
    .fetch_all(conn)
    .await
}

/// A (list, ticket) whose history a change may have touched.
pub type Pair = (ListId, TicketId);

/// Everything that folds into these histories: their records, and the undos that name one of them.
pub async fn records_of(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    pairs: &[Pair],
) -> Result<Vec<Record>, sqlx::Error> {
    let lists: Vec<Uuid> = pairs.iter().map(|(l, _)| l.0).collect();
    let tickets: Vec<Uuid> = pairs.iter().map(|(_, t)| t.0).collect();
    // Pair by pair (offset 0 keeps it so): a planner that takes a young table for empty would rather walk all of
    // the event's scans.
    let rows = sqlx::query!(
        r#"with own as (
             select s.* from unnest($3::uuid[], $4::uuid[]) as p (list_id, ticket_id)
              cross join lateral (
                select device_id, log_no, seq, entry_hash, entry from scans
                 where organizer_id = $1 and event_id = $2 and ticket_id = p.ticket_id and list_id = p.list_id
                   and kind <> 2
                offset 0
              ) s
           )
           select entry_hash as "entry_hash!", entry as "entry!" from own
           union
           select u.entry_hash, u.entry
             from own
             join scans u on u.organizer_id = $1 and u.target_device_id = own.device_id
                         and u.target_log_no = own.log_no and u.target_seq = own.seq"#,
        organizer,
        event,
        &lists,
        &tickets,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| Ok(Record::of(&decode(&r.entry)?, hash(&r.entry_hash, "scans.entry_hash")?)))
        .collect()
}

/// Which histories the entries at these places belong to.
pub async fn pairs_at(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    places: &[EntryPlace],
) -> Result<Vec<Pair>, sqlx::Error> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let devices: Vec<Uuid> = places.iter().map(|p| p.device.0).collect();
    let logs: Vec<i64> = places.iter().map(|p| i64::from(p.log_no)).collect();
    let seqs: Vec<i64> = places.iter().map(|p| i64::try_from(p.seq).unwrap_or(i64::MAX)).collect();
    let rows = sqlx::query!(
        r#"select distinct s.list_id as "list_id!", s.ticket_id as "ticket_id!"
             from unnest($3::uuid[], $4::bigint[], $5::bigint[]) as p (device_id, log_no, seq)
             join scans s on s.organizer_id = $1 and s.event_id = $2 and s.device_id = p.device_id
                         and s.log_no = p.log_no and s.seq = p.seq
            where s.list_id is not null and s.ticket_id is not null and s.kind <> 2"#,
        organizer,
        event,
        &devices,
        &logs,
        &seqs,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|r| (r.list_id.into(), r.ticket_id.into())).collect())
}

/// Which histories a device's entries after a place belong to, its undos' targets included.
pub async fn pairs_after(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    device: DeviceId,
    log_no: u32,
    seq: u64,
) -> Result<Vec<Pair>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"with late as (
             select list_id, ticket_id, target_device_id, target_log_no, target_seq from scans
              where organizer_id = $1 and event_id = $2 and device_id = $3 and (log_no, seq) > ($4, $5) and kind <> 2
           )
           select list_id as "list_id!", ticket_id as "ticket_id!" from late
            where list_id is not null and ticket_id is not null and target_device_id is null
           union
           select s.list_id, s.ticket_id from late
             join scans s on s.organizer_id = $1 and s.event_id = $2 and s.device_id = late.target_device_id
                         and s.log_no = late.target_log_no and s.seq = late.target_seq
            where s.list_id is not null and s.ticket_id is not null and s.kind <> 2"#,
        organizer,
        event,
        device.0,
        i64::from(log_no),
        signed(seq)?,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|r| (r.list_id.into(), r.ticket_id.into())).collect())
}

/// An entry of a revoked device that waits for the owner.
#[derive(Debug)]
pub struct Waiting {
    pub log_no: i64,
    pub seq: i64,
    pub entry: LogEntry,
    pub entry_hash: Hash32,
    pub received_at: OffsetDateTime,
}

/// A revoked device's entries after a place, in order.
pub async fn entries_after(
    conn: &mut PgConnection,
    organizer: Uuid,
    device: DeviceId,
    log_no: u32,
    seq: u64,
    limit: i64,
) -> Result<Vec<Waiting>, sqlx::Error> {
    let rows = sqlx::query!(
        "select log_no, seq, entry_hash, entry, received_at from scans
          where organizer_id = $1 and device_id = $2 and (log_no, seq) > ($3, $4)
          order by log_no, seq, entry_hash limit $5",
        organizer,
        device.0,
        i64::from(log_no),
        signed(seq)?,
        limit,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Waiting {
                log_no: r.log_no,
                seq: r.seq,
                entry: decode(&r.entry)?,
                entry_hash: hash(&r.entry_hash, "scans.entry_hash")?,
                received_at: r.received_at,
            })
        })
        .collect()
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

/// All records that arrived after a scan cursor, refusals included; some may have been known before.
pub async fn records_after(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    after: u64,
) -> Result<Vec<Record>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select s.entry_hash, s.entry
             from scan_runs r
            cross join lateral (
              select entry_hash, entry from scans
               where organizer_id = $1 and device_id = r.device_id and log_no = r.log_no
                 and seq between r.first_seq and r.last_seq
              offset 0 -- run by run, by the key
            ) s
            where r.organizer_id = $1 and r.event_id = $2 and r.scan_seq > $3"#,
        organizer,
        event,
        signed(after)?,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| Ok(Record::of(&decode(&r.entry)?, hash(&r.entry_hash, "scans.entry_hash")?)))
        .collect()
}

/// An entry as it arrived.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// The cursor of its run.
    pub scan_seq: u64,
    pub last_hash: Vec<u8>,
    pub device_id: Uuid,
    pub log_no: i64,
    pub seq: i64,
    pub entry_hash: Vec<u8>,
    pub kind: i16,
    pub outcome: i16,
    pub list_id: Option<Uuid>,
    pub gate_id: Option<Uuid>,
    pub ticket_id: Option<Uuid>,
    pub type_no: Option<i32>,
    pub outward: bool,
    pub rehearsal: bool,
    pub corrected_ms: i64,
    pub received_at: OffsetDateTime,
    pub late: bool,
}

/// Entries of the runs after a cursor and up to another, in the order of their arrival: whole runs, until there are
/// `limit` entries or more.
pub async fn arrived(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    after: u64,
    to: u64,
    limit: i64,
) -> Result<Vec<Arrived>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"with runs as (
             select scan_seq, device_id, log_no, first_seq, last_seq, last_hash,
                    sum(last_seq - first_seq + 1) over (order by scan_seq) - (last_seq - first_seq + 1) as before
               from (
                 select * from scan_runs
                  where organizer_id = $1 and event_id = $2 and scan_seq > $3 and scan_seq <= $4
                  order by scan_seq limit $5) of_page)
           select r.scan_seq as "scan_seq!", r.last_hash as "last_hash!", r.device_id as "device_id!", r.log_no as "log_no!",
                  s.seq as "seq!", s.entry_hash as "entry_hash!", s.kind as "kind!", s.outcome as "outcome!", s.list_id,
                  s.gate_id, s.ticket_id, s.type_no, s.outward as "outward!", s.rehearsal as "rehearsal!",
                  s.corrected_ms as "corrected_ms!", s.received_at as "received_at!",
                  floor(extract(epoch from s.received_at) * 1000) - s.corrected_ms > $6::bigint as "late!"
             from runs r
            cross join lateral (
              select seq, entry_hash, kind, outcome, list_id, gate_id, ticket_id, type_no, outward, rehearsal, corrected_ms,
                     received_at
                from scans
               where organizer_id = $1 and device_id = r.device_id and log_no = r.log_no
                 and seq between r.first_seq and r.last_seq
              offset 0 -- run by run, by the key
            ) s
            where r.before < $5
            order by r.scan_seq, s.seq, s.entry_hash"#,
        organizer,
        event,
        signed(after)?,
        signed(to)?,
        limit,
        super::stats::LATE_MS,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Arrived {
                scan_seq: number(r.scan_seq)?,
                last_hash: r.last_hash,
                device_id: r.device_id,
                log_no: r.log_no,
                seq: r.seq,
                entry_hash: r.entry_hash,
                kind: r.kind,
                outcome: r.outcome,
                list_id: r.list_id,
                gate_id: r.gate_id,
                ticket_id: r.ticket_id,
                type_no: r.type_no,
                outward: r.outward,
                rehearsal: r.rehearsal,
                corrected_ms: r.corrected_ms,
                received_at: r.received_at,
                late: r.late,
            })
        })
        .collect()
}

/// How many entries arrived after a cursor.
pub async fn arrived_since(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    after: u64,
) -> Result<u64, sqlx::Error> {
    let entries = sqlx::query_scalar!(
        r#"select coalesce(sum(last_seq - first_seq + 1), 0)::bigint as "entries!" from scan_runs
            where organizer_id = $1 and event_id = $2 and scan_seq > $3"#,
        organizer,
        event,
        signed(after)?,
    )
    .fetch_one(conn)
    .await?;
    number(entries)
}

/// A ticket as the server knows it, in the form that gates know.
pub async fn ticket_row(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    ticket: TicketId,
) -> Result<Option<TicketRow>, sqlx::Error> {
    let row = sqlx::query!(
        "select type_no, generation, state from tickets where organizer_id = $1 and event_id = $2 and ticket_id = $3",
        organizer,
        event,
        ticket.0,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|r| {
        Ok(TicketRow {
            ticket_id: ticket,
            type_no: number(i64::from(r.type_no))?,
            generation: number(i64::from(r.generation))?,
            state: (0..=u8::MAX)
                .map_while(TicketState::from_u8)
                .find(|s| s.as_str() == r.state)
                .ok_or_else(|| corrupt("tickets.state"))?,
        })
    })
    .transpose()
}

/// The event of a ticket, or of the only event that signs with such a key.
pub async fn event_of_code(
    conn: &mut PgConnection,
    organizer: Uuid,
    ticket: Uuid,
    kid: &[u8; 4],
) -> Result<Option<EventId>, sqlx::Error> {
    let event = sqlx::query_scalar!(
        r#"select coalesce(
             (select event_id from tickets where organizer_id = $1 and ticket_id = $2),
             (select min(event_id::text)::uuid from organizer_keys
               where organizer_id = $1 and purpose = 'ticket' and kid = $3 having count(distinct event_id) = 1)) as event_id"#,
        organizer,
        ticket,
        &kid[..],
    )
    .fetch_one(conn)
    .await?;
    Ok(event.map(EventId))
}

// Online check-ins --------------------------------------------------------------------------------

/// A check-in that was decided here before.
#[derive(Debug)]
pub struct OnlineScan {
    pub request_hash: Hash32,
    pub answer: serde_json::Value,
}

pub async fn online_scan(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    nonce: &[u8; 16],
) -> Result<Option<OnlineScan>, sqlx::Error> {
    let row = sqlx::query!(
        "select request_hash, answer from online_scans where organizer_id = $1 and event_id = $2 and nonce = $3",
        organizer,
        event,
        &nonce[..],
    )
    .fetch_optional(conn)
    .await?;
    row.map(|r| {
        Ok(OnlineScan { request_hash: hash(&r.request_hash, "online_scans.request_hash")?, answer: r.answer })
    })
    .transpose()
}

/// A check-in to remember.
#[derive(Debug)]
pub struct NewOnlineScan<'a> {
    pub nonce: &'a [u8; 16],
    pub request_hash: &'a Hash32,
    pub place: EntryPlace,
    pub answer: &'a serde_json::Value,
    pub requested_by: Uuid,
    pub created_at: OffsetDateTime,
}

pub async fn remember_online_scan(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    scan: &NewOnlineScan<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into online_scans (organizer_id, event_id, nonce, request_hash, device_id, log_no, seq, answer, requested_by,
                                   created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        organizer,
        event,
        &scan.nonce[..],
        &scan.request_hash.0[..],
        scan.place.device.0,
        i64::from(scan.place.log_no),
        signed(scan.place.seq)?,
        scan.answer,
        scan.requested_by,
        scan.created_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}
