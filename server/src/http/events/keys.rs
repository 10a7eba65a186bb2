//! `GET /events/{id}/ticket-keys`

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::public;
use super::show::find_public;
use crate::app::AppState;
use crate::domain::keys::Purpose;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::ApiPath;
use crate::selling::keys;

/// JSON Web Key Set (RFC 7517, RFC 8037). The two ids are what a code's signature covers beside its own bytes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Jwks {
    organizer_id: Uuid,
    event_id: Uuid,
    keys: Vec<Jwk>,
}

/// An Ed25519 key.
#[derive(Debug, Serialize, ToSchema)]
struct Jwk {
    /// `OKP`
    kty: &'static str,
    /// `Ed25519`
    crv: &'static str,
    /// Eight hex digits: the four bytes that a code carries.
    kid: String,
    /// The public key, base64url.
    x: String,
    /// `sig`
    #[serde(rename = "use")]
    usage: &'static str,
    /// `EdDSA`
    alg: &'static str,
    /// `active` or `verify_only`. A compromised key is not listed: whoever does not know this field must not
    /// believe it.
    status: String,
}

/// The keys that verify the codes of an event's tickets.
///
/// A code is `HV1:` and base45; its signature covers "hvflvspot/ticket/v1\0", the organizer's id, the event's id and the
/// first 36 bytes: anybody can verify a ticket independently.
#[utoipa::path(
    get, path = "/events/{event_id}/ticket-keys", operation_id = "get_ticket_keys", tag = "events", params(("event_id" = String, Path, description = "Id or slug")),
    responses((status = 200, body = Jwks), (status = 404, body = Problem)),
)]
pub(super) async fn ticket_keys(
    State(app): State<AppState>,
    ApiPath(id): ApiPath<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (tx, event) = find_public(&app, &id).await?;
    tx.commit().await?;
    let event_id: Uuid = event.event_id;
    let opened = keys::opened(&app, event.organizer_id, Purpose::Ticket, Some(event_id)).await?;
    let jwk = |key: &keys::OpenKey| Jwk {
        kty: "OKP",
        crv: "Ed25519",
        kid: key.kid.to_string(),
        x: URL_SAFE_NO_PAD.encode(key.public.0),
        usage: "sig",
        alg: "EdDSA",
        status: key.status.clone(),
    };
    let believed = opened.all().iter().filter(|key| key.status != "compromised");
    public(&headers, &Jwks { organizer_id: event.organizer_id, event_id, keys: believed.map(jwk).collect() })
}
