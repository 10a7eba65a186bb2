//! The master key: everything private in the database is sealed under it.
//!
//! A sealed value is `version 1 ‖ key id 4 ‖ nonce 24 ‖ ciphertext and tag` (XChaCha20-Poly1305); the
//! purpose is its associated data, so that a value cannot be moved to another column and still open.
//! Encryption and derived passwords use different subkeys of the master key.

use std::fmt;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use ring::hmac;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::clock::SharedRng;

const VERSION: u8 = 1;
const HEADER: usize = 1 + 4 + 24;

/// The id of the key that a value is sealed under; `None` if it is no sealed value.
pub fn sealed_key_id(sealed: &[u8]) -> Option<[u8; 4]> {
    (sealed.len() >= HEADER && sealed[0] == VERSION).then(|| sealed[1..5].try_into().ok()).flatten()
}

/// 256 bits that open every private key of this installation.
#[derive(Clone)]
pub struct MasterKey {
    bytes: Zeroizing<[u8; 32]>,
    id: [u8; 4],
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", hex::encode(self.id))
    }
}

/// Why a sealed value does not open.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OpenError {
    #[error("the sealed value is not one of ours")]
    Malformed,
    #[error("the value was sealed under the master key {0}, this server has {1}")]
    OtherKey(String, String),
    #[error("the sealed value was altered or belongs elsewhere")]
    Forged,
}

impl MasterKey {
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"hvflvspot/master-key-id/v1\0");
        hash.update(bytes);
        let digest = hash.finalize();
        let id = [digest[0], digest[1], digest[2], digest[3]];
        Self { bytes: Zeroizing::new(bytes), id }
    }

    pub fn generate(rng: &SharedRng) -> Self {
        Self::from_bytes(rng.bytes())
    }

    /// Reads 32 bytes from base64 or 64 hex digits: the form of `HVFLVSPOT_MASTER_KEY` and of the file.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let text = text.trim();
        let bytes = Zeroizing::new(if text.len() == 64 {
            hex::decode(text).unwrap_or_default()
        } else {
            BASE64.decode(text).unwrap_or_default()
        });
        match <[u8; 32]>::try_from(bytes.as_slice()) {
            Ok(bytes) => Ok(Self::from_bytes(bytes)),
            Err(_) => bail!(
                "a master key is 32 bytes in base64 (44 characters) or hex (64): make one with `openssl rand -base64 32`"
            ),
        }
    }

    /// The key of the file at `path`, made with mode 0600 if there is none.
    pub fn load_or_create(path: &Path, rng: &SharedRng) -> anyhow::Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) => {
                let text = Zeroizing::new(text);
                let mode = fs::metadata(path)?.permissions().mode();
                if mode & 0o077 != 0 {
                    bail!("{} can be read by others: run `chmod 600 {0}`", path.display());
                }
                return Self::parse(&text).with_context(|| format!("in {}", path.display()));
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
        }
        let key = Self::generate(rng);
        // Whole or not at all: written and synced beside, then linked under its name, which fails if
        // another server was quicker.
        let beside = path.with_extension(format!("new-{}", std::process::id()));
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)
            .with_context(|| format!("cannot write {}", beside.display()))?;
        writeln!(file, "{}", BASE64.encode(*key.bytes))?;
        file.sync_all()?;
        let linked = fs::hard_link(&beside, path);
        fs::remove_file(&beside)?;
        match linked {
            Ok(()) => {
                if let Some(dir) = path.parent() {
                    fs::File::open(dir)?.sync_all()?;
                }
                Ok(key)
            }
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Self::load_or_create(path, rng),
            Err(e) => Err(e).with_context(|| format!("cannot write {}", path.display())),
        }
    }

    /// What sealed values name their key by: says nothing of the key itself.
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// Encrypts `plain` for `purpose`, as `"signing_keys/access_token"`: table and use.
    pub fn seal(&self, purpose: &str, plain: &[u8], rng: &SharedRng) -> Vec<u8> {
        let nonce: [u8; 24] = rng.bytes();
        let sealed = self
            .cipher()
            .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: &self.aad(purpose) })
            .expect("encryption in memory fails only beyond 256 GiB");
        let mut out = Vec::with_capacity(HEADER + sealed.len());
        out.push(VERSION);
        out.extend_from_slice(&self.id);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        out
    }

    /// Opens what [`MasterKey::seal`] made for the same purpose.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        if sealed.len() < HEADER || sealed[0] != VERSION {
            return Err(OpenError::Malformed);
        }
        let (header, body) = sealed.split_at(HEADER);
        if header[1..5] != self.id {
            return Err(OpenError::OtherKey(hex::encode(&header[1..5]), hex::encode(self.id)));
        }
        let nonce: [u8; 24] = header[5..].try_into().map_err(|_| OpenError::Malformed)?;
        self.cipher()
            .decrypt(&XNonce::from(nonce), Payload { msg: body, aad: &self.aad(purpose) })
            .map(Zeroizing::new)
            .map_err(|_| OpenError::Forged)
    }

    /// The password of a database role: hex digits, the same on every server with this key.
    pub fn derive_password(&self, role: &str) -> String {
        hex::encode(self.subkey(&format!("hvflvspot/database-password/v1\0{role}")).as_slice())
    }

    /// 32 bytes for one purpose, from which neither the master key nor another subkey can be found.
    pub fn subkey(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &*self.bytes), purpose.as_bytes());
        let mut out = Zeroizing::new([0; 32]);
        out.copy_from_slice(tag.as_ref());
        out
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        let key = self.subkey("hvflvspot/seal/v1\0");
        XChaCha20Poly1305::new((&*key).into())
    }

    fn aad(&self, purpose: &str) -> Vec<u8> {
        let mut aad = vec![VERSION];
        aad.extend_from_slice(&self.id);
        aad.extend_from_slice(purpose.as_bytes());
        aad
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_for_its_purpose_and_key_alone() {
        let rng = SharedRng::seeded(1);
        let (key, other) = (MasterKey::generate(&rng), MasterKey::generate(&rng));
        let sealed = key.seal("a", b"secret", &rng);
        assert_eq!(&**key.open("a", &sealed).unwrap(), b"secret");
        assert_eq!(key.open("b", &sealed).unwrap_err(), OpenError::Forged);
        assert!(matches!(other.open("a", &sealed), Err(OpenError::OtherKey(..))));
        for i in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[i] ^= 1;
            assert!(key.open("a", &bent).is_err(), "byte {i} may change unnoticed");
            assert!(key.open("a", &sealed[..i]).is_err());
        }
    }

    #[test]
    fn the_key_file_is_made_once_private_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        let rng = SharedRng::seeded(2);
        let made = MasterKey::load_or_create(&path, &rng).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = MasterKey::load_or_create(&path, &rng).unwrap();
        assert_eq!(*made.bytes, *read.bytes);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(MasterKey::load_or_create(&path, &rng).unwrap_err().to_string().contains("chmod 600"));
    }

    #[test]
    fn base64_and_hex_name_the_same_key_and_anything_else_is_refused() {
        let hex_form = "07".repeat(32);
        let base64_form = BASE64.encode([7; 32]);
        assert_eq!(
            *MasterKey::parse(&hex_form).unwrap().bytes,
            *MasterKey::parse(&base64_form).unwrap().bytes
        );
        for bad in ["", "short", &hex_form[..62], &BASE64.encode([7; 31])] {
            assert!(MasterKey::parse(bad).is_err());
        }
    }
}
