//! Why a verdict is as it is: data, and its rendering in English. Other languages read the same data.

use super::Flag;
use super::decide::Verdict;
use super::history::FirstAdmission;
use super::rule::expr::{Operand, Operator};
use super::rule::{Broken, Unmet};
use super::zone::Zone;
use crate::ids::GateId;
use crate::manifest::docs::GateConfig;
use crate::manifest::rows::TicketState;
use crate::time::{UnixMillis, UnixSecs};

/// Why a genuine code is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownBecause {
    /// Issued before the manifest and not in it.
    NotInManifest,
    /// In it with a lower generation, although the code was issued before the manifest.
    GenerationAhead,
    /// A foreign barcode that nobody imported.
    UnlistedBarcode,
}

/// The reason for a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Explanation {
    /// No defect.
    Admitted,
    /// On the way out.
    LetOut {
        /// What would have refused the way in.
        defect: Option<Box<Explanation>>,
    },
    /// A supervisor admits.
    Overridden {
        /// The first defect that was lifted.
        defect: Box<Explanation>,
    },
    /// No code.
    Malformed,
    /// Key not known, or compromised.
    UnknownKey,
    /// Signature wrong.
    BadSignature,
    /// Genuine, for another event.
    WrongEvent,
    /// Genuine and not known.
    UnknownTicket {
        /// Why.
        because: UnknownBecause,
    },
    /// Final.
    Revoked {
        /// Refunded, canceled or withdrawn.
        state: TicketState,
    },
    /// A newer code exists.
    Superseded {
        /// Generation in the code.
        code: u8,
        /// Generation that is valid.
        current: u8,
    },
    /// Stopped for now.
    Blocked,
    /// Too early.
    NotYetValid {
        /// First second.
        from: UnixSecs,
    },
    /// Too late.
    Expired {
        /// First second after.
        since: UnixSecs,
    },
    /// Type not on the list.
    Product,
    /// A condition of the list is not met.
    Rule {
        /// The nearest one.
        nearest: Unmet,
    },
    /// A condition of the list cannot be evaluated.
    RuleBroken {
        /// Why.
        why: Broken,
    },
    /// Used.
    AlreadyAdmitted {
        /// When and where.
        first: FirstAdmission,
    },
    /// Manifest too old.
    StaleManifest {
        /// Since when; absent if there never was one.
        since: Option<UnixSecs>,
    },
    /// The answer could not be made durable.
    CannotRecord,
}

/// Names that an explanation may mention.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    /// The list's name.
    pub list: &'a str,
    /// Gates of the event.
    pub gates: &'a [GateConfig],
    /// For printing times.
    pub zone: &'a dyn Zone,
    /// For leaving out today's date.
    pub now: UnixMillis,
}

/// A few short English sentences for the steward.
#[must_use]
pub fn explain(verdict: &Verdict, names: &Names<'_>) -> String {
    let mut text = names.sentence(&verdict.explanation, verdict);
    for remark in verdict.flags.iter().filter_map(remark) {
        text.push(' ');
        text.push_str(remark);
    }
    text
}

/// Defects are told by the explanation, the rest here.
fn remark(flag: Flag) -> Option<&'static str> {
    Some(match flag {
        Flag::LateSale => "Sold after this gate's manifest.",
        Flag::LateReissue => "Reissued after this gate's manifest.",
        Flag::StaleWarning => "The manifest is old: connect this gate soon.",
        Flag::Resumed => "It was admitted just now, before the answer could be shown.",
        Flag::ClockDoubt => "The clock of this gate is uncertain.",
        Flag::QuarantinedRepeat => "A revoked device has scanned this ticket before.",
        Flag::Rehearsal => "Rehearsal: nothing counts.",
        _ => return None,
    })
}

