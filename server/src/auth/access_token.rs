//! Access tokens: ES256, one hour, in the form that GoTrue gives them, so that supabase-js and other
//! verifiers of `/auth/v1/.well-known/jwks.json` understand them.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use super::jose;
use crate::app::App;
use crate::clock::{SharedClock, SharedRng};
use crate::domain::access::Aal;
use crate::keys::MasterKey;
use crate::store::Db;
use crate::store::signing_key::{self, SigningKeyRow};

/// How long a token is good.
pub const TTL_SECS: i64 = 3_600;
/// Longest token that is looked at.
const MAX_TOKEN: usize = 8 * 1024;
/// Clocks of several servers may differ by this much.
const LEEWAY_SECS: i64 = 5;
/// An unknown kid makes us read the keys again, at most this often.
const RELOAD_EVERY: Duration = Duration::from_secs(5);
const AUDIENCE: &str = "authenticated";
const PURPOSE: &str = "signing_keys/access_token";

/// What a token says. Unknown claims are ignored; nothing is authorised from `user_metadata`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub sub: Uuid,
    pub aud: String,
    pub iat: i64,
    pub exp: i64,
    pub email: String,
    /// PostgREST's role; always `authenticated`.
    pub role: String,
    pub session_id: Uuid,
    pub aal: String,
    /// How the session began.
    #[serde(default)]
    pub amr: Value,
    #[serde(default)]
    pub app_metadata: AppMetadata,
    #[serde(default)]
    pub user_metadata: Value,
}

/// What the platform says of the user.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AppMetadata {
    /// `user`, `organizer` or `admin`.
    #[serde(default)]
    pub role: String,
    #[serde(default)]
    pub provider: String,
}

/// Whom a token is made for.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    pub user_id: Uuid,
    pub email: &'a str,
    pub role: &'a str,
    pub session_id: Uuid,
    /// When the session began.
    pub signed_in_at: OffsetDateTime,
    pub aal: Aal,
    /// How it began: `password`, `otp`, `recovery`.
    pub method: &'a str,
    pub user_metadata: Value,
}

/// Why a token is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("the access token is malformed")]
    Malformed,
    #[error("the access token is signed by an unknown key")]
    UnknownKey,
    #[error("the access token's signature or claims are wrong")]
    Invalid,
    #[error("the access token has expired")]
    Expired,
    #[error("the signing keys cannot be read")]
    Keys(#[source] anyhow::Error),
}

/// The keys in use, signing one first.
#[derive(Debug)]
pub struct AccessTokens {
    keys: RwLock<Arc<Loaded>>,
    issuer: String,
    clock: SharedClock,
}

struct Loaded {
    keys: Vec<Key>,
    signing: EncodingKey,
    at: Duration,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|k| &k.kid)).finish()
    }
}

struct Key {
    kid: String,
    /// Uncompressed point: 4 ‖ x ‖ y.
    point: Vec<u8>,
    decoding: DecodingKey,
}

impl AccessTokens {
    /// Reads the keys, making the first one if there is none.
    pub async fn load(
        db: &Db,
        master: &MasterKey,
        clock: SharedClock,
        rng: &SharedRng,
        issuer: String,
    ) -> anyhow::Result<Self> {
        jose::install();
        let mut tx = db.platform().await?;
        let mut rows = signing_key::access_token_keys(&mut tx).await?;
        if rows.is_empty() {
            // Two servers may both do this at their first start: both keys then verify, the elder signs.
            let row = generate(master, rng)?;
            signing_key::insert_access_token_key(&mut tx, &row, clock.now()).await?;
            tx.commit().await?;
            rows = signing_key::access_token_keys(&mut *db.platform().await?).await?;
        }
        let loaded = Loaded::from_rows(&rows, master, clock.monotonic())?;
        Ok(Self { keys: RwLock::new(Arc::new(loaded)), issuer, clock })
    }

    /// A token for `subject`, good for [`TTL_SECS`] from now.
    pub fn issue(&self, subject: &Subject<'_>) -> Result<String, TokenError> {
        let loaded = self.current();
        let now = self.clock.now().unix_timestamp();
        let claims = Claims {
            iss: self.issuer.clone(),
            sub: subject.user_id,
            aud: AUDIENCE.to_owned(),
            iat: now,
            exp: now + TTL_SECS,
            email: subject.email.to_owned(),
            role: AUDIENCE.to_owned(),
            session_id: subject.session_id,
            aal: subject.aal.as_str().to_owned(),
            amr: amr(subject),
            app_metadata: AppMetadata { role: subject.role.to_owned(), provider: "email".to_owned() },
            user_metadata: subject.user_metadata.clone(),
        };
        let mut header = Header::new(Algorithm::ES256);
        header.kid = loaded.keys.first().map(|k| k.kid.clone());
        jsonwebtoken::encode(&header, &claims, &loaded.signing).map_err(|e| TokenError::Keys(e.into()))
    }

