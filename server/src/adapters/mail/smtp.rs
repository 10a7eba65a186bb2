//! Mail by SMTP (lettre). TLS is required towards other machines, unless the address says `tls=none`.

use std::time::Duration;

use anyhow::{Context as _, bail};
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart, header};
use lettre::transport::smtp::PoolConfig;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use reqwest::Url;

use super::{Answer, Mail, Mailer, Receipt, SendError};

/// For each step of the conversation.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Connections at once.
const CONNECTIONS: u32 = 4;

/// A mail server.
#[derive(Debug)]
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    /// Right part of Message-IDs.
    domain: String,
}

impl Smtp {
    /// `url` as `smtps://user:password@host`, `smtp://host:587` (STARTTLS required), or
    /// `smtp://host:25?tls=none`. `from` as `Tickets <tickets@example.org>`.
    pub fn new(url: &str, from: &str) -> anyhow::Result<Self> {
        let url = address(url)?;
        let from: Mailbox = from.parse().context("mail.from is no address")?;
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.as_str())
            // The cause may repeat the address and with it the password.
            .map_err(|_| anyhow::anyhow!("mail.smtp_url cannot be used"))?
            .timeout(Some(TIMEOUT))
            .pool_config(PoolConfig::new().max_size(CONNECTIONS))
            .build();
        let domain = from.email.domain().to_owned();
        Ok(Self { transport, from, domain })
    }

    fn message(&self, mail: &Mail) -> Result<Message, SendError> {
        let refused = |e: &dyn std::fmt::Display| SendError::Refused(e.to_string());
        let to: Mailbox = mail.to.parse().map_err(|_| SendError::Refused("this is no address".to_owned()))?;
        let part =
            |kind: header::ContentType, body: &str| SinglePart::builder().header(kind).body(body.to_owned());
        let alternatives = MultiPart::alternative()
            .singlepart(part(header::ContentType::TEXT_PLAIN, &mail.text))
            .singlepart(part(header::ContentType::TEXT_HTML, &mail.html));
        // Text or HTML, as the reader likes, and the files beside them.
        let mut body = MultiPart::mixed().multipart(alternatives);
        for attachment in &mail.attachments {
            let kind = header::ContentType::parse(attachment.content_type).map_err(|e| refused(&e))?;
            let file = Attachment::new(attachment.name.clone()).body(attachment.bytes.to_vec(), kind);
            body = body.singlepart(file);
        }
        Message::builder()
            .message_id(Some(format!("<{}@{}>", mail.id, self.domain)))
            .date(mail.created_at.into())
            .from(self.from.clone())
            .to(to)
            .subject(mail.subject.clone())
            .raw_header(header::HeaderValue::new(
                header::HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ))
            .raw_header(header::HeaderValue::new(
                header::HeaderName::new_from_ascii_str("Content-Language"),
                mail.language.clone(),
            ))
            .multipart(body)
            .map_err(|e| refused(&e))
    }
}

impl Mailer for Smtp {
    fn name(&self) -> &'static str {
        "smtp"
    }

    fn send<'a>(&'a self, mail: &'a Mail) -> Answer<'a, Result<Receipt, SendError>> {
        Box::pin(async move {
            let message = self.message(mail)?;
            match self.transport.send(message).await {
                Ok(_) => Ok(Receipt::default()),
                Err(e) if e.is_permanent() => Err(SendError::Refused(e.to_string())),
                Err(e) => Err(SendError::Failed(e.to_string())),
            }
        })
    }
}

/// The address as lettre takes it.
fn address(text: &str) -> anyhow::Result<Url> {
    let mut url = Url::parse(text).map_err(|_| anyhow::anyhow!("must be smtp:// or smtps:// and a host"))?;
    let host = url.host_str().unwrap_or_default().to_owned();
    if host.is_empty() || !matches!(url.scheme(), "smtp" | "smtps") {
        bail!("must be smtp:// or smtps:// and a host");
    }
    if url.scheme() == "smtps" {
        return Ok(url);
    }
    let tls = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value.into_owned());
    let here = host == "localhost"
        || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match tls.as_deref() {
        Some("required") => {}
        None if !here => url.set_query(Some("tls=required")),
        None | Some("none") => {
            if url.password().is_some() && !here {
                bail!("a password must not travel without TLS: use smtps:// or leave tls=none out");
            }
            url.set_query(None);
        }
        Some(_) => bail!("tls must be required or none"),
    }
    Ok(url)
}

/// Whether `text` may be the setting; what is wrong, without telling the text.
pub fn check(text: &str) -> Result<(), String> {
    address(text).map(drop).map_err(|e| e.to_string())
}

/// The bare address of a sender.
pub fn address_of(from: &str) -> String {
    from.parse::<Mailbox>().map_or_else(|_| from.to_owned(), |mailbox| mailbox.email.to_string())
}

/// Whether `text` is an address to send from.
pub fn check_from(text: &str) -> Result<(), String> {
    text.parse::<Mailbox>()
        .map(drop)
        .map_err(|_| "must be an address, as Tickets <tickets@example.org>".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_required_of_other_machines() {
        let of = |text: &str| address(text).map(|url| url.to_string()).map_err(|e| e.to_string());
        assert_eq!(of("smtp://mail.example.org").unwrap(), "smtp://mail.example.org?tls=required");
        assert_eq!(of("smtp://mail.example.org:25?tls=none").unwrap(), "smtp://mail.example.org:25");
        assert_eq!(of("smtp://127.0.0.1:2525").unwrap(), "smtp://127.0.0.1:2525");
        assert_eq!(of("smtps://u:p@mail.example.org").unwrap(), "smtps://u:p@mail.example.org");
        for bad in
            ["mail.example.org", "http://a.b", "smtp://u:hunter2@a.b?tls=none", "smtp://a.b?tls=x", "smtp://"]
        {
            let told = of(bad).unwrap_err();
            assert!(!told.contains("hunter2"), "{told}");
        }
    }

    // The transport's pool ends in a task.
    #[tokio::test]
    async fn a_message_says_who_when_and_in_which_language() {
        let smtp = Smtp::new("smtp://127.0.0.1:25", "Tickets <tickets@example.org>").unwrap();
        let mail = Mail {
            id: uuid::Uuid::from_u128(7),
            channel: super::super::Channel::Email,
            kind: "auth.magic_link".into(),
            to: "ada@example.org".into(),
            subject: "Grüße\r\nBcc: eve@example.org".into(),
            text: "Hello".into(),
            html: "<p>Hello</p>".into(),
            language: "en".into(),
            link: None,
            attachments: vec![super::super::Attachment {
                name: "event.ics".into(),
                content_type: "text/calendar; charset=utf-8",
                bytes: b"BEGIN:VCALENDAR".as_slice().into(),
            }],
            created_at: time::OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap(),
        };
        let text = String::from_utf8(smtp.message(&mail).unwrap().formatted()).unwrap();
        assert!(text.contains("Message-ID: <00000000-0000-0000-0000-000000000007@example.org>"), "{text}");
        assert!(text.contains("Date: Fri, 15 Jan 2027 08:00:00 +0000"), "{text}");
        assert!(
            text.contains("Content-Language: en") && text.contains("Auto-Submitted: auto-generated"),
            "{text}"
        );
        assert!(!text.lines().any(|line| line.starts_with("Bcc:")), "{text}");
        assert!(text.contains("multipart/alternative") && text.contains("filename=\"event.ics\""), "{text}");
        let bad = Mail { to: "ada@example.org\r\nBcc: eve@example.org".into(), ..mail };
        assert!(matches!(smtp.message(&bad), Err(SendError::Refused(_))));
    }
}
