//! All routes in one place, and the layers around them.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderValue, Method};
use axum::middleware;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate as _};
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa_axum::router::OpenApiRouter;

use super::error::ApiError;
use super::{
    account, auth, bookings, dev, devices, edge, events, gates, gotrue, guest_code, health, limits, metrics,
    notifications, openapi, organizer, payment, receipts, session, stats, supabase, system, tickets, totp,
    validate, web, whoami,
};
use crate::app::AppState;
use crate::config::HttpConfig;

/// Every area's routes. Add yours here.
pub fn api() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(openapi::base())
        .merge(account::routes())
        .merge(bookings::routes())
        .merge(dev::routes())
        .merge(devices::routes())
        .merge(events::routes())
        .merge(gates::routes())
        .merge(gotrue::routes())
        .merge(guest_code::routes())
        .merge(health::routes())
        .merge(metrics::routes())
        .merge(notifications::routes())
        .merge(organizer::routes())
        .merge(payment::routes())
        .merge(receipts::routes())
        .merge(session::routes())
        .merge(stats::routes())
        .merge(system::routes())
        .merge(supabase::routes())
        .merge(tickets::routes())
        .merge(totp::routes())
        .merge(validate::routes())
        .merge(whoami::routes())
}

/// The whole server.
pub fn router(app: AppState) -> Router {
    finish(api(), app)
}

/// Puts the layers around `routes`: tests use it with routes of their own.
pub fn finish(routes: OpenApiRouter<AppState>, app: AppState) -> Router {
    let (router, document) = routes.split_for_parts();
    router
        .merge(openapi::routes(document))
        .merge(web::routes())
        .fallback(no_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(app.clone(), limits::limit))
        .layer(DefaultBodyLimit::max(app.config.http.body_limit))
        .layer(CatchPanicLayer::custom(edge::panicked))
        .layer(cors(&app.config.http))
        .layer(
            CompressionLayer::new().compress_when(
                // Already small or already compressed.
                DefaultPredicate::new()
                    .and(NotForContentType::const_new("application/cbor"))
                    .and(NotForContentType::const_new("application/cose")),
            ),
        )
        .layer(middleware::from_fn_with_state(app.clone(), edge::edge))
        .with_state(app)
}

async fn no_route(request: Request) -> ApiError {
    ApiError::new(
        axum::http::StatusCode::NOT_FOUND,
        "no_such_route",
        format!("there is no route {}; /openapi.json lists them all", request.uri().path()),
    )
}

async fn wrong_method(request: Request) -> ApiError {
    ApiError::new(
        axum::http::StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        format!("{} is not possible here; the header Allow says what is", request.method()),
    )
}

fn cors(config: &HttpConfig) -> CorsLayer {
    let origins = &config.cors_origins;
    let allowed = if origins.iter().any(|o| o == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|o| HeaderValue::from_str(o).ok()))
    };
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            auth::BOOKING_SECRET,
            auth::ORGANIZER_ID,
            edge::REQUEST_ID,
            HeaderName::from_static("idempotency-key"),
            // supabase-js sends these.
            HeaderName::from_static("apikey"),
            HeaderName::from_static("x-client-info"),
            edge::API_VERSION,
        ])
        .expose_headers([
            edge::REQUEST_ID,
            header::RETRY_AFTER,
            header::ETAG,
            edge::API_VERSION,
            limits::RATE_LIMIT,
            limits::RATE_LIMIT_POLICY,
        ])
        .max_age(std::time::Duration::from_secs(3_600))
}
