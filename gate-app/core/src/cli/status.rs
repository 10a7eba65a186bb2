//! `gate status`.

use super::{open, print_json};
use anyhow::Result;
use gate_core::status::{Status, status};
use std::path::Path;

pub fn run(data: &Path, event: Option<&str>, json: bool) -> Result<u8> {
    let status = status(&open(data, event)?)?;
    if json {
        print_json(&status)?;
    } else {
        print(&status);
    }
    Ok(0)
}

fn print(s: &Status) {
    println!("device    {} ({})", s.device_id, s.state);
    println!("event     {}", s.event);
    match &s.manifest {
        Some(m) => println!(
            "manifest  {} tickets, {}:{} as of {}, fresh until {}",
            m.tickets, m.epoch, m.change_seq, m.as_of, m.fresh_until
        ),
        None => println!("manifest  none: use `gate sync`"),
    }
    println!(
        "queue     {} unsent; {} of {} acknowledged",
        s.queue.unsent, s.queue.acknowledged_seq, s.queue.last_seq
    );
    println!("clock     {} ms off, known to ±{} ms", s.clock.offset_ms, s.clock.uncertainty_ms);
    let online = if s.online { "online" } else { "offline" };
    println!("sync      {online}, last {}", s.last_sync_at.as_deref().unwrap_or("never"));
    if let Some(problem) = &s.problem {
        println!("          {problem}");
    }
    println!("on site   {}", s.fold.on_site);
    println!("incidents {}", s.fold.incidents);
}
