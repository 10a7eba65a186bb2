//! What the steward reads.

use crate::scene::*;
use shared::admission::explain::{Names, explain};
use shared::admission::zone::EventZone;
use shared::log::entry::{Direction, EntryKind};
use shared::manifest::docs::TypeSet;
use shared::manifest::rows::TicketState;
use shared::time::UnixSecs;

fn told(spoil: impl FnOnce(&mut Scene)) -> String {
    let scene = Scene::admitted().with(spoil);
    let zone = EventZone::named("Europe/Vienna").expect("bundled");
    let gates = scene.header.as_ref().map(|h| h.gates.clone()).unwrap_or_default();
    explain(&scene.decide(), &Names { list: "Main", gates: &gates, zone: &zone, now: scene.now })
}

#[test]
fn every_answer_has_its_words_with_names_and_the_venues_time() {
    assert_eq!(told(|_| {}), "Admitted to Main: Type 1.");
    assert_eq!(told(|s| s.reads = Reads::Malformed), "This is not a ticket code.");
    assert_eq!(told(|s| s.reads = Reads::WrongEvent), "This ticket is for another event.");
    assert_eq!(told(|s| s.row().state = TicketState::Refunded), "This ticket was refunded.");
    assert_eq!(told(|s| s.earlier(EntryKind::Entry, 10)), "Already admitted at 10:50 at gate North.");
    assert_eq!(
        told(|s| s.earlier(EntryKind::Entry, 24 * 60)),
        "Already admitted at 2026-11-21 11:00 at gate North."
    );
    assert_eq!(told(|s| s.header().ticket_types[0].not_before = UnixSecs(NOW.0 + HOUR)), "Valid from 12:00.");
    assert_eq!(told(|s| s.list.ticket_types = TypeSet::Only(vec![2])), "Type 1 is not on the list Main.");
    assert_eq!(
        told(|s| s.list.rule = Some(r#"{"after": {"time": {"time_of_day": "11:50"}}}"#.into())),
        "Admitted from 11:50."
    );
    assert_eq!(
        told(|s| s.list.rule = Some(r#"{"weekday": ["monday", "friday", "saturday"]}"#.into())),
        "Admitted on Monday, Friday or Saturday only."
    );
    assert_eq!(told(Scene::late), "Admitted to Main: Type 1. Sold after this gate's manifest.");
    assert_eq!(
        told(|s| {
            s.row().state = TicketState::Blocked;
            s.override_reason = Some("fine");
        }),
        "Admitted by a supervisor. Against: This ticket is blocked."
    );
    assert_eq!(
        told(|s| {
            s.row().state = TicketState::Blocked;
            s.direction = Direction::Out;
        }),
        "Let out. On the way in: This ticket is blocked."
    );
    assert_eq!(
        told(|s| {
            s.list.rule = Some("{}".into());
            s.rule_not_compiled = true;
        }),
        "The rule of the list Main cannot be evaluated: it was not compiled."
    );
}
