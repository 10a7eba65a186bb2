//! One enrolment of a data folder, opened for work.

use crate::clock::Clock;
use crate::db::table::anchor;
use crate::db::table::device::{self, Device, State};
use crate::db::{Db, DbError};
use crate::gate_time::GateTime;
use crate::heal::{self, HealError, Healed};
use crate::loaded::LoadError;
use rand::rngs::StdRng;
use shared::ids::{DeviceId, EventId};
use std::path::Path;
use std::sync::Arc;

/// Clock and chance of a process.
#[derive(Debug)]
pub struct World {
    /// All time comes from here.
    pub clock: Arc<dyn Clock>,
    /// All chance comes from here.
    pub rng: StdRng,
}

/// Why an enrolment cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// SQLite's.
    #[error("database")]
    Sql(#[from] rusqlite::Error),
    /// The log could not be compared with its black box.
    #[error(transparent)]
    Heal(#[from] HealError),
    /// The stored manifest cannot be used.
    #[error("the manifest cannot be used; `gate sync` fetches it again")]
    Load(#[from] LoadError),
    /// The file system.
    #[error("data folder")]
    Io(#[from] std::io::Error),
    /// Nobody confirmed a device here.
    #[error("this folder holds no enrolment: use `gate enroll`")]
    NotEnrolled,
    /// None for that event.
    #[error("this folder holds no enrolment for event {0}")]
    NotForEvent(String),
    /// No such device here.
    #[error("this folder holds no enrolment of device {0}")]
    NoDevice(DeviceId),
    /// More than one, and none was named.
    #[error("this folder holds several events, name one with --event: {}", list(.0))]
    Several(Vec<EventId>),
    /// No manifest yet.
    #[error("there is no manifest yet: use `gate sync`")]
    NoManifest,
    /// The organizer took the device out of use.
    #[error("this device was revoked: it admits nobody any more")]
    Revoked,
    /// No such list.
    #[error("the event has no check-in list {0}")]
    NoList(String),
    /// No such gate.
    #[error("the event has no gate {0}")]
    NoGate(String),
}

impl OpenError {
    /// True if the machine is at fault (disk full, read-only, I/O), not what was asked: then it may pass.
    #[must_use]
    pub const fn is_of_the_machine(&self) -> bool {
        matches!(
            self,
            Self::Db(DbError::Sql(_) | DbError::Folder { .. } | DbError::NoWal(_))
                | Self::Sql(_)
                | Self::Heal(_)
                | Self::Io(_)
                | Self::Load(LoadError::Sql(_))
        )
    }
}

fn list(events: &[EventId]) -> String {
    events.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A confirmed enrolment with its database.
#[derive(Debug)]
pub struct Gate {
    /// The database.
    pub db: Db,
    /// The enrolment.
    pub device: Device,
    /// Clock and chance.
    pub world: World,
}

impl Gate {
    /// Opens the enrolment for an event, or the only one, without touching its log.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(dir: &Path, event: Option<&str>, world: World) -> Result<Self, OpenError> {
        let db = Db::open(dir)?;
        let device = choose(device::all(db.conn())?, event)?;
        Ok(Self { db, device, world })
    }

    /// As [`Gate::open`], and mends the log first: for everything that writes or uploads it.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_healed(dir: &Path, event: Option<&str>, world: World) -> Result<(Self, Healed), OpenError> {
        Self::open(dir, event, world)?.healed()
    }

    /// Opens one enrolment by its device, without touching its log.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_device(dir: &Path, id: DeviceId, world: World) -> Result<Self, OpenError> {
        let db = Db::open(dir)?;
        let found = device::all(db.conn())?.into_iter().find(|d| d.device == id);
        Ok(Self { device: found.ok_or(OpenError::NoDevice(id))?, db, world })
    }

    /// Mends the log: for everything that writes or uploads it.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn healed(self) -> Result<(Self, Healed), OpenError> {
        let mut gate = self;
        let healed = heal::heal(&gate.db, &gate.device, &*gate.world.clock, &mut gate.world.rng)?;
        if healed != Healed::default() {
            tracing::warn!(?healed, "the log was compared with its black box and mended");
        }
        (gate.device.state, gate.device.log_no) = device::state_and_log(gate.db.conn(), gate.device.no)?;
        Ok((gate, healed))
    }

    /// What time it is.
    ///
    /// # Errors
    /// SQLite's.
    pub fn now(&self) -> rusqlite::Result<GateTime> {
        let stored = anchor::get(self.db.conn(), self.device.no)?;
        Ok(GateTime::read(&*self.world.clock, stored.as_ref()))
    }
}

/// The enrolment that is meant: newest first, those in use before those that are over.
fn choose(mut all: Vec<Device>, event: Option<&str>) -> Result<Device, OpenError> {
    if all.is_empty() {
        return Err(OpenError::NotEnrolled);
    }
    all.sort_by_key(|d| (d.state != State::Active, std::cmp::Reverse(d.no)));
    if let Some(text) = event {
        let id: Option<EventId> = text.parse().ok();
        return all
            .into_iter()
            .find(|d| Some(d.event) == id)
            .ok_or_else(|| OpenError::NotForEvent(text.to_owned()));
    }
    let active = |d: &&Device| d.state == State::Active;
    let mut events: Vec<EventId> = all.iter().filter(active).map(|d| d.event).collect();
    events.sort_unstable();
    events.dedup();
    if events.len() > 1 {
        return Err(OpenError::Several(events));
    }
    Ok(all.swap_remove(0))
}
