//! Double entry: what a movement of money writes. The lines of an entry sum to zero.

use serde::Serialize;

/// One line of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerLine {
    /// `provider:NAME` (what we have there), `sales`, `fees` or `tax` (what we owe or earned: negative).
    pub account: String,
    /// Minor units, never zero.
    pub amount_minor: i64,
}

/// The amounts of a booking, or of the part of it that goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amounts {
    /// Net.
    pub price_minor: i64,
    /// Net.
    pub fee_minor: i64,
    /// Of both.
    pub tax_minor: i64,
}

impl Amounts {
    /// Nothing.
    pub const ZERO: Self = Self { price_minor: 0, fee_minor: 0, tax_minor: 0 };

    /// What is paid.
    #[must_use]
    pub const fn total(&self) -> i64 {
        self.price_minor + self.fee_minor + self.tax_minor
    }
}

/// A payment: money arrives at the provider, and is sales, fees and tax.
#[must_use]
pub fn payment(provider: &str, amounts: Amounts) -> Vec<LedgerLine> {
    lines(provider, amounts, 1)
}

/// A refund: the same the other way round.
#[must_use]
pub fn refund(provider: &str, amounts: Amounts) -> Vec<LedgerLine> {
    lines(provider, amounts, -1)
}

/// Lines of amount zero say nothing and are left out.
fn lines(provider: &str, amounts: Amounts, sign: i64) -> Vec<LedgerLine> {
    let Amounts { price_minor, fee_minor, tax_minor } = amounts;
    let total = amounts.total();
    [
        (format!("provider:{provider}"), sign * total),
        ("sales".to_owned(), -sign * price_minor),
        ("fees".to_owned(), -sign * fee_minor),
        ("tax".to_owned(), -sign * tax_minor),
    ]
    .into_iter()
    .filter(|(_, amount)| *amount != 0)
    .map(|(account, amount_minor)| LedgerLine { account, amount_minor })
    .collect()
}

/// Divides `amount` in the proportions of `by` (none below zero): rounded down, and what remains of it goes to the
/// largest fractions (ties: to the first). The parts add up to it; all of it is the first's if `by` is nothing.
#[must_use]
pub fn divided(amount: i64, by: &[i64]) -> Vec<i64> {
    let whole: i128 = by.iter().copied().map(i128::from).sum();
    if whole <= 0 {
        return by.iter().enumerate().map(|(at, _)| if at == 0 { amount } else { 0 }).collect();
    }
    let exact: Vec<i128> = by.iter().map(|part| i128::from(amount) * i128::from(*part)).collect();
    let down = |x: &i128| i64::try_from(x.div_euclid(whole)).expect("a part of an i64 is an i64");
    let mut given: Vec<i64> = exact.iter().map(down).collect();
    let mut order: Vec<usize> = (0..by.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(exact[*at].rem_euclid(whole)));
    let rest = usize::try_from(amount - given.iter().sum::<i64>()).unwrap_or(0);
    for at in order.into_iter().take(rest) {
        given[at] += 1;
    }
    given
}

/// What belongs to whom: `amounts` divided over `shares`, price by price, fee by fee, tax by tax. What no share has any
/// of follows the totals.
#[must_use]
pub fn spread(amounts: Amounts, shares: &[Amounts]) -> Vec<Amounts> {
    let part = |amount: i64, of: fn(&Amounts) -> i64| {
        let by: Vec<i64> = shares.iter().map(of).collect();
        let totals = || shares.iter().map(Amounts::total).collect();
        divided(amount, &if by.iter().all(|n| *n == 0) { totals() } else { by })
    };
    let price = part(amounts.price_minor, |s| s.price_minor);
    let fee = part(amounts.fee_minor, |s| s.fee_minor);
    let tax = part(amounts.tax_minor, |s| s.tax_minor);
    let parts = price.into_iter().zip(fee).zip(tax);
    parts.map(|((price_minor, fee_minor), tax_minor)| Amounts { price_minor, fee_minor, tax_minor }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_cannot_be_divided_evenly_goes_to_the_largest_fractions() {
        assert_eq!(divided(100, &[1, 1, 1]), [34, 33, 33]);
        assert_eq!(divided(10, &[5, 0, 14]), [3, 0, 7]);
        assert_eq!(divided(7, &[0, 0]), [7, 0]);
        assert_eq!(divided(7, &[]), [0; 0]);
    }

    #[test]
    fn a_fee_that_no_share_has_follows_the_totals() {
        let share = |price_minor| Amounts { price_minor, fee_minor: 0, tax_minor: 0 };
        let back = Amounts { price_minor: 30, fee_minor: 3, tax_minor: 0 };
        let parts = spread(back, &[share(10), share(20)]);
        let of = |price_minor, fee_minor| Amounts { price_minor, fee_minor, tax_minor: 0 };
        assert_eq!(parts, [of(10, 1), of(20, 2)]);
    }

    proptest! {
        #[test]
        fn parts_add_up_and_none_is_a_unit_off(
            amount in 0..i64::MAX, by in proptest::collection::vec(0..1_000_000_000_i64, 1..8)
        ) {
            let parts = divided(amount, &by);
            prop_assert_eq!(parts.iter().map(|n| i128::from(*n)).sum::<i128>(), i128::from(amount));
            let whole: i128 = by.iter().copied().map(i128::from).sum();
            for (part, weight) in parts.iter().zip(&by) {
                let off = i128::from(*part) * whole - i128::from(amount) * i128::from(*weight);
                prop_assert!(whole == 0 || off.abs() < whole);
            }
        }
    }

    #[test]
    fn entries_sum_to_zero_and_a_refund_mirrors_its_payment() {
        let amounts = Amounts { price_minor: 8403, fee_minor: 0, tax_minor: 1597 };
        let (paid, back) = (payment("simulated", amounts), refund("simulated", amounts));
        assert_eq!(paid.len(), 3, "no line of amount zero");
        assert_eq!(paid.iter().map(|l| l.amount_minor).sum::<i64>(), 0);
        for (p, b) in paid.iter().zip(&back) {
            assert_eq!((&p.account, p.amount_minor), (&b.account, -b.amount_minor));
        }
        assert_eq!(paid[0], LedgerLine { account: "provider:simulated".to_owned(), amount_minor: 10_000 });
    }
}
