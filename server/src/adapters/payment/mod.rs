//! Payment providers behind one trait. Both calls are idempotent by `key`: asked again under the same key a
//! provider answers the same and moves no money twice. That is how a crash between its success and our
//! commit is healed: the reconcile job asks again.

pub mod simulated;

use std::fmt;
use std::sync::Arc;

use shared::bytes::sha256;
use uuid::Uuid;

pub use super::Answer;

/// Where money comes from and goes back to.
pub trait PaymentProvider: Send + Sync + fmt::Debug {
    /// The `method` of requests and the `provider` of rows.
    fn name(&self) -> &'static str;

    /// Takes money.
    fn charge<'a>(&'a self, charge: &'a Charge) -> Answer<'a, Outcome>;

    /// Gives money back.
    fn refund<'a>(&'a self, refund: &'a Refund) -> Answer<'a, Outcome>;
}

/// A request to take money.
#[derive(Debug, Clone)]
pub struct Charge {
    pub key: String,
    pub amount_minor: i64,
    pub currency: String,
    /// The provider's reference to a means of payment.
    pub token: Option<String>,
    /// How often we asked under this key, from 1.
    pub attempt: u32,
}

/// A request to give money back.
#[derive(Debug, Clone)]
pub struct Refund {
    pub key: String,
    pub amount_minor: i64,
    pub currency: String,
    /// Of the charge.
    pub provider_ref: Option<String>,
    /// Of the charge.
    pub token: Option<String>,
    /// How often we asked under this key, from 1.
    pub attempt: u32,
}

/// What a provider says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The money moved.
    Succeeded {
        /// The provider's id of the movement.
        provider_ref: String,
    },
    /// The holder's bank or the provider refused; no money moved. Another means may work.
    Declined {
        /// The provider's word for why.
        code: String,
    },
    /// The provider failed and says that no money moved.
    Failed {
        /// The provider's word for why.
        code: String,
    },
    /// Nobody knows: a timeout, a broken connection. Ask again later under the same key.
    Unknown,
}

/// The idempotency key of a transaction at its provider: derived, so that it needs no column and no client
/// can choose it.
#[must_use]
pub fn provider_key(transaction_id: Uuid) -> String {
    let hash = sha256(b"hvflvspot/provider-key/v1\0", &[transaction_id.as_bytes()]);
    hex::encode(&hash.0[..20])
}

/// The providers of this server.
#[derive(Debug, Clone)]
pub struct Providers(Vec<Arc<dyn PaymentProvider>>);

impl Providers {
    #[must_use]
    pub fn new(all: Vec<Arc<dyn PaymentProvider>>) -> Self {
        Self(all)
    }

    /// By name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<dyn PaymentProvider>> {
        self.0.iter().find(|p| p.name() == name).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provider_keys_differ_by_transaction_and_never_change() {
        assert_eq!(provider_key(Uuid::nil()), provider_key(Uuid::nil()));
        assert_ne!(provider_key(Uuid::nil()), provider_key(Uuid::max()));
        assert_eq!(provider_key(Uuid::nil()).len(), 40);
    }
}
