//! Stripe's events: whether one is Stripe's, and what of it matters here. Fields that we do not know are
//! passed over: newer versions have more of them.

use ring::hmac;
use serde::Deserialize;
use serde_json::Value;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::config::Secret;

/// How far the event's clock and ours may be apart.
pub const TOLERANCE: Duration = Duration::seconds(300);
/// Signatures looked at in one header: a rolled secret makes two.
const MAX_SIGNATURES: usize = 8;

/// It is not Stripe's, or too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    #[error("the header Stripe-Signature is missing or cannot be read")]
    Malformed,
    #[error("no signature is by a secret of this endpoint")]
    Forged,
    #[error("the signature is older or newer than five minutes")]
    OutOfTime,
}

/// Checks `Stripe-Signature: t=…,v1=…` over the raw bytes, in constant time for each secret.
///
/// # Errors
/// [`BadSignature`]
pub fn verify(
    header: &str,
    body: &[u8],
    secrets: &[Secret],
    now: OffsetDateTime,
) -> Result<(), BadSignature> {
    let (mut stamp, mut signatures) = (None, Vec::new());
    for part in header.split(',') {
        match part.trim().split_once('=') {
            Some(("t", text)) if stamp.is_none() => stamp = Some(text),
            Some(("t", _)) => return Err(BadSignature::Malformed),
            Some(("v1", text)) if signatures.len() < MAX_SIGNATURES => {
                signatures.extend(hex::decode(text).ok().filter(|bytes| bytes.len() == 32));
            }
            _ => {}
        }
    }
    let stamp = stamp.ok_or(BadSignature::Malformed)?;
    let at: i64 = stamp.parse().map_err(|_| BadSignature::Malformed)?;
    if signatures.is_empty() {
        return Err(BadSignature::Malformed);
    }
    let signed = [stamp.as_bytes(), b".", body].concat();
    let by = |secret: &Secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes());
        signatures.iter().any(|signature| hmac::verify(&key, &signed, signature).is_ok())
    };
    if !secrets.iter().any(by) {
        return Err(BadSignature::Forged);
    }
    let at = OffsetDateTime::from_unix_timestamp(at).map_err(|_| BadSignature::OutOfTime)?;
    if (now - at).abs() > TOLERANCE { Err(BadSignature::OutOfTime) } else { Ok(()) }
}

/// The header that Stripe would send: for tests and doubles.
#[must_use]
pub fn sign(body: &[u8], secret: &str, now: OffsetDateTime) -> String {
    let stamp = now.unix_timestamp().to_string();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, &[stamp.as_bytes(), b".", body].concat());
    format!("t={stamp},v1={}", hex::encode(tag))
}

/// An event, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub event_id: String,
    pub kind: String,
    pub matter: Matter,
    /// Of the payment intent.
    pub payment_ref: Option<String>,
    /// Of the refund, if it is about one.
    pub refund_ref: Option<String>,
    /// Our ids, as we gave them.
    pub organizer_id: Option<Uuid>,
    pub transaction_id: Option<Uuid>,
    /// In Stripe's units.
    pub amount: Option<i64>,
    /// Lower case.
    pub currency: Option<String>,
}

/// What it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matter {
    /// A payment that stands differently now.
    Payment { succeeded: bool },
    /// A refund that stands differently now.
    Refund { failed: bool },
    /// A charge of which so much went back, in Stripe's units, whoever asked for it.
    Charge { refunded: i64 },
    /// The holder of the card disputes the charge.
    Dispute,
    /// Nothing of ours.
    Other,
}

#[derive(Deserialize)]
struct Raw {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Value,
}

