use crate::world::*;
use shared::admission::fold::{EventFold, ForkedPlace, Incident, ListCounts};
use shared::admission::history::{DoubleAdmission, IncidentStatus};
use shared::admission::seen::{CouldHaveKnown, could_have_known};
use shared::admission::{CutOffs, Outcome, Record, TicketHistory};
use shared::log::entry::EntryKind::{self, Entry, Exit, Override, Refuse};
use shared::log::entry::{EntryPlace, Seen};
use shared::manifest::docs::LogPlace;

/// Records of ticket 1 on list 1, a minute apart, each by a device of its own. `undo:N` takes back the Nth from 0.
fn story(words: &str) -> Vec<Record> {
    let mut records = Vec::new();
    for (i, word) in words.split_whitespace().enumerate() {
        let n = u8::try_from(i).expect("short stories");
        let (at, here) = (i64::from(n) * 60_000, place(n + 1, 1));
        records.push(match word.split_once(':') {
            Some(("undo", target)) => undo(place(target.parse::<u8>().expect("a number") + 1, 1), at, here),
            _ => {
                let kind = match word {
                    "entry" => Entry,
                    "exit" => Exit,
                    "override" => Override,
                    "refuse" => Refuse,
                    other => panic!("{other}?"),
                };
                record(kind, at, here)
            }
        });
    }
    records
}

fn doubles(fold: &EventFold) -> Vec<DoubleAdmission> {
    fold.incidents()
        .into_iter()
        .filter_map(|i| match i {
            Incident::DoubleAdmission { double, .. } => Some(double),
            Incident::ForkedLog { .. } => None,
        })
        .collect()
}

