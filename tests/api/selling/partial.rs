//! Refunds of parts: single tickets, so many of a type, an amount; what is left, and what becomes of it.

use std::time::Duration;

use anyhow::Result;
use hvflvspot::jobs::reconcile;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{Stage, text};

fn states(booking: &Value) -> Vec<&str> {
    booking["tickets"].as_array().into_iter().flatten().filter_map(|t| t["state"].as_str()).collect()
}

async fn ledger(stage: &Stage, booking: &Value, account: &str) -> Result<i64> {
    let mut owner = stage.owner_connection().await?;
    let query = "select coalesce(sum(amount_minor), 0)::bigint from ledger where booking_id = $1::uuid and account = $2";
    Ok(sqlx::query_scalar(query)
        .bind(text(booking, "booking_id"))
        .bind(account)
        .fetch_one(&mut owner)
        .await?)
}

#[tokio::test]
async fn single_tickets_go_back_one_by_one_and_add_up_to_what_was_paid() -> Result<()> {
    let stage = Stage::open(3).await?;
    let booking = stage.buy(3, Some("tok_always_succeeds")).await?.expect(201)?;
    let total = booking["total"]["amount_minor"].as_i64().unwrap_or(0);
    let first = text(&booking["tickets"][0], "ticket_id");
    let one = stage.refund_part(&booking, json!({ "items": [{ "ticket_id": first }] })).await?.expect(200)?;
    assert_eq!(
        (one["status"].as_str(), states(&one)),
        (Some("partially_refunded"), vec!["refunded", "valid", "valid"])
    );
    assert_eq!(one["refunded"]["amount_minor"].as_i64(), Some(total / 3));
    assert_eq!(stage.counters().await?, (0, 2), "the place is free again");
    assert_eq!(one["tickets"][1]["code"], booking["tickets"][1]["code"], "the others stay as they are");
    stage.audit().await?;
    let again = stage.refund_part(&booking, json!({ "items": [{ "ticket_id": first }] })).await?;
    assert_eq!((again.status.as_u16(), again.body["errors"][0]["code"].as_str()), (422, Some("unknown")));
    let items = json!({ "items": [{ "ticket_type_id": stage.ticket_type_id, "quantity": 1 }] });
    stage.refund_part(&booking, items.clone()).await?.expect(200)?;
    let last = stage.refund_part(&booking, items).await?.expect(200)?;
    assert_eq!(last["status"], "refunded");
    assert_eq!(last["refunded"]["amount_minor"].as_i64(), Some(total));
    for account in ["provider:simulated", "sales", "fees", "tax"] {
        assert_eq!(ledger(&stage, &booking, account).await?, 0, "{account}");
    }
    assert_eq!(stage.counters().await?, (0, 0));
    stage.audit().await
}

#[tokio::test]
async fn an_amount_goes_back_without_a_ticket_and_the_rest_with_them() -> Result<()> {
    let stage = Stage::open(2).await?;
    let booking = stage.buy(2, Some("tok_always_succeeds")).await?.expect(201)?;
    let amount = |minor: i64| json!({ "amount": { "amount_minor": minor, "currency": "EUR" } });
    let part = stage.refund_part(&booking, amount(1_000)).await?.expect(200)?;
    assert_eq!(
        (part["status"].as_str(), states(&part)),
        (Some("partially_refunded"), vec!["valid", "valid"])
    );
    assert_eq!(ledger(&stage, &booking, "provider:simulated").await?, 4_300);
    let all = stage.refund_part(&booking, amount(4_300)).await?;
    assert_eq!(
        (all.status.as_u16(), all.code(), all.body["left_minor"].as_i64()),
        (422, "refund_too_large", Some(4_300))
    );
    for wrong in [
        amount(0),
        amount(-5),
        json!({ "amount": { "amount_minor": 5, "currency": "USD" } }),
        json!({ "items": [] }),
    ] {
        assert_eq!(stage.refund_part(&booking, wrong.clone()).await?.code(), "invalid_fields", "{wrong}");
    }
    let rest = stage.refund(&booking).await?.expect(200)?;
    assert_eq!((rest["status"].as_str(), states(&rest)), (Some("refunded"), vec!["refunded", "refunded"]));
    for account in ["provider:simulated", "sales", "fees", "tax"] {
        assert_eq!(ledger(&stage, &booking, account).await?, 0, "{account}");
    }
    stage.audit().await
}

