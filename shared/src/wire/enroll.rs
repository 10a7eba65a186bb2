//! Enrolment: what a device commits to, what it signs, the six digits that people compare, and the two ways in
//! which an invitation reaches the device (a link or QR, or eight typed characters).
//!
//! The device commits to its key before it learns the server's nonce, and the server sends its nonce before it
//! learns the key. So neither side, nor anybody between them, can search for inputs that give wanted digits: a
//! man in the middle has one try in a million.

use super::gates::Invitation;
use crate::bytes::{Hash32, Nonce16, Nonce32, PublicKey, sha256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Longest origin that is accepted.
pub const MAX_ORIGIN_LEN: usize = 255;

/// Longest link that is read.
pub const MAX_LINK_LEN: usize = 512;

/// What the device sends first: SHA-256("hvflvspot/enroll-commit/v1\0" ‖ public key ‖ device nonce).
#[must_use]
pub fn commitment(key: &PublicKey, device_nonce: &Nonce32) -> Hash32 {
    sha256(b"hvflvspot/enroll-commit/v1\0", &[&key.0, &device_nonce.0])
}

/// What the device signs to prove that it has the key.
#[must_use]
pub fn reveal_message(
    enrolment: &Nonce16,
    server_nonce: &Nonce32,
    key: &PublicKey,
    device_nonce: &Nonce32,
) -> Vec<u8> {
    [b"hvflvspot/enroll/v1\0".as_slice(), &enrolment.0, &server_nonce.0, &key.0, &device_nonce.0].concat()
}

/// What the device signs to ask whether it was confirmed.
#[must_use]
pub fn poll_message(enrolment: &Nonce16) -> Vec<u8> {
    [b"hvflvspot/enroll-poll/v1\0".as_slice(), &enrolment.0].concat()
}

/// The six digits that both sides show: SHA-256("hvflvspot/digits/v1\0" ‖ length of the origin u16 BE ‖ origin ‖
/// hash of trust root 1 ‖ key ‖ device nonce ‖ server nonce), read as a number, modulo 1,000,000.
///
/// # Panics
/// If the origin is longer than [`MAX_ORIGIN_LEN`]; [`normalize_origin`] and [`Link::parse`] refuse such.
#[must_use]
pub fn digits(
    origin: &str,
    trust_root_hash: &Hash32,
    key: &PublicKey,
    device_nonce: &Nonce32,
    server_nonce: &Nonce32,
) -> String {
    assert!(origin.len() <= MAX_ORIGIN_LEN, "origins are checked when they are read");
    let len = u16::try_from(origin.len()).expect("255 fits").to_be_bytes();
    let hash = sha256(
        b"hvflvspot/digits/v1\0",
        &[&len, origin.as_bytes(), &trust_root_hash.0, &key.0, &device_nonce.0, &server_nonce.0],
    );
    let number = hash.0.iter().fold(0u32, |n, &byte| (n * 256 + u32::from(byte)) % 1_000_000);
    format!("{number:06}")
}

/// Why an address or an invitation cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// Not `http(s)://host[:port]`.
    #[error("not a server address: expected https://host or https://host:port")]
    Origin,
    /// Not a link of ours.
    #[error("not an enrolment link")]
    Link,
    /// A link of a later version.
    #[error("a link of a newer version: update this app")]
    Version,
    /// Not eight characters of the alphabet.
    #[error("a code has eight letters and digits, such as 4F7K-9M2X")]
    Typed,
}

/// The one spelling of a server's origin: `scheme://host[:port]`, lower case, no default port, no trailing
/// slash. Both sides feed it to [`digits`]. A typed address without a scheme means https.
///
/// # Errors
/// [`InviteError::Origin`] for anything with a path, query, user or foreign characters.
pub fn normalize_origin(address: &str) -> Result<String, InviteError> {
    let address = address.trim();
    if address.is_empty() || address.len() > MAX_ORIGIN_LEN {
        return Err(InviteError::Origin);
    }
    let lower = address.to_ascii_lowercase();
    let (scheme, authority) = lower.split_once("://").unwrap_or(("https", &lower));
    let default_port = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return Err(InviteError::Origin),
    };
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let authority = authority.strip_suffix(default_port).unwrap_or(authority);
    // The port follows the last colon outside an IPv6 literal's brackets.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let host_ok = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)),
    };
    let port_ok = port.is_none_or(|p| p.parse::<u16>().is_ok_and(|n| n != 0 && n.to_string() == p));
    let origin = format!("{scheme}://{authority}");
    if !host_ok || !port_ok || origin.len() > MAX_ORIGIN_LEN {
        return Err(InviteError::Origin);
    }
    Ok(origin)
}

