use anyhow::Result;
use serde_json::json;
use shared::admission::Outcome;
use shared::bytes::Signature64;
use shared::ids::{GateId, ListId, TicketId};
use shared::log::entry::EntryKind;
use shared::log::run::{entry_hash, sign_run};
use shared::wire::gates::Hole;
use uuid::Uuid;

use crate::device::TestDevice;
use crate::venue::Venue;

fn ticket(n: u128) -> TicketId {
    TicketId(Uuid::from_u128(n))
}

async fn stored(venue: &Venue) -> Result<i64> {
    let mut owner = venue.server.db.owner().await?;
    Ok(sqlx::query_scalar("select count(*) from scans").fetch_one(&mut owner).await?)
}

#[tokio::test]
async fn a_repeated_or_overlapping_run_is_stored_once_and_acknowledged_again() -> Result<()> {
    let venue = Venue::open().await?;
    let mut gate = venue.device("A").await?;
    for n in 0..10 {
        gate.admit(&venue, ticket(n));
    }
    for _ in 0..2 {
        let answer = gate.upload(&venue, &gate.run(1, 6)).await?;
        assert_eq!((answer.acknowledged, answer.holes.len(), answer.forked), (6, 0, false));
    }
    let answer = gate.upload(&venue, &gate.run(4, 10)).await?;
    assert_eq!((answer.acknowledged, answer.forked), (10, false));
    assert_eq!(stored(&venue).await?, 10);
    // Each stored run is one step of the cursor; a repetition is none.
    assert_eq!(venue.get("/stats").await?.expect(200)?["fold"]["cursor"], 2);
    Ok(())
}

#[tokio::test]
async fn parallel_uploads_of_one_log_store_each_entry_once() -> Result<()> {
    let venue = Venue::open().await?;
    let mut gate = venue.device("A").await?;
    for n in 0..60 {
        gate.admit(&venue, ticket(n % 20));
    }
    let upload = async |from, to| gate.upload(&venue, &gate.run(from, to)).await;
    let answers = tokio::try_join!(
        upload(1, 60),
        upload(1, 30),
        upload(20, 60),
        upload(50, 60),
        upload(1, 10),
        upload(1, 60)
    )?;
    assert_eq!(answers.0.acknowledged, 60);
    assert_eq!(stored(&venue).await?, 60);
    let counts = venue.get("/stats").await?.expect(200)?;
    assert_eq!((&counts["admitted"], &counts["incidents"]["open"]), (&json!(20), &json!(20)));
    Ok(())
}

#[tokio::test]
async fn holes_are_named_until_they_are_closed() -> Result<()> {
    let venue = Venue::open().await?;
    let mut gate = venue.device("A").await?;
    for n in 0..9 {
        gate.admit(&venue, ticket(n));
    }
    let answer = gate.upload(&venue, &gate.run(3, 4)).await?;
    assert_eq!((answer.acknowledged, answer.holes), (0, vec![Hole { from: 1, to: 2 }]));
    let answer = gate.upload(&venue, &gate.run(8, 9)).await?;
    assert_eq!(answer.holes, [Hole { from: 1, to: 2 }, Hole { from: 5, to: 7 }]);
    let answer = gate.upload(&venue, &gate.run(1, 2)).await?;
    assert_eq!((answer.acknowledged, answer.holes), (4, vec![Hole { from: 5, to: 7 }]));
    let answer = gate.upload(&venue, &gate.run(5, 7)).await?;
    assert_eq!((answer.acknowledged, answer.holes), (9, vec![]));
    Ok(())
}

