//! The real app in a window of its own, on a desktop of its own: display, window manager, session bus and, if wanted, a
//! camera. Driven by WebDriver, typed at by real key events. Nothing of it stays when the values are dropped.

mod app;
pub mod camera;
pub mod keys;
pub mod memory;
mod process;
mod room;
pub mod small_disk;

pub use app::{Seen, Setup, Window};
pub use room::Room;
