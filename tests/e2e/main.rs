//! End to end: the real server, real gates, a line that breaks.

mod crash;
mod curl;
mod durable;
mod offline;
mod partition;
