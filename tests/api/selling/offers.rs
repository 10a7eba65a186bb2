//! Prices, limits per person and promo codes, through the routes and under races of several servers on one database.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use hvflvspot::app::AppState;
use hvflvspot::clock::SharedRng;
use hvflvspot::domain::catalog::{NotOnSale, Wish};
use hvflvspot::jobs::{expire, reconcile};
use hvflvspot::selling::Actor;
use hvflvspot::selling::purchase::{Buyer, Order, PurchaseError, purchase};
use reqwest::Method;
use serde_json::{Value, json};
use shared::ids::TicketTypeId;
use support::server::{Reply, send};
use tokio::task::JoinSet;

use crate::{Stage, sign_up, text};

impl Stage {
    /// A promo code of the event.
    pub async fn code(&self, fields: Value) -> Result<String> {
        let path = format!("/organizer/events/{}/promo-codes", self.event_id);
        Ok(text(&self.own(Method::POST, &path, fields).await?, "promo_code_id"))
    }

    /// The organizer's view of its only code.
    async fn usage(&self) -> Result<(i64, i64, i64)> {
        let path = format!("/organizer/events/{}/promo-codes", self.event_id);
        let page = self.server.get_as(&self.owner, &path).await?.expect(200)?;
        let of = &page["items"][0]["usage"];
        let number = |value: &Value| value.as_i64().unwrap_or(-1);
        let (held, used) = (&of["discount_held"]["amount_minor"], &of["discount_used"]["amount_minor"]);
        Ok((number(&of["held"]), number(&of["used"]), number(held) + number(used)))
    }

    /// A guest of this address buys with a code.
    async fn buy_with(&self, email: &str, quantity: u32, code: &str, token: Option<&str>) -> Result<Reply> {
        let mut order = self.order(quantity, token);
        order["email"] = json!(email);
        order["promo_code"] = json!(code);
        self.server.post("/tickets/purchase", &order).await
    }

    /// Changes the event.
    pub async fn change(&self, fields: Value) -> Result<Value> {
        self.own(Method::PUT, &format!("/organizer/events/{}/update", self.event_id), fields).await
    }
}

fn minor(value: &Value, name: &str) -> i64 {
    value[name]["amount_minor"].as_i64().unwrap_or(i64::MIN)
}

#[tokio::test]
async fn a_quote_says_what_the_purchase_then_costs_and_holds_nothing() -> Result<()> {
    let stage = Stage::open(10).await?;
    stage.code(json!({ "code": "Early-Bird", "percent_bp": 2_000 })).await?;
    let mut order = stage.order(2, Some("tok_always_succeeds"));
    order["promo_code"] = json!(" eARLY-bird ");
    let quote = stage.server.post("/tickets/quote", &order).await?.expect(200)?;
    assert_eq!(stage.counters().await?, (0, 0));
    assert_eq!((minor(&quote, "total"), minor(&quote, "discount")), (2 * (2_000 + 150), 2 * 500));
    assert_eq!(minor(&quote["items"][0], "unit_discount"), 500);
    let booking = stage.server.post("/tickets/purchase", &order).await?.expect(201)?;
    for part in ["price", "fee", "tax", "total", "discount"] {
        assert_eq!(minor(&booking, part), minor(&quote, part), "{part}");
    }
    let seen = stage.see(&booking).await?;
    assert_eq!((minor(&seen, "discount"), minor(&seen, "total")), (1_000, 4_300));
    assert_eq!(stage.usage().await?, (0, 1, 1_000));
    stage.refund(&booking).await?.expect(200)?;
    assert_eq!(stage.usage().await?, (0, 1, 1_000), "what was paid stays used");
    stage.audit().await
}

#[tokio::test]
async fn a_code_can_make_a_booking_free_without_a_payment() -> Result<()> {
    let stage = Stage::open(10).await?;
    stage.code(json!({ "code": "PRESS", "amount": { "amount_minor": 100_000, "currency": "EUR" } })).await?;
    let booking = stage.buy_with("a@example.org", 1, "press", None).await?.expect(201)?;
    assert_eq!((booking["status"].as_str(), minor(&booking, "total")), (Some("paid"), 0));
    assert_eq!(minor(&booking, "discount"), 2_650);
    stage.audit().await
}

