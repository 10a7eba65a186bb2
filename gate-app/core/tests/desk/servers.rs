//! In touch with a server: lanes in the background, their words, leaving, and enrolling.

use crate::common::server::Server;
use crate::common::{NOW, Venue, organizer};
use crate::stage::{Stage, Wire, open};
use gate_core::bench::synthetic::{InstallError, Organizer};
use gate_core::db::table::manifest;
use gate_core::db::{Db, FILE};
use gate_core::desk::Event;
use gate_core::desk::contract::{CommandError, EnrolmentNews, ErrorCode, SyncPhase, Trouble};
use gate_core::sync::apply::StoreError;
use gate_core::sync::transport::{Request, Response, Transport as _, TransportError};
use shared::bytes::{Nonce16, Nonce32, PublicKey};
use shared::cbor;
use shared::ids::DeviceId;
use shared::manifest::docs::ManifestVersion;
use shared::manifest::document_hash;
use shared::wire::enroll::Link;
use shared::wire::gates::{EnrollAnswer, EnrollRequest};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

/// The server of a venue on its own thread; `up` says whether it is reached.
fn served(venue: &Venue, version: ManifestVersion, up: &Arc<AtomicBool>) -> Wire {
    let (rows, device, up) = (venue.rows.clone(), venue.device.clone(), Arc::clone(up));
    Wire::to(move |asked| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let server = Server {
            organizer: organizer(),
            rows: rows.into(),
            version: version.into(),
            now: NOW.into(),
            device: device.device,
            key: device.seed.signing_key().verifying_key(),
            logs: Default::default(),
            runs: Default::default(),
            certificates: Default::default(),
            asked: Default::default(),
            tamper: std::cell::RefCell::new(Box::new(|_, r| Ok(r))),
            tamper_manifest: std::cell::RefCell::new(Box::new(|a| a)),
            revoked: false.into(),
            poison: Default::default(),
            forked: false.into(),
            guests: Default::default(),
        };
        for (request, reply) in asked {
            let answer = if up.load(Ordering::Relaxed) {
                runtime.block_on((&server).send(request))
            } else {
                Err(TransportError("connection refused".to_owned()))
            };
            let _ = reply.send(answer);
        }
    })
}

#[test]
fn lanes_bring_the_first_manifest_and_send_what_is_scanned_each_with_its_words() {
    let mut venue = Venue::empty(|_| {});
    let version = ManifestVersion { change_seq: 1, ..venue.version };
    let up = Arc::new(AtomicBool::new(true));
    let wire = served(&venue, version, &up);
    let dir = venue.path().to_owned();
    let (desk, heard) = open(&mut venue, &dir, wire);
    let running = desk.start().unwrap();
    let stage = Stage { venue, desk, heard };
    let phases = [SyncPhase::Connecting, SyncPhase::Downloading, SyncPhase::Checking, SyncPhase::Storing];
    for phase in phases {
        let progress = stage.hear(|e| match e {
            Event::Sync(progress) if progress.phase == phase => Some(progress),
            _ => None,
        });
        assert!(progress.first, "nobody can scan before it ends");
    }
    stage.hear(|e| match e {
        Event::AppState(state) => state.enrolments.first().filter(|e| e.title.is_some()).map(|_| ()),
        _ => None,
    });
    stage.desk.set_post(stage.post()).unwrap();
    let verdict = stage.scan(&stage.venue.code(0));
    assert!(verdict.answer.is_ok());
    let uploading = stage.hear(|e| match e {
        Event::Sync(p) if p.phase == SyncPhase::Uploading => Some(p),
        _ => None,
    });
    assert_eq!((uploading.of, uploading.first), (1, false));
    let sent = stage.hear(|e| match e {
        Event::Status(s) if s.status.queue.unsent == 0 && s.status.queue.last_seq == 1 => Some(s),
        _ => None,
    });
    assert!(sent.status.online);
    drop(running);
}

#[test]
fn a_server_that_comes_back_is_asked_at_once_when_somebody_wants_it() {
    let venue = Venue::new();
    let up = Arc::new(AtomicBool::new(false));
    let wire = served(&venue, venue.version, &up);
    let stage = Stage::reached(venue, wire);
    stage.scan(&stage.venue.code(0));
    let running = stage.desk.start().unwrap();
    // It has tried and failed once.
    stage.hear(|e| matches!(e, Event::Sync(p) if p.phase == SyncPhase::Uploading).then_some(()));
    stage.hear(|e| matches!(e, Event::Sync(p) if p.phase == SyncPhase::Idle).then_some(()));
    up.store(true, Ordering::Relaxed);
    stage.desk.sync_now();
    let sent = stage.hear(|e| match e {
        Event::Status(s) if s.status.queue.unsent == 0 => Some(s),
        _ => None,
    });
    assert!(sent.status.online);
    drop(running);
}