#[tokio::test]
async fn a_forked_log_is_kept_whole_and_alarms() -> Result<()> {
    let venue = Venue::open().await?;
    let (mut gate, mut reader) = (venue.device("A").await?, venue.device("B").await?);
    for n in 0..3 {
        gate.admit(&venue, ticket(n));
    }
    gate.push(&venue).await?;
    gate.entries.truncate(1);
    gate.admit(&venue, ticket(8));
    gate.admit(&venue, ticket(9));
    let other = gate.run(1, 3);
    for _ in 0..2 {
        let answer = gate.upload(&venue, &other).await?;
        assert!(answer.forked);
        assert_eq!(answer.acknowledged, 3);
    }
    assert_eq!(stored(&venue).await?, 5, "both histories");
    let incidents = venue.get("/incidents").await?.expect(200)?;
    assert_eq!(incidents["items"].as_array().map(Vec::len), Some(1), "{incidents}");
    assert_eq!(incidents["items"][0]["kind"], "forked_log");
    assert_eq!(incidents["items"][0]["entries"].as_array().map(Vec::len), Some(4), "{incidents}");

    // Both sides reach the other gates as they were signed.
    let news = reader.wait(&venue, 0).await?;
    assert_eq!(news.runs.len(), 2);
    let key = gate.key.verifying_key();
    for run in &news.runs {
        shared::log::run::verify_run(run, &key)?;
    }
    reader.cursor = news.scans;
    assert!(reader.wait(&venue, 0).await?.runs.is_empty());
    Ok(())
}

#[tokio::test]
async fn any_device_of_the_event_relays_anothers_run_and_nobody_forges_one() -> Result<()> {
    let venue = Venue::open().await?;
    let (mut lost, courier) = (venue.device("Lost").await?, venue.device("Courier").await?);
    lost.admit(&venue, ticket(1));
    let run = lost.run(1, 1);
    let mut forged = run.clone();
    forged.signature = Signature64([1; 64]);
    assert_eq!(courier.try_upload(&venue, &forged).await?.0.code(), "bad_run");
    let mut own = run.clone();
    let (entry, hash) = &lost.entries[0];
    own.signature = sign_run(&courier.key, entry.place, hash);
    assert_eq!(courier.try_upload(&venue, &own).await?.0.code(), "bad_run", "signed by the courier");
    let answer = courier.upload(&venue, &run).await?;
    assert_eq!((answer.device, answer.acknowledged), (lost.id, 1));
    // Its author need not hear of it again; others do.
    assert!(lost.wait(&venue, 0).await?.runs.is_empty());
    assert_eq!(courier.wait(&venue, 0).await?.runs.len(), 1);

    let elsewhere = Venue::seeded(2).await?;
    let mut foreign = elsewhere.device("Foreign").await?;
    foreign.admit(&elsewhere, ticket(2));
    assert_eq!(courier.try_upload(&venue, &foreign.run(1, 1)).await?.0.code(), "unknown_device");
    Ok(())
}

#[tokio::test]
async fn absurd_entries_are_stored_beside_good_ones_and_become_an_incident() -> Result<()> {
    let venue = Venue::open().await?;
    let mut gate = venue.device("A").await?;
    gate.admit(&venue, ticket(1));
    gate.write(&venue, |e| {
        e.list = Some(ListId(Uuid::from_u128(1)));
        e.gate = Some(GateId(Uuid::from_u128(2)));
        e.ticket = None;
        e.generation = Some(255);
        e.type_no = Some(u16::MAX);
        e.flags = shared::admission::Flags(u32::MAX);
        e.time.corrected.0 = i64::MIN;
        e.time.error_ms = u32::MAX;
        e.time.monotonic_ns = u64::MAX;
        e.reason = Some("\0".repeat(300));
        e.outcome = Outcome::CannotRecord;
        e.target = Some(shared::log::entry::EntryPlace { seq: u64::MAX, ..e.place });
        e.seen = vec![
            shared::log::entry::Seen { number: u32::MAX, log_no: 1, seq: u64::MAX },
            shared::log::entry::Seen { number: 0, log_no: 1, seq: 5 },
        ];
    });
    gate.admit(&venue, ticket(2));
    let answer = gate.push(&venue).await?;
    assert_eq!(answer.acknowledged, 3);
    let counts = venue.get("/stats").await?.expect(200)?;
    assert_eq!(counts["admitted"], 2);
    let faulty = venue.get("/incidents").await?.expect(200)?;
    let kinds: Vec<_> = faulty["items"].as_array().into_iter().flatten().map(|i| i["kind"].clone()).collect();
    assert!(kinds.contains(&json!("faulty_entry")), "{faulty}");
    assert!(kinds.contains(&json!("clock_jump")), "{faulty}");
    Ok(())
}

