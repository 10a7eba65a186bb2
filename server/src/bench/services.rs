//! Every service of the replaced product beside the average time that its overview names: one request after another over
//! HTTP, on a database with 100,000 SYNTHETIC events and 10,000 admissions. Simulated providers answer at once here,
//! theirs took their time; so what is compared is the service's own share.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::report::{Report, Times};
use super::site::Site;
use super::{events, log, search};
use crate::clock::{Clock as _, SharedRng, SystemClock};
use crate::tour::api::{Api, text};
use crate::tour::venue::{self, ALWAYS, Plan, Show};

const EVENTS: usize = 100_000;
const SCANS: usize = 10_000;
const WARM_UP: usize = 20;
const TIMED: usize = 300;
const EMAIL: &str = "bench@demo.example";
const PASSWORD: &str = "a-password-for-the-bench";
const PATIENCE: Duration = Duration::from_secs(60);

/// The overview's averages, in milliseconds.
mod replaced {
    pub const AUTHENTICATION: f64 = 150.0;
    pub const SEARCH: f64 = 200.0;
    pub const PAYMENT: f64 = 1_000.0;
    pub const NOTIFICATION: f64 = 500.0;
    pub const PURCHASE: f64 = 800.0;
    pub const HEALTH: f64 = 100.0;
    pub const STATISTICS: f64 = 300.0;
}

/// Runs the bench.
///
/// # Errors
/// If a service refuses, or what it answers is wrong.
pub async fn run(report: Report) -> Result<()> {
    let site = Site::open("Services", 1_000_000).await?;
    let mut rng = SharedRng::seeded(20_261_123).fork();
    let all = events::fill(site.endpoint(), &mut rng, EVENTS, SystemClock.now()).await?;
    let (gate, _line) = log::queued(&site, SCANS).await?;
    gate.json(&["sync"]).await?;
    drain(&site).await?;

    let beside = |case: &str, mut times: Times, replaced: f64| {
        for (metric, q) in [("p50", 0.5), ("p99", 0.99)] {
            report.against(case, metric, times.quantile_ms(q), "ms", replaced);
        }
    };
    let api = &site.api;
    api.post("/auth/v1/signup", json!({ "email": EMAIL, "password": PASSWORD })).await?;
    let times = timed(async |_| venue::sign_in(api, EMAIL, PASSWORD).await.map(drop)).await?;
    beside("authentication: sign in (argon2id)", times, replaced::AUTHENTICATION);
    let me = venue::sign_in(api, EMAIL, PASSWORD).await?;
    let times = timed(async |_| me.get("/auth/verify").await.map(drop)).await?;
    beside("authentication: verify", times, replaced::AUTHENTICATION);

    let paths = search::everyday(&mut rng, &all, WARM_UP + TIMED)?;
    let times = timed(async |n| api.get(&paths[n]).await.map(drop)).await?;
    beside("event search, 100,000 events", times, replaced::SEARCH);

    let times = payments(&site).await?;
    beside("payment processing", times, replaced::PAYMENT);
    let times = purchases(&site).await?;
    beside("ticket purchase, with QR", times, replaced::PURCHASE);
    drain(&site).await?;

    let (enqueued, delivered) = notifications(&site).await?;
    beside("notification: enqueue", enqueued, replaced::NOTIFICATION);
    beside("notification: delivered", delivered, replaced::NOTIFICATION);

    let times = timed(async |_| api.get("/health").await.map(drop)).await?;
    beside("health check", times, replaced::HEALTH);

    let path = format!("/organizer/events/{}/stats", site.show.event);
    let stats = site.organizer.get(&path).await?;
    ensure!(stats["admitted"] == SCANS, "the statistics miss admissions: {}", stats["admitted"]);
    let times = timed(async |_| site.organizer.get(&path).await.map(drop)).await?;
    beside("statistics, 10,000 admissions", times, replaced::STATISTICS);
    site.close().await
}

/// Does `work` again and again; the first ones warm up.
async fn timed(work: impl AsyncFn(usize) -> Result<()>) -> Result<Times> {
    let mut times = Times::default();
    for n in 0..WARM_UP + TIMED {
        let started = SystemClock.monotonic();
        work(n).await?;
        if n >= WARM_UP {
            times.push(SystemClock.monotonic().saturating_sub(started));
        }
    }
    Ok(times)
}

