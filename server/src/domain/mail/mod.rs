//! What our mails say. A letter is a list of blocks, written once as text and once as HTML, so that no template
//! can forget one of the two or the escaping. A mail's kind and language choose the template; what differs from
//! mail to mail comes as facts.

mod account;
mod booking;
mod message;
mod offer;
mod sales;
mod template;
mod ticket;
mod webhook;
mod write;

use serde_json::{Map, Value};

use self::template::Template;
use super::language::Language;

/// Characters of a text message before its link: at 67 a piece the price of five.
const SHORT: usize = 300;

/// A letter before it is written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    pub subject: String,
    pub blocks: Vec<Block>,
}

/// A piece of a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    Paragraph(String),
    /// A button in HTML; label and address in text.
    Link {
        label: String,
        url: String,
    },
    /// Digits to type.
    Code(String),
    /// What most readers may skip.
    Small(String),
}

/// Why a letter cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    #[error("there is no template for {0}")]
    UnknownKind(String),
    #[error("the facts lack {0}")]
    MissingFact(&'static str),
}

/// The letter of a kind. Languages without templates of their own get English.
pub fn compose(kind: &str, language: &str, facts: &Map<String, Value>) -> Result<Letter, ComposeError> {
    let facts = Facts(facts);
    let language = Language::of_tag(language).unwrap_or_default();
    if kind.starts_with("message.") {
        return message::compose(language, &facts);
    }
    let template = all().find(|t| t.kind == kind);
    template.ok_or_else(|| ComposeError::UnknownKind(kind.to_owned()))?.write(language, &facts)
}

/// Every template.
fn all() -> impl Iterator<Item = &'static Template> {
    [
        account::TEMPLATES,
        booking::TEMPLATES,
        offer::TEMPLATES,
        sales::TEMPLATES,
        ticket::TEMPLATES,
        webhook::TEMPLATES,
    ]
    .into_iter()
    .flatten()
}

impl Letter {
    /// The first words of it, for where there is no room for a letter.
    pub fn brief(&self) -> &str {
        let text = |block: &Block| matches!(block, Block::Paragraph(_));
        match self.blocks.iter().find(|block| text(block)) {
            Some(Block::Paragraph(text)) => text,
            _ => "",
        }
    }

    /// What fits into a text message: the subject, as many of the paragraphs as there is room for, the link.
    pub fn short(&self) -> String {
        let mut out = self.subject.clone();
        let subject = out.chars().count();
        let mut room = SHORT.saturating_sub(subject);
        for block in &self.blocks {
            let Block::Paragraph(text) = block else { continue };
            let length = text.chars().count() + 1;
            if length <= room {
                room -= length;
                out.push('\n');
                out.push_str(text);
                continue;
            }
            // Of the first at least its beginning.
            if out.chars().count() == subject {
                let begins: String = text.chars().take(room.saturating_sub(2)).collect();
                out.push('\n');
                out.push_str(begins.trim_end());
                out.push('…');
            }
            break;
        }
        if let Some(link) = self.link() {
            out.push('\n');
            out.push_str(link);
        }
        out
    }

    /// Where its button leads.
    pub fn link(&self) -> Option<&str> {
        self.blocks.iter().find_map(|block| match block {
            Block::Link { url, .. } => Some(url.as_str()),
            _ => None,
        })
    }
}

/// What differs from mail to mail.
struct Facts<'a>(&'a Map<String, Value>);

