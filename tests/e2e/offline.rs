//! What a steward sees with the server stopped.

use anyhow::{Context, Result, ensure};
use hvflvspot::tour::venue::Plan;
use support::site::{Site, flagged, outcome};

#[tokio::test(flavor = "multi_thread")]
async fn with_the_server_stopped_every_kind_of_ticket_gets_its_own_answer() -> Result<()> {
    let plan = Plan { title: "Offline", capacity: 100, gates: &["North", "South"], reentry: true };
    let site = Site::open(plan, 7).await?;
    let valid = site.book(1).await?.tickets.remove(0);
    let refunded = site.book(1).await?;
    site.refund(&refunded.booking).await?;
    let (gate, _line) = site.gate("north", 7, |gate| gate).await?;
    let late = site.book(1).await?.tickets.remove(0);
    let north = site.show.gates[0].clone();
    let flags: Vec<String> = site.flags(0).into_iter().map(str::to_owned).collect();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let out: Vec<&str> = flags.iter().copied().chain(["--exit"]).collect();
    site.server.stop().await?;

    let ok = gate.scan(&flags, &valid.code).await?;
    ensure!(outcome(&ok) == "ok" && ok["ticket_id"] == valid.id.as_str(), "{ok}");
    let again = gate.scan(&flags, &valid.code).await?;
    ensure!(outcome(&again) == "already_admitted", "{again}");
    ensure!(again["first_admission"]["at"] == ok["scanned_at"], "{again}");
    ensure!(again["first_admission"]["gate"] == north.as_str(), "{again}");

    // Every single changed character of the text, one by one.
    let mut scanning = gate.scanning(&flags)?;
    for at in 0..valid.code.len() {
        let mut chars: Vec<char> = valid.code.chars().collect();
        chars[at] = if chars[at] == 'A' { 'B' } else { 'A' };
        let changed: String = chars.into_iter().collect();
        let answer = scanning.scan(&changed).await?;
        ensure!(
            matches!(outcome(&answer), "malformed" | "bad_signature" | "unknown_key"),
            "character {at} changed: {answer}"
        );
    }
    ensure!(scanning.finish().await?.success());

    let revoked = gate.scan(&flags, &refunded.tickets[0].code).await?;
    ensure!(outcome(&revoked) == "revoked", "{revoked}");
    let sold_later = gate.scan(&flags, &late.code).await?;
    ensure!(outcome(&sold_later) == "ok" && flagged(&sold_later, "late_sale"), "{sold_later}");

    let left = gate.scan(&out, &valid.code).await?;
    ensure!(outcome(&left) == "ok" && left["kind"] == "exit", "{left}");
    let back = gate.scan(&flags, &valid.code).await?;
    ensure!(outcome(&back) == "ok" && back["kind"] == "entry", "{back}");

    let log = gate.json(&["log"]).await?;
    let refused = log.iter().filter(|e| e["kind"] == "refuse").count();
    ensure!(refused == 2 + valid.code.len(), "refusals are logged too: {refused}");
    let whole = serde_json::to_string(&log).context("the log is JSON")?;
    ensure!(!whole.contains(&valid.code), "the log keeps a code's text");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_reentry_an_exit_does_not_open_the_door_again() -> Result<()> {
    let plan = Plan { title: "No way back", capacity: 10, gates: &["Door"], reentry: false };
    let site = Site::open(plan, 8).await?;
    let ticket = site.book(1).await?.tickets.remove(0);
    let (gate, mut line) = site.gate("door", 8, |gate| gate).await?;
    line.close().await;
    let flags = site.flags(0);
    let out: Vec<&str> = flags.iter().copied().chain(["--exit"]).collect();
    ensure!(outcome(&gate.scan(&flags, &ticket.code).await?) == "ok");
    ensure!(outcome(&gate.scan(&out, &ticket.code).await?) == "ok");
    let back = gate.scan(&flags, &ticket.code).await?;
    ensure!(outcome(&back) == "already_admitted", "{back}");

    // A supervisor may decide otherwise, on record.
    let supervisor = gate.clone().env("HVFLVSPOT_PIN", hvflvspot::tour::venue::PIN);
    let mut with_override = flags.clone();
    with_override.extend(["--staff", &site.show.supervisor, "--override", "left the child's coat"]);
    let admitted = supervisor.scan(&with_override, &ticket.code).await?;
    ensure!(outcome(&admitted) == "ok" && admitted["kind"] == "override", "{admitted}");
    ensure!(flagged(&admitted, "already_admitted"), "{admitted}");

    // Undone, and it is as if it had not been; both stay on record.
    let place = format!("{}:{}", admitted["log_no"], admitted["seq"]);
    supervisor.json(&["undo", &place, "--staff", &site.show.supervisor, "--reason", "wrong person"]).await?;
    let kinds: Vec<_> = gate.json(&["log"]).await?.iter().map(|e| e["kind"].clone()).collect();
    ensure!(kinds.ends_with(&["override".into(), "undo".into()]), "{kinds:?}");
    ensure!(gate.status().await?["fold"]["on_site"] == 0);
    Ok(())
}
