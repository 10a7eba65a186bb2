//! Every line of "Deciding a scan".

use crate::scene::*;
use shared::admission::explain::{Explanation, UnknownBecause};
use shared::admission::{CutOffs, FirstAdmission, Flag, Flags, Learned, Outcome, Record, Verdict};
use shared::log::entry::{Direction, EntryKind, EntryPlace};
use shared::manifest::docs::{LogPlace, TypeSet};
use shared::manifest::rows::{TicketRow, TicketState};
use shared::time::UnixSecs;

fn outcome(spoil: impl FnOnce(&mut Scene)) -> Outcome {
    Scene::admitted().with(spoil).decide().outcome
}

fn verdict(spoil: impl FnOnce(&mut Scene)) -> Verdict {
    Scene::admitted().with(spoil).decide()
}

#[test]
fn a_valid_ticket_is_admitted_and_says_what_it_is() {
    let v = verdict(|s| s.header().ticket_types[0].attention = Some("check the student card".into()));
    assert_eq!((v.outcome, v.kind, v.direction), (Outcome::Ok, EntryKind::Entry, Direction::In));
    assert_eq!(v.flags, Flags::NONE);
    assert_eq!(v.explanation, Explanation::Admitted);
    assert_eq!(v.ticket_id, Some(ticket_id(7)));
    assert_eq!((v.generation, v.type_no), (Some(1), Some(1)));
    assert_eq!(v.kid.map(|k| k.0), Some([1, 2, 3, 4]));
    assert_eq!(v.text_hash, TEXT_HASH);
    assert_eq!(v.ticket_type, Some(type_config(1).id));
    assert_eq!(v.ticket_type_name.as_deref(), Some("Type 1"));
    assert_eq!(v.attention.as_deref(), Some("check the student card"));
    assert_eq!(v.first_admission, None);
    assert_eq!(v.manifest_age_secs, Some(HOUR / 2));
}

#[test]
fn what_no_one_signed_for_this_event_is_refused_and_no_override_helps() {
    for (reads, expected) in [
        (Reads::Foreign, Outcome::Malformed),
        (Reads::Malformed, Outcome::Malformed),
        (Reads::UnknownKey, Outcome::UnknownKey),
        (Reads::BadSignature, Outcome::BadSignature),
        (Reads::WrongEvent, Outcome::WrongEvent),
    ] {
        for direction in [Direction::In, Direction::Out] {
            for reason in [None, Some("let him in")] {
                let v = verdict(|s| {
                    s.reads = reads;
                    s.direction = direction;
                    s.override_reason = reason;
                });
                assert_eq!((v.outcome, v.kind), (expected, EntryKind::Refuse), "{reads:?} {direction:?}");
                assert_eq!(v.type_no, None, "nothing about the ticket is proven");
                assert_eq!(v.attention, None);
                assert_eq!(v.first_admission, None);
            }
        }
    }
}

#[test]
fn a_foreign_text_is_looked_up_only_where_tickets_were_imported() {
    let imported = |row: bool| {
        move |s: &mut Scene| {
            s.reads = Reads::Foreign;
            s.header().imports = 1;
            if !row {
                s.row = None;
            }
        }
    };
    assert_eq!(outcome(imported(true)), Outcome::Ok);
    let v = verdict(imported(false));
    assert_eq!(v.outcome, Outcome::UnknownTicket);
    assert_eq!(v.explanation, Explanation::UnknownTicket { because: UnknownBecause::UnlistedBarcode });
    assert_eq!((v.ticket_id, v.generation, v.kid), (None, None, None));
    assert_eq!(outcome(|s| s.reads = Reads::Foreign), Outcome::Malformed);
    assert_eq!(
        outcome(|s| {
            s.reads = Reads::Foreign;
            s.header = None;
        }),
        Outcome::Malformed
    );
    // Never late, and never admitted by override: nothing would say who came in.
    let v = verdict(|s| {
        imported(false)(s);
        s.payload.issued_at = UnixSecs(NOW.0 - 1);
        s.override_reason = Some("known to us");
    });
    assert_eq!((v.outcome, v.kind), (Outcome::UnknownTicket, EntryKind::Refuse));
    // Malformed TK1 text stays malformed even there.
    let v = verdict(|s| {
        s.header().imports = 1;
        s.reads = Reads::Malformed;
    });
    assert_eq!(v.outcome, Outcome::Malformed);
}

