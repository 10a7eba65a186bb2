//! Whom a gate believes: a chain of trust roots from the one that was pinned at enrolment.

use super::docs::{DocKind, SignedTrustRoot, TrustRoot};
use super::document_hash;
use super::sign1::{self, Sign1Error};
use crate::bytes::{Hash32, PublicKey};
use crate::cbor::{self, CborError};
use crate::ids::OrganizerId;
use crate::ticket::keys::strong_key;
use ed25519_dalek::{SigningKey, VerifyingKey};

/// Bytes of one signed trust root at most.
pub const MAX_ROOT_BYTES: usize = 8 * 1024;
/// Bytes of a succession at most.
pub const MAX_SUCCESSION_BYTES: usize = 256;
/// Trust roots in one chain at most.
pub const MAX_CHAIN: usize = 256;

/// Why a chain of trust roots is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// No root at all where the first is needed.
    #[error("no trust root")]
    Empty,
    /// More roots than any organizer has.
    #[error("more than {MAX_CHAIN} trust roots")]
    TooMany,
    /// The first root is not the one that was pinned.
    #[error("the first trust root is not the pinned one")]
    NotPinned,
    /// A root's document is not signed by its own root key.
    #[error("trust root: {0}")]
    Signature(#[source] Sign1Error),
    /// The signed payload is no trust root.
    #[error("trust root: {0}")]
    Payload(#[source] CborError),
    /// A key in it is invalid or weak.
    #[error("trust root {version} holds an invalid or weak key {key}")]
    BadKey {
        /// The root's version.
        version: u32,
        /// The key.
        key: PublicKey,
    },
    /// It names no manifest key or no online key.
    #[error("trust root {version} lacks keys")]
    NoKeys {
        /// The root's version.
        version: u32,
    },
    /// Another tenant's.
    #[error("a trust root of another organizer")]
    ForeignOrganizer,
    /// Older than the one held.
    #[error("trust root {offered} is older than {held}")]
    VersionFell {
        /// Version held.
        held: u32,
        /// Version offered.
        offered: u32,
    },
    /// The version held, with other bytes: somebody signed two.
    #[error("another trust root {version} than the one held")]
    Equivocation {
        /// The version.
        version: u32,
    },
    /// Not the next version.
    #[error("trust root {offered} does not follow {held}")]
    VersionJump {
        /// Version before.
        held: u32,
        /// Version offered.
        offered: u32,
    },
    /// The root key before it did not sign its hash.
    #[error("trust root {version} is not signed by its predecessor: {source}")]
    Succession {
        /// Version offered.
        version: u32,
        /// What failed.
        source: Sign1Error,
    },
    /// It lacks the predecessor's signature, or the first root has one.
    #[error("trust root {version}: succession missing or out of place")]
    SuccessionPresence {
        /// Version offered.
        version: u32,
    },
}

/// The newest trust root that follows from the pinned one, with its keys parsed.
#[derive(Debug, Clone)]
pub struct Trust {
    root: TrustRoot,
    hash: Hash32,
    root_keys: [VerifyingKey; 1],
    manifest_keys: Vec<VerifyingKey>,
    online_keys: Vec<VerifyingKey>,
}

impl Trust {
    /// Builds trust from the hash that was pinned at enrolment and the whole chain from version 1 on.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn pinned(pin: &Hash32, chain: &[SignedTrustRoot]) -> Result<Self, TrustError> {
        let (first, newer) = chain.split_first().ok_or(TrustError::Empty)?;
        if document_hash(&first.document) != *pin {
            return Err(TrustError::NotPinned);
        }
        let trust = Self::open(first)?;
        if trust.root.version != 1 {
            return Err(TrustError::VersionJump { held: 0, offered: trust.root.version });
        }
        if first.succession.is_some() {
            return Err(TrustError::SuccessionPresence { version: 1 });
        }
        trust.advanced(newer)
    }

    /// Follows newer roots, in order. The root held itself may be repeated with the same bytes.
    ///
    /// # Errors
    /// [`TrustError`]; `self` stays what it was.
    pub fn advanced(&self, newer: &[SignedTrustRoot]) -> Result<Self, TrustError> {
        if newer.len() > MAX_CHAIN {
            return Err(TrustError::TooMany);
        }
        let mut held = self.clone();
        for signed in newer {
            if document_hash(&signed.document) == held.hash {
                continue;
            }
            held = held.succeeded_by(signed)?;
        }
        Ok(held)
    }

    fn succeeded_by(&self, signed: &SignedTrustRoot) -> Result<Self, TrustError> {
        let next = Self::open(signed)?;
        let (held, offered) = (self.root.version, next.root.version);
        if next.root.organizer != self.root.organizer {
            return Err(TrustError::ForeignOrganizer);
        }
        if offered < held {
            return Err(TrustError::VersionFell { held, offered });
        }
        if offered == held {
            return Err(TrustError::Equivocation { version: held });
        }
        if offered - held != 1 {
            return Err(TrustError::VersionJump { held, offered });
        }
        let succession =
            signed.succession.as_deref().ok_or(TrustError::SuccessionPresence { version: offered })?;
        let covered =
            sign1::verify(DocKind::TrustRootSuccession, &self.root_keys, succession, MAX_SUCCESSION_BYTES)
                .map_err(|source| TrustError::Succession { version: offered, source })?;
        if covered != next.hash.as_bytes() {
            return Err(TrustError::Succession { version: offered, source: Sign1Error::BadSignature });
        }
        Ok(next)
    }

    /// Reads a root that is signed by its own root key; says nothing about whether to believe it.
    fn open(signed: &SignedTrustRoot) -> Result<Self, TrustError> {
        let document = signed.document.as_slice();
        if document.len() > MAX_ROOT_BYTES {
            let too_long = Sign1Error::TooLong { len: document.len(), max: MAX_ROOT_BYTES };
            return Err(TrustError::Signature(too_long));
        }
        let payload =
            sign1::unverified_payload(document).ok_or(TrustError::Signature(Sign1Error::Malformed))?;
        let root: TrustRoot = cbor::decode(payload, MAX_ROOT_BYTES).map_err(TrustError::Payload)?;
        let version = root.version;
        let parse = |key: &PublicKey| strong_key(key).ok_or(TrustError::BadKey { version, key: *key });
        let root_keys = [parse(&root.root_key)?];
        sign1::verify(DocKind::TrustRoot, &root_keys, document, MAX_ROOT_BYTES)
            .map_err(TrustError::Signature)?;
        let manifest_keys = root.manifest_keys.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let online_keys = root.online_keys.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        if manifest_keys.is_empty() || online_keys.is_empty() {
            return Err(TrustError::NoKeys { version });
        }
        Ok(Self { root, hash: document_hash(document), root_keys, manifest_keys, online_keys })
    }

    /// The tenant.
    #[must_use]
    pub const fn organizer(&self) -> OrganizerId {
        self.root.organizer
    }

    /// Version of the newest root.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.root.version
    }

    /// The newest root.
    #[must_use]
    pub const fn root(&self) -> &TrustRoot {
        &self.root
    }

    /// SHA-256 of the newest root's document.
    #[must_use]
    pub const fn hash(&self) -> Hash32 {
        self.hash
    }

    /// Sign headers and key lists.
    #[must_use]
    pub fn manifest_keys(&self) -> &[VerifyingKey] {
        &self.manifest_keys
    }

    /// Sign device certificates, freshness and time.
    #[must_use]
    pub fn online_keys(&self) -> &[VerifyingKey] {
        &self.online_keys
    }
}

/// Signs a trust root: by its own root key, and its hash by the root key before it (for version 1: none).
///
/// # Panics
/// If `own` is not the root's key, or `previous` is given for version 1 or missing for a later one.
#[must_use]
pub fn sign_root(root: &TrustRoot, own: &SigningKey, previous: Option<&SigningKey>) -> SignedTrustRoot {
    assert_eq!(root.root_key.0, own.verifying_key().to_bytes(), "a trust root is signed by its own key");
    assert_eq!(root.version > 1, previous.is_some(), "every root but the first has a predecessor");
    let document = sign1::sign(DocKind::TrustRoot, own, &cbor::encode(root));
    let succession = previous
        .map(|key| sign1::sign(DocKind::TrustRootSuccession, key, document_hash(&document).as_bytes()));
    SignedTrustRoot { document, succession }
}
