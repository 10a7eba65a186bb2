//! Tickets that change hands: the old code is dead at once, the old holder sees nothing of the new one.

use anyhow::{Context as _, Result};
use hvflvspot::jobs::expire;
use reqwest::Method;
use serde_json::{Value, json};
use support::server::{Reply, send};

use crate::{Stage, sign_up, text};

/// The links and codes of the mails to an address, the newest last.
pub async fn mails(stage: &Stage, to: &str, kind: &str) -> Result<Vec<Value>> {
    use sqlx::Row as _;
    let mut owner = stage.server.db.owner().await?;
    let rows = sqlx::query(
        "select id, sealed_facts from outbox where recipient = $1 and kind = $2 order by created_at, id",
    )
    .bind(to)
    .bind(kind)
    .fetch_all(&mut owner)
    .await?;
    rows.iter()
        .map(|row| {
            let id: uuid::Uuid = row.get("id");
            let Some(sealed) = row.get::<Option<Vec<u8>>, _>("sealed_facts") else { return Ok(json!({})) };
            let plain = stage.server.app.master_key.open(&format!("outbox/{id}"), &sealed)?;
            Ok(serde_json::from_slice(&plain)?)
        })
        .collect()
}

/// The code of a new mail to the holder of the booking's secret.
pub async fn code(stage: &Stage, booking: &Value, to: &str) -> Result<String> {
    let sent = send(stage.as_guest(Method::POST, "/bookings/code", booking)).await?;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let last = mails(stage, to, "ticket.code").await?.pop().context("a mail")?;
    Ok(text(&last, "code"))
}

async fn transfer(stage: &Stage, booking: &Value, ticket: &str, body: &Value) -> Result<Reply> {
    let path = format!("/tickets/{ticket}/transfer");
    send(stage.as_guest(Method::POST, &path, booking).json(body)).await
}

pub async fn outcome(stage: &Stage, code: &str) -> Result<String> {
    let body = json!({ "code": code, "event_id": stage.event_id });
    let verdict = stage.server.post_as(&stage.owner, "/tickets/validate", &body).await?.expect(200)?;
    Ok(text(&verdict, "outcome"))
}

/// A booking as its holder has it: with the secret of a mail's link.
pub fn by_link(link: &str) -> Result<Value> {
    let (_, secret) = link.split_once("#secret=").context("a secret in the fragment")?;
    Ok(json!({ "booking_secret": secret }))
}

#[tokio::test]
async fn a_guest_hands_a_ticket_on_by_a_code_of_the_mail_and_the_old_code_is_dead() -> Result<()> {
    let stage = Stage::open(10).await?;
    let booking = stage.buy(2, Some("tok_always_succeeds")).await?.expect(201)?;
    let (ticket, old) = (text(&booking["tickets"][0], "ticket_id"), text(&booking["tickets"][0], "code"));
    let to = json!({ "email": "friend@example.org", "name": "Zoë Friend" });
    let with = |code: &str| {
        let mut body = to.clone();
        body["code"] = json!(code);
        body
    };
    assert_eq!(transfer(&stage, &booking, &ticket, &to).await?.code(), "code_required");
    let right = code(&stage, &booking, "guest@example.org").await?;
    let wrong = if right == "000000" { "000001" } else { "000000" };
    assert_eq!(transfer(&stage, &booking, &ticket, &with(wrong)).await?.code(), "wrong_code");
    assert_eq!(outcome(&stage, &old).await?, "ok", "nothing happened yet");

    let done = transfer(&stage, &booking, &ticket, &with(&right)).await?.expect(200)?;
    assert_eq!(done["generation"], 1);
    assert_eq!(outcome(&stage, &old).await?, "superseded");

    // The buyer sees that it is gone, and nothing that opens a door.
    let seen = stage.see(&booking).await?;
    let gone = seen["tickets"].as_array().context("tickets")?.iter().find(|t| t["ticket_id"] == ticket);
    let gone = gone.context("the ticket")?;
    assert_eq!((&gone["transferred"], &gone["code"]), (&json!(true), &Value::Null));
    for path in ["", "/qr.svg", "/ticket.pdf"] {
        let path = format!("/tickets/{ticket}{path}");
        assert_eq!(send(stage.as_guest(Method::GET, &path, &booking)).await?.status, 404, "{path}");
    }
    assert_eq!(transfer(&stage, &booking, &ticket, &with(&right)).await?.status, 404, "not theirs any more");

    // The new holder has it by the mail's link, and nothing else of the booking.
    let link = mails(&stage, "friend@example.org", "ticket.received").await?.pop().context("a mail")?;
    let friend = by_link(&text(&link, "link"))?;
    let theirs =
        send(stage.as_guest(Method::GET, &format!("/tickets/{ticket}"), &friend)).await?.expect(200)?;
    assert_eq!((&theirs["attendee_name"], &theirs["generation"]), (&json!("Zoë Friend"), &json!(1)));
    assert_eq!(outcome(&stage, &text(&theirs, "code")).await?, "ok");
    let list = send(stage.as_guest(Method::GET, "/tickets/view", &friend)).await?.expect(200)?;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1));
    let path = format!("/bookings/{}", text(&booking, "booking_id"));
    assert_eq!(send(stage.as_guest(Method::GET, &path, &friend)).await?.status, 404);
    assert_eq!(mails(&stage, "guest@example.org", "ticket.handed_on").await?.len(), 1);

    // And hands it on in turn.
    let second = code(&stage, &friend, "friend@example.org").await?;
    let body = json!({ "email": "third@example.org", "code": second });
    assert_eq!(transfer(&stage, &friend, &ticket, &body).await?.expect(200)?["generation"], 2);
    assert_eq!(outcome(&stage, &text(&theirs, "code")).await?, "superseded");
    stage.audit().await
}

