//! Several events on one machine, and what survives a restart.

use crate::common::{NOW, Venue};
use crate::stage::{Stage, nonce, place, stewards};
use crate::troubles::spoil_table;
use gate_core::bench::synthetic::{Organizer, Rows};
use gate_core::db::Db;
use gate_core::db::table::device::{self, Device, DeviceNo, State};
use gate_core::desk::contract::{ErrorCode, Language, Post, Reason, ScanSource, Settings, Trouble};
use rand::SeedableRng;
use rand::rngs::StdRng;
use shared::bytes::Nonce16;
use shared::log::entry::Direction;
use shared::manifest::docs::{ManifestVersion, Steward};
use shared::manifest::rows::TicketRow;

/// Another organizer's event in the same data folder.
struct Second {
    organizer: Organizer,
    device: Device,
    row: TicketRow,
}

fn add_second(venue: &Venue, stewards: Vec<Steward>) -> Second {
    let mut rng = StdRng::seed_from_u64(99);
    let mut organizer = Organizer::new(NOW, &mut rng);
    organizer.header.info.title = "The other show".to_owned();
    organizer.header.stewards = stewards;
    let db = Db::open(venue.path()).unwrap();
    let device = organizer.enroll(&db, 2, &mut rng).unwrap();
    let row = organizer.row(&mut rng);
    let version = ManifestVersion { epoch: 1, change_seq: 1, as_of: NOW.secs() };
    let echo = Nonce16([3; 16]);
    let answer = organizer.answer(version, &[row], Rows::Full, echo, NOW);
    organizer.install(&db, &device, &answer, echo, &mut |_| Ok(())).unwrap();
    Second { organizer, device, row }
}

impl Second {
    fn post(&self) -> Post {
        Post {
            device_id: self.device.device,
            list: self.organizer.list(),
            gate: None,
            direction: Direction::In,
            rehearsal: false,
        }
    }

    fn code(&self) -> String {
        self.organizer.code(&self.row, NOW.secs().minus_secs(60))
    }
}

#[test]
fn several_events_stand_side_by_side_each_with_its_own_tickets_and_staff() {
    let stage = Stage::new();
    let second = add_second(&stage.venue, stewards());
    let titles: Vec<_> = stage.desk.app_state().enrolments.into_iter().map(|e| e.title.unwrap()).collect();
    assert_eq!(titles, ["Measured", "The other show"]);
    assert_eq!(stage.scan(&second.code()).reason, Reason::UnknownKey);

    stage.unlock();
    let state = stage.desk.set_post(second.post()).unwrap();
    assert_eq!(state.supervision, None, "a supervisor of one event is none at another");
    assert_eq!(stage.scan(&second.code()).reason, Reason::Admitted);
    assert_eq!(stage.desk.status().unwrap().counts.admitted, 1);
    stage.desk.set_post(stage.post()).unwrap();
    assert!(stage.scan(&stage.venue.code(0)).answer.is_ok());
    assert_eq!(stage.venue.log().len(), 2, "each device has its own log");
}

#[test]
fn what_was_painted_of_one_event_is_not_taken_for_the_same_place_of_another() {
    let stage = Stage::new();
    let second = add_second(&stage.venue, stewards());
    let scan = |code: &str| stage.desk.scan_text(code, nonce(), ScanSource::Reader).unwrap();
    let here = place(&scan(&stage.venue.code(0))).unwrap();
    stage.desk.set_post(second.post()).unwrap();
    assert_eq!(place(&scan(&second.code())), Some(here), "both begin their logs");
    stage.desk.scan_shown(here);
    stage.venue.clock.advance_ms(1_000);
    stage.desk.tick();
    let db = Db::open(stage.venue.path()).unwrap();
    let shown = |device: &Device| -> bool {
        let of_author = "select shown from log_entry where author = ?1";
        db.conn().query_row(of_author, [device.author.0], |r| r.get(0)).unwrap()
    };
    assert_eq!((shown(&stage.venue.device), shown(&second.device)), (false, true));
}

/// Its key cannot be read any more, and the database is damaged elsewhere.
fn lose(stage: &Stage, device: DeviceNo) {
    let db = Db::open(stage.venue.path()).unwrap();
    db.conn().pragma_update(None, "foreign_keys", false).unwrap();
    db.conn().execute("delete from device where no = ?1", [device.0]).unwrap();
    drop(db);
    spoil_table(stage, "own_note");
}

