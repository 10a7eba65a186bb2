//! Deterministic CBOR (RFC 8949, section 4.2.1) through minicbor.
//!
//! Types derive `Encode`/`Decode` with `#[cbor(map)]` and ascending integer keys, which makes the encoding
//! deterministic by construction. Decoding takes a size cap and refuses every other encoding of the same value,
//! so that one value has one byte string and a hash or signature over it means one thing.

use minicbor::{Decode, Decoder, Encode};

/// Why bytes are not the canonical encoding of a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CborError {
    /// Longer than the caller allows; nothing was parsed.
    #[error("{len} bytes are more than the {max} allowed")]
    TooLong {
        /// Length given.
        len: usize,
        /// Length allowed.
        max: usize,
    },
    /// Not the expected structure.
    #[error("malformed CBOR: {0}")]
    Malformed(String),
    /// Bytes follow the value.
    #[error("{0} bytes follow the value")]
    Trailing(usize),
    /// The value has a different, canonical encoding (or fields that this version does not know).
    #[error("not the canonical encoding")]
    NotCanonical,
}

/// Encodes a value. Writing into memory cannot fail.
pub fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    minicbor::to_vec(value).expect("writing CBOR into a Vec cannot fail")
}

/// Decodes exactly one canonical value of at most `max_len` bytes.
///
/// # Errors
/// [`CborError`]; nothing is allocated beyond what `max_len` bytes can hold.
pub fn decode<'b, T: Decode<'b, ()> + Encode<()>>(bytes: &'b [u8], max_len: usize) -> Result<T, CborError> {
    if bytes.len() > max_len {
        return Err(CborError::TooLong { len: bytes.len(), max: max_len });
    }
    let mut d = Decoder::new(bytes);
    let value: T = d.decode().map_err(|e| CborError::Malformed(e.to_string()))?;
    let rest = bytes.len() - d.position();
    if rest != 0 {
        return Err(CborError::Trailing(rest));
    }
    if encode(&value) != bytes {
        return Err(CborError::NotCanonical);
    }
    Ok(value)
}
