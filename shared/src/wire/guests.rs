//! The body of `GET /gates/guest-records`: guest records page by page, those that changed since the cursor.

use crate::ids::TicketId;
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

/// Records of one page at most.
pub const MAX_PAGE_RECORDS: usize = 500;
/// Bytes of a page at most (checked before parsing).
pub const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of a cursor at most.
pub const MAX_CURSOR_BYTES: usize = 64;
/// Letters of a booking's reference at most.
pub const MAX_REFERENCE: usize = 100;

/// Answer of `GET /gates/guest-records[?cursor=HEX]`: what changed since the cursor, the newest state of each ticket.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct GuestPage {
    /// In the order of their changes.
    #[n(0)]
    pub rows: Vec<GuestRow>,
    /// To be given back for the next page. Means something to the server alone.
    #[n(1)]
    pub cursor: ByteVec,
    /// More pages wait behind the cursor.
    #[n(2)]
    pub more: bool,
    /// This is the first page of all records: those that are in none of its pages are gone.
    #[n(3)]
    pub anew: bool,
    /// The device may know names. If not, it forgets those that it has.
    #[n(4)]
    pub names: bool,
    /// With the last page, records are complete up to this change of this epoch.
    #[n(5)]
    pub epoch: u32,
    /// See `epoch`.
    #[n(6)]
    pub change_seq: u64,
}

/// What is known of one ticket's guest; without `sealed` and `plain` the ticket has no record (any more).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct GuestRow {
    /// The ticket.
    #[n(0)]
    pub ticket: TicketId,
    /// The generation whose code opens the record.
    #[n(1)]
    pub generation: u8,
    /// For every device: [`crate::guest::seal`].
    #[n(2)]
    pub sealed: Option<ByteVec>,
    /// For devices of the box office alone.
    #[n(3)]
    pub plain: Option<PlainGuest>,
}

/// What a device of the box office finds a ticket by.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PlainGuest {
    /// Number of the ticket type.
    #[n(0)]
    pub type_no: u16,
    /// How people name the booking.
    #[n(1)]
    pub booking: String,
    /// Name.
    #[n(2)]
    pub name: Option<String>,
    /// For the door, by the organizer.
    #[n(3)]
    pub note: Option<String>,
}

/// What it says stays out of logs.
impl std::fmt::Debug for PlainGuest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlainGuest").field("type_no", &self.type_no).finish_non_exhaustive()
    }
}
