//! `gate scan` as it must not be: with synchronous=NORMAL. The durability test runs it to see that it can fail.
//! Usage: careless-scan DATA_DIR LIST GATE < codes

use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use gate_core::clock::SystemClock;
use gate_core::gate::{Gate, World};
use gate_core::scan::{Scanner, Settings};
use rand::SeedableRng as _;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let [_, dir, list, gate] = args.as_slice() else { anyhow::bail!("usage: careless-scan DIR LIST GATE") };
    let mut rng = rand::rngs::StdRng::seed_from_u64(1);
    let world = World { clock: Arc::new(SystemClock::new(&mut rng)), rng };
    let (opened, _) = Gate::open_healed(Path::new(dir), None, world)?;
    opened.db.conn().execute_batch("pragma synchronous = normal")?;
    let settings = Settings { list: Some(list.clone()), gate: Some(gate.clone()), ..Settings::default() };
    let mut scanner = Scanner::new(opened, settings)?;
    for line in std::io::stdin().lock().lines() {
        let given = scanner.scan(&line?, None);
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string(&given.answer).context("an answer is plain data")?)?;
        out.flush()?;
    }
    Ok(())
}