/// Reads an event. `None` if it is none.
#[must_use]
pub fn read(body: &[u8]) -> Option<Notice> {
    let Raw { id, kind, data: Data { object } } = serde_json::from_slice(body).ok()?;
    if id.is_empty() || id.len() > 255 || kind.len() > 100 || !object.is_object() {
        return None;
    }
    let text = |name: &str| object[name].as_str().map(str::to_owned);
    // An id, or the object itself.
    let reference =
        |name: &str| object[name].as_str().or_else(|| object[name]["id"].as_str()).map(str::to_owned);
    let our = |name: &str| object["metadata"][name].as_str().and_then(|id| id.parse().ok());
    let status = object["status"].as_str().unwrap_or_default();
    let matter = match kind.as_str() {
        "payment_intent.succeeded" => Matter::Payment { succeeded: true },
        _ if kind.starts_with("payment_intent.") => Matter::Payment { succeeded: false },
        "charge.refunded" => Matter::Charge { refunded: object["amount_refunded"].as_i64().unwrap_or(0) },
        "charge.dispute.created" => Matter::Dispute,
        _ if kind.starts_with("refund.") || kind.starts_with("charge.refund.") => {
            Matter::Refund { failed: matches!(status, "failed" | "canceled") || kind == "refund.failed" }
        }
        _ => Matter::Other,
    };
    let (payment_ref, refund_ref) = match matter {
        Matter::Payment { .. } => (text("id"), None),
        Matter::Refund { .. } => (reference("payment_intent"), text("id")),
        _ => (reference("payment_intent"), None),
    };
    Some(Notice {
        matter,
        payment_ref,
        refund_ref,
        organizer_id: our("organizer_id"),
        transaction_id: our("transaction_id"),
        amount: object["amount"].as_i64(),
        currency: text("currency"),
        event_id: id,
        kind,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-11-22 12:00 UTC);

    fn secrets(all: &[&str]) -> Vec<Secret> {
        all.iter().map(|s| Secret::new(*s)).collect()
    }

    #[test]
    fn a_signature_is_by_one_of_the_secrets_over_these_bytes_and_of_these_minutes() {
        let body = br#"{"id":"evt_1"}"#;
        let header = sign(body, "whsec_b", NOW);
        let check = |header: &str, body: &[u8], known: &[&str], at| verify(header, body, &secrets(known), at);
        assert_eq!(check(&header, body, &["whsec_a", "whsec_b"], NOW), Ok(()));
        assert_eq!(check(&header, body, &["whsec_a"], NOW), Err(BadSignature::Forged));
        assert_eq!(check(&header, body, &[], NOW), Err(BadSignature::Forged));
        assert_eq!(check(&header, br#"{"id":"evt_2"}"#, &["whsec_b"], NOW), Err(BadSignature::Forged));
        assert_eq!(check(&header, body, &["whsec_b"], NOW + TOLERANCE), Ok(()));
        let late = NOW + TOLERANCE + Duration::SECOND;
        assert_eq!(check(&header, body, &["whsec_b"], late), Err(BadSignature::OutOfTime));
        let early = NOW - TOLERANCE - Duration::SECOND;
        assert_eq!(check(&header, body, &["whsec_b"], early), Err(BadSignature::OutOfTime));
        // Another time under an old signature.
        let moved = header.replace("t=", "t=1");
        assert_eq!(check(&moved, body, &["whsec_b"], NOW), Err(BadSignature::Forged));
        // A rolled secret signs twice, and other schemes stand beside it.
        let both = format!("{},v1={},v0=00", sign(body, "whsec_x", NOW), &header[header.len() - 64..]);
        assert_eq!(check(&both, body, &["whsec_b"], NOW), Ok(()));
        for bad in ["", "t=1", "v1=00", "t=x,v1=00", "nonsense", "t=1,t=2,v1=00"] {
            assert_eq!(check(bad, body, &["whsec_b"], NOW), Err(BadSignature::Malformed), "{bad}");
        }
    }

    #[test]
    fn a_signature_made_by_another_program_verifies() {
        // HMAC-SHA256("whsec_test", "1700000000.{}"), by OpenSSL.
        let header = "t=1700000000,v1=35495024f4ef3f94e5a93e22221544c4b75e9a42300cd965ab81cb85cd994e91";
        let at = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        assert_eq!(verify(header, b"{}", &secrets(&["whsec_test"]), at), Ok(()));
    }

    #[test]
    fn events_say_what_they_are_about_and_may_say_more() {
        let read = |text: &str| read(text.as_bytes());
        let id = Uuid::from_u128(7);
        let paid = read(&format!(
            r#"{{"id":"evt_1","type":"payment_intent.succeeded","new":1,"data":{{"object":{{"id":"pi_1","amount":5,
                "currency":"eur","metadata":{{"transaction_id":"{id}","organizer_id":"{id}"}}}},"previous_attributes":{{}}}}}}"#
        ))
        .unwrap();
        assert_eq!(paid.matter, Matter::Payment { succeeded: true });
        assert_eq!((paid.payment_ref.as_deref(), paid.transaction_id), (Some("pi_1"), Some(id)));
        let back = read(r#"{"id":"evt_2","type":"charge.refund.updated","data":{"object":{"id":"re_1","status":"failed","payment_intent":{"id":"pi_1"}}}}"#).unwrap();
        assert_eq!(back.matter, Matter::Refund { failed: true });
        assert_eq!((back.payment_ref.as_deref(), back.refund_ref.as_deref()), (Some("pi_1"), Some("re_1")));
        let other = read(r#"{"id":"evt_3","type":"payout.paid","data":{"object":{}}}"#).unwrap();
        assert_eq!(other.matter, Matter::Other);
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"id":"","type":"x","data":{"object":{}}}"#,
            r#"{"id":"e","type":"x","data":{"object":1}}"#,
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
