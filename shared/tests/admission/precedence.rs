//! Every two defects that a scan can have at once: the earlier one wins, an override notes both, an exit is let out.

use crate::scene::{HOUR, NOW, Reads, Scene};
use shared::admission::{Flag, Outcome};
use shared::log::entry::{Direction, EntryKind};
use shared::manifest::docs::TypeSet;
use shared::manifest::rows::TicketState;
use shared::time::UnixSecs;

struct Defect {
    name: &'static str,
    outcome: Outcome,
    spoil: fn(&mut Scene),
}

const BROKEN_RULE: &str = r#"{"entries_total": 1}"#;

/// Each assigns only what makes it a defect.
const DEFECTS: &[Defect] = &[
    Defect { name: "malformed", outcome: Outcome::Malformed, spoil: |s| s.reads = Reads::Malformed },
    Defect { name: "foreign", outcome: Outcome::Malformed, spoil: |s| s.reads = Reads::Foreign },
    Defect { name: "unknown key", outcome: Outcome::UnknownKey, spoil: |s| s.reads = Reads::UnknownKey },
    Defect {
        name: "bad signature",
        outcome: Outcome::BadSignature,
        spoil: |s| s.reads = Reads::BadSignature,
    },
    Defect { name: "wrong event", outcome: Outcome::WrongEvent, spoil: |s| s.reads = Reads::WrongEvent },
    Defect { name: "generation ahead", outcome: Outcome::UnknownTicket, spoil: |s| s.payload.generation = 9 },
    Defect { name: "refunded", outcome: Outcome::Revoked, spoil: |s| s.row().state = TicketState::Refunded },
    Defect { name: "canceled", outcome: Outcome::Revoked, spoil: |s| s.row().state = TicketState::Canceled },
    Defect {
        name: "withdrawn",
        outcome: Outcome::Revoked,
        spoil: |s| s.row().state = TicketState::Withdrawn,
    },
    Defect { name: "superseded", outcome: Outcome::Superseded, spoil: |s| s.payload.generation = 0 },
    Defect { name: "blocked", outcome: Outcome::Blocked, spoil: |s| s.row().state = TicketState::Blocked },
    Defect {
        name: "early",
        outcome: Outcome::NotYetValid,
        spoil: |s| s.header().ticket_types[0].not_before = UnixSecs(NOW.0 + HOUR),
    },
    Defect {
        name: "expired",
        outcome: Outcome::Expired,
        // Writes the same aspect as "early": a window is before or behind, not both.
        spoil: |s| {
            s.header().ticket_types[0].not_before = UnixSecs(NOW.0 - 2 * HOUR);
            s.header().ticket_types[0].expires_at = UnixSecs(NOW.0 - HOUR);
        },
    },
    Defect {
        name: "product",
        outcome: Outcome::Product,
        spoil: |s| s.list.ticket_types = TypeSet::Only(vec![2]),
    },
    Defect {
        name: "rule",
        outcome: Outcome::Rules,
        spoil: |s| s.list.rule = Some(r#"{"gate": ["00000000-0000-0000-0000-000000000000"]}"#.into()),
    },
    Defect {
        name: "broken rule",
        outcome: Outcome::Rules,
        spoil: |s| s.list.rule = Some(BROKEN_RULE.into()),
    },
    Defect {
        name: "admitted already",
        outcome: Outcome::AlreadyAdmitted,
        spoil: |s| s.earlier(EntryKind::Entry, 30),
    },
    Defect {
        name: "stale",
        outcome: Outcome::StaleManifest,
        spoil: |s| s.header().hard_until = UnixSecs(NOW.0 - 1),
    },
];

fn scene(defects: &[&Defect]) -> Scene {
    defects.iter().fold(Scene::admitted(), |s, d| s.with(d.spoil))
}

/// Two defects can stand together if neither overwrites the other.
fn coexist(a: &Defect, b: &Defect) -> bool {
    format!("{:?}", scene(&[a, b])) == format!("{:?}", scene(&[b, a]))
}

fn pairs() -> Vec<(&'static Defect, &'static Defect)> {
    let all = || DEFECTS.iter().enumerate();
    all()
        .flat_map(|(i, a)| all().skip(i + 1).map(move |(_, b)| (a, b)))
        .filter(|(a, b)| coexist(a, b))
        .collect()
}

fn liftable(d: &Defect) -> bool {
    Flag::of_defect(d.outcome).is_some()
}

#[test]
fn each_defect_alone_gives_its_outcome() {
    assert_eq!(scene(&[]).decide().outcome, Outcome::Ok);
    for d in DEFECTS {
        assert_eq!(scene(&[d]).decide().outcome, d.outcome, "{}", d.name);
    }
    for outcome in Outcome::ALL {
        let tried = DEFECTS.iter().any(|d| d.outcome == outcome);
        assert!(
            tried || matches!(outcome, Outcome::Ok | Outcome::CannotRecord),
            "{outcome:?} has no defect here"
        );
    }
}

#[test]
fn of_two_defects_the_earlier_wins() {
    let pairs = pairs();
    for (a, b) in &pairs {
        let verdict = scene(&[a, b]).decide();
        assert_eq!(verdict.outcome, a.outcome.min(b.outcome), "{} and {}", a.name, b.name);
        assert_eq!(verdict.kind, EntryKind::Refuse, "{} and {}", a.name, b.name);
    }
    // 18 defects make 153 pairs; those that cannot stand together write one aspect: 10 ways to read the text, 6 ticket
    // states, 1 generation, 1 window, 1 rule.
    assert_eq!(pairs.len(), 153 - 10 - 6 - 1 - 1 - 1);
}

#[test]
fn an_override_lifts_two_defects_if_it_lifts_each() {
    for (a, b) in pairs() {
        let verdict = scene(&[a, b]).with(|s| s.override_reason = Some("known to us")).decide();
        let both = [a, b];
        let broken = both.iter().find(|d| d.name == "broken rule");
        let hopeless = both.iter().find(|d| !liftable(d)).or(broken);
        let what = format!("{} and {}", a.name, b.name);
        match hopeless {
            Some(hopeless) => {
                assert_eq!((verdict.outcome, verdict.kind), (hopeless.outcome, EntryKind::Refuse), "{what}");
                assert!(!verdict.flags.contains(Flag::Overridden), "{what}");
            }
            None => {
                assert_eq!((verdict.outcome, verdict.kind), (Outcome::Ok, EntryKind::Override), "{what}");
                let noted: Vec<Flag> = verdict.flags.iter().collect();
                let mut expected: Vec<Flag> = [a, b]
                    .iter()
                    .filter_map(|d| Flag::of_defect(d.outcome))
                    .chain([Flag::Overridden])
                    .collect();
                expected.sort();
                assert_eq!(noted, expected, "{what}");
            }
        }
    }
}

#[test]
fn an_exit_with_two_defects_is_let_out_unless_the_code_itself_is_bad() {
    for (a, b) in pairs() {
        let verdict = scene(&[a, b]).with(|s| s.direction = Direction::Out).decide();
        let what = format!("{} and {}", a.name, b.name);
        match [a, b].iter().find(|d| !liftable(d)) {
            Some(bad) => {
                assert_eq!((verdict.outcome, verdict.kind), (bad.outcome, EntryKind::Refuse), "{what}")
            }
            None => {
                assert_eq!((verdict.outcome, verdict.kind), (Outcome::Ok, EntryKind::Exit), "{what}");
                for d in [a, b].iter().filter(|d| d.outcome != Outcome::AlreadyAdmitted) {
                    let flag = Flag::of_defect(d.outcome).expect("liftable");
                    assert!(verdict.flags.contains(flag), "{what}");
                }
                assert!(!verdict.flags.contains(Flag::AlreadyAdmitted), "{what}");
            }
        }
    }
}
