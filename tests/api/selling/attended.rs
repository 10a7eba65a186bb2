//! Who will come: asked at the purchase, kept with the ticket, shown at the door.

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::{Value, json};
use support::server::send;

use crate::{Stage, sign_up, text};

impl Stage {
    async fn question(&self, body: Value) -> Result<String> {
        let path = format!("/organizer/events/{}/questions", self.event_id);
        let made = self.own(Method::POST, &path, body).await?;
        Ok(text(&made, "question_id"))
    }
}

#[tokio::test]
async fn what_is_asked_is_answered_at_the_purchase_and_seen_at_the_door() -> Result<()> {
    let stage = Stage::open(10).await?;
    let shirt = json!({ "label": "Shirt", "kind": "choice", "choices": ["S", "M"], "required": true, "show_at_door": true });
    let shirt = stage.question(shirt).await?;
    let diet = stage.question(json!({ "label": "Diet", "kind": "text", "position": 1 })).await?;
    let event = stage.server.get(&format!("/events/{}", stage.event_id)).await?.expect(200)?;
    let labels: Vec<String> =
        event["questions"].as_array().context("questions")?.iter().map(|q| text(q, "label")).collect();
    assert_eq!(labels, ["Shirt", "Diet"]);

    let mut order = stage.order(2, Some("tok_always_succeeds"));
    let refused = stage.server.post("/tickets/purchase", &order).await?;
    assert_eq!(
        (refused.code(), text(&refused.body["errors"][0], "field").as_str()),
        ("invalid_fields", "attendees")
    );
    order["attendees"] =
        json!([{ "name": "Zoë", "answers": { &shirt: "XL" } }, { "answers": { &shirt: "S" } }]);
    let refused = stage.server.post("/tickets/purchase", &order).await?;
    let field = format!("attendees[0].answers.{shirt}");
    assert_eq!(text(&refused.body["errors"][0], "field"), field);
    assert_eq!(stage.counters().await?, (0, 0));

    order["attendees"] = json!([{ "name": "Zoë", "answers": { &shirt: "M", &diet: "vegan" } }, { "answers": { &shirt: "S" } }]);
    let booking = stage.server.post("/tickets/purchase", &order).await?.expect(201)?;
    let tickets = booking["tickets"].as_array().context("tickets")?;
    assert_eq!(tickets.len(), 2);
    let zoe = tickets.iter().find(|t| t["attendee_name"] == "Zoë").context("Zoë")?;
    let said: Vec<(String, Value)> = zoe["answers"]
        .as_array()
        .context("answers")?
        .iter()
        .map(|a| (text(a, "label"), a["value"].clone()))
        .collect();
    assert_eq!(said, [("Shirt".to_owned(), json!("M")), ("Diet".to_owned(), json!("vegan"))]);
    assert!(booking["booking_secret"].is_string());
    assert_eq!(stage.see(&booking).await?["tickets"], booking["tickets"]);

    let verdict = json!({ "code": zoe["code"], "event_id": stage.event_id });
    let verdict = stage.server.post_as(&stage.owner, "/tickets/validate", &verdict).await?.expect(200)?;
    assert_eq!(
        verdict["attendee"],
        json!({ "name": "Zoë", "notes": [{ "label": "Shirt", "value": "M" }] }),
        "the diet is nobody's business at the door"
    );

    let mut owner = stage.server.db.owner().await?;
    // Who cannot be told who comes is told the verdict: it is recorded by then.
    let lists = format!("/organizer/events/{}/lists", stage.event_id);
    let lists = stage.server.get_as(&stage.owner, &lists).await?.expect(200)?;
    sqlx::query("alter table questions rename to out_of_reach").execute(&mut owner).await?;
    let check_in = json!({ "code": zoe["code"], "check_in": { "list_id": lists["items"][0]["list_id"] } });
    let verdict = stage.server.post_as(&stage.owner, "/tickets/validate", &check_in).await?.expect(200)?;
    assert_eq!((&verdict["outcome"], &verdict["attendee"]), (&json!("ok"), &Value::Null));
    sqlx::query("alter table out_of_reach rename to questions").execute(&mut owner).await?;

    let left: i64 =
        sqlx::query_scalar("select count(*) from booking_attendees").fetch_one(&mut owner).await?;
    assert_eq!(left, 0, "it moved to the tickets");
    let path = format!("/organizer/events/{}/questions/{shirt}", stage.event_id);
    send(stage.server.request(Method::DELETE, &path).bearer_auth(&stage.owner)).await?.expect(204)?;
    assert_eq!(stage.see(&booking).await?["tickets"], booking["tickets"], "answers stay");
    stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    stage.audit().await
}

