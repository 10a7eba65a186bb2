//! The CBOR bodies of `/gates/…`. All but `/gates/enroll` and `/gates/time` are signed by the device
//! (RFC 9421, see `super::httpsig`). Errors are problem+json as everywhere.

use crate::bytes::{Hash32, Nonce16, Nonce32, PublicKey, Signature64};
use crate::ids::{DeviceId, EventId, OrganizerId};
use crate::manifest::docs::{ManifestVersion, SignedTrustRoot};
use crate::manifest::trust::MAX_CHAIN;
use minicbor::{Decode, Decoder, Encode};

/// Media type of these bodies.
pub const CBOR: &str = "application/cbor";
/// Entries of one run at most.
pub const MAX_RUN_ENTRIES: usize = 500;
/// Bytes of one run's entries at most.
pub const MAX_RUN_BYTES: usize = 256 * 1024;
/// Bytes of one manifest answer at most (checked before parsing).
pub const MAX_MANIFEST_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of a wait answer at most.
pub const MAX_WAIT_BYTES: usize = 4 * 1024 * 1024;

/// Reads at most [`MAX_CHAIN`] trust roots. Everything else in these bodies takes about the memory of its bytes; a
/// list of millions of empty trust roots would take many times that, and nobody has authenticated it yet.
fn chain<'b, C>(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Vec<SignedTrustRoot>, minicbor::decode::Error> {
    match d.array()? {
        Some(len) if len <= MAX_CHAIN as u64 => (0..len).map(|_| d.decode_with(ctx)).collect(),
        _ => Err(minicbor::decode::Error::message("too many trust roots")),
    }
}

/// How a device names its slot and proves that the organizer invited it.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub enum Invitation {
    /// From the link or QR: slot id's 16 bytes and 128-bit secret.
    #[n(0)]
    Link {
        /// Slot id.
        #[n(0)]
        slot: Nonce16,
        /// The secret.
        #[n(1)]
        secret: Nonce16,
    },
    /// Typed: four Crockford characters name the slot, four are the secret. Upper case, no separators.
    #[n(1)]
    Typed {
        /// Four characters.
        #[n(0)]
        slot: String,
        /// Four characters.
        #[n(1)]
        secret: String,
    },
}

/// The secret stays out of logs.
impl std::fmt::Debug for Invitation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Link { slot, .. } => f.debug_struct("Link").field("slot", slot).finish_non_exhaustive(),
            Self::Typed { slot, .. } => f.debug_struct("Typed").field("slot", slot).finish_non_exhaustive(),
        }
    }
}

/// `POST /gates/enroll`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum EnrollRequest {
    /// First: the device commits to its key.
    #[n(0)]
    Commit {
        /// Which slot.
        #[n(0)]
        invitation: Invitation,
        /// SHA-256("hvflvspot/enroll-commit/v1\0" ‖ public key ‖ device nonce).
        #[n(1)]
        commitment: Hash32,
    },
    /// Second: it reveals key and nonce and proves possession.
    #[n(1)]
    Reveal {
        /// From [`EnrollAnswer::Challenge`].
        #[n(0)]
        enrolment: Nonce16,
        /// The key.
        #[n(1)]
        public_key: PublicKey,
        /// The nonce that was committed to.
        #[n(2)]
        device_nonce: Nonce32,
        /// Over "hvflvspot/enroll/v1\0" ‖ enrolment ‖ server nonce ‖ public key ‖ device nonce.
        #[n(3)]
        signature: Signature64,
    },
    /// Then, until confirmed: ask.
    #[n(2)]
    Poll {
        /// From [`EnrollAnswer::Challenge`].
        #[n(0)]
        enrolment: Nonce16,
        /// Over "hvflvspot/enroll-poll/v1\0" ‖ enrolment.
        #[n(1)]
        signature: Signature64,
    },
}

/// Answer of `POST /gates/enroll`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum EnrollAnswer {
    /// To commit.
    #[n(0)]
    Challenge {
        /// Names this attempt.
        #[n(0)]
        enrolment: Nonce16,
        /// The server's nonce.
        #[n(1)]
        server_nonce: Nonce32,
        /// All trust roots of the organizer from version 1 on.
        #[cbor(n(2), decode_with = "chain")]
        trust_roots: Vec<SignedTrustRoot>,
    },
    /// To reveal and poll: the organizer has not confirmed yet.
    #[n(1)]
    Pending {},
    /// To poll: confirmed.
    #[n(2)]
    Confirmed {
        /// The tenant.
        #[n(0)]
        organizer: OrganizerId,
        /// The event.
        #[n(1)]
        event: EventId,
        /// The device's id; also the `keyid` of its signatures.
        #[n(2)]
        device: DeviceId,
        /// Signed [`crate::manifest::docs::DeviceCertificate`].
        #[cbor(n(3), with = "minicbor::bytes")]
        certificate: Vec<u8>,
    },
    /// To poll: the organizer declined, or the slot ran out.
    #[n(3)]
    Declined {},
}

