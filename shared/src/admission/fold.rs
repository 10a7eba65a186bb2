//! The state of a whole event: every ticket's history, counts, incidents, and one hash to compare replicas by.

use super::Outcome;
use super::history::{CutOffs, DoubleAdmission, IncidentStatus, Record, TicketHistory};
use crate::bytes::Hash32;
use crate::ids::{DeviceId, ListId, TicketId};
use crate::log::entry::{EntryKind, EntryPlace};
use crate::manifest::docs::ListConfig;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// What the fold needs to know of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListPolicy {
    /// The same ticket may enter again and again.
    pub multiple_entry: bool,
    /// Event totals use this list alone.
    pub attendance: bool,
}

/// The lists of an event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListPolicies(BTreeMap<ListId, ListPolicy>);

impl ListPolicies {
    /// From the header's lists.
    #[must_use]
    pub fn of(lists: &[ListConfig]) -> Self {
        lists
            .iter()
            .map(|l| (l.id, ListPolicy { multiple_entry: l.multiple_entry, attendance: l.attendance }))
            .collect()
    }

    /// True if two entries without an exit between are an incident. A list that is not known forbids them: taking a
    /// list away must not take its incidents away.
    #[must_use]
    pub fn forbids_double(&self, list: ListId) -> bool {
        self.0.get(&list).is_none_or(|p| !p.multiple_entry)
    }

    /// The attendance list.
    #[must_use]
    pub fn attendance(&self) -> Option<ListId> {
        self.0.iter().find(|(_, p)| p.attendance).map(|(id, _)| *id)
    }
}

impl FromIterator<(ListId, ListPolicy)> for ListPolicies {
    fn from_iter<I: IntoIterator<Item = (ListId, ListPolicy)>>(lists: I) -> Self {
        Self(lists.into_iter().collect())
    }
}

/// Distinct people on one list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ListCounts {
    /// Tickets with at least one entry or override.
    pub admitted: u64,
    /// Tickets whose latest record is no exit.
    pub on_site: u64,
    /// Entries and overrides, repeats included.
    pub entries: u64,
}

/// What the log proves and somebody should see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Incident {
    /// One ticket entered one list again without leaving it; at most one incident for both.
    DoubleAdmission {
        /// The list.
        list: ListId,
        /// The ticket.
        ticket: TicketId,
        /// Status and sides.
        #[serde(flatten)]
        double: DoubleAdmission,
    },
    /// A device signed different entries for the same place; at most one incident for each log.
    ForkedLog {
        /// The device.
        device: DeviceId,
        /// Its log.
        log_no: u32,
        /// Each place with its hashes, sorted.
        places: Vec<ForkedPlace>,
    },
}

impl Incident {
    /// True unless an undo closed it. A forked log stays open: what was signed twice cannot be unsigned.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match self {
            Self::DoubleAdmission { double, .. } => double.status == IncidentStatus::Open,
            Self::ForkedLog { .. } => true,
        }
    }
}

/// A place with more than one entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ForkedPlace {
    /// Number in the log.
    pub seq: u64,
    /// Sorted.
    pub hashes: Vec<Hash32>,
}

/// The state of an event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventFold {
    policies: ListPolicies,
    tickets: BTreeMap<(ListId, TicketId), TicketHistory>,
    forks: BTreeMap<(DeviceId, u32), Vec<ForkedPlace>>,
    counted_forks: BTreeMap<(DeviceId, u32), Vec<ForkedPlace>>,
    refusals: BTreeMap<ListId, BTreeMap<Outcome, u64>>,
    quarantined: u64,
}

impl EventFold {
    /// Folds all records of an event: any order, any duplicates, all kinds.
    #[must_use]
    pub fn of(records: impl IntoIterator<Item = Record>, policies: ListPolicies, cut_offs: &CutOffs) -> Self {
        let mut seen: BTreeMap<EntryPlace, BTreeSet<Hash32>> = BTreeMap::new();
        let mut groups: BTreeMap<(ListId, TicketId), Vec<Record>> = BTreeMap::new();
        let mut undos: BTreeMap<EntryPlace, Vec<Record>> = BTreeMap::new();
        let mut fold = Self { policies, ..Self::default() };
        for record in records {
            if !seen.entry(record.place).or_default().insert(record.hash) {
                continue;
            }
            fold.quarantined += u64::from(!cut_offs.include(record.place));
            if let Some(group) = record.folds_into() {
                groups.entry(group).or_default().push(record);
            } else if let Some(target) = record.undoes() {
                undos.entry(target).or_default().push(record);
            } else if let Some(list) = refused_on(&record).filter(|_| cut_offs.include(record.place)) {
                *fold.refusals.entry(list).or_default().entry(record.outcome).or_default() += 1;
            }
        }
        for (key, group) in groups {
            let places: BTreeSet<EntryPlace> = group.iter().map(|r| r.place).collect();
            let named = places.iter().filter_map(|p| undos.get(p)).flatten();
            fold.tickets.insert(key, TicketHistory::fold(&group, named, cut_offs));
        }
        for (place, hashes) in seen.into_iter().filter(|(_, hashes)| hashes.len() > 1) {
            let forked = ForkedPlace { seq: place.seq, hashes: hashes.into_iter().collect() };
            let log = (place.device, place.log_no);
            if cut_offs.include(place) {
                fold.counted_forks.entry(log).or_default().push(forked.clone());
            }
            fold.forks.entry(log).or_default().push(forked);
        }
        fold
    }

    /// One ticket on one list.
    #[must_use]
    pub fn history(&self, list: ListId, ticket: TicketId) -> Option<&TicketHistory> {
        self.tickets.get(&(list, ticket))
    }

