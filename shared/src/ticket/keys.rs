//! Ed25519 keys: short names, the refusal of weak ones at loading, and the ring that judges a scanned text.

use super::code::{self, Parsed, text_hash, verifies};
use super::{Malformed, Payload};
use crate::bytes::{Hash32, Kid, PublicKey, sha256};
use crate::ids::{EventId, OrganizerId};
use crate::manifest::docs::{KeyList, KeyStatus};
use ed25519_dalek::Signature;
use std::collections::HashMap;

pub use ed25519_dalek::{Signer, SigningKey, VerifyingKey};

/// The short name of a public key.
#[must_use]
pub fn kid_of(key: &PublicKey) -> Kid {
    let h = sha256(b"hvflvspot/kid/v1\0", &[&key.0]);
    Kid([h.0[0], h.0[1], h.0[2], h.0[3]])
}

/// Parses a public key and refuses weak ones (small order), under which forged signatures exist, and second
/// spellings of a point, under which one key would have two names.
///
/// # Errors
/// `None` if the bytes are not the canonical encoding of a point of the curve, or the point has small order.
#[must_use]
pub fn strong_key(key: &PublicKey) -> Option<VerifyingKey> {
    let parsed = VerifyingKey::from_bytes(&key.0).ok()?;
    let canonical = parsed.to_edwards().compress().to_bytes() == key.0;
    (canonical && !parsed.is_weak()).then_some(parsed)
}

/// The one way in which this product verifies Ed25519: strict (RFC 8032 with canonical encodings and no points of
/// small order), so that a signature that one implementation accepts is accepted by all of them.
#[must_use]
pub fn verify_strict(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> bool {
    Signature::from_slice(signature).is_ok_and(|s| key.verify_strict(message, &s).is_ok())
}

/// Why a key list cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// No point of the curve, or one of small order.
    #[error("key {0} is invalid or weak")]
    BadKey(Kid),
    /// The kid is not the short name of its key.
    #[error("kid {0} does not belong to its key")]
    WrongKid(Kid),
    /// Not strictly sorted by (kid, public key); so no key stands twice with two statuses.
    #[error("key {0} is out of order or stands twice")]
    OutOfOrder(Kid),
}

/// What a scanned text turned out to be, before any ticket is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented {
    /// Not `HV1:…`: a foreign barcode, or nothing.
    Foreign {
        /// SHA-256 of the text.
        text_hash: Hash32,
    },
    /// Begins with `HV1:` and is no code, or is too long for one.
    Malformed {
        /// SHA-256 of the text.
        text_hash: Hash32,
    },
    /// Its kid is not in the list, or every key that could have signed it is compromised.
    UnknownKey {
        /// What it claims. Not proven.
        payload: Payload,
        /// SHA-256 of the text.
        text_hash: Hash32,
    },
    /// No key of that kid signed it.
    BadSignature {
        /// What it claims. Not proven.
        payload: Payload,
        /// SHA-256 of the text.
        text_hash: Hash32,
    },
    /// Genuine, for another event of the organizer.
    WrongEvent {
        /// What it says.
        payload: Payload,
        /// SHA-256 of the text.
        text_hash: Hash32,
        /// The event it is for.
        event: EventId,
    },
    /// Genuine, for the ring's event.
    Verified {
        /// What it says.
        payload: Payload,
        /// SHA-256 of the text.
        text_hash: Hash32,
    },
}

impl Presented {
    /// SHA-256 of the text.
    #[must_use]
    pub const fn text_hash(&self) -> Hash32 {
        match self {
            Self::Foreign { text_hash }
            | Self::Malformed { text_hash }
            | Self::UnknownKey { text_hash, .. }
            | Self::BadSignature { text_hash, .. }
            | Self::WrongEvent { text_hash, .. }
            | Self::Verified { text_hash, .. } => *text_hash,
        }
    }

