//! Payments for which the buyer has something to do first, by the simulated gateway.

use std::time::Duration;

use anyhow::Result;
use hvflvspot::jobs::{expire, reconcile};
use reqwest::Method;
use support::server::send;

use crate::{Stage, text};

#[tokio::test]
async fn a_payment_that_needs_its_buyer_holds_the_tickets_and_goes_on_when_the_buyer_is_back() -> Result<()> {
    let stage = Stage::open(2).await?;
    let booking = stage.buy(1, Some("tok_requires_action")).await?.expect(202)?;
    assert_eq!(booking["status"], "held");
    assert_eq!(booking["transaction"]["next_action"]["type"], "simulated");
    assert_ne!(text(&booking["transaction"]["next_action"], "client_secret"), "");
    // The buyer sees it again; the organizer does not.
    let seen = stage.see(&booking).await?;
    assert_eq!(seen["transaction"]["next_action"], booking["transaction"]["next_action"]);
    let path = format!("/bookings/{}", text(&booking, "booking_id"));
    let staff = stage.server.get_as(&stage.owner, &path).await?.expect(200)?;
    assert_eq!(staff["transaction"]["next_action"], serde_json::Value::Null);
    // In the same tab, in another, by a reload: it is one payment.
    let paid = stage.pay(&booking, "tok_requires_action").await?.expect(200)?;
    assert_eq!((paid["status"].as_str(), paid["tickets"].as_array().map(Vec::len)), (Some("paid"), Some(1)));
    assert_eq!(paid["transaction"]["next_action"], serde_json::Value::Null);
    assert_eq!(stage.pay(&booking, "tok_requires_action").await?.code(), "already_paid");
    stage.audit().await
}

#[tokio::test]
async fn who_fails_at_the_bank_may_try_again_and_who_comes_back_with_another_card_pays_by_that() -> Result<()>
{
    let stage = Stage::open(2).await?;
    let booking = stage.buy(1, Some("tok_action_failed")).await?.expect(202)?;
    let refused = stage.pay(&booking, "tok_action_failed").await?;
    assert_eq!((refused.status.as_u16(), refused.code()), (422, "payment_declined"));
    assert_eq!(refused.body["decline_code"], "authentication_failed");
    let waiting = stage.pay(&booking, "tok_action_abandoned").await?.expect(202)?;
    assert_eq!(waiting["transaction"]["status"], "pending");
    let paid = stage.pay(&booking, "tok_always_succeeds").await?.expect(200)?;
    assert_eq!(paid["status"], "paid");
    let history = stage.server.get_as(&stage.owner, "/payment/history").await?;
    assert_eq!(history.status.as_u16(), 200);
    let mut owner = stage.owner_connection().await?;
    let words: Vec<String> =
        sqlx::query_scalar("select coalesce(failed_by, status) from transactions order by 1")
            .fetch_all(&mut owner)
            .await?;
    assert_eq!(words, ["canceled", "completed", "decline"]);
    stage.audit().await
}

#[tokio::test]
async fn who_gives_up_does_not_pay_and_an_abandoned_payment_ends_with_its_hold() -> Result<()> {
    let stage = Stage::open(2).await?;
    let given_up = stage.buy(1, Some("tok_action_abandoned")).await?.expect(202)?;
    let path = format!("/bookings/{}/cancel", text(&given_up, "booking_id"));
    let gone = send(stage.as_guest(Method::POST, &path, &given_up)).await?.expect(200)?;
    assert_eq!(
        (gone["status"].as_str(), gone["transaction"]["status"].as_str()),
        (Some("canceled"), Some("failed"))
    );
    let left = stage.buy(1, Some("tok_action_abandoned")).await?.expect(202)?;
    stage.clock.advance(Duration::from_secs(16 * 60));
    reconcile::run(&stage.server.app).await?;
    expire::run(&stage.server.app).await?;
    assert_eq!(stage.see(&left).await?["status"], "held", "the bank has half an hour");
    stage.clock.advance(Duration::from_secs(15 * 60));
    reconcile::run(&stage.server.app).await?;
    expire::run(&stage.server.app).await?;
    let seen = stage.see(&left).await?;
    assert_eq!(
        (seen["status"].as_str(), seen["transaction"]["failed_by"].as_str()),
        (Some("expired"), Some("canceled"))
    );
    assert_eq!(stage.counters().await?, (0, 0));
    stage.audit().await
}

#[tokio::test]
async fn a_providers_trouble_is_told_apart_from_a_refusal_and_the_same_request_may_come_again() -> Result<()>
{
    let stage = Stage::open(2).await?;
    let booking = stage.buy(1, None).await?.expect(201)?;
    let body = serde_json::json!({
        "booking_id": booking["booking_id"], "payment": { "method": "simulated", "token": "tok_error" },
    });
    for _ in 0..3 {
        let request = stage.as_guest(Method::POST, "/payment/process", &booking).json(&body);
        let reply = send(request.header("Idempotency-Key", "one-and-the-same")).await?;
        assert_eq!((reply.status.as_u16(), reply.code()), (503, "payment_provider_error"));
    }
    let seen = stage.see(&booking).await?;
    assert_eq!(seen["transaction"]["failed_by"], "provider");
    let paid = stage.buy(1, Some("tok_refund_error")).await?.expect(201)?;
    for _ in 0..2 {
        let body = serde_json::json!({ "booking_id": paid["booking_id"] });
        let request =
            stage.server.request(Method::POST, "/payment/refund").bearer_auth(&stage.owner).json(&body);
        let reply = send(request.header("Idempotency-Key", "one-refund")).await?;
        assert_eq!((reply.status.as_u16(), reply.code()), (503, "payment_provider_error"));
    }
    assert_eq!(stage.see(&paid).await?["tickets"][0]["state"], "valid");
    stage.audit().await
}