/// Answer of `GET /gates/time?nonce=HEX` (unsigned request): signed [`crate::manifest::docs::ServerTime`].
/// Without `device=` no organizer is known and only the plain times are filled.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct TimeAnswer {
    /// Arrival, Unix ms.
    #[n(0)]
    pub received_at: crate::time::UnixMillis,
    /// Departure, Unix ms.
    #[n(1)]
    pub sent_at: crate::time::UnixMillis,
    /// The same, signed, if `device` named a known device.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub signed: Option<Vec<u8>>,
}

/// Ticket rows of a manifest answer. `rows` is zstd over the columns of `manifest::rows::pack_columns`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum ManifestBody {
    /// The gate's rows are already those of the header.
    #[n(0)]
    Same {},
    /// Rows changed in (from_seq, header's change_seq].
    #[n(1)]
    Delta {
        /// The gate's change_seq.
        #[n(0)]
        from_seq: u64,
        /// Packed rows.
        #[cbor(n(1), with = "minicbor::bytes")]
        rows: Vec<u8>,
    },
    /// All rows.
    #[n(2)]
    Full {
        /// Packed rows.
        #[cbor(n(0), with = "minicbor::bytes")]
        rows: Vec<u8>,
    },
}

/// Answer of `GET /gates/manifest?root=N&epoch=E&seq=S&as_of=A&nonce=HEX[&full=true]`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ManifestAnswer {
    /// Trust roots newer than the gate's, in order.
    #[cbor(n(0), decode_with = "chain")]
    pub trust_roots: Vec<SignedTrustRoot>,
    /// Signed key list.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub key_list: Vec<u8>,
    /// Signed header.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub header: Vec<u8>,
    /// Rows.
    #[n(3)]
    pub body: ManifestBody,
    /// Signed freshness, echoing the nonce.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub freshness: Vec<u8>,
}

/// A contiguous run of one log, closed by the device's signature over its last entry.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Run {
    /// The device that wrote it (not the one that relays it).
    #[n(0)]
    pub device: DeviceId,
    /// Its log.
    #[n(1)]
    pub log_no: u32,
    /// Canonical entries, seq ascending without gaps.
    #[n(2)]
    pub entries: Vec<minicbor::bytes::ByteVec>,
    /// Over "hvflvspot/log-run/v1\0" ‖ device ‖ log_no u32 BE ‖ seq u64 BE ‖ hash of the last entry.
    #[n(3)]
    pub signature: Signature64,
}

/// `POST /gates/log`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct UploadRequest {
    /// One run; own or relayed.
    #[n(0)]
    pub run: Run,
}

/// A hole in what the server has: `[from, to]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Hole {
    /// First missing.
    #[n(0)]
    pub from: u64,
    /// Last missing.
    #[n(1)]
    pub to: u64,
}

/// Answer of `POST /gates/log`: what is durable. Says the same again for the same run.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct UploadAnswer {
    /// The device.
    #[n(0)]
    pub device: DeviceId,
    /// Its log.
    #[n(1)]
    pub log_no: u32,
    /// Entries 1..=acknowledged are durable.
    #[n(2)]
    pub acknowledged: u64,
    /// Missing below the highest known.
    #[n(3)]
    pub holes: Vec<Hole>,
    /// The run holds another entry at a known place: both are kept, the organizer is alarmed.
    #[n(4)]
    pub forked: bool,
}

/// Answer of `GET /gates/wait?epoch=E&seq=S&as_of=A&scans=CURSOR&timeout=SECS`: at once if there is news, else
/// after at most `timeout` (0..=55) seconds.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct WaitAnswer {
    /// Newest manifest version that the server would serve.
    #[n(0)]
    pub manifest: ManifestVersion,
    /// Certificates of devices that the runs name.
    #[n(1)]
    pub certificates: Vec<minicbor::bytes::ByteVec>,
    /// Runs of other devices after the cursor.
    #[n(2)]
    pub runs: Vec<Run>,
    /// Cursor after these runs.
    #[n(3)]
    pub scans: u64,
    /// More runs wait behind the cursor.
    #[n(4)]
    pub more: bool,
}
