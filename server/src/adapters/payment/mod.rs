//! Payment providers behind one trait. Taking and giving back are idempotent by `key`: asked again under the
//! same key a provider answers the same and moves no money twice. That is how a crash between its success and
//! our commit is healed: the reconcile job asks again.

pub mod simulated;
pub mod stripe;

use std::fmt;

use serde::{Deserialize, Serialize};
use shared::bytes::sha256;
use time::Duration;
use uuid::Uuid;

pub use super::Answer;

/// Where money comes from and goes back to.
pub trait PaymentProvider: Send + Sync + fmt::Debug {
    /// The `method` of requests and the `provider` of rows.
    fn name(&self) -> &'static str;

    /// Takes money.
    fn charge<'a>(&'a self, charge: &'a Charge) -> Answer<'a, Outcome>;

    /// How a payment stands that was begun: found by the provider's reference, or by what we named it.
    fn payment<'a>(&'a self, charge: &'a Charge) -> Answer<'a, Outcome>;

    /// Ends a payment that waits for its customer. Afterwards it is canceled for good, unless the customer was
    /// quicker.
    fn cancel<'a>(&'a self, charge: &'a Charge) -> Answer<'a, Outcome>;

    /// Gives money back, all of a charge or a part.
    fn refund<'a>(&'a self, refund: &'a Refund) -> Answer<'a, Outcome>;

    /// How a refund stands that was begun.
    fn refunded<'a>(&'a self, refund: &'a Refund) -> Answer<'a, Outcome>;
}

/// Which of our movements it is: told to the provider, and looked for in what it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ours {
    pub organizer_id: Uuid,
    pub booking_id: Uuid,
    pub transaction_id: Uuid,
}

/// A request to take money.
#[derive(Debug, Clone)]
pub struct Charge {
    pub key: String,
    pub ours: Ours,
    pub amount_minor: i64,
    pub currency: String,
    /// The provider's reference to a means of payment.
    pub token: Option<String>,
    /// The provider's reference to this payment, once it told one.
    pub provider_ref: Option<String>,
    /// How often we asked under this key, from 1.
    pub attempt: u32,
    /// Since it was begun: providers remember keys for a day or so.
    pub age: Duration,
    /// Nobody waits for it any more: what is not paid by now must not be taken any more, but ended.
    pub over: bool,
}

/// A request to give money back.
#[derive(Debug, Clone)]
pub struct Refund {
    pub key: String,
    pub ours: Ours,
    pub amount_minor: i64,
    pub currency: String,
    /// Of the charge.
    pub payment_ref: Option<String>,
    /// Of the charge.
    pub token: Option<String>,
    /// The provider's reference to this refund, once it told one.
    pub provider_ref: Option<String>,
    /// How often we asked under this key, from 1.
    pub attempt: u32,
    /// Since it was begun.
    pub age: Duration,
}

/// What a provider says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The money moved: the amount that we asked for, in its currency.
    Succeeded {
        /// The provider's id of the movement.
        provider_ref: String,
    },
    /// The customer has something to do first, as to confirm at the bank (3-D Secure).
    NeedsAction {
        /// The provider's id of the movement.
        provider_ref: String,
        action: CustomerAction,
    },
    /// It is on its way, and will be told.
    Processing {
        /// The provider's id of the movement.
        provider_ref: String,
    },
    /// The holder's bank or the provider refused; no money moved, and none can any more. Another means may work.
    Declined {
        /// The provider's word for why.
        code: String,
    },
    /// It was ended before money moved; none can any more.
    Canceled,
    /// The provider failed and says that no money moved.
    Failed {
        /// The provider's word for why.
        code: String,
    },
    /// What the provider knows under our reference is not what we asked for: a person must look.
    Contradicts {
        /// What differs.
        what: String,
    },
    /// Nobody knows: a timeout, a broken connection. Ask again later under the same key.
    Unknown,
}

/// What a customer has to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerAction {
    /// The provider's word: `use_stripe_sdk`, `redirect_to_url`, `simulated`.
    pub kind: String,
    /// What the provider's script in the browser needs.
    pub client_secret: Option<String>,
    /// Where the browser is to go.
    pub redirect_url: Option<String>,
}

/// The idempotency key of a transaction at its provider: derived, so that it needs no column and no client
/// can choose it.
#[must_use]
pub fn provider_key(transaction_id: Uuid) -> String {
    let hash = sha256(b"hvflvspot/provider-key/v1\0", &[transaction_id.as_bytes()]);
    hex::encode(&hash.0[..20])
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
