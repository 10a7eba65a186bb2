//! Hard days: each has its word, none shows green without a record, and each can be tried again.

use crate::common::assert_chained;
use crate::stage::{Stage, Wire, nonce, open};
use gate_core::db::table::device::{self, State};
use gate_core::db::table::log_entry::Stored;
use gate_core::db::table::{anchor, upload};
use gate_core::db::{Db, FILE};
use gate_core::desk::Event;
use gate_core::desk::contract::{ErrorCode, ScanSource, Trouble};
use gate_core::fault::Fault;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use shared::admission::Outcome;
use shared::log::entry::Anchor;
use std::os::unix::fs::FileExt as _;

/// A disk that takes no byte more, for this process: every test has one of its own.
fn limit_files(to: Option<u64>) {
    let now = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: to, maximum: now.maximum }).unwrap();
}

/// Beyond the limit the system sends a signal that would end the process.
fn survive_the_limit() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let _entered = runtime.enter();
    drop(tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(25)).unwrap());
}

#[test]
fn a_disk_that_takes_nothing_more_is_red_and_well_again_after_the_next_record() {
    survive_the_limit();
    let stage = Stage::new();
    let code = stage.venue.code(0);
    stage.events();
    limit_files(Some(64));
    let red = stage.desk.scan_text(&code, nonce(), ScanSource::Reader).unwrap();
    assert_eq!((red.answer.outcome, red.answer.log_no), (Outcome::CannotRecord, None));
    let of_disk =
        |t: &Option<Trouble>| matches!(t, Some(Trouble::DiskFull { .. } | Trouble::DiskError { .. }));
    let trouble = stage.desk.app_state().trouble;
    assert!(of_disk(&trouble), "{trouble:?}");
    assert!(stage.events().iter().any(|e| matches!(e, Event::Trouble(t) if of_disk(t))));
    assert!(of_disk(&stage.desk.trouble_retry()), "it is as full as before");
    limit_files(None);
    assert!(stage.scan(&code).answer.is_ok(), "nobody was let in before");
    assert_eq!(stage.desk.app_state().trouble, None);
    assert_eq!(stage.venue.log().len(), 1);
}

#[test]
fn a_disk_that_is_well_again_is_noticed_without_anybody_who_asks() {
    survive_the_limit();
    let stage = Stage::new();
    let code = stage.venue.code(0);
    stage.unlock();
    stage.desk.kiosk_enter().unwrap();
    limit_files(Some(64));
    stage.desk.scan_text(&code, nonce(), ScanSource::Camera).unwrap();
    stage.venue.clock.advance_ms(60_000);
    stage.desk.tick();
    assert!(stage.desk.app_state().trouble.is_some(), "it is as full as before");
    limit_files(None);
    stage.events();
    stage.venue.clock.advance_ms(4_999);
    stage.desk.tick();
    assert!(stage.desk.app_state().trouble.is_some(), "not at every tick");
    stage.venue.clock.advance_ms(1);
    stage.desk.tick();
    let state = stage.desk.app_state();
    assert_eq!((state.trouble, state.kiosk), (None, true));
    assert!(stage.events().contains(&Event::Trouble(None)));
    assert!(stage.scan(&code).answer.is_ok());
}

/// Overwrites a part of a file from a place on.
fn spoil(path: &std::path::Path, from: u64, bytes: usize) {
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&vec![0xa5; bytes], from).unwrap();
}

