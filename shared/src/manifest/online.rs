//! The small documents that online keys sign: device certificates and the server's time.

use super::docs::{DeviceCertificate, DocKind, ServerTime};
use super::sign1::{self, Sign1Error};
use super::trust::Trust;
use crate::bytes::Nonce16;
use crate::cbor::{self, CborError};
use crate::ids::EventId;
use crate::ticket::keys::{VerifyingKey, strong_key};

/// Bytes of a signed device certificate at most.
pub const MAX_CERTIFICATE_BYTES: usize = 2 * 1024;
/// Bytes of a signed time at most.
pub const MAX_TIME_BYTES: usize = 512;

/// Why a document of an online key is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OnlineError {
    /// Not signed by an online key of the organizer.
    #[error(transparent)]
    Signature(#[from] Sign1Error),
    /// The signed payload is something else.
    #[error(transparent)]
    Payload(#[from] CborError),
    /// The certificate is another tenant's.
    #[error("certificate of another organizer")]
    ForeignOrganizer,
    /// The certificate is for another event.
    #[error("certificate of another event")]
    ForeignEvent,
    /// The device's key is invalid or weak.
    #[error("the device's key is invalid or weak")]
    BadKey,
    /// The time echoes another nonce: an old answer is being replayed.
    #[error("the time does not echo our nonce")]
    Replayed,
    /// The answer left before it arrived.
    #[error("the answer left before the request arrived")]
    TimeOrder,
}

/// Verifies a device's certificate for one event and parses its key. Says nothing about `not_after`: what a
/// device signed while the certificate held stays evidence afterwards, so the caller compares it where it must.
///
/// # Errors
/// [`OnlineError`].
pub fn open_certificate(
    trust: &Trust,
    event: EventId,
    document: &[u8],
) -> Result<(DeviceCertificate, VerifyingKey), OnlineError> {
    let payload =
        sign1::verify(DocKind::DeviceCertificate, trust.online_keys(), document, MAX_CERTIFICATE_BYTES)?;
    let certificate: DeviceCertificate = cbor::decode(payload, MAX_CERTIFICATE_BYTES)?;
    if certificate.organizer != trust.organizer() {
        return Err(OnlineError::ForeignOrganizer);
    }
    if certificate.event != event {
        return Err(OnlineError::ForeignEvent);
    }
    let key = strong_key(&certificate.public_key).ok_or(OnlineError::BadKey)?;
    Ok((certificate, key))
}

/// Verifies the server's signed time against the nonce that we sent.
///
/// # Errors
/// [`OnlineError`].
pub fn open_time(trust: &Trust, document: &[u8], nonce: &Nonce16) -> Result<ServerTime, OnlineError> {
    let payload = sign1::verify(DocKind::ServerTime, trust.online_keys(), document, MAX_TIME_BYTES)?;
    let time: ServerTime = cbor::decode(payload, MAX_TIME_BYTES)?;
    if time.nonce != *nonce {
        return Err(OnlineError::Replayed);
    }
    if time.sent_at < time.received_at {
        return Err(OnlineError::TimeOrder);
    }
    Ok(time)
}