#[tokio::test]
async fn a_verified_account_finds_the_ticket_among_its_own() -> Result<()> {
    let stage = Stage::open(10).await?;
    let friend = sign_up(&stage.server, "friend@example.org").await?;
    let buyer = sign_up(&stage.server, "buyer@example.org").await?;
    let order = stage.order(1, Some("tok_always_succeeds"));
    let booking = stage.server.post_as(&buyer, "/tickets/purchase", &order).await?.expect(201)?;
    let ticket = text(&booking["tickets"][0], "ticket_id");
    let path = format!("/tickets/{ticket}/transfer");
    let body = json!({ "email": "friend@example.org" });
    // Twice under one key is once.
    let send_it = || {
        send(
            stage
                .server
                .request(Method::POST, &path)
                .bearer_auth(&buyer)
                .header("Idempotency-Key", "k1")
                .json(&body),
        )
    };
    let first = send_it().await?.expect(200)?;
    assert_eq!(send_it().await?.expect(200)?, first);
    let list = stage.server.get_as(&friend, "/tickets/view").await?.expect(200)?;
    assert_eq!(list["items"][0]["ticket_id"], json!(ticket));
    assert_eq!(list["items"][0]["generation"], 1);
    let own = stage.server.get_as(&buyer, "/tickets/view").await?.expect(200)?;
    assert_eq!(own["items"].as_array().map(Vec::len), Some(0));
    let path = format!("/bookings/{}", text(&booking, "booking_id"));
    assert_eq!(stage.server.get_as(&friend, &path).await?.status, 404, "the ticket, not the booking");
    Ok(())
}

#[tokio::test]
async fn five_wrong_codes_end_a_code() -> Result<()> {
    let stage = Stage::open(10).await?;
    let booking = stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    let ticket = text(&booking["tickets"][0], "ticket_id");
    let right = code(&stage, &booking, "guest@example.org").await?;
    let wrong = if right == "000000" { "000001" } else { "000000" };
    for _ in 0..5 {
        let body = json!({ "email": "friend@example.org", "code": wrong });
        assert_eq!(transfer(&stage, &booking, &ticket, &body).await?.code(), "wrong_code");
    }
    let body = json!({ "email": "friend@example.org", "code": right });
    assert_eq!(transfer(&stage, &booking, &ticket, &body).await?.code(), "wrong_code", "too late");

    // Once it is over for a day, nothing of it is kept.
    let mut owner = stage.server.db.owner().await?;
    for (minutes, kept) in [(60, 1), (24 * 60, 0)] {
        stage.clock.advance(std::time::Duration::from_secs(minutes * 60));
        expire::run(&stage.server.app).await?;
        let left: i64 = sqlx::query_scalar("select count(*) from guest_codes").fetch_one(&mut owner).await?;
        assert_eq!(left, kept, "after {minutes} minutes more");
    }
    Ok(())
}