#[test]
fn a_ticket_that_must_be_in_the_manifest_and_is_not_is_unknown() {
    let as_of = NOW.0 - HOUR / 2;
    for (issued_at, expected) in [
        (as_of - 1, Outcome::UnknownTicket),
        (as_of, Outcome::UnknownTicket),
        (as_of + 1, Outcome::Ok),
        // A gate's clock may be behind the shop's.
        (NOW.0 + HOUR, Outcome::Ok),
    ] {
        let v = verdict(|s| {
            s.row = None;
            s.payload.issued_at = UnixSecs(issued_at);
        });
        assert_eq!(v.outcome, expected, "issued {issued_at}");
        assert_eq!(v.flags.contains(Flag::LateSale), expected == Outcome::Ok);
    }
}

#[test]
fn what_the_database_lost_counts_as_late() {
    let lost = gap(NOW.0 - 5 * HOUR, NOW.0 - 4 * HOUR);
    for (issued_at, expected) in [
        (lost.from.0 - 1, Outcome::UnknownTicket),
        (lost.from.0, Outcome::Ok),
        (lost.to.0, Outcome::Ok),
        (lost.to.0 + 1, Outcome::UnknownTicket),
    ] {
        let spoil = |s: &mut Scene| {
            s.header().gaps = vec![gap(1, 2), lost];
            s.payload.issued_at = UnixSecs(issued_at);
        };
        let v = verdict(|s| {
            spoil(s);
            s.row = None;
        });
        assert_eq!(v.outcome, expected, "sale of {issued_at}");
        let v = verdict(|s| {
            spoil(s);
            s.payload.generation = 2;
        });
        assert_eq!(v.outcome, expected, "reissue of {issued_at}");
    }
}

#[test]
fn revoked_states_refuse_and_name_the_state() {
    for state in [TicketState::Refunded, TicketState::Canceled, TicketState::Withdrawn] {
        let v = verdict(|s| s.row().state = state);
        assert_eq!(v.outcome, Outcome::Revoked);
        assert_eq!(v.explanation, Explanation::Revoked { state });
    }
    assert_eq!(outcome(|s| s.row().state = TicketState::Blocked), Outcome::Blocked);
}

#[test]
fn generations_against_the_manifest() {
    let as_of = NOW.0 - HOUR / 2;
    for (code, known, issued_at, expected, flag) in [
        (1, 1, as_of, Outcome::Ok, None),
        (0, 1, as_of, Outcome::Superseded, None),
        (0, 1, as_of + 1, Outcome::Superseded, None),
        (2, 1, as_of, Outcome::UnknownTicket, None),
        (2, 1, as_of + 1, Outcome::Ok, Some(Flag::LateReissue)),
        (15, 0, as_of + 1, Outcome::Ok, Some(Flag::LateReissue)),
    ] {
        let v = verdict(|s| {
            s.payload.generation = code;
            s.payload.issued_at = UnixSecs(issued_at);
            s.row().generation = known;
        });
        assert_eq!(v.outcome, expected, "code {code}, known {known}, issued {issued_at}");
        assert_eq!(v.flags, flag.into_iter().collect(), "code {code}, known {known}, issued {issued_at}");
    }
}

#[test]
fn a_late_reissue_once_seen_supersedes_until_a_manifest_should_know_of_it() {
    let as_of = NOW.0 - HOUR / 2;
    for (issued_by, expected) in [(as_of + 1, Outcome::Superseded), (as_of, Outcome::Ok)] {
        let v = verdict(|s| s.learned = Some(Learned { generation: 2, issued_by: UnixSecs(issued_by) }));
        assert_eq!(v.outcome, expected, "issued by {issued_by}");
    }
    // The one that was learned is itself not superseded.
    let v = verdict(|s| {
        s.payload.generation = 2;
        s.payload.issued_at = UnixSecs(as_of + 1);
        s.learned = Some(Learned { generation: 2, issued_by: UnixSecs(as_of + 1) });
    });
    assert_eq!((v.outcome, v.flags), (Outcome::Ok, flags(&[Flag::LateReissue])));
    // A late sale can be reissued too.
    let v = verdict(|s| {
        s.late();
        s.payload.generation = 0;
        s.learned = Some(Learned { generation: 1, issued_by: UnixSecs(NOW.0 - 30) });
    });
    assert_eq!(v.outcome, Outcome::Superseded);
}

