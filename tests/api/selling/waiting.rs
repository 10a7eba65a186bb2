//! Complimentary tickets, the waiting list, the waiting room, and the cancellation of an event.

use std::time::Duration;

use anyhow::{Context as _, Result};
use hvflvspot::jobs::{cancel_events, expire, outbox, reconcile, waiting};
use reqwest::Method;
use serde_json::{Value, json};
use support::server::{Reply, send};

use crate::{Stage, sign_up, text};

impl Stage {
    /// A guest wants to wait.
    async fn wait(&self, email: &str, quantity: u32) -> Result<Reply> {
        let body = json!({ "ticket_type_id": self.ticket_type_id, "quantity": quantity, "email": email });
        self.server.post(&format!("/events/{}/waiting-list", self.event_id), &body).await
    }

    /// The entry as its guest sees it now.
    async fn place_of(&self, entry: &Value) -> Result<Value> {
        let path = format!("/events/{}/waiting-list/{}", self.event_id, text(entry, "entry_id"));
        send(self.as_guest(Method::GET, &path, entry)).await?.expect(200)
    }

    async fn give_up(&self, booking: &Value) -> Result<Reply> {
        let path = format!("/bookings/{}/cancel", text(booking, "booking_id"));
        send(self.as_guest(Method::POST, &path, booking)).await
    }

    /// Sends what stands in the outbox; every letter can be written.
    pub async fn send_mails(&self) -> Result<()> {
        outbox::run(&self.server.app).await?;
        let mut owner = self.owner_connection().await?;
        let left: i64 = sqlx::query_scalar("select count(*) from outbox where status <> 'sent'")
            .fetch_one(&mut owner)
            .await?;
        anyhow::ensure!(left == 0, "{left} mails were not sent");
        Ok(())
    }

    /// Mails of a kind.
    pub async fn mails(&self, kind: &str) -> Result<i64> {
        let mut owner = self.owner_connection().await?;
        Ok(sqlx::query_scalar("select count(*) from outbox where kind = $1")
            .bind(kind)
            .fetch_one(&mut owner)
            .await?)
    }
}

#[tokio::test]
async fn given_tickets_take_places_cost_nothing_and_go_by_mail_once() -> Result<()> {
    let stage = Stage::open(3).await?;
    let path = format!("/organizer/events/{}/complimentary", stage.event_id);
    let body = json!({
        "ticket_type_id": stage.ticket_type_id, "quantity": 2, "email": "press@example.org", "note": "Press",
    });
    let give = || {
        let request = stage.server.request(Method::POST, &path).bearer_auth(&stage.owner);
        send(request.header("Idempotency-Key", "gift-1").json(&body))
    };
    let given = give().await?.expect(201)?;
    assert_eq!((given["status"].as_str(), given["total"]["amount_minor"].as_i64()), (Some("paid"), Some(0)));
    assert_eq!(given["tickets"].as_array().map(Vec::len), Some(2));
    let again = give().await?;
    assert_eq!((again.status.as_u16(), again.header("idempotent-replayed")), (201, "true"));
    assert_eq!((stage.counters().await?, stage.mails("offer.complimentary").await?), ((0, 2), 1));
    stage.send_mails().await?;
    let listed = stage.server.get_as(&stage.owner, &path).await?.expect(200)?;
    assert_eq!(
        (&listed["items"][0]["note"], listed["items"].as_array().map(Vec::len)),
        (&json!("Press"), Some(1))
    );
    let more = stage.server.post_as(&stage.owner, &path, &body).await?;
    assert_eq!((more.status.as_u16(), more.code()), (409, "sold_out"));
    stage.audit().await
}

