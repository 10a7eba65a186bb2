//! Staying in touch: a lane that uploads soon after something was written, one that waits at the server for news, and
//! one that fetches guest records once the manifest is newer than they are. Each goes on alone when the others fail, and
//! slows down while the server is out of reach.

use super::engine::{CallError, Engine, Lane};
use super::plan;
use super::transport::Transport;
use super::upload;
use crate::db::table::device::State;
use crate::db::table::upload as uploads_table;
use std::cell::Cell;
use std::time::Duration;

/// How often the log is looked at for new entries.
const LOOK: Duration = Duration::from_millis(500);
/// How long the server may hold back its answer.
const PATIENCE_SECS: u32 = 50;
/// Clocks are compared anew after so long.
const COMPARISON: Duration = Duration::from_secs(300);
/// A server that answers at once and has no news must not be asked in a tight circle.
const NO_NEWS_PAUSE: Duration = Duration::from_secs(1);
/// After a failure first this, then twice as long each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// As that, for guest records: nobody waits for them.
const LONGEST_GUEST_PAUSE: Duration = Duration::from_secs(60);

/// Runs until the device is revoked and wiped; drop it to stop. Each exchange takes effect in one transaction once
/// its answer is there, so that stopping anywhere loses nothing.
///
/// # Errors
/// Only if the database fails.
pub async fn stay<T: Transport>(engine: &Engine<T>) -> Result<(), CallError> {
    let works = Works::default();
    tokio::select! {
        ended = uploading(engine, &works) => ended,
        ended = downloading(engine, &works) => ended,
        ended = fetching_guests(engine) => ended,
    }
}

/// Whether the lanes' last exchanges worked.
#[derive(Default)]
struct Works {
    up: Cell<bool>,
    down: Cell<bool>,
}

impl Works {
    fn both(&self) -> bool {
        self.up.get() && self.down.get()
    }
}

async fn uploading<T: Transport>(engine: &Engine<T>, works: &Works) -> Result<(), CallError> {
    let mut pause = FIRST_PAUSE;
    loop {
        if has_offer(engine)? {
            let lane = engine.upload_lane().await;
            settle(engine, &works.up, &lane, works)?;
            if engine.leave(&lane)? == State::Revoked {
                return Ok(());
            }
            if lane.error.is_some() {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            } else {
                pause = FIRST_PAUSE;
            }
        } else {
            works.up.set(true);
            if engine.leave(&Lane::default())? == State::Revoked {
                return Ok(());
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn downloading<T: Transport>(engine: &Engine<T>, works: &Works) -> Result<(), CallError> {
    let mut pause = FIRST_PAUSE;
    let mut compared_ns = None;
    let mut in_touch = false;
    loop {
        let now_ns = engine.gate().world.clock.boottime_ns();
        let due = |at: u64| Duration::from_nanos(now_ns.saturating_sub(at)) >= COMPARISON;
        if compared_ns.is_none_or(due) {
            match engine.compare_clocks().await {
                Ok(()) => compared_ns = Some(now_ns),
                Err(error) => tracing::debug!(%error, "the clocks were not compared"),
            }
        }
        // The first answer after a break is wanted at once: people look at whether there is a connection.
        let patience_secs = if in_touch { PATIENCE_SECS } else { 0 };
        let (lane, newer) = engine.download_lane(patience_secs).await;
        in_touch = lane.error.is_none();
        settle(engine, &works.down, &lane, works)?;
        let state = engine.gate().device.state;
        if lane.error.is_some() || state != State::Active {
            if let Some(error) = &lane.error {
                tracing::info!(%error, "no news from the server");
            }
            // After a break the clocks are compared first.
            compared_ns = None;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        } else {
            pause = FIRST_PAUSE;
            if lane.entries == 0 && !newer {
                tokio::time::sleep(NO_NEWS_PAUSE).await;
            }
        }
    }
}

async fn fetching_guests<T: Transport>(engine: &Engine<T>) -> Result<(), CallError> {
    let mut pause = FIRST_PAUSE;
    loop {
        if engine.guests_due()? {
            let lane = engine.guests_lane().await;
            if lane.error.is_some() {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_GUEST_PAUSE);
            } else {
                pause = FIRST_PAUSE;
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn settle<T: Transport>(
    engine: &Engine<T>,
    works: &Cell<bool>,
    lane: &Lane,
    all: &Works,
) -> Result<(), CallError> {
    works.set(lane.error.is_none());
    engine.note_lane(lane, all.both())
}

fn has_offer<T: Transport>(engine: &Engine<T>) -> Result<bool, CallError> {
    let gate = engine.gate();
    let (db, me) = (gate.db.conn(), &gate.device);
    let refused = uploads_table::refused(db, me.no)?;
    let now = gate.now()?.best;
    Ok(plan::next_offer(&upload::logs(db, me)?, &refused, &engine.uploads(), now).is_some())
}
