//! Everything of the gate but its windows: the SQLite file, the log and its black box, deciding and recording a
//! scan, and synchronising with the server. The headless binary `gate` and the app are thin layers above this.

pub mod answer;
pub mod bench;
pub mod blackbox;
pub mod clock;
pub mod db;
pub mod desk;
pub mod enroll;
pub mod fault;
pub mod folded;
pub mod gate;
pub mod gate_time;
pub mod heal;
pub mod loaded;
pub mod own_log;
pub mod process;
pub mod scan;
pub mod session;
pub mod status;
pub mod steward;
pub mod sync;
pub mod undo;
