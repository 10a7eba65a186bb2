//! New codes of old tickets: for what they are good, how many there are, and what a ticket becomes after the last.

use std::time::Duration;

use anyhow::{Context as _, Result};
use hvflvspot::jobs::sweep;
use reqwest::Method;
use serde_json::{Value, json};
use support::server::{Reply, send};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::handed_on::{by_link, code, mails, outcome};
use crate::{Stage, now, text};

impl Stage {
    async fn reissue(&self, ticket: &str) -> Result<Reply> {
        self.server.post_as(&self.owner, &format!("/tickets/{ticket}/reissue"), &json!({})).await
    }

    /// Reissues fifteen times; the last code.
    async fn used_up(&self, ticket: &str) -> Result<String> {
        let mut last = String::new();
        for generation in 1..=15 {
            let done = self.reissue(ticket).await?.expect(200)?;
            assert_eq!((&done["ticket_id"], &done["generation"]), (&json!(ticket), &json!(generation)));
            last = text(&done, "code");
        }
        Ok(last)
    }

    async fn lists(&self) -> Result<Value> {
        let path = format!("/organizer/events/{}/lists", self.event_id);
        self.server.get_as(&self.owner, &path).await?.expect(200)
    }
}

#[tokio::test]
async fn a_new_code_is_good_for_the_date_that_the_event_was_put_off_to() -> Result<()> {
    let stage = Stage::open(10).await?;
    let booking = stage.buy(2, Some("tok_always_succeeds")).await?.expect(201)?;
    let id = |n: usize| text(&booking["tickets"][n], "ticket_id");
    let starts: OffsetDateTime = now() + time::Duration::days(40);
    let ends = starts + time::Duration::hours(3);
    stage.change(json!({ "starts_at": starts.format(&Rfc3339)?, "ends_at": ends.format(&Rfc3339)? })).await?;
    let until = (ends + time::Duration::DAY).format(&Rfc3339)?;
    let reissued = stage.reissue(&id(0)).await?.expect(200)?;
    assert_eq!(reissued["expires_at"], json!(until));
    // The first date's tickets would be over by now.
    stage.clock.advance(Duration::from_secs(20 * 86_400));
    let right = code(&stage, &booking, "guest@example.org").await?;
    let as_guest = async |n: usize, what: &str, body: Value| {
        let path = format!("/tickets/{}/{what}", id(n));
        send(stage.as_guest(Method::POST, &path, &booking).json(&body)).await
    };
    let again = as_guest(0, "reissue", json!({ "code": right })).await?.expect(200)?;
    assert_eq!(again["expires_at"], json!(until));
    let body = json!({ "email": "friend@example.org", "code": right });
    as_guest(1, "transfer", body).await?.expect(200)?;
    let link = mails(&stage, "friend@example.org", "ticket.received").await?.pop().context("a mail")?;
    let friend = by_link(&text(&link, "link"))?;
    let path = format!("/tickets/{}", id(1));
    let theirs = send(stage.as_guest(Method::GET, &path, &friend)).await?.expect(200)?;
    assert_eq!(theirs["expires_at"], json!(until));
    Ok(())
}

#[tokio::test]
async fn after_fifteen_new_codes_a_ticket_goes_on_under_a_new_id_and_the_old_one_is_revoked() -> Result<()> {
    let stage = Stage::open(10).await?;
    let mut order = stage.order(1, Some("tok_always_succeeds"));
    order["attendees"] = json!([{ "name": "Zoë" }]);
    let booking = stage.server.post("/tickets/purchase", &order).await?.expect(201)?;
    let old = text(&booking["tickets"][0], "ticket_id");
    let (counters, last) = (stage.counters().await?, stage.used_up(&old).await?);
    assert_eq!(outcome(&stage, &last).await?, "ok");

    let renewed = stage.reissue(&old).await?.expect(200)?;
    let new = text(&renewed, "ticket_id");
    assert_ne!(new, old);
    assert_eq!((&renewed["generation"], &renewed["state"]), (&json!(0), &json!("valid")));
    assert_eq!(renewed["attendee_name"], "Zoë");
    assert_eq!(outcome(&stage, &last).await?, "revoked");
    assert_eq!(outcome(&stage, &text(&renewed, "code")).await?, "ok");
    assert_eq!(stage.counters().await?, counters, "it is the same place");

    // Its holder sees one ticket, and where the old one went.
    let seen = stage.see(&booking).await?;
    let ids: Vec<&Value> =
        seen["tickets"].as_array().context("tickets")?.iter().map(|t| &t["ticket_id"]).collect();
    assert_eq!(ids, [&json!(new)]);
    let path = format!("/tickets/{old}");
    let gone = send(stage.as_guest(Method::GET, &path, &booking)).await?.expect(200)?;
    assert_eq!(
        (&gone["state"], &gone["replaced_by"], &gone["code"]),
        (&json!("withdrawn"), &json!(new), &Value::Null)
    );
    assert_eq!(stage.reissue(&old).await?.code(), "ticket_not_valid");
    assert_eq!(stage.reissue(&new).await?.expect(200)?["generation"], 1);
    assert_eq!(stage.audited("ticket.replaces").await?, 1);
    // What was paid for it goes back by the new one.
    let back = stage.refund_part(&booking, json!({ "items": [{ "ticket_id": new }] })).await?;
    assert!(back.status.is_success(), "{}", back.text);
    stage.audit().await
}

