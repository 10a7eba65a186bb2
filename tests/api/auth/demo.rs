//! The demo's accounts and its event.

use anyhow::{Context as _, Result};
use hvflvspot::demo;
use sqlx::Executor as _;
use support::server::TestServer;

use crate::{clock, sign_in, text};

#[tokio::test]
async fn the_demo_is_made_once_and_again_when_its_event_is_over() -> Result<()> {
    let clock = clock()?;
    let server = TestServer::builder().clock(&clock).start().await?;
    let router = hvflvspot::http::router::router(server.app.clone());
    for _ in 0..2 {
        demo::seed(&server.app, &router).await?;
    }
    sign_in(&server, demo::ATTENDEE.0, demo::ATTENDEE.1).await?.expect(200)?;
    let session = sign_in(&server, demo::ORGANIZER.0, demo::ORGANIZER.1).await?.expect(200)?;
    let token = text(&session, "access_token");
    let who = server.get_as(token, "/auth/verify").await?.expect(200)?;
    assert_eq!(who["role"], "organizer");
    assert_eq!(who["organizers"].as_array().map(Vec::len), Some(1));
    let profile = server.get_as(token, "/organizer/profile").await?.expect(200)?;
    assert_eq!((text(&profile, "name"), text(&profile, "status")), ("Demo Organizer", "approved"));
    let events = async |count: usize| -> Result<String> {
        let page = server.get_as(token, "/organizer/events").await?.expect(200)?;
        let items = page["items"].as_array().context("a page has items")?;
        assert_eq!(items.len(), count, "{page}");
        assert!(items.iter().all(|event| event["status"] == "published"), "{page}");
        Ok(text(&items[0], "event_id").to_owned())
    };
    let base = format!("/organizer/events/{}", events(1).await?);
    for (part, count) in [("ticket-types", 2), ("lists", 1), ("gates", 2), ("stewards", 1)] {
        let list = server.get_as(token, &format!("{base}/{part}")).await?.expect(200)?;
        assert_eq!(list["items"].as_array().map(Vec::len), Some(count), "{part}: {list}");
    }
    // Less than a day to go.
    let mut db = server.db.owner().await?;
    db.execute("update events set ends_at = starts_at + interval '1 hour'").await?;
    demo::seed(&server.app, &router).await?;
    events(2).await?;
    Ok(())
}