#[tokio::test]
async fn tickets_are_stopped_while_their_refund_is_on_its_way_and_only_those() -> Result<()> {
    let stage = Stage::open(2).await?;
    let booking = stage.buy(2, Some("tok_refund_pending")).await?.expect(201)?;
    let first = text(&booking["tickets"][0], "ticket_id");
    let part = json!({ "items": [{ "ticket_id": first }] });
    let begun = stage.refund_part(&booking, part).await?.expect(202)?;
    assert_eq!(states(&begun), ["blocked", "valid"]);
    let validate = |n: usize| {
        let body = json!({ "code": booking["tickets"][n]["code"], "event_id": stage.event_id });
        let stage = &stage;
        async move { stage.server.post_as(&stage.owner, "/tickets/validate", &body).await?.expect(200) }
    };
    assert_eq!(validate(0).await?["outcome"], "blocked");
    assert_ne!(validate(1).await?["outcome"], "blocked");
    assert_eq!(stage.counters().await?, (0, 2), "the place is given back with the money");
    stage.audit().await?;
    stage.clock.advance(Duration::from_secs(61));
    reconcile::run(&stage.server.app).await?;
    let done = stage.see(&booking).await?;
    assert_eq!(
        (done["status"].as_str(), states(&done)),
        (Some("partially_refunded"), vec!["refunded", "valid"])
    );
    assert_eq!(validate(0).await?["outcome"], "revoked");
    assert_eq!(stage.counters().await?, (0, 1));
    stage.audit().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_refunds_of_parts_never_give_back_more_than_was_paid() -> Result<()> {
    let stage = Stage::open(4).await?;
    let booking = stage.buy(4, Some("tok_always_succeeds")).await?.expect(201)?;
    let mut all = JoinSet::new();
    for n in 0..12 {
        let part = match n % 3 {
            0 => json!({ "items": [{ "ticket_type_id": stage.ticket_type_id, "quantity": 2 }] }),
            1 => json!({ "items": [{ "ticket_id": booking["tickets"][0]["ticket_id"] }] }),
            _ => json!({ "amount": { "amount_minor": 2_000, "currency": "EUR" } }),
        };
        let mut body = part;
        body["booking_id"] = booking["booking_id"].clone();
        let request =
            stage.server.request(reqwest::Method::POST, "/payment/refund").bearer_auth(&stage.owner);
        all.spawn(support::server::send(request.json(&body)));
    }
    let mut done = 0;
    while let Some(reply) = all.join_next().await {
        let reply = reply??;
        match reply.status.as_u16() {
            200 => done += 1,
            409 | 422 => {}
            _ => anyhow::bail!("{}", reply.text),
        }
    }
    assert!(done >= 2, "{done} went through");
    stage.audit().await?;
    let rest = stage.refund(&booking).await?;
    assert!(matches!(rest.code(), "" | "already_refunded"), "{}", rest.text);
    assert_eq!(stage.see(&booking).await?["status"], "refunded");
    assert_eq!(stage.counters().await?, (0, 0));
    stage.audit().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refund_and_a_scan_race_and_nobody_is_let_in_after_the_money_is_on_its_way() -> Result<()> {
    let stage = Stage::open(24).await?;
    for _ in 0..12 {
        let booking = stage.buy(2, Some("tok_always_succeeds")).await?.expect(201)?;
        let scan = |n: usize| {
            let body = json!({ "code": booking["tickets"][n]["code"], "event_id": stage.event_id });
            let stage = &stage;
            async move { stage.server.post_as(&stage.owner, "/tickets/validate", &body).await?.expect(200) }
        };
        let (refunded, first, second) = tokio::join!(stage.refund(&booking), scan(0), scan(1));
        refunded?.expect(200)?;
        for verdict in [first?, second?] {
            let outcome = text(&verdict, "outcome");
            assert!(
                !matches!(outcome.as_str(), "unknown_ticket" | "malformed" | "superseded"),
                "a scan beside a refund says {outcome}"
            );
        }
        for n in 0..2 {
            assert_eq!(scan(n).await?["outcome"], "revoked", "once the refund is answered");
        }
    }
    stage.audit().await
}

#[tokio::test]
async fn a_ticket_stopped_by_hand_stays_so_while_its_refund_is_on_its_way() -> Result<()> {
    let stage = Stage::open(1).await?;
    let booking = stage.buy(1, Some("tok_refund_pending")).await?.expect(201)?;
    let ticket = text(&booking["tickets"][0], "ticket_id");
    let post = async |what: &str| {
        let path = format!("/organizer/tickets/{ticket}/{what}");
        stage.server.post_as(&stage.owner, &path, &json!({})).await
    };
    post("block").await?.expect(200)?;
    let part = json!({ "items": [{ "ticket_id": ticket }] });
    assert_eq!(states(&stage.refund_part(&booking, part).await?.expect(202)?), ["blocked"]);
    let refused = post("unblock").await?;
    assert_eq!((refused.status.as_u16(), refused.code()), (409, "ticket_not_valid"));
    stage.clock.advance(Duration::from_secs(61));
    reconcile::run(&stage.server.app).await?;
    assert_eq!(states(&stage.see(&booking).await?), ["refunded"]);
    stage.audit().await
}

#[tokio::test]
async fn a_refund_that_is_refused_late_gives_the_ticket_back_and_stands_in_the_audit() -> Result<()> {
    let (stage, double) = Stage::stripe(2).await?;
    let booking = stage.buy_by_card(2, "pm_card_pendingRefund").await?.expect(201)?;
    let part = json!({ "items": [{ "ticket_id": booking["tickets"][0]["ticket_id"] }] });
    let begun = stage.refund_part(&booking, part).await?.expect(202)?;
    assert_eq!(states(&begun), ["blocked", "valid"]);
    double.settle_refund(&double.refund_ids()[0], "failed");
    stage.clock.advance(Duration::from_secs(61));
    reconcile::run(&stage.server.app).await?;
    let seen = stage.see(&booking).await?;
    assert_eq!((seen["status"].as_str(), states(&seen)), (Some("paid"), vec!["valid", "valid"]));
    assert_eq!(seen["refunded"]["amount_minor"], 0);
    assert_eq!(seen["tickets"][0]["code"], booking["tickets"][0]["code"]);
    assert_eq!(stage.audited("booking.refund_failed_late").await?, 1);
    stage.agrees_with(&double).await
}
