//! A manifest of 100,000 tickets from the server to a gate's disk, and then one change of it.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::fill;
use super::report::Report;
use super::site::Site;
use crate::clock::{Clock as _, SystemClock};
use crate::tour::gate::Gate;
use crate::tour::proxy::Proxy;
use crate::tour::venue;

const TICKETS: usize = 100_000;

/// Runs the bench.
///
/// # Errors
/// If the gate ends up with anything but the server's state.
pub async fn run(report: Report) -> Result<()> {
    let site = Site::open("Manifest", 1_000_000).await?;
    let line = Proxy::open(site.address, 0).await?;
    let gate = Gate::new("door", site.folder(), line.address());
    venue::enroll(&site.organizer, &site.show, &gate).await?;
    fill::tickets(&site, TICKETS).await?;

    // The floor of any command of the gate: starting it and opening its folder.
    let idle = timed(&gate, &["status"]).await?;
    let before = line.answered_bytes();
    let full = timed(&gate, &["sync"]).await?;
    let bytes = line.answered_bytes() - before;
    ensure!(gate.status().await?["manifest"]["tickets"] == TICKETS, "the gate lacks tickets");
    report.against("100,000 tickets, process and all", "full sync", ms(full), "ms", ms(idle));
    report.plain("100,000 tickets", "wire", bytes as f64 / TICKETS as f64, "B/ticket");

    let nothing = timed_bytes(&gate, &line).await?;
    // Headers are made at most every two seconds: the change is there when the gate sees one ticket more.
    venue::buy(&site.api, &site.show, 1, &site.rng.uuid(&SystemClock).to_string()).await?;
    let deadline = SystemClock.monotonic() + Duration::from_secs(30);
    let delta = loop {
        let delta = timed_bytes(&gate, &line).await?;
        if gate.status().await?["manifest"]["tickets"] == TICKETS + 1 {
            break delta;
        }
        ensure!(SystemClock.monotonic() < deadline, "the sale never reaches the gate");
    };
    report.against("one change, process and all", "delta sync", ms(delta.0), "ms", ms(idle));
    report.against("one change", "whole sync", delta.1 as f64, "B", nothing.1 as f64);
    site.close().await
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

async fn timed(gate: &Gate, args: &[&str]) -> Result<Duration> {
    let started = SystemClock.monotonic();
    gate.json(args).await?;
    Ok(SystemClock.monotonic().saturating_sub(started))
}

async fn timed_bytes(gate: &Gate, line: &Proxy) -> Result<(Duration, u64)> {
    let before = line.answered_bytes();
    let time = timed(gate, &["sync"]).await?;
    Ok((time, line.answered_bytes() - before))
}
