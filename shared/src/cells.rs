//! Texts in tables that people open in spreadsheets: none of them runs as a formula.

/// What begins so, a spreadsheet may run (in East Asia the wide forms too); and the apostrophe that keeps it from that.
const RUNS: [char; 12] =
    ['=', '+', '-', '@', '\t', '\r', '\n', '\'', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

/// A text for a cell: what would be a formula gets an apostrophe in front.
#[must_use]
pub fn guarded(text: &str) -> String {
    if text.starts_with(RUNS) { format!("'{text}") } else { text.to_owned() }
}

/// The text that [`guarded`] was given.
#[must_use]
pub fn unguarded(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if rest.starts_with(RUNS) => rest,
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_text_is_a_formula_and_every_text_comes_back(text in "\\PC{0,20}|[=+@'\\-\t\r\n\u{ff1d}\u{ff20}][ -~]{0,8}") {
            let cell = guarded(&text);
            prop_assert!(!cell.starts_with(|c| c != '\'' && RUNS.contains(&c)));
            prop_assert_eq!(unguarded(&cell), text);
        }
    }
}
