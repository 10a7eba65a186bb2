//! What is recommended to whom, and what never; what is remembered of looks, and how it is forgotten.

use anyhow::{Context as _, Result};
use hvflvspot::domain::language::Language;
use hvflvspot::domain::recommend::category_name;
use reqwest::Method;
use serde_json::{Value, json};
use support::server::{Reply, send};

use super::{Stage, organizer, own, sign_up, text, titles};

async fn recommended(stage: &Stage, token: Option<&str>, query: &str) -> Result<Value> {
    let path = format!("/events/recommended?{query}");
    match token {
        Some(token) => stage.server.get_as(token, &path).await?.expect(200),
        None => stage.server.get(&path).await?.expect(200),
    }
}

fn reasons(page: &Value, title: &str) -> Vec<String> {
    let items = page["items"].as_array().cloned().unwrap_or_default();
    let item = items.into_iter().find(|i| i["title"] == title).unwrap_or_default();
    let reasons = item["reasons"].as_array().cloned().unwrap_or_default();
    reasons.iter().map(|r| text(r, "code")).collect()
}

async fn sign_in(stage: &Stage, email: &str) -> Result<String> {
    let body = json!({ "email": email, "password": "a-long-enough-password" });
    let session = stage.server.post("/auth/v1/token?grant_type=password", &body).await?.expect(200)?;
    Ok(text(&session, "access_token"))
}

/// The account buys a ticket, paid.
async fn book(stage: &Stage, token: &str, event: &str) -> Result<()> {
    let shown = stage.server.get(&format!("/events/{event}")).await?.expect(200)?;
    let order = json!({
        "event_id": event, "payment": { "method": "simulated", "token": "tok_always_succeeds" },
        "items": [{ "ticket_type_id": shown["ticket_types"][0]["ticket_type_id"], "quantity": 1 }],
    });
    let _ = stage.server.post_as(token, "/tickets/purchase", &order).await?.expect(201)?;
    Ok(())
}

async fn looks(stage: &Stage) -> Result<Vec<i32>> {
    let mut owner = stage.server.db.owner().await?;
    Ok(sqlx::query_scalar("select views from event_views order by last_at").fetch_all(&mut owner).await?)
}

/// Ten events of different kinds by different organizers; the ids of "Jazz one" and "Film one".
async fn town(stage: &Stage) -> Result<(String, String)> {
    let cinema = organizer(&stage.server, "Kino").await?;
    let others = organizer(&stage.server, "Others").await?;
    let jazz = stage
        .event(json!({ "title": "Jazz one", "category_id": "music", "artists": ["Trio Blau"], "day": 3 }))
        .await?;
    stage.event(json!({ "title": "Jazz two", "category_id": "music", "day": 30 })).await?;
    let film =
        stage.event_of(&cinema, json!({ "title": "Film one", "category_id": "film", "day": 4 })).await?;
    stage.event_of(&cinema, json!({ "title": "Film two", "category_id": "film", "day": 40 })).await?;
    for (title, category, day) in [
        ("Comedy hour", "comedy", 5),
        ("Bread workshop", "workshop", 6),
        ("Flea market", "community", 7),
        ("City run", "sports", 8),
    ] {
        stage.event_of(&others, json!({ "title": title, "category_id": category, "day": day })).await?;
    }
    stage.event_of(&others, json!({ "title": "Evening with Trio Blau", "category_id": "theatre", "artists": ["Trio Blau"], "day": 60 })).await?;
    Ok((jazz, film))
}

#[tokio::test]
async fn the_unknown_visitor_gets_the_popular_and_the_near() -> Result<()> {
    let stage = Stage::open().await?;
    town(&stage).await?;
    let hit = stage.event(json!({ "title": "The hit", "category_id": "festival", "day": 90 })).await?;
    let corner = organizer(&stage.server, "Corner").await?;
    stage.event_of(&corner, json!({ "title": "Around the corner", "category_id": "food", "day": 90, "latitude": 48.2, "longitude": 16.37 })).await?;
    stage.sell(&hit, 5).await?;
    stage.refresh().await?;
    let page = recommended(&stage, None, "").await?;
    assert_eq!((titles(&page)[0].as_str(), page["items"].as_array().map(Vec::len)), ("The hit", Some(10)));
    assert_eq!(reasons(&page, "The hit"), ["popular"]);
    let all = page["items"].as_array().context("items")?;
    assert!(
        all.iter().all(|i| i["reasons"][0]["text"].as_str().is_some_and(|t| t.len() > 5)),
        "each says why: {page}"
    );
    let near = recommended(&stage, None, "latitude=48.21&longitude=16.38&limit=2").await?;
    assert_eq!(titles(&near), ["Around the corner", "The hit"]);
    assert_eq!(reasons(&near, "Around the corner"), ["near"]);
    let reply = stage.server.get("/events/recommended").await?;
    assert_eq!(reply.header("cache-control"), "public, max-age=30");
    assert!(!reply.header("etag").is_empty());
    Ok(())
}

