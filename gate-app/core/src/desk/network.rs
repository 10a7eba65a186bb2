//! How a desk reaches servers.

use crate::sync::http::{Http, HttpError, Received};
use crate::sync::transport::Transport;

/// Gives lines to servers.
pub trait Network: Send + Sync + 'static {
    /// Made on the thread that uses it.
    type Line: Transport + 'static;

    /// A line to `origin` (`scheme://host[:port]`).
    ///
    /// # Errors
    /// [`HttpError`].
    fn line(&self, origin: &str, received: Received) -> Result<Self::Line, HttpError>;
}

/// The real one.
#[derive(Debug, Default)]
pub struct Internet {
    /// Dials this instead of the origin's address.
    pub connect: Option<String>,
}

impl Network for Internet {
    type Line = Http;

    fn line(&self, origin: &str, received: Received) -> Result<Http, HttpError> {
        Ok(Http::new(origin, self.connect.as_deref())?.watched(received))
    }
}
