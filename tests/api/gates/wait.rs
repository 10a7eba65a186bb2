use std::time::Duration;

use anyhow::{Context as _, Result};
use hvflvspot::news;
use serde_json::json;
use shared::ids::TicketId;
use shared::manifest::online::open_certificate;
use support::until;
use uuid::Uuid;

use crate::venue::{Venue, next_header};

/// Generous: a wake that comes by chance of the ten-second look must not pass for one.
const AT_ONCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_waiting_gate_wakes_on_an_upload_and_gets_the_run_with_its_certificate() -> Result<()> {
    let venue = Venue::open().await?;
    let (mut writer, mut reader) = (venue.device("Writer").await?, venue.device("Reader").await?);
    reader.sync(&venue).await?;
    writer.admit(&venue, TicketId(Uuid::from_u128(1)));
    let waiting = reader.wait(&venue, 30);
    let uploading = async {
        settled(&venue, 1).await;
        writer.push(&venue).await
    };
    let (news, _) = tokio::time::timeout(AT_ONCE, async { tokio::try_join!(waiting, uploading) })
        .await
        .context("nobody woke")??;
    assert_eq!((news.runs.len(), news.scans, news.more), (1, 1, false));
    assert_eq!(news.runs[0].device, writer.id);
    let (certificate, key) = open_certificate(&reader.trust, venue.event, &news.certificates[0])?;
    assert_eq!((certificate.device, certificate.number), (writer.id, 1));
    shared::log::run::verify_run(&news.runs[0], &key)?;
    reader.cursor = news.scans;
    assert!(reader.wait(&venue, 0).await?.runs.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_waiting_gate_wakes_on_a_sale_as_soon_as_a_header_may_be_made() -> Result<()> {
    let venue = Venue::open().await?;
    let mut gate = venue.device("A").await?;
    gate.sync(&venue).await?;
    next_header(&venue);
    let waiting = gate.wait(&venue, 30);
    let selling = async {
        settled(&venue, 1).await;
        venue.sell(1).await
    };
    let (news, _) = tokio::time::timeout(AT_ONCE, async { tokio::try_join!(waiting, selling) })
        .await
        .context("nobody woke")??;
    assert_eq!(news.manifest.change_seq, 1);
    let version = news.manifest;
    gate.sync(&venue).await?;
    assert_eq!(gate.version(), version, "what was announced is served");
    Ok(())
}

#[tokio::test]
async fn news_of_another_server_arrives_through_the_database() -> Result<()> {
    let venue = Venue::open().await?;
    let (mut writer, mut reader) = (venue.device("Writer").await?, venue.device("Reader").await?);
    reader.sync(&venue).await?;
    tokio::spawn(news::run(venue.server.app.clone()));
    writer.admit(&venue, TicketId(Uuid::from_u128(1)));
    let heard = venue.server.app.news.subscribe(venue.event);
    // The other server: it tells nobody here but by NOTIFY. Repeated, for the listener may still be connecting.
    let event = venue.event.to_string();
    until("the listener hears", async || {
        venue.server.app.db.notify("hvflvspot_news", &event).await?;
        Ok(heard.has_changed()?)
    })
    .await
}

#[tokio::test]
async fn a_wait_ends_when_its_time_is_over_the_server_stops_or_the_device_is_revoked() -> Result<()> {
    let venue = Venue::open().await?;
    let (mut gate, mut thief) = (venue.device("A").await?, venue.device("Thief").await?);
    gate.sync(&venue).await?;
    thief.sync(&venue).await?;
    let news = tokio::time::timeout(AT_ONCE, gate.wait(&venue, 1)).await??;
    assert!(news.runs.is_empty());
    assert_eq!(news.manifest, gate.version());

    let revoking = async {
        settled(&venue, 1).await;
        venue.post(&format!("/devices/{}/revoke", thief.id), json!({})).await?.expect(200)
    };
    let both = async { tokio::try_join!(thief.try_wait(&venue, 30), revoking) };
    let ((reply, _), _) = tokio::time::timeout(AT_ONCE, both).await.context("the thief still waits")??;
    assert_eq!(reply.code(), "device_revoked");

    next_header(&venue);
    gate.sync(&venue).await?;
    let stopping = async {
        settled(&venue, 1).await;
        venue.server.app.stopping.cancel();
        Ok(())
    };
    let both = async { tokio::try_join!(gate.wait(&venue, 30), stopping) };
    let (news, ()) = tokio::time::timeout(AT_ONCE, both).await.context("the stop waits for a poll")??;
    assert!(news.runs.is_empty());
    Ok(())
}

#[tokio::test]
async fn pages_carry_whole_runs_and_a_cursor_from_another_life_begins_anew() -> Result<()> {
    let venue = Venue::open().await?;
    let (mut writer, mut reader) = (venue.device("Writer").await?, venue.device("Reader").await?);
    reader.sync(&venue).await?;
    for n in 0..6 {
        writer.admit(&venue, TicketId(Uuid::from_u128(n)));
    }
    for (from, to) in [(1, 2), (3, 3), (4, 6)] {
        writer.upload(&venue, &writer.run(from, to)).await?;
    }
    let news = reader.wait(&venue, 0).await?;
    assert_eq!(news.runs.iter().map(|r| r.entries.len()).collect::<Vec<_>>(), [2, 1, 3]);
    reader.cursor = 1_000;
    let news = reader.wait(&venue, 30).await?;
    assert_eq!((news.runs.len(), news.scans), (3, 3), "a restored database offers everything again");
    // What a device wrote itself it does not hear, but the cursor passes it.
    writer.sync(&venue).await?;
    let own = writer.wait(&venue, 0).await?;
    assert_eq!((own.runs.len(), own.scans), (0, 3));
    Ok(())
}

/// Until so many polls wait for the event's news.
async fn settled(venue: &Venue, polls: usize) {
    let there = until("polls wait", async || Ok(venue.server.app.news.waiting(venue.event) >= polls));
    there.await.expect("so many polls were begun");
}
