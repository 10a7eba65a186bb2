//! What is shown of an event elsewhere: link previews, search engines, share sheets.

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::{Value, json};
use support::server::send;

use crate::Desk;

const ORIGIN: &str = "https://tickets.example";
const EVIL: &str = "Owls </script><script>alert(1)</script> & \"friends\"";

async fn desk() -> Result<Desk> {
    Desk::open_with(|config| config.public_url = Some(ORIGIN.to_owned())).await
}

/// (id, slug) of an event on sale.
async fn on_sale(desk: &Desk, change: Value) -> Result<(String, String)> {
    let event = desk.on_sale(change).await?;
    let told = desk.see(&event).await?;
    let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
    Ok((text("event_id"), text("slug")))
}

/// What stands in the page's data block.
fn data_block(page: &str) -> Result<Value> {
    let (_, rest) = page.split_once("<script type=\"application/ld+json\">").context("a data block")?;
    let (block, _) = rest.split_once("</script>").context("its end")?;
    Ok(serde_json::from_str(block)?)
}

#[tokio::test]
async fn a_page_says_of_its_event_what_previews_and_search_engines_read() -> Result<()> {
    let desk = desk().await?;
    let (event_id, slug) = on_sale(
        &desk,
        json!({
            "title": EVIL, "description": "One\nnight.", "language": "de", "country": "AT", "artists": ["The Owls"],
            "admission_at": "2027-01-14T18:00:00Z", "latitude": 48.2, "longitude": 16.37,
        }),
    )
    .await?;
    for id in [&event_id, &slug] {
        let page = desk.server.get(&format!("/web/events/{id}")).await?;
        assert_eq!((page.status.as_u16(), page.header("cache-control")), (200, "public, max-age=30"));
        let policy = page.header("content-security-policy");
        assert!(policy.contains("script-src 'self';") && !policy.contains("unsafe"), "{policy}");
        // Its own two scripts and the block of data, which no browser runs; and nothing of the title's.
        assert_eq!(page.text.matches("<script").count(), 3, "{}", page.text);
        assert!(!page.text.contains("<script>"), "{}", page.text);
        let url = format!("{ORIGIN}/web/events/{slug}");
        for part in [
            format!("<link rel=\"canonical\" href=\"{url}\">"),
            format!("<meta property=\"og:url\" content=\"{url}\">"),
            format!("<meta property=\"og:image\" content=\"{ORIGIN}/events/{event_id}/card.png\">"),
            "<meta property=\"og:title\" content=\"Owls &lt;/script&gt;".to_owned(),
            "<meta name=\"description\" content=\"One night.\">".to_owned(),
            "<meta name=\"twitter:card\" content=\"summary_large_image\">".to_owned(),
        ] {
            assert!(page.text.contains(&part), "{part} is missing in {}", page.text);
        }
        let told = data_block(&page.text)?;
        assert_eq!((&told["@type"], &told["name"]), (&json!("Event"), &json!(EVIL)));
        for (path, expected) in [
            ("/startDate", "2027-01-14T20:00:00+01:00"),
            ("/endDate", "2027-01-14T23:00:00+01:00"),
            ("/doorTime", "2027-01-14T19:00:00+01:00"),
            ("/eventStatus", "https://schema.org/EventScheduled"),
            ("/location/name", "Main hall"),
            ("/location/address/addressLocality", "Wien"),
            ("/organizer/name", "Nachtklang"),
            ("/performer/0/name", "The Owls"),
            ("/offers/0/name", "Standing"),
            ("/offers/0/price", "25.00"),
            ("/offers/0/priceCurrency", "EUR"),
            ("/offers/0/availability", "https://schema.org/InStock"),
        ] {
            assert_eq!(told.pointer(path), Some(&json!(expected)), "{path}");
        }
    }
    let mut db = desk.server.db.owner().await?;
    sqlx::query("update quotas set sold = capacity").execute(&mut db).await?;
    let page = desk.server.get(&format!("/web/events/{slug}")).await?;
    assert_eq!(data_block(&page.text)?["offers"][0]["availability"], "https://schema.org/SoldOut");
    desk.post(&format!("/organizer/events/{event_id}/cancel"), &json!({})).await?.expect(202)?;
    let page = desk.server.get(&format!("/web/events/{slug}")).await?;
    assert_eq!(data_block(&page.text)?["eventStatus"], "https://schema.org/EventCancelled");
    Ok(())
}

