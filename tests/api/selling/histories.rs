//! Random histories of buying, paying, failing, refunding, handing on, reissuing, giving up, expiring, waiting and
//! canceling on a real database, and the invariants in the middle and at the end of each. The seed is printed;
//! `SEED=… HISTORIES=1` replays one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use hvflvspot::jobs::{cancel_events, expire, reconcile, waiting};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::Method;
use serde_json::{Value, json};
use support::server::{Reply, send};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::{Stage, text};

/// Histories in one database; each has an event of its own. The invariants look at all of the database, so that more of
/// them cost more than a new database.
const PER_STAGE: u64 = 8;
/// Databases at work side by side, each with a server and a clock of its own.
const SIDE_BY_SIDE: u64 = 3;
const TOKENS: [Option<&str>; 7] = [
    None,
    Some("tok_always_succeeds"),
    Some("tok_always_succeeds"),
    Some("tok_declined"),
    Some("tok_error"),
    Some("tok_timeout"),
    Some("tok_refund_declined"),
];

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

struct History<'s> {
    stage: &'s mut Stage,
    rng: StdRng,
    /// What was answered of bookings so far, with their secrets.
    bookings: Vec<Value>,
    /// Codes that were replaced: they must never let anybody in again.
    dead: Vec<String>,
    done: Vec<String>,
    /// Steps that were not refused, by kind.
    happened: &'s mut Happened,
}

/// How often what happened, so that nobody believes in histories in which nothing does.
#[derive(Debug, Default)]
struct Happened {
    bought: u64,
    refunded: u64,
    transferred: u64,
    reissued: u64,
    canceled: u64,
}

