//! A provider that moves no money. Its outcomes are a function of seed and key, so that it answers the same
//! when asked again, also after a restart with the same seed, and needs no memory.
//!
//! | token | outcome |
//! |---|---|
//! | none, `tok_random` | success by the configured rate, else `card_declined` |
//! | `tok_always_succeeds` | success |
//! | `tok_declined` | declined, `card_declined` |
//! | `tok_insufficient_funds` | declined, `insufficient_funds` |
//! | `tok_error` | the provider fails, `provider_error`; no money moved |
//! | `tok_timeout` | the first answer is lost; asked again: success |
//! | `tok_slow` | success after five more seconds |
//! | `tok_refund_declined` | the payment succeeds, its refund is declined |
//! | `tok_refund_pending` | the payment succeeds, its refund is on its way, and done when asked for again |
//! | `tok_refund_error` | the payment succeeds, its refund fails at the provider |
//! | `tok_requires_action` | the customer has to act; asked again: success |
//! | `tok_action_failed` | the customer has to act; asked again: declined, `authentication_failed` |
//! | `tok_action_abandoned` | the customer has to act, and never does |
//! | any other | declined, `invalid_token` |

use std::time::Duration;

use shared::bytes::sha256;

use super::{Answer, Charge, CustomerAction, Outcome, PaymentProvider, Refund};

/// The name of this provider.
pub const NAME: &str = "simulated";

/// See the module.
#[derive(Debug, Clone)]
pub struct Simulated {
    seed: u64,
    /// 0 to 1.
    success_rate: f64,
    latency: Duration,
}

impl Simulated {
    #[must_use]
    pub const fn new(seed: u64, success_rate: f64, latency: Duration) -> Self {
        Self { seed, success_rate, latency }
    }

    /// A number in [0, 1) for a key.
    fn chance(&self, key: &str) -> f64 {
        let hash = sha256(b"hvflvspot/simulated-payment/v1\0", &[&self.seed.to_be_bytes(), key.as_bytes()]);
        let bits = u64::from_be_bytes(*hash.0.first_chunk().expect("a hash is longer than eight bytes"));
        // 53 bits fit a double exactly.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let chance = (bits >> 11) as f64 / (1_u64 << 53) as f64;
        chance
    }

    fn outcome(&self, charge: &Charge) -> Outcome {
        let declined = |code: &str| Outcome::Declined { code: code.to_owned() };
        let provider_ref = || format!("sim_{}", charge.key);
        let succeeded = || Outcome::Succeeded { provider_ref: provider_ref() };
        let first = charge.attempt <= 1;
        match charge.token.as_deref() {
            None | Some("tok_random") if self.chance(&charge.key) < self.success_rate => succeeded(),
            None | Some("tok_random" | "tok_declined") => declined("card_declined"),
            Some(
                "tok_always_succeeds"
                | "tok_slow"
                | "tok_refund_declined"
                | "tok_refund_pending"
                | "tok_refund_error",
            ) => succeeded(),
            Some("tok_requires_action") if !first => succeeded(),
            Some("tok_action_failed") if !first => declined("authentication_failed"),
            Some("tok_requires_action" | "tok_action_failed" | "tok_action_abandoned") => {
                Outcome::NeedsAction {
                    action: CustomerAction {
                        kind: NAME.to_owned(),
                        client_secret: Some(format!("{}_secret", provider_ref())),
                        redirect_url: None,
                    },
                    provider_ref: provider_ref(),
                }
            }
            Some("tok_insufficient_funds") => declined("insufficient_funds"),
            Some("tok_error") => Outcome::Failed { code: "provider_error".to_owned() },
            Some("tok_timeout") if first => Outcome::Unknown,
            Some("tok_timeout") => succeeded(),
            Some(_) => declined("invalid_token"),
        }
    }

    async fn wait(&self, token: Option<&str>) {
        let more = if token == Some("tok_slow") { Duration::from_secs(5) } else { Duration::ZERO };
        let latency = self.latency + more;
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
    }
}

