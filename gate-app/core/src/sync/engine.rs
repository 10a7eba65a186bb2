//! Does what the plan says: one exchange after the other, each with its effect in one transaction. Runs on one
//! thread; the database is never held across a wait.

use super::apply::{self, StoreError};
use super::plan::{self, DownloadStep, Downloads, Uploads};
use super::transport::{Request, Response, Transport, TransportError};
use super::{foreign, guests, upload};
use crate::blackbox::{self, BlackBox};
use crate::db::table::device::{self, State};
use crate::db::table::{anchor, bucket, cursor, manifest, upload as uploads_table};
use crate::gate::Gate;
use crate::gate_time::{GateTime, anchor_from_exchange};
use crate::heal::nonce;
use crate::loaded::{self, LoadError};
use rusqlite::Connection;
use shared::cbor;
use shared::manifest::check::{self, Advice, ManifestError};
use shared::manifest::online::open_time;
use shared::wire::gates::{
    MAX_MANIFEST_BYTES, MAX_WAIT_BYTES, TimeAnswer, UploadAnswer, UploadRequest, WaitAnswer,
};
use shared::wire::httpsig::{self, RequestParts};
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

const SHORT: Duration = Duration::from_secs(20);
pub(super) const LONG: Duration = Duration::from_secs(120);
/// Time is not worth much after a long wait.
const TIME_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_SMALL: usize = 64 * 1024;
/// One round never goes on for ever, whatever the server says.
pub(super) const MAX_STEPS: usize = 100_000;

/// Why an exchange came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No answer.
    #[error("{0}")]
    Network(#[from] TransportError),
    /// The server said no.
    #[error("the server refused ({status} {code}){}", suffix(.detail))]
    Refused {
        /// HTTP status.
        status: u16,
        /// Stable code of the problem; empty if the answer was no problem document.
        code: String,
        /// For people.
        detail: String,
    },
    /// The answer is not what was asked for.
    #[error("the server's answer: {0}")]
    Answer(#[from] cbor::CborError),
    /// The server's clock is not signed by the organizer.
    #[error("the server's time is not signed: {0}")]
    Time(String),
    /// The manifest was refused; the old one stays.
    #[error("the manifest was refused: {0}")]
    Manifest(#[from] ManifestError),
    /// The manifest could not be stored; the old one stays.
    #[error(transparent)]
    Store(StoreError),
    /// What is stored cannot be used.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// SQLite's.
    #[error("database")]
    Sql(#[from] rusqlite::Error),
}

fn suffix(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

impl CallError {
    fn is_revocation(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "device_revoked")
    }

    /// The run itself was refused, not the moment or the device.
    fn is_about_the_run(&self) -> bool {
        matches!(self, Self::Refused { status: 400 | 409 | 413 | 415 | 422, code, .. } if code != "clock_skew")
    }

    /// Nothing was heard of the server.
    fn is_offline(&self) -> bool {
        matches!(self, Self::Network(_))
    }
}

/// How one lane went.
#[derive(Debug, Default)]
pub struct Lane {
    /// Exchanges that worked.
    pub exchanges: u64,
    /// Entries taken by the server, or new entries from it.
    pub entries: u64,
    /// What stopped it early.
    pub error: Option<CallError>,
    /// What was refused or kept out without stopping it.
    pub refused: u64,
}

/// How a round went.
#[derive(Debug, Default)]
pub struct Report {
    /// Comparison of the clocks.
    pub time_error: Option<CallError>,
    /// Own entries to the server.
    pub upload: Lane,
    /// Manifest and other devices' entries.
    pub download: Lane,
    /// The manifest is another one now.
    pub new_manifest: bool,
    /// Guest records, which no answer at the door depends on: whatever becomes of them, the round is complete.
    pub guests: Lane,
}

impl Report {
    /// True if both ways worked to the end.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.upload.error.is_none() && self.download.error.is_none()
    }

    /// The first complaint, for people.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let errors = [&self.upload.error, &self.download.error, &self.time_error];
        errors.into_iter().flatten().next().map(ToString::to_string)
    }
}

/// What an engine is doing, for people who wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing, or waiting for news.
    Idle,
    /// Comparing clocks, the first thing in every contact.
    Connecting,
    /// Sending entries.
    Uploading {
        /// Entries taken so far in this lane.
        done: u64,
        /// Of so many.
        of: u64,
    },
    /// Fetching a manifest.
    Downloading,
    /// Verifying it.
    Checking,
    /// Putting it in the place of the old one.
    Storing,
}