impl History<'_> {
    fn below(&mut self, n: usize) -> usize {
        self.rng.random_range(0..n)
    }

    fn any_booking(&mut self) -> Option<Value> {
        match self.bookings.len() {
            0 => None,
            n => {
                let at = self.below(n);
                Some(self.bookings[at].clone())
            }
        }
    }

    /// A new event with a small capacity, limits and codes by chance.
    async fn begin(&mut self) -> Result<()> {
        let stage = &mut *self.stage;
        stage.event_id = stage.event("History").await?;
        let price = [0, 1, 999, 2_500][self.rng.random_range(0..4)];
        let capacity = self.rng.random_range(2..9);
        stage.ticket_type_id = stage.ticket_type(&stage.event_id, price, capacity).await?;
        let bearer = ["buyer", "organizer"][self.rng.random_range(0..2)];
        let fee = json!({
            "amount": { "amount_minor": self.rng.random_range(0..300), "currency": "EUR" },
            "rate_bp": self.rng.random_range(0..1_000),
            "bearer": bearer,
        });
        let max = [None, Some(3)][self.rng.random_range(0..2)];
        stage.change(json!({ "fee": fee, "max_per_person": max, "offer_secs": 900 })).await?;
        stage
            .code(json!({
                "code": "HALF", "percent_bp": self.rng.random_range(1..=10_000), "max_uses": 3,
                "budget": { "amount_minor": 4_000, "currency": "EUR" },
            }))
            .await?;
        stage.own(Method::POST, &format!("/organizer/events/{}/publish", stage.event_id), json!({})).await?;
        Ok(())
    }

    async fn step(&mut self) -> Result<()> {
        let kind = self.below(23);
        self.done.push(format!("{kind}"));
        match kind {
            0..=6 => self.buy().await,
            7 | 8 => self.pay().await,
            9 => self.give_up("cancel").await,
            10 => self.give_up("extend").await,
            11 | 12 => self.refund().await,
            13 => self.wait().await,
            14 | 15 => {
                let secs = [30, 61, 500, 901, 1_900][self.below(5)];
                self.stage.clock.advance(Duration::from_secs(secs));
                Ok(())
            }
            16 => expire::run(&self.stage.server.app).await,
            17 => reconcile::run(&self.stage.server.app).await,
            18 => waiting::run(&self.stage.server.app).await,
            20 | 21 => self.change_code("transfer").await,
            22 => self.change_code("reissue").await,
            _ if self.below(8) == 0 => {
                let path = format!("/organizer/events/{}/cancel", self.stage.event_id);
                self.own(Method::POST, &path, json!({})).await?;
                self.happened.canceled += 1;
                cancel_events::run(&self.stage.server.app).await
            }
            _ => self.resize().await,
        }
    }

    /// A request of the owner, whose sign-in may be over: then a new one.
    async fn own(&mut self, method: Method, path: &str, body: Value) -> Result<Reply> {
        let reply =
            send(self.stage.server.request(method.clone(), path).bearer_auth(&self.stage.owner).json(&body))
                .await?;
        if reply.status != 401 {
            return Ok(reply);
        }
        self.stage.sign_in_again().await?;
        send(self.stage.server.request(method, path).bearer_auth(&self.stage.owner).json(&body)).await
    }

    async fn buy(&mut self) -> Result<()> {
        let token = TOKENS[self.below(TOKENS.len())];
        let quantity = self.rng.random_range(1..4);
        let mut order = self.stage.order(quantity, token);
        order["email"] = json!(format!("p{}@example.org", self.below(3)));
        if self.below(3) == 0 {
            order["promo_code"] = json!("half");
        }
        let reply = self.stage.server.post("/tickets/purchase", &order).await?;
        match reply.status.as_u16() {
            201 | 202 => {
                self.happened.bought += 1;
                self.bookings.push(reply.body);
            }
            // Declined, or the provider failed: it is held.
            _ if reply.body["booking"].is_object() => self.bookings.push(reply.body["booking"].clone()),
            409 | 410 | 422 => {}
            _ => anyhow::bail!("{}: {}", reply.status, reply.text),
        }
        Ok(())
    }

    async fn pay(&mut self) -> Result<()> {
        let token = TOKENS[1 + self.below(TOKENS.len() - 1)].unwrap_or_default();
        if let Some(booking) = self.any_booking() {
            let reply = self.stage.pay(&booking, token).await?;
            anyhow::ensure!(reply.status != 500, "{}", reply.text);
        }
        Ok(())
    }

    async fn give_up(&mut self, verb: &str) -> Result<()> {
        if let Some(booking) = self.any_booking() {
            let path = format!("/bookings/{}/{verb}", text(&booking, "booking_id"));
            let reply = send(self.stage.as_guest(Method::POST, &path, &booking)).await?;
            anyhow::ensure!(!reply.status.is_server_error(), "{}", reply.text);
        }
        Ok(())
    }

    async fn refund(&mut self) -> Result<()> {
        if let Some(booking) = self.any_booking() {
            let mut reply = self.stage.refund(&booking).await?;
            if reply.status == 401 {
                self.stage.sign_in_again().await?;
                reply = self.stage.refund(&booking).await?;
            }
            anyhow::ensure!(reply.status != 500, "{}", reply.text);
            self.happened.refunded += u64::from(reply.status == 200);
        }
        Ok(())
    }

    /// The organizer gives a ticket to somebody else, or a new code; the old one is dead from then on.
    async fn change_code(&mut self, verb: &str) -> Result<()> {
        let Some(booking) = self.any_booking() else { return Ok(()) };
        let path = format!("/bookings/{}", text(&booking, "booking_id"));
        let seen = send(self.stage.as_guest(Method::GET, &path, &booking)).await?;
        let tickets = seen.body["tickets"].as_array().cloned().unwrap_or_default();
        if tickets.is_empty() {
            return Ok(());
        }
        let ticket = &tickets[self.below(tickets.len())];
        let body = match verb {
            "transfer" => json!({ "email": format!("f{}@example.org", self.below(3)) }),
            _ => json!({}),
        };
        let path = format!("/tickets/{}/{verb}", text(ticket, "ticket_id"));
        let reply = self.own(Method::POST, &path, body).await?;
        anyhow::ensure!(!reply.status.is_server_error(), "{}", reply.text);
        if reply.status != 200 {
            return Ok(());
        }
        match verb {
            "transfer" => self.happened.transferred += 1,
            _ => self.happened.reissued += 1,
        }
        // Who handed it on before sees no code of it.
        if let Some(code) = ticket["code"].as_str() {
            self.dead.push(code.to_owned());
            anyhow::ensure!(reply.body["code"].as_str() != Some(code), "the code stayed the same");
        }
        Ok(())
    }

    /// No code that was replaced lets anybody in.
    async fn check_dead(&mut self) -> Result<()> {
        for code in self.dead.clone() {
            let body = json!({ "code": code, "event_id": self.stage.event_id });
            let verdict = self.own(Method::POST, "/tickets/validate", body).await?.expect(200)?;
            let outcome = text(&verdict, "outcome");
            let dies = ["superseded", "revoked", "expired"].contains(&outcome.as_str());
            anyhow::ensure!(dies, "a code that was replaced is {outcome}");
        }
        Ok(())
    }

    async fn wait(&mut self) -> Result<()> {
        let body = json!({
            "ticket_type_id": self.stage.ticket_type_id, "quantity": self.rng.random_range(1..3),
            "email": format!("w{}@example.org", self.below(3)),
        });
        let path = format!("/events/{}/waiting-list", self.stage.event_id);
        let reply = self.stage.server.post(&path, &body).await?;
        if reply.status == 201 {
            self.bookings
                .push(json!({ "booking_id": reply.body["entry_id"], "booking_secret": reply.body["booking_secret"] }));
        }
        anyhow::ensure!(!reply.status.is_server_error(), "{}", reply.text);
        Ok(())
    }

    async fn resize(&mut self) -> Result<()> {
        let path =
            format!("/organizer/events/{}/ticket-types/{}", self.stage.event_id, self.stage.ticket_type_id);
        let capacity = self.rng.random_range(1..12);
        self.own(Method::PUT, &path, json!({ "capacity": capacity })).await.map(drop)
    }

    /// Lets everything in flight come to its end.
    async fn end(&mut self) -> Result<()> {
        for _ in 0..3 {
            self.stage.clock.advance(Duration::from_secs(35 * 60));
            reconcile::run(&self.stage.server.app).await?;
            waiting::run(&self.stage.server.app).await?;
            expire::run(&self.stage.server.app).await?;
            cancel_events::run(&self.stage.server.app).await?;
        }
        Ok(())
    }
}

