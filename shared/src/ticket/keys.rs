//! Ed25519 keys: short names, and the refusal of weak ones at loading.

use crate::bytes::{Kid, PublicKey, sha256};
use ed25519_dalek::VerifyingKey;

/// The short name of a public key.
#[must_use]
pub fn kid_of(key: &PublicKey) -> Kid {
    let h = sha256(b"hvflvspot/kid/v1\0", &[&key.0]);
    Kid([h.0[0], h.0[1], h.0[2], h.0[3]])
}

/// Parses a public key and refuses weak ones (small order), under which forged signatures exist.
///
/// # Errors
/// `None` if the bytes are no point of the curve or the point has small order.
#[must_use]
pub fn strong_key(key: &PublicKey) -> Option<VerifyingKey> {
    VerifyingKey::from_bytes(&key.0).ok().filter(|k| !k.is_weak())
}
