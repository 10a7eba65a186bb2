//! The enrolments of this machine: what they are, what people here call them, and leaving them.

use super::background::Order;
use super::contract::{AppState, CommandError, Enrolment, ErrorCode, GateChoice, ListChoice, StewardChoice};
use super::kept::not_in_kiosk;
use super::state::{Door, State};
use super::{Desk, Network, apart, of_sql, refused};
use crate::answer::rfc3339;
use crate::db::Db;
use crate::db::table::device::{self, Device, DeviceNo};
use crate::db::table::{cert, own_note};
use crate::fault::Fault;
use crate::gate::Gate;
use crate::loaded::{self, Loaded};
use crate::sync::engine::{self, Engine};
use crate::sync::upload::unsent;
use rusqlite::Connection;
use shared::ids::DeviceId;
use shared::manifest::docs::Capability;
use shared::manifest::online::open_certificate;

/// Characters of a local name at most.
const MAX_NAME: usize = 80;

/// Confirmed enrolments that nobody has left, oldest first.
pub(super) fn in_use(db: &Connection) -> rusqlite::Result<Vec<Device>> {
    let mut all = device::all(db)?;
    let mut left = Vec::new();
    for d in &all {
        if own_note::get(db, d.no)?.left_at.is_some() {
            left.push(d.no);
        }
    }
    all.retain(|d| !left.contains(&d.no));
    Ok(all)
}

impl<N: Network> Desk<N> {
    pub(super) fn enrolments(&self) -> Result<Vec<Enrolment>, Fault> {
        let db = Db::open(&self.dir).map_err(|e| Fault::of_db(&e))?;
        let devices = in_use(db.conn()).map_err(|e| Fault::of_sql(&e))?;
        devices.iter().map(|d| describe(db.conn(), d).map_err(|e| Fault::of_sql(&e))).collect()
    }

    /// Gives an enrolment a name that stays on this machine; a blank one takes it away.
    ///
    /// # Errors
    /// `locked` in kiosk mode, `cannot_record`, `internal` for a device that is not here.
    pub fn name_device(&self, device: DeviceId, name: &str) -> Result<(), CommandError> {
        not_in_kiosk(&self.state())?;
        let gate = self.gate(device)?;
        let name: String = name.trim().chars().take(MAX_NAME).collect();
        let name = (!name.is_empty()).then_some(name.as_str());
        own_note::set_name(gate.db.conn(), gate.device.no, name).map_err(|e| of_sql(&e))?;
        self.tell_app_state();
        Ok(())
    }

    /// Uploads what is unsent, forgets the guests, and lists the enrolment no more. Its log stays on the disk.
    ///
    /// # Errors
    /// `locked` or `not_supervisor`, unless the event has no supervisor or the device was revoked; `unsent_entries` with
    /// how many; `cannot_record`; `internal` for a device that is not here.
    pub fn leave(&self, device: DeviceId) -> Result<AppState, CommandError> {
        let gate = self.gate(device)?;
        self.may_leave(&mut self.state(), &gate)?;
        let (gate, _) = gate.healed().map_err(|e| refused(&Fault::of_open(&e)))?;
        let waiting = apart(|| self.upload_rest(gate))??;
        if waiting > 0 {
            let detail = format!("{waiting} entries have not reached the server");
            return Err(CommandError {
                count: Some(waiting),
                ..CommandError::new(ErrorCode::UnsentEntries, detail)
            });
        }
        let mut state = self.state();
        if state.post.is_some_and(|p| p.device_id == device) {
            // A scan that came between counts as unsent below.
            state.door = Door::Closed;
        }
        let gate = self.gate(device)?;
        let left = forget(&gate);
        let was_post = state.post.is_some_and(|p| p.device_id == device);
        match left {
            Ok(0) => {}
            Ok(waiting) => {
                self.open_door(&mut state);
                let detail = format!("{waiting} entries were made meanwhile");
                let error = CommandError::new(ErrorCode::UnsentEntries, detail);
                return Err(CommandError { count: Some(waiting), ..error });
            }
            Err(error) => {
                self.open_door(&mut state);
                return Err(of_sql(&error));
            }
        }
        if was_post {
            state.post = None;
            state.forget_scans();
            state.given.clear();
            state.condition = None;
            self.end_supervision(&mut state);
        }
        drop(state);
        if was_post {
            self.keep_post(None)?;
        }
        self.order(Order::Refresh);
        self.hurry_watch();
        Ok(self.app_state())
    }