/// Synchronises one enrolment.
pub struct Engine<T> {
    gate: RefCell<Gate>,
    transport: T,
    uploads: RefCell<Uploads>,
    watcher: Option<Box<dyn Fn(Phase)>>,
}

impl<T: std::fmt::Debug> std::fmt::Debug for Engine<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("gate", &self.gate)
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}

impl<T: Transport> Engine<T> {
    /// `gate` must have been healed.
    #[must_use]
    pub fn new(gate: Gate, transport: T) -> Self {
        Self { gate: RefCell::new(gate), transport, uploads: RefCell::default(), watcher: None }
    }

    /// Tells `watcher` what it is doing. Called between exchanges; it must not take long.
    #[must_use]
    pub fn watched(mut self, watcher: impl Fn(Phase) + 'static) -> Self {
        self.watcher = Some(Box::new(watcher));
        self
    }

    fn tell(&self, phase: Phase) {
        if let Some(watcher) = &self.watcher {
            watcher(phase);
        }
    }

    /// The enrolment, between rounds.
    pub fn gate(&self) -> std::cell::Ref<'_, Gate> {
        self.gate.borrow()
    }

    /// What this process has uploaded.
    pub(crate) fn uploads(&self) -> std::cell::Ref<'_, Uploads> {
        self.uploads.borrow()
    }

    /// The network.
    pub const fn transport(&self) -> &T {
        &self.transport
    }

    /// One round: clocks, upload, download; each tried whatever became of the others.
    ///
    /// # Errors
    /// Only if the result cannot be noted in the database; what the network does is in the report.
    pub async fn round(&self) -> Result<Report, CallError> {
        let mut report = Report { time_error: self.compare_clocks().await.err(), ..Report::default() };
        report.upload = self.upload_lane().await;
        (report.download, report.new_manifest) = self.download_lane(0).await;
        if report.new_manifest && report.upload.error.is_none() {
            // A new epoch asks for everything again.
            let again = self.upload_lane().await;
            report.upload.entries += again.entries;
            report.upload.error = again.error;
        }
        report.guests = self.guests_lane().await;
        self.leave_if_done(&report.upload)?;
        self.note(&report)?;
        Ok(report)
    }

    /// Sends what is unsent. Upload is allowed, and comes first, even after revocation.
    pub async fn upload_lane(&self) -> Lane {
        let mut lane = Lane::default();
        let of = {
            let gate = self.gate.borrow();
            upload::unsent(gate.db.conn(), &gate.device).unwrap_or(0)
        };
        for _ in 0..MAX_STEPS {
            if of > 0 {
                self.tell(Phase::Uploading { done: lane.entries.min(of), of });
            }
            match self.upload_step(&mut lane).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    self.note_revocation(&error);
                    lane.error = Some(error);
                    break;
                }
            }
        }
        self.tell(Phase::Idle);
        lane
    }

    /// Fetches what is new; the server may hold back its first answer for `patience_secs`.
    pub async fn download_lane(&self, patience_secs: u32) -> (Lane, bool) {
        let (mut lane, mut downloads, mut new_manifest) = (Lane::default(), Downloads::default(), false);
        for _ in 0..MAX_STEPS {
            let step = match self.next_download(&downloads, patience_secs) {
                Ok(Some(step)) => step,
                Ok(None) => break,
                Err(error) => {
                    lane.error = Some(error.into());
                    break;
                }
            };
            let done = match step {
                DownloadStep::Manifest { full } => self.fetch_manifest(full, &mut downloads).await,
                DownloadStep::Wait { timeout_secs } => {
                    self.wait(timeout_secs, &mut downloads, &mut lane).await.map(|()| false)
                }
            };
            match done {
                Ok(newer) => {
                    lane.exchanges += 1;
                    new_manifest |= newer;
                }
                // A manifest that was refused is reported, and scans are fetched all the same.
                Err(error @ (CallError::Manifest(_) | CallError::Store(_))) => {
                    tracing::warn!(%error, "the manifest stays what it was");
                    lane.error = Some(error);
                }
                Err(error) => {
                    self.note_revocation(&error);
                    lane.error = Some(error);
                    break;
                }
            }
            self.tell(Phase::Idle);
        }
        self.tell(Phase::Idle);
        (lane, new_manifest)
    }

    /// Exchanges four timestamps and keeps the better of the old and the new comparison.
    ///
    /// # Errors
    /// [`CallError`]; then the old comparison stays.
    pub async fn compare_clocks(&self) -> Result<(), CallError> {
        self.tell(Phase::Connecting);
        let (echo, device) = {
            let mut gate = self.gate.borrow_mut();
            (nonce(&mut gate.world.rng), gate.device.device)
        };
        let clock = Arc::clone(&self.gate.borrow().world.clock);
        let sent_ns = clock.boottime_ns();
        let request = Request {
            method: "GET",
            path: "/gates/time".to_owned(),
            query: format!("nonce={echo}&device={device}"),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: TIME_TIMEOUT,
            max_answer: MAX_SMALL,
        };
        let response = self.transport.send(request).await?;
        let received_ns = clock.boottime_ns();
        let answer: TimeAnswer = cbor::decode(&accepted(response)?, MAX_SMALL)?;
        let gate = self.gate.borrow();
        let trust = loaded::trust(gate.db.conn(), &gate.device)?;
        let signed = answer.signed.ok_or_else(|| CallError::Time("there is no signature".to_owned()))?;
        let time = open_time(&trust, &signed, &echo).map_err(|e| CallError::Time(e.to_string()))?;
        let new = anchor_from_exchange(clock.boot_id(), sent_ns, received_ns, time.received_at, time.sent_at);
        let held = anchor::get(gate.db.conn(), gate.device.no)?;
        if is_better(&new, held.as_ref(), &*clock) {
            let tx = gate.db.begin()?;
            anchor::put(&tx, gate.device.no, &new)?;
            tx.commit()?;
        }
        Ok(())
    }

    async fn upload_step(&self, lane: &mut Lane) -> Result<bool, CallError> {
        let prepared = {
            let gate = self.gate.borrow();
            let (db, me) = (gate.db.conn(), &gate.device);
            let now = gate.now()?.best;
            let refused = uploads_table::refused(db, me.no)?;
            let offer = plan::next_offer(&upload::logs(db, me)?, &refused, &self.uploads.borrow(), now);
            match offer {
                None => return Ok(false),
                Some(offer) => (offer, upload::run(db, me, &offer)?),
            }
        };
        let (offer, Some((run, span))) = prepared else {
            // A hole in our own log: the entry is not here any more, and a fork entry says so.
            let (offer, _) = prepared;
            self.uploads.borrow_mut().note_taken(offer.log_no, (offer.span.0, offer.span.0));
            return Ok(true);
        };
        let body = cbor::encode(&UploadRequest { run });
        match self.signed("POST", "/gates/log", String::new(), body, LONG, MAX_SMALL).await {
            Ok(bytes) => {
                let answer: UploadAnswer = cbor::decode(&bytes, MAX_SMALL)?;
                let mut gate = self.gate.borrow_mut();
                if answer.device != gate.device.device || answer.log_no != offer.log_no {
                    return Err(CallError::Refused {
                        status: 200,
                        code: String::new(),
                        detail: "the answer is about another log".to_owned(),
                    });
                }
                let echo = nonce(&mut gate.world.rng);
                let time = gate.now()?;
                let forked = upload::note_taken(&gate.db, &gate.device, span, &answer, &time, echo)?;
                if let Some(fork) = forked {
                    tracing::warn!(log_no = fork.entry.place.log_no, "a new log was opened");
                    box_entry(&gate, &fork);
                }
                let mut uploads = self.uploads.borrow_mut();
                uploads.note_taken(offer.log_no, span);
                uploads.told.insert(offer.log_no, upload::told(&answer));
                lane.exchanges += 1;
                lane.entries += span.1 - span.0 + 1;
                Ok(true)
            }
            Err(error) if error.is_about_the_run() => {
                let gate = self.gate.borrow();
                let time = gate.now()?;
                tracing::warn!(%error, log_no = offer.log_no, ?span, "the server refused a run");
                upload::note_refused(&gate.db, &gate.device, offer.log_no, span, &error.to_string(), &time)?;
                lane.refused += 1;
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    fn next_download(&self, done: &Downloads, patience_secs: u32) -> rusqlite::Result<Option<DownloadStep>> {
        let gate = self.gate.borrow();
        let (state, _) = device::state_and_log(gate.db.conn(), gate.device.no)?;
        let held = manifest::get(gate.db.conn(), gate.device.no)?.map(|m| m.version);
        Ok(plan::next_download(state, held, done, patience_secs))
    }

    async fn fetch_manifest(&self, full: bool, downloads: &mut Downloads) -> Result<bool, CallError> {
        downloads.asked = true;
        downloads.asked_full |= full;
        downloads.need_full = false;
        let (echo, trust, held, query) = {
            let mut gate = self.gate.borrow_mut();
            let echo = nonce(&mut gate.world.rng);
            let trust = loaded::trust(gate.db.conn(), &gate.device)?;
            let held = loaded::held(gate.db.conn(), gate.device.no, gate.device.event)?;
            let v = held.manifest.map(|m| m.version).unwrap_or_default();
            let mut query = format!(
                "root={}&epoch={}&seq={}&as_of={}&nonce={echo}",
                trust.version(),
                v.epoch,
                v.change_seq,
                v.as_of.0
            );
            if full {
                query.push_str("&full=true");
            }
            (echo, trust, held, query)
        };
        self.tell(Phase::Downloading);
        let body = self.signed("GET", "/gates/manifest", query, Vec::new(), LONG, MAX_MANIFEST_BYTES).await?;
        self.tell(Phase::Checking);
        let answer = check::parse(&body)?;
        drop(body);
        let gate = self.gate.borrow();
        let now = gate.now()?.best;
        let stored =
            check::check(&trust, &held, &answer, &echo, now).map_err(CallError::from).and_then(|checked| {
                self.tell(Phase::Storing);
                apply::store(&gate.db, &gate.device, &held, &checked, &answer, &mut |_| Ok(()))
                    .map_err(CallError::Store)
            });
        match stored {
            Ok(stored) => {
                if stored.new_epoch {
                    *self.uploads.borrow_mut() = Uploads::default();
                    // The scans' cursor begins anew as well.
                    downloads.waited = None;
                }
                Ok(true)
            }
            Err(error) => {
                let advice = match &error {
                    CallError::Manifest(e) => e.advice(),
                    CallError::Store(e) => e.advice(),
                    _ => Advice::Refuse,
                };
                if advice == Advice::AskFull && !downloads.asked_full {
                    tracing::warn!(%error, "asking for the whole manifest");
                    downloads.need_full = true;
                    return Ok(false);
                }
                Err(error)
            }
        }
    }

    async fn wait(
        &self,
        timeout_secs: u32,
        downloads: &mut Downloads,
        lane: &mut Lane,
    ) -> Result<(), CallError> {
        self.tell(Phase::Idle);
        let query = {
            let gate = self.gate.borrow();
            let v = manifest::get(gate.db.conn(), gate.device.no)?.map(|m| m.version).unwrap_or_default();
            let scans = cursor::get(gate.db.conn(), gate.device.no)?.scans;
            let time = gate.now()?;
            let unsent = upload::unsent(gate.db.conn(), &gate.device)?.min(u32::MAX.into());
            // The last three are for the organizer's view of the devices.
            format!(
                "epoch={}&seq={}&as_of={}&scans={scans}&timeout={timeout_secs}&unsent={unsent}&offset_ms={}&\
                 uncertainty_ms={}",
                v.epoch,
                v.change_seq,
                v.as_of.0,
                time.wall_offset_ms(),
                time.error_ms
            )
        };
        let patience = SHORT + Duration::from_secs(timeout_secs.into());
        let body = self.signed("GET", "/gates/wait", query, Vec::new(), patience, MAX_WAIT_BYTES).await?;
        let answer: WaitAnswer = cbor::decode(&body, MAX_WAIT_BYTES)?;
        let gate = self.gate.borrow();
        let trust = loaded::trust(gate.db.conn(), &gate.device)?;
        let before = cursor::get(gate.db.conn(), gate.device.no)?.scans;
        let taken = foreign::store(&gate.db, &gate.device, &trust, &answer)?;
        lane.entries += taken.entries + taken.twins;
        lane.refused += taken.rejected;
        // A cursor that does not move would make "more" a circle.
        let more = answer.more && answer.scans > before;
        downloads.waited = Some((answer.manifest, more));
        Ok(())
    }

    /// Signs and sends. A refused clock is compared anew, and the request tried once more.
    pub(super) async fn signed(
        &self,
        method: &'static str,
        path: &str,
        query: String,
        body: Vec<u8>,
        timeout: Duration,
        max_answer: usize,
    ) -> Result<Vec<u8>, CallError> {
        let mut compared = false;
        loop {
            let headers = self.signature(method, path, &query, &body)?;
            let request = Request {
                method,
                path: path.to_owned(),
                query: query.clone(),
                headers,
                body: body.clone(),
                timeout,
                max_answer,
            };
            match accepted(self.transport.send(request).await?) {
                Err(CallError::Refused { code, .. }) if code == "clock_skew" && !compared => {
                    compared = true;
                    self.compare_clocks().await?;
                }
                other => return other,
            }
        }
    }

    fn signature(
        &self,
        method: &'static str,
        path: &str,
        query: &str,
        body: &[u8],
    ) -> Result<Vec<(&'static str, String)>, CallError> {
        let gate = self.gate.borrow();
        let parts = RequestParts { method, path, query: (!query.is_empty()).then_some(query), body };
        let created = gate.now()?.best.secs();
        let key = gate.device.seed.signing_key();
        let signed = httpsig::sign_request(&key, gate.device.device, &parts, created);
        let mut headers =
            vec![(httpsig::SIGNATURE_INPUT, signed.signature_input), (httpsig::SIGNATURE, signed.signature)];
        headers.extend(signed.content_digest.map(|d| (httpsig::CONTENT_DIGEST, d)));
        Ok(headers)
    }

    /// From now on only uploads, until everything is sent.
    pub(super) fn note_revocation(&self, error: &CallError) {
        if !error.is_revocation() {
            return;
        }
        let gate = self.gate.borrow();
        if let Err(error) = set_state(&gate, State::Leaving) {
            tracing::error!(%error, "the revocation could not be noted");
        }
    }

    /// A revoked device with nothing more to send, or whose sendings are refused as well, forgets the guests.
    fn leave_if_done(&self, upload: &Lane) -> Result<(), CallError> {
        let mut gate = self.gate.borrow_mut();
        let (state, _) = device::state_and_log(gate.db.conn(), gate.device.no)?;
        gate.device.state = state;
        let refused_too = upload.error.as_ref().is_some_and(CallError::is_revocation);
        // Runs that the server refuses for what they hold stay in the log, which is never wiped; they must not keep
        // guests' data here.
        let sent = upload.error.is_none();
        if state == State::Leaving && (sent || refused_too) {
            wipe(&gate)?;
            gate.device.state = State::Revoked;
        }
        Ok(())
    }

    fn note(&self, report: &Report) -> Result<(), CallError> {
        let gate = self.gate.borrow();
        let errors = [&report.upload.error, &report.download.error];
        let online = report.upload.exchanges + report.download.exchanges > 0
            || errors.iter().any(|e| e.as_ref().is_some_and(|e| !e.is_offline()));
        let synced_at = if report.is_complete() { Some(gate.now()?.best) } else { None };
        let tx = gate.db.begin()?;
        cursor::note_attempt(&tx, gate.device.no, online, synced_at, report.problem().as_deref())?;
        tx.commit()?;
        Ok(())
    }

    /// Notes how one exchange of the long-running loop went.
    ///
    /// # Errors
    /// SQLite's.
    pub fn note_lane(&self, lane: &Lane, both_work: bool) -> Result<(), CallError> {
        let gate = self.gate.borrow();
        let online = lane.error.as_ref().is_none_or(|e| !e.is_offline());
        let synced_at = if both_work { Some(gate.now()?.best) } else { None };
        let problem = lane.error.as_ref().map(ToString::to_string);
        let tx = gate.db.begin()?;
        cursor::note_attempt(&tx, gate.device.no, online, synced_at, problem.as_deref())?;
        tx.commit()?;
        Ok(())
    }

    /// As part of the long-running loop: wipes a revoked device once its uploads are through.
    ///
    /// # Errors
    /// SQLite's.
    pub fn leave(&self, upload: &Lane) -> Result<State, CallError> {
        self.leave_if_done(upload)?;
        Ok(self.gate.borrow().device.state)
    }
}

/// The body of a 2xx; anything else as a refusal.
pub(crate) fn accepted(response: Response) -> Result<Vec<u8>, CallError> {
    if (200..300).contains(&response.status) {
        return Ok(response.body);
    }
    #[derive(serde::Deserialize, Default)]
    struct Problem {
        #[serde(default)]
        code: String,
        #[serde(default)]
        detail: String,
    }
    let problem: Problem = serde_json::from_slice(&response.body).unwrap_or_default();
    Err(CallError::Refused { status: response.status, code: problem.code, detail: problem.detail })
}

/// A comparison in another boot, one that the new one contradicts, or a vaguer one gives way.
fn is_better(new: &anchor::Stored, held: Option<&anchor::Stored>, clock: &dyn crate::clock::Clock) -> bool {
    let Some(held) = held.filter(|h| h.boot_id == new.boot_id) else { return true };
    let (old, fresh) = (GateTime::read(clock, Some(held)), GateTime::read(clock, Some(new)));
    let apart = old.best.ms_since(fresh.best).unsigned_abs();
    old.anchor.is_none()
        || fresh.error_ms <= old.error_ms
        || apart > u64::from(old.error_ms) + u64::from(fresh.error_ms)
}

fn box_entry(gate: &Gate, entry: &crate::own_log::Appended) {
    let path = blackbox::path(gate.db.dir(), gate.device.device);
    match BlackBox::start(path, Arc::clone(&gate.world.clock)) {
        Ok(blackbox) => blackbox.add(entry.frame()),
        Err(error) => tracing::warn!(%error, "the black box has no thread"),
    }
}

fn set_state(gate: &Gate, state: State) -> rusqlite::Result<()> {
    let tx = gate.db.begin()?;
    device::set_state(&tx, gate.device.no, state)?;
    tx.commit()
}

/// Forgets everything about guests; the log stays, it is evidence.
pub(crate) fn wipe(gate: &Gate) -> rusqlite::Result<()> {
    wipe_if(gate, |_| Ok(true)).map(drop)
}

/// As [`wipe`], if the transaction that does it finds that it may; whether it did.
pub(crate) fn wipe_if(
    gate: &Gate,
    may: impl FnOnce(&Connection) -> rusqlite::Result<bool>,
) -> rusqlite::Result<bool> {
    let tx = gate.db.begin()?;
    if !may(&tx)? {
        return Ok(false);
    }
    bucket::delete_all(&tx, gate.device.no)?;
    manifest::delete(&tx, gate.device.no)?;
    guests::wipe(&tx, gate.device.no)?;
    device::set_state(&tx, gate.device.no, State::Revoked)?;
    tx.commit()?;
    guests::forget_write_ahead(gate.db.conn())?;
    Ok(true)
}
