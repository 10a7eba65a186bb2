//! Fault points: places between two steps of a sale, or of a message's way out, where a test has the process die by
//! SIGKILL, as by a power cut. They exist in builds with debug assertions alone; a release knows nothing of them.
//!
//! `HVFLVSPOT_FAULT=pay.answered` ends the process when it first comes by there, `HVFLVSPOT_FAULT=pay.answered:2`
//! the second time.

/// Every place on a message's way out, in the order of the steps.
pub const OUTBOX_POINTS: &[&str] = &[
    "outbox.noticed",
    "outbox.copied",
    "outbox.copies_committed",
    "outbox.leased",
    "outbox.lease_committed",
    "outbox.written",
    "outbox.answered",
    "outbox.ended",
    "outbox.end_committed",
];

/// Every place of a sale, in the order of the steps.
pub const POINTS: &[&str] = &[
    "hold.written",
    "hold.committed",
    "pay.begun",
    "pay.answered",
    "pay.noted",
    "pay.issued",
    "pay.paid",
    "pay.failed",
    "pay.late",
    "webhook.verified",
    "webhook.recorded",
    "webhook.committed",
    "webhook.done",
    "refund.reserved",
    "refund.begun",
    "refund.answered",
    "refund.booked",
    "refund.done",
    "refund.failed",
    "cancel.asked",
    "cancel.answered",
    "cancel.written",
    "cancel.done",
];

/// Dies here if the environment says so.
#[macro_export]
macro_rules! fault {
    ($name:literal) => {
        #[cfg(debug_assertions)]
        $crate::fault::reach($name);
    };
}

#[cfg(debug_assertions)]
pub use armed::reach;

#[cfg(debug_assertions)]
mod armed {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static WANTED: LazyLock<Option<(String, u32)>> = LazyLock::new(|| {
        let text = std::env::var("HVFLVSPOT_FAULT").ok().filter(|t| !t.is_empty())?;
        Some(match text.split_once(':') {
            Some((name, times)) => (name.to_owned(), times.parse().unwrap_or(1)),
            None => (text, 1),
        })
    });

    /// Counts, and dies the wanted time.
    pub fn reach(name: &str) {
        static SEEN: AtomicU32 = AtomicU32::new(0);
        let known = super::POINTS.contains(&name) || super::OUTBOX_POINTS.contains(&name);
        debug_assert!(known, "the list does not know {name}");
        let Some((wanted, times)) = &*WANTED else { return };
        if wanted == name && SEEN.fetch_add(1, Ordering::SeqCst) + 1 == *times {
            eprintln!("fault: dying at {name}");
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            std::process::abort();
        }
    }
}