#[test]
fn a_damaged_database_is_kept_and_rebuilt_with_every_entry() {
    let stage = Stage::new();
    for i in 0..10 {
        assert!(stage.scan(&stage.venue.code(i)).answer.is_ok());
    }
    let Stage { mut venue, desk, heard } = stage;
    drop((desk, heard));
    let before = venue.log();
    let file = venue.path().join(FILE);
    // Everything into the file itself, then one page of the log gone.
    let db = Db::open(venue.path()).unwrap();
    db.conn().query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(())).unwrap();
    drop(db);
    let bytes = std::fs::read(&file).unwrap();
    let entry = &before[5].bytes;
    let at = bytes.windows(entry.len()).position(|w| w == &entry[..]).unwrap();
    spoil(&file, (at / 4096 * 4096) as u64, 4096);

    let dir = venue.path().to_owned();
    let (desk, heard) = open(&mut venue, &dir, Wire::default());
    let stage = Stage { venue, desk, heard };
    let Some(Trouble::DatabaseRepaired { kept_as, black_box }) = stage.desk.app_state().trouble else {
        panic!("{:?}", stage.desk.app_state().trouble)
    };
    assert_eq!((std::fs::metadata(kept_as).unwrap().len(), black_box), (bytes.len() as u64, 10));
    let same = |log: &[Stored]| log.iter().map(|s| (s.hash, s.bytes.clone())).collect::<Vec<_>>();
    assert!(same(&stage.venue.log()) == same(&before), "every entry is there again");
    assert_chained(&stage.venue.log());
    assert_eq!(stage.desk.trouble_retry(), None, "somebody has read it");
    let state = stage.desk.app_state();
    assert_eq!((state.trouble, state.post), (None, Some(stage.post())));
    assert_eq!(state.enrolments[0].lists.len(), 1, "the manifest was whole");
    assert_eq!(stage.scan(&stage.venue.code(5)).answer.outcome, Outcome::AlreadyAdmitted);
}

/// Spoils the first page of a table while the desk works with it.
pub fn spoil_table(stage: &Stage, name: &str) {
    let db = Db::open(stage.venue.path()).unwrap();
    db.conn().query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(())).unwrap();
    let page = "select rootpage from sqlite_schema where name = ?1";
    let page: u32 = db.conn().query_row(page, [name], |row| row.get(0)).unwrap();
    drop(db);
    spoil(&stage.venue.path().join(FILE), u64::from(page - 1) * 4096, 4096);
}

const fn is_repaired(trouble: Option<&Trouble>, entries: u64) -> bool {
    matches!(trouble, Some(Trouble::DatabaseRepaired { black_box, .. }) if *black_box == entries)
}

#[test]
fn a_database_found_damaged_at_work_is_made_anew_by_itself_and_that_once() {
    let stage = Stage::new();
    for i in 0..3 {
        assert!(stage.scan(&stage.venue.code(i)).answer.is_ok());
    }
    spoil_table(&stage, "own_note");
    stage.events();
    assert_eq!(stage.desk.app_state().trouble, Some(Trouble::DatabaseDamaged { black_box: 3 }));
    let red = stage.desk.scan_text(&stage.venue.code(3), nonce(), ScanSource::Reader).unwrap();
    assert_eq!(
        (red.answer.outcome, red.answer.log_no),
        (Outcome::CannotRecord, None),
        "nobody until it is well"
    );
    stage.desk.tick();
    let state = stage.desk.app_state();
    assert!(is_repaired(state.trouble.as_ref(), 3), "{:?}", state.trouble);
    assert!(stage.events().iter().any(|e| matches!(e, Event::Trouble(t) if is_repaired(t.as_ref(), 3))));
    assert_eq!((state.enrolments.len(), state.post), (1, Some(stage.post())));
    assert_eq!(
        stage.scan(&stage.venue.code(1)).answer.outcome,
        Outcome::AlreadyAdmitted,
        "nobody had to press"
    );
    assert!(stage.scan(&stage.venue.code(3)).answer.is_ok());
    assert_chained(&stage.venue.log());
    assert_eq!(stage.desk.trouble_retry(), None);

    spoil_table(&stage, "own_note");
    assert_eq!(stage.desk.app_state().trouble, Some(Trouble::DatabaseDamaged { black_box: 5 }));
    stage.venue.clock.advance_ms(60_000);
    stage.desk.tick();
    let trouble = stage.desk.app_state().trouble;
    assert_eq!(trouble, Some(Trouble::DatabaseDamaged { black_box: 5 }), "somebody should look at this disk");
    let retried = stage.desk.trouble_retry();
    assert!(is_repaired(retried.as_ref(), 5), "{retried:?}");
    assert_eq!(stage.desk.trouble_retry(), None);
    assert_eq!(stage.venue.log().len(), 5);
}