#[test]
fn the_log_teaches_late_generations_unless_it_is_quarantined() {
    let late = |seq: u64, generation: u8, flag: Flag| {
        let mut r = record(EntryKind::Refuse, seq, NOW.millis(), Scene::admitted().list.id, ticket_id(7));
        r.generation = Some(generation);
        r.flags = Flags::NONE.with(flag);
        r.error_ms = 1500;
        r
    };
    let none = CutOffs::default();
    let records: Vec<Record> = vec![late(1, 3, Flag::LateReissue), late(2, 4, Flag::StaleWarning)];
    assert_eq!(
        Learned::of(&records, &none),
        Some(Learned { generation: 3, issued_by: UnixSecs(NOW.0 + 1) }),
        "only late codes teach, and the error bar counts"
    );
    let records = vec![late(1, 3, Flag::LateReissue), late(2, 5, Flag::LateSale)];
    assert_eq!(Learned::of(&records, &none).map(|l| l.generation), Some(5));
    let cut = [(device_id(5), LogPlace { log_no: 1, seq: 1 })].into_iter().collect();
    assert_eq!(Learned::of(&records, &cut).map(|l| l.generation), Some(3));
    assert_eq!(Learned::of(&[], &none), None);
}

#[test]
fn validity_is_half_open_and_touches_within_the_clocks_error() {
    let (from, until) = (NOW.0 - 2 * HOUR, NOW.0 + 10 * HOUR);
    let ms = |secs: u32, plus: i64| UnixSecs(secs).millis().plus_ms(plus);
    let ten_min = 600_000_i64;
    for (now, u, expected) in [
        (ms(from, -1), 0, Outcome::NotYetValid),
        (ms(from, 0), 0, Outcome::Ok),
        (ms(until, -1), 0, Outcome::Ok),
        (ms(until, 0), 0, Outcome::Expired),
        (ms(from, -5000), 4999, Outcome::NotYetValid),
        (ms(from, -5000), 5000, Outcome::Ok),
        (ms(until, 5000), 5000, Outcome::Expired),
        (ms(until, 5000), 5001, Outcome::Ok),
        // An hour of doubt widens by ten minutes, not more.
        (ms(from, -ten_min), 3_600_000, Outcome::Ok),
        (ms(from, -ten_min - 1), 3_600_000, Outcome::NotYetValid),
        (ms(until, ten_min - 1), 3_600_000, Outcome::Ok),
        (ms(until, ten_min), 3_600_000, Outcome::Expired),
    ] {
        let v = verdict(|s| {
            s.now = now;
            s.uncertainty_ms = u;
        });
        assert_eq!(v.outcome, expected, "now {now:?} ± {u}");
        assert_eq!(v.uncertainty_ms, u, "the error is logged as it is");
    }
}

#[test]
fn a_known_ticket_lives_by_the_manifests_window_and_a_late_one_by_its_own() {
    let postponed = |s: &mut Scene| {
        s.header().ticket_types[0].not_before = UnixSecs(NOW.0 - HOUR);
        s.header().ticket_types[0].expires_at = UnixSecs(NOW.0 + HOUR);
        s.payload.not_before = UnixSecs(NOW.0 - 9 * HOUR);
        s.payload.expires_at = UnixSecs(NOW.0 - 8 * HOUR);
    };
    assert_eq!(outcome(postponed), Outcome::Ok);
    let v = verdict(|s| {
        postponed(s);
        s.late();
    });
    assert_eq!(v.outcome, Outcome::Expired);
    assert_eq!(v.explanation, Explanation::Expired { since: UnixSecs(NOW.0 - 8 * HOUR) });
    // A late reissue is of a known ticket.
    let v = verdict(|s| {
        postponed(s);
        s.payload.generation = 2;
        s.payload.issued_at = NOW;
    });
    assert_eq!(v.outcome, Outcome::Ok);
    // not_before 0 means from the start.
    assert_eq!(outcome(|s| s.header().ticket_types[0].not_before = UnixSecs(0)), Outcome::Ok);
    // A type that the manifest forgot leaves the code's own window.
    let v = verdict(|s| {
        s.header().ticket_types.clear();
        s.payload.expires_at = NOW;
    });
    assert_eq!((v.outcome, v.ticket_type), (Outcome::Expired, None));
}

