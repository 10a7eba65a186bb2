//! Scans from text to durable verdict, with a real database and a clock that stands still.
#![allow(clippy::unwrap_used, reason = "a test says what must hold by failing where it does not")]

mod common;

use common::{NOW, Venue, assert_chained, scan};
use gate_core::bench::synthetic::TYPE_NO;
use gate_core::scan::Settings;
use gate_core::steward::{self, PinError};
use gate_core::undo::{UndoError, undo};
use shared::admission::{Flag, Outcome};
use shared::bytes::Nonce16;
use shared::ids::{EventId, StewardId};
use shared::log::entry::{Direction, EntryKind, EntryPlace};
use shared::manifest::docs::{KeyStatus, Steward};
use shared::manifest::rows::TicketState;

fn exit() -> Settings {
    Settings { direction: Direction::Out, ..Settings::default() }
}

#[test]
fn a_valid_ticket_is_admitted_once_and_the_answer_names_the_first_admission() {
    let mut venue = Venue::new();
    let mut scanner = venue.scanner();
    let code = venue.code(0);
    let first = scan(&mut scanner, &code);
    assert_eq!((first.outcome, first.kind), (Outcome::Ok, EntryKind::Entry));
    assert_eq!((first.log_no, first.seq), (Some(1), Some(1)));
    assert_eq!(first.ticket_id, Some(venue.rows[0].ticket_id));
    assert_eq!(first.ticket_type, Some(venue.organizer.header.ticket_types[0].id));
    assert_eq!(first.first_admission, None);
    assert_eq!(first.scanned_at, "2027-01-15T08:00:00Z");

    venue.clock.advance_ms(60_000);
    let again = scan(&mut scanner, &code);
    assert_eq!((again.outcome, again.kind), (Outcome::AlreadyAdmitted, EntryKind::Refuse));
    let earlier = again.first_admission.unwrap();
    assert_eq!(earlier.at, "2027-01-15T08:00:00Z");
    assert_eq!(earlier.gate, Some(venue.organizer.header.gates[0].id));
    assert_eq!(earlier.device, venue.device.device);
    assert_eq!(again.seq, Some(2), "refusals are recorded too");
    assert_chained(&venue.log());
}

#[test]
fn every_defect_of_a_code_is_named_and_recorded() {
    let mut venue = Venue::empty(|_| {});
    venue.rows[1].state = TicketState::Refunded;
    venue.rows[2].state = TicketState::Blocked;
    venue.rows[3].generation = 2;
    venue.publish().unwrap();
    let old = shared::manifest::rows::TicketRow { generation: 1, ..venue.rows[3] };
    let stranger = venue.organizer.row(&mut venue.rng);
    let mut forged = venue.code(4).into_bytes();
    let last = forged.len() - 20;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    let cases = [
        (venue.code(1), Outcome::Revoked),
        (venue.code(2), Outcome::Blocked),
        (venue.code_of(&old), Outcome::Superseded),
        (venue.code_of(&stranger), Outcome::UnknownTicket),
        (String::from_utf8(forged).unwrap(), Outcome::BadSignature),
        ("4006381333931".to_owned(), Outcome::Malformed),
        (String::new(), Outcome::Malformed),
        ("HV1:".repeat(1000), Outcome::Malformed),
    ];
    let mut scanner = venue.scanner();
    for (code, outcome) in &cases {
        assert_eq!(scan(&mut scanner, code).outcome, *outcome, "{code:.40}");
    }
    let log = venue.log();
    assert_eq!(log.len(), cases.len());
    assert!(log.iter().all(|s| s.entry.kind == EntryKind::Refuse));
    assert_chained(&log);
}

