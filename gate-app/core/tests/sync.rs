//! Synchronising with a server in memory that is healthy, wrong, out of reach or hostile.
#![allow(clippy::unwrap_used, reason = "a test says what must hold by failing where it does not")]

mod common;

use common::server::{Server, offline, problem};
use common::{NOW, Venue, assert_chained, scan};
use gate_core::bench::synthetic::Rows;
use gate_core::db::Db;
use gate_core::db::table::device::State;
use gate_core::db::table::{cert, cursor, device, log_entry, manifest, run_signature, upload};
use gate_core::gate_time::GateTime;
use gate_core::sync::engine::{CallError, Engine, Report};
use gate_core::sync::plan::LogState;
use gate_core::sync::transport::Response;
use shared::admission::{Flags, Outcome};
use shared::bytes::{Hash32, Nonce16};
use shared::cbor;
use shared::ids::DeviceId;
use shared::log::entry::{Direction, EntryKind, EntryPlace, LogEntry, ScanTime};
use shared::log::{entry_hash, sign_run};
use shared::manifest::docs::ManifestVersion;
use shared::manifest::rows::TicketState;
use shared::ticket::keys::SigningKey;
use shared::wire::gates::{ManifestBody, Run, TimeAnswer};

async fn round(venue: &mut Venue, server: &Server) -> Report {
    Engine::new(venue.gate(), server).round().await.unwrap()
}

fn logs(venue: &Venue) -> Vec<LogState> {
    let db = Db::open(venue.path()).unwrap();
    gate_core::sync::upload::logs(db.conn(), &venue.device).unwrap()
}

fn held(venue: &Venue) -> Option<ManifestVersion> {
    let db = Db::open(venue.path()).unwrap();
    manifest::get(db.conn(), venue.device.no).unwrap().map(|m| m.version)
}

fn scans(venue: &mut Venue, n: usize) {
    let code = venue.code(0);
    let mut scanner = venue.scanner();
    for _ in 0..n {
        scan(&mut scanner, &code);
    }
}

#[tokio::test]
async fn the_first_round_brings_the_manifest_and_the_time_and_a_second_nothing_more() {
    let mut venue = Venue::empty(|_| {});
    let server = Server::of(&venue);
    server.publish(|_| {});
    server.now.set(NOW.plus_ms(5_000));
    let first = round(&mut venue, &server).await;
    assert!(first.is_complete() && first.new_manifest, "{first:?}");
    assert_eq!(held(&venue), Some(server.version.get()));
    let gate = venue.gate();
    assert_eq!(gate.now().unwrap().best, NOW.plus_ms(5_000), "by the server's clock");
    drop(gate);
    assert!(scan(&mut venue.scanner(), &venue.code(0)).is_ok());
    let second = round(&mut venue, &server).await;
    assert!(second.is_complete() && !second.new_manifest, "{second:?}");
    assert_eq!(server.seqs(1), [1]);
}

#[tokio::test]
async fn changes_come_as_a_delta_and_count_at_the_next_scan() {
    let mut venue = Venue::new();
    let server = Server::of(&venue);
    let victim = venue.rows[4].ticket_id;
    server.publish(|rows| {
        rows.iter_mut().find(|r| r.ticket_id == victim).unwrap().state = TicketState::Refunded;
    });
    assert!(round(&mut venue, &server).await.new_manifest);
    assert_eq!(scan(&mut venue.scanner(), &venue.code(4)).outcome, Outcome::Revoked);
}

#[tokio::test]
async fn everything_scanned_arrives_once_in_runs_and_is_acknowledged() {
    let mut venue = Venue::new();
    let server = Server::of(&venue);
    scans(&mut venue, 620);
    let report = round(&mut venue, &server).await;
    assert_eq!((report.upload.entries, report.upload.exchanges), (620, 2));
    assert_eq!(server.seqs(1), (1..=620).collect::<Vec<_>>());
    assert_eq!(logs(&venue), [LogState { log_no: 1, last: 620, acknowledged: 620 }]);
    let again = round(&mut venue, &server).await;
    assert_eq!(again.upload.entries, 0);
}