#[tokio::test]
async fn runs_over_the_limit_and_broken_ones_are_refused_whole() -> Result<()> {
    let venue = Venue::open().await?;
    let mut gate = venue.device("A").await?;
    for n in 0..501 {
        gate.admit(&venue, ticket(n));
    }
    let reply = gate.try_upload(&venue, &gate.run(1, 501)).await?.0;
    assert_eq!((reply.status.as_u16(), reply.code()), (413, "body_too_large"));
    let mut gap = gate.run(1, 3);
    gap.entries.remove(1);
    assert_eq!(gate.try_upload(&venue, &gap).await?.0.code(), "bad_run");
    let mut garbage = gate.run(1, 3);
    garbage.entries[2] = vec![0xff; 9].into();
    let reply = gate.try_upload(&venue, &garbage).await?.0;
    assert_eq!(reply.body["errors"][0]["field"], "run.entries[2]");
    let headers = gate.sign(&venue, "POST", "/gates/log", None, &[1, 2, 3]);
    let (reply, _) = TestDevice::send::<shared::wire::gates::UploadAnswer>(
        &venue,
        reqwest::Method::POST,
        "/gates/log",
        vec![1, 2, 3],
        &headers,
    )
    .await?;
    assert_eq!((reply.status.as_u16(), reply.code()), (400, "malformed_cbor"));
    assert_eq!(stored(&venue).await?, 0);
    assert_eq!(gate.upload(&venue, &gate.run(1, 500)).await?.acknowledged, 500);
    Ok(())
}

#[tokio::test]
async fn what_a_revoked_device_uploads_later_waits_for_the_owner() -> Result<()> {
    let venue = Venue::open().await?;
    let (mut lost, mut kept) = (venue.device("Lost").await?, venue.device("Kept").await?);
    lost.admit(&venue, ticket(1));
    lost.push(&venue).await?;
    let path = format!("/devices/{}", lost.id);
    venue.post(&format!("{path}/revoke"), json!({})).await?.expect(200)?;
    lost.admit(&venue, ticket(2));
    lost.admit(&venue, ticket(3));
    lost.push(&venue).await?;
    kept.admit(&venue, ticket(2));
    kept.push(&venue).await?;
    let counts = venue.get("/stats").await?.expect(200)?;
    assert_eq!((&counts["admitted"], &counts["fold"]["quarantined"]), (&json!(2), &json!(2)), "{counts}");
    assert_eq!(counts["incidents"]["open"], 0, "what waits accuses nobody");
    let waiting = venue.get(&format!("{path}/quarantine")).await?.expect(200)?;
    assert_eq!(waiting["items"].as_array().map(Vec::len), Some(2));

    let accept = json!({ "decision": "accept", "log_no": 1, "seq": 2 });
    let manager = venue.member("manager").await?;
    let target = venue.path(&format!("{path}/quarantine"));
    assert_eq!(venue.server.post_as(&manager, &target, &accept).await?.status, 403);
    let unknown = json!({ "decision": "accept", "log_no": 1, "seq": 9 });
    assert_eq!(venue.post(&format!("{path}/quarantine"), unknown).await?.status, 422);
    let decided = venue.post(&format!("{path}/quarantine"), accept).await?.expect(200)?;
    assert_eq!(decided["revoked"]["accepted_to"], json!({ "log_no": 1, "seq": 2 }));
    let counts = venue.get("/stats").await?.expect(200)?;
    assert_eq!(
        (&counts["fold"]["quarantined"], &counts["incidents"]["open"]),
        (&json!(1), &json!(1)),
        "{counts}"
    );

    let reject = json!({ "decision": "reject", "log_no": 1, "seq": 3 });
    venue.post(&format!("{path}/quarantine"), reject).await?.expect(200)?;
    let waiting = venue.get(&format!("{path}/quarantine")).await?.expect(200)?;
    assert_eq!(waiting["items"], json!([]));
    assert_eq!(venue.get("/stats").await?.expect(200)?["admitted"], 2);
    Ok(())
}

/// The tickets of which webhooks are told that they were checked in, in the order of their numbers.
async fn told(venue: &Venue) -> Result<Vec<Uuid>> {
    let mut owner = venue.server.db.owner().await?;
    let told = sqlx::query_scalar(
        "select (facts->'data'->>'ticket_id')::uuid from outbox
          where channel = 'webhook' and kind = 'ticket.checked_in' order by 1",
    );
    Ok(told.fetch_all(&mut owner).await?)
}

