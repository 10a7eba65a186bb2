//! Selling through the real routes on a real database: the whole way, races, repetition, money, privacy.

mod accounts;
mod actions;
mod attended;
mod chain;
mod expiry;
mod flow;
mod handed_on;
mod histories;
mod imported;
mod late;
mod money;
mod offers;
mod once;
mod outage;
mod pages;
mod papers;
mod partial;
mod picture;
mod privacy;
mod receipts;
mod renewed;
mod storm;
mod stripe;
mod waiting;
mod webhooks;

use anyhow::{Context as _, Result};
use hvflvspot::clock::TestClock;
use hvflvspot::config::{Config, Secret};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{PgConnection, Row as _};
use support::books;
use support::server::{Reply, TestServer, send};
use support::stripe_double::{self, StripeDouble};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

/// A server with an organizer and an event on sale.
#[derive(Debug)]
pub struct Stage {
    pub server: TestServer,
    pub clock: TestClock,
    /// Owner of the organizer.
    pub owner: String,
    /// The owner's, for when that is over.
    pub refresh_token: String,
    pub organizer_id: Uuid,
    pub event_id: String,
    pub ticket_type_id: String,
}

pub fn now() -> OffsetDateTime {
    time::macros::datetime!(2026-11-22 12:00 UTC)
}

impl Stage {
    /// `capacity` tickets at 25.00 + 1.50 EUR, 7 % tax inclusive.
    pub async fn open(capacity: u32) -> Result<Self> {
        Self::open_at(capacity, 2_500).await
    }

    pub async fn open_at(capacity: u32, price: i64) -> Result<Self> {
        Self::open_with(capacity, price, |_| ()).await
    }

    /// A server that is paid through Stripe, and a double of it.
    pub async fn stripe(capacity: u32) -> Result<(Self, StripeDouble)> {
        let double = StripeDouble::start().await?;
        let stage = Self::open_with(capacity, 2_500, |config| {
            config.stripe.api_base.clone_from(&double.url);
            config.stripe.secret_key = Some(Secret::new(stripe_double::SECRET_KEY));
            config.stripe.publishable_key = Some("pk_test_double".to_owned());
            config.stripe.webhook_secrets =
                vec![Secret::new("whsec_of_last_year"), Secret::new(stripe_double::WEBHOOK_SECRET)];
        });
        Ok((stage.await?, double))
    }

    /// With settings of its own.
    pub async fn open_with(capacity: u32, price: i64, change: impl FnOnce(&mut Config)) -> Result<Self> {
        let clock = TestClock::at(now());
        let server = TestServer::builder().clock(&clock).config(change).start().await?;
        let session = session(&server, "owner@example.org").await?;
        let (owner, refresh_token) = (text(&session, "access_token"), text(&session, "refresh_token"));
        let profile = json!({ "name": "Nachtklang", "contact_email": "office@example.org" });
        let profile =
            send(server.request(Method::PUT, "/organizer/profile").bearer_auth(&owner).json(&profile))
                .await?
                .expect(201)?;
        let organizer_id = text(&profile, "organizer_id").parse()?;
        let mut stage = Self {
            server,
            clock,
            owner,
            refresh_token,
            organizer_id,
            event_id: String::new(),
            ticket_type_id: String::new(),
        };
        stage.event_id = stage.event("Winter concert").await?;
        stage.ticket_type_id = stage.ticket_type(&stage.event_id, price, capacity).await?;
        stage.own(Method::POST, &format!("/organizer/events/{}/publish", stage.event_id), json!({})).await?;
        Ok(stage)
    }

    /// A new access token for the owner, without the cost of a password.
    pub async fn sign_in_again(&mut self) -> Result<()> {
        let body = json!({ "refresh_token": self.refresh_token });
        let session =
            self.server.post("/auth/v1/token?grant_type=refresh_token", &body).await?.expect(200)?;
        (self.owner, self.refresh_token) = (text(&session, "access_token"), text(&session, "refresh_token"));
        Ok(())
    }

    /// A draft event.
    pub async fn event(&self, title: &str) -> Result<String> {
        let starts = now() + time::Duration::days(9);
        let body = json!({
            "title": title, "category_id": "music", "time_zone": "Europe/Vienna", "currency": "EUR",
            "starts_at": starts.format(&Rfc3339)?, "ends_at": (starts + time::Duration::hours(3)).format(&Rfc3339)?,
        });
        let event = self.own(Method::POST, "/organizer/events/create", body).await?;
        Ok(text(&event, "event_id"))
    }

    /// A ticket type on a quota of its own.
    pub async fn ticket_type(&self, event: &str, price: i64, capacity: u32) -> Result<String> {
        let fee = if price == 0 { 0 } else { 150 };
        let body = json!({
            "name": "Standing", "capacity": capacity, "price": { "amount_minor": price, "currency": "EUR" },
            "fee": { "amount_minor": fee, "currency": "EUR" }, "tax": { "rate_bp": 700, "inclusive": true },
        });
        let made = self.own(Method::POST, &format!("/organizer/events/{event}/ticket-types"), body).await?;
        Ok(text(&made, "ticket_type_id"))
    }