#[test]
fn a_scanner_beside_the_desk_writes_nothing_to_a_database_that_was_put_aside() {
    let mut stage = Stage::new();
    let codes: Vec<String> = (0..4).map(|i| stage.venue.code(i)).collect();
    let mut beside = stage.venue.scanner();
    assert!(beside.scan(&codes[0], None).answer.is_ok());
    assert!(stage.scan(&codes[1]).answer.is_ok());
    spoil_table(&stage, "own_note");
    assert!(matches!(stage.desk.app_state().trouble, Some(Trouble::DatabaseDamaged { .. })));
    stage.desk.tick();
    assert!(is_repaired(stage.desk.app_state().trouble.as_ref(), 2));
    assert!(stage.scan(&codes[2]).answer.is_ok());
    for _ in 0..2 {
        let red = beside.scan(&codes[3], None);
        assert_eq!(red.answer.outcome, Outcome::CannotRecord);
        assert!(matches!(&red.detail.fault, Some(Fault::Busy(why)) if why.contains("start this one again")));
    }
    drop(beside);
    let mut anew = stage.venue.scanner();
    assert_eq!(anew.scan(&codes[2], None).answer.outcome, Outcome::AlreadyAdmitted);
    assert!(anew.scan(&codes[3], None).answer.is_ok());
    assert_eq!(stage.scan(&codes[3]).answer.outcome, Outcome::AlreadyAdmitted);
    let log = stage.venue.log();
    assert_chained(&log);
    assert_eq!(log.len(), 6);
}

#[test]
fn what_another_scanner_records_while_the_database_is_made_anew_is_in_the_new_one() {
    let mut stage = Stage::new();
    let codes: Vec<String> = (0..stage.venue.rows.len()).map(|i| stage.venue.code(i)).collect();
    let mut beside = stage.venue.scanner();
    spoil_table(&stage, "own_note");
    let (answer, answers) = std::sync::mpsc::channel();
    let scanning = std::thread::spawn(move || {
        // Refusals are entries too.
        for code in codes.iter().cycle().take(5_000) {
            let given = beside.scan(code, None);
            if given.answer.outcome == Outcome::CannotRecord {
                return true;
            }
            answer.send(given.answer.log_no.zip(given.answer.seq).unwrap()).unwrap();
        }
        false
    });
    let mut seen: Vec<_> = answers.iter().take(3).collect();
    assert!(matches!(stage.desk.app_state().trouble, Some(Trouble::DatabaseDamaged { .. })));
    stage.desk.tick();
    assert!(scanning.join().unwrap(), "it was told in the middle of its work");
    seen.extend(answers.iter());
    let log = stage.venue.log();
    assert_chained(&log);
    let places: Vec<_> = log.iter().map(|s| (s.entry.place.log_no, s.entry.place.seq)).collect();
    assert_eq!(places, seen, "each that was answered, and nothing else");
}

#[test]
fn a_key_is_given_up_by_nobody_but_people() {
    let stage = Stage::new();
    assert!(stage.scan(&stage.venue.code(0)).answer.is_ok());
    stage.unlock();
    stage.desk.kiosk_enter().unwrap();
    assert_eq!(stage.desk.app_state().enrolments.len(), 1);
    spoil_table(&stage, "device");
    assert_eq!(stage.desk.app_state().trouble, Some(Trouble::DatabaseDamaged { black_box: 1 }));
    stage.desk.tick();
    stage.desk.tick();
    let state = stage.desk.app_state();
    assert_eq!((state.trouble, state.kiosk), (Some(Trouble::DatabaseDamaged { black_box: 1 }), true));
    for left in ["damaged-1", "rebuilding"] {
        assert!(!stage.venue.path().join(format!("{FILE}.{left}")).exists(), "it lies where it was: {left}");
    }
    stage.events();
    let retried = stage.desk.trouble_retry();
    assert!(matches!(retried, Some(Trouble::DatabaseLost { black_box: 1, .. })), "{retried:?}");
    let state = stage.desk.app_state();
    assert_eq!((state.enrolments.len(), state.post, state.kiosk), (0, None, false));
    let told = |e: &Event| matches!(e, Event::AppState(s) if s.post.is_none() && !s.kiosk);
    assert!(stage.events().iter().any(told), "the window leaves kiosk mode too");
}

