//! The manifest in use, verified and parsed: what a scan needs beside the ticket's own row.

use crate::db::table::device::{Device, DeviceNo};
use crate::db::table::{manifest, trust_root};
use rusqlite::Connection;
use shared::admission::history::CutOffs;
use shared::admission::rule::CompiledRule;
use shared::admission::zone::EventZone;
use shared::bytes::Hash32;
use shared::cbor::{self, CborError};
use shared::ids::{GateId, ListId};
use shared::manifest::check::{Held, HeldManifest, MAX_HEADER_BYTES, MAX_KEY_LIST_BYTES};
use shared::manifest::docs::{DocKind, GateConfig, KeyList, ListConfig, ManifestHeader};
use shared::manifest::document_hash;
use shared::manifest::sign1::{self, Sign1Error};
use shared::manifest::trust::{Trust, TrustError};
use shared::ticket::keys::{KeyRing, KeyRingError};
use shared::time::UnixMillis;

/// Why what is stored cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// SQLite's.
    #[error("reading the manifest")]
    Sql(#[from] rusqlite::Error),
    /// The chain of trust roots does not hold.
    #[error("the stored trust roots")]
    Trust(#[from] TrustError),
    /// A document's signature does not hold.
    #[error("the stored manifest is not signed")]
    Signature(#[from] Sign1Error),
    /// A document cannot be read.
    #[error("the stored manifest")]
    Payload(#[from] CborError),
    /// The key list is not the header's.
    #[error("the stored key list is not the manifest's")]
    KeyList,
    /// A ticket key is unusable.
    #[error("the stored key list")]
    Keys(#[from] KeyRingError),
}

/// A verified manifest.
#[derive(Debug)]
pub struct Loaded {
    /// Counts local changes.
    pub generation: i64,
    /// The signed state.
    pub header: ManifestHeader,
    /// SHA-256 of the signed header.
    pub header_hash: Hash32,
    /// The ticket keys.
    pub ring: KeyRing,
    /// Where revoked devices' logs end.
    pub cut_offs: CutOffs,
    /// When the server last said that this is its newest state.
    pub server_time: UnixMillis,
    /// The venue's zone.
    pub zone: Option<EventZone>,
    /// Rules of the lists that have one.
    rules: Vec<(ListId, CompiledRule)>,
}

impl Loaded {
    /// A list by id or by name; without either the attendance list.
    #[must_use]
    pub fn list(&self, wanted: Option<&str>) -> Option<&ListConfig> {
        match wanted {
            None => self.header.lists.iter().find(|l| l.attendance),
            Some(text) => {
                let id: Option<ListId> = text.parse().ok();
                self.header.lists.iter().find(|l| Some(l.id) == id || l.name == text)
            }
        }
    }

    /// A gate by id or by name; without either the only one, if there is only one.
    #[must_use]
    pub fn gate(&self, wanted: Option<&str>) -> Option<&GateConfig> {
        match (wanted, &self.header.gates[..]) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(text), gates) => {
                let id: Option<GateId> = text.parse().ok();
                gates.iter().find(|g| Some(g.id) == id || g.name == text)
            }
        }
    }

    /// The compiled rule of a list.
    #[must_use]
    pub fn rule(&self, list: ListId) -> Option<&CompiledRule> {
        self.rules.iter().find(|(id, _)| *id == list).map(|(_, rule)| rule)
    }
}

/// Whom this device believes, checked anew from the root that was pinned at enrolment.
///
/// # Errors
/// [`LoadError`].
pub fn trust(db: &Connection, me: &Device) -> Result<Trust, LoadError> {
    Ok(Trust::pinned(&me.trust_root_hash, &trust_root::chain(db, me.no)?)?)
}

/// The manifest in use; `None` before the first and after revocation.
///
/// # Errors
/// [`LoadError`]; the gate must ask for the whole manifest again.
pub fn load(db: &Connection, me: &Device) -> Result<Option<Loaded>, LoadError> {
    let Some(stored) = manifest::get(db, me.no)? else { return Ok(None) };
    let trust = trust(db, me)?;
    let keys = trust.manifest_keys();
    let payload = sign1::verify(DocKind::ManifestHeader, keys, &stored.header, MAX_HEADER_BYTES)?;
    let header: ManifestHeader = cbor::decode(payload, MAX_HEADER_BYTES)?;
    if document_hash(&stored.key_list) != header.key_list_hash {
        return Err(LoadError::KeyList);
    }
    let payload = sign1::verify(DocKind::KeyList, keys, &stored.key_list, MAX_KEY_LIST_BYTES)?;
    let key_list: KeyList = cbor::decode(payload, MAX_KEY_LIST_BYTES)?;
    let rules = header
        .lists
        .iter()
        .filter_map(|l| l.rule.as_deref().map(|json| (l.id, CompiledRule::compile(json))))
        .collect();
    Ok(Some(Loaded {
        generation: stored.generation,
        header_hash: document_hash(&stored.header),
        ring: KeyRing::new(&key_list, me.event)?,
        cut_offs: CutOffs::of(&key_list),
        server_time: stored.server_time,
        zone: EventZone::named(&header.info.time_zone),
        rules,
        header,
    }))
}

/// What acceptance of a newer manifest depends on. A stored manifest that cannot be read counts by its version, so
/// that nothing older replaces it.
///
/// # Errors
/// SQLite's.
pub fn held(db: &Connection, no: DeviceNo, event: shared::ids::EventId) -> rusqlite::Result<Held> {
    let stored = manifest::get(db, no)?;
    let manifest = stored.map(|m| HeldManifest {
        version: m.version,
        header_hash: document_hash(&m.header),
        tickets: sign1::unverified_payload(&m.header)
            .and_then(|payload| cbor::decode::<ManifestHeader>(payload, MAX_HEADER_BYTES).ok())
            .map_or(0, |h| h.tickets),
    });
    Ok(Held { event, manifest })
}
