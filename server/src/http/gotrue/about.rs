//! What anybody may know of the accounts' side: its settings, that it is there, its public keys.

use axum::Json;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, HeaderName};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::autoconfirm;
use crate::app::AppState;

/// Which ways to sign in there are.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Settings {
    external: External,
    disable_signup: bool,
    /// New addresses count as confirmed at once.
    mailer_autoconfirm: bool,
    phone_autoconfirm: bool,
    sms_provider: &'static str,
    saml_enabled: bool,
}

#[derive(Debug, Serialize, ToSchema)]
struct External {
    email: bool,
    phone: bool,
    anonymous_users: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct About {
    name: &'static str,
    version: &'static str,
    description: &'static str,
}

/// Which ways to sign in there are.
#[utoipa::path(get, path = "/auth/v1/settings", operation_id = "auth_settings", tag = "accounts", responses((status = 200, body = Settings)))]
pub(super) async fn settings(State(app): State<AppState>) -> Json<Settings> {
    Json(Settings {
        external: External { email: true, phone: false, anonymous_users: false },
        disable_signup: false,
        mailer_autoconfirm: autoconfirm(&app),
        phone_autoconfirm: false,
        sms_provider: "",
        saml_enabled: false,
    })
}

/// The accounts' side answers. `/health` says more.
#[utoipa::path(get, path = "/auth/v1/health", operation_id = "auth_health", tag = "accounts", responses((status = 200, body = About)))]
pub(super) async fn health() -> Json<About> {
    Json(About {
        name: "HVFLVSPOT",
        version: env!("CARGO_PKG_VERSION"),
        description: "Accounts at the paths of GoTrue",
    })
}

type Cached = ([(HeaderName, &'static str); 1], Json<Value>);

/// The public keys of access tokens (RFC 7517).
#[utoipa::path(get, path = "/.well-known/jwks.json", operation_id = "jwks", tag = "accounts", responses((status = 200, body = Object)))]
pub(super) async fn jwks(State(app): State<AppState>) -> Cached {
    // A new key verifies this long before other verifiers know it; ours fetch it when they meet it.
    ([(CACHE_CONTROL, "public, max-age=300")], Json(app.tokens.jwks()))
}

/// The same, where clients of GoTrue look for them.
#[utoipa::path(get, path = "/auth/v1/.well-known/jwks.json", operation_id = "auth_jwks", tag = "accounts", responses((status = 200, body = Object)))]
pub(super) async fn jwks_of_auth(state: State<AppState>) -> Cached {
    jwks(state).await
}