#[test]
fn a_kiosk_stays_one_where_what_the_machine_remembers_was_damaged() {
    let stage = Stage::new();
    assert!(stage.scan(&stage.venue.code(0)).answer.is_ok());
    stage.unlock();
    stage.desk.kiosk_enter().unwrap();
    spoil_table(&stage, "setting");
    assert!(stage.desk.trouble_retry().is_some_and(|t| is_repaired(Some(&t), 1)));
    let stage = stage.restart();
    let state = stage.desk.app_state();
    assert_eq!((state.trouble, state.kiosk, state.post), (None, true, Some(stage.post())));
}

#[test]
fn a_disk_without_room_to_rebuild_costs_nothing_but_the_attempt() {
    survive_the_limit();
    let stage = Stage::new();
    for i in 0..3 {
        assert!(stage.scan(&stage.venue.code(i)).answer.is_ok());
    }
    let Stage { mut venue, desk, heard } = stage;
    drop((desk, heard));
    let before = venue.log();
    let file = venue.path().join(FILE);
    let db = Db::open(venue.path()).unwrap();
    db.conn().query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(())).unwrap();
    drop(db);
    let bytes = std::fs::read(&file).unwrap();
    let entry = &before[1].bytes;
    let at = bytes.windows(entry.len()).position(|w| w == &entry[..]).unwrap();
    spoil(&file, (at / 4096 * 4096) as u64, 4096);
    let spoilt = std::fs::read(&file).unwrap();

    // Room for a page or two of a log, and not for a database.
    limit_files(Some(40 * 1024));
    let dir = venue.path().to_owned();
    let (desk, heard) = open(&mut venue, &dir, Wire::default());
    let trouble = desk.app_state().trouble;
    limit_files(None);
    assert!(matches!(trouble, Some(Trouble::DiskFull { .. } | Trouble::DiskError { .. })), "{trouble:?}");
    assert!(std::fs::read(&file).unwrap() == spoilt, "the damaged one lies where it was");
    let retried = desk.trouble_retry();
    assert!(matches!(retried, Some(Trouble::DatabaseRepaired { black_box: 3, .. })), "{retried:?}");
    let stage = Stage { venue, desk, heard };
    let state = stage.desk.app_state();
    assert_eq!((state.enrolments.len(), state.post), (1, Some(stage.post())), "with its key");
    assert_eq!(stage.venue.log().len(), 3);
    assert_eq!(stage.scan(&stage.venue.code(1)).answer.outcome, Outcome::AlreadyAdmitted);
}

#[test]
fn a_file_that_is_no_database_any_more_loses_the_key_and_nothing_that_was_written() {
    let stage = Stage::new();
    stage.scan(&stage.venue.code(0));
    let Stage { mut venue, desk, heard } = stage;
    drop((desk, heard));
    let file = venue.path().join(FILE);
    let len = usize::try_from(std::fs::metadata(&file).unwrap().len()).unwrap();
    spoil(&file, 0, len);
    let _ = std::fs::remove_file(venue.path().join(format!("{FILE}-wal")));
    let dir = venue.path().to_owned();
    let (desk, _heard) = open(&mut venue, &dir, Wire::default());
    let state = desk.app_state();
    assert!(
        matches!(&state.trouble, Some(Trouble::DatabaseLost { black_box: 1, .. })),
        "{:?}",
        state.trouble
    );
    assert_eq!((state.enrolments.len(), state.post), (0, None));
    let unposted = desk.scan_text(&venue.code(0), nonce(), ScanSource::Reader).unwrap_err();
    assert_eq!(unposted.code, ErrorCode::Internal);
}

