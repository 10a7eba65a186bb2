//! Scans, overrides, undos, and what a window must know about each.

use crate::common::{Venue, assert_chained};
use crate::stage::{Stage, nonce, open, place};
use gate_core::desk::Event;
use gate_core::desk::contract::{CommandError, ErrorCode, Place, Post, Reason, ScanSource, Verdict};
use shared::admission::{Flag, Outcome};
use shared::ids::{GateId, ListId};
use shared::log::entry::{Direction, EntryKind};

#[test]
fn scan_again_override_undo_both_scan_is_ok() {
    let stage =
        Stage::with(|o| o.header.ticket_types[0].attention = Some("Check the student card".to_owned()));
    let code = stage.venue.code(0);
    let first = stage.scan(&code);
    assert_eq!((first.answer.outcome, &first.reason), (Outcome::Ok, &Reason::Admitted));
    assert_eq!(first.ticket_type_name.as_deref(), Some("Standard"));
    assert_eq!(first.attention.as_deref(), Some("Check the student card"));
    assert_eq!(first.manifest_age_secs, Some(120));
    assert_eq!(first.guest, None);

    let refused = stage.scan(&code);
    assert_eq!(refused.answer.outcome, Outcome::AlreadyAdmitted);
    let Reason::AlreadyAdmitted { first: earlier } = &refused.reason else { panic!("{:?}", refused.reason) };
    assert_eq!(earlier.at, first.answer.scanned_at);

    stage.unlock();
    let at = place(&refused).unwrap();
    let overridden = stage.desk.override_scan(at, "  her bag was inside ", nonce()).unwrap();
    assert_eq!((overridden.answer.outcome, overridden.answer.kind), (Outcome::Ok, EntryKind::Override));
    assert!(matches!(&overridden.reason, Reason::Overridden { defect } if **defect == refused.reason));

    for verdict in [&overridden, &first] {
        let at = place(verdict).unwrap();
        let undo = stage.desk.undo(at, "wrong person").unwrap();
        assert!(undo > at);
        assert_eq!(stage.desk.undo(at, "twice").unwrap_err().code, ErrorCode::AlreadyUndone);
    }
    assert_eq!(stage.scan(&code).reason, Reason::Admitted);
    let log = stage.venue.log();
    assert_chained(&log);
    let kinds: Vec<EntryKind> = log.iter().map(|s| s.entry.kind).collect();
    use EntryKind::{Entry, Override, Refuse, Undo};
    assert_eq!(kinds, [Entry, Refuse, Override, Undo, Undo, Entry]);
    assert_eq!(log[2].entry.reason.as_deref(), Some("her bag was inside"));
    assert_eq!(log[2].entry.staff, Some(crate::stage::SUPERVISOR));
}

fn code_of(refused: Result<Verdict, CommandError>) -> ErrorCode {
    refused.unwrap_err().code
}

#[test]
fn an_override_is_for_the_last_refused_scan_and_for_no_other() {
    let stage = Stage::new();
    let (a, b) = (stage.venue.code(0), stage.venue.code(1));
    stage.scan(&a);
    let refused = place(&stage.scan(&a)).unwrap();
    assert_eq!(code_of(stage.desk.override_scan(refused, "why not", nonce())), ErrorCode::Locked);
    stage.unlock();
    assert_eq!(code_of(stage.desk.override_scan(refused, "  ", nonce())), ErrorCode::ReasonMissing);
    let other = Place { seq: refused.seq - 1, ..refused };
    assert_eq!(code_of(stage.desk.override_scan(other, "why not", nonce())), ErrorCode::NothingToOverride);

    stage.scan(&b);
    assert_eq!(code_of(stage.desk.override_scan(refused, "why not", nonce())), ErrorCode::NothingToOverride);

    let refused = place(&stage.scan(&a)).unwrap();
    let attempt = nonce();
    let done = stage.desk.override_scan(refused, "why not", attempt).unwrap();
    let again = stage.desk.override_scan(refused, "why not", attempt).unwrap();
    assert_eq!(done, again, "a doubled click is one override");
    assert_eq!(code_of(stage.desk.override_scan(refused, "why not", nonce())), ErrorCode::NothingToOverride);
    assert_eq!(stage.venue.log().iter().filter(|s| s.entry.kind == EntryKind::Override).count(), 1);
}

#[test]
fn the_same_nonce_is_the_same_scan() {
    let stage = Stage::new();
    let (code, attempt) = (stage.venue.code(0), nonce());
    let first = stage.desk.scan_text(&code, attempt, ScanSource::Reader).unwrap();
    // A reader's line end is no part of the code.
    let again = stage.desk.scan_text(&format!("{code}\r\n"), attempt, ScanSource::Reader).unwrap();
    assert_eq!(again.reason, Reason::Repeated { resumed: false });
    assert_eq!((again.answer.outcome, place(&again)), (Outcome::Ok, place(&first)));
    assert_eq!(again.ticket_type_name.as_deref(), Some("Standard"));
    assert_eq!(stage.venue.log().len(), 1);
}

