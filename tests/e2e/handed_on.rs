//! A new code of a ticket, at a gate that was offline when it was made and at one that learns of it.

use anyhow::{Result, ensure};
use hvflvspot::tour::venue::Plan;
use serde_json::json;
use support::site::{Site, flagged, outcome};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_code_opens_an_offline_gate_and_ends_the_old_one_there() -> Result<()> {
    let plan = Plan { title: "Handed on", capacity: 100, gates: &["North"], reentry: true };
    let site = Site::open(plan, 13).await?;
    let ticket = site.book(1).await?.tickets.remove(0);
    let other = site.book(1).await?.tickets.remove(0);
    // One is reissued before the gate hears of the event, one after.
    let before = site.organizer.post(&format!("/tickets/{}/reissue", other.id), json!({})).await?;
    let (gate, _line) = site.gate("north", 13, |gate| gate).await?;
    let to = json!({ "email": "friend@example.org" });
    site.organizer.post(&format!("/tickets/{}/transfer", ticket.id), to).await?;
    let after = site.organizer.get(&format!("/tickets/{}", ticket.id)).await?;
    let flags: Vec<String> = site.flags(0).into_iter().map(str::to_owned).collect();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    site.server.stop().await?;

    let old = gate.scan(&flags, &other.code).await?;
    ensure!(outcome(&old) == "superseded", "the manifest knows: {old}");
    let new = gate.scan(&flags, before["code"].as_str().unwrap_or_default()).await?;
    ensure!(outcome(&new) == "ok", "{new}");

    let late = gate.scan(&flags, after["code"].as_str().unwrap_or_default()).await?;
    ensure!(outcome(&late) == "ok" && flagged(&late, "late_reissue"), "{late}");
    let old = gate.scan(&flags, &ticket.code).await?;
    ensure!(outcome(&old) == "superseded", "the new code taught the gate: {old}");
    Ok(())
}
