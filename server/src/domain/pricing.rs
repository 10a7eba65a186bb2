//! What one ticket costs: stated price and fee, split into net amounts and tax. THE place where prices are made:
//! tax, fees of the event, discounts. Everything is rounded per ticket, half up (`shared::money`), so that a line
//! is exactly its quantity times its ticket, and a booking exactly the sum of its lines.

use serde::{Deserialize, Serialize};
use shared::money::{Tax, share};

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

/// Who bears the event's fee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FeeBearer {
    /// It comes on top of the stated price.
    #[default]
    Buyer,
    /// It is a part of the stated price; the buyer pays nothing more.
    Organizer,
}

impl FeeBearer {
    /// The column's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Buyer => "buyer",
            Self::Organizer => "organizer",
        }
    }

    /// From the column, whose values a CHECK bounds.
    ///
    /// # Panics
    /// On any other word.
    #[must_use]
    pub fn from_column(word: &str) -> Self {
        match word {
            "buyer" => Self::Buyer,
            "organizer" => Self::Organizer,
            other => unreachable!("the CHECK of events.fee_bearer does not know {other}"),
        }
    }
}

/// The fee of an event on each ticket that costs something, beside the fee that its type states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventFee {
    pub fixed_minor: i64,
    /// Of the stated price, in hundredths of a percent.
    pub rate_bp: u16,
    pub bearer: FeeBearer,
}

/// What a promo code takes off the stated price of a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Discount {
    /// Nothing: it only opens hidden types.
    #[default]
    None,
    /// Hundredths of a percent.
    Percent(u16),
    /// Minor units off each ticket, at most its price.
    Amount(i64),
}

impl Discount {
    /// The stated price that is left. `None` on overflow.
    #[must_use]
    pub fn lower(self, price_minor: i64) -> Option<i64> {
        match self {
            Self::None => Some(price_minor),
            Self::Percent(bp) => price_minor.checked_sub(share(price_minor, bp.min(10_000))?),
            Self::Amount(minor) => price_minor.checked_sub(minor.clamp(0, price_minor)),
        }
    }
}

/// What the organizer states about the price of a ticket type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stated {
    pub price_minor: i64,
    pub fee_minor: i64,
    pub tax: Tax,
    pub event_fee: EventFee,
}

impl Stated {
    /// One ticket. `None` on overflow.
    #[must_use]
    pub fn unit(&self) -> Option<UnitPrice> {
        let Self { price_minor, fee_minor, tax, event_fee } = *self;
        let extra = match price_minor {
            0 => 0,
            _ => event_fee.fixed_minor.checked_add(share(price_minor, event_fee.rate_bp)?)?,
        };
        let (price, price_tax) = tax.split(price_minor)?;
        let unit = match event_fee.bearer {
            FeeBearer::Buyer => {
                let (fee, fee_tax) = tax.split(fee_minor.checked_add(extra)?)?;
                UnitPrice { price_minor: price, fee_minor: fee, tax_minor: price_tax.checked_add(fee_tax)? }
            }
            // Cut out of the price, whose tax stays as it was: the buyer pays the same to the last minor unit.
            FeeBearer::Organizer => {
                let (borne, _) = tax.split(extra.min(price_minor))?;
                let (fee, fee_tax) = tax.split(fee_minor)?;
                UnitPrice {
                    price_minor: price.checked_sub(borne)?,
                    fee_minor: fee.checked_add(borne)?,
                    tax_minor: price_tax.checked_add(fee_tax)?,
                }
            }
        };
        unit.total_minor().map(|_| unit)
    }

    /// One ticket under a promo code. The discount lowers the stated price, never a fixed fee; a fee in percent
    /// follows the lowered price; a ticket that the code makes free bears no fee at all. `None` on overflow.
    #[must_use]
    pub fn discounted(&self, discount: Discount) -> Option<UnitPrice> {
        let lowered = discount.lower(self.price_minor)?;
        if lowered == 0 && self.price_minor > 0 {
            return Some(UnitPrice::default());
        }
        Self { price_minor: lowered, ..*self }.unit()
    }
}

impl UnitPrice {
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

    fn stated(price_minor: i64, fee_minor: i64, rate_bp: u16, inclusive: bool) -> Stated {
        Stated { price_minor, fee_minor, tax: Tax { rate_bp, inclusive }, event_fee: EventFee::default() }
    }

    fn parts(price_minor: i64, fee_minor: i64, tax_minor: i64) -> UnitPrice {
        UnitPrice { price_minor, fee_minor, tax_minor }
    }

    #[test]
    fn the_parts_of_a_price_are_split_by_its_tax() {
        let of = |price, fee, rate_bp, inclusive| stated(price, fee, rate_bp, inclusive).unit();
        assert_eq!(of(11_900, 119, 1900, true), Some(parts(10_000, 100, 1_919)));
        assert_eq!(of(10_000, 100, 1900, false), Some(parts(10_000, 100, 1_919)));
        assert_eq!(of(0, 0, 1900, true), Some(UnitPrice::default()));
        assert_eq!(of(i64::MAX, 1, 0, true), None, "overflow is an answer, not a wrap");
    }

