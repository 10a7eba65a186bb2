//! Identities: one newtype per noun over UUIDv7 (RFC 9562, section 5.7), made from a given time and rng.

use rand_core::Rng;
use uuid::Uuid;

/// A UUIDv7 from a given Unix time in milliseconds and 74 random bits of `rng`.
pub fn uuid_v7<R: Rng + ?Sized>(unix_ms: i64, rng: &mut R) -> Uuid {
    let mut random = [0u8; 10];
    rng.fill_bytes(&mut random);
    let ms = u64::try_from(unix_ms).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid()
}

macro_rules! id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id from a Unix time in milliseconds and an rng.
            pub fn generate<R: Rng + ?Sized>(unix_ms: i64, rng: &mut R) -> Self {
                Self(uuid_v7(unix_ms, rng))
            }

            /// The 16 bytes, big endian.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// From 16 bytes, big endian.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(s: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(s).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Uuid {
                id.0
            }
        }

        impl<C> minicbor::Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.bytes(self.0.as_bytes())?.ok()
            }
        }

        impl<'b, C> minicbor::Decode<'b, C> for $name {
            fn decode(
                d: &mut minicbor::Decoder<'b>,
                _: &mut C,
            ) -> Result<Self, minicbor::decode::Error> {
                Uuid::from_slice(d.bytes()?)
                    .map(Self)
                    .map_err(|_| minicbor::decode::Error::message("an id has 16 bytes"))
            }
        }
    };
}

id!(
    /// The tenant.
    OrganizerId
);
id!(
    /// A person with an account.
    UserId
);
id!(
    /// An event.
    EventId
);
id!(
    /// A ticket type of an event.
    TicketTypeId
);
id!(
    /// A row of capacity that one or more ticket types draw on.
    QuotaId
);
id!(
    /// One purchase.
    BookingId
);
id!(
    /// One movement of money.
    TransactionId
);
id!(
    /// A right of entry. Permanent; reissues raise the generation.
    TicketId
);
id!(
    /// A check-in list.
    ListId
);
id!(
    /// A place where tickets are scanned.
    GateId
);
id!(
    /// A member of door staff with a PIN.
    StewardId
);
id!(
    /// One enrolment of one machine for one event.
    DeviceId
);
