//! What is left after a crash, a full disk, a flipped bit: whole states, proven entries, never a guess.
#![allow(clippy::unwrap_used, reason = "a test says what must hold by failing where it does not")]

mod common;

use common::{NOW, Venue, assert_chained, log_at, scan, snapshot};
use gate_core::bench::synthetic::{InstallError, Rows};
use gate_core::blackbox;
use gate_core::db::Db;
use gate_core::db::table::upload;
use gate_core::gate::Gate;
use gate_core::loaded;
use gate_core::scan::{Scanner, Settings};
use gate_core::sync::apply::StoreError;
use shared::admission::{Flag, Outcome};
use shared::bytes::{Hash32, Nonce16};
use shared::log::entry::{Direction, EntryKind};
use shared::manifest::buckets::{bucket_hash, buckets_hash, empty_hashes};
use shared::manifest::rows::TicketState;
use std::path::Path;

/// The version in use, after everything that makes a manifest whole was compared with its signed header.
fn whole_state(dir: &Path, venue: &Venue) -> u64 {
    let db = Db::open(dir).unwrap();
    let me = &venue.device;
    let loaded = loaded::load(db.conn(), me).unwrap().unwrap();
    let mut stored = empty_hashes();
    gate_core::db::table::bucket::read_hashes(db.conn(), me.no, &mut stored[..]).unwrap();
    let mut computed: Vec<Hash32> = Vec::new();
    for no in 0..4096u16 {
        let hash =
            gate_core::db::table::bucket::with_rows(db.conn(), me.no, no, |rows| bucket_hash(no, rows));
        computed.push(hash.unwrap());
    }
    assert_eq!(computed[..], stored[..]);
    assert_eq!(buckets_hash(&stored), loaded.header.buckets_hash);
    loaded.header.version.change_seq
}

#[test]
fn a_crash_after_any_write_of_a_manifest_leaves_the_old_or_the_new_one_whole() {
    for full in [true, false] {
        let mut venue = Venue::new();
        venue.rows[0].state = TicketState::Refunded;
        venue.rows[5].generation = 3;
        let changed = [venue.rows[0], venue.rows[5]];
        venue.version.change_seq = 2;
        // A new epoch touches acknowledgements and cursor too; only all rows can begin one.
        venue.version.epoch = if full { 2 } else { 1 };
        let body = if full { Rows::Full } else { Rows::Delta(1, &changed) };
        let echo = Nonce16([3; 16]);
        let answer = venue.organizer.answer(venue.version, &venue.rows, body, echo, NOW);
        let db = Db::open(venue.path()).unwrap();

        // Crash points: a copy of the files after each of the first writes and then now and then.
        let mut crashes = Vec::new();
        let mut writes = 0;
        venue
            .organizer
            .install(&db, &venue.device, &answer, echo, &mut |what| {
                writes += 1;
                if writes <= 3 || writes % 1000 == 0 || what != "bucket" {
                    crashes.push(snapshot(venue.path()));
                }
                Ok(())
            })
            .unwrap();
        assert!(crashes.len() >= if full { 9 } else { 3 }, "{} points of {writes}", crashes.len());
        for crash in &crashes {
            assert_eq!(whole_state(crash.path(), &venue), 1);
        }
        assert_eq!(whole_state(snapshot(venue.path()).path(), &venue), 2);
    }
}

#[test]
fn a_manifest_whose_write_fails_anywhere_leaves_the_old_one_in_use() {
    let mut venue = Venue::new();
    let mut scanner = venue.scanner();
    venue.rows[0].state = TicketState::Refunded;
    venue.version.change_seq = 2;
    let echo = Nonce16([3; 16]);
    let answer = venue.organizer.answer(venue.version, &venue.rows, Rows::Full, echo, NOW);
    let db = Db::open(venue.path()).unwrap();
    for fail_at in [1, 2, 4096, 4097] {
        let mut writes = 0;
        let failed = venue.organizer.install(&db, &venue.device, &answer, echo, &mut |_| {
            writes += 1;
            if writes == fail_at { Err(rusqlite::Error::InvalidQuery) } else { Ok(()) }
        });
        assert!(matches!(failed, Err(InstallError::Store(StoreError::Sql(_)))), "{fail_at}: {failed:?}");
        assert_eq!(whole_state(venue.path(), &venue), 1);
    }
    assert!(scan(&mut scanner, &venue.code(0)).is_ok());
}

