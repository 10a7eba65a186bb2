//! Codes of the hour: TOTP (RFC 6238) over HOTP (RFC 4226), with HMAC-SHA-1, steps of 30 seconds and six
//! digits, which is what every authenticator app reads. And the recovery codes for the day that it is lost.

use ring::hmac;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::clock::SharedRng;

/// Seconds of a step.
const STEP_SECS: i64 = 30;
/// Steps before and after now whose codes are good: people type slowly and clocks differ.
const WINDOW: i64 = 1;
/// Recovery codes of an account.
pub const RECOVERY_CODES: usize = 10;

/// RFC 4648, section 6.
const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The shared secret: 160 bits, as RFC 4226 recommends. Never printed.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    pub fn generate(rng: &SharedRng) -> Self {
        Self(Zeroizing::new(rng.bytes::<20>().to_vec()))
    }

    pub fn from_bytes(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// As an app takes it; `None` if it is no base32.
    pub fn from_text(text: &str) -> Option<Self> {
        let (mut buffer, mut bits) = (0_u32, 0);
        let mut out = Zeroizing::new(Vec::with_capacity(text.len() * 5 / 8));
        for letter in text.bytes() {
            let at = LETTERS.iter().position(|l| *l == letter)?;
            buffer = (buffer << 5) | u32::try_from(at).ok()?;
            bits += 5;
            if bits >= 8 {
                bits -= 8;
                out.push(u8::try_from((buffer >> bits) & 0xff).ok()?);
                buffer &= (1 << bits) - 1;
            }
        }
        Some(Self(out))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// To be typed into an app.
    pub fn text(&self) -> String {
        base32(&self.0)
    }

    /// To be scanned by an app: Google's key URI, which they all read.
    pub fn url(&self, issuer: &str, account: &str) -> String {
        let (issuer, account) = (percent(issuer), percent(account));
        let secret = self.text();
        format!(
            "otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits=6&period=30"
        )
    }

    /// The step whose code `text` is, if that is a step around `now`.
    pub fn step_of(&self, text: &str, now: OffsetDateTime) -> Option<i64> {
        let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let wanted: u32 = digits.parse().ok()?;
        let current = now.unix_timestamp().div_euclid(STEP_SECS);
        (current - WINDOW..=current + WINDOW).rev().find(|step| self.code(*step) == wanted)
    }

    /// The code of a step, six digits.
    pub fn code(&self, step: i64) -> u32 {
        self.number(step) % 1_000_000
    }

    /// RFC 4226, section 5.3: dynamic truncation.
    fn number(&self, step: i64) -> u32 {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let bytes = tag.as_ref();
        let at = usize::from(bytes[bytes.len() - 1] & 0x0f);
        let four = [bytes[at] & 0x7f, bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        u32::from_be_bytes(four)
    }
}

/// A recovery code: 80 bits in four groups of four letters.
pub fn recovery_code(rng: &SharedRng) -> String {
    let text = base32(&rng.bytes::<10>());
    [&text[..4], &text[4..8], &text[8..12], &text[12..]].join("-")
}

/// What is stored of it; spaces, hyphens and case do not matter.
pub fn recovery_hash(user_id: Uuid, code: &str) -> [u8; 32] {
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    let mut hash = Sha256::new();
    hash.update(b"hvflvspot/recovery-code/v1\0");
    hash.update(user_id.as_bytes());
    hash.update(plain.to_ascii_uppercase().as_bytes());
    hash.finalize().into()
}

/// RFC 4648, section 6, without padding.
fn base32(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut buffer, mut bits) = (0_u32, 0);
    for byte in bytes {
        buffer = (buffer << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            out.push(char::from(LETTERS[(buffer >> bits) as usize & 31]));
        }
        buffer &= (1 << bits) - 1;
    }
    if bits > 0 {
        out.push(char::from(LETTERS[(buffer << (5 - bits)) as usize & 31]));
    }
    out
}

/// RFC 3986, section 2: all but unreserved characters encoded.
fn percent(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Secret {
        Secret::from_bytes(Zeroizing::new(b"12345678901234567890".to_vec()))
    }

    /// RFC 6238, appendix B, the rows of SHA-1 (of eight digits).
    #[test]
    fn the_codes_are_those_of_the_rfc() {
        let rows = [
            (59, 94_287_082),
            (1_111_111_109, 7_081_804),
            (1_111_111_111, 14_050_471),
            (1_234_567_890, 89_005_924),
            (2_000_000_000, 69_279_037),
            (20_000_000_000, 65_353_130),
        ];
        for (at, code) in rows {
            assert_eq!(secret().number(at / STEP_SECS) % 100_000_000, code, "at {at}");
        }
    }

    #[test]
    fn a_code_is_good_for_its_step_and_one_beside_it() {
        let at = |secs| OffsetDateTime::from_unix_timestamp(secs).unwrap();
        let code = format!("{:06}", secret().code(100));
        for (secs, good) in [(2_969, false), (2_970, true), (3_000, true), (3_059, true), (3_060, false)] {
            assert_eq!(secret().step_of(&code, at(secs)), good.then_some(100), "at {secs}");
        }
        let spaced = format!("{} {}", &code[..3], &code[3..]);
        assert_eq!(secret().step_of(&spaced, at(3_000)), Some(100));
        for text in ["", "12345", "1234567", "abcdef", "+12345"] {
            assert_eq!(secret().step_of(text, at(3_000)), None, "{text}");
        }
    }

    /// RFC 4648, section 10.
    #[test]
    fn secrets_are_written_in_base32() {
        let rows = [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("foobar", "MZXW6YTBOI"),
        ];
        for (plain, text) in rows {
            assert_eq!(base32(plain.as_bytes()), text);
        }
        let url = secret().url("Hall & Co", "ann@b.example");
        assert!(
            url.starts_with("otpauth://totp/Hall%20%26%20Co:ann%40b.example?secret=GEZDGNBVGY3TQOJQ"),
            "{url}"
        );
    }

    #[test]
    fn a_recovery_code_is_the_same_however_it_is_typed_and_another_for_another_account() {
        let code = recovery_code(&SharedRng::seeded(1));
        assert_eq!(code.len(), 19);
        let (ann, bob) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let typed = code.to_lowercase().replace('-', " ");
        assert_eq!(recovery_hash(ann, &code), recovery_hash(ann, &typed));
        assert_ne!(recovery_hash(ann, &code), recovery_hash(bob, &code));
    }
}
