//! What an organizer asks those who will come, and whether what they say is an answer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// Letters of a text answer at most.
pub const MAX_TEXT: usize = 500;

/// How a question is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// By words.
    Text,
    /// By one of `choices`.
    Choice,
    /// By true or false.
    YesNo,
}

impl Kind {
    /// The column's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Choice => "choice",
            Self::YesNo => "yes_no",
        }
    }

    /// From the column, whose values a CHECK bounds; an unknown one is answered by words.
    pub fn from_column(word: &str) -> Self {
        match word {
            "choice" => Self::Choice,
            "yes_no" => Self::YesNo,
            _ => Self::Text,
        }
    }
}

/// A question.
#[derive(Debug, Clone)]
pub struct Question {
    pub question_id: Uuid,
    /// `None`: of every ticket type.
    pub ticket_type_id: Option<Uuid>,
    pub label: String,
    pub kind: Kind,
    pub choices: Vec<String>,
    pub required: bool,
}

/// Answers by question.
pub type Answers = BTreeMap<Uuid, Value>;

/// Who will come with one ticket, as a purchase says it.
#[derive(Debug, Clone)]
pub struct Attendee {
    pub ticket_type_id: Option<Uuid>,
    pub name: Option<String>,
    pub answers: Answers,
}

/// The same, given a place: the n-th ticket of its type in the booking.
#[derive(Debug, Clone, PartialEq)]
pub struct Seat {
    pub ticket_type_id: Uuid,
    pub place: i32,
    pub name: Option<String>,
    pub answers: Answers,
}

/// What is wrong: the field, a code, and words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub field: String,
    pub code: &'static str,
    pub message: String,
}

impl Fault {
    fn new(field: String, code: &'static str, message: impl Into<String>) -> Self {
        Self { field, code, message: message.into() }
    }
}

impl Question {
    fn asks(&self, ticket_type: Uuid) -> bool {
        self.ticket_type_id.is_none_or(|only| only == ticket_type)
    }

    /// The answer as it is kept.
    fn answer(&self, value: &Value) -> Result<Value, (&'static str, String)> {
        match (self.kind, value) {
            (Kind::Text, Value::String(text)) => {
                let text = text.trim();
                if text.is_empty() && self.required {
                    return Err(("required", format!("{:?} must be answered", self.label)));
                }
                if text.chars().count() > MAX_TEXT || text.chars().any(|c| c.is_control() && c != '\n') {
                    return Err(("invalid", format!("at most {MAX_TEXT} letters, no control characters")));
                }
                Ok(Value::String(text.to_owned()))
            }
            (Kind::Choice, Value::String(text)) if self.choices.contains(text) => Ok(value.clone()),
            (Kind::Choice, _) => Err(("invalid", format!("one of: {}", self.choices.join(", ")))),
            (Kind::YesNo, Value::Bool(_)) => Ok(value.clone()),
            (Kind::YesNo, _) => Err(("invalid", "true or false".to_owned())),
            (Kind::Text, _) => Err(("invalid", "a text".to_owned())),
        }
    }
}

/// The answers as they are kept, of a ticket of this type; `whole`: every required question must be among them.
pub fn check(
    questions: &[Question],
    ticket_type: Uuid,
    answers: &Answers,
    field: &str,
    whole: bool,
) -> Result<Answers, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut kept = Answers::new();
    for (id, value) in answers {
        let field = format!("{field}.{id}");
        match questions.iter().find(|q| q.question_id == *id && q.asks(ticket_type)) {
            None => faults.push(Fault::new(field, "unknown", "nobody asks this of such a ticket")),
            Some(question) => match question.answer(value) {
                Ok(value) => {
                    kept.insert(*id, value);
                }
                Err((code, message)) => faults.push(Fault::new(field, code, message)),
            },
        }
    }
    if whole {
        let missing = questions
            .iter()
            .filter(|q| q.required && q.asks(ticket_type) && !answers.contains_key(&q.question_id));
        faults.extend(missing.map(|q| {
            let field = format!("{field}.{}", q.question_id);
            Fault::new(field, "required", format!("{:?} must be answered", q.label))
        }));
    }
    if faults.is_empty() { Ok(kept) } else { Err(faults) }
}

