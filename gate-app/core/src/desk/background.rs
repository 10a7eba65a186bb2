//! What goes on without being asked: a watch that ticks, and for each enrolment a lane to its server.

use super::contract::{Event, SyncPhase, SyncProgress};
use super::enrolments::in_use;
use super::{Desk, Network};
use crate::db::Db;
use crate::db::table::device::State as DeviceState;
use crate::db::table::manifest;
use crate::fault::{Fault, chain};
use crate::gate::Gate;
use crate::sync::apply::StoreError;
use crate::sync::engine::{CallError, Engine, Phase};
use crate::sync::live;
use shared::ids::DeviceId;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::LocalSet;

const TICK: Duration = Duration::from_millis(250);
/// A lane whose database failed tries again after so long.
const LANE_PAUSE: Duration = Duration::from_secs(5);
/// After so long it is looked again which enrolments there are, if that failed.
const OPEN_PAUSE: Duration = Duration::from_secs(1);
/// Nobody waits longer for lanes to let go of the database.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes between two words about a download.
const BYTES_A_WORD: u64 = 64 * 1024;

/// What the lanes are told.
pub(super) enum Order {
    /// Enrolments came or went.
    Refresh,
    /// Ask the servers now.
    Now,
    /// Let go of the database, and say when.
    Pause(SyncSender<()>),
    /// Go on.
    Resume,
    /// The end.
    Stop,
}

/// Everything in the background. Dropping it stops it and waits until it has stopped; nothing is lost by that.
#[derive(Debug)]
pub struct Running {
    stop: Option<Box<dyn StopLanes>>,
    watch: Option<(Sender<()>, JoinHandle<()>)>,
    lanes: Option<JoinHandle<()>>,
}

trait StopLanes: Send + Sync + std::fmt::Debug {
    fn stop(&self);
}

impl<N: Network> StopLanes for Arc<Desk<N>> {
    fn stop(&self) {
        self.order(Order::Stop);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.stop();
        }
        if let Some((end, thread)) = self.watch.take() {
            drop(end);
            // A panic there was reported already.
            let _ = thread.join();
        }
        if let Some(lanes) = self.lanes.take() {
            let _ = lanes.join();
        }
    }
}

impl<N: Network> Desk<N> {
    /// Starts the watch and the lanes.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(self: &Arc<Self>) -> io::Result<Running> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (orders, ordered) = unbounded_channel();
        *self.orders.lock().unwrap_or_else(PoisonError::into_inner) = Some(orders);
        let desk = Arc::clone(self);
        let lanes = std::thread::Builder::new().name("lanes".into()).spawn(move || {
            LocalSet::new().block_on(&runtime, attend(desk, ordered));
        })?;
        let desk = Arc::clone(self);
        let (end, ended) = channel::<()>();
        let watch = std::thread::Builder::new().name("watch".into()).spawn(move || {
            while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                desk.tick();
            }
        })?;
        Ok(Running { stop: Some(Box::new(Arc::clone(self))), watch: Some((end, watch)), lanes: Some(lanes) })
    }

    /// Waits until no lane holds the database.
    pub(super) fn pause_lanes(&self) {
        let (done, paused) = sync_channel(1);
        self.order(Order::Pause(done));
        // Without lanes the sender is gone at once.
        let _ = paused.recv_timeout(PATIENCE);
    }
}

struct Lane {
    nudge: Rc<Notify>,
    task: tokio::task::JoinHandle<()>,
}

async fn attend<N: Network>(desk: Arc<Desk<N>>, mut orders: UnboundedReceiver<Order>) {
    let mut lanes = BTreeMap::new();
    let mut paused = false;
    let mut all_open = open_missing(&desk, &mut lanes);
    loop {
        let order = tokio::select! {
            order = orders.recv() => order.unwrap_or(Order::Stop),
            () = tokio::time::sleep(OPEN_PAUSE), if !all_open && !paused => Order::Refresh,
        };
        match order {
            Order::Stop => break,
            Order::Now => lanes.values().for_each(|l: &Lane| l.nudge.notify_one()),
            Order::Refresh if paused => {}
            Order::Refresh => all_open = open_missing(&desk, &mut lanes),
            Order::Pause(done) => {
                paused = true;
                close_all(&mut lanes).await;
                let _ = done.send(());
            }
            Order::Resume => {
                paused = false;
                all_open = open_missing(&desk, &mut lanes);
            }
        }
    }
    close_all(&mut lanes).await;
}

async fn close_all(lanes: &mut BTreeMap<DeviceId, Lane>) {
    for (_, lane) in std::mem::take(lanes) {
        lane.task.abort();
        // The engine is dropped by then.
        let _ = lane.task.await;
    }
}

