//! What breaks around a sale: a provider that hangs, a connection that is cut at the commit, two servers in each other's
//! way.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use hvflvspot::app::AppState;
use hvflvspot::clock::SharedRng;
use hvflvspot::jobs::reconcile;
use hvflvspot::selling::purchase::{PurchaseError, purchase};
use hvflvspot::store::{Db, Endpoint};
use reqwest::Method;
use serde_json::json;
use sqlx::Executor as _;
use support::server::send;
use support::stripe_double::Quirk;
use support::until;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::late::waits_for_a_lock;
use crate::offers::order_of;
use crate::{Stage, sign_up};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_provider_that_hangs_for_one_organizer_holds_up_nobody_else() -> Result<()> {
    let (mut stage, double) = Stage::stripe(2).await?;
    let refunded = stage.buy_by_card(1, "pm_card_visa").await?.expect(201)?;
    double.next_call("POST /v1/refunds", Quirk::LoseAnswer);
    stage.refund(&refunded).await?.expect(202)?;
    // Another organizer, who comes later in the order.
    stage.owner = sign_up(&stage.server, "second@example.org").await?;
    let profile = json!({ "name": "Second", "contact_email": "second@example.org" });
    stage.own(Method::PUT, "/organizer/profile", profile).await?;
    stage.event_id = stage.event("Second concert").await?;
    stage.ticket_type_id = stage.ticket_type(&stage.event_id, 2_500, 2).await?;
    stage.own(Method::POST, &format!("/organizer/events/{}/publish", stage.event_id), json!({})).await?;
    double.next_call("POST /v1/payment_intents", Quirk::LoseAnswer);
    let booking = stage.buy_by_card(1, "pm_card_visa").await?.expect(202)?;
    stage.clock.advance(Duration::from_secs(61));
    double.next_call("POST /v1/refunds", Quirk::Late(Duration::from_secs(60)));
    let app = stage.server.app.clone();
    let run = tokio::spawn(async move { reconcile::run(&app).await });
    until("paid, beside a provider that does not answer", async || {
        Ok(stage.see(&booking).await?["status"] == "paid")
    })
    .await?;
    assert!(!run.is_finished(), "the other's provider has not answered yet");
    run.abort();
    Ok(())
}

