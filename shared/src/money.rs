//! Money in minor units of a currency. Integers only, checked arithmetic only, one rounding rule.

use serde::{Deserialize, Serialize};

/// An ISO 4217 code: three upper-case letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

/// Not three upper-case ASCII letters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a currency is three upper-case letters (ISO 4217)")]
pub struct InvalidCurrency;

impl Currency {
    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only ASCII letters are stored")
    }

    /// Digits after the point: how many minor units make a whole one is ten to this power (ISO 4217, list one).
    #[must_use]
    pub const fn exponent(&self) -> u8 {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"ISK" | b"JPY" | b"KMF" | b"KRW" | b"PYG" | b"RWF"
            | b"UGX" | b"UYI" | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
            b"CLF" | b"UYW" => 4,
            _ => 2,
        }
    }
}

impl std::fmt::Display for Currency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::fmt::Debug for Currency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Currency {
    type Err = InvalidCurrency;
    fn from_str(s: &str) -> Result<Self, InvalidCurrency> {
        let b: [u8; 3] = s.as_bytes().try_into().map_err(|_| InvalidCurrency)?;
        if b.iter().all(u8::is_ascii_uppercase) { Ok(Self(b)) } else { Err(InvalidCurrency) }
    }
}

impl TryFrom<String> for Currency {
    type Error = InvalidCurrency;
    fn try_from(s: String) -> Result<Self, InvalidCurrency> {
        s.parse()
    }
}

impl From<Currency> for String {
    fn from(c: Currency) -> String {
        c.as_str().to_owned()
    }
}

/// An amount of one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Minor units (cents; whole units where the currency has none).
    pub amount_minor: i64,
    /// The currency.
    pub currency: Currency,
}

impl Money {
    /// Zero of a currency.
    #[must_use]
    pub const fn zero(currency: Currency) -> Self {
        Self { amount_minor: 0, currency }
    }

    /// The sum; `None` on overflow or if the currencies differ.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        if self.currency != other.currency {
            return None;
        }
        Some(Self { amount_minor: self.amount_minor.checked_add(other.amount_minor)?, ..self })
    }

    /// `n` times; `None` on overflow.
    #[must_use]
    pub fn checked_mul(self, n: i64) -> Option<Self> {
        Some(Self { amount_minor: self.amount_minor.checked_mul(n)?, ..self })
    }
}

/// For people: `12.50 EUR`, `500 JPY`, `-0.005 KWD`.
impl std::fmt::Display for Money {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = usize::from(self.currency.exponent());
        let sign = if self.amount_minor < 0 { "-" } else { "" };
        let text = format!("{:0>width$}", self.amount_minor.unsigned_abs(), width = digits + 1);
        let (whole, part) = text.split_at(text.len() - digits);
        let point = if digits == 0 { "" } else { "." };
        write!(f, "{sign}{whole}{point}{part} {}", self.currency)
    }
}

/// A tax rate in basis points (1900 = 19 %), and whether prices contain it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tax {
    /// Hundredths of a percent, 0..=10000.
    pub rate_bp: u16,
    /// True if the price already contains the tax.
    pub inclusive: bool,
}

impl Tax {
    /// Splits a stated amount (minor units, not negative) into `(net, tax)`.
    ///
    /// Inclusive: tax = amount × rate ÷ (1 + rate), net the rest. Exclusive: net is the amount and tax comes on top.
    /// The tax is rounded, half up; the net amount is the rest. `None` on overflow.
    #[must_use]
    pub fn split(self, amount_minor: i64) -> Option<(i64, i64)> {
        let amount = i128::from(amount_minor);
        let rate = i128::from(self.rate_bp);
        if self.inclusive {
            let tax = i64::try_from(div_half_up(amount * rate, 10_000 + rate)).ok()?;
            Some((amount_minor.checked_sub(tax)?, tax))
        } else {
            let tax = i64::try_from(div_half_up(amount * rate, 10_000)).ok()?;
            amount_minor.checked_add(tax)?;
            Some((amount_minor, tax))
        }
    }
}

/// `rate_bp` hundredths of a percent of an amount, rounded half up: a fee or a discount. `None` on overflow.
#[must_use]
pub fn share(amount_minor: i64, rate_bp: u16) -> Option<i64> {
    i64::try_from(div_half_up(i128::from(amount_minor) * i128::from(rate_bp), 10_000)).ok()
}

/// `n ÷ d` for d > 0, rounded to nearest, ties up: the only place of the product that rounds money.
fn div_half_up(n: i128, d: i128) -> i128 {
    (2 * n + d).div_euclid(2 * d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tax_is_split_with_ties_up() {
        let inclusive = |rate_bp, amount| Tax { rate_bp, inclusive: true }.split(amount);
        let exclusive = |rate_bp, amount| Tax { rate_bp, inclusive: false }.split(amount);
        assert_eq!(inclusive(1900, 11_900), Some((10_000, 1_900)));
        assert_eq!(inclusive(1900, 100), Some((84, 16)));
        assert_eq!(exclusive(1900, 100), Some((100, 19)));
        assert_eq!(exclusive(500, 10), Some((10, 1)), "0.5 rounds up");
        assert_eq!(exclusive(500, 30), Some((30, 2)), "1.5 rounds up");
        assert_eq!(exclusive(500, 9), Some((9, 0)), "0.45 does not");
        assert_eq!(exclusive(0, 12_345), Some((12_345, 0)));
        assert_eq!(exclusive(10_000, i64::MAX), None, "overflow is an answer, not a wrap");
    }

    #[test]
    fn a_currency_is_three_upper_case_letters() {
        assert!("EUR".parse::<Currency>().is_ok());
        for bad in ["eur", "EU", "EURO", "E1R", "ÄÖ", ""] {
            assert_eq!(bad.parse::<Currency>(), Err(InvalidCurrency), "{bad}");
        }
    }

    #[test]
    fn amounts_are_written_with_the_digits_of_their_currency() {
        for (minor, currency, text) in [
            (1_250, "EUR", "12.50 EUR"),
            (5, "EUR", "0.05 EUR"),
            (0, "EUR", "0.00 EUR"),
            (-105, "USD", "-1.05 USD"),
            (500, "JPY", "500 JPY"),
            (0, "KRW", "0 KRW"),
            (1_234, "KWD", "1.234 KWD"),
            (-5, "BHD", "-0.005 BHD"),
            (12_345, "CLF", "1.2345 CLF"),
            (i64::MIN, "JPY", "-9223372036854775808 JPY"),
        ] {
            let money = Money { amount_minor: minor, currency: currency.parse().unwrap() };
            assert_eq!(money.to_string(), text);
        }
    }

    #[test]
    fn a_share_is_rounded_half_up() {
        assert_eq!(share(1_999, 1_000), Some(200), "199.9");
        assert_eq!(share(5, 1_000), Some(1), "0.5");
        assert_eq!(share(4, 1_000), Some(0), "0.4");
        assert_eq!(share(i64::MAX, 10_000), Some(i64::MAX));
    }

    #[test]
    fn money_of_two_currencies_does_not_add() {
        let eur = Money { amount_minor: 1, currency: "EUR".parse().unwrap() };
        let jpy = Money { amount_minor: 1, currency: "JPY".parse().unwrap() };
        assert_eq!(eur.checked_add(jpy), None);
        assert_eq!(eur.checked_add(eur).map(|m| m.amount_minor), Some(2));
        assert_eq!(eur.checked_mul(i64::MAX).and_then(|m| m.checked_add(eur)), None);
    }
}
