//! An organizer's own account with Stripe: its keys, its webhooks, who may see what.

use anyhow::Result;
use hvflvspot::config::Secret;
use reqwest::Method;
use serde_json::{Value, json};
use support::server::send;
use support::stripe_double::{SECRET_KEY, StripeDouble, WEBHOOK_SECRET, tell};

use crate::{Stage, text};

const PATH: &str = "/organizer/payment/stripe";

async fn put(stage: &Stage, body: Value) -> Result<Value> {
    send(stage.server.request(Method::PUT, PATH).bearer_auth(&stage.owner).json(&body)).await?.expect(200)
}

#[tokio::test]
async fn an_organizers_own_keys_take_the_money_and_are_never_told() -> Result<()> {
    let double = StripeDouble::start().await?;
    let stage = Stage::open_with(4, 2_500, |config| config.stripe.api_base.clone_from(&double.url)).await?;
    let none = stage.server.get_as(&stage.owner, PATH).await?.expect(200)?;
    assert_eq!((none["configured"].as_bool(), &none["webhook_url"]), (Some(false), &Value::Null));
    assert_eq!(stage.buy_by_card(1, "pm_card_visa").await?.code(), "invalid_fields", "nobody takes cards");
    stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    for wrong in [
        json!({}),
        json!({ "secret_key": "pk_test_1" }),
        json!({ "secret_key": SECRET_KEY, "publishable_key": "sk_test_1" }),
        json!({ "secret_key": SECRET_KEY, "webhook_secrets": ["secret"] }),
    ] {
        let reply =
            send(stage.server.request(Method::PUT, PATH).bearer_auth(&stage.owner).json(&wrong)).await?;
        assert_eq!((reply.status.as_u16(), reply.code()), (422, "invalid_fields"), "{wrong}");
    }
    let put_first =
        put(&stage, json!({ "secret_key": SECRET_KEY, "publishable_key": "pk_test_own" })).await?;
    let url = text(&put_first, "webhook_url");
    let endpoint = url.rsplit('/').next().unwrap_or_default().to_owned();
    let now = put(&stage, json!({ "webhook_secrets": [WEBHOOK_SECRET] })).await?;
    assert_eq!(
        (now["configured"].as_bool(), now["mode"].as_str(), now["webhook_secrets"].as_i64()),
        (Some(true), Some("test"), Some(1))
    );
    assert_eq!(text(&now, "webhook_url"), url);
    let shown = stage.server.get_as(&stage.owner, PATH).await?;
    assert!(!shown.text.contains(SECRET_KEY) && !shown.text.contains(WEBHOOK_SECRET));
    // From here on real money is taken, and no other.
    assert_eq!(stage.buy(1, Some("tok_always_succeeds")).await?.code(), "invalid_fields");
    let booking = stage.buy_by_card(1, "pm_card_threeDSecure2Required").await?.expect(202)?;
    assert_eq!(booking["transaction"]["next_action"]["publishable_key"], "pk_test_own");
    let busy = send(stage.server.request(Method::DELETE, PATH).bearer_auth(&stage.owner)).await?;
    assert_eq!((busy.status.as_u16(), busy.code()), (409, "payments_in_flight"));
    double.act(&double.moved()[0].intent.clone(), true);
    let event = double.event("payment_intent.succeeded")?;
    let told = tell(&stage.server.client, &stage.server.url, &endpoint, &event, crate::now()).await?;
    assert_eq!(told.status().as_u16(), 204);
    stage.quiet().await?;
    assert_eq!(stage.see(&booking).await?["status"], "paid");
    let mut owner = stage.owner_connection().await?;
    let stored: String = sqlx::query_scalar("select string_agg(a::text, ' ') from payment_accounts a")
        .fetch_one(&mut owner)
        .await?;
    assert!(!stored.contains(&hex::encode(SECRET_KEY)), "sealed");
    stage.refund(&booking).await?.expect(200)?;
    let gone = send(stage.server.request(Method::DELETE, PATH).bearer_auth(&stage.owner)).await?;
    assert_eq!(gone.status.as_u16(), 204);
    assert_eq!(stage.audited("payment_account.removed").await?, 1);
    // Whose keys are gone does not give tickets away for simulated money.
    assert_eq!(stage.buy(1, Some("tok_always_succeeds")).await?.code(), "invalid_fields");
    assert_eq!(stage.buy_by_card(1, "pm_card_visa").await?.code(), "invalid_fields");
    let told = tell(&stage.server.client, &stage.server.url, &endpoint, &event, crate::now()).await?;
    assert_eq!(told.status().as_u16(), 404);
    stage.audit().await
}

