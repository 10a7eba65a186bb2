use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;
use shared::manifest::docs::ManifestVersion;
use shared::manifest::rows::TicketState;
use shared::time::UnixSecs;
use shared::wire::gates::ManifestBody;
use support::until;

use crate::venue::{Venue, next_header};

#[tokio::test]
async fn a_delta_leads_to_the_same_state_as_the_whole() -> Result<()> {
    let venue = Venue::open().await?;
    let (mut stepwise, mut at_once) = (venue.device("A").await?, venue.device("B").await?);
    let first = venue.sell(300).await?;
    assert!(matches!(stepwise.sync(&venue).await?.body, ManifestBody::Full { .. }));
    venue.refund(first[7].id).await?;
    venue.sell(1).await?;
    next_header(&venue);
    let answer = stepwise.sync(&venue).await?;
    assert!(matches!(answer.body, ManifestBody::Delta { .. }), "{:?}", answer.body);
    assert!(matches!(at_once.sync(&venue).await?.body, ManifestBody::Full { .. }));
    assert_eq!(stepwise.rows()?, venue.tickets().await?);
    assert_eq!(at_once.rows()?, venue.tickets().await?);
    assert_eq!(stepwise.held, at_once.held, "one header for both");
    assert_eq!(stepwise.rows()?.iter().filter(|r| r.state == TicketState::Refunded).count(), 1);
    assert!(matches!(stepwise.sync(&venue).await?.body, ManifestBody::Same {}));
    let (_, full) = stepwise.ask(&venue, stepwise.version(), true).await?;
    assert!(matches!(full?.0.body, ManifestBody::Full { .. }), "the whole on request");
    Ok(())
}

#[tokio::test]
async fn one_header_serves_all_gates_for_two_seconds_and_is_refreshed_each_minute() -> Result<()> {
    let venue = Venue::open().await?;
    let (mut a, mut b) = (venue.device("A").await?, venue.device("B").await?);
    a.sync(&venue).await?;
    venue.sell(1).await?;
    venue.clock.advance(Duration::from_millis(1_999));
    b.sync(&venue).await?;
    assert_eq!(a.held, b.held, "a change waits for the two seconds");
    venue.clock.advance(Duration::from_millis(1));
    b.sync(&venue).await?;
    assert!(b.version() > a.version());
    assert_eq!(b.version().change_seq, 1);

    let (before, blobs) = (b.version(), b.blobs.clone());
    venue.clock.advance(Duration::from_secs(59));
    b.sync(&venue).await?;
    assert_eq!(b.version(), before);
    // as_of is read from the database's clock, in whole seconds: let one pass.
    until("the database's clock goes on", async || {
        Ok(venue_clock(&venue).await? > UnixSecs(before.as_of.0 + 120))
    })
    .await?;
    venue.clock.advance(Duration::from_secs(1));
    b.sync(&venue).await?;
    assert_eq!((b.version().epoch, b.version().change_seq), (before.epoch, before.change_seq));
    assert!(b.version().as_of > before.as_of);
    assert_eq!(b.blobs, blobs);
    Ok(())
}

async fn venue_clock(venue: &Venue) -> Result<UnixSecs> {
    let mut tx = venue.server.app.db.tenant(venue.organizer.0).await?;
    let now: time::OffsetDateTime = sqlx::query_scalar("select db_clock()").fetch_one(&mut *tx).await?;
    Ok(now.into())
}

#[tokio::test]
async fn sales_while_headers_are_issued_lose_nothing() -> Result<()> {
    let venue = Venue::open().await?;
    let mut gate = venue.device("A").await?;
    gate.sync(&venue).await?;
    // The writers go on until three headers were issued among their sales.
    let (deltas, changes) = (AtomicUsize::new(0), AtomicU64::new(0));
    let writers = async {
        let write = async || -> Result<()> {
            for n in 0..1_000 {
                let sold = venue.sell(1 + n % 3).await?;
                changes.fetch_add(1, Ordering::Relaxed);
                if n % 4 == 0 {
                    venue.refund(sold[0].id).await?;
                    changes.fetch_add(1, Ordering::Relaxed);
                }
                if n >= 10 && deltas.load(Ordering::Relaxed) >= 3 {
                    return Ok(());
                }
            }
            anyhow::bail!("nothing was issued in between")
        };
        tokio::try_join!(write(), write(), write(), write()).map(drop)
    };
    tokio::pin!(writers);
    loop {
        next_header(&venue);
        tokio::select! {
            biased;
            done = &mut writers => { done?; break; }
            answer = gate.sync(&venue) => {
                let delta = matches!(answer?.body, ManifestBody::Delta { .. });
                deltas.fetch_add(usize::from(delta), Ordering::Relaxed);
            }
        }
    }
    next_header(&venue);
    gate.sync(&venue).await?;
    assert_eq!(gate.rows()?, venue.tickets().await?);
    assert_eq!(gate.version().change_seq, changes.load(Ordering::Relaxed));
    Ok(())
}

