//! The real release app with an event of 100,000 tickets: how long an answer takes from the reader's last key to the
//! painted screen, what memory all its processes take, and whether 200 scans a minute by keyboard are, each one of them,
//! in the device's log and the server's. Figures as `hvflvspot bench` prints them. Run by `scripts/third/window --bench`,
//! which hands on: `--minutes=N` of the last part, `--scans=N` of the part before, `--tickets=N`, `--json`, `--first=SCRIPT` to
//! try what a change of the page is worth, and `--part=latency|memory|pace|undo` for one part alone.

mod stage;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use hvflvspot::bench::report::Report;
use hvflvspot::clock::{Clock as _, SystemClock};
use stage::Stage;

const TICKETS: usize = 100_000;
const TIMED: usize = 300;
const MANY: usize = 5_000;
/// Memory is looked at so often on the way.
const PARTS: usize = 4;
/// Scans of the last part: 200 a minute.
const PACE: Duration = Duration::from_millis(300);
/// Every eleventh scan repeats an earlier one: 10 % of as many codes.
const REPEAT_EVERY: usize = 11;
/// The reader's own speed; readers on USB send a key in one to four milliseconds.
const KEY_GAP: Duration = Duration::from_millis(1);

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let report = Report { bench: "window", json: args.iter().any(|a| a == "--json") };
    let told = |name: &str| args.iter().find_map(|a| a.strip_prefix(name));
    let minutes = told("--minutes=").map_or(Ok(5), str::parse)?;
    let tickets = told("--tickets=").map_or(Ok(TICKETS), str::parse)?;
    let scans = told("--scans=").map_or(Ok(MANY), str::parse)?;
    let part = told("--part=");
    let distinct = TIMED + scans + 200 * minutes + 10;
    let mut stage = Stage::open(tickets, distinct).await?;
    if let Some(script) = told("--first=") {
        stage.window.execute(script, vec![]).await?;
    }
    let rest = stage.settled().await?;
    report.plain(&format!("all processes, {tickets} tickets"), "at rest", mib(rest), "MiB");
    if part.is_none_or(|part| part == "latency") {
        timed(&mut stage, report).await?;
    }
    if part.is_none_or(|part| part == "memory") {
        many(&mut stage, report, rest, scans).await?;
    }
    if part.is_none_or(|part| part == "pace") {
        paced(&mut stage, report, minutes).await?;
    }
    if part.is_none_or(|part| part == "undo") {
        undone(&mut stage).await?;
    }
    compared(&mut stage, report).await?;
    stage.close().await
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn quantile(times: &mut [f64], q: f64) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    let rank = (q * times.len() as f64).ceil() as usize;
    times.get(rank.clamp(1, times.len().max(1)) - 1).copied().unwrap_or(f64::NAN)
}

/// One scan after the other, each when the one before has been answered. The floor is a key that does nothing, up to the
/// second frame after it.
async fn timed(stage: &mut Stage, report: Report) -> Result<()> {
    let mut frames = stage.idle_keys(100).await?;
    let (mut made, mut painted) = (Vec::with_capacity(TIMED), Vec::with_capacity(TIMED));
    // The page is not asked while it works: only the pace is kept, and the answers are fetched at the end.
    let mut pace = tokio::time::interval(Duration::from_millis(700));
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut sent = Vec::with_capacity(TIMED);
    for _ in 0..TIMED {
        pace.tick().await;
        sent.push(stage.read_next(KEY_GAP).await?);
    }
    for sent in sent {
        let seen = stage.window.answer().await?;
        ensure!(seen.tone == "ok", "{seen:?}");
        made.push(seen.made_at - sent);
        painted.push(seen.painted_at - sent);
    }
    for (metric, q) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)] {
        report.plain("last key → answer in the page", metric, quantile(&mut made, q), "ms");
        let floor = quantile(&mut frames, q);
        report.against("last key → answer painted", metric, quantile(&mut painted, q), "ms", floor);
    }
    Ok(())
}

/// Thousands of scans, as fast as the window takes them.
async fn many(stage: &mut Stage, report: Report, rest: u64, scans: usize) -> Result<()> {
    let mut before = rest;
    let begun = SystemClock.monotonic();
    for part in 1..=PARTS {
        stage.dispatch(scans / PARTS).await?;
        stage.all_sent().await?;
        let now = stage.settled().await?;
        let case = format!("all processes, {} scans later", part * scans / PARTS);
        report.against(&case, "memory", mib(now), "MiB", mib(before));
        before = now;
    }
    let secs = SystemClock.monotonic().saturating_sub(begun).as_secs_f64();
    report.plain("keys made in the page", "scans", scans as f64 / secs, "1/s");
    Ok(())
}

/// 200 a minute by the X server's keys.
async fn paced(stage: &mut Stage, report: Report, minutes: usize) -> Result<()> {
    let scans = 200 * minutes;
    let begun = SystemClock.monotonic();
    let mut pace = tokio::time::interval(PACE);
    // Late keys are made up for: the rate is that of the whole time.
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let (mut repeats, mut sent) = (0, Vec::with_capacity(scans));
    for n in 1..=scans {
        pace.tick().await;
        if n % REPEAT_EVERY == 0 {
            repeats += 1;
            sent.push(stage.read_again(KEY_GAP).await?);
        } else {
            sent.push(stage.read_next(KEY_GAP).await?);
        }
    }
    let secs = SystemClock.monotonic().saturating_sub(begun).as_secs_f64();
    let mut tones = BTreeMap::new();
    let mut painted = Vec::with_capacity(scans);
    for sent in sent {
        let seen = stage.window.answer().await?;
        painted.push(seen.painted_at - sent);
        *tones.entry(seen.tone).or_insert(0) += 1;
    }
    let expected = BTreeMap::from([("ok".to_owned(), scans - repeats), ("used".to_owned(), repeats)]);
    ensure!(tones == expected, "shown: {tones:?}, expected: {expected:?}");
    let case = format!("by keyboard, {minutes} minutes");
    report.plain(&case, "scans", scans as f64 / secs * 60.0, "1/min");
    report.plain(&case, "repeats", repeats as f64, "scans");
    report.plain(&case, "painted p95", quantile(&mut painted, 0.95), "ms");
    report.plain(&case, "memory", mib(stage.settled().await?), "MiB");
    Ok(())
}

/// Scan, undo, scan → ok.
async fn undone(stage: &mut Stage) -> Result<()> {
    let first = stage.scan_next().await?;
    stage.undo(&first).await?;
    let again = stage.scan_undone().await?;
    ensure!(first.tone == "ok" && again.tone == "ok", "{first:?} {again:?}");
    Ok(())
}

/// What the generator made, what the device logged, what the server has: the same lines.
async fn compared(stage: &mut Stage, report: Report) -> Result<()> {
    stage.all_sent().await?;
    let (made, device, server) = (stage.made(), stage.device_log().await?, stage.server_log().await?);
    for (name, log) in [("device", &device), ("server", &server)] {
        ensure!(log.len() == made.len(), "{} made, {} in the {name}'s log", made.len(), log.len());
        let other = made.iter().zip(log.iter()).position(|(a, b)| !a.same(b));
        if let Some(at) = other {
            anyhow::bail!("line {at}: {:?} made, {:?} in the {name}'s log", made[at], log[at]);
        }
    }
    let repeats = made.iter().filter(|g| g.outcome == "already_admitted").count();
    report.plain("generator = device log = server log", "entries", made.len() as f64, "entries");
    report.plain("generator = device log = server log", "refused", repeats as f64, "entries");
    Ok(())
}
