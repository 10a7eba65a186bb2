//! The network as the engine sees it: bytes out, bytes in, or not.

use std::time::Duration;

/// A request, complete but for the server's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Path, and query without `?`.
    pub path: String,
    /// Query without `?`; empty for none.
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// CBOR; empty for none.
    pub body: Vec<u8>,
    /// From first byte out to last byte in.
    pub timeout: Duration,
    /// A longer answer is cut off while it streams, and is an error.
    pub max_answer: usize,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// At most `max_answer` bytes.
    pub body: Vec<u8>,
}

/// No answer, or half a one. Whether the request had an effect is unknown: every request may be repeated.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct TransportError(pub String);

/// Carries requests to one server.
pub trait Transport {
    /// Sends one and waits for its whole answer.
    fn send(&self, request: Request) -> impl Future<Output = Result<Response, TransportError>>;
}
