//! What an entry may say, kind by kind, and that nonsense is still authentic.

use crate::entries::{entry, first, key, place, run, second};
use shared::admission::{Flag, Flags, Outcome};
use shared::bytes::Hash32;
use shared::log::entry::{Direction, EntryFault, EntryKind, LogEntry, Seen};
use shared::log::run::NO_ENTRY;
use shared::log::verify_run;

fn exit() -> LogEntry {
    LogEntry { kind: EntryKind::Exit, direction: Direction::Out, ..second() }
}
fn refuse() -> LogEntry {
    LogEntry { kind: EntryKind::Refuse, outcome: Outcome::Revoked, ..second() }
}
fn unreadable() -> LogEntry {
    LogEntry {
        outcome: Outcome::Malformed,
        ticket: None,
        generation: None,
        kid: None,
        type_no: None,
        ..refuse()
    }
}
fn overriding() -> LogEntry {
    LogEntry {
        kind: EntryKind::Override,
        flags: [Flag::Overridden, Flag::Blocked].into_iter().collect(),
        reason: Some("ours".into()),
        ..second()
    }
}
fn undo() -> LogEntry {
    LogEntry {
        kind: EntryKind::Undo,
        target: Some(place(1, 1)),
        ticket: None,
        text_hash: None,
        reason: Some("wrong person".into()),
        ..second()
    }
}
fn fork() -> LogEntry {
    LogEntry {
        place: place(2, 1),
        kind: EntryKind::Fork,
        list: None,
        ticket: None,
        text_hash: None,
        generation: None,
        kid: None,
        type_no: None,
        gate: None,
        ..first()
    }
}
fn rehearsal() -> LogEntry {
    LogEntry { rehearsal: true, flags: Flags::NONE.with(Flag::Rehearsal), ..second() }
}

#[test]
fn sound_entries_of_every_kind_have_no_fault() {
    for sound in
        [first(), second(), exit(), refuse(), unreadable(), overriding(), undo(), fork(), rehearsal()]
    {
        assert_eq!(sound.check(), Ok(()), "{sound:?}");
        assert_eq!(LogEntry::from_bytes(&sound.to_bytes()), Ok(sound));
    }
    // Out of the venue with a barcode that nobody knows.
    assert_eq!(LogEntry { ticket: None, ..exit() }.check(), Ok(()));
    // On the way out with a bad code.
    assert_eq!(LogEntry { direction: Direction::Out, ..refuse() }.check(), Ok(()));
}

#[test]
fn each_fault_is_named_and_the_entry_is_stored_all_the_same() {
    let changed = |mut e: LogEntry, change: fn(&mut LogEntry)| {
        change(&mut e);
        e
    };
    use EntryFault as F;
    let cases = [
        (F::PrevHash, changed(first(), |e| e.prev_hash = Hash32([1; 32]))),
        (F::PrevHash, changed(second(), |e| e.prev_hash = NO_ENTRY)),
        (F::Fork, changed(fork(), |e| e.place = place(1, 1))),
        (F::Fork, entry(2, Hash32([1; 32])).clone_as(EntryKind::Fork)),
        (F::Fork, changed(first(), |e| e.place = place(2, 1))),
        (F::Target, changed(undo(), |e| e.target = None)),
        (F::Target, changed(second(), |e| e.target = Some(place(1, 1)))),
        (F::TargetPlace, changed(undo(), |e| e.target = Some(e.place))),
        (F::TargetPlace, changed(undo(), |e| e.target = Some(place(1, 0)))),
        (F::TargetPlace, changed(undo(), |e| e.target = Some(place(0, 1)))),
        (F::TargetPlace, changed(undo(), |e| e.target = Some(place(1, 1 << 63)))),
        (F::List, changed(second(), |e| e.list = None)),
        (F::List, changed(undo(), |e| e.list = None)),
        (F::Ticket, changed(second(), |e| e.ticket = None)),
        (F::Ticket, changed(overriding(), |e| e.ticket = None)),
        (F::Ticket, changed(unreadable(), |e| e.text_hash = None)),
        (F::Generation, changed(second(), |e| e.generation = Some(16))),
        (F::Direction, changed(second(), |e| e.direction = Direction::Out)),
        (F::Direction, changed(overriding(), |e| e.direction = Direction::Out)),
        (F::Direction, changed(exit(), |e| e.direction = Direction::In)),
        (F::Outcome, changed(second(), |e| e.outcome = Outcome::Revoked)),
        (F::Outcome, changed(refuse(), |e| e.outcome = Outcome::Ok)),
        (F::CannotRecord, changed(refuse(), |e| e.outcome = Outcome::CannotRecord)),
        (F::NoReason, changed(overriding(), |e| e.reason = None)),
        (F::NoReason, changed(overriding(), |e| e.reason = Some(String::new()))),
        (F::LongReason, changed(undo(), |e| e.reason = Some("ä".repeat(201)))),
        (F::Rehearsal, changed(second(), |e| e.rehearsal = true)),
        (F::Rehearsal, changed(second(), |e| e.flags = Flags::NONE.with(Flag::Rehearsal))),
        (F::Overridden, changed(second(), |e| e.flags = Flags::NONE.with(Flag::Overridden))),
        (F::Overridden, changed(overriding(), |e| e.flags = Flags::NONE)),
        (F::Seen, changed(second(), |e| e.seen.reverse())),
        (F::Seen, changed(second(), |e| e.seen = vec![Seen { number: 2, log_no: 1, seq: 1 }; 2])),
    ];
    for (fault, entry) in cases {
        assert_eq!(entry.check(), Err(fault), "{entry:?}");
        let stored = verify_run(&run(std::slice::from_ref(&entry)), &key().verifying_key());
        assert_eq!(stored.map(|e| e.len()), Ok(1), "{fault} must not keep an authentic entry out");
    }
    assert_eq!(changed(undo(), |e| e.reason = Some("ä".repeat(200))).check(), Ok(()));
}

trait CloneAs {
    fn clone_as(&self, kind: EntryKind) -> Self;
}

impl CloneAs for LogEntry {
    fn clone_as(&self, kind: EntryKind) -> Self {
        Self { kind, ..self.clone() }
    }
}
