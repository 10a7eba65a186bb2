//! The whole way, in one call or two, as a guest or with an account.

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};
use support::server::send;

use crate::{Stage, sign_up, text};

#[tokio::test]
async fn a_guest_buys_in_one_call() -> Result<()> {
    let stage = Stage::open(10).await?;
    let booking = stage.buy(2, Some("tok_always_succeeds")).await?.expect(201)?;
    assert_eq!(booking["status"], "paid");
    assert_eq!(booking["total"], json!({ "amount_minor": 5_300, "currency": "EUR" }));
    let parts: i64 =
        ["price", "fee", "tax"].iter().map(|p| booking[p]["amount_minor"].as_i64().unwrap()).sum();
    assert_eq!(parts, 5_300);
    assert_eq!(booking["tickets"].as_array().map(Vec::len), Some(2));
    assert!(text(&booking["tickets"][0], "code").starts_with("HV1:"));
    let seen = stage.see(&booking).await?;
    assert_eq!(seen["tickets"][0]["code"], booking["tickets"][0]["code"], "the code is made again as it was");
    assert_eq!(seen["transaction"]["status"], "completed");
    assert_eq!(seen["booking_secret"], Value::Null, "the secret is told once");
    assert_eq!(stage.counters().await?, (0, 2));
    stage.audit().await
}

#[tokio::test]
async fn a_hold_is_paid_by_a_second_call_and_a_declined_card_leaves_it_held() -> Result<()> {
    let stage = Stage::open(10).await?;
    let booking = stage.buy(1, None).await?.expect(201)?;
    assert_eq!(
        (booking["status"].as_str(), booking["tickets"].as_array().map(Vec::len)),
        (Some("held"), Some(0))
    );
    assert_eq!(stage.counters().await?, (1, 0));
    for (token, status, code) in [
        ("tok_declined", 422, "payment_declined"),
        ("tok_insufficient_funds", 422, "payment_declined"),
        ("tok_error", 503, "payment_provider_error"),
        ("4242 4242 4242 4242", 422, "invalid_fields"),
    ] {
        let refused = stage.pay(&booking, token).await?;
        assert_eq!((refused.status.as_u16(), refused.code()), (status, code), "{}", refused.text);
    }
    let paid = stage.pay(&booking, "tok_always_succeeds").await?.expect(200)?;
    assert_eq!(paid["status"], "paid");
    let again = stage.pay(&booking, "tok_always_succeeds").await?;
    assert_eq!((again.status.as_u16(), again.code()), (409, "already_paid"));
    stage.audit().await
}

#[tokio::test]
async fn a_declined_purchase_says_what_is_held_and_how_to_go_on() -> Result<()> {
    let stage = Stage::open(10).await?;
    let refused = stage.buy(1, Some("tok_declined")).await?;
    assert_eq!((refused.status.as_u16(), refused.code()), (422, "payment_declined"));
    let held = &refused.body["booking"];
    assert_eq!(held["status"], "held");
    let paid = stage.pay(held, "tok_always_succeeds").await?.expect(200)?;
    assert_eq!(paid["tickets"].as_array().map(Vec::len), Some(1));
    stage.audit().await
}

#[tokio::test]
async fn a_free_ticket_needs_no_payment() -> Result<()> {
    let stage = Stage::open_at(3, 0).await?;
    let booking = stage.buy(1, None).await?.expect(201)?;
    assert_eq!(
        (booking["status"].as_str(), booking["total"]["amount_minor"].as_i64()),
        (Some("paid"), Some(0))
    );
    assert_eq!(booking["tickets"].as_array().map(Vec::len), Some(1));
    stage.audit().await
}

