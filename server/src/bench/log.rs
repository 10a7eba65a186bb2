//! Ten thousand queued scans from a gate that was offline, to the server's disk, folded; beside a bare insert of as
//! many rows on the same database.

use std::time::Duration;

use anyhow::{Result, ensure};
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::report::Report;
use super::site::Site;
use crate::clock::{Clock as _, SystemClock};
use crate::tour::gate::Gate;
use crate::tour::proxy::Proxy;
use crate::tour::venue;

const SCANS: usize = 10_000;
/// Entries of one upload, and rows of one statement of the floor.
const BATCH: usize = 500;

/// Runs the bench.
///
/// # Errors
/// If a scan is lost or counted twice.
pub async fn run(report: Report) -> Result<()> {
    let site = Site::open("Log", 1_000_000).await?;
    // The line stays open as long as it lives.
    let (gate, _line) = queued(&site, SCANS).await?;

    let bare = bare(&site).await?;
    let started = SystemClock.monotonic();
    gate.json(&["sync"]).await?;
    let took = SystemClock.monotonic().saturating_sub(started);
    let stats = site.organizer.get(&format!("/organizer/events/{}/stats", site.show.event)).await?;
    ensure!(stats["scans"] == SCANS && stats["admitted"] == SCANS, "not exactly once: {stats}");
    ensure!(gate.status().await?["fold"]["hash"] == stats["fold"]["hash"], "server and gate disagree");
    report.against("10,000 scans, process and all", "upload", ms(took), "ms", ms(bare));
    site.close().await
}

/// A gate that admitted `count` people while offline and has its line back, everything still queued.
///
/// # Errors
/// If the server refuses, or the gate refuses somebody.
pub(super) async fn queued(site: &Site, count: usize) -> Result<(Gate, Proxy)> {
    let mut line = Proxy::open(site.address, 0).await?;
    let gate = Gate::new("door", site.folder(), line.address());
    venue::enroll(&site.organizer, &site.show, &gate).await?;
    let mut codes = Vec::with_capacity(count);
    while codes.len() < count {
        let key = site.rng.uuid(&SystemClock).to_string();
        codes.extend(venue::buy(&site.api, &site.show, 10, &key).await?.tickets.into_iter().map(|t| t.code));
    }
    gate.json(&["sync"]).await?;
    line.close().await;
    let mut scanning = gate.scanning(&["--list", &site.show.list, "--gate", &site.show.gates[0]])?;
    for code in &codes {
        let answer = scanning.scan(code).await?;
        ensure!(answer["outcome"] == "ok", "{answer}");
    }
    ensure!(scanning.finish().await?.success(), "the gate did not end well");
    line.reopen().await?;
    Ok((gate, line))
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// As many rows of the same size, as many a statement, one commit each.
async fn bare(site: &Site) -> Result<Duration> {
    let mut conn = PgConnection::connect_with(&site.endpoint().admin()).await?;
    conn.execute("create schema bench; create table bench.scan (device uuid, seq bigint, bytes bytea, primary key (device, seq))")
        .await?;
    let entry = vec![7_u8; 400];
    let started = SystemClock.monotonic();
    for batch in 0..SCANS / BATCH {
        let from = i64::try_from(batch * BATCH)?;
        sqlx::query(
            "insert into bench.scan
             select '00000000-0000-0000-0000-000000000000', $1 + n, $2 from generate_series(1, $3) as n",
        )
        .bind(from)
        .bind(&entry)
        .bind(i64::try_from(BATCH)?)
        .execute(&mut conn)
        .await?;
    }
    Ok(SystemClock.monotonic().saturating_sub(started))
}