#[tokio::test]
async fn a_lost_answer_is_repeated_without_harm() {
    let mut venue = Venue::new();
    let server = Server::of(&venue);
    scans(&mut venue, 3);
    server.tamper(|request, answer| if request.path == "/gates/log" { Err(offline()) } else { Ok(answer) });
    let lost = round(&mut venue, &server).await;
    assert!(lost.upload.error.is_some() && lost.download.error.is_none(), "the other lane goes on");
    assert_eq!(server.seqs(1), [1, 2, 3], "it had arrived");
    assert_eq!(logs(&venue)[0].acknowledged, 0);
    server.tamper(|_, answer| Ok(answer));
    assert!(round(&mut venue, &server).await.is_complete());
    assert_eq!(logs(&venue)[0].acknowledged, 3);
}

#[tokio::test]
async fn a_failing_download_does_not_stop_the_upload() {
    let mut venue = Venue::new();
    let server = Server::of(&venue);
    scans(&mut venue, 3);
    server.tamper(|request, answer| if request.path == "/gates/log" { Ok(answer) } else { Err(offline()) });
    let report = round(&mut venue, &server).await;
    assert!(report.download.error.is_some() && report.upload.error.is_none());
    assert_eq!(server.seqs(1), [1, 2, 3]);
}

#[tokio::test]
async fn offline_is_noted_and_loses_nothing() {
    let mut venue = Venue::new();
    let server = Server::of(&venue);
    scans(&mut venue, 2);
    server.tamper(|_, _| Err(offline()));
    assert!(!round(&mut venue, &server).await.is_complete());
    let status = gate_core::status::status(&venue.gate()).unwrap();
    assert!(!status.online && status.problem.is_some() && status.last_sync_at.is_none());
    assert_eq!((status.queue.unsent, status.queue.last_seq), (2, 2));
    server.tamper(|_, answer| Ok(answer));
    round(&mut venue, &server).await;
    let status = gate_core::status::status(&venue.gate()).unwrap();
    assert!(status.online && status.problem.is_none() && status.last_sync_at.is_some());
    assert_eq!((status.queue.unsent, status.queue.acknowledged_seq), (0, 2));
}

#[tokio::test]
async fn one_poison_entry_holds_up_nobody_and_is_narrowed_down() {
    let mut venue = Venue::new();
    let server = Server::of(&venue);
    server.poison.borrow_mut().push(7);
    scans(&mut venue, 600);
    let first = round(&mut venue, &server).await;
    assert!(first.is_complete(), "a refused run is no failure of the lane: {first:?}");
    assert_eq!(server.seqs(1), (501..=600).collect::<Vec<_>>());
    for _ in 0..12 {
        venue.clock.advance_ms(3_600_000);
        server.now.set(server.now.get().plus_ms(3_600_000));
        round(&mut venue, &server).await;
    }
    let missing: Vec<u64> = (1..=600).filter(|s| !server.seqs(1).contains(s)).collect();
    assert_eq!(missing, [7]);
    assert_eq!(logs(&venue)[0].acknowledged, 6);
    let db = Db::open(venue.path()).unwrap();
    let refused = upload::refused(db.conn(), venue.device.no).unwrap();
    assert_eq!(refused.iter().map(|r| (r.from, r.to)).collect::<Vec<_>>(), [(7, 7)]);
    server.poison.borrow_mut().clear();
    venue.clock.advance_ms(3_600_000);
    server.now.set(server.now.get().plus_ms(3_600_000));
    round(&mut venue, &server).await;
    assert_eq!(logs(&venue)[0].acknowledged, 600);
    assert!(upload::refused(db.conn(), venue.device.no).unwrap().is_empty());
}

#[tokio::test]
async fn a_wrong_clock_is_set_right_and_the_request_tried_once_more() {
    let mut venue = Venue::new();
    let server = Server::of(&venue);
    server.now.set(NOW.plus_ms(86_400_000));
    // The first comparison is lost, so that the signed request meets the skew.
    let lost = std::cell::Cell::new(false);
    server.tamper(move |request, answer| {
        if request.path == "/gates/time" && !lost.replace(true) { Err(offline()) } else { Ok(answer) }
    });
    let report = round(&mut venue, &server).await;
    assert!(report.is_complete() && report.time_error.is_some(), "{report:?}");
    assert_eq!(venue.gate().now().unwrap().best, NOW.plus_ms(86_400_000));
}

