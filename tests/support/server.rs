//! The server inside the test process: real routes, a real port, a real database, held clocks.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use hvflvspot::app::AppState;
use hvflvspot::clock::{SharedClock, SharedRng, SystemClock, TestClock};
use hvflvspot::config::Config;
use hvflvspot::http::{router, serve};
use hvflvspot::keys::MasterKey;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use utoipa_axum::router::OpenApiRouter;

use crate::db::TestDb;
use crate::documented;

/// What a test may set before it starts.
#[expect(missing_debug_implementations, reason = "routes have none")]
pub struct Builder {
    config: Config,
    clock: SharedClock,
    seed: u64,
    routes: OpenApiRouter<AppState>,
    tls: Option<TlsAcceptor>,
}

/// A running server; stops with the value.
#[derive(Debug)]
pub struct TestServer {
    pub app: AppState,
    pub db: TestDb,
    /// `http://127.0.0.1:PORT`
    pub url: String,
    pub client: reqwest::Client,
    serving: JoinHandle<bool>,
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    /// Null if it was not JSON.
    pub body: Value,
    pub text: String,
}

impl Builder {
    /// Holds the server's time.
    #[must_use]
    pub fn clock(mut self, clock: &TestClock) -> Self {
        self.clock = Arc::new(clock.clone());
        self
    }

    /// Other chances than those of seed 1.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Changes settings.
    #[must_use]
    pub fn config(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Adds routes of the test's own.
    #[must_use]
    pub fn routes(mut self, routes: OpenApiRouter<AppState>) -> Self {
        self.routes = self.routes.merge(routes);
        self
    }

    /// Serves HTTPS.
    #[must_use]
    pub fn tls(mut self, acceptor: TlsAcceptor) -> Self {
        self.tls = Some(acceptor);
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// If the database does not start or no port is free.
    pub async fn start(self) -> Result<TestServer> {
        hvflvspot::tls::install_provider();
        let db = TestDb::new().await?;
        let pools = db.connect().await?;
        let rng = SharedRng::seeded(self.seed);
        let master_key = MasterKey::generate(&rng);
        let app = AppState::new(self.config, pools, master_key, self.clock, rng).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let tls = self.tls;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr()?);
        let routes = router::finish(router::api().merge(self.routes), app.clone())
            .layer(axum::middleware::from_fn(documented::check));
        let serving = tokio::spawn({
            let app = app.clone();
            async move { serve::serve_tls(listener, routes, &app.config.http, tls, app.stopping.clone()).await }
        });
        Ok(TestServer { app, db, url, client: reqwest::Client::new(), serving })
    }
}

impl TestServer {
    /// A server with settings of its own.
    pub fn builder() -> Builder {
        let mut config = Config::built_in();
        config.dev = true;
        config.gateway.seed = Some(1);
        Builder { config, clock: Arc::new(SystemClock), seed: 1, routes: OpenApiRouter::new(), tls: None }
    }

    /// A server as it comes.
    ///
    /// # Errors
    /// If the database does not start or no port is free.
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// A request to be completed and sent with [`send`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// GET.
    ///
    /// # Errors
    /// If no answer comes.
    pub async fn get(&self, path: &str) -> Result<Reply> {
        send(self.request(Method::GET, path)).await
    }

    /// POST with a JSON body.
    ///
    /// # Errors
    /// If no answer comes.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Reply> {
        send(self.request(Method::POST, path).json(body)).await
    }

    /// The same with a bearer token.
    ///
    /// # Errors
    /// If no answer comes.
    pub async fn post_as(&self, token: &str, path: &str, body: &Value) -> Result<Reply> {
        send(self.request(Method::POST, path).bearer_auth(token).json(body)).await
    }

    /// GET with a bearer token.
    ///
    /// # Errors
    /// If no answer comes.
    pub async fn get_as(&self, token: &str, path: &str) -> Result<Reply> {
        send(self.request(Method::GET, path).bearer_auth(token)).await
    }

    /// Stops gracefully. True if no request had to be cut off.
    ///
    /// # Errors
    /// If the server panicked.
    pub async fn stop(mut self) -> Result<bool> {
        self.app.stopping.cancel();
        (&mut self.serving).await.context("the server panicked")
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.app.stopping.cancel();
        self.serving.abort();
    }
}

/// Sends a request and reads the whole answer; of a stream, which has no end, the head alone.
///
/// # Errors
/// If no answer comes.
pub async fn send(request: RequestBuilder) -> Result<Reply> {
    let response = request.send().await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let endless = headers.get("content-type").is_some_and(|kind| kind == "text/event-stream");
    let text = if endless { String::new() } else { response.text().await? };
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Ok(Reply { status, headers, body, text })
}

impl Reply {
    /// The stable code of a problem; empty if it is none.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().or_else(|| self.body["error_code"].as_str()).unwrap_or("")
    }

    /// A header as text; empty if it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("")
    }

    /// The body, if the status is `status`.
    ///
    /// # Errors
    /// Another status, with the body that came.
    pub fn expect(self, status: u16) -> Result<Value> {
        anyhow::ensure!(self.status.as_u16() == status, "{} instead of {status}: {}", self.status, self.text);
        Ok(self.body)
    }
}