#[test]
fn stories_of_one_ticket() {
    use IncidentStatus::{Closed, Open};
    // (story, entries, present, incident with its sides by number in the story)
    type Told = Option<(IncidentStatus, &'static [u8])>;
    let stories: &[(&str, usize, bool, Told)] = &[
        ("", 0, false, None),
        ("entry", 1, true, None),
        ("refuse", 0, false, None),
        ("exit", 0, false, None),
        ("entry exit", 1, false, None),
        ("entry refuse refuse", 1, true, None),
        ("entry entry", 2, true, Some((Open, &[0, 1]))),
        ("entry entry entry", 3, true, Some((Open, &[0, 1, 2]))),
        ("entry exit entry", 2, true, None),
        ("entry exit exit entry", 2, true, None),
        ("entry exit entry exit entry", 3, true, None),
        ("entry exit entry entry", 3, true, Some((Open, &[2, 3]))),
        ("entry entry exit entry entry", 4, true, Some((Open, &[0, 1, 3, 4]))),
        ("entry entry exit", 2, false, Some((Open, &[0, 1]))),
        // Overrides are on record by themselves.
        ("override", 1, true, None),
        ("entry override", 2, true, None),
        ("override entry", 2, true, None),
        ("override override", 2, true, None),
        ("override entry override", 3, true, None),
        ("entry override entry", 3, true, Some((Open, &[0, 2]))),
        // Undo.
        ("entry undo:0", 0, false, None),
        ("override undo:0", 0, false, None),
        ("entry exit undo:1", 1, true, None),
        ("entry undo:0 entry", 1, true, None),
        ("entry entry undo:0", 1, true, Some((Closed, &[0, 1]))),
        ("entry entry undo:1", 1, true, Some((Closed, &[0, 1]))),
        ("entry entry undo:0 undo:1", 0, false, Some((Closed, &[0, 1]))),
        ("entry entry undo:1 entry", 2, true, Some((Open, &[0, 1, 3]))),
        ("entry entry entry undo:1", 2, true, Some((Open, &[0, 1, 2]))),
        // Taking back an exit can make two entries meet, and then one of them can be taken back too.
        ("entry exit entry undo:1", 2, true, Some((Open, &[0, 2]))),
        ("entry exit entry undo:1 undo:0", 1, true, Some((Closed, &[0, 2]))),
        ("entry exit undo:1 entry", 2, true, Some((Open, &[0, 3]))),
        ("entry exit undo:1 undo:0 entry", 1, true, None),
        // Once taken back is taken back.
        ("entry undo:0 undo:0", 0, false, None),
        ("entry undo:0 undo:1", 0, false, None),
        ("entry entry undo:1 undo:2", 1, true, Some((Closed, &[0, 1]))),
        // What does not fold cannot be taken out of it.
        ("entry refuse undo:1", 1, true, None),
        // An undo whose clock is behind that of its target (named by its place) takes it back all the same.
        ("undo:1 entry", 0, false, None),
        ("entry undo:2 entry entry", 2, true, Some((Open, &[0, 3]))),
        ("entry undo:2 entry", 1, true, None),
    ];
    for (words, entries, present, expected) in stories {
        let records = story(words);
        let fold = fold(&records);
        let history = fold.history(list(1), ticket(1)).cloned().unwrap_or_default();
        assert_eq!(history.entries_total(), *entries, "entries of {words:?}");
        assert_eq!(history.present(), *present, "presence of {words:?}");
        let told: Vec<_> = doubles(&fold)
            .into_iter()
            .map(|d| {
                (d.status, d.sides.iter().map(|s| s.place.device.as_bytes()[0] - 1).collect::<Vec<u8>>())
            })
            .collect();
        let expected: Vec<_> = expected.iter().map(|(status, sides)| (*status, sides.to_vec())).collect();
        assert_eq!(told, expected, "incidents of {words:?}");
        for side in doubles(&fold).iter().flat_map(|d| &d.sides) {
            let left = history.records().iter().any(|r| r.place == side.place);
            assert_eq!(side.undone, !left, "undone sides of {words:?}");
        }
        let totals = ListCounts {
            admitted: u64::from(*entries > 0),
            on_site: u64::from(*present),
            entries: *entries as u64,
        };
        assert_eq!((fold.counts(list(1)), fold.attendance()), (totals, totals), "counts of {words:?}");
    }
}

#[test]
fn rehearsals_and_the_unidentified_never_count() {
    for change in
        [(|r: &mut Record| r.rehearsal = true) as fn(&mut Record), |r| r.list = None, |r| r.ticket = None]
    {
        let records = [record(Entry, 0, place(1, 1)), changed(record(Entry, 1, place(2, 1)), change)];
        let fold = fold(&records);
        assert_eq!(fold.attendance().entries, 1);
        assert_eq!(fold.incidents(), []);
        assert_eq!(fold.hash(), crate::world::fold(&records[..1]).hash());
    }
}

#[test]
fn an_undo_works_on_its_own_list_and_not_in_rehearsal() {
    let entry = record(Entry, 0, place(1, 1));
    let good = undo(place(1, 1), 1, place(2, 1));
    for (undo, undone) in [
        (good, true),
        (changed(good, |u| u.list = Some(list(2))), false),
        (changed(good, |u| u.list = None), false),
        (changed(good, |u| u.rehearsal = true), false),
        (changed(good, |u| u.target = None), false),
        (changed(good, |u| u.target = Some(place(1, 2))), false),
        (changed(good, |u| u.target = Some(EntryPlace { log_no: 2, ..place(1, 1) })), false),
        (changed(good, |u| u.kind = EntryKind::Fork), false),
        // The place names it; the ticket need not be repeated.
        (changed(good, |u| u.ticket = None), true),
    ] {
        for records in [[entry, undo], [undo, entry]] {
            assert_eq!(fold(&records).attendance().entries, u64::from(!undone), "{undo:?}");
        }
    }
}

#[test]
fn lists_and_tickets_stand_by_themselves() {
    let records = [
        record(Entry, 0, place(1, 1)),
        changed(record(Entry, 1, place(1, 2)), |r| r.list = Some(list(2))),
        changed(record(Entry, 2, place(1, 3)), |r| r.ticket = Some(ticket(2))),
        changed(record(Entry, 3, place(1, 4)), |r| r.list = Some(list(3))),
    ];
    let fold = fold(&records);
    assert_eq!(fold.counts(list(1)), ListCounts { admitted: 2, on_site: 2, entries: 2 });
    assert_eq!(fold.counts(list(2)), ListCounts { admitted: 1, on_site: 1, entries: 1 });
    assert_eq!(fold.counts(list(9)), ListCounts::default());
    assert_eq!(fold.attendance(), fold.counts(list(1)));
    assert_eq!(fold.incidents(), []);
    let again = |n: u8| changed(record(Entry, 9, place(2, 1)), |r| r.list = Some(list(n)));
    let with = |n: u8| doubles(&crate::world::fold(&[&records[..], &[again(n)]].concat())).len();
    assert_eq!(with(1), 1);
    assert_eq!(with(2), 0, "this list allows multiple entries");
    assert_eq!(with(3), 1, "a list that nobody knows forbids them");
}

#[test]
fn the_order_is_scan_time_then_place_then_hash() {
    let early = record(Exit, 10, place(9, 9));
    let late = record(Entry, 20, place(1, 1));
    let history = |records: &[Record]| TicketHistory::fold(records, &[], &CutOffs::default());
    assert_eq!(history(&[late, early]).latest(), Some(&late));
    let tie = record(Exit, 20, place(2, 1));
    assert_eq!(history(&[tie, late]).records(), [late, tie]);
    let twin = changed(late, |r| r.gate = None);
    let (low, high) = if twin.hash < late.hash { (twin, late) } else { (late, twin) };
    assert_eq!(history(&[high, low]).records(), [low, high]);
    assert_eq!(history(&[late, late, late]).records().len(), 1);
}

#[test]
fn first_admission_is_the_first_that_still_stands() {
    let records = story("exit entry override undo:1");
    let history = fold(&records).history(list(1), ticket(1)).cloned().expect("it has records");
    let first = history.first_admission().expect("an override");
    assert_eq!((first.device, first.at), (device(3), records[2].at));
}

#[test]
fn a_revoked_device_counts_up_to_its_cut_off_and_where_it_was_accepted() {
    let at = |log_no, seq| LogPlace { log_no, seq };
    let here = |log_no, seq| EntryPlace { device: device(1), log_no, seq };
    let records: Vec<Record> = [(1, 1), (1, 2), (2, 1), (2, 2)]
        .into_iter()
        .enumerate()
        .map(|(i, (log_no, seq))| {
            let n = u8::try_from(i).expect("four");
            changed(record(Entry, i64::from(n), here(log_no, seq)), |r| r.ticket = Some(ticket(n)))
        })
        .chain([changed(record(Entry, 9, place(2, 1)), |r| r.ticket = Some(ticket(50)))])
        .collect();
    for (end, counted) in [
        (at(0, 0), 1),
        (at(1, 0), 1),
        (at(1, 1), 2),
        (at(1, 9), 3),
        (at(2, 0), 3),
        (at(2, 1), 4),
        (at(9, 9), 5),
    ] {
        let cut: CutOffs = [(device(1), end)].into_iter().collect();
        let fold = EventFold::of(records.iter().copied(), policies(), &cut);
        assert_eq!(fold.attendance().admitted, counted, "cut off at {end:?}");
        assert_eq!(fold.quarantined(), 5 - counted, "cut off at {end:?}");
    }
    // The same from the signed document; what was accepted never takes back what the cut-off allows.
    let revoked = |accepted_to| shared::manifest::docs::RevokedDevice {
        device: device(1),
        cut_off: at(1, 1),
        accepted_to,
    };
    let cut = |accepted_to| {
        CutOffs::of(&shared::manifest::docs::KeyList {
            organizer: shared::ids::OrganizerId::from_bytes([0; 16]),
            issued_at: shared::time::UnixSecs(0),
            ticket_keys: vec![],
            revoked_devices: vec![revoked(accepted_to)],
        })
    };
    for (accepted_to, counted) in [(None, 2), (Some(at(2, 1)), 4), (Some(at(1, 0)), 2)] {
        let fold = EventFold::of(records.iter().copied(), policies(), &cut(accepted_to));
        assert_eq!(fold.attendance().admitted, counted, "accepted to {accepted_to:?}");
    }
}

#[test]
fn quarantine_makes_no_incident_and_undoes_nothing_but_is_seen() {
    let cut: CutOffs = [(device(2), LogPlace { log_no: 1, seq: 0 })].into_iter().collect();
    let entry = record(Entry, 0, place(1, 1));
    let second = record(Entry, 1, place(2, 1));
    let takes_back = undo(place(1, 1), 2, place(2, 2));
    let fold = EventFold::of([entry, second, takes_back], policies(), &cut);
    assert_eq!((fold.attendance().entries, fold.incidents(), fold.quarantined()), (1, vec![], 2));
    assert!(fold.history(list(1), ticket(1)).expect("an entry").quarantined());
    assert_eq!(
        fold.hash(),
        crate::world::fold(&[entry]).hash(),
        "replicas agree that never saw the quarantine"
    );
}

#[test]
fn two_entries_at_one_place_are_one_fork_incident_for_the_log_and_both_count() {
    let records = [
        record(Entry, 0, place(1, 1)),
        changed(record(Entry, 0, place(1, 1)), |r| r.ticket = Some(ticket(2))),
        record(Refuse, 5, place(1, 2)),
        record(Refuse, 6, place(1, 2)),
        record(Refuse, 7, place(1, 2)),
        record(Refuse, 7, place(1, 3)),
        record(Refuse, 8, place(2, 1)),
        record(Refuse, 8, place(2, 1)),
    ];
    let fold = fold(&records);
    assert_eq!(fold.attendance().admitted, 2);
    let hashes = |of: &[usize]| {
        let mut hashes: Vec<_> = of.iter().map(|i| records[*i].hash).collect();
        hashes.sort();
        hashes
    };
    let places = vec![
        ForkedPlace { seq: 1, hashes: hashes(&[0, 1]) },
        ForkedPlace { seq: 2, hashes: hashes(&[2, 3, 4]) },
    ];
    assert_eq!(fold.incidents(), [Incident::ForkedLog { device: device(1), log_no: 1, places }]);
    assert!(fold.incidents().iter().all(Incident::is_open));
    // One undo names the place, so it takes back both.
    let undone = crate::world::fold(&[&records[..], &[undo(place(1, 1), 9, place(3, 1))]].concat());
    assert_eq!(undone.attendance(), ListCounts::default());
    assert_eq!(undone.incidents(), fold.incidents(), "what was signed twice cannot be unsigned");
}

#[test]
fn both_sides_of_a_fork_can_be_a_double_admission_too() {
    let side = record(Entry, 0, place(1, 1));
    let other = changed(side, |r| r.gate = None);
    let fold = fold(&[side, other]);
    assert_eq!(doubles(&fold).len(), 1);
    assert_eq!(fold.incidents().len(), 2);
    assert_eq!(fold.attendance(), ListCounts { admitted: 1, on_site: 1, entries: 2 });
}

#[test]
fn refusals_are_counted_by_outcome_without_rehearsals_and_quarantine() {
    let refuse = |seq, outcome| changed(record(Refuse, 0, place(1, seq)), |r| r.outcome = outcome);
    let records = [
        refuse(1, Outcome::Revoked),
        refuse(1, Outcome::Revoked),
        refuse(2, Outcome::Revoked),
        refuse(3, Outcome::Malformed),
        changed(refuse(4, Outcome::Malformed), |r| r.rehearsal = true),
        changed(refuse(5, Outcome::Malformed), |r| r.list = Some(list(2))),
        record(Entry, 0, place(1, 6)),
        refuse(7, Outcome::Expired),
    ];
    let cut: CutOffs = [(device(1), LogPlace { log_no: 1, seq: 6 })].into_iter().collect();
    let fold = EventFold::of(records, policies(), &cut);
    assert_eq!(
        fold.refusals(list(1)).into_iter().collect::<Vec<_>>(),
        [(Outcome::Malformed, 1), (Outcome::Revoked, 2)]
    );
    assert_eq!(fold.refusals(list(2)).into_iter().collect::<Vec<_>>(), [(Outcome::Malformed, 1)]);
    assert_eq!(fold.refusals(list(3)).len(), 0);
}

#[test]
fn the_hash_tells_every_state_from_every_other() {
    let stories = [
        "",
        "entry",
        "exit",
        "entry exit",
        "exit entry",
        "entry entry",
        "entry entry undo:0",
        "entry entry undo:1",
        "override",
        "entry exit entry",
        "entry exit entry undo:1",
    ];
    let hashes: std::collections::BTreeSet<_> = stories.iter().map(|s| fold(&story(s)).hash()).collect();
    assert_eq!(hashes.len(), stories.len());
    assert_eq!(fold(&story("entry undo:0")).hash(), fold(&[]).hash(), "a scan taken back leaves no state");
    let other_list = changed(record(Entry, 0, place(1, 1)), |r| r.list = Some(list(2)));
    assert_ne!(fold(&[other_list]).hash(), fold(&[record(Entry, 0, place(1, 1))]).hash());
}

#[test]
fn seen_vectors_prove_who_could_have_known() {
    use CouldHaveKnown::{No, Unproven, Yes};
    let seen = |number, log_no, seq| vec![Seen { number, log_no, seq }];
    let second = place(2, 3);
    let first = place(1, 5);
    // Entries of device 2 as (log, seq, changes); device 1 has number 7.
    type Log = Vec<(u32, u64, Vec<Seen>)>;
    let cases: Vec<(&str, Log, CouldHaveKnown)> = vec![
        ("never met", vec![(1, 1, vec![]), (1, 2, vec![]), (1, 3, vec![])], No),
        ("met before", vec![(1, 1, vec![]), (1, 2, seen(7, 1, 5)), (1, 3, vec![])], Yes),
        ("met further", vec![(1, 1, seen(7, 1, 9)), (1, 2, vec![]), (1, 3, vec![])], Yes),
        ("in the entry itself", vec![(1, 1, vec![]), (1, 2, vec![]), (1, 3, seen(7, 1, 5))], Yes),
        ("one short", vec![(1, 1, seen(7, 1, 4)), (1, 2, vec![]), (1, 3, vec![])], No),
        ("only afterwards", vec![(1, 1, vec![]), (1, 2, vec![]), (1, 3, vec![]), (1, 4, seen(7, 1, 5))], No),
        ("another device", vec![(1, 1, seen(6, 1, 9)), (1, 2, vec![]), (1, 3, vec![])], No),
        ("another log", vec![(1, 1, seen(7, 2, 9)), (1, 2, vec![]), (1, 3, vec![])], No),
        ("a gap", vec![(1, 1, vec![]), (1, 3, vec![])], Unproven),
        ("a gap, yet met", vec![(1, 3, seen(7, 1, 5))], Yes),
        ("nothing read", vec![], Unproven),
    ];
    for (name, log, expected) in cases {
        let entries = log.iter().map(|(log_no, seq, changes)| {
            (EntryPlace { device: device(2), log_no: *log_no, seq: *seq }, changes.as_slice())
        });
        assert_eq!(could_have_known(entries, second, first, 7), expected, "{name}");
    }
    // A second log follows a lost tail.
    let second = EntryPlace { log_no: 2, ..place(2, 1) };
    let log = [(EntryPlace { log_no: 2, ..place(2, 1) }, &[][..])];
    assert_eq!(could_have_known(log, second, first, 7), Unproven);
    // A device knows itself, and other devices' entries say nothing about it.
    assert_eq!(could_have_known([], place(1, 6), place(1, 5), 7), Yes);
    assert_eq!(could_have_known([], place(1, 5), place(1, 6), 7), No);
    let own = seen(7, 1, 5);
    let foreign = (1..=3).map(|seq| (place(3, seq), own.as_slice()));
    assert_eq!(could_have_known(foreign, place(2, 3), first, 7), Unproven);
}
