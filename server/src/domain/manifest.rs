//! When a manifest is issued, in which lineage, and what becomes of its rows.

use std::collections::BTreeMap;

use shared::bytes::Hash32;
use shared::manifest::buckets::{self, BUCKETS, BucketHashes};
use shared::manifest::docs::{Gap, KeyList, ManifestVersion};
use shared::manifest::rows::{ROW_LEN, TicketRow, sort_last_wins};
use shared::time::{UnixMillis, UnixSecs};
use uuid::Uuid;

/// All gates of an event share a header for so long, whatever changes.
pub const SHARED_FOR_MS: i64 = 2_000;
/// A header older than this is made anew although nothing changed, so that `as_of` follows the clock.
pub const REFRESH_AFTER_MS: i64 = 60_000;
/// `as_of` stays behind the database's clock by so much. A sale aborts when its last statement runs more
/// than 60 s after its `issued_at`: nothing sold before `as_of` can still be missing.
pub const AS_OF_LAG_SECS: u32 = 120;
/// From then on gates show amber.
pub const FRESH_SECS: u32 = 24 * 3_600;
/// From then on gates refuse, or a supervisor overrides.
pub const HARD_SECS: u32 = 72 * 3_600;
/// A device that claims to be further ahead than this many epochs is broken, or lies.
pub const MAX_EPOCH_LEAP: u32 = 64;

/// The newest header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub version: ManifestVersion,
    pub issued_at: UnixMillis,
}

/// What a request for the manifest asks of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// The standing header is good enough.
    Serve,
    /// Something changed, but the header is younger than two seconds: serve it, a new one is due in `in_ms`.
    ServeFor {
        in_ms: i64,
    },
    Issue,
}

/// What to do with `standing`, when the event's changes are at `change_seq` and its lineage at `epoch`.
#[must_use]
pub fn duty(standing: Option<&Standing>, epoch: u32, change_seq: u64, now: UnixMillis) -> Duty {
    let Some(standing) = standing else { return Duty::Issue };
    let age = now.ms_since(standing.issued_at);
    let behind = standing.version.epoch < epoch || standing.version.change_seq < change_seq;
    // A clock that was set back must not hold up changes.
    let shared = (0..SHARED_FOR_MS).contains(&age);
    match (behind, shared) {
        (true, true) => Duty::ServeFor { in_ms: SHARED_FOR_MS - age },
        (true, false) => Duty::Issue,
        (false, _) if age >= REFRESH_AFTER_MS => Duty::Issue,
        (false, _) => Duty::Serve,
    }
}

/// `as_of` of a header whose snapshot was taken when the database's clock showed `database_now`.
#[must_use]
pub fn as_of(database_now: UnixMillis) -> UnixSecs {
    database_now.secs().minus_secs(AS_OF_LAG_SECS)
}

/// Names a database and its history. Another one may lack the end of what gates have seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseId {
    pub system_identifier: String,
    pub timeline: i64,
}

/// One lineage of an event's manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    pub epoch: u32,
    pub database: DatabaseId,
}

/// Why a lineage began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    First,
    Database,
    GateAhead(Uuid),
}

/// A lineage to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLineage {
    pub epoch: u32,
    pub cause: Cause,
    pub gap: Option<Gap>,
}

/// What the choice of a lineage depends on.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The event's newest lineage.
    pub last: Option<&'a Lineage>,
    /// This database, now.
    pub here: &'a DatabaseId,
    /// The installation's epoch, and since when.
    pub server_epoch: u32,
    pub server_epoch_since: UnixSecs,
    pub event_created_at: UnixSecs,
    /// The event's newest header and its changes.
    pub standing: Option<ManifestVersion>,
    pub change_seq: u64,
    /// What an authentic device says it holds.
    pub claim: Option<(Uuid, ManifestVersion)>,
    /// The database's clock.
    pub now: UnixSecs,
}

/// True if a device holds what this database never issued.
#[must_use]
pub fn is_ahead(claim: ManifestVersion, epoch: u32, change_seq: u64) -> bool {
    (claim.epoch, claim.change_seq) > (epoch, change_seq)
}

