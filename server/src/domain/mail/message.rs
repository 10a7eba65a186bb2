//! Letters that organizers write themselves.

use super::template::text;
use super::{ComposeError, Facts, Letter, paragraph, small};
use crate::domain::language::Language;

/// Facts: `subject`, `body` (an empty line begins a new paragraph), `event`.
pub(super) fn compose(language: Language, facts: &Facts<'_>) -> Result<Letter, ComposeError> {
    let body = facts.text("body")?.replace("\r\n", "\n");
    let mut blocks: Vec<_> =
        body.split("\n\n").map(str::trim).filter(|part| !part.is_empty()).map(paragraph).collect();
    let why = text(
        "The organizer of {event} wrote this to everybody with a ticket.",
        "Der Veranstalter von {event} hat dies an alle mit einem Ticket geschrieben.",
        "El organizador de {event} ha escrito esto a todos los que tienen una entrada.",
        "L'organisateur de {event} a écrit ceci à toutes les personnes qui ont un billet.",
    );
    // What the organizer wrote is never taken for a template.
    blocks.push(small(why.of(language).replace("{event}", &facts.text("event")?)));
    Ok(Letter { subject: facts.text("subject")?, blocks })
}
