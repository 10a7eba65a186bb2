//! What server and gate must agree on: bytes and decisions.
//!
//! Pure by rule: no I/O, no database, no async, no clock and no chance of its own. Time, ids and randomness
//! come in as arguments. Anything here that leaves a process has a frozen vector under `tests/vectors`.

pub mod admission;
pub mod bytes;
pub mod cbor;
pub mod cells;
pub mod guest;
pub mod ids;
pub mod log;
pub mod manifest;
pub mod money;
pub mod ticket;
pub mod time;
pub mod wire;
