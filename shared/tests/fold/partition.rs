//! Gates that cannot see each other, each deciding by what it knows; then everything reaches everybody.

use crate::world::*;
use proptest::prelude::*;
use proptest::sample::Index;
use shared::admission::fold::{EventFold, Incident};
use shared::admission::{
    CutOffs, Knowledge, ManifestView, Outcome, Question, Record, TicketHistory, Verdict, decide,
};
use shared::bytes::{Hash32, Kid};
use shared::log::entry::{Direction, EntryKind};
use shared::manifest::docs::{EventInfo, ListConfig, ManifestVersion, TicketTypeConfig, TypeSet};
use shared::manifest::rows::{TicketRow, TicketState};
use shared::ticket::Payload;
use shared::ticket::keys::Presented;
use shared::time::{UnixMillis, UnixSecs};
use std::collections::{BTreeMap, BTreeSet};

const GATES: u8 = 4;
const TICKETS: u8 = 3;

/// What one gate knows.
#[derive(Default, Clone)]
struct Replica {
    records: Vec<Record>,
    written: u64,
}

impl Replica {
    fn fold(&self) -> EventFold {
        fold(&self.records)
    }

    fn judge(&self, ticket_no: u8, at: i64, direction: Direction) -> Verdict {
        let payload = Payload {
            generation: 0,
            kid: Kid([0; 4]),
            ticket_id: ticket(ticket_no),
            type_no: 1,
            issued_at: UnixSecs(0),
            not_before: UnixSecs(0),
            expires_at: UnixSecs(u32::MAX),
        };
        let list = ListConfig {
            id: list(1),
            name: String::new(),
            ticket_types: TypeSet::All,
            multiple_entry: false,
            reentry_after_exit: true,
            attendance: true,
            rule: None,
        };
        let info = EventInfo {
            title: String::new(),
            time_zone: "Etc/UTC".into(),
            admission_at: None,
            starts_at: UnixSecs(0),
            ends_at: None,
        };
        let types: [TicketTypeConfig; 0] = [];
        let history = TicketHistory::fold(
            self.records.iter().filter(|r| r.ticket == Some(ticket(ticket_no))),
            &self.records,
            &CutOffs::default(),
        );
        decide(&Question {
            presented: &Presented::Verified { payload, text_hash: Hash32([0; 32]) },
            direction,
            list: &list,
            rule: None,
            gate: None,
            now: UnixMillis(at),
            uncertainty_ms: 0,
            knowledge: Knowledge {
                manifest: Some(ManifestView {
                    version: ManifestVersion::default(),
                    gaps: &[],
                    imports: 0,
                    info: &info,
                    ticket_types: &types,
                    fresh_until: UnixSecs(u32::MAX),
                    hard_until: UnixSecs(u32::MAX),
                }),
                known: Some(TicketRow {
                    ticket_id: ticket(ticket_no),
                    type_no: 1,
                    generation: 0,
                    state: TicketState::Valid,
                }),
                learned: None,
            },
            history: &history,
            override_reason: None,
            rehearsal: false,
            zone: None,
        })
    }

    fn scan(&mut self, gate: u8, ticket_no: u8, at: i64, direction: Direction) -> EntryKind {
        let verdict = self.judge(ticket_no, at, direction);
        self.written += 1;
        let written = changed(record(verdict.kind, at, place(gate, self.written)), |r| {
            r.ticket = Some(ticket(ticket_no));
            r.outcome = verdict.outcome;
        });
        self.records.push(written);
        verdict.kind
    }
}