#[tokio::test]
async fn a_page_of_no_event_says_nothing_and_is_not_to_be_listed() -> Result<()> {
    let desk = desk().await?;
    let draft = desk.draft(json!({ "title": "Secret" })).await?;
    let slug = desk.see(&draft).await?["slug"].as_str().unwrap_or_default().to_owned();
    for id in [slug.as_str(), "nothing-here", "0192f0c1-0000-7000-8000-000000000001", "%22%3E%3Cscript%3E"] {
        let page = desk.server.get(&format!("/web/events/{id}")).await?;
        assert_eq!((page.status.as_u16(), page.header("cache-control")), (200, "no-store"), "{id}");
        assert!(page.text.contains("<meta name=\"robots\" content=\"noindex\">"), "{id}");
        assert!(!page.text.contains("Secret") && !page.text.contains("ld+json"), "{id}");
        assert_eq!(desk.server.get(&format!("/events/{id}/share")).await?.status.as_u16(), 404, "{id}");
        assert_eq!(desk.server.get(&format!("/events/{id}/card.png")).await?.status.as_u16(), 404, "{id}");
    }
    Ok(())
}

#[tokio::test]
async fn an_event_is_shared_by_its_link_its_words_and_its_picture() -> Result<()> {
    let desk = desk().await?;
    let (event_id, slug) = on_sale(&desk, json!({ "language": "fr" })).await?;
    let told = desk.server.get(&format!("/events/{slug}/share")).await?;
    assert_eq!(told.header("cache-control"), "public, max-age=30");
    let expected = json!({
        "url": format!("{ORIGIN}/web/events/{slug}"), "title": "Winter concert",
        "text": "jeudi 14 janvier 2027 à 20:00 (Europe/Vienna) · Main hall · Wien",
        "image": format!("{ORIGIN}/events/{event_id}/card.png"),
    });
    assert_eq!(told.body, expected);
    let card = desk.server.request(Method::GET, &format!("/events/{event_id}/card.png")).send().await?;
    assert_eq!((card.status().as_u16(), card.headers()["content-type"].to_str()?), (200, "image/png"));
    let tag = card.headers()["etag"].to_str()?.to_owned();
    let bytes = card.bytes().await?;
    let info = png::Decoder::new(std::io::Cursor::new(&bytes)).read_info()?;
    assert_eq!((info.info().width, info.info().height), (1_200, 630));
    let path = format!("/events/{slug}/card.png");
    let again = async || send(desk.server.request(Method::GET, &path).header("if-none-match", &tag)).await;
    assert_eq!(again().await?.status.as_u16(), 304);
    let change = json!({ "title": "Spring concert" });
    desk.call(Method::PUT, &format!("/organizer/events/{event_id}/update"), &change).await?.expect(200)?;
    assert_eq!(again().await?.status.as_u16(), 200, "the picture says what is so now");
    Ok(())
}

#[tokio::test]
async fn search_engines_are_told_where_the_events_are() -> Result<()> {
    let desk = desk().await?;
    let robots = desk.server.get("/robots.txt").await?;
    assert_eq!(robots.header("content-type"), "text/plain; charset=utf-8");
    for line in ["Disallow: /web/tickets/", "Allow: /web/", &format!("Sitemap: {ORIGIN}/sitemap.xml")] {
        assert!(robots.text.lines().any(|l| l == line), "{line}");
    }
    let (_, slug) = on_sale(&desk, json!({})).await?;
    let draft = desk.draft(json!({ "title": "Secret" })).await?;
    let over = json!({ "title": "Over soon", "starts_at": "2026-11-23T12:30:00Z", "ends_at": "2026-11-23T13:00:00Z" });
    let (_, over) = on_sale(&desk, over).await?;
    let map = async || -> Result<String> {
        let reply = desk.server.get("/sitemap.xml").await?;
        assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, "application/xml"));
        Ok(reply.text)
    };
    let first = map().await?;
    let url = |slug: &str| format!("<loc>{ORIGIN}/web/events/{slug}</loc>");
    assert!(first.contains(&url(&slug)) && first.contains(&url(&over)), "{first}");
    assert!(!first.contains("secret"), "{draft} is a draft");
    // It is made anew after a while, and not with every call.
    let (_, later) = on_sale(&desk, json!({ "title": "Later" })).await?;
    assert_eq!(map().await?, first);
    desk.clock.advance(std::time::Duration::from_secs(3_700));
    let second = map().await?;
    assert!(second.contains(&url(&later)) && !second.contains(&url(&over)), "{second}");
    Ok(())
}
