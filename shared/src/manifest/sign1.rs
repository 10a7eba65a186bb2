//! COSE_Sign1 (RFC 9052, section 4.2) with EdDSA, in one byte form only.
//!
//! `18([<< {1: -8, 4: key id} >>, {}, payload, signature])`, deterministic CBOR, 8-byte key id, external_aad by
//! [`DocKind`]. Everything else is refused, so that one document has one byte string per signature.

use super::docs::DocKind;
use crate::bytes::sha256;
use crate::cbor;
use crate::ticket::keys::verify_strict;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use minicbor::{Decoder, Encoder};

/// Tag 18, array of four, the protected header's length and its fixed beginning `{1: -8, 4: h'…'}`.
const HEAD: [u8; 8] = [0xd2, 0x84, 0x4d, 0xa2, 0x01, 0x27, 0x04, 0x48];
const KEY_ID_LEN: usize = 8;
/// Where the protected header's content begins and ends.
const PROTECTED: std::ops::Range<usize> = 3..HEAD.len() + KEY_ID_LEN;

/// Why a signed document is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Sign1Error {
    /// Longer than the caller allows; nothing was parsed.
    #[error("{len} bytes are more than the {max} allowed")]
    TooLong {
        /// Length given.
        len: usize,
        /// Length allowed.
        max: usize,
    },
    /// Not a COSE_Sign1 in our one form.
    #[error("not a COSE_Sign1 document of this kind")]
    Malformed,
    /// None of the trusted keys has this key id.
    #[error("signed by an unknown key")]
    UnknownKey,
    /// A trusted key has this key id, and the signature is not its own.
    #[error("the signature does not verify")]
    BadSignature,
}

/// The 8-byte key id: the beginning of SHA-256("hvflvspot/kid/v1\0" ‖ public key), of which a ticket code's kid
/// is the first half.
#[must_use]
pub fn key_id(key: &VerifyingKey) -> [u8; KEY_ID_LEN] {
    let h = sha256(b"hvflvspot/kid/v1\0", &[key.as_bytes()]);
    *h.0.first_chunk().expect("a hash is longer than a key id")
}

/// Signs a payload as a document of one kind.
#[must_use]
pub fn sign(kind: DocKind, key: &SigningKey, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD.len() + KEY_ID_LEN + 1 + 9 + payload.len() + 66);
    out.extend_from_slice(&HEAD);
    out.extend_from_slice(&key_id(&key.verifying_key()));
    let signature = key.sign(&sig_structure(kind, &out[PROTECTED], payload));
    let mut e = Encoder::new(&mut out);
    e.map(0)
        .and_then(|e| e.bytes(payload))
        .and_then(|e| e.bytes(&signature.to_bytes()))
        .expect("writing CBOR into a Vec cannot fail");
    out
}

/// Encodes a value and signs it as a document of one kind.
#[must_use]
pub fn seal<T: minicbor::Encode<()>>(kind: DocKind, key: &SigningKey, value: &T) -> Vec<u8> {
    sign(kind, key, &cbor::encode(value))
}

/// Verifies a document of one kind under any of `keys` and returns its payload.
///
/// # Errors
/// [`Sign1Error`]. Keys whose id does not match are not tried.
pub fn verify<'b>(
    kind: DocKind,
    keys: &[VerifyingKey],
    document: &'b [u8],
    max_len: usize,
) -> Result<&'b [u8], Sign1Error> {
    if document.len() > max_len {
        return Err(Sign1Error::TooLong { len: document.len(), max: max_len });
    }
    let parts = split(document).ok_or(Sign1Error::Malformed)?;
    let mut candidates = keys.iter().filter(|key| key_id(key) == parts.key_id).peekable();
    if candidates.peek().is_none() {
        return Err(Sign1Error::UnknownKey);
    }
    let message = sig_structure(kind, &document[PROTECTED], parts.payload);
    if candidates.any(|key| verify_strict(key, &message, &parts.signature)) {
        Ok(parts.payload)
    } else {
        Err(Sign1Error::BadSignature)
    }
}

/// The payload of a document *without* looking at its signature. Only for documents that say themselves which
/// key must have signed them (a trust root), or that were verified before they were stored.
#[must_use]
pub fn unverified_payload(document: &[u8]) -> Option<&[u8]> {
    split(document).map(|parts| parts.payload)
}

struct Parts<'b> {
    key_id: [u8; KEY_ID_LEN],
    payload: &'b [u8],
    signature: [u8; 64],
}

/// Takes a document apart; `None` if any byte differs from how [`sign`] would have written it.
fn split(document: &[u8]) -> Option<Parts<'_>> {
    let rest = document.strip_prefix(&HEAD)?;
    let (key_id, rest) = rest.split_first_chunk::<KEY_ID_LEN>()?;
    let mut d = Decoder::new(rest.strip_prefix(&[0xa0])?);
    let payload = d.bytes().ok()?;
    let signature: [u8; 64] = d.bytes().ok()?.try_into().ok()?;
    // Lengths have one shortest form; comparing the whole length refuses longer forms and trailing bytes.
    let canonical = HEAD.len() + KEY_ID_LEN + 1 + head_len(payload.len()) + payload.len() + 2 + 64;
    (document.len() == canonical).then_some(Parts { key_id: *key_id, payload, signature })
}

/// Bytes of the shortest CBOR head of a byte string.
const fn head_len(len: usize) -> usize {
    match len {
        0..=23 => 1,
        24..=0xff => 2,
        0x100..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

/// What the signature covers: `["Signature1", protected, external_aad, payload]` (RFC 9052, section 4.4).
fn sig_structure(kind: DocKind, protected: &[u8], payload: &[u8]) -> Vec<u8> {
    let aad = kind.external_aad();
    let mut out = Vec::with_capacity(32 + protected.len() + aad.len() + payload.len());
    let mut e = Encoder::new(&mut out);
    e.array(4)
        .and_then(|e| e.str("Signature1"))
        .and_then(|e| e.bytes(protected))
        .and_then(|e| e.bytes(aad))
        .and_then(|e| e.bytes(payload))
        .expect("writing CBOR into a Vec cannot fail");
    out
}