#[test]
fn codes_of_another_event_and_of_compromised_keys_are_refused() {
    let mut venue = Venue::with(|o| o.key_list.ticket_keys[0].event = EventId::from_bytes([9; 16]));
    let other = venue.organizer.header.event;
    venue.organizer.header.event = EventId::from_bytes([9; 16]);
    let code = venue.code(0);
    venue.organizer.header.event = other;
    assert_eq!(scan(&mut venue.scanner(), &code).outcome, Outcome::WrongEvent);

    let mut venue = Venue::with(|o| o.key_list.ticket_keys[0].status = KeyStatus::Compromised);
    let code = venue.code(0);
    assert_eq!(scan(&mut venue.scanner(), &code).outcome, Outcome::UnknownKey);
}

#[test]
fn a_ticket_sold_after_the_manifest_is_admitted_as_late_sale() {
    let mut venue = Venue::new();
    let row = venue.organizer.row(&mut venue.rng);
    let code = venue.organizer.code(&row, NOW.secs());
    let mut scanner = venue.scanner();
    let answer = scan(&mut scanner, &code);
    assert_eq!(answer.outcome, Outcome::Ok);
    assert!(answer.flags.contains(Flag::LateSale));
    assert_eq!(scan(&mut scanner, &code).outcome, Outcome::AlreadyAdmitted);
}

#[test]
fn a_late_reissue_supersedes_the_older_code_from_then_on_even_after_a_restart() {
    let mut venue = Venue::new();
    let newer = shared::manifest::rows::TicketRow { generation: 1, ..venue.rows[0] };
    let reissued = venue.organizer.code(&newer, NOW.secs());
    let answer = scan(&mut venue.scanner(), &reissued);
    assert!(answer.is_ok() && answer.flags.contains(Flag::LateReissue));
    assert!(scan(&mut venue.scanner_with(exit()), &reissued).is_ok());
    let code = venue.code(0);
    assert_eq!(scan(&mut venue.scanner(), &code).outcome, Outcome::Superseded);
}

#[test]
fn people_get_out_and_back_in_as_the_list_allows() {
    let mut venue = Venue::new();
    let code = venue.code(0);
    assert!(scan(&mut venue.scanner(), &code).is_ok());
    let out = scan(&mut venue.scanner_with(exit()), &code);
    assert_eq!((out.outcome, out.kind), (Outcome::Ok, EntryKind::Exit));
    venue.clock.advance_ms(1000);
    assert_eq!(scan(&mut venue.scanner(), &code).kind, EntryKind::Entry);

    let mut strict = Venue::with(|o| o.header.lists[0].reentry_after_exit = false);
    let code = strict.code(0);
    assert!(scan(&mut strict.scanner(), &code).is_ok());
    assert!(scan(&mut strict.scanner_with(exit()), &code).is_ok());
    assert_eq!(scan(&mut strict.scanner(), &code).outcome, Outcome::AlreadyAdmitted);
}

#[test]
fn an_exit_needs_a_genuine_code_and_nothing_more() {
    let mut venue = Venue::empty(|_| {});
    venue.rows[0].state = TicketState::Canceled;
    venue.publish().unwrap();
    let mut scanner = venue.scanner_with(exit());
    let code = venue.code(0);
    let out = scan(&mut scanner, &code);
    assert!(out.is_ok() && out.flags.contains(Flag::Revoked));
    assert_eq!(scan(&mut scanner, "HV1:nonsense").outcome, Outcome::Malformed);
}

#[test]
fn a_rehearsal_decides_for_real_and_never_counts() {
    let mut venue = Venue::new();
    let code = venue.code(0);
    let rehearsing = Settings { rehearsal: true, ..Settings::default() };
    for _ in 0..2 {
        let answer = scan(&mut venue.scanner_with(rehearsing.clone()), &code);
        assert!(answer.is_ok() && answer.flags.contains(Flag::Rehearsal));
    }
    let status = gate_core::status::status(&venue.gate()).unwrap();
    assert_eq!(status.fold.on_site, 0);
    assert!(scan(&mut venue.scanner(), &code).is_ok());
}

