//! Templates as data: every text stands in all languages at once, so that none can be forgotten. `{name}` is a fact; one
//! that is missing is an error, and the letter is not sent with a hole in it.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Block, ComposeError, Facts, Letter};
use crate::domain::language::Language;
pub(super) use crate::domain::language::{Text, text};

/// A piece of a template.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Paragraph(Text),
    /// Only if there is this fact, and it is not empty.
    If(&'static str, Text),
    /// A button to the fact `link`.
    Link(Text),
    /// The fact `code`.
    Code,
    /// A sentence and the fact `code`, if there is one.
    CodeIf(Text),
    Small(Text),
    /// The first for one of them, the second for more, nothing for none.
    Count(&'static str, Text, Text),
    /// A small text if there is this fact, else the other.
    SmallIf(&'static str, Text, Text),
}

/// A letter to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Template {
    pub kind: &'static str,
    pub subject: Text,
    pub parts: &'static [Part],
}

impl Template {
    pub fn write(&self, language: Language, facts: &Facts<'_>) -> Result<Letter, ComposeError> {
        let fill = |text: &Text| fill(text.of(language), language, facts);
        let mut blocks = Vec::with_capacity(self.parts.len());
        for part in self.parts {
            match part {
                Part::Paragraph(text) => blocks.push(Block::Paragraph(fill(text)?)),
                Part::If(name, text) => {
                    if value(name, language, facts).is_some_and(|v| !v.is_empty()) {
                        blocks.push(Block::Paragraph(fill(text)?));
                    }
                }
                Part::Count(name, one, more) => match facts.maybe(name).as_deref() {
                    None | Some("0") => {}
                    Some("1") => blocks.push(Block::Paragraph(fill(one)?)),
                    Some(_) => blocks.push(Block::Paragraph(fill(more)?)),
                },
                Part::Link(label) => {
                    blocks.push(Block::Link { label: fill(label)?, url: facts.text("link")? });
                }
                Part::Code => blocks.push(Block::Code(facts.text("code")?)),
                Part::CodeIf(text) => {
                    if let Some(code) = facts.maybe("code") {
                        blocks.push(Block::Paragraph(fill(text)?));
                        blocks.push(Block::Code(code));
                    }
                }
                Part::Small(text) => blocks.push(Block::Small(fill(text)?)),
                Part::SmallIf(name, text, other) => {
                    let text = if facts.maybe(name).is_some() { text } else { other };
                    blocks.push(Block::Small(fill(text)?));
                }
            }
        }
        Ok(Letter { subject: fill(&self.subject)?, blocks })
    }

    /// Every text of it.
    #[cfg(test)]
    pub fn texts(&self) -> Vec<Text> {
        let mut all = vec![self.subject];
        for part in self.parts {
            match part {
                Part::Paragraph(t) | Part::If(_, t) | Part::Link(t) | Part::CodeIf(t) | Part::Small(t) => {
                    all.push(*t);
                }
                Part::SmallIf(_, one, other) | Part::Count(_, one, other) => all.extend([*one, *other]),
                Part::Code => {}
            }
        }
        all
    }
}

fn fill(text: &'static str, language: Language, facts: &Facts<'_>) -> Result<String, ComposeError> {
    let mut out = String::with_capacity(text.len());
    for (name, plain) in pieces(text) {
        if let Some(name) = name {
            out.push_str(&value(name, language, facts).ok_or(ComposeError::MissingFact(name))?);
        }
        out.push_str(plain);
    }
    Ok(out)
}

/// The text cut at its facts: (fact before it, plain text).
fn pieces(text: &'static str) -> impl Iterator<Item = (Option<&'static str>, &'static str)> {
    text.split('{').enumerate().map(|(at, piece)| match piece.split_once('}') {
        Some((name, plain)) if at > 0 => (Some(name), plain),
        _ => (None, piece),
    })
}

/// The facts that a text needs.
#[cfg(test)]
pub(super) fn names(text: &'static str) -> std::collections::BTreeSet<&'static str> {
    pieces(text).filter_map(|(name, _)| name).collect()
}

/// A fact in words: a text, a number, a moment `{at, zone}`, an amount
/// `{amount_minor, currency}`, a text `{en, de, es, fr}`.
fn value(name: &str, language: Language, facts: &Facts<'_>) -> Option<String> {
    if let Some(text) = facts.maybe(name) {
        return Some(text);
    }
    let object = facts.0.get(name)?;
    // A fact that is a text of ours stands there in every language.
    if let Some(text) = object[language.as_str()].as_str() {
        return Some(text.to_owned());
    }
    if let (Some(at), Some(zone)) = (object["at"].as_str(), object["zone"].as_str()) {
        return Some(language.moment(OffsetDateTime::parse(at, &Rfc3339).ok()?, zone));
    }
    let currency = object["currency"].as_str()?.parse().ok()?;
    let amount_minor = object["amount_minor"].as_i64()?;
    Some(language.money(shared::money::Money { amount_minor, currency }))
}
