//! One module per table: its migration, its row, what reads and what writes it.
//!
//! `device_no` everywhere is the local number of an enrolment ([`device::DeviceNo`]); `author` the local number
//! of a device that wrote log entries ([`cert::Author`]), our own included.

pub mod anchor;
pub mod bucket;
pub mod cert;
pub mod cursor;
pub mod device;
pub mod guest_cursor;
pub mod guest_name;
pub mod guest_sealed;
pub mod log_entry;
pub mod log_page;
pub mod manifest;
pub mod own_note;
pub mod run_signature;
pub mod setting;
pub mod steward_attempt;
pub mod trust_root;
pub mod upload;