#[test]
fn the_same_nonce_is_the_same_scan_with_one_record() {
    let mut venue = Venue::new();
    let (code, nonce) = (venue.code(0), Some(Nonce16([5; 16])));
    let mut scanner = venue.scanner();
    let first = scanner.scan(&code, nonce).answer;
    let second = scanner.scan(&code, nonce).answer;
    drop(scanner);
    let third = venue.scanner().scan(&code, nonce).answer;
    for again in [&second, &third] {
        assert_eq!((again.outcome, again.kind), (Outcome::Ok, EntryKind::Entry));
        assert_eq!((again.log_no, again.seq), (first.log_no, first.seq));
        assert_eq!(again.scanned_at, first.scanned_at);
    }
    assert_eq!(venue.log().len(), 1);
}

#[test]
fn a_supervisor_overrides_with_a_reason_on_record() {
    let mut venue = Venue::new();
    let code = venue.code(0);
    assert!(scan(&mut venue.scanner(), &code).is_ok());
    let staff = StewardId::from_bytes([4; 16]);
    let settings = Settings {
        override_reason: Some(" came back for her coat ".to_owned()),
        staff: Some(staff),
        ..Settings::default()
    };
    let mut scanner = venue.scanner_with(settings);
    let answer = scan(&mut scanner, &code);
    assert_eq!((answer.outcome, answer.kind), (Outcome::Ok, EntryKind::Override));
    assert!(answer.flags.contains(Flag::AlreadyAdmitted) && answer.flags.contains(Flag::Overridden));
    assert_eq!(scan(&mut scanner, "HV1:nonsense").outcome, Outcome::Malformed, "nothing lifts that");
    let log = venue.log();
    assert_eq!(log[1].entry.reason.as_deref(), Some("came back for her coat"));
    assert_eq!(log[1].entry.staff, Some(staff));
    assert_eq!(log[2].entry.reason, None);
}

#[test]
fn an_undo_takes_an_admission_out_of_the_fold_once() {
    let mut venue = Venue::new();
    let code = venue.code(0);
    assert!(scan(&mut venue.scanner(), &code).is_ok());
    let mut gate = venue.gate();
    let place = EntryPlace { device: venue.device.device, log_no: 1, seq: 1 };
    let refused = undo(&mut gate, None, place, "  ", None);
    assert!(matches!(refused, Err(UndoError::NoReason)));
    let done = undo(&mut gate, None, place, "wrong person", None).unwrap();
    assert_eq!(done.entry.target, Some(place));
    assert!(matches!(undo(&mut gate, None, place, "again", None), Err(UndoError::Already(_))));
    let of_the_undo = EntryPlace { seq: 2, ..place };
    assert!(matches!(undo(&mut gate, None, of_the_undo, "no", None), Err(UndoError::NotUndoable(_))));
    let nowhere = EntryPlace { seq: 99, ..place };
    assert!(matches!(undo(&mut gate, None, nowhere, "no", None), Err(UndoError::NoEntry(_))));
    drop(gate);
    assert!(scan(&mut venue.scanner(), &code).is_ok(), "as if it had not been");
    assert_chained(&venue.log());
}

#[test]
fn a_manifest_that_another_process_installs_counts_from_the_next_scan_on() {
    let mut venue = Venue::new();
    let mut scanner = venue.scanner();
    assert!(scan(&mut scanner, &venue.code(0)).is_ok());
    venue.rows[1].state = TicketState::Refunded;
    venue.publish().unwrap();
    assert_eq!(scan(&mut scanner, &venue.code(1)).outcome, Outcome::Revoked);
}

