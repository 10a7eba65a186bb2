//! Devices that speak to the real routes as gates do.

use anyhow::Result;
use hvflvspot::clock::Clock as _;
use reqwest::Method;
use shared::admission::{Flags, Outcome};
use shared::bytes::{Hash32, Nonce16};
use shared::cbor;
use shared::ids::{DeviceId, EventId, TicketId};
use shared::log::entry::{Direction, EntryKind, EntryPlace, LogEntry, ScanTime, Seen};
use shared::log::run::{NO_ENTRY, entry_hash, sign_run};
use shared::manifest::buckets::{self, BucketHashes};
use shared::manifest::check::{Checked, Held, HeldManifest, check};
use shared::manifest::docs::{ManifestHeader, ManifestVersion};
use shared::manifest::rows::TicketRow;
use shared::manifest::trust::Trust;
use shared::manifest::{apply, document_hash};
use shared::ticket::keys::SigningKey;
use shared::time::UnixMillis;
use shared::wire::gates::{CBOR, ManifestAnswer, Run, UploadAnswer, UploadRequest, WaitAnswer};
use shared::wire::httpsig::{
    CONTENT_DIGEST, RequestParts, SIGNATURE, SIGNATURE_INPUT, SignatureHeaders, sign_request,
};
use support::server::Reply;

use crate::venue::{Venue, answer};

/// An enrolled device with a manifest and a log of its own.
#[derive(Debug)]
pub struct TestDevice {
    pub id: DeviceId,
    pub key: SigningKey,
    pub trust: Trust,
    event: EventId,
    pub held: Option<HeldManifest>,
    pub header: Option<ManifestHeader>,
    pub blobs: Vec<Vec<u8>>,
    hashes: Box<BucketHashes>,
    pub log_no: u32,
    pub entries: Vec<(LogEntry, Hash32)>,
    pub cursor: u64,
}

impl TestDevice {
    pub fn new(id: DeviceId, key: SigningKey, trust: Trust, venue: &Venue) -> Self {
        Self {
            id,
            key,
            trust,
            event: venue.event,
            held: None,
            header: None,
            blobs: vec![Vec::new(); buckets::BUCKETS],
            hashes: buckets::empty_hashes(),
            log_no: 1,
            entries: Vec::new(),
            cursor: 0,
        }
    }

    /// Signs as this device at the server's time.
    pub fn sign(
        &self,
        venue: &Venue,
        method: &str,
        path: &str,
        query: Option<&str>,
        body: &[u8],
    ) -> SignatureHeaders {
        let created = UnixMillis(venue.clock.now_ms()).secs();
        sign_request(&self.key, self.id, &RequestParts { method, path, query, body }, created)
    }

    /// A request with these signature headers.
    pub async fn send<T>(
        venue: &Venue,
        method: Method,
        target: &str,
        body: Vec<u8>,
        headers: &SignatureHeaders,
    ) -> Result<(Reply, Result<T>)>
    where
        T: for<'b> minicbor::Decode<'b, ()> + minicbor::Encode<()>,
    {
        let mut request = venue
            .server
            .request(method, target)
            .header(SIGNATURE_INPUT, &headers.signature_input)
            .header(SIGNATURE, &headers.signature);
        if let Some(digest) = &headers.content_digest {
            request = request.header(CONTENT_DIGEST, digest);
        }
        if !body.is_empty() {
            request = request.header("content-type", CBOR).body(body);
        }
        answer(request.send().await?).await
    }

    pub async fn get<T>(&self, venue: &Venue, path: &str, query: &str) -> Result<(Reply, Result<T>)>
    where
        T: for<'b> minicbor::Decode<'b, ()> + minicbor::Encode<()>,
    {
        let headers = self.sign(venue, "GET", path, Some(query), &[]);
        Self::send(venue, Method::GET, &format!("{path}?{query}"), Vec::new(), &headers).await
    }

    pub fn version(&self) -> ManifestVersion {
        self.held.map(|h| h.version).unwrap_or_default()
    }

    pub async fn ask(
        &self,
        venue: &Venue,
        version: ManifestVersion,
        full: bool,
    ) -> Result<(Reply, Result<(ManifestAnswer, Nonce16)>)> {
        let nonce = Nonce16(venue.server.app.rng.bytes());
        let query = format!(
            "root=0&epoch={}&seq={}&as_of={}&nonce={nonce}&full={full}",
            version.epoch, version.change_seq, version.as_of.0
        );
        let (reply, answer) = self.get(venue, "/gates/manifest", &query).await?;
        Ok((reply, answer.map(|a| (a, nonce))))
    }

    /// Accepts an answer or fails as a gate would.
    pub fn accept(&mut self, venue: &Venue, answer: &ManifestAnswer, nonce: &Nonce16) -> Result<Checked> {
        let held = Held { event: self.event, manifest: self.held };
        let checked = check(&self.trust, &held, answer, nonce, UnixMillis(venue.clock.now_ms()))?;
        let blobs = self.blobs.clone();
        let applied = apply::apply(&checked, &self.hashes, |no| {
            Ok::<_, std::io::Error>(blobs[usize::from(no)].clone())
        })?;
        for (no, blob) in applied.touched {
            self.blobs[usize::from(no)] = blob;
        }
        self.hashes = applied.hashes;
        self.held = Some(HeldManifest {
            version: checked.header.version,
            header_hash: document_hash(&answer.header),
            tickets: checked.header.tickets,
        });
        self.header = Some(checked.header.clone());
        Ok(checked)
    }

