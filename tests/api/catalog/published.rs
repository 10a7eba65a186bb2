//! What anybody sees of the catalogue without signing in.

use anyhow::{Context as _, Result};
use ed25519_dalek::{Signature, VerifyingKey};
use hvflvspot::domain::keys::Purpose;
use reqwest::Method;
use serde_json::json;
use shared::ticket::{Payload, code};
use shared::time::UnixSecs;
use support::server::{TestServer, send};
use uuid::Uuid;

use crate::desk::{Desk, id, merge, public, type_body};

#[tokio::test]
async fn search_finds_published_events_by_words_place_kind_and_time() -> Result<()> {
    let server = TestServer::start().await?;
    let desk = Desk::found(&server, "Owls").await?;
    desk.draft(json!({ "title": "Hidden owl draft" })).await?;
    for (title, city, category, day) in [
        ("Ärger im Zoo", "Wien", "comedy", "2090-01-01"),
        ("Blue Notes", "Graz", "music", "2090-01-02"),
        ("Blue Whales", "Wien", "family", "2090-01-02"),
        ("Last Chance", "Wien", "music", "2090-01-03"),
    ] {
        let starts = format!("{day}T18:00:00Z");
        let change = json!({ "title": title, "city": city, "category_id": category, "starts_at": starts, "ends_at": null });
        desk.on_sale(change).await?;
    }
    let titles = |query: &'static str| {
        let server = &server;
        async move {
            let found = server.get(&format!("/events/search{query}")).await?.expect(200)?;
            let items = found["items"].as_array().context("items")?.clone();
            anyhow::Ok(items.iter().filter_map(|i| Some(i["title"].as_str()?.to_owned())).collect::<Vec<_>>())
        }
    };
    for (query, expected) in [
        ("", &["Ärger im Zoo", "Blue Notes", "Blue Whales", "Last Chance"][..]),
        ("?q=%20", &["Ärger im Zoo", "Blue Notes", "Blue Whales", "Last Chance"]),
        ("?q=arger", &["Ärger im Zoo"]),
        ("?q=blue", &["Blue Notes", "Blue Whales"]),
        ("?q=blue%20-whales", &["Blue Notes"]),
        ("?q=%22notes%20blue%22", &[]),
        ("?q=draft", &[]),
        ("?q=owls&category=music", &["Blue Notes", "Last Chance"]),
        ("?city=wien&category=music", &["Last Chance"]),
        ("?from=2090-01-02T00:00:00Z&to=2090-01-03T00:00:00Z", &["Blue Notes", "Blue Whales"]),
        ("?from=2090-01-03T18:00:01Z", &[]),
        ("?category=nothing", &[]),
        ("?q=%27%22%3A%26%7C%21%28", &[]),
    ] {
        let mut found = titles(query).await?;
        // Two start together; their ids decide, and those are chance.
        found.sort();
        let mut expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
        expected.sort();
        assert_eq!(found, expected, "{query}");
    }
    for (bad, code) in [
        ("?limit=x", "invalid_query"),
        ("?limit=0", "invalid_query"),
        ("?limit=201", "invalid_query"),
        ("?from=yesterday", "invalid_query"),
        ("?cursor=AAAA", "invalid_cursor"),
        ("?colour=red", "invalid_query"),
        ("?q=%00", "invalid_query"),
    ] {
        let refused = server.get(&format!("/events/search{bad}")).await?;
        assert_eq!((refused.status.as_u16(), refused.code()), (400, code), "{bad}: {}", refused.text);
    }
    // Pages of one are as one page, also where two start together.
    let whole = server.get("/events/search").await?.expect(200)?;
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/events/search?limit=1{cursor}")).await?.expect(200)?;
        paged.extend(page["items"].as_array().context("items")?.clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(json!(paged), whole["items"]);
    // The organizer's new name is found at once, the old one no more.
    let renamed = json!({ "name": "Foxes", "contact_email": "office@desk.example" });
    desk.put("/organizer/profile", &renamed).await?.expect(200)?;
    assert_eq!((titles("?q=foxes").await?.len(), titles("?q=owls").await?.len()), (4, 0));
    Ok(())
}

#[tokio::test]
async fn public_answers_are_cached_by_etag_until_they_change() -> Result<()> {
    let server = TestServer::start().await?;
    let desk = Desk::found(&server, "Owls").await?;
    let event = desk.on_sale(json!({})).await?;
    let keys = format!("{}/ticket-keys", public(&event));
    for path in [
        public(&event),
        "/events/search?from=2089-01-01T00:00:00Z".to_owned(),
        "/categories".to_owned(),
        keys,
    ] {
        let first = server.get(&path).await?;
        assert_eq!(first.header("cache-control"), "public, max-age=30", "{path}");
        let tag = first.header("etag").to_owned();
        let again = |tags: String| send(server.request(Method::GET, &path).header("if-none-match", tags));
        let same = again(format!("\"other\", {tag}")).await?;
        assert_eq!((same.status.as_u16(), same.text.as_str()), (304, ""), "{path}");
        assert_eq!((same.header("etag"), same.header("cache-control")), (tag.as_str(), "public, max-age=30"));
        assert_eq!(again("\"other\"".to_owned()).await?.status.as_u16(), 200);
        if path.contains(&public(&event)) && !path.ends_with("keys") || path.contains("search") {
            desk.put(&format!("{event}/update"), &json!({ "title": format!("New for {path:.9}") }))
                .await?
                .expect(200)?;
            assert_eq!(again(tag).await?.status.as_u16(), 200, "{path} changed");
        }
    }
    // A refusal is nobody's to keep.
    assert_eq!(server.get("/events/nothing-here").await?.header("cache-control"), "no-store");
    for odd in ["/events/%00", "/events/a%20b", "/events/..%2f"] {
        assert_eq!(server.get(odd).await?.status.as_u16(), 404, "{odd}");
    }
    Ok(())
}

