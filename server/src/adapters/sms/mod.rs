//! Text messages by the interface of Twilio (`Messages.json` of 2010-04-01), which other providers speak too: form-encoded,
//! with basic authentication. The interface knows no idempotency key, so a message whose answer is lost goes again.
//! How a message fares afterwards the provider tells by itself: [`callback`].

pub mod callback;

use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;

use super::Answer;
use super::mail::{Mail, Mailer, Receipt, SendError};
use crate::config::{Secret, SmsConfig};

/// An answer that is larger is none.
const MAX_ANSWER: usize = 1 << 16;
/// Providers refuse what is longer.
const MAX_CHARACTERS: usize = 1_600;
/// The recipient answered STOP.
const UNSUBSCRIBED: u32 = 21_610;
/// Too many at once, or a queue that is full: as good as 429.
const BUSY: [u32; 3] = [14_107, 20_429, 21_611];

/// An account at such a provider.
#[derive(Debug)]
pub struct Twilio {
    http: reqwest::Client,
    url: Url,
    account_sid: String,
    auth_token: Secret,
    from: String,
    /// Where the provider reaches us, if it does.
    public_url: Option<String>,
}

/// What is read of an answer: of a message, or of a refusal.
#[derive(Debug, Default, Deserialize)]
struct Reply {
    sid: Option<String>,
    #[serde(default)]
    status: serde_json::Value,
    error_code: Option<u32>,
    code: Option<u32>,
    message: Option<String>,
}

impl Twilio {
    /// `None` if no account is configured. `public_url`: where clients reach us.
    ///
    /// # Errors
    /// The address is none, or the TLS library does not start.
    pub fn new(config: &SmsConfig, public_url: Option<&str>) -> anyhow::Result<Option<Self>> {
        let (Some(account_sid), Some(auth_token), Some(from)) =
            (&config.account_sid, &config.auth_token, &config.from)
        else {
            return Ok(None);
        };
        crate::tls::install_provider();
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(15))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("hvflvspot/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let url =
            Url::parse(&format!("{}/2010-04-01/Accounts/{account_sid}/Messages.json", config.api_base))?;
        let (account_sid, auth_token, from) = (account_sid.clone(), auth_token.clone(), from.clone());
        let public_url = public_url.map(str::to_owned);
        Ok(Some(Self { http, url, account_sid, auth_token, from, public_url }))
    }

    async fn send_text(&self, mail: &Mail) -> Result<Receipt, SendError> {
        let text: String = mail.text.chars().take(MAX_CHARACTERS).collect();
        let from = if is_service(&self.from) { "MessagingServiceSid" } else { "From" };
        let mut writer = self.url.clone();
        writer.query_pairs_mut().clear().extend_pairs([
            ("To", mail.to.as_str()),
            (from, self.from.as_str()),
            ("Body", text.as_str()),
        ]);
        if let Some(address) = callback::address(self.public_url.as_deref(), mail.id) {
            writer.query_pairs_mut().append_pair("StatusCallback", &address);
        }
        // No address, no names: only what kind of trouble it is.
        let lost = |e: &reqwest::Error| {
            let what = if e.is_connect() { "cannot be reached" } else { "does not answer" };
            SendError::Failed(format!("the provider of text messages {what}"))
        };
        let mut response = self
            .http
            .post(self.url.clone())
            .basic_auth(&self.account_sid, Some(self.auth_token.reveal()))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Accept", "application/json")
            .body(writer.query().unwrap_or_default().to_owned())
            .send()
            .await
            .map_err(|e| lost(&e))?;
        let status = response.status().as_u16();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| lost(&e))? {
            // The status says enough.
            if bytes.len() + chunk.len() > MAX_ANSWER {
                bytes.clear();
                break;
            }
            bytes.extend_from_slice(&chunk);
        }
        judge(status, &serde_json::from_slice(&bytes).unwrap_or_default())
    }
}