#[tokio::test]
async fn hidden_types_are_sold_with_a_code_that_unlocks_them_alone() -> Result<()> {
    let mut stage = Stage::open(10).await?;
    let hidden = stage.ticket_type(&stage.event_id, 5_000, 5).await?;
    let path = format!("/organizer/events/{}/ticket-types/{hidden}", stage.event_id);
    stage.own(Method::PUT, &path, json!({ "hidden": true })).await?;
    stage.code(json!({ "code": "BACKSTAGE", "unlocks": true, "ticket_type_ids": [hidden] })).await?;
    let public = stage.server.get(&format!("/events/{}", stage.event_id)).await?.expect(200)?;
    assert_eq!(public["ticket_types"].as_array().map(Vec::len), Some(1));
    let unlock = |code: &str| {
        let body = json!({ "promo_code": code });
        stage.server.request(Method::POST, &format!("/events/{}/unlock", stage.event_id)).json(&body)
    };
    let opened = send(unlock("backstage")).await?.expect(200)?;
    assert_eq!(opened["ticket_types"][0]["ticket_type_id"], hidden.as_str());
    assert_eq!(send(unlock("frontstage")).await?.code(), "promo_code_invalid");
    let open_type = std::mem::replace(&mut stage.ticket_type_id, hidden);
    assert_eq!(stage.buy(1, None).await?.code(), "invalid_fields");
    let booking = stage.buy_with("a@example.org", 1, "BACKSTAGE", None).await?.expect(201)?;
    assert_eq!((minor(&booking, "total"), minor(&booking, "discount")), (5_150, 0));
    stage.ticket_type_id = open_type;
    let other = stage.buy_with("a@example.org", 1, "BACKSTAGE", None).await?;
    assert_eq!(
        (other.code(), &other.body["errors"][0]["code"]),
        ("promo_code_invalid", &json!("not_for_these"))
    );
    Ok(())
}

#[tokio::test]
async fn a_code_is_refused_outside_its_window_and_when_nobody_knows_it() -> Result<()> {
    let stage = Stage::open(10).await?;
    stage
        .code(json!({
            "code": "NOON", "percent_bp": 100, "valid_from": "2026-11-22T12:30:00Z", "valid_until": "2026-11-22T13:00:00Z",
        }))
        .await?;
    let path = format!("/organizer/events/{}/promo-codes", stage.event_id);
    let twice = stage.server.post_as(&stage.owner, &path, &json!({ "code": "noon" })).await?;
    assert_eq!((twice.status.as_u16(), twice.code()), (409, "code_taken"));
    let told = async || -> Result<String> {
        let reply = stage.buy_with("a@example.org", 1, "noon", None).await?;
        let field = text(&reply.body["errors"][0], "code");
        Ok(if reply.status == 201 { "held".to_owned() } else { field })
    };
    assert_eq!(told().await?, "not_yet");
    stage.clock.advance(Duration::from_secs(1_800));
    assert_eq!(told().await?, "held");
    stage.clock.advance(Duration::from_secs(1_800));
    assert_eq!(told().await?, "over");
    let unknown = stage.buy_with("a@example.org", 1, "nope", None).await?;
    assert_eq!((unknown.code(), unknown.status.as_u16()), ("promo_code_invalid", 422));
    assert_eq!(stage.buy_with("a@example.org", 1, "no such", None).await?.code(), "invalid_fields");
    Ok(())
}

