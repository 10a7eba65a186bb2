//! A list of tickets that others sold, row by row: what it says, and what is wrong with it.

use std::collections::HashMap;

use serde::Serialize;
use shared::ids::{EventId, TicketId};
use shared::ticket::foreign::{NoBarcode, ticket_of_barcode};
use utoipa::ToSchema;
use uuid::Uuid;

use super::text::is_email;
use shared::cells::unguarded;

/// Rows of one file at most.
pub const MAX_ROWS: usize = 20_000;

/// A ticket type that rows may name.
#[derive(Debug, Clone)]
pub struct KnownType {
    pub ticket_type_id: Uuid,
    pub number: i32,
    pub name: String,
    pub archived: bool,
}

/// A row that can be taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// In the file, the heading being row 1.
    pub row: usize,
    pub ticket_id: TicketId,
    pub barcode: String,
    pub ticket_type_id: Uuid,
    pub name: Option<String>,
    pub email: Option<String>,
    pub reference: Option<String>,
}

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RowError {
    /// Another number of cells than the heading has.
    Malformed,
    BarcodeMissing,
    BarcodeTooLong,
    /// Control characters, or space around it.
    BarcodeInvalid,
    /// It begins as the codes of this system do.
    BarcodeOfOurs,
    TicketTypeUnknown,
    /// Two types have this name: say their numbers.
    TicketTypeAmbiguous,
    NameTooLong,
    EmailInvalid,
    ReferenceTooLong,
    /// The same barcode stands in an earlier row.
    DuplicateInFile,
}

/// A file, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    pub rows: Vec<Row>,
    pub wrong: Vec<(usize, RowError)>,
}

/// Why a file cannot be read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoTable {
    #[error("the first row must name the columns, and `barcode` and `ticket_type` must be among them")]
    Heading,
    #[error("there is no column {0:?}: barcode, ticket_type, name, email, reference, ticket_type_name")]
    UnknownColumn(String),
    #[error("the column {0:?} stands there twice")]
    RepeatedColumn(&'static str),
    #[error("a file has at most {MAX_ROWS} rows")]
    TooManyRows,
}

/// The last is for those who read an export: `ticket_type` counts.
const COLUMNS: [&str; 6] = ["barcode", "ticket_type", "name", "email", "reference", "ticket_type_name"];

/// Reads a file: commas, semicolons or tabs, as its heading has them; UTF-8.
pub fn parse(text: &str, event: EventId, types: &[KnownType]) -> Result<Parsed, NoTable> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let heading = text.lines().next().unwrap_or_default();
    let count = |c: u8| heading.bytes().filter(|b| *b == c).count();
    let delimiter = [b',', b';', b'\t'].into_iter().max_by_key(|c| (count(*c), *c == b',')).unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .has_headers(false)
        .from_reader(text.as_bytes());
    let mut records = reader.records();
    let Some(Ok(heading)) = records.next() else { return Err(NoTable::Heading) };
    let columns = Columns::of(&heading)?;
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    let mut seen: HashMap<TicketId, usize> = HashMap::new();
    for (at, record) in records.enumerate() {
        // The line where it begins, as an editor counts.
        let line = record.as_ref().ok().and_then(|r| usize::try_from(r.position()?.line()).ok());
        let number = line.unwrap_or(at + 2);
        if at >= MAX_ROWS {
            return Err(NoTable::TooManyRows);
        }
        let row = match record {
            Ok(record) if record.len() == heading.len() => columns.row(number, &record, event, types),
            Ok(record) if record.iter().all(|cell| cell.trim().is_empty()) => continue,
            Ok(_) | Err(_) => Err(RowError::Malformed),
        };
        match row {
            Ok(row) => match seen.insert(row.ticket_id, number) {
                None => rows.push(row),
                Some(_) => wrong.push((number, RowError::DuplicateInFile)),
            },
            Err(error) => wrong.push((number, error)),
        }
    }
    Ok(Parsed { rows, wrong })
}

/// Where each column stands.
struct Columns([Option<usize>; 6]);

impl Columns {
    fn of(heading: &csv::StringRecord) -> Result<Self, NoTable> {
        let mut places = [None; 6];
        for (at, cell) in heading.iter().enumerate() {
            let name = cell.trim().to_lowercase().replace([' ', '-'], "_");
            let column = COLUMNS.iter().position(|c| *c == name);
            let column = column.ok_or_else(|| NoTable::UnknownColumn(cell.chars().take(40).collect()))?;
            if places[column].replace(at).is_some() {
                return Err(NoTable::RepeatedColumn(COLUMNS[column]));
            }
        }
        match places {
            [Some(_), Some(_), ..] => Ok(Self(places)),
            _ => Err(NoTable::Heading),
        }
    }

