//! The OpenAPI document, made from the routes' own code, and a page to browse it that needs no network.

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, body::Bytes};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::error::Problem;
use crate::app::AppState;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "HVFLVSPOT",
        description = "Ticketing that keeps working when the network does not. Errors are application/problem+json \
                       (RFC 9457) with a stable `code`; times are RFC 3339; money is minor units and a currency; \
                       lists are paged by `cursor`.",
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
    super::router::api().into_openapi()
}

/// `/openapi.json` and `/docs`.
pub(super) fn routes(document: utoipa::openapi::OpenApi) -> Router<AppState> {
    let json = Bytes::from(document.to_json().expect("the document is plain data"));
    let docs: Router<AppState> =
        SwaggerUi::new("/docs").config(Config::from("/openapi.json").validator_url("none")).into();
    // The page runs the scripts and styles that we serve beside it.
    let policy =
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";
    let header = |name: HeaderName, value| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    };
    let docs = docs.layer(header(header::CONTENT_SECURITY_POLICY, policy));
    let json = Router::new().route("/openapi.json", get(serve_json).with_state(json));
    json.merge(docs)
}

async fn serve_json(State(json): State<Bytes>) -> Response {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")], json).into_response()
}
