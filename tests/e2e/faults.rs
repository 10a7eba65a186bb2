//! The server dies between every two steps of a hold, a payment, an event, a refund and a cancellation – as by a power cut,
//! at the fault points of `hvflvspot::fault` – and is started again. Whoever asked asks again, the jobs run, and then
//! provider, ledger, bookings, tickets and capacity agree, with nothing open and nobody charged twice.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use hvflvspot::clock::{Clock as _, SystemClock};
use hvflvspot::fault::POINTS;
use hvflvspot::pg::{Cluster, Settings};
use hvflvspot::store::Endpoint;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use support::books;
use support::process::{ServerProcess, reachable_dir};
use support::stripe_double::{Quirk, SECRET_KEY, StripeDouble, WEBHOOK_SECRET, tell};
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;

/// What a client does until the server dies under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Story {
    Buy,
    BuyByBadCard,
    PayLate,
    Event,
    Refund,
    RefundRefused,
    CancelAtBank,
    Cancel,
}

/// Which story comes by which point.
const STORIES: &[(&str, Story)] = &[
    ("hold.written", Story::Buy),
    ("hold.committed", Story::Buy),
    ("pay.begun", Story::Buy),
    ("pay.answered", Story::Buy),
    ("pay.noted", Story::Buy),
    ("pay.issued", Story::Buy),
    ("pay.paid", Story::Buy),
    ("pay.failed", Story::BuyByBadCard),
    ("pay.late", Story::PayLate),
    ("webhook.verified", Story::Event),
    ("webhook.recorded", Story::Event),
    ("webhook.committed", Story::Event),
    ("webhook.done", Story::Event),
    ("refund.reserved", Story::Refund),
    ("refund.begun", Story::Refund),
    ("refund.answered", Story::Refund),
    ("refund.booked", Story::Refund),
    ("refund.done", Story::Refund),
    ("refund.failed", Story::RefundRefused),
    ("cancel.asked", Story::CancelAtBank),
    ("cancel.answered", Story::CancelAtBank),
    ("cancel.written", Story::Cancel),
    ("cancel.done", Story::Cancel),
];

