//! The table of list rules against the pure decision. The same table runs against a server and against a gate.

#[path = "../../../tests/cases/rules.rs"]
mod table;

use crate::scene::*;
use shared::admission::explain::{Names, explain};
use shared::admission::zone::{EventZone, Utc, Zone};
use shared::log::entry::EntryKind;
use shared::manifest::docs::{EventInfo, GateConfig, TypeSet};
use shared::time::UnixSecs;
use table::{Case, Kind};

#[test]
fn the_pure_decision_decides_every_case_of_the_table() {
    for case in table::all() {
        let scene = scene_of(&case);
        let verdict = scene.decide();
        let zone: &dyn Zone = scene.zone.as_ref().map_or(&Utc, |z| z);
        let gates = &scene.header.as_ref().expect("a manifest").gates;
        let names = Names { list: &scene.list.name, gates, zone, now: scene.now };
        case.check(verdict.outcome.as_str(), &explain(&verdict, &names));
    }
}

fn scene_of(case: &Case) -> Scene {
    let mut scene = Scene::admitted();
    scene.now = case.now.into();
    scene.zone = EventZone::named(&case.zone);
    scene.gate = case.gate.as_deref().map(|name| gate_id(if name == "north" { 1 } else { 2 }));
    scene.payload.type_no = case.ticket_type;
    scene.row().type_no = case.ticket_type;
    scene.list.ticket_types = case.types.clone().map_or(TypeSet::All, TypeSet::Only);
    scene.list.multiple_entry = case.multiple_entry;
    scene.list.reentry_after_exit = case.reentry_after_exit;
    scene.list.rule = case.rule(gate_id(1), gate_id(2)).map(|rule| rule.to_string());
    let header = scene.header();
    header.info = EventInfo {
        title: "Concert".into(),
        time_zone: case.zone.clone(),
        admission_at: case.admission.map(UnixSecs::from),
        starts_at: table::START.into(),
        ends_at: case.end.map(UnixSecs::from),
    };
    header.gates =
        [(1, "North"), (2, "South")].map(|(n, name)| GateConfig { id: gate_id(n), name: name.into() }).into();
    (header.fresh_until, header.hard_until) = (UnixSecs(u32::MAX), UnixSecs(u32::MAX));
    for config in &mut header.ticket_types {
        (config.not_before, config.expires_at) = (UnixSecs(0), UnixSecs(u32::MAX));
    }
    for (past, seq) in case.history.iter().zip(1..) {
        let kind = match past.kind {
            Kind::Entry => EntryKind::Entry,
            Kind::Exit => EntryKind::Exit,
            Kind::Override => EntryKind::Override,
        };
        let record = record(kind, seq, past.at.into(), scene.list.id, scene.payload.ticket_id);
        scene.records.push(record);
    }
    scene
}
