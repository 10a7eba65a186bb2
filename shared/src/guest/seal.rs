//! A guest record, sealed so that only the ticket's own code opens it.
//!
//! `nonce 24 ‖ ciphertext ‖ tag 16`: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) over `length u16 ‖ CBOR ‖ zeros`,
//! filled up to one of [`SIZES`], so that its length says little of what is in it. The key is HKDF-SHA256 (RFC 5869,
//! without salt) of `signature ‖ event id`. The signature is the last 64 bytes of the ticket's code: Ed25519 is
//! deterministic, so whoever has the ticket key makes it again, and everybody else has to see the code. Ticket and
//! generation are associated data: a record says of which ticket it is.

use super::{GuestRecord, MAX_RECORD_BYTES};
use crate::bytes::{Nonce24, Signature64};
use crate::cbor::{self, CborError};
use crate::ids::{EventId, TicketId};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Sizes to which a record is filled up before it is sealed, in bytes.
pub const SIZES: [usize; 6] = [128, 256, 512, 1024, 2048, 4096];
/// What sealing adds: nonce and tag.
pub const OVERHEAD: usize = Nonce24::LEN + 16;
/// Bytes of a sealed record at most.
pub const MAX_SEALED_BYTES: usize = SIZES[SIZES.len() - 1] + OVERHEAD;

const DOMAIN: &[u8] = b"hvflvspot/guest-record/v1\0";

/// What a record is sealed to. Whoever opens it must have all of it.
#[derive(Clone, Copy)]
pub struct SealedTo {
    /// Of the ticket's code in this generation.
    pub signature: Signature64,
    /// The code's event.
    pub event: EventId,
    /// The ticket.
    pub ticket: TicketId,
    /// 0..=15.
    pub generation: u8,
}

/// The signature is a key: it stays out of logs.
impl std::fmt::Debug for SealedTo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedTo")
            .field("ticket", &self.ticket)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// The record does not fit; [`GuestRecord::bounded`] makes it fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a guest record of {0} bytes is more than {MAX_RECORD_BYTES}")]
pub struct TooLong(pub usize);

/// Why sealed bytes are no record for this code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No sealed record has this many bytes.
    #[error("{0} bytes are no sealed guest record")]
    Length(usize),
    /// Sealed to another code, event, ticket or generation, or altered.
    #[error("the guest record is not of this code")]
    Forged,
    /// Its filling is not as it must be.
    #[error("the guest record's filling")]
    Filling,
    /// Not a record.
    #[error("the guest record: {0}")]
    Record(#[from] CborError),
}

impl SealedTo {
    fn cipher(&self) -> XChaCha20Poly1305 {
        let mut secret = Zeroizing::new([0; Signature64::LEN + 16]);
        secret[..Signature64::LEN].copy_from_slice(&self.signature.0);
        secret[Signature64::LEN..].copy_from_slice(self.event.as_bytes());
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, &*secret)
            .expand(DOMAIN, &mut *key)
            .expect("HKDF-SHA256 gives up to 8,160 bytes");
        XChaCha20Poly1305::new(&Key::from(*key))
    }

    fn associated(&self) -> Vec<u8> {
        [DOMAIN, self.ticket.as_bytes(), &[self.generation]].concat()
    }
}

/// Seals a record. `nonce` must never come twice for one code: 192 random bits.
///
/// # Errors
/// [`TooLong`].
pub fn seal(record: &GuestRecord, to: &SealedTo, nonce: &Nonce24) -> Result<Vec<u8>, TooLong> {
    let bytes = Zeroizing::new(cbor::encode(record));
    let size = SIZES.into_iter().find(|size| bytes.len() + 2 <= *size).ok_or(TooLong(bytes.len()))?;
    let len = u16::try_from(bytes.len()).map_err(|_| TooLong(bytes.len()))?;
    let mut filled = Zeroizing::new(vec![0; size]);
    filled[..2].copy_from_slice(&len.to_be_bytes());
    filled[2..2 + bytes.len()].copy_from_slice(&bytes);
    let payload = Payload { msg: &filled, aad: &to.associated() };
    let sealed = to
        .cipher()
        .encrypt(&XNonce::from(nonce.0), payload)
        .expect("a few thousand bytes are far below the cipher's end");
    Ok([&nonce.0[..], &sealed].concat())
}

/// Opens a record with the code that it is sealed to.
///
/// # Errors
/// [`OpenError`]; then nothing of it is known.
pub fn open(sealed: &[u8], to: &SealedTo) -> Result<GuestRecord, OpenError> {
    if !SIZES.iter().any(|size| size + OVERHEAD == sealed.len()) {
        return Err(OpenError::Length(sealed.len()));
    }
    let (nonce, ciphertext) =
        sealed.split_first_chunk::<{ Nonce24::LEN }>().ok_or(OpenError::Length(sealed.len()))?;
    let payload = Payload { msg: ciphertext, aad: &to.associated() };
    let filled = to.cipher().decrypt(&XNonce::from(*nonce), payload).map_err(|_| OpenError::Forged)?;
    let filled = Zeroizing::new(filled);
    let (len, rest) = filled.split_first_chunk::<2>().ok_or(OpenError::Filling)?;
    let len = usize::from(u16::from_be_bytes(*len));
    let (bytes, zeros) = rest.split_at_checked(len).ok_or(OpenError::Filling)?;
    // The smallest size that fits, and nothing hidden behind: one record, one length.
    let fits = SIZES.into_iter().find(|size| len + 2 <= *size) == Some(filled.len());
    if !fits || zeros.iter().any(|b| *b != 0) {
        return Err(OpenError::Filling);
    }
    Ok(cbor::decode(bytes, MAX_RECORD_BYTES)?)
}