#[test]
fn the_manifests_type_decides_for_a_known_ticket_and_the_codes_for_a_late_one() {
    let only_two = |s: &mut Scene| s.list.ticket_types = TypeSet::Only(vec![2]);
    assert_eq!(outcome(only_two), Outcome::Product);
    let v = verdict(|s| {
        only_two(s);
        s.row().type_no = 2;
    });
    assert_eq!((v.outcome, v.type_no), (Outcome::Ok, Some(2)));
    let v = verdict(|s| {
        only_two(s);
        s.late();
        s.payload.type_no = 2;
    });
    assert_eq!(v.outcome, Outcome::Ok);
    // A type made after the manifest is covered by "all", never by a selection; an empty selection covers none.
    for (types, expected) in [
        (TypeSet::All, Outcome::Ok),
        (TypeSet::Only(vec![1, 2]), Outcome::Product),
        (TypeSet::Only(vec![]), Outcome::Product),
    ] {
        let v = verdict(|s| {
            s.late();
            s.payload.type_no = 77;
            s.list.ticket_types = types.clone();
        });
        assert_eq!(v.outcome, expected, "{types:?}");
    }
}

#[test]
fn the_lists_policy_decides_about_the_next_entry() {
    use EntryKind::{Entry, Exit, Override};
    // (history, multiple entries, re-entry) → admitted
    for (history, multiple, reentry, expected) in [
        (&[][..], false, false, true),
        (&[Entry], false, false, false),
        (&[Override], false, false, false),
        (&[Exit], false, false, true),
        (&[Exit, Exit], false, false, true),
        (&[Entry, Exit], false, false, false),
        (&[Entry, Exit], false, true, true),
        (&[Override, Exit], false, true, true),
        (&[Entry, Exit, Entry], false, true, false),
        (&[Exit, Entry], false, true, false),
        (&[Entry, Exit, Exit], false, true, true),
        (&[Entry], false, true, false),
        (&[Entry], true, false, true),
        (&[Entry, Entry], true, false, true),
    ] {
        let v = verdict(|s| {
            s.list.multiple_entry = multiple;
            s.list.reentry_after_exit = reentry;
            for (i, kind) in history.iter().enumerate() {
                s.earlier(*kind, 60 - 10 * i as i64);
            }
        });
        let expected = if expected { Outcome::Ok } else { Outcome::AlreadyAdmitted };
        assert_eq!(v.outcome, expected, "{history:?} multiple {multiple} reentry {reentry}");
    }
}

#[test]
fn the_latest_by_scan_time_counts_not_by_arrival() {
    let v = verdict(|s| {
        s.list.reentry_after_exit = true;
        s.earlier(EntryKind::Exit, 10);
        s.earlier(EntryKind::Entry, 20);
    });
    assert_eq!(v.outcome, Outcome::Ok);
    let v = verdict(|s| {
        s.list.reentry_after_exit = true;
        s.earlier(EntryKind::Exit, 20);
        s.earlier(EntryKind::Entry, 10);
    });
    assert_eq!(v.outcome, Outcome::AlreadyAdmitted);
}

#[test]
fn a_repeat_names_the_first_admission() {
    let v = verdict(|s| {
        s.list.multiple_entry = false;
        s.earlier(EntryKind::Exit, 40);
        s.earlier(EntryKind::Override, 30);
        s.earlier(EntryKind::Entry, 20);
    });
    let first = FirstAdmission {
        at: NOW.millis().plus_ms(-30 * 60_000),
        gate: Some(gate_id(1)),
        device: device_id(5),
    };
    assert_eq!(v.first_admission, Some(first));
    assert_eq!(v.explanation, Explanation::AlreadyAdmitted { first });
}

#[test]
fn a_manifest_is_fresh_then_amber_then_stale() {
    let at = |now: u32| {
        verdict(move |s| {
            s.header().fresh_until = UnixSecs(100);
            s.header().hard_until = UnixSecs(200);
            s.header().version.as_of = UnixSecs(50);
            s.header().ticket_types[0].not_before = UnixSecs(0);
            s.now = UnixSecs(now).millis();
        })
    };
    for (now, expected, amber) in [
        (99, Outcome::Ok, false),
        (100, Outcome::Ok, true),
        (199, Outcome::Ok, true),
        (200, Outcome::StaleManifest, false),
    ] {
        let v = at(now);
        assert_eq!(v.outcome, expected, "at {now}");
        assert_eq!(v.flags.contains(Flag::StaleWarning), amber, "at {now}");
        assert_eq!(v.manifest_age_secs, Some(now - 50));
    }
}