impl Facts<'_> {
    /// A text that the template cannot do without.
    fn text(&self, name: &'static str) -> Result<String, ComposeError> {
        self.maybe(name).ok_or(ComposeError::MissingFact(name))
    }

    /// A text or number, if it is there.
    fn maybe(&self, name: &str) -> Option<String> {
        match self.0.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

fn paragraph(text: impl Into<String>) -> Block {
    Block::Paragraph(text.into())
}

fn small(text: impl Into<String>) -> Block {
    Block::Small(text.into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::template::names;
    use super::*;
    use crate::domain::notification::NoticeType;

    /// Every fact that any letter may need.
    fn facts() -> Map<String, Value> {
        let money = json!({ "amount_minor": 2_650, "currency": "EUR" });
        let moment = json!({ "at": "2026-12-01T18:30:00Z", "zone": "Europe/Vienna" });
        let all = json!({
            "event": "Night", "starts": moment, "until": moment, "at": moment, "link": "https://t.example/x",
            "to": "a@b.example", "code": "012345", "minutes": 15, "tries": 20, "new_email": "a@b.example",
            "client": "Firefox", "address": "192.0.2.1", "organizer": "Nachtklang", "role": "door", "quantity": 2,
            "ticket_type": "Standing", "place": "Stadtsaal", "reason": "Storm", "refund": money, "total": money,
            "tickets": "2 × Standing", "what": { "en": "this", "de": "dies", "es": "esto", "fr": "ceci" },
            "attached": "yes", "url": "https://hooks.example/in", "subject": "Doors", "body": "One.\n\nTwo.",
        });
        all.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn no_template_misses_a_language_or_says_another_thing_in_one() {
        let mut kinds = BTreeSet::new();
        for template in all() {
            assert!(kinds.insert(template.kind), "{} stands twice", template.kind);
            for text in template.texts() {
                let wanted = names(text.en);
                for language in Language::ALL {
                    let words = text.of(language);
                    assert!(!words.trim().is_empty(), "{} has no {language:?}", template.kind);
                    assert_eq!(names(words), wanted, "{} in {language:?}: {words}", template.kind);
                    assert_eq!(words.matches('{').count(), words.matches('}').count(), "{words}");
                }
            }
        }
        assert_eq!(kinds.len(), 36, "{kinds:?}");
    }

    #[test]
    fn every_letter_is_written_in_every_language_and_without_holes() {
        let facts = facts();
        for template in all() {
            let mut subjects = BTreeSet::new();
            for language in Language::ALL {
                let letter = compose(template.kind, language.as_str(), &facts).unwrap();
                for written in [letter.text(), letter.html(language.as_str()), letter.subject.clone()] {
                    assert!(!written.contains(['{', '}']) || written.contains("@media"), "{written}");
                }
                assert!(
                    !letter.text().contains(['{', '}']) && !letter.brief().is_empty(),
                    "{}",
                    template.kind
                );
                subjects.insert(letter.subject);
            }
            assert_eq!(subjects.len(), 4, "{}: two languages have one subject", template.kind);
        }
        let german = compose("booking.paid", "de-AT", &facts).unwrap().text();
        assert!(
            german.contains("26,50 EUR") && german.contains("Dienstag, 1. Dezember 2026, 19:30 Uhr"),
            "{german}"
        );
        assert_eq!(compose("message.event", "fr", &facts).unwrap().blocks.len(), 3);
    }

    #[test]
    fn a_text_message_says_what_and_when_and_ends_with_the_whole_link() {
        let letter = compose("event.changed", "en", &facts()).unwrap();
        let short = letter.short();
        assert!(short.starts_with("Changed: Night\n") && short.contains("1 December 2026, 19:30"), "{short}");
        let mut long = facts();
        long.insert("tickets".to_owned(), json!("seat ".repeat(100)));
        let short = compose("booking.reminder", "en", &long).unwrap().short();
        let lines: Vec<&str> = short.split('\n').collect();
        assert_eq!((lines.len(), lines[0], lines[2]), (3, "Soon: Night", "https://t.example/x"), "{short}");
        assert!(lines[1].starts_with("You have seat seat") && lines[1].ends_with('…'), "{short}");
        for template in all() {
            let short = compose(template.kind, "de", &facts()).unwrap().short();
            assert!(short.chars().count() <= SHORT + 20, "{short}");
        }
    }

    #[test]
    fn a_letter_is_not_sent_with_a_hole_in_it() {
        for template in all() {
            for part in template.texts() {
                for name in names(part.en) {
                    let mut facts = facts();
                    facts.remove(name);
                    match compose(template.kind, "fr", &facts) {
                        Ok(letter) => assert!(!letter.text().contains('{'), "{}", template.kind),
                        Err(e) => assert_eq!(e.to_string(), format!("the facts lack {name}")),
                    }
                }
            }
        }
    }

    #[test]
    fn a_language_without_templates_gets_english() {
        let letter = compose("auth.magic_link", "tlh", &facts()).unwrap();
        assert_eq!(letter.subject, "Your sign-in link");
        assert_eq!(NoticeType::of_kind("booking.paid"), NoticeType::Bookings);
    }
}
