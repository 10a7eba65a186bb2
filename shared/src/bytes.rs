//! Fixed-length byte strings with one name each, so that a hash is never taken for a key.

use sha2::{Digest, Sha256};

/// Defines a newtype over `[u8; N]` with hex `Debug`/`Display`/serde and CBOR byte-string encoding.
macro_rules! byte_string {
    ($(#[$meta:meta])* $name:ident, $len:expr) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// From a slice of exactly [`Self::LEN`] bytes; `None` for any other length.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl<C> minicbor::Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> minicbor::Decode<'b, C> for $name {
            fn decode(
                d: &mut minicbor::Decoder<'b>,
                _: &mut C,
            ) -> Result<Self, minicbor::decode::Error> {
                Self::from_slice(d.bytes()?).ok_or_else(|| {
                    minicbor::decode::Error::message(concat!(stringify!($name), ": wrong length"))
                })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&hex::encode(self.0))
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
                hex::decode(text.as_bytes())
                    .ok()
                    .and_then(|b| Self::from_slice(&b))
                    .ok_or_else(|| serde::de::Error::custom(concat!(stringify!($name), ": expected hex")))
            }
        }
    };
}

byte_string!(
    /// A SHA-256 digest.
    Hash32, 32
);
byte_string!(
    /// An Ed25519 public key as it stands on the wire (RFC 8032, section 5.1.2). Not checked for weakness:
    /// parse it with [`crate::ticket::keys::strong_key`] before use.
    PublicKey, 32
);
byte_string!(
    /// An Ed25519 signature (RFC 8032).
    Signature64, 64
);
byte_string!(
    /// First four bytes of SHA-256("hvflvspot/kid/v1\0" ‖ public key). Several keys may share one.
    Kid, 4
);
byte_string!(
    /// 128 random bits: the identity of one scan attempt, of a request for freshness, of a boot.
    Nonce16, 16
);
byte_string!(
    /// 192 random bits: the nonce of one sealing with XChaCha20-Poly1305.
    Nonce24, 24
);
byte_string!(
    /// 256 random bits, for commitments and secrets.
    Nonce32, 32
);

/// SHA-256 over a domain prefix (such as `b"hvflvspot/kid/v1\0"`) and parts, in order, without lengths.
/// Callers keep the parts unambiguous: all but at most one have a fixed length.
#[must_use]
pub fn sha256(domain: &[u8], parts: &[&[u8]]) -> Hash32 {
    let mut h = Sha256::new();
    h.update(domain);
    for p in parts {
        h.update(p);
    }
    Hash32(h.finalize().into())
}
