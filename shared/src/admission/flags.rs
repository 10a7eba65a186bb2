//! Remarks beside an outcome, as a bit field in signed bytes and as a list of words in JSON.

use super::Outcome;
use minicbor::{Decode, Encode};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One remark on a verdict. The discriminant is its bit in [`Flags`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Flag {
    /// Sold after the manifest.
    LateSale = 0,
    /// Reissued after the manifest.
    LateReissue = 1,
    /// The manifest is past `fresh_until`.
    StaleWarning = 2,
    /// Answers a code whose admission was committed and never shown.
    Resumed = 3,
    /// The clock is uncertain (more than two minutes).
    ClockDoubt = 4,
    /// A supervisor admitted it against a defect; the entry's `outcome` is `ok`, the defect is flagged beside.
    Overridden = 5,
    /// The ticket has entries in quarantine of a revoked device.
    QuarantinedRepeat = 6,
    /// Scanned in rehearsal.
    Rehearsal = 7,
    /// Defects noted beside an `ok` (exit, override): bit = 16 + the outcome's number.
    UnknownTicket = 16 + 5,
    /// See [`Flag::UnknownTicket`].
    Revoked = 16 + 6,
    /// See [`Flag::UnknownTicket`].
    Superseded = 16 + 7,
    /// See [`Flag::UnknownTicket`].
    Blocked = 16 + 8,
    /// See [`Flag::UnknownTicket`].
    NotYetValid = 16 + 9,
    /// See [`Flag::UnknownTicket`].
    Expired = 16 + 10,
    /// See [`Flag::UnknownTicket`].
    Product = 16 + 11,
    /// See [`Flag::UnknownTicket`].
    Rules = 16 + 12,
    /// See [`Flag::UnknownTicket`].
    AlreadyAdmitted = 16 + 13,
    /// See [`Flag::UnknownTicket`].
    StaleManifest = 16 + 14,
}

/// A set of [`Flag`]s as a bit field. Unknown bits are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct Flags(#[n(0)] pub u32);

impl Flag {
    /// Every flag, by bit.
    pub const ALL: [Self; 18] = [
        Self::LateSale,
        Self::LateReissue,
        Self::StaleWarning,
        Self::Resumed,
        Self::ClockDoubt,
        Self::Overridden,
        Self::QuarantinedRepeat,
        Self::Rehearsal,
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
    ];

    /// The flag that notes this defect beside an `ok`; `None` for outcomes that nothing lifts.
    #[must_use]
    pub const fn of_defect(defect: Outcome) -> Option<Self> {
        Some(match defect {
            Outcome::UnknownTicket => Self::UnknownTicket,
            Outcome::Revoked => Self::Revoked,
            Outcome::Superseded => Self::Superseded,
            Outcome::Blocked => Self::Blocked,
            Outcome::NotYetValid => Self::NotYetValid,
            Outcome::Expired => Self::Expired,
            Outcome::Product => Self::Product,
            Outcome::Rules => Self::Rules,
            Outcome::AlreadyAdmitted => Self::AlreadyAdmitted,
            Outcome::StaleManifest => Self::StaleManifest,
            Outcome::Ok
            | Outcome::Malformed
            | Outcome::UnknownKey
            | Outcome::BadSignature
            | Outcome::WrongEvent
            | Outcome::CannotRecord => return None,
        })
    }

    /// The stable word of the protocol.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LateSale => "late_sale",
            Self::LateReissue => "late_reissue",
            Self::StaleWarning => "stale_warning",
            Self::Resumed => "resumed",
            Self::ClockDoubt => "clock_doubt",
            Self::Overridden => "overridden",
            Self::QuarantinedRepeat => "quarantined_repeat",
            Self::Rehearsal => "rehearsal",
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
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u8
    }
}

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);

    /// These and one more.
    #[must_use]
    pub const fn with(self, flag: Flag) -> Self {
        Self(self.0 | flag.bit())
    }

    /// Adds a flag if the condition holds.
    #[must_use]
    pub const fn with_if(self, condition: bool, flag: Flag) -> Self {
        if condition { self.with(flag) } else { self }
    }

    /// All of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// True if the flag is set.
    #[must_use]
    pub const fn contains(self, flag: Flag) -> bool {
        self.0 & flag.bit() != 0
    }

    /// True without any flag.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The known flags in it, by bit.
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        Flag::ALL.into_iter().filter(move |f| self.contains(*f))
    }

    /// Their words, by bit.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        self.iter().map(Flag::as_str)
    }
}

impl FromIterator<Flag> for Flags {
    fn from_iter<I: IntoIterator<Item = Flag>>(flags: I) -> Self {
        flags.into_iter().fold(Self::NONE, Self::with)
    }
}

/// A list of words. Bits that this version does not know are left out: JSON is for people, the bits are evidence.
impl Serialize for Flags {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.names())
    }
}

impl<'de> Deserialize<'de> for Flags {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Vec::<String>::deserialize(d)?
            .into_iter()
            .map(|word| {
                Flag::ALL
                    .into_iter()
                    .find(|f| f.as_str() == word)
                    .ok_or_else(|| D::Error::custom(format_args!("unknown flag {word:?}")))
            })
            .collect()
    }
}
