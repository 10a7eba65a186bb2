//! PINs, the deadline of supervision, and kiosk mode.

use crate::stage::{HELPER, HELPERS_PIN, PIN, SUPERVISOR, Stage, nonce, place};
use gate_core::db::Db;
use gate_core::db::table::device::{self, State};
use gate_core::desk::Event;
use gate_core::desk::contract::{CommandError, ErrorCode, Post, ScanSource, Settings};
use shared::ids::{ListId, StewardId};
use shared::log::entry::Direction;
use shared::manifest::docs::Steward;

#[test]
fn five_wrong_pins_lock_and_the_window_hears_how_many_are_left_and_how_long() {
    let stage = Stage::new();
    for left in (0..5).rev() {
        let wrong = stage.desk.unlock(SUPERVISOR, "0000").unwrap_err();
        assert_eq!((wrong.code, wrong.count), (ErrorCode::WrongPin, Some(left)));
    }
    let locked = stage.desk.unlock(SUPERVISOR, PIN).unwrap_err();
    assert_eq!((locked.code, locked.secs), (ErrorCode::PinLocked, Some(300)));
    assert!(stage.desk.unlock(HELPER, HELPERS_PIN).is_ok(), "another steward is not locked");
    stage.venue.clock.advance_ms(300_000);
    assert!(stage.desk.unlock(SUPERVISOR, PIN).unwrap().supervisor);
}

#[test]
fn supervision_ends_by_itself_unless_somebody_works() {
    let stage = Stage::new();
    stage.desk.set_settings(Settings { auto_lock_secs: 60, ..Settings::default() }).unwrap();
    let begun = stage.desk.unlock(SUPERVISOR, PIN).unwrap();
    assert_eq!((begun.label.as_str(), begun.until.as_str()), ("Ada", "2027-01-15T08:01:00Z"));
    stage.venue.clock.advance_ms(59_000);
    let kept = stage.desk.keep_unlocked().unwrap();
    assert_eq!(kept.until, "2027-01-15T08:01:59Z");
    stage.venue.clock.advance_ms(59_999);
    assert!(stage.desk.incidents().is_ok(), "a supervised command is work");
    stage.venue.clock.advance_ms(59_999);
    stage.desk.tick();
    assert!(stage.desk.app_state().supervision.is_some());
    stage.events();
    stage.venue.clock.advance_ms(1);
    stage.desk.tick();
    assert!(stage.events().contains(&Event::Supervision(None)));
    assert_eq!(stage.desk.app_state().supervision, None);
    assert_eq!(stage.desk.keep_unlocked(), None);
    assert_eq!(stage.desk.incidents().unwrap_err().code, ErrorCode::Locked);
}

#[test]
fn the_wall_clock_neither_ends_nor_prolongs_supervision() {
    let stage = Stage::new();
    stage.unlock();
    stage.venue.clock.set_wall(stage.venue.now.plus_ms(24 * 3_600_000));
    stage.desk.tick();
    assert!(stage.desk.app_state().supervision.is_some());
    stage.venue.clock.advance_ms(u64::from(Settings::default().auto_lock_secs) * 1000);
    stage.venue.clock.set_wall(stage.venue.now);
    assert_eq!(stage.desk.incidents().unwrap_err().code, ErrorCode::Locked);
}

#[test]
fn a_helper_is_no_supervisor_and_stands_in_the_log() {
    let stage = Stage::new();
    let code = stage.venue.code(0);
    stage.desk.unlock(HELPER, HELPERS_PIN).unwrap();
    let entry = place(&stage.scan(&code)).unwrap();
    let refused = place(&stage.scan(&code)).unwrap();
    let code_of = |e: CommandError| e.code;
    let tries = [
        stage.desk.override_scan(refused, "please", nonce()).map(|_| ()).map_err(code_of),
        stage.desk.undo(entry, "please").map(|_| ()).map_err(code_of),
        stage.desk.search(&code).map(|_| ()).map_err(code_of),
        stage.desk.quarantine().map(|_| ()).map_err(code_of),
        stage.desk.kiosk_enter().map(|_| ()).map_err(code_of),
        stage.desk.leave(stage.venue.device.device).map(|_| ()).map_err(code_of),
    ];
    assert_eq!(tries, [Err(ErrorCode::NotSupervisor); 6]);
    stage.desk.lock();
    stage.scan(&code);
    let staff: Vec<_> = stage.venue.log().iter().map(|s| s.entry.staff).collect();
    assert_eq!(staff, [Some(HELPER), Some(HELPER), None]);
}

