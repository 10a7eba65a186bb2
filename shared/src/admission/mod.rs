//! Deciding a scan, and what the scans so far amount to. One rule, run by server, gate and tests alike.

pub mod decide;
pub mod explain;
pub mod flags;
pub mod fold;
pub mod history;
pub mod rule;
pub mod seen;
pub mod zone;

pub use decide::{Knowledge, ManifestView, Question, Verdict, decide};
pub use flags::{Flag, Flags};
pub use history::{CutOffs, FirstAdmission, Learned, Record, TicketHistory};

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// The answer to a scan. The first defect in declaration order wins; [`Outcome::Ok`] if there is none.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize,
)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Admitted, or let out.
    #[n(0)]
    Ok,
    /// Not a ticket code.
    #[n(1)]
    Malformed,
    /// Its key is not in the key list, or compromised.
    #[n(2)]
    UnknownKey,
    /// The signature does not verify.
    #[n(3)]
    BadSignature,
    /// Verifies under another event's key.
    #[n(4)]
    WrongEvent,
    /// Not in the manifest although it must be.
    #[n(5)]
    UnknownTicket,
    /// Refunded, canceled or withdrawn.
    #[n(6)]
    Revoked,
    /// A newer generation exists.
    #[n(7)]
    Superseded,
    /// Stopped for now.
    #[n(8)]
    Blocked,
    /// Its validity has not begun.
    #[n(9)]
    NotYetValid,
    /// Its validity is over.
    #[n(10)]
    Expired,
    /// Its type is not on this list.
    #[n(11)]
    Product,
    /// A rule of the list refuses it, or cannot be evaluated.
    #[n(12)]
    Rules,
    /// Used already.
    #[n(13)]
    AlreadyAdmitted,
    /// The manifest is past its hard limit.
    #[n(14)]
    StaleManifest,
    /// The answer could not be made durable.
    #[n(15)]
    CannotRecord,
}

impl Outcome {
    /// All outcomes in order of precedence after [`Outcome::Ok`].
    pub const ALL: [Self; 16] = [
        Self::Ok,
        Self::Malformed,
        Self::UnknownKey,
        Self::BadSignature,
        Self::WrongEvent,
        Self::UnknownTicket,
        Self::Revoked,
        Self::Superseded,
        Self::Blocked,
        Self::NotYetValid,
        Self::Expired,
        Self::Product,
        Self::Rules,
        Self::AlreadyAdmitted,
        Self::StaleManifest,
        Self::CannotRecord,
    ];

    /// The stable word of the protocol.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Malformed => "malformed",
            Self::UnknownKey => "unknown_key",
            Self::BadSignature => "bad_signature",
            Self::WrongEvent => "wrong_event",
            Self::UnknownTicket => "unknown_ticket",
            Self::Revoked => "revoked",
            Self::Superseded => "superseded",
            Self::Blocked => "blocked",
            Self::NotYetValid => "not_yet_valid",
            Self::Expired => "expired",
            Self::Product => "product",
            Self::Rules => "rules",
            Self::AlreadyAdmitted => "already_admitted",
            Self::StaleManifest => "stale_manifest",
            Self::CannotRecord => "cannot_record",
        }
    }
}
