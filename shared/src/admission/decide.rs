//! The verdict on one scan: a pure function, run by server and gates alike.
//!
//! The order of defects is the order of [`Outcome`]. Two groups: up to `wrong_event` the text itself is bad and
//! nothing lifts that; from `unknown_ticket` on it is a genuine code, which a supervisor may admit and which never
//! keeps anybody inside.

use super::explain::{Explanation, UnknownBecause};
use super::history::{FirstAdmission, Learned, TicketHistory};
use super::rule::{Broken, CompiledRule, RuleAnswer, RuleContext};
use super::zone::Zone;
use super::{Flag, Flags, Outcome};
use crate::bytes::{Hash32, Kid};
use crate::ids::{GateId, ListId, TicketId, TicketTypeId};
use crate::log::entry::{Direction, EntryKind};
use crate::manifest::docs::{EventInfo, Gap, ListConfig, ManifestHeader, ManifestVersion, TicketTypeConfig};
use crate::manifest::rows::{TicketRow, TicketState};
use crate::ticket::Payload;
use crate::ticket::keys::Presented;
use crate::time::{UnixMillis, UnixSecs};

/// Clock uncertainty never widens a validity window by more than this.
pub const MAX_WINDOW_UNCERTAINTY_MS: u32 = 10 * 60 * 1000;
/// Above this uncertainty a verdict carries [`Flag::ClockDoubt`].
pub const CLOCK_DOUBT_MS: u32 = 2 * 60 * 1000;

/// What the verdict needs of a manifest header. The server, which is the truth, makes its own: `as_of`,
/// `fresh_until` and `hard_until` at [`UnixSecs`]'s maximum, so that nothing is late and nothing stale.
#[derive(Debug, Clone, Copy)]
pub struct ManifestView<'a> {
    /// Epoch, change sequence and as_of.
    pub version: ManifestVersion,
    /// Losses of the past.
    pub gaps: &'a [Gap],
    /// Number of foreign barcodes.
    pub imports: u32,
    /// Facts of the event.
    pub info: &'a EventInfo,
    /// Sorted by number.
    pub ticket_types: &'a [TicketTypeConfig],
    /// After this: amber.
    pub fresh_until: UnixSecs,
    /// From this on: stale.
    pub hard_until: UnixSecs,
}

impl<'a> From<&'a ManifestHeader> for ManifestView<'a> {
    fn from(h: &'a ManifestHeader) -> Self {
        Self {
            version: h.version,
            gaps: &h.gaps,
            imports: h.imports,
            info: &h.info,
            ticket_types: &h.ticket_types,
            fresh_until: h.fresh_until,
            hard_until: h.hard_until,
        }
    }
}

/// What is known about the event and the ticket at hand.
///
/// Without a manifest nothing can be missing from it: a genuine code counts as sold late, its own window decides,
/// and the answer is `stale_manifest`, which a supervisor may override.
#[derive(Debug, Clone, Copy, Default)]
pub struct Knowledge<'a> {
    /// The manifest in use.
    pub manifest: Option<ManifestView<'a>>,
    /// The ticket's row in it (for a foreign text: the row of its hash).
    pub known: Option<TicketRow>,
    /// What late codes of the ticket have shown so far.
    pub learned: Option<Learned>,
}

/// One scan, with everything that bears on it.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// What the text turned out to be.
    pub presented: &'a Presented,
    /// Which way.
    pub direction: Direction,
    /// The list.
    pub list: &'a ListConfig,
    /// Its rule, compiled; needed exactly if the list has one.
    pub rule: Option<&'a CompiledRule>,
    /// The place.
    pub gate: Option<GateId>,
    /// Corrected time.
    pub now: UnixMillis,
    /// Half-width of its error.
    pub uncertainty_ms: u32,
    /// Manifest and ticket.
    pub knowledge: Knowledge<'a>,
    /// The ticket on this list so far.
    pub history: &'a TicketHistory,
    /// A supervisor admits for this reason, whatever can be lifted. The caller has checked the PIN. Blank = none.
    pub override_reason: Option<&'a str>,
    /// Scans for real and never counts.
    pub rehearsal: bool,
    /// The event's time zone, if its name is known here.
    pub zone: Option<&'a dyn Zone>,
}

