//! Recording a verified run: stored once, acknowledged, folded, its incidents kept, all in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use shared::admission::fold::ListPolicies;
use shared::admission::history::{CutOffs, Record, TicketHistory};
use shared::bytes::Hash32;
use shared::ids::{DeviceId, EventId, OrganizerId, TicketId};
use shared::log::entry::{EntryPlace, LogEntry};
use shared::manifest::docs::{LogPlace, RevokedDevice};
use shared::wire::gates::Run;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::incident::{self, Finding, Kind, MAX_SIDES, Subject, evidence};
use crate::store::scans::{self, Neighbours, NewRun, Pair, Received};
use crate::store::{incidents, manifests};
use crate::webhooks::facts;

/// Entries that are read at once.
const AT_ONCE: i64 = 500;

/// What became of a run.
#[derive(Debug)]
pub struct Recorded {
    pub received: Received,
    /// The log holds another entry at one of its places, or another history beside it.
    pub forked: bool,
    /// True if anything in it was new.
    pub news: bool,
}

/// Stores a run that was verified as its device's. Whatever it says: policy violations become incidents.
pub async fn run(
    conn: &mut PgConnection,
    organizer: OrganizerId,
    event: EventId,
    run: &Run,
    entries: &[(LogEntry, Hash32)],
    now: OffsetDateTime,
) -> Result<Recorded, sqlx::Error> {
    let (Some((first, _)), Some((last, last_hash))) = (entries.first(), entries.last()) else {
        return Err(sqlx::Error::Protocol("a run without entries was verified".into()));
    };
    let (org, ev) = (organizer.0, event.0);
    let (from, to) = (first.place.seq, last.place.seq);
    let received = scans::receive(conn, org, ev, run.device, run.log_no, from, to).await?;
    let bytes: Vec<&[u8]> = run.entries.iter().map(|b| b.as_slice()).collect();
    let new = scans::insert(conn, org, ev, entries, &bytes, now).await?;
    let around = scans::neighbours(conn, org, run.device, run.log_no, from, to).await?;
    let fork = fork(run, entries, &around);
    let forked = fork.is_some();
    let Some(first_new) = new.first().copied() else {
        return Ok(Recorded { received, forked, news: false });
    };

    // From here on no other upload of this event can fold: each sees what the ones before it stored.
    let scan_seq = scans::next_cursor(conn, org, ev).await?;
    let skipped = usize::try_from(first_new - from).unwrap_or(0);
    let stored = NewRun {
        scan_seq,
        device: run.device,
        log_no: run.log_no,
        first: first_new,
        last: to,
        last_hash,
        signature: &run.signature,
        entry_bytes: bytes.iter().skip(skipped).map(|b| b.len()).sum(),
        received_at: now,
    };
    scans::insert_run(conn, org, ev, &stored).await?;

    let fresh: BTreeSet<u64> = new.into_iter().collect();
    let fresh: Vec<(LogEntry, Hash32)> =
        entries.iter().filter(|(e, _)| fresh.contains(&e.place.seq)).cloned().collect();
    let pairs = touched(conn, organizer, event, &fresh).await?;
    let cut_offs = cut_offs(&manifests::revoked_devices(conn, org).await?);
    refold_by(conn, (organizer, event), &pairs, &cut_offs, now).await?;
    let mut told = facts::checked_in(event, fresh.iter().map(|(entry, hash)| (entry, *hash)), &cut_offs);
    for finding in incident::of_entries(&fresh).into_iter().chain(fork) {
        if incidents::put(conn, org, event, &finding, now).await? {
            told.push(facts::incident(event, &finding, now));
        }
    }
    facts::tell(conn, org, &told, now).await?;
    Ok(Recorded { received, forked, news: true })
}

/// The histories that new entries belong to, also through what they undo.
async fn touched(
    conn: &mut PgConnection,
    organizer: OrganizerId,
    event: EventId,
    fresh: &[(LogEntry, Hash32)],
) -> Result<BTreeSet<Pair>, sqlx::Error> {
    let mut pairs: BTreeSet<Pair> = BTreeSet::new();
    let mut targets: Vec<EntryPlace> = Vec::new();
    for (entry, hash) in fresh {
        let record = Record::of(entry, *hash);
        pairs.extend(record.folds_into());
        targets.extend(record.undoes());
    }
    pairs.extend(scans::pairs_at(conn, organizer.0, event.0, &targets).await?);
    Ok(pairs)
}

/// The ends of revoked devices' logs, as the signed key list will say.
pub fn cut_offs(revoked: &[RevokedDevice]) -> CutOffs {
    revoked.iter().map(|r| (r.device, r.accepted_to.map_or(r.cut_off, |to| to.max(r.cut_off)))).collect()
}

/// Folds histories anew and brings their incidents up to date.
pub async fn refold(
    conn: &mut PgConnection,
    organizer: OrganizerId,
    event: EventId,
    pairs: &BTreeSet<Pair>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let cut_offs = cut_offs(&manifests::revoked_devices(conn, organizer.0).await?);
    refold_by(conn, (organizer, event), pairs, &cut_offs, now).await
}

