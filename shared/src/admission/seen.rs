//! What a device proves to have known when it scanned: its entries carry the changes of its seen vector.

use crate::log::entry::{EntryPlace, Seen};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// How far a device had read the logs of others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeenVector(BTreeMap<(u32, u32), u64>);

impl SeenVector {
    /// Adds the changes of one entry. Knowledge only grows, so order and repetition do not matter.
    pub fn apply(&mut self, changes: &[Seen]) {
        for s in changes {
            let known = self.0.entry((s.number, s.log_no)).or_default();
            *known = s.seq.max(*known);
        }
    }

    /// True if it covers entry `seq` of log `log_no` of device number `number`.
    #[must_use]
    pub fn covers(&self, number: u32, log_no: u32, seq: u64) -> bool {
        self.0.get(&(number, log_no)).is_some_and(|known| seq <= *known)
    }
}

/// Whether the second gate of a double admission could have known of the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CouldHaveKnown {
    /// It had the first entry before it wrote its own.
    Yes,
    /// It had not.
    No,
    /// Entries are missing that might say so.
    Unproven,
}

/// Reads the log of the second device (pairs of place and seen changes, any order, any extent) up to and including its
/// entry at `second`. `first_number` is the number of the first entry's device within the event.
///
/// An entry's own changes count: they were written before its verdict was given.
#[must_use]
pub fn could_have_known<'e>(
    log: impl IntoIterator<Item = (EntryPlace, &'e [Seen])>,
    second: EntryPlace,
    first: EntryPlace,
    first_number: u32,
) -> CouldHaveKnown {
    if first.device == second.device {
        let earlier = (first.log_no, first.seq) < (second.log_no, second.seq);
        return if earlier { CouldHaveKnown::Yes } else { CouldHaveKnown::No };
    }
    let mut vector = SeenVector::default();
    let mut read: BTreeMap<u32, BTreeSet<u64>> = BTreeMap::new();
    for (place, changes) in log {
        let until_second = (place.log_no, place.seq) <= (second.log_no, second.seq);
        if place.device == second.device && until_second {
            vector.apply(changes);
            read.entry(place.log_no).or_default().insert(place.seq);
        }
    }
    if vector.covers(first_number, first.log_no, first.seq) {
        return CouldHaveKnown::Yes;
    }
    // A gap could hide the change that would say yes; so could the lost tail of an earlier log, of which nobody knows
    // how long it was.
    let own = read.get(&second.log_no);
    let whole = own.is_some_and(|s| s.len() as u64 == second.seq && s.first() == Some(&1));
    if whole && second.log_no == 1 { CouldHaveKnown::No } else { CouldHaveKnown::Unproven }
}