    /// A request of the owner that must succeed.
    pub async fn own(&self, method: Method, path: &str, body: Value) -> Result<Value> {
        let reply = send(self.server.request(method, path).bearer_auth(&self.owner).json(&body)).await?;
        anyhow::ensure!(reply.status.is_success(), "{path}: {} {}", reply.status, reply.text);
        Ok(reply.body)
    }

    /// The body of a guest's purchase.
    pub fn order(&self, quantity: u32, token: Option<&str>) -> Value {
        let mut order = json!({
            "event_id": self.event_id, "email": "guest@example.org",
            "items": [{ "ticket_type_id": self.ticket_type_id, "quantity": quantity }],
        });
        if let Some(token) = token {
            order["payment"] = json!({ "method": "simulated", "token": token });
        }
        order
    }

    /// The body of a guest's purchase by card.
    pub fn card_order(&self, quantity: u32, card: &str) -> Value {
        let mut order = self.order(quantity, None);
        order["payment"] = json!({ "method": "stripe", "token": card });
        order
    }

    /// A guest buys by card.
    pub async fn buy_by_card(&self, quantity: u32, card: &str) -> Result<Reply> {
        self.server.post("/tickets/purchase", &self.card_order(quantity, card)).await
    }

    /// A guest pays a held booking by card.
    pub async fn pay_by_card(&self, booking: &Value, card: &str) -> Result<Reply> {
        let body = json!({
            "booking_id": booking["booking_id"], "payment": { "method": "stripe", "token": card },
        });
        send(self.as_guest(Method::POST, "/payment/process", booking).json(&body)).await
    }

    /// The owner refunds a part.
    pub async fn refund_part(&self, booking: &Value, part: Value) -> Result<Reply> {
        let mut body = part;
        body["booking_id"] = booking["booking_id"].clone();
        self.server.post_as(&self.owner, "/payment/refund", &body).await
    }

    /// Waits until everything that the server does beside its answers is done.
    pub async fn quiet(&self) -> Result<()> {
        let tasks = &self.server.app.selling.tasks;
        // Closed, it can be waited for; whatever is begun meanwhile is counted as well.
        tasks.close();
        let ended = tokio::time::timeout(std::time::Duration::from_secs(20), tasks.wait()).await;
        tasks.reopen();
        ended.with_context(|| format!("{} tasks do not end", tasks.len()))
    }

    /// Books and provider agree, and nothing is open.
    pub async fn agrees_with(&self, double: &StripeDouble) -> Result<()> {
        let mut owner = self.owner_connection().await?;
        books::check(&mut owner).await?;
        books::check_against(&mut owner, double).await
    }

    /// How often something stands in the audit.
    pub async fn audited(&self, action: &str) -> Result<i64> {
        let mut owner = self.owner_connection().await?;
        let query = sqlx::query_scalar("select count(*) from audit where action = $1").bind(action);
        Ok(query.fetch_one(&mut owner).await?)
    }

    /// A guest buys.
    pub async fn buy(&self, quantity: u32, token: Option<&str>) -> Result<Reply> {
        self.server.post("/tickets/purchase", &self.order(quantity, token)).await
    }

    /// A guest pays a held booking.
    pub async fn pay(&self, booking: &Value, token: &str) -> Result<Reply> {
        let body = json!({
            "booking_id": booking["booking_id"], "payment": { "method": "simulated", "token": token },
        });
        send(self.as_guest(Method::POST, "/payment/process", booking).json(&body)).await
    }

    /// The owner refunds.
    pub async fn refund(&self, booking: &Value) -> Result<Reply> {
        let body = json!({ "booking_id": booking["booking_id"], "reason": "test" });
        self.server.post_as(&self.owner, "/payment/refund", &body).await
    }

    /// A request with a booking's secret.
    pub fn as_guest(&self, method: Method, path: &str, booking: &Value) -> reqwest::RequestBuilder {
        self.server.request(method, path).header("Booking-Secret", text(booking, "booking_secret"))
    }

    /// The booking as its guest sees it now.
    pub async fn see(&self, booking: &Value) -> Result<Value> {
        let path = format!("/bookings/{}", text(booking, "booking_id"));
        send(self.as_guest(Method::GET, &path, booking)).await?.expect(200)
    }

    /// (held, sold) of all quotas.
    pub async fn counters(&self) -> Result<(i64, i64)> {
        let mut owner = self.server.db.owner().await?;
        let row = sqlx::query("select sum(held)::bigint as held, sum(sold)::bigint as sold from quotas")
            .fetch_one(&mut owner)
            .await?;
        Ok((row.get("held"), row.get("sold")))
    }

    /// What must hold of every database at rest; the message names what does not.
    pub async fn audit(&self) -> Result<()> {
        books::check(&mut self.server.db.owner().await?).await
    }

    pub async fn owner_connection(&self) -> Result<PgConnection> {
        self.server.db.owner().await
    }
}

/// A new account's access token.
pub async fn sign_up(server: &TestServer, email: &str) -> Result<String> {
    Ok(text(&session(server, email).await?, "access_token"))
}

/// A new account, signed in.
async fn session(server: &TestServer, email: &str) -> Result<Value> {
    let body = json!({ "email": email, "password": "correct horse battery staple" });
    server.post("/auth/v1/signup", &body).await?.expect(200)
}

/// A member of a JSON object as text; empty if it is none.
pub fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}