    #[test]
    fn the_events_fee_comes_on_top_or_out_of_the_price() {
        let with = |bearer, inclusive| {
            let event_fee = EventFee { fixed_minor: 100, rate_bp: 500, bearer };
            Stated { event_fee, ..stated(2_000, 50, 2_000, inclusive) }.unit().unwrap()
        };
        assert_eq!(with(FeeBearer::Buyer, false), parts(2_000, 250, 450));
        assert_eq!(with(FeeBearer::Organizer, false), parts(1_800, 250, 410));
        let (on_top, within) = (with(FeeBearer::Buyer, true), with(FeeBearer::Organizer, true));
        assert_eq!((on_top.total_minor(), within.total_minor()), (Some(2_250), Some(2_050)));
        let free = Stated {
            event_fee: EventFee { fixed_minor: 100, ..EventFee::default() },
            ..stated(0, 0, 0, true)
        };
        assert_eq!(free.unit(), Some(UnitPrice::default()), "what costs nothing bears no fee");
    }

    #[test]
    fn a_discount_lowers_the_price_and_never_below_nothing() {
        let of = stated(1_000, 150, 0, true);
        assert_eq!(of.discounted(Discount::Percent(2_500)), Some(parts(750, 150, 0)));
        assert_eq!(of.discounted(Discount::Amount(300)), Some(parts(700, 150, 0)));
        assert_eq!(of.discounted(Discount::Amount(5_000)), Some(UnitPrice::default()));
        assert_eq!(of.discounted(Discount::Percent(10_000)), Some(UnitPrice::default()));
        assert_eq!(of.discounted(Discount::None), of.unit());
        assert_eq!(stated(0, 150, 0, true).discounted(Discount::Percent(5_000)), Some(parts(0, 150, 0)));
    }

    fn any_stated() -> impl Strategy<Value = Stated> {
        let fee =
            (0..100_000_i64, 0..=10_000_u16, any::<bool>()).prop_map(|(fixed_minor, rate_bp, buyer)| {
                EventFee {
                    fixed_minor,
                    rate_bp,
                    bearer: if buyer { FeeBearer::Buyer } else { FeeBearer::Organizer },
                }
            });
        (0..1_000_000_000_i64, 0..1_000_000_i64, 0..=10_000_u16, any::<bool>(), fee).prop_map(
            |(price_minor, fee_minor, rate_bp, inclusive, event_fee)| Stated {
                price_minor,
                fee_minor,
                tax: Tax { rate_bp, inclusive },
                event_fee,
            },
        )
    }

    fn any_discount() -> impl Strategy<Value = Discount> {
        prop_oneof![
            Just(Discount::None),
            (0..=10_000_u16).prop_map(Discount::Percent),
            (0..2_000_000_000_i64).prop_map(Discount::Amount),
        ]
    }

    proptest! {
        #[test]
        fn lines_add_up_to_the_total_and_no_part_is_negative(
            lines in prop::collection::vec((any_stated(), any_discount(), 1..50_u32), 1..6),
        ) {
            let (mut sum, mut total) = (UnitPrice::default(), 0_i64);
            for (of, discount, n) in lines {
                let (list, unit) = (of.unit().unwrap(), of.discounted(discount).unwrap());
                prop_assert!(unit.price_minor >= 0 && unit.fee_minor >= 0 && unit.tax_minor >= 0);
                prop_assert!(unit.total_minor() <= list.total_minor(), "a code makes nothing dearer");
                total += unit.total_minor().unwrap() * i64::from(n);
                sum = sum.plus(&unit.times(n).unwrap()).unwrap();
            }
            prop_assert_eq!(sum.total_minor(), Some(total));
        }

        #[test]
        fn an_inclusive_price_is_paid_as_stated(price in 0..1_000_000_000_i64, fee in 0..1_000_000_i64, rate in 0..=10_000_u16) {
            let unit = stated(price, fee, rate, true).unit().unwrap();
            prop_assert_eq!(unit.total_minor(), Some(price + fee));
        }

        #[test]
        fn a_fee_that_the_organizer_bears_changes_no_total(of in any_stated()) {
            let event_fee = EventFee { bearer: FeeBearer::Organizer, ..of.event_fee };
            let (without, borne) = (Stated { event_fee: EventFee::default(), ..of }, Stated { event_fee, ..of });
            prop_assert_eq!(without.unit().unwrap().total_minor(), borne.unit().unwrap().total_minor());
        }

        #[test]
        fn an_exclusive_price_is_never_below_the_stated_one(price in 0..1_000_000_000_i64, rate in 0..=10_000_u16) {
            let unit = stated(price, 0, rate, false).unit().unwrap();
            prop_assert_eq!(unit.price_minor, price);
            // Half a minor unit of rounding at most.
            let exact = i128::from(price) * i128::from(rate);
            prop_assert!((i128::from(unit.tax_minor) * 10_000 - exact).abs() <= 5_000);
        }
    }
}
