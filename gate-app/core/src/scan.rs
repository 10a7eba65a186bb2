//! One scan, from text to durable verdict. The verdict is made inside the transaction that records it, so that no
//! other process can admit the same ticket between looking and writing; the answer exists only after the commit.

use crate::answer::{Answer, rfc3339};
use crate::blackbox::{self, BlackBox};
use crate::db::Db;
use crate::db::table::device::{self, State};
use crate::db::table::{anchor, bucket, guest_sealed, log_entry, manifest};
use crate::fault::Fault;
use crate::gate::{Gate, OpenError};
use crate::gate_time::GateTime;
use crate::heal;
use crate::loaded::{self, LoadError, Loaded};
use crate::own_log::{self, Appended, Draft};
use crate::session::{self, Session};
use rusqlite::Connection;
use shared::admission::explain::Explanation;
use shared::admission::{
    Flag, Knowledge, Learned, ManifestView, Question, Record, TicketHistory, Verdict, decide,
};
use shared::bytes::Nonce16;
use shared::guest::GuestRecord;
use shared::guest::seal::{self, SealedTo};
use shared::ids::{GateId, ListId, StewardId};
use shared::log::entry::{Direction, EntryKind, LogEntry};
use shared::manifest::buckets;
use shared::manifest::docs::{ListConfig, TicketTypeConfig};
use shared::ticket::keys::Presented;
use shared::ticket::{Payload, code, foreign};
use std::sync::Arc;

/// An answer that nobody saw is given again for so long.
const RESUME_MS: i64 = 120_000;
/// So far back the log is searched for such.
const RESUME_ENTRIES: usize = 64;

/// How a run of scans is made.
#[derive(Debug, Clone)]
pub struct Settings {
    /// List by id or name; the attendance list without.
    pub list: Option<String>,
    /// Gate by id or name; the only one without.
    pub gate: Option<String>,
    /// Which way people go.
    pub direction: Direction,
    /// A supervisor, whose PIN was right, admits for this reason.
    pub override_reason: Option<String>,
    /// Who is at the device.
    pub staff: Option<StewardId>,
    /// Scans for real, never counts.
    pub rehearsal: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            list: None,
            gate: None,
            direction: Direction::In,
            override_reason: None,
            staff: None,
            rehearsal: false,
        }
    }
}

/// Why a scan left no record.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Sql(#[from] rusqlite::Error),
    #[error("{0}")]
    Load(#[from] LoadError),
    #[error("the data folder cannot be opened again")]
    Open(#[from] crate::db::DbError),
    #[error("this device was revoked")]
    Revoked,
}

impl Failure {
    fn fault(&self) -> Fault {
        match self {
            Self::Sql(sql) => Fault::of_sql(sql),
            Self::Load(load) => Fault::of_load(load),
            Self::Open(db) => Fault::of_db(db),
            Self::Revoked => Fault::Revoked,
        }
    }
}

/// Decides and records scans of one enrolment, one after the other.
#[derive(Debug)]
pub struct Scanner {
    gate: Gate,
    settings: Settings,
    loaded: Loaded,
    list: ListConfig,
    gate_id: Option<GateId>,
    anchor: Option<anchor::Stored>,
    session: Session,
    blackbox: BlackBox,
    /// As of the last look; another value means that another process has committed.
    data_version: Option<i64>,
    /// Answers that a process which ended may not have shown.
    resumable: Vec<log_entry::Unshown>,
    /// Rows whose answers were shown since the last commit.
    shown: Vec<i64>,
    /// A write failed: the connection is opened anew before the next one.
    suspect: bool,
}

/// An answer with the row that it stands for, to be given back to [`Scanner::shown`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// What to show.
    pub answer: Answer,
    /// The same as data, for windows that word it in their own language.
    pub detail: Detail,
    row: Option<i64>,
    resumed: bool,
}