impl Names<'_> {
    fn sentence(&self, explanation: &Explanation, verdict: &Verdict) -> String {
        let ticket = verdict.ticket_type_name.as_deref().unwrap_or("This ticket type");
        match explanation {
            Explanation::Admitted => match &verdict.ticket_type_name {
                Some(name) => format!("Admitted to {}: {name}.", self.list),
                None => format!("Admitted to {}.", self.list),
            },
            Explanation::LetOut { defect: None } => "Let out.".to_owned(),
            Explanation::LetOut { defect: Some(defect) } => {
                format!("Let out. On the way in: {}", self.sentence(defect, verdict))
            }
            Explanation::Overridden { defect } => {
                format!("Admitted by a supervisor. Against: {}", self.sentence(defect, verdict))
            }
            Explanation::Malformed => "This is not a ticket code.".to_owned(),
            Explanation::UnknownKey => "The key of this code is not known or no longer trusted.".to_owned(),
            Explanation::BadSignature => "The signature of this code is wrong.".to_owned(),
            Explanation::WrongEvent => "This ticket is for another event.".to_owned(),
            Explanation::UnknownTicket { because } => match because {
                UnknownBecause::NotInManifest => "This ticket is not on record.",
                UnknownBecause::GenerationAhead => "This reissue of the ticket is not on record.",
                UnknownBecause::UnlistedBarcode => "This barcode is not on record.",
            }
            .to_owned(),
            Explanation::Revoked { state } => match state {
                TicketState::Refunded => "This ticket was refunded.",
                TicketState::Canceled => "This ticket was canceled.",
                _ => "This ticket was withdrawn by the organizer.",
            }
            .to_owned(),
            Explanation::Superseded { .. } => {
                "A newer code was issued for this ticket; this one no longer counts.".to_owned()
            }
            Explanation::Blocked => "This ticket is blocked.".to_owned(),
            Explanation::NotYetValid { from } => format!("Valid from {}.", self.time(from.millis())),
            Explanation::Expired { since } => format!("Expired since {}.", self.time(since.millis())),
            Explanation::Product => format!("{ticket} is not on the list {}.", self.list),
            Explanation::Rule { nearest } => self.unmet(nearest, ticket),
            Explanation::RuleBroken { why } => {
                format!("The rule of the list {} cannot be evaluated: {why}.", self.list)
            }
            Explanation::AlreadyAdmitted { first } => match first.gate {
                Some(gate) => {
                    format!("Already admitted at {} at gate {}.", self.time(first.at), self.gate(gate))
                }
                None => format!("Already admitted at {}.", self.time(first.at)),
            },
            Explanation::StaleManifest { since: Some(since) } => {
                format!("The manifest is too old since {}: connect this gate.", self.time(since.millis()))
            }
            Explanation::StaleManifest { since: None } => {
                "This gate has no manifest yet: connect it.".to_owned()
            }
            Explanation::CannotRecord => {
                "This gate cannot record scans: its disk is full or broken. Nobody was admitted.".to_owned()
            }
        }
    }

    fn unmet(&self, unmet: &Unmet, ticket: &str) -> String {
        match unmet {
            Unmet::From(at) => format!("Admitted from {}.", self.time(*at)),
            Unmet::Until(at) => format!("Was admitted until {}.", self.time(*at)),
            Unmet::Weekday(days) => {
                format!("Admitted on {} only.", list(days.iter().map(|d| format!("{d:?}"))))
            }
            Unmet::Gate(gates) => {
                format!("Admitted at {} only.", list(gates.iter().map(|g| self.gate(*g))))
            }
            Unmet::OtherGate => "Not admitted at this gate; another one may.".to_owned(),
            Unmet::TicketType => format!("{ticket} is not admitted by the rule of {}.", self.list),
            Unmet::Present(true) => "Only for people who are inside.".to_owned(),
            Unmet::Present(false) => "Only for people who are outside: exit first.".to_owned(),
            Unmet::Number { operand, op, to, actual } => {
                let what = match operand {
                    Operand::EntriesTotal => "entries",
                    Operand::EntriesToday => "entries today",
                    Operand::EntriesDays => "days with an entry",
                    Operand::MinutesSinceFirst => "minutes since the first entry",
                    Operand::MinutesSinceLast => "minutes since the last entry",
                    Operand::EntriesSince(_) => "entries since the given time",
                    Operand::EntriesBefore(_) => "entries before the given time",
                };
                let must = match op {
                    Operator::Less => format!("fewer than {to}"),
                    Operator::AtMost => format!("at most {to}"),
                    Operator::Equal => format!("exactly {to}"),
                    Operator::Different => format!("not {to}"),
                    Operator::AtLeast => format!("at least {to}"),
                    Operator::More => format!("more than {to}"),
                };
                match (operand, actual) {
                    (Operand::MinutesSinceFirst | Operand::MinutesSinceLast, -1) => {
                        format!("There must be {must} {what}; there was none.")
                    }
                    _ => format!("There must be {must} {what}; it is {actual}."),
                }
            }
        }
    }

    fn gate(&self, id: GateId) -> String {
        self.gates.iter().find(|g| g.id == id).map_or_else(|| id.to_string(), |g| g.name.clone())
    }

    /// `11:50` today, `2026-11-22 11:50` on other days.
    fn time(&self, at: UnixMillis) -> String {
        let Some(local) = self.zone.local(at) else { return format!("{} ms after 1970", at.0) };
        let clock = format!("{:02}:{:02}", local.hour(), local.minute());
        if self.zone.local(self.now).is_some_and(|now| now.date() == local.date()) {
            clock
        } else {
            format!("{} {clock}", local.date())
        }
    }
}

/// `A`, `A or B`, `A, B or C`.
fn list(items: impl Iterator<Item = String>) -> String {
    let mut items: Vec<String> = items.collect();
    match items.pop() {
        Some(last) if !items.is_empty() => format!("{} or {last}", items.join(", ")),
        Some(only) => only,
        None => "nothing".to_owned(),
    }
}
