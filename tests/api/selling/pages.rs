//! The pages that mails about tickets lead to, and that every mail leads to one that is there.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use hvflvspot::jobs::{expire, waiting};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Row as _;
use support::server::send;

use crate::{Stage, sign_up, text};

const ORIGIN: &str = "https://tickets.example";

/// The links of all mails, with their kinds.
async fn links(stage: &Stage) -> Result<Vec<(String, String)>> {
    // Mails that somebody asked for are written after the answer.
    stage.server.app.background.wait().await;
    let mut owner = stage.owner_connection().await?;
    let rows = sqlx::query("select id, kind, facts, sealed_facts from outbox order by created_at, id")
        .fetch_all(&mut owner);
    let mut found = Vec::new();
    for row in rows.await? {
        let (id, kind): (uuid::Uuid, String) = (row.get("id"), row.get("kind"));
        let mut facts: Value = row.get("facts");
        if let Some(sealed) = row.get::<Option<Vec<u8>>, _>("sealed_facts") {
            let plain = stage.server.app.master_key.open(&format!("outbox/{id}"), &sealed)?;
            let sealed: Value = serde_json::from_slice(&plain)?;
            facts["link"] = sealed["link"].clone();
        }
        if let Some(link) = facts["link"].as_str() {
            found.push((kind, link.to_owned()));
        }
    }
    Ok(found)
}

#[tokio::test]
async fn every_link_in_a_mail_names_the_configured_origin_and_leads_to_a_page_that_is_there() -> Result<()> {
    let stage = Stage::open_with(3, 2_500, |config| config.public_url = Some(ORIGIN.to_owned())).await?;
    let given =
        json!({ "ticket_type_id": stage.ticket_type_id, "quantity": 1, "email": "press@example.org" });
    stage.own(Method::POST, &format!("/organizer/events/{}/complimentary", stage.event_id), given).await?;
    let booking = stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    let held = stage.buy(1, None).await?.expect(201)?;
    let list = format!("/events/{}/waiting-list", stage.event_id);
    let wish = |email: &str| json!({ "ticket_type_id": stage.ticket_type_id, "quantity": 1, "email": email });
    stage.server.post(&list, &wish("one@example.org")).await?.expect(201)?;
    let account = sign_up(&stage.server, "two@example.org").await?;
    stage.server.post_as(&account, &list, &wish("two@example.org")).await?.expect(201)?;
    let cancel = format!("/bookings/{}/cancel", text(&held, "booking_id"));
    send(stage.as_guest(Method::POST, &cancel, &held)).await?.expect(200)?;
    expire::run(&stage.server.app).await?;
    waiting::run(&stage.server.app).await?;
    let transfer = format!("/tickets/{}/transfer", text(&booking["tickets"][0], "ticket_id"));
    stage.own(Method::POST, &transfer, json!({ "email": "friend@example.org" })).await?;
    stage
        .own(Method::POST, "/organizer/invitations", json!({ "email": "door@example.org", "role": "door" }))
        .await?;
    for path in ["/auth/v1/recover", "/auth/v1/otp"] {
        stage.server.post(path, &json!({ "email": "two@example.org" })).await?;
    }
    let all = links(&stage).await?;
    for kind in [
        "offer.complimentary",
        "offer.waiting",
        "offer.made",
        "ticket.received",
        "auth.invitation",
        "auth.recovery",
    ] {
        assert!(all.iter().any(|(k, _)| k == kind), "no mail of the kind {kind}: {all:?}");
    }
    let document = stage.server.get("/openapi.json").await?.expect(200)?;
    for (kind, link) in all {
        let path = link.strip_prefix(ORIGIN).with_context(|| format!("{kind}: {link}"))?;
        let (path, fragment) = path.split_once('#').unwrap_or((path, ""));
        assert!(!path.contains("secret"), "{kind}: a secret that the server, and its log, would see");
        if path.starts_with("/web/") {
            let reply = stage.server.get(path).await?;
            let told = (reply.status.as_u16(), reply.header("content-type"));
            assert_eq!(told, (200, "text/html; charset=utf-8"), "{kind}: {path}");
        } else {
            // A route that leads on.
            let (path, _) = path.split_once('?').unwrap_or((path, ""));
            assert!(document["paths"][path]["get"].is_object(), "{kind}: {path}");
        }
        if kind == "offer.waiting" {
            assert!(fragment.contains(&format!("event={}", stage.event_id)), "{link}");
        }
    }
    // Links of accounts come out at the front page, which is there too.
    let front = stage.server.get("/").await?;
    assert_eq!((front.status.as_u16(), front.header("content-type")), (200, "text/html; charset=utf-8"));
    // A calendar is too open for a secret; its link names the page all the same.
    let ics = format!("/bookings/{}/event.ics", text(&booking, "booking_id"));
    let ics = send(stage.as_guest(Method::GET, &ics, &booking)).await?.text.replace("\r\n ", "");
    assert!(ics.contains(&format!("{ORIGIN}/web/bookings/{}", text(&booking, "booking_id"))), "{ics}");
    assert!(!ics.contains("secret"), "{ics}");
    Ok(())
}

