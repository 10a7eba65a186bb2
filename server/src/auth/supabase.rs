//! Access tokens of a Supabase project (docs/decisions/0015-tokens-of-a-supabase-project.md): ES256 and RS256 by the
//! project's JWKS, HS256 by its legacy secret alone. A key has one algorithm, whatever a token says. Nothing is
//! authorised from what a token says of the user beyond who it is: roles stand in our own rows.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::jose;
use crate::clock::SharedClock;
use crate::config::SupabaseConfig;

/// Longest token that is looked at.
const MAX_TOKEN: usize = 16 * 1024;
const MAX_JWKS: usize = 256 * 1024;
const MAX_KEYS: usize = 50;
/// Clocks of others may be ahead by this much.
const LEEWAY_SECS: i64 = 30;
/// Keys this old are fetched again before they are used, if that is possible.
const FRESH_FOR: Duration = Duration::from_secs(600);
/// Never asked more often than this, however many tokens name unknown keys.
const FETCH_EVERY: Duration = Duration::from_secs(30);
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// The role of people who signed in; `anon` and `service_role` are keys of programs.
const USER_ROLE: &str = "authenticated";

/// Whom a token means, and what it says of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub issuer: String,
    pub subject: String,
    pub email: Option<String>,
    /// What the user calls itself.
    pub name: Option<String>,
    /// A second factor was shown there.
    pub aal2: bool,
    /// How the user signed in there: `password`, `otp`, `oauth`, …
    pub methods: Vec<String>,
    pub anonymous: bool,
}

/// Why a token is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("the token is malformed")]
    Malformed,
    #[error("the token is signed by an unknown key")]
    UnknownKey,
    #[error("the token's algorithm is not the one of its key")]
    Algorithm,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token is not for us: {0}")]
    Claims(&'static str),
    #[error("the token has expired")]
    Expired,
}

/// A Supabase project that vouches for users.
#[derive(Debug)]
pub struct Supabase {
    issuer: String,
    audience: String,
    jwks_url: Url,
    /// The legacy secret.
    secret: Option<Key>,
    keys: RwLock<Arc<Keys>>,
    /// Held while keys are fetched: when that was begun last.
    fetching: Mutex<Option<Duration>>,
    http: reqwest::Client,
    clock: SharedClock,
}

#[derive(Debug, Default)]
struct Keys {
    keys: Vec<(String, Key)>,
    /// `None`: never fetched.
    at: Option<Duration>,
}

/// A key and the one algorithm that it is for.
#[derive(Clone)]
struct Key {
    algorithm: Algorithm,
    decoding: DecodingKey,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({:?})", self.algorithm)
    }
}

/// What we read of a token. `user_metadata` is the user's own writing: a name to greet by, no more.
#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    #[serde(default)]
    aud: Value,
    exp: i64,
    iat: Option<i64>,
    nbf: Option<i64>,
    #[serde(default)]
    role: String,
    email: Option<String>,
    #[serde(default)]
    aal: Option<String>,
    #[serde(default)]
    amr: Value,
    #[serde(default)]
    is_anonymous: bool,
    #[serde(default)]
    user_metadata: Value,
}

