//! `Idempotency-Key`: a request that is repeated under the same key has one effect and one answer.
//!
//! The key counts per caller and route. The same body gets the stored answer (header
//! `Idempotent-Replayed: true`), another body 422, a request still at work 409. A crash in the middle heals:
//! after a minute's lease who repeats the request takes over, with the same id for what it makes.

use std::future::Future;

use axum::body::to_bytes;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use shared::bytes::sha256;
use uuid::Uuid;

use super::auth::Caller;
use super::edge::carried;
use super::error::ApiError;
use crate::app::AppState;
use crate::selling::once::{self as keys, Ahead};
use crate::store::idempotency::{self, Answered, Claim, Key};

pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const PURPOSE: &str = "idempotency_keys/answer";

/// What a run is told.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// The id for what the request makes.
    pub resource_id: Uuid,
    /// It was begun before: parts of it may exist.
    pub again: bool,
}

/// An answer that may be stored.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    body: serde_json::Value,
}

impl Answer {
    /// A JSON answer.
    pub fn json(status: StatusCode, body: &impl Serialize) -> Result<Self, ApiError> {
        Ok(Self { status, body: serde_json::to_value(body).map_err(ApiError::internal)? })
    }
}

/// Where a key is valid, beside the caller.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'r> {
    pub organizer_id: Uuid,
    /// In whose line the key waits to be claimed and answered: the event's, if the request sells there, so that
    /// both go along with the sale; else the organizer's.
    pub line: Uuid,
    /// The route and its object, as `POST /bookings/…/cancel`.
    pub route: &'r str,
}

/// Runs `run` once per key; without the header, once per call. The work goes on if the client goes away.
pub async fn once<F, R>(
    app: &AppState,
    caller: &Caller,
    headers: &HeaderMap,
    scope: Scope<'_>,
    body: &[u8],
    run: F,
) -> Result<Response, ApiError>
where
    F: FnOnce(Turn) -> R + Send + 'static,
    R: Future<Output = Result<Answer, ApiError>> + Send + 'static,
{
    let fresh = app.rng.uuid(&*app.clock);
    let Some(text) = key_text(headers, caller)? else {
        let work = carried(async move { reply(run(Turn { resource_id: fresh, again: false }).await) });
        return app.selling.tasks.spawn(work).await.map_err(ApiError::internal);
    };
    let key = key_of(caller, scope, &text, body);
    let (state, line) = (app.clone(), scope.line);
    // From the claim on: a key that was claimed for a client who went away would stand in everybody's way.
    let work = carried(async move {
        match keys::claim(&state, line, key, fresh).await? {
            Claim::Run { resource_id, again } => {
                let response = reply(run(Turn { resource_id, again }).await);
                keep(&state, line, &key, response).await
            }
            other => told(&state, other),
        }
    });
    app.selling.tasks.spawn(work).await.map_err(ApiError::internal)?
}

/// Whether the caller has used the request's key on this route before.
pub async fn was_begun(
    app: &AppState,
    caller: &Caller,
    headers: &HeaderMap,
    organizer_id: Uuid,
    route: &str,
) -> Result<bool, ApiError> {
    let Some(text) = key_text(headers, caller)? else { return Ok(false) };
    let mut tx = app.db.tenant(organizer_id).await?;
    let known = idempotency::is_known(&mut tx, organizer_id, &scope_hash(caller, route, &text)).await?;
    tx.commit().await?;
    Ok(known)
}

/// As [`once`], for a purchase: the hold claims the key, in one transaction. `run` is told to have it claimed as long
/// as nobody did, and is run again if the key turns out to have been begun before.
pub async fn once_ahead<F, R>(
    app: &AppState,
    caller: &Caller,
    headers: &HeaderMap,
    scope: Scope<'_>,
    body: &[u8],
    run: F,
) -> Result<Response, ApiError>
where
    F: Fn(Turn, Option<Ahead>) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Answer, ApiError>> + Send + 'static,
{
    let resource_id = app.rng.uuid(&*app.clock);
    let first = Turn { resource_id, again: false };
    let Some(text) = key_text(headers, caller)? else {
        let work = carried(async move { reply(run(first, None).await) });
        return app.selling.tasks.spawn(work).await.map_err(ApiError::internal);
    };
    let key = key_of(caller, scope, &text, body);
    let (state, line) = (app.clone(), scope.line);
    let work = carried(async move {
        let ahead = Ahead::new(key, resource_id);
        let response = reply(run(first, Some(ahead.clone())).await);
        let claim = match ahead.told() {
            Some(claim) => claim,
            // It came to nothing before it held anything: that is an answer, too.
            None => keys::claim(&state, line, key, resource_id).await?,
        };
        let response = match claim {
            Claim::Run { again: false, .. } => response,
            Claim::Run { resource_id, again } => reply(run(Turn { resource_id, again }, None).await),
            other => return told(&state, other),
        };
        keep(&state, line, &key, response).await
    });
    app.selling.tasks.spawn(work).await.map_err(ApiError::internal)?
}

