//! `POST /gates/enroll`: a machine commits to a key, reveals it, and asks until the organizer confirms.

use axum::extract::State;
use ed25519_dalek::Signature;
use shared::bytes::{Hash32, Nonce16, Nonce32, PublicKey, Signature64};
use shared::ids::{DeviceId, EventId, OrganizerId};
use shared::manifest::docs::SignedTrustRoot;
use shared::manifest::document_hash;
use shared::ticket::keys::strong_key;
use shared::wire::enroll::{TypedCode, commitment, digits, normalize_origin, poll_message, reveal_message};
use shared::wire::gates::{EnrollAnswer, EnrollRequest, Invitation};
use uuid::Uuid;

use super::{CborBody, ENROLL_LIMIT, parse_cbor};
use crate::app::AppState;
use crate::domain::device::{
    Attempt, Commit, CommitRefusal, Poll, Revealed, SLOT_TTL, SecretKind, Slot, SlotState,
};
use crate::http::error::ApiError;
use crate::http::extract::ApiBytes;
use crate::store::slots::{self, SlotKey};
use crate::store::{Tx, devices, directory, manifests};

/// Enrolment of a device, step by step: commit, reveal, poll. Every step may be repeated.
#[utoipa::path(post, path = "/gates/enroll", operation_id = "gate_enroll", tag = "gates",
    request_body(content = Vec<u8>, content_type = "application/cbor", description = "EnrollRequest of docs/PROTOCOL.md"),
    responses(
        (status = 200, content_type = "application/cbor", body = Vec<u8>, description = "EnrollAnswer of docs/PROTOCOL.md"),
        (status = 403, body = crate::http::Problem, description = "`invitation_refused`, `enrolment_refused`"),
        (status = 409, body = crate::http::Problem, description = "`invitation_used`"),
        (status = 410, body = crate::http::Problem, description = "`invitation_expired`, `enrolment_over`")))]
pub(super) async fn enroll(
    State(app): State<AppState>,
    ApiBytes(body): ApiBytes,
) -> Result<CborBody<EnrollAnswer>, ApiError> {
    let request: EnrollRequest = parse_cbor(&body, ENROLL_LIMIT)?;
    match request {
        EnrollRequest::Commit { invitation, commitment } => commit(&app, &invitation, &commitment).await,
        EnrollRequest::Reveal { enrolment, public_key, device_nonce, signature } => {
            reveal(&app, &enrolment, &public_key, &device_nonce, &signature).await
        }
        EnrollRequest::Poll { enrolment, signature } => poll(&app, &enrolment, &signature).await,
    }
    .map(CborBody)
}

fn refused() -> ApiError {
    ApiError::forbidden_code(
        "invitation_refused",
        "no such invitation, a wrong secret, or too many wrong ones: ask the organizer for a new one",
    )
}

async fn commit(
    app: &AppState,
    invitation: &Invitation,
    commitment: &Hash32,
) -> Result<EnrollAnswer, ApiError> {
    let (name, kind, secret) = match invitation {
        Invitation::Link { slot, secret } => {
            (Uuid::from_bytes(slot.0).to_string(), SecretKind::Link, secret.0.to_vec())
        }
        Invitation::Typed { slot, secret } => {
            // What people type has one form on the wire.
            let typed = TypedCode::parse(&format!("{slot}{secret}")).map_err(|_| refused())?;
            (typed.slot, SecretKind::Typed, typed.secret.into_bytes())
        }
    };
    let Some((organizer, mut tx)) = resolve(app, &name).await? else { return Err(refused()) };
    let key = match invitation {
        Invitation::Link { slot, .. } => SlotKey::Id(Uuid::from_bytes(slot.0)),
        Invitation::Typed { .. } => SlotKey::Name(&name),
    };
    let slot = slots::lock(&mut tx, organizer.0, key).await?.ok_or_else(refused)?;
    let now = app.clock.now();
    let attempt = match slot.commit(kind, &secret, commitment, now) {
        Ok(Commit::Again(attempt)) => attempt,
        Ok(Commit::New) => {
            // The slot's id names the attempt: a slot has but one.
            let attempt = Attempt {
                enrolment: Nonce16(*slot.slot_id.as_bytes()),
                commitment: *commitment,
                server_nonce: Nonce32(app.rng.bytes()),
            };
            if !slots::commit(&mut tx, organizer.0, slot.slot_id, &attempt, now + SLOT_TTL).await? {
                return Err(used());
            }
            attempt
        }
        Err(CommitRefusal::WrongSecret) => {
            slots::spend_try(&mut tx, organizer.0, slot.slot_id, now).await?;
            tx.commit().await?;
            return Err(refused());
        }
        Err(CommitRefusal::Locked) => return Err(refused()),
        Err(CommitRefusal::Expired) => {
            return Err(ApiError::gone(
                "invitation_expired",
                "the invitation is older than ten minutes: ask for a new one",
            ));
        }
        Err(CommitRefusal::Used) => return Err(used()),
    };
    let trust_roots = manifests::trust_roots(&mut tx, organizer.0, 0).await?;
    tx.commit().await?;
    Ok(EnrollAnswer::Challenge {
        enrolment: attempt.enrolment,
        server_nonce: attempt.server_nonce,
        trust_roots,
    })
}

