//! One organizer, one event, fixed keys, and a server that answers for them.

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use shared::bytes::{Hash32, Nonce16, PublicKey};
use shared::cbor;
use shared::ids::{EventId, ListId, OrganizerId, TicketId, TicketTypeId, uuid_v7};
use shared::manifest::buckets::{buckets_hash, hash_all, split};
use shared::manifest::check::{Checked, Held, HeldManifest, ManifestError, check};
use shared::manifest::docs::{
    DocKind, EventInfo, Freshness, KeyList, KeyStatus, ListConfig, ManifestHeader, ManifestVersion,
    SignedTrustRoot, TicketKey, TicketTypeConfig, TrustRoot, TypeSet,
};
use shared::manifest::document_hash;
use shared::manifest::rows::{TicketRow, TicketState, pack_columns};
use shared::manifest::sign1::seal;
use shared::manifest::trust::{Trust, sign_root};
use shared::ticket::Payload;
use shared::ticket::keys::{SigningKey, kid_of};
use shared::time::{UnixMillis, UnixSecs};
use shared::wire::gates::{ManifestAnswer, ManifestBody};
use uuid::Uuid;

/// 2026-06-01T18:00:00Z.
pub const NOW: UnixSecs = UnixSecs(1_780_336_800);

/// A key from a small number, so that vectors can name it.
pub fn key(seed: u64) -> SigningKey {
    let mut bytes = [0; 32];
    bytes[24..].copy_from_slice(&seed.to_be_bytes());
    SigningKey::from_bytes(&bytes)
}

pub fn public(key: &SigningKey) -> PublicKey {
    PublicKey(key.verifying_key().to_bytes())
}

pub fn organizer() -> OrganizerId {
    OrganizerId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001))
}

pub fn event() -> EventId {
    EventId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0002))
}

pub fn other_event() -> EventId {
    EventId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0003))
}

pub fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// The `n`th ticket of vectors.
pub fn ticket(n: u32) -> TicketId {
    TicketId(Uuid::from_u128(0x0190_1111_2222_7333_8444_5555_0000_0000 | u128::from(n)))
}

pub fn row(n: u32, state: TicketState) -> TicketRow {
    TicketRow { ticket_id: ticket(n), type_no: 1, generation: 0, state }
}

/// As a month of sales makes them: sorted, random UUIDv7, a few types, some reissued and some refunded.
pub fn sold_rows(count: usize, rng: &mut StdRng) -> Vec<TicketRow> {
    let mut rows: Vec<TicketRow> = (0..count)
        .map(|_| TicketRow {
            ticket_id: TicketId(uuid_v7(1_777_000_000_000 + rng.random_range(0..2_592_000_000i64), rng)),
            type_no: rng.random_range(1..=5),
            generation: u8::from(rng.random_ratio(1, 50)),
            state: if rng.random_ratio(1, 30) { TicketState::Refunded } else { TicketState::Valid },
        })
        .collect();
    rows.sort_by_key(|r| r.ticket_id);
    rows.dedup_by_key(|r| r.ticket_id);
    rows
}

/// A payload under the ticket key of [`Server::new`].
pub fn payload(ticket_key: &SigningKey) -> Payload {
    Payload {
        generation: 0,
        kid: kid_of(&public(ticket_key)),
        ticket_id: ticket(1),
        type_no: 1,
        issued_at: UnixSecs(NOW.0 - 86_400),
        not_before: UnixSecs(0),
        expires_at: UnixSecs(NOW.0 + 2 * 86_400),
    }
}

/// An organizer's side: keys, and the state that it signs.
pub struct Server {
    pub root: SigningKey,
    pub manifest: SigningKey,
    pub online: SigningKey,
    pub ticket: SigningKey,
    pub trust_roots: Vec<SignedTrustRoot>,
    pub header: ManifestHeader,
    pub key_list: KeyList,
    pub rows: Vec<TicketRow>,
}

impl Server {
    pub fn new() -> Self {
        let (root, manifest, online, ticket) = (key(1), key(2), key(3), key(4));
        let trust_root = TrustRoot {
            version: 1,
            organizer: organizer(),
            root_key: public(&root),
            manifest_keys: vec![public(&manifest)],
            online_keys: vec![public(&online)],
            created_at: UnixSecs(NOW.0 - 1_000_000),
        };
        let key_list = KeyList {
            organizer: organizer(),
            issued_at: UnixSecs(NOW.0 - 1000),
            ticket_keys: vec![ticket_key(&ticket, event(), KeyStatus::Active)],
            revoked_devices: Vec::new(),
        };
        Self {
            trust_roots: vec![sign_root(&trust_root, &root, None)],
            header: header(),
            key_list,
            rows: vec![row(1, TicketState::Valid), row(2, TicketState::Refunded)],
            root,
            manifest,
            online,
            ticket,
        }
    }

