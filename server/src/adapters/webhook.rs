//! Telling organizers' servers, at addresses of their choice: what may be called says `adapters::outside`. Little of an
//! answer is read.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};

use super::outside::Outside;

/// So much of an answer is read; the rest is not waited for.
const MOST: usize = 4_096;

/// What an endpoint answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// The beginning of its body.
    pub excerpt: String,
    /// It asks to be left alone for so long.
    pub retry_after: Option<Duration>,
}

/// A message, signed.
#[derive(Debug)]
pub struct Signed {
    pub id: String,
    pub timestamp: i64,
    pub signature: String,
    pub body: Vec<u8>,
}

/// One attempt. What went wrong on the way is said for the organizer to read.
///
/// # Errors
/// No answer came.
pub async fn send(outside: &Outside, url: &str, message: &Signed) -> Result<Answer, String> {
    let (url, http) = outside.allow(url).map_err(|e| e.to_string())?;
    let request = http
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", &message.id)
        .header("webhook-timestamp", message.timestamp)
        .header("webhook-signature", &message.signature)
        .body(message.body.clone());
    let mut answer = request.send().await.map_err(|e| told(&e))?;
    let retry_after = answer
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok().map(Duration::from_secs));
    let mut read = Vec::new();
    // The status has come: a body that breaks off changes nothing.
    while let Ok(Some(chunk)) = answer.chunk().await {
        let room = MOST - read.len();
        read.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if read.len() >= MOST {
            break;
        }
    }
    Ok(Answer { status: answer.status().as_u16(), excerpt: excerpt(&read), retry_after })
}

/// What can be kept of an answer's body as text.
fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).take(1_000).collect()
}

/// Why no answer came: in words of ours, and what lies at the bottom of it.
fn told(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let what = if error.is_timeout() {
        "it took too long"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke off"
    };
    format!("{what}: {cause}").chars().take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_text_and_short() {
        assert_eq!(excerpt(b"a\0b\x1b[31m\xff\nc"), "a b [31m\u{fffd}\nc");
        assert_eq!(excerpt(&[b'x'; 5_000]).len(), 1_000);
    }
}