#[test]
fn a_database_of_a_later_version_is_left_alone_until_the_app_is_new_enough() {
    let stage = Stage::new();
    let form = |to: i64| {
        let db = rusqlite::Connection::open(stage.venue.path().join(FILE)).unwrap();
        let was: i64 = db.query_row("pragma user_version", [], |r| r.get(0)).unwrap();
        db.pragma_update(None, "user_version", to).unwrap();
        was
    };
    let was = form(99);
    let stage = stage.restart();
    let trouble = stage.desk.app_state().trouble;
    assert_eq!(trouble, Some(Trouble::DatabaseNewer { found: 99, known: was }));
    assert_eq!(stage.desk.trouble_retry(), trouble);
    let db = rusqlite::Connection::open(stage.venue.path().join(FILE)).unwrap();
    db.pragma_update(None, "user_version", was).unwrap();
    drop(db);
    assert_eq!(stage.desk.trouble_retry(), None);
    assert!(stage.scan(&stage.venue.code(0)).answer.is_ok(), "it stands where it stood");
}

#[test]
fn a_manifest_past_its_limit_is_said_and_refuses() {
    let stage = Stage::new();
    stage.venue.clock.advance_ms(73 * 3_600_000);
    stage.desk.tick();
    let since = "2027-01-18T08:00:00Z".to_owned();
    assert_eq!(stage.desk.app_state().trouble, Some(Trouble::ManifestExpired { since }));
    assert_eq!(stage.scan(&stage.venue.code(0)).answer.outcome, Outcome::Expired);
}

#[test]
fn a_clock_that_is_off_is_said_with_how_much() {
    let stage = Stage::new();
    let db = Db::open(stage.venue.path()).unwrap();
    let now = stage.venue.now;
    use gate_core::clock::Clock as _;
    let compared = anchor::Stored {
        boot_id: stage.venue.clock.boot_id(),
        anchor: Anchor { server_time: now, monotonic_ns: stage.venue.clock.boottime_ns(), uncertainty_ms: 5 },
        floor: now,
    };
    anchor::put(db.conn(), stage.venue.device.no, &compared).unwrap();
    stage.venue.clock.set_wall(now.plus_ms(-125_000));
    stage.venue.clock.advance_ms(1_000);
    stage.desk.tick();
    assert_eq!(stage.desk.app_state().trouble, Some(Trouble::ClockWrong { offset_ms: -125_000 }));
    stage.venue.clock.set_wall(now.plus_ms(11_000));
    stage.venue.clock.advance_ms(10_000);
    stage.desk.tick();
    assert_eq!(stage.desk.app_state().trouble, None);
}

#[test]
fn a_revoked_device_admits_nobody_and_says_what_is_unsent() {
    let stage = Stage::new();
    stage.scan(&stage.venue.code(0));
    let db = Db::open(stage.venue.path()).unwrap();
    device::set_state(db.conn(), stage.venue.device.no, State::Leaving).unwrap();
    let refused = stage.desk.scan_text(&stage.venue.code(1), nonce(), ScanSource::Reader).unwrap_err();
    assert_eq!(refused.code, ErrorCode::Revoked);
    stage.venue.clock.advance_ms(1_000);
    stage.desk.tick();
    let state = stage.desk.app_state();
    assert_eq!(state.trouble, Some(Trouble::Revoked { unsent: 1, wiped: false }));
    assert_eq!(state.enrolments[0].state, "leaving");

    upload::acknowledge(db.conn(), stage.venue.device.no, 1, 1).unwrap();
    device::set_state(db.conn(), stage.venue.device.no, State::Revoked).unwrap();
    stage.venue.clock.advance_ms(1_000);
    stage.desk.tick();
    assert_eq!(stage.desk.app_state().trouble, Some(Trouble::Revoked { unsent: 0, wiped: true }));
    let stage = stage.restart();
    let again = stage.desk.scan_text(&stage.venue.code(1), nonce(), ScanSource::Reader).unwrap_err();
    assert_eq!(again.code, ErrorCode::Revoked);
    stage.desk.leave(stage.venue.device.device).unwrap();
    stage.venue.clock.advance_ms(1_000);
    stage.desk.tick();
    let state = stage.desk.app_state();
    assert_eq!((state.enrolments.len(), state.trouble), (0, None));
}
