//! The real network.

use super::transport::{Request, Response, Transport, TransportError};
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// Names the address to dial instead of the origin's, such as a proxy on the venue's side of a tunnel.
pub const CONNECT_ENV: &str = "HVFLVSPOT_GATE_CONNECT";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A line that carries nothing for so long is dead. Above the longest time that the server holds an answer back.
const READ_TIMEOUT: Duration = Duration::from_secs(75);

/// The one answer that is long.
const MANIFEST_PATH: &str = "/gates/manifest";

/// Told, while an answer arrives, how many bytes of how many are there; 0 of what nobody knows.
pub type Received = Box<dyn Fn(u64, u64) + Send + Sync>;

/// HTTP to one origin.
pub struct Http {
    client: reqwest::Client,
    /// What requests go to.
    base: String,
    /// What the server is called, if `base` names another address.
    host: Option<String>,
    received: Option<Received>,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").field("base", &self.base).field("host", &self.host).finish_non_exhaustive()
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// `HVFLVSPOT_GATE_CONNECT` is no address.
    #[error("{CONNECT_ENV}={0} is no HOST:PORT")]
    Connect(String),
    /// TLS could not be set up.
    #[error("setting up HTTP")]
    Client(#[from] reqwest::Error),
}

/// Installs the one provider of cryptography for TLS. The first call wins; more do nothing.
pub fn install_tls_provider() {
    // An error only says that one is installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl Http {
    /// To `origin` (`scheme://host[:port]`); dials `connect` instead of its address, if given.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn new(origin: &str, connect: Option<&str>) -> Result<Self, HttpError> {
        install_tls_provider();
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .tcp_keepalive(Duration::from_secs(20))
            // A signed request must not be sent on to somebody else.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("hvflvspot-gate/", env!("CARGO_PKG_VERSION")));
        let Some(connect) = connect.filter(|c| !c.is_empty()) else {
            return Ok(Self {
                client: builder.build()?,
                base: origin.to_owned(),
                host: None,
                received: None,
            });
        };
        let address = resolve(connect).ok_or_else(|| HttpError::Connect(connect.to_owned()))?;
        let authority = origin.split_once("://").map_or(origin, |(_, authority)| authority);
        builder = builder.no_proxy();
        let base = if origin.starts_with("https://") {
            // The name stays in the address for TLS; without a port there, the dialled one counts.
            let name = authority.rsplit_once(':').map_or(authority, |(name, _)| name);
            builder = builder.resolve(name, address);
            format!("https://{name}")
        } else {
            format!("http://{address}")
        };
        Ok(Self { client: builder.build()?, base, host: Some(authority.to_owned()), received: None })
    }

    /// Tells `received` how the answers to long downloads arrive.
    #[must_use]
    pub fn watched(mut self, received: Received) -> Self {
        self.received = Some(received);
        self
    }
}

fn resolve(connect: &str) -> Option<SocketAddr> {
    connect.to_socket_addrs().ok()?.next()
}

impl Transport for Http {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let sending = self.exchange(&request);
        match tokio::time::timeout(request.timeout, sending).await {
            Ok(answered) => answered,
            Err(_) => Err(TransportError(format!("no answer within {} s", request.timeout.as_secs()))),
        }
    }
}

impl Http {
    async fn exchange(&self, request: &Request) -> Result<Response, TransportError> {
        let mut url = format!("{}{}", self.base, request.path);
        if !request.query.is_empty() {
            url.push('?');
            url.push_str(&request.query);
        }
        let mut building = match request.method {
            "POST" => self.client.post(url).body(request.body.clone()),
            _ => self.client.get(url),
        };
        if let Some(host) = &self.host {
            building = building.header("host", host);
        }
        if !request.body.is_empty() {
            building = building.header("content-type", shared::wire::gates::CBOR);
        }
        building = building.header("accept", "application/cbor, application/problem+json");
        for (name, value) in &request.headers {
            building = building.header(*name, value);
        }
        let mut response = building.send().await.map_err(network)?;
        let status = response.status().as_u16();
        let of = response.content_length().unwrap_or(0);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(network)? {
            if body.len() + chunk.len() > request.max_answer {
                return Err(TransportError(format!(
                    "the answer is longer than {} bytes",
                    request.max_answer
                )));
            }
            body.extend_from_slice(&chunk);
            if let Some(received) = self.received.as_ref().filter(|_| request.path == MANIFEST_PATH) {
                received(body.len() as u64, of);
            }
        }
        Ok(Response { status, body })
    }
}

/// The innermost cause says most ("connection refused"); the address is known.
fn network(error: reqwest::Error) -> TransportError {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    TransportError(cause.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dials_another_address_and_keeps_the_servers_name() {
        let http = Http::new("http://gate.example:3000", Some("127.0.0.1:99")).unwrap();
        assert_eq!(
            (http.base.as_str(), http.host.as_deref()),
            ("http://127.0.0.1:99", Some("gate.example:3000"))
        );
        let tls = Http::new("https://gate.example:8443", Some("127.0.0.1:99")).unwrap();
        assert_eq!(
            (tls.base.as_str(), tls.host.as_deref()),
            ("https://gate.example", Some("gate.example:8443"))
        );
        let plain = Http::new("https://gate.example", Some("")).unwrap();
        assert_eq!((plain.base.as_str(), plain.host), ("https://gate.example", None));
        assert!(matches!(Http::new("https://gate.example", Some("nowhere")), Err(HttpError::Connect(_))));
    }
}
