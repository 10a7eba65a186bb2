//! End to end: the real server, real gates, a line that breaks.

mod backup;
mod crash;
mod curl;
mod desk;
mod durable;
mod faults;
mod guests;
mod handed_on;
mod hostile;
mod imported;
mod letters;
mod logs;
mod offline;
mod partition;