#[tokio::test]
async fn an_organizers_account_says_nothing_about_payments_of_the_servers() -> Result<()> {
    let (stage, double) = Stage::stripe(2).await?;
    let booking = stage.buy_by_card(1, "pm_card_threeDSecure2Required").await?.expect(202)?;
    let own =
        put(&stage, json!({ "secret_key": "sk_test_mine", "webhook_secrets": [WEBHOOK_SECRET] })).await?;
    let url = text(&own, "webhook_url");
    let endpoint = url.rsplit('/').next().unwrap_or_default();
    double.act(&double.moved()[0].intent.clone(), true);
    let event = double.event("payment_intent.succeeded")?;
    let told = tell(&stage.server.client, &stage.server.url, endpoint, &event, crate::now()).await?;
    assert_eq!(told.status().as_u16(), 204);
    stage.quiet().await?;
    assert_eq!(stage.see(&booking).await?["status"], "held");
    // The one that it belongs to goes on, whatever was set up meanwhile.
    let told = tell(&stage.server.client, &stage.server.url, "default", &event, crate::now()).await?;
    assert_eq!(told.status().as_u16(), 204);
    stage.quiet().await?;
    assert_eq!(stage.see(&booking).await?["status"], "paid");
    assert!(format!("{:?}", Secret::new("sk_test_mine")).find("mine").is_none());
    stage.agrees_with(&double).await
}

#[tokio::test]
async fn the_key_of_another_account_waits_until_nothing_can_be_refunded_with_the_old_one() -> Result<()> {
    let double = StripeDouble::start().await?;
    let stage = Stage::open_with(4, 2_500, |config| config.stripe.api_base.clone_from(&double.url)).await?;
    double.know_key("sk_test_renewed", Some("acct_double"));
    double.know_key("sk_test_other", Some("acct_other"));
    double.know_key("rk_test_silent", None);
    let try_key = async |key: &str| {
        let body = json!({ "secret_key": key });
        send(stage.server.request(Method::PUT, PATH).bearer_auth(&stage.owner).json(&body)).await
    };
    put(&stage, json!({ "secret_key": SECRET_KEY })).await?;
    // A payment on its way: neither another account's key, nor one of which nobody knows whose it is.
    let booking = stage.buy_by_card(1, "pm_card_threeDSecure2Required").await?.expect(202)?;
    let other = try_key("sk_test_other").await?;
    assert_eq!((other.status.as_u16(), other.code()), (409, "other_payment_account"));
    let silent = try_key("rk_test_silent").await?;
    assert_eq!((silent.status.as_u16(), silent.code()), (409, "payments_in_flight"));
    try_key("sk_test_renewed").await?.expect(200)?;
    // Paid: it may have to be refunded.
    double.act(&double.moved()[0].intent.clone(), true);
    stage.pay_by_card(&booking, "pm_card_threeDSecure2Required").await?.expect(200)?;
    assert_eq!(try_key("sk_test_other").await?.code(), "other_payment_account");
    // Taking the key away in between does not help.
    send(stage.server.request(Method::DELETE, PATH).bearer_auth(&stage.owner)).await?;
    assert_eq!(try_key("sk_test_other").await?.code(), "other_payment_account");
    try_key(SECRET_KEY).await?.expect(200)?;
    stage.refund(&booking).await?.expect(200)?;
    try_key("sk_test_other").await?.expect(200)?;
    Ok(())
}