/// The answer to a scan, and what the log says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The first defect, or ok.
    pub outcome: Outcome,
    /// Remarks; beside an ok also the defects that were lifted.
    pub flags: Flags,
    /// What the log records.
    pub kind: EntryKind,
    /// Which way.
    pub direction: Direction,
    /// The list.
    pub list: ListId,
    /// The ticket, once the code could be read. Not proven for `unknown_key` and `bad_signature`.
    pub ticket_id: Option<TicketId>,
    /// Generation in the code.
    pub generation: Option<u8>,
    /// Key named in the code.
    pub kid: Option<Kid>,
    /// SHA-256 of the text.
    pub text_hash: Hash32,
    /// Number of the ticket's type, once it is proven.
    pub type_no: Option<u16>,
    /// The type, if the manifest knows it.
    pub ticket_type: Option<TicketTypeId>,
    /// Its name.
    pub ticket_type_name: Option<String>,
    /// The admission that stands first on this list.
    pub first_admission: Option<FirstAdmission>,
    /// For the steward, at every scan of this type.
    pub attention: Option<String>,
    /// Why, as data: see [`super::explain`].
    pub explanation: Explanation,
    /// Seconds since the manifest's `as_of`; absent without a manifest.
    pub manifest_age_secs: Option<u32>,
    /// Half-width of the clock's error as given.
    pub uncertainty_ms: u32,
    /// Scanned in rehearsal.
    pub rehearsal: bool,
}

impl Verdict {
    /// True if the person may go through.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.outcome == Outcome::Ok
    }

    /// The same scan when its record could not be made durable: never green.
    #[must_use]
    pub fn cannot_record(self) -> Self {
        Self {
            outcome: Outcome::CannotRecord,
            kind: EntryKind::Refuse,
            explanation: Explanation::CannotRecord,
            ..self
        }
    }
}

/// Decides a scan.
#[must_use]
pub fn decide(question: &Question<'_>) -> Verdict {
    match genuine(question) {
        Err((outcome, why)) => refuse(question, None, general_remarks(question), outcome, why),
        Ok(subject) => judge(question, &subject),
    }
}

type Defect = (Outcome, Explanation);

/// A genuine code of this event, or a foreign text at an event with imports.
struct Subject<'a> {
    payload: Option<&'a Payload>,
    row: Option<TicketRow>,
    type_no: Option<u16>,
    config: Option<&'a TicketTypeConfig>,
}

/// The defects that nothing lifts.
fn genuine<'a>(q: &Question<'a>) -> Result<Subject<'a>, Defect> {
    let imports = q.knowledge.manifest.is_some_and(|m| m.imports > 0);
    let payload = match q.presented {
        Presented::Foreign { .. } if imports => None,
        Presented::Foreign { .. } | Presented::Malformed { .. } => {
            return Err((Outcome::Malformed, Explanation::Malformed));
        }
        Presented::UnknownKey { .. } => return Err((Outcome::UnknownKey, Explanation::UnknownKey)),
        Presented::BadSignature { .. } => return Err((Outcome::BadSignature, Explanation::BadSignature)),
        Presented::WrongEvent { .. } => return Err((Outcome::WrongEvent, Explanation::WrongEvent)),
        Presented::Verified { payload, .. } => Some(payload),
    };
    // A row of another ticket would be the caller's bug; it must not open a door.
    let row = q.knowledge.known.filter(|r| payload.is_none_or(|p| p.ticket_id == r.ticket_id));
    let type_no = row.map(|r| r.type_no).or(payload.map(|p| p.type_no));
    let config = q
        .knowledge
        .manifest
        .zip(type_no)
        .and_then(|(m, number)| m.ticket_types.iter().find(|t| t.number == number));
    Ok(Subject { payload, row, type_no, config })
}

