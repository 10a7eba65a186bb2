//! The live stream: nothing is missed, nothing is told that was not, and it ends when it must.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use shared::admission::Outcome;

use crate::venue::Venue;

/// Generous: figures are read once a second at most.
const SOON: Duration = Duration::from_secs(20);

/// One client's stream.
struct Watch {
    response: reqwest::Response,
    unread: String,
}

#[derive(Debug)]
struct Message {
    id: String,
    event: String,
    data: Value,
}

impl Watch {
    async fn open(venue: &Venue, token: &str, last: Option<&str>) -> Result<Self> {
        let mut request = venue.server.request(Method::GET, &venue.path("/stats/live")).bearer_auth(token);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await?;
        ensure!(response.status() == 200, "{}: {}", response.status(), response.text().await?);
        ensure!(response.headers()["content-type"] == "text/event-stream");
        ensure!(response.headers().get("content-encoding").is_none(), "packed streams arrive late");
        Ok(Self { response, unread: String::new() })
    }

    /// The next message, comments passed over; None when the stream has ended.
    async fn try_next(&mut self) -> Result<Option<Message>> {
        loop {
            if let Some((block, rest)) = self.unread.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.unread = rest;
                let field = |name: &str| {
                    block
                        .lines()
                        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                        .map(str::to_owned)
                };
                if let (Some(id), Some(event), Some(data)) = (field("id"), field("event"), field("data")) {
                    return Ok(Some(Message { id, event, data: serde_json::from_str(&data)? }));
                }
                continue;
            }
            let part = tokio::time::timeout(SOON, self.response.chunk()).await.context("nothing came")??;
            let Some(part) = part else { return Ok(None) };
            self.unread.push_str(std::str::from_utf8(&part)?);
        }
    }

    async fn next(&mut self, event: &str) -> Result<Message> {
        let message = self.try_next().await?.context("the stream ended")?;
        ensure!(message.event == event, "{message:?} instead of {event}");
        Ok(message)
    }

    async fn ends(&mut self) -> Result<()> {
        while let Some(message) = self.try_next().await? {
            if message.event != "stats" {
                bail!("{message:?} after the end");
            }
        }
        Ok(())
    }
}

fn timeless(mut stats: Value) -> Value {
    stats.as_object_mut().and_then(|members| members.remove("at"));
    stats
}

fn places(message: &Message) -> Vec<(u64, bool)> {
    let scans = message.data["scans"].as_array().cloned().unwrap_or_default();
    scans.iter().map(|s| (s["seq"].as_u64().unwrap_or(0), s["late"] == json!(true))).collect()
}

#[tokio::test]
async fn a_stream_tells_every_scan_once_and_goes_on_where_it_broke() -> Result<()> {
    let venue = Venue::open().await?;
    let sold = venue.sell(5).await?;
    let mut gate = venue.device("A").await?;
    let mut watch = Watch::open(&venue, &venue.owner, None).await?;
    let first = watch.next("stats").await?;
    assert_eq!(first.id, "0.00000000");
    assert_eq!(timeless(first.data), timeless(venue.get("/stats").await?.expect(200)?));

    gate.admit(&venue, sold[0].id);
    gate.refuse(&venue, sold[0].id, Outcome::AlreadyAdmitted);
    gate.push(&venue).await?;
    let scans = watch.next("scans").await?;
    assert_eq!(places(&scans), [(1, false), (2, false)]);
    let told = &scans.data["scans"][1];
    assert_eq!((&told["kind"], &told["outcome"]), (&json!("refuse"), &json!("already_admitted")));
    assert_eq!(told["ticket_id"], json!(sold[0].id.to_string()));
    let stats = watch.next("stats").await?;
    assert_eq!(stats.id, scans.id);
    assert_eq!((&stats.data["admitted"], &stats.data["scans"]), (&json!(1), &json!(2)));
    drop(watch);

    // Away: one scan that was long on its way, and two runs.
    gate.admit(&venue, sold[1].id);
    venue.clock.advance(Duration::from_secs(121));
    gate.admit(&venue, sold[2].id);
    gate.upload(&venue, &gate.run(3, 3)).await?;
    gate.upload(&venue, &gate.run(4, 4)).await?;
    let mut watch = Watch::open(&venue, &venue.owner, Some(&stats.id)).await?;
    let missed = watch.next("scans").await?;
    assert_eq!(places(&missed), [(3, true), (4, false)], "what was missed, and nothing twice");
    let stats = watch.next("stats").await?;
    assert_eq!((&stats.data["admitted"], &stats.data["late_scans"]), (&json!(3), &json!(1)));
    assert_eq!(timeless(stats.data), timeless(venue.get("/stats").await?.expect(200)?));

    // A sale changes figures and brings no scan; the id stays.
    venue.sell(1).await?;
    let sale = watch.next("stats").await?;
    assert_eq!((&sale.data["tickets"]["sold"], sale.id), (&json!(6), missed.id.clone()));

    // Whoever comes back at the end of a message in the middle gets the rest.
    let mut again = Watch::open(&venue, &venue.owner, Some(&scans.id)).await?;
    assert_eq!(again.next("scans").await?.id, missed.id);
    let mut up_to_date = Watch::open(&venue, &venue.owner, Some(&missed.id)).await?;
    up_to_date.next("stats").await?;
    Ok(())
}

