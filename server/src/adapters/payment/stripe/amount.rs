//! Stripe counts in a currency's smallest unit, as ISO 4217 does, with a few exceptions.
//! Source: Stripe's documentation, "Supported currencies", sections zero-decimal, three-decimal, special cases.

/// Written with two decimals although they have none.
const PADDED: [&str; 2] = ["ISK", "UGX"];
/// Written without decimals although ISO 4217 knows some.
const WHOLE: [&str; 1] = ["MGA"];
/// Three decimals, the last of which must be zero.
const THREE: [&str; 5] = ["BHD", "JOD", "KWD", "OMR", "TND"];

/// An amount of ISO minor units as Stripe writes it. `None` if it cannot be written so.
pub fn to_stripe(amount_minor: i64, currency: &str) -> Option<i64> {
    if PADDED.contains(&currency) {
        return amount_minor.checked_mul(100);
    }
    if WHOLE.contains(&currency) {
        return (amount_minor % 100 == 0).then_some(amount_minor / 100);
    }
    if THREE.contains(&currency) && amount_minor % 10 != 0 {
        return None;
    }
    Some(amount_minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_in_the_units_that_stripe_expects() {
        for (minor, currency, expected) in [
            (1_999, "EUR", Some(1_999)),
            (500, "JPY", Some(500)),
            (500, "ISK", Some(50_000)),
            (500, "UGX", Some(50_000)),
            (1_200, "MGA", Some(12)),
            (1_250, "MGA", None),
            (5_120, "KWD", Some(5_120)),
            (5_125, "KWD", None),
            (i64::MAX, "ISK", None),
        ] {
            assert_eq!(to_stripe(minor, currency), expected, "{minor} {currency}");
        }
    }
}
