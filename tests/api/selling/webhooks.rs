//! What Stripe tells by webhook: once each, in any order, late, twice, forged.

use std::time::Duration;

use anyhow::Result;
use hvflvspot::adapters::payment::stripe::webhook;
use hvflvspot::jobs::reconcile;
use serde_json::{Value, json};
use support::stripe_double::{Quirk, StripeDouble, WEBHOOK_SECRET, tell};

use crate::{Stage, text};

async fn deliver(stage: &Stage, event: &Value) -> Result<u16> {
    use hvflvspot::clock::Clock as _;
    let reply = tell(&stage.server.client, &stage.server.url, "default", event, stage.clock.now()).await?;
    stage.quiet().await?;
    Ok(reply.status().as_u16())
}

async fn effects(stage: &Stage) -> Result<Vec<String>> {
    let mut owner = stage.owner_connection().await?;
    Ok(sqlx::query_scalar("select effect from payment_events order by event_id")
        .fetch_all(&mut owner)
        .await?)
}

/// A booking that waits for its buyer, and its payment.
async fn waiting(stage: &Stage, double: &StripeDouble) -> Result<(Value, String)> {
    let booking = stage.buy_by_card(1, "pm_card_threeDSecure2Required").await?.expect(202)?;
    let intent = double.moved().last().map(|m| m.intent.clone()).unwrap_or_default();
    Ok((booking, intent))
}

#[tokio::test]
async fn an_event_pays_the_booking_once_however_often_it_comes() -> Result<()> {
    let (stage, double) = Stage::stripe(2).await?;
    let (booking, intent) = waiting(&stage, &double).await?;
    double.act(&intent, true);
    let event = double.event("payment_intent.succeeded")?;
    for _ in 0..3 {
        assert_eq!(deliver(&stage, &event).await?, 204);
    }
    let seen = stage.see(&booking).await?;
    assert_eq!((seen["status"].as_str(), seen["tickets"].as_array().map(Vec::len)), (Some("paid"), Some(1)));
    assert_eq!(effects(&stage).await?, ["asked"]);
    assert_eq!(stage.audited("booking.paid").await?, 1);
    stage.agrees_with(&double).await
}

#[tokio::test]
async fn events_may_come_in_any_order_and_days_late() -> Result<()> {
    let (stage, double) = Stage::stripe(3).await?;
    let (booking, intent) = waiting(&stage, &double).await?;
    double.act(&intent, true);
    let all = double.events();
    for event in all.iter().rev() {
        assert_eq!(deliver(&stage, event).await?, 204, "{event}");
    }
    assert_eq!(stage.see(&booking).await?["status"], "paid");
    stage.refund(&booking).await?.expect(200)?;
    stage.clock.advance(Duration::from_secs(3 * 86_400));
    for event in double.events().iter().rev() {
        assert_eq!(deliver(&stage, event).await?, 204, "{event}");
    }
    assert_eq!(stage.see(&booking).await?["status"], "refunded");
    assert_eq!(stage.audited("payment.refunded_elsewhere").await?, 0, "it was our refund");
    stage.agrees_with(&double).await
}

#[tokio::test]
async fn forged_old_and_unreadable_events_are_refused_and_change_nothing() -> Result<()> {
    let (stage, double) = Stage::stripe(1).await?;
    let (booking, intent) = waiting(&stage, &double).await?;
    double.act(&intent, true);
    let body = double.event("payment_intent.succeeded")?.to_string();
    let now = crate::now();
    let post = |path: &'static str, body: String, signature: Option<String>| {
        let mut request = stage.server.request(reqwest::Method::POST, path).body(body);
        request = request.header("Content-Type", "application/json");
        if let Some(signature) = signature {
            request = request.header("Stripe-Signature", signature);
        }
        support::server::send(request)
    };
    let path = "/payment/webhooks/stripe/default";
    let by = |secret: &str, at| Some(webhook::sign(body.as_bytes(), secret, at));
    let old = now - time::Duration::seconds(301);
    for (what, signature) in [
        ("nobody's", None),
        ("a stranger's", by("whsec_guessed", now)),
        ("an old one", by(WEBHOOK_SECRET, old)),
        ("nonsense", Some("t=1,v1=zz".to_owned())),
    ] {
        let reply = post(path, body.clone(), signature).await?;
        assert_eq!((reply.status.as_u16(), reply.code()), (400, "invalid_signature"), "{what}");
    }
    let bent = post(path, body.replace("succeeded", "suceeded!"), by(WEBHOOK_SECRET, now)).await?;
    assert_eq!(bent.code(), "invalid_signature", "one byte");
    for bad in ["", "[]", "{\"id\":1}"] {
        let reply =
            post(path, bad.to_owned(), Some(webhook::sign(bad.as_bytes(), WEBHOOK_SECRET, now))).await?;
        assert_eq!((reply.status.as_u16(), reply.code()), (400, "malformed_event"), "{bad}");
    }
    let large = " ".repeat(600 << 10);
    let reply = post(path, large, None).await?;
    assert_eq!((reply.status.as_u16(), reply.code()), (413, "body_too_large"));
    for unknown in [
        "/payment/webhooks/paypal/default",
        "/payment/webhooks/stripe/nowhere",
        "/payment/webhooks/stripe/0192f0c1-0000-7000-8000-000000000003",
    ] {
        assert_eq!(
            post(unknown, body.clone(), by(WEBHOOK_SECRET, now)).await?.status.as_u16(),
            404,
            "{unknown}"
        );
    }
    assert_eq!(stage.see(&booking).await?["status"], "held");
    assert_eq!(effects(&stage).await?.len(), 0);
    // Both secrets count, and fields that nobody knows are passed over.
    let mut newer: Value = serde_json::from_str(&body)?;
    newer["context"] = json!({ "of": ["tomorrow"] });
    let newer = newer.to_string();
    let signature = webhook::sign(newer.as_bytes(), "whsec_of_last_year", now);
    assert_eq!(post(path, newer, Some(signature)).await?.status.as_u16(), 204);
    stage.quiet().await?;
    assert_eq!(stage.see(&booking).await?["status"], "paid");
    stage.agrees_with(&double).await
}