#[tokio::test]
async fn ids_that_are_not_of_this_log_are_reset() -> Result<()> {
    let venue = Venue::open().await?;
    let sold = venue.sell(1).await?;
    let mut gate = venue.device("A").await?;
    gate.admit(&venue, sold[0].id);
    gate.push(&venue).await?;
    let now = Watch::open(&venue, &venue.owner, None).await?.next("stats").await?.id;
    for last in ["2.00000000", "1.00000000", "1", "yesterday", "99999999999999999999.00000000"] {
        let mut watch = Watch::open(&venue, &venue.owner, Some(last)).await?;
        let reset = watch.next("reset").await?;
        assert_eq!((&reset.data["reason"], &reset.id), (&json!("unknown_id"), &now), "{last}");
        assert_eq!(watch.next("stats").await?.id, now);
    }
    Ok(())
}

/// What one stream makes up for at most.
const MOST_MISSED: usize = 20_000;

#[tokio::test]
async fn who_was_away_too_long_begins_anew_and_ends_up_where_the_others_are() -> Result<()> {
    let venue = Venue::open().await?;
    let sold = venue.sell(2).await?;
    let mut gate = venue.device("A").await?;
    let place = async || anyhow::Ok(Watch::open(&venue, &venue.owner, None).await?.next("stats").await?.id);
    gate.admit(&venue, sold[0].id);
    gate.push(&venue).await?;
    let long_ago = place().await?;
    for _ in 0..=MOST_MISSED {
        gate.refuse(&venue, sold[0].id, Outcome::AlreadyAdmitted);
    }
    gate.admit(&venue, sold[1].id);
    gate.upload(&venue, &gate.run(2, 3)).await?;
    let just_near_enough = place().await?;
    let last = gate.entries.len();
    for from in (4..=last).step_by(500) {
        gate.upload(&venue, &gate.run(from, last.min(from + 499))).await?;
    }

    // As much as can be made up for: each scan once, in order.
    let mut near = Watch::open(&venue, &venue.owner, Some(&just_near_enough)).await?;
    let mut missed = Vec::new();
    let told = loop {
        let message = near.try_next().await?.context("the stream ended")?;
        match message.event.as_str() {
            "scans" => missed.extend(places(&message).into_iter().map(|(seq, _)| seq)),
            "stats" => break message,
            _ => bail!("{message:?}"),
        }
    };
    assert_eq!((missed.len(), last - 3), (MOST_MISSED, MOST_MISSED));
    assert!(missed.into_iter().eq(4..=u64::try_from(last)?));

    // One scan more is too much: no scan of these, and the figures of those who were there.
    let mut far = Watch::open(&venue, &venue.owner, Some(&long_ago)).await?;
    let reset = far.next("reset").await?;
    assert_eq!(reset.data["reason"], "too_far_behind");
    let anew = far.next("stats").await?;
    assert_eq!((&anew.id, &anew.id), (&reset.id, &told.id));
    assert_eq!(anew.data["admitted"], 2);
    let figures = timeless(anew.data);
    assert_eq!(figures, timeless(told.data));
    assert_eq!(figures, timeless(venue.get("/stats").await?.expect(200)?));

    // From there on it hears the same as they do.
    gate.exit(&venue, sold[1].id);
    gate.upload(&venue, &gate.run(last + 1, last + 1)).await?;
    let (one, other) = (near.next("scans").await?, far.next("scans").await?);
    assert_eq!((&one.id, &one.data), (&other.id, &other.data));
    let (one, other) = (near.next("stats").await?, far.next("stats").await?);
    assert_eq!(timeless(one.data), timeless(other.data));
    Ok(())
}

#[tokio::test]
async fn a_stream_ends_with_the_right_to_see_it() -> Result<()> {
    let venue = Venue::open().await?;
    assert_eq!(venue.server.get(&venue.path("/stats/live")).await?.status, 401);
    let nowhere = format!("/organizer/events/{}/stats/live", uuid::Uuid::nil());
    assert_eq!(venue.server.get_as(&venue.owner, &nowhere).await?.status, 404);
    let door = venue.member("door").await?;
    let mut watch = Watch::open(&venue, &door, None).await?;
    watch.next("stats").await?;
    let mut db = venue.server.db.owner().await?;
    sqlx::query("delete from members where role = 'door'").execute(&mut db).await?;
    venue.server.app.news.publish(venue.event);
    watch.ends().await
}

#[tokio::test]
async fn streams_end_when_the_server_stops() -> Result<()> {
    let venue = Venue::open().await?;
    let mut watch = Watch::open(&venue, &venue.owner, None).await?;
    watch.next("stats").await?;
    let Venue { server, .. } = venue;
    assert!(
        tokio::time::timeout(SOON, server.stop()).await.context("the stop waits")??,
        "nothing was cut off"
    );
    watch.ends().await
}