#[tokio::test]
async fn tickets_that_cannot_be_handed_on_lock_nobody_out_of_mails() -> Result<()> {
    // In development thirty times as many.
    let stage = Stage::open_with(10, 2_500, |config| config.auth.mails_per_hour = 1).await?;
    let booking = stage.buy(2, Some("tok_always_succeeds")).await?.expect(201)?;
    let id = |n: usize| text(&booking["tickets"][n], "ticket_id");
    let to = json!({ "email": "guest@example.org" });
    let hand_on = async |n: usize| {
        stage.server.post_as(&stage.owner, &format!("/tickets/{}/transfer", id(n)), &to).await
    };
    stage.own(Method::POST, &format!("/organizer/tickets/{}/block", id(0)), json!({})).await?;
    for _ in 0..31 {
        assert_eq!(hand_on(0).await?.code(), "ticket_not_valid");
    }
    code(&stage, &booking, "guest@example.org").await?;
    // Those that go through count, and for such mails alone.
    for _ in 0..15 {
        hand_on(1).await?.expect(200)?;
    }
    assert_ne!(text(&hand_on(1).await?.expect(200)?, "ticket_id"), id(1), "on with a new id");
    assert_eq!(hand_on(1).await?.code(), "ticket_not_valid");
    code(&stage, &booking, "guest@example.org").await?;
    Ok(())
}

#[tokio::test]
async fn what_is_blocked_revoked_or_admitted_stays_where_it_is() -> Result<()> {
    let stage = Stage::open(10).await?;
    let booking = stage.buy(3, Some("tok_always_succeeds")).await?.expect(201)?;
    let id = |n: usize| text(&booking["tickets"][n], "ticket_id");
    let staff = async |n: usize, what: &str, body: Value| {
        stage.server.post_as(&stage.owner, &format!("/tickets/{}/{what}", id(n)), &body).await
    };
    let to = json!({ "email": "friend@example.org" });
    let organize = async |n: usize, what: &str| {
        let path = format!("/organizer/tickets/{}/{what}", id(n));
        stage.server.post_as(&stage.owner, &path, &json!({ "reason": "test" })).await
    };
    assert_eq!(organize(0, "block").await?.expect(200)?["state"], "blocked");
    assert_eq!(organize(0, "block").await?.status, 200, "twice is once");
    assert_eq!(outcome(&stage, &text(&booking["tickets"][0], "code")).await?, "blocked");
    assert_eq!(staff(0, "transfer", to.clone()).await?.code(), "ticket_not_valid");
    assert_eq!(organize(0, "unblock").await?.expect(200)?["state"], "valid");
    assert_eq!(outcome(&stage, &text(&booking["tickets"][0], "code")).await?, "ok");

    let sold = stage.counters().await?.1;
    assert_eq!(organize(1, "withdraw").await?.expect(200)?["state"], "withdrawn");
    assert_eq!(stage.counters().await?.1, sold - 1, "its place is free");
    assert_eq!(organize(1, "unblock").await?.code(), "ticket_not_valid");
    assert_eq!(staff(1, "reissue", json!({})).await?.code(), "ticket_not_valid");

    let lists = stage
        .server
        .get_as(&stage.owner, &format!("/organizer/events/{}/lists", stage.event_id))
        .await?
        .expect(200)?;
    let list = &lists["items"][0]["list_id"];
    let check_in = json!({ "code": booking["tickets"][2]["code"], "check_in": { "list_id": list } });
    let verdict = stage.server.post_as(&stage.owner, "/tickets/validate", &check_in).await?.expect(200)?;
    assert_eq!(verdict["outcome"], "ok");
    assert_eq!(staff(2, "transfer", to).await?.code(), "already_admitted");
    stage.audit().await
}

#[tokio::test]
async fn a_scan_is_before_the_transfer_or_after_it() -> Result<()> {
    let stage = Stage::open(40).await?;
    let lists = stage
        .server
        .get_as(&stage.owner, &format!("/organizer/events/{}/lists", stage.event_id))
        .await?
        .expect(200)?;
    let list = lists["items"][0]["list_id"].clone();
    let (mut scanned_first, mut moved_first) = (0, 0);
    for _ in 0..2 {
        let booking = stage.buy(10, Some("tok_always_succeeds")).await?.expect(201)?;
        for ticket in booking["tickets"].as_array().context("tickets")? {
            let path = format!("/tickets/{}/transfer", text(ticket, "ticket_id"));
            let body = json!({ "email": "friend@example.org" });
            let scan = json!({ "code": ticket["code"], "check_in": { "list_id": list } });
            let (moved, verdict) = tokio::try_join!(
                stage.server.post_as(&stage.owner, &path, &body),
                stage.server.post_as(&stage.owner, "/tickets/validate", &scan),
            )?;
            let verdict = text(&verdict.expect(200)?, "outcome");
            match (moved.status.as_u16(), moved.code(), verdict.as_str()) {
                (200, _, "superseded") => moved_first += 1,
                (409, "already_admitted", "ok") => scanned_first += 1,
                other => anyhow::bail!("transferred and admitted, or neither: {other:?}"),
            }
        }
    }
    assert_eq!(scanned_first + moved_first, 20);
    stage.audit().await
}
