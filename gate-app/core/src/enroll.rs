//! Becoming a device of an event. Every step is kept before the next one is taken, so that the same command goes
//! on after a crash with the same key, and people compare the same six digits.

use crate::db::table::cert::{self, Author, Cert};
use crate::db::table::device::{self, Challenge, Pending, Seed};
use crate::db::table::trust_root;
use crate::db::{Db, DbError};
use crate::gate::World;
use crate::sync::engine::{CallError, accepted};
use crate::sync::transport::{Request, Transport};
use ed25519_dalek::Signer as _;
use rand::Rng as _;
use shared::bytes::{Hash32, Nonce32, PublicKey, Signature64};
use shared::cbor;
use shared::ids::{DeviceId, EventId};
use shared::manifest::document_hash;
use shared::manifest::online::{OnlineError, open_certificate};
use shared::manifest::trust::{Trust, TrustError};
use shared::wire::enroll::{
    InviteError, Link, TypedCode, commitment, digits, normalize_origin, poll_message, reveal_message,
};
use shared::wire::gates::{EnrollAnswer, EnrollRequest, Invitation};
use std::path::Path;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(20);
/// The chain of trust roots at most.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// Why the device is not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// The invitation cannot be read.
    #[error(transparent)]
    Invite(#[from] InviteError),
    /// A typed code without `--server`.
    #[error("a typed code needs the server's address: --server URL")]
    NoServer,
    /// Network, or the server's no.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// SQLite's.
    #[error("database")]
    Sql(#[from] rusqlite::Error),
    /// The trust roots are not those of the invitation.
    #[error("the server is not the one of the invitation: {0}")]
    Trust(#[from] TrustError),
    /// The certificate does not say what it must.
    #[error("the device certificate: {0}")]
    Certificate(#[from] OnlineError),
    /// It is for another device, event or key.
    #[error("the device certificate is not for this device")]
    OtherCertificate,
    /// The server answered something else than was asked.
    #[error("the server's answer does not fit the question")]
    Unexpected,
    /// The organizer said no, or took too long.
    #[error("the organizer declined, or the invitation ran out")]
    Declined,
}

impl EnrollError {
    /// True if the line or the server is at fault, not the invitation: asking again may help.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Call(
                CallError::Network(_) | CallError::Refused { status: 408 | 425 | 429 | 500..=599, .. }
            )
        )
    }
}

/// An invitation with the server that it leads to.
#[derive(Debug, Clone)]
pub struct Invited {
    /// `scheme://host[:port]`.
    pub origin: String,
    /// What goes into the request.
    pub invitation: Invitation,
    /// Known from a link; people compare digits for a typed code.
    pub trust_root_hash: Option<Hash32>,
    /// Names the attempt when the command is run again.
    text: String,
}

impl Invited {
    /// From a link, or from a typed code with the server's address.
    ///
    /// # Errors
    /// [`EnrollError::Invite`] or [`EnrollError::NoServer`].
    pub fn parse(text: &str, server: Option<&str>) -> Result<Self, EnrollError> {
        if text.contains("://") {
            let link = Link::parse(text)?;
            return Ok(Self {
                invitation: link.invitation(),
                trust_root_hash: Some(link.trust_root_hash),
                text: link.to_url(),
                origin: link.origin,
            });
        }
        let code = TypedCode::parse(text)?;
        let origin = normalize_origin(server.ok_or(EnrollError::NoServer)?)?;
        Ok(Self { origin, invitation: code.invitation(), trust_root_hash: None, text: code.to_text() })
    }
}

/// A confirmed enrolment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolled {
    /// The device's id.
    pub device: DeviceId,
    /// Its event.
    pub event: EventId,
    /// Its number within the event.
    pub number: u32,
    /// What people call it.
    pub label: String,
}

/// An enrolment under way.
#[derive(Debug)]
pub struct Enrolling<T> {
    db: Db,
    transport: T,
    pending: Pending,
    challenge: Challenge,
    trust: Trust,
    /// What both sides show.
    pub digits: String,
}

