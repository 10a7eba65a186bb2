//! Door staff sign with a PIN at the gate, which checks it offline: the hash travels in the manifest.

use argon2::password_hash::PasswordHasher as _;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, Version};

/// A PIN has this many digits.
pub const PIN_DIGITS: std::ops::RangeInclusive<usize> = 4..=12;

/// True for 4 to 12 digits.
#[must_use]
pub fn is_pin(text: &str) -> bool {
    PIN_DIGITS.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// argon2id (m = 19 MiB, t = 2, p = 1) of a PIN as PHC string. Takes some 20 ms: not on an async thread.
///
/// # Panics
/// Never: the parameters and lengths are fixed.
#[must_use]
pub fn pin_hash(pin: &str, salt: &[u8; 16]) -> String {
    let hash: PasswordHash = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
        .hash_password_with_salt(pin.as_bytes(), salt)
        .expect("argon2 takes any PIN with a salt of 16 bytes");
    hash.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::password_hash::PasswordVerifier as _;

    #[test]
    fn a_pin_is_kept_as_argon2id_and_verifies() {
        let text = pin_hash("246810", &[7; 16]);
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        let hash = PasswordHash::new(&text).unwrap();
        let argon2 = Argon2::default();
        assert!(argon2.verify_password(b"246810", &hash).is_ok());
        assert!(argon2.verify_password(b"246811", &hash).is_err());
    }

    #[test]
    fn a_pin_is_4_to_12_digits() {
        for (text, good) in
            [("1234", true), ("123456789012", true), ("123", false), ("12a4", false), ("１２３４", false)]
        {
            assert_eq!(is_pin(text), good, "{text}");
        }
    }
}