/// A database's socket that cuts the connection at the next COMMIT.
struct Wire {
    db: Endpoint,
    /// What it does: 0 nothing, 1 cut before the COMMIT is heard, 2 cut before its answer is.
    armed: Arc<AtomicU8>,
    serving: JoinHandle<()>,
    dir: PathBuf,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.serving.abort();
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

impl Wire {
    fn to(stage: &Stage, name: &str) -> Result<Self> {
        let real = stage.server.db.endpoint.socket_dir().context("a socket")?.join(".s.PGSQL.5432");
        let dir = std::env::temp_dir().join(format!("hvflvspot-wire-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        let listener = UnixListener::bind(dir.join(".s.PGSQL.5432"))?;
        let armed: Arc<AtomicU8> = Arc::default();
        let trigger = Arc::clone(&armed);
        let serving = tokio::spawn(async move {
            let mut all = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (real, trigger) = (real.clone(), Arc::clone(&trigger));
                all.spawn(async move {
                    if let Ok(server) = UnixStream::connect(real).await {
                        carry(client, server, &trigger).await;
                    }
                });
            }
        });
        let db = Endpoint::private(&dir, stage.server.db.endpoint.database_name());
        Ok(Self { db, armed, serving, dir })
    }
}

/// Carries bytes both ways until one side ends, or the wire is cut.
async fn carry(mut client: UnixStream, mut server: UnixStream, trigger: &AtomicU8) {
    let (mut up, mut down) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let Ok(n @ 1..) = read else { return };
                // A simple query: its tag, four bytes of length, its text.
                let is_commit = up[0] == b'Q' && up[..n].windows(6).any(|w| w == b"COMMIT");
                let cut = if is_commit { trigger.swap(0, Ordering::SeqCst) } else { 0 };
                if cut == 1 || server.write_all(&up[..n]).await.is_err() {
                    return;
                }
                if cut == 2 {
                    // It is durable once it is answered, and nobody hears that.
                    let _ = server.read(&mut down).await;
                    return;
                }
            }
            read = server.read(&mut down) => {
                let Ok(n @ 1..) = read else { return };
                if client.write_all(&down[..n]).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn server_behind(stage: &Stage, wire: &Wire) -> Result<AppState> {
    let (app, db) = (&stage.server.app, Db::connect(&wire.db, 8).await?);
    let (clock, rng) = (Arc::new(stage.clock.clone()), SharedRng::seeded(77));
    AppState::new(app.config.clone(), db, app.master_key.clone(), clock, rng).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hold_whose_commit_was_not_heard_of_is_held_once() -> Result<()> {
    for (cut, several) in [(1, 1), (2, 1), (1, 6), (2, 6)] {
        let stage = Stage::open(20).await?;
        let wire = Wire::to(&stage, &format!("{cut}-{several}"))?;
        let app = server_behind(&stage, &wire).await?;
        // Prices are in memory from here on: the next commit is a hold's.
        purchase(&app, order_of(&stage, &app, "first@example.org", 1, None)?).await?;
        wire.armed.store(cut, Ordering::SeqCst);
        let mut all = JoinSet::new();
        for n in 0..several {
            let (app, order) = (app.clone(), order_of(&stage, &app, &format!("p{n}@example.org"), 1, None)?);
            all.spawn(async move { purchase(&app, order).await });
        }
        while let Some(done) = all.join_next().await {
            done??;
        }
        assert_eq!(wire.armed.load(Ordering::SeqCst), 0, "it was cut");
        assert_eq!(stage.counters().await?, (1 + i64::from(several), 0), "cut {cut}, {several} at once");
        stage.audit().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sale_that_lost_a_deadlock_is_tried_again() -> Result<()> {
    let stage = Stage::open(5).await?;
    stage.change(json!({ "max_per_person": 4 })).await?;
    stage.buy(1, None).await?.expect(201)?;
    let mut other = stage.server.db.superuser().await?;
    // Whoever looks for deadlocks first is the one who dies: not this one.
    other.execute("set deadlock_timeout = '1min'; begin; select from quotas for update").await?;
    let order = stage.order(1, None);
    let buying = tokio::spawn(send(stage.server.request(Method::POST, "/tickets/purchase").json(&order)));
    waits_for_a_lock(&stage).await?;
    // The buyer has the person's row and waits for the quota, which we have, and we for the person.
    other.execute("update claim_locks set seen_at = seen_at").await?;
    other.execute("commit").await?;
    buying.await??.expect(201)?;
    assert_eq!(stage.counters().await?, (2, 0));
    stage.audit().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_servers_that_sell_limit_and_give_back_at_once_break_nothing() -> Result<()> {
    let stage = Stage::open(60).await?;
    stage.change(json!({ "max_per_person": 6 })).await?;
    stage.code(json!({ "code": "MANY", "percent_bp": 1_000, "max_uses": 20 })).await?;
    let servers = crate::offers::servers(&stage, 2).await?;
    let mut paid = Vec::new();
    for _ in 0..5 {
        paid.push(stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?);
    }
    let mut selling = JoinSet::new();
    for n in 0..60 {
        let app = servers[n % 2].clone();
        let code = (n % 3 == 0).then_some("MANY");
        let order = order_of(&stage, &app, &format!("p{}@example.org", n % 7), 1, code)?;
        selling.spawn(async move { purchase(&app, order).await });
    }
    let mut giving = JoinSet::new();
    for booking in paid {
        let body = json!({ "booking_id": booking["booking_id"] });
        let request = stage.server.request(Method::POST, "/payment/refund").bearer_auth(&stage.owner);
        giving.spawn(send(request.json(&body)));
    }
    for _ in 0..20 {
        let order = stage.order(1, Some("tok_always_succeeds"));
        giving.spawn(send(stage.server.request(Method::POST, "/tickets/purchase").json(&order)));
    }
    while let Some(reply) = giving.join_next().await {
        let reply = reply??;
        let retried = !reply.header("retry-after").is_empty();
        assert!(!reply.status.is_server_error() || retried, "{} {}", reply.status, reply.text);
    }
    let mut held = 0;
    while let Some(one) = selling.join_next().await {
        match one? {
            Ok(_) => held += 1,
            Err(PurchaseError::Step(e)) => return Err(e.into()),
            // Sold out, used up, or more than one person may have.
            Err(_) => {}
        }
    }
    assert!(held > 0);
    stage.quiet().await?;
    stage.audit().await
}
