//! The fold against a naive model, and its indifference to how records arrive.

use crate::world::*;
use proptest::prelude::*;
use proptest::sample::Index;
use shared::admission::fold::{EventFold, Incident};
use shared::admission::history::IncidentStatus;
use shared::admission::{CutOffs, Record, TicketHistory};
use shared::ids::{ListId, TicketId};
use shared::log::entry::EntryKind::{self, Entry, Exit, Fork, Override, Refuse, Undo};
use shared::log::entry::EntryPlace;
use shared::manifest::docs::LogPlace;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone)]
struct Scan {
    device: u8,
    kind: EntryKind,
    list: u8,
    ticket: u8,
    at: i64,
    rehearsal: bool,
    /// Written at the place of the device's entry before it.
    forks: bool,
    target: Index,
}

fn scan() -> impl Strategy<Value = Scan> {
    let kind = prop_oneof![
        6 => Just(Entry), 3 => Just(Exit), 1 => Just(Override), 3 => Just(Undo), 1 => Just(Refuse), 1 => Just(Fork)
    ];
    // Few times, so that many are equal.
    (
        1..4u8,
        kind,
        1..4u8,
        1..3u8,
        0..12i64,
        prop::bool::weighted(0.05),
        prop::bool::weighted(0.1),
        any::<Index>(),
    )
        .prop_map(|(device, kind, list, ticket, at, rehearsal, forks, target)| Scan {
            device,
            kind,
            list,
            ticket,
            at,
            rehearsal,
            forks,
            target,
        })
}

fn records(scans: &[Scan]) -> Vec<Record> {
    let mut seqs: BTreeMap<u8, u64> = BTreeMap::new();
    let places: Vec<EntryPlace> = scans
        .iter()
        .map(|s| {
            let seq = seqs.entry(s.device).or_default();
            *seq += u64::from(!s.forks || *seq == 0);
            place(s.device, *seq)
        })
        .collect();
    let mut written: Vec<Record> = Vec::new();
    for (s, here) in scans.iter().zip(&places) {
        written.push(changed(record(s.kind, s.at, *here), |r| {
            (r.list, r.ticket, r.rehearsal) = (Some(list(s.list)), Some(ticket(s.ticket)), s.rehearsal);
            r.target = (s.kind == Undo).then(|| *s.target.get(&places));
        }));
    }
    written
}

fn world() -> impl Strategy<Value = (Vec<Record>, CutOffs)> {
    let cut = prop::option::weighted(0.3, (1..4u8, 0..6u64));
    (prop::collection::vec(scan(), 0..24), cut).prop_map(|(scans, cut)| {
        let cut = cut.map(|(d, seq)| (device(d), LogPlace { log_no: 1, seq }));
        (records(&scans), cut.into_iter().collect())
    })
}

type Key = (ListId, TicketId);
/// What stands in the end, the incident, and every place that was ever part of it.
type Model = (Vec<Record>, Option<IncidentStatus>, BTreeSet<EntryPlace>);

/// What the contract says, as slowly as it can be said: for each moment in scan time, the entries that stand, every two
/// of them with an eye on what lies between.
fn naive(records: &[Record], cut: &CutOffs) -> BTreeMap<Key, Model> {
    let order = |r: &Record| (r.at, r.place.device, r.place.log_no, r.place.seq, r.hash);
    let mut all: Vec<Record> =
        records.iter().filter(|r| !r.rehearsal && cut.include(r.place)).copied().collect();
    all.sort_by_key(order);
    all.dedup_by_key(|r| r.hash);
    let folds = |r: &Record| matches!(r.kind, Entry | Exit | Override);
    let standing_at = |key: Key, moment: usize| -> Vec<Record> {
        let past = &all[..moment];
        let gone =
            |r: &Record| past.iter().any(|u| u.kind == Undo && u.target == Some(r.place) && u.list == r.list);
        past.iter().filter(|r| folds(r) && r.list.zip(r.ticket) == Some(key) && !gone(r)).copied().collect()
    };
    let doubled = |standing: &[Record]| -> BTreeSet<EntryPlace> {
        let mut sides = BTreeSet::new();
        for (i, a) in standing.iter().enumerate().filter(|(_, r)| r.kind == Entry) {
            for (j, b) in standing.iter().enumerate().skip(i + 1).filter(|(_, r)| r.kind == Entry) {
                if !standing[i..j].iter().any(|r| r.kind == Exit) {
                    sides.extend([a.place, b.place]);
                }
            }
        }
        sides
    };
    let keys: BTreeSet<Key> =
        records.iter().filter(|r| folds(r) && !r.rehearsal).filter_map(|r| r.list.zip(r.ticket)).collect();
    keys.into_iter()
        .map(|key| {
            let last = standing_at(key, all.len());
            let ever: BTreeSet<EntryPlace> =
                (0..=all.len()).flat_map(|m| doubled(&standing_at(key, m))).collect();
            let open = !doubled(&last).is_empty();
            let status = if open { IncidentStatus::Open } else { IncidentStatus::Closed };
            (key, (last, (!ever.is_empty()).then_some(status), ever))
        })
        .collect()
}