/// The lineage that must begin before the next header, if one must.
///
/// The gap reaches back to the last `as_of` that this database remembers: what was sold between that and the
/// loss may be missing. Wider than needed is harmless, because a late sale still needs a valid signature.
#[must_use]
pub fn next_lineage(facts: &Facts<'_>) -> Option<NewLineage> {
    let remembered = facts.standing.map_or(facts.event_created_at, |v| v.as_of);
    let gap = |from: UnixSecs, to: UnixSecs| Some(Gap { from: from.min(to), to });
    let Some(last) = facts.last else {
        let older = facts.event_created_at < facts.server_epoch_since && facts.server_epoch > 1;
        let gap = older.then(|| gap(facts.event_created_at, facts.server_epoch_since)).flatten();
        let epoch = facts.claim.map_or(0, |(_, v)| v.epoch).saturating_add(1).max(facts.server_epoch);
        let first = NewLineage { epoch: facts.server_epoch, cause: Cause::First, gap };
        return Some(match facts.claim {
            Some((device, v)) if is_ahead(v, facts.server_epoch, facts.change_seq) => NewLineage {
                epoch,
                cause: Cause::GateAhead(device),
                gap: Some(Gap { from: facts.event_created_at.min(facts.now), to: facts.now }),
            },
            _ => first,
        });
    };
    if let Some((device, claim)) = facts.claim.filter(|(_, v)| is_ahead(*v, last.epoch, facts.change_seq)) {
        return Some(NewLineage {
            epoch: claim.epoch.max(last.epoch).max(facts.server_epoch.saturating_sub(1)).saturating_add(1),
            cause: Cause::GateAhead(device),
            gap: gap(remembered, facts.now),
        });
    }
    if last.database != *facts.here || last.epoch < facts.server_epoch {
        return Some(NewLineage {
            epoch: last.epoch.saturating_add(1).max(facts.server_epoch),
            cause: Cause::Database,
            gap: gap(remembered, facts.now),
        });
    }
    None
}

/// The buckets that changes touch, with what they held before.
#[derive(Debug, Default)]
pub struct Touched(BTreeMap<u16, Vec<TicketRow>>);

impl Touched {
    /// From changes in the order in which they were made.
    #[must_use]
    pub fn by(mut changes: Vec<TicketRow>) -> Self {
        sort_last_wins(&mut changes);
        let mut touched: BTreeMap<u16, Vec<TicketRow>> = BTreeMap::new();
        for row in changes {
            touched.entry(buckets::bucket_of(&row.ticket_id)).or_default().push(row);
        }
        Self(touched)
    }

    /// Their numbers, rising.
    #[must_use]
    pub fn numbers(&self) -> Vec<i32> {
        self.0.keys().map(|no| i32::from(*no)).collect()
    }

    /// Puts the changes into the buckets' blobs (absent = empty) and their new hashes into `hashes`. Returns
    /// the new blobs and by how many the number of tickets rose.
    #[must_use]
    pub fn apply(
        &self,
        held: &BTreeMap<u16, Vec<u8>>,
        hashes: &mut BucketHashes,
    ) -> (Vec<(i32, Vec<u8>)>, u64) {
        let mut blobs = Vec::with_capacity(self.0.len());
        let mut risen = 0;
        for (no, changes) in &self.0 {
            let before = held.get(no).map_or(&[][..], Vec::as_slice);
            let after = buckets::merge(before, changes);
            risen += ((after.len() - before.len()) / ROW_LEN) as u64;
            hashes[usize::from(*no)] = buckets::bucket_hash(*no, &after);
            blobs.push((i32::from(*no), after));
        }
        (blobs, risen)
    }
}

/// Bucket hashes from their column.
#[must_use]
pub fn hashes_from_bytes(bytes: &[u8]) -> Option<Box<BucketHashes>> {
    let (chunks, rest) = bytes.as_chunks::<32>();
    if chunks.len() != BUCKETS || !rest.is_empty() {
        return None;
    }
    let hashes: Box<[Hash32]> = chunks.iter().map(|c| Hash32(*c)).collect();
    hashes.try_into().ok()
}

/// Bucket hashes for their column.
#[must_use]
pub fn hashes_to_bytes(hashes: &BucketHashes) -> Vec<u8> {
    hashes.iter().flat_map(|h| h.0).collect()
}

/// True if two key lists say the same, whenever they were made: then the older bytes stay in use.
#[must_use]
pub fn same_keys(a: &KeyList, b: &KeyList) -> bool {
    a.organizer == b.organizer && a.ticket_keys == b.ticket_keys && a.revoked_devices == b.revoked_devices
}