#[tokio::test]
async fn uses_come_back_when_a_hold_comes_to_nothing_and_budgets_are_kept() -> Result<()> {
    let stage = Stage::open(20).await?;
    let id = stage
        .code(json!({
            "code": "TEN", "percent_bp": 1_000, "max_uses": 2,
            "budget": { "amount_minor": 600, "currency": "EUR" }, "max_uses_per_person": 1,
        }))
        .await?;
    let first = stage.buy_with("a@example.org", 1, "TEN", None).await?.expect(201)?;
    let again = stage.buy_with("A+x@example.org", 1, "TEN", None).await?;
    assert_eq!(
        (again.code(), &again.body["errors"][0]["code"]),
        ("promo_code_used_up", &json!("used_by_you"))
    );
    let dear = stage.buy_with("b@example.org", 2, "TEN", None).await?;
    assert_eq!(
        (dear.status.as_u16(), dear.code()),
        (409, "promo_code_used_up"),
        "250 + 500 is beyond the budget"
    );
    stage.buy_with("b@example.org", 1, "TEN", Some("tok_always_succeeds")).await?.expect(201)?;
    assert_eq!(stage.buy_with("c@example.org", 1, "TEN", None).await?.code(), "promo_code_used_up");
    let quote = |code: &str| {
        let mut order = stage.order(1, None);
        order["promo_code"] = json!(code);
        stage.server.request(Method::POST, "/tickets/quote").json(&order)
    };
    assert_eq!(send(quote("TEN")).await?.code(), "promo_code_used_up");
    // Given up: somebody else may have it.
    let path = format!("/bookings/{}/cancel", text(&first, "booking_id"));
    send(stage.as_guest(Method::POST, &path, &first)).await?.expect(200)?;
    let third = stage.buy_with("c@example.org", 1, "TEN", None).await?.expect(201)?;
    assert_eq!(stage.usage().await?, (1, 1, 500));
    // Run out: the same.
    stage.clock.advance(Duration::from_secs(16 * 60));
    expire::run(&stage.server.app).await?;
    assert_eq!(stage.see(&third).await?["status"], "expired");
    stage.buy_with("a@example.org", 1, "TEN", Some("tok_always_succeeds")).await?.expect(201)?;
    assert_eq!(stage.usage().await?, (0, 2, 500));
    let path = format!("/organizer/events/{}/promo-codes/{id}", stage.event_id);
    let lower = json!({ "max_uses": 1 });
    let refused =
        send(stage.server.request(Method::PUT, &path).bearer_auth(&stage.owner).json(&lower)).await?;
    assert_eq!((refused.status.as_u16(), refused.code()), (409, "code_in_use"));
    send(stage.server.request(Method::DELETE, &path).bearer_auth(&stage.owner).json(&json!({})))
        .await?
        .expect(204)?;
    assert_eq!(stage.buy_with("d@example.org", 1, "TEN", None).await?.code(), "promo_code_invalid");
    stage.audit().await
}

#[tokio::test]
async fn a_late_payment_needs_its_use_of_the_code_again() -> Result<()> {
    for taken_meanwhile in [false, true] {
        let stage = Stage::open(5).await?;
        stage.code(json!({ "code": "ONE", "percent_bp": 1_000, "max_uses": 1 })).await?;
        let late = stage.buy_with("a@example.org", 1, "ONE", Some("tok_timeout")).await?.expect(202)?;
        stage.clock.advance(Duration::from_secs(31 * 60));
        expire::run(&stage.server.app).await?;
        if taken_meanwhile {
            stage.buy_with("b@example.org", 1, "ONE", Some("tok_always_succeeds")).await?.expect(201)?;
        }
        reconcile::run(&stage.server.app).await?;
        reconcile::run(&stage.server.app).await?;
        let seen = stage.see(&late).await?;
        assert_eq!(seen["status"], if taken_meanwhile { "expired" } else { "paid" });
        assert_eq!(stage.usage().await?, (0, 1, 250));
        stage.audit().await?;
    }
    Ok(())
}

/// Several servers on the stage's database, each with a line of its own.
pub async fn servers(stage: &Stage, n: u64) -> Result<Vec<AppState>> {
    let mut all = Vec::new();
    for seed in 0..n {
        let app = &stage.server.app;
        let db = stage.server.db.connect().await?;
        let (clock, rng) = (Arc::new(stage.clock.clone()), SharedRng::seeded(1_000 + seed));
        all.push(AppState::new(app.config.clone(), db, app.master_key.clone(), clock, rng).await?);
    }
    Ok(all)
}

pub fn order_of(
    stage: &Stage,
    app: &AppState,
    email: &str,
    quantity: u32,
    code: Option<&str>,
) -> Result<Order> {
    Ok(Order {
        booking_id: app.rng.uuid(&*app.clock),
        event_id: stage.event_id.parse()?,
        buyer: Buyer::Guest(app.rng.bytes()),
        wishes: vec![Wish { ticket_type_id: TicketTypeId(stage.ticket_type_id.parse()?), quantity }],
        email: Some(email.to_owned()),
        language: hvflvspot::domain::language::Language::En,
        mail: true,
        person: email.to_owned(),
        promo_code: code.map(str::to_owned),
        place: None,
        payment: None,
        actor: Actor { kind: "guest", id: None, request_id: None },
        key: None,
    })
}

