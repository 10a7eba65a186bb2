//! Paying through Stripe, against the double of its contract: one charge, whatever breaks.

use std::time::Duration;

use anyhow::Result;
use hvflvspot::jobs::{expire, reconcile};
use reqwest::Method;
use serde_json::json;
use support::server::send;
use support::stripe_double::Quirk;
use tokio::task::JoinSet;

use crate::{Stage, text};

#[tokio::test]
async fn a_purchase_by_card_is_paid_and_refunded_and_both_books_agree() -> Result<()> {
    let (stage, double) = Stage::stripe(3).await?;
    let booking = stage.buy_by_card(2, "pm_card_visa").await?.expect(201)?;
    assert_eq!(
        (booking["status"].as_str(), booking["tickets"].as_array().map(Vec::len)),
        (Some("paid"), Some(2))
    );
    stage.agrees_with(&double).await?;
    let part = json!({ "items": [{ "ticket_id": booking["tickets"][0]["ticket_id"] }] });
    stage.refund_part(&booking, part).await?.expect(200)?;
    stage.agrees_with(&double).await?;
    stage.refund(&booking).await?.expect(200)?;
    assert_eq!(double.moved()[0].refunded, 5_300);
    stage.agrees_with(&double).await?;
    // Nobody gets tickets for play money where real money is taken.
    let free = stage.buy(1, Some("tok_always_succeeds")).await?;
    assert_eq!((free.status.as_u16(), free.code()), (422, "invalid_fields"));
    Ok(())
}

#[tokio::test]
async fn refused_cards_are_told_by_their_reason_and_cannot_be_charged_later() -> Result<()> {
    let (stage, double) = Stage::stripe(4).await?;
    for (card, code) in [
        ("pm_card_chargeDeclined", "card_declined"),
        ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card"),
        ("tok_from_elsewhere", "invalid_token"),
    ] {
        let reply = stage.buy_by_card(1, card).await?;
        assert_eq!((reply.status.as_u16(), reply.code()), (422, "payment_declined"), "{}", reply.text);
        assert_eq!(reply.body["decline_code"], code);
        let paid = stage.pay_by_card(&reply.body["booking"], "pm_card_visa").await?;
        assert_eq!(paid.expect(200)?["status"], "paid");
    }
    assert!(
        double.moved().iter().all(|m| m.status == "succeeded" || m.status == "canceled"),
        "{:?}",
        double.moved()
    );
    stage.agrees_with(&double).await
}

#[tokio::test]
async fn answers_that_are_lost_or_late_charge_once() -> Result<()> {
    let (stage, double) = Stage::stripe(5).await?;
    double.next_call("POST /v1/payment_intents", Quirk::LoseAnswer);
    let booking = stage.buy_by_card(1, "pm_card_visa").await?.expect(202)?;
    assert_eq!(booking["status"], "held");
    stage.clock.advance(Duration::from_secs(61));
    reconcile::run(&stage.server.app).await?;
    assert_eq!(stage.see(&booking).await?["status"], "paid");
    stage.agrees_with(&double).await?;
    // The refund's answer, too.
    double.next_call("POST /v1/refunds", Quirk::LoseAnswer);
    stage.refund(&booking).await?.expect(202)?;
    stage.clock.advance(Duration::from_secs(61));
    reconcile::run(&stage.server.app).await?;
    assert_eq!(stage.see(&booking).await?["status"], "refunded");
    // While one call is at work under the key another gets 409 there: both end in one charge.
    double.next_call("POST /v1/payment_intents", Quirk::Late(Duration::from_millis(400)));
    let order = stage.card_order(1, "pm_card_visa");
    let slow = stage.server.post("/tickets/purchase", &order);
    let job = async {
        double.called("POST /v1/payment_intents").await?;
        stage.clock.advance(Duration::from_secs(61));
        reconcile::run(&stage.server.app).await
    };
    let (slow, job) = tokio::join!(slow, job);
    job?;
    assert_eq!(slow?.expect(201)?["status"], "paid");
    double.next_call("POST /v1/payment_intents", Quirk::Refuse(500));
    let broken = stage.buy_by_card(1, "pm_card_visa").await?.expect(202)?;
    stage.clock.advance(Duration::from_secs(61));
    reconcile::run(&stage.server.app).await?;
    assert_eq!(stage.see(&broken).await?["status"], "paid", "nobody knew, so it was asked again");
    stage.agrees_with(&double).await
}

