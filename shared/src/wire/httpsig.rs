//! Signed requests of devices: HTTP message signatures (RFC 9421) with Ed25519, in one form only.
//!
//! Covered are @method, @path, @query and, exactly when there is a body, content-digest (RFC 9530, sha-256).
//! Parameters: created, keyid (the device's id), alg. Label `hvf`. Works on plain strings, so that a server and
//! any client can use it; there is no nonce, because every call of `/gates/…` is idempotent.

use crate::bytes::Hash32;
use crate::ids::DeviceId;
use crate::manifest::document_hash;
use crate::ticket::keys::verify_strict;
use crate::time::UnixSecs;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use std::fmt::Write as _;

/// The label of our signature in both headers.
pub const LABEL: &str = "hvf";
/// How far `created` may lie from the server's clock, either way.
pub const WINDOW_SECS: u32 = 300;
/// Longer `Signature-Input` values are refused unread.
pub const MAX_INPUT_LEN: usize = 256;

/// Header names, lower case.
pub const CONTENT_DIGEST: &str = "content-digest";
/// See [`CONTENT_DIGEST`].
pub const SIGNATURE_INPUT: &str = "signature-input";
/// See [`CONTENT_DIGEST`].
pub const SIGNATURE: &str = "signature";

/// The part of a request that a signature covers, as it goes over the wire.
#[derive(Debug, Clone, Copy)]
pub struct RequestParts<'a> {
    /// Upper case.
    pub method: &'a str,
    /// The path as in the request line, percent-encoding untouched.
    pub path: &'a str,
    /// What follows `?` in the request line, without it; `None` without `?`.
    pub query: Option<&'a str>,
    /// The body; empty for none.
    pub body: &'a [u8],
}

/// The headers that make a request a signed one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureHeaders {
    /// Present exactly when there is a body.
    pub content_digest: Option<String>,
    /// `hvf=("@method" …);created=…;keyid="…";alg="ed25519"`.
    pub signature_input: String,
    /// `hvf=:…:`.
    pub signature: String,
}

/// The same headers as a server received them.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReceivedHeaders<'a> {
    /// `Content-Digest`.
    pub content_digest: Option<&'a str>,
    /// `Signature-Input`.
    pub signature_input: Option<&'a str>,
    /// `Signature`.
    pub signature: Option<&'a str>,
}

/// Why a request is not taken for the device's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// `Signature-Input` or `Signature` is absent.
    #[error("the request is not signed")]
    Unsigned,
    /// A header is not in our one form.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// There is a body and no content-digest covered by the signature, or the other way round.
    #[error("content-digest is covered exactly when there is a body")]
    Coverage,
    /// The body is not the one of the content-digest.
    #[error("the body does not match its content-digest")]
    Digest,
    /// Correctly signed, at a time too far from the server's. The device asks for the time and tries once more.
    #[error("created {created:?} is too far from {now:?}")]
    ClockSkew {
        /// When the device says that it signed.
        created: UnixSecs,
        /// The server's clock.
        now: UnixSecs,
    },
    /// Not signed by this key.
    #[error("the signature does not verify")]
    BadSignature,
}

/// Signs a request of a device.
#[must_use]
pub fn sign_request(
    key: &SigningKey,
    device: DeviceId,
    request: &RequestParts<'_>,
    created: UnixSecs,
) -> SignatureHeaders {
    let content_digest = (!request.body.is_empty()).then(|| content_digest(request.body));
    let params = params(content_digest.is_some(), created, device);
    let base = request_base(request, content_digest.as_deref(), &params);
    let signature = key.sign(base.as_bytes());
    SignatureHeaders {
        content_digest,
        signature_input: format!("{LABEL}={params}"),
        signature: format!("{LABEL}=:{}:", STANDARD.encode(signature.to_bytes())),
    }
}

/// The device that claims to have signed, to look up its key. Proves nothing.
///
/// # Errors
/// [`SignatureError::Unsigned`] or [`SignatureError::Malformed`].
pub fn claimed_device(received: &ReceivedHeaders<'_>) -> Result<DeviceId, SignatureError> {
    let input = received.signature_input.ok_or(SignatureError::Unsigned)?;
    Ok(parse_input(input)?.device)
}