#[test]
fn lanes_that_could_not_be_opened_are_opened_once_the_database_is_readable() {
    let mut venue = Venue::new();
    let up = Arc::new(AtomicBool::new(true));
    let wire = served(&venue, venue.version, &up);
    let dir = venue.path().to_owned();
    let (desk, heard) = open(&mut venue, &dir, wire);
    // The watch knows all of them already, and has nothing new to say.
    assert!(desk.status().is_some());
    let db = rusqlite::Connection::open(venue.path().join(FILE)).unwrap();
    let form: i64 = db.query_row("pragma user_version", [], |r| r.get(0)).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    let running = desk.start().unwrap();
    let stage = Stage { venue, desk, heard };
    stage.hear(|e| matches!(e, Event::Trouble(Some(Trouble::DatabaseNewer { .. }))).then_some(()));
    db.pragma_update(None, "user_version", form).unwrap();
    stage.hear(|e| matches!(e, Event::Sync(p) if p.phase == SyncPhase::Connecting).then_some(()));
    drop(running);
}

#[test]
fn leaving_sends_first_and_forgets_the_guests() {
    let venue = Venue::new();
    let up = Arc::new(AtomicBool::new(false));
    let wire = served(&venue, venue.version, &up);
    let stage = Stage::reached(venue, wire);
    stage.scan(&stage.venue.code(0));
    let device = stage.venue.device.device;
    let refused = stage.desk.leave(device).unwrap_err();
    assert_eq!((refused.code, refused.count), (ErrorCode::UnsentEntries, Some(1)));
    up.store(true, Ordering::Relaxed);
    let state = stage.desk.leave(device).unwrap();
    assert!(state.enrolments.is_empty() && state.post.is_none());
    let mut stage = stage;
    let late = stage.venue.publish().unwrap_err();
    assert!(
        matches!(late, InstallError::Store(StoreError::OutOfUse)),
        "a manifest that was on its way: {late:?}"
    );
    let db = Db::open(stage.venue.path()).unwrap();
    assert_eq!(manifest::get(db.conn(), stage.venue.device.no).unwrap(), None);
    assert_eq!(stage.venue.log().len(), 1, "its log is evidence");
    assert!(stage.desk.status().is_none());
}

const ENROLMENT: Nonce16 = Nonce16([6; 16]);
const SERVER_NONCE: Nonce32 = Nonce32([7; 32]);
const WAITING: u8 = 0;
const OUT_OF_REACH: u8 = 1;
const YES: u8 = 2;
const NO: u8 = 3;

/// An organizer who enrols, on a thread of its own. `says` is what the organizer has decided.
fn inviting(says: &Arc<AtomicU8>) -> Wire {
    let says = Arc::clone(says);
    Wire::to(move |asked| {
        let organizer = organizer();
        let mut revealed = None;
        for (request, reply) in asked {
            let _ = reply.send(enrolled(&organizer, &mut revealed, &request, says.load(Ordering::Relaxed)));
        }
    })
}

fn enrolled(
    organizer: &Organizer,
    revealed: &mut Option<(PublicKey, Nonce32)>,
    request: &Request,
    says: u8,
) -> Result<Response, TransportError> {
    let device = DeviceId::from_bytes([9; 16]);
    if request.path != "/gates/enroll" {
        return Err(TransportError("only enrolment is served".to_owned()));
    }
    let answer = match cbor::decode(&request.body, 10_000).unwrap() {
        EnrollRequest::Commit { .. } => EnrollAnswer::Challenge {
            enrolment: ENROLMENT,
            server_nonce: SERVER_NONCE,
            trust_roots: vec![organizer.trust_root()],
        },
        EnrollRequest::Reveal { public_key, device_nonce, .. } => {
            *revealed = Some((public_key, device_nonce));
            EnrollAnswer::Pending {}
        }
        EnrollRequest::Poll { .. } => match says {
            OUT_OF_REACH => return Err(TransportError("connection refused".to_owned())),
            NO => EnrollAnswer::Declined {},
            YES => EnrollAnswer::Confirmed {
                organizer: organizer.header.organizer,
                event: organizer.header.event,
                device,
                certificate: organizer.certificate_of(device, 1, revealed.unwrap().0),
            },
            _ => EnrollAnswer::Pending {},
        },
    };
    Ok(Response { status: 200, body: cbor::encode(&answer) })
}

