//! The clock: holds that run out, payments that come late, races between both.

use std::time::Duration;

use anyhow::Result;
use hvflvspot::jobs::{expire, reconcile};
use reqwest::Method;
use support::server::send;

use crate::{Stage, text};

#[tokio::test]
async fn a_hold_that_runs_out_gives_its_tickets_back() -> Result<()> {
    let stage = Stage::open(1).await?;
    let booking = stage.buy(1, None).await?.expect(201)?;
    assert_eq!(stage.buy(1, None).await?.code(), "sold_out");
    stage.clock.advance(Duration::from_secs(15 * 60));
    let late = stage.pay(&booking, "tok_always_succeeds").await?;
    assert_eq!((late.status.as_u16(), late.code()), (410, "hold_expired"), "by the clock, before the job");
    expire::run(&stage.server.app).await?;
    assert_eq!(stage.see(&booking).await?["status"], "expired");
    assert_eq!(stage.counters().await?, (0, 0));
    stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    assert_eq!(stage.pay(&booking, "tok_always_succeeds").await?.code(), "hold_expired");
    stage.audit().await
}

#[tokio::test]
async fn a_hold_is_extended_once_and_can_be_given_up() -> Result<()> {
    let stage = Stage::open(1).await?;
    let booking = stage.buy(1, None).await?.expect(201)?;
    let path = |verb: &str| format!("/bookings/{}/{verb}", text(&booking, "booking_id"));
    let extended = send(stage.as_guest(Method::POST, &path("extend"), &booking)).await?.expect(200)?;
    assert_ne!(extended["held_until"], booking["held_until"]);
    let again = send(stage.as_guest(Method::POST, &path("extend"), &booking)).await?;
    assert_eq!((again.status.as_u16(), again.code()), (409, "already_extended"));
    stage.clock.advance(Duration::from_secs(20 * 60));
    expire::run(&stage.server.app).await?;
    assert_eq!(stage.counters().await?, (1, 0), "the longer time counts");
    let gone = send(stage.as_guest(Method::POST, &path("cancel"), &booking)).await?.expect(200)?;
    assert_eq!((gone["status"].as_str(), stage.counters().await?), (Some("canceled"), (0, 0)));
    assert_eq!(stage.pay(&booking, "tok_always_succeeds").await?.code(), "booking_canceled");
    stage.audit().await
}

#[tokio::test]
async fn a_hold_waits_for_a_payment_in_flight_and_the_reconcile_job_closes_it() -> Result<()> {
    let stage = Stage::open(1).await?;
    let booking = stage.buy(1, Some("tok_timeout")).await?.expect(202)?;
    assert_eq!(booking["status"], "held");
    stage.clock.advance(Duration::from_secs(20 * 60));
    expire::run(&stage.server.app).await?;
    assert_eq!(stage.counters().await?, (1, 0), "its payment is in flight");
    let path = format!("/bookings/{}/cancel", text(&booking, "booking_id"));
    assert_eq!(send(stage.as_guest(Method::POST, &path, &booking)).await?.code(), "payment_in_flight");
    reconcile::run(&stage.server.app).await?;
    let seen = stage.see(&booking).await?;
    assert_eq!((seen["status"].as_str(), seen["tickets"].as_array().map(Vec::len)), (Some("paid"), Some(1)));
    reconcile::run(&stage.server.app).await?;
    stage.audit().await
}

#[tokio::test]
async fn a_payment_that_comes_after_the_hold_gets_the_tickets_if_there_are_any_else_its_money_back()
-> Result<()> {
    for sold_meanwhile in [false, true] {
        let stage = Stage::open(1).await?;
        let booking = stage.buy(1, Some("tok_timeout")).await?.expect(202)?;
        // Longer than any hold waits.
        stage.clock.advance(Duration::from_secs(31 * 60));
        expire::run(&stage.server.app).await?;
        assert_eq!(stage.see(&booking).await?["status"], "expired");
        if sold_meanwhile {
            stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
        }
        reconcile::run(&stage.server.app).await?;
        reconcile::run(&stage.server.app).await?;
        let seen = stage.see(&booking).await?;
        if sold_meanwhile {
            assert_eq!(seen["status"], "expired");
            assert_eq!(seen["transaction"]["type"], "refund");
            assert_eq!(seen["transaction"]["status"], "completed");
        } else {
            assert_eq!(seen["status"], "paid");
        }
        assert_eq!(stage.counters().await?, (0, 1));
        stage.audit().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn expiry_and_payment_race_and_one_of_them_wins_wholly() -> Result<()> {
    let stage = Stage::open(40).await?;
    let mut bookings = Vec::new();
    for _ in 0..40 {
        bookings.push(stage.buy(1, None).await?.expect(201)?);
    }
    // Half of them run out in this very moment; paying looks at the same clock.
    stage.clock.advance(Duration::from_secs(15 * 60 - 1));
    let pays = bookings.iter().map(|b| stage.pay(b, "tok_always_succeeds"));
    let mut paid = 0;
    let expiring = async {
        stage.clock.advance(Duration::from_secs(1));
        for _ in 0..5 {
            expire::run(&stage.server.app).await?;
        }
        anyhow::Ok(())
    };
    let (replies, expired) = tokio::join!(join_all(pays), expiring);
    expired?;
    for reply in replies {
        let reply = reply?;
        match (reply.status.as_u16(), reply.code()) {
            (200, _) => paid += 1,
            (410, "hold_expired") => {}
            _ => anyhow::bail!("{}", reply.text),
        }
    }
    assert_eq!(stage.counters().await?, (0, paid));
    stage.audit().await
}

/// Waits for all of them, side by side.
pub async fn join_all<F: Future>(all: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut pending: Vec<_> = all.into_iter().map(|f| (Box::pin(f), None)).collect();
    std::future::poll_fn(move |cx| {
        let mut waiting = false;
        for (future, done) in &mut pending {
            if done.is_none() {
                match future.as_mut().poll(cx) {
                    std::task::Poll::Ready(output) => *done = Some(output),
                    std::task::Poll::Pending => waiting = true,
                }
            }
        }
        if waiting {
            std::task::Poll::Pending
        } else {
            std::task::Poll::Ready(pending.iter_mut().filter_map(|(_, done)| done.take()).collect())
        }
    })
    .await
}
