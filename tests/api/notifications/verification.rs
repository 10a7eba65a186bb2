//! Approval of organizers: asked for, decided by an administrator, told to those whom it concerns.

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::{Value, json};
use support::server::{Reply, send};
use time::format_description::well_known::Rfc3339;

use crate::{Stage, now, text};

async fn as_admin(stage: &Stage, admin: &str, path: &str, body: Value) -> Result<Reply> {
    stage.server.post_as(admin, &format!("/admin/organizers/{}/{path}", stage.organizer_id), &body).await
}

/// The names of those that are in a state.
async fn queue(stage: &Stage, admin: &str, query: &str) -> Result<Vec<String>> {
    let get = stage.server.request(Method::GET, &format!("/admin/organizers{query}")).bearer_auth(admin);
    let page = send(get).await?.expect(200)?;
    Ok(page["items"].as_array().context("a list")?.iter().map(|o| text(o, "name")).collect())
}

#[tokio::test]
async fn a_refused_organizer_reads_why_asks_again_and_publishes_once_it_is_approved() -> Result<()> {
    let stage = Stage::open(|_| ()).await?;
    let admin = stage.admin().await?;
    let draft = json!({
        "title": "Spring concert", "category_id": "music", "time_zone": "Europe/Vienna", "currency": "EUR",
        "starts_at": (now() + time::Duration::days(30)).format(&Rfc3339)?,
    });
    let draft = text(&stage.own("/organizer/events/create", draft).await?.expect(201)?, "event_id");
    let seats = json!({ "name": "Seat", "capacity": 5, "price": { "amount_minor": 0, "currency": "EUR" }, "tax": { "rate_bp": 0, "inclusive": true } });
    stage.own(&format!("/organizer/events/{draft}/ticket-types"), seats).await?.expect(201)?;
    let publish = format!("/organizer/events/{draft}/publish");

    for reason in [json!({ "reason": "  " }), json!({ "reason": "x".repeat(1_001) }), json!({})] {
        as_admin(&stage, &admin, "reject", reason).await?.expect(422)?;
    }
    let because = "The tax number belongs to another company.";
    let refused = as_admin(&stage, &admin, "reject", json!({ "reason": because })).await?.expect(200)?;
    assert_eq!((&refused["status"], &refused["status_reason"]), (&json!("rejected"), &json!(because)));
    assert_eq!(stage.own(&publish, json!({})).await?.expect(403)?["code"], "organizer_not_approved");
    stage.deliver().await?;
    let letter = stage.mail("owner@example.org", "organizer.rejected").await?;
    assert!(text(&letter, "text").replace('\n', " ").contains(because), "{letter}");
    // The event that is on sale already stays so.
    stage.server.get(&format!("/events/{}", stage.event_id)).await?.expect(200)?;

    assert!(queue(&stage, &admin, "").await?.is_empty(), "nobody asked yet");
    assert_eq!(as_admin(&stage, &admin, "approve", json!({})).await?.expect(409)?["code"], "not_submitted");
    let asked = stage.own("/organizer/verification", json!({})).await?.expect(202)?;
    assert_eq!((&asked["status"], &asked["status_reason"]), (&json!("submitted"), &Value::Null));
    assert_eq!(
        stage.own("/organizer/verification", json!({})).await?.expect(409)?["code"],
        "already_submitted"
    );
    assert_eq!(queue(&stage, &admin, "").await?, ["Nachtklang"]);
    assert!(queue(&stage, &admin, "?status=rejected").await?.is_empty());

    // A second click decides nothing more and writes to nobody.
    for _ in 0..2 {
        let approved = as_admin(&stage, &admin, "approve", json!({})).await?.expect(200)?;
        assert_eq!((&approved["status"], &approved["status_reason"]), (&json!("approved"), &Value::Null));
    }
    stage.deliver().await?;
    stage.mail("owner@example.org", "organizer.approved").await?;
    assert_eq!(queue(&stage, &admin, "?status=approved").await?, ["Nachtklang"]);
    stage.own(&publish, json!({})).await?.expect(200)?;

    let nobody = "/admin/organizers/0192f0c1-0000-7000-8000-000000000001/approve";
    stage.server.post_as(&admin, nobody, &json!({})).await?.expect(404)?;
    Ok(())
}
