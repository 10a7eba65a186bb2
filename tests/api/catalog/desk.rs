//! Whoever works on an event by HTTP.

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::{Value, json};
use support::server::{Reply, TestServer, send};

/// Somebody who is signed in.
pub struct Desk<'s> {
    pub server: &'s TestServer,
    pub token: String,
}

impl<'s> Desk<'s> {
    /// A new account.
    pub async fn sign_up(server: &'s TestServer, email: &str) -> Result<Self> {
        let body = json!({ "email": email, "password": "a-long-enough-password" });
        let session = server.post("/auth/v1/signup", &body).await?.expect(200)?;
        let token = session["access_token"].as_str().context("a token")?.to_owned();
        Ok(Self { server, token })
    }

    /// A new account with an organizer.
    pub async fn found(server: &'s TestServer, name: &str) -> Result<Self> {
        let desk = Self::sign_up(server, &format!("{name}@desk.example")).await?;
        let profile = json!({ "name": name, "contact_email": "office@desk.example" });
        desk.put("/organizer/profile", &profile).await?.expect(201)?;
        Ok(desk)
    }

    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Reply> {
        let request = self.server.request(method, path).bearer_auth(&self.token);
        send(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    pub async fn get(&self, path: &str) -> Result<Reply> {
        self.call(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Reply> {
        self.call(Method::POST, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Result<Reply> {
        self.call(Method::PUT, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Result<Reply> {
        self.call(Method::DELETE, path, None).await
    }

    /// A draft; the path of its routes.
    pub async fn draft(&self, change: Value) -> Result<String> {
        let mut body = event_body();
        merge(&mut body, change);
        let event = self.post("/organizer/events/create", &body).await?.expect(201)?;
        Ok(format!("/organizer/events/{}", event["event_id"].as_str().context("an id")?))
    }

    /// An event on sale with one ticket type of 100.
    pub async fn on_sale(&self, change: Value) -> Result<String> {
        let event = self.draft(change).await?;
        self.post(&format!("{event}/ticket-types"), &type_body()).await?.expect(201)?;
        self.post(&format!("{event}/publish"), &json!({})).await?.expect(200)?;
        Ok(event)
    }
}

pub fn merge(into: &mut Value, change: Value) {
    if let (Some(into), Value::Object(change)) = (into.as_object_mut(), change) {
        into.extend(change);
    }
}

pub fn event_body() -> Value {
    json!({
        "title": "Night of Owls", "category_id": "music", "venue_name": "Main hall", "city": "Wien",
        "time_zone": "Europe/Vienna", "currency": "EUR",
        "starts_at": "2090-06-01T18:00:00Z", "ends_at": "2090-06-01T23:00:00Z",
    })
}

pub fn type_body() -> Value {
    json!({
        "name": "Standing", "price": { "amount_minor": 2_000, "currency": "EUR" },
        "fee": { "amount_minor": 100, "currency": "EUR" },
        "tax": { "rate_bp": 1_000, "inclusive": false }, "capacity": 100,
    })
}

pub fn id(of: &Value, name: &str) -> Result<String> {
    Ok(of[name].as_str().with_context(|| format!("no {name} in {of}"))?.to_owned())
}

/// The public path of an event, from that of its desk.
pub fn public(event: &str) -> String {
    event.replace("/organizer", "")
}
