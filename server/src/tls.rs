//! TLS as a client: ring is the one provider of the whole program.

/// Makes ring the process's TLS provider. Harmless when called again.
pub fn install_provider() {
    // An error only says that a provider stands already, and this is the only place that installs one.
    drop(rustls::crypto::ring::default_provider().install_default());
}