fn used() -> ApiError {
    ApiError::conflict("invitation_used", "another machine has used this invitation: ask for a new one")
}

fn enrolment_refused() -> ApiError {
    ApiError::forbidden_code("enrolment_refused", "this is not what the machine committed to")
}

fn over() -> ApiError {
    ApiError::gone("enrolment_over", "this enrolment is over: ask the organizer for a new invitation")
}

async fn reveal(
    app: &AppState,
    enrolment: &Nonce16,
    public_key: &PublicKey,
    device_nonce: &Nonce32,
    signature: &Signature64,
) -> Result<EnrollAnswer, ApiError> {
    let (organizer, mut tx, slot) = attempt(app, enrolment).await?;
    let (SlotState::Committed(attempt) | SlotState::Revealed(attempt, _) | SlotState::Confirmed(attempt, ..)) =
        &slot.state
    else {
        return Err(over());
    };
    let message = reveal_message(enrolment, &attempt.server_nonce, public_key, device_nonce);
    if !proves(public_key, &message, signature) {
        return Err(enrolment_refused());
    }
    let shown = slot.reveal(&commitment(public_key, device_nonce), app.clock.now()).map_err(|e| match e {
        crate::domain::device::RevealRefusal::OtherThanCommitted => enrolment_refused(),
        crate::domain::device::RevealRefusal::Over => over(),
    })?;
    if shown.is_none() {
        let roots = manifests::trust_roots(&mut tx, organizer.0, 0).await?;
        let root = first_root(&roots)?;
        let revealed = Revealed {
            public_key: *public_key,
            device_nonce: *device_nonce,
            digits: digits(&origin(app)?, &root, public_key, device_nonce, &attempt.server_nonce),
        };
        if !slots::reveal(&mut tx, organizer.0, slot.slot_id, &revealed).await? {
            return Err(over());
        }
        tx.commit().await?;
        app.news.publish(slot.event_id);
    }
    Ok(EnrollAnswer::Pending {})
}

async fn poll(
    app: &AppState,
    enrolment: &Nonce16,
    signature: &Signature64,
) -> Result<EnrollAnswer, ApiError> {
    let (organizer, mut tx, slot) = attempt(app, enrolment).await?;
    // Whoever revealed the key may ask, also after a refusal.
    if let SlotState::Revealed(_, revealed) | SlotState::Confirmed(_, revealed, _) = &slot.state
        && !proves(&revealed.public_key, &poll_message(enrolment), signature)
    {
        return Err(enrolment_refused());
    }
    match slot.poll(app.clock.now()) {
        Poll::Pending => Ok(EnrollAnswer::Pending {}),
        Poll::Declined => Ok(EnrollAnswer::Declined {}),
        Poll::Confirmed(device) => {
            let device = devices::find(&mut tx, organizer.0, DeviceId(device)).await?.ok_or_else(over)?;
            tx.commit().await?;
            Ok(EnrollAnswer::Confirmed {
                organizer,
                event: EventId(slot.event_id),
                device: device.device_id,
                certificate: device.certificate,
            })
        }
    }
}

/// The slot of a running enrolment, locked.
async fn attempt(app: &AppState, enrolment: &Nonce16) -> Result<(OrganizerId, Tx, Slot), ApiError> {
    let id = Uuid::from_bytes(enrolment.0);
    let Some((organizer, mut tx)) = resolve(app, &id.to_string()).await? else { return Err(over()) };
    let slot = slots::lock(&mut tx, organizer.0, SlotKey::Id(id)).await?.ok_or_else(over)?;
    Ok((organizer, tx, slot))
}

/// The organizer of a slot's name or id, and a transaction there.
async fn resolve(app: &AppState, name: &str) -> Result<Option<(OrganizerId, Tx)>, ApiError> {
    let mut tx = app.db.platform().await?;
    let place = directory::find(&mut tx, "slot", name).await?;
    tx.commit().await?;
    let Some(place) = place else { return Ok(None) };
    Ok(Some((OrganizerId(place.organizer_id), app.db.tenant(place.organizer_id).await?)))
}

/// True if the key is strong and made this signature.
fn proves(key: &PublicKey, message: &[u8], signature: &Signature64) -> bool {
    strong_key(key)
        .is_some_and(|key| key.verify_strict(message, &Signature::from_bytes(&signature.0)).is_ok())
}

/// What both sides put into the digits for "which server": our public address.
pub fn origin(app: &AppState) -> Result<String, ApiError> {
    normalize_origin(app.config.origin()).map_err(ApiError::internal)
}

/// The hash that links carry and devices pin: of the first trust root.
pub fn first_root(roots: &[SignedTrustRoot]) -> Result<Hash32, ApiError> {
    let first = roots
        .first()
        .ok_or_else(|| ApiError::internal(anyhow::anyhow!("the organizer has no trust root")))?;
    Ok(document_hash(&first.document))
}