/// False if nobody can say which enrolments there are.
fn open_missing<N: Network>(desk: &Arc<Desk<N>>, lanes: &mut BTreeMap<DeviceId, Lane>) -> bool {
    lanes.retain(|_, lane| !lane.task.is_finished());
    let db = Db::open(&desk.dir).map_err(|e| Fault::of_db(&e));
    let devices = db.and_then(|db| in_use(db.conn()).map_err(|e| Fault::of_sql(&e)));
    let devices = match devices {
        Ok(devices) => devices,
        Err(fault) => {
            desk.note_fault(&mut desk.state(), &fault);
            return false;
        }
    };
    for device in devices.into_iter().filter(|d| d.state != DeviceState::Revoked) {
        lanes.entry(device.device).or_insert_with(|| {
            let nudge = Rc::new(Notify::new());
            let task = stay_in_touch(Arc::clone(desk), device.device, Rc::clone(&nudge));
            Lane { nudge, task: tokio::task::spawn_local(task) }
        });
    }
    true
}

async fn stay_in_touch<N: Network>(desk: Arc<Desk<N>>, device: DeviceId, nudge: Rc<Notify>) {
    while let Err(fault) = exchange(&desk, device, &nudge).await {
        tracing::warn!(%fault, %device, "a lane to the server broke off");
        desk.note_fault(&mut desk.state(), &fault);
        tokio::select! {
            () = tokio::time::sleep(LANE_PAUSE) => {}
            () = nudge.notified() => {}
        }
    }
}

/// Until the device is revoked and wiped.
async fn exchange<N: Network>(desk: &Desk<N>, device: DeviceId, nudge: &Notify) -> Result<(), Fault> {
    let gate = Gate::open_device(&desk.dir, device, desk.world()).and_then(Gate::healed);
    let (gate, _) = gate.map_err(|e| Fault::of_open(&e))?;
    let first =
        manifest::generation(gate.db.conn(), gate.device.no).map_err(|e| Fault::of_sql(&e))?.is_none();
    let words = Arc::new(Words::new(desk.events.clone(), first));
    let bytes = Arc::clone(&words);
    let received = Box::new(move |done, of| bytes.say(SyncPhase::Downloading, done, of));
    let line = desk.network.line(&gate.device.origin, received).map_err(|e| Fault::Other(chain(&e)))?;
    let engine = Engine::new(gate, line).watched(move |phase| words.say_phase(phase));
    loop {
        tokio::select! {
            ended = live::stay(&engine) => return ended.map_err(|e| fault_of(&e)),
            () = nudge.notified() => {
                engine.round().await.map_err(|e| fault_of(&e))?;
                desk.hurry_watch();
            }
        }
    }
}

fn fault_of(error: &CallError) -> Fault {
    match error {
        CallError::Sql(sql) | CallError::Store(StoreError::Sql(sql)) => Fault::of_sql(sql),
        CallError::Load(load) => Fault::of_load(load),
        _ => Fault::Other(chain(error)),
    }
}

/// Says how far a lane is, each thing once.
struct Words {
    events: Sender<Event>,
    first: AtomicBool,
    last: Mutex<SyncProgress>,
}

impl Words {
    const fn new(events: Sender<Event>, first: bool) -> Self {
        let last = SyncProgress { phase: SyncPhase::Idle, done: 0, of: 0, first };
        Self { events, first: AtomicBool::new(first), last: Mutex::new(last) }
    }

    fn say_phase(&self, phase: Phase) {
        match phase {
            Phase::Idle => {
                let was = self.last.lock().unwrap_or_else(PoisonError::into_inner).phase;
                if was == SyncPhase::Storing {
                    self.first.store(false, Ordering::Relaxed);
                }
                self.say(SyncPhase::Idle, 0, 0);
            }
            Phase::Connecting => self.say(SyncPhase::Connecting, 0, 0),
            Phase::Uploading { done, of } => self.say(SyncPhase::Uploading, done, of),
            Phase::Downloading => self.say(SyncPhase::Downloading, 0, 0),
            Phase::Checking => self.say(SyncPhase::Checking, 0, 0),
            Phase::Storing => self.say(SyncPhase::Storing, 0, 0),
        }
    }

    fn say(&self, phase: SyncPhase, done: u64, of: u64) {
        let progress = SyncProgress { phase, done, of, first: self.first.load(Ordering::Relaxed) };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let little = phase == SyncPhase::Downloading
            && last.phase == phase
            && done != of
            && done.saturating_sub(last.done) < BYTES_A_WORD;
        if *last == progress || little {
            return;
        }
        *last = progress;
        // A window that is gone hears nothing.
        let _ = self.events.send(Event::Sync(progress));
    }
}