fn key_of(caller: &Caller, scope: Scope<'_>, text: &str, body: &[u8]) -> Key {
    Key {
        organizer_id: scope.organizer_id,
        scope_hash: scope_hash(caller, scope.route, text),
        body_hash: sha256(b"hvflvspot/idempotency-body/v1\0", &[body]).0,
    }
}

/// What the key says to somebody whose turn it is not.
fn told(app: &AppState, claim: Claim) -> Result<Response, ApiError> {
    match claim {
        Claim::Answered { status, answer_sealed } => replay(app, status, &answer_sealed),
        Claim::Run { .. } | Claim::InFlight => Err(ApiError::conflict(
            "request_in_flight",
            "a request with this Idempotency-Key is still at work; repeat it in a moment",
        )
        .with_retry_after(std::time::Duration::from_secs(2))),
        Claim::OtherBody => Err(ApiError::unprocessable(
            "idempotency_key_reused",
            "this Idempotency-Key was used with another body; a new request needs a new key",
        )),
    }
}

/// Stores the answer under the key, unless it only says "not now": then the key is free again.
async fn keep(app: &AppState, line: Uuid, key: &Key, response: Response) -> Result<Response, ApiError> {
    let (mut parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.map_err(ApiError::internal)?;
    let status = parts.status;
    let not_now = status.is_server_error() || parts.headers.contains_key("retry-after");
    if not_now {
        let mut tx = app.db.tenant(key.organizer_id).await?;
        idempotency::give_back(&mut tx, key, app.clock.now()).await?;
        tx.commit().await?;
    } else {
        let answer_sealed = app.master_key.seal(PURPOSE, &bytes, &app.rng);
        let status = i16::try_from(status.as_u16()).expect("a status has three digits");
        keys::answer(app, line, Answered { key: *key, status, answer_sealed });
    }
    parts.headers.remove(axum::http::header::CONTENT_LENGTH);
    Ok(Response::from_parts(parts, bytes.into()))
}

fn replay(app: &AppState, status: i16, sealed: &[u8]) -> Result<Response, ApiError> {
    let body = app.master_key.open(PURPOSE, sealed).map_err(ApiError::internal)?;
    let status = u16::try_from(status)
        .ok()
        .and_then(|s| StatusCode::from_u16(s).ok())
        .ok_or_else(|| ApiError::internal(anyhow::anyhow!("a stored status is no status")))?;
    let kind = if status.is_success() { "application/json" } else { "application/problem+json" };
    let mut response = (status, body.to_vec()).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

fn reply(outcome: Result<Answer, ApiError>) -> Response {
    match outcome {
        Ok(answer) => (answer.status, axum::Json(answer.body)).into_response(),
        Err(e) => e.into_response(),
    }
}

/// The header, if it is there. Strangers share one scope: their keys must be hard to guess.
fn key_text(headers: &HeaderMap, caller: &Caller) -> Result<Option<String>, ApiError> {
    let mut values = headers.get_all(&IDEMPOTENCY_KEY).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return match headers.contains_key(&IDEMPOTENCY_KEY) {
            true => Err(ApiError::bad_request("invalid_header", "Idempotency-Key may stand once")),
            false => Ok(None),
        };
    };
    let least = if matches!(caller, Caller::Anonymous) { 16 } else { 1 };
    let text = value.to_str().unwrap_or_default();
    if text.len() < least || text.len() > 255 {
        return Err(ApiError::bad_request(
            "invalid_idempotency_key",
            format!("Idempotency-Key has {least} to 255 visible ASCII characters; a UUID is a good one"),
        ));
    }
    Ok(Some(text.to_owned()))
}

fn scope_hash(caller: &Caller, route: &str, key: &str) -> [u8; 32] {
    let who: Vec<u8> = match caller {
        Caller::Anonymous => b"anonymous".to_vec(),
        Caller::User(user) => user.user_id.as_bytes().to_vec(),
        Caller::System(system) => system.account_id.as_bytes().to_vec(),
        Caller::Guest(guest) => guest.secret_hash.to_vec(),
    };
    let length = |part: &[u8]| u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes();
    let (who_length, route_length) = (length(&who), length(route.as_bytes()));
    sha256(
        b"hvflvspot/idempotency-scope/v1\0",
        &[&who_length, &who, &route_length, route.as_bytes(), key.as_bytes()],
    )
    .0
}
