//! Extractors whose refusals are problems that name the field: [`ApiJson`], [`ApiQuery`], [`ApiPath`].
//!
//! Request types derive `Deserialize` with `#[serde(deny_unknown_fields)]`.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody, PathRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use serde_path_to_error::{Deserializer as Tracking, Track};

use super::arrival::Overloaded;
use super::error::{ApiError, FieldError};
use super::strict::Strict;

/// A JSON body of type `T`. 415 for another media type, 413 beyond the route's limit, 400 for what is
/// no JSON, 422 with the field's path for JSON of another shape.
#[derive(Debug, Clone, Copy, Default)]
pub struct ApiJson<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for ApiJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        require_json(request.headers())?;
        let ApiBytes(bytes) = ApiBytes::from_request(request, state).await?;
        parse_json(&bytes).map(Self)
    }
}

/// A body as it arrived: for handlers that need its bytes (idempotency, signatures). 413 beyond the route's
/// limit, 503 if there is no place for it, 400 if it broke off.
#[derive(Debug, Clone, Default)]
pub struct ApiBytes(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for ApiBytes {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        Bytes::from_request(request, state).await.map(Self).map_err(unreadable)
    }
}

/// The query string as `T`; 400 names the parameter.
#[derive(Debug, Clone, Copy, Default)]
pub struct ApiQuery<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(value) = Query::<T>::from_request_parts(parts, state).await.map_err(|e| {
            let text = e.body_text();
            let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
            let (field, message) = field_of(text.split_once(": ").map_or("", |(field, _)| field), text);
            ApiError::bad_request("invalid_query", "the query string is not valid")
                .with_errors(vec![FieldError::new(field, "invalid", message)])
        })?;
        Ok(Self(value))
    }
}

/// The path's parameters as `T`; a value of another form is 400.
#[derive(Debug, Clone, Copy, Default)]
pub struct ApiPath<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for ApiPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(e)) => {
                Err(ApiError::bad_request("invalid_path", e.body_text()))
            }
            Err(e) => Err(ApiError::internal(e)),
        }
    }
}

/// A header that stands there once, as text; empty if it does not.
pub fn sole_header<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (Some(one), None) => one.to_str().unwrap_or_default(),
        _ => "",
    }
}

/// Parses a JSON body: for handlers that need the raw bytes too (idempotency, signatures).
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let mut track = Track::new();
    let value = match T::deserialize(Strict(Tracking::new(&mut reader, &mut track))) {
        Ok(value) => value,
        Err(e) => {
            let path = track.path().to_string();
            return Err(refuse_json(if path == "." { "" } else { &path }, &e));
        }
    };
    reader.end().map_err(|e| refuse_json("", &e))?;
    Ok(value)
}

/// 415 unless the body is declared to be JSON.
pub fn require_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let essence = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.split(';').next())
        .map(|v| v.trim().to_ascii_lowercase());
    match essence.as_deref() {
        Some("application/json") => Ok(()),
        Some(v) if v.starts_with("application/") && v.ends_with("+json") => Ok(()),
        _ => Err(ApiError::unsupported_media_type("send the body as application/json")),
    }
}

/// 413 for a body beyond the limit, 503 if there was no place for it, 400 for one that broke off.
fn unreadable(rejection: BytesRejection) -> ApiError {
    match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
            ApiError::too_large("the body is larger than this route accepts")
        }
        other if overloaded(&other) => ApiError::overloaded(),
        other => ApiError::bad_request("body_unreadable", "the body could not be read to its end")
            .with_cause(other),
    }
}

fn overloaded(rejection: &BytesRejection) -> bool {
    let mut cause = std::error::Error::source(rejection);
    while let Some(error) = cause {
        if error.is::<Overloaded>() {
            return true;
        }
        cause = error.source();
    }
    false
}

fn refuse_json(path: &str, e: &serde_json::Error) -> ApiError {
    use serde_json::error::Category;
    if matches!(e.classify(), Category::Syntax | Category::Eof | Category::Io) {
        return ApiError::bad_request("malformed_json", format!("the body is not valid JSON: {e}"));
    }
    let text = e.to_string();
    // Where in the text it stands helps nobody who has the field's path.
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let code = if text.starts_with("unknown field") {
        "unknown_field"
    } else if text.starts_with("missing field") {
        "missing_field"
    } else if text.starts_with("invalid type") {
        "wrong_type"
    } else {
        "invalid"
    };
    let (field, message) = field_of(path, text);
    ApiError::unprocessable("invalid_body", "the body does not have the shape that this route expects")
        .with_errors(vec![FieldError::new(field, code, message)])
}

/// The full path of the field: serde names unknown and missing ones in its text, not in the path
/// (except where the path already ends with it).
fn field_of(path: &str, text: &str) -> (String, String) {
    let named = ["unknown field `", "missing field `", "duplicate field `"].iter().find_map(|start| {
        let at = text.find(start)? + start.len();
        text[at..].split_once('`').map(|(name, _)| name)
    });
    let field = match named {
        Some(name) if path.is_empty() => name.to_owned(),
        Some(name) if path != name && !path.ends_with(&format!(".{name}")) => format!("{path}.{name}"),
        _ => path.to_owned(),
    };
    let message = text.strip_prefix(path).and_then(|t| t.strip_prefix(": ")).unwrap_or(text);
    (field, message.to_owned())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "only its parsing is tested")]
        items: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only its parsing is tested")]
        quantity: u32,
    }

    fn refusal(body: &str) -> (u16, String, String) {
        let error = parse_json::<Outer>(body.as_bytes()).unwrap_err();
        let text = format!("{error:?}");
        let field = text
            .split_once("field: \"")
            .and_then(|(_, rest)| rest.split_once('"'))
            .map_or(String::new(), |(field, _)| field.to_owned());
        (error.status().as_u16(), error.code().to_owned(), field)
    }

    #[test]
    fn a_refusal_names_the_field_by_its_path() {
        let wrong = |field: &str| (422, "invalid_body".to_owned(), field.to_owned());
        assert_eq!(refusal(r#"{"items":[{"quantity":"two"}]}"#), wrong("items[0].quantity"));
        assert_eq!(refusal(r#"{"items":[{"quantity":1},{"quantity":-1}]}"#), wrong("items[1].quantity"));
        assert_eq!(refusal(r#"{"items":[{}]}"#), wrong("items[0].quantity"));
        assert_eq!(refusal(r#"{"items":[{"quantity":1,"colour":2}]}"#), wrong("items[0].colour"));
        assert_eq!(refusal(r#"{"things":[]}"#), wrong("things"));
        assert_eq!(refusal("{}"), wrong("items"));
        assert_eq!(refusal("[]"), wrong(""));
        assert_eq!(refusal(r#"[[{"quantity":1}]]"#), wrong(""), "serde alone would take this");
        assert_eq!(refusal(r#"{"items":[[1]]}"#), wrong("items[0]"));
        assert_eq!(refusal(r#"{"items":[],"items":[]}"#), wrong("items"), "a name stands once");
    }

    #[test]
    fn what_is_no_json_is_malformed() {
        for body in ["", "{", "nope", r#"{"items":[]} x"#] {
            let (status, code, _) = refusal(body);
            assert_eq!((status, code.as_str()), (400, "malformed_json"), "{:.20}", body);
        }
    }
}