#[test]
fn whoever_is_taken_off_the_list_supervises_no_more() {
    let mut stage = Stage::new();
    stage.unlock();
    let gone = stage.venue.organizer.header.stewards.remove(0);
    let another = Steward { id: StewardId::from_bytes([6; 16]), label: "Cem".to_owned(), ..gone };
    stage.venue.organizer.header.stewards.push(another);
    stage.venue.publish().unwrap();
    stage.desk.tick();
    assert_eq!(stage.desk.incidents().map(|_| ()).map_err(|e| e.code), Err(ErrorCode::Locked));
    assert_eq!(stage.desk.app_state().supervision, None);
}

#[test]
fn once_no_supervisor_is_left_nobody_acts_under_a_name_that_is_gone() {
    let mut stage = Stage::new();
    let entry = place(&stage.scan(&stage.venue.code(0))).unwrap();
    stage.unlock();
    stage.venue.organizer.header.stewards.remove(0);
    stage.venue.publish().unwrap();
    stage.desk.tick();
    stage.desk.undo(entry, "wrong person").unwrap();
    assert_eq!(stage.desk.app_state().supervision, None);
    assert_eq!(stage.venue.log().last().unwrap().entry.staff, None);
}

#[test]
fn where_nobody_supervises_a_helper_may_do_no_less_than_nobody() {
    let stage = Stage::with(|o| {
        o.header.stewards.remove(0);
    });
    let code = stage.venue.code(0);
    let entry = place(&stage.scan(&code)).unwrap();
    let refused = place(&stage.scan(&code)).unwrap();
    stage.desk.unlock(HELPER, HELPERS_PIN).unwrap();
    assert!(stage.desk.incidents().unwrap().is_empty());
    stage.desk.undo(entry, "wrong person").unwrap();
    assert_eq!(
        stage.venue.log().last().unwrap().entry.staff,
        Some(HELPER),
        "whoever it was stands on record"
    );
    stage.desk.set_post(Post { rehearsal: true, ..stage.post() }).unwrap();
    stage.desk.set_post(stage.post()).unwrap();
    assert_eq!(stage.desk.override_scan(refused, "why not", nonce()).unwrap_err().code, ErrorCode::Locked);
    assert_eq!(stage.desk.kiosk_enter().unwrap_err().code, ErrorCode::Locked);
}

#[test]
fn a_kiosk_survives_a_restart_and_ends_by_a_pin() {
    let stage = Stage::new();
    assert_eq!(stage.desk.kiosk_enter().unwrap_err().code, ErrorCode::Locked);
    stage.unlock();
    stage.desk.kiosk_enter().unwrap();
    assert!(stage.events().iter().any(|e| matches!(e, Event::AppState(s) if s.kiosk)));
    assert_eq!(
        stage.desk.app_state().supervision,
        None,
        "the supervisor's rights do not stay with the guests"
    );

    let stage = stage.restart();
    assert!(stage.desk.app_state().kiosk);
    let out = Post { direction: Direction::Out, ..stage.post() };
    assert_eq!(stage.desk.set_post(out).unwrap_err().code, ErrorCode::Locked);
    assert_eq!(stage.desk.enrol_begin("4F7K-9M2X", None).unwrap_err().code, ErrorCode::Locked);
    let verdict = stage.desk.scan_text(&stage.venue.code(0), nonce(), ScanSource::Camera).unwrap();
    assert!(verdict.answer.is_ok());

    assert_eq!(stage.desk.kiosk_leave(Some(HELPER), "0000").unwrap_err().code, ErrorCode::WrongPin);
    assert_eq!(stage.desk.kiosk_leave(None, "").unwrap_err().code, ErrorCode::Locked);
    stage.desk.kiosk_leave(Some(HELPER), HELPERS_PIN).unwrap();
    assert!(!stage.desk.app_state().kiosk);
    assert!(!stage.restart().desk.app_state().kiosk);
}

