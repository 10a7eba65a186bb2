//! A server in memory behind the `Transport` trait. It verifies what a real one would; tests break it on purpose.

use gate_core::bench::synthetic::{Organizer, Rows};
use gate_core::sync::transport::{Request, Response, Transport, TransportError};
use shared::bytes::Nonce16;
use shared::cbor;
use shared::ids::DeviceId;
use shared::log::verify_run;
use shared::manifest::docs::ManifestVersion;
use shared::manifest::rows::TicketRow;
use shared::ticket::keys::VerifyingKey;
use shared::time::UnixMillis;
use shared::wire::gates::{Hole, ManifestAnswer, Run, TimeAnswer, UploadAnswer, UploadRequest, WaitAnswer};
use shared::wire::guests::{GuestPage, GuestRow};
use shared::wire::httpsig::{ReceivedHeaders, RequestParts, SignatureError, WINDOW_SECS, verify_request};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// Entries of one log by number.
type Log = BTreeMap<u64, Vec<u8>>;

/// Changes an answer on its way, or loses it.
type Tamper = Box<dyn Fn(&Request, Response) -> Result<Response, TransportError>>;

pub struct Server {
    pub organizer: Organizer,
    pub rows: RefCell<Vec<TicketRow>>,
    pub version: Cell<ManifestVersion>,
    /// Its clock.
    pub now: Cell<UnixMillis>,
    pub device: DeviceId,
    pub key: VerifyingKey,
    /// What it has of each log.
    pub logs: RefCell<BTreeMap<(DeviceId, u32), Log>>,
    /// Other devices' runs, given out by cursor.
    pub runs: RefCell<Vec<Run>>,
    pub certificates: RefCell<Vec<Vec<u8>>>,
    /// Paths asked for, in order.
    pub asked: RefCell<Vec<String>>,
    pub tamper: RefCell<Tamper>,
    pub tamper_manifest: RefCell<Box<dyn Fn(ManifestAnswer) -> ManifestAnswer>>,
    pub revoked: Cell<bool>,
    /// Runs that contain one of these are refused as bad.
    pub poison: RefCell<Vec<u64>>,
    pub forked: Cell<bool>,
    pub guests: RefCell<Guests>,
}

/// Guest records as a server has them: each change of one ticket is a row, and the cursor counts rows.
#[derive(Debug, Clone, Default)]
pub struct Guests {
    pub rows: Vec<GuestRow>,
    /// Rows of a page; all of them without.
    pub page: Option<usize>,
    /// The device may know names.
    pub names: bool,
}

impl Server {
    /// The server of a venue, at the state that the venue's gate holds.
    pub fn of(venue: &super::Venue) -> Self {
        let key = venue.device.seed.signing_key().verifying_key();
        Self {
            // The same generator from the same start makes the same organizer.
            organizer: super::organizer(),
            rows: RefCell::new(venue.rows.clone()),
            version: Cell::new(venue.version),
            now: Cell::new(super::NOW),
            device: venue.device.device,
            key,
            logs: RefCell::default(),
            runs: RefCell::default(),
            certificates: RefCell::default(),
            asked: RefCell::default(),
            tamper: RefCell::new(Box::new(|_, r| Ok(r))),
            tamper_manifest: RefCell::new(Box::new(|a| a)),
            revoked: Cell::new(false),
            poison: RefCell::default(),
            forked: Cell::new(false),
            guests: RefCell::default(),
        }
    }

    pub fn tamper(&self, tamper: impl Fn(&Request, Response) -> Result<Response, TransportError> + 'static) {
        *self.tamper.borrow_mut() = Box::new(tamper);
    }

    pub fn tamper_manifest(&self, tamper: impl Fn(ManifestAnswer) -> ManifestAnswer + 'static) {
        *self.tamper_manifest.borrow_mut() = Box::new(tamper);
    }

    /// The next state of the event.
    pub fn publish(&self, change: impl FnOnce(&mut Vec<TicketRow>)) {
        change(&mut self.rows.borrow_mut());
        self.rows.borrow_mut().sort_unstable_by_key(|r| r.ticket_id);
        let v = self.version.get();
        self.version.set(ManifestVersion { change_seq: v.change_seq + 1, ..v });
    }

    /// Numbers that it has of a log.
    pub fn seqs(&self, log_no: u32) -> Vec<u64> {
        self.logs.borrow().get(&(self.device, log_no)).map_or(Vec::new(), |l| l.keys().copied().collect())
    }

    pub fn asked(&self, path: &str) -> usize {
        self.asked.borrow().iter().filter(|p| *p == path).count()
    }

    fn respond(&self, request: &Request) -> Response {
        self.asked.borrow_mut().push(request.path.clone());
        let query: BTreeMap<&str, &str> =
            request.query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        if request.path == "/gates/time" {
            let echo = nonce(query["nonce"]);
            let now = self.now.get();
            let signed = Some(self.organizer.time(echo, now, now));
            return ok(cbor::encode(&TimeAnswer { received_at: now, sent_at: now, signed }));
        }
        match self.verify(request) {
            Ok(()) => {}
            Err(SignatureError::ClockSkew { .. }) => return problem(401, "clock_skew"),
            Err(error) => return problem(401, &error.to_string()),
        }
        if request.path == "/gates/log" {
            return self.upload(&request.body);
        }
        if self.revoked.get() {
            return problem(403, "device_revoked");
        }
        match request.path.as_str() {
            "/gates/manifest" => self.manifest(&query),
            "/gates/wait" => self.wait(&query),
            "/gates/guest-records" => self.guests(&query),
            other => panic!("nobody asks for {other}"),
        }
    }

