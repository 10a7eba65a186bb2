//! Runs as they were signed: kept as units, offered to other devices, and told to who watches.

use shared::bytes::{Hash32, Signature64};
use shared::ids::DeviceId;
use shared::wire::gates::Run;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{decode, signed};
use crate::store::devices::{corrupt, hash, number};
use crate::store::stats::LATE_MS;

/// Runs looked at for one page at most.
const MAX_RUNS: i64 = 500;

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
        LATE_MS,
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
