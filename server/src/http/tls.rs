//! Our own certificate, for installations without a proxy before them: phones give cookies, camera
//! and push to HTTPS alone. A renewed certificate is shown without a restart.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use anyhow::Context as _;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

/// A chain and its key, as the files had them when they were last read.
#[derive(Debug)]
pub struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    shown: RwLock<Shown>,
}

#[derive(Debug)]
struct Shown {
    pair: Arc<CertifiedKey>,
    /// When the files were changed last.
    changed_at: [Option<SystemTime>; 2],
}

impl Certificate {
    /// Reads a chain, server's certificate first, and its key, both PEM.
    ///
    /// # Errors
    /// A file cannot be read, or certificate and key do not belong together.
    pub fn load(chain: &Path, key: &Path) -> anyhow::Result<Arc<Self>> {
        let shown = Shown { changed_at: changed_at(chain, key), pair: read(chain, key)? };
        Ok(Arc::new(Self { chain: chain.to_owned(), key: key.to_owned(), shown: RwLock::new(shown) }))
    }

    /// Reads the files again if they have changed since; true if new ones are shown from now on. Connections that
    /// stand keep theirs.
    ///
    /// # Errors
    /// As [`Certificate::load`]; then the old one stays, and the files are looked at again next time: a renewal
    /// may be between the one and the other.
    pub fn reload(&self) -> anyhow::Result<bool> {
        let now = changed_at(&self.chain, &self.key);
        if now == self.shown.read().unwrap_or_else(PoisonError::into_inner).changed_at {
            return Ok(false);
        }
        let pair = read(&self.chain, &self.key)?;
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = Shown { pair, changed_at: now };
        Ok(true)
    }

    /// Accepts TLS connections with whatever is shown at the time.
    #[must_use]
    pub fn acceptor(self: &Arc<Self>) -> TlsAcceptor {
        crate::tls::install_provider();
        let resolver = Arc::clone(self);
        let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.shown.read().unwrap_or_else(PoisonError::into_inner).pair))
    }
}

fn read(chain_file: &Path, key_file: &Path) -> anyhow::Result<Arc<CertifiedKey>> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(chain_file)
        .and_then(Iterator::collect)
        .with_context(|| format!("cannot read the certificate {}", chain_file.display()))?;
    anyhow::ensure!(!chain.is_empty(), "{} holds no certificate", chain_file.display());
    let key = PrivateKeyDer::from_pem_file(key_file)
        .with_context(|| format!("cannot read the private key {}", key_file.display()))?;
    let pair = CertifiedKey::from_der(chain, key, &default_provider()).with_context(|| {
        format!("{} and {} do not belong together", chain_file.display(), key_file.display())
    })?;
    Ok(Arc::new(pair))
}

fn changed_at(chain: &Path, key: &Path) -> [Option<SystemTime>; 2] {
    [chain, key].map(|file| std::fs::metadata(file).and_then(|about| about.modified()).ok())
}