    /// Fetches and applies the manifest; returns the raw answer.
    pub async fn sync(&mut self, venue: &Venue) -> Result<ManifestAnswer> {
        let (_, answer) = self.ask(venue, self.version(), false).await?;
        let (answer, nonce) = answer?;
        self.accept(venue, &answer, &nonce)?;
        Ok(answer)
    }

    /// All rows held, sorted.
    pub fn rows(&self) -> Result<Vec<TicketRow>> {
        let mut rows = Vec::new();
        for blob in &self.blobs {
            rows.extend(shared::manifest::rows::parse_rows(blob)?);
        }
        rows.sort_by_key(|r| r.ticket_id);
        Ok(rows)
    }

    /// Writes an entry into its log.
    pub fn write(&mut self, venue: &Venue, change: impl FnOnce(&mut LogEntry)) -> EntryPlace {
        let (seq, prev_hash) = self.entries.last().map_or((1, NO_ENTRY), |(e, h)| (e.place.seq + 1, *h));
        let now = UnixMillis(venue.clock.now_ms());
        let mut entry = LogEntry {
            place: EntryPlace { device: self.id, log_no: self.log_no, seq },
            prev_hash,
            kind: EntryKind::Entry,
            outcome: Outcome::Ok,
            flags: Flags::NONE,
            list: Some(venue.list),
            ticket: None,
            generation: Some(0),
            kid: None,
            text_hash: Some(Hash32([1; 32])),
            type_no: Some(1),
            reason: None,
            gate: Some(venue.gates[0]),
            staff: None,
            nonce: Nonce16(venue.server.app.rng.bytes()),
            target: None,
            direction: Direction::In,
            rehearsal: false,
            time: ScanTime {
                corrected: now,
                error_ms: 50,
                wall: now,
                boot_id: Nonce16([3; 16]),
                monotonic_ns: u64::try_from(venue.clock.monotonic().as_nanos()).unwrap_or(0),
                anchor: None,
            },
            manifest: None,
            seen: Vec::new(),
        };
        change(&mut entry);
        let place = entry.place;
        let hash = entry_hash(&entry.to_bytes());
        self.entries.push((entry, hash));
        place
    }

    pub fn admit(&mut self, venue: &Venue, ticket: TicketId) -> EntryPlace {
        self.write(venue, |e| e.ticket = Some(ticket))
    }

    pub fn exit(&mut self, venue: &Venue, ticket: TicketId) -> EntryPlace {
        self.write(venue, |e| {
            e.ticket = Some(ticket);
            e.kind = EntryKind::Exit;
            e.direction = Direction::Out;
        })
    }

    pub fn refuse(&mut self, venue: &Venue, ticket: TicketId, outcome: Outcome) -> EntryPlace {
        self.write(venue, |e| {
            e.ticket = Some(ticket);
            e.kind = EntryKind::Refuse;
            e.outcome = outcome;
        })
    }

    pub fn undo(&mut self, venue: &Venue, target: EntryPlace) -> EntryPlace {
        self.write(venue, |e| {
            e.kind = EntryKind::Undo;
            e.target = Some(target);
            e.ticket = None;
            e.text_hash = None;
            e.generation = None;
            e.type_no = None;
            e.reason = Some("wrong person".into());
        })
    }

    pub fn knows(&mut self, number: u32, log_no: u32, seq: u64) {
        let (entry, _) = self.entries.pop().expect("an entry to amend");
        let entry = LogEntry { seen: vec![Seen { number, log_no, seq }], ..entry };
        let hash = entry_hash(&entry.to_bytes());
        self.entries.push((entry, hash));
    }

    /// A signed run of entries from..=to of its log, counted from 1.
    pub fn run(&self, from: usize, to: usize) -> Run {
        let entries = &self.entries[from - 1..to];
        let (last, hash) = entries.last().expect("a run has entries");
        Run {
            device: self.id,
            log_no: last.place.log_no,
            entries: entries.iter().map(|(e, _)| e.to_bytes().into()).collect(),
            signature: sign_run(&self.key, last.place, hash),
        }
    }

    pub async fn try_upload(&self, venue: &Venue, run: &Run) -> Result<(Reply, Result<UploadAnswer>)> {
        let body = cbor::encode(&UploadRequest { run: run.clone() });
        let headers = self.sign(venue, "POST", "/gates/log", None, &body);
        Self::send(venue, Method::POST, "/gates/log", body, &headers).await
    }

    pub async fn upload(&self, venue: &Venue, run: &Run) -> Result<UploadAnswer> {
        self.try_upload(venue, run).await?.1
    }

    /// Uploads everything.
    pub async fn push(&self, venue: &Venue) -> Result<UploadAnswer> {
        self.upload(venue, &self.run(1, self.entries.len())).await
    }

    pub async fn try_wait(&self, venue: &Venue, timeout: u64) -> Result<(Reply, Result<WaitAnswer>)> {
        let v = self.version();
        let query = format!(
            "epoch={}&seq={}&as_of={}&scans={}&timeout={timeout}",
            v.epoch, v.change_seq, v.as_of.0, self.cursor
        );
        self.get(venue, "/gates/wait", &query).await
    }

    pub async fn wait(&self, venue: &Venue, timeout: u64) -> Result<WaitAnswer> {
        self.try_wait(venue, timeout).await?.1
    }
}
