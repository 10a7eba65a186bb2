//! Repeating a request: one effect, one answer.

use std::time::Duration;

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Executor as _;
use support::server::{Reply, send};
use tokio::task::JoinSet;

use crate::{Stage, sign_up, text};

const KEY: &str = "0192f0c1-0000-7000-8000-00000000abcd";

async fn post(stage: &Stage, path: &str, token: Option<&str>, key: &str, body: &Value) -> Result<Reply> {
    let mut request = stage.server.request(Method::POST, path).header("Idempotency-Key", key).json(body);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    send(request).await
}

#[tokio::test]
async fn the_same_key_and_body_get_the_same_answer_and_sell_once() -> Result<()> {
    let stage = Stage::open(10).await?;
    let order = stage.order(2, Some("tok_always_succeeds"));
    let first = post(&stage, "/tickets/purchase", None, KEY, &order).await?;
    let again = post(&stage, "/tickets/purchase", None, KEY, &order).await?;
    assert_eq!((first.status.as_u16(), first.header("idempotent-replayed")), (201, ""));
    assert_eq!((again.status.as_u16(), again.header("idempotent-replayed")), (201, "true"));
    assert_eq!(first.text, again.text, "to the letter, the secret too");
    assert_eq!(stage.counters().await?, (0, 2));
    stage.quiet().await?;
    let stored: Vec<u8> = sqlx::query_scalar("select answer_sealed from idempotency_keys")
        .fetch_one(&mut stage.owner_connection().await?)
        .await?;
    let secret = text(&first.body, "booking_secret");
    assert!(
        !String::from_utf8_lossy(&stored).contains(&secret),
        "the secret is not readable in the database"
    );
    Ok(())
}

#[tokio::test]
async fn another_body_another_caller_and_a_short_key() -> Result<()> {
    let stage = Stage::open(10).await?;
    let order = stage.order(1, Some("tok_always_succeeds"));
    let path = "/tickets/purchase";
    post(&stage, path, None, KEY, &order).await?.expect(201)?;
    let other = post(&stage, path, None, KEY, &stage.order(2, Some("tok_always_succeeds"))).await?;
    assert_eq!((other.status.as_u16(), other.code()), (422, "idempotency_key_reused"));
    let me = sign_up(&stage.server, "me@example.org").await?;
    let mine = post(&stage, path, Some(&me), KEY, &order).await?;
    assert_eq!((mine.status.as_u16(), mine.header("idempotent-replayed")), (201, ""), "another caller's key");
    let guessable = post(&stage, path, None, "1", &order).await?;
    assert_eq!((guessable.status.as_u16(), guessable.code()), (400, "invalid_idempotency_key"));
    assert_eq!(stage.counters().await?, (0, 2));
    Ok(())
}

#[tokio::test]
async fn refusals_are_repeated_too_but_not_those_that_say_not_now() -> Result<()> {
    let stage = Stage::open(1).await?;
    let declined = stage.order(1, Some("tok_declined"));
    let first = post(&stage, "/tickets/purchase", None, KEY, &declined).await?;
    let again = post(&stage, "/tickets/purchase", None, KEY, &declined).await?;
    assert_eq!((first.status.as_u16(), first.text == again.text), (422, true));
    assert_eq!(stage.counters().await?, (1, 0));
    // A provider that fails: the key is free again, and the same booking is tried once more.
    let stage = Stage::open(1).await?;
    let error = stage.order(1, Some("tok_error"));
    let first = post(&stage, "/tickets/purchase", None, KEY, &error).await?;
    let again = post(&stage, "/tickets/purchase", None, KEY, &error).await?;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (503, 503));
    assert_eq!(first.body["booking"]["booking_id"], again.body["booking"]["booking_id"]);
    assert_eq!(stage.counters().await?, (1, 0));
    stage.audit().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_key_used_by_many_at_once_sells_once() -> Result<()> {
    let stage = Stage::open(10).await?;
    let order = stage.order(1, Some("tok_always_succeeds"));
    let mut all = JoinSet::new();
    for _ in 0..20 {
        let request = stage.server.request(Method::POST, "/tickets/purchase").header("Idempotency-Key", KEY);
        all.spawn(send(request.json(&order)));
    }
    let mut answers = std::collections::BTreeSet::new();
    while let Some(reply) = all.join_next().await {
        let reply = reply??;
        match (reply.status.as_u16(), reply.code()) {
            (201, _) => drop(answers.insert(reply.text)),
            (409, "request_in_flight") => {}
            _ => anyhow::bail!("{}", reply.text),
        }
    }
    assert_eq!(answers.len(), 1);
    assert_eq!(stage.counters().await?, (0, 1));
    stage.audit().await
}

