//! Money: refunds, and the books after any history.

use std::time::Duration;

use anyhow::Result;
use hvflvspot::jobs::{expire, reconcile};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::{Stage, text};

#[tokio::test]
async fn a_refund_revokes_the_tickets_and_frees_their_places() -> Result<()> {
    let stage = Stage::open(2).await?;
    let booking = stage.buy(2, Some("tok_always_succeeds")).await?.expect(201)?;
    let refunded = stage.refund(&booking).await?.expect(200)?;
    assert_eq!(
        (refunded["status"].as_str(), refunded["refunded"]["amount_minor"].as_i64()),
        (Some("refunded"), Some(5_300))
    );
    assert_eq!(refunded["tickets"][0]["state"], "refunded");
    assert_eq!(refunded["tickets"][0]["code"], Value::Null);
    assert_eq!(stage.counters().await?, (0, 0));
    let again = stage.refund(&booking).await?;
    assert_eq!((again.status.as_u16(), again.code()), (409, "already_refunded"));
    stage.buy(2, Some("tok_always_succeeds")).await?.expect(201)?;
    stage.audit().await
}

#[tokio::test]
async fn a_declined_refund_gives_the_tickets_back() -> Result<()> {
    let stage = Stage::open(2).await?;
    let booking = stage.buy(1, Some("tok_refund_declined")).await?.expect(201)?;
    let refused = stage.refund(&booking).await?;
    assert_eq!((refused.status.as_u16(), refused.code()), (422, "refund_declined"));
    let seen = stage.see(&booking).await?;
    assert_eq!(
        (seen["status"].as_str(), seen["tickets"][0]["state"].as_str()),
        (Some("paid"), Some("valid"))
    );
    assert_eq!(seen["tickets"][0]["code"], booking["tickets"][0]["code"]);
    assert_eq!(stage.counters().await?, (0, 1));
    stage.audit().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_refunds_give_the_money_back_once() -> Result<()> {
    let stage = Stage::open(2).await?;
    let booking = stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    let body = serde_json::json!({ "booking_id": booking["booking_id"] });
    let mut all = JoinSet::new();
    for _ in 0..8 {
        let request =
            stage.server.request(reqwest::Method::POST, "/payment/refund").bearer_auth(&stage.owner);
        all.spawn(support::server::send(request.json(&body)));
    }
    let mut done = 0;
    while let Some(reply) = all.join_next().await {
        let reply = reply??;
        match (reply.status.as_u16(), reply.code()) {
            (200, _) => done += 1,
            (409, "already_refunded" | "refund_in_flight") => {}
            _ => anyhow::bail!("{}", reply.text),
        }
    }
    assert_eq!(done, 1);
    stage.audit().await
}

#[tokio::test]
async fn who_may_not_refund_is_refused() -> Result<()> {
    let stage = Stage::open(5).await?;
    let me = crate::sign_up(&stage.server, "me@example.org").await?;
    let order = stage.order(1, Some("tok_always_succeeds"));
    let mine = stage.server.post_as(&me, "/tickets/purchase", &order).await?.expect(201)?;
    let body = serde_json::json!({ "booking_id": mine["booking_id"] });
    let refused = stage.server.post_as(&me, "/payment/refund", &body).await?;
    assert_eq!((refused.status.as_u16(), refused.code()), (403, "refund_not_allowed"));
    let path = format!("/organizer/events/{}/update", stage.event_id);
    let until = serde_json::json!({ "refundable_until": "2026-11-23T00:00:00Z" });
    stage.own(reqwest::Method::PUT, &path, until).await?;
    stage.server.post_as(&me, "/payment/refund", &body).await?.expect(200)?;
    assert_eq!(stage.server.post("/payment/refund", &body).await?.status.as_u16(), 401);
    stage.audit().await
}

#[tokio::test]
async fn the_books_balance_after_any_history() -> Result<()> {
    let stage = Stage::open(12).await?;
    let seed = 20_261_122;
    let mut rng = StdRng::seed_from_u64(seed);
    let mut bookings: Vec<Value> = Vec::new();
    let tokens = [
        "tok_always_succeeds",
        "tok_declined",
        "tok_error",
        "tok_timeout",
        "tok_refund_declined",
        "tok_random",
    ];
    for step in 0..150 {
        let token = tokens[rng.random_range(0..tokens.len())];
        let one = (!bookings.is_empty()).then(|| bookings[rng.random_range(0..bookings.len())].clone());
        match (rng.random_range(0..8), one) {
            (0..=2, _) | (_, None) => {
                let pay = rng.random_bool(0.6).then_some(token);
                let reply = stage.buy(rng.random_range(1..4), pay).await?;
                let booking = if reply.body["booking"].is_object() {
                    reply.body["booking"].clone()
                } else {
                    reply.body
                };
                if !text(&booking, "booking_id").is_empty() {
                    bookings.push(booking);
                }
            }
            (3, Some(booking)) => drop(stage.pay(&booking, token).await?),
            (4, Some(booking)) => drop(stage.refund(&booking).await?),
            (5, Some(booking)) => {
                let path = format!("/bookings/{}/cancel", text(&booking, "booking_id"));
                drop(support::server::send(stage.as_guest(reqwest::Method::POST, &path, &booking)).await?);
            }
            (6, _) => {
                stage.clock.advance(Duration::from_secs(rng.random_range(1..1_200)));
                expire::run(&stage.server.app).await?;
            }
            _ => reconcile::run(&stage.server.app).await?,
        }
        stage.audit().await.map_err(|e| e.context(format!("seed {seed}, step {step}")))?;
    }
    Ok(())
}
