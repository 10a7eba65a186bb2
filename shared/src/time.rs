//! Points in time as numbers. Nothing here reads a clock.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z, leap seconds ignored.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode, Serialize, Deserialize,
)]
#[cbor(transparent)]
#[serde(transparent)]
pub struct UnixMillis(#[n(0)] pub i64);

/// Seconds since 1970-01-01T00:00:00Z; reaches the year 2106.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode, Serialize, Deserialize,
)]
#[cbor(transparent)]
#[serde(transparent)]
pub struct UnixSecs(#[n(0)] pub u32);

impl UnixMillis {
    /// Later by `ms` milliseconds (earlier if negative); saturates.
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// `self − earlier` in milliseconds; saturates.
    #[must_use]
    pub const fn ms_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Rounded down to whole seconds; clamped to what [`UnixSecs`] can hold.
    #[must_use]
    pub fn secs(self) -> UnixSecs {
        UnixSecs(u32::try_from(self.0.div_euclid(1000).max(0)).unwrap_or(u32::MAX))
    }

    /// As a date and time in UTC; `None` outside the range of the calendar.
    #[must_use]
    pub fn to_datetime(self) -> Option<time::OffsetDateTime> {
        time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).ok()
    }
}

impl UnixSecs {
    /// In milliseconds.
    #[must_use]
    pub const fn millis(self) -> UnixMillis {
        UnixMillis(self.0 as i64 * 1000)
    }

    /// Later by `secs`; saturates.
    #[must_use]
    pub const fn plus_secs(self, secs: u32) -> Self {
        Self(self.0.saturating_add(secs))
    }

    /// Earlier by `secs`; saturates.
    #[must_use]
    pub const fn minus_secs(self, secs: u32) -> Self {
        Self(self.0.saturating_sub(secs))
    }
}

impl From<time::OffsetDateTime> for UnixMillis {
    fn from(at: time::OffsetDateTime) -> Self {
        let ms = at.unix_timestamp_nanos().div_euclid(1_000_000);
        Self(i64::try_from(ms).expect("the calendar's range in milliseconds fits an i64"))
    }
}

impl From<time::OffsetDateTime> for UnixSecs {
    fn from(at: time::OffsetDateTime) -> Self {
        UnixMillis::from(at).secs()
    }
}