#[tokio::test]
async fn a_held_booking_keeps_its_attendees_until_it_is_paid() -> Result<()> {
    let stage = Stage::open(10).await?;
    let mut order = stage.order(1, None);
    order["attendees"] = json!([{ "name": "Zoë" }]);
    let booking = stage.server.post("/tickets/purchase", &order).await?.expect(201)?;
    assert_eq!(booking["status"], "held");
    let paid = stage.pay(&booking, "tok_always_succeeds").await?.expect(200)?;
    assert_eq!(paid["tickets"][0]["attendee_name"], "Zoë");
    Ok(())
}

#[tokio::test]
async fn holders_rename_until_the_event_begins_and_organizers_after_it() -> Result<()> {
    let stage = Stage::open(10).await?;
    let diet = stage.question(json!({ "label": "Diet", "kind": "text" })).await?;
    let buyer = sign_up(&stage.server, "buyer@example.org").await?;
    let order = stage.order(1, Some("tok_always_succeeds"));
    let booking = stage.server.post_as(&buyer, "/tickets/purchase", &order).await?.expect(201)?;
    let path = format!("/tickets/{}/attendee", text(&booking["tickets"][0], "ticket_id"));
    let put = async |who: &str, body: Value| {
        send(stage.server.request(Method::PUT, &path).bearer_auth(who).json(&body)).await
    };
    let named = put(&buyer, json!({ "name": " Zoë ", "answers": { &diet: "vegan" } })).await?.expect(200)?;
    assert_eq!((&named["attendee_name"], &named["answers"][0]["value"]), (&json!("Zoë"), &json!("vegan")));
    let kept = put(&buyer, json!({ "name": null })).await?.expect(200)?;
    assert_eq!((&kept["attendee_name"], &kept["answers"][0]["value"]), (&Value::Null, &json!("vegan")));
    let empty = put(&buyer, json!({ "answers": { &diet: null } })).await?.expect(200)?;
    assert_eq!(empty["answers"], json!([]));
    assert_eq!(put(&buyer, json!({ "answers": { &diet: 7 } })).await?.code(), "invalid_fields");
    assert_eq!(put(&buyer, json!({ "name": "a\nb" })).await?.code(), "invalid_fields");

    let guest = stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    let theirs = format!("/tickets/{}/attendee", text(&guest["tickets"][0], "ticket_id"));
    let refused = send(stage.as_guest(Method::PUT, &theirs, &guest).json(&json!({ "name": "X" }))).await?;
    assert_eq!(refused.code(), "code_required");

    stage.clock.advance(std::time::Duration::from_secs(9 * 86_400));
    let again = async |email: &str| {
        let body = json!({ "email": email, "password": "correct horse battery staple" });
        let session = stage.server.post("/auth/v1/token?grant_type=password", &body).await?.expect(200)?;
        Ok::<_, anyhow::Error>(text(&session, "access_token"))
    };
    let buyer = again("buyer@example.org").await?;
    assert_eq!(put(&buyer, json!({ "name": "Late" })).await?.code(), "event_begun");
    let owner = again("owner@example.org").await?;
    assert_eq!(put(&owner, json!({ "name": "Late" })).await?.expect(200)?["attendee_name"], "Late");
    Ok(())
}
