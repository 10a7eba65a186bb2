//! Tables as CSV with CRLF (RFC 4180), which people open in spreadsheets: no text in them runs as a formula.

use shared::cells::guarded;

/// A cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// What somebody wrote.
    Text(String),
    /// A number, an id or a time of ours: it stands as it is.
    Plain(String),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Option<String>> for Cell {
    fn from(text: Option<String>) -> Self {
        Self::Text(text.unwrap_or_default())
    }
}

/// The file.
///
/// # Panics
/// If a row has not as many cells as the heading.
#[must_use]
pub fn table(heading: &[&str], rows: impl IntoIterator<Item = Vec<Cell>>) -> String {
    let bytes = lines(std::iter::once(names(heading)).chain(rows));
    String::from_utf8(bytes).expect("it was made of texts")
}

/// A heading as a row.
#[must_use]
pub fn names(heading: &[&str]) -> Vec<Cell> {
    heading.iter().map(|name| Cell::Plain((*name).to_owned())).collect()
}

/// A part of a file that is written bit by bit.
///
/// # Panics
/// If its rows have not all as many cells.
#[must_use]
pub fn lines(rows: impl IntoIterator<Item = Vec<Cell>>) -> Vec<u8> {
    let mut out = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let text = |cell: Cell| match cell {
        Cell::Text(text) => guarded(&text),
        Cell::Plain(text) => text,
    };
    let written = rows.into_iter().try_for_each(|row| out.write_record(row.into_iter().map(text)));
    written.expect("memory takes everything, and all rows have as many cells");
    out.into_inner().expect("memory takes everything")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_guarded_and_numbers_are_numbers() {
        let row = vec![Cell::from("=1+2"), Cell::Plain("-12.50".to_owned()), Cell::from("a,\"b\"")];
        assert_eq!(table(&["a", "b", "c"], [row]), "a,b,c\r\n'=1+2,-12.50,\"a,\"\"b\"\"\"\r\n");
    }
}
