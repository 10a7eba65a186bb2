//! TK1, the ticket code: 100 signed bytes and their one text form.

use crate::bytes::Kid;
use crate::ids::TicketId;
use crate::time::UnixSecs;

pub mod keys;

/// What the 36 signed bytes of a code say. See docs/PROTOCOL.md, "Ticket code".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payload {
    /// 0..=15; rises with each reissue or transfer.
    pub generation: u8,
    /// Short name of the signing key.
    pub kid: Kid,
    /// The ticket. The only identity: never the text.
    pub ticket_id: TicketId,
    /// Number of the ticket type within the event.
    pub type_no: u16,
    /// Database clock of the sale.
    pub issued_at: UnixSecs,
    /// First second of validity; 0 for "from the start".
    pub not_before: UnixSecs,
    /// First second after validity (half-open).
    pub expires_at: UnixSecs,
}