#[test]
fn without_any_manifest_a_genuine_code_is_stale_and_may_be_overridden() {
    let without = |s: &mut Scene| {
        s.header = None;
        s.row = None;
    };
    let v = verdict(without);
    assert_eq!(v.outcome, Outcome::StaleManifest);
    assert_eq!(v.explanation, Explanation::StaleManifest { since: None });
    assert_eq!(v.flags, flags(&[Flag::LateSale]));
    assert_eq!(v.manifest_age_secs, None);
    let v = verdict(|s| {
        without(s);
        s.override_reason = Some("no network since noon");
    });
    assert_eq!((v.outcome, v.kind), (Outcome::Ok, EntryKind::Override));
    assert_eq!(v.flags, flags(&[Flag::LateSale, Flag::Overridden, Flag::StaleManifest]));
    assert_eq!(
        outcome(|s| {
            without(s);
            s.payload.expires_at = UnixSecs(NOW.0 - 1);
        }),
        Outcome::Expired
    );
}

#[test]
fn the_server_as_the_truth_knows_no_late_and_no_stale() {
    let truth = |s: &mut Scene| {
        s.header().version.as_of = UnixSecs(u32::MAX);
        s.header().fresh_until = UnixSecs(u32::MAX);
        s.header().hard_until = UnixSecs(u32::MAX);
    };
    let v = verdict(truth);
    assert_eq!((v.outcome, v.flags, v.manifest_age_secs), (Outcome::Ok, Flags::NONE, Some(0)));
    assert_eq!(
        outcome(|s| {
            truth(s);
            s.late();
        }),
        Outcome::UnknownTicket
    );
}

#[test]
fn an_override_needs_a_defect_and_a_reason() {
    let v = verdict(|s| s.override_reason = Some("regular guest"));
    assert_eq!((v.outcome, v.kind, v.flags), (Outcome::Ok, EntryKind::Entry, Flags::NONE));
    for blank in ["", "  \t"] {
        let v = verdict(|s| {
            s.override_reason = Some(blank);
            s.row().state = TicketState::Blocked;
        });
        assert_eq!((v.outcome, v.kind), (Outcome::Blocked, EntryKind::Refuse));
    }
    let v = verdict(|s| {
        s.override_reason = Some("the blocked wristband was ours");
        s.row().state = TicketState::Blocked;
    });
    assert_eq!((v.outcome, v.kind), (Outcome::Ok, EntryKind::Override));
    assert_eq!(v.flags, flags(&[Flag::Blocked, Flag::Overridden]));
    assert_eq!(v.explanation, Explanation::Overridden { defect: Box::new(Explanation::Blocked) });
}

