//! A venue with a desk in it, and a network that is there when a test says so.

use crate::common::Venue;
use gate_core::bench::synthetic::Organizer;
use gate_core::desk::contract::{Place, Post, ScanSource, Verdict};
use gate_core::desk::{Desk, Event, Network};
use gate_core::sync::http::{HttpError, Received};
use gate_core::sync::transport::{Request, Response, Transport, TransportError};
use shared::bytes::Nonce16;
use shared::ids::StewardId;
use shared::log::entry::Direction;
use shared::manifest::docs::Steward;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

pub const SUPERVISOR: StewardId = StewardId::from_bytes([4; 16]);
pub const HELPER: StewardId = StewardId::from_bytes([5; 16]);
pub const PIN: &str = "2468";
pub const HELPERS_PIN: &str = "1357";

/// A request on its way, and where its answer goes.
type Asked = (Request, Sender<Result<Response, TransportError>>);

/// Lines to a server that lives on a thread of its own; without one nobody is reached.
#[derive(Debug, Clone, Default)]
pub struct Wire(Option<Sender<Asked>>);

impl Wire {
    /// `serve` makes the server on its own thread and answers until the wire is gone.
    pub fn to(serve: impl FnOnce(Receiver<Asked>) + Send + 'static) -> Self {
        let (sender, receiver) = channel();
        std::thread::spawn(move || serve(receiver));
        Self(Some(sender))
    }
}

impl Transport for Wire {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let unreachable = || TransportError("connection refused".to_owned());
        let (reply, answer) = channel();
        self.0.as_ref().ok_or_else(unreachable)?.send((request, reply)).map_err(|_| unreachable())?;
        answer.recv().map_err(|_| unreachable())?
    }
}

impl Network for Wire {
    type Line = Self;

    fn line(&self, _: &str, _: Received) -> Result<Self, HttpError> {
        Ok(self.clone())
    }
}

pub struct Stage {
    pub venue: Venue,
    pub desk: Arc<Desk<Wire>>,
    pub heard: Receiver<Event>,
}

impl Stage {
    /// Ten valid tickets, the manifest installed, a supervisor and a helper, standing at the only list.
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Organizer)) -> Self {
        Self::of(Venue::with(|o| {
            o.header.stewards = stewards();
            change(o);
        }))
    }

    pub fn of(venue: Venue) -> Self {
        Self::reached(venue, Wire::default())
    }

    pub fn reached(mut venue: Venue, wire: Wire) -> Self {
        let dir = venue.path().to_owned();
        let (desk, heard) = open(&mut venue, &dir, wire);
        let stage = Self { venue, desk, heard };
        stage.desk.set_post(stage.post()).unwrap();
        stage
    }

    pub fn post(&self) -> Post {
        Post {
            device_id: self.venue.device.device,
            list: self.venue.organizer.list(),
            gate: Some(self.venue.organizer.header.gates[0].id),
            direction: Direction::In,
            rehearsal: false,
        }
    }

    /// The app ends and begins again.
    pub fn restart(self) -> Self {
        let Self { mut venue, desk, heard } = self;
        drop((desk, heard));
        let dir = venue.path().to_owned();
        let (desk, heard) = open(&mut venue, &dir, Wire::default());
        Self { venue, desk, heard }
    }

    /// Scans, and says that the answer was painted.
    pub fn scan(&self, code: &str) -> Verdict {
        let verdict = self.desk.scan_text(code, nonce(), ScanSource::Reader).unwrap();
        if let Some(place) = place(&verdict) {
            self.desk.scan_shown(place);
        }
        verdict
    }

    pub fn unlock(&self) {
        self.desk.unlock(SUPERVISOR, PIN).unwrap();
    }

    /// Everything heard so far.
    pub fn events(&self) -> Vec<Event> {
        self.heard.try_iter().collect()
    }

    /// The first event that `fits`, waited for.
    pub fn hear<T>(&self, fits: impl Fn(Event) -> Option<T>) -> T {
        loop {
            let event = self.heard.recv_timeout(Duration::from_secs(20)).expect("it is told in time");
            if let Some(found) = fits(event) {
                return found;
            }
        }
    }
}

pub fn open(venue: &mut Venue, dir: &Path, wire: Wire) -> (Arc<Desk<Wire>>, Receiver<Event>) {
    let (desk, heard) = Desk::open(dir, venue.world(), wire);
    (Arc::new(desk), heard)
}

pub fn place(verdict: &Verdict) -> Option<Place> {
    verdict.answer.log_no.zip(verdict.answer.seq).map(|(log_no, seq)| Place { log_no, seq })
}

/// A new one each time.
pub fn nonce() -> Nonce16 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    Nonce16(bytes)
}

pub fn stewards() -> Vec<Steward> {
    let steward = |id, label: &str, supervisor, pin: &str| Steward {
        id,
        label: label.to_owned(),
        supervisor,
        pin_hash: hashed(pin),
    };
    vec![steward(SUPERVISOR, "Ada", true, PIN), steward(HELPER, "Ben", false, HELPERS_PIN)]
}

/// With the cheapest parameters: what is tested is not how long it takes.
fn hashed(pin: &str) -> String {
    use argon2::password_hash::PasswordHasher as _;
    let params = argon2::Params::new(8, 1, 1, None).unwrap();
    let hasher = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    hasher.hash_password_with_salt(pin.as_bytes(), b"salt-salt-salt-1").unwrap().to_string()
}
