//! `hvflvspot tour`: the main job performed aloud against a running server, with real gate processes and a network
//! that is really cut. Exits 0 only if everything happened as it must.

pub mod api;
pub mod gate;
pub mod proxy;
mod stage;
mod story;
pub mod venue;

pub use stage::Stage;
pub use story::{Tour, run};