#[tokio::test]
async fn a_provider_that_refuses_us_charges_nobody_and_says_so() -> Result<()> {
    let (stage, double) = Stage::stripe(2).await?;
    double.next_call("POST /v1/payment_intents", Quirk::Refuse(429));
    let busy = stage.buy_by_card(1, "pm_card_visa").await?;
    assert_eq!((busy.status.as_u16(), busy.code()), (503, "payment_provider_error"));
    let booking = &busy.body["booking"];
    assert_eq!(stage.see(booking).await?["transaction"]["failed_by"], "provider");
    stage.pay_by_card(booking, "pm_card_visa").await?.expect(200)?;
    double.next_call("POST /v1/refunds", Quirk::Refuse(401));
    let refused = stage.refund(booking).await?;
    assert_eq!((refused.status.as_u16(), refused.code()), (503, "payment_provider_error"));
    assert_eq!(stage.see(booking).await?["tickets"][0]["state"], "valid");
    stage.agrees_with(&double).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn double_clicks_two_tabs_and_the_back_button_charge_once() -> Result<()> {
    let (stage, double) = Stage::stripe(4).await?;
    // A double click: the same request twice at once, under one key.
    let mut clicks = JoinSet::new();
    for _ in 0..4 {
        let order = stage.card_order(1, "pm_card_visa");
        let request = stage.server.request(Method::POST, "/tickets/purchase").json(&order);
        clicks.spawn(send(request.header("Idempotency-Key", "0192f0c1-click-click-click")));
    }
    let mut booked = Vec::new();
    while let Some(reply) = clicks.join_next().await {
        let reply = reply??;
        match (reply.status.as_u16(), reply.code()) {
            (201, _) => booked.push(text(&reply.body, "booking_id")),
            (409, "request_in_flight") => {}
            _ => anyhow::bail!("{}", reply.text),
        }
    }
    booked.dedup();
    assert_eq!(booked.len(), 1);
    // Two tabs: two requests for one booking, each with its own key.
    let held = stage.buy(1, None).await?.expect(201)?;
    let tabs = (0..4).map(|_| stage.pay_by_card(&held, "pm_card_visa"));
    let mut paid = 0;
    for reply in futures_of(tabs).await {
        let reply = reply?;
        match (reply.status.as_u16(), reply.code()) {
            (200, _) => paid += 1,
            (409, "payment_in_flight" | "already_paid") => {}
            _ => anyhow::bail!("{}", reply.text),
        }
    }
    assert_eq!(paid, 1);
    // The back button: the same form once more, when it is paid.
    assert_eq!(stage.pay_by_card(&held, "pm_card_visa").await?.code(), "already_paid");
    assert_eq!(double.moved().len(), 2);
    stage.agrees_with(&double).await
}

#[tokio::test]
async fn three_d_secure_waits_for_the_buyer_and_fails_or_succeeds_there() -> Result<()> {
    let (stage, double) = Stage::stripe(3).await?;
    let booking = stage.buy_by_card(1, "pm_card_threeDSecure2Required").await?.expect(202)?;
    let action = &booking["transaction"]["next_action"];
    assert_eq!(
        (action["type"].as_str(), action["publishable_key"].as_str()),
        (Some("use_stripe_sdk"), Some("pk_test_double"))
    );
    assert!(text(action, "client_secret").starts_with("pi_"));
    let still = stage.pay_by_card(&booking, "pm_card_threeDSecure2Required").await?.expect(202)?;
    assert_eq!(
        still["transaction"]["next_action"], *action,
        "asked before the buyer acted: it is the same payment"
    );
    let intent = double.moved()[0].intent.clone();
    double.act(&intent, false);
    let failed = stage.pay_by_card(&booking, "pm_card_threeDSecure2Required").await?;
    assert_eq!(
        (failed.status.as_u16(), failed.body["decline_code"].as_str()),
        (422, Some("payment_intent_authentication_failure"))
    );
    assert_eq!(double.moved()[0].status, "canceled", "the script in the browser cannot pay it any more");
    stage.pay_by_card(&booking, "pm_card_threeDSecure2Required").await?.expect(202)?;
    let intent = double.moved()[1].intent.clone();
    double.act(&intent, true);
    let paid = stage.pay_by_card(&booking, "pm_card_threeDSecure2Required").await?.expect(200)?;
    assert_eq!(paid["status"], "paid");
    // Who was quicker at the bank than at the cancel button has paid.
    let other = stage.buy_by_card(1, "pm_card_threeDSecure2Required").await?.expect(202)?;
    double.act(&double.moved()[2].intent.clone(), true);
    let path = format!("/bookings/{}/cancel", text(&other, "booking_id"));
    let late = send(stage.as_guest(Method::POST, &path, &other)).await?;
    assert_eq!((late.status.as_u16(), late.code()), (409, "already_paid"));
    stage.agrees_with(&double).await
}

#[tokio::test]
async fn a_payment_that_comes_after_the_hold_takes_what_is_free_or_goes_back() -> Result<()> {
    for sold_meanwhile in [false, true] {
        let (stage, double) = Stage::stripe(1).await?;
        double.next_call("POST /v1/payment_intents", Quirk::LoseAnswer);
        let booking = stage.buy_by_card(1, "pm_card_visa").await?.expect(202)?;
        stage.clock.advance(Duration::from_secs(31 * 60));
        expire::run(&stage.server.app).await?;
        if sold_meanwhile {
            stage.buy_by_card(1, "pm_card_visa").await?.expect(201)?;
        }
        reconcile::run(&stage.server.app).await?;
        reconcile::run(&stage.server.app).await?;
        let seen = stage.see(&booking).await?;
        assert_eq!(seen["status"], if sold_meanwhile { "expired" } else { "paid" });
        assert_eq!(stage.counters().await?, (0, 1));
        stage.agrees_with(&double).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_late_payment_whose_refund_was_refused_can_still_be_given_back() -> Result<()> {
    let (stage, double) = Stage::stripe(1).await?;
    double.next_call("POST /v1/payment_intents", Quirk::LoseAnswer);
    let booking = stage.buy_by_card(1, "pm_card_visa").await?.expect(202)?;
    stage.clock.advance(Duration::from_secs(31 * 60));
    expire::run(&stage.server.app).await?;
    stage.buy_by_card(1, "pm_card_visa").await?.expect(201)?;
    double.next_call("POST /v1/refunds", Quirk::Refuse(402));
    reconcile::run(&stage.server.app).await?;
    reconcile::run(&stage.server.app).await?;
    stage.refund(&booking).await?.expect(200)?;
    assert_eq!(stage.see(&booking).await?["status"], "expired");
    assert_eq!(stage.refund(&booking).await?.status.as_u16(), 409, "once");
    stage.agrees_with(&double).await
}

#[tokio::test]
async fn long_after_a_key_is_forgotten_a_payment_is_searched_and_not_made_again() -> Result<()> {
    let (stage, double) = Stage::stripe(2).await?;
    double.next_call("POST /v1/payment_intents", Quirk::LoseAnswer);
    let there = stage.buy_by_card(1, "pm_card_visa").await?.expect(202)?;
    double.next_call("POST /v1/payment_intents", Quirk::Refuse(500));
    let never = stage.buy_by_card(1, "pm_card_visa").await?.expect(202)?;
    stage.clock.advance(Duration::from_secs(25 * 3_600));
    reconcile::run(&stage.server.app).await?;
    assert_eq!(stage.see(&there).await?["status"], "paid");
    let seen = stage.see(&never).await?;
    assert_eq!(
        (seen["transaction"]["status"].as_str(), seen["transaction"]["failed_by"].as_str()),
        (Some("failed"), Some("provider"))
    );
    let made = double.calls().iter().filter(|c| *c == "POST /v1/payment_intents").count();
    assert_eq!(made, 2, "none was made again: {:?}", double.calls());
    stage.agrees_with(&double).await
}

#[tokio::test]
async fn money_that_is_not_what_was_asked_for_sells_nothing_and_alarms() -> Result<()> {
    let (stage, double) = Stage::stripe(1).await?;
    let booking = stage.buy_by_card(1, "pm_card_threeDSecure2Required").await?.expect(202)?;
    let intent = double.moved()[0].intent.clone();
    double.act(&intent, true);
    double.change(&intent, |intent| intent["amount_received"] = json!(1));
    stage.pay_by_card(&booking, "pm_card_threeDSecure2Required").await?.expect(202)?;
    assert_eq!(stage.see(&booking).await?["status"], "held");
    stage.pay_by_card(&booking, "pm_card_threeDSecure2Required").await?.expect(202)?;
    assert_eq!(stage.audited("payment.contradicted").await?, 1, "once");
    let request =
        stage.server.request(Method::GET, "/payment/history?flagged=true").bearer_auth(&stage.owner);
    let list = send(request.header("Organizer-Id", stage.organizer_id.to_string())).await?.expect(200)?;
    assert_eq!(list["items"][0]["flag"], "contradicted");
    stage.audit().await
}

/// Waits for all of them, side by side.
async fn futures_of<F: Future>(all: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    crate::expiry::join_all(all).await
}
