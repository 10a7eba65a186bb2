//! TK1, the ticket code: 100 signed bytes and their one text form. Layout in docs/PROTOCOL.md, "Ticket code".

use crate::bytes::Kid;
use crate::ids::TicketId;
use crate::time::UnixSecs;

pub mod base45;
pub mod code;
pub mod foreign;
pub mod keys;

/// Length of the signed fields in bytes.
pub const PAYLOAD_LEN: usize = 36;
/// The highest generation that a code can carry. The reissue after it makes a new ticket id.
pub const MAX_GENERATION: u8 = 15;
/// First byte of every TK1 code.
pub const VERSION: u8 = 1;

/// What the 36 signed bytes of a code say.
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

/// Why bytes or a text are no TK1 code. All of them are the outcome `malformed`; the cases help people who test
/// printers and scanners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// More than [`code::MAX_TEXT_LEN`] bytes; nothing was parsed.
    #[error("longer than any code")]
    TooLong,
    /// Does not begin with `HV1:`.
    #[error("not a code of this kind")]
    Foreign,
    /// Not 100 bytes in canonical base45.
    #[error("not 100 bytes of base45")]
    Text,
    /// First byte is not 1.
    #[error("unknown version {0}")]
    Version(u8),
    /// A reserved flag bit is set.
    #[error("reserved flags {0:#x}")]
    ReservedFlags(u8),
    /// `not_before ≥ expires_at`: never valid.
    #[error("an empty validity window")]
    EmptyWindow,
    /// Generation above 15 (only when building).
    #[error("generation {0} does not fit")]
    Generation(u8),
}

impl Payload {
    /// Checks what [`Payload::to_bytes`] takes for granted.
    ///
    /// # Errors
    /// [`Malformed::Generation`] or [`Malformed::EmptyWindow`].
    pub fn check(&self) -> Result<(), Malformed> {
        if self.generation > MAX_GENERATION {
            return Err(Malformed::Generation(self.generation));
        }
        if self.not_before >= self.expires_at {
            return Err(Malformed::EmptyWindow);
        }
        Ok(())
    }

    /// The 36 bytes that are signed.
    ///
    /// # Panics
    /// If [`Payload::check`] fails: such a code would be refused everywhere.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; PAYLOAD_LEN] {
        self.check().expect("callers issue only payloads that every gate accepts");
        let mut out = [0; PAYLOAD_LEN];
        out[0] = VERSION;
        out[1] = self.generation;
        out[2..6].copy_from_slice(&self.kid.0);
        out[6..22].copy_from_slice(self.ticket_id.as_bytes());
        out[22..24].copy_from_slice(&self.type_no.to_be_bytes());
        out[24..28].copy_from_slice(&self.issued_at.0.to_be_bytes());
        out[28..32].copy_from_slice(&self.not_before.0.to_be_bytes());
        out[32..36].copy_from_slice(&self.expires_at.0.to_be_bytes());
        out
    }

    /// Reads the 36 bytes.
    ///
    /// # Errors
    /// [`Malformed`] for an unknown version, reserved flags or an empty window.
    pub fn from_bytes(bytes: &[u8; PAYLOAD_LEN]) -> Result<Self, Malformed> {
        if bytes[0] != VERSION {
            return Err(Malformed::Version(bytes[0]));
        }
        if bytes[1] >> 4 != 0 {
            return Err(Malformed::ReservedFlags(bytes[1] >> 4));
        }
        let payload = Self {
            generation: bytes[1],
            kid: Kid(array(bytes, 2)),
            ticket_id: TicketId::from_bytes(array(bytes, 6)),
            type_no: u16::from_be_bytes(array(bytes, 22)),
            issued_at: UnixSecs(u32::from_be_bytes(array(bytes, 24))),
            not_before: UnixSecs(u32::from_be_bytes(array(bytes, 28))),
            expires_at: UnixSecs(u32::from_be_bytes(array(bytes, 32))),
        };
        payload.check()?;
        Ok(payload)
    }
}

/// `N` bytes from `at` on.
fn array<const N: usize>(bytes: &[u8; PAYLOAD_LEN], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the layout's offsets lie within the payload")
}