/// An invitation as link or QR. The secret stands in the fragment, which browsers never send.
#[derive(Clone, PartialEq, Eq)]
pub struct Link {
    /// The server, as [`normalize_origin`] spells it.
    pub origin: String,
    /// The slot.
    pub slot: Nonce16,
    /// Its secret.
    pub secret: Nonce16,
    /// SHA-256 of trust root 1's document: whom the device will believe.
    pub trust_root_hash: Hash32,
}

/// The secret stays out of logs.
impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("origin", &self.origin)
            .field("slot", &self.slot)
            .field("trust_root_hash", &self.trust_root_hash)
            .finish_non_exhaustive()
    }
}

impl Link {
    /// `ORIGIN/gates/enroll#1.SLOT.SECRET.TRUST_ROOT_HASH`, the three in base64url without padding.
    #[must_use]
    pub fn to_url(&self) -> String {
        format!(
            "{}/gates/enroll#1.{}.{}.{}",
            self.origin,
            URL_SAFE_NO_PAD.encode(self.slot.0),
            URL_SAFE_NO_PAD.encode(self.secret.0),
            URL_SAFE_NO_PAD.encode(self.trust_root_hash.0),
        )
    }

    /// Reads a link; the origin may be spelled in any way that [`normalize_origin`] takes, with its scheme.
    ///
    /// # Errors
    /// [`InviteError`].
    pub fn parse(url: &str) -> Result<Self, InviteError> {
        if url.len() > MAX_LINK_LEN {
            return Err(InviteError::Link);
        }
        let (address, fragment) = url.trim().split_once("/gates/enroll#").ok_or(InviteError::Link)?;
        let fields = match fragment.split_once('.') {
            Some(("1", fields)) => fields,
            Some((version, _)) if version.parse::<u32>().is_ok() => return Err(InviteError::Version),
            _ => return Err(InviteError::Link),
        };
        if !address.contains("://") {
            return Err(InviteError::Link);
        }
        let origin = normalize_origin(address)?;
        let [slot, secret, trust_root_hash] = fields.split('.').collect::<Vec<_>>()[..] else {
            return Err(InviteError::Link);
        };
        let bytes = |field: &str| URL_SAFE_NO_PAD.decode(field).map_err(|_| InviteError::Link);
        let slot = Nonce16::from_slice(&bytes(slot)?).ok_or(InviteError::Link)?;
        let secret = Nonce16::from_slice(&bytes(secret)?).ok_or(InviteError::Link)?;
        let trust_root_hash = Hash32::from_slice(&bytes(trust_root_hash)?).ok_or(InviteError::Link)?;
        Ok(Self { origin, slot, secret, trust_root_hash })
    }

    /// As it stands in the request.
    #[must_use]
    pub fn invitation(&self) -> Invitation {
        Invitation::Link { slot: self.slot, secret: self.secret }
    }
}

/// Crockford's base 32: no I, L, O, U.
const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const HALF: usize = 4;

/// An invitation to be typed: four characters name the slot, four are its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct TypedCode {
    /// Names the slot.
    pub slot: String,
    /// Its secret.
    pub secret: String,
}

/// The secret stays out of logs.
impl std::fmt::Debug for TypedCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TypedCode").field("slot", &self.slot).finish_non_exhaustive()
    }
}

impl TypedCode {
    /// From 40 random bits.
    #[must_use]
    pub fn from_random(random: [u8; 5]) -> Self {
        let bits = random.iter().fold(0u64, |n, &b| n << 8 | u64::from(b));
        let text: String =
            (0..8).rev().map(|i| char::from(CROCKFORD[(bits >> (5 * i) & 31) as usize])).collect();
        let (slot, secret) = text.split_at(HALF);
        Self { slot: slot.to_owned(), secret: secret.to_owned() }
    }

    /// As people type it: any case, dashes and spaces anywhere, I and L for 1, O for 0.
    ///
    /// # Errors
    /// [`InviteError::Typed`].
    pub fn parse(typed: &str) -> Result<Self, InviteError> {
        let mut text = String::with_capacity(2 * HALF);
        for c in typed.chars().filter(|c| !matches!(c, '-' | ' ')) {
            let c = match c.to_ascii_uppercase() {
                'I' | 'L' => '1',
                'O' => '0',
                other => other,
            };
            if text.len() == 2 * HALF || !c.is_ascii() || !CROCKFORD.contains(&(c as u8)) {
                return Err(InviteError::Typed);
            }
            text.push(c);
        }
        if text.len() != 2 * HALF {
            return Err(InviteError::Typed);
        }
        let (slot, secret) = text.split_at(HALF);
        Ok(Self { slot: slot.to_owned(), secret: secret.to_owned() })
    }

    /// As it is shown: `XXXX-XXXX`.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{}-{}", self.slot, self.secret)
    }

    /// As it stands in the request.
    #[must_use]
    pub fn invitation(&self) -> Invitation {
        Invitation::Typed { slot: self.slot.clone(), secret: self.secret.clone() }
    }
}
