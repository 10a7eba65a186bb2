//! A killed process leaves the page cache behind, so the crash test cannot see a missing fsync. strace can: between
//! reading a code and answering it, the write-ahead log must reach the disk.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use hvflvspot::tour::venue::Plan;
use support::process::binary;
use support::site::Site;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// What the trace shows for each answered line: whether the log was synced between the line and its answer.
fn synced_answers(trace: &str) -> Vec<bool> {
    let (mut answers, mut synced) = (Vec::new(), false);
    for line in trace.lines() {
        let call = line.trim_start_matches(|c: char| c.is_ascii_digit() || c.is_whitespace());
        if call.starts_with("read(0<") && call.contains("HV1:") {
            synced = false;
        } else if (call.starts_with("fdatasync(") || call.starts_with("fsync(")) && call.contains("-wal>") {
            synced = true;
        } else if call.starts_with("write(1<") && call.contains("\"{") {
            answers.push(synced);
        }
    }
    answers
}

async fn traced(program: &Path, args: &[&str], codes: &[&str], trace: &Path) -> Result<Vec<bool>> {
    let mut child = tokio::process::Command::new("strace")
        .args(["-f", "-y", "-s", "64", "-e", "trace=read,write,fsync,fdatasync", "-o"])
        .arg(trace)
        .arg(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting strace")?;
    let mut stdin = child.stdin.take().context("stdin is piped")?;
    let mut lines = BufReader::new(child.stdout.take().context("stdout is piped")?).lines();
    for code in codes {
        stdin.write_all(format!("{code}\n").as_bytes()).await?;
        let answer = lines.next_line().await?.context("no answer")?;
        ensure!(answer.contains("\"ok\""), "{answer}");
    }
    drop(stdin);
    ensure!(child.wait().await?.success());
    Ok(synced_answers(&std::fs::read_to_string(trace)?))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_waits_for_the_disk_and_without_full_sync_it_would_not() -> Result<()> {
    let plan = Plan { title: "Durable", capacity: 100, gates: &["Door"], reentry: false };
    let site = Site::open(plan, 5).await?;
    let tickets = site.buy(20).await?;
    let (gate, _line) = site.gate("door", 5, |gate| gate).await?;
    let data = gate.data.to_str().context("a readable path")?;
    let codes: Vec<&str> = tickets.iter().map(|t| t.code.as_str()).collect();
    let flags = site.flags(0);
    let mut args = vec!["--data", data, "scan", "--json"];
    args.extend_from_slice(&flags);

    let full = traced(&binary("gate")?, &args, &codes[..10], &site.path("full.trace")).await?;
    ensure!(full == [true; 10], "an answer overtook the disk: {full:?}");

    // The same scan with synchronous=NORMAL, to see that this test can fail.
    let mut careless = vec![data];
    careless.extend([site.show.list.as_str(), site.show.gates[0].as_str()]);
    let normal =
        traced(&binary("careless-scan")?, &careless, &codes[10..], &site.path("normal.trace")).await?;
    ensure!(normal.len() == 10 && normal.iter().any(|synced| !synced), "NORMAL synced too: {normal:?}");
    Ok(())
}