#[tokio::test]
async fn a_ticket_that_is_handed_on_as_its_sixteenth_code_is_the_new_holders_under_its_new_id() -> Result<()>
{
    let stage = Stage::open(10).await?;
    let booking = stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    let old = text(&booking["tickets"][0], "ticket_id");
    stage.used_up(&old).await?;
    let body = json!({ "email": "friend@example.org" });
    let path = format!("/tickets/{old}/transfer");
    let done = stage.server.post_as(&stage.owner, &path, &body).await?.expect(200)?;
    let new = text(&done, "ticket_id");
    assert_ne!(new, old);
    let link = mails(&stage, "friend@example.org", "ticket.received").await?.pop().context("a mail")?;
    assert!(text(&link, "link").contains(&format!("/web/tickets/{new}#")), "{link}");
    let friend = by_link(&text(&link, "link"))?;
    let list = send(stage.as_guest(Method::GET, "/tickets/view", &friend)).await?.expect(200)?;
    let items = list["items"].as_array().context("items")?;
    assert_eq!((items.len(), &items[0]["ticket_id"]), (1, &json!(new)));
    assert_eq!(outcome(&stage, &text(&items[0], "code")).await?, "ok");
    // The buyer sees that it is gone.
    let seen = stage.see(&booking).await?;
    let gone = &seen["tickets"][0];
    assert_eq!(
        (&gone["ticket_id"], &gone["transferred"], &gone["code"]),
        (&json!(new), &json!(true), &Value::Null)
    );
    for id in [&old, &new] {
        let path = format!("/tickets/{id}");
        assert_eq!(send(stage.as_guest(Method::GET, &path, &booking)).await?.status, 404, "{id}");
    }
    stage.audit().await
}

#[tokio::test]
async fn who_has_come_in_gets_no_new_id_to_come_in_with_again() -> Result<()> {
    let stage = Stage::open(10).await?;
    let booking = stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    let ticket = text(&booking["tickets"][0], "ticket_id");
    let last = stage.used_up(&ticket).await?;
    let list = stage.lists().await?["items"][0]["list_id"].clone();
    let check_in = json!({ "code": last, "check_in": { "list_id": list } });
    let verdict = stage.server.post_as(&stage.owner, "/tickets/validate", &check_in).await?.expect(200)?;
    assert_eq!(verdict["outcome"], "ok");
    assert_eq!(stage.reissue(&ticket).await?.code(), "already_admitted");
    assert_eq!(stage.see(&booking).await?["tickets"][0]["ticket_id"], json!(ticket));
    stage.audit().await
}

#[tokio::test]
async fn who_was_handed_a_ticket_and_hands_it_on_hears_so_again_when_they_repeat_it() -> Result<()> {
    let stage = Stage::open(10).await?;
    let booking = stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    let ticket = text(&booking["tickets"][0], "ticket_id");
    let path = format!("/tickets/{ticket}/transfer");
    let body = json!({ "email": "friend@example.org" });
    stage.server.post_as(&stage.owner, &path, &body).await?.expect(200)?;
    let link = mails(&stage, "friend@example.org", "ticket.received").await?.pop().context("a mail")?;
    let friend = by_link(&text(&link, "link"))?;
    let right = code(&stage, &friend, "friend@example.org").await?;
    let body = json!({ "email": "third@example.org", "code": right });
    let hand_on = |key: &'static str| {
        send(stage.as_guest(Method::POST, &path, &friend).header("Idempotency-Key", key).json(&body))
    };
    let done = hand_on("k1").await?.expect(200)?;
    assert_eq!(done["generation"], 2);
    assert_eq!(hand_on("k1").await?.expect(200)?, done, "their secret opens nothing any more");
    assert_eq!(hand_on("k2").await?.status, 404, "it is not theirs to hand on again");
    Ok(())
}

#[tokio::test]
async fn an_address_gets_so_many_codes_a_day() -> Result<()> {
    // In development thirty times as many.
    let stage = Stage::open_with(10, 2_500, |config| config.auth.mail_codes_per_day = 1).await?;
    let booking = stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    let ask = || send(stage.as_guest(Method::POST, "/bookings/code", &booking));
    for n in 0..30 {
        assert_eq!(ask().await?.status, 202, "{n}");
    }
    let refused = ask().await?;
    assert_eq!(refused.status, 429, "{}", refused.text);
    stage.clock.advance(Duration::from_secs(2 * 3_600));
    assert_eq!(ask().await?.status, 429, "an hour changes nothing");
    stage.clock.advance(Duration::from_secs(22 * 3_600));
    assert_eq!(ask().await?.status, 202);
    Ok(())
}

#[tokio::test]
async fn what_sales_lock_persons_by_is_forgotten_after_a_day() -> Result<()> {
    let stage = Stage::open(10).await?;
    stage.change(json!({ "max_per_person": 4 })).await?;
    stage.buy(2, Some("tok_always_succeeds")).await?.expect(201)?;
    let mut owner = stage.owner_connection().await?;
    for (hours, left) in [(23, 1), (2, 0)] {
        stage.clock.advance(Duration::from_secs(hours * 3_600));
        sweep::run(&stage.server.app).await?;
        let rows: i64 = sqlx::query_scalar("select count(*) from claim_locks").fetch_one(&mut owner).await?;
        assert_eq!(rows, left, "after {hours} hours more");
    }
    assert_eq!(stage.buy(3, None).await?.code(), "person_limit", "what a person has is still counted");
    Ok(())
}