#[tokio::test]
async fn bookings_lift_what_is_like_them_and_are_left_out_themselves() -> Result<()> {
    let stage = Stage::open().await?;
    let (jazz, _) = town(&stage).await?;
    let guest = sign_up(&stage.server, "guest@example.org").await?;
    book(&stage, &guest, &jazz).await?;
    let reply = stage.server.get_as(&guest, "/events/recommended").await?;
    assert_eq!(reply.header("cache-control"), "private, no-store", "nobody else's to keep");
    let page = reply.expect(200)?;
    let found = titles(&page);
    assert_eq!(found[0], "Jazz two");
    assert_eq!(found[1], "Evening with Trio Blau");
    assert!(!found.contains(&"Jazz one".to_owned()), "booked already: {found:?}");
    assert!(reasons(&page, "Jazz two").contains(&"organizer".to_owned()), "{page}");
    assert_eq!(reasons(&page, "Evening with Trio Blau")[0], "similar");
    let similar = page["items"][1]["reasons"][0]["text"].as_str().unwrap_or_default();
    assert!(similar.contains("Jazz one") && similar.contains("booked"), "{similar}");
    // Somebody else has tastes of their own.
    let other = sign_up(&stage.server, "other@example.org").await?;
    assert!(titles(&recommended(&stage, Some(&other), "").await?).contains(&"Jazz one".to_owned()));
    // Also when it is over it says what she likes.
    stage.clock.advance(std::time::Duration::from_secs(5 * 86_400));
    stage.refresh().await?;
    let guest = sign_in(&stage, "guest@example.org").await?;
    assert_eq!(titles(&recommended(&stage, Some(&guest), "limit=1").await?), ["Jazz two"]);
    let other = sign_in(&stage, "other@example.org").await?;
    assert_ne!(titles(&recommended(&stage, Some(&other), "limit=1").await?), ["Jazz two"]);
    Ok(())
}

#[tokio::test]
async fn what_is_sold_out_over_canceled_or_a_draft_is_not_recommended() -> Result<()> {
    let stage = Stage::open().await?;
    let full = stage.event(json!({ "title": "Full", "capacity": 1 })).await?;
    let canceled = stage.event(json!({ "title": "Canceled" })).await?;
    stage.event(json!({ "title": "Yesterday", "day": 1 })).await?;
    stage.event(json!({ "title": "Open" })).await?;
    stage.draft_of(&stage.owner, json!({ "title": "Draft" })).await?;
    assert_eq!(recommended(&stage, None, "").await?["items"].as_array().map(Vec::len), Some(4));
    stage.sell(&full, 1).await?;
    stage.refresh().await?;
    own(
        &stage.server,
        &stage.owner,
        Method::POST,
        &format!("/organizer/events/{canceled}/cancel"),
        json!({}),
    )
    .await?;
    stage.clock.advance(std::time::Duration::from_secs(2 * 86_400));
    assert_eq!(titles(&recommended(&stage, None, "").await?), ["Open"]);
    Ok(())
}

#[tokio::test]
async fn looks_are_counted_sparingly_serve_their_account_alone_and_are_forgotten_with_it() -> Result<()> {
    let stage = Stage::open().await?;
    let (_, film) = town(&stage).await?;
    let guest = sign_up(&stage.server, "guest@example.org").await?;
    let path = format!("/events/{film}");
    for _ in 0..3 {
        let _ = stage.server.get_as(&guest, &path).await?.expect(200)?;
    }
    let _ = stage.server.get(&path).await?.expect(200)?;
    assert_eq!(looks(&stage).await?, [1], "once an hour, and nobody without an account");
    stage.clock.advance(std::time::Duration::from_secs(3_700));
    // The access token is over by now.
    let guest = sign_in(&stage, "guest@example.org").await?;
    let _ = stage.server.get_as(&guest, &path).await?.expect(200)?;
    assert_eq!(looks(&stage).await?, [2]);
    let page = recommended(&stage, Some(&guest), "").await?;
    let reason = reasons(&page, "Film two");
    assert!(titles(&page).iter().position(|t| t == "Film two") < Some(3), "{page}");
    assert!(
        reason.contains(&"organizer".to_owned()) || reason.contains(&"category".to_owned()),
        "{reason:?}"
    );
    // A wish not to be known is kept from then on, and for what was known.
    let off = json!({ "data": { "recommendations": false } });
    own(&stage.server, &guest, Method::PUT, "/auth/v1/user", off).await?;
    recommended(&stage, Some(&guest), "").await?;
    let _ = stage.server.get_as(&guest, &path).await?.expect(200)?;
    assert_eq!(looks(&stage).await?, [0_i32; 0]);
    own(&stage.server, &guest, Method::PUT, "/auth/v1/user", json!({ "data": { "recommendations": true } }))
        .await?;
    let _ = stage.server.get_as(&guest, &path).await?.expect(200)?;
    assert_eq!(looks(&stage).await?, [1]);
    own(
        &stage.server,
        &guest,
        Method::DELETE,
        "/auth/account",
        json!({ "password": "a-long-enough-password" }),
    )
    .await?;
    assert_eq!(looks(&stage).await?, [0_i32; 0], "gone with the account");
    Ok(())
}

