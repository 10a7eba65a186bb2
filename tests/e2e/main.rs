//! End to end: the real server, real gates, a line that breaks.

mod crash;
mod durable;
mod offline;
mod partition;
