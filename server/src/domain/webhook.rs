//! What organizers' webhooks tell, and how they prove that it is we who tell it: Standard Webhooks 1.0
//! (standardwebhooks.com), symmetric signatures.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::hmac;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

/// A kind of fact. The words are in docs/WEBHOOKS.md for good: integrators compare with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub enum FactType {
    #[serde(rename = "booking.paid")]
    BookingPaid,
    #[serde(rename = "booking.refunded")]
    BookingRefunded,
    #[serde(rename = "ticket.transferred")]
    TicketTransferred,
    #[serde(rename = "ticket.checked_in")]
    TicketCheckedIn,
    #[serde(rename = "event.published")]
    EventPublished,
    #[serde(rename = "event.changed")]
    EventChanged,
    #[serde(rename = "event.canceled")]
    EventCanceled,
    #[serde(rename = "ticket_type.changed")]
    TicketTypeChanged,
    #[serde(rename = "tickets.sold_out")]
    TicketsSoldOut,
    #[serde(rename = "incident.opened")]
    IncidentOpened,
    #[serde(rename = "incident.closed")]
    IncidentClosed,
    /// Asked for, to try an endpoint out.
    #[serde(rename = "endpoint.ping")]
    EndpointPing,
}

impl FactType {
    pub const ALL: [Self; 12] = [
        Self::BookingPaid,
        Self::BookingRefunded,
        Self::TicketTransferred,
        Self::TicketCheckedIn,
        Self::EventPublished,
        Self::EventChanged,
        Self::EventCanceled,
        Self::TicketTypeChanged,
        Self::TicketsSoldOut,
        Self::IncidentOpened,
        Self::IncidentClosed,
        Self::EndpointPing,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BookingPaid => "booking.paid",
            Self::BookingRefunded => "booking.refunded",
            Self::TicketTransferred => "ticket.transferred",
            Self::TicketCheckedIn => "ticket.checked_in",
            Self::EventPublished => "event.published",
            Self::EventChanged => "event.changed",
            Self::EventCanceled => "event.canceled",
            Self::TicketTypeChanged => "ticket_type.changed",
            Self::TicketsSoldOut => "tickets.sold_out",
            Self::IncidentOpened => "incident.opened",
            Self::IncidentClosed => "incident.closed",
            Self::EndpointPing => "endpoint.ping",
        }
    }

    /// `None` for a word that is not told any more.
    pub fn from_column(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.as_str() == text)
    }
}

/// Something that happened.
#[derive(Debug, Clone)]
pub struct Fact {
    /// The same fact has the same id, however often it is told and to whom.
    pub id: Uuid,
    pub of: FactType,
    pub event_id: Option<Uuid>,
    pub booking_id: Option<Uuid>,
    /// A JSON object. Ids, amounts and times; nothing of persons.
    pub data: Value,
}

impl Fact {
    /// What is told, word for word.
    #[must_use]
    pub fn body(&self, at: OffsetDateTime) -> Value {
        json!({ "id": message_id(self.id), "type": self.of.as_str(), "timestamp": instant(at), "data": self.data })
    }
}

/// The `webhook-id` of a fact.
#[must_use]
pub fn message_id(fact: Uuid) -> String {
    format!("msg_{}", fact.simple())
}

/// A time as payloads write it.
#[must_use]
pub fn instant(at: OffsetDateTime) -> Option<String> {
    at.format(&Rfc3339).ok()
}

// Secrets ------------------------------------------------------------------------------------------

const PREFIX: &str = "whsec_";

/// A secret of an endpoint, as it is kept (sealed).
#[derive(Clone, Serialize, Deserialize)]
pub struct Signing {
    /// `whsec_` and 32 bytes in base64.
    pub secret: String,
    /// It signs until then; none: it is the newest.
    #[serde(with = "time::serde::rfc3339::option")]
    pub until: Option<OffsetDateTime>,
}

impl std::fmt::Debug for Signing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signing(until {:?})", self.until)
    }
}