#[tokio::test]
async fn the_page_of_tickets_runs_its_own_script_alone_and_its_parts_are_small() -> Result<()> {
    let stage = Stage::open(1).await?;
    let mut texts: BTreeMap<&str, String> = BTreeMap::new();
    for (path, kind) in [
        ("/web/tickets/0192f0c1-0000-7000-8000-000000000001", "text/html; charset=utf-8"),
        ("/web/", "text/html; charset=utf-8"),
        ("/web/common.js", "text/javascript; charset=utf-8"),
        ("/web/home.js", "text/javascript; charset=utf-8"),
        ("/web/events/any", "text/html; charset=utf-8"),
        ("/web/event.js", "text/javascript; charset=utf-8"),
        ("/web/organizer/", "text/html; charset=utf-8"),
        ("/web/organizer/events/0192f0c1-0000-7000-8000-000000000001", "text/html; charset=utf-8"),
        ("/web/organizer.js", "text/javascript; charset=utf-8"),
        ("/web/organizer/events/0192f0c1-0000-7000-8000-000000000001/dates", "text/html; charset=utf-8"),
        ("/web/dates.js", "text/javascript; charset=utf-8"),
        ("/web/bookings/0192f0c1-0000-7000-8000-000000000001", "text/html; charset=utf-8"),
        ("/web/tickets.js", "text/javascript; charset=utf-8"),
        ("/web/offline.js", "text/javascript; charset=utf-8"),
        ("/web/invitation", "text/html; charset=utf-8"),
        ("/web/invitation.js", "text/javascript; charset=utf-8"),
        ("/web/icon.svg", "image/svg+xml"),
        ("/web/page.css", "text/css; charset=utf-8"),
    ] {
        let reply = stage.server.get(path).await?;
        assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, kind), "{path}");
        let policy = reply.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert!(
            !reply.text.contains("https://") && !reply.text.contains("//cdn"),
            "{path}: nothing from elsewhere"
        );
        if kind.starts_with("text/html") {
            for inline in [" style=", " onclick=", "<style", "javascript:"] {
                assert!(!reply.text.contains(inline), "{path}: {inline} would not be run");
            }
            for lang in ["en", "de", "es", "fr"] {
                assert!(reply.text.contains(&format!("<option value=\"{lang}\"")), "{lang}");
            }
        }
        if !kind.starts_with("text/html") {
            let again = stage.server.request(Method::GET, path).header("if-none-match", reply.header("etag"));
            let again = send(again).await?;
            assert_eq!((again.status.as_u16(), again.text.as_str()), (304, ""), "{path} is loaded once");
        }
        texts.insert(path, reply.text);
    }
    let kept = &texts["/web/offline.js"];
    for (path, page) in texts.iter().filter(|(_, text)| text.starts_with("<!doctype")) {
        let parts: Vec<&str> = page.split('"').filter(|p| texts.contains_key(p) && p.contains('.')).collect();
        assert!(parts.len() >= 3, "{path}: {parts:?}");
        let bytes = page.len() + parts.iter().map(|part| texts[part].len()).sum::<usize>();
        assert!(bytes < 40_000, "{path}: {bytes} bytes over a weak line");
        if path.starts_with("/web/tickets/") {
            assert!(
                parts.iter().all(|part| kept.contains(part)),
                "without a signal the page lacks a part: {parts:?}"
            );
        }
    }
    Ok(())
}