#[test]
fn past_its_limits_the_manifest_turns_amber_and_then_red() {
    let mut venue = Venue::new();
    venue.organizer.header.ticket_types[0].expires_at = NOW.secs().plus_secs(30 * 86_400);
    venue.publish().unwrap();
    let mut scanner = venue.scanner();
    venue.clock.advance_ms(25 * 3_600_000);
    let amber = scan(&mut scanner, &venue.code(0));
    assert!(amber.is_ok() && amber.flags.contains(Flag::StaleWarning));
    venue.clock.advance_ms(72 * 3_600_000);
    assert_eq!(scan(&mut scanner, &venue.code(1)).outcome, Outcome::StaleManifest);
}

#[test]
fn two_scanners_of_one_folder_admit_a_ticket_once_and_share_one_log() {
    let mut venue = Venue::new();
    let (mut a, mut b) = (venue.scanner(), venue.scanner());
    for i in 0..5 {
        let code = venue.code(i);
        assert!(scan(&mut a, &code).is_ok());
        assert_eq!(scan(&mut b, &code).outcome, Outcome::AlreadyAdmitted);
    }
    drop((a, b));
    let log = venue.log();
    assert_eq!(log.len(), 10);
    assert_chained(&log);
}

#[test]
fn time_in_the_log_never_goes_back() {
    let mut venue = Venue::new();
    let mut scanner = venue.scanner();
    scan(&mut scanner, &venue.code(0));
    venue.clock.set_wall(NOW.plus_ms(-3_600_000));
    scan(&mut scanner, &venue.code(1));
    let log = venue.log();
    assert_eq!(log[1].entry.time.corrected, log[0].entry.time.corrected);
    assert_eq!(log[1].entry.time.wall, NOW.plus_ms(-3_600_000));
    assert!(log[1].entry.time.error_ms >= 3_600_000, "and says by how much it may be wrong");
}

fn with_supervisor() -> Venue {
    use argon2::password_hash::PasswordHasher as _;
    // The cheapest parameters: what is tested is the counting.
    let params = argon2::Params::new(8, 1, 1, None).unwrap();
    let hasher = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let pin_hash = hasher.hash_password_with_salt(b"2468", b"salt-salt-salt-1").unwrap().to_string();
    Venue::with(|o| {
        let id = StewardId::from_bytes([4; 16]);
        o.header.stewards = vec![Steward { id, label: "Ada".to_owned(), supervisor: true, pin_hash }];
    })
}

#[test]
fn five_wrong_pins_lock_for_five_minutes_across_restarts() {
    let mut venue = with_supervisor();
    let steward = venue.organizer.header.stewards[0].clone();
    for left in (0..5).rev() {
        let gate = venue.gate();
        let wrong = steward::identify(&gate, &steward, "0000");
        assert!(matches!(wrong, Err(PinError::Wrong { left: l }) if l == left), "{wrong:?}");
    }
    let gate = venue.gate();
    assert!(matches!(steward::identify(&gate, &steward, "2468"), Err(PinError::Locked { secs: 300 })));
    venue.clock.advance_ms(299_999);
    assert!(matches!(steward::identify(&gate, &steward, "2468"), Err(PinError::Locked { secs: 1 })));
    venue.clock.advance_ms(1);
    let who = steward::identify(&gate, &steward, "2468").unwrap();
    assert!(who.supervisor);
    for _ in 0..4 {
        assert!(steward::identify(&gate, &steward, "0000").is_err());
    }
    assert!(steward::identify(&gate, &steward, "2468").is_ok(), "a right one forgives the wrong ones");
    assert!(matches!(steward::find(&venue.organizer.header, "Bob"), Err(PinError::Unknown(_))));
    assert_eq!(steward::find(&venue.organizer.header, "Ada").unwrap().id, steward.id);
}

#[test]
fn a_list_covers_only_its_ticket_types() {
    use shared::manifest::docs::TypeSet;
    let mut venue = Venue::with(|o| o.header.lists[0].ticket_types = TypeSet::Only(vec![TYPE_NO + 1]));
    let code = venue.code(0);
    assert_eq!(scan(&mut venue.scanner(), &code).outcome, Outcome::Product);
}