impl Supabase {
    /// `None` if no project is configured.
    pub fn new(config: &SupabaseConfig, clock: SharedClock) -> anyhow::Result<Option<Self>> {
        let Some(url) = &config.url else { return Ok(None) };
        jose::install();
        let issuer = format!("{url}/auth/v1");
        let jwks_url = match &config.jwks_url {
            Some(url) => url.clone(),
            None => format!("{issuer}/.well-known/jwks.json"),
        };
        let http = reqwest::Client::builder()
            .timeout(FETCH_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("the client for the JWKS cannot be made")?;
        Ok(Some(Self {
            issuer,
            audience: config.audience.clone(),
            jwks_url: Url::parse(&jwks_url).context("supabase.jwks_url")?,
            secret: config.jwt_secret.as_ref().map(|secret| Key {
                algorithm: Algorithm::HS256,
                decoding: DecodingKey::from_secret(secret.reveal().as_bytes()),
            }),
            keys: RwLock::default(),
            fetching: Mutex::new(None),
            http,
            clock,
        }))
    }

    /// Whether a token claims to be the project's. Nothing is believed of it yet.
    pub fn claims_issue(&self, token: &str) -> bool {
        #[derive(Deserialize)]
        struct Issuer {
            iss: Option<String>,
        }
        token.len() <= MAX_TOKEN
            && jsonwebtoken::dangerous::insecure_decode::<Issuer>(token)
                .is_ok_and(|data| data.claims.iss.as_deref() == Some(&self.issuer))
    }

    /// Whom a token means, if it is genuine, good, and a user's.
    pub async fn verify(&self, token: &str) -> Result<Identity, Refusal> {
        if token.len() > MAX_TOKEN {
            return Err(Refusal::Malformed);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| Refusal::Malformed)?;
        // What a token calls critical must be understood (RFC 7515, 4.1.11); we understand no such thing.
        if header.crit.is_some() {
            return Err(Refusal::Malformed);
        }
        let key = match header.alg {
            Algorithm::HS256 => self.secret.clone().ok_or(Refusal::Algorithm)?,
            Algorithm::ES256 | Algorithm::RS256 => {
                self.key(header.kid.as_deref().ok_or(Refusal::UnknownKey)?).await?
            }
            _ => return Err(Refusal::Algorithm),
        };
        if key.algorithm != header.alg {
            return Err(Refusal::Algorithm);
        }
        // Everything but the signature is checked below: time by our own clock, `aud` in both of its forms.
        let mut validation = Validation::new(key.algorithm);
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let claims = jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation)
            .map_err(|_| Refusal::Signature)?
            .claims;
        self.accept(claims)
    }

    fn accept(&self, claims: Claims) -> Result<Identity, Refusal> {
        if claims.iss != self.issuer {
            return Err(Refusal::Claims("iss"));
        }
        if !names(&claims.aud, &self.audience) {
            return Err(Refusal::Claims("aud"));
        }
        if claims.role != USER_ROLE {
            return Err(Refusal::Claims("role"));
        }
        if claims.sub.is_empty() || claims.sub.len() > 255 {
            return Err(Refusal::Claims("sub"));
        }
        let now = self.clock.now().unix_timestamp();
        if claims.iat.max(claims.nbf).is_some_and(|from| from > now + LEEWAY_SECS) {
            return Err(Refusal::Claims("nbf"));
        }
        if claims.exp <= now {
            return Err(Refusal::Expired);
        }
        let name = ["full_name", "name"].iter().find_map(|key| claims.user_metadata.get(key)?.as_str());
        Ok(Identity {
            issuer: claims.iss,
            subject: claims.sub,
            email: claims.email.filter(|email| !email.is_empty()),
            name: name
                .map(|name| name.trim().chars().take(200).collect())
                .filter(|name: &String| !name.is_empty()),
            aal2: claims.aal.as_deref() == Some("aal2"),
            methods: methods(&claims.amr),
            anonymous: claims.is_anonymous,
        })
    }

    /// The key of an id. An unknown one, or keys grown old, make us fetch: once, then not again for a while. What
    /// we have stays good while the project cannot be reached.
    async fn key(&self, kid: &str) -> Result<Key, Refusal> {
        let known = self.known(kid);
        if let (Some(key), true) = (&known, self.is_fresh()) {
            return Ok(key.clone());
        }
        let mut last = self.fetching.lock().await;
        // Whoever held the lock may have fetched what we need.
        let now = self.clock.monotonic();
        let lately = last.is_some_and(|at| now.saturating_sub(at) < FETCH_EVERY);
        if !lately {
            *last = Some(now);
            match self.fetch().await {
                Ok(keys) => {
                    let keys = Arc::new(Keys { keys, at: Some(now) });
                    *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
                }
                Err(e) => tracing::warn!("the keys of the Supabase project cannot be fetched: {e:#}"),
            }
        }
        drop(last);
        self.known(kid).ok_or(Refusal::UnknownKey)
    }

    fn known(&self, kid: &str) -> Option<Key> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.keys.iter().find(|(id, _)| id == kid).map(|(_, key)| key.clone())
    }

    fn is_fresh(&self) -> bool {
        let at = self.keys.read().unwrap_or_else(PoisonError::into_inner).at;
        at.is_some_and(|at| self.clock.monotonic().saturating_sub(at) < FRESH_FOR)
    }

    async fn fetch(&self) -> anyhow::Result<Vec<(String, Key)>> {
        let mut response = self.http.get(self.jwks_url.clone()).send().await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            anyhow::ensure!(body.len() + chunk.len() <= MAX_JWKS, "the answer is too long");
            body.extend_from_slice(&chunk);
        }
        let keys = parse_jwks(&body)?;
        anyhow::ensure!(!keys.is_empty(), "there is no key that we could use");
        Ok(keys)
    }
}

