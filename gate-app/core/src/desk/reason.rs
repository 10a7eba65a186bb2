//! Why an answer is as it is, from the rules' own types to those of the window.

use super::contract::{
    AnswerShown, Because, FinalState, Guest, GuestAnswer, Moment, Operand, Reason, Unmet, Verdict,
};
use crate::answer::rfc3339;
use crate::scan::{Given, Why};
use shared::admission::explain::{Explanation, UnknownBecause};
use shared::admission::rule;
use shared::guest::{AnswerValue, GuestRecord};
use shared::manifest::rows::TicketState;
use shared::time::UnixSecs;

impl From<&Given> for Verdict {
    fn from(given: &Given) -> Self {
        let detail = &given.detail;
        Self {
            answer: given.answer.clone(),
            reason: match &detail.why {
                Why::Decided(explanation) => explanation.into(),
                Why::Repeated { resumed } => Reason::Repeated { resumed: *resumed },
            },
            ticket_type_name: detail.ticket_type_name.clone(),
            attention: detail.attention.clone(),
            guest: detail.guest.as_ref().map(Into::into),
            manifest_age_secs: Some(detail.manifest_age_secs),
            uncertainty_ms: detail.uncertainty_ms,
        }
    }
}

impl From<&GuestRecord> for Guest {
    fn from(record: &GuestRecord) -> Self {
        let answers = record.answers.iter().map(|a| GuestAnswer {
            label: a.label.clone(),
            value: match &a.value {
                AnswerValue::Text(text) => AnswerShown::Text(text.clone()),
                AnswerValue::YesNo(yes) => AnswerShown::YesNo(*yes),
            },
        });
        Self {
            name: record.name.clone(),
            note: record.note.clone(),
            born_on: record.born_on.clone(),
            answers: answers.collect(),
        }
    }
}

fn moment(at: UnixSecs) -> Moment {
    rfc3339(at.millis())
}

impl From<&Explanation> for Reason {
    fn from(explanation: &Explanation) -> Self {
        let boxed = |inner: &Explanation| Box::new(Self::from(inner));
        match explanation {
            Explanation::Admitted => Self::Admitted,
            Explanation::LetOut { defect } => Self::LetOut { defect: defect.as_deref().map(boxed) },
            Explanation::Overridden { defect } => Self::Overridden { defect: boxed(defect) },
            Explanation::Malformed => Self::Malformed,
            Explanation::UnknownKey => Self::UnknownKey,
            Explanation::BadSignature => Self::BadSignature,
            Explanation::WrongEvent => Self::WrongEvent,
            Explanation::UnknownTicket { because } => Self::UnknownTicket {
                because: match because {
                    UnknownBecause::NotInManifest => Because::NotInManifest,
                    UnknownBecause::GenerationAhead => Because::GenerationAhead,
                    UnknownBecause::UnlistedBarcode => Because::UnlistedBarcode,
                },
            },
            Explanation::Revoked { state } => Self::Revoked {
                state: match state {
                    TicketState::Refunded => FinalState::Refunded,
                    TicketState::Canceled => FinalState::Canceled,
                    TicketState::Withdrawn | TicketState::Valid | TicketState::Blocked => {
                        FinalState::Withdrawn
                    }
                },
            },
            Explanation::Superseded { code, current } => Self::Superseded { code: *code, current: *current },
            Explanation::Blocked => Self::Blocked,
            Explanation::NotYetValid { from } => Self::NotYetValid { from: moment(*from) },
            Explanation::Expired { since } => Self::Expired { since: moment(*since) },
            Explanation::Product => Self::Product,
            Explanation::Rule { nearest } => Self::Rule { nearest: nearest.into() },
            Explanation::RuleBroken { why } => Self::RuleBroken { why: why.to_string() },
            Explanation::AlreadyAdmitted { first } => Self::AlreadyAdmitted { first: (*first).into() },
            Explanation::StaleManifest { since } => Self::StaleManifest { since: since.map(moment) },
            Explanation::CannotRecord => Self::CannotRecord,
        }
    }
}

impl From<&rule::Unmet> for Unmet {
    fn from(unmet: &rule::Unmet) -> Self {
        match unmet {
            rule::Unmet::From(at) => Self::From { at: rfc3339(*at) },
            rule::Unmet::Until(at) => Self::Until { at: rfc3339(*at) },
            rule::Unmet::Weekday(days) => Self::Weekday { days: days.clone() },
            rule::Unmet::Gate(gates) => Self::Gate { gates: gates.clone() },
            rule::Unmet::OtherGate => Self::OtherGate,
            rule::Unmet::TicketType => Self::TicketType,
            rule::Unmet::Present(inside) => Self::Present { inside: *inside },
            rule::Unmet::Number { operand, op, to, actual } => {
                Self::Number { operand: operand.into(), op: *op, to: *to, actual: *actual }
            }
        }
    }
}

impl From<&rule::expr::Operand> for Operand {
    fn from(operand: &rule::expr::Operand) -> Self {
        use rule::expr::Operand as Of;
        match operand {
            Of::EntriesTotal => Self::EntriesTotal,
            Of::EntriesToday => Self::EntriesToday,
            Of::EntriesDays => Self::EntriesDays,
            Of::MinutesSinceFirst => Self::MinutesSinceFirst,
            Of::MinutesSinceLast => Self::MinutesSinceLast,
            Of::EntriesSince(_) => Self::EntriesSince,
            Of::EntriesBefore(_) => Self::EntriesBefore,
        }
    }
}