/// All of them at once, spread over the servers; how many got what they wanted.
async fn race(servers: &[AppState], orders: Vec<Order>) -> Result<usize> {
    let mut all = JoinSet::new();
    for (n, order) in orders.into_iter().enumerate() {
        let app = servers[n % servers.len()].clone();
        all.spawn(async move { purchase(&app, order).await });
    }
    let mut got = 0;
    while let Some(one) = all.join_next().await {
        match one? {
            Ok(_) => got += 1,
            Err(PurchaseError::NotOnSale(NotOnSale::Code(_) | NotOnSale::PersonLimit { .. })) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(got)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_servers_never_exceed_the_uses_or_the_budget_of_a_code() -> Result<()> {
    let stage = Stage::open(200).await?;
    let budget = json!({ "amount_minor": 250 * 9 + 100, "currency": "EUR" });
    stage.code(json!({ "code": "USES", "percent_bp": 1_000, "max_uses": 7 })).await?;
    stage.code(json!({ "code": "BUDGET", "percent_bp": 1_000, "budget": budget })).await?;
    let servers = servers(&stage, 4).await?;
    for (code, most) in [("USES", 7), ("BUDGET", 9)] {
        let orders =
            (0..60).map(|n| order_of(&stage, &servers[0], &format!("p{n}@example.org"), 1, Some(code)));
        assert_eq!(race(&servers, orders.collect::<Result<_>>()?).await?, most, "{code}");
    }
    assert_eq!(stage.counters().await?, (16, 0));
    stage.audit().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_servers_never_give_one_person_more_than_the_limit() -> Result<()> {
    let stage = Stage::open(200).await?;
    stage.change(json!({ "max_per_person": 4 })).await?;
    let servers = servers(&stage, 4).await?;
    let mine =
        (0..30).map(|n| order_of(&stage, &servers[0], ["x@example.org", "X+b@example.org"][n % 2], 1, None));
    assert_eq!(race(&servers, mine.collect::<Result<_>>()?).await?, 4);
    let others = (0..6).map(|n| order_of(&stage, &servers[0], &format!("o{n}@example.org"), 1, None));
    assert_eq!(race(&servers, others.collect::<Result<_>>()?).await?, 6);
    stage.audit().await
}

#[tokio::test]
async fn limits_per_person_count_bookings_of_guests_and_accounts_together_and_forget_what_was_given_back()
-> Result<()> {
    let stage = Stage::open(20).await?;
    let path = format!("/organizer/events/{}/ticket-types/{}", stage.event_id, stage.ticket_type_id);
    stage.own(Method::PUT, &path, json!({ "max_per_person": 2 })).await?;
    assert_eq!(stage.buy(3, None).await?.code(), "person_limit");
    let paid = stage.buy(2, Some("tok_always_succeeds")).await?.expect(201)?;
    assert_eq!(stage.buy(1, None).await?.code(), "person_limit");
    let account = sign_up(&stage.server, "guest@example.org").await?;
    let as_account = stage.server.post_as(&account, "/tickets/purchase", &stage.order(1, None)).await?;
    assert_eq!((as_account.status.as_u16(), as_account.code()), (409, "person_limit"));
    stage.refund(&paid).await?.expect(200)?;
    stage.buy(1, None).await?.expect(201)?;
    stage.audit().await
}

#[tokio::test]
async fn currencies_without_and_with_three_decimals_are_sold_and_refunded_to_the_last_unit() -> Result<()> {
    let mut stage = Stage::open(5).await?;
    for (currency, price, rate, inclusive) in [("JPY", 3_333, 1_000, true), ("KWD", 12_345, 500, false)] {
        let event = json!({
            "title": "Abroad", "category_id": "music", "time_zone": "Asia/Tokyo", "currency": currency,
            "starts_at": "2026-12-24T19:00:00Z",
            "fee": { "amount": { "amount_minor": 77, "currency": currency }, "rate_bp": 333, "bearer": "buyer" },
        });
        let event = stage.own(Method::POST, "/organizer/events/create", event).await?;
        stage.event_id = text(&event, "event_id");
        let kind = json!({
            "name": "Seat", "capacity": 10, "price": { "amount_minor": price, "currency": currency },
            "tax": { "rate_bp": rate, "inclusive": inclusive },
        });
        let path = format!("/organizer/events/{}", stage.event_id);
        let kind = stage.own(Method::POST, &format!("{path}/ticket-types"), kind).await?;
        stage.ticket_type_id = text(&kind, "ticket_type_id");
        stage.own(Method::POST, &format!("{path}/publish"), json!({})).await?;
        let booking = stage.buy(3, Some("tok_always_succeeds")).await?.expect(201)?;
        let parts: i64 = ["price", "fee", "tax"].iter().map(|part| minor(&booking, part)).sum();
        assert_eq!(parts, minor(&booking, "total"));
        assert_eq!(minor(&booking, "total"), 3 * minor(&kind, "total"));
        assert_eq!(minor(&booking["items"][0], "unit_total"), minor(&kind, "total"));
        let refunded = stage.refund(&booking).await?.expect(200)?;
        assert_eq!(refunded["status"], "refunded");
    }
    stage.audit().await
}

#[tokio::test]
async fn a_fee_that_the_organizer_bears_is_booked_as_fee_and_costs_the_buyer_nothing() -> Result<()> {
    let stage = Stage::open(5).await?;
    let before = stage.buy(1, None).await?.expect(201)?;
    let fee = json!({ "amount": { "amount_minor": 100, "currency": "EUR" }, "rate_bp": 500, "bearer": "organizer" });
    stage.change(json!({ "fee": fee })).await?;
    let after = stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    assert_eq!(minor(&before, "total"), minor(&after, "total"));
    assert!(minor(&after, "fee") > minor(&before, "fee"));
    let fees =
        json!({ "amount": { "amount_minor": 100, "currency": "EUR" }, "rate_bp": 500, "bearer": "buyer" });
    stage.change(json!({ "fee": fees })).await?;
    let dearer = stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    assert_eq!(minor(&dearer, "total"), minor(&after, "total") + 225);
    stage.audit().await
}

#[tokio::test]
async fn the_books_by_account_equal_the_bookings_after_discounts_and_refunds() -> Result<()> {
    let stage = Stage::open(20).await?;
    stage.code(json!({ "code": "THIRD", "percent_bp": 3_333 })).await?;
    let paid = Some("tok_always_succeeds");
    stage.buy(2, paid).await?.expect(201)?;
    stage.buy_with("a@example.org", 3, "third", paid).await?.expect(201)?;
    let back = stage.buy_with("b@example.org", 1, "third", paid).await?.expect(201)?;
    stage.refund(&back).await?.expect(200)?;
    stage.buy(1, None).await?.expect(201)?;
    let path = format!("/organizer/events/{}/ledger", stage.event_id);
    let sums = stage.server.get_as(&stage.owner, &path).await?.expect(200)?;
    let accounts = sums["accounts"].as_array().cloned().unwrap_or_default();
    let of = |name: &str, column: &str| -> i64 {
        accounts.iter().filter(|a| a["account"] == name).map(|a| minor(a, column)).sum()
    };
    assert_eq!(accounts.iter().map(|a| minor(a, "balance")).sum::<i64>(), 0);
    assert_eq!(of("provider:simulated", "payments"), minor(&sums, "captured"));
    assert_eq!(of("provider:simulated", "refunds"), -minor(&sums, "refunded"));
    assert_eq!(of("provider:simulated", "balance"), minor(&sums, "balance"));
    let sold = &sums["bookings"];
    assert_eq!(
        (of("sales", "payments"), of("fees", "payments"), of("tax", "payments")),
        (-minor(sold, "price"), -minor(sold, "fee"), -minor(sold, "tax"))
    );
    assert_eq!((sold["count"].as_i64(), minor(sold, "discount")), (Some(3), 4 * 833));
    stage.audit().await
}

#[tokio::test]
async fn an_entry_that_does_not_sum_to_zero_is_refused_by_the_statement_that_writes_it() -> Result<()> {
    use hvflvspot::store::issue::{NewIssue, NewLedgerLine, issue};
    let stage = Stage::open(5).await?;
    let booking = stage.buy(1, Some("tok_timeout")).await?.expect(202)?;
    let booking_id = text(&booking, "booking_id").parse()?;
    let transaction_id = text(&booking["transaction"], "transaction_id").parse().ok();
    let mut tx = stage.server.app.db.tenant(stage.organizer_id).await?;
    let transaction_id = match transaction_id {
        Some(id) => id,
        None => {
            let all =
                hvflvspot::store::transaction::of_booking(&mut tx, stage.organizer_id, booking_id).await?;
            all.first().map(|t| t.transaction_id).expect("its payment is pending")
        }
    };
    let line = |line, account: &str, amount_minor| NewLedgerLine {
        entry_id: transaction_id,
        line,
        booking_id,
        account: account.to_owned(),
        amount_minor,
    };
    let order = NewIssue {
        booking_id,
        transaction_id: Some(transaction_id),
        provider_ref: None,
        audit_id: transaction_id,
        actor_kind: "job",
        actor_id: None,
        request_id: None,
        tickets: Vec::new(),
        ledger: vec![line(1, "provider:simulated", 2_650), line(2, "sales", -2_649)],
    };
    let event_id = stage.event_id.parse()?;
    let now = stage.clock.clone();
    let at = hvflvspot::clock::Clock::now(&now);
    let refused = issue(&mut tx, stage.organizer_id, event_id, &[1; 4], &[order], at).await;
    assert!(refused.is_err_and(|e| e.to_string().contains("0 of 2 ledger lines")));
    Ok(())
}
