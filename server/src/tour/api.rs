//! A client of the public HTTP interface, as a stranger with the OpenAPI document would write one.

use anyhow::{Context, Result, bail};
use reqwest::{Client, Method, RequestBuilder, Url};
use serde_json::Value;

/// Speaks to one server as one caller.
#[derive(Debug, Clone)]
pub struct Api {
    http: Client,
    base: Url,
    bearer: Option<String>,
    booking_secret: Option<String>,
}

/// An answer that is no success, as problem+json says it.
#[derive(Debug, thiserror::Error)]
#[error("{method} {path}: {status} {code}: {detail}")]
pub struct Refused {
    pub method: String,
    pub path: String,
    pub status: u16,
    pub code: String,
    pub detail: String,
}

impl Api {
    /// # Errors
    /// If `base` is no address.
    pub fn new(base: &str) -> Result<Self> {
        crate::tls::install_provider();
        let http = Client::builder().no_proxy().build().context("building the HTTP client")?;
        let base = Url::parse(base).with_context(|| format!("{base} is no address"))?;
        Ok(Self { http, base, bearer: None, booking_secret: None })
    }

    /// The server's address.
    #[must_use]
    pub const fn base(&self) -> &Url {
        &self.base
    }

    /// The account's access token, if it has one.
    #[must_use]
    pub fn bearer(&self) -> Option<&str> {
        self.bearer.as_deref()
    }

    /// The same account at another server.
    ///
    /// # Errors
    /// If `base` is no address.
    pub fn at(&self, base: &str) -> Result<Self> {
        let base = Url::parse(base).with_context(|| format!("{base} is no address"))?;
        Ok(Self { base, ..self.clone() })
    }

    /// The same server, as the account of an access token.
    #[must_use]
    pub fn with_bearer(&self, token: &str) -> Self {
        Self { bearer: Some(token.to_owned()), booking_secret: None, ..self.clone() }
    }

    /// The same server, as the guest who holds a booking's secret.
    #[must_use]
    pub fn with_booking_secret(&self, secret: &str) -> Self {
        Self { booking_secret: Some(secret.to_owned()), bearer: None, ..self.clone() }
    }

    /// # Errors
    /// [`Refused`] for any status but 2xx; otherwise what went wrong on the way.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.send(Method::GET, path, None, None).await
    }

    /// # Errors
    /// As [`Self::get`].
    pub async fn post(&self, path: &str, body: Value) -> Result<Value> {
        self.send(Method::POST, path, Some(body), None).await
    }

    /// # Errors
    /// As [`Self::get`].
    pub async fn put(&self, path: &str, body: Value) -> Result<Value> {
        self.send(Method::PUT, path, Some(body), None).await
    }

    /// An unsafe call that may be repeated: `key` is its Idempotency-Key.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn post_once(&self, path: &str, key: &str, body: Value) -> Result<Value> {
        self.send(Method::POST, path, Some(body), Some(key)).await
    }

    /// A body that is not JSON, such as a picture.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn bytes(&self, path: &str) -> Result<Vec<u8>> {
        let response = self.request(Method::GET, path)?.send().await?.error_for_status()?;
        Ok(response.bytes().await?.to_vec())
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder> {
        let mut request = self.http.request(method, self.base.join(path)?);
        if let Some(token) = &self.bearer {
            request = request.bearer_auth(token);
        }
        if let Some(secret) = &self.booking_secret {
            request = request.header("Booking-Secret", secret);
        }
        Ok(request)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        key: Option<&str>,
    ) -> Result<Value> {
        let mut request = self.request(method.clone(), path)?;
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.with_context(|| format!("{method} {path}"))?;
        let status = response.status();
        let text = response.text().await.with_context(|| format!("{method} {path}"))?;
        if status.is_success() {
            return if text.is_empty() {
                Ok(Value::Null)
            } else {
                serde_json::from_str(&text)
                    .with_context(|| format!("{method} {path} answers no JSON: {text}"))
            };
        }
        let problem: Value = serde_json::from_str(&text).unwrap_or_default();
        let word = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
        bail!(Refused {
            method: method.to_string(),
            path: path.to_owned(),
            status: status.as_u16(),
            code: if problem["code"].is_string() { word("code") } else { word("error_code") },
            detail: match &problem["errors"] {
                Value::Array(fields) if !fields.is_empty() => problem["errors"].to_string(),
                _ if problem["detail"].is_string() => word("detail"),
                _ => text,
            },
        })
    }
}

/// The text at a JSON pointer.
///
/// # Errors
/// If there is none; shows what is there instead.
pub fn text<'v>(value: &'v Value, pointer: &str) -> Result<&'v str> {
    value.pointer(pointer).and_then(Value::as_str).with_context(|| format!("no text at {pointer} of {value}"))
}
