//! Refresh tokens: 256 bits of text, stored as their SHA-256, good for one use.
//!
//! The first of a sign-in is chance. Each next one is a keyed hash of the one before, so that two
//! requests that race with the same token can be given the same answer although nothing but hashes is
//! stored; without the master key nobody finds the next.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::clock::SharedRng;
use crate::keys::MasterKey;

/// A token as the client holds it. Never printed.
#[derive(Clone)]
pub struct RefreshToken(Zeroizing<String>);

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RefreshToken(…)")
    }
}

impl RefreshToken {
    pub fn first(rng: &SharedRng) -> Self {
        Self::encode(&Zeroizing::new(rng.bytes::<32>())[..])
    }

    /// As a client sent it.
    pub fn presented(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The one that it is exchanged for.
    pub fn successor(&self, master: &MasterKey) -> Self {
        let key = master.subkey("hvflvspot/refresh-successor/v1\0");
        Self::encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &*key), self.0.as_bytes()).as_ref())
    }

    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }

    fn encode(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_successor_is_always_the_same_under_one_master_key_alone() {
        let rng = SharedRng::seeded(1);
        let (key, other) = (MasterKey::generate(&rng), MasterKey::generate(&rng));
        let first = RefreshToken::first(&rng);
        let again = RefreshToken::presented(first.reveal().to_owned());
        assert_eq!(first.successor(&key).reveal(), again.successor(&key).reveal());
        assert_ne!(first.successor(&key).reveal(), first.successor(&other).reveal());
        assert_ne!(first.successor(&key).reveal(), first.reveal());
        assert_ne!(first.reveal(), RefreshToken::first(&rng).reveal());
        assert_eq!(first.reveal().len(), 43);
        assert!(!format!("{first:?}").contains(first.reveal()));
    }
}
