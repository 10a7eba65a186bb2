//! What one lock protects.

use super::contract::{Enrolment, Interrupted, Place, Post, Settings, Trouble, Verdict};
use super::in_view::InView;
use super::supervision::Unlocked;
use crate::fault::Fault;
use crate::scan::{Given, Scanner};
use shared::bytes::Nonce16;
use shared::log::entry::EntryPlace;
use std::collections::VecDeque;
use zeroize::Zeroizing;

/// Answers of which the window may still say that they were painted.
const REMEMBERED: usize = 32;

/// The scanner of the chosen post.
#[derive(Default)]
pub(super) enum Door {
    /// No post.
    #[default]
    Closed,
    /// Scans.
    Open(Box<Scanner>),
    /// Cannot, for now.
    Stuck(Fault),
}

/// The last refused scan. Its text opens what the log keeps closed, so it lives in memory only, and not for long.
pub(super) struct Refused {
    pub place: Place,
    pub text: Zeroizing<String>,
    pub at_ns: u64,
}

#[derive(Default)]
pub(super) struct State {
    pub settings: Settings,
    pub post: Option<Post>,
    pub door: Door,
    pub kiosk: bool,
    pub unlocked: Option<Unlocked>,
    pub refused: Option<Refused>,
    /// The last override: the same attempt again has the same answer.
    pub overridden: Option<(Nonce16, Verdict)>,
    /// Of the chosen enrolment alone: a place names an entry only within one.
    pub given: VecDeque<(Place, Given)>,
    pub view: InView,
    pub interrupted: Option<(EntryPlace, Interrupted)>,
    /// Of disk or database: stays until it is tried again, or a scan was recorded.
    pub machine: Option<Trouble>,
    /// Boot clock when that was last tried without being asked, or began.
    pub tried_ns: u64,
    /// The database was made anew without being asked.
    pub mended: bool,
    /// Something of the database could not be read: all of it is looked at when it is opened next.
    pub suspect: bool,
    /// Of clock, manifest or enrolment: as of the last look.
    pub condition: Option<Trouble>,
    /// What the window was told.
    pub announced: Option<Trouble>,
    /// As of the last look.
    pub known: Vec<Enrolment>,
    /// Boot clock at the last scan.
    pub scanned_ns: u64,
}

impl State {
    /// What is in the way most.
    pub fn trouble(&self) -> Option<Trouble> {
        match (&self.machine, &self.condition) {
            // That all is well again can wait.
            (Some(Trouble::DatabaseRepaired { .. }), Some(condition)) => Some(condition.clone()),
            (machine, condition) => machine.clone().or_else(|| condition.clone()),
        }
    }

    /// Everything that belongs to one place at the door and must not pass to another.
    pub fn forget_scans(&mut self) {
        self.refused = None;
        self.overridden = None;
        self.view = InView::default();
    }

    pub fn remember(&mut self, given: Given) {
        let (Some(log_no), Some(seq)) = (given.answer.log_no, given.answer.seq) else { return };
        if self.given.len() == REMEMBERED {
            self.given.pop_front();
        }
        self.given.push_back((Place { log_no, seq }, given));
    }
}