/// Whether a sender is a messaging service, which chooses the number itself.
fn is_service(from: &str) -> bool {
    from.len() == 34 && from.starts_with("MG") && from.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// What an answer means.
fn judge(status: u16, reply: &Reply) -> Result<Receipt, SendError> {
    let code = reply.code.or(reply.error_code);
    let told = || {
        let code = code.map_or_else(|| format!("HTTP {status}"), |code| code.to_string());
        format!("{code}: {}", reply.message.as_deref().unwrap_or("no reason given"))
    };
    match (status, code) {
        (200..=299, _) => match reply.status.as_str() {
            Some("failed" | "undelivered" | "canceled") if code == Some(UNSUBSCRIBED) => {
                Err(SendError::Unwanted(told()))
            }
            Some("failed" | "undelivered" | "canceled") => Err(SendError::Refused(told())),
            of => Ok(Receipt {
                provider_ref: reply.sid.clone().filter(|sid| sid.len() <= 255),
                delivered: of == Some("delivered"),
            }),
        },
        (_, Some(UNSUBSCRIBED)) => Err(SendError::Unwanted(told())),
        (_, Some(code)) if BUSY.contains(&code) => Err(SendError::Failed(told())),
        // Trouble of theirs; or our account: who put in a wrong token puts the right one in, and the messages go. Nobody
        // follows a redirection with a password in hand.
        (300..=399 | 401 | 403 | 404 | 408 | 425 | 429 | 500..=599, _) => Err(SendError::Failed(told())),
        _ => Err(SendError::Refused(told())),
    }
}

impl Mailer for Twilio {
    fn name(&self) -> &'static str {
        "twilio"
    }

    fn send<'a>(&'a self, mail: &'a Mail) -> Answer<'a, Result<Receipt, SendError>> {
        Box::pin(self.send_text(mail))
    }
}

/// Whether `text` may send: a number, the name of a sender, or a messaging service; empty for none.
///
/// # Errors
/// What is wrong with it.
pub fn check_from(text: &str) -> Result<(), String> {
    let number = crate::domain::phone::number(text).is_some_and(|number| number == text);
    let short_code = (3..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let name = (1..=11).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b" +-_&".contains(&b))
        && text.bytes().any(|b| b.is_ascii_alphabetic());
    if text.is_empty() || number || short_code || name || is_service(text) {
        Ok(())
    } else {
        Err("must be a number as +436641234567, a name of 11 letters at most, or a messaging service MG…"
            .to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq)]
    enum Means {
        Sent,
        Delivered,
        Later,
        Never,
        Unwanted,
    }

    fn means(status: u16, body: &str) -> Means {
        match judge(status, &serde_json::from_str(body).unwrap_or_default()) {
            Ok(Receipt { delivered: false, .. }) => Means::Sent,
            Ok(Receipt { delivered: true, .. }) => Means::Delivered,
            Err(SendError::Failed(_)) => Means::Later,
            Err(SendError::Refused(_) | SendError::Gone(_)) => Means::Never,
            Err(SendError::Unwanted(_)) => Means::Unwanted,
        }
    }

    #[test]
    fn an_answer_means_sent_later_never_or_unwanted() {
        let refusal = |code: u32| json!({ "code": code, "message": "x", "status": 400 }).to_string();
        for (status, body, expected) in [
            (201, json!({ "sid": "SM1", "status": "queued", "error_code": null }).to_string(), Means::Sent),
            (200, json!({ "sid": "SM1", "status": "delivered" }).to_string(), Means::Delivered),
            (201, "no json".to_owned(), Means::Sent),
            (
                201,
                json!({ "sid": "SM1", "status": "failed", "error_code": 30_006 }).to_string(),
                Means::Never,
            ),
            (
                201,
                json!({ "sid": "SM1", "status": "failed", "error_code": 21_610 }).to_string(),
                Means::Unwanted,
            ),
            (400, refusal(21_211), Means::Never),
            (400, refusal(21_614), Means::Never),
            (400, refusal(21_610), Means::Unwanted),
            (400, refusal(21_611), Means::Later),
            (400, refusal(14_107), Means::Later),
            (400, "x".to_owned(), Means::Never),
            (401, refusal(20_003), Means::Later),
            (404, refusal(20_404), Means::Later),
            (429, refusal(20_429), Means::Later),
            (500, String::new(), Means::Later),
            (503, "<html>".to_owned(), Means::Later),
            (302, String::new(), Means::Later),
        ] {
            assert_eq!(means(status, &body), expected, "{status} {body}");
        }
    }

    #[test]
    fn a_sender_is_a_number_a_name_or_a_service() {
        for good in
            ["", "+436641234567", "12345", "Tickets", "My Club 21", "MG00000000000000000000000000000001"]
        {
            assert_eq!(check_from(good), Ok(()), "{good}");
        }
        for bad in ["436641234567", "+43 664 1234567", "A name too long", "Tickets\r\n", "MG1234567890123"] {
            assert!(check_from(bad).is_err(), "{bad}");
        }
    }
}
