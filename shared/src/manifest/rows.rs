//! Ticket rows of a manifest: 20 bytes each.

use crate::ids::TicketId;

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
