//! What happens around every request: its id, its span and log line, its time and place limits, the
//! headers that every reply carries. No secret and no personal data is logged: routes stand in the
//! log as templates, never with their query.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument as _;

use super::arrival::Arriving;
use super::error::ApiError;
use crate::app::AppState;
use crate::domain::language::Language;

pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub const API_VERSION: HeaderName = HeaderName::from_static("x-supabase-api-version");
/// The version of GoTrue's API that brought its newer form of errors.
pub(super) const ERRORS_2024: &str = "2024-01-01";

tokio::task_local! {
    static CURRENT: Current;
}

#[derive(Clone)]
struct Current {
    request_id: Arc<str>,
    form: ErrorForm,
    language: Language,
}

/// In which form a request is told of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum ErrorForm {
    /// RFC 9457.
    #[default]
    Problem,
    /// GoTrue's: `{code: 400, error_code, msg}`.
    GoTrue,
    /// GoTrue's since its API version 2024-01-01: `{code: "…", message}`.
    GoTrue2024,
}

impl ErrorForm {
    fn of(request: &Request) -> Self {
        if !request.uri().path().starts_with("/auth/v1/") {
            return Self::Problem;
        }
        // A date, so later versions compare greater.
        let version = request.headers().get(&API_VERSION).and_then(|v| v.to_str().ok());
        if version.is_some_and(|v| v.len() == 10 && v >= ERRORS_2024) {
            Self::GoTrue2024
        } else {
            Self::GoTrue
        }
    }
}

/// (id of the running request, its form of errors).
pub(super) fn current() -> (String, ErrorForm) {
    CURRENT.try_with(|c| (c.request_id.to_string(), c.form)).unwrap_or_default()
}

/// The language that the running request asks for.
pub(super) fn language() -> Language {
    CURRENT.try_with(|c| c.language).unwrap_or_default()
}

/// Carries the request's id along into work that outlives the request.
pub(super) fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let current = CURRENT.try_with(Clone::clone).ok();
    async move {
        match current {
            Some(current) => CURRENT.scope(current, work).await,
            None => work.await,
        }
    }
}

/// Who is at the other end, as far as the network tells.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// The client's address: the peer's, or what a trusted proxy says of it. For limits.
    pub addr: IpAddr,
    /// True if the peer is this very machine and nothing was forwarded: it may see details.
    pub local: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts
            .extensions
            .get::<Self>()
            .copied()
            .ok_or_else(|| ApiError::internal(anyhow::anyhow!("the edge did not see this request")))
    }
}