/// A key as in RFC 7517.
#[derive(Debug, Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

/// The signing keys of a JWKS; others, secret ones above all, are passed over.
fn parse_jwks(body: &[u8]) -> anyhow::Result<Vec<(String, Key)>> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    let set: Set = serde_json::from_slice(body).context("the answer is no JWKS")?;
    Ok(set
        .keys
        .into_iter()
        .take(MAX_KEYS)
        .filter_map(|jwk| serde_json::from_value::<Jwk>(jwk).ok())
        .filter_map(|jwk| Some((jwk.kid.clone()?, key_of(&jwk)?)))
        .collect())
}

fn key_of(jwk: &Jwk) -> Option<Key> {
    if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
        return None;
    }
    let (algorithm, word, decoding) = match jwk.kty.as_str() {
        "EC" if jwk.crv.as_deref() == Some("P-256") => {
            let decoding = DecodingKey::from_ec_components(jwk.x.as_deref()?, jwk.y.as_deref()?).ok()?;
            (Algorithm::ES256, "ES256", decoding)
        }
        "RSA" => {
            let decoding = DecodingKey::from_rsa_components(jwk.n.as_deref()?, jwk.e.as_deref()?).ok()?;
            (Algorithm::RS256, "RS256", decoding)
        }
        _ => return None,
    };
    if jwk.alg.as_deref().is_some_and(|alg| alg != word) {
        return None;
    }
    Some(Key { algorithm, decoding })
}

/// Whether `aud`, a text or a list of texts, names `audience`.
fn names(aud: &Value, audience: &str) -> bool {
    match aud {
        Value::String(one) => one == audience,
        Value::Array(all) => all.iter().any(|one| one.as_str() == Some(audience)),
        _ => false,
    }
}

/// The methods of `amr`, whose entries are texts (RFC 8176) or objects (Supabase's own form).
fn methods(amr: &Value) -> Vec<String> {
    let one = |entry: &Value| match entry {
        Value::String(method) => Some(method.clone()),
        Value::Object(_) => entry["method"].as_str().map(str::to_owned),
        _ => None,
    };
    match amr {
        Value::Array(entries) => entries.iter().filter_map(one).take(16).collect(),
        other => one(other).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn audiences_and_methods_come_as_texts_lists_and_objects() {
        assert!(names(&json!("authenticated"), "authenticated"));
        assert!(names(&json!(["x", "authenticated"]), "authenticated"));
        for aud in
            [json!("authenticate"), json!(["x"]), json!([]), json!(null), json!({ "authenticated": 1 })]
        {
            assert!(!names(&aud, "authenticated"), "{aud}");
        }
        assert_eq!(methods(&json!(["otp", { "method": "totp", "timestamp": 1 }, 7])), ["otp", "totp"]);
        assert_eq!(methods(&json!("password")), ["password"]);
        assert!(methods(&Value::Null).is_empty());
    }

    #[test]
    fn a_jwks_gives_signing_keys_with_the_algorithm_of_their_kind() {
        let point = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let keys = parse_jwks(
            json!({ "keys": [
                { "kty": "EC", "crv": "P-256", "kid": "ec", "x": point, "y": point },
                { "kty": "RSA", "kid": "rsa", "alg": "RS256", "use": "sig", "n": point, "e": "AQAB" },
                { "kty": "EC", "crv": "P-384", "kid": "other curve", "x": point, "y": point },
                { "kty": "EC", "crv": "P-256", "kid": "other alg", "alg": "ES384", "x": point, "y": point },
                { "kty": "RSA", "kid": "for encryption", "use": "enc", "n": point, "e": "AQAB" },
                { "kty": "oct", "kid": "secret", "k": point, "alg": "HS256" },
                { "kty": "EC", "crv": "P-256", "x": point, "y": point },
                "no key",
            ] })
            .to_string()
            .as_bytes(),
        )
        .unwrap();
        let found: Vec<_> = keys.iter().map(|(kid, key)| (kid.as_str(), key.algorithm)).collect();
        assert_eq!(found, [("ec", Algorithm::ES256), ("rsa", Algorithm::RS256)]);
        assert!(parse_jwks(b"{}").is_err());
    }
}
