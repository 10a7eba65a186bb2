//! The browser's session cookie: its name, its text, and from where an unsafe request may carry it
//! (docs/decisions/0016-sessions-by-cookie.md).

use axum::http::{HeaderMap, HeaderValue, Method, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::error::ApiError;
use crate::app::App;
use crate::clock::SharedRng;

/// Bound to this host, HTTPS and the path `/` by the browser itself (RFC 6265bis, section 4.1.3.2).
const NAME: &str = "__Host-session";
/// Browsers keep no `Secure` cookie of a page that came by plain HTTP, as under `--dev`.
const DEV_NAME: &str = "hvflvspot-dev-session";

/// 256 bits of chance as the browser keeps them. Never printed.
#[derive(Clone)]
pub struct CookieText(Zeroizing<String>);

impl std::fmt::Debug for CookieText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CookieText(…)")
    }
}

impl CookieText {
    pub fn generate(rng: &SharedRng) -> Self {
        let bytes = Zeroizing::new(rng.bytes::<32>());
        Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice())))
    }

    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

/// True where browsers come by plain HTTP.
fn plain(app: &App) -> bool {
    app.config.dev && app.config.tls_cert.is_none() && !app.config.origin().starts_with("https://")
}

fn name(app: &App) -> &'static str {
    if plain(app) { DEV_NAME } else { NAME }
}

/// The session cookie of a request.
pub fn read(app: &App, headers: &HeaderMap) -> Option<CookieText> {
    let name = name(app);
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, text)| CookieText(Zeroizing::new(text.to_owned())))
}

/// `Set-Cookie` that gives it.
pub fn set(app: &App, text: &CookieText, max_age_secs: i64) -> Result<HeaderValue, ApiError> {
    line(app, &text.0, max_age_secs.max(0))
}

/// `Set-Cookie` that takes it away.
pub fn clear(app: &App) -> Result<HeaderValue, ApiError> {
    line(app, "", 0)
}

fn line(app: &App, text: &str, max_age_secs: i64) -> Result<HeaderValue, ApiError> {
    let secure = if plain(app) { "" } else { " Secure;" };
    let name = name(app);
    let line = format!("{name}={text}; Path=/; HttpOnly;{secure} SameSite=Lax; Max-Age={max_age_secs}");
    let mut value = HeaderValue::try_from(line).map_err(ApiError::internal)?;
    value.set_sensitive(true);
    Ok(value)
}

/// A cookie goes along with whatever page makes the browser ask. So an unsafe request with one must say that
/// it comes from a page of ours: by `Sec-Fetch-Site`, which pages cannot write, or by `Origin`.
pub fn require_own_page(app: &App, method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
    if method.is_safe() || comes_from_own_page(app, headers) { Ok(()) } else { Err(bad_origin()) }
}

/// Against being signed in as somebody else by another page: an `Origin`, if there is one, must be ours.
pub fn refuse_other_page(app: &App, headers: &HeaderMap) -> Result<(), ApiError> {
    let says = headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site");
    if !says || comes_from_own_page(app, headers) { Ok(()) } else { Err(bad_origin()) }
}

fn comes_from_own_page(app: &App, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let Some(origin) = text("origin") else { return false };
    if origin == app.config.origin() {
        return true;
    }
    // No page can make a browser send another Host than the one that it asks.
    let authority =
        origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://").filter(|_| plain(app)));
    authority.is_some() && authority == text("host")
}

fn bad_origin() -> ApiError {
    ApiError::forbidden_code(
        "bad_origin",
        "with the session's cookie only pages of this very site may do this",
    )
}
