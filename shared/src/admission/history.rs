//! What the log says about one ticket on one list: a pure function of signed records and signed cut-offs.
//!
//! Only *entry*, *override* and *exit* fold; refusals and rehearsals never do. An undo takes its target out
//! whichever of the two arrives first. The order is that of corrected scan time, then of places, so that every
//! replica computes the same without asking anybody.

use super::{Flag, Flags, Outcome};
use crate::bytes::Hash32;
use crate::ids::{DeviceId, GateId, ListId, StewardId, TicketId};
use crate::log::entry::{EntryKind, EntryPlace, LogEntry};
use crate::manifest::docs::{KeyList, LogPlace};
use crate::time::{UnixMillis, UnixSecs};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What the fold reads of a log entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Device, log and number.
    pub place: EntryPlace,
    /// Hash of the entry: tells the two sides of a fork apart.
    pub hash: Hash32,
    /// What it records.
    pub kind: EntryKind,
    /// The verdict's outcome.
    pub outcome: Outcome,
    /// The verdict's flags.
    pub flags: Flags,
    /// The list.
    pub list: Option<ListId>,
    /// The ticket.
    pub ticket: Option<TicketId>,
    /// Generation in the code.
    pub generation: Option<u8>,
    /// Ticket type number.
    pub type_no: Option<u16>,
    /// The place of the scan.
    pub gate: Option<GateId>,
    /// Who was at the device.
    pub staff: Option<StewardId>,
    /// Corrected scan time.
    pub at: UnixMillis,
    /// Half-width of its error.
    pub error_ms: u32,
    /// Scanned in rehearsal.
    pub rehearsal: bool,
    /// What an undo takes back.
    pub target: Option<EntryPlace>,
}

/// What sorts the fold: total, because two entries with the same hash are one entry.
type OrderKey = (UnixMillis, EntryPlace, Hash32);

impl Record {
    /// From an entry and its hash.
    #[must_use]
    pub fn of(entry: &LogEntry, hash: Hash32) -> Self {
        Self {
            place: entry.place,
            hash,
            kind: entry.kind,
            outcome: entry.outcome,
            flags: entry.flags,
            list: entry.list,
            ticket: entry.ticket,
            generation: entry.generation,
            type_no: entry.type_no,
            gate: entry.gate,
            staff: entry.staff,
            at: entry.time.corrected,
            error_ms: entry.time.error_ms,
            rehearsal: entry.rehearsal,
            target: entry.target,
        }
    }

    /// The history it belongs to; `None` if it never folds (refusal, undo, fork, rehearsal, or unidentified).
    #[must_use]
    pub fn folds_into(&self) -> Option<(ListId, TicketId)> {
        let counts = matches!(self.kind, EntryKind::Entry | EntryKind::Override | EntryKind::Exit);
        if counts && !self.rehearsal { self.list.zip(self.ticket) } else { None }
    }

    /// The place it takes back, if it is an undo that means it.
    #[must_use]
    pub fn undoes(&self) -> Option<EntryPlace> {
        if self.kind == EntryKind::Undo && !self.rehearsal { self.target } else { None }
    }

    fn key(&self) -> OrderKey {
        (self.at, self.place, self.hash)
    }

    fn admits(&self) -> bool {
        matches!(self.kind, EntryKind::Entry | EntryKind::Override)
    }
}

/// Where the logs of revoked devices end for the fold. All other devices count whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CutOffs(BTreeMap<DeviceId, LogPlace>);

impl CutOffs {
    /// From the signed key list.
    #[must_use]
    pub fn of(key_list: &KeyList) -> Self {
        key_list
            .revoked_devices
            .iter()
            .map(|r| (r.device, r.accepted_to.map_or(r.cut_off, |to| to.max(r.cut_off))))
            .collect()
    }

    /// Revoked devices with the last place of theirs that counts, by device.
    pub fn ends(&self) -> impl Iterator<Item = (DeviceId, LogPlace)> {
        self.0.iter().map(|(device, end)| (*device, *end))
    }

    /// True if the entry at this place counts; false if it waits in quarantine.
    #[must_use]
    pub fn include(&self, place: EntryPlace) -> bool {
        self.0.get(&place.device).is_none_or(|end| LogPlace { log_no: place.log_no, seq: place.seq } <= *end)
    }
}

