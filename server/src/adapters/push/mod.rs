//! Web Push (RFC 8030): encrypted for the browser (RFC 8291), signed with our key (RFC 8292).

pub mod encrypt;
mod vapid;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use vapid::Vapid;

use super::Answer;
use super::mail::{Mail, Mailer, Receipt, SendError};
use super::outside::Outside;
use crate::clock::{SharedClock, SharedRng};
use crate::domain::notification::NoticeType;

/// How long a push service keeps a message for a browser that is away.
const TTL_SECS: u32 = 86_400;
/// Characters of a text.
const MAX_TEXT: usize = 400;

/// Where a browser is reached, and the keys that it made for us.
#[derive(Clone, Serialize, Deserialize)]
pub struct Subscription {
    pub endpoint: String,
    /// Its public key: base64url of 65 bytes.
    pub p256dh: String,
    /// The secret that it shares with us: base64url of 16 bytes.
    pub auth: String,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Subscription(…)")
    }
}

impl Subscription {
    /// (public key, shared secret), if they are.
    #[must_use]
    pub fn keys(&self) -> Option<(Vec<u8>, [u8; 16])> {
        let public = URL_SAFE_NO_PAD.decode(self.p256dh.trim_end_matches('=')).ok()?;
        let auth = URL_SAFE_NO_PAD.decode(self.auth.trim_end_matches('=')).ok()?;
        encrypt::is_public_key(&public).then_some(())?;
        Some((public, auth.try_into().ok()?))
    }
}

/// Push services, whichever a browser names.
#[derive(Debug)]
pub struct WebPush {
    outside: Outside,
    vapid: Vapid,
    clock: SharedClock,
    rng: SharedRng,
}

impl WebPush {
    #[must_use]
    pub fn new(outside: Outside, vapid: Vapid, clock: SharedClock, rng: SharedRng) -> Self {
        Self { outside, vapid, clock, rng }
    }

    async fn push(&self, mail: &Mail) -> Result<Receipt, SendError> {
        let refused = |e: &dyn std::fmt::Display| SendError::Refused(e.to_string());
        let to: Subscription = serde_json::from_str(&mail.to).map_err(|e| refused(&e))?;
        let (public, auth) =
            to.keys().ok_or_else(|| SendError::Refused("the subscription's keys are none".to_owned()))?;
        let payload = json!({
            "title": mail.subject, "body": shortened(&mail.text), "url": mail.link, "tag": mail.id,
            "lang": mail.language,
        });
        let body = encrypt::encrypt(payload.to_string().as_bytes(), &public, &auth, &self.rng)
            .map_err(|e| refused(&e))?;
        let (url, http) = self.outside.allow(&to.endpoint).map_err(|e| refused(&e))?;
        let authorization = self.vapid.authorization(&url, self.clock.now()).map_err(|e| refused(&e))?;
        let request = http
            .post(url)
            .header(AUTHORIZATION, authorization)
            .header(CONTENT_ENCODING, "aes128gcm")
            .header(CONTENT_TYPE, "application/octet-stream")
            .header("TTL", TTL_SECS)
            .header("Urgency", urgency(&mail.kind))
            .body(body);
        // What the error says may repeat the address, which is a secret of the browser's.
        let reply = request.send().await.map_err(|e| SendError::Failed(e.without_url().to_string()))?;
        let status = reply.status();
        let provider_ref = reply.headers().get(LOCATION).and_then(|v| v.to_str().ok());
        match status.as_u16() {
            200..=299 => {
                let provider_ref = provider_ref.filter(|r| r.len() <= 255).map(str::to_owned);
                Ok(Receipt { provider_ref, delivered: false })
            }
            404 | 410 => Err(SendError::Gone(format!("the push service answers {status}"))),
            408 | 425 | 429 | 500..=599 => {
                Err(SendError::Failed(format!("the push service answers {status}")))
            }
            _ => Err(SendError::Refused(format!("the push service answers {status}"))),
        }
    }
}

impl Mailer for WebPush {
    fn name(&self) -> &'static str {
        "web push"
    }

    fn send<'a>(&'a self, mail: &'a Mail) -> Answer<'a, Result<Receipt, SendError>> {
        Box::pin(self.push(mail))
    }
}

/// What wakes a phone that saves its battery (RFC 8030, section 5.3).
fn urgency(kind: &str) -> &'static str {
    match NoticeType::of_kind(kind) {
        NoticeType::Security | NoticeType::EventChanges | NoticeType::WaitingList => "high",
        NoticeType::Bookings | NoticeType::Reminders | NoticeType::Sales => "normal",
        NoticeType::Messages => "low",
    }
}

/// As much of a text as fits.
#[must_use]
pub fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}