#[tokio::test]
async fn time_that_nobody_signed_moves_nothing() {
    let mut venue = Venue::new();
    let server = Server::of(&venue);
    server.tamper(|request, answer| {
        if request.path != "/gates/time" {
            return Ok(answer);
        }
        let mut time: TimeAnswer = cbor::decode(&answer.body, 10_000).unwrap();
        let signed = time.signed.as_mut().unwrap();
        let last = signed.len() - 1;
        signed[last] ^= 1;
        Ok(Response { status: 200, body: cbor::encode(&time) })
    });
    let report = round(&mut venue, &server).await;
    assert!(matches!(report.time_error, Some(CallError::Time(_))));
    assert_eq!(venue.gate().now().unwrap().anchor, None);
}

#[tokio::test]
async fn each_attack_on_the_manifest_is_refused_and_the_old_one_stays() {
    type Attack = Box<dyn Fn(shared::wire::gates::ManifestAnswer) -> shared::wire::gates::ManifestAnswer>;
    fn flip(bytes: &mut [u8]) {
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
    }
    let mut older = Venue::new();
    let echo = Nonce16([1; 16]);
    let stale = older.organizer.answer(older.version, &older.rows, Rows::Full, echo, NOW);
    older.organizer.header.event = shared::ids::EventId::from_bytes([8; 16]);
    let next = ManifestVersion { change_seq: 2, ..older.version };
    let foreign = older.organizer.answer(next, &older.rows, Rows::Full, echo, NOW);

    let (frozen, mixed) = (stale.clone(), stale.clone());
    let attacks: Vec<(&str, Attack)> = vec![
        (
            "forged",
            Box::new(|mut a| {
                flip(&mut a.header);
                a
            }),
        ),
        ("replayed", Box::new(move |_| stale.clone())),
        (
            "frozen",
            Box::new(move |mut a| {
                a.header.clone_from(&frozen.header);
                a
            }),
        ),
        (
            "mix and match",
            Box::new(move |mut a| {
                a.freshness.clone_from(&mixed.freshness);
                a
            }),
        ),
        (
            "foreign event",
            Box::new(move |mut a| {
                a.header.clone_from(&foreign.header);
                a.key_list.clone_from(&foreign.key_list);
                a
            }),
        ),
        (
            "other keys",
            Box::new(|mut a| {
                flip(&mut a.key_list);
                a
            }),
        ),
        (
            "truncated",
            Box::new(|mut a| {
                if let ManifestBody::Full { rows } | ManifestBody::Delta { rows, .. } = &mut a.body {
                    rows.truncate(rows.len() / 2);
                }
                a
            }),
        ),
        (
            "empty",
            Box::new(|mut a| {
                a.body = ManifestBody::Same {};
                a
            }),
        ),
    ];
    for (name, attack) in attacks {
        let mut venue = Venue::new();
        let server = Server::of(&venue);
        let before = held(&venue);
        server.publish(|rows| rows[0].state = TicketState::Refunded);
        server.tamper_manifest(attack);
        let report = round(&mut venue, &server).await;
        assert!(report.download.error.is_some() && !report.new_manifest, "{name}: {report:?}");
        assert_eq!(held(&venue), before, "{name}");
        let code = venue.code(0);
        assert!(scan(&mut venue.scanner(), &code).is_ok(), "{name}: the old state decides");
        server.tamper_manifest(|a| a);
        assert!(round(&mut venue, &server).await.new_manifest, "{name}: and an honest answer mends it");
        assert_eq!(held(&venue), Some(server.version.get()));
    }
}

#[tokio::test]
async fn a_delta_that_does_not_lead_to_the_signed_state_makes_the_gate_ask_for_everything() {
    let mut venue = Venue::new();
    let server = Server::of(&venue);
    server.publish(|rows| rows[0].state = TicketState::Refunded);
    // One row of the delta is another one than was signed.
    server.tamper_manifest(|mut a| {
        if let ManifestBody::Delta { rows, .. } = &mut a.body {
            let mut unpacked = shared::manifest::rows::unpack_columns(rows, 1000).unwrap();
            unpacked[3].state = TicketState::Blocked;
            *rows = shared::manifest::rows::pack_columns(&unpacked);
        }
        a
    });
    let report = round(&mut venue, &server).await;
    assert!(report.is_complete() && report.new_manifest, "{report:?}");
    assert_eq!(server.asked("/gates/manifest"), 2);
    assert!(scan(&mut venue.scanner(), &venue.code(3)).is_ok());
}