fn link(organizer: &Organizer) -> String {
    Link {
        origin: "http://127.0.0.1:3000".to_owned(),
        slot: ENROLMENT,
        secret: Nonce16([1; 16]),
        trust_root_hash: document_hash(&organizer.trust_root().document),
    }
    .to_url()
}

fn news(stage: &Stage) -> EnrolmentNews {
    stage.hear(|e| match e {
        Event::Enrolment(news) => Some(news),
        _ => None,
    })
}

#[test]
fn an_enrolment_waits_through_a_bad_line_until_the_organizer_says_yes() {
    let says = Arc::new(AtomicU8::new(WAITING));
    let mut venue = Venue::new();
    let dir = tempfile::tempdir().unwrap();
    let (desk, heard) = open(&mut venue, dir.path(), inviting(&says));
    assert!(desk.app_state().enrolments.is_empty());
    let stage = Stage { venue, desk, heard };
    let begun = stage.desk.enrol_begin(&format!(" {}\n", link(&stage.venue.organizer)), None).unwrap();
    assert_eq!((begun.digits.len(), begun.origin.as_str()), (6, "http://127.0.0.1:3000"));
    assert_eq!(news(&stage), EnrolmentNews::Waiting);
    says.store(OUT_OF_REACH, Ordering::Relaxed);
    assert_eq!(news(&stage), EnrolmentNews::Unreachable);
    says.store(YES, Ordering::Relaxed);
    let EnrolmentNews::Done { device_id, label, number } = news(&stage) else { panic!("confirmed") };
    assert_eq!((label.as_str(), number), ("Gate 1", 1));
    let listed = stage.desk.app_state().enrolments;
    assert_eq!((listed.len(), listed[0].device_id, listed[0].state), (1, device_id, "active"));
}

#[test]
fn an_enrolment_anew_ends_the_trouble_of_a_database_that_was_lost() {
    let says = Arc::new(AtomicU8::new(YES));
    let mut venue = Venue::new();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(FILE), [0xa5; 8192]).unwrap();
    let (desk, heard) = open(&mut venue, dir.path(), inviting(&says));
    let trouble = desk.app_state().trouble;
    assert!(matches!(trouble, Some(Trouble::DatabaseLost { black_box: 0, .. })), "{trouble:?}");
    let stage = Stage { venue, desk, heard };
    stage.desk.enrol_begin(&link(&stage.venue.organizer), None).unwrap();
    assert!(matches!(news(&stage), EnrolmentNews::Done { .. }));
    let state = stage.desk.app_state();
    assert_eq!((state.trouble, state.enrolments.len()), (None, 1));
}

#[test]
fn an_enrolment_is_declined_given_up_or_never_begun() {
    let says = Arc::new(AtomicU8::new(NO));
    let mut venue = Venue::new();
    let dir = tempfile::tempdir().unwrap();
    let (desk, heard) = open(&mut venue, dir.path(), inviting(&says));
    let stage = Stage { venue, desk, heard };
    let invitation = link(&stage.venue.organizer);
    let failed = |text: &str, server: Option<&str>| {
        stage.desk.enrol_begin(text, server).map(|_| ()).map_err(|e: CommandError| e.code)
    };
    assert_eq!(failed("https://tickets.example/nothing", None), Err(ErrorCode::InvalidLink));
    assert_eq!(failed(&invitation.replace("#1.", "#9."), None), Err(ErrorCode::NewerLink));
    assert_eq!(failed("4F7K", Some("tickets.example")), Err(ErrorCode::InvalidCode));
    assert_eq!(failed("4F7K-9M2X", None), Err(ErrorCode::InvalidServer));
    let mut other = Link::parse(&invitation).unwrap();
    other.trust_root_hash.0[0] ^= 1;
    assert_eq!(failed(&other.to_url(), None), Err(ErrorCode::NotTheInvitedServer));

    stage.desk.enrol_begin(&invitation, None).unwrap();
    assert_eq!(news(&stage), EnrolmentNews::Declined);
    says.store(WAITING, Ordering::Relaxed);
    stage.desk.enrol_begin(&invitation, None).unwrap();
    assert_eq!(news(&stage), EnrolmentNews::Waiting);
    stage.desk.enrol_cancel();
    says.store(YES, Ordering::Relaxed);
    // An attempt holds the desk as long as it goes on.
    let ended = (0..400).any(|_| {
        let news = stage.heard.recv_timeout(Duration::from_millis(50));
        assert!(!matches!(news, Ok(Event::Enrolment(_))), "nobody waits for it any more: {news:?}");
        Arc::strong_count(&stage.desk) == 1
    });
    assert!(ended);
    assert!(!stage.events().iter().any(|e| matches!(e, Event::Enrolment(_))));
}