/// What the organizer has said so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Nothing.
    Waiting,
    /// Yes.
    Done(Enrolled),
}

impl<T: Transport> Enrolling<T> {
    /// Commits to a key, learns the server's nonce, reveals the key. Goes on where an earlier attempt with the
    /// same invitation stopped.
    ///
    /// # Errors
    /// [`EnrollError`].
    pub async fn begin(
        dir: &Path,
        invited: &Invited,
        transport: T,
        world: &mut World,
    ) -> Result<Self, EnrollError> {
        let db = Db::open(dir)?;
        let pending = match device::find_pending(db.conn(), &invited.origin, &invited.text)? {
            Some(pending) => pending,
            None => new_key(&db, invited, world)?,
        };
        let (challenge, trust) = match (&pending.challenge, chain(&db, &pending)?) {
            (Some(challenge), Some(trust)) => (*challenge, trust),
            _ => commit(&db, invited, &pending, &transport).await?,
        };
        let digits = digits(
            &invited.origin,
            &challenge.trust_root_hash,
            &pending.public_key,
            &pending.device_nonce,
            &challenge.server_nonce,
        );
        let this = Self { db, transport, pending, challenge, trust, digits };
        match this.reveal().await {
            // This key will never be confirmed; the next invitation gets a new one.
            Err(EnrollError::Call(CallError::Refused { status: 403 | 409 | 410, code, detail })) => {
                tracing::warn!(code, detail, "the enrolment is over");
                this.give_up()
            }
            other => other.map(|()| this),
        }
    }

    async fn reveal(&self) -> Result<(), EnrollError> {
        let p = &self.pending;
        let message = reveal_message(
            &self.challenge.enrolment,
            &self.challenge.server_nonce,
            &p.public_key,
            &p.device_nonce,
        );
        let reveal = EnrollRequest::Reveal {
            enrolment: self.challenge.enrolment,
            public_key: p.public_key,
            device_nonce: p.device_nonce,
            signature: self.sign(&message),
        };
        match post(&self.transport, &reveal).await? {
            EnrollAnswer::Pending {} | EnrollAnswer::Confirmed { .. } => Ok(()),
            EnrollAnswer::Declined {} => self.give_up(),
            EnrollAnswer::Challenge { .. } => Err(EnrollError::Unexpected),
        }
    }

    /// Asks whether the organizer has confirmed.
    ///
    /// # Errors
    /// [`EnrollError`]; after a network error simply ask again.
    pub async fn poll(&self) -> Result<Progress, EnrollError> {
        let enrolment = self.challenge.enrolment;
        let poll = EnrollRequest::Poll { enrolment, signature: self.sign(&poll_message(&enrolment)) };
        match post(&self.transport, &poll).await? {
            EnrollAnswer::Pending {} => Ok(Progress::Waiting),
            EnrollAnswer::Declined {} => self.give_up(),
            EnrollAnswer::Challenge { .. } => Err(EnrollError::Unexpected),
            EnrollAnswer::Confirmed { organizer, event, device, certificate } => {
                if organizer != self.trust.organizer() {
                    return Err(EnrollError::OtherCertificate);
                }
                self.finish(event, device, certificate).map(Progress::Done)
            }
        }
    }

    fn finish(
        &self,
        event: EventId,
        device: DeviceId,
        certificate: Vec<u8>,
    ) -> Result<Enrolled, EnrollError> {
        let (c, _) = open_certificate(&self.trust, event, &certificate)?;
        if c.device != device || c.public_key != self.pending.public_key {
            return Err(EnrollError::OtherCertificate);
        }
        let tx = self.db.begin()?;
        let author = cert::put(
            &tx,
            &Cert {
                no: Author(0),
                event,
                device,
                number: c.number,
                public_key: c.public_key,
                certificate,
                label: c.label.clone(),
            },
        )?;
        device::activate(&tx, self.pending.no, c.organizer, event, device, author)?;
        tx.commit()?;
        Ok(Enrolled { device, event, number: c.number, label: c.label })
    }