    fn may_leave(&self, state: &mut State, gate: &Gate) -> Result<(), CommandError> {
        not_in_kiosk(state)?;
        if gate.device.state == device::State::Revoked {
            return Ok(());
        }
        let loaded = loaded::load(gate.db.conn(), &gate.device).ok().flatten();
        if loaded.is_none_or(|l| l.header.stewards.iter().all(|s| !s.supervisor)) {
            return Ok(());
        }
        let own = state.unlocked.as_ref().is_some_and(|u| u.device == gate.device.device);
        if !own {
            return Err(CommandError::new(ErrorCode::Locked, "a supervisor of that event is needed"));
        }
        self.supervised(state).map(|_| ())
    }

    /// How many entries stay unsent. Of a revoked and wiped device none count: the server takes no more.
    fn upload_rest(&self, gate: Gate) -> Result<u64, CommandError> {
        let revoked = |gate: &Gate| gate.device.state == device::State::Revoked;
        let count = |gate: &Gate| match revoked(gate) {
            true => Ok(0),
            false => unsent(gate.db.conn(), &gate.device).map_err(|e| of_sql(&e)),
        };
        let waiting = count(&gate)?;
        if waiting == 0 {
            return Ok(0);
        }
        let line = self.network.line(&gate.device.origin, Box::new(|_, _| {}));
        let line = line.map_err(|e| CommandError::internal(&e))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| CommandError::internal(&e))?;
        let engine = Engine::new(gate, line);
        let lane = runtime.block_on(engine.upload_lane());
        if let Some(error) = &lane.error {
            tracing::info!(%error, "not everything could be sent");
        }
        count(&engine.gate())
    }
}

/// Forgets the guests unless something is unsent; how much.
fn forget(gate: &Gate) -> rusqlite::Result<u64> {
    let now = gate.now()?.best;
    let mut waiting = 0;
    // In one transaction: nothing is written, nor any guest stored, between the look and the end.
    engine::wipe_if(gate, |tx| {
        if gate.device.state != device::State::Revoked {
            waiting = unsent(tx, &gate.device)?;
        }
        if waiting == 0 {
            own_note::set_left(tx, gate.device.no, now)?;
        }
        Ok(waiting == 0)
    })?;
    Ok(waiting)
}

fn describe(db: &Connection, me: &Device) -> rusqlite::Result<Enrolment> {
    let cert = cert::find(db, me.device)?;
    let loaded = match loaded::load(db, me) {
        Ok(loaded) => loaded,
        Err(loaded::LoadError::Sql(error)) => return Err(error),
        // Said as a trouble.
        Err(_) => None,
    };
    let capabilities = cert.as_ref().map_or_else(Vec::new, |c| capabilities(db, me, &c.certificate));
    Ok(Enrolment {
        device_id: me.device,
        event: me.event,
        label: cert.as_ref().map(|c| c.label.clone()).unwrap_or_default(),
        local_name: local_name(db, me.no)?,
        number: cert.map_or(0, |c| c.number),
        origin: me.origin.clone(),
        state: me.state.as_str(),
        capabilities,
        title: loaded.as_ref().map(|l| l.header.info.title.clone()),
        time_zone: loaded.as_ref().map(|l| l.header.info.time_zone.clone()),
        starts_at: loaded.as_ref().map(|l| rfc3339(l.header.info.starts_at.millis())),
        lists: loaded.as_ref().map(lists).unwrap_or_default(),
        gates: loaded.as_ref().map(gates).unwrap_or_default(),
        stewards: loaded.as_ref().map(stewards).unwrap_or_default(),
    })
}

fn local_name(db: &Connection, no: DeviceNo) -> rusqlite::Result<Option<String>> {
    Ok(own_note::get(db, no)?.local_name)
}

fn capabilities(db: &Connection, me: &Device, certificate: &[u8]) -> Vec<Capability> {
    let trust = loaded::trust(db, me).ok();
    let opened = trust.and_then(|trust| open_certificate(&trust, me.event, certificate).ok());
    // A certificate of an online key that was replaced since no longer opens; what every device may do stays.
    opened.map_or_else(|| vec![Capability::Scan], |(c, _)| c.capabilities)
}

fn lists(loaded: &Loaded) -> Vec<ListChoice> {
    let choice = |l: &shared::manifest::docs::ListConfig| ListChoice {
        id: l.id,
        name: l.name.clone(),
        attendance: l.attendance,
        multiple_entry: l.multiple_entry,
        reentry_after_exit: l.reentry_after_exit,
    };
    loaded.header.lists.iter().map(choice).collect()
}

fn gates(loaded: &Loaded) -> Vec<GateChoice> {
    loaded.header.gates.iter().map(|g| GateChoice { id: g.id, name: g.name.clone() }).collect()
}

fn stewards(loaded: &Loaded) -> Vec<StewardChoice> {
    let choice = |s: &shared::manifest::docs::Steward| StewardChoice {
        id: s.id,
        label: s.label.clone(),
        supervisor: s.supervisor,
    };
    loaded.header.stewards.iter().map(choice).collect()
}
