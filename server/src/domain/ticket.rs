//! What a new ticket's code will say, and how its text is made when asked for.

use ed25519_dalek::SigningKey;
use shared::bytes::Kid;
use shared::ids::{EventId, OrganizerId, TicketId};
use shared::ticket::Payload;
use shared::ticket::code::{self, Code};
use shared::time::UnixSecs;
use time::{Duration, OffsetDateTime};

/// When tickets of a type let in: half-open, whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// `None`: from the start.
    pub not_before: Option<OffsetDateTime>,
    /// Grace included.
    pub expires_at: OffsetDateTime,
}

/// The window of a ticket type: its own validity, or else the whole event; then the grace. Never counted
/// from the sale.
#[must_use]
pub fn window(
    valid_from: Option<OffsetDateTime>,
    valid_until: Option<OffsetDateTime>,
    event_starts_at: OffsetDateTime,
    event_ends_at: Option<OffsetDateTime>,
    grace_secs: i32,
) -> Window {
    let end = valid_until.or(event_ends_at).unwrap_or(event_starts_at);
    // Rounded up, so that no second of validity is lost.
    let end = if end.nanosecond() == 0 { end } else { whole_seconds(end) + Duration::SECOND };
    Window {
        not_before: valid_from.map(whole_seconds),
        expires_at: end + Duration::seconds(i64::from(grace_secs)),
    }
}

/// Rounded down.
#[must_use]
pub fn whole_seconds(at: OffsetDateTime) -> OffsetDateTime {
    at.replace_nanosecond(0).expect("zero is a nanosecond")
}

/// What the code of a ticket's current generation says.
#[derive(Debug, Clone, Copy)]
pub struct CodeFacts {
    pub ticket_id: TicketId,
    pub type_no: u16,
    pub generation: u8,
    pub kid: Kid,
    pub issued_at: OffsetDateTime,
    pub not_before: Option<OffsetDateTime>,
    pub expires_at: OffsetDateTime,
}

/// The text of the QR. Ed25519 is deterministic: the same facts give the same text, so none is stored.
#[must_use]
pub fn code_text(key: &SigningKey, organizer: OrganizerId, event: EventId, facts: &CodeFacts) -> String {
    code_of(key, organizer, event, facts).to_text()
}

/// The signed code that the text says.
#[must_use]
pub fn code_of(key: &SigningKey, organizer: OrganizerId, event: EventId, facts: &CodeFacts) -> Code {
    let payload = Payload {
        generation: facts.generation,
        kid: facts.kid,
        ticket_id: facts.ticket_id,
        type_no: facts.type_no,
        issued_at: UnixSecs::from(facts.issued_at),
        not_before: facts.not_before.map_or(UnixSecs(0), UnixSecs::from),
        expires_at: UnixSecs::from(facts.expires_at),
    };
    code::sign(key, organizer, event, &payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn validity_ends_a_grace_after_the_type_or_the_event_never_after_the_sale() {
        let (start, end) = (datetime!(2026-12-01 19:00 UTC), datetime!(2026-12-01 23:00 UTC));
        let day = 86_400;
        let of_event = window(None, None, start, Some(end), day);
        assert_eq!(of_event, Window { not_before: None, expires_at: end + Duration::DAY });
        assert_eq!(window(None, None, start, None, day).expires_at, start + Duration::DAY);
        let own = window(Some(start), Some(start + Duration::HOUR), start, Some(end), 0);
        assert_eq!(own, Window { not_before: Some(start), expires_at: start + Duration::HOUR });
    }

    #[test]
    fn fractions_of_a_second_never_shorten_a_window() {
        let at = datetime!(2026-12-01 19:00:00.5 UTC);
        let w = window(Some(at), Some(at), at, None, 0);
        assert_eq!(w.not_before, Some(datetime!(2026-12-01 19:00:00 UTC)));
        assert_eq!(w.expires_at, datetime!(2026-12-01 19:00:01 UTC));
    }
}