/// The recommendations as somebody asks for them whose browser speaks a language.
async fn spoken(stage: &Stage, token: Option<&str>, accepted: &str) -> Result<Reply> {
    let request = stage.server.request(Method::GET, "/events/recommended");
    let request = request.header("Accept-Language", accepted);
    send(match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    })
    .await
}

/// Whether an answer depends on a header of the request.
fn varies(reply: &Reply, with: &str) -> bool {
    let all = reply.headers.get_all("vary").iter().filter_map(|v| v.to_str().ok());
    all.flat_map(|v| v.split(',')).any(|name| name.trim().eq_ignore_ascii_case(with))
}

/// The words of an event's first reason of a kind.
fn said(page: &Value, title: &str, code: &str) -> Result<String> {
    let items = page["items"].as_array().context("a page")?;
    let item = items.iter().find(|i| i["title"] == title).with_context(|| format!("no {title}"))?;
    let reasons = item["reasons"].as_array().context("reasons")?;
    let reason = reasons.iter().find(|r| r["code"] == code).with_context(|| format!("no {code}: {item}"))?;
    Ok(text(reason, "text"))
}

#[tokio::test]
async fn reasons_are_said_in_the_language_that_was_asked_for_and_kept_for_it_alone() -> Result<()> {
    let stage = Stage::open().await?;
    let hit = stage.event(json!({ "title": "The hit", "category_id": "festival", "day": 90 })).await?;
    stage.sell(&hit, 5).await?;
    stage.refresh().await?;
    let mut tags = Vec::new();
    for (accepted, language, words) in [
        ("en-GB,en;q=0.9", "en", "Many people go there"),
        ("de-AT,de;q=0.9,en;q=0.8", "de", "Viele gehen hin"),
        ("es", "es", "Va mucha gente"),
        ("it, fr;q=0.5", "fr", "Beaucoup de monde y va"),
        ("it", "en", "Many people go there"),
    ] {
        let reply = spoken(&stage, None, accepted).await?;
        assert_eq!(reply.header("content-language"), language, "{accepted}");
        assert!(["accept-language", "authorization", "cookie"].iter().all(|of| varies(&reply, of)));
        assert_eq!(reply.header("cache-control"), "public, max-age=30");
        tags.push(reply.header("etag").to_owned());
        assert_eq!(said(&reply.expect(200)?, "The hit", "popular")?, words);
    }
    assert_ne!(tags[0], tags[1], "what one has does not answer for another");
    assert_eq!(tags[0], tags[4]);
    let again = stage.server.request(Method::GET, "/events/recommended").header("Accept-Language", "de");
    let again = send(again.header("If-None-Match", &tags[1])).await?;
    assert_eq!((again.status.as_u16(), again.header("content-language")), (304, "de"));
    assert!(varies(&again, "accept-language"));
    Ok(())
}

#[tokio::test]
async fn an_account_reads_its_reasons_in_its_own_language() -> Result<()> {
    let stage = Stage::open().await?;
    let (jazz, _) = town(&stage).await?;
    let guest = sign_up(&stage.server, "guest@example.org").await?;
    book(&stage, &guest, &jazz).await?;
    let french = json!({ "language": "fr", "preferences": [] });
    own(&stage.server, &guest, Method::PUT, "/notifications/preferences", french).await?;
    let reply = spoken(&stage, Some(&guest), "de").await?;
    assert_eq!(
        (reply.header("content-language"), reply.header("cache-control")),
        ("fr", "private, no-store")
    );
    let page = reply.expect(200)?;
    assert_eq!(
        said(&page, "Evening with Trio Blau", "similar")?,
        "Dans le genre de « Jazz one », que vous avez réservé"
    );
    assert_eq!(said(&page, "Jazz two", "organizer")?, "Par Nachtklang, dont vous connaissez les événements");
    Ok(())
}

#[tokio::test]
async fn every_category_has_a_name_in_every_language() -> Result<()> {
    let stage = Stage::open().await?;
    let known = stage.server.get("/categories").await?.expect(200)?;
    let items = known["items"].as_array().context("categories")?;
    assert!(!items.is_empty());
    for category in items {
        let id = text(category, "category_id");
        assert_eq!(category_name(&id, Language::En), category["name"].as_str(), "{id}");
        assert!(Language::ALL.iter().all(|l| category_name(&id, *l).is_some_and(|name| !name.is_empty())));
    }
    Ok(())
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() -> Result<()> {
    let stage = Stage::open().await?;
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=51", "limit"),
        ("latitude=1", "latitude"),
        ("latitude=NaN&longitude=0", "latitude"),
        ("latitude=0&longitude=181", "longitude"),
        ("colour=red", "colour"),
    ] {
        let refused = stage.server.get(&format!("/events/recommended?{query}")).await?;
        assert_eq!((refused.status.as_u16(), refused.code()), (400, "invalid_query"), "{query}");
        let named = refused.body["errors"][0]["field"] == field || field == "colour";
        assert!(named, "{query}: {}", refused.text);
    }
    assert_eq!(recommended(&stage, None, "").await?["items"], json!([]), "nothing is on");
    Ok(())
}
