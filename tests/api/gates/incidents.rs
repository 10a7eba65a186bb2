use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use shared::admission::Outcome;
use shared::admission::fold::{EventFold, ListPolicies};
use shared::admission::history::{CutOffs, Record};
use shared::bytes::Hash32;
use shared::ids::TicketId;
use shared::log::entry::LogEntry;
use uuid::Uuid;

use crate::venue::Venue;

fn ticket(n: u128) -> TicketId {
    TicketId(Uuid::from_u128(n))
}

async fn only_incident(venue: &Venue) -> Result<Value> {
    let incidents = venue.get("/incidents").await?.expect(200)?;
    let items = incidents["items"].as_array().context("items")?;
    anyhow::ensure!(items.len() == 1, "{incidents}");
    Ok(items[0].clone())
}

#[tokio::test]
async fn a_ticket_admitted_by_two_devices_is_one_incident_that_grows_and_an_undo_closes() -> Result<()> {
    let venue = Venue::open().await?;
    let mut gates = [venue.device("A").await?, venue.device("B").await?, venue.device("C").await?];
    gates[0].admit(&venue, ticket(1));
    venue.clock.advance(Duration::from_secs(60));
    gates[1].admit(&venue, ticket(1));
    for gate in &gates[..2] {
        gate.push(&venue).await?;
    }
    let incident = only_incident(&venue).await?;
    assert_eq!((&incident["kind"], &incident["state"]), (&json!("double_admission"), &json!("open")));
    let sides = incident["entries"].as_array().context("entries")?;
    assert_eq!(sides.iter().map(|s| &s["device_number"]).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(sides[1]["could_have_known"], false);
    let id = incident["incident_id"].clone();

    // A third side, and this gate had seen the first entry.
    venue.clock.advance(Duration::from_secs(60));
    let third = gates[2].admit(&venue, ticket(1));
    gates[2].knows(1, 1, 1);
    gates[2].push(&venue).await?;
    let incident = only_incident(&venue).await?;
    assert_eq!(incident["incident_id"], id);
    let sides = incident["entries"].as_array().context("entries")?;
    assert_eq!(sides.len(), 3);
    assert_eq!(sides[2]["could_have_known"], true);

    venue.clock.advance(Duration::from_secs(60));
    gates[2].undo(&venue, third);
    gates[2].push(&venue).await?;
    assert_eq!(only_incident(&venue).await?["state"], "open", "two remain");
    let second = gates[1].entries[0].0.place;
    gates[1].undo(&venue, second);
    gates[1].push(&venue).await?;
    let incident = only_incident(&venue).await?;
    assert_eq!(incident["state"], "closed");
    assert_eq!(incident["entries"].as_array().map(Vec::len), Some(3), "kept");
    let open = venue.get("/incidents?open=true").await?.expect(200)?;
    assert_eq!(open["items"], json!([]));
    Ok(())
}

#[tokio::test]
async fn an_undo_may_arrive_before_what_it_takes_back() -> Result<()> {
    let venue = Venue::open().await?;
    let (mut a, mut b) = (venue.device("A").await?, venue.device("B").await?);
    let target = a.admit(&venue, ticket(1));
    venue.clock.advance(Duration::from_secs(60));
    b.undo(&venue, target);
    b.admit(&venue, ticket(1));
    b.push(&venue).await?;
    a.push(&venue).await?;
    let counts = venue.get("/stats").await?.expect(200)?;
    assert_eq!((&counts["admitted"], &counts["incidents"]["open"]), (&json!(1), &json!(0)), "{counts}");
    Ok(())
}

#[tokio::test]
async fn racing_uploads_of_two_gates_never_miss_the_incident() -> Result<()> {
    let venue = Venue::open().await?;
    let (mut a, mut b) = (venue.device("A").await?, venue.device("B").await?);
    for n in 0..20 {
        a.admit(&venue, ticket(n));
        b.admit(&venue, ticket(n));
    }
    for n in 1..=20 {
        let (run_a, run_b) = (a.run(n, n), b.run(n, n));
        tokio::try_join!(a.upload(&venue, &run_a), b.upload(&venue, &run_b))?;
    }
    assert_eq!(venue.get("/stats").await?.expect(200)?["incidents"]["open"], 20);
    Ok(())
}

#[tokio::test]
async fn incidents_are_paged_newest_first_and_door_staff_see_them() -> Result<()> {
    let venue = Venue::open().await?;
    let (mut a, mut b) = (venue.device("A").await?, venue.device("B").await?);
    for n in 0..5 {
        a.admit(&venue, ticket(n));
        b.admit(&venue, ticket(n));
    }
    a.push(&venue).await?;
    b.push(&venue).await?;
    let door = venue.member("door").await?;
    let mut seen = Vec::new();
    let mut next = Value::Null;
    loop {
        let cursor = next.as_str().map(|c| format!("&cursor={c}")).unwrap_or_default();
        let path = venue.path(&format!("/incidents?limit=2{cursor}"));
        let page = venue.server.get_as(&door, &path).await?.expect(200)?;
        seen.extend(page["items"].as_array().context("items")?.iter().map(|i| i["ticket_id"].to_string()));
        next = page["next_cursor"].clone();
        if next.is_null() {
            break;
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 5);
    assert_eq!(venue.get("/incidents?cursor=x").await?.status, 400);
    Ok(())
}

#[tokio::test]
async fn statistics_equal_what_the_log_proves() -> Result<()> {
    let venue = Venue::open().await?;
    let (mut a, mut b) = (venue.device("A").await?, venue.device("B").await?);
    let sold = venue.sell(6).await?;
    venue.refund(sold[5].id).await?;
    let t = |n: usize| sold[n].id;
    a.admit(&venue, t(0));
    a.admit(&venue, t(1));
    a.refuse(&venue, t(5), Outcome::Revoked);
    a.refuse(&venue, t(0), Outcome::AlreadyAdmitted);
    venue.clock.advance(Duration::from_secs(30));
    a.exit(&venue, t(1));
    let wrong = b.admit(&venue, t(2));
    b.undo(&venue, wrong);
    b.admit(&venue, t(0));
    b.refuse(&venue, t(1), Outcome::AlreadyAdmitted);
    b.write(&venue, |e| {
        e.ticket = Some(t(3));
        e.list = Some(venue.other_list);
        e.gate = Some(venue.gates[1]);
    });
    b.write(&venue, |e| {
        e.ticket = Some(t(4));
        e.rehearsal = true;
        e.flags = e.flags.with(shared::admission::Flag::Rehearsal);
    });
    // Twice over: what is cached must grow with the log.
    a.push(&venue).await?;
    venue.get("/stats").await?.expect(200)?;
    b.push(&venue).await?;
    let counts = venue.get("/stats").await?.expect(200)?;

    let mut owner = venue.server.db.owner().await?;
    let rows: Vec<(Vec<u8>, Vec<u8>)> =
        sqlx::query_as("select entry, entry_hash from scans").fetch_all(&mut owner).await?;
    let records = rows
        .iter()
        .map(|(entry, hash)| {
            let hash = Hash32::from_slice(hash).context("hash")?;
            Ok(Record::of(&LogEntry::from_bytes(entry)?, hash))
        })
        .collect::<Result<Vec<_>>>()?;
    let mut gate = a;
    gate.sync(&venue).await?;
    let policies = ListPolicies::of(&gate.header.as_ref().context("header")?.lists);
    let fold = EventFold::of(records, policies, &CutOffs::default());

    assert_eq!(counts["fold"]["hash"], json!(fold.hash()));
    assert_eq!((&counts["admitted"], &counts["on_site"]), (&json!(2), &json!(1)), "{counts}");
    assert_eq!(counts["admitted"], json!(fold.attendance().admitted));
    assert_eq!(counts["on_site"], json!(fold.attendance().on_site));
    assert_eq!(counts["refusals"], json!({ "revoked": 1, "already_admitted": 2 }));
    assert_eq!(counts["incidents"]["open"], json!(fold.incidents().len()));
    assert_eq!(counts["scans"], 9, "{counts}");
    assert_eq!(counts["tickets"]["sold"], 5);
    assert_eq!(counts["tickets"]["refunded"], 1);
    assert_eq!(counts["tickets"]["by_type"][0]["sold"], 5);
    assert_eq!(counts["expected"], 3);
    let other = counts["lists"].as_array().context("lists")?.iter().find(|l| l["attendance"] == false);
    assert_eq!(other.context("other list")?["admitted"], 1);
    let second =
        counts["gates"].as_array().context("gates")?.iter().find(|g| g["gate_id"] == json!(venue.gates[1]));
    assert_eq!(second.context("gate")?["admissions"], 1);
    assert_eq!(venue.server.get(&venue.path("/stats")).await?.status, 401);
    Ok(())
}

/// The organizer's webhooks hear of each admission once, whoever uploads it how often, and of the incident as it opens and
/// closes.
#[tokio::test]
async fn webhooks_are_told_of_admissions_and_incidents_once() -> Result<()> {
    let venue = Venue::open().await?;
    let hook = json!({ "url": "https://hooks.example.org/never-called" });
    let hook = venue.server.post_as(&venue.owner, "/organizer/webhooks", &hook).await?.expect(201)?;
    let path = format!("/organizer/webhooks/{}/deliveries", hook["endpoint_id"].as_str().context("an id")?);
    let mut gates = [venue.device("A").await?, venue.device("B").await?];
    gates[0].admit(&venue, ticket(1));
    gates[0].refuse(&venue, ticket(2), Outcome::Revoked);
    venue.clock.advance(Duration::from_secs(60));
    let second = gates[1].admit(&venue, ticket(1));
    for gate in gates.iter().chain(&gates) {
        gate.push(&venue).await?;
    }
    let told = async |of: &str| -> Result<Vec<Value>> {
        let page = venue.server.get_as(&venue.owner, &format!("{path}?type={of}")).await?.expect(200)?;
        page["items"].as_array().cloned().context("items")
    };
    assert_eq!(told("ticket.checked_in").await?.len(), 2, "each once; what was refused is none");
    assert_eq!(told("incident.opened").await?.len(), 1);
    assert_eq!(told("incident.closed").await?.len(), 0);
    gates[1].undo(&venue, second);
    gates[1].push(&venue).await?;
    gates[1].push(&venue).await?;
    assert_eq!((told("incident.opened").await?.len(), told("incident.closed").await?.len()), (1, 1));
    let closed = told("incident.closed").await?;
    let closed = format!("{path}/{}", closed[0]["delivery_id"].as_str().context("an id")?);
    let body = venue.server.get_as(&venue.owner, &closed).await?.expect(200)?["body"]["data"].clone();
    assert_eq!(
        (&body["incident_id"], &body["kind"]),
        (&only_incident(&venue).await?["incident_id"], &json!("double_admission"))
    );
    Ok(())
}