#[tokio::test]
async fn an_event_of_another_amount_or_currency_alarms_and_sells_nothing() -> Result<()> {
    let (stage, double) = Stage::stripe(1).await?;
    let (booking, intent) = waiting(&stage, &double).await?;
    double.act(&intent, true);
    double.change(&intent, |intent| intent["amount_received"] = json!(100));
    for (n, field, value) in [(1, "amount", json!(100)), (2, "currency", json!("usd"))] {
        let mut event = double.event("payment_intent.succeeded")?;
        event["id"] = json!(format!("evt_bent_{n}"));
        event["data"]["object"][field] = value;
        assert_eq!(deliver(&stage, &event).await?, 204);
    }
    assert_eq!(stage.see(&booking).await?["status"], "held");
    assert_eq!(stage.audited("payment.contradicted").await?, 1);
    assert_eq!(effects(&stage).await?, ["flagged", "flagged"]);
    stage.audit().await
}

#[tokio::test]
async fn what_happens_at_the_provider_alone_is_flagged_for_a_person() -> Result<()> {
    let (stage, double) = Stage::stripe(2).await?;
    let booking = stage.buy_by_card(2, "pm_card_visa").await?.expect(201)?;
    let intent = double.moved()[0].intent.clone();
    double.dispute(&intent);
    assert_eq!(deliver(&stage, &double.event("charge.dispute.created")?).await?, 204);
    assert_eq!(stage.audited("payment.disputed").await?, 1);
    double.refund_elsewhere(&intent, 500);
    assert_eq!(deliver(&stage, &double.event("charge.refunded")?).await?, 204);
    assert_eq!(stage.audited("payment.refunded_elsewhere").await?, 1);
    assert_eq!(stage.see(&booking).await?["tickets"][0]["state"], "valid", "a person decides");
    let others = json!({ "id": "evt_x", "type": "payout.paid", "data": { "object": { "id": "po_1" } } });
    assert_eq!(deliver(&stage, &others).await?, 204);
    stage.audit().await
}

#[tokio::test]
async fn a_refund_that_the_provider_takes_back_is_flagged() -> Result<()> {
    let (stage, double) = Stage::stripe(1).await?;
    let booking = stage.buy_by_card(1, "pm_card_pendingRefund").await?.expect(201)?;
    stage.refund(&booking).await?.expect(202)?;
    let refund = double.refund_ids()[0].clone();
    double.settle_refund(&refund, "succeeded");
    assert_eq!(deliver(&stage, &double.event("refund.updated")?).await?, 204);
    assert_eq!(stage.see(&booking).await?["status"], "refunded", "by its event, before the job");
    stage.agrees_with(&double).await?;
    double.settle_refund(&refund, "failed");
    assert_eq!(deliver(&stage, &double.event("refund.updated")?).await?, 204);
    assert_eq!(stage.audited("payment.refund_undone").await?, 1);
    assert_eq!(text(&stage.see(&booking).await?, "status"), "refunded");
    stage.audit().await
}

#[tokio::test]
async fn money_for_a_payment_that_was_given_up_finds_its_booking() -> Result<()> {
    let (stage, double) = Stage::stripe(1).await?;
    let (booking, intent) = waiting(&stage, &double).await?;
    double.act(&intent, true);
    let mut owner = stage.owner_connection().await?;
    sqlx::query(
        "update transactions set status = 'failed', failed_by = 'provider', failure_code = 'x', completed_at = created_at,
                next_attempt_at = null",
    )
    .execute(&mut owner)
    .await?;
    // Whoever took the event in may die before asking: it is not told again, and the job must know.
    let event = double.event("payment_intent.succeeded")?;
    double.next_call(&format!("GET /v1/payment_intents/{intent}"), Quirk::Refuse(500));
    assert_eq!(deliver(&stage, &event).await?, 204);
    assert_eq!(stage.see(&booking).await?["status"], "held");
    assert_eq!(deliver(&stage, &event).await?, 204);
    stage.clock.advance(Duration::from_secs(120));
    reconcile::run(&stage.server.app).await?;
    assert_eq!(stage.see(&booking).await?["status"], "paid");
    stage.agrees_with(&double).await
}