/// A secret of these bytes.
#[must_use]
pub fn secret_of(bytes: &[u8; 32]) -> String {
    format!("{PREFIX}{}", BASE64.encode(bytes))
}

/// Those that sign at `now`, the newest first.
pub fn in_use(secrets: &[Signing], now: OffsetDateTime) -> impl Iterator<Item = &Signing> {
    secrets.iter().filter(move |s| s.until.is_none_or(|until| now < until))
}

/// A new secret in front; the one that was the newest signs until `until`, older ones as long as was said.
#[must_use]
pub fn rotated(
    secrets: &[Signing],
    secret: String,
    until: OffsetDateTime,
    now: OffsetDateTime,
) -> Vec<Signing> {
    let mut all = vec![Signing { secret, until: None }];
    all.extend(
        in_use(secrets, now).map(|s| Signing {
            secret: s.secret.clone(),
            until: Some(s.until.map_or(until, |u| u.min(until))),
        }),
    );
    // Who rotates again and again drops the oldest: a header must not grow without bound.
    all.retain(|s| s.until.is_none_or(|until| now < until));
    all.truncate(MAX_SECRETS);
    all
}

/// Secrets that sign at once.
pub const MAX_SECRETS: usize = 5;

/// The header `webhook-signature`: one signature for each secret, `v1,` and HMAC-SHA256 over `id.timestamp.body` in
/// base64. `None` if a secret is none.
#[must_use]
pub fn signature<'a>(
    secrets: impl IntoIterator<Item = &'a str>,
    id: &str,
    timestamp: i64,
    body: &[u8],
) -> Option<String> {
    let mut all = Vec::new();
    for secret in secrets {
        let key = BASE64.decode(secret.strip_prefix(PREFIX)?).ok()?;
        let mut tag = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key));
        tag.update(format!("{id}.{timestamp}.").as_bytes());
        tag.update(body);
        all.push(format!("v1,{}", BASE64.encode(tag.sign())));
    }
    (!all.is_empty()).then(|| all.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::Duration;
    use time::macros::datetime;

    fn now() -> OffsetDateTime {
        datetime!(2026-11-22 12:00 UTC)
    }

    /// The example of the specification's reference implementations.
    #[test]
    fn signatures_are_those_of_the_specification() {
        let signed = signature(
            ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        assert_eq!(signature(["nothing"], "msg_1", 0, b""), None);
        assert_eq!(signature([], "msg_1", 0, b""), None, "nothing goes unsigned");
    }

    #[test]
    fn the_old_secret_signs_on_for_a_while_and_no_longer() {
        let first = vec![Signing { secret: secret_of(&[1; 32]), until: None }];
        let until = now() + Duration::hours(24);
        let both = rotated(&first, secret_of(&[2; 32]), until, now());
        let at = |at| in_use(&both, at).map(|s| s.secret.clone()).collect::<Vec<_>>();
        assert_eq!(at(now()), [secret_of(&[2; 32]), secret_of(&[1; 32])]);
        assert_eq!(at(until), [secret_of(&[2; 32])]);
        // Rotating in a hurry ends the others sooner, never later.
        let third = rotated(&both, secret_of(&[3; 32]), now() + Duration::hours(1), now());
        assert!(third.iter().skip(1).all(|s| s.until == Some(now() + Duration::hours(1))));
        let again = rotated(&third, secret_of(&[4; 32]), now() + Duration::days(7), now());
        assert_eq!(again[2].until, Some(now() + Duration::hours(1)), "{again:?}");
        let alone = rotated(&again, secret_of(&[5; 32]), now(), now());
        assert_eq!(alone.len(), 1, "at once, if it became known");
        let mut many = first;
        for n in 0..20 {
            many = rotated(&many, secret_of(&[n; 32]), until, now());
        }
        assert_eq!(many.len(), MAX_SECRETS);
    }

    #[test]
    fn words_lead_back_to_their_types() {
        for of in FactType::ALL {
            assert_eq!(FactType::from_column(of.as_str()), Some(of));
            assert_eq!(serde_json::to_value(of).unwrap(), of.as_str());
        }
    }
}
