//! Enrolment against a made-up server: the key survives a crash, and nobody but the invited server is believed.
#![allow(clippy::unwrap_used, reason = "a test says what must hold by failing where it does not")]

mod common;

use common::{NOW, organizer};
use gate_core::bench::synthetic::Organizer;
use gate_core::clock::TestClock;
use gate_core::db::Db;
use gate_core::db::table::device;
use gate_core::enroll::{EnrollError, Enrolling, Invited, Progress};
use gate_core::gate::World;
use gate_core::sync::transport::{Request, Response, Transport, TransportError};
use rand::SeedableRng;
use rand::rngs::StdRng;
use shared::bytes::{Hash32, Nonce16, Nonce32, PublicKey};
use shared::cbor;
use shared::ids::DeviceId;
use shared::manifest::document_hash;
use shared::ticket::keys::strong_key;
use shared::wire::enroll::{Link, commitment, digits, reveal_message};
use shared::wire::gates::{EnrollAnswer, EnrollRequest};
use std::cell::{Cell, RefCell};
use std::path::Path;
use std::sync::Arc;

const ENROLMENT: Nonce16 = Nonce16([6; 16]);
const SERVER_NONCE: Nonce32 = Nonce32([7; 32]);

struct Desk {
    organizer: Organizer,
    committed: RefCell<Vec<Hash32>>,
    revealed: RefCell<Option<(PublicKey, Nonce32)>>,
    answer: Cell<Answer>,
}

#[derive(Clone, Copy, PartialEq)]
enum Answer {
    Waiting,
    Yes,
    YesToAnother,
    No,
}

impl Desk {
    fn new() -> Self {
        Self {
            organizer: organizer(),
            committed: RefCell::default(),
            revealed: RefCell::default(),
            answer: Cell::new(Answer::Waiting),
        }
    }

    fn link(&self, trust_root_hash: Hash32) -> String {
        let origin = "http://127.0.0.1:3000".to_owned();
        Link { origin, slot: ENROLMENT, secret: Nonce16([1; 16]), trust_root_hash }.to_url()
    }

    fn own_link(&self) -> String {
        self.link(document_hash(&self.organizer.trust_root().document))
    }

    fn digits(&self) -> String {
        let (key, nonce) = self.revealed.borrow().unwrap();
        let root = document_hash(&self.organizer.trust_root().document);
        digits("http://127.0.0.1:3000", &root, &key, &nonce, &SERVER_NONCE)
    }
}

impl Transport for &Desk {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let answer = match cbor::decode(&request.body, 10_000).unwrap() {
            EnrollRequest::Commit { commitment, .. } => {
                self.committed.borrow_mut().push(commitment);
                let trust_roots = vec![self.organizer.trust_root()];
                EnrollAnswer::Challenge { enrolment: ENROLMENT, server_nonce: SERVER_NONCE, trust_roots }
            }
            EnrollRequest::Reveal { public_key, device_nonce, signature, .. } => {
                assert_eq!(self.committed.borrow()[0], commitment(&public_key, &device_nonce));
                let message = reveal_message(&ENROLMENT, &SERVER_NONCE, &public_key, &device_nonce);
                let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
                strong_key(&public_key).unwrap().verify_strict(&message, &signature).unwrap();
                *self.revealed.borrow_mut() = Some((public_key, device_nonce));
                EnrollAnswer::Pending {}
            }
            EnrollRequest::Poll { .. } => match self.answer.get() {
                Answer::Waiting => EnrollAnswer::Pending {},
                Answer::No => EnrollAnswer::Declined {},
                yes => {
                    let device = DeviceId::from_bytes([9; 16]);
                    let key = self.revealed.borrow().unwrap().0;
                    let other = PublicKey(self.organizer.online.verifying_key().to_bytes());
                    let key = if yes == Answer::Yes { key } else { other };
                    EnrollAnswer::Confirmed {
                        organizer: self.organizer.header.organizer,
                        event: self.organizer.header.event,
                        device,
                        certificate: self.organizer.certificate_of(device, 1, key),
                    }
                }
            },
        };
        Ok(Response { status: 200, body: cbor::encode(&answer) })
    }
}

