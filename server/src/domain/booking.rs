//! The states of a booking and the ways between them.
//!
//! ```text
//! held ──► paid ──► partially_refunded ──► refunded
//!  │  └──► canceled    └───────────────────────▲
//!  └─────► expired ──► paid (a payment that arrives late, if there is still room)
//! ```
//! The store's statements repeat the state they leave in their `where`: this file says which ones exist.

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;

/// Where a booking stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BookingStatus {
    /// Capacity is taken, payment is awaited until `held_until`.
    Held,
    /// Paid or free: its tickets are valid.
    Paid,
    /// Part of the money went back.
    PartiallyRefunded,
    /// All of the money went back; the tickets are revoked.
    Refunded,
    /// The hold ran out; the capacity was given back.
    Expired,
    /// Given up before payment.
    Canceled,
}

impl BookingStatus {
    /// The column's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Paid => "paid",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Refunded => "refunded",
            Self::Expired => "expired",
            Self::Canceled => "canceled",
        }
    }

    /// From the column, whose values a CHECK bounds.
    ///
    /// # Panics
    /// On any other word.
    #[must_use]
    pub fn from_column(word: &str) -> Self {
        match word {
            "held" => Self::Held,
            "paid" => Self::Paid,
            "partially_refunded" => Self::PartiallyRefunded,
            "refunded" => Self::Refunded,
            "expired" => Self::Expired,
            "canceled" => Self::Canceled,
            other => unreachable!("the CHECK of bookings.status does not know {other}"),
        }
    }
}

/// Why a held booking cannot be acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotHeld {
    /// Its time is over, whether or not the job has come by yet.
    #[error("the hold has expired")]
    Expired,
    /// Somebody gave it up.
    #[error("the booking was canceled")]
    Canceled,
    /// Nothing is left to pay.
    #[error("the booking is paid already")]
    AlreadyPaid,
    /// A payment is on its way.
    #[error("a payment is in flight")]
    PaymentInFlight,
    /// It was extended before.
    #[error("a hold can be extended once")]
    AlreadyExtended,
}

/// The clock side of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// Where the booking stands.
    pub status: BookingStatus,
    /// End of the hold.
    pub held_until: OffsetDateTime,
    /// Set once extended.
    pub extended_at: Option<OffsetDateTime>,
    /// A payment is in flight; the hold waits for it until then.
    pub payment_until: Option<OffsetDateTime>,
}

/// How long a hold waits for a payment in flight at most.
pub const PAYMENT_PATIENCE: Duration = Duration::minutes(30);

impl Hold {
    fn open(&self, now: OffsetDateTime) -> Result<(), NotHeld> {
        match self.status {
            BookingStatus::Held if self.payment_until.is_some_and(|until| until > now) => {
                Err(NotHeld::PaymentInFlight)
            }
            BookingStatus::Held if self.held_until <= now => Err(NotHeld::Expired),
            BookingStatus::Held => Ok(()),
            BookingStatus::Expired => Err(NotHeld::Expired),
            BookingStatus::Canceled => Err(NotHeld::Canceled),
            BookingStatus::Paid | BookingStatus::PartiallyRefunded | BookingStatus::Refunded => {
                Err(NotHeld::AlreadyPaid)
            }
        }
    }

    /// May a payment begin?
    ///
    /// # Errors
    /// [`NotHeld`].
    pub fn may_pay(&self, now: OffsetDateTime) -> Result<(), NotHeld> {
        self.open(now)
    }

    /// The new end of the hold if it is extended now.
    ///
    /// # Errors
    /// [`NotHeld`].
    pub fn extended(&self, now: OffsetDateTime, by: Duration) -> Result<OffsetDateTime, NotHeld> {
        self.open(now)?;
        if self.extended_at.is_some() {
            return Err(NotHeld::AlreadyExtended);
        }
        Ok(self.held_until + by)
    }

    /// May the holder give it up?
    ///
    /// # Errors
    /// [`NotHeld`].
    pub fn may_cancel(&self, now: OffsetDateTime) -> Result<(), NotHeld> {
        self.open(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn hold(status: BookingStatus) -> Hold {
        Hold { status, held_until: NOW + Duration::MINUTE, extended_at: None, payment_until: None }
    }

    #[test]
    fn only_an_open_hold_is_paid_extended_or_canceled() {
        use BookingStatus as S;
        for (status, expected) in [
            (S::Held, Ok(())),
            (S::Paid, Err(NotHeld::AlreadyPaid)),
            (S::PartiallyRefunded, Err(NotHeld::AlreadyPaid)),
            (S::Refunded, Err(NotHeld::AlreadyPaid)),
            (S::Expired, Err(NotHeld::Expired)),
            (S::Canceled, Err(NotHeld::Canceled)),
        ] {
            assert_eq!(hold(status).may_pay(NOW), expected, "{status:?}");
            assert_eq!(hold(status).may_cancel(NOW), expected, "{status:?}");
            assert_eq!(BookingStatus::from_column(status.as_str()), status);
        }
    }

    #[test]
    fn a_hold_ends_by_the_clock_even_before_the_job_comes_by() {
        let hold = hold(BookingStatus::Held);
        assert_eq!(hold.may_pay(hold.held_until - Duration::NANOSECOND), Ok(()));
        assert_eq!(hold.may_pay(hold.held_until), Err(NotHeld::Expired));
    }

    #[test]
    fn a_payment_in_flight_keeps_others_away_until_its_patience_ends() {
        let hold = Hold { payment_until: Some(NOW + Duration::SECOND), ..hold(BookingStatus::Held) };
        assert_eq!(hold.may_cancel(NOW), Err(NotHeld::PaymentInFlight));
        assert_eq!(hold.may_cancel(NOW + Duration::SECOND), Ok(()));
    }

    #[test]
    fn a_hold_is_extended_once() {
        let first = hold(BookingStatus::Held);
        assert_eq!(first.extended(NOW, Duration::MINUTE), Ok(NOW + Duration::MINUTE * 2));
        let second = Hold { extended_at: Some(NOW), ..first };
        assert_eq!(second.extended(NOW, Duration::MINUTE), Err(NotHeld::AlreadyExtended));
    }
}