/// Paying bookings that are held.
async fn payments(site: &Site) -> Result<Times> {
    let mut held: Vec<(Api, Value)> = Vec::with_capacity(WARM_UP + TIMED);
    for _ in 0..WARM_UP + TIMED {
        let body = json!({
            "event_id": site.show.event, "email": "guest@demo.example",
            "items": [{ "ticket_type_id": site.show.ticket_type, "quantity": 1 }],
        });
        let booking = site.api.post_once("/tickets/purchase", &key(site), body).await?;
        let guest = site.api.with_booking_secret(text(&booking, "/booking_secret")?);
        let payment = json!({ "method": "simulated", "token": ALWAYS });
        held.push((guest, json!({ "booking_id": booking["booking_id"], "payment": payment })));
    }
    timed(async |n| {
        let (guest, body) = &held[n];
        let paid = guest.post_once("/payment/process", &key(site), body.clone()).await?;
        ensure!(paid["status"] == "paid", "not paid: {paid}");
        Ok(())
    })
    .await
}

/// Buying and paying in one call, and fetching the QR code.
async fn purchases(site: &Site) -> Result<Times> {
    timed(async |_| {
        let bought = venue::buy(&site.api, &site.show, 1, &key(site)).await?;
        let ticket = bought.tickets.first().context("a paid booking has a ticket")?;
        let guest = site.api.with_booking_secret(&bought.secret);
        guest.bytes(&format!("/tickets/{}/qr.svg", ticket.id)).await?;
        Ok(())
    })
    .await
}

/// Messages of an organizer to the one holder of an event's tickets: until accepted, and from then until handed to the
/// mailbox.
async fn notifications(site: &Site) -> Result<(Times, Times)> {
    let plan = Plan { title: "Small", capacity: 10, gates: &["Door"], reentry: false };
    let small: Show = venue::put_on_sale(&site.organizer, SystemClock.now(), plan).await?;
    venue::buy(&site.api, &small, 1, &key(site)).await?;
    drain(site).await?;
    let enqueued = timed(async |n| {
        let body = json!({
            "type": "event_changes", "audience": { "event_id": small.event },
            "subject": format!("Message {n}"), "body": "The doors open at seven.",
        });
        let sent = site.organizer.post_once("/notifications/send", &key(site), body).await?;
        ensure!(sent["recipients"] == 1, "not to one: {sent}");
        Ok(())
    })
    .await?;
    drain(site).await?;
    let mut conn = PgConnection::connect_with(&site.endpoint().admin()).await?;
    let event: Uuid = small.event.parse().context("an event's id")?;
    let took: Vec<f64> = sqlx::query_scalar(
        "select extract(epoch from sent_at - created_at)::float8 from outbox
         where event_id = $1 and kind = 'message.event' and sent_at is not null order by created_at",
    )
    .bind(event)
    .fetch_all(&mut conn)
    .await?;
    conn.close().await?;
    ensure!(took.len() == WARM_UP + TIMED, "{} messages were sent", took.len());
    let mut delivered = Times::default();
    for seconds in took.into_iter().skip(WARM_UP) {
        delivered.push(Duration::from_secs_f64(seconds.max(0.0)));
    }
    Ok((enqueued, delivered))
}

/// Waits until the outbox has nothing left to send, so that one service's letters do not stand in another's way.
async fn drain(site: &Site) -> Result<()> {
    let mut conn = PgConnection::connect_with(&site.endpoint().admin()).await?;
    let deadline = SystemClock.monotonic() + PATIENCE;
    loop {
        let waiting: i64 =
            sqlx::query_scalar("select count(*) from outbox where status in ('queued', 'failed')")
                .fetch_one(&mut conn)
                .await?;
        if waiting == 0 {
            return Ok(conn.close().await?);
        }
        ensure!(SystemClock.monotonic() < deadline, "{waiting} notifications are never sent");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn key(site: &Site) -> String {
    site.rng.uuid(&SystemClock).to_string()
}