fn judge(q: &Question<'_>, subject: &Subject<'_>) -> Verdict {
    let exit = q.direction == Direction::Out;
    let defects: Vec<Defect> = [
        subject.unknown(q),
        subject.revoked(),
        subject.superseded(q),
        subject.blocked(),
        subject.outside_window(q),
        subject.wrong_product(q),
        subject.against_rule(q),
        // Having been admitted is what an exit presupposes, not a defect of it.
        if exit { None } else { already_admitted(q) },
        stale(q),
    ]
    .into_iter()
    .flatten()
    .collect();

    let remarks = subject.remarks(q);
    let lifted = remarks.union(defects.iter().filter_map(|(o, _)| Flag::of_defect(*o)).collect());
    let first = defects.first().cloned();
    if exit {
        let explanation = Explanation::LetOut { defect: first.map(|(_, why)| Box::new(why)) };
        return answer(q, Some(subject), lifted, Outcome::Ok, EntryKind::Exit, explanation);
    }
    let Some((outcome, why)) = first else {
        return answer(q, Some(subject), remarks, Outcome::Ok, EntryKind::Entry, Explanation::Admitted);
    };
    let overriding = q.override_reason.is_some_and(|reason| !reason.trim().is_empty());
    // Without a ticket the admission could not be counted, and a second one not noticed.
    if !overriding || subject.ticket_id().is_none() {
        return refuse(q, Some(subject), remarks, outcome, why);
    }
    // A rule that cannot be evaluated may hold a condition that the supervisor does not know of.
    let broken = defects.into_iter().find(|(_, why)| matches!(why, Explanation::RuleBroken { .. }));
    if let Some((outcome, why)) = broken {
        return refuse(q, Some(subject), remarks, outcome, why);
    }
    let explanation = Explanation::Overridden { defect: Box::new(why) };
    answer(q, Some(subject), lifted.with(Flag::Overridden), Outcome::Ok, EntryKind::Override, explanation)
}

impl Subject<'_> {
    fn ticket_id(&self) -> Option<TicketId> {
        self.payload.map(|p| p.ticket_id).or(self.row.map(|r| r.ticket_id))
    }

    fn late(&self, q: &Question<'_>) -> bool {
        self.payload.is_some_and(|p| issued_late(q, p.issued_at))
    }

    fn ahead(&self) -> bool {
        self.payload.zip(self.row).is_some_and(|(p, r)| p.generation > r.generation)
    }

    fn unknown(&self, q: &Question<'_>) -> Option<Defect> {
        let because = match (self.payload, self.row) {
            _ if self.late(q) => return None,
            (None, None) => UnknownBecause::UnlistedBarcode,
            (Some(_), None) => UnknownBecause::NotInManifest,
            (Some(_), Some(_)) if self.ahead() => UnknownBecause::GenerationAhead,
            (_, Some(_)) => return None,
        };
        Some((Outcome::UnknownTicket, Explanation::UnknownTicket { because }))
    }

    fn revoked(&self) -> Option<Defect> {
        let state = self.row?.state;
        let revoked = matches!(state, TicketState::Refunded | TicketState::Canceled | TicketState::Withdrawn);
        revoked.then_some((Outcome::Revoked, Explanation::Revoked { state }))
    }

    fn superseded(&self, q: &Question<'_>) -> Option<Defect> {
        let code = self.payload?.generation;
        // What a late code taught holds until a manifest that should know better.
        let learned = q.knowledge.learned.filter(|l| issued_late(q, l.issued_by)).map(|l| l.generation);
        let current = self.row.map(|r| r.generation).max(learned)?;
        (code < current).then_some((Outcome::Superseded, Explanation::Superseded { code, current }))
    }

    fn blocked(&self) -> Option<Defect> {
        (self.row?.state == TicketState::Blocked).then_some((Outcome::Blocked, Explanation::Blocked))
    }

    /// The manifest's window for a ticket that it knows; the code's own for late sales, and where the type is missing.
    fn window(&self) -> Option<(UnixSecs, UnixSecs)> {
        let of_type = self.config.filter(|_| self.row.is_some()).map(|t| (t.not_before, t.expires_at));
        of_type.or(self.payload.map(|p| (p.not_before, p.expires_at)))
    }

    fn outside_window(&self, q: &Question<'_>) -> Option<Defect> {
        let (from, until) = self.window()?;
        let u = i64::from(q.uncertainty_ms.min(MAX_WINDOW_UNCERTAINTY_MS));
        if q.now.plus_ms(u) < from.millis() {
            Some((Outcome::NotYetValid, Explanation::NotYetValid { from }))
        } else if q.now.plus_ms(-u) >= until.millis() {
            Some((Outcome::Expired, Explanation::Expired { since: until }))
        } else {
            None
        }
    }

    fn wrong_product(&self, q: &Question<'_>) -> Option<Defect> {
        let covered = self.type_no.is_none_or(|number| q.list.ticket_types.contains(number));
        (!covered).then_some((Outcome::Product, Explanation::Product))
    }

    fn against_rule(&self, q: &Question<'_>) -> Option<Defect> {
        q.list.rule.as_ref()?;
        let context = RuleContext {
            now: q.now,
            history: q.history,
            type_no: self.type_no,
            gate: q.gate,
            info: q.knowledge.manifest.map(|m| m.info),
            zone: q.zone,
        };
        let why = match q.rule.map(|rule| rule.evaluate(&context)) {
            Some(RuleAnswer::Pass) => return None,
            Some(RuleAnswer::Fail { nearest }) => Explanation::Rule { nearest },
            Some(RuleAnswer::Broken { why }) => Explanation::RuleBroken { why },
            None => Explanation::RuleBroken { why: Broken("it was not compiled".to_owned()) },
        };
        Some((Outcome::Rules, why))
    }

    fn remarks(&self, q: &Question<'_>) -> Flags {
        let late = self.late(q);
        let amber = q.knowledge.manifest.is_some_and(|m| q.now >= m.fresh_until.millis());
        general_remarks(q)
            .with_if(late && self.row.is_none(), Flag::LateSale)
            .with_if(late && self.ahead(), Flag::LateReissue)
            .with_if(amber && stale(q).is_none(), Flag::StaleWarning)
            .with_if(q.history.quarantined(), Flag::QuarantinedRepeat)
    }
}

