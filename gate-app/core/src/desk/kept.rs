//! What this machine remembers: settings, the chosen post, kiosk mode, and what was said of an interrupted run.

use super::contract::{CommandError, ErrorCode, Interrupted, Language, Post, Settings};
use super::state::{Door, State};
use super::{Desk, Network, of_sql};
use crate::answer::rfc3339;
use crate::db::Db;
use crate::db::table::{log_entry, setting};
use crate::fault::{Fault, chain};
use serde::Serialize;
use serde::de::DeserializeOwned;
use shared::log::entry::{EntryKind, EntryPlace};

const SETTINGS: &str = "settings";
const POST: &str = "post";
const KIOSK: &str = "kiosk";
/// The entry that the steward has read of.
const INTERRUPTED_SEEN: &str = "interrupted_seen";
/// Undos and forks behind the last scan at most.
const LOOK_BACK: usize = 16;

impl Default for Settings {
    fn default() -> Self {
        Self {
            language: Language::default(),
            volume: 0.8,
            ok_ms: 1_800,
            attention_ms: 5_000,
            refused_ms: 8_000,
            hold_refusals: false,
            auto_lock_secs: 60,
            camera: None,
            larger_text: false,
            kiosk_camera: false,
        }
    }
}

impl Settings {
    /// Within what makes sense: a verdict is seen, and supervision ends some day.
    #[must_use]
    pub fn sane(self) -> Self {
        let stay = |ms: u32| ms.clamp(300, 60_000);
        Self {
            volume: if self.volume.is_finite() { self.volume.clamp(0.0, 1.0) } else { 0.0 },
            ok_ms: stay(self.ok_ms),
            attention_ms: stay(self.attention_ms),
            refused_ms: stay(self.refused_ms),
            auto_lock_secs: self.auto_lock_secs.clamp(10, 3_600),
            ..self
        }
    }
}

impl<N: Network> Desk<N> {
    /// Sets and keeps them.
    ///
    /// # Errors
    /// `cannot_record`; they hold until the end of this run all the same.
    pub fn set_settings(&self, settings: Settings) -> Result<(), CommandError> {
        let settings = settings.sane();
        self.state().settings = settings.clone();
        self.keep(SETTINGS, &settings)
    }

    /// The steward has read what an interrupted run left.
    ///
    /// # Errors
    /// `cannot_record`; it is told again at the next start then.
    pub fn interrupted_seen(&self) -> Result<(), CommandError> {
        let seen = self.state().interrupted.take();
        match seen {
            Some((place, _)) => self.keep(INTERRUPTED_SEEN, &place),
            None => Ok(()),
        }
    }

    pub(super) fn keep_post(&self, post: Option<&Post>) -> Result<(), CommandError> {
        self.keep(POST, &post)
    }

    pub(super) fn keep_kiosk(&self, kiosk: bool) -> Result<(), CommandError> {
        self.keep(KIOSK, &kiosk)
    }

    /// Once more, in a database that was made anew.
    pub(super) fn keep_all(&self, state: &State) {
        let kept = [
            self.keep(SETTINGS, &state.settings),
            self.keep_post(state.post.as_ref()),
            self.keep_kiosk(state.kiosk),
        ];
        for error in kept.into_iter().filter_map(Result::err) {
            tracing::warn!(?error, "what this machine remembers could not be kept");
        }
    }

    fn keep(&self, name: &str, value: &impl Serialize) -> Result<(), CommandError> {
        let json = serde_json::to_string(value).map_err(|e| CommandError::internal(&e))?;
        let db = Db::open(&self.dir).map_err(|e| super::refused(&Fault::of_db(&e)))?;
        setting::put(db.conn(), name, &json).map_err(|e| of_sql(&e))
    }

    /// At the start: what was kept. What cannot be read counts as never set.
    pub(super) fn recall(&self, state: &mut State, db: &Db) {
        state.settings = recalled::<Settings>(db, SETTINGS).unwrap_or_default().sane();
        state.post = recalled::<Option<Post>>(db, POST).flatten();
        state.kiosk = recalled(db, KIOSK).unwrap_or(false) && state.post.is_some();
    }

    /// The last scan of a run that ended before its answer was shown, if it was the last of all.
    pub(super) fn find_interrupted(&self, state: &mut State) {
        let Door::Open(scanner) = &state.door else { return };
        let Some(unseen) = scanner.unseen() else { return };
        let place = unseen.entry.place;
        let gate = scanner.gate();
        let is_last = log_entry::newest(gate.db.conn(), gate.device.author, LOOK_BACK).is_ok_and(|newest| {
            let scan = |kind| !matches!(kind, EntryKind::Undo | EntryKind::Fork);
            newest.iter().find(|s| scan(s.entry.kind)).is_some_and(|s| s.entry.place == place)
        });
        if !is_last || recalled::<EntryPlace>(&gate.db, INTERRUPTED_SEEN) == Some(place) {
            return;
        }
        let types = &scanner.loaded().header.ticket_types;
        let of_type = unseen.entry.type_no.and_then(|no| types.iter().find(|t| t.number == no));
        let interrupted = Interrupted {
            scanned_at: rfc3339(unseen.entry.time.corrected),
            outcome: unseen.entry.outcome,
            ticket_type_name: of_type.map(|t| t.name.clone()),
        };
        state.interrupted = Some((place, interrupted));
    }
}

fn recalled<T: DeserializeOwned>(db: &Db, name: &str) -> Option<T> {
    let json = match setting::get(db.conn(), name) {
        Ok(json) => json?,
        Err(error) => {
            tracing::warn!(error = chain(&error), name, "a setting cannot be read");
            return None;
        }
    };
    match serde_json::from_str(&json) {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::warn!(%error, name, "a setting of another form counts as never set");
            None
        }
    }
}

/// In kiosk mode guests stand at the machine: nobody changes its place or its enrolments.
pub(super) fn not_in_kiosk(state: &State) -> Result<(), CommandError> {
    if state.kiosk { Err(CommandError::new(ErrorCode::Locked, "kiosk mode")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_stay_within_what_makes_sense() {
        let mad = Settings { volume: f64::NAN, ok_ms: 0, auto_lock_secs: u32::MAX, ..Settings::default() };
        let sane = mad.sane();
        assert_eq!((sane.volume, sane.ok_ms, sane.auto_lock_secs), (0.0, 300, 3_600));
    }

    #[test]
    fn settings_of_an_earlier_form_keep_what_they_say() {
        let old: Settings = serde_json::from_str(r#"{"language":"fr","volume":0.5}"#).unwrap();
        assert_eq!((old.language, old.volume, old.ok_ms), (Language::Fr, 0.5, Settings::default().ok_ms));
    }
}