fn shuffled(records: &[Record], picks: &[Index]) -> Vec<Record> {
    let mut pool = records.to_vec();
    let mut out = Vec::new();
    for pick in picks {
        if pool.is_empty() {
            break;
        }
        out.push(pool.swap_remove(pick.index(pool.len())));
    }
    out.extend(pool);
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_fold_says_what_the_contract_says((records, cut) in world()) {
        let fold = EventFold::of(records.iter().copied(), policies(), &cut);
        let model = naive(&records, &cut);
        let keys: Vec<Key> = fold.histories().map(|(l, t, _)| (l, t)).collect();
        prop_assert_eq!(&keys, &model.keys().copied().collect::<Vec<_>>());
        for (list_id, ticket_id, history) in fold.histories() {
            let (standing, status, sides) = &model[&(list_id, ticket_id)];
            prop_assert_eq!(history.records(), standing.as_slice());
            prop_assert_eq!(history.double_admission().map(|d| d.status), *status);
            let told: BTreeSet<EntryPlace> =
                history.double_admission().into_iter().flat_map(|d| &d.sides).map(|s| s.place).collect();
            prop_assert_eq!(&told, sides);
        }
        // Exactly one incident for each such pair, on lists that forbid it.
        let expected = model.iter().filter(|((l, _), (_, status, _))| status.is_some() && *l != list(2)).count();
        let incidents = fold.incidents();
        let doubles = incidents.iter().filter(|i| matches!(i, Incident::DoubleAdmission { .. })).count();
        prop_assert_eq!(doubles, expected);
        // One incident for each forked log.
        let forked: BTreeSet<_> = records
            .iter()
            .filter(|a| records.iter().any(|b| a.place == b.place && a.hash != b.hash))
            .map(|r| (r.place.device, r.place.log_no))
            .collect();
        prop_assert_eq!(incidents.len() - doubles, forked.len());
    }

    #[test]
    fn order_duplicates_and_batches_do_not_matter(
        (records, cut) in world(),
        picks in prop::collection::vec(any::<Index>(), 24),
        again in prop::collection::vec(any::<Index>(), 0..12),
        batch in 1..6usize,
    ) {
        let whole = EventFold::of(records.iter().copied(), policies(), &cut);
        let mut arrived = shuffled(&records, &picks);
        let repeats: Vec<Record> =
            again.iter().filter(|_| !records.is_empty()).map(|i| *i.get(&records)).collect();
        arrived.extend(repeats);
        // A replica that stores batch after batch, knowing a record by its place and hash.
        let mut store = BTreeMap::new();
        for batch in arrived.chunks(batch) {
            store.extend(batch.iter().map(|r| ((r.hash, r.place), *r)));
        }
        for replica in [arrived, store.into_values().collect()] {
            let fold = EventFold::of(replica, policies(), &cut);
            prop_assert_eq!(&fold, &whole);
            prop_assert_eq!(fold.hash(), whole.hash());
        }
    }

    #[test]
    fn each_ticket_by_itself_is_the_whole((records, cut) in world(), picks in prop::collection::vec(any::<Index>(), 24)) {
        let whole = EventFold::of(records.iter().copied(), policies(), &cut);
        let records = shuffled(&records, &picks);
        for (list_id, ticket_id, history) in whole.histories() {
            let own: Vec<Record> =
                records.iter().filter(|r| r.list == Some(list_id) && r.ticket == Some(ticket_id)).copied().collect();
            prop_assert_eq!(&TicketHistory::fold(&own, &records, &cut), history);
        }
    }

    #[test]
    fn one_record_more_changes_the_hash_exactly_if_it_changes_the_state((records, cut) in world()) {
        if let Some((_, fewer)) = records.split_last() {
            let before = EventFold::of(fewer.iter().copied(), policies(), &cut);
            let after = EventFold::of(records.iter().copied(), policies(), &cut);
            let state = |f: &EventFold| {
                let histories: Vec<_> = f
                    .histories()
                    .map(|(l, t, h)| (l, t, h.records().to_vec(), h.double_admission().cloned().filter(|_| l != list(2))))
                    .filter(|(_, _, records, double)| !records.is_empty() || double.is_some())
                    .map(|(l, t, records, double)| {
                        let sides = double.map(|d| (d.status, d.sides.iter().map(|s| s.hash).collect::<Vec<_>>()));
                        (l, t, records, sides)
                    })
                    .collect();
                let forks: Vec<Incident> = f
                    .incidents()
                    .into_iter()
                    .filter_map(|i| match i {
                        Incident::ForkedLog { device, log_no, mut places } => {
                            places.retain(|p| cut.include(EntryPlace { device, log_no, seq: p.seq }));
                            (!places.is_empty()).then_some(Incident::ForkedLog { device, log_no, places })
                        }
                        Incident::DoubleAdmission { .. } => None,
                    })
                    .collect();
                (histories, forks)
            };
            prop_assert_eq!(state(&before) == state(&after), before.hash() == after.hash());
        }
    }
}
