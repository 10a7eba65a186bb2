//! What one ticket costs: stated price and fee, split into net amounts and tax.

use serde::{Deserialize, Serialize};
use shared::money::Tax;

/// The parts of one ticket's price in minor units; they add up to what the buyer pays for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UnitPrice {
    /// Net of tax.
    pub price_minor: i64,
    /// Net of tax.
    pub fee_minor: i64,
    /// Of price and fee.
    pub tax_minor: i64,
}

impl UnitPrice {
    /// Splits the organizer's stated price and fee. The tax of each is rounded by itself, per ticket, so
    /// that two tickets cost exactly twice one. `None` on overflow.
    #[must_use]
    pub fn of(price_minor: i64, fee_minor: i64, tax: Tax) -> Option<Self> {
        let (price, price_tax) = tax.split(price_minor)?;
        let (fee, fee_tax) = tax.split(fee_minor)?;
        let unit = Self { price_minor: price, fee_minor: fee, tax_minor: price_tax.checked_add(fee_tax)? };
        unit.total_minor().map(|_| unit)
    }

    /// What the buyer pays. `None` on overflow.
    #[must_use]
    pub fn total_minor(&self) -> Option<i64> {
        self.price_minor.checked_add(self.fee_minor)?.checked_add(self.tax_minor)
    }

    /// `n` tickets. `None` on overflow.
    #[must_use]
    pub fn times(&self, n: u32) -> Option<Self> {
        let n = i64::from(n);
        Some(Self {
            price_minor: self.price_minor.checked_mul(n)?,
            fee_minor: self.fee_minor.checked_mul(n)?,
            tax_minor: self.tax_minor.checked_mul(n)?,
        })
    }

    /// The sum. `None` on overflow.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Option<Self> {
        Some(Self {
            price_minor: self.price_minor.checked_add(other.price_minor)?,
            fee_minor: self.fee_minor.checked_add(other.fee_minor)?,
            tax_minor: self.tax_minor.checked_add(other.tax_minor)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_parts_of_a_price_are_split_by_its_tax() {
        let of = |price, fee, rate_bp, inclusive| UnitPrice::of(price, fee, Tax { rate_bp, inclusive });
        assert_eq!(
            of(11_900, 119, 1900, true),
            Some(UnitPrice { price_minor: 10_000, fee_minor: 100, tax_minor: 1_919 })
        );
        assert_eq!(
            of(10_000, 100, 1900, false),
            Some(UnitPrice { price_minor: 10_000, fee_minor: 100, tax_minor: 1_919 })
        );
        assert_eq!(of(0, 0, 1900, true), Some(UnitPrice::default()));
        assert_eq!(of(i64::MAX, 1, 0, true), None, "overflow is an answer, not a wrap");
    }

    proptest! {
        #[test]
        fn an_inclusive_price_is_paid_as_stated(price in 0..1_000_000_000_i64, fee in 0..1_000_000_i64, rate in 0..=10_000_u16) {
            let unit = UnitPrice::of(price, fee, Tax { rate_bp: rate, inclusive: true }).unwrap();
            prop_assert_eq!(unit.total_minor(), Some(price + fee));
            prop_assert!(unit.price_minor >= 0 && unit.fee_minor >= 0 && unit.tax_minor >= 0);
        }

        #[test]
        fn an_exclusive_price_is_never_below_the_stated_one(price in 0..1_000_000_000_i64, rate in 0..=10_000_u16) {
            let unit = UnitPrice::of(price, 0, Tax { rate_bp: rate, inclusive: false }).unwrap();
            prop_assert_eq!(unit.price_minor, price);
            // Half a minor unit of rounding at most.
            let exact = i128::from(price) * i128::from(rate);
            prop_assert!((i128::from(unit.tax_minor) * 10_000 - exact).abs() <= 5_000);
        }
    }
}