#[tokio::test]
async fn a_gate_ahead_of_the_database_begins_a_lineage_with_a_gap() -> Result<()> {
    let venue = Venue::open().await?;
    let (mut gate, mut other) = (venue.device("A").await?, venue.device("B").await?);
    venue.sell(2).await?;
    gate.sync(&venue).await?;
    other.sync(&venue).await?;
    assert_eq!(gate.version().epoch, 1);
    let ahead = ManifestVersion { change_seq: 9, ..gate.version() };
    let (_, answer) = gate.ask(&venue, ahead, false).await?;
    let (answer, nonce) = answer?;
    assert!(matches!(answer.body, ManifestBody::Full { .. }));
    let gap_from = gate.version().as_of;
    gate.accept(&venue, &answer, &nonce)?;
    assert_eq!((gate.version().epoch, gate.version().change_seq), (2, 1));
    let header = gate.header.clone().context("header")?;
    assert_eq!(header.gaps.len(), 1);
    assert_eq!(header.gaps[0].from, gap_from);
    assert!(header.gaps[0].to >= gap_from);
    // The others follow, once.
    other.sync(&venue).await?;
    assert_eq!(other.held, gate.held);
    // A device that lies wildly changes nothing.
    let absurd = ManifestVersion { epoch: 4_000_000_000, ..gate.version() };
    assert_eq!(gate.ask(&venue, absurd, false).await?.0.code(), "absurd_version");
    next_header(&venue);
    other.sync(&venue).await?;
    assert_eq!(other.version().epoch, 2);
    Ok(())
}

#[tokio::test]
async fn revoking_a_device_reaches_the_others_in_the_key_list() -> Result<()> {
    let venue = Venue::open().await?;
    let (mut lost, mut kept) = (venue.device("Lost").await?, venue.device("Kept").await?);
    let tickets = venue.sell(3).await?;
    kept.sync(&venue).await?;
    lost.admit(&venue, tickets[0].id);
    lost.admit(&venue, tickets[1].id);
    lost.push(&venue).await?;
    let revoked = venue.post(&format!("/devices/{}/revoke", lost.id), json!({})).await?.expect(200)?;
    assert_eq!(revoked["revoked"]["cut_off"], json!({ "log_no": 1, "seq": 2 }));
    assert_eq!(revoked["status"], "revoked");
    next_header(&venue);
    let (_, answer) = kept.ask(&venue, kept.version(), false).await?;
    let (answer, nonce) = answer?;
    let checked = kept.accept(&venue, &answer, &nonce)?;
    let revoked = &checked.key_list.revoked_devices;
    assert_eq!((revoked.len(), revoked[0].device, revoked[0].cut_off.seq), (1, lost.id, 2));
    assert_eq!(revoked[0].accepted_to, None);
    Ok(())
}

#[tokio::test]
async fn an_event_without_a_door_has_no_manifest_and_says_so() -> Result<()> {
    let venue = Venue::open().await?;
    let gate = venue.device("A").await?;
    let mut owner = venue.server.db.owner().await?;
    sqlx::query("update checkin_lists set attendance = false").execute(&mut owner).await?;
    let (reply, _) = gate.ask(&venue, gate.version(), false).await?;
    assert_eq!((reply.status.as_u16(), reply.code()), (409, "event_not_ready"));
    let (reply, _) = gate.get::<shared::wire::gates::WaitAnswer>(&venue, "/gates/manifest", "root=0").await?;
    assert_eq!((reply.status.as_u16(), reply.code()), (400, "invalid_query"));
    Ok(())
}

#[tokio::test]
async fn one_change_is_small_on_the_wire_and_many_tickets_take_26_bytes_each() -> Result<()> {
    let venue = Venue::open().await?;
    let mut gate = venue.device("A").await?;
    venue.sell(10_000).await?;
    let ManifestBody::Full { rows } = gate.sync(&venue).await?.body else { anyhow::bail!("not full") };
    assert!(rows.len() <= 26 * 10_000, "{} bytes", rows.len());
    venue.sell(1).await?;
    next_header(&venue);
    let ManifestBody::Delta { rows, .. } = gate.sync(&venue).await?.body else { anyhow::bail!("no delta") };
    assert!(rows.len() <= 2_048, "{} bytes", rows.len());
    Ok(())
}