fn world(seed: u64) -> World {
    World { clock: Arc::new(TestClock::at(NOW)), rng: StdRng::seed_from_u64(seed) }
}

async fn begin<'d>(
    dir: &Path,
    link: &str,
    desk: &'d Desk,
    seed: u64,
) -> Result<Enrolling<&'d Desk>, EnrollError> {
    Enrolling::begin(dir, &Invited::parse(link, None)?, desk, &mut world(seed)).await
}

#[tokio::test]
async fn both_sides_show_the_same_digits_and_the_confirmed_device_is_there() {
    let (dir, desk) = (tempfile::tempdir().unwrap(), Desk::new());
    let enrolling = begin(dir.path(), &desk.own_link(), &desk, 1).await.unwrap();
    assert_eq!(enrolling.digits, desk.digits());
    assert_eq!(enrolling.poll().await.unwrap(), Progress::Waiting);
    desk.answer.set(Answer::Yes);
    let Progress::Done(enrolled) = enrolling.poll().await.unwrap() else { panic!("confirmed") };
    let db = Db::open(dir.path()).unwrap();
    let all = device::all(db.conn()).unwrap();
    assert_eq!((all.len(), all[0].device, all[0].event), (1, enrolled.device, enrolled.event));
    gate_core::loaded::trust(db.conn(), &all[0]).unwrap();
}

#[tokio::test]
async fn a_crash_while_people_compare_digits_keeps_the_key() {
    let (dir, desk) = (tempfile::tempdir().unwrap(), Desk::new());
    let link = desk.own_link();
    let first = begin(dir.path(), &link, &desk, 1).await.unwrap().digits;
    // Another process, other chance: the same key all the same.
    let again = begin(dir.path(), &link, &desk, 2).await.unwrap();
    assert_eq!(again.digits, first);
    assert_eq!(desk.committed.borrow().len(), 1);
}

#[tokio::test]
async fn another_server_than_the_invited_one_is_not_believed() {
    let (dir, desk) = (tempfile::tempdir().unwrap(), Desk::new());
    let refused = begin(dir.path(), &desk.link(Hash32([5; 32])), &desk, 1).await;
    assert!(matches!(refused, Err(EnrollError::Trust(_))));
    assert!(desk.revealed.borrow().is_none(), "it never sees the key");
}

#[tokio::test]
async fn a_certificate_for_another_key_enrols_nobody() {
    let (dir, desk) = (tempfile::tempdir().unwrap(), Desk::new());
    let enrolling = begin(dir.path(), &desk.own_link(), &desk, 1).await.unwrap();
    desk.answer.set(Answer::YesToAnother);
    assert!(matches!(enrolling.poll().await, Err(EnrollError::OtherCertificate)));
    assert!(device::all(Db::open(dir.path()).unwrap().conn()).unwrap().is_empty());
}

#[tokio::test]
async fn a_declined_enrolment_forgets_its_key() {
    let (dir, desk) = (tempfile::tempdir().unwrap(), Desk::new());
    let link = desk.own_link();
    let enrolling = begin(dir.path(), &link, &desk, 1).await.unwrap();
    desk.answer.set(Answer::No);
    assert!(matches!(enrolling.poll().await, Err(EnrollError::Declined)));
    let db = Db::open(dir.path()).unwrap();
    let left: i64 = db.conn().query_row("select count(*) from device", [], |r| r.get(0)).unwrap();
    assert_eq!(left, 0);
}

#[test]
fn a_typed_code_needs_the_servers_address() {
    assert!(matches!(Invited::parse("4F7K-9M2X", None), Err(EnrollError::NoServer)));
    assert_eq!(
        Invited::parse("4f7k 9m2x", Some("Tickets.Example")).unwrap().origin,
        "https://tickets.example"
    );
}