#[tokio::test]
async fn an_account_finds_its_tickets_and_payments() -> Result<()> {
    let stage = Stage::open(10).await?;
    let me = sign_up(&stage.server, "me@example.org").await?;
    let mut order = stage.order(2, Some("tok_always_succeeds"));
    order.as_object_mut().unwrap().remove("email");
    let booking = stage.server.post_as(&me, "/tickets/purchase", &order).await?.expect(201)?;
    assert_eq!(
        (booking["email"].as_str(), &booking["booking_secret"]),
        (Some("me@example.org"), &Value::Null)
    );
    stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;

    let first = stage.server.get_as(&me, "/tickets/view?limit=1").await?.expect(200)?;
    let next = text(&first, "next_cursor");
    let second =
        stage.server.get_as(&me, &format!("/tickets/view?limit=1&cursor={next}")).await?.expect(200)?;
    assert_eq!(second["next_cursor"], Value::Null);
    assert_ne!(first["items"][0]["ticket_id"], second["items"][0]["ticket_id"]);
    assert_eq!(first["items"][0]["event"]["title"], "Winter concert");

    let history = |query: &'static str| {
        let (server, me) = (&stage.server, me.clone());
        async move { server.get_as(&me, &format!("/payment/history{query}")).await }
    };
    let count = |page: Value| page["items"].as_array().map(Vec::len);
    assert_eq!(count(history("").await?.expect(200)?), Some(1), "the guest's payment is not mine");
    assert_eq!(count(history("?type=payment&status=completed&min_amount=5300").await?.expect(200)?), Some(1));
    for none in ["?type=refund", "?status=failed", "?min_amount=5301", "?to=2026-11-22T12:00:00Z"] {
        assert_eq!(count(history(none).await?.expect(200)?), Some(0), "{none}");
    }
    assert_eq!(history("?status=lost").await?.status.as_u16(), 422);
    let all = stage.server.request(Method::GET, "/payment/history").bearer_auth(&stage.owner);
    let all = send(all.header("Organizer-Id", stage.organizer_id.to_string())).await?.expect(200)?;
    assert_eq!(count(all), Some(2), "the organizer sees both");
    Ok(())
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_by_field_and_takes_nothing() -> Result<()> {
    let stage = Stage::open(10).await?;
    let base = stage.order(1, Some("tok_always_succeeds"));
    let with = |change: fn(&mut Value)| {
        let mut order = base.clone();
        change(&mut order);
        order
    };
    for (order, status, code, field) in [
        (with(|o| o["items"] = json!([])), 422, "invalid_fields", "items"),
        (with(|o| o["items"][0]["quantity"] = json!(0)), 422, "invalid_fields", "items[0].quantity"),
        (with(|o| o["items"][0]["quantity"] = json!(11)), 422, "invalid_fields", "items[0].quantity"),
        (
            with(|o| o["items"][0]["ticket_type_id"] = json!(uuid::Uuid::nil())),
            422,
            "invalid_fields",
            "items[0].ticket_type_id",
        ),
        (
            with(|o| {
                let item = o["items"][0].clone();
                o["items"] = json!([item, item])
            }),
            422,
            "invalid_fields",
            "items[1].ticket_type_id",
        ),
        (with(|o| o["email"] = json!("nobody")), 422, "invalid_fields", "email"),
        (with(|o| o["email"] = Value::Null), 422, "invalid_fields", "email"),
        (with(|o| o["payment"]["method"] = json!("gold")), 422, "invalid_fields", "payment.method"),
        (with(|o| o["event_id"] = json!(uuid::Uuid::nil())), 404, "not_found", ""),
    ] {
        let refused = stage.server.post("/tickets/purchase", &order).await?;
        assert_eq!((refused.status.as_u16(), refused.code()), (status, code), "{}", refused.text);
        let named = refused.body["errors"][0]["field"].as_str().unwrap_or_default();
        assert_eq!(named, field, "{}", refused.text);
    }
    let unknown = with(|o| o["surprise"] = json!(1));
    assert!(stage.server.post("/tickets/purchase", &unknown).await?.status.is_client_error());
    assert_eq!(stage.counters().await?, (0, 0));
    Ok(())
}

