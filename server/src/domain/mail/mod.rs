//! What our mails say. A letter is a list of blocks, written once as text and once as HTML, so that no template
//! can forget one of the two or the escaping. A mail's kind and language choose the template; what differs from
//! mail to mail comes as facts.

mod account;
mod message;
mod offer;
mod ticket;
mod write;

use serde_json::{Map, Value};

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
    match kind.split_once('.') {
        Some(("auth", _)) => account::compose(kind, language, &facts),
        Some(("message", _)) => message::compose(&facts),
        Some(("offer", _)) => offer::compose(kind, language, &facts),
        Some(("ticket", _)) => ticket::compose(kind, &facts),
        _ => Err(ComposeError::UnknownKind(kind.to_owned())),
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

fn link(label: &str, url: String) -> Block {
    Block::Link { label: label.to_owned(), url }
}
