//! Letters that organizers write themselves.

use super::{ComposeError, Facts, Letter, paragraph, small};

/// Facts: `subject`, `body` (an empty line begins a new paragraph), `event`.
pub(super) fn compose(facts: &Facts<'_>) -> Result<Letter, ComposeError> {
    let body = facts.text("body")?.replace("\r\n", "\n");
    let mut blocks: Vec<_> =
        body.split("\n\n").map(str::trim).filter(|part| !part.is_empty()).map(paragraph).collect();
    blocks.push(small(format!(
        "The organizer of {} wrote this to everybody with a ticket.",
        facts.text("event")?
    )));
    Ok(Letter { subject: facts.text("subject")?, blocks })
}
