//! The fold over the log: tables, and properties against a naive model.

mod partition;
mod properties;
mod tables;
mod world;