/// True if a manifest need not know what was issued then: after `as_of`, or in what the database lost.
fn issued_late(q: &Question<'_>, at: UnixSecs) -> bool {
    q.knowledge
        .manifest
        .is_none_or(|m| at > m.version.as_of || m.gaps.iter().any(|gap| (gap.from..=gap.to).contains(&at)))
}

fn already_admitted(q: &Question<'_>) -> Option<Defect> {
    let first = q.history.first_admission()?;
    let may_return = q.list.reentry_after_exit && !q.history.present();
    let free = q.list.multiple_entry || may_return;
    (!free).then_some((Outcome::AlreadyAdmitted, Explanation::AlreadyAdmitted { first }))
}

fn stale(q: &Question<'_>) -> Option<Defect> {
    let since = q.knowledge.manifest.map(|m| m.hard_until);
    let stale = since.is_none_or(|end| q.now >= end.millis());
    stale.then_some((Outcome::StaleManifest, Explanation::StaleManifest { since }))
}

fn general_remarks(q: &Question<'_>) -> Flags {
    Flags::NONE
        .with_if(q.uncertainty_ms > CLOCK_DOUBT_MS, Flag::ClockDoubt)
        .with_if(q.rehearsal, Flag::Rehearsal)
}

fn refuse(
    q: &Question<'_>,
    subject: Option<&Subject<'_>>,
    flags: Flags,
    outcome: Outcome,
    why: Explanation,
) -> Verdict {
    answer(q, subject, flags, outcome, EntryKind::Refuse, why)
}

fn answer(
    q: &Question<'_>,
    subject: Option<&Subject<'_>>,
    flags: Flags,
    outcome: Outcome,
    kind: EntryKind,
    explanation: Explanation,
) -> Verdict {
    let claimed = q.presented.payload();
    let config = subject.and_then(|s| s.config);
    Verdict {
        outcome,
        flags,
        kind,
        direction: q.direction,
        list: q.list.id,
        ticket_id: subject.and_then(Subject::ticket_id).or(claimed.map(|p| p.ticket_id)),
        generation: claimed.map(|p| p.generation),
        kid: claimed.map(|p| p.kid),
        text_hash: q.presented.text_hash(),
        type_no: subject.and_then(|s| s.type_no),
        ticket_type: config.map(|t| t.id),
        ticket_type_name: config.map(|t| t.name.clone()),
        first_admission: subject.and_then(|_| q.history.first_admission()),
        attention: config.and_then(|t| t.attention.clone()),
        explanation,
        manifest_age_secs: q.knowledge.manifest.map(|m| q.now.secs().0.saturating_sub(m.version.as_of.0)),
        uncertainty_ms: q.uncertainty_ms,
        rehearsal: q.rehearsal,
    }
}