/// A device twice ends at the earlier place: a revocation is never widened by repeating it.
impl FromIterator<(DeviceId, LogPlace)> for CutOffs {
    fn from_iter<I: IntoIterator<Item = (DeviceId, LogPlace)>>(ends: I) -> Self {
        let mut map = BTreeMap::new();
        for (device, end) in ends {
            map.entry(device).and_modify(|known: &mut LogPlace| *known = end.min(*known)).or_insert(end);
        }
        Self(map)
    }
}

/// The admission that stands first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FirstAdmission {
    /// Corrected scan time.
    pub at: UnixMillis,
    /// Where.
    pub gate: Option<GateId>,
    /// By which device.
    pub device: DeviceId,
}

/// One admission that is part of a double admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Side {
    /// The entry.
    pub place: EntryPlace,
    /// Its hash.
    pub hash: Hash32,
    /// Corrected scan time.
    pub at: UnixMillis,
    /// Error bar.
    pub error_ms: u32,
    /// Where.
    pub gate: Option<GateId>,
    /// Who was at the device.
    pub staff: Option<StewardId>,
    /// A supervisor has taken it back since.
    pub undone: bool,
}

/// Whether an incident still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentStatus {
    /// The records contradict the list's policy.
    Open,
    /// They did, until an undo resolved it. Kept.
    Closed,
}

/// Two or more entries without an exit between them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DoubleAdmission {
    /// Whether it still holds.
    pub status: IncidentStatus,
    /// Every entry that was ever part of it, in the order of the fold.
    pub sides: Vec<Side>,
}

/// One ticket on one list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TicketHistory {
    records: Vec<Record>,
    double: Option<DoubleAdmission>,
    quarantined: bool,
}

impl TicketHistory {
    /// Folds the records of one (list, ticket), in any order and with duplicates. `undos` may hold any undos; those
    /// that name none of the records, or another list, do nothing.
    #[must_use]
    pub fn fold<'r, R, U>(records: R, undos: U, cut_offs: &CutOffs) -> Self
    where
        R: IntoIterator<Item = &'r Record>,
        U: IntoIterator<Item = &'r Record>,
    {
        let mut quarantined = false;
        let mut all: Vec<Record> = Vec::new();
        for record in records.into_iter().filter(|r| r.folds_into().is_some()) {
            if cut_offs.include(record.place) {
                all.push(*record);
            } else {
                quarantined = true;
            }
        }
        all.sort_unstable_by_key(Record::key);
        all.dedup_by_key(|r| r.key());

        let mut targets: BTreeMap<EntryPlace, Vec<usize>> = BTreeMap::new();
        for (i, record) in all.iter().enumerate() {
            targets.entry(record.place).or_default().push(i);
        }
        // Each undo that takes something out, with what it takes out. Both sides of a fork share one place.
        let mut undos: Vec<(OrderKey, Vec<usize>)> = undos
            .into_iter()
            .filter(|u| cut_offs.include(u.place))
            .filter_map(|u| {
                let mut taken = targets.get(&u.undoes()?)?.clone();
                taken.retain(|i| all[*i].list == u.list);
                (!taken.is_empty()).then(|| (u.key(), taken))
            })
            .collect();
        undos.sort_unstable();
        undos.dedup();

        let (undone, double) = replay(&all, &undos);
        let mut keep = undone.iter().map(|gone| !gone);
        all.retain(|_| keep.next().unwrap_or(true));
        Self { records: all, double, quarantined }
    }

    /// The records that count, in order.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Entries and overrides, in order.
    pub fn admissions(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.records.iter().filter(|r| r.admits())
    }

    /// Number of entries and overrides.
    #[must_use]
    pub fn entries_total(&self) -> usize {
        self.admissions().count()
    }

    /// The latest record.
    #[must_use]
    pub fn latest(&self) -> Option<&Record> {
        self.records.last()
    }

    /// The first admission.
    #[must_use]
    pub fn first_admission(&self) -> Option<FirstAdmission> {
        self.admissions().next().map(|r| FirstAdmission { at: r.at, gate: r.gate, device: r.place.device })
    }