    /// The public keys, for anybody who verifies tokens.
    pub fn jwks(&self) -> Value {
        let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let keys: Vec<Value> = self
            .current()
            .keys
            .iter()
            .map(|key| {
                json!({
                    "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": key.kid,
                    "key_ops": ["verify"],
                    "x": coordinate(&key.point[1..33]), "y": coordinate(&key.point[33..65]),
                })
            })
            .collect();
        json!({ "keys": keys })
    }

    /// Checks signature and claims against the keys at hand.
    fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::Malformed);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
        let kid = header.kid.ok_or(TokenError::Malformed)?;
        let loaded = self.current();
        let key = loaded.keys.iter().find(|k| k.kid == kid).ok_or(TokenError::UnknownKey)?;
        // Time is checked below by our own clock: the library reads the machine's.
        let mut validation = Validation::new(Algorithm::ES256);
        validation.validate_exp = false;
        validation.required_spec_claims.clear();
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[AUDIENCE]);
        let claims = jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation)
            .map_err(|_| TokenError::Invalid)?
            .claims;
        let now = self.clock.now().unix_timestamp();
        if claims.iat > now + LEEWAY_SECS {
            return Err(TokenError::Invalid);
        }
        if claims.exp <= now {
            return Err(TokenError::Expired);
        }
        Ok(claims)
    }

    async fn reload(&self, db: &Db, master: &MasterKey) -> anyhow::Result<bool> {
        let now = self.clock.monotonic();
        if now.saturating_sub(self.current().at) < RELOAD_EVERY {
            return Ok(false);
        }
        let rows = signing_key::access_token_keys(&mut *db.platform().await?).await?;
        let loaded = Arc::new(Loaded::from_rows(&rows, master, now)?);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(true)
    }

    fn current(&self) -> Arc<Loaded> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The claims of a token that this platform issued and that is still good. A key that another
/// server made meanwhile is fetched.
pub async fn verify_access_token(app: &App, token: &str) -> Result<Claims, TokenError> {
    match app.tokens.verify(token) {
        Err(TokenError::UnknownKey) => {
            match app.tokens.reload(&app.db, &app.master_key).await.map_err(TokenError::Keys)? {
                true => app.tokens.verify(token),
                false => Err(TokenError::UnknownKey),
            }
        }
        other => other,
    }
}

impl Loaded {
    fn from_rows(rows: &[SigningKeyRow], master: &MasterKey, at: Duration) -> anyhow::Result<Self> {
        let first = rows.first().context("there is no access token key")?;
        let private = master
            .open(PURPOSE, &first.private_key_sealed)
            .context("the access token key cannot be opened: is this the master key of this database?")?;
        let keys = rows
            .iter()
            .filter(|row| row.public_key.len() == 65)
            .map(|row| Key {
                kid: row.kid.clone(),
                point: row.public_key.clone(),
                decoding: DecodingKey::from_ec_der(&row.public_key),
            })
            .collect();
        Ok(Self { keys, signing: EncodingKey::from_ec_der(&private), at })
    }
}

/// How the session began, and what was shown since.
fn amr(subject: &Subject<'_>) -> Value {
    let at = subject.signed_in_at.unix_timestamp();
    match subject.aal {
        Aal::Aal1 => json!([{ "method": subject.method, "timestamp": at }]),
        Aal::Aal2 => {
            json!([{ "method": subject.method, "timestamp": at }, { "method": "totp", "timestamp": at }])
        }
    }
}

fn generate(master: &MasterKey, rng: &SharedRng) -> anyhow::Result<SigningKeyRow> {
    let random = ring::rand::SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
        .map_err(|_| anyhow::anyhow!("the operating system gives no randomness"))?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random)
        .map_err(|_| anyhow::anyhow!("a fresh key does not parse"))?;
    let public_key = pair.public_key().as_ref().to_vec();
    let mut hash = Sha256::new();
    hash.update(b"hvflvspot/access-token-kid/v1\0");
    hash.update(&public_key);
    Ok(SigningKeyRow {
        kid: URL_SAFE_NO_PAD.encode(&hash.finalize()[..12]),
        public_key,
        private_key_sealed: master.seal(PURPOSE, pkcs8.as_ref(), rng),
    })
}
