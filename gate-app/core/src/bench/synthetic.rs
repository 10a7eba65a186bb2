//! A made-up organizer with one event: signs what a server would sign, for measuring and for tests.

use crate::db::Db;
use crate::db::table::cert::{self, Author, Cert};
use crate::db::table::device::{self, Challenge, Device, Seed};
use crate::db::table::trust_root;
use crate::loaded::{self, LoadError};
use crate::sync::apply::{self, StoreError};
use rand::Rng;
use shared::bytes::{Hash32, Nonce16, Nonce32, PublicKey};
use shared::ids::{DeviceId, EventId, GateId, ListId, OrganizerId, TicketId, TicketTypeId};
use shared::manifest::buckets::{buckets_hash, hash_all, split};
use shared::manifest::check::{ManifestError, check};
use shared::manifest::docs::{
    Capability, DeviceCertificate, DocKind, EventInfo, Freshness, GateConfig, KeyList, KeyStatus, ListConfig,
    ManifestHeader, ManifestVersion, ServerTime, SignedTrustRoot, TicketKey, TicketTypeConfig, TrustRoot,
    TypeSet,
};
use shared::manifest::document_hash;
use shared::manifest::rows::{TicketRow, TicketState, pack_columns};
use shared::manifest::sign1;
use shared::manifest::trust::sign_root;
use shared::ticket::Payload;
use shared::ticket::code;
use shared::ticket::keys::{SigningKey, kid_of};
use shared::time::{UnixMillis, UnixSecs};
use shared::wire::gates::{ManifestAnswer, ManifestBody};

/// Number of the only ticket type.
pub const TYPE_NO: u16 = 1;
/// Validity is as long as this on both sides of the moment that the organizer was made for.
const DAY_SECS: u32 = 24 * 3600;

/// All keys and facts of one organizer with one event.
#[derive(Debug)]
pub struct Organizer {
    /// Signs trust roots.
    pub root: SigningKey,
    /// Signs headers and key lists.
    pub manifest: SigningKey,
    /// Signs certificates, freshness and time.
    pub online: SigningKey,
    /// Signs codes.
    pub tickets: SigningKey,
    /// Everything of the header but version, counts and hashes. Tests change it before signing.
    pub header: ManifestHeader,
    /// Tests change it before signing.
    pub key_list: KeyList,
    /// Of the devices that it certifies.
    pub capabilities: Vec<Capability>,
    /// Makes ticket ids differ in time.
    now: UnixMillis,
}

/// Which rows an answer carries.
#[derive(Debug, Clone, Copy)]
pub enum Rows<'r> {
    /// All.
    Full,
    /// Those that changed since.
    Delta(u64, &'r [TicketRow]),
    /// None.
    Same,
}

impl Organizer {
    /// Everything drawn from the generator; the event is on at `now`.
    pub fn new(now: UnixMillis, rng: &mut dyn Rng) -> Self {
        let mut key = || {
            let mut seed = [0; 32];
            rng.fill_bytes(&mut seed);
            SigningKey::from_bytes(&seed)
        };
        let (root, manifest, online, tickets) = (key(), key(), key(), key());
        let (organizer, event) = (OrganizerId::generate(now.0, rng), EventId::generate(now.0, rng));
        let secs = now.secs();
        let header = ManifestHeader {
            organizer,
            event,
            version: ManifestVersion::default(),
            gaps: Vec::new(),
            tickets: 0,
            imports: 0,
            key_list_hash: Hash32([0; 32]),
            buckets_hash: Hash32([0; 32]),
            info: EventInfo {
                title: "Measured".to_owned(),
                time_zone: "Europe/Vienna".to_owned(),
                admission_at: None,
                starts_at: secs,
                ends_at: None,
            },
            lists: vec![ListConfig {
                id: ListId::generate(now.0, rng),
                name: "Attendance".to_owned(),
                ticket_types: TypeSet::All,
                multiple_entry: false,
                reentry_after_exit: true,
                attendance: true,
                rule: None,
            }],
            gates: vec![GateConfig { id: GateId::generate(now.0, rng), name: "North".to_owned() }],
            stewards: Vec::new(),
            ticket_types: vec![TicketTypeConfig {
                number: TYPE_NO,
                id: TicketTypeId::generate(now.0, rng),
                name: "Standard".to_owned(),
                not_before: secs.minus_secs(DAY_SECS),
                expires_at: secs.plus_secs(DAY_SECS),
                attention: None,
            }],
            fresh_until: secs.plus_secs(DAY_SECS),
            hard_until: secs.plus_secs(3 * DAY_SECS),
        };
        let public = PublicKey(tickets.verifying_key().to_bytes());
        let key_list = KeyList {
            organizer,
            issued_at: secs,
            ticket_keys: vec![TicketKey {
                kid: kid_of(&public),
                public_key: public,
                event,
                status: KeyStatus::Active,
            }],
            revoked_devices: Vec::new(),
        };
        let capabilities = vec![Capability::Scan];
        Self { root, manifest, online, tickets, header, key_list, capabilities, now }
    }

    /// The first trust root.
    #[must_use]
    pub fn trust_root(&self) -> SignedTrustRoot {
        let public = |key: &SigningKey| PublicKey(key.verifying_key().to_bytes());
        let root = TrustRoot {
            version: 1,
            organizer: self.header.organizer,
            root_key: public(&self.root),
            manifest_keys: vec![public(&self.manifest)],
            online_keys: vec![public(&self.online)],
            created_at: self.now.secs(),
        };
        sign_root(&root, &self.root, None)
    }

    /// The attendance list.
    #[must_use]
    pub fn list(&self) -> ListId {
        self.header.lists[0].id
    }