    fn verify(&self, request: &Request) -> Result<(), SignatureError> {
        let header = |name: &str| request.headers.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str());
        let parts = RequestParts {
            method: request.method,
            path: &request.path,
            query: (!request.query.is_empty()).then_some(&request.query),
            body: &request.body,
        };
        let received = ReceivedHeaders {
            content_digest: header("content-digest"),
            signature_input: header("signature-input"),
            signature: header("signature"),
        };
        verify_request(&self.key, &parts, &received, self.now.get().secs(), WINDOW_SECS).map(|_| ())
    }

    fn manifest(&self, query: &BTreeMap<&str, &str>) -> Response {
        let rows = self.rows.borrow();
        let version = self.version.get();
        let held: u64 = query["seq"].parse().unwrap();
        let full = query.contains_key("full") || held == 0;
        let body = if full {
            Rows::Full
        } else if held == version.change_seq {
            Rows::Same
        } else {
            // Every row, as if all had changed: a delta like any other.
            Rows::Delta(held, &rows)
        };
        let answer = self.organizer.answer(version, &rows, body, nonce(query["nonce"]), self.now.get());
        ok(cbor::encode(&(self.tamper_manifest.borrow())(answer)))
    }

    fn wait(&self, query: &BTreeMap<&str, &str>) -> Response {
        let after: usize = query["scans"].parse().unwrap();
        let runs: Vec<Run> = self.runs.borrow().iter().skip(after).cloned().collect();
        let scans = (after + runs.len()) as u64;
        let certificates = self.certificates.borrow().iter().map(|c| c.clone().into()).collect();
        ok(cbor::encode(&WaitAnswer { manifest: self.version.get(), certificates, runs, scans, more: false }))
    }

    fn guests(&self, query: &BTreeMap<&str, &str>) -> Response {
        let guests = self.guests.borrow();
        let cursor = query.get("cursor").map(|hex_text| hex::decode(hex_text).unwrap());
        // A cursor holds the count and whom it was given to.
        let after = cursor.as_ref().filter(|c| c[1] == u8::from(guests.names)).map(|c| usize::from(c[0]));
        let (anew, after) = (after.is_none(), after.unwrap_or(0));
        let until = guests.page.map_or(guests.rows.len(), |n| (after + n).min(guests.rows.len()));
        let version = self.version.get();
        ok(cbor::encode(&GuestPage {
            rows: guests.rows[after..until].to_vec(),
            cursor: vec![u8::try_from(until).unwrap(), u8::from(guests.names)].into(),
            more: until < guests.rows.len(),
            anew,
            names: guests.names,
            epoch: version.epoch,
            change_seq: version.change_seq,
        }))
    }

    fn upload(&self, body: &[u8]) -> Response {
        let UploadRequest { run } = cbor::decode(body, 1 << 20).unwrap();
        let entries = verify_run(&run, &self.key).unwrap();
        assert!(entries.iter().all(|(e, _)| e.check().is_ok()));
        if entries.iter().any(|(e, _)| self.poison.borrow().contains(&e.place.seq)) {
            return problem(422, "bad_run");
        }
        let mut logs = self.logs.borrow_mut();
        let log = logs.entry((run.device, run.log_no)).or_default();
        let mut forked = self.forked.get();
        for ((entry, _), bytes) in entries.iter().zip(&run.entries) {
            let known = log.entry(entry.place.seq).or_insert_with(|| bytes.to_vec());
            forked |= **known != ***bytes;
        }
        let highest = log.keys().next_back().copied().unwrap_or(0);
        let mut holes: Vec<Hole> = Vec::new();
        for seq in (1..highest).filter(|s| !log.contains_key(s)) {
            match holes.last_mut() {
                Some(hole) if hole.to + 1 == seq => hole.to = seq,
                _ => holes.push(Hole { from: seq, to: seq }),
            }
        }
        let acknowledged = holes.first().map_or(highest, |h| h.from - 1);
        ok(cbor::encode(&UploadAnswer {
            device: run.device,
            log_no: run.log_no,
            acknowledged,
            holes,
            forked,
        }))
    }
}

fn nonce(hex_text: &str) -> Nonce16 {
    Nonce16::from_slice(&hex::decode(hex_text).unwrap()).unwrap()
}

fn ok(body: Vec<u8>) -> Response {
    Response { status: 200, body }
}

pub fn problem(status: u16, code: &str) -> Response {
    let body = serde_json::json!({ "type": "about:blank", "status": status, "code": code, "detail": "" });
    Response { status, body: serde_json::to_vec(&body).unwrap() }
}

impl Transport for &Server {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let response = self.respond(&request);
        assert!(response.body.len() <= request.max_answer);
        (self.tamper.borrow())(&request, response)
    }
}

pub fn offline() -> TransportError {
    TransportError("connection refused".to_owned())
}
