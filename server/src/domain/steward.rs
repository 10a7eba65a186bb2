//! Door staff sign with a PIN at the gate, which checks it offline: its hash travels in the manifest.

/// A PIN has this many digits.
pub const PIN_DIGITS: std::ops::RangeInclusive<usize> = 4..=8;

/// True for 4 to 8 ASCII digits.
#[must_use]
pub fn is_pin(text: &str) -> bool {
    PIN_DIGITS.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_4_to_8_digits() {
        for (text, good) in [
            ("1234", true),
            ("12345678", true),
            ("123456789", false),
            ("123", false),
            ("12a4", false),
            ("１２３４", false),
            ("", false),
        ] {
            assert_eq!(is_pin(text), good, "{text}");
        }
    }
}
