//! Amounts as people write them: with the decimals of their currency (ISO 4217).

/// Decimals of a currency.
#[must_use]
pub fn decimals(currency: &str) -> u32 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI"
        | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

/// `-1234.50`: for tables and machines.
#[must_use]
pub fn plain(amount_minor: i64, currency: &str) -> String {
    write(amount_minor, currency, "")
}

/// `-1,234.50 EUR`: for people.
#[must_use]
pub fn words(amount_minor: i64, currency: &str) -> String {
    format!("{} {currency}", write(amount_minor, currency, ","))
}

fn write(amount_minor: i64, currency: &str, between: &str) -> String {
    let decimals = decimals(currency);
    let unit = 10_u64.pow(decimals);
    let (whole, part) = (amount_minor.unsigned_abs() / unit, amount_minor.unsigned_abs() % unit);
    let digits = whole.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            grouped.push_str(between);
        }
        grouped.push(digit);
    }
    let sign = if amount_minor < 0 { "-" } else { "" };
    match decimals {
        0 => format!("{sign}{grouped}"),
        n => format!("{sign}{grouped}.{part:0width$}", width = usize::try_from(n).unwrap_or(2)),
    }
}

/// `7 %`, `5.5 %` of basis points.
#[must_use]
pub fn percent(basis_points: i64) -> String {
    let (whole, part) = (basis_points / 100, basis_points % 100);
    match (part, part % 10) {
        (0, _) => format!("{whole} %"),
        (_, 0) => format!("{whole}.{} %", part / 10),
        _ => format!("{whole}.{part:02} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_currency_has_its_own_decimals() {
        assert_eq!(words(123_456_789, "EUR"), "1,234,567.89 EUR");
        assert_eq!(words(5, "EUR"), "0.05 EUR");
        assert_eq!(words(-100_000, "EUR"), "-1,000.00 EUR");
        assert_eq!(words(1_500, "JPY"), "1,500 JPY");
        assert_eq!(words(1_234, "KWD"), "1.234 KWD");
        assert_eq!(plain(-123_450, "EUR"), "-1234.50");
        assert_eq!(plain(i64::MIN, "JPY"), "-9223372036854775808");
    }

    #[test]
    fn rates_are_written_without_needless_digits() {
        assert_eq!([700, 550, 2_125, 0].map(percent), ["7 %", "5.5 %", "21.25 %", "0 %"]);
    }
}
