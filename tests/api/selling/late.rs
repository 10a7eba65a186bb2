//! What comes too late: payments after their hold, holds after their event, refunds after the door, prices after a change.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use hvflvspot::domain::catalog::Wish;
use hvflvspot::jobs::{expire, reconcile, sweep};
use hvflvspot::selling::{catalog, purchase};
use hvflvspot::store::cancellation;
use reqwest::Method;
use serde_json::{Value, json};
use shared::ids::TicketTypeId;
use sqlx::Executor as _;
use support::server::send;
use support::stripe_double::Quirk;
use support::until;

use crate::{Stage, sign_up};

/// Longer than any hold waits for its payment.
const TOO_LATE: Duration = Duration::from_secs(31 * 60);

async fn told(stage: &Stage, kind: &str) -> Result<Vec<(String, Value)>> {
    let query = sqlx::query_as("select recipient, facts from outbox where kind = $1 order by created_at, id");
    Ok(query.bind(kind).fetch_all(&mut stage.owner_connection().await?).await?)
}

#[tokio::test]
async fn whoever_paid_too_late_is_told_that_the_money_goes_back() -> Result<()> {
    for account in [false, true] {
        let stage = Stage::open(1).await?;
        let mut order = stage.order(1, Some("tok_timeout"));
        if account {
            let buyer = sign_up(&stage.server, "buyer@example.org").await?;
            order.as_object_mut().map(|o| o.remove("email"));
            stage.server.post_as(&buyer, "/tickets/purchase", &order).await?.expect(202)?;
        } else {
            stage.server.post("/tickets/purchase", &order).await?.expect(202)?;
        }
        stage.clock.advance(TOO_LATE);
        expire::run(&stage.server.app).await?;
        let mut other = stage.order(1, Some("tok_always_succeeds"));
        other["email"] = json!("quick@example.org");
        stage.server.post("/tickets/purchase", &other).await?.expect(201)?;
        for _ in 0..3 {
            reconcile::run(&stage.server.app).await?;
            stage.clock.advance(Duration::from_secs(61));
        }
        let who = if account { "buyer@example.org" } else { "guest@example.org" };
        let facts = json!({ "event": "Winter concert", "refund": "26.50 EUR" });
        assert_eq!(told(&stage, "offer.paid_too_late").await?, [(who.to_owned(), facts)]);
        assert_eq!(stage.mails("offer.refunded").await?, 0, "once is enough");
        stage.send_mails().await?;
        stage.audit().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_refund_is_told_to_its_buyer_when_it_is_done() -> Result<()> {
    let stage = Stage::open(3).await?;
    let booking = stage.buy(2, Some("tok_always_succeeds")).await?.expect(201)?;
    let part = json!({ "items": [{ "ticket_id": booking["tickets"][0]["ticket_id"] }] });
    stage.refund_part(&booking, part).await?.expect(200)?;
    let refused = stage.buy(1, Some("tok_refund_declined")).await?.expect(201)?;
    assert_eq!(stage.refund(&refused).await?.status, 422);
    let facts = json!({ "event": "Winter concert", "refund": "26.50 EUR", "tickets": 1 });
    assert_eq!(told(&stage, "offer.refunded").await?, [("guest@example.org".to_owned(), facts)]);
    stage.send_mails().await
}

#[tokio::test]
async fn a_late_payment_does_not_get_past_what_one_person_may_have() -> Result<()> {
    for (limit, of_type) in [(2, false), (2, true), (3, false)] {
        let stage = Stage::open(10).await?;
        let max = json!({ "max_per_person": limit });
        if of_type {
            let path = format!("/organizer/events/{}/ticket-types/{}", stage.event_id, stage.ticket_type_id);
            stage.own(Method::PUT, &path, max).await?;
        } else {
            stage.change(max).await?;
        }
        let late = stage.buy(2, Some("tok_timeout")).await?.expect(202)?;
        stage.clock.advance(TOO_LATE);
        expire::run(&stage.server.app).await?;
        stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
        reconcile::run(&stage.server.app).await?;
        reconcile::run(&stage.server.app).await?;
        let seen = stage.see(&late).await?;
        assert_eq!(seen["status"], if limit == 3 { "paid" } else { "expired" });
        assert_eq!(stage.counters().await?, (0, if limit == 3 { 3 } else { 1 }));
        stage.audit().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_late_payment_does_not_use_a_code_more_often_than_one_person_may() -> Result<()> {
    let stage = Stage::open(10).await?;
    stage.code(json!({ "code": "ONCE", "percent_bp": 1_000, "max_uses_per_person": 1 })).await?;
    let mut order = stage.order(1, Some("tok_timeout"));
    order["promo_code"] = json!("ONCE");
    let late = stage.server.post("/tickets/purchase", &order).await?.expect(202)?;
    stage.clock.advance(TOO_LATE);
    expire::run(&stage.server.app).await?;
    order["payment"]["token"] = json!("tok_always_succeeds");
    stage.server.post("/tickets/purchase", &order).await?.expect(201)?;
    reconcile::run(&stage.server.app).await?;
    reconcile::run(&stage.server.app).await?;
    assert_eq!(stage.see(&late).await?["status"], "expired");
    stage.audit().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hold_that_began_before_its_event_was_canceled_does_not_come_after_it() -> Result<()> {
    let stage = Stage::open(3).await?;
    let (organizer, event) = (stage.organizer_id, stage.event_id.parse()?);
    let mut canceling = stage.owner_connection().await?;
    canceling.execute("begin").await?;
    cancellation::begin(&mut canceling, organizer, event, "storm", crate::now()).await?;
    canceling.execute("update events set status = 'canceled', sale_version = sale_version + 1").await?;
    // Its statement sees the event as it was, and waits for the room.
    let order = stage.order(1, None);
    let buying = tokio::spawn(send(stage.server.request(Method::POST, "/tickets/purchase").json(&order)));
    waits_for_a_lock(&stage).await?;
    canceling.execute("commit").await?;
    let reply = buying.await??;
    assert!(reply.status.is_client_error(), "{} {}", reply.status, reply.text);
    assert_eq!(stage.counters().await?, (0, 0));
    let bookings: i64 = sqlx::query_scalar("select count(*) from bookings").fetch_one(&mut canceling).await?;
    assert_eq!(bookings, 0);
    Ok(())
}

/// Waits until somebody waits for a lock in the stage's database.
pub async fn waits_for_a_lock(stage: &Stage) -> Result<()> {
    let mut looking = stage.server.db.superuser().await?;
    until("somebody waits for a lock", async || {
        let waiting: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
        )
        .fetch_one(&mut looking)
        .await?;
        Ok(waiting > 0)
    })
    .await
}

#[tokio::test]
async fn a_payment_that_stripe_never_heard_of_is_not_taken_once_its_hold_is_over() -> Result<()> {
    let (stage, double) = Stage::stripe(2).await?;
    double.next_call("POST /v1/payment_intents", Quirk::Refuse(500));
    let booking = stage.buy_by_card(1, "pm_card_visa").await?.expect(202)?;
    stage.clock.advance(TOO_LATE);
    expire::run(&stage.server.app).await?;
    reconcile::run(&stage.server.app).await?;
    let seen = stage.see(&booking).await?;
    assert_eq!(
        (&seen["status"], &seen["transaction"]["status"]),
        (&json!("expired"), &json!("pending")),
        "a search may not know yet"
    );
    stage.clock.advance(Duration::from_secs(3 * 3_600));
    reconcile::run(&stage.server.app).await?;
    assert_eq!(stage.see(&booking).await?["transaction"]["status"], "failed");
    let made = double.calls().iter().filter(|c| *c == "POST /v1/payment_intents").count();
    assert_eq!((made, double.moved().len()), (1, 0), "{:?}", double.calls());
    stage.agrees_with(&double).await
}

#[tokio::test]
async fn a_payment_that_is_not_confirmed_when_its_hold_is_over_is_canceled_at_stripe() -> Result<()> {
    let (stage, double) = Stage::stripe(2).await?;
    double.next_call("POST /v1/payment_intents", Quirk::LoseAnswer);
    let booking = stage.buy_by_card(1, "pm_card_threeDSecure2Required").await?.expect(202)?;
    let known = stage.buy_by_card(1, "pm_card_threeDSecure2Required").await?.expect(202)?;
    stage.clock.advance(TOO_LATE);
    reconcile::run(&stage.server.app).await?;
    let statuses: Vec<String> = double.moved().into_iter().map(|m| m.status).collect();
    assert_eq!(statuses, ["canceled", "canceled"]);
    for booking in [&booking, &known] {
        assert_eq!(stage.see(booking).await?["transaction"]["status"], "failed");
    }
    stage.agrees_with(&double).await
}

#[tokio::test]
async fn an_empty_search_is_believed_only_when_searches_must_know() -> Result<()> {
    let (stage, double) = Stage::stripe(1).await?;
    double.next_call("POST /v1/payment_intents", Quirk::LoseAnswer);
    let booking = stage.buy_by_card(1, "pm_card_visa").await?.expect(202)?;
    double.lag_searches(true);
    stage.clock.advance(TOO_LATE);
    reconcile::run(&stage.server.app).await?;
    assert_eq!(stage.see(&booking).await?["transaction"]["status"], "pending");
    double.lag_searches(false);
    stage.clock.advance(Duration::from_secs(10 * 60));
    reconcile::run(&stage.server.app).await?;
    assert_eq!(stage.see(&booking).await?["status"], "paid", "the place is still free");
    stage.agrees_with(&double).await
}

#[tokio::test]
async fn holders_get_no_money_back_for_a_ticket_that_let_somebody_in() -> Result<()> {
    let stage = Stage::open(3).await?;
    stage.change(json!({ "refundable_until": "2026-11-29T00:00:00Z" })).await?;
    let buyer = sign_up(&stage.server, "buyer@example.org").await?;
    let order = stage.order(2, Some("tok_always_succeeds"));
    let booking = stage.server.post_as(&buyer, "/tickets/purchase", &order).await?.expect(201)?;
    let lists = format!("/organizer/events/{}/lists", stage.event_id);
    let lists = stage.server.get_as(&stage.owner, &lists).await?.expect(200)?;
    let code = &booking["tickets"][0]["code"];
    let check_in = json!({ "code": code, "check_in": { "list_id": lists["items"][0]["list_id"] } });
    let verdict = stage.server.post_as(&stage.owner, "/tickets/validate", &check_in).await?.expect(200)?;
    assert_eq!(verdict["outcome"], "ok");
    let whole = json!({ "booking_id": booking["booking_id"] });
    let refused = stage.server.post_as(&buyer, "/payment/refund", &whole).await?;
    assert_eq!((refused.status.as_u16(), refused.code()), (409, "already_admitted"));
    let mut unused = whole.clone();
    unused["items"] = json!([{ "ticket_id": booking["tickets"][1]["ticket_id"] }]);
    stage.server.post_as(&buyer, "/payment/refund", &unused).await?.expect(200)?;
    // The organizer may do as it likes.
    stage.refund(&booking).await?.expect(200)?;
    stage.audit().await
}

#[tokio::test]
async fn a_quote_says_the_price_as_it_is_and_leaves_the_catalogue_where_it_is() -> Result<()> {
    let stage = Stage::open(3).await?;
    let event_id = stage.event_id.parse()?;
    let other = crate::offers::servers(&stage, 1).await?.remove(0);
    let wishes = [Wish { ticket_type_id: TicketTypeId(stage.ticket_type_id.parse()?), quantity: 1 }];
    let (first, before) = purchase::quote(&other, event_id, &wishes, None).await?;
    let (again, _) = purchase::quote(&other, event_id, &wishes, None).await?;
    let kept = catalog::event_for_sale(&other, event_id).await?.expect("it is on sale");
    assert!(Arc::ptr_eq(&first, &again) && Arc::ptr_eq(&first, &kept), "nobody reads it again for a quote");
    let path = format!("/organizer/events/{}/ticket-types/{}", stage.event_id, stage.ticket_type_id);
    stage.own(Method::PUT, &path, json!({ "price": { "amount_minor": 3_000, "currency": "EUR" } })).await?;
    let (_, after) = purchase::quote(&other, event_id, &wishes, None).await?;
    assert_eq!(after.total_minor - before.total_minor, 500, "another server changed it");
    Ok(())
}

#[tokio::test]
async fn the_worker_cannot_forget_an_event_that_its_provider_may_still_repeat() -> Result<()> {
    let stage = Stage::open(5).await?;
    let mut owner = stage.owner_connection().await?;
    // By the database's own clock.
    sqlx::query(
        "insert into payment_events (organizer_id, provider, event_id, account_id, kind, body_sha256, effect, received_at)
         select $1, 'stripe', days || ' days', $1, 'x', sha256('x'), 'none', now() - make_interval(days => days)
           from unnest(array[0, 29, 31, 91]) as days",
    )
    .bind(stage.organizer_id)
    .execute(&mut owner)
    .await?;
    let db = &stage.server.app.db;
    let mut tx = db.worker_tenant(stage.organizer_id).await?;
    let whenever = time::macros::datetime!(2100-01-01 00:00 UTC);
    let gone = hvflvspot::store::payment_event::forget(&mut tx, stage.organizer_id, whenever).await?;
    tx.commit().await?;
    assert_eq!(gone, 2);
    let mut left: Vec<String> =
        sqlx::query_scalar("select event_id from payment_events").fetch_all(&mut owner).await?;
    left.sort_unstable();
    assert_eq!(left, ["0 days", "29 days"]);
    // Nobody changes one, and the app removes none.
    for (mut tx, change) in [
        (db.worker_tenant(stage.organizer_id).await?, "update payment_events set effect = 'asked'"),
        (db.tenant(stage.organizer_id).await?, "delete from payment_events"),
    ] {
        let refused = sqlx::query(change).execute(&mut *tx).await.expect_err("it may not");
        assert!(refused.to_string().contains("permission denied"), "{change}: {refused}");
    }
    Ok(())
}

#[tokio::test]
async fn events_of_providers_and_locks_of_persons_are_forgotten_after_a_while() -> Result<()> {
    let stage = Stage::open(5).await?;
    stage.change(json!({ "max_per_person": 2 })).await?;
    stage.buy(1, None).await?.expect(201)?;
    let mut owner = stage.owner_connection().await?;
    for (name, days) in [("old", 91), ("new", 89)] {
        sqlx::query(
            "insert into payment_events (organizer_id, provider, event_id, account_id, kind, body_sha256, effect, received_at)
             values ($1, 'stripe', $2, $1, 'x', sha256('x'), 'none', $3)",
        )
        .bind(stage.organizer_id)
        .bind(name)
        .bind(crate::now() - time::Duration::days(days))
        .execute(&mut owner)
        .await?;
    }
    let left = "select (select count(*) from payment_events), (select count(*) from claim_locks)";
    sweep::run(&stage.server.app).await?;
    let counts: (i64, i64) = sqlx::query_as(left).fetch_one(&mut owner).await?;
    assert_eq!(counts, (1, 1));
    stage.clock.advance(Duration::from_secs(2 * 86_400));
    sweep::run(&stage.server.app).await?;
    let counts: (i64, i64) = sqlx::query_as(left).fetch_one(&mut owner).await?;
    assert_eq!(counts, (0, 0));
    assert_eq!(stage.buy(2, None).await?.code(), "person_limit", "a person is counted as before");
    Ok(())
}