#[tokio::test]
async fn what_becomes_free_goes_to_who_waits_in_the_order_of_coming_and_nobody_jumps_in() -> Result<()> {
    let stage = Stage::open(2).await?;
    let early = stage.wait("w@example.org", 1).await?;
    assert_eq!((early.status.as_u16(), early.code()), (409, "still_available"));
    let held = [stage.buy(1, None).await?.expect(201)?, stage.buy(1, None).await?.expect(201)?];
    let first = stage.wait("two@example.org", 2).await?.expect(201)?;
    let second = stage.wait("one@example.org", 1).await?.expect(201)?;
    assert_eq!((first["place"].as_i64(), second["place"].as_i64()), (Some(1), Some(2)));
    assert_eq!(stage.wait("ONE@example.org", 1).await?.code(), "already_waiting");
    assert_eq!(stage.mails("offer.waiting").await?, 2);
    stage.send_mails().await?;
    // One becomes free: too little for the first, and kept for the line.
    stage.give_up(&held[0]).await?.expect(200)?;
    waiting::run(&stage.server.app).await?;
    assert_eq!(stage.place_of(&second).await?["status"], "waiting");
    let public = stage.buy(1, None).await?;
    assert_eq!((public.status.as_u16(), public.code()), (409, "sold_out"));
    let event = stage.server.get(&format!("/events/{}", stage.event_id)).await?.expect(200)?;
    assert_eq!(event["ticket_types"][0]["availability"], "sold_out");
    // The other one: now it is enough for the first.
    stage.give_up(&held[1]).await?.expect(200)?;
    waiting::run(&stage.server.app).await?;
    stage.send_mails().await?;
    let offered = stage.place_of(&first).await?;
    assert_eq!((offered["status"].as_str(), stage.counters().await?), (Some("offered"), (2, 0)));
    assert_eq!(stage.place_of(&second).await?["place"], 1);
    // The entry is the booking, under the same secret. It lapses; the next in line is offered one.
    let booking = json!({ "booking_id": first["entry_id"], "booking_secret": first["booking_secret"] });
    assert_eq!(stage.see(&booking).await?["status"], "held");
    stage.clock.advance(Duration::from_secs(4 * 3_600));
    expire::run(&stage.server.app).await?;
    waiting::run(&stage.server.app).await?;
    assert_eq!(stage.place_of(&first).await?["status"], "lapsed");
    assert_eq!(stage.place_of(&second).await?["status"], "offered");
    let booking = json!({ "booking_id": second["entry_id"], "booking_secret": second["booking_secret"] });
    stage.pay(&booking, "tok_always_succeeds").await?.expect(200)?;
    waiting::run(&stage.server.app).await?;
    assert_eq!(stage.place_of(&second).await?["status"], "taken");
    // Nobody waits any more: the other one is for everybody.
    stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    assert_eq!(stage.mails("offer.made").await?, 2);
    stage.audit().await
}

#[tokio::test]
async fn one_leaves_a_line_by_its_secret_and_the_last_one_opens_the_sale_again() -> Result<()> {
    let stage = Stage::open(1).await?;
    let held = stage.buy(1, None).await?.expect(201)?;
    let account = sign_up(&stage.server, "ann@example.org").await?;
    let path = format!("/events/{}/waiting-list", stage.event_id);
    let body = json!({ "ticket_type_id": stage.ticket_type_id, "quantity": 1 });
    let ann = stage.server.post_as(&account, &path, &body).await?.expect(201)?;
    assert_eq!(ann["booking_secret"], Value::Null);
    let guest = stage.wait("bob@example.org", 1).await?.expect(201)?;
    let of = |entry: &Value| format!("{path}/{}", text(entry, "entry_id"));
    let stranger = send(stage.as_guest(Method::GET, &of(&ann), &guest)).await?;
    assert_eq!(stranger.status, 404, "somebody else's place");
    stage.give_up(&held).await?.expect(200)?;
    assert_eq!(stage.buy(1, None).await?.code(), "sold_out");
    let gone = stage.server.request(Method::DELETE, &of(&ann)).bearer_auth(&account);
    send(gone).await?.expect(204)?;
    assert_eq!(stage.place_of(&guest).await?["place"], 1);
    send(stage.as_guest(Method::DELETE, &of(&guest), &guest)).await?.expect(204)?;
    let twice = send(stage.as_guest(Method::DELETE, &of(&guest), &guest)).await?;
    assert_eq!((twice.status.as_u16(), twice.code()), (409, "not_waiting"));
    stage.buy(1, None).await?.expect(201)?;
    let list = format!("/organizer/events/{}/waiting-list", stage.event_id);
    let page = stage.server.get_as(&stage.owner, &list).await?.expect(200)?;
    assert_eq!(
        (&page["items"][0]["email"], &page["items"][1]["status"]),
        (&json!("ann@example.org"), &json!("left"))
    );
    stage.audit().await
}

