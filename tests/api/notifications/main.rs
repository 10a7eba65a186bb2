//! Notices over every channel: who is told what, in which language, and what becomes of it.

mod occasions;
mod outbox;
mod push;
mod sms;
mod sms_status;
mod verification;
mod waking;
mod webhooks;

use anyhow::{Context as _, Result};
use hvflvspot::clock::TestClock;
use hvflvspot::config::Config;
use hvflvspot::jobs;
use hvflvspot::store::users;
use reqwest::Method;
use serde_json::{Value, json};
use support::server::{Reply, TestServer, send};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub const PASSWORD: &str = "correct horse battery staple";

pub fn now() -> OffsetDateTime {
    time::macros::datetime!(2026-11-22 12:00 UTC)
}

/// A server with an organizer and an event on sale, nine days off, in Vienna.
#[derive(Debug)]
pub struct Stage {
    pub server: TestServer,
    pub clock: TestClock,
    pub owner: String,
    pub organizer_id: String,
    pub event_id: String,
    pub ticket_type_id: String,
}

impl Stage {
    pub async fn open(change: impl FnOnce(&mut Config)) -> Result<Self> {
        let clock = TestClock::at(now());
        let server = TestServer::builder().clock(&clock).config(change).start().await?;
        let owner = sign_up(&server, "owner@example.org").await?;
        let profile = json!({ "name": "Nachtklang", "contact_email": "office@example.org" });
        let put = server.request(Method::PUT, "/organizer/profile").bearer_auth(&owner).json(&profile);
        let organizer_id = text(&send(put).await?.expect(201)?, "organizer_id");
        let (event_id, ticket_type_id) = (String::new(), String::new());
        let mut stage = Self { server, clock, owner, organizer_id, event_id, ticket_type_id };
        let starts = now() + time::Duration::days(9);
        let event = json!({
            "title": "Winter concert", "category_id": "music", "time_zone": "Europe/Vienna", "currency": "EUR",
            "venue_name": "Stadtsaal", "city": "Wien", "starts_at": starts.format(&Rfc3339)?,
        });
        let event = stage.own("/organizer/events/create", event).await?.expect(201)?;
        stage.event_id = text(&event, "event_id");
        let event = format!("/organizer/events/{}", stage.event_id);
        let seats = json!({
            "name": "Standing", "capacity": 10, "price": { "amount_minor": 2_500, "currency": "EUR" },
            "fee": { "amount_minor": 150, "currency": "EUR" }, "tax": { "rate_bp": 700, "inclusive": true },
        });
        let seats = stage.own(&format!("{event}/ticket-types"), seats).await?.expect(201)?;
        stage.ticket_type_id = text(&seats, "ticket_type_id");
        stage.own(&format!("{event}/publish"), json!({})).await?.expect(200)?;
        Ok(stage)
    }

    /// A POST of the organizer's owner.
    pub async fn own(&self, path: &str, body: Value) -> Result<Reply> {
        self.server.post_as(&self.owner, path, &body).await
    }

    /// Buys one ticket; with an account, or as a guest of that address.
    pub async fn buy(&self, token: Option<&str>, email: &str, pay: &str, language: &str) -> Result<Reply> {
        let body = json!({
            "event_id": self.event_id, "email": email,
            "items": [{ "ticket_type_id": self.ticket_type_id, "quantity": 1 }],
            "payment": { "method": "simulated", "token": pay },
        });
        let request = self.server.request(Method::POST, "/tickets/purchase").json(&body);
        let request = request.header("Accept-Language", language);
        send(match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
        .await
    }

    /// What is due goes out; an error if any of it failed.
    pub async fn deliver(&self) -> Result<()> {
        jobs::outbox::run(&self.server.app).await
    }

    /// The jobs look for what is due, and it goes out.
    pub async fn look_and_deliver(&self) -> Result<()> {
        jobs::notices::run(&self.server.app).await?;
        self.deliver().await
    }

    /// Mails to an address, newest first.
    pub async fn mails(&self, to: &str) -> Result<Vec<Value>> {
        let all = self.server.get(&format!("/dev/mailbox?recipient={to}")).await?.expect(200)?;
        Ok(all.as_array().cloned().unwrap_or_default())
    }

    /// The mail of a kind to an address.
    pub async fn mail(&self, to: &str, kind: &str) -> Result<Value> {
        let mut mails = self.mails(to).await?.into_iter().filter(|m| m["kind"] == kind);
        let first = mails.next().with_context(|| format!("no {kind} to {to}"))?;
        anyhow::ensure!(mails.next().is_none(), "{kind} went twice to {to}");
        Ok(first)
    }

    /// An administrator's token.
    pub async fn admin(&self) -> Result<String> {
        sign_up(&self.server, "admin@example.org").await?;
        let mut tx = self.server.app.db.platform().await?;
        users::make_admin(&mut tx, "admin@example.org", now()).await?.context("there is the account")?;
        tx.commit().await?;
        let body = json!({ "email": "admin@example.org", "password": PASSWORD });
        let session = self.server.post("/auth/v1/token?grant_type=password", &body).await?.expect(200)?;
        Ok(text(&session, "access_token"))
    }
}

/// A new account's access token.
pub async fn sign_up(server: &TestServer, email: &str) -> Result<String> {
    let body = json!({ "email": email, "password": PASSWORD });
    Ok(text(&server.post("/auth/v1/signup", &body).await?.expect(200)?, "access_token"))
}

/// A member of a JSON object as text; empty if it is none.
pub fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}