    /// The key will never be used: a new invitation makes a new one.
    fn give_up<R>(&self) -> Result<R, EnrollError> {
        let tx = self.db.begin()?;
        trust_root::delete_all(&tx, self.pending.no)?;
        device::delete_pending(&tx, self.pending.no)?;
        tx.commit()?;
        Err(EnrollError::Declined)
    }

    fn sign(&self, message: &[u8]) -> Signature64 {
        Signature64(self.pending.seed.signing_key().sign(message).to_bytes())
    }
}

fn new_key(db: &Db, invited: &Invited, world: &mut World) -> Result<Pending, EnrollError> {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    let mut device_nonce = Nonce32([0; 32]);
    world.rng.fill_bytes(&mut seed[..]);
    world.rng.fill_bytes(&mut device_nonce.0);
    let seed = Seed(seed);
    let public_key = PublicKey(seed.signing_key().verifying_key().to_bytes());
    let tx = db.begin()?;
    let now = world.clock.wall();
    let no = device::insert_pending(&tx, &invited.origin, &invited.text, &seed, &device_nonce, now)?;
    tx.commit()?;
    Ok(Pending {
        no,
        origin: invited.origin.clone(),
        invitation: invited.text.clone(),
        seed,
        public_key,
        device_nonce,
        challenge: None,
    })
}

/// The stored trust of an attempt that was interrupted after its challenge.
fn chain(db: &Db, pending: &Pending) -> Result<Option<Trust>, EnrollError> {
    let Some(challenge) = &pending.challenge else { return Ok(None) };
    let roots = trust_root::chain(db.conn(), pending.no)?;
    if roots.is_empty() {
        return Ok(None);
    }
    Ok(Some(Trust::pinned(&challenge.trust_root_hash, &roots)?))
}

async fn commit<T: Transport>(
    db: &Db,
    invited: &Invited,
    pending: &Pending,
    transport: &T,
) -> Result<(Challenge, Trust), EnrollError> {
    let commit = EnrollRequest::Commit {
        invitation: invited.invitation.clone(),
        commitment: commitment(&pending.public_key, &pending.device_nonce),
    };
    let (enrolment, server_nonce, roots) = match post(transport, &commit).await? {
        EnrollAnswer::Challenge { enrolment, server_nonce, trust_roots } => {
            (enrolment, server_nonce, trust_roots)
        }
        EnrollAnswer::Declined {} => return Err(EnrollError::Declined),
        EnrollAnswer::Pending {} | EnrollAnswer::Confirmed { .. } => return Err(EnrollError::Unexpected),
    };
    let first = roots.first().ok_or(TrustError::Empty)?;
    // A link says whom to believe. For a typed code the six digits cover what the server said.
    let trust_root_hash = invited.trust_root_hash.unwrap_or_else(|| document_hash(&first.document));
    let trust = Trust::pinned(&trust_root_hash, &roots)?;
    let challenge = Challenge { enrolment, server_nonce, trust_root_hash };
    let tx = db.begin()?;
    device::set_challenge(&tx, pending.no, &challenge)?;
    for (version, root) in (1..).zip(&roots) {
        trust_root::insert(&tx, pending.no, version, root)?;
    }
    tx.commit()?;
    Ok((challenge, trust))
}

async fn post<T: Transport>(transport: &T, request: &EnrollRequest) -> Result<EnrollAnswer, EnrollError> {
    let request = Request {
        method: "POST",
        path: "/gates/enroll".to_owned(),
        query: String::new(),
        headers: Vec::new(),
        body: cbor::encode(request),
        timeout: TIMEOUT,
        max_answer: MAX_ANSWER,
    };
    let response = transport.send(request).await.map_err(CallError::from)?;
    let body = accepted(response)?;
    Ok(cbor::decode(&body, MAX_ANSWER).map_err(CallError::from)?)
}
