//! A provider that is none, for any channel: it takes messages, fails or refuses as often as it is told to, and says of
//! the others that they have arrived. With a mailbox behind it, that is where they arrive.

use std::time::Duration;

use super::mailbox::Mailbox;
use super::{Answer, Mail, Mailer, Receipt, SendError};
use crate::clock::SharedRng;
use crate::config::SimulatedConfig;

/// See the settings `simulated.…`.
#[derive(Debug)]
pub struct Simulated {
    failure_rate: f64,
    refusal_rate: f64,
    latency: Duration,
    mailbox: Option<Mailbox>,
    rng: SharedRng,
}

impl Simulated {
    pub fn new(config: &SimulatedConfig, mailbox: Option<Mailbox>, rng: &SharedRng) -> Self {
        Self {
            failure_rate: config.failure_rate,
            refusal_rate: config.refusal_rate,
            latency: Duration::from_millis(config.latency_ms),
            mailbox,
            rng: rng.clone(),
        }
    }
}

impl Mailer for Simulated {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn send<'a>(&'a self, mail: &'a Mail) -> Answer<'a, Result<Receipt, SendError>> {
        // From 0, and less than 1.
        let chance = f64::from(u32::from_le_bytes(self.rng.bytes())) / 4_294_967_296.0;
        Box::pin(async move {
            if !self.latency.is_zero() {
                tokio::time::sleep(self.latency).await;
            }
            if chance < self.refusal_rate {
                return Err(SendError::Refused("the simulated provider refuses".to_owned()));
            }
            if chance < self.refusal_rate + self.failure_rate {
                return Err(SendError::Failed("the simulated provider fails".to_owned()));
            }
            if let Some(mailbox) = &self.mailbox {
                mailbox.send(mail).await?;
            }
            Ok(Receipt { provider_ref: Some(format!("simulated-{}", mail.id)), delivered: true })
        })
    }
}
