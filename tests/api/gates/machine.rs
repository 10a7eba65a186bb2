//! Machines that want to become devices.

use anyhow::{Context as _, Result};
use serde_json::Value;
use shared::bytes::{Hash32, Nonce16, Nonce32, PublicKey};
use shared::manifest::docs::SignedTrustRoot;
use shared::ticket::keys::{Signer as _, SigningKey};
use shared::wire::enroll::{TypedCode, commitment, digits, poll_message, reveal_message};
use shared::wire::gates::{EnrollAnswer, EnrollRequest, Invitation};
use support::server::Reply;

use crate::venue::{PUBLIC_URL, Venue};

/// A machine that wants to become a device.
#[derive(Debug)]
pub struct Machine {
    pub key: SigningKey,
    pub nonce: Nonce32,
}

/// What the server answered to the commitment.
#[derive(Debug, Clone)]
pub struct Challenge {
    pub enrolment: Nonce16,
    pub server_nonce: Nonce32,
    pub roots: Vec<SignedTrustRoot>,
}

impl Machine {
    pub fn new(venue: &Venue) -> Self {
        let rng = &venue.server.app.rng;
        Self { key: SigningKey::from_bytes(&rng.bytes()), nonce: Nonce32(rng.bytes()) }
    }

    pub fn public(&self) -> PublicKey {
        PublicKey(self.key.verifying_key().to_bytes())
    }

    pub fn commitment(&self) -> Hash32 {
        commitment(&self.public(), &self.nonce)
    }

    pub async fn try_commit(
        &self,
        venue: &Venue,
        invitation: Invitation,
    ) -> Result<(Reply, Result<EnrollAnswer>)> {
        venue.enroll(&EnrollRequest::Commit { invitation, commitment: self.commitment() }).await
    }

    pub async fn commit(&self, venue: &Venue, invitation: Invitation) -> Result<Challenge> {
        match self.try_commit(venue, invitation).await?.1? {
            EnrollAnswer::Challenge { enrolment, server_nonce, trust_roots } => {
                Ok(Challenge { enrolment, server_nonce, roots: trust_roots })
            }
            other => anyhow::bail!("{other:?}"),
        }
    }

    pub async fn reveal(&self, venue: &Venue, c: &Challenge) -> Result<(Reply, Result<EnrollAnswer>)> {
        let message = reveal_message(&c.enrolment, &c.server_nonce, &self.public(), &self.nonce);
        let request = EnrollRequest::Reveal {
            enrolment: c.enrolment,
            public_key: self.public(),
            device_nonce: self.nonce,
            signature: shared::bytes::Signature64(self.key.sign(&message).to_bytes()),
        };
        venue.enroll(&request).await
    }

    pub async fn poll(&self, venue: &Venue, c: &Challenge) -> Result<(Reply, Result<EnrollAnswer>)> {
        let signature = shared::bytes::Signature64(self.key.sign(&poll_message(&c.enrolment)).to_bytes());
        venue.enroll(&EnrollRequest::Poll { enrolment: c.enrolment, signature }).await
    }

    pub fn digits(&self, root: &Hash32, c: &Challenge) -> String {
        digits(PUBLIC_URL, root, &self.public(), &self.nonce, &c.server_nonce)
    }
}

/// The typed code of an invitation.
pub fn typed(slot: &Value) -> Result<TypedCode> {
    Ok(TypedCode::parse(slot["code"].as_str().context("code")?)?)
}
