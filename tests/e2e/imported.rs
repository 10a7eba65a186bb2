//! Tickets that others sold, at a gate that has no line to the server.

use anyhow::{Result, ensure};
use hvflvspot::tour::venue::Plan;
use serde_json::json;
use support::site::{Site, outcome};

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_without_a_line_admits_each_imported_barcode_once() -> Result<()> {
    let plan = Plan { title: "Imported", capacity: 100, gates: &["North"], reentry: false };
    let site = Site::open(plan, 11).await?;
    let path = format!("/organizer/events/{}/imports", site.show.event);
    let csv = "barcode,ticket_type,name\n4006381333931,1,Zoë\nEXT/2026-0002,1,\nEXT-3,1,\n";

    let done = site.organizer.post_once(&path, "import-1", json!({ "csv": csv })).await?;
    ensure!(done["new"] == 3, "{done}");
    // Taken back while nobody came in with it.
    let more = json!({ "csv": "barcode,ticket_type\nLATE-1,1\n" });
    let more = site.organizer.post_once(&path, "import-2", more).await?;
    let undo = format!("{path}/{}/undo", more["import"]["import_id"].as_str().unwrap_or_default());
    site.organizer.post_once(&undo, "undo-2", json!({})).await?;
    let (gate, _line) = site.gate("north", 11, |gate| gate).await?;
    let status = gate.json(&["status"]).await?;
    ensure!(status[0]["manifest"]["tickets"] == 4, "{status:?}");
    let flags: Vec<String> = site.flags(0).into_iter().map(str::to_owned).collect();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    site.server.stop().await?;

    for barcode in ["4006381333931", "EXT/2026-0002"] {
        let first = gate.scan(&flags, barcode).await?;
        ensure!(outcome(&first) == "ok" && first["kind"] == "entry", "{barcode}: {first}");
        ensure!(first["ticket_type"].is_string() && first["ticket_id"].is_string(), "{first}");
        let again = gate.scan(&flags, barcode).await?;
        ensure!(outcome(&again) == "already_admitted", "{barcode}: {again}");
        ensure!(again["first_admission"]["at"] == first["scanned_at"], "{again}");
    }
    for (barcode, expected) in
        [("LATE-1", "revoked"), ("EXT-4", "unknown_ticket"), ("ext-3", "unknown_ticket")]
    {
        let answer = gate.scan(&flags, barcode).await?;
        ensure!(outcome(&answer) == expected, "{barcode}: {answer}");
    }
    Ok(())
}
