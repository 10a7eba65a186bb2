//! What the provider tells later of a message that it took (Twilio's StatusCallback): where it may tell it, whether a
//! request is the provider's, and what it says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use reqwest::Url;
use ring::hmac;
use uuid::Uuid;

use super::UNSUBSCRIBED;
use crate::adapters::outside::is_public;
use crate::config::Secret;
use crate::domain::notification::News;

/// Fields of one callback at most; providers send some twenty.
const MAX_FIELDS: usize = 100;

/// The fields of a form in the order that they came in.
pub type Fields = Vec<(String, String)>;

/// Where the provider may tell how a message fares; `None` if nobody outside reaches us there. The provider refuses
/// messages that name an address which it cannot call, and a number must not travel in the clear.
#[must_use]
pub fn address(public_url: Option<&str>, message_id: Uuid) -> Option<String> {
    let origin = public_url.filter(|url| is_reachable(url))?;
    Some(format!("{origin}{}", path(message_id)))
}

/// The path of the route.
#[must_use]
pub fn path(message_id: Uuid) -> String {
    format!("/notifications/sms/{message_id}/status")
}

fn is_reachable(origin: &str) -> bool {
    let Ok(url) = Url::parse(origin) else { return false };
    let Some(host) = url.host_str() else { return false };
    let named = |host: &str| {
        let kind = host.rsplit('.').next().unwrap_or_default();
        host.contains('.') && !host.contains('_') && !["localhost", "local", "internal"].contains(&kind)
    };
    let public = match host.trim_matches(['[', ']']).parse() {
        Ok(ip) => is_public(ip),
        Err(_) => named(host),
    };
    url.scheme() == "https" && public
}

/// Reads a form. `None` if it is none.
#[must_use]
pub fn fields(body: &[u8]) -> Option<Fields> {
    let text = std::str::from_utf8(body).ok()?;
    let decoded = |part: &str| {
        let spaced = part.replace('+', " ");
        Some(percent_decode_str(&spaced).decode_utf8().ok()?.into_owned())
    };
    let mut fields = Fields::new();
    for part in text.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        if fields.len() == MAX_FIELDS {
            return None;
        }
        fields.push((decoded(name)?, decoded(value)?));
    }
    Some(fields)
}

/// Whether `X-Twilio-Signature` is the provider's: base64 of HMAC-SHA1, under the account's token, over the address
/// and the fields in the order of their names, name and value without anything between. The comparison takes constant
/// time. A default port counts as left out or written, because the provider does either.
///
/// The signature carries no time: whoever repeats a callback repeats what was said, and that changes nothing.
#[must_use]
pub fn is_signed(
    signature: &str,
    origin: &str,
    path: &str,
    fields: &[(String, String)],
    token: &Secret,
) -> bool {
    let Ok(tag) = STANDARD.decode(signature) else { return false };
    let mut sorted: Vec<&(String, String)> = fields.iter().collect();
    sorted.sort_unstable();
    sorted.dedup();
    let said: String = sorted.into_iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]).collect();
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, token.reveal().as_bytes());
    let origins = [origin.to_owned(), other_spelling(origin)];
    origins.iter().any(|origin| hmac::verify(&key, format!("{origin}{path}{said}").as_bytes(), &tag).is_ok())
}

/// `https://a.example` for `https://a.example:443`, and the other way round.
fn other_spelling(origin: &str) -> String {
    let port = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match origin.rsplit_once(':') {
        Some((host, tail)) if port(tail) => host.to_owned(),
        _ => format!("{origin}:{}", if origin.starts_with("http://") { 80 } else { 443 }),
    }
}

/// What a callback says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The provider's id of the message.
    pub provider_ref: String,
    /// `None` for a word that means nothing here.
    pub news: Option<News>,
    /// The provider's number for why it did not arrive.
    pub error_code: Option<u32>,
}

