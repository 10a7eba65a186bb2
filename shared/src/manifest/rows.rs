//! Ticket rows of a manifest: 20 bytes each at rest, about 11 on the wire.

use crate::ids::TicketId;
use zstd::zstd_safe;

/// Bytes of one row: ticket id 16 ‖ type number 2 (big endian) ‖ generation 1 ‖ state 1.
pub const ROW_LEN: usize = 20;

/// State of a ticket as gates know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TicketState {
    /// Lets in.
    Valid = 0,
    /// Stopped for now; reversible.
    Blocked = 1,
    /// Revoked: the money went back.
    Refunded = 2,
    /// Revoked: the event or the booking was canceled.
    Canceled = 3,
    /// Revoked by the organizer.
    Withdrawn = 4,
}

impl TicketState {
    /// From its wire byte.
    #[must_use]
    pub const fn from_u8(b: u8) -> Option<Self> {
        Some(match b {
            0 => Self::Valid,
            1 => Self::Blocked,
            2 => Self::Refunded,
            3 => Self::Canceled,
            4 => Self::Withdrawn,
            _ => return None,
        })
    }

    /// The word used in SQL, JSON and explanations.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Blocked => "blocked",
            Self::Refunded => "refunded",
            Self::Canceled => "canceled",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// One ticket in a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TicketRow {
    /// The ticket.
    pub ticket_id: TicketId,
    /// Number of its type within the event.
    pub type_no: u16,
    /// The generation that is valid now, 0..=15.
    pub generation: u8,
    /// Its state.
    pub state: TicketState,
}

impl TicketRow {
    /// The 20 bytes of the row.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; ROW_LEN] {
        let mut out = [0; ROW_LEN];
        out[..16].copy_from_slice(self.ticket_id.as_bytes());
        out[16..18].copy_from_slice(&self.type_no.to_be_bytes());
        out[18] = self.generation;
        out[19] = self.state as u8;
        out
    }

    /// Reads the 20 bytes.
    ///
    /// # Errors
    /// [`RowsError::BadGeneration`] or [`RowsError::UnknownState`].
    pub fn from_bytes(bytes: &[u8; ROW_LEN]) -> Result<Self, RowsError> {
        let (id, rest) = bytes.split_first_chunk::<16>().expect("a row is longer than an id");
        if rest[2] > crate::ticket::MAX_GENERATION {
            return Err(RowsError::BadGeneration(rest[2]));
        }
        Ok(Self {
            ticket_id: TicketId::from_bytes(*id),
            type_no: u16::from_be_bytes([rest[0], rest[1]]),
            generation: rest[2],
            state: TicketState::from_u8(rest[3]).ok_or(RowsError::UnknownState(rest[3]))?,
        })
    }
}

/// Why bytes are no ticket rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowsError {
    /// More rows than the caller allows; nothing was unpacked.
    #[error("{rows} rows are more than the {max} allowed")]
    TooMany {
        /// Rows announced.
        rows: u64,
        /// Rows allowed.
        max: usize,
    },
    /// Not exactly one zstd frame that says its size and keeps to it.
    #[error("not one sound zstd frame of known size")]
    Frame,
    /// The row count does not match the length.
    #[error("the length does not match the row count")]
    Length,
    /// Ids do not rise strictly: unsorted, or a ticket twice.
    #[error("row {0} is not after the row before it")]
    OutOfOrder(usize),
    /// No such state.
    #[error("unknown ticket state {0}")]
    UnknownState(u8),
    /// Above 15.
    #[error("impossible generation {0}")]
    BadGeneration(u8),
}

/// Rows from concatenated 20-byte rows, in their order.
///
/// # Errors
/// [`RowsError::Length`] if it is no whole number of rows; else as [`TicketRow::from_bytes`].
pub fn parse_rows(blob: &[u8]) -> Result<Vec<TicketRow>, RowsError> {
    let (rows, rest) = blob.as_chunks::<ROW_LEN>();
    if !rest.is_empty() {
        return Err(RowsError::Length);
    }
    rows.iter().map(TicketRow::from_bytes).collect()
}

/// Sorts by ticket and keeps the last row of each: what a delta made of several batches comes to.
pub fn sort_last_wins(rows: &mut Vec<TicketRow>) {
    rows.sort_by_key(|r| r.ticket_id); // stable: later rows of a ticket stay behind earlier ones
    rows.dedup_by(|later, kept| {
        let same = later.ticket_id == kept.ticket_id;
        if same {
            *kept = *later;
        }
        same
    });
}

/// Bytes of the count before the columns.
const COUNT_LEN: usize = 4;
/// Bytes of an id that are a timestamp in UUIDv7 and rise slowly in any sorted list.
const PREFIX_LEN: usize = 6;
/// The rows' byte planes in the order in which they are written: the id's first six bytes (as differences), the
/// bytes with the version and variant bits, type number, generation, state.
const PLANES: [usize; 12] = [0, 1, 2, 3, 4, 5, 6, 8, 16, 17, 18, 19];
/// Random bytes of an id that no coder can shorten, written row by row after the planes.
const RANDOM: [usize; 8] = [7, 9, 10, 11, 12, 13, 14, 15];
const ZSTD_LEVEL: i32 = 3;

