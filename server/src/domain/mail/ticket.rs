//! Letters about tickets that change hands.

use super::{Block, ComposeError, Facts, Letter, link, paragraph, small};

pub(super) fn compose(kind: &str, facts: &Facts<'_>) -> Result<Letter, ComposeError> {
    match kind {
        "ticket.received" => Ok(Letter {
            subject: format!("A ticket for {}", facts.text("event")?),
            blocks: vec![
                paragraph(format!(
                    "You have been given a ticket for {}: {}.",
                    facts.text("event")?,
                    facts.text("starts")?
                )),
                link("Open the ticket", facts.text("link")?),
                small(
                    "Whoever has this link has the ticket: keep this mail to yourself. Codes of this ticket that \
                     others may still have let nobody in any more.",
                ),
            ],
        }),
        "ticket.handed_on" => Ok(Letter {
            subject: format!("Your ticket for {} was handed on", facts.text("event")?),
            blocks: vec![
                paragraph(format!(
                    "A ticket of yours for {} now belongs to {}. Its old code lets nobody in any more.",
                    facts.text("event")?,
                    facts.text("to")?
                )),
                small("If it was not you: tell the organizer at once."),
            ],
        }),
        "ticket.reissued" => Ok(Letter {
            subject: format!("A new code of your ticket for {}", facts.text("event")?),
            blocks: vec![
                paragraph(format!(
                    "A ticket of yours for {} has a new code. The old one lets nobody in any more: open or print \
                     the ticket again.",
                    facts.text("event")?
                )),
                small("If nobody asked for it on your behalf: tell the organizer."),
            ],
        }),
        "ticket.code" => Ok(Letter {
            subject: "Your confirmation code".to_owned(),
            blocks: vec![
                paragraph("Type this code to change or hand on your tickets."),
                Block::Code(facts.text("code")?),
                small(format!("Good for {} minutes.", facts.text("minutes")?)),
                small(
                    "If you did not ask for it: somebody has the link to your tickets. Tell nobody the code.",
                ),
            ],
        }),
        _ => Err(ComposeError::UnknownKind(kind.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::compose;

    #[test]
    fn every_letter_about_tickets_is_written() {
        let facts = json!({
            "event": "Night", "starts": "Friday", "link": "https://t.example/x", "to": "a@b.example", "code": "012345",
            "minutes": 15,
        });
        for kind in ["ticket.received", "ticket.handed_on", "ticket.reissued", "ticket.code"] {
            let letter = compose(kind, "en", facts.as_object().unwrap()).unwrap();
            assert!(!letter.subject.is_empty() && !letter.text().is_empty(), "{kind}");
        }
    }
}