    /// What the code claims, once it could be read.
    #[must_use]
    pub const fn payload(&self) -> Option<&Payload> {
        match self {
            Self::Foreign { .. } | Self::Malformed { .. } => None,
            Self::UnknownKey { payload, .. }
            | Self::BadSignature { payload, .. }
            | Self::WrongEvent { payload, .. }
            | Self::Verified { payload, .. } => Some(payload),
        }
    }
}

#[derive(Debug, Clone)]
struct RingKey {
    key: VerifyingKey,
    event: EventId,
    compromised: bool,
}

/// The ticket keys of an organizer, parsed once, as one event's gate uses them.
#[derive(Debug, Clone)]
pub struct KeyRing {
    organizer: OrganizerId,
    event: EventId,
    /// Per kid: keys of the own event first, compromised ones last.
    keys: HashMap<Kid, Vec<RingKey>>,
}

impl KeyRing {
    /// Parses a verified key list for the gate of `event`.
    ///
    /// # Errors
    /// [`KeyRingError`] naming the first key that is weak, misnamed or out of order: such a list is not
    /// trustworthy in any part.
    pub fn new(list: &KeyList, event: EventId) -> Result<Self, KeyRingError> {
        for pair in list.ticket_keys.windows(2) {
            if (pair[0].kid, pair[0].public_key) >= (pair[1].kid, pair[1].public_key) {
                return Err(KeyRingError::OutOfOrder(pair[1].kid));
            }
        }
        let mut keys: HashMap<Kid, Vec<RingKey>> = HashMap::with_capacity(list.ticket_keys.len());
        for k in &list.ticket_keys {
            if kid_of(&k.public_key) != k.kid {
                return Err(KeyRingError::WrongKid(k.kid));
            }
            let key = strong_key(&k.public_key).ok_or(KeyRingError::BadKey(k.kid))?;
            let compromised = k.status == KeyStatus::Compromised;
            keys.entry(k.kid).or_default().push(RingKey { key, event: k.event, compromised });
        }
        for same_kid in keys.values_mut() {
            same_kid.sort_by_key(|k| (k.compromised, k.event != event));
        }
        Ok(Self { organizer: list.organizer, event, keys })
    }

    /// The event whose gate this is.
    #[must_use]
    pub const fn event(&self) -> EventId {
        self.event
    }

    /// The tenant.
    #[must_use]
    pub const fn organizer(&self) -> OrganizerId {
        self.organizer
    }

    /// Judges a text as scanned (no trimming here). One strict verification in the usual case of one key a kid.
    #[must_use]
    pub fn present(&self, text: &str) -> Presented {
        let text_hash = text_hash(text);
        let parsed = match code::parse(text) {
            Ok(parsed) => parsed,
            Err(Malformed::Foreign) => return Presented::Foreign { text_hash },
            Err(_) => return Presented::Malformed { text_hash },
        };
        let payload = parsed.payload;
        match self.signer(&parsed) {
            SignedBy::Unknown => Presented::UnknownKey { payload, text_hash },
            SignedBy::Nobody => Presented::BadSignature { payload, text_hash },
            SignedBy::Event(event) if event == self.event => Presented::Verified { payload, text_hash },
            SignedBy::Event(event) => Presented::WrongEvent { payload, text_hash, event },
        }
    }

    fn signer(&self, parsed: &Parsed) -> SignedBy {
        let Some(candidates) = self.keys.get(&parsed.payload.kid) else { return SignedBy::Unknown };
        // Compromised keys stand last: if the first is one, all are, and nothing is worth verifying.
        if candidates[0].compromised {
            return SignedBy::Unknown;
        }
        match candidates.iter().find(|k| verifies(parsed, &k.key, self.organizer, k.event)) {
            None => SignedBy::Nobody,
            Some(k) if k.compromised => SignedBy::Unknown,
            Some(k) => SignedBy::Event(k.event),
        }
    }
}

/// Who signed a parsed code.
enum SignedBy {
    /// The kid is unknown, or its key is compromised.
    Unknown,
    /// No key of the kid.
    Nobody,
    /// A trusted key of this event.
    Event(EventId),
}