#[test]
fn an_override_lifts_a_rule_that_says_no_but_none_that_cannot_be_read() {
    let with_rule = |rule: &'static str, compiled: bool| {
        move |s: &mut Scene| {
            s.list.rule = Some(rule.into());
            s.rule_not_compiled = !compiled;
            s.override_reason = Some("the organizer said so");
        }
    };
    let v = verdict(with_rule(r#"{"present": true}"#, true));
    assert_eq!((v.outcome, v.kind), (Outcome::Ok, EntryKind::Override));
    for (rule, compiled) in [("nonsense", true), (r#"{"present": false}"#, false)] {
        let v = verdict(with_rule(rule, compiled));
        assert_eq!((v.outcome, v.kind), (Outcome::Rules, EntryKind::Refuse), "{rule}");
        assert!(matches!(v.explanation, Explanation::RuleBroken { .. }));
        // Not even as the second defect.
        let v = verdict(|s| {
            with_rule(rule, compiled)(s);
            s.row().state = TicketState::Blocked;
        });
        assert_eq!((v.outcome, v.kind), (Outcome::Rules, EntryKind::Refuse), "{rule}");
    }
}

#[test]
fn people_get_out_whatever_their_ticket_says() {
    let out = |spoil: fn(&mut Scene)| {
        verdict(|s| {
            s.direction = Direction::Out;
            s.earlier(EntryKind::Entry, 30);
            spoil(s);
        })
    };
    for (name, spoil, flag) in [
        ("nothing wrong", (|_| {}) as fn(&mut Scene), None),
        (
            "unknown",
            |s| {
                s.row = None;
            },
            Some(Flag::UnknownTicket),
        ),
        ("revoked", |s| s.row().state = TicketState::Refunded, Some(Flag::Revoked)),
        ("superseded", |s| s.payload.generation = 0, Some(Flag::Superseded)),
        ("blocked", |s| s.row().state = TicketState::Blocked, Some(Flag::Blocked)),
        ("early", |s| s.header().ticket_types[0].not_before = UnixSecs(NOW.0 + 1), Some(Flag::NotYetValid)),
        ("expired", |s| s.header().ticket_types[0].expires_at = NOW, Some(Flag::Expired)),
        ("product", |s| s.list.ticket_types = TypeSet::Only(vec![]), Some(Flag::Product)),
        ("rule", |s| s.list.rule = Some(r#"{"present": false}"#.into()), Some(Flag::Rules)),
        ("broken rule", |s| s.list.rule = Some("?".into()), Some(Flag::Rules)),
        ("stale", |s| s.header().hard_until = NOW, Some(Flag::StaleManifest)),
        ("gone already", |s| s.earlier(EntryKind::Exit, 10), None),
        ("never came in", |s| s.records.clear(), None),
        ("override asked for", |s| s.override_reason = Some("why not"), None),
    ] {
        let v = out(spoil);
        assert_eq!(
            (v.outcome, v.kind, v.direction),
            (Outcome::Ok, EntryKind::Exit, Direction::Out),
            "{name}"
        );
        assert_eq!(v.flags, flag.into_iter().collect(), "{name}");
    }
    let v = out(|s| s.late());
    assert_eq!((v.outcome, v.flags), (Outcome::Ok, flags(&[Flag::LateSale])));
}

#[test]
fn rehearsal_clock_doubt_and_quarantine_are_remarks() {
    let v = verdict(|s| s.rehearsal = true);
    assert_eq!((v.outcome, v.kind, v.flags), (Outcome::Ok, EntryKind::Entry, flags(&[Flag::Rehearsal])));
    assert!(v.rehearsal);
    for (u, doubt) in [(120_000, false), (120_001, true)] {
        for reads in [Reads::Verified, Reads::BadSignature] {
            let v = verdict(|s| {
                s.uncertainty_ms = u;
                s.reads = reads;
            });
            assert_eq!(v.flags.contains(Flag::ClockDoubt), doubt, "{u} {reads:?}");
        }
    }
    // Scanned by a revoked device after its cut-off: does not count, but shows.
    let v = verdict(|s| {
        s.earlier(EntryKind::Entry, 30);
        s.cut_offs = [(device_id(5), LogPlace { log_no: 0, seq: 0 })].into_iter().collect();
    });
    assert_eq!((v.outcome, v.flags), (Outcome::Ok, flags(&[Flag::QuarantinedRepeat])));
}

#[test]
fn rehearsals_refusals_and_undone_entries_do_not_use_a_ticket_up() {
    let v = verdict(|s| {
        s.earlier(EntryKind::Entry, 30);
        s.records[0].rehearsal = true;
        s.earlier(EntryKind::Refuse, 20);
        s.earlier(EntryKind::Entry, 10);
        let target = s.records[2].place;
        s.earlier(EntryKind::Undo, 5);
        s.records[3].target = Some(target);
    });
    assert_eq!(v.outcome, Outcome::Ok);
    // Another place's undo does not help.
    let v = verdict(|s| {
        s.earlier(EntryKind::Entry, 10);
        s.earlier(EntryKind::Undo, 5);
        s.records[1].target = Some(EntryPlace { device: device_id(6), ..s.records[0].place });
    });
    assert_eq!(v.outcome, Outcome::AlreadyAdmitted);
}

#[test]
fn the_row_of_another_ticket_opens_no_door() {
    let v = verdict(|s| {
        let row = *s.row();
        s.row = Some(TicketRow { ticket_id: ticket_id(8), ..row });
    });
    assert_eq!(v.outcome, Outcome::UnknownTicket);
}

#[test]
fn what_cannot_be_recorded_is_never_green() {
    let v = Scene::admitted().decide().cannot_record();
    assert_eq!((v.outcome, v.kind), (Outcome::CannotRecord, EntryKind::Refuse));
    assert!(!v.is_ok());
    assert_eq!(v.ticket_id, Some(ticket_id(7)));
}