/// What is true of offers at any time; the message names what is not.
const OF_OFFERS: [(&str, &str); 6] = [
    (
        "codes are never used more often than they may be",
        "select count(*) from promo_codes p
          where (select count(*) from booking_claims c join bookings b using (organizer_id, booking_id)
                  where c.promo_code_id = p.promo_code_id and (b.status = 'held' or b.paid_at is not null)) > p.max_uses",
    ),
    (
        "discounts stay within their budget",
        "select count(*) from promo_codes p
          where (select coalesce(sum(c.discount_minor), 0) from booking_claims c join bookings b using (organizer_id, booking_id)
                  where c.promo_code_id = p.promo_code_id and (b.status = 'held' or b.paid_at is not null)) > p.budget_minor",
    ),
    (
        "a code's counters are never below the truth",
        "select count(*) from promo_codes p
          where (select count(*) from booking_claims c join bookings b using (organizer_id, booking_id)
                  where c.promo_code_id = p.promo_code_id and (b.status = 'held' or b.paid_at is not null)) > p.uses",
    ),
    (
        "lines add up to their booking",
        "select count(*) from bookings b
          where b.total_minor <> (select sum(l.quantity * (l.unit_price_minor + l.unit_fee_minor + l.unit_tax_minor))
                                    from booking_lines l where l.booking_id = b.booking_id)",
    ),
    (
        "a ticket lets in exactly while its booking is paid",
        "select count(*) from tickets t join bookings b using (organizer_id, booking_id) join events e on e.event_id = t.event_id
          where e.status <> 'canceled'
            and (t.state in ('valid', 'blocked')) <> (b.status in ('paid', 'partially_refunded'))
            and b.status <> 'partially_refunded'",
    ),
    (
        "the public sale is closed exactly while somebody waits",
        "select count(*) from quotas q join events e on e.event_id = q.event_id
          where e.status <> 'canceled'
            and q.queued <> exists (select from waiting_list w where w.quota_id = q.quota_id and w.status = 'waiting')",
    ),
];