    /// A new valid ticket.
    pub fn row(&self, rng: &mut dyn Rng) -> TicketRow {
        TicketRow {
            ticket_id: TicketId::generate(self.now.0, rng),
            type_no: TYPE_NO,
            generation: 0,
            state: TicketState::Valid,
        }
    }

    /// The code of a ticket as sold at that time.
    #[must_use]
    pub fn code(&self, row: &TicketRow, issued_at: UnixSecs) -> String {
        let config = &self.header.ticket_types[0];
        let payload = Payload {
            generation: row.generation,
            kid: kid_of(&PublicKey(self.tickets.verifying_key().to_bytes())),
            ticket_id: row.ticket_id,
            type_no: row.type_no,
            issued_at,
            not_before: config.not_before,
            expires_at: config.expires_at,
        };
        code::sign(&self.tickets, self.header.organizer, self.header.event, &payload).to_text()
    }

    /// The signed state with these tickets (sorted by id), as the answer to a request.
    #[must_use]
    pub fn answer(
        &self,
        version: ManifestVersion,
        rows: &[TicketRow],
        body: Rows<'_>,
        nonce: Nonce16,
        now: UnixMillis,
    ) -> ManifestAnswer {
        let key_list = sign1::seal(DocKind::KeyList, &self.manifest, &self.key_list);
        let header = ManifestHeader {
            version,
            tickets: u32::try_from(rows.len()).expect("a bench has fewer tickets than 4 billion"),
            key_list_hash: document_hash(&key_list),
            buckets_hash: buckets_hash(&hash_all(split(rows))),
            ..self.header.clone()
        };
        let header = sign1::seal(DocKind::ManifestHeader, &self.manifest, &header);
        let freshness = Freshness { nonce, header_hash: document_hash(&header), server_time: now };
        ManifestAnswer {
            trust_roots: Vec::new(),
            key_list,
            freshness: sign1::seal(DocKind::Freshness, &self.online, &freshness),
            header,
            body: match body {
                Rows::Full => ManifestBody::Full { rows: pack_columns(rows) },
                Rows::Delta(from_seq, changed) => {
                    ManifestBody::Delta { from_seq, rows: pack_columns(changed) }
                }
                Rows::Same => ManifestBody::Same {},
            },
        }
    }

    /// The server's clock, signed.
    #[must_use]
    pub fn time(&self, nonce: Nonce16, received_at: UnixMillis, sent_at: UnixMillis) -> Vec<u8> {
        sign1::seal(DocKind::ServerTime, &self.online, &ServerTime { nonce, received_at, sent_at })
    }

    /// A device's certificate.
    #[must_use]
    pub fn certificate(&self, device: DeviceId, number: u32, key: &SigningKey) -> Vec<u8> {
        self.certificate_of(device, number, PublicKey(key.verifying_key().to_bytes()))
    }

    /// As [`Organizer::certificate`], for a key of which only the public half is known.
    #[must_use]
    pub fn certificate_of(&self, device: DeviceId, number: u32, public_key: PublicKey) -> Vec<u8> {
        let certificate = DeviceCertificate {
            organizer: self.header.organizer,
            event: self.header.event,
            device,
            number,
            public_key,
            capabilities: self.capabilities.clone(),
            not_after: self.now.secs().plus_secs(7 * DAY_SECS),
            label: format!("Gate {number}"),
        };
        sign1::seal(DocKind::DeviceCertificate, &self.online, &certificate)
    }

    /// A confirmed enrolment in a database, as if `gate enroll` had gone through.
    ///
    /// # Errors
    /// SQLite's.
    pub fn enroll(&self, db: &Db, number: u32, rng: &mut dyn Rng) -> rusqlite::Result<Device> {
        let mut seed = zeroize::Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut seed[..]);
        let seed = Seed(seed);
        let device = DeviceId::generate(self.now.0, rng);
        let root = self.trust_root();
        let tx = db.begin()?;
        let no =
            device::insert_pending(&tx, "http://127.0.0.1:1", "none", &seed, &Nonce32([0; 32]), self.now)?;
        let challenge = Challenge {
            enrolment: Nonce16([0; 16]),
            server_nonce: Nonce32([0; 32]),
            trust_root_hash: document_hash(&root.document),
        };
        device::set_challenge(&tx, no, &challenge)?;
        trust_root::insert(&tx, no, 1, &root)?;
        let key = seed.signing_key();
        let cert = Cert {
            no: Author(0),
            event: self.header.event,
            device,
            number,
            public_key: PublicKey(key.verifying_key().to_bytes()),
            certificate: self.certificate(device, number, &key),
            label: format!("Gate {number}"),
        };
        let author = cert::put(&tx, &cert)?;
        device::activate(&tx, no, self.header.organizer, self.header.event, device, author)?;
        tx.commit()?;
        device::get(db.conn(), no)?.ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    /// Takes an answer through the same checks as one from the network, and stores it.
    ///
    /// # Errors
    /// [`InstallError`].
    pub fn install(
        &self,
        db: &Db,
        me: &Device,
        answer: &ManifestAnswer,
        nonce: Nonce16,
        after_write: apply::AfterWrite<'_>,
    ) -> Result<(), InstallError> {
        let trust = loaded::trust(db.conn(), me)?;
        let held = loaded::held(db.conn(), me.no, me.event)?;
        let checked = check(&trust, &held, answer, &nonce, self.now)?;
        apply::store(db, me, &held, &checked, answer, after_write)?;
        Ok(())
    }
}

/// Why an answer was not stored.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// SQLite's.
    #[error("database")]
    Sql(#[from] rusqlite::Error),
    /// The stored trust.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Refused.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Not stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}