    /// A cell as it was meant, if there is anything in it.
    fn cell<'r>(&self, record: &'r csv::StringRecord, column: usize) -> Option<&'r str> {
        let cell = record.get(self.0[column]?)?;
        Some(unguarded(cell.trim())).filter(|c| !c.is_empty())
    }

    fn row(
        &self,
        row: usize,
        record: &csv::StringRecord,
        event: EventId,
        types: &[KnownType],
    ) -> Result<Row, RowError> {
        let barcode = self.cell(record, 0).ok_or(RowError::BarcodeMissing)?;
        let ticket_id = ticket_of_barcode(event, barcode).map_err(|e| match e {
            NoBarcode::Empty => RowError::BarcodeMissing,
            NoBarcode::TooLong => RowError::BarcodeTooLong,
            NoBarcode::Form => RowError::BarcodeInvalid,
            NoBarcode::Own => RowError::BarcodeOfOurs,
        })?;
        let ticket_type_id = type_of(self.cell(record, 1).unwrap_or_default(), types)?;
        let text = |column: usize, most: usize, error: RowError| match self.cell(record, column) {
            Some(text) if text.chars().count() > most || text.chars().any(char::is_control) => Err(error),
            text => Ok(text.map(str::to_owned)),
        };
        let email = text(3, 254, RowError::EmailInvalid)?;
        if email.as_deref().is_some_and(|e| !is_email(e)) {
            return Err(RowError::EmailInvalid);
        }
        Ok(Row {
            row,
            ticket_id,
            barcode: barcode.to_owned(),
            ticket_type_id,
            name: text(2, 200, RowError::NameTooLong)?,
            email,
            reference: text(4, 100, RowError::ReferenceTooLong)?,
        })
    }
}

/// The type that a cell names: by id, by number, or by name in whatever case.
fn type_of(cell: &str, types: &[KnownType]) -> Result<Uuid, RowError> {
    let open = || types.iter().filter(|t| !t.archived);
    if let Ok(id) = cell.parse::<Uuid>() {
        return open()
            .find(|t| t.ticket_type_id == id)
            .map(|t| t.ticket_type_id)
            .ok_or(RowError::TicketTypeUnknown);
    }
    let mut named = open().filter(|t| t.name.to_lowercase() == cell.to_lowercase());
    match (named.next(), named.next()) {
        (Some(only), None) => Ok(only.ticket_type_id),
        (Some(_), Some(_)) => Err(RowError::TicketTypeAmbiguous),
        (None, _) => open()
            .find(|t| cell.parse() == Ok(t.number))
            .map(|t| t.ticket_type_id)
            .ok_or(RowError::TicketTypeUnknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types() -> Vec<KnownType> {
        let of = |n: u8, name: &str| KnownType {
            ticket_type_id: Uuid::from_bytes([n; 16]),
            number: n.into(),
            name: name.into(),
            archived: n == 9,
        };
        vec![of(1, "Standing"), of(2, "Seat"), of(3, "Twice"), of(4, "twice"), of(9, "Old")]
    }

    fn read(text: &str) -> Result<Parsed, NoTable> {
        parse(text, EventId::from_bytes([7; 16]), &types())
    }

    #[test]
    fn rows_are_read_whatever_program_wrote_them() {
        for text in [
            "barcode,ticket_type,name\r\n123,Standing,\"Zoë, B\"\r\n",
            "\u{feff}Barcode;Ticket Type;Name\n123;standing;Zoë, B\n\n",
            "name\tTICKET-TYPE\tbarcode\nZoë, B\t1\t123\n",
        ] {
            let parsed = read(text).unwrap();
            assert_eq!(parsed.wrong, [], "{text}");
            let [row] = parsed.rows.as_slice() else { panic!("{parsed:?}") };
            assert_eq!((row.barcode.as_str(), row.name.as_deref()), ("123", Some("Zoë, B")));
            assert_eq!(row.ticket_type_id, Uuid::from_bytes([1; 16]));
        }
    }

    #[test]
    fn each_bad_row_says_what_is_wrong_and_holds_up_no_other() {
        let long = "x".repeat(257);
        let text = format!(
            "barcode,ticket_type,name,email,reference\n\
             A,Standing,,,\n,Standing,,,\n{long},Standing,,,\nHV1:X,Standing,,,\nB,Nothing,,,\nC,Twice,,,\nD,Old,,,\n\
             E,2,,no address,\nA,Seat,,,\nF,Seat\nG,Seat,Name,a@b.example,R-1\n"
        );
        let parsed = read(&text).unwrap();
        use RowError as E;
        assert_eq!(
            parsed.wrong,
            [
                (3, E::BarcodeMissing),
                (4, E::BarcodeTooLong),
                (5, E::BarcodeOfOurs),
                (6, E::TicketTypeUnknown),
                (7, E::TicketTypeAmbiguous),
                (8, E::TicketTypeUnknown),
                (9, E::EmailInvalid),
                (10, E::DuplicateInFile),
                (11, E::Malformed),
            ]
        );
        let good: Vec<&str> = parsed.rows.iter().map(|r| r.barcode.as_str()).collect();
        assert_eq!(good, ["A", "G"]);
        assert_eq!(parsed.rows[1].reference.as_deref(), Some("R-1"));
    }

    #[test]
    fn a_file_without_a_sound_heading_is_refused_whole() {
        assert_eq!(read(""), Err(NoTable::Heading));
        assert_eq!(read("barcode,name\n1,2\n"), Err(NoTable::Heading));
        assert_eq!(read("barcode,ticket_type,price\n"), Err(NoTable::UnknownColumn("price".into())));
        assert_eq!(read("barcode,barcode,ticket_type\n"), Err(NoTable::RepeatedColumn("barcode")));
        let many = format!("barcode,ticket_type\n{}", "1,1\n".repeat(MAX_ROWS + 1));
        assert_eq!(read(&many), Err(NoTable::TooManyRows));
    }
}