async fn refold_by(
    conn: &mut PgConnection,
    (organizer, event): (OrganizerId, EventId),
    pairs: &BTreeSet<Pair>,
    cut_offs: &CutOffs,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if pairs.is_empty() {
        return Ok(());
    }
    let policies = ListPolicies::of(&manifests::lists(conn, organizer.0, event.0, false).await?);
    let wanted: Vec<Pair> = pairs.iter().copied().collect();
    let (mut clean, mut told) = (Vec::new(), Vec::new());
    for (pair, history) in histories(conn, organizer, event, &wanted, cut_offs).await? {
        match incident::double_admission(pair.0, pair.1, &history, &policies) {
            Some(finding) => {
                if incidents::put(conn, organizer.0, event, &finding, now).await? {
                    told.push(facts::incident(event, &finding, now));
                }
            }
            None => clean.push(Subject::Admission { list: pair.0, ticket: pair.1 }),
        }
    }
    let ids: Vec<_> = clean.iter().map(|subject| subject.id(event)).collect();
    let closed = incidents::close(conn, organizer.0, event, &ids, now).await?;
    for subject in clean.into_iter().filter(|subject| closed.contains(&subject.id(event))) {
        let finding = Finding { subject, open: false, sides: Vec::new() };
        told.push(facts::incident(event, &finding, now));
    }
    facts::tell(conn, organizer.0, &told, now).await
}

/// Tells of the admissions among a revoked device's entries after a place that the owner accepted: they were not told of
/// when they arrived. Under the lock of the event's scan cursor.
pub async fn tell_accepted(
    conn: &mut PgConnection,
    organizer: OrganizerId,
    event: EventId,
    device: DeviceId,
    after: LogPlace,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let cut_offs = cut_offs(&manifests::revoked_devices(conn, organizer.0).await?);
    let mut after = after;
    loop {
        let waiting =
            scans::entries_after(conn, organizer.0, device, after.log_no, after.seq, AT_ONCE).await?;
        let Some(last) = waiting.last() else { return Ok(()) };
        let end = LogPlace { log_no: last.entry.place.log_no, seq: last.entry.place.seq };
        let told = facts::checked_in(event, waiting.iter().map(|w| (&w.entry, w.entry_hash)), &cut_offs);
        facts::tell(conn, organizer.0, &told, now).await?;
        if (waiting.len() as i64) < AT_ONCE || !cut_offs.include(last.entry.place) {
            return Ok(());
        }
        // The last place once more: a forked log has several entries there. Telling twice tells once.
        let again = LogPlace { seq: end.seq.saturating_sub(1), ..end };
        after = if again > after { again } else { end };
    }
}

/// Whether the attendance list, or `any` list, has an admission of one of the tickets. Under the lock of the event's scan
/// cursor it stays so.
pub async fn admitted(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    tickets: &[Uuid],
    any: bool,
) -> Result<bool, sqlx::Error> {
    let lists = manifests::lists(conn, organizer, event, false).await?;
    let cut_offs = cut_offs(&manifests::revoked_devices(conn, organizer).await?);
    let asked = lists.iter().filter(|list| any || list.attendance);
    let pairs: Vec<Pair> =
        asked.flat_map(|list| tickets.iter().map(|ticket| (list.id, TicketId(*ticket)))).collect();
    let histories = histories(conn, OrganizerId(organizer), EventId(event), &pairs, &cut_offs).await?;
    Ok(histories.iter().any(|(_, history)| history.first_admission().is_some()))
}

/// The histories of these pairs as the log has them now.
pub async fn histories(
    conn: &mut PgConnection,
    organizer: OrganizerId,
    event: EventId,
    pairs: &[Pair],
    cut_offs: &CutOffs,
) -> Result<Vec<(Pair, TicketHistory)>, sqlx::Error> {
    let records = scans::records_of(conn, organizer.0, event.0, pairs).await?;
    let mut groups: BTreeMap<Pair, Vec<Record>> = BTreeMap::new();
    let mut undos: BTreeMap<EntryPlace, Vec<Record>> = BTreeMap::new();
    for record in records {
        if let Some(pair) = record.folds_into() {
            groups.entry(pair).or_default().push(record);
        } else if let Some(target) = record.undoes() {
            undos.entry(target).or_default().push(record);
        }
    }
    Ok(pairs
        .iter()
        .map(|pair| {
            let group = groups.remove(pair).unwrap_or_default();
            let places: BTreeSet<EntryPlace> = group.iter().map(|r| r.place).collect();
            let named = places.iter().filter_map(|p| undos.get(p)).flatten();
            (*pair, TicketHistory::fold(&group, named, cut_offs))
        })
        .collect())
}

/// Two entries at one place, or a neighbour that belongs to another history.
fn fork(run: &Run, entries: &[(LogEntry, Hash32)], around: &Neighbours) -> Option<Finding> {
    let mut sides: Vec<_> = around
        .forked
        .iter()
        .map(|(entry, hash)| evidence(entry, *hash, "another entry stands at the same place".into()))
        .collect();
    let (first, first_hash) = entries.first()?;
    if !around.before.is_empty() && !around.before.iter().any(|before| first.follows(before)) {
        sides.push(evidence(first, *first_hash, "it does not follow the entry before it".into()));
    }
    let (_, last_hash) = entries.last()?;
    if let Some((after, hash)) = around.after.first()
        && !around.after.iter().any(|(after, _)| after.follows(last_hash))
    {
        sides.push(evidence(after, *hash, "it does not follow the entry before it".into()));
    }
    sides.truncate(MAX_SIDES);
    let subject = Subject::Log { kind: Kind::ForkedLog, device: run.device, log_no: run.log_no };
    (!sides.is_empty()).then_some(Finding { subject, open: true, sides })
}