/// What stands beside an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// Why the answer is as it is.
    pub why: Why,
    /// Name of the ticket's type.
    pub ticket_type_name: Option<String>,
    /// For the steward, at every scan of this type.
    pub attention: Option<String>,
    /// What the code opened: who comes with it.
    pub guest: Option<GuestRecord>,
    /// Seconds since the manifest's `as_of`.
    pub manifest_age_secs: u32,
    /// Half-width of the clock's error.
    pub uncertainty_ms: u32,
    /// What kept it from being recorded.
    pub fault: Option<Fault>,
}

/// Why an answer is as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// By the rules.
    Decided(Explanation),
    /// The same attempt was answered before, or (resumed) its answer was never shown.
    Repeated {
        /// Recorded by a process that ended before it could show the answer.
        resumed: bool,
    },
}

/// Where the scanner stands from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What is scanned for.
    pub list: ListId,
    /// Where.
    pub gate: Option<GateId>,
    /// Which way people go.
    pub direction: Direction,
    /// Scans for real, never counts.
    pub rehearsal: bool,
}

impl Scanner {
    /// Prepares scanning; `gate` must have been healed.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn new(mut gate: Gate, settings: Settings) -> Result<Self, OpenError> {
        if gate.device.state != State::Active {
            return Err(OpenError::Revoked);
        }
        let loaded = loaded::load(gate.db.conn(), &gate.device)?.ok_or(OpenError::NoManifest)?;
        let list = loaded
            .list(settings.list.as_deref())
            .ok_or_else(|| OpenError::NoList(settings.list.clone().unwrap_or_default()))?
            .clone();
        let gate_id = loaded.gate(settings.gate.as_deref()).map(|g| g.id);
        if let (Some(wanted), None) = (&settings.gate, gate_id) {
            return Err(OpenError::NoGate(wanted.clone()));
        }
        let session = Session::start(gate.db.dir(), &mut gate.world.rng)?;
        let blackbox = BlackBox::start(
            blackbox::path(gate.db.dir(), gate.device.device),
            Arc::clone(&gate.world.clock),
        )?;
        let anchor = anchor::get(gate.db.conn(), gate.device.no)?;
        let mut scanner = Self {
            gate,
            settings,
            loaded,
            list,
            gate_id,
            anchor,
            session,
            blackbox,
            data_version: None,
            resumable: Vec::new(),
            shown: Vec::new(),
            suspect: false,
        };
        scanner.resumable = scanner.find_resumable()?;
        Ok(scanner)
    }

    /// The list that is scanned for.
    #[must_use]
    pub const fn list(&self) -> &ListConfig {
        &self.list
    }

    /// The manifest in use.
    #[must_use]
    pub const fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// The enrolment.
    #[must_use]
    pub const fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Decides and records one scan. A nonce names the attempt: the same one again gives the first answer again.
    /// Never fails: what could not be recorded is an answer too, and never a green one.
    pub fn scan(&mut self, text: &str, nonce: Option<Nonce16>) -> Given {
        let presented = self.loaded.ring.present(text);
        let proven = match &presented {
            Presented::Verified { payload, .. } => Some(*payload),
            _ => None,
        };
        let was = nonce;
        let nonce = nonce.unwrap_or_else(|| heal::nonce(&mut self.gate.world.rng));
        match self.attempt(text, presented, nonce, was.is_some()) {
            Ok(mut given) => {
                // After the commit: nobody's admission waits for it.
                given.detail.guest = proven.and_then(|payload| self.open_guest(text, &payload));
                given
            }
            Err(failure) => {
                tracing::error!(%failure, "a scan could not be recorded");
                if !matches!(failure, Failure::Revoked) {
                    self.suspect = true;
                }
                let time = GateTime::read(&*self.gate.world.clock, self.anchor.as_ref());
                let why = failure.to_string();
                let answer = Answer::cannot_record(presented.text_hash(), self.list.id, time.best, &why);
                let detail = Detail {
                    fault: Some(failure.fault()),
                    ..self.detail(Why::Decided(Explanation::CannotRecord), None, &time)
                };
                Given { answer, detail, row: None, resumed: false }
            }
        }
    }

    /// As [`Scanner::scan`]; a supervisor, whose PIN was right, admits for this reason.
    pub fn override_scan(&mut self, text: &str, nonce: Nonce16, reason: &str, staff: StewardId) -> Given {
        let before = (self.settings.override_reason.replace(reason.to_owned()), self.settings.staff);
        self.settings.staff = Some(staff);
        let given = self.scan(text, Some(nonce));
        (self.settings.override_reason, self.settings.staff) = before;
        given
    }

    /// Who is at the device from now on.
    pub const fn set_staff(&mut self, staff: Option<StewardId>) {
        self.settings.staff = staff;
    }

    /// Another list, gate, direction or kind of scanning, without opening anything anew.
    ///
    /// # Errors
    /// [`OpenError::NoList`] or [`OpenError::NoGate`]; then everything stays as it was.
    pub fn stand(&mut self, at: Standing) -> Result<(), OpenError> {
        let header = &self.loaded.header;
        // What the event no longer has is kept while nobody goes elsewhere: people are standing in front of this gate.
        let list =
            header.lists.iter().find(|l| l.id == at.list).or((self.list.id == at.list).then_some(&self.list));
        let list = list.ok_or_else(|| OpenError::NoList(at.list.to_string()))?.clone();
        let unknown = |id: &GateId| Some(*id) != self.gate_id && header.gates.iter().all(|g| g.id != *id);
        if let Some(gate) = at.gate.filter(unknown) {
            return Err(OpenError::NoGate(gate.to_string()));
        }
        self.list = list;
        self.gate_id = at.gate;
        self.settings.direction = at.direction;
        self.settings.rehearsal = at.rehearsal;
        Ok(())
    }

    /// Looks for a newer manifest or a revocation now, not only at the next scan.
    ///
    /// # Errors
    /// What keeps this device from scanning.
    pub fn refresh(&mut self) -> Result<(), Fault> {
        self.catch_up().map(|_| ()).map_err(|failure| failure.fault())
    }

    /// The newest admission or exit of a process that ended before it said that its answer was shown.
    #[must_use]
    pub fn unseen(&self) -> Option<&log_entry::Stored> {
        self.resumable.iter().map(|u| &u.stored).max_by_key(|s| s.entry.place)
    }

    /// True if something was shown that no commit has saved yet.
    #[must_use]
    pub const fn has_unsaved(&self) -> bool {
        !self.shown.is_empty()
    }

    /// The answer reached the person at the gate. Saved with the next commit, or by [`Scanner::settle`].
    pub fn shown(&mut self, given: &Given) {
        self.shown.extend(given.row);
        if given.resumed {
            // It must not be given a third time: no waiting for the next scan.
            self.settle();
        }
    }

    /// For idle moments and the end: saves what was shown and writes the log's pages back.
    pub fn settle(&mut self) {
        if self.suspect {
            return;
        }
        if let Err(error) = self.save_shown() {
            // Harmless: at worst an answer is given twice within two minutes after a crash.
            tracing::warn!(%error, "what was shown could not be saved");
        }
        let _ = self.gate.db.checkpoint();
    }

    fn save_shown(&mut self) -> rusqlite::Result<()> {
        if self.shown.is_empty() {
            return Ok(());
        }
        let tx = self.gate.db.begin()?;
        for row in &self.shown {
            log_entry::set_shown(&tx, *row)?;
        }
        tx.commit()?;
        self.shown.clear();
        Ok(())
    }

    /// Who comes with a genuine code, if their record is here. It decides nothing: whatever is in the way, there is none.
    fn open_guest(&self, text: &str, payload: &Payload) -> Option<GuestRecord> {
        let (db, me) = (self.gate.db.conn(), &self.gate.device);
        let (ticket, generation) = (payload.ticket_id, payload.generation);
        let sealed = match guest_sealed::get(db, me.no, ticket, generation) {
            Ok(sealed) => sealed?,
            Err(error) => {
                tracing::warn!(%error, "a guest record could not be read");
                return None;
            }
        };
        let signature = code::parse(text).ok()?.signature;
        match seal::open(&sealed, &SealedTo { signature, event: me.event, ticket, generation }) {
            Ok(record) => Some(record),
            Err(error) => {
                tracing::warn!(%error, %ticket, "a guest record did not open");
                None
            }
        }
    }

    fn attempt(
        &mut self,
        text: &str,
        presented: Presented,
        nonce: Nonce16,
        may_repeat: bool,
    ) -> Result<Given, Failure> {
        // Before the connection is replaced, so that it stays so: this log must be read anew, and healed, by a new start.
        self.gate.db.assert_in_place()?;
        if self.suspect {
            // After an I/O error a connection's cache is not to be trusted.
            self.gate.db = Db::open(self.gate.db.dir())?;
            self.data_version = None;
            self.suspect = false;
        }
        execute(self.gate.db.conn(), "begin immediate")?;
        let inside = self.gate.db.assert_in_place().map_err(Failure::from);
        let inside =
            inside.and_then(|()| self.record(text, presented, nonce, may_repeat)).and_then(|recorded| {
                execute(self.gate.db.conn(), "commit")?;
                Ok(recorded)
            });
        let recorded = match inside {
            Ok(recorded) => recorded,
            Err(failure) => {
                if !self.gate.db.conn().is_autocommit() {
                    // If even this fails, the connection is replaced before the next scan.
                    let _ = execute(self.gate.db.conn(), "rollback");
                }
                return Err(failure);
            }
        };
        self.shown.clear();
        Ok(match recorded {
            Recorded::New { verdict, appended } => {
                let verdict = *verdict;
                let time = GateTime::read(&*self.gate.world.clock, self.anchor.as_ref());
                self.blackbox.add(appended.frame());
                let place = appended.entry.place;
                let at = appended.entry.time.corrected;
                let answer =
                    Answer::of(&verdict, &self.loaded, &self.list, at, Some((place.log_no, place.seq)));
                let detail = Detail {
                    attention: verdict.attention,
                    ticket_type_name: verdict.ticket_type_name,
                    uncertainty_ms: verdict.uncertainty_ms,
                    ..self.detail(Why::Decided(verdict.explanation), None, &time)
                };
                Given { answer, detail, row: Some(appended.id), resumed: false }
            }
            Recorded::Again { stored, history, resumed } => self.again(&stored, &history, resumed),
        })
    }

    /// Everything between `begin` and `commit`.
    fn record(
        &mut self,
        text: &str,
        mut presented: Presented,
        nonce: Nonce16,
        may_repeat: bool,
    ) -> Result<Recorded, Failure> {
        if self.catch_up()? {
            presented = self.loaded.ring.present(text);
        }
        let Self { gate, loaded, settings, list, .. } = &*self;
        let (db, me) = (gate.db.conn(), &gate.device);
        for row in &self.shown {
            log_entry::set_shown(db, *row)?;
        }
        let time = GateTime::read(&*gate.world.clock, self.anchor.as_ref());
        if may_repeat && let Some(stored) = log_entry::by_nonce(db, me.author, &nonce)? {
            let history = Box::new(self.history(&stored.entry)?);
            return Ok(Recorded::Again { stored: Box::new(stored), history, resumed: false });
        }
        if let Some(stored) = self.resume(&presented, &time)? {
            let history = Box::new(self.history(&stored.entry)?);
            return Ok(Recorded::Again { stored: Box::new(stored), history, resumed: true });
        }
        let ticket = match presented {
            Presented::Verified { payload, .. } => Some(payload.ticket_id),
            // Imported tickets are found by what their barcode comes to.
            Presented::Foreign { text_hash } => Some(foreign::ticket_of(me.event, &text_hash)),
            _ => None,
        };
        let (known, records) = match ticket {
            None => (None, Vec::new()),
            Some(ticket) => {
                let no = buckets::bucket_of(&ticket);
                let known = bucket::with_rows(db, me.no, no, |rows| buckets::find(rows, &ticket))?;
                (known, log_entry::of_ticket(db, me.event, ticket)?)
            }
        };
        let history = fold(&records, list, loaded);
        let verdict = decide(&Question {
            presented: &presented,
            direction: settings.direction,
            list,
            rule: loaded.rule(list.id),
            gate: self.gate_id,
            now: time.best,
            uncertainty_ms: time.error_ms,
            knowledge: Knowledge {
                manifest: Some(ManifestView::from(&loaded.header)),
                known,
                learned: Learned::of(&records, &loaded.cut_offs),
            },
            history: &history,
            override_reason: settings.override_reason.as_deref(),
            rehearsal: settings.rehearsal,
            zone: loaded.zone.as_ref().map(|z| z as _),
        });
        let draft = self.draft(&verdict, nonce);
        let appended = own_log::append(db, me, me.log_no, draft, &time, self.session.id, false)?;
        Ok(Recorded::New { verdict: Box::new(verdict), appended: Box::new(appended) })
    }

    /// Looks whether another process has changed anything that matters here; true if the keys are others now.
    fn catch_up(&mut self) -> Result<bool, Failure> {
        let data_version = self.gate.db.data_version()?;
        if self.data_version == Some(data_version) {
            return Ok(false);
        }
        let (db, me) = (self.gate.db.conn(), &self.gate.device);
        let (state, log_no) = device::state_and_log(db, me.no)?;
        if state != State::Active {
            return Err(Failure::Revoked);
        }
        let anchor = anchor::get(db, me.no)?;
        let generation = manifest::generation(db, me.no)?;
        let newer = if generation == Some(self.loaded.generation) { None } else { loaded::load(db, me)? };
        self.gate.device.log_no = log_no;
        self.anchor = anchor;
        self.data_version = Some(data_version);
        let Some(newer) = newer else { return Ok(false) };
        self.loaded = newer;
        // A list that is gone keeps its last form: people are standing in front of this gate.
        let id = self.list.id;
        if let Some(list) = self.loaded.header.lists.iter().find(|l| l.id == id) {
            self.list = list.clone();
        }
        Ok(true)
    }

    fn draft(&self, verdict: &Verdict, nonce: Nonce16) -> Draft {
        let reason = if verdict.kind == EntryKind::Override {
            self.settings.override_reason.as_deref().map(|r| r.trim().to_owned())
        } else {
            None
        };
        Draft {
            kind: verdict.kind,
            outcome: verdict.outcome,
            flags: verdict.flags,
            list: Some(verdict.list),
            ticket: verdict.ticket_id,
            generation: verdict.generation,
            kid: verdict.kid,
            text_hash: Some(verdict.text_hash),
            type_no: verdict.type_no,
            reason,
            gate: self.gate_id,
            staff: self.settings.staff,
            nonce,
            target: None,
            direction: verdict.direction,
            rehearsal: verdict.rehearsal,
            manifest: Some(self.loaded.header.version),
        }
    }

    fn history(&self, entry: &LogEntry) -> Result<TicketHistory, Failure> {
        let Some(ticket) = entry.ticket else { return Ok(TicketHistory::default()) };
        let records = log_entry::of_ticket(self.gate.db.conn(), self.gate.device.event, ticket)?;
        Ok(fold(&records, &self.list, &self.loaded))
    }

    /// Last entries of processes that ended, if their answers may not have been seen.
    fn find_resumable(&self) -> Result<Vec<log_entry::Unshown>, OpenError> {
        let (db, me) = (&self.gate.db, &self.gate.device);
        let mut found = log_entry::unshown(db.conn(), me.author, me.log_no, RESUME_ENTRIES)?;
        let mut dead = Vec::new();
        for unshown in found.drain(..) {
            if !session::is_alive(db.dir(), unshown.session)? {
                dead.push(unshown);
            }
        }
        Ok(dead)
    }

    /// The unseen admission that this code got from a process that ended, claimed so that no other process gives
    /// it too.
    fn resume(&self, presented: &Presented, time: &GateTime) -> Result<Option<log_entry::Stored>, Failure> {
        let same = |entry: &LogEntry| {
            entry.text_hash == Some(presented.text_hash())
                && entry.list == Some(self.list.id)
                && entry.direction == self.settings.direction
                && entry.rehearsal == self.settings.rehearsal
                && entry.time.corrected.ms_since(time.best).abs() < RESUME_MS
        };
        for unshown in self.resumable.iter().filter(|u| same(&u.stored.entry)) {
            let db = self.gate.db.conn();
            if log_entry::is_undone(db, &unshown.stored.entry.place)? {
                continue;
            }
            if log_entry::claim(db, unshown.stored.id, unshown.session, self.session.id)? {
                return Ok(Some(unshown.stored.clone()));
            }
        }
        Ok(None)
    }

    /// The answer of an entry that is recorded already.
    fn again(&mut self, stored: &log_entry::Stored, history: &TicketHistory, resumed: bool) -> Given {
        self.resumable.retain(|u| u.stored.id != stored.id);
        let e = &stored.entry;
        let config = e.type_no.and_then(|no| self.loaded.header.ticket_types.iter().find(|t| t.number == no));
        let time = GateTime::read(&*self.gate.world.clock, self.anchor.as_ref());
        let detail = self.detail(Why::Repeated { resumed }, config, &time);
        let explanation = match (resumed, e.kind) {
            (true, _) => "Recorded just before the device stopped; nobody had seen the answer.",
            (false, EntryKind::Refuse) => "The same attempt again: it was refused.",
            (false, _) => "The same attempt again: it was recorded once.",
        };
        let answer = Answer {
            code_sha256: e.text_hash.unwrap_or(shared::bytes::Hash32([0; 32])),
            outcome: e.outcome,
            flags: e.flags.with_if(resumed, Flag::Resumed),
            kind: e.kind,
            ticket_id: e.ticket,
            ticket_type: config.map(|t| t.id),
            list: e.list.unwrap_or(self.list.id),
            scanned_at: rfc3339(e.time.corrected),
            log_no: Some(e.place.log_no),
            seq: Some(e.place.seq),
            first_admission: history
                .first_admission()
                .filter(|_| e.kind == EntryKind::Refuse || e.kind == EntryKind::Exit)
                .map(Into::into),
            explanation: explanation.to_owned(),
        };
        Given { answer, detail, row: Some(stored.id), resumed }
    }

    fn detail(&self, why: Why, config: Option<&TicketTypeConfig>, time: &GateTime) -> Detail {
        let age_secs = time.best.ms_since(self.loaded.header.version.as_of.millis()).max(0) / 1000;
        Detail {
            why,
            ticket_type_name: config.map(|t| t.name.clone()),
            attention: config.and_then(|t| t.attention.clone()),
            guest: None,
            manifest_age_secs: u32::try_from(age_secs).unwrap_or(u32::MAX),
            uncertainty_ms: time.error_ms,
            fault: None,
        }
    }
}

impl Drop for Scanner {
    fn drop(&mut self) {
        self.settle();
    }
}

enum Recorded {
    New { verdict: Box<Verdict>, appended: Box<Appended> },
    Again { stored: Box<log_entry::Stored>, history: Box<TicketHistory>, resumed: bool },
}

fn fold(records: &[Record], list: &ListConfig, loaded: &Loaded) -> TicketHistory {
    let of_list = records.iter().filter(|r| r.list == Some(list.id));
    TicketHistory::fold(of_list, records, &loaded.cut_offs)
}

fn execute(db: &Connection, sql: &str) -> rusqlite::Result<()> {
    db.prepare_cached(sql)?.execute([])?;
    Ok(())
}
