//! The device's log: authenticity of runs, sense of entries, frozen bytes.

mod entries;
mod faults;
mod fuzz;
mod runs;
mod vector;