/// Reads a callback. `None` if it is none.
#[must_use]
pub fn read(fields: &[(String, String)]) -> Option<Told> {
    let field = |names: &[&str]| {
        let found = names.iter().find_map(|name| fields.iter().find(|(of, _)| of == name))?;
        Some(found.1.as_str()).filter(|value| !value.is_empty())
    };
    let provider_ref = field(&["MessageSid", "SmsSid"]).filter(|sid| sid.len() <= 255)?.to_owned();
    let error_code = field(&["ErrorCode"]).and_then(|code| code.parse().ok());
    let news = match field(&["MessageStatus", "SmsStatus"])? {
        "accepted" | "scheduled" | "queued" | "sending" | "sent" => Some(News::Taken),
        "delivered" | "read" => Some(News::Arrived),
        "undelivered" | "failed" | "canceled" => {
            Some(News::Lost { unwanted: error_code == Some(UNSUBSCRIBED) })
        }
        _ => None,
    };
    Some(Told { provider_ref, news, error_code })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Fields {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    /// The provider's published example, computed again with Python's hmac.
    #[test]
    fn a_signature_made_by_another_program_verifies() {
        let token = Secret::new("12345");
        let origin = "https://mycompany.com";
        let path = "/myapp.php?foo=1&bar=2";
        let said = of(&[
            ("To", "+18005551212"),
            ("Digits", "1234"),
            ("Caller", "+14158675309"),
            ("CallSid", "CA1234567890ABCDE"),
            ("From", "+14158675309"),
        ]);
        let good = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";
        assert!(is_signed(good, origin, path, &said, &token));
        let mut changed = said.clone();
        changed[1].1 = "1235".to_owned();
        let mut more = said.clone();
        more.push(("Extra".to_owned(), String::new()));
        for (signature, origin, path, said, token) in [
            ("SSOYDt4T1cUTdK1PDd93/VVr8B8=", origin, path, &said, "12345"),
            ("", origin, path, &said, "12345"),
            ("no base64", origin, path, &said, "12345"),
            (good, "https://mycompany.example", path, &said, "12345"),
            (good, origin, "/myapp.php?foo=1", &said, "12345"),
            (good, origin, path, &changed, "12345"),
            (good, origin, path, &more, "12345"),
            (good, origin, path, &said, "12346"),
        ] {
            assert!(
                !is_signed(signature, origin, path, said, &Secret::new(token)),
                "{signature} {origin} {path}"
            );
        }
    }

    #[test]
    fn a_default_port_may_be_written_or_left_out() {
        let token = Secret::new("12345");
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"12345");
        let signed = |address: &str| STANDARD.encode(hmac::sign(&key, address.as_bytes()));
        let said = |origin, signature: &str| is_signed(signature, origin, "/x", &Fields::new(), &token);
        for (ours, theirs) in [
            ("https://a.example", "https://a.example/x"),
            ("https://a.example", "https://a.example:443/x"),
            ("https://a.example:443", "https://a.example/x"),
            ("https://[2001:4860::1]", "https://[2001:4860::1]:443/x"),
        ] {
            assert!(said(ours, &signed(theirs)), "{ours} {theirs}");
        }
        assert!(!said("https://a.example", &signed("https://a.example:8443/x")));
    }

    #[test]
    fn only_an_address_that_the_provider_reaches_is_named() {
        let id = Uuid::from_u128(7);
        let named = |url| address(Some(url), id);
        assert_eq!(
            named("https://tickets.example.org").as_deref(),
            Some("https://tickets.example.org/notifications/sms/00000000-0000-0000-0000-000000000007/status")
        );
        assert!(named("https://8.8.8.8:8443").is_some());
        assert_eq!(address(None, id), None);
        for url in [
            "http://tickets.example.org",
            "https://localhost",
            "https://tickets",
            "https://box.local",
            "https://a_b.example.org",
            "https://127.0.0.1",
            "https://192.168.1.2:3000",
            "https://[::1]",
        ] {
            assert_eq!(named(url), None, "{url}");
        }
    }

    #[test]
    fn a_form_is_read_and_says_how_the_message_fares() {
        let told = |body: &str| read(&fields(body.as_bytes())?);
        let news = |body: &str| told(body).and_then(|told| told.news);
        assert_eq!(
            told("MessageSid=SM1&MessageStatus=undelivered&ErrorCode=30003&To=%2B43664&New=%C3%BC+b"),
            Some(Told {
                provider_ref: "SM1".to_owned(),
                news: Some(News::Lost { unwanted: false }),
                error_code: Some(30_003)
            })
        );
        for (status, expected) in [
            ("queued", Some(News::Taken)),
            ("sent", Some(News::Taken)),
            ("delivered", Some(News::Arrived)),
            ("failed", Some(News::Lost { unwanted: false })),
            ("pigeon", None),
        ] {
            assert_eq!(news(&format!("SmsSid=SM1&SmsStatus={status}")), expected, "{status}");
        }
        let stopped = news("MessageSid=SM1&MessageStatus=failed&ErrorCode=21610");
        assert_eq!(stopped, Some(News::Lost { unwanted: true }));
        for bad in ["", "MessageSid=SM1", "MessageStatus=sent", "MessageSid=&MessageStatus=sent", "%FF=1"] {
            assert_eq!(told(bad), None, "{bad}");
        }
        assert_eq!(fields("a=1&".repeat(101).as_bytes()), None, "a form without end");
    }
}
