//! `gate scan` is killed at random moments; nothing that it answered is lost, and nobody pays for what it did not
//! get to say.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hvflvspot::tour::venue::Plan;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use support::site::{Site, flagged, outcome};

const KILLS: usize = 200;
const SEED: u64 = 0x005c_a9ed;

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_killed_two_hundred_times_loses_no_answer_and_resumes_each_unshown_admission_once()
-> Result<()> {
    println!("seed {SEED}");
    let mut rng = StdRng::seed_from_u64(SEED);
    let plan = Plan { title: "Crash", capacity: 5_000, gates: &["Door"], reentry: false };
    let site = Site::open(plan, SEED).await?;
    let tickets = site.buy(KILLS + 1).await?;
    let (gate, _line) = site.gate("door", SEED, |gate| gate).await?;
    let flags = site.flags(0);

    // How long an answer takes here, so that kills fall before, into and after it.
    let mut warm = gate.scanning(&flags)?;
    let mut usual = Duration::ZERO;
    for code in [&tickets[KILLS].code, &tickets[KILLS].code, &tickets[KILLS].code] {
        let started = tokio::time::Instant::now();
        warm.scan(code).await?;
        usual = started.elapsed();
    }
    ensure!(warm.finish().await?.success(), "a scan with its input closed ends well");

    let (mut answered, mut resumed, mut fresh) = (0, 0, 0);
    for ticket in &tickets[..KILLS] {
        let mut scanning = gate.scanning(&flags)?;
        // The process is up and has read its state once it refuses nonsense.
        ensure!(outcome(&scanning.scan("nonsense").await?) == "malformed");
        scanning.send(&ticket.code).await?;
        let patience = usual.mul_f64(rng.random_range(0.0..1.5));
        let mut shown = tokio::time::timeout(patience, scanning.answer()).await.ok().transpose()?.flatten();
        scanning.kill().await?;
        // What stood in the pipe when it died was shown all the same.
        if shown.is_none() {
            shown = scanning.answer().await?;
        }

        let mut again = gate.scanning(&flags)?;
        let second = again.scan(&ticket.code).await?;
        match shown {
            Some(first) => {
                answered += 1;
                ensure!(outcome(&first) == "ok", "first answer: {first}");
                // Shown or not is known to the gate only up to its last commit, so it may resume once.
                ensure!(
                    outcome(&second) == "already_admitted" || flagged(&second, "resumed"),
                    "an answered admission is forgotten: {second}"
                );
            }
            None => {
                ensure!(outcome(&second) == "ok", "an unanswered code is not admitted: {second}");
                if flagged(&second, "resumed") { resumed += 1 } else { fresh += 1 }
            }
        }
        let third = again.scan(&ticket.code).await?;
        ensure!(outcome(&third) == "already_admitted", "admitted twice: {third}");
        ensure!(again.finish().await?.success());
    }
    println!("{answered} answered before the kill, {resumed} resumed, {fresh} not yet recorded");
    ensure!(answered > 0 && resumed > 0, "the kills missed the moment this test is about");

    let log = gate.json(&["log"]).await?;
    let mut last = BTreeMap::new();
    let mut admissions = BTreeMap::<String, usize>::new();
    for entry in &log {
        let log_no = entry["log_no"].as_u64().context("log_no")?;
        let seq = entry["seq"].as_u64().context("seq")?;
        let before = last.insert(log_no, seq).unwrap_or(0);
        ensure!(seq == before + 1, "log {log_no} jumps from {before} to {seq}");
        if entry["kind"] == "entry" {
            let ticket = entry["ticket_id"].as_str().context("an entry names its ticket")?;
            *admissions.entry(ticket.to_owned()).or_default() += 1;
        }
    }
    ensure!(last.len() == 1, "a kill forked the log: {last:?}");
    ensure!(admissions.len() == KILLS + 1, "{} tickets stand in the log", admissions.len());
    ensure!(admissions.values().all(|n| *n == 1), "a ticket was admitted twice");

    gate.json(&["sync"]).await?;
    let stats = site.stats().await?;
    ensure!(stats["admitted"] == KILLS + 1, "the server counts {}", stats["admitted"]);
    let status = gate.status().await?;
    ensure!(status["queue"]["unsent"] == 0, "still queued: {}", status["queue"]);
    ensure!(status["fold"]["hash"] == stats["fold"]["hash"], "server and gate disagree");
    Ok(())
}
