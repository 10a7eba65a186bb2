//! One-time tokens as they travel: 256 bits of text in a link, six digits to type. Stored are the SHA-256 of
//! the one and a keyed hash of the other: a million codes are soon tried by who has the database alone.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::clock::SharedRng;
use crate::domain::one_time::digits;
use crate::keys::MasterKey;

/// A fresh token with its code. Never printed.
pub struct OneTime {
    pub token: Zeroizing<String>,
    pub code: Zeroizing<String>,
}

impl std::fmt::Debug for OneTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OneTime(…)")
    }
}

impl OneTime {
    pub fn new(rng: &SharedRng) -> Self {
        let token = Zeroizing::new(URL_SAFE_NO_PAD.encode(&Zeroizing::new(rng.bytes::<32>())[..]));
        let code = Zeroizing::new(digits(u64::from_le_bytes(rng.bytes())));
        Self { token, code }
    }
}

/// What is stored of a token.
pub fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// What is stored of the code of the row `id`.
pub fn code_hash(master: &MasterKey, id: Uuid, code: &str) -> [u8; 32] {
    let key = master.subkey("hvflvspot/one-time-code/v1\0");
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &*key));
    context.update(id.as_bytes());
    context.update(code.as_bytes());
    let mut out = [0; 32];
    out.copy_from_slice(context.sign().as_ref());
    out
}

/// Whether `code` is the one of the row `id` that `stored` was made of.
pub fn is_code(master: &MasterKey, id: Uuid, code: &str, stored: &[u8]) -> bool {
    code_hash(master, id, code).as_slice().ct_eq(stored).into()
}

/// Whether `verifier` answers a challenge (RFC 7636).
pub fn answers_challenge(verifier: &str, challenge: &str, method: &str) -> bool {
    let answer = match method {
        "s256" => URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())),
        _ => verifier.to_owned(),
    };
    answer.as_bytes().ct_eq(challenge.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_good_for_its_own_row_and_master_key_alone() {
        let rng = SharedRng::seeded(1);
        let (key, other) = (MasterKey::generate(&rng), MasterKey::generate(&rng));
        let (id, elsewhere) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let stored = code_hash(&key, id, "012345");
        assert!(is_code(&key, id, "012345", &stored));
        assert!(!is_code(&key, id, "012346", &stored));
        assert!(!is_code(&key, elsewhere, "012345", &stored));
        assert!(!is_code(&other, id, "012345", &stored));
        let fresh = OneTime::new(&rng);
        assert_eq!((fresh.token.len(), fresh.code.len()), (43, 6));
        assert!(!format!("{fresh:?}").contains(fresh.token.as_str()));
    }

    #[test]
    fn the_challenge_of_rfc_7636_appendix_b_is_answered() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert!(answers_challenge(verifier, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "s256"));
        assert!(!answers_challenge("x", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "s256"));
        assert!(answers_challenge("abc", "abc", "plain"));
    }
}