/// Verifies that the owner of `key` signed this request within `window_secs` of `now`. The clock is judged last,
/// so that only the device itself ever learns that its clock is wrong.
///
/// # Errors
/// [`SignatureError`].
pub fn verify_request(
    key: &VerifyingKey,
    request: &RequestParts<'_>,
    received: &ReceivedHeaders<'_>,
    now: UnixSecs,
    window_secs: u32,
) -> Result<DeviceId, SignatureError> {
    let input_text = received.signature_input.ok_or(SignatureError::Unsigned)?;
    let signature = parse_signature(received.signature.ok_or(SignatureError::Unsigned)?)?;
    let input = parse_input(input_text)?;
    let has_body = !request.body.is_empty();
    if input.covers_digest != has_body || received.content_digest.is_some() != has_body {
        return Err(SignatureError::Coverage);
    }
    if received.content_digest.is_some_and(|digest| digest != content_digest(request.body)) {
        return Err(SignatureError::Digest);
    }
    let params = params(has_body, input.created, input.device);
    let base = request_base(request, received.content_digest, &params);
    if !verify_strict(key, base.as_bytes(), &signature) {
        return Err(SignatureError::BadSignature);
    }
    if input.created.0.abs_diff(now.0) > window_secs {
        return Err(SignatureError::ClockSkew { created: input.created, now });
    }
    Ok(input.device)
}

/// The `Content-Digest` of a body (RFC 9530).
#[must_use]
pub fn content_digest(body: &[u8]) -> String {
    let Hash32(hash) = document_hash(body);
    format!("sha-256=:{}:", STANDARD.encode(hash))
}

/// A signature base (RFC 9421, section 2.5): one line a component, then the parameters.
#[must_use]
pub fn signature_base(components: &[(&str, &str)], params: &str) -> String {
    let mut base = String::with_capacity(256);
    for (name, value) in components {
        writeln!(base, "\"{name}\": {value}").expect("writing into a String cannot fail");
    }
    write!(base, "\"@signature-params\": {params}").expect("writing into a String cannot fail");
    base
}

fn request_base(request: &RequestParts<'_>, digest: Option<&str>, params: &str) -> String {
    // Without a query the component is the lone question mark (RFC 9421, section 2.2.7).
    let query = format!("?{}", request.query.unwrap_or(""));
    let mut components = vec![("@method", request.method), ("@path", request.path), ("@query", &query)];
    components.extend(digest.map(|digest| (CONTENT_DIGEST, digest)));
    signature_base(&components, params)
}

/// The one form of the signature parameters.
fn params(covers_digest: bool, created: UnixSecs, device: DeviceId) -> String {
    let digest = if covers_digest { r#" "content-digest""# } else { "" };
    format!(r#"("@method" "@path" "@query"{digest});created={};keyid="{device}";alg="ed25519""#, created.0)
}

struct Input {
    covers_digest: bool,
    created: UnixSecs,
    device: DeviceId,
}

/// Reads `Signature-Input`; accepts only what [`params`] writes.
fn parse_input(text: &str) -> Result<Input, SignatureError> {
    let malformed = SignatureError::Malformed("signature-input");
    if text.len() > MAX_INPUT_LEN {
        return Err(malformed);
    }
    let read = || {
        let list = text.strip_prefix(LABEL)?.strip_prefix(r#"=("@method" "@path" "@query""#)?;
        let after = list.strip_prefix(r#" "content-digest""#);
        let rest = after.unwrap_or(list).strip_prefix(");created=")?;
        let (created, rest) = rest.split_once(r#";keyid=""#)?;
        let (device, rest) = rest.split_once('"')?;
        let input = Input {
            covers_digest: after.is_some(),
            created: UnixSecs(created.parse().ok()?),
            device: device.parse().ok()?,
        };
        (rest == r#";alg="ed25519""#).then_some(input)
    };
    let input = read().ok_or(malformed)?;
    // Numbers and ids have other spellings (+1, 01, upper case); only ours is signed.
    let canonical = params(input.covers_digest, input.created, input.device);
    if text[LABEL.len() + 1..] != canonical {
        return Err(malformed);
    }
    Ok(input)
}

/// Reads `Signature`: `hvf=:base64:`.
fn parse_signature(text: &str) -> Result<[u8; 64], SignatureError> {
    let malformed = SignatureError::Malformed("signature");
    if text.len() > MAX_INPUT_LEN {
        return Err(malformed);
    }
    let encoded = text
        .strip_prefix(LABEL)
        .and_then(|t| t.strip_prefix("=:"))
        .and_then(|t| t.strip_suffix(':'))
        .ok_or(malformed)?;
    let bytes = STANDARD.decode(encoded).map_err(|_| malformed)?;
    bytes.try_into().map_err(|_| malformed)
}