/// The request's place among those that run at once. A long poll gives it back with
/// [`InFlight::release`] before it starts to wait.
#[derive(Debug, Clone)]
pub struct InFlight {
    places: Arc<Semaphore>,
    place: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl InFlight {
    /// None if there is no place.
    fn take(places: &Arc<Semaphore>) -> Option<Self> {
        let place = Arc::clone(places).try_acquire_owned().ok()?;
        Some(Self { places: Arc::clone(places), place: Arc::new(Mutex::new(Some(place))) })
    }

    pub fn release(&self) {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// False if there is no place any more.
    pub(super) fn take_again(&self) -> bool {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        if place.is_none() {
            *place = Arc::clone(&self.places).try_acquire_owned().ok();
        }
        place.is_some()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for InFlight {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| ApiError::internal(anyhow::anyhow!("the edge did not see this request")))
    }
}

/// The outermost layer.
pub(super) async fn edge(State(app): State<AppState>, mut request: Request, next: Next) -> Response {
    let request_id = request_id(&app, request.headers());
    let form = ErrorForm::of(&request);
    let route =
        request.extensions().get::<MatchedPath>().map_or("-".to_owned(), |path| path.as_str().to_owned());
    let method = request.method().clone();
    let span = tracing::info_span!("request", id = %request_id, %method, route);
    let accepted = request.headers().get(header::ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok());
    let language = accepted.map(Language::accepted).unwrap_or_default();
    let current = Current { request_id: Arc::from(request_id.as_str()), form, language };
    let started = app.clock.monotonic();
    let client = client(&app, &request);
    request.extensions_mut().insert(client);
    let work = async {
        let mut response = limited(&app, request, client.addr, next).await;
        dress(&app, response.headers_mut(), &request_id);
        let took = app.clock.monotonic().saturating_sub(started);
        let status = response.status().as_u16();
        app.metrics.record(&method, &route, status, took);
        tracing::info!(status, took_ms = took.as_millis(), "answered");
        response
    };
    CURRENT.scope(current, work.instrument(span)).await
}

/// What no request may be: packed, or of a length that two readers may take differently (request smuggling).
fn unfit(headers: &HeaderMap) -> Option<Response> {
    let packed = |value: &HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(header::CONTENT_ENCODING).iter().any(packed) {
        let refusal = ApiError::unsupported_media_type("send bodies as they are: packed ones are not read");
        let mut response = refusal.into_response();
        response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        return Some(response);
    }
    if headers.contains_key(header::TRANSFER_ENCODING) && headers.contains_key(header::CONTENT_LENGTH) {
        let detail = "Content-Length and Transfer-Encoding exclude each other";
        return Some(ApiError::bad_request("ambiguous_length", detail).into_response());
    }
    None
}

async fn limited(app: &AppState, request: Request, client: IpAddr, next: Next) -> Response {
    // Where a chunked request ends the connection, nothing can hide behind it (RFC 9112, section 6.1).
    let chunked = request.version() <= axum::http::Version::HTTP_11
        && request.headers().contains_key(header::TRANSFER_ENCODING);
    let mut response = match unfit(request.headers()) {
        Some(refusal) => refusal,
        None => at_work(app, request, client, next).await,
    };
    if chunked {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn at_work(app: &AppState, mut request: Request, client: IpAddr, next: Next) -> Response {
    let Some(place) = InFlight::take(&app.in_flight) else {
        return ApiError::overloaded().into_response();
    };
    request.extensions_mut().insert(place.clone());
    if !request.body().is_end_stream() {
        let (arrivals, network) = (Arc::clone(&app.arrivals), client.into());
        let arriving = |body| Body::new(Arriving::new(body, place.clone(), arrivals, network));
        request = request.map(arriving);
    }
    let patience = app.config.http.request_timeout + waits_for(request.uri().path());
    let response = match tokio::time::timeout(patience, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::unavailable(
            "timeout",
            "the request took too long and was abandoned; nothing of it remains",
            Duration::from_secs(1),
        )
        .into_response(),
    };
    place.release();
    response
}

/// How long a route may wait for news before it begins to work.
fn waits_for(path: &str) -> Duration {
    if path == "/gates/wait" { Duration::from_secs(60) } else { Duration::ZERO }
}

/// A panic in a handler is our bug and the client's 500; the others' requests go on.
pub(super) fn panicked(payload: Box<dyn std::any::Any + Send>) -> Response {
    let text = payload
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    ApiError::internal(anyhow::anyhow!("a handler panicked: {text}")).into_response()
}

/// The client's own id if it is harmless in a log, else a fresh one.
fn request_id(app: &AppState, headers: &HeaderMap) -> String {
    let harmless = |id: &&str| {
        (8..=64).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    headers
        .get(REQUEST_ID)
        .and_then(|v| v.to_str().ok())
        .filter(harmless)
        .map_or_else(|| app.rng.uuid(&*app.clock).to_string(), str::to_owned)
}

fn client(app: &AppState, request: &Request) -> Client {
    let peer = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::from([0, 0, 0, 0]), |info| info.0.ip().to_canonical());
    let headers = request.headers();
    let forwarded = [header::FORWARDED.as_str(), "x-forwarded-for", "x-real-ip", "via"]
        .iter()
        .any(|name| headers.contains_key(*name));
    let trusted = |addr: IpAddr| app.config.trusted_proxies.iter().any(|net| net.contains(addr));
    // From the right: each trusted proxy vouches for the entry that it appended.
    let mut addr = peer;
    let chain: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .map(str::trim)
        .collect();
    for hop in chain.iter().rev() {
        if !trusted(addr) {
            break;
        }
        match hop.parse::<IpAddr>() {
            Ok(next) => addr = next.to_canonical(),
            Err(_) => break,
        }
    }
    Client { addr, local: peer.is_loopback() && !forwarded }
}

fn dress(app: &AppState, headers: &mut HeaderMap, request_id: &str) {
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
    let mut default = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    default(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    default(header::X_FRAME_OPTIONS, "DENY");
    default(header::REFERRER_POLICY, "no-referrer");
    default(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
    default(header::CACHE_CONTROL, "no-store");
    if app.config.public_url.as_deref().is_some_and(|url| url.starts_with("https://")) {
        default(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
}