#[test]
fn a_key_that_was_lost_is_told_once_and_leaves_the_other_event() {
    let stage = Stage::new();
    let second = add_second(&stage.venue, stewards());
    assert!(stage.scan(&stage.venue.code(0)).answer.is_ok());
    assert_eq!(stage.desk.app_state().enrolments.len(), 2);
    lose(&stage, stage.venue.device.no);
    assert_eq!(stage.desk.app_state().trouble, Some(Trouble::DatabaseDamaged { black_box: 1 }));
    stage.desk.tick();
    assert_eq!(stage.desk.app_state().trouble, Some(Trouble::DatabaseDamaged { black_box: 1 }));
    assert!(matches!(stage.desk.trouble_retry(), Some(Trouble::DatabaseLost { .. })));
    let state = stage.desk.app_state();
    assert_eq!((state.enrolments.len(), state.post), (1, None));
    assert_eq!(stage.desk.set_post(second.post()).unwrap().trouble, None);
    assert!(stage.scan(&second.code()).answer.is_ok());

    spoil_table(&stage, "own_note");
    assert!(matches!(stage.desk.app_state().trouble, Some(Trouble::DatabaseDamaged { .. })));
    stage.desk.tick();
    let state = stage.desk.app_state();
    assert!(matches!(state.trouble, Some(Trouble::DatabaseRepaired { .. })), "{:?}", state.trouble);
    assert_eq!(state.post, Some(second.post()));
}

#[test]
fn a_post_whose_key_is_lost_before_it_scanned_is_told_at_the_start() {
    let stage = Stage::new();
    add_second(&stage.venue, stewards());
    lose(&stage, stage.venue.device.no);
    let state = stage.restart().desk.app_state();
    assert!(matches!(state.trouble, Some(Trouble::DatabaseLost { black_box: 0, .. })), "{:?}", state.trouble);
    assert_eq!((state.enrolments.len(), state.post), (1, None));
}

#[test]
fn another_event_is_chosen_after_a_revocation_and_has_none_of_its_trouble() {
    let stage = Stage::new();
    let second = add_second(&stage.venue, stewards());
    stage.unlock();
    stage.desk.kiosk_enter().unwrap();
    let db = Db::open(stage.venue.path()).unwrap();
    device::set_state(db.conn(), stage.venue.device.no, State::Revoked).unwrap();
    stage.venue.clock.advance_ms(1_000);
    stage.desk.tick();
    assert!(matches!(stage.desk.app_state().trouble, Some(Trouble::Revoked { .. })));
    assert_eq!(stage.desk.set_post(second.post()).unwrap().trouble, None);
    assert_eq!(stage.scan(&second.code()).reason, Reason::Admitted);
    let state = stage.restart().desk.app_state();
    assert_eq!(
        (state.post, state.kiosk),
        (Some(second.post()), false),
        "guests scanned for themselves at the other one"
    );
}

#[test]
fn names_settings_and_the_post_survive_a_restart() {
    let stage = Stage::new();
    let device = stage.venue.device.device;
    stage.desk.name_device(device, "  Tablet by the fountain ").unwrap();
    let named = stage.desk.app_state();
    assert_eq!(named.enrolments[0].local_name.as_deref(), Some("Tablet by the fountain"));
    assert_eq!(named.enrolments[0].label, "Gate 1");
    let wanted = Settings {
        language: Language::Fr,
        volume: 0.3,
        camera: Some("usb".to_owned()),
        ..Settings::default()
    };
    stage.desk.set_settings(wanted.clone()).unwrap();
    let post = Post { direction: Direction::Out, ..stage.post() };
    stage.desk.set_post(post).unwrap();

    let stage = stage.restart();
    let state = stage.desk.app_state();
    assert_eq!((&state.settings, state.post), (&wanted, Some(post)));
    assert_eq!(state.enrolments[0].local_name.as_deref(), Some("Tablet by the fountain"));
    assert_eq!(state.trouble, None);
    let out = stage.desk.scan_text(&stage.venue.code(0), nonce(), ScanSource::Reader).unwrap();
    assert!(out.answer.is_ok(), "it stands where it stood: {out:?}");
    stage.desk.name_device(device, " ").unwrap();
    assert_eq!(stage.desk.app_state().enrolments[0].local_name, None);
}

#[test]
fn leaving_waits_for_what_is_unsent_and_needs_a_supervisor_of_that_event() {
    let stage = Stage::new();
    let second = add_second(&stage.venue, stewards());
    stage.scan(&stage.venue.code(0));
    let (mine, other) = (stage.venue.device.device, second.device.device);
    assert_eq!(stage.desk.leave(mine).unwrap_err().code, ErrorCode::Locked);
    stage.unlock();
    assert_eq!(stage.desk.leave(other).unwrap_err().code, ErrorCode::Locked);
    let refused = stage.desk.leave(mine).unwrap_err();
    assert_eq!((refused.code, refused.count), (ErrorCode::UnsentEntries, Some(1)));
    assert!(stage.scan(&stage.venue.code(1)).answer.is_ok(), "it goes on scanning");

    stage.desk.set_post(second.post()).unwrap();
    stage.unlock();
    let state = stage.desk.leave(other).unwrap();
    assert_eq!((state.enrolments.len(), state.post, state.supervision), (1, None, None));
    let state = stage.restart().desk.app_state();
    assert_eq!((state.enrolments.len(), state.post), (1, None));
}
