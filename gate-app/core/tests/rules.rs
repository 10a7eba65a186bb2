//! The table of list rules against a gate: history scanned first, then the rule published, then one more scan.
#![allow(clippy::unwrap_used, reason = "a test says what must hold by failing where it does not")]

mod common;
#[path = "../../../tests/cases/rules.rs"]
mod table;

use common::{Venue, scan};
use gate_core::answer::Answer;
use gate_core::bench::synthetic::Organizer;
use gate_core::scan::Settings;
use shared::admission::Flag;
use shared::bytes::Hash32;
use shared::ids::{GateId, ListId, TicketTypeId};
use shared::log::entry::{Direction, EntryKind};
use shared::manifest::docs::{EventInfo, GateConfig, ListConfig, TicketTypeConfig, TypeSet};
use shared::manifest::rows::TicketState;
use shared::time::{UnixMillis, UnixSecs};
use table::{Case, Kind};
use time::OffsetDateTime;

const NORTH: GateId = GateId::from_bytes([0xa1; 16]);
const SOUTH: GateId = GateId::from_bytes([0xa2; 16]);
/// What an answer says besides, at a gate that never measured its clock.
const DOUBT: &str = " The clock of this gate is uncertain.";

#[test]
fn a_gate_decides_every_case_of_the_table() {
    for case in table::all() {
        let answer = decide(&case);
        let says = answer.explanation.strip_suffix(DOUBT).unwrap_or(&answer.explanation);
        case.check(answer.outcome.as_str(), says);
    }
}

fn decide(case: &Case) -> Answer {
    let begin: UnixMillis = case.begin().into();
    let mut venue = Venue::at(begin.plus_ms(-600_000), |organizer| prepare(organizer, case));
    venue.rows[0].type_no = case.ticket_type;
    venue.publish().unwrap();
    for past in &case.history {
        go_to(&venue, past.at);
        let answer = replay(&mut venue, past.kind);
        assert!(answer.is_ok(), "{}: {}", case.name, answer.explanation);
    }
    let list = &mut venue.organizer.header.lists[0];
    list.ticket_types = case.types.clone().map_or(TypeSet::All, TypeSet::Only);
    list.multiple_entry = case.multiple_entry;
    list.reentry_after_exit = case.reentry_after_exit;
    list.rule = case.rule(NORTH, SOUTH).map(|rule| rule.to_string());
    venue.publish().unwrap();
    go_to(&venue, case.now);
    let gate = case.gate.as_deref().map(|name| if name == "north" { "North" } else { "South" });
    let code = venue.code(0);
    scan(&mut venue.scanner_with(Settings { gate: gate.map(str::to_owned), ..Settings::default() }), &code)
}

/// The event, its gates and types as the table has them; the list admits everybody as often as they like.
fn prepare(organizer: &mut Organizer, case: &Case) {
    let header = &mut organizer.header;
    header.info = EventInfo {
        title: "Concert".into(),
        time_zone: case.zone.clone(),
        admission_at: case.admission.map(UnixSecs::from),
        starts_at: table::START.into(),
        ends_at: case.end.map(UnixSecs::from),
    };
    header.gates =
        vec![GateConfig { id: NORTH, name: "North".into() }, GateConfig { id: SOUTH, name: "South".into() }];
    header.ticket_types = [1, 2]
        .map(|number| TicketTypeConfig {
            number,
            id: TicketTypeId::from_bytes([number.to_be_bytes()[1]; 16]),
            name: format!("Type {number}"),
            not_before: UnixSecs(0),
            expires_at: UnixSecs(u32::MAX),
            attention: None,
        })
        .into();
    let list = &mut header.lists[0];
    list.name = "Main".into();
    list.multiple_entry = true;
    (header.fresh_until, header.hard_until) = (UnixSecs(u32::MAX), UnixSecs(u32::MAX));
}

fn go_to(venue: &Venue, at: OffsetDateTime) {
    let ms = UnixMillis::from(at).ms_since(venue.clock_now());
    venue.clock.advance_ms(u64::try_from(ms).expect("the table goes forward in time"));
}

/// One scan of the past. What a supervisor overrides is a ticket that was blocked just then.
fn replay(venue: &mut Venue, kind: Kind) -> Answer {
    let code = venue.code(0);
    let settings = Settings { gate: Some("North".to_owned()), ..Settings::default() };
    match kind {
        Kind::Entry => scan(&mut venue.scanner_with(settings), &code),
        Kind::Exit => {
            scan(&mut venue.scanner_with(Settings { direction: Direction::Out, ..settings }), &code)
        }
        Kind::Override => {
            venue.rows[0].state = TicketState::Blocked;
            venue.publish().unwrap();
            let known = Some("a known person".to_owned());
            let answer =
                scan(&mut venue.scanner_with(Settings { override_reason: known, ..settings }), &code);
            assert_eq!(answer.kind, EntryKind::Override);
            venue.rows[0].state = TicketState::Valid;
            venue.publish().unwrap();
            answer
        }
    }
}

#[test]
fn a_rehearsal_counts_on_no_list_and_breaks_no_rule() {
    let backstage = ListId::from_bytes([0xb0; 16]);
    let once = r#"{"compare": {"value": "entries_total", "op": "<", "to": 1}}"#;
    let mut venue = Venue::with(|o| {
        o.header.lists[0].rule = Some(once.to_owned());
        let mut list: ListConfig = o.header.lists[0].clone();
        (list.id, list.name, list.attendance) = (backstage, "Backstage".into(), false);
        o.header.lists.push(list);
        o.header.lists.sort_by_key(|l| l.id);
    });
    let code = venue.code(0);
    let before = hash(&mut venue);
    for list in ["Attendance", "Backstage"] {
        let settings = Settings { list: Some(list.to_owned()), rehearsal: true, ..Settings::default() };
        for direction in [Direction::In, Direction::In, Direction::Out] {
            venue.clock.advance_ms(1000);
            let answer = scan(&mut venue.scanner_with(Settings { direction, ..settings.clone() }), &code);
            assert!(answer.is_ok() && answer.flags.contains(Flag::Rehearsal), "{}", answer.explanation);
        }
    }
    assert_eq!(hash(&mut venue), before, "nothing folds");
    for list in ["Attendance", "Backstage"] {
        venue.clock.advance_ms(1000);
        let settings = Settings { list: Some(list.to_owned()), ..Settings::default() };
        assert!(scan(&mut venue.scanner_with(settings), &code).is_ok(), "the first that counts");
    }
    assert_ne!(hash(&mut venue), before);
}

fn hash(venue: &mut Venue) -> Hash32 {
    gate_core::status::status(&venue.gate()).unwrap().fold.hash
}