#[tokio::test]
async fn an_account_that_is_deleted_leaves_the_line_and_its_address_with_it() -> Result<()> {
    let stage = Stage::open(1).await?;
    let held = stage.buy(1, None).await?.expect(201)?;
    let account = sign_up(&stage.server, "ann@example.org").await?;
    let path = format!("/events/{}/waiting-list", stage.event_id);
    let body = json!({ "ticket_type_id": stage.ticket_type_id, "quantity": 1 });
    stage.server.post_as(&account, &path, &body).await?.expect(201)?;
    let password = json!({ "password": "correct horse battery staple" });
    let gone = stage.server.request(Method::DELETE, "/auth/account").bearer_auth(&account).json(&password);
    assert!(send(gone).await?.status.is_success());
    let mut owner = stage.owner_connection().await?;
    let (email, status): (String, String) =
        sqlx::query_as("select email, status from waiting_list").fetch_one(&mut owner).await?;
    assert_eq!((email.as_str(), status.as_str()), ("", "left"));
    stage.give_up(&held).await?.expect(200)?;
    waiting::run(&stage.server.app).await?;
    stage.buy(1, None).await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn more_capacity_and_free_types_are_offered_too() -> Result<()> {
    let stage = Stage::open_at(1, 0).await?;
    stage.buy(1, None).await?.expect(201)?;
    let entry = stage.wait("w@example.org", 1).await?.expect(201)?;
    let path = format!("/organizer/events/{}/ticket-types/{}", stage.event_id, stage.ticket_type_id);
    stage.own(Method::PUT, &path, json!({ "capacity": 2 })).await?;
    waiting::run(&stage.server.app).await?;
    waiting::run(&stage.server.app).await?;
    assert_eq!(stage.place_of(&entry).await?["status"], "taken", "what costs nothing needs no payment");
    assert_eq!(stage.counters().await?, (0, 2));
    stage.audit().await
}

#[tokio::test]
async fn a_waiting_room_lets_in_at_its_rate_in_the_order_of_coming_and_each_place_buys_once() -> Result<()> {
    let stage = Stage::open(10).await?;
    let path = format!("/events/{}/queue", stage.event_id);
    assert_eq!(stage.server.post(&path, &json!({})).await?.code(), "no_waiting_room");
    stage.change(json!({ "admit_per_minute": 2 })).await?;
    assert_eq!(stage.buy(1, None).await?.code(), "place_needed");
    let mut places = Vec::new();
    for _ in 0..4 {
        places.push(stage.server.post(&path, &json!({})).await?.expect(201)?);
    }
    let told: Vec<_> =
        places.iter().map(|p| (p["place"].as_i64(), p["ahead"].as_i64(), p["admitted"] == true)).collect();
    assert_eq!(
        told,
        [
            (Some(1), Some(0), true),
            (Some(2), Some(1), false),
            (Some(3), Some(2), false),
            (Some(4), Some(3), false)
        ]
    );
    let buy = async |place: &Value| {
        let mut order = stage.order(1, Some("tok_always_succeeds"));
        order["queue_token"] = place["queue_token"].clone();
        stage.server.post("/tickets/purchase", &order).await
    };
    buy(&places[0]).await?.expect(201)?;
    assert_eq!(buy(&places[0]).await?.code(), "place_used");
    let early = buy(&places[2]).await?;
    assert_eq!(
        (early.status.as_u16(), early.code(), early.header("retry-after")),
        (403, "not_admitted_yet", "60")
    );
    stage.clock.advance(Duration::from_secs(60));
    let token = text(&places[3], "queue_token");
    let seen =
        send(stage.server.request(Method::GET, &path).header("Queue-Token", &token)).await?.expect(200)?;
    assert_eq!((seen["ahead"].as_i64(), seen["admitted"].as_bool()), (Some(1), Some(false)));
    buy(&places[2]).await?.expect(201)?;
    stage.clock.advance(Duration::from_secs(15 * 60));
    assert_eq!(buy(&places[1]).await?.code(), "place_over");
    assert_eq!(buy(&json!({ "queue_token": format!("B{}", &token[1..]) })).await?.code(), "place_unknown");
    // After a pause nobody has saved up turns.
    let again = [stage.server.post(&path, &json!({})).await?, stage.server.post(&path, &json!({})).await?];
    assert_eq!((&again[0].body["admitted"], &again[1].body["admitted"]), (&json!(true), &json!(false)));
    stage.audit().await
}

#[tokio::test]
async fn canceling_an_event_revokes_releases_refunds_and_tells_everybody_once() -> Result<()> {
    let stage = Stage::open(40).await?;
    let paid = stage.buy(2, Some("tok_always_succeeds")).await?.expect(201)?;
    let stubborn = stage.buy(1, Some("tok_refund_declined")).await?.expect(201)?;
    let held = stage.buy(1, None).await?.expect(201)?;
    let in_flight = stage.buy(1, Some("tok_timeout")).await?.expect(202)?;
    let given =
        json!({ "ticket_type_id": stage.ticket_type_id, "quantity": 3, "email": "press@example.org" });
    stage.own(Method::POST, &format!("/organizer/events/{}/complimentary", stage.event_id), given).await?;
    let path = format!("/organizer/events/{}/cancel", stage.event_id);
    assert_eq!(stage.server.get_as(&stage.owner, &path).await?.code(), "not_canceled");
    let begun = stage.own(Method::POST, &path, json!({ "reason": "The hall is under water." })).await?;
    assert_eq!((begun["tickets_left"].as_i64(), begun["bookings"]["open"].as_i64()), (Some(6), Some(3)));
    assert_eq!(stage.buy(1, None).await?.code(), "event_canceled");
    for _ in 0..8 {
        cancel_events::run(&stage.server.app).await?;
        reconcile::run(&stage.server.app).await?;
        stage.clock.advance(Duration::from_secs(61));
    }
    let done = stage.server.get_as(&stage.owner, &path).await?;
    // The hour of the owner's sign-in is not over.
    let done = done.expect(200)?;
    assert_eq!((done["tickets_left"].as_i64(), done["holds_left"].as_i64()), (Some(0), Some(0)), "{done}");
    let of = |name: &str| done["bookings"][name].as_i64();
    assert_eq!(
        (of("refunded"), of("free"), of("failed"), of("open")),
        (Some(2), Some(1), Some(1), Some(0)),
        "{done}"
    );
    assert_ne!(done["finished_at"], Value::Null);
    assert_eq!(done["failures"][0]["booking_id"], stubborn["booking_id"]);
    assert_eq!(stage.see(&paid).await?["status"], "refunded");
    assert_eq!(stage.see(&in_flight).await?["status"], "refunded");
    assert_eq!(stage.see(&held).await?["status"], "canceled");
    let seen = stage.see(&stubborn).await?;
    assert_eq!((&seen["status"], &seen["tickets"][0]["state"]), (&json!("paid"), &json!("canceled")));
    assert_eq!((stage.counters().await?, stage.mails("offer.event_canceled").await?), ((0, 0), 4));
    stage.send_mails().await?;
    stage.own(Method::POST, &path, json!({})).await?;
    assert_eq!(stage.mails("offer.event_canceled").await?, 4);
    stage.audit().await
}

#[tokio::test]
async fn holders_of_a_canceled_event_keep_seeing_their_tickets_and_what_becomes_of_their_money() -> Result<()>
{
    let stage = Stage::open(40).await?;
    let buyer = sign_up(&stage.server, "buyer@example.org").await?;
    let order = |token: &str| {
        json!({
            "event_id": stage.event_id, "items": [{ "ticket_type_id": stage.ticket_type_id, "quantity": 2 }],
            "payment": { "method": "simulated", "token": token },
        })
    };
    let of_account = stage
        .server
        .post_as(&buyer, "/tickets/purchase", &order("tok_always_succeeds"))
        .await?
        .expect(201)?;
    let guests = stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    let stubborn = stage.buy(1, Some("tok_refund_declined")).await?.expect(201)?;
    // One of the account's is somebody else's by now.
    let handed_on = text(&of_account["tickets"][0], "ticket_id");
    let to = json!({ "email": "friend@example.org" });
    stage.server.post_as(&buyer, &format!("/tickets/{handed_on}/transfer"), &to).await?.expect(200)?;
    let mail = crate::handed_on::mails(&stage, "friend@example.org", "ticket.received").await?;
    let friend = crate::handed_on::by_link(&text(mail.last().context("a mail")?, "link"))?;

    // Movements of one moment have no order.
    stage.clock.advance(Duration::from_secs(61));
    let cancel = format!("/organizer/events/{}/cancel", stage.event_id);
    stage.own(Method::POST, &cancel, json!({ "reason": "storm" })).await?;
    for _ in 0..8 {
        cancel_events::run(&stage.server.app).await?;
        reconcile::run(&stage.server.app).await?;
        stage.clock.advance(Duration::from_secs(61));
    }
    let view = async |booking: &Value| -> Result<Value> {
        send(stage.as_guest(Method::GET, "/tickets/view", booking)).await?.expect(200)
    };
    let accounts = stage.server.get_as(&buyer, "/tickets/view").await?.expect(200)?;
    for (whose, page) in [
        ("the account", accounts),
        ("a guest", view(&guests).await?),
        ("whose money did not go back", view(&stubborn).await?),
        ("whom it was handed on to", view(&friend).await?),
    ] {
        let items = page["items"].as_array().context("items")?;
        assert_eq!(items.len(), 1, "{whose}");
        assert_eq!(
            (&items[0]["state"], &items[0]["event"]["status"], &items[0]["code"]),
            (&json!("canceled"), &json!("canceled"), &Value::Null),
            "{whose}"
        );
    }
    let path = format!("/bookings/{}", text(&of_account, "booking_id"));
    let of_account = stage.server.get_as(&buyer, &path).await?.expect(200)?;
    for (booking, status, refund) in [
        (of_account, "refunded", "completed"),
        (stage.see(&guests).await?, "refunded", "completed"),
        (stage.see(&stubborn).await?, "paid", "failed"),
    ] {
        assert_eq!(
            (&booking["status"], &booking["transaction"]["type"], &booking["transaction"]["status"]),
            (&json!(status), &json!("refund"), &json!(refund)),
            "{booking}"
        );
        let all = booking["tickets"].as_array().context("tickets")?;
        assert!(all.iter().all(|t| t["state"] == "canceled"), "{booking}");
        let back = if refund == "completed" { booking["total"]["amount_minor"].clone() } else { json!(0) };
        assert_eq!(booking["refunded"]["amount_minor"], back, "{booking}");
    }
    Ok(())
}

#[tokio::test]
async fn a_payment_that_arrives_after_its_event_was_canceled_goes_back() -> Result<()> {
    let stage = Stage::open(5).await?;
    let late = stage.buy(1, Some("tok_timeout")).await?.expect(202)?;
    stage.clock.advance(Duration::from_secs(31 * 60));
    expire::run(&stage.server.app).await?;
    stage.own(Method::POST, &format!("/organizer/events/{}/cancel", stage.event_id), json!({})).await?;
    reconcile::run(&stage.server.app).await?;
    reconcile::run(&stage.server.app).await?;
    let seen = stage.see(&late).await?;
    assert_eq!((&seen["status"], &seen["transaction"]["type"]), (&json!("expired"), &json!("refund")));
    assert_eq!(stage.counters().await?, (0, 0));
    stage.audit().await
}

#[tokio::test]
async fn a_cancellation_goes_on_where_it_was_stopped() -> Result<()> {
    let stage = Stage::open(30).await?;
    for _ in 0..12 {
        stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    }
    stage.own(Method::POST, &format!("/organizer/events/{}/cancel", stage.event_id), json!({})).await?;
    // Two servers at it at once, one of them torn off anywhere.
    let others = crate::offers::servers(&stage, 1).await?;
    let torn = tokio::time::timeout(Duration::from_millis(150), cancel_events::run(&others[0]));
    let (_, whole) = tokio::join!(torn, cancel_events::run(&stage.server.app));
    whole?;
    for _ in 0..3 {
        stage.clock.advance(Duration::from_secs(61));
        cancel_events::run(&stage.server.app).await?;
        reconcile::run(&stage.server.app).await?;
    }
    let path = format!("/organizer/events/{}/cancel", stage.event_id);
    let done = stage.server.get_as(&stage.owner, &path).await?.expect(200)?;
    assert_eq!(done["bookings"]["refunded"], 12, "{done}");
    assert_ne!(done["finished_at"], Value::Null);
    assert_eq!(stage.mails("offer.event_canceled").await?, 12);
    stage.audit().await
}