/// The same seconds in as few gaps as possible, sorted.
#[must_use]
pub fn merge_gaps(mut gaps: Vec<Gap>) -> Vec<Gap> {
    gaps.sort_by_key(|gap| (gap.from, gap.to));
    let mut merged: Vec<Gap> = Vec::with_capacity(gaps.len());
    for gap in gaps {
        match merged.last_mut() {
            Some(last) if gap.from <= last.to.plus_secs(1) => last.to = last.to.max(gap.to),
            _ => merged.push(gap),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::ids::TicketId;
    use shared::manifest::rows::TicketState;

    const T: UnixMillis = UnixMillis(1_800_000_000_000);

    fn version(epoch: u32, change_seq: u64) -> ManifestVersion {
        ManifestVersion { epoch, change_seq, as_of: T.secs() }
    }

    #[test]
    fn changes_wait_two_seconds_at_most_and_quiet_headers_a_minute() {
        let s = Standing { version: version(1, 5), issued_at: T };
        assert_eq!(duty(None, 1, 0, T), Duty::Issue);
        assert_eq!(duty(Some(&s), 1, 5, T), Duty::Serve);
        assert_eq!(duty(Some(&s), 1, 5, T.plus_ms(59_999)), Duty::Serve);
        assert_eq!(duty(Some(&s), 1, 5, T.plus_ms(60_000)), Duty::Issue);
        assert_eq!(duty(Some(&s), 1, 6, T), Duty::ServeFor { in_ms: 2_000 });
        assert_eq!(duty(Some(&s), 1, 6, T.plus_ms(1_999)), Duty::ServeFor { in_ms: 1 });
        assert_eq!(duty(Some(&s), 1, 6, T.plus_ms(2_000)), Duty::Issue);
        assert_eq!(duty(Some(&s), 2, 5, T.plus_ms(2_000)), Duty::Issue);
        assert_eq!(duty(Some(&s), 1, 6, T.plus_ms(-3_600_000)), Duty::Issue, "a clock set back");
    }

    fn here() -> DatabaseId {
        DatabaseId { system_identifier: "7".into(), timeline: 1 }
    }

    fn facts<'a>(last: Option<&'a Lineage>, here: &'a DatabaseId) -> Facts<'a> {
        Facts {
            last,
            here,
            server_epoch: 1,
            server_epoch_since: UnixSecs(1_000),
            event_created_at: UnixSecs(2_000),
            standing: Some(ManifestVersion { epoch: 1, change_seq: 5, as_of: UnixSecs(3_000) }),
            change_seq: 7,
            claim: None,
            now: UnixSecs(9_000),
        }
    }

    #[test]
    fn the_first_lineage_has_no_gap_unless_the_event_came_from_a_backup() {
        let here = here();
        let mut f = facts(None, &here);
        assert_eq!(next_lineage(&f), Some(NewLineage { epoch: 1, cause: Cause::First, gap: None }));
        f.server_epoch = 2;
        f.server_epoch_since = UnixSecs(5_000);
        let gap = Some(Gap { from: UnixSecs(2_000), to: UnixSecs(5_000) });
        assert_eq!(next_lineage(&f), Some(NewLineage { epoch: 2, cause: Cause::First, gap }));
    }

    #[test]
    fn another_database_or_timeline_begins_a_lineage_with_a_gap() {
        let last = Lineage { epoch: 3, database: here() };
        let promoted = DatabaseId { timeline: 2, ..here() };
        let gap = Some(Gap { from: UnixSecs(3_000), to: UnixSecs(9_000) });
        let next = next_lineage(&facts(Some(&last), &promoted));
        assert_eq!(next, Some(NewLineage { epoch: 4, cause: Cause::Database, gap }));
        assert_eq!(next_lineage(&facts(Some(&last), &last.database)), None);
    }

    #[test]
    fn a_gate_that_knows_more_begins_a_lineage_above_its_own() {
        let last = Lineage { epoch: 3, database: here() };
        let device = Uuid::from_bytes([1; 16]);
        let mut f = facts(Some(&last), &last.database);
        for (claim, epoch) in [(version(3, 8), Some(4)), (version(5, 0), Some(6)), (version(3, 7), None)] {
            f.claim = Some((device, claim));
            let next = next_lineage(&f);
            assert_eq!(next.as_ref().map(|n| n.epoch), epoch, "{claim:?}");
            assert!(next.is_none_or(|n| n.cause == Cause::GateAhead(device)));
        }
    }

    #[test]
    fn applying_changes_step_by_step_hashes_like_all_at_once() {
        let row = |n: u8, state| TicketRow {
            ticket_id: TicketId::from_bytes([n; 16]),
            type_no: 1,
            generation: 0,
            state,
        };
        let steps = [
            vec![row(1, TicketState::Valid), row(2, TicketState::Valid)],
            vec![row(1, TicketState::Blocked), row(3, TicketState::Valid), row(1, TicketState::Refunded)],
        ];
        let mut hashes = buckets::empty_hashes();
        let mut held: BTreeMap<u16, Vec<u8>> = BTreeMap::new();
        let mut tickets = 0;
        for step in steps {
            let (blobs, risen) = Touched::by(step).apply(&held, &mut hashes);
            tickets += risen;
            held.extend(blobs.into_iter().map(|(no, blob)| (no as u16, blob)));
        }
        let all = [row(1, TicketState::Refunded), row(2, TicketState::Valid), row(3, TicketState::Valid)];
        assert_eq!(tickets, 3);
        assert_eq!(hashes, buckets::hash_all(buckets::split(&all)));
        assert_eq!(hashes_from_bytes(&hashes_to_bytes(&hashes)), Some(hashes));
    }

    #[test]
    fn gaps_that_touch_become_one() {
        let gap = |from, to| Gap { from: UnixSecs(from), to: UnixSecs(to) };
        assert_eq!(merge_gaps(vec![]), vec![]);
        assert_eq!(
            merge_gaps(vec![gap(50, 60), gap(10, 20), gap(21, 25), gap(12, 15), gap(27, 30), gap(55, 70)]),
            vec![gap(10, 25), gap(27, 30), gap(50, 70)]
        );
    }
}