#[tokio::test]
async fn a_new_epoch_asks_for_all_scans_again_and_offers_the_own_log_again() {
    let mut venue = Venue::new();
    let server = Server::of(&venue);
    scans(&mut venue, 3);
    round(&mut venue, &server).await;
    // The server's database was lost and begins anew.
    server.logs.borrow_mut().clear();
    let v = server.version.get();
    server.version.set(ManifestVersion { epoch: 2, change_seq: 1, ..v });
    server.tamper_manifest(|a| a);
    let report = round(&mut venue, &server).await;
    assert!(report.is_complete(), "{report:?}");
    // A manifest of a new epoch cannot come as a delta; the made-up server sends one all the same.
    assert_eq!(held(&venue).unwrap().epoch, 2);
    assert_eq!(server.seqs(1), [1, 2, 3]);
    assert_eq!(logs(&venue)[0].acknowledged, 3);
}

#[tokio::test]
async fn a_revoked_device_sends_first_and_then_forgets_the_guests_but_not_its_log() {
    let mut venue = Venue::new();
    let server = Server::of(&venue);
    scans(&mut venue, 2);
    server.revoked.set(true);
    // The first upload is lost, so nothing may be wiped yet.
    server.tamper(|request, answer| if request.path == "/gates/log" { Err(offline()) } else { Ok(answer) });
    round(&mut venue, &server).await;
    let db = Db::open(venue.path()).unwrap();
    let no = venue.device.no;
    let state = || device::state_and_log(db.conn(), no).unwrap().0;
    assert_eq!(state(), State::Leaving);
    assert!(manifest::get(db.conn(), no).unwrap().is_some());
    server.tamper(|_, answer| Ok(answer));
    let before = server.asked("/gates/wait") + server.asked("/gates/manifest");
    round(&mut venue, &server).await;
    assert_eq!(server.asked("/gates/wait") + server.asked("/gates/manifest"), before, "it downloads nothing");
    assert_eq!(server.seqs(1), [1, 2]);
    assert_eq!(state(), State::Revoked);
    assert!(manifest::get(db.conn(), no).unwrap().is_none());
    assert!(!gate_core::db::table::bucket::any(db.conn(), no).unwrap());
    assert_eq!(venue.log().len(), 2);
    let world = venue.world();
    let gate = gate_core::gate::Gate::open(venue.path(), None, world).unwrap();
    assert!(gate_core::scan::Scanner::new(gate, gate_core::scan::Settings::default()).is_err());
}

#[tokio::test]
async fn a_running_scanner_stops_admitting_once_the_device_is_revoked() {
    let mut venue = Venue::new();
    let server = Server::of(&venue);
    let mut scanner = venue.scanner();
    server.revoked.set(true);
    round(&mut venue, &server).await;
    assert_eq!(scan(&mut scanner, &venue.code(0)).outcome, Outcome::CannotRecord);
}

#[tokio::test]
async fn a_server_that_holds_other_entries_at_our_places_makes_us_open_the_next_log() {
    let mut venue = Venue::new();
    let server = Server::of(&venue);
    scans(&mut venue, 2);
    server.forked.set(true);
    round(&mut venue, &server).await;
    server.forked.set(false);
    let log = venue.log();
    assert_eq!(log[2].entry.kind, EntryKind::Fork);
    assert_eq!(log[2].entry.place.log_no, 2);
    assert_chained(&log);
    let code = venue.code(1);
    assert_eq!(scan(&mut venue.scanner(), &code).log_no, Some(2));
    round(&mut venue, &server).await;
    assert_eq!(server.seqs(2), [1, 2]);
}

/// Another gate of the event with a log of its own.
struct Other {
    key: SigningKey,
    device: DeviceId,
    entries: Vec<Vec<u8>>,
    head: Hash32,
}