#[test]
fn direction_and_rehearsal_change_without_opening_anything_anew() {
    let stage = Stage::new();
    let code = stage.venue.code(0);
    stage.scan(&code);
    stage.desk.set_post(Post { direction: Direction::Out, ..stage.post() }).unwrap();
    let out = stage.scan(&code);
    assert_eq!((out.answer.kind, &out.reason), (EntryKind::Exit, &Reason::LetOut { defect: None }));
    let rehearsal = Post { rehearsal: true, ..stage.post() };
    let locked = stage.desk.set_post(rehearsal).unwrap_err();
    assert_eq!(locked.code, ErrorCode::Locked, "nobody but a supervisor lets people in who do not count");
    stage.unlock();
    stage.desk.set_post(rehearsal).unwrap();
    let rehearsed = stage.scan(&code);
    assert!(rehearsed.answer.flags.contains(Flag::Rehearsal));
    stage.desk.set_post(stage.post()).unwrap();
    assert!(stage.scan(&code).answer.is_ok(), "the rehearsal did not count");

    let nowhere = Post { list: ListId::from_bytes([9; 16]), ..stage.post() };
    assert_eq!(stage.desk.set_post(nowhere).unwrap_err().code, ErrorCode::Internal);
    assert_eq!(stage.desk.app_state().post, Some(stage.post()), "the post stays what it was");
    let sessions = stage.venue.path().join("sessions").read_dir().unwrap().count();
    assert_eq!(sessions, 2, "one scanner, and the door of its folder");
}

#[test]
fn people_get_out_by_a_list_and_a_gate_that_the_organizer_has_deleted() {
    let mut stage = Stage::new();
    let code = stage.venue.code(0);
    stage.scan(&code);
    let header = &mut stage.venue.organizer.header;
    header.lists[0].id = ListId::from_bytes([8; 16]);
    header.gates[0].id = GateId::from_bytes([8; 16]);
    let there = stage.desk.app_state().post.unwrap();
    stage.venue.publish().unwrap();
    stage.desk.tick();
    stage.desk.set_post(Post { direction: Direction::Out, ..there }).unwrap();
    assert_eq!(stage.scan(&code).answer.kind, EntryKind::Exit);
    let elsewhere = Post { gate: Some(GateId::from_bytes([9; 16])), ..there };
    assert_eq!(stage.desk.set_post(elsewhere).unwrap_err().code, ErrorCode::Internal);
    stage.desk.set_post(stage.post()).unwrap();
    assert_eq!(stage.desk.set_post(there).unwrap_err().code, ErrorCode::Internal, "nobody comes back to it");
}

#[test]
fn an_answer_that_nobody_saw_is_told_at_the_next_start_and_given_again_once() {
    let stage = Stage::new();
    let code = stage.venue.code(0);
    let unseen = stage.desk.scan_text(&code, nonce(), ScanSource::Camera).unwrap();
    let stage = stage.restart();
    let interrupted = stage.desk.app_state().interrupted.unwrap();
    assert_eq!((interrupted.scanned_at, interrupted.outcome), (unseen.answer.scanned_at, Outcome::Ok));
    assert_eq!(interrupted.ticket_type_name.as_deref(), Some("Standard"));

    let again = stage.scan(&code);
    assert_eq!(again.reason, Reason::Repeated { resumed: true });
    assert!(again.answer.is_ok() && again.answer.flags.contains(Flag::Resumed));
    assert_eq!(stage.scan(&code).answer.outcome, Outcome::AlreadyAdmitted);
    stage.desk.interrupted_seen().unwrap();
    assert_eq!(stage.desk.app_state().interrupted, None);
}

#[test]
fn what_an_interrupted_run_left_is_told_until_somebody_has_read_it() {
    let stage = Stage::new();
    stage.desk.scan_text(&stage.venue.code(0), nonce(), ScanSource::Reader).unwrap();
    let stage = stage.restart().restart();
    assert!(stage.desk.app_state().interrupted.is_some());
    stage.desk.interrupted_seen().unwrap();
    assert_eq!(stage.restart().desk.app_state().interrupted, None);
}

#[test]
fn without_a_post_and_without_a_manifest_nothing_is_green() {
    let mut venue = Venue::empty(|_| {});
    let dir = venue.path().to_owned();
    let (desk, heard) = open(&mut venue, &dir, crate::stage::Wire::default());
    let code = venue.code(0);
    assert_eq!(desk.scan_text(&code, nonce(), ScanSource::Reader).unwrap_err().code, ErrorCode::Internal);
    let post = Post {
        device_id: venue.device.device,
        list: venue.organizer.list(),
        gate: None,
        direction: Direction::In,
        rehearsal: false,
    };
    assert_eq!(desk.set_post(post).unwrap_err().code, ErrorCode::CannotRecord);
    let listed = &desk.app_state().enrolments[0];
    assert_eq!((listed.state, &listed.title, listed.lists.len()), ("active", &None, 0));

    venue.publish().unwrap();
    desk.tick();
    let told = heard.try_iter().any(|e| matches!(e, Event::AppState(s) if s.enrolments[0].lists.len() == 1));
    assert!(told, "a window hears of the first manifest");
    desk.set_post(post).unwrap();
    assert!(desk.scan_text(&code, nonce(), ScanSource::Reader).unwrap().answer.is_ok());
}

#[test]
fn counts_and_age_follow_the_scans() {
    let mut venue = Venue::empty(|_| {});
    venue.rows[8].state = shared::manifest::rows::TicketState::Blocked;
    venue.rows[9].state = shared::manifest::rows::TicketState::Refunded;
    venue.publish().unwrap();
    let stage = Stage::of(venue);
    for i in [0, 1, 1] {
        stage.scan(&stage.venue.code(i));
    }
    stage.desk.set_post(Post { direction: Direction::Out, ..stage.post() }).unwrap();
    stage.scan(&stage.venue.code(0));
    let status = stage.desk.status().unwrap();
    let counts = status.counts;
    assert_eq!((counts.admitted, counts.on_site, counts.entries, counts.expected), (2, 1, 2, 9));
    assert_eq!(status.status.queue.unsent, 4);
    assert_eq!(status.now, "2027-01-15T08:00:00Z");
    assert!(stage.events().iter().any(|e| matches!(e, Event::Status(_))));
}
