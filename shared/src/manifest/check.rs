//! Whether a gate accepts a manifest answer. Pure: what is held and what was answered go in, a verified manifest
//! or one distinct reason comes out; [`super::apply`] then turns its rows into buckets.
//!
//! Every signature, hash, name and version is settled here before a row is looked at. The rows themselves are
//! unauthenticated until their bucket hashes meet the header's.

use super::docs::{DocKind, Freshness, KeyList, ManifestHeader, ManifestVersion};
use super::document_hash;
use super::rows::{RowsError, TicketRow, unpack_columns};
use super::sign1::{self, Sign1Error};
use super::trust::{Trust, TrustError};
use crate::bytes::{Hash32, Nonce16};
use crate::cbor::{self, CborError};
use crate::ids::EventId;
use crate::ticket::keys::{KeyRing, KeyRingError};
use crate::time::UnixMillis;
use crate::wire::gates::{MAX_MANIFEST_BYTES, ManifestAnswer, ManifestBody};

/// Bytes of a signed header at most.
pub const MAX_HEADER_BYTES: usize = 1024 * 1024;
/// Bytes of a signed key list at most.
pub const MAX_KEY_LIST_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of a signed freshness at most.
pub const MAX_FRESHNESS_BYTES: usize = 512;
/// Tickets of one event at most.
pub const MAX_TICKETS: u32 = 4_000_000;

/// What a gate has, as far as acceptance depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The event it is enrolled for.
    pub event: EventId,
    /// The manifest in use; absent before the first.
    pub manifest: Option<HeldManifest>,
}

/// The manifest in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldManifest {
    /// Its version.
    pub version: ManifestVersion,
    /// SHA-256 of its signed header.
    pub header_hash: Hash32,
    /// Its number of ticket rows.
    pub tickets: u32,
}

/// Rows of an accepted answer; not yet compared with the header's bucket hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The rows held are the header's.
    Same,
    /// These tickets are new or changed.
    Delta(Vec<TicketRow>),
    /// These are all tickets.
    Full(Vec<TicketRow>),
}

/// An answer whose documents are all genuine, current and of one piece.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Trust after the answer's trust roots.
    pub trust: Trust,
    /// The signed state.
    pub header: ManifestHeader,
    /// SHA-256 of the signed header.
    pub header_hash: Hash32,
    /// The key list that the header names.
    pub key_list: KeyList,
    /// Its ticket keys, parsed for this event.
    pub ring: KeyRing,
    /// Rows to apply.
    pub change: Change,
    /// Ticket rows held before.
    pub held_tickets: u32,
    /// The server's clock, signed.
    pub server_time: UnixMillis,
    /// `server_time − now`; half the round trip is in it.
    pub clock_offset_ms: i64,
}

/// What to do after a refused answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// Keep what is held and ask again with `full=true`.
    AskFull,
    /// Keep what is held; asking again cannot mend this. Tell people.
    Refuse,
}

