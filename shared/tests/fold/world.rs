//! Records by the handful.

use shared::admission::fold::{EventFold, ListPolicies, ListPolicy};
use shared::admission::{CutOffs, Flags, Outcome, Record};
use shared::bytes::{Hash32, sha256};
use shared::ids::{DeviceId, GateId, ListId, TicketId};
use shared::log::entry::{EntryKind, EntryPlace};
use shared::time::UnixMillis;

pub fn device(n: u8) -> DeviceId {
    DeviceId::from_bytes([n; 16])
}
pub fn list(n: u8) -> ListId {
    ListId::from_bytes([n; 16])
}
pub fn ticket(n: u8) -> TicketId {
    TicketId::from_bytes([n; 16])
}
pub fn place(d: u8, seq: u64) -> EntryPlace {
    EntryPlace { device: device(d), log_no: 1, seq }
}

/// List 1: attendance, single entry. List 2: multiple entries. All others are unknown.
pub fn policies() -> ListPolicies {
    [
        (list(1), ListPolicy { multiple_entry: false, attendance: true }),
        (list(2), ListPolicy { multiple_entry: true, attendance: false }),
    ]
    .into_iter()
    .collect()
}

/// A record of ticket 1 on list 1 at `at` ms, unlike any other at its place by its content.
pub fn record(kind: EntryKind, at: i64, place: EntryPlace) -> Record {
    let mut r = Record {
        place,
        hash: Hash32([0; 32]),
        kind,
        outcome: if kind == EntryKind::Refuse { Outcome::AlreadyAdmitted } else { Outcome::Ok },
        flags: Flags::NONE,
        list: Some(list(1)),
        ticket: Some(ticket(1)),
        generation: Some(0),
        type_no: Some(1),
        gate: Some(GateId::from_bytes([4; 16])),
        staff: None,
        at: UnixMillis(at),
        error_ms: 5,
        rehearsal: false,
        target: None,
    };
    rehash(&mut r);
    r
}

/// The hash stands for the content, as that of an entry does.
pub fn rehash(r: &mut Record) {
    r.hash = Hash32([0; 32]);
    r.hash = sha256(b"test\0", &[format!("{r:?}").as_bytes()]);
}

pub fn changed(mut r: Record, change: impl FnOnce(&mut Record)) -> Record {
    change(&mut r);
    rehash(&mut r);
    r
}

pub fn undo(target: EntryPlace, at: i64, place: EntryPlace) -> Record {
    changed(record(EntryKind::Undo, at, place), |r| r.target = Some(target))
}

pub fn fold(records: &[Record]) -> EventFold {
    EventFold::of(records.iter().copied(), policies(), &CutOffs::default())
}
