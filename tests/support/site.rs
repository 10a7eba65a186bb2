//! A site: the real server process, an organizer with a show, and gates whose line can be broken.

use std::path::PathBuf;

use anyhow::{Context, Result};
use hvflvspot::clock::{Clock as _, SharedRng, SystemClock};
use hvflvspot::tour::api::Api;
use hvflvspot::tour::gate::Gate;
use hvflvspot::tour::proxy::Proxy;
use hvflvspot::tour::venue::{self, Bought, BoughtTicket, Plan, Show};
use serde_json::Value;

use crate::process::{ServerProcess, reachable_dir};

/// Everything stops and is deleted when this is dropped.
#[derive(Debug)]
pub struct Site {
    pub server: ServerProcess,
    pub api: Api,
    pub organizer: Api,
    pub show: Show,
    pub rng: SharedRng,
    folder: tempfile::TempDir,
}

impl Site {
    /// Starts a server of its own, signs up an organizer and puts a show on sale.
    ///
    /// # Errors
    /// If any of it fails.
    pub async fn open(plan: Plan<'_>, seed: u64) -> Result<Self> {
        let folder = reachable_dir()?;
        let server = ServerProcess::start(&folder.path().join("server"), &[]).await?;
        let api = Api::new(&server.url)?;
        let rng = SharedRng::seeded(seed);
        let organizer = venue::new_organizer(&api, &rng).await?;
        let show = venue::put_on_sale(&organizer, SystemClock.now(), plan).await?;
        Ok(Self { server, api, organizer, show, rng, folder })
    }

    /// Where its data lie.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An enrolled gate behind a proxy of its own. `shape` may change its environment before it first runs.
    ///
    /// # Errors
    /// If enrolment fails.
    pub async fn gate(
        &self,
        name: &str,
        seed: u64,
        shape: impl FnOnce(Gate) -> Gate,
    ) -> Result<(Gate, Proxy)> {
        let line = Proxy::open(self.server.address()?, seed).await?;
        let gate = shape(Gate::new(name, self.folder.path(), line.address()));
        let (shown, digits) = venue::enroll(&self.organizer, &self.show, &gate).await?;
        anyhow::ensure!(shown == digits, "{name} shows {shown}, the organizer {digits}");
        gate.json(&["sync"]).await?;
        Ok((gate, line))
    }

    /// Buys `count` tickets in bookings of up to ten.
    ///
    /// # Errors
    /// If a purchase fails.
    pub async fn buy(&self, count: usize) -> Result<Vec<BoughtTicket>> {
        let mut tickets = Vec::with_capacity(count);
        while tickets.len() < count {
            let quantity = u32::try_from((count - tickets.len()).min(10)).context("at most ten")?;
            tickets.extend(self.book(quantity).await?.tickets);
        }
        Ok(tickets)
    }

    /// One booking.
    ///
    /// # Errors
    /// If the purchase fails.
    pub async fn book(&self, quantity: u32) -> Result<Bought> {
        let key = self.rng.uuid(&SystemClock).to_string();
        venue::buy(&self.api, &self.show, quantity, &key).await
    }

    /// Refunds a booking.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn refund(&self, booking: &str) -> Result<Value> {
        let key = self.rng.uuid(&SystemClock).to_string();
        let body = serde_json::json!({ "booking_id": booking, "reason": "test" });
        self.organizer.post_once("/payment/refund", &key, body).await
    }

    /// The event's statistics.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn stats(&self) -> Result<Value> {
        self.organizer.get(&format!("/organizer/events/{}/stats", self.show.event)).await
    }

    /// `--list` and `--gate` of the show's list and its n-th gate.
    #[must_use]
    pub fn flags(&self, gate: usize) -> Vec<&str> {
        vec!["--list", &self.show.list, "--gate", &self.show.gates[gate]]
    }
}

/// What a scan's answer says.
#[must_use]
pub fn outcome(answer: &Value) -> &str {
    answer["outcome"].as_str().unwrap_or_default()
}

/// True if the answer carries the flag.
#[must_use]
pub fn flagged(answer: &Value, flag: &str) -> bool {
    answer["flags"].as_array().is_some_and(|all| all.iter().any(|f| f == flag))
}