/// Packs rows for the wire: zstd over count u32 BE ‖ byte planes ‖ random bytes.
///
/// Every row takes 20 bytes before compression. The first 48 bits of the ids (a UUIDv7's milliseconds) are
/// written as differences to the row before; each plane holds one byte position of all rows, so that zstd's
/// entropy coder sees bytes of one kind together.
///
/// # Panics
/// If rows are not strictly sorted by ticket ([`sort_last_wins`]) or more than `u32::MAX`.
#[must_use]
pub fn pack_columns(rows: &[TicketRow]) -> Vec<u8> {
    assert!(rows.is_sorted_by(|a, b| a.ticket_id < b.ticket_id), "rows are packed strictly sorted");
    let count = u32::try_from(rows.len()).expect("an event has fewer than 2^32 tickets");
    let n = rows.len();
    let mut raw = vec![0; COUNT_LEN + n * ROW_LEN];
    let (head, columns) = raw.split_at_mut(COUNT_LEN);
    head.copy_from_slice(&count.to_be_bytes());
    let (planes, random) = columns.split_at_mut(n * PLANES.len());
    let mut before = 0;
    for (i, row) in rows.iter().enumerate() {
        let mut bytes = row.to_bytes();
        let prefix = prefix(&bytes);
        bytes[..PREFIX_LEN].copy_from_slice(&(prefix - before).to_be_bytes()[8 - PREFIX_LEN..]);
        before = prefix;
        for (plane, &at) in PLANES.iter().enumerate() {
            planes[plane * n + i] = bytes[at];
        }
        for (k, &at) in RANDOM.iter().enumerate() {
            random[i * RANDOM.len() + k] = bytes[at];
        }
    }
    zstd::bulk::compress(&raw, ZSTD_LEVEL).expect("compressing memory into memory cannot fail")
}

/// Unpacks what [`pack_columns`] made. Looks at the announced size before allocating.
///
/// # Errors
/// [`RowsError`]; at most `max_rows` rows are ever held.
pub fn unpack_columns(packed: &[u8], max_rows: usize) -> Result<Vec<TicketRow>, RowsError> {
    let raw = inflate(packed, max_rows)?;
    let (head, columns) = raw.split_first_chunk::<COUNT_LEN>().ok_or(RowsError::Length)?;
    let n = usize::try_from(u32::from_be_bytes(*head)).map_err(|_| RowsError::Length)?;
    if n.checked_mul(ROW_LEN) != Some(columns.len()) {
        return Err(RowsError::Length);
    }
    let (planes, random) = columns.split_at(n * PLANES.len());
    let mut rows: Vec<TicketRow> = Vec::with_capacity(n);
    let mut before = 0u64;
    for i in 0..n {
        let mut bytes = [0; ROW_LEN];
        for (plane, &at) in PLANES.iter().enumerate() {
            bytes[at] = planes[plane * n + i];
        }
        for (k, &at) in RANDOM.iter().enumerate() {
            bytes[at] = random[i * RANDOM.len() + k];
        }
        // Two 48-bit numbers: no overflow of the sum, but it may leave the 48 bits.
        before += prefix(&bytes);
        if before >> (8 * PREFIX_LEN) != 0 {
            return Err(RowsError::OutOfOrder(i));
        }
        bytes[..PREFIX_LEN].copy_from_slice(&before.to_be_bytes()[8 - PREFIX_LEN..]);
        let row = TicketRow::from_bytes(&bytes)?;
        if rows.last().is_some_and(|last| last.ticket_id >= row.ticket_id) {
            return Err(RowsError::OutOfOrder(i));
        }
        rows.push(row);
    }
    Ok(rows)
}

/// The first 48 bits as a number.
fn prefix(bytes: &[u8; ROW_LEN]) -> u64 {
    let mut out = [0; 8];
    out[8 - PREFIX_LEN..].copy_from_slice(&bytes[..PREFIX_LEN]);
    u64::from_be_bytes(out)
}

/// Decompresses one zstd frame whose announced size fits `max_rows`.
fn inflate(packed: &[u8], max_rows: usize) -> Result<Vec<u8>, RowsError> {
    let announced = zstd_safe::get_frame_content_size(packed).ok().flatten().ok_or(RowsError::Frame)?;
    let rows = announced.saturating_sub(COUNT_LEN as u64).div_ceil(ROW_LEN as u64);
    if rows > max_rows as u64 {
        return Err(RowsError::TooMany { rows, max: max_rows });
    }
    // Exactly one frame: nothing may hide behind it.
    if zstd_safe::find_frame_compressed_size(packed) != Ok(packed.len()) {
        return Err(RowsError::Frame);
    }
    let size = usize::try_from(announced).map_err(|_| RowsError::Frame)?;
    let mut raw = vec![0; size];
    match zstd::bulk::decompress_to_buffer(packed, &mut raw[..]) {
        Ok(written) if written == size => Ok(raw),
        _ => Err(RowsError::Frame),
    }
}