struct Stage {
    folder: tempfile::TempDir,
    database_url: String,
    endpoint: Endpoint,
    double: StripeDouble,
    client: reqwest::Client,
    owner: String,
    event_id: String,
    /// With plenty of room.
    wide: String,
    /// Room for one, of each late payment its own.
    narrow: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_between_any_two_steps_leaves_provider_and_books_in_agreement() -> Result<()> {
    let named: BTreeSet<&str> = STORIES.iter().map(|(point, _)| *point).collect();
    ensure!(
        named == POINTS.iter().copied().collect(),
        "a fault point has no story here, or the other way round"
    );
    let folder = reachable_dir()?;
    let cluster = Cluster::start(Settings {
        data_dir: folder.path().join("cluster"),
        pg_bin: std::env::var_os("HVFLVSPOT_PG_BIN").map(PathBuf::from),
        max_connections: 60,
        // The server dies here, the database does not.
        options: vec!["fsync=off".to_owned()],
        dies_with_us: true,
    })
    .await?;
    let mut stage = Stage::open(folder, cluster.endpoint()).await?;
    let mut slowest = (Duration::ZERO, "");
    for (point, story) in STORIES {
        let started = Instant::now();
        stage.perform(point, *story).await.with_context(|| format!("killed at {point}"))?;
        slowest = slowest.max((started.elapsed(), *point));
    }
    println!("{} kills; the slowest recovery took {:?} ({})", STORIES.len(), slowest.0, slowest.1);
    drop(stage);
    cluster.stop().await
}

impl Stage {
    async fn open(folder: tempfile::TempDir, endpoint: Endpoint) -> Result<Self> {
        hvflvspot::tls::install_provider();
        let socket = endpoint.socket_dir().context("a private cluster has a socket")?.display().to_string();
        let socket = socket.replace('/', "%2F");
        let mut stage = Self {
            folder,
            database_url: format!("postgres://hvflvspot_cluster@{socket}/hvflvspot"),
            endpoint,
            double: StripeDouble::start().await?,
            client: reqwest::Client::new(),
            owner: String::new(),
            event_id: String::new(),
            wide: String::new(),
            narrow: Vec::new(),
        };
        let server = stage.start("").await?;
        let post = async |token: &str, method: Method, path: &str, body: Value| -> Result<Value> {
            let request = stage.client.request(method, format!("{}{path}", server.url)).json(&body);
            let reply = request.bearer_auth(token).send().await?;
            let (status, text) = (reply.status(), reply.text().await?);
            ensure!(status.is_success(), "{path}: {status} {text}");
            Ok(serde_json::from_str(&text).unwrap_or_default())
        };
        let body = json!({ "email": "owner@faults.example", "password": "correct horse battery staple" });
        let reply = stage.client.post(format!("{}/auth/v1/signup", server.url)).json(&body).send().await?;
        let owner = text(&reply.json().await?, "access_token");
        let profile = json!({ "name": "Faults", "contact_email": "office@faults.example" });
        post(&owner, Method::PUT, "/organizer/profile", profile).await?;
        let starts = SystemClock.now() + time::Duration::days(9);
        let event = json!({
            "title": "Night of faults", "category_id": "music", "time_zone": "Europe/Vienna", "currency": "EUR",
            "starts_at": starts.format(&Rfc3339)?, "ends_at": (starts + time::Duration::hours(3)).format(&Rfc3339)?,
        });
        let event = text(&post(&owner, Method::POST, "/organizer/events/create", event).await?, "event_id");
        let types = format!("/organizer/events/{event}/ticket-types");
        let kind = |capacity: u32| {
            json!({
                "name": format!("Room for {capacity}"), "capacity": capacity,
                "price": { "amount_minor": 2_500, "currency": "EUR" }, "fee": { "amount_minor": 150, "currency": "EUR" },
                "tax": { "rate_bp": 700, "inclusive": true },
            })
        };
        let wide = text(&post(&owner, Method::POST, &types, kind(500)).await?, "ticket_type_id");
        let mut narrow = Vec::new();
        for _ in STORIES.iter().filter(|(_, story)| *story == Story::PayLate) {
            narrow.push(text(&post(&owner, Method::POST, &types, kind(1)).await?, "ticket_type_id"));
        }
        let path = format!("/organizer/events/{event}/publish");
        post(&owner, Method::POST, &path, json!({})).await?;
        server.stop().await?;
        (stage.owner, stage.event_id, stage.wide, stage.narrow) = (owner, event, wide, narrow);
        Ok(stage)
    }

    /// The real server, to die at `point`.
    async fn start(&self, point: &str) -> Result<ServerProcess> {
        let key = "07".repeat(32);
        let settings = [
            ("HVFLVSPOT_DATABASE_URL", self.database_url.as_str()),
            ("HVFLVSPOT_MASTER_KEY", &key),
            ("HVFLVSPOT_STRIPE_API_BASE", &self.double.url),
            ("HVFLVSPOT_STRIPE_SECRET_KEY", SECRET_KEY),
            ("HVFLVSPOT_STRIPE_WEBHOOK_SECRETS", WEBHOOK_SECRET),
            // The demonstration's guests pay by it.
            ("HVFLVSPOT_GATEWAY_ENABLED", "true"),
            ("HVFLVSPOT_DATABASE_CONNECTIONS", "8"),
            ("HVFLVSPOT_LOG", "warn,hvflvspot=error"),
            ("HVFLVSPOT_FAULT", point),
        ];
        ServerProcess::start(&self.folder.path().join("server"), &settings).await
    }