impl Other {
    fn new(seed: u8) -> Self {
        Self {
            key: SigningKey::from_bytes(&[seed; 32]),
            device: DeviceId::from_bytes([seed; 16]),
            entries: Vec::new(),
            head: shared::log::run::NO_ENTRY,
        }
    }

    fn admits(&mut self, venue: &Venue, index: usize) {
        let seq = self.entries.len() as u64 + 1;
        let entry = LogEntry {
            place: EntryPlace { device: self.device, log_no: 1, seq },
            prev_hash: self.head,
            kind: EntryKind::Entry,
            outcome: Outcome::Ok,
            flags: Flags::NONE,
            list: Some(venue.organizer.list()),
            ticket: Some(venue.rows[index].ticket_id),
            generation: Some(0),
            kid: None,
            text_hash: Some(Hash32([0; 32])),
            type_no: Some(1),
            reason: None,
            gate: None,
            staff: None,
            nonce: Nonce16([u8::try_from(seq).unwrap(); 16]),
            target: None,
            direction: Direction::In,
            rehearsal: false,
            time: ScanTime {
                corrected: NOW,
                error_ms: 5,
                wall: NOW,
                boot_id: Nonce16([0; 16]),
                monotonic_ns: seq,
                anchor: None,
            },
            manifest: None,
            seen: Vec::new(),
        };
        let bytes = entry.to_bytes();
        self.head = entry_hash(&bytes);
        self.entries.push(bytes);
    }

    fn run(&self, from: usize) -> Run {
        let last = EntryPlace { device: self.device, log_no: 1, seq: self.entries.len() as u64 };
        Run {
            device: self.device,
            log_no: 1,
            entries: self.entries[from..].iter().map(|b| b.clone().into()).collect(),
            signature: sign_run(&self.key, last, &self.head),
        }
    }
}

#[tokio::test]
async fn what_other_gates_admitted_is_refused_here_and_told_in_the_seen_vector() {
    let mut venue = Venue::new();
    let server = Server::of(&venue);
    let mut other = Other::new(0x55);
    other.admits(&venue, 0);
    other.admits(&venue, 1);
    server.certificates.borrow_mut().push(server.organizer.certificate(other.device, 2, &other.key));
    server.runs.borrow_mut().push(other.run(0));
    let report = round(&mut venue, &server).await;
    assert_eq!((report.download.entries, report.download.refused), (2, 0));

    let code = venue.code(0);
    let refused = scan(&mut venue.scanner(), &code);
    assert_eq!(refused.outcome, Outcome::AlreadyAdmitted);
    assert_eq!(refused.first_admission.unwrap().device, other.device);
    let code = venue.code(2);
    scan(&mut venue.scanner(), &code);
    let log = venue.log();
    let seen: Vec<_> =
        log.iter().map(|s| s.entry.seen.iter().map(|v| (v.number, v.seq)).collect::<Vec<_>>()).collect();
    assert_eq!(seen, [vec![(2, 2)], vec![]], "said once, when it changed");

    let db = Db::open(venue.path()).unwrap();
    let author = cert::find(db.conn(), other.device).unwrap().unwrap().no;
    assert!(run_signature::first_from(db.conn(), author, 1, 1).unwrap().is_some());
    assert_eq!(cursor::get(db.conn(), venue.device.no).unwrap().scans, 1);
    assert_eq!(log_entry::head(db.conn(), author, 1).unwrap().seq, 2);
}

#[tokio::test]
async fn runs_that_nobody_vouches_for_or_that_are_forged_stay_out_and_hold_nobody_up() {
    let mut venue = Venue::new();
    let server = Server::of(&venue);
    let (mut good, mut unknown, mut forged) = (Other::new(0x55), Other::new(0x56), Other::new(0x57));
    for other in [&mut good, &mut unknown, &mut forged] {
        other.admits(&venue, 0);
    }
    let certificate = |o: &Other, n| server.organizer.certificate(o.device, n, &o.key);
    let mut bad_certificate = certificate(&unknown, 3);
    let last = bad_certificate.len() - 1;
    bad_certificate[last] ^= 1;
    server.certificates.borrow_mut().extend([
        certificate(&good, 2),
        bad_certificate,
        certificate(&forged, 4),
    ]);
    let mut forged_run = forged.run(0);
    forged_run.signature.0[3] ^= 1;
    server.runs.borrow_mut().extend([unknown.run(0), forged_run, good.run(0)]);
    let report = round(&mut venue, &server).await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((report.download.entries, report.download.refused), (1, 2));
    let db = Db::open(venue.path()).unwrap();
    assert_eq!(cursor::get(db.conn(), venue.device.no).unwrap().scans, 3);
    assert!(cert::find(db.conn(), unknown.device).unwrap().is_none());
    let other_key = server.organizer.certificate(good.device, 2, &unknown.key);
    server.certificates.borrow_mut().push(other_key);
    good.admits(&venue, 1);
    server.runs.borrow_mut().push(good.run(1));
    assert_eq!(round(&mut venue, &server).await.download.entries, 1, "a second key changes nothing");
}