#[derive(Debug, Clone)]
enum Step {
    Scan {
        gate: u8,
        ticket: u8,
        out: bool,
    },
    /// One gate gets some of what another has.
    Gossip {
        from: u8,
        to: u8,
        upto: Index,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let scan = (0..GATES, 0..TICKETS, prop::bool::weighted(0.2)).prop_map(|(gate, ticket, out)| Step::Scan {
        gate,
        ticket,
        out,
    });
    let gossip =
        (0..GATES, 0..GATES, any::<Index>()).prop_map(|(from, to, upto)| Step::Gossip { from, to, upto });
    prop::collection::vec(prop_oneof![3 => scan, 1 => gossip], 1..40)
}

#[test]
fn two_gates_apart_admit_the_same_ticket_and_every_replica_knows_one_incident() {
    let mut gates = vec![Replica::default(); 3];
    assert_eq!(gates[0].scan(1, 1, 1000, Direction::In), EntryKind::Entry);
    assert_eq!(gates[1].scan(2, 1, 2000, Direction::In), EntryKind::Entry);
    assert_eq!(gates[0].fold().incidents(), []);
    assert_eq!(gates[1].fold().incidents(), []);

    let (a, b) = (gates[0].records.clone(), gates[1].records.clone());
    gates[0].records.extend(&b);
    gates[1].records.extend(&a);
    gates[2].records.extend(b.iter().chain(&a).chain(&b));
    for gate in &gates {
        let incidents = gate.fold().incidents();
        let [Incident::DoubleAdmission { double, .. }] = incidents.as_slice() else {
            panic!("one incident, not {incidents:?}");
        };
        assert_eq!(double.sides.iter().map(|s| s.place).collect::<Vec<_>>(), [place(1, 1), place(2, 1)]);
        assert_eq!(gate.fold().attendance().admitted, 1);
        assert_eq!(gate.fold().hash(), gates[0].fold().hash());
    }
    let third = gates[2].judge(1, 3000, Direction::In);
    assert_eq!(third.outcome, Outcome::AlreadyAdmitted);
    assert_eq!(third.first_admission.map(|f| f.device), Some(device(1)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Gates scan and gossip as they please. In the end all agree: an incident stands for a ticket exactly if two gates
    /// admitted it without an exit between, and no gate ever admits against what it knows.
    #[test]
    fn after_healing_every_replica_tells_the_same_story(steps in steps()) {
        let mut gates = vec![Replica::default(); usize::from(GATES)];
        let mut admitted: BTreeMap<u8, BTreeSet<u8>> = BTreeMap::new();
        for (at, step) in (0_i64..).zip(&steps) {
            match step {
                Step::Scan { gate, ticket: t, out } => {
                    let direction = if *out { Direction::Out } else { Direction::In };
                    let replica = &mut gates[usize::from(*gate)];
                    let inside = replica.fold().history(list(1), ticket(*t)).is_some_and(TicketHistory::present);
                    let kind = replica.scan(*gate, *t, at, direction);
                    if !out {
                        prop_assert_eq!(kind == EntryKind::Entry, !inside);
                    }
                    if kind == EntryKind::Entry {
                        admitted.entry(*t).or_default().insert(*gate);
                    }
                }
                Step::Gossip { from, to, upto } => {
                    let news = gates[usize::from(*from)].records.clone();
                    let some = upto.index(news.len() + 1);
                    gates[usize::from(*to)].records.extend(&news[..some]);
                }
            }
        }
        let everything: Vec<Record> = gates.iter().flat_map(|g| g.records.clone()).collect();
        let truth = fold(&everything);
        for (n, gate) in gates.iter_mut().enumerate() {
            // Each hears the rest in its own order.
            let mut rest = everything.clone();
            rest.rotate_left((n * 7) % everything.len().max(1));
            gate.records.extend(rest);
            prop_assert_eq!(gate.fold().hash(), truth.hash());
            prop_assert_eq!(gate.fold().incidents(), truth.incidents());
            prop_assert_eq!(gate.fold().attendance().admitted, admitted.len() as u64);
        }
        for incident in truth.incidents() {
            let Incident::DoubleAdmission { ticket: t, double, .. } = incident else {
                panic!("nobody forked");
            };
            let devices: BTreeSet<_> = double.sides.iter().map(|s| s.place.device).collect();
            prop_assert!(devices.len() > 1, "one gate alone never admits twice: {:?}", t);
        }
    }
}
