//! What to do next, from what is known here and what the server has said. Pure: the engine reads, asks, does one
//! step, notes the answer, and asks again until nothing is left.

use crate::db::table::device::State;
use crate::db::table::upload::Refused;
use shared::manifest::docs::ManifestVersion;
use shared::time::UnixMillis;
use shared::wire::gates::MAX_RUN_ENTRIES;
use std::collections::BTreeMap;

/// First and last number, both included.
pub type Span = (u64, u64);

/// One of our logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogState {
    /// Which.
    pub log_no: u32,
    /// Its last entry.
    pub last: u64,
    /// The server has 1 to here.
    pub acknowledged: u64,
}

/// What the server said about one of our logs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// The server has 1 to here.
    pub acknowledged: u64,
    /// Missing below the highest that it has.
    pub holes: Vec<Span>,
}

/// What this upload has come to so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uploads {
    /// The server's last word on each log.
    pub told: BTreeMap<u32, Told>,
    /// What the server took: never offered again by this process, whatever the server says later. What it
    /// refused is not in here but in the database, with the time of the next try.
    pub taken: BTreeMap<u32, Vec<Span>>,
}

impl Uploads {
    /// Notes that a run was taken.
    pub fn note_taken(&mut self, log_no: u32, span: Span) {
        self.taken.entry(log_no).or_default().push(span);
    }
}

/// A run to be offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// From this log.
    pub log_no: u32,
    /// These entries, or as many of the first of them as fit into one run.
    pub span: Span,
}

/// The next run to offer; `None` when the server has, or has refused for now, everything.
#[must_use]
pub fn next_offer(
    logs: &[LogState],
    refused: &[Refused],
    uploads: &Uploads,
    now: UnixMillis,
) -> Option<Offer> {
    logs.iter().find_map(|log| {
        let mut open = missing(log, uploads.told.get(&log.log_no));
        for span in uploads.taken.get(&log.log_no).into_iter().flatten() {
            open = without(&open, *span);
        }
        let refused: Vec<&Refused> = refused.iter().filter(|r| r.log_no == log.log_no).collect();
        for r in refused.iter().filter(|r| r.retry_at > now) {
            open = without(&open, (r.from, r.to));
        }
        let (from, to) = *open.first()?;
        let due = |r: &&&Refused| r.retry_at <= now;
        // Where a run was refused before, smaller and smaller pieces are offered, until only the culprit is.
        let span = match refused.iter().filter(due).find(|r| (r.from..=r.to).contains(&from)) {
            Some(r) => (from, to.min(r.to).min(from + piece(r.tries) - 1)),
            None => {
                let next = refused.iter().filter(due).map(|r| r.from).filter(|f| *f > from).min();
                let before_next = next.map_or(to, |f| f - 1);
                (from, to.min(before_next).min(from + MAX_RUN_ENTRIES as u64 - 1))
            }
        };
        Some(Offer { log_no: log.log_no, span })
    })
}

/// Entries that the server lacks, as far as it has said; before that, everything it has not acknowledged.
fn missing(log: &LogState, told: Option<&Told>) -> Vec<Span> {
    let Some(told) = told else { return span(log.acknowledged + 1, log.last) };
    let mut open: Vec<Span> = Vec::new();
    let mut known = told.acknowledged;
    for (from, to) in &told.holes {
        open.extend(span(*from, (*to).min(log.last)));
        known = known.max(*to);
    }
    // Above the last hole something is known, but not how far: what was taken is left out by the caller.
    open.extend(span(known + 1, log.last));
    open
}

fn span(from: u64, to: u64) -> Vec<Span> {
    if from <= to { vec![(from, to)] } else { Vec::new() }
}

fn without(open: &[Span], (from, to): Span) -> Vec<Span> {
    open.iter()
        .flat_map(|&(a, b)| {
            let before = span(a, b.min(from.saturating_sub(1)));
            let after = span(a.max(to.saturating_add(1)), b);
            // Untouched spans would come out twice.
            if to < a || from > b { vec![(a, b)] } else { [before, after].concat() }
        })
        .collect()
}