#[tokio::test]
async fn hidden_and_archived_types_are_not_shown() -> Result<()> {
    let server = TestServer::start().await?;
    let desk = Desk::found(&server, "Owls").await?;
    let event = desk.on_sale(json!({})).await?;
    let mut cheap = type_body();
    merge(
        &mut cheap,
        json!({ "name": "Staff", "price": { "amount_minor": 0, "currency": "EUR" }, "hidden": true }),
    );
    let cheap = desk.post(&format!("{event}/ticket-types"), &cheap).await?.expect(201)?;
    let cheap = format!("{event}/ticket-types/{}", id(&cheap, "ticket_type_id")?);
    let seen = || async {
        let event = server.get(&public(&event)).await?.expect(200)?;
        let found = server.get("/events/search").await?.expect(200)?;
        let types = event["ticket_types"].as_array().map_or(0, Vec::len);
        anyhow::Ok((types, found["items"][0]["price_from"]["amount_minor"].clone()))
    };
    assert_eq!(seen().await?, (1, json!(2_310)), "20.00 + 1.00 and a tenth on top");
    desk.put(&cheap, &json!({ "hidden": false })).await?.expect(200)?;
    assert_eq!(seen().await?, (2, json!(110)));
    let _ = desk.delete(&cheap).await?.expect(204)?;
    assert_eq!(seen().await?, (1, json!(2_310)));
    desk.put(&cheap, &json!({ "hidden": true })).await?.expect(404)?;
    Ok(())
}

/// RFC 9285, written anew: the product's own decoder proves nothing about itself.
fn base45(text: &str) -> Option<Vec<u8>> {
    const DIGITS: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
    let digits: Vec<u32> =
        text.chars().map(|c| DIGITS.find(c).and_then(|n| u32::try_from(n).ok())).collect::<Option<_>>()?;
    let mut bytes = Vec::new();
    for chunk in digits.chunks(3) {
        let value = chunk.iter().rev().fold(0, |sum, digit| sum * 45 + digit);
        if chunk.len() == 3 {
            bytes.push(u8::try_from(value >> 8).ok()?);
        }
        bytes.push(u8::try_from(value & 255).ok()?);
    }
    Some(bytes)
}

#[tokio::test]
async fn anybody_can_verify_a_code_with_the_published_keys() -> Result<()> {
    use base64::Engine as _;
    let server = TestServer::start().await?;
    let desk = Desk::found(&server, "Owls").await?;
    let event = desk.on_sale(json!({})).await?;
    let reply = server.get(&format!("{}/ticket-keys", public(&event))).await?.expect(200)?;
    let jwk = &reply["keys"][0];
    for (field, value) in [("kty", "OKP"), ("crv", "Ed25519"), ("use", "sig"), ("alg", "EdDSA")] {
        assert_eq!(jwk[field], value);
    }
    assert!(!reply.to_string().contains("\"d\""), "no private half");

    // A code as the server signs it, by the key that it keeps sealed.
    let event_id: Uuid = id(&reply, "event_id")?.parse()?;
    let organizer_id: Uuid = id(&reply, "organizer_id")?.parse()?;
    let mut owner = server.db.owner().await?;
    let sealed: Vec<u8> = sqlx::query_scalar("select sealed from organizer_keys where event_id = $1")
        .bind(event_id)
        .fetch_one(&mut owner)
        .await?;
    let secret = server.app.master_key.open(&Purpose::Ticket.seal_purpose(), &sealed)?;
    let signing = ed25519_dalek::SigningKey::try_from(secret.as_slice())?;
    let kid = id(jwk, "kid")?;
    let payload = Payload {
        generation: 0,
        kid: shared::bytes::Kid::from_slice(&hex::decode(&kid)?).context("four bytes")?,
        ticket_id: server.app.rng.uuid(&*server.app.clock).into(),
        type_no: 1,
        issued_at: UnixSecs(1_800_000_000),
        not_before: UnixSecs(0),
        expires_at: UnixSecs(1_900_000_000),
    };
    let text = code::sign(&signing, organizer_id.into(), event_id.into(), &payload).to_text();

    // From here on only what the answer and DESIGN's table say.
    let bytes = base45(text.strip_prefix("HV1:").context("HV1:")?).context("base45")?;
    assert_eq!(bytes.len(), 100);
    assert_eq!(hex::encode(&bytes[2..6]), kid);
    let x = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(id(jwk, "x")?)?;
    let key = VerifyingKey::from_bytes(x.as_slice().try_into()?)?;
    let signature = Signature::from_slice(&bytes[36..])?;
    let message = |event: &Uuid| {
        [b"hvflvspot/ticket/v1\0", organizer_id.as_bytes().as_slice(), event.as_bytes(), &bytes[..36]]
            .concat()
    };
    key.verify_strict(&message(&event_id), &signature)?;
    assert!(key.verify_strict(&message(&Uuid::nil()), &signature).is_err(), "of no other event");
    Ok(())
}
