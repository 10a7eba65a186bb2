//! Telephone numbers, in the one spelling that text messages are sent by (E.164).

/// `+436641234567` of what somebody typed: with blanks, brackets and hyphens, or `00` for `+`. `None` if it is no
/// international number.
#[must_use]
pub fn number(text: &str) -> Option<String> {
    let plain: String =
        text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '(' | ')' | '/' | '.')).collect();
    let digits = plain.strip_prefix('+').or_else(|| plain.strip_prefix("00"))?;
    let all_digits = digits.bytes().all(|b| b.is_ascii_digit());
    (all_digits && (7..=15).contains(&digits.len()) && !digits.starts_with('0')).then(|| format!("+{digits}"))
}

/// Whether text is the beginning of international numbers, as `+43`.
#[must_use]
pub fn is_prefix(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        !digits.starts_with('0')
            && (1..=14).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
    })
}

/// The number for who knows it already: its country and last digits.
#[must_use]
pub fn masked(number: &str) -> String {
    let (begin, end) = (number.get(..3).unwrap_or_default(), number.len().saturating_sub(2));
    format!("{begin}…{}", number.get(end..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_spelling_however_it_was_typed() {
        for (typed, expected) in [
            ("+43 664 123-45-67", Some("+436641234567")),
            ("0043 (664) 1234567", Some("+436641234567")),
            ("\u{a0}+1 202.555.0143 ", Some("+12025550143")),
            ("0664 1234567", None),
            ("+0664 1234567", None),
            ("+43664", None),
            ("+1234567890123456", None),
            ("+43 664 CALL ME", None),
            ("+43664123456٧", None),
            ("", None),
        ] {
            assert_eq!(number(typed).as_deref(), expected, "{typed}");
        }
        assert_eq!(masked("+436641234567"), "+43…67");
        assert!(
            is_prefix("+43") && is_prefix("+1202") && !is_prefix("43") && !is_prefix("+") && !is_prefix("+0")
        );
    }
}