#[test]
fn rows_that_do_not_add_up_to_the_header_change_nothing() {
    let mut venue = Venue::new();
    let mut others = venue.rows.clone();
    others[3].state = TicketState::Blocked;
    venue.version.change_seq = 2;
    let echo = Nonce16([3; 16]);
    let mut answer = venue.organizer.answer(venue.version, &venue.rows, Rows::Full, echo, NOW);
    answer.body = venue.organizer.answer(venue.version, &others, Rows::Full, echo, NOW).body;
    let db = Db::open(venue.path()).unwrap();
    let refused = venue.organizer.install(&db, &venue.device, &answer, echo, &mut |_| Ok(()));
    assert!(matches!(refused, Err(InstallError::Store(StoreError::Rows(_)))), "{refused:?}");
    assert_eq!(whole_state(venue.path(), &venue), 1);
}

/// A scan whose process dies between commit and answer.
fn die_before_showing(venue: &mut Venue, code: &str) -> tempfile::TempDir {
    let mut scanner = venue.scanner();
    assert!(scanner.scan(code, None).answer.is_ok());
    snapshot(venue.path())
}

#[test]
fn an_admission_that_nobody_saw_is_answered_once_more_after_a_restart_and_once_only() {
    let mut venue = Venue::new();
    let code = venue.code(0);
    let crashed = die_before_showing(&mut venue, &code);
    venue.clock.advance_ms(119_000);
    let gate = venue.gate_at(crashed.path());
    let mut scanner = Scanner::new(gate, Settings::default()).unwrap();
    let resumed = scan(&mut scanner, &code);
    assert!(resumed.is_ok() && resumed.flags.contains(Flag::Resumed));
    assert_eq!((resumed.log_no, resumed.seq), (Some(1), Some(1)), "the same record, not another");
    assert_eq!(scan(&mut scanner, &code).outcome, Outcome::AlreadyAdmitted);
    drop(scanner);
    let gate = venue.gate_at(crashed.path());
    let mut scanner = Scanner::new(gate, Settings::default()).unwrap();
    assert_eq!(scan(&mut scanner, &code).outcome, Outcome::AlreadyAdmitted);
    assert_chained(&log_at(crashed.path(), &venue.device));
}

#[test]
fn nothing_is_resumed_that_was_shown_is_old_or_is_another_scan() {
    let mut venue = Venue::new();
    let code = venue.code(0);
    let crashed = die_before_showing(&mut venue, &code);
    let scan_with = |venue: &mut Venue, dir: &Path, settings: Settings, code: &str| {
        let gate = venue.gate_at(dir);
        scan(&mut Scanner::new(gate, settings).unwrap(), code)
    };

    let exit = Settings { direction: Direction::Out, ..Settings::default() };
    let copy = snapshot(crashed.path());
    let out = scan_with(&mut venue, copy.path(), exit, &code);
    assert_eq!((out.kind, out.flags.contains(Flag::Resumed)), (EntryKind::Exit, false));

    let copy = snapshot(crashed.path());
    let other = venue.code(1);
    assert!(!scan_with(&mut venue, copy.path(), Settings::default(), &other).flags.contains(Flag::Resumed));

    venue.clock.advance_ms(120_000);
    let late = scan_with(&mut venue, crashed.path(), Settings::default(), &code);
    assert_eq!(late.outcome, Outcome::AlreadyAdmitted);

    let mut venue = Venue::new();
    let code = venue.code(0);
    let mut scanner = venue.scanner();
    scan(&mut scanner, &code);
    scanner.settle();
    let crashed = snapshot(venue.path());
    let shown = scan_with(&mut venue, crashed.path(), Settings::default(), &code);
    assert_eq!(shown.outcome, Outcome::AlreadyAdmitted);
}