    /// Trust as a gate has it after enrolment.
    pub fn trust(&self) -> Trust {
        Trust::pinned(&document_hash(&self.trust_roots[0].document), &self.trust_roots)
            .expect("the fixture's chain is sound")
    }

    pub fn signed_key_list(&self) -> Vec<u8> {
        seal(DocKind::KeyList, &self.manifest, &self.key_list)
    }

    /// The header as it stands, with counts and hashes of the state.
    pub fn current_header(&self) -> ManifestHeader {
        ManifestHeader {
            tickets: u32::try_from(self.rows.len()).expect("few"),
            key_list_hash: document_hash(&self.signed_key_list()),
            buckets_hash: buckets_hash(&hash_all(split(&self.rows))),
            ..self.header.clone()
        }
    }

    pub fn signed_header(&self) -> Vec<u8> {
        seal(DocKind::ManifestHeader, &self.manifest, &self.current_header())
    }

    pub fn freshness(&self, nonce: Nonce16, header: &[u8]) -> Vec<u8> {
        let freshness =
            Freshness { nonce, header_hash: document_hash(header), server_time: UnixMillis(NOW.millis().0) };
        seal(DocKind::Freshness, &self.online, &freshness)
    }

    /// An honest answer with the given rows.
    pub fn answer(&self, nonce: Nonce16, body: ManifestBody) -> ManifestAnswer {
        let header = self.signed_header();
        ManifestAnswer {
            trust_roots: Vec::new(),
            key_list: self.signed_key_list(),
            freshness: self.freshness(nonce, &header),
            header,
            body,
        }
    }

    pub fn full(&self, nonce: Nonce16) -> ManifestAnswer {
        self.answer(nonce, ManifestBody::Full { rows: pack_columns(&self.rows) })
    }

    /// What a gate holds that has applied the current state.
    pub fn held(&self) -> Held {
        let manifest = HeldManifest {
            version: self.header.version,
            header_hash: document_hash(&self.signed_header()),
            tickets: u32::try_from(self.rows.len()).expect("few"),
        };
        Held { event: event(), manifest: Some(manifest) }
    }

    /// One change: the rows given are inserted or replaced, the version rises.
    pub fn change(&mut self, changed: &[TicketRow]) {
        for row in changed {
            match self.rows.binary_search_by_key(&row.ticket_id, |r| r.ticket_id) {
                Ok(at) => self.rows[at] = *row,
                Err(at) => self.rows.insert(at, *row),
            }
        }
        self.header.version.change_seq += 1;
        self.header.version.as_of = UnixSecs(self.header.version.as_of.0 + 10);
    }
}

/// A gate without a manifest.
pub fn empty_handed() -> Held {
    Held { event: event(), manifest: None }
}

pub fn nonce() -> Nonce16 {
    Nonce16([7; 16])
}

/// As a gate does it, with [`nonce`] and [`NOW`].
pub fn judge(trust: &Trust, held: &Held, answer: &ManifestAnswer) -> Result<Checked, ManifestError> {
    check(trust, held, answer, &nonce(), NOW.millis())
}

pub fn ticket_key(key: &SigningKey, event: EventId, status: KeyStatus) -> TicketKey {
    TicketKey { kid: kid_of(&public(key)), public_key: public(key), event, status }
}

fn header() -> ManifestHeader {
    ManifestHeader {
        organizer: organizer(),
        event: event(),
        version: ManifestVersion { epoch: 1, change_seq: 7, as_of: UnixSecs(NOW.0 - 120) },
        gaps: Vec::new(),
        tickets: 0,
        imports: 0,
        key_list_hash: Hash32([0; 32]),
        buckets_hash: Hash32([0; 32]),
        info: EventInfo {
            title: "Summer Night".into(),
            time_zone: "Europe/Berlin".into(),
            admission_at: Some(NOW),
            starts_at: UnixSecs(NOW.0 + 3600),
            ends_at: None,
        },
        lists: vec![ListConfig {
            id: ListId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0004)),
            name: "Main".into(),
            ticket_types: TypeSet::All,
            multiple_entry: false,
            reentry_after_exit: true,
            attendance: true,
            rule: None,
        }],
        gates: Vec::new(),
        stewards: Vec::new(),
        ticket_types: vec![TicketTypeConfig {
            number: 1,
            id: TicketTypeId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0005)),
            name: "Standard".into(),
            not_before: UnixSecs(0),
            expires_at: UnixSecs(NOW.0 + 2 * 86_400),
            attention: None,
        }],
        fresh_until: UnixSecs(NOW.0 + 86_400),
        hard_until: UnixSecs(NOW.0 + 3 * 86_400),
    }
}

/// Random bytes of random length below `max`.
pub fn noise(rng: &mut StdRng, max: usize) -> Vec<u8> {
    let mut bytes = vec![0; rng.random_range(0..max)];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// A valid encoding to start mutations from.
pub fn encoded(answer: &ManifestAnswer) -> Vec<u8> {
    cbor::encode(answer)
}