/// Entries to offer at once of a run that was refused so often.
const fn piece(tries: u32) -> u64 {
    let shift = if tries > 9 { 9 } else { tries };
    (MAX_RUN_ENTRIES as u64) >> shift | 1
}

/// When to offer a refused run again.
#[must_use]
pub fn retry_at(now: UnixMillis, tries: u32) -> UnixMillis {
    let secs = 30_i64 << tries.min(7);
    now.plus_ms(secs.min(3600) * 1000)
}

/// What this download has come to so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Downloads {
    /// The newest manifest that the server named, and whether more runs wait.
    pub waited: Option<(ManifestVersion, bool)>,
    /// A manifest was asked for.
    pub asked: bool,
    /// The rows that came did not fit what is held: all of them are needed.
    pub need_full: bool,
    /// All rows were asked for.
    pub asked_full: bool,
}

/// A step of the download lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownloadStep {
    /// `GET /gates/manifest`.
    Manifest {
        /// All rows.
        full: bool,
    },
    /// `GET /gates/wait`.
    Wait {
        /// The server may hold its answer back for so long.
        timeout_secs: u32,
    },
}

/// The next step; `None` when the round is over. Revoked devices download nothing.
#[must_use]
pub fn next_download(
    state: State,
    held: Option<ManifestVersion>,
    downloads: &Downloads,
    patience_secs: u32,
) -> Option<DownloadStep> {
    if state != State::Active {
        return None;
    }
    if downloads.need_full {
        return (!downloads.asked_full).then_some(DownloadStep::Manifest { full: true });
    }
    if held.is_none() && !downloads.asked {
        return Some(DownloadStep::Manifest { full: true });
    }
    match downloads.waited {
        None => Some(DownloadStep::Wait { timeout_secs: patience_secs }),
        // Older than ours is news too: it is how the server learns that it has lost something.
        Some((named, _)) if Some(named) != held && !downloads.asked => {
            Some(DownloadStep::Manifest { full: false })
        }
        Some((_, true)) => Some(DownloadStep::Wait { timeout_secs: 0 }),
        Some((_, false)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::time::UnixSecs;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    const fn log(log_no: u32, last: u64, acknowledged: u64) -> LogState {
        LogState { log_no, last, acknowledged }
    }

    fn told(log_no: u32, acknowledged: u64, holes: &[Span]) -> Uploads {
        let mut uploads = Uploads::default();
        uploads.told.insert(log_no, Told { acknowledged, holes: holes.to_vec() });
        uploads
    }

    fn refused(from: u64, to: u64, tries: u32, retry_at: i64) -> Refused {
        Refused { log_no: 1, from, to, tries, retry_at: UnixMillis(retry_at) }
    }

    fn offered(logs: &[LogState], refused: &[Refused], uploads: &Uploads) -> Option<(u32, u64, u64)> {
        next_offer(logs, refused, uploads, NOW).map(|o| (o.log_no, o.span.0, o.span.1))
    }

    #[test]
    fn offers_what_is_not_acknowledged_in_runs_of_five_hundred_log_by_log() {
        let mut uploads = Uploads::default();
        assert_eq!(offered(&[log(1, 0, 0)], &[], &uploads), None);
        assert_eq!(offered(&[log(1, 7, 7)], &[], &uploads), None);
        let logs = [log(1, 1203, 3), log(2, 4, 0)];
        for expected in [(1, 4, 503), (1, 504, 1003), (1, 1004, 1203), (2, 1, 4)] {
            assert_eq!(offered(&logs, &[], &uploads), Some(expected));
            uploads.note_taken(expected.0, (expected.1, expected.2));
        }
        assert_eq!(offered(&logs, &[], &uploads), None);
    }

    #[test]
    fn offers_the_holes_that_the_server_names_once_even_if_they_were_acknowledged_here() {
        let mut uploads = told(1, 3, &[(4, 5), (8, 9)]);
        uploads.note_taken(1, (10, 12));
        let logs = [log(1, 12, 6)];
        assert_eq!(offered(&logs, &[], &uploads), Some((1, 4, 5)));
        uploads.note_taken(1, (4, 5));
        assert_eq!(offered(&logs, &[], &uploads), Some((1, 8, 9)));
        uploads.note_taken(1, (8, 9));
        assert_eq!(
            offered(&logs, &[], &uploads),
            None,
            "a server that repeats itself is not obeyed for ever"
        );
    }

    #[test]
    fn holes_beyond_our_log_are_not_ours_to_fill() {
        assert_eq!(offered(&[log(1, 5, 0)], &[], &told(1, 5, &[(6, 9)])), None);
    }

    #[test]
    fn a_refused_run_waits_and_holds_nobody_up() {
        let waiting = [refused(1, 500, 1, 1_000_001)];
        let logs = [log(1, 600, 0), log(2, 3, 0)];
        assert_eq!(offered(&logs, &waiting, &Uploads::default()), Some((1, 501, 600)));
    }

    #[test]
    fn a_refused_run_that_is_due_is_offered_in_smaller_pieces() {
        let logs = [log(1, 600, 0)];
        assert_eq!(offered(&logs, &[refused(1, 500, 1, 0)], &Uploads::default()), Some((1, 1, 251)));
        assert_eq!(offered(&logs, &[refused(1, 500, 8, 0)], &Uploads::default()), Some((1, 1, 1)));
        assert_eq!(offered(&logs, &[refused(1, 500, 99, 0)], &Uploads::default()), Some((1, 1, 1)));
        let later = [refused(101, 200, 2, 0)];
        assert_eq!(offered(&logs, &later, &Uploads::default()), Some((1, 1, 100)), "good ones first, alone");
    }

    #[test]
    fn waiting_grows_with_each_refusal_to_an_hour() {
        assert_eq!(retry_at(NOW, 1).ms_since(NOW), 60_000);
        assert_eq!(retry_at(NOW, 40).ms_since(NOW), 3_600_000);
    }

    const fn version(change_seq: u64) -> ManifestVersion {
        ManifestVersion { epoch: 1, change_seq, as_of: UnixSecs(9) }
    }

    #[test]
    fn the_download_lane_asks_in_order() {
        use DownloadStep::{Manifest, Wait};
        let (held, other) = (Some(version(5)), version(6));
        let plan = |held, d: &Downloads| next_download(State::Active, held, d, 50);
        let asked = Downloads { asked: true, ..Downloads::default() };
        let waited = |v, more| Downloads { waited: Some((v, more)), ..Downloads::default() };

        assert_eq!(plan(None, &Downloads::default()), Some(Manifest { full: true }));
        assert_eq!(plan(held, &Downloads::default()), Some(Wait { timeout_secs: 50 }));
        assert_eq!(plan(None, &asked), Some(Wait { timeout_secs: 50 }), "scans come without a manifest too");
        assert_eq!(plan(held, &waited(version(5), false)), None);
        assert_eq!(plan(held, &waited(version(5), true)), Some(Wait { timeout_secs: 0 }));
        assert_eq!(plan(held, &waited(other, true)), Some(Manifest { full: false }));
        assert_eq!(
            plan(held, &waited(version(4), false)),
            Some(Manifest { full: false }),
            "the server lost some"
        );
        let refused = Downloads { asked: true, ..waited(other, false) };
        assert_eq!(plan(held, &refused), None, "a manifest that was refused is not asked for in a circle");
        let full = Downloads { need_full: true, ..asked.clone() };
        assert_eq!(plan(held, &full), Some(Manifest { full: true }));
        assert_eq!(plan(held, &Downloads { asked_full: true, ..full }), None);
    }

    #[test]
    fn a_revoked_device_downloads_nothing() {
        for state in [State::Leaving, State::Revoked] {
            assert_eq!(next_download(state, None, &Downloads::default(), 0), None);
        }
    }
}