#[test]
fn a_living_process_beside_this_one_keeps_its_own_answers() {
    let mut venue = Venue::new();
    let code = venue.code(0);
    let mut first = venue.scanner();
    let given = first.scan(&code, None);
    assert_eq!(scan(&mut venue.scanner(), &code).outcome, Outcome::AlreadyAdmitted);
    first.shown(&given);
}

#[test]
fn what_was_shown_is_saved_with_the_next_commit() {
    let mut venue = Venue::new();
    let mut scanner = venue.scanner();
    scan(&mut scanner, &venue.code(0));
    let code = venue.code(1);
    assert!(scanner.scan(&code, None).answer.is_ok());
    let crashed = snapshot(venue.path());
    let gate = venue.gate_at(crashed.path());
    let mut scanner = Scanner::new(gate, Settings::default()).unwrap();
    assert_eq!(scan(&mut scanner, &venue.code(0)).outcome, Outcome::AlreadyAdmitted);
    assert!(scan(&mut scanner, &code).flags.contains(Flag::Resumed));
}

#[test]
fn a_full_disk_is_red_and_the_gate_works_on_once_there_is_space() {
    let mut venue = Venue::new();
    let mut scanner = venue.scanner();
    assert!(scan(&mut scanner, &venue.code(0)).is_ok());
    let db = scanner.gate().db.conn();
    let pages: i64 = db.pragma_query_value(None, "page_count", |r| r.get(0)).unwrap();
    db.pragma_update(None, "max_page_count", pages).unwrap();
    // Refusals fill the free pages, until the first answer that cannot be recorded.
    let red = (0..1000)
        .map(|_| scan(&mut scanner, &venue.code(0)))
        .find(|answer| answer.outcome != Outcome::AlreadyAdmitted)
        .expect("a thousand entries do not fit into what was free");
    assert_eq!(red.outcome, Outcome::CannotRecord);
    assert_eq!((red.kind, red.log_no, red.seq), (EntryKind::Refuse, None, None));
    // The cap belongs to the connection, and the next scan opens another one.
    assert!(scan(&mut scanner, &venue.code(1)).is_ok());
    drop(scanner);
    assert_chained(&venue.log());
}

#[test]
fn a_database_that_cannot_be_written_is_red_and_the_gate_works_on_once_it_can() {
    let mut venue = Venue::new();
    let mut scanner = venue.scanner();
    scanner.gate().db.conn().pragma_update(None, "query_only", true).unwrap();
    assert_eq!(scan(&mut scanner, &venue.code(0)).outcome, Outcome::CannotRecord);
    assert!(scan(&mut scanner, &venue.code(0)).is_ok());
}

#[test]
fn one_flipped_bit_in_the_write_ahead_log_loses_no_entry() {
    let mut venue = Venue::new();
    let mut scanner = venue.scanner();
    for i in 0..10 {
        scan(&mut scanner, &venue.code(i));
    }
    // The box is written in the background.
    let boxed = blackbox::path(venue.path(), venue.device.device);
    wait_until(|| frames(&boxed) == 10);
    let crashed = snapshot(venue.path());
    drop(scanner);

    let wal = crashed.path().join("gate.sqlite-wal");
    let mut bytes = std::fs::read(&wal).unwrap();
    let middle = bytes.len() - 8 * 4096;
    bytes[middle] ^= 1;
    std::fs::write(&wal, bytes).unwrap();
    // As SQLite alone would go on:
    let damaged = snapshot(crashed.path());
    let left = log_at(damaged.path(), &venue.device).len();
    assert!(left < 10, "the flipped bit dropped nothing: the test tests nothing");

    let world = venue.world();
    let (gate, healed) = Gate::open_healed(crashed.path(), None, world).unwrap();
    assert_eq!(healed.reinserted, 10 - left as u64);
    assert_eq!(healed.forked, None);
    drop(gate);
    let log = log_at(crashed.path(), &venue.device);
    assert_eq!(log.len(), 10);
    assert_chained(&log);
}