/// Why an answer is refused. The gate keeps exactly what it held.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The answer is no manifest answer.
    #[error("manifest answer: {0}")]
    Answer(#[source] CborError),
    /// The trust roots do not follow from those held.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The header is not signed by a manifest key.
    #[error("manifest header: {0}")]
    HeaderSignature(#[source] Sign1Error),
    /// The signed payload is no header.
    #[error("manifest header: {0}")]
    HeaderPayload(#[source] CborError),
    /// The header contradicts itself.
    #[error("manifest header: {0}")]
    HeaderShape(&'static str),
    /// The header is another tenant's.
    #[error("manifest of another organizer")]
    ForeignOrganizer,
    /// The header is another event's.
    #[error("manifest of another event")]
    ForeignEvent,
    /// The freshness is not signed by an online key.
    #[error("freshness: {0}")]
    FreshnessSignature(#[source] Sign1Error),
    /// The signed payload is no freshness.
    #[error("freshness: {0}")]
    FreshnessPayload(#[source] CborError),
    /// The freshness echoes another nonce: an old answer is being replayed.
    #[error("the freshness does not echo our nonce")]
    Replayed,
    /// The freshness is for another header: the header is being held back.
    #[error("the freshness is for another header")]
    Frozen,
    /// Older than the manifest held.
    #[error("manifest {offered:?} is older than {held:?}")]
    Rollback {
        /// Version held.
        held: ManifestVersion,
        /// Version offered.
        offered: ManifestVersion,
    },
    /// The version held, with other bytes: somebody signed two.
    #[error("another manifest {version:?} than the one held")]
    Equivocation {
        /// The version.
        version: ManifestVersion,
    },
    /// The key list is not the one that the header names.
    #[error("the key list is not the header's")]
    KeyListHash,
    /// The key list is not signed by a manifest key.
    #[error("key list: {0}")]
    KeyListSignature(#[source] Sign1Error),
    /// The signed payload is no key list.
    #[error("key list: {0}")]
    KeyListPayload(#[source] CborError),
    /// The key list is another tenant's.
    #[error("key list of another organizer")]
    KeyListOrganizer,
    /// A ticket key in it is unusable.
    #[error("key list: {0}")]
    KeyListKeys(#[source] KeyRingError),
    /// A delta, or no rows, for a state that is not held.
    #[error("the rows do not start from the state held")]
    NotFromHeld,
    /// The packed rows are unsound.
    #[error("ticket rows: {source}")]
    Rows {
        /// They were to be all rows.
        full: bool,
        /// What is wrong.
        source: RowsError,
    },
    /// All rows, but not as many as the header says.
    #[error("{rows} rows where the header says {tickets}")]
    RowCount {
        /// Rows in the answer.
        rows: usize,
        /// Tickets in the header.
        tickets: u32,
    },
}

impl ManifestError {
    /// Whether the whole manifest would help.
    #[must_use]
    pub const fn advice(&self) -> Advice {
        match self {
            Self::NotFromHeld | Self::Rows { full: false, .. } => Advice::AskFull,
            _ => Advice::Refuse,
        }
    }
}

/// Reads an answer's bytes as they came from the network.
///
/// # Errors
/// [`ManifestError::Answer`]; longer than [`MAX_MANIFEST_BYTES`] is refused unread.
pub fn parse(body: &[u8]) -> Result<ManifestAnswer, ManifestError> {
    cbor::decode(body, MAX_MANIFEST_BYTES).map_err(ManifestError::Answer)
}

/// Accepts or refuses an answer to a request that carried `nonce`.
///
/// # Errors
/// [`ManifestError`]; its [`ManifestError::advice`] says whether to ask for the whole manifest.
pub fn check(
    trust: &Trust,
    held: &Held,
    answer: &ManifestAnswer,
    nonce: &Nonce16,
    now: UnixMillis,
) -> Result<Checked, ManifestError> {
    let trust = trust.advanced(&answer.trust_roots)?;
    let header_hash = document_hash(&answer.header);
    let header = open_header(&trust, held, &answer.header)?;
    let freshness = open_freshness(&trust, &answer.freshness)?;
    if freshness.nonce != *nonce {
        return Err(ManifestError::Replayed);
    }
    if freshness.header_hash != header_hash {
        return Err(ManifestError::Frozen);
    }
    if let Some(manifest) = held.manifest {
        let (version, offered) = (manifest.version, header.version);
        if offered < version {
            return Err(ManifestError::Rollback { held: version, offered });
        }
        if offered == version && header_hash != manifest.header_hash {
            return Err(ManifestError::Equivocation { version });
        }
    }
    let key_list = open_key_list(&trust, &header, &answer.key_list)?;
    let ring = KeyRing::new(&key_list, held.event).map_err(ManifestError::KeyListKeys)?;
    let change = open_rows(held, &header, &answer.body)?;
    Ok(Checked {
        trust,
        header,
        header_hash,
        key_list,
        ring,
        change,
        held_tickets: held.manifest.map_or(0, |m| m.tickets),
        server_time: freshness.server_time,
        clock_offset_ms: freshness.server_time.ms_since(now),
    })
}

fn open_header(trust: &Trust, held: &Held, document: &[u8]) -> Result<ManifestHeader, ManifestError> {
    let payload = sign1::verify(DocKind::ManifestHeader, trust.manifest_keys(), document, MAX_HEADER_BYTES)
        .map_err(ManifestError::HeaderSignature)?;
    let header: ManifestHeader =
        cbor::decode(payload, MAX_HEADER_BYTES).map_err(ManifestError::HeaderPayload)?;
    if header.organizer != trust.organizer() {
        return Err(ManifestError::ForeignOrganizer);
    }
    if header.event != held.event {
        return Err(ManifestError::ForeignEvent);
    }
    check_shape(&header).map_err(ManifestError::HeaderShape)?;
    Ok(header)
}

/// What a header must satisfy for the gate's lookups to have one answer.
///
/// # Errors
/// A sentence for people. Servers call this before they sign.
pub fn check_shape(header: &ManifestHeader) -> Result<(), &'static str> {
    fn rises<T, K: PartialOrd>(items: &[T], key: impl Fn(&T) -> K) -> bool {
        items.is_sorted_by(|a, b| key(a) < key(b))
    }
    if header.tickets > MAX_TICKETS {
        return Err("more tickets than an event can have");
    }
    if header.fresh_until > header.hard_until {
        return Err("fresh_until is after hard_until");
    }
    if !rises(&header.lists, |l| l.id) {
        return Err("lists are not sorted by id");
    }
    if !rises(&header.gates, |g| g.id) {
        return Err("gates are not sorted by id");
    }
    if !rises(&header.stewards, |s| s.id) {
        return Err("stewards are not sorted by id");
    }
    if !rises(&header.ticket_types, |t| t.number) {
        return Err("ticket types are not sorted by number");
    }
    if header.lists.iter().filter(|l| l.attendance).count() != 1 {
        return Err("not exactly one attendance list");
    }
    if header.gaps.iter().any(|g| g.from > g.to) {
        return Err("a gap ends before it begins");
    }
    Ok(())
}

fn open_freshness(trust: &Trust, document: &[u8]) -> Result<Freshness, ManifestError> {
    let payload = sign1::verify(DocKind::Freshness, trust.online_keys(), document, MAX_FRESHNESS_BYTES)
        .map_err(ManifestError::FreshnessSignature)?;
    cbor::decode(payload, MAX_FRESHNESS_BYTES).map_err(ManifestError::FreshnessPayload)
}

fn open_key_list(trust: &Trust, header: &ManifestHeader, document: &[u8]) -> Result<KeyList, ManifestError> {
    if document.len() > MAX_KEY_LIST_BYTES {
        let too_long = Sign1Error::TooLong { len: document.len(), max: MAX_KEY_LIST_BYTES };
        return Err(ManifestError::KeyListSignature(too_long));
    }
    if document_hash(document) != header.key_list_hash {
        return Err(ManifestError::KeyListHash);
    }
    let payload = sign1::verify(DocKind::KeyList, trust.manifest_keys(), document, MAX_KEY_LIST_BYTES)
        .map_err(ManifestError::KeyListSignature)?;
    let list: KeyList = cbor::decode(payload, MAX_KEY_LIST_BYTES).map_err(ManifestError::KeyListPayload)?;
    if list.organizer != trust.organizer() {
        return Err(ManifestError::KeyListOrganizer);
    }
    Ok(list)
}

fn open_rows(held: &Held, header: &ManifestHeader, body: &ManifestBody) -> Result<Change, ManifestError> {
    // No delta can touch more tickets than there are afterwards: rows never leave a manifest.
    let max_rows = usize::try_from(header.tickets).unwrap_or(usize::MAX);
    // Deltas and "the same" start from the state held, within one epoch.
    let same_epoch = held.manifest.filter(|m| m.version.epoch == header.version.epoch);
    match body {
        ManifestBody::Same {} => same_epoch
            .filter(|m| m.version.change_seq == header.version.change_seq)
            .map(|_| Change::Same)
            .ok_or(ManifestError::NotFromHeld),
        ManifestBody::Delta { from_seq, rows } => {
            same_epoch.filter(|m| m.version.change_seq == *from_seq).ok_or(ManifestError::NotFromHeld)?;
            unpack_columns(rows, max_rows)
                .map(Change::Delta)
                .map_err(|source| ManifestError::Rows { full: false, source })
        }
        ManifestBody::Full { rows } => {
            let rows = unpack_columns(rows, max_rows)
                .map_err(|source| ManifestError::Rows { full: true, source })?;
            if rows.len() != max_rows {
                return Err(ManifestError::RowCount { rows: rows.len(), tickets: header.tickets });
            }
            Ok(Change::Full(rows))
        }
    }
}