async fn check(stage: &Stage) -> Result<()> {
    stage.audit().await?;
    let mut owner = stage.owner_connection().await?;
    for (what, query) in OF_OFFERS {
        let broken: i64 = sqlx::query_scalar(query).fetch_one(&mut owner).await.context(what)?;
        anyhow::ensure!(broken == 0, "{what}: {broken} times not so");
    }
    Ok(())
}

/// One history from its seed.
async fn history(stage: &mut Stage, seed: u64, happened: &mut Happened) -> Result<()> {
    let rng = StdRng::seed_from_u64(seed);
    let (bookings, dead, done) = (Vec::new(), Vec::new(), Vec::new());
    let mut history = History { stage, rng, bookings, dead, done, happened };
    let outcome = async {
        // The last one let hours pass.
        history.stage.sign_in_again().await?;
        history.begin().await?;
        for _ in 0..25 {
            history.step().await?;
        }
        check(history.stage).await?;
        history.check_dead().await?;
        history.end().await?;
        check(history.stage).await
    };
    if let Err(e) = outcome.await {
        anyhow::bail!("SEED={seed} HISTORIES=1 replays it; steps {}: {e:#}", history.done.join(" "));
    }
    Ok(())
}

/// Takes chunk after chunk of the seeds until none is left, each on a database of its own.
async fn lane(
    from: u64,
    histories: u64,
    next: &AtomicU64,
    failed: &AtomicBool,
    opening: &Mutex<()>,
) -> Result<Happened> {
    let mut happened = Happened::default();
    loop {
        let chunk = next.fetch_add(1, Ordering::Relaxed);
        let seeds = (chunk * PER_STAGE)..histories.min((chunk + 1) * PER_STAGE);
        if seeds.is_empty() || failed.load(Ordering::Relaxed) {
            return Ok(happened);
        }
        // One at a time: making a database waits for a lock on a file, and would stop the other lanes of this thread.
        let turn = opening.lock().await;
        let mut stage = Stage::open(1).await?;
        drop(turn);
        for n in seeds {
            if let Err(e) = history(&mut stage, from + n, &mut happened).await {
                failed.store(true, Ordering::Relaxed);
                return Err(e);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_history_of_a_sale_breaks_an_invariant() -> Result<()> {
    let (seed, histories) = (number("SEED", 1), number("HISTORIES", 60));
    let begun = Instant::now();
    let (next, failed, opening) = (AtomicU64::new(0), AtomicBool::new(false), Mutex::new(()));
    let lanes = (0..SIDE_BY_SIDE).map(|_| lane(seed, histories, &next, &failed, &opening));
    let mut all = Happened::default();
    for of in crate::expiry::join_all(lanes).await {
        let of = of?;
        all.bought += of.bought;
        all.refunded += of.refunded;
        all.transferred += of.transferred;
        all.reissued += of.reissued;
        all.canceled += of.canceled;
    }
    println!(
        "{histories} histories from seed {seed} in {:.0} s: every invariant held; {all:?}",
        begun.elapsed().as_secs_f64()
    );
    if histories >= 60 {
        let least = [all.bought, all.refunded, all.transferred, all.reissued, all.canceled].into_iter().min();
        assert!(least > Some(0), "something never happened: {all:?}");
    }
    Ok(())
}