/// What a crash between the effect and the stored answer leaves: the effect, and a key in flight.
async fn forget_the_answer(stage: &Stage) -> Result<()> {
    // It is kept in the background.
    stage.quiet().await?;
    let until = crate::now() + time::Duration::seconds(60);
    sqlx::query("update idempotency_keys set leased_until = $1, status = null, answer_sealed = null")
        .bind(until)
        .execute(&mut stage.owner_connection().await?)
        .await?;
    Ok(())
}

#[tokio::test]
async fn after_a_crash_whoever_repeats_the_purchase_gets_the_same_booking() -> Result<()> {
    for token in [None, Some("tok_always_succeeds"), Some("tok_declined"), Some("tok_timeout")] {
        let stage = Stage::open(10).await?;
        let order = stage.order(1, token);
        let first = post(&stage, "/tickets/purchase", None, KEY, &order).await?;
        forget_the_answer(&stage).await?;
        let early = post(&stage, "/tickets/purchase", None, KEY, &order).await?;
        assert_eq!((early.status.as_u16(), early.code()), (409, "request_in_flight"), "the lease still runs");
        stage.clock.advance(Duration::from_secs(61));
        let again = post(&stage, "/tickets/purchase", None, KEY, &order).await?;
        let booking = |reply: &Reply| {
            let body = if reply.body["booking"].is_object() { &reply.body["booking"] } else { &reply.body };
            (text(body, "booking_id"), text(body, "booking_secret"))
        };
        assert_eq!(booking(&first), booking(&again), "{token:?}");
        if token == Some("tok_timeout") {
            assert_eq!((first.status.as_u16(), again.status.as_u16()), (202, 201), "asked again, it is paid");
        } else {
            assert_eq!((first.status, first.code()), (again.status, again.code()), "{token:?}");
        }
        let bookings: i64 = sqlx::query_scalar("select count(*) from bookings")
            .fetch_one(&mut stage.owner_connection().await?)
            .await?;
        assert_eq!(bookings, 1, "{token:?}");
        stage.audit().await?;
    }
    Ok(())
}

#[tokio::test]
async fn after_a_crash_before_the_payment_whoever_repeats_it_pays_once() -> Result<()> {
    let stage = Stage::open(10).await?;
    let order = stage.order(1, Some("tok_always_succeeds"));
    post(&stage, "/tickets/purchase", None, KEY, &order).await?.expect(201)?;
    // As if we had died between the hold and the provider's answer.
    stage
        .owner_connection()
        .await?
        .execute(
            "delete from tickets; delete from audit; delete from manifest_changes where length(rows) > 0;
             update bookings set status = 'held', paid_at = null, payment_until = held_until;
             update transactions set status = 'pending', completed_at = null, next_attempt_at = now();
             update quotas set held = held + sold, sold = 0;
             delete from ledger;",
        )
        .await?;
    forget_the_answer(&stage).await?;
    stage.clock.advance(Duration::from_secs(61));
    let again = post(&stage, "/tickets/purchase", None, KEY, &order).await?.expect(201)?;
    assert_eq!(
        (again["status"].as_str(), again["tickets"].as_array().map(Vec::len)),
        (Some("paid"), Some(1))
    );
    assert_eq!(stage.counters().await?, (0, 1));
    stage.audit().await
}

#[tokio::test]
async fn refunds_payments_and_cancels_are_repeated_without_harm() -> Result<()> {
    let stage = Stage::open(10).await?;
    let held = stage.buy(1, None).await?.expect(201)?;
    let pay = json!({ "booking_id": held["booking_id"], "payment": { "method": "simulated", "token": "tok_always_succeeds" } });
    let request =
        || stage.as_guest(Method::POST, "/payment/process", &held).header("Idempotency-Key", "p").json(&pay);
    let (first, again) = (send(request()).await?, send(request()).await?);
    assert_eq!((first.status.as_u16(), first.text == again.text), (200, true), "{}", again.text);
    let body = json!({ "booking_id": held["booking_id"] });
    let first = post(&stage, "/payment/refund", Some(&stage.owner), "r", &body).await?;
    forget_the_answer(&stage).await?;
    stage.clock.advance(Duration::from_secs(61));
    let again = post(&stage, "/payment/refund", Some(&stage.owner), "r", &body).await?;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (200, 200), "{}", again.text);
    let held = stage.buy(1, None).await?.expect(201)?;
    let path = format!("/bookings/{}/cancel", text(&held, "booking_id"));
    let request = || stage.as_guest(Method::POST, &path, &held).header("Idempotency-Key", "c");
    let first = send(request()).await?;
    forget_the_answer(&stage).await?;
    stage.clock.advance(Duration::from_secs(121));
    let again = send(request()).await?;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (200, 200), "{}", again.text);
    stage.audit().await
}
