//! Promo and access codes: what one takes off, of what, and when. Whether uses and budget are left, only the hold
//! that takes one can tell (`selling::claims`).

use time::OffsetDateTime;
use uuid::Uuid;

use super::pricing::Discount;

/// A code as a sale needs it. `revision` names this state; a hold refuses any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromoCode {
    pub promo_code_id: Uuid,
    pub revision: i64,
    pub discount: Discount,
    /// `None`: of all types.
    pub ticket_type_ids: Option<Vec<Uuid>>,
    /// Hidden types that it is for can be bought with it.
    pub unlocks: bool,
    pub valid_from: Option<OffsetDateTime>,
    pub valid_until: Option<OffsetDateTime>,
    pub max_uses: Option<u32>,
    pub max_uses_per_person: Option<u32>,
    pub budget_minor: Option<i64>,
}

/// Why a code is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodeRefused {
    #[error("there is no such code")]
    Unknown,
    #[error("this code is not valid yet")]
    NotYet,
    #[error("this code is no longer valid")]
    Over,
    #[error("this code is for none of these tickets")]
    NotForThese,
    #[error("this code is used up")]
    UsedUp,
    #[error("you have used this code as often as one may")]
    UsedByYou,
}

/// How a code is looked up: without spaces around it, in lower case.
#[must_use]
pub fn code_key(text: &str) -> String {
    text.trim().to_lowercase()
}

/// True for what may be a code: 2 to 64 letters, digits, hyphens, underscores and points.
#[must_use]
pub fn is_code(text: &str) -> bool {
    (2..=64).contains(&text.chars().count())
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && code_key(text).chars().count() <= 64
}

impl PromoCode {
    /// True if it is for this type.
    #[must_use]
    pub fn covers(&self, ticket_type_id: Uuid) -> bool {
        self.ticket_type_ids.as_ref().is_none_or(|all| all.contains(&ticket_type_id))
    }

    /// Is it good at `now`? Half-open.
    ///
    /// # Errors
    /// [`CodeRefused`]
    pub fn check_time(&self, now: OffsetDateTime) -> Result<(), CodeRefused> {
        if self.valid_from.is_some_and(|from| now < from) {
            return Err(CodeRefused::NotYet);
        }
        if self.valid_until.is_some_and(|until| now >= until) {
            return Err(CodeRefused::Over);
        }
        Ok(())
    }

    /// Does one more use fit, with this discount, after so many uses and so much spent?
    ///
    /// # Errors
    /// [`CodeRefused::UsedUp`]
    pub fn check_left(&self, uses: i64, spent_minor: i64, discount_minor: i64) -> Result<(), CodeRefused> {
        let used_up = self.max_uses.is_some_and(|max| uses >= i64::from(max))
            || self
                .budget_minor
                .is_some_and(|budget| spent_minor.checked_add(discount_minor).is_none_or(|sum| sum > budget));
        if used_up { Err(CodeRefused::UsedUp) } else { Ok(()) }
    }

    /// May somebody who has used it so often use it once more?
    ///
    /// # Errors
    /// [`CodeRefused::UsedByYou`]
    pub fn check_person(&self, uses: i64) -> Result<(), CodeRefused> {
        match self.max_uses_per_person {
            Some(max) if uses >= i64::from(max) => Err(CodeRefused::UsedByYou),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::Duration;
    use time::macros::datetime;

    fn code() -> PromoCode {
        PromoCode {
            promo_code_id: Uuid::nil(),
            revision: 1,
            discount: Discount::Percent(1_000),
            ticket_type_ids: None,
            unlocks: false,
            valid_from: None,
            valid_until: None,
            max_uses: None,
            max_uses_per_person: None,
            budget_minor: None,
        }
    }

    #[test]
    fn codes_are_found_whatever_their_case() {
        assert_eq!(code_key("  Früh-BUCHER "), "früh-bucher");
        for good in ["AB", "early.bird_2026", "FRÜH-10"] {
            assert!(is_code(good), "{good}");
        }
        for bad in ["", "A", "two words", "semi;colon", "nul\0", &"x".repeat(65)] {
            assert!(!is_code(bad), "{bad}");
        }
    }

    #[test]
    fn a_code_is_good_in_its_half_open_window() {
        let now = datetime!(2026-11-22 12:00 UTC);
        let of = PromoCode { valid_from: Some(now), valid_until: Some(now + Duration::HOUR), ..code() };
        assert_eq!(of.check_time(now - Duration::NANOSECOND), Err(CodeRefused::NotYet));
        assert_eq!(of.check_time(now), Ok(()));
        assert_eq!(of.check_time(now + Duration::HOUR), Err(CodeRefused::Over));
    }

    #[test]
    fn the_last_use_and_the_last_cent_can_be_had() {
        let of =
            PromoCode { max_uses: Some(2), budget_minor: Some(100), max_uses_per_person: Some(1), ..code() };
        assert_eq!(of.check_left(1, 60, 40), Ok(()));
        assert_eq!(of.check_left(1, 60, 41), Err(CodeRefused::UsedUp));
        assert_eq!(of.check_left(2, 0, 0), Err(CodeRefused::UsedUp));
        assert_eq!(of.check_left(0, i64::MAX, 1), Err(CodeRefused::UsedUp));
        assert_eq!(of.check_person(0), Ok(()));
        assert_eq!(of.check_person(1), Err(CodeRefused::UsedByYou));
        assert_eq!(code().check_left(i64::MAX, i64::MAX, 1), Ok(()));
    }
}
