//! The key by which push services know us (RFC 8292), made at the first start and kept sealed.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use crate::clock::{SharedClock, SharedRng};
use crate::keys::MasterKey;
use crate::store::Db;
use crate::store::signing_key::{self, SigningKeyRow};

const PURPOSE: &str = "signing_keys/vapid";
/// A token is good for this long; services take 24 hours at most.
const TTL_SECS: i64 = 12 * 3_600;

/// Our key pair, and whom a push service may write to.
pub struct Vapid {
    pair: EcdsaKeyPair,
    public_key: String,
    contact: String,
}

impl std::fmt::Debug for Vapid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vapid({})", self.public_key)
    }
}

impl Vapid {
    /// Reads the key, making it if there is none. `contact` as `mailto:tickets@example.org`.
    pub async fn load(
        db: &Db,
        master: &MasterKey,
        clock: &SharedClock,
        rng: &SharedRng,
        contact: String,
    ) -> anyhow::Result<Self> {
        let mut tx = db.platform().await?;
        let mut row = signing_key::vapid_key(&mut tx).await?;
        if row.is_none() {
            // Two servers may both do this at their first start: from then on the elder is everybody's.
            signing_key::insert_vapid_key(&mut tx, &generate(master, rng)?, clock.now()).await?;
            tx.commit().await?;
            row = signing_key::vapid_key(&mut *db.platform().await?).await?;
        }
        let row = row.context("the push key was written and is not there")?;
        let pkcs8 = master.open(PURPOSE, &row.private_key_sealed).context("the push key does not open")?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8, &SystemRandom::new())
            .map_err(|_| anyhow::anyhow!("the stored push key is no key"))?;
        Ok(Self { pair, public_key: URL_SAFE_NO_PAD.encode(row.public_key), contact })
    }

    /// base64url of the public key: browsers subscribe with it as `applicationServerKey`.
    #[must_use]
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// The header of a request to the push service of `url`.
    pub fn authorization(&self, url: &Url, now: OffsetDateTime) -> anyhow::Result<String> {
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = json!({
            "aud": url.origin().ascii_serialization(), "exp": now.unix_timestamp() + TTL_SECS, "sub": self.contact,
        });
        let signed = format!("{}.{}", part(json!({ "typ": "JWT", "alg": "ES256" })), part(claims));
        let signature = self
            .pair
            .sign(&SystemRandom::new(), signed.as_bytes())
            .map_err(|_| anyhow::anyhow!("signing for the push service failed"))?;
        let signature = URL_SAFE_NO_PAD.encode(signature);
        Ok(format!("vapid t={signed}.{signature}, k={}", self.public_key))
    }
}

fn generate(master: &MasterKey, rng: &SharedRng) -> anyhow::Result<SigningKeyRow> {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
        .map_err(|_| anyhow::anyhow!("the operating system gives no randomness"))?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random)
        .map_err(|_| anyhow::anyhow!("a fresh key does not parse"))?;
    let public_key = pair.public_key().as_ref().to_vec();
    let hash = Sha256::digest(&public_key);
    Ok(SigningKeyRow {
        kid: URL_SAFE_NO_PAD.encode(&hash[..12]),
        public_key,
        private_key_sealed: master.seal(PURPOSE, pkcs8.as_ref(), rng),
    })
}
