//! Guest records: who comes with a ticket, as the door needs it. They are no part of the manifest and travel sealed
//! ([`seal`]), so that nobody reads one who has not the ticket's own code. Layout in docs/PROTOCOL.md, "Guest records".

use crate::cbor;
use minicbor::{Decode, Encode};

pub mod seal;

/// Letters of a name at most.
pub const MAX_NAME: usize = 200;
/// Letters of a note, of an answer in words, at most.
pub const MAX_TEXT: usize = 500;
/// Letters of a question at most.
pub const MAX_LABEL: usize = 200;
/// Answers of one record at most.
pub const MAX_ANSWERS: usize = 16;
/// Bytes of a record's CBOR at most: the largest size to which records are filled up, less the two bytes of its length.
pub const MAX_RECORD_BYTES: usize = seal::SIZES[seal::SIZES.len() - 1] - 2;

/// Who comes with a ticket.
#[derive(Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct GuestRecord {
    /// Name.
    #[n(0)]
    pub name: Option<String>,
    /// For the door, by the organizer.
    #[n(1)]
    pub note: Option<String>,
    /// Date of birth if it was asked for, `YYYY-MM-DD`.
    #[n(2)]
    pub born_on: Option<String>,
    /// Answers to the questions that are marked for the door, in the order of the questions.
    #[n(3)]
    pub answers: Vec<GuestAnswer>,
}

/// What somebody answered to one question.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct GuestAnswer {
    /// The question.
    #[n(0)]
    pub label: String,
    /// The answer.
    #[n(1)]
    pub value: AnswerValue,
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub enum AnswerValue {
    /// In words, or one of the choices.
    #[n(0)]
    Text(#[n(0)] String),
    /// Yes or no.
    #[n(1)]
    YesNo(#[n(0)] bool),
}

/// What it says stays out of logs.
impl std::fmt::Debug for GuestRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuestRecord").field("answers", &self.answers.len()).finish_non_exhaustive()
    }
}

/// What it says stays out of logs.
impl std::fmt::Debug for GuestAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GuestAnswer(…)")
    }
}

/// What it says stays out of logs.
impl std::fmt::Debug for AnswerValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "Text(…)",
            Self::YesNo(_) => "YesNo(…)",
        })
    }
}

impl GuestRecord {
    /// True if it says nothing: there is no need to send it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.name.is_none() && self.note.is_none() && self.born_on.is_none() && self.answers.is_empty()
    }

    /// The same within all bounds, so that it can be sealed: long texts are cut, and answers that have no room are left
    /// out from the last one on. Name and note always have room.
    #[must_use]
    pub fn bounded(self) -> Self {
        let Self { name, note, born_on, answers } = self;
        let mut answers: Vec<GuestAnswer> = answers
            .into_iter()
            .take(MAX_ANSWERS)
            .map(|GuestAnswer { label, value }| GuestAnswer {
                label: cut(label, MAX_LABEL),
                value: match value {
                    AnswerValue::Text(text) => AnswerValue::Text(cut(text, MAX_TEXT)),
                    yes_no @ AnswerValue::YesNo(_) => yes_no,
                },
            })
            .collect();
        let mut bounded = Self {
            name: name.map(|n| cut(n, MAX_NAME)),
            note: note.map(|n| cut(n, MAX_TEXT)),
            born_on: born_on.filter(|d| is_civil_date(d)),
            answers: Vec::new(),
        };
        loop {
            bounded.answers = answers.clone();
            if cbor::encode(&bounded).len() <= MAX_RECORD_BYTES || answers.pop().is_none() {
                return bounded;
            }
        }
    }
}

/// At most so many letters; a cut text ends with an ellipsis.
fn cut(text: String, max: usize) -> String {
    if text.chars().count() <= max {
        return text;
    }
    text.chars().take(max - 1).chain(['…']).collect()
}

/// `YYYY-MM-DD` in form; whether the calendar has that day does not matter to whoever reads it aloud.
fn is_civil_date(text: &str) -> bool {
    let form = |(i, b): (usize, u8)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() };
    text.len() == 10 && text.bytes().enumerate().all(form)
}
