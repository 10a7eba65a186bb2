//! Answers that everybody may keep: half a minute, and then asked for again by their tag.
//!
//! Tags are weak: compression changes the bytes, not what they say. All other answers are `no-store` (see the edge).

use axum::body::Bytes;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use shared::bytes::sha256;

/// JSON for everybody, or 304 if the client has it.
pub(super) fn public(headers: &HeaderMap, json: Bytes) -> Response {
    let tag = tag_of(&json);
    tagged(headers, json, &tag)
}

/// The tag of what is served.
pub(super) fn tag_of(json: &[u8]) -> String {
    let hash = sha256(b"hvflvspot/etag/v1\0", &[json]);
    format!("\"{}\"", hex::encode(&hash.0[..12]))
}

/// The same for what never changes: `tag` was made once.
pub(super) fn tagged(headers: &HeaderMap, json: Bytes, tag: &str) -> Response {
    tagged_as(headers, "application/json", json, tag)
}

/// The same of another media type.
pub(super) fn tagged_as(headers: &HeaderMap, kind: &'static str, body: Bytes, tag: &str) -> Response {
    match unchanged(headers, tag) {
        Some(unchanged) => unchanged,
        None => (keeping(tag), [(CONTENT_TYPE, kind)], body).into_response(),
    }
}

/// 304 if the client has what has this tag.
pub(super) fn unchanged(headers: &HeaderMap, tag: &str) -> Option<Response> {
    knows(headers, tag).then(|| (StatusCode::NOT_MODIFIED, keeping(tag)).into_response())
}

fn keeping(tag: &str) -> [(HeaderName, String); 2] {
    [(CACHE_CONTROL, "public, max-age=30".to_owned()), (ETAG, format!("W/{tag}"))]
}

/// If-None-Match compares weakly (RFC 9110, section 13.1.2).
fn knows(headers: &HeaderMap, tag: &str) -> bool {
    let given = headers.get_all(IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok());
    given
        .flat_map(|v| v.split(','))
        .map(str::trim)
        .any(|t| t == "*" || t.strip_prefix("W/").unwrap_or(t) == tag)
}