impl PaymentProvider for Simulated {
    fn name(&self) -> &'static str {
        NAME
    }

    fn charge<'a>(&'a self, charge: &'a Charge) -> Answer<'a, Outcome> {
        Box::pin(async move {
            self.wait(charge.token.as_deref()).await;
            self.outcome(charge)
        })
    }

    fn payment<'a>(&'a self, charge: &'a Charge) -> Answer<'a, Outcome> {
        self.charge(charge)
    }

    fn cancel<'a>(&'a self, _charge: &'a Charge) -> Answer<'a, Outcome> {
        Box::pin(async move {
            self.wait(None).await;
            Outcome::Canceled
        })
    }

    fn refund<'a>(&'a self, refund: &'a Refund) -> Answer<'a, Outcome> {
        Box::pin(async move {
            self.wait(None).await;
            let provider_ref = format!("sim_{}", refund.key);
            match refund.token.as_deref() {
                Some("tok_refund_declined") => Outcome::Declined { code: "refund_declined".to_owned() },
                Some("tok_refund_error") => Outcome::Failed { code: "provider_error".to_owned() },
                Some("tok_refund_pending") if refund.attempt <= 1 => Outcome::Processing { provider_ref },
                _ => Outcome::Succeeded { provider_ref },
            }
        })
    }

    fn refunded<'a>(&'a self, refund: &'a Refund) -> Answer<'a, Outcome> {
        self.refund(refund)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::payment::Ours;
    use uuid::Uuid;

    fn charge(key: &str, token: Option<&str>, attempt: u32) -> Charge {
        Charge {
            key: key.to_owned(),
            ours: Ours { organizer_id: Uuid::nil(), booking_id: Uuid::nil(), transaction_id: Uuid::nil() },
            amount_minor: 100,
            currency: "EUR".to_owned(),
            token: token.map(str::to_owned),
            provider_ref: None,
            attempt,
            age: time::Duration::ZERO,
            over: false,
        }
    }

    #[tokio::test]
    async fn test_tokens_have_fixed_outcomes() {
        let provider = Simulated::new(1, 0.0, Duration::ZERO);
        for (token, attempt, expected) in [
            ("tok_always_succeeds", 1, "ok"),
            ("tok_declined", 1, "card_declined"),
            ("tok_insufficient_funds", 1, "insufficient_funds"),
            ("tok_error", 1, "provider_error"),
            ("tok_timeout", 1, "unknown"),
            ("tok_timeout", 2, "ok"),
            ("tok_refund_declined", 1, "ok"),
            ("tok_requires_action", 1, "action"),
            ("tok_requires_action", 2, "ok"),
            ("tok_action_failed", 2, "authentication_failed"),
            ("tok_action_abandoned", 9, "action"),
            ("4242424242424242", 1, "invalid_token"),
        ] {
            let said = match provider.charge(&charge("k", Some(token), attempt)).await {
                Outcome::Succeeded { .. } => "ok".to_owned(),
                Outcome::Declined { code } | Outcome::Failed { code } => code,
                Outcome::Unknown => "unknown".to_owned(),
                Outcome::NeedsAction { action, .. } => {
                    assert!(action.client_secret.is_some());
                    "action".to_owned()
                }
                other => format!("{other:?}"),
            };
            assert_eq!(said, expected, "{token}");
        }
    }

    #[test]
    fn chance_follows_the_rate_and_repeats_itself() {
        let provider = Simulated::new(7, 0.9, Duration::ZERO);
        let succeeds =
            |n: u32| matches!(provider.outcome(&charge(&n.to_string(), None, 1)), Outcome::Succeeded { .. });
        let successes = (0..2_000).filter(|n| succeeds(*n)).count();
        assert!((1_740..=1_860).contains(&successes), "{successes} of 2,000");
        assert!((0..100).all(|n| succeeds(n) == succeeds(n)));
        let other = Simulated::new(8, 0.9, Duration::ZERO);
        assert!(
            (0..2_000).any(|n| provider.chance(&n.to_string()) < 0.9 && other.chance(&n.to_string()) >= 0.9)
        );
    }
}