    async fn perform(&mut self, point: &str, story: Story) -> Result<()> {
        let mut server = self.start(point).await?;
        let told = self.tell_story(&server.url, point, story).await?;
        let ended = server.ended().await.context("the server does not die")?;
        ensure!(!ended.success(), "it ended well: {ended}");
        // An hour goes by.
        let mut owner = PgConnection::connect_with(&self.endpoint.owner()).await?;
        time_passes(&mut owner).await?;
        let server = self.start("").await?;
        // Who got no answer asks again, and Stripe tells its events again.
        if let Some(again) = told {
            let reply = again.of(&self.client, &server.url).await?;
            ensure!(reply.0 < 500, "asked again: {} {}", reply.0, reply.1);
        }
        for event in self.double.events() {
            let reply = tell(&self.client, &server.url, "default", &event, SystemClock.now()).await?;
            ensure!(reply.status().is_success(), "an event is refused: {}", reply.status());
        }
        self.wait_until_settled(&mut owner).await?;
        server.stop().await?;
        books::check_against(&mut owner, &self.double).await
    }

    /// Until nothing is open; then the invariants must hold.
    async fn wait_until_settled(&self, owner: &mut PgConnection) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            time_passes(owner).await?;
            let open: i64 = sqlx::query_scalar(
                "select (select count(*) from transactions where status = 'pending')
                      + (select count(*) from bookings where status = 'held')",
            )
            .fetch_one(&mut *owner)
            .await?;
            if open == 0 {
                return books::check_settled(owner).await;
            }
            ensure!(Instant::now() < deadline, "{open} movements or holds stay open");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Does what comes by the point; the request that got no answer.
    async fn tell_story(&mut self, url: &str, point: &str, story: Story) -> Result<Option<Asked>> {
        let key = format!("faults-{point}-one-and-only");
        match story {
            Story::Buy => self.last(url, self.buying(&self.wide, 2, "pm_card_visa", &key)).await,
            Story::BuyByBadCard => {
                self.last(url, self.buying(&self.wide, 1, "pm_card_chargeDeclined", &key)).await
            }
            Story::PayLate => {
                let narrow = self.narrow.pop().context("a type of its own")?;
                // Its answer is lost, its hold runs out, and somebody else takes the place.
                self.double.next_call("POST /v1/payment_intents", Quirk::LoseAnswer);
                self.must(url, self.buying(&narrow, 1, "pm_card_visa", &format!("{key}-1")), 202).await?;
                let paid = self.double.event("payment_intent.succeeded")?;
                let mut owner = PgConnection::connect_with(&self.endpoint.owner()).await?;
                sqlx::query("update bookings set held_until = held_until - interval '1 hour', payment_until = payment_until - interval '1 hour' where status = 'held'")
                    .execute(&mut owner)
                    .await?;
                let deadline = Instant::now() + Duration::from_secs(30);
                for n in 2.. {
                    // A refusal is an answer too: under the same key it would come again.
                    let other = self.buying(&narrow, 1, "pm_card_visa", &format!("{key}-{n}"));
                    let (status, body) = other.of(&self.client, url).await?;
                    match status {
                        201 => break,
                        409 => ensure!(Instant::now() < deadline, "the hold does not run out: {body}"),
                        _ => bail!("{status} {body}"),
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                self.event(url, &paid).await
            }
            Story::Event => {
                let order = self.buying(&self.wide, 1, "pm_card_threeDSecure2Required", &key);
                self.must(url, order, 202).await?;
                let intent = self.double.moved().last().context("a payment")?.intent.clone();
                self.double.act(&intent, true);
                self.event(url, &self.double.event("payment_intent.succeeded")?).await
            }
            Story::Refund | Story::RefundRefused => {
                let card = if story == Story::Refund { "pm_card_visa" } else { "pm_card_refundRefused" };
                let booking = self.must(url, self.buying(&self.wide, 2, card, &key), 201).await?;
                let body = json!({
                    "booking_id": booking["booking_id"], "items": [{ "ticket_type_id": self.wide, "quantity": 1 }],
                });
                self.last(url, self.staff("/payment/refund", body, &format!("{key}-refund"))).await
            }
            Story::CancelAtBank => {
                let order = self.buying(&self.wide, 1, "pm_card_threeDSecure2Required", &key);
                let booking = self.must(url, order, 202).await?;
                self.last(url, canceling(&booking, &key)).await
            }
            Story::Cancel => {
                let mut order = self.buying(&self.wide, 1, "", &key);
                order.body.as_object_mut().context("an object")?.remove("payment");
                let booking = self.must(url, order, 201).await?;
                self.last(url, canceling(&booking, &key)).await
            }
        }
    }

    fn buying(&self, ticket_type: &str, quantity: u32, card: &str, key: &str) -> Asked {
        let body = json!({
            "event_id": self.event_id, "email": "guest@faults.example",
            "items": [{ "ticket_type_id": ticket_type, "quantity": quantity }],
            "payment": { "method": "stripe", "token": card },
        });
        Asked::new("/tickets/purchase", body, key)
    }

    fn staff(&self, path: &str, body: Value, key: &str) -> Asked {
        Asked { token: Some(self.owner.clone()), ..Asked::new(path, body, key) }
    }

    /// A request that must be answered so.
    async fn must(&self, url: &str, asked: Asked, status: u16) -> Result<Value> {
        let (told, body) = asked.of(&self.client, url).await?;
        ensure!(told == status, "{}: {told} {body}", asked.path);
        Ok(serde_json::from_str(&body)?)
    }

    /// The request under which the server dies, or after which.
    async fn last(&self, url: &str, asked: Asked) -> Result<Option<Asked>> {
        drop(asked.of(&self.client, url).await);
        Ok(Some(asked))
    }

    async fn event(&self, url: &str, event: &Value) -> Result<Option<Asked>> {
        drop(tell(&self.client, url, "default", event, SystemClock.now()).await);
        Ok(None)
    }
}

/// A request that can be made again.
#[derive(Debug, Clone)]
struct Asked {
    path: String,
    body: Value,
    key: String,
    token: Option<String>,
    secret: Option<String>,
}

impl Asked {
    fn new(path: &str, body: Value, key: &str) -> Self {
        Self { path: path.to_owned(), body, key: key.to_owned(), token: None, secret: None }
    }

    /// Status and body.
    async fn of(&self, client: &reqwest::Client, url: &str) -> Result<(u16, String)> {
        let mut request: RequestBuilder = client.post(format!("{url}{}", self.path)).json(&self.body);
        request = request.header("Idempotency-Key", &self.key);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(secret) = &self.secret {
            request = request.header("Booking-Secret", secret);
        }
        let reply = request.send().await?;
        Ok((reply.status().as_u16(), reply.text().await?))
    }
}

fn canceling(booking: &Value, key: &str) -> Asked {
    let path = format!("/bookings/{}/cancel", text(booking, "booking_id"));
    Asked {
        secret: Some(text(booking, "booking_secret")),
        ..Asked::new(&path, json!({}), &format!("{key}-cancel"))
    }
}

/// Moves every deadline of open things an hour nearer.
async fn time_passes(owner: &mut PgConnection) -> Result<()> {
    for statement in [
        "update transactions set next_attempt_at = next_attempt_at - interval '1 hour' where status = 'pending'",
        // Not so far that the provider would have forgotten the key.
        "update transactions set created_at = created_at - interval '1 hour'
          where status = 'pending' and created_at > now() - interval '2 hours'",
        "update bookings set held_until = held_until - interval '1 hour',
                             payment_until = payment_until - interval '1 hour' where status = 'held'",
        "update idempotency_keys set leased_until = leased_until - interval '1 hour' where leased_until is not null",
    ] {
        sqlx::query(statement).execute(&mut *owner).await?;
    }
    Ok(())
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}