/// Stripe's rule, and that of the card schemes: its script comes from Stripe. It can read what the site keeps in a browser, so
/// that no page loads it but the one that is opened to pay by card.
#[tokio::test]
async fn only_the_page_that_takes_cards_may_load_the_script_of_stripe() -> Result<()> {
    let stage = Stage::open(1).await?;
    let page = stage.server.get("/web/bookings/0192f0c1-0000-7000-8000-000000000001/card").await?;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = page.header("content-security-policy");
    let allowed = policy.split("; ").filter(|rule| rule.contains("https:"));
    let allowed: Vec<&str> = allowed.filter_map(|rule| rule.split(' ').next()).collect();
    assert_eq!(allowed, ["script-src", "connect-src", "frame-src"], "{policy}");
    for place in policy.split(['\'', ' ', ';']).filter(|word| word.starts_with("https:")) {
        assert!(place.ends_with(".stripe.com"), "{place} is not Stripe's");
    }
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
    assert!(!page.text.contains("https://"), "the script loads it when a booking takes cards");
    let mut bytes = page.text.len();
    for part in ["/web/common.js", "/web/card.js", "/web/page.css", "/web/icon.svg"] {
        assert!(page.text.contains(part), "{part}");
        let text = stage.server.get(part).await?.text;
        let hosts = text.split("https://").skip(1).filter_map(|rest| rest.split('/').next());
        let hosts: Vec<&str> = hosts.collect();
        let expected: &[&str] = if part == "/web/card.js" { &["js.stripe.com"] } else { &[] };
        assert_eq!(hosts, expected, "{part}");
        bytes += text.len();
    }
    assert!(bytes < 40_000, "{bytes} bytes over a weak line");
    Ok(())
}

#[tokio::test]
async fn a_held_booking_tells_its_buyer_what_a_card_is_taken_with() -> Result<()> {
    let (stage, double) = Stage::stripe(3).await?;
    let held = stage.buy(1, None).await?.expect(201)?;
    let seen = stage.see(&held).await?;
    assert_eq!(seen["payment_methods"], json!(["stripe"]));
    let card = json!({ "publishable_key": "pk_test_double", "amount": 2_650, "currency": "eur" });
    assert_eq!(seen["card"], card);
    // Whose bank asks is told so on the way, until it is paid.
    let path = "/payment/process";
    let pay = json!({ "booking_id": held["booking_id"], "payment": { "method": "stripe", "token": "pm_card_threeDSecure2Required" } });
    let waits = send(stage.as_guest(Method::POST, path, &held).json(&pay)).await?.expect(202)?;
    assert_eq!(waits["card"], card);
    assert_eq!(waits["transaction"]["next_action"]["publishable_key"], "pk_test_double");
    double.act(&double.moved()[0].intent.clone(), true);
    let asked = json!({ "booking_id": held["booking_id"], "payment": { "method": "stripe" } });
    let paid = send(stage.as_guest(Method::POST, path, &held).json(&asked)).await?.expect(200)?;
    assert_eq!((&paid["status"], &paid["card"]), (&json!("paid"), &Value::Null));
    stage.agrees_with(&double).await
}

#[tokio::test]
async fn a_held_booking_says_to_its_buyer_how_it_can_be_paid() -> Result<()> {
    let stage = Stage::open(2).await?;
    let held = stage.buy(1, None).await?.expect(201)?;
    let seen = stage.see(&held).await?;
    assert_eq!((&seen["payment_methods"], &seen["card"]), (&json!(["simulated"]), &Value::Null));
    let paid = stage.pay(&held, "tok_always_succeeds").await?.expect(200)?;
    assert_eq!(paid["payment_methods"], Value::Null);
    Ok(())
}