/// Gives everybody who will come a place in a booking of `items` (ticket type, quantity).
pub fn seats(
    questions: &[Question],
    items: &[(Uuid, u32)],
    attendees: &[Attendee],
) -> Result<Vec<Seat>, Vec<Fault>> {
    let (mut faults, mut seats) = (Vec::new(), Vec::<Seat>::new());
    for (at, attendee) in attendees.iter().enumerate() {
        let field = |name: &str| format!("attendees[{at}]{name}");
        let of = match (attendee.ticket_type_id, items) {
            (Some(id), _) => items.iter().find(|(of, _)| *of == id),
            (None, [only]) => Some(only),
            (None, _) => {
                let message = "say which of the ticket types";
                faults.push(Fault::new(field(".ticket_type_id"), "required", message));
                continue;
            }
        };
        let Some((ticket_type_id, quantity)) = of.copied() else {
            let message = "no such ticket is bought here";
            faults.push(Fault::new(field(".ticket_type_id"), "unknown", message));
            continue;
        };
        let taken = seats.iter().filter(|s| s.ticket_type_id == ticket_type_id).count();
        if u32::try_from(taken).is_ok_and(|taken| taken >= quantity) {
            faults.push(Fault::new(field(""), "too_many", "more people than tickets of this type"));
            continue;
        }
        match check(questions, ticket_type_id, &attendee.answers, &field(".answers"), true) {
            Ok(answers) => seats.push(Seat {
                ticket_type_id,
                place: i32::try_from(taken).unwrap_or(i32::MAX),
                name: attendee.name.clone(),
                answers,
            }),
            Err(more) => faults.extend(more),
        }
    }
    for (ticket_type, quantity) in items {
        let asked = questions.iter().any(|q| q.required && q.asks(*ticket_type));
        let said = attendees.iter().filter(|a| match a.ticket_type_id {
            Some(id) => id == *ticket_type,
            None => items.len() == 1,
        });
        if asked && u32::try_from(said.count()).is_ok_and(|said| said < *quantity) {
            let message = "the organizer asks something of everybody who comes";
            faults.push(Fault::new("attendees".to_owned(), "required", message));
            break;
        }
    }
    if faults.is_empty() { Ok(seats) } else { Err(faults) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const A: Uuid = Uuid::from_u128(1);
    const B: Uuid = Uuid::from_u128(2);

    fn questions() -> Vec<Question> {
        let of = |n: u128, kind, ticket_type_id, required| Question {
            question_id: Uuid::from_u128(n),
            ticket_type_id,
            label: format!("Question {n}"),
            kind,
            choices: if kind == Kind::Choice { vec!["S".into(), "M".into()] } else { vec![] },
            required,
        };
        vec![
            of(10, Kind::Text, None, false),
            of(11, Kind::Choice, Some(B), true),
            of(12, Kind::YesNo, None, false),
        ]
    }

    fn said(answers: &[(u128, Value)]) -> Answers {
        answers.iter().map(|(n, value)| (Uuid::from_u128(*n), value.clone())).collect()
    }

    fn who(ticket_type_id: Option<Uuid>, answers: &[(u128, Value)]) -> Attendee {
        Attendee { ticket_type_id, name: Some("Zoë".into()), answers: said(answers) }
    }

    #[test]
    fn an_answer_is_of_the_kind_that_was_asked_for() {
        let check = |answers: &[(u128, Value)]| {
            check(&questions(), B, &said(answers), "a", false).map_err(|f| f[0].code)
        };
        assert_eq!(check(&[(10, json!("  vegan "))]), Ok(said(&[(10, json!("vegan"))])));
        assert_eq!(check(&[(11, json!("M")), (12, json!(false))]).map(|a| a.len()), Ok(2));
        for (n, bad) in [
            (10, json!(7)),
            (10, json!("x".repeat(501))),
            (10, json!("a\u{7}")),
            (11, json!("XL")),
            (12, json!("yes")),
        ] {
            assert_eq!(check(&[(n, bad.clone())]), Err("invalid"), "{bad}");
        }
        assert_eq!(check(&[(99, json!("x"))]), Err("unknown"));
    }

    #[test]
    fn everybody_has_a_place_of_a_type_that_is_bought() {
        let items = [(A, 2), (B, 1)];
        let all = [who(Some(A), &[]), who(Some(B), &[(11, json!("S"))]), who(Some(A), &[])];
        let seats = seats(&questions(), &items, &all).unwrap();
        let places: Vec<(Uuid, i32)> = seats.iter().map(|s| (s.ticket_type_id, s.place)).collect();
        assert_eq!(places, [(A, 0), (B, 0), (A, 1)]);
    }

    #[test]
    fn what_is_missing_or_too_much_is_named() {
        let fault = |items: &[(Uuid, u32)], all: &[Attendee]| {
            let faults = seats(&questions(), items, all).unwrap_err();
            (faults[0].field.clone(), faults[0].code)
        };
        assert_eq!(fault(&[(B, 1)], &[]), ("attendees".into(), "required"));
        let (field, code) = fault(&[(B, 1)], &[who(None, &[])]);
        assert!(field.starts_with("attendees[0].answers.") && code == "required", "{field}");
        assert_eq!(fault(&[(A, 1), (B, 1)], &[who(None, &[])]).0, "attendees[0].ticket_type_id");
        assert_eq!(fault(&[(A, 1)], &[who(Some(B), &[])]), ("attendees[0].ticket_type_id".into(), "unknown"));
        assert_eq!(fault(&[(A, 1)], &[who(None, &[]), who(None, &[])]), ("attendees[1]".into(), "too_many"));
        assert_eq!(seats(&questions(), &[(A, 3)], &[]), Ok(vec![]), "nothing is asked, nothing must be said");
    }
}
