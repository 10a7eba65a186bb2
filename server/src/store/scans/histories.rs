//! What folds: the records of a ticket at a list, and which of these a change touches.

use shared::admission::history::Record;
use shared::bytes::Hash32;
use shared::ids::{DeviceId, ListId, TicketId};
use shared::log::entry::{EntryPlace, LogEntry};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{decode, signed};
use crate::store::devices::hash;

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