    /// True if the person is inside as far as the log knows: the latest record is no exit.
    #[must_use]
    pub fn present(&self) -> bool {
        self.latest().is_some_and(Record::admits)
    }

    /// Entries without an exit between; an incident only on a list that forbids them.
    #[must_use]
    pub fn double_admission(&self) -> Option<&DoubleAdmission> {
        self.double.as_ref()
    }

    /// True if a revoked device also scanned it after its cut-off and the owner has not accepted that.
    #[must_use]
    pub fn quarantined(&self) -> bool {
        self.quarantined
    }
}

/// Walks through records and undos in the order of scan time. Returns which records are undone in the end, and the
/// double admission that stood at any moment on the way: an undo that comes after the second entry closes an
/// incident, one that comes before it prevents one.
fn replay(all: &[Record], undos: &[(OrderKey, Vec<usize>)]) -> (Vec<bool>, Option<DoubleAdmission>) {
    let mut undone = vec![false; all.len()];
    let mut involved = BTreeSet::new();
    let mut undos = undos.iter().peekable();
    let mut stretch = Stretch::default();
    for i in 0..=all.len() {
        let until = all.get(i).map(Record::key);
        while let Some((_, taken)) = undos.next_if(|(key, _)| until.is_none_or(|u| *key < u)) {
            for t in taken {
                undone[*t] = true;
            }
            // Taking back an exit can join two stretches, so all of them are read again.
            stretch = Stretch::default();
            for (j, record) in all[..i].iter().enumerate().filter(|(j, _)| !undone[*j]) {
                stretch.step(j, record, &mut involved);
            }
        }
        if let Some(record) = all.get(i).filter(|_| !undone[i]) {
            stretch.step(i, record, &mut involved);
        }
    }

    let mut final_doubles = BTreeSet::new();
    let mut stretch = Stretch::default();
    for (j, record) in all.iter().enumerate().filter(|(j, _)| !undone[*j]) {
        stretch.step(j, record, &mut final_doubles);
    }
    let sides: Vec<Side> = involved
        .into_iter()
        .map(|i| {
            let r = &all[i];
            let undone = undone[i];
            Side {
                place: r.place,
                hash: r.hash,
                at: r.at,
                error_ms: r.error_ms,
                gate: r.gate,
                staff: r.staff,
                undone,
            }
        })
        .collect();
    let status = if final_doubles.is_empty() { IncidentStatus::Closed } else { IncidentStatus::Open };
    let double = (!sides.is_empty()).then_some(DoubleAdmission { status, sides });
    (undone, double)
}

/// Entries since the last exit. The second and every later one is a double admission with all before it.
#[derive(Default)]
struct Stretch {
    first: Option<usize>,
}

impl Stretch {
    fn step(&mut self, index: usize, record: &Record, involved: &mut BTreeSet<usize>) {
        match record.kind {
            EntryKind::Exit => self.first = None,
            EntryKind::Entry => match self.first {
                None => self.first = Some(index),
                Some(first) => involved.extend([first, index]),
            },
            // A supervisor's decision is neither half of a double admission.
            EntryKind::Override | EntryKind::Refuse | EntryKind::Undo | EntryKind::Fork => {}
        }
    }
}

/// The highest generation that late codes of a ticket have shown, and the latest time at which it can have been issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Learned {
    /// Seen in a strictly valid code that the manifest did not know.
    pub generation: u8,
    /// It was issued at this time or before: the code's `issued_at`, or the end of the scan's error bar.
    pub issued_by: UnixSecs,
}

impl Learned {
    /// What the records of one ticket (of any list and kind) teach: every flag `late_sale` or `late_reissue` stands for a
    /// verified code.
    #[must_use]
    pub fn of<'r>(records: impl IntoIterator<Item = &'r Record>, cut_offs: &CutOffs) -> Option<Self> {
        records
            .into_iter()
            .filter(|r| r.flags.contains(Flag::LateReissue) || r.flags.contains(Flag::LateSale))
            .filter(|r| cut_offs.include(r.place))
            .filter_map(|r| {
                let issued_by = r.at.plus_ms(i64::from(r.error_ms)).secs();
                Some(Self { generation: r.generation?, issued_by })
            })
            .max_by_key(|l| (l.generation, std::cmp::Reverse(l.issued_by)))
    }
}
