//! Signing a payload and reading a code's text. Whether a parsed code is *genuine* is asked of
//! [`super::keys::KeyRing`], the only place that knows keys.

use super::keys::{kid_of, verify_strict};
use super::{Malformed, PAYLOAD_LEN, Payload, base45};
use crate::bytes::{Hash32, PublicKey, Signature64, sha256};
use crate::ids::{EventId, OrganizerId};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};

/// Bytes of a code.
pub const CODE_LEN: usize = PAYLOAD_LEN + 64;
/// Every TK1 text begins so.
pub const PREFIX: &str = "HV1:";
/// Characters of a TK1 text.
pub const TEXT_LEN: usize = PREFIX.len() + CODE_LEN / 2 * 3;
/// Longer inputs are refused unread.
pub const MAX_TEXT_LEN: usize = 512;

const DOMAIN: &[u8] = b"hvflvspot/ticket/v1\0";
const MESSAGE_LEN: usize = DOMAIN.len() + 16 + 16 + PAYLOAD_LEN;

/// A signed code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code([u8; CODE_LEN]);

impl Code {
    /// The 100 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; CODE_LEN] {
        &self.0
    }

    /// The signature. It opens the ticket's guest record: neither logs nor answers may have it.
    #[must_use]
    pub fn signature(&self) -> Signature64 {
        let (_, signature) = self.0.split_last_chunk::<64>().expect("a code is longer than its signature");
        Signature64(*signature)
    }

    /// The text that goes into the QR: `HV1:` and 150 characters of base45.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::with_capacity(TEXT_LEN);
        text.push_str(PREFIX);
        text.push_str(&base45::encode(&self.0));
        text
    }
}

/// A well-formed code whose signature nobody has looked at yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parsed {
    /// What it claims.
    pub payload: Payload,
    /// The claim's signature.
    pub signature: Signature64,
}

/// Signs a payload for one event.
///
/// # Panics
/// If [`Payload::check`] fails or `payload.kid` is not the short name of `key`: such a code verifies nowhere.
#[must_use]
pub fn sign(key: &SigningKey, organizer: OrganizerId, event: EventId, payload: &Payload) -> Code {
    let public = PublicKey(key.verifying_key().to_bytes());
    assert_eq!(payload.kid, kid_of(&public), "a payload names the key that signs it");
    let bytes = payload.to_bytes();
    let signature = key.sign(&message(organizer, event, &bytes));
    let mut code = [0; CODE_LEN];
    code[..PAYLOAD_LEN].copy_from_slice(&bytes);
    code[PAYLOAD_LEN..].copy_from_slice(&signature.to_bytes());
    Code(code)
}

/// Reads a code's text. Exactly one text per code is accepted; a scanner's trailing newline is the scanner
/// adapter's to remove.
///
/// # Errors
/// [`Malformed`]; [`Malformed::Foreign`] if it does not begin with `HV1:`.
pub fn parse(text: &str) -> Result<Parsed, Malformed> {
    if text.len() > MAX_TEXT_LEN {
        return Err(Malformed::TooLong);
    }
    let encoded = text.strip_prefix(PREFIX).ok_or(Malformed::Foreign)?;
    let mut bytes = [0; CODE_LEN];
    // Strict base45 of a fixed length is a bijection, so the text is the canonical one already; compared all the
    // same, because identity would break silently if the decoder ever became lenient.
    base45::decode_into(encoded.as_bytes(), &mut bytes).ok_or(Malformed::Text)?;
    if base45::encode(&bytes) != encoded {
        return Err(Malformed::Text);
    }
    let (payload, signature) =
        bytes.split_first_chunk::<PAYLOAD_LEN>().expect("a code is longer than its payload");
    Ok(Parsed {
        payload: Payload::from_bytes(payload)?,
        signature: Signature64::from_slice(signature).expect("the rest of a code is its signature"),
    })
}

/// SHA-256 of the text as scanned: how logs and answers name a code without keeping it. For a foreign barcode
/// it is the key of the import row.
#[must_use]
pub fn text_hash(text: &str) -> Hash32 {
    sha256(b"", &[text.as_bytes()])
}

/// True if `key` signed this code for this event.
#[must_use]
pub fn verifies(parsed: &Parsed, key: &VerifyingKey, organizer: OrganizerId, event: EventId) -> bool {
    let message = message(organizer, event, &parsed.payload.to_bytes());
    verify_strict(key, &message, &parsed.signature.0)
}

/// What the signature covers.
fn message(organizer: OrganizerId, event: EventId, payload: &[u8; PAYLOAD_LEN]) -> [u8; MESSAGE_LEN] {
    let mut out = [0; MESSAGE_LEN];
    let mut at = 0;
    for part in [DOMAIN, organizer.as_bytes(), event.as_bytes(), payload] {
        out[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    out
}
