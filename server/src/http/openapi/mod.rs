//! The OpenAPI document, made from the routes' own code, and a page to browse it that needs no network.

mod complete;
mod examples;

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use axum::routing::get;
use axum::{Router, body::Bytes};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::caching;
use super::error::{Problem, gotrue_code};
use crate::app::AppState;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "HVFLVSPOT",
        description = "Ticketing that keeps working when the network does not.\n\n\
            **Refusals** are `application/problem+json` (RFC 9457) with a stable `code`, listed with each answer as \
            `x-error-codes`; under `/auth/v1/` they have GoTrue's form. **Times** are RFC 3339, **money** is minor units \
            and a currency. **Lists** are `{items, next_cursor}`: send `next_cursor` back as `cursor`. Fields that a \
            route does not know are refused. Every answer carries `X-Request-Id`; a request may bring its own.\n\n\
            **Sign in** by `POST /auth/v1/token?grant_type=password` and send `Authorization: Bearer …`. Buying needs no \
            account: a guest's purchase returns a secret for the header `Booking-Secret`.\n\n\
            **Repeat safely**: routes with the header `Idempotency-Key` give the first answer again. Wait for \
            `Retry-After` where an answer carries it.",
    ),
    tags(
        (name = "accounts", description = "Signing up and in, at GoTrue's paths: supabase-js works unchanged"),
        (name = "events", description = "What everybody may see: published events, categories, ticket keys"),
        (name = "tickets", description = "Buying tickets, having them, checking them online"),
        (name = "bookings", description = "A purchase as a whole, by its buyer or the holder of its secret"),
        (name = "payment", description = "Paying, refunding, and what was paid"),
        (name = "organizer", description = "An organizer's profile, events, ticket types and quotas"),
        (name = "door", description = "Check-in lists, gates and stewards of an event"),
        (name = "devices", description = "The organizer's side of gate devices: invitations, health, incidents"),
        (name = "gates", description = "What gate devices call: CBOR, signed (docs/PROTOCOL.md)"),
        (name = "notifications", description = "What accounts hear of and how; what organizers write to those who come"),
        (name = "webhooks", description = "Servers of the organizer that are told what happens (docs/WEBHOOKS.md)"),
        (name = "admin", description = "For administrators of the platform"),
        (name = "statistics", description = "An event in numbers"),
        (name = "health", description = "For load balancers and monitoring"),
        (name = "development", description = "With --dev and from this machine alone"),
    ),
    components(schemas(Problem))
)]
struct Document;

/// The document without routes.
pub fn base() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    document.info.license = None;
    document.info.contact = None;
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(
        "bearer",
        SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .bearer_format("JWT")
                .description(Some("Access token of POST /auth/v1/token"))
                .build(),
        ),
    );
    components.add_security_scheme(
        "session",
        SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
            "__Host-session",
            "A browser's session, opened by POST /auth/session; wherever a bearer token is accepted. Unsafe requests \
             must come from a page of this very site",
        ))),
    );
    components.add_security_scheme(
        "booking_secret",
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
            "Booking-Secret",
            "The secret that a guest's purchase returned once",
        ))),
    );
    components.add_security_scheme(
        "device_signature",
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
            "Signature",
            "RFC 9421 message signature with the enrolled device's Ed25519 key",
        ))),
    );
    document
}

/// The document of all routes.
pub fn document() -> utoipa::openapi::OpenApi {
    completed(super::router::api().into_openapi())
}

/// A document of routes with what all routes have in common.
fn completed(mut document: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    complete::complete(&mut document);
    document
}

/// `/openapi.json` and `/docs`.
pub(super) fn routes(document: utoipa::openapi::OpenApi) -> Router<AppState> {
    let json = Bytes::from(completed(document).to_json().expect("the document is plain data"));
    let tag: Arc<str> = caching::tag_of(&json).into();
    let docs: Router<AppState> =
        SwaggerUi::new("/docs").config(Config::from("/openapi.json").validator_url("none")).into();
    // The page runs the scripts and styles that we serve beside it, and asks this server.
    let policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                  connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let header = |name: HeaderName, value| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    };
    let docs = docs.layer(header(header::CONTENT_SECURITY_POLICY, policy));
    let json = Router::new().route("/openapi.json", get(serve_json).with_state((json, tag)));
    json.merge(docs)
}

async fn serve_json(State((json, tag)): State<(Bytes, Arc<str>)>, headers: HeaderMap) -> Response {
    caching::tagged(&headers, json, &tag)
}