    /// All histories, sorted by list and ticket.
    pub fn histories(&self) -> impl Iterator<Item = (ListId, TicketId, &TicketHistory)> {
        self.tickets.iter().map(|((list, ticket), h)| (*list, *ticket, h))
    }

    /// Distinct people on a list.
    #[must_use]
    pub fn counts(&self, list: ListId) -> ListCounts {
        let mut counts = ListCounts::default();
        let of_list = (list, TicketId::from_bytes([0; 16]))..=(list, TicketId::from_bytes([0xff; 16]));
        for history in self.tickets.range(of_list).map(|(_, history)| history) {
            counts.add(history);
        }
        counts
    }

    /// Distinct people on the attendance list; zeros without one.
    #[must_use]
    pub fn attendance(&self) -> ListCounts {
        self.policies.attendance().map_or_else(ListCounts::default, |list| self.counts(list))
    }

    /// Refused scans of a list by outcome, rehearsals and quarantine left out.
    #[must_use]
    pub fn refusals(&self, list: ListId) -> BTreeMap<Outcome, u64> {
        self.refusals.get(&list).cloned().unwrap_or_default()
    }

    /// Entries of revoked devices that do not count.
    #[must_use]
    pub fn quarantined(&self) -> u64 {
        self.quarantined
    }

    /// All incidents, open and closed: double admissions by list and ticket, then forked logs by device and log.
    #[must_use]
    pub fn incidents(&self) -> Vec<Incident> {
        let doubles = self.histories().filter_map(|(list, ticket, history)| {
            let double = incident_of(list, history, &self.policies)?.clone();
            Some(Incident::DoubleAdmission { list, ticket, double })
        });
        let forks = self.forks.iter().map(|((device, log_no), places)| Incident::ForkedLog {
            device: *device,
            log_no: *log_no,
            places: places.clone(),
        });
        doubles.chain(forks).collect()
    }

    /// What all replicas must agree on: see [`FoldHasher`].
    #[must_use]
    pub fn hash(&self) -> Hash32 {
        let mut hasher = FoldHasher::default();
        for (list, ticket, history) in self.histories() {
            hasher.history(list, ticket, history, &self.policies);
        }
        for ((device, log_no), places) in &self.counted_forks {
            for place in places {
                let at = EntryPlace { device: *device, log_no: *log_no, seq: place.seq };
                hasher.fork(at, &place.hashes);
            }
        }
        hasher.finish()
    }
}

impl ListCounts {
    /// Adds one ticket.
    pub fn add(&mut self, history: &TicketHistory) {
        let entries = history.entries_total() as u64;
        self.admitted += u64::from(entries > 0);
        self.on_site += u64::from(history.present());
        self.entries += entries;
    }
}

/// The list whose statistics count this refusal.
fn refused_on(record: &Record) -> Option<ListId> {
    if record.kind == EntryKind::Refuse && !record.rehearsal { record.list } else { None }
}

/// The double admission of a history, if its list forbids it.
#[must_use]
pub fn incident_of<'h>(
    list: ListId,
    history: &'h TicketHistory,
    policies: &ListPolicies,
) -> Option<&'h DoubleAdmission> {
    history.double_admission().filter(|_| policies.forbids_double(list))
}

/// SHA-256 over "hvflvspot/fold/v1\0", then each history in ascending order of (list, ticket), then each forked place
/// (quarantine left out) in ascending order. Lets a replica that keeps no whole fold in memory hash while it reads.
///
/// Counts follow from the histories and need no bytes of their own. Refusals are statistics, not state.
#[derive(Clone)]
pub struct FoldHasher(Sha256);

impl std::fmt::Debug for FoldHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FoldHasher")
    }
}

impl Default for FoldHasher {
    fn default() -> Self {
        Self(Sha256::new_with_prefix(b"hvflvspot/fold/v1\0"))
    }
}

impl FoldHasher {
    /// Adds a history. One without records and incident adds nothing: a scan taken back leaves no state.
    pub fn history(
        &mut self,
        list: ListId,
        ticket: TicketId,
        history: &TicketHistory,
        policies: &ListPolicies,
    ) {
        let double = incident_of(list, history, policies);
        if history.records().is_empty() && double.is_none() {
            return;
        }
        self.0.update(b"t");
        self.0.update(list.as_bytes());
        self.0.update(ticket.as_bytes());
        self.count(history.records().len());
        for record in history.records() {
            self.place(record.place, &record.hash);
        }
        match double {
            None => self.0.update([0]),
            Some(double) => {
                self.0.update([if double.status == IncidentStatus::Open { 1 } else { 2 }]);
                self.count(double.sides.len());
                for side in &double.sides {
                    self.place(side.place, &side.hash);
                }
            }
        }
    }

    /// Adds a place with several entries. `hashes` are sorted.
    pub fn fork(&mut self, place: EntryPlace, hashes: &[Hash32]) {
        self.0.update(b"f");
        self.count(hashes.len());
        for hash in hashes {
            self.place(place, hash);
        }
    }

    /// The hash.
    #[must_use]
    pub fn finish(self) -> Hash32 {
        Hash32(self.0.finalize().into())
    }

    fn place(&mut self, place: EntryPlace, hash: &Hash32) {
        self.0.update(place.device.as_bytes());
        self.0.update(place.log_no.to_be_bytes());
        self.0.update(place.seq.to_be_bytes());
        self.0.update(hash.as_bytes());
    }

    fn count(&mut self, n: usize) {
        self.0.update((n as u64).to_be_bytes());
    }
}
