//! A request signed by a device (RFC 9421). The key id is the device's, which leads to its organizer.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use shared::bytes::Nonce16;
use shared::cbor;
use shared::ids::{EventId, OrganizerId};
use shared::manifest::docs::{DocKind, ServerTime};
use shared::manifest::sign1;
use shared::ticket::keys::strong_key;
use shared::time::{UnixMillis, UnixSecs};
use shared::wire::httpsig::{
    CONTENT_DIGEST, ReceivedHeaders, RequestParts, SIGNATURE, SIGNATURE_INPUT, SignatureError, WINDOW_SECS,
    claimed_device, verify_request,
};

use crate::app::AppState;
use crate::gates::organizer_key;
use crate::http::error::ApiError;
use crate::http::extract::ApiBytes;
use crate::store::devices::{self, Device};
use crate::store::directory;

/// A device that proved who it is, and the body that its signature covers. It may be revoked: handlers
/// that give anything away call [`SignedDevice::require_active`].
#[derive(Debug)]
pub struct SignedDevice {
    pub organizer: OrganizerId,
    pub event: EventId,
    pub device: Device,
    pub body: Bytes,
}

impl SignedDevice {
    /// 403 for a revoked device, and for one whose certificate is over: it may upload, and reads nothing.
    pub fn require_active(&self, now: ::time::OffsetDateTime) -> Result<(), ApiError> {
        if self.device.revoked.is_some() {
            return Err(ApiError::forbidden_code(
                "device_revoked",
                "the organizer has revoked this device: upload what is unsent, then wipe personal data",
            ));
        }
        if now >= self.device.not_after {
            return Err(ApiError::forbidden_code("certificate_expired", "this enrolment is over"));
        }
        Ok(())
    }
}

impl FromRequest<AppState> for SignedDevice {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &AppState) -> Result<Self, ApiError> {
        let received_at = UnixMillis(app.clock.now_ms());
        let (parts, body) = request.into_parts();
        let received = ReceivedHeaders {
            content_digest: single(&parts.headers, CONTENT_DIGEST)?,
            signature_input: single(&parts.headers, SIGNATURE_INPUT)?,
            signature: single(&parts.headers, SIGNATURE)?,
        };
        // The claim first: who names no device of ours makes us read no body.
        let claimed = claimed_device(&received).map_err(refuse)?;
        let mut tx = app.db.platform().await?;
        let place = directory::find(&mut tx, "device", &claimed.to_string()).await?;
        tx.commit().await?;
        let (organizer, event) = place
            .and_then(|p| Some((OrganizerId(p.organizer_id), EventId(p.event_id?))))
            .ok_or_else(unknown_device)?;
        let mut tx = app.db.tenant(organizer.0).await?;
        let device = devices::find(&mut tx, organizer.0, claimed).await?;
        tx.commit().await?;
        // Nobody signs requests as the virtual device.
        let device = device.filter(|d| d.number > 0).ok_or_else(unknown_device)?;

        let whole = Request::from_parts(parts.clone(), body);
        let ApiBytes(body) = ApiBytes::from_request(whole, app).await?;
        let signed = RequestParts {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query(),
            body: &body,
        };
        let key = strong_key(&device.public_key).ok_or_else(unknown_device)?;
        let now = received_at.secs();
        match verify_request(&key, &signed, &received, now, WINDOW_SECS) {
            Ok(_) => Ok(Self { organizer, event, device, body }),
            // The signature holds: this is the device, and its clock is wrong.
            Err(SignatureError::ClockSkew { created, .. }) => {
                Err(clock_skew(app, organizer, received.signature, created, received_at).await?)
            }
            Err(e) => Err(refuse(e)),
        }
    }
}

/// 401 with the server's time, signed, for one retry. Its nonce is the first 16 bytes of the request's
/// own signature, which nobody could foresee.
async fn clock_skew(
    app: &AppState,
    organizer: OrganizerId,
    signature: Option<&str>,
    created: UnixSecs,
    received_at: UnixMillis,
) -> Result<ApiError, ApiError> {
    let nonce = signature
        .and_then(|s| s.split(':').nth(1))
        .and_then(|s| STANDARD.decode(s).ok())
        .and_then(|s| Nonce16::from_slice(s.get(..16)?))
        .ok_or_else(|| refuse(SignatureError::Malformed(SIGNATURE)))?;
    let mut tx = app.db.tenant(organizer.0).await?;
    let online = organizer_key(app, &mut tx, organizer.0, "online").await?;
    tx.commit().await?;
    let time = ServerTime { nonce, received_at, sent_at: UnixMillis(app.clock.now_ms()) };
    let signed = sign1::sign(DocKind::ServerTime, &online, &cbor::encode(&time));
    let off = i64::from(created.0) - i64::from(received_at.secs().0);
    Ok(ApiError::unauthorized(
        "clock_skew",
        format!("the device's clock is off by {off} s: correct it and sign again"),
    )
    .with_member("server_time_ms", received_at.0)
    .with_member("server_time", STANDARD.encode(signed)))
}

fn refuse(e: SignatureError) -> ApiError {
    let code = match e {
        SignatureError::Unsigned => "not_signed",
        _ => "bad_signature",
    };
    ApiError::unauthorized(code, format!("{e}"))
}

fn unknown_device() -> ApiError {
    ApiError::unauthorized("unknown_device", "no such device is enrolled here")
}

/// A header that stands once at most: two would let somebody sign one and send another.
fn single<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<Option<&'h str>, ApiError> {
    let mut values = headers.get_all(HeaderName::from_static(name)).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| refuse(SignatureError::Malformed(name))),
        _ => Err(refuse(SignatureError::Malformed(name))),
    }
}
