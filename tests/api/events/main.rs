//! Events on other dates and in other places: clones, series, and what is shown of them elsewhere.

mod clones;
mod series;
mod share;

use anyhow::{Context as _, Result};
use hvflvspot::clock::TestClock;
use hvflvspot::config::Config;
use reqwest::Method;
use serde_json::{Value, json};
use support::server::{Reply, TestServer, send};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::datetime;

/// A server with an organizer.
#[derive(Debug)]
pub struct Desk {
    pub server: TestServer,
    pub clock: TestClock,
    pub owner: String,
    /// Of another organizer.
    pub rival: String,
}

impl Desk {
    pub async fn open() -> Result<Self> {
        Self::open_with(|_| ()).await
    }

    pub async fn open_with(change: impl FnOnce(&mut Config)) -> Result<Self> {
        let clock = TestClock::at(datetime!(2026-11-23 12:00 UTC));
        let server = TestServer::builder().clock(&clock).config(change).start().await?;
        let owner = found(&server, "Nachtklang").await?;
        let rival = found(&server, "Tagwerk").await?;
        Ok(Self { server, clock, owner, rival })
    }

    pub async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Reply> {
        send(self.server.request(method, path).bearer_auth(&self.owner).json(body)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Reply> {
        self.call(Method::POST, path, body).await
    }

    /// The same under a key.
    pub async fn post_once(&self, key: &str, path: &str, body: &Value) -> Result<Reply> {
        let request = self.server.request(Method::POST, path).bearer_auth(&self.owner);
        send(request.header("idempotency-key", key).json(body)).await
    }

    pub async fn get(&self, path: &str) -> Result<Reply> {
        self.server.get_as(&self.owner, path).await
    }

    /// A draft in Vienna; the path of its routes.
    pub async fn draft(&self, change: Value) -> Result<String> {
        let mut body = json!({
            "title": "Winter concert", "category_id": "music", "venue_name": "Main hall", "city": "Wien",
            "time_zone": "Europe/Vienna", "currency": "EUR",
            "starts_at": "2027-01-14T19:00:00Z", "ends_at": "2027-01-14T22:00:00Z",
        });
        if let (Some(body), Value::Object(change)) = (body.as_object_mut(), change) {
            body.extend(change);
        }
        let event = self.post("/organizer/events/create", &body).await?.expect(201)?;
        Ok(format!("/organizer/events/{}", id(&event, "event_id")?))
    }

    /// An event on sale with one ticket type.
    pub async fn on_sale(&self, change: Value) -> Result<String> {
        let event = self.draft(change).await?;
        self.ticket_type(&event, json!({})).await?;
        self.publish(&event).await?;
        Ok(event)
    }

    pub async fn publish(&self, event: &str) -> Result<()> {
        self.post(&format!("{event}/publish"), &json!({})).await?.expect(200)?;
        Ok(())
    }

    pub async fn ticket_type(&self, event: &str, change: Value) -> Result<Value> {
        let mut body = json!({
            "name": "Standing", "price": { "amount_minor": 2_500, "currency": "EUR" },
            "tax": { "rate_bp": 1_000, "inclusive": true }, "capacity": 100,
        });
        if let (Some(body), Value::Object(change)) = (body.as_object_mut(), change) {
            body.extend(change);
        }
        self.post(&format!("{event}/ticket-types"), &body).await?.expect(201)
    }

    /// The event as its organizer sees it.
    pub async fn see(&self, event: &str) -> Result<Value> {
        self.get(event).await?.expect(200)
    }
}

/// A new account with an organizer; its token.
async fn found(server: &TestServer, name: &str) -> Result<String> {
    let body = json!({ "email": format!("{name}@example.org"), "password": "a-long-enough-password" });
    let session = server.post("/auth/v1/signup", &body).await?.expect(200)?;
    let token = id(&session, "access_token")?;
    let profile = json!({ "name": name, "contact_email": "office@example.org" });
    let request = server.request(Method::PUT, "/organizer/profile").bearer_auth(&token).json(&profile);
    send(request).await?.expect(201)?;
    Ok(token)
}

/// A member of an object as text.
pub fn id(of: &Value, name: &str) -> Result<String> {
    Ok(of[name].as_str().with_context(|| format!("no {name} in {of}"))?.to_owned())
}

/// A moment of an answer.
pub fn at(of: &Value) -> Result<OffsetDateTime> {
    let text = of.as_str().with_context(|| format!("no moment: {of}"))?;
    Ok(OffsetDateTime::parse(text, &Rfc3339)?)
}

/// The same path of another event.
pub fn path(event_id: &Value) -> Result<String> {
    Ok(format!("/organizer/events/{}", event_id.as_str().context("an id")?))
}
