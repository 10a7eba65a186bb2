//! Finding events through the real routes on a real database: search, its relevance, recommendations.

mod facets;
mod recommended;
mod relevance;
mod search;

use anyhow::{Context as _, Result};
use hvflvspot::app::AppState;
use hvflvspot::clock::TestClock;
use hvflvspot::jobs;
use reqwest::Method;
use serde_json::{Value, json};
use support::server::{Reply, TestServer, send};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A server with an organizer.
#[derive(Debug)]
pub struct Stage {
    pub server: TestServer,
    pub clock: TestClock,
    pub owner: String,
}

pub fn now() -> OffsetDateTime {
    time::macros::datetime!(2026-11-22 12:00 UTC)
}

impl Stage {
    pub async fn open() -> Result<Self> {
        let clock = TestClock::at(now());
        let server = TestServer::builder().clock(&clock).start().await?;
        let owner = organizer(&server, "Nachtklang").await?;
        Ok(Self { server, clock, owner })
    }

    fn app(&self) -> &AppState {
        &self.server.app
    }

    /// A published event, ten days ahead, with tickets for 20.00 EUR; `change` says what is different. `price`, `capacity`
    /// and `day` (from today) are of the test's own making. Its id.
    pub async fn event(&self, change: Value) -> Result<String> {
        self.event_of(&self.owner, change).await
    }

    pub async fn event_of(&self, owner: &str, change: Value) -> Result<String> {
        let (id, change) = self.draft_of(owner, change).await?;
        let (price, capacity) =
            (change["price"].as_i64().unwrap_or(2_000), change["capacity"].as_i64().unwrap_or(50));
        let body = json!({
            "name": "Standing", "capacity": capacity, "price": { "amount_minor": price, "currency": change["currency"] },
            "tax": { "rate_bp": 0, "inclusive": true },
        });
        own(&self.server, owner, Method::POST, &format!("/organizer/events/{id}/ticket-types"), body).await?;
        own(&self.server, owner, Method::POST, &format!("/organizer/events/{id}/publish"), json!({})).await?;
        Ok(id)
    }

    /// A draft: its id, and what it was made of.
    pub async fn draft_of(&self, owner: &str, change: Value) -> Result<(String, Value)> {
        let mut body = json!({
            "title": "Untitled", "category_id": "music", "time_zone": "Europe/Vienna", "currency": "EUR", "day": 10,
        });
        body.as_object_mut().context("an object")?.extend(change.as_object().context("an object")?.clone());
        let whole = body.clone();
        let fields = body.as_object_mut().context("an object")?;
        let day = fields.remove("day").and_then(|d| d.as_i64()).unwrap_or(10);
        for own in ["price", "capacity"] {
            fields.remove(own);
        }
        fields.entry("starts_at").or_insert(json!((now() + time::Duration::days(day)).format(&Rfc3339)?));
        let event = own(&self.server, owner, Method::POST, "/organizer/events/create", body).await?;
        Ok((text(&event, "event_id"), whole))
    }

    pub async fn search(&self, query: &str) -> Result<Reply> {
        self.server.get(&format!("/events/search?{query}")).await
    }

    /// The titles that a search finds, in their order.
    pub async fn titles(&self, query: &str) -> Result<Vec<String>> {
        Ok(titles(&self.search(query).await?.expect(200)?))
    }

    /// A guest buys; paid.
    pub async fn sell(&self, event: &str, quantity: u32) -> Result<()> {
        let shown = self.server.get(&format!("/events/{event}")).await?.expect(200)?;
        let order = json!({
            "event_id": event, "email": "guest@example.org", "payment": { "method": "simulated", "token": "tok_always_succeeds" },
            "items": [{ "ticket_type_id": shown["ticket_types"][0]["ticket_type_id"], "quantity": quantity }],
        });
        let _ = self.server.post("/tickets/purchase", &order).await?.expect(201)?;
        Ok(())
    }

    /// The job that keeps search up to date, once.
    pub async fn refresh(&self) -> Result<()> {
        jobs::search::run(self.app()).await
    }
}

pub fn titles(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| text(item, "title")).collect()
}

pub fn text(of: &Value, field: &str) -> String {
    of[field].as_str().unwrap_or_default().to_owned()
}

/// A new account's access token.
pub async fn sign_up(server: &TestServer, email: &str) -> Result<String> {
    let body = json!({ "email": email, "password": "a-long-enough-password" });
    Ok(text(&server.post("/auth/v1/signup", &body).await?.expect(200)?, "access_token"))
}

/// The owner of a new organizer.
pub async fn organizer(server: &TestServer, name: &str) -> Result<String> {
    let owner = sign_up(server, &format!("{}@desk.example", name.to_lowercase())).await?;
    let profile = json!({ "name": name, "contact_email": "office@desk.example" });
    own(server, &owner, Method::PUT, "/organizer/profile", profile).await?;
    Ok(owner)
}

/// A request that must succeed.
pub async fn own(server: &TestServer, token: &str, method: Method, path: &str, body: Value) -> Result<Value> {
    let reply = send(server.request(method, path).bearer_auth(token).json(&body)).await?;
    anyhow::ensure!(reply.status.is_success(), "{path}: {} {}", reply.status, reply.text);
    Ok(reply.body)
}

/// As it stands in a query string.
pub fn encoded(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}