#[tokio::test]
async fn webhooks_hear_of_quarantined_admissions_once_they_are_accepted_and_never_of_rejected_ones()
-> Result<()> {
    let venue = Venue::open().await?;
    let hook = json!({ "url": "https://hooks.example.org/in" });
    venue.server.post_as(&venue.owner, "/organizer/webhooks", &hook).await?.expect(201)?;
    let mut lost = venue.device("Lost").await?;
    let of = |all: &[u128]| {
        let mut ids: Vec<_> = all.iter().map(|n| ticket(*n).0).collect();
        ids.sort_unstable();
        ids
    };
    lost.admit(&venue, ticket(1));
    lost.push(&venue).await?;
    assert_eq!(told(&venue).await?, of(&[1]));
    let path = format!("/devices/{}", lost.id);
    venue.post(&format!("{path}/revoke"), json!({})).await?.expect(200)?;
    for n in 2..=5 {
        lost.admit(&venue, ticket(n));
    }
    // The third waits on the device.
    lost.upload(&venue, &lost.run(2, 2)).await?;
    lost.upload(&venue, &lost.run(4, 5)).await?;
    assert_eq!(told(&venue).await?, of(&[1]), "what waits is told nobody");

    let quarantine = format!("{path}/quarantine");
    let decide = async |decision: &str, seq: u64| -> Result<()> {
        let body = json!({ "decision": decision, "log_no": 1, "seq": seq });
        venue.post(&quarantine, body).await?.expect(200).map(drop)
    };
    decide("accept", 2).await?;
    assert_eq!(told(&venue).await?, of(&[1, 2]));
    decide("accept", 2).await?;
    decide("accept", 4).await?;
    assert_eq!(told(&venue).await?, of(&[1, 2, 4]), "each once");
    // Before the place that was accepted: it counts, and is told, as soon as it is here.
    lost.upload(&venue, &lost.run(3, 3)).await?;
    assert_eq!(told(&venue).await?, of(&[1, 2, 3, 4]));
    decide("reject", 5).await?;
    lost.admit(&venue, ticket(6));
    lost.push(&venue).await?;
    assert_eq!(told(&venue).await?, of(&[1, 2, 3, 4]), "rejected, and behind what was rejected");
    Ok(())
}

#[tokio::test]
async fn revoking_takes_back_what_stands_behind_a_hole() -> Result<()> {
    let venue = Venue::open().await?;
    let (mut lost, mut kept) = (venue.device("Lost").await?, venue.device("Kept").await?);
    for n in 1..=4 {
        lost.admit(&venue, ticket(n));
    }
    lost.upload(&venue, &lost.run(1, 1)).await?;
    lost.upload(&venue, &lost.run(4, 4)).await?;
    kept.admit(&venue, ticket(4));
    kept.push(&venue).await?;
    assert_eq!(venue.get("/stats").await?.expect(200)?["incidents"]["open"], 1);
    venue.post(&format!("/devices/{}/revoke", lost.id), json!({})).await?.expect(200)?;
    let counts = venue.get("/stats").await?.expect(200)?;
    assert_eq!(counts["incidents"]["open"], 0, "{counts}");
    assert_eq!((&counts["incidents"]["closed"], &counts["admitted"]), (&json!(1), &json!(2)));
    Ok(())
}

#[tokio::test]
async fn a_device_that_lost_its_tail_opens_another_log_and_says_so() -> Result<()> {
    let venue = Venue::open().await?;
    let mut gate = venue.device("A").await?;
    gate.admit(&venue, ticket(1));
    gate.push(&venue).await?;
    gate.entries.clear();
    gate.log_no = 2;
    gate.write(&venue, |e| {
        e.kind = EntryKind::Fork;
        e.list = None;
        e.ticket = None;
        e.text_hash = None;
        e.reason = Some("the end of log 1 cannot be proven".into());
    });
    gate.admit(&venue, ticket(2));
    assert_eq!(gate.push(&venue).await?.acknowledged, 2);
    let incidents = venue.get("/incidents").await?.expect(200)?;
    assert_eq!(incidents["items"][0]["kind"], "replaced_log", "{incidents}");
    assert_eq!(incidents["items"][0]["log_no"], 2);
    let (entry, hash) = &gate.entries[0];
    assert_eq!(entry_hash(&entry.to_bytes()), *hash);
    Ok(())
}
