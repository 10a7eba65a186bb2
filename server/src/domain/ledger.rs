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

#[cfg(test)]
mod tests {
    use super::*;

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