#[test]
fn a_fault_that_passes_ends_neither_kiosk_mode_nor_supervision() {
    let mut stage = Stage::new();
    stage.unlock();
    stage.desk.kiosk_enter().unwrap();
    let rot = |of: &str| {
        let db = Db::open(stage.venue.path()).unwrap();
        db.conn()
            .execute(
                "update manifest set generation = generation + 1, key_list = cast(key_list || ?1 as blob)",
                [of],
            )
            .unwrap();
    };
    rot("rotten");
    stage.venue.clock.advance_ms(60_000);
    stage.desk.tick();
    let state = stage.desk.app_state();
    assert!(state.kiosk, "{:?}", state.trouble);
    stage.venue.publish().unwrap();
    stage.venue.clock.advance_ms(60_000);
    stage.desk.tick();
    assert!(stage.scan(&stage.venue.code(0)).answer.is_ok());
    let stage = stage.restart();
    assert!(stage.desk.app_state().kiosk);
}

#[test]
fn a_kiosk_whose_list_is_gone_is_still_no_place_where_guests_choose() {
    let mut stage = Stage::new();
    stage.unlock();
    stage.desk.kiosk_enter().unwrap();
    stage.venue.organizer.header.lists[0].id = ListId::from_bytes([9; 16]);
    stage.venue.publish().unwrap();
    let stage = stage.restart();
    let state = stage.desk.app_state();
    assert!(state.kiosk && state.post.is_some());
    assert!(stage.desk.scan_text(&stage.venue.code(0), nonce(), ScanSource::Camera).is_err());
    stage.desk.kiosk_leave(Some(HELPER), HELPERS_PIN).unwrap();
    assert_eq!(stage.restart().desk.app_state().post, None, "now somebody can choose another");
}

#[test]
fn a_kiosk_ends_without_a_pin_where_nobody_has_one() {
    let mut stage = Stage::new();
    stage.unlock();
    stage.desk.kiosk_enter().unwrap();
    stage.venue.organizer.header.stewards.clear();
    stage.venue.publish().unwrap();
    stage.desk.tick();
    assert!(stage.desk.app_state().kiosk);
    stage.desk.kiosk_leave(None, "").unwrap();
    assert!(!stage.restart().desk.app_state().kiosk);
}

#[test]
fn a_revocation_ends_kiosk_mode_for_good() {
    let stage = Stage::new();
    stage.unlock();
    stage.desk.kiosk_enter().unwrap();
    let db = Db::open(stage.venue.path()).unwrap();
    device::set_state(db.conn(), stage.venue.device.no, State::Revoked).unwrap();
    stage.venue.clock.advance_ms(1_000);
    stage.desk.tick();
    assert!(!stage.desk.app_state().kiosk);
    assert!(!stage.restart().desk.app_state().kiosk);
}

#[test]
fn an_event_without_supervisors_is_run_without_pins_but_never_overridden() {
    let stage = Stage::with(|o| o.header.stewards.clear());
    let code = stage.venue.code(0);
    let entry = place(&stage.scan(&code)).unwrap();
    let refused = place(&stage.scan(&code)).unwrap();
    assert!(stage.desk.incidents().unwrap().is_empty());
    assert_eq!(stage.desk.override_scan(refused, "why not", nonce()).unwrap_err().code, ErrorCode::Locked);
    assert_eq!(stage.desk.kiosk_enter().unwrap_err().code, ErrorCode::Locked);
    stage.desk.undo(entry, "wrong person").unwrap();
    assert!(stage.scan(&code).answer.is_ok());
}

#[test]
fn search_finds_by_code_and_id_and_by_name_at_the_box_office_only() {
    let stage = Stage::new();
    let (code, ticket) = (stage.venue.code(3), stage.venue.rows[3].ticket_id);
    stage.unlock();
    let before = stage.desk.search(&ticket.to_string()).unwrap();
    assert_eq!((before.len(), before[0].inside, &before[0].first_admission), (1, false, &None));
    let scanned = stage.scan(&code);
    let found = stage.desk.search(&format!(" {code} ")).unwrap();
    assert_eq!(found[0].ticket_id, ticket);
    assert_eq!(found[0].ticket_type_name.as_deref(), Some("Standard"));
    assert_eq!(found[0].first_admission.as_ref().unwrap().at, scanned.answer.scanned_at);
    assert!(found[0].inside && found[0].name.is_none());
    assert!(stage.desk.search("00000000-0000-7000-8000-000000000000").unwrap().is_empty());
    assert!(stage.desk.search("HV1:NONSENSE").unwrap().is_empty());
    assert_eq!(stage.desk.search("Lovelace").unwrap_err().code, ErrorCode::NotBoxOffice);
}
