//! `gate sync` and `gate run`.

use super::print_json;
use crate::world;
use anyhow::{Context, Result, bail};
use gate_core::db::Db;
use gate_core::db::table::device::{self, State};
use gate_core::gate::Gate;
use gate_core::sync::engine::{Engine, Report};
use gate_core::sync::http::{CONNECT_ENV, Http};
use gate_core::sync::live;
use serde::Serialize;
use shared::ids::{DeviceId, EventId};
use std::path::Path;

#[derive(Serialize)]
struct Line {
    event: EventId,
    device_id: DeviceId,
    complete: bool,
    uploaded: u64,
    downloaded: u64,
    refused: u64,
    new_manifest: bool,
    problem: Option<String>,
}

/// A runtime for one thread: the database is used between waits, never across them.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")
}

pub fn once(data: &Path, event: Option<&str>, json: bool) -> Result<u8> {
    let mut complete = true;
    for engine in engines(data, event)? {
        let report = runtime()?.block_on(engine.round())?;
        complete &= report.is_complete();
        print(&engine, &report, json)?;
    }
    Ok(if complete { 0 } else { 1 })
}

pub fn stay(data: &Path, event: Option<&str>, json: bool) -> Result<u8> {
    let engines = engines(data, event)?;
    runtime()?.block_on(async {
        let local = tokio::task::LocalSet::new();
        let mut staying = tokio::task::JoinSet::new();
        for engine in engines {
            let device = engine.gate().device.device;
            if json {
                print_json(&serde_json::json!({ "running": device }))?;
            } else {
                println!("keeping in touch as device {device}; stop with Ctrl-C");
            }
            staying.spawn_local_on(async move { live::stay(&engine).await }, &local);
        }
        let stopped = stop()?;
        local
            .run_until(async {
                tokio::pin!(stopped);
                loop {
                    tokio::select! {
                        () = &mut stopped => return Ok(0),
                        ended = staying.join_next() => match ended {
                            None => bail!("every device here was revoked"),
                            Some(ended) => ended.context("a lane broke off")??,
                        },
                    }
                }
            })
            .await
    })
}

/// SIGTERM or SIGINT. Nothing needs to be finished: whatever is under way is repeated next time.
fn stop() -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// One engine per enrolment: the named one, or all that have anything to do.
fn engines(data: &Path, event: Option<&str>) -> Result<Vec<Engine<Http>>> {
    let connect = std::env::var(CONNECT_ENV).ok();
    let mut events: Vec<String> = match event {
        Some(event) => vec![event.to_owned()],
        None => device::all(Db::open(data)?.conn())?
            .iter()
            .filter(|d| d.state != State::Revoked)
            .map(|d| d.event.to_string())
            .collect(),
    };
    events.sort();
    events.dedup();
    if events.is_empty() {
        // Says why: nothing enrolled, or revoked.
        let gate = super::open(data, None)?;
        bail!("device {} is {}", gate.device.device, gate.device.state.as_str());
    }
    events
        .iter()
        .map(|event| {
            let (gate, _) = Gate::open_healed(data, Some(event), world()?)?;
            let http = Http::new(&gate.device.origin, connect.as_deref())?;
            Ok(Engine::new(gate, http))
        })
        .collect()
}

fn print(engine: &Engine<Http>, report: &Report, json: bool) -> Result<()> {
    let gate = engine.gate();
    let line = Line {
        event: gate.device.event,
        device_id: gate.device.device,
        complete: report.is_complete(),
        uploaded: report.upload.entries,
        downloaded: report.download.entries,
        refused: report.upload.refused + report.download.refused,
        new_manifest: report.new_manifest,
        problem: report.problem(),
    };
    if json {
        return print_json(&line);
    }
    println!(
        "{} scans uploaded, {} scans of other gates downloaded{}",
        line.uploaded,
        line.downloaded,
        if line.new_manifest { ", new manifest" } else { "" }
    );
    if let Some(problem) = &line.problem {
        eprintln!("{problem}");
    }
    if gate.device.state != State::Active {
        eprintln!("this device was revoked by the organizer");
    }
    Ok(())
}