#[test]
fn entries_that_the_box_lacks_are_added_to_it() {
    let mut venue = Venue::new();
    scan(&mut venue.scanner(), &venue.code(0).clone());
    let boxed = blackbox::path(venue.path(), venue.device.device);
    std::fs::remove_file(&boxed).unwrap();
    let world = venue.world();
    let (_, healed) = Gate::open_healed(venue.path(), None, world).unwrap();
    assert_eq!((healed.boxed, healed.forked), (1, None));
    assert_eq!(frames(&boxed), 1);
}

#[test]
fn an_unprovable_tail_opens_the_next_log_with_a_fork_entry_once() {
    let mut venue = Venue::new();
    let mut scanner = venue.scanner();
    let before = snapshot(venue.path());
    scan(&mut scanner, &venue.code(0));
    scan(&mut scanner, &venue.code(1));
    drop(scanner);
    // An older copy of the database is put back, and the box is gone; but the server had both entries.
    let db = Db::open(before.path()).unwrap();
    let tx = db.begin().unwrap();
    upload::acknowledge(&tx, venue.device.no, 1, 2).unwrap();
    tx.commit().unwrap();
    drop(db);

    let world = venue.world();
    let (gate, healed) = Gate::open_healed(before.path(), None, world).unwrap();
    assert_eq!(healed.forked.as_deref(), Some("log 1: entries 1 to 2 cannot be proven"));
    assert_eq!(gate.device.log_no, 2);
    let mut scanner = Scanner::new(gate, Settings::default()).unwrap();
    let code = venue.code(2);
    let answer = scan(&mut scanner, &code);
    assert_eq!((answer.log_no, answer.seq), (Some(2), Some(2)));
    drop(scanner);
    let world = venue.world();
    let (_, again) = Gate::open_healed(before.path(), None, world).unwrap();
    assert_eq!(again.forked, None);
    let log = log_at(before.path(), &venue.device);
    assert_eq!(log[0].entry.kind, EntryKind::Fork);
    assert_chained(&log);
}

#[test]
fn an_older_copy_of_the_database_is_brought_up_to_date_from_the_box() {
    let mut venue = Venue::new();
    let mut scanner = venue.scanner();
    scan(&mut scanner, &venue.code(0));
    let older = snapshot(venue.path());
    scan(&mut scanner, &venue.code(1));
    drop(scanner);
    let boxed = blackbox::path(venue.path(), venue.device.device);
    std::fs::copy(&boxed, blackbox::path(older.path(), venue.device.device)).unwrap();
    let code = venue.code(1);
    let gate = venue.gate_at(older.path());
    let mut scanner = Scanner::new(gate, Settings::default()).unwrap();
    assert_eq!(scan(&mut scanner, &code).outcome, Outcome::AlreadyAdmitted);
    drop(scanner);
    assert_chained(&log_at(older.path(), &venue.device));
}

fn frames(path: &Path) -> usize {
    let mut count = 0;
    blackbox::read(path, |_, _| count += 1).unwrap();
    count
}

fn wait_until(mut condition: impl FnMut() -> bool) {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    for _ in 0..1000 {
        if condition() {
            return;
        }
        // Nobody sends: a pause of ten milliseconds between looks, ten seconds at most.
        let _ = receiver.recv_timeout(std::time::Duration::from_millis(10));
    }
    drop(sender);
    panic!("it never came true");
}
