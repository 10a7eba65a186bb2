//! Barcodes of tickets that others sold. A gate knows nothing of them but a hash, so they are tickets whose id is
//! made from it: the row in the manifest, its bucket, its place in the log and the fold are those of every ticket.
//!
//! ticket id = the first 16 bytes of SHA-256("hvflvspot/foreign/v1\0" ‖ event id ‖ SHA-256(barcode)), with version 8
//! and variant 2 written into it (RFC 9562, section 5.8: 122 bits remain). Our own tickets have version 7: no barcode
//! ever means one of them, and no code that we sign means a barcode.

use super::code::{MAX_TEXT_LEN, PREFIX, text_hash};
use crate::bytes::{Hash32, sha256};
use crate::ids::{EventId, TicketId};

/// The longest barcode that is taken in, in bytes.
pub const MAX_BARCODE_LEN: usize = 256;
const _: () = assert!(MAX_BARCODE_LEN <= MAX_TEXT_LEN);

/// Why a text cannot be a barcode of somebody else's ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoBarcode {
    /// Nothing in it.
    #[error("it is empty")]
    Empty,
    /// More bytes than scanners bring.
    #[error("it has more than {MAX_BARCODE_LEN} bytes")]
    TooLong,
    /// Control characters, or space around it: scanners' adapters remove these.
    #[error("it has control characters, or space around it")]
    Form,
    /// It begins like the codes that are signed here.
    #[error("it begins with {PREFIX}, as the codes of this system do")]
    Own,
}

/// The id of the ticket that a foreign text stands for at an event, if it was taken in there.
#[must_use]
pub fn ticket_of(event: EventId, text_hash: &Hash32) -> TicketId {
    let hash = sha256(b"hvflvspot/foreign/v1\0", &[event.as_bytes(), &text_hash.0]);
    let mut id = [0; 16];
    id.copy_from_slice(&hash.0[..16]);
    id[6] = 0x80 | (id[6] & 0x0f);
    id[8] = 0x80 | (id[8] & 0x3f);
    TicketId::from_bytes(id)
}

/// The same of a barcode to take in.
///
/// # Errors
/// [`NoBarcode`].
pub fn ticket_of_barcode(event: EventId, barcode: &str) -> Result<TicketId, NoBarcode> {
    if barcode.is_empty() {
        return Err(NoBarcode::Empty);
    }
    if barcode.len() > MAX_BARCODE_LEN {
        return Err(NoBarcode::TooLong);
    }
    if barcode.trim() != barcode || barcode.chars().any(char::is_control) {
        return Err(NoBarcode::Form);
    }
    if barcode.starts_with(PREFIX) {
        return Err(NoBarcode::Own);
    }
    Ok(ticket_of(event, &text_hash(barcode)))
}

/// True for the id of a ticket that others sold.
#[must_use]
pub fn is_foreign(ticket: &TicketId) -> bool {
    ticket.as_bytes()[6] >> 4 == 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_barcode_means_one_ticket_of_one_event_and_never_one_of_ours() {
        let event = |n: u8| EventId::from_bytes([n; 16]);
        let id = ticket_of_barcode(event(1), "4006381333931").unwrap();
        // Frozen: gates in the field hold manifests with ids made this way.
        assert_eq!(id.to_string(), "f1f99f74-05ed-87b6-a1c4-59c569dea79b");
        assert!(is_foreign(&id));
        assert_eq!(ticket_of(event(1), &text_hash("4006381333931")), id);
        assert_ne!(ticket_of_barcode(event(2), "4006381333931"), Ok(id), "another event, another ticket");
        assert_ne!(ticket_of_barcode(event(1), "4006381333932"), Ok(id));
        let ours: TicketId = "0192f0c1-0000-7000-8000-000000000001".parse().unwrap();
        assert!(!is_foreign(&ours));
    }

    #[test]
    fn what_no_scanner_brings_or_what_looks_like_ours_is_no_barcode() {
        let event = EventId::from_bytes([1; 16]);
        for (text, why) in [
            ("", NoBarcode::Empty),
            (" 1", NoBarcode::Form),
            ("1\n", NoBarcode::Form),
            ("1\u{7}2", NoBarcode::Form),
            ("HV1:ABC", NoBarcode::Own),
        ] {
            assert_eq!(ticket_of_barcode(event, text), Err(why), "{text:?}");
        }
        assert_eq!(ticket_of_barcode(event, &"x".repeat(257)), Err(NoBarcode::TooLong));
        assert!(ticket_of_barcode(event, &"ü".repeat(128)).is_ok());
        assert!(ticket_of_barcode(event, "hv1:abc").is_ok(), "codes of ours are upper case");
    }
}