#[tokio::test]
async fn both_sides_of_another_devices_fork_are_kept() {
    let mut venue = Venue::new();
    let server = Server::of(&venue);
    let (mut one, mut two) = (Other::new(0x55), Other::new(0x55));
    one.admits(&venue, 0);
    two.admits(&venue, 1);
    server.certificates.borrow_mut().push(server.organizer.certificate(one.device, 2, &one.key));
    server.runs.borrow_mut().extend([one.run(0), two.run(0), one.run(0)]);
    round(&mut venue, &server).await;
    for index in [0, 1] {
        let code = venue.code(index);
        assert_eq!(scan(&mut venue.scanner(), &code).outcome, Outcome::AlreadyAdmitted);
    }
    let status = gate_core::status::status(&venue.gate()).unwrap();
    assert_eq!(status.fold.incidents, 1);
}

#[tokio::test]
async fn a_hole_in_what_is_known_of_another_log_is_not_claimed_as_seen() {
    let mut venue = Venue::new();
    let server = Server::of(&venue);
    let mut other = Other::new(0x55);
    (0..3).for_each(|i| other.admits(&venue, i));
    server.certificates.borrow_mut().push(server.organizer.certificate(other.device, 2, &other.key));
    server.runs.borrow_mut().push(other.run(2));
    round(&mut venue, &server).await;
    let db = Db::open(venue.path()).unwrap();
    let (event, author) = (venue.device.event, venue.device.author);
    let contiguous = || cert::untold(db.conn(), event, author).unwrap()[0].1.seq;
    assert_eq!(contiguous(), 0);
    server.runs.borrow_mut().push(other.run(0));
    round(&mut venue, &server).await;
    assert_eq!(contiguous(), 3);
}

#[tokio::test]
async fn a_better_comparison_of_clocks_replaces_a_worse_one_and_not_the_other_way() {
    let mut venue = Venue::new();
    let server = Server::of(&venue);
    round(&mut venue, &server).await;
    let good = venue.gate().now().unwrap();
    // A slow line: the answer arrives two seconds later.
    let clock = venue.clock.clone();
    server.tamper(move |request, answer| {
        if request.path == "/gates/time" {
            clock.advance_ms(2_000);
        }
        Ok(answer)
    });
    round(&mut venue, &server).await;
    let db = Db::open(venue.path()).unwrap();
    let stored = gate_core::db::table::anchor::get(db.conn(), venue.device.no).unwrap();
    assert_eq!(stored.unwrap().anchor.server_time, good.best, "the good one stays");
    let now = GateTime::read(&venue.clock, stored.as_ref());
    assert!(now.error_ms < 10);
}

#[tokio::test]
async fn an_answer_that_is_no_cbor_of_ours_changes_nothing() {
    let mut venue = Venue::new();
    let server = Server::of(&venue);
    scans(&mut venue, 1);
    let before = held(&venue);
    for body in [&b"<html>Welcome to the hotel's network</html>"[..], b"", b"\xff\xff\xff"] {
        server.tamper(move |_, _| Ok(Response { status: 200, body: body.to_vec() }));
        let report = round(&mut venue, &server).await;
        assert!(report.upload.error.is_some() && report.download.error.is_some());
        assert_eq!(held(&venue), before);
        assert_eq!(logs(&venue)[0].acknowledged, 0);
    }
    server.tamper(|_, _| Ok(problem(503, "overloaded")));
    assert!(round(&mut venue, &server).await.upload.refused == 0, "the moment was refused, not the run");
}
