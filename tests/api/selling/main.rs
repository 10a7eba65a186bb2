//! Selling through the real routes on a real database: the whole way, races, repetition, money, privacy.

mod chain;
mod expiry;
mod flow;
mod histories;
mod money;
mod offers;
mod once;
mod picture;
mod privacy;
mod storm;
mod waiting;

use anyhow::{Context as _, Result};
use hvflvspot::clock::TestClock;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{PgConnection, Row as _};
use support::server::{Reply, TestServer, send};
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
        let clock = TestClock::at(now());
        let server = TestServer::builder().clock(&clock).start().await?;
        let owner = sign_up(&server, "owner@example.org").await?;
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
            organizer_id,
            event_id: String::new(),
            ticket_type_id: String::new(),
        };
        stage.event_id = stage.event("Winter concert").await?;
        stage.ticket_type_id = stage.ticket_type(&stage.event_id, price, capacity).await?;
        stage.own(Method::POST, &format!("/organizer/events/{}/publish", stage.event_id), json!({})).await?;
        Ok(stage)
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
        let mut owner = self.server.db.owner().await?;
        for (what, query) in INVARIANTS {
            let broken: i64 = sqlx::query_scalar(query).fetch_one(&mut owner).await.context(what)?;
            anyhow::ensure!(broken == 0, "{what}: {broken} times not so");
        }
        Ok(())
    }

    pub async fn owner_connection(&self) -> Result<PgConnection> {
        self.server.db.owner().await
    }
}

const INVARIANTS: [(&str, &str); 7] = [
    ("held and sold stay within capacity", "select count(*) from quotas where held < 0 or sold < 0 or held + sold > capacity"),
    (
        "sold = valid and blocked tickets",
        "select count(*) from quotas q where q.sold <> (
           select count(*) from tickets t
             join booking_lines l on l.organizer_id = t.organizer_id and l.booking_id = t.booking_id
                                 and l.ticket_type_id = t.ticket_type_id
            where l.quota_id = q.quota_id and t.state in ('valid', 'blocked'))",
    ),
    (
        "held = what held bookings hold",
        "select count(*) from quotas q where q.held <> coalesce((
           select sum(l.quantity) from booking_lines l
             join bookings b on b.organizer_id = l.organizer_id and b.booking_id = l.booking_id
            where l.quota_id = q.quota_id and b.status = 'held'), 0)",
    ),
    (
        "the ledger sums to zero per booking and currency",
        "select count(*) from (select from ledger group by organizer_id, booking_id, currency having sum(amount_minor) <> 0) x",
    ),
    (
        "the provider's account equals completed payments less completed refunds",
        "select count(*) from (
           select b.booking_id,
                  coalesce((select sum(case kind when 'payment' then amount_minor else -amount_minor end) from transactions t
                             where t.booking_id = b.booking_id and t.status in ('completed', 'refunded')), 0) as moved,
                  coalesce((select sum(amount_minor) from ledger l
                             where l.booking_id = b.booking_id and l.account like 'provider:%'), 0) as booked
             from bookings b) x
          where moved <> booked",
    ),
    (
        "nobody is charged twice and refunds stay within what was captured",
        "select count(*) from (
           select from transactions where status in ('completed', 'refunded', 'pending') group by booking_id
           having count(*) filter (where kind = 'payment') > 1
               or sum(amount_minor) filter (where kind = 'refund') > sum(amount_minor) filter (where kind = 'payment')) x",
    ),
    (
        "the last manifest row of each ticket says its state",
        "select count(*) from tickets t
          where (select get_byte(substring(m.rows from position(decode(replace(t.ticket_id::text, '-', ''), 'hex') in m.rows) + 19 for 1), 0)
                   from manifest_changes m
                  where m.event_id = t.event_id and position(decode(replace(t.ticket_id::text, '-', ''), 'hex') in m.rows) > 0
                  order by m.change_seq desc limit 1)
             is distinct from array_position(array['valid', 'blocked', 'refunded', 'canceled', 'withdrawn'], t.state) - 1",
    ),
];

/// A new account's access token.
pub async fn sign_up(server: &TestServer, email: &str) -> Result<String> {
    let body = json!({ "email": email, "password": "correct horse battery staple" });
    let session = server.post("/auth/v1/signup", &body).await?.expect(200)?;
    Ok(text(&session, "access_token"))
}

/// A member of a JSON object as text; empty if it is none.
pub fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}