#[tokio::test]
async fn a_new_price_is_charged_at_once_although_servers_keep_prices_in_memory() -> Result<()> {
    let stage = Stage::open(10).await?;
    stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    // As another server would: this one's memory is not told.
    let mut owner = stage.owner_connection().await?;
    sqlx::raw_sql(
        "update ticket_types set price_minor = 4000; update events set sale_version = sale_version + 1",
    )
    .execute(&mut owner)
    .await?;
    let booking = stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    assert_eq!(booking["total"]["amount_minor"], 4_150);
    stage.audit().await
}

#[tokio::test]
async fn several_types_share_a_quota_and_are_sold_together_or_not_at_all() -> Result<()> {
    let stage = Stage::open(10).await?;
    let path = |what: &str| format!("/organizer/events/{}/{what}", stage.event_id);
    let quota = stage.own(Method::POST, &path("quotas"), json!({ "name": "Balcony", "capacity": 3 })).await?;
    let mut types = vec![stage.ticket_type_id.clone()];
    for name in ["Adult", "Child"] {
        let body = json!({
            "name": name, "quota_id": quota["quota_id"], "price": { "amount_minor": 1_000, "currency": "EUR" },
        });
        types.push(text(&stage.own(Method::POST, &path("ticket-types"), body).await?, "ticket_type_id"));
    }
    let order = |quantities: [u32; 3]| {
        let items = types.iter().zip(quantities).filter(|(_, n)| *n > 0);
        let items: Vec<Value> = items.map(|(t, n)| json!({ "ticket_type_id": t, "quantity": n })).collect();
        let mut order = stage.order(1, Some("tok_always_succeeds"));
        order["items"] = json!(items);
        order
    };
    let server = &stage.server;
    let post = |order| async move {
        server.post("/tickets/purchase", &order).await.map(|r| (r.code().to_owned(), r))
    };
    post(order([2, 1, 1])).await?.1.expect(201)?;
    let order_too_many = order([1, 1, 1]);
    let (code, refused) = post(order_too_many).await?;
    assert_eq!((refused.status.as_u16(), code.as_str()), (409, "sold_out"), "one is left of the balcony");
    assert_eq!(refused.body["errors"][0]["field"], "items[2]");
    post(order([1, 0, 1])).await?.1.expect(201)?;
    assert_eq!(stage.counters().await?, (0, 6));
    stage.audit().await
}

#[tokio::test]
async fn the_public_sees_published_events_only_and_caches_them() -> Result<()> {
    let stage = Stage::open(10).await?;
    let draft = stage.event("Secret plans").await?;
    assert_eq!(stage.server.get(&format!("/events/{draft}")).await?.status.as_u16(), 404);
    let shown = stage.server.get(&format!("/events/{}", stage.event_id)).await?;
    assert_eq!(shown.header("cache-control"), "public, max-age=30");
    assert_eq!(shown.body["ticket_types"][0]["total"]["amount_minor"], 2_650);
    let by_slug = stage.server.get(&format!("/events/{}", text(&shown.body, "slug"))).await?.expect(200)?;
    assert_eq!(by_slug["event_id"], shown.body["event_id"]);
    let again = stage.server.request(Method::GET, &format!("/events/{}", stage.event_id));
    let again = send(again.header("If-None-Match", shown.header("etag"))).await?;
    assert_eq!((again.status.as_u16(), again.text.as_str()), (304, ""));

    let server = &stage.server;
    let found = |query: &'static str| async move {
        let page = server.get(&format!("/events/search{query}")).await?.expect(200)?;
        anyhow::Ok(page["items"].as_array().map(Vec::len))
    };
    assert_eq!(found("").await?, Some(1));
    assert_eq!(found("?q=winter").await?, Some(1));
    assert_eq!(found("?q=secret").await?, Some(0));
    assert_eq!(found("?category=music").await?, Some(1));
    assert_eq!(found("?category=film").await?, Some(0));
    let keys = stage.server.get(&format!("/events/{}/ticket-keys", stage.event_id)).await?.expect(200)?;
    assert_eq!(
        (keys["keys"][0]["kty"].as_str(), keys["keys"][0]["crv"].as_str()),
        (Some("OKP"), Some("Ed25519"))
    );
    Ok(())
}
