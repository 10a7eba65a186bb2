//! Letters about offers: tickets given away, places on a waiting list, events that were canceled, money that goes back.

use super::{ComposeError, Facts, Letter, link, paragraph, small};

pub(super) fn compose(kind: &str, _language: &str, facts: &Facts<'_>) -> Result<Letter, ComposeError> {
    let event = facts.text("event")?;
    match kind {
        // Facts: `event`, `quantity`, `ticket_type`, `link`.
        "offer.complimentary" => Ok(Letter {
            subject: format!("Your tickets for {event}"),
            blocks: vec![
                paragraph(format!(
                    "You have been given {} × {} for {event}.",
                    facts.text("quantity")?,
                    facts.text("ticket_type")?
                )),
                link("Open the tickets", facts.text("link")?),
                small("Whoever has this link has the tickets: keep it to yourself."),
            ],
        }),
        // Facts: the same, and `place`.
        "offer.waiting" => Ok(Letter {
            subject: format!("You are on the waiting list for {event}"),
            blocks: vec![
                paragraph(format!(
                    "You wait for {} × {} for {event}, at place {}. We write as soon as it is your turn.",
                    facts.text("quantity")?,
                    facts.text("ticket_type")?,
                    facts.text("place")?
                )),
                link("See your place, or leave the list", facts.text("link")?),
            ],
        }),
        // Facts: the same without `place`, and `until`.
        "offer.made" => Ok(Letter {
            subject: format!("It is your turn: tickets for {event}"),
            blocks: vec![
                paragraph(format!(
                    "{} × {} for {event} are held for you until {}. After that they go to the next in line.",
                    facts.text("quantity")?,
                    facts.text("ticket_type")?,
                    facts.text("until")?
                )),
                link("Open the offer", facts.text("link")?),
                small("Whoever has this link can buy and see the tickets: keep it to yourself."),
            ],
        }),
        // Facts: `event`; if they are known `reason`, and `refund`: what goes back.
        "offer.event_canceled" => {
            let mut blocks = vec![paragraph(format!(
                "{event} was canceled and does not take place. Your tickets are no longer valid."
            ))];
            if let Some(reason) = facts.maybe("reason").filter(|reason| !reason.is_empty()) {
                blocks.push(paragraph(format!("The organizer says: {reason}")));
            }
            if let Some(refund) = facts.maybe("refund") {
                blocks.push(paragraph(format!(
                    "What you paid ({refund}) goes back the way it came, as far as it has not already. You need not do anything."
                )));
            }
            Ok(Letter { subject: format!("Canceled: {event}"), blocks })
        }
        // Facts: `event`, `refund`: what goes back.
        "offer.paid_too_late" => Ok(Letter {
            subject: format!("Your payment for {event} came too late"),
            blocks: vec![
                paragraph(format!(
                    "Your payment for {event} arrived after your tickets were no longer held, and they cannot be had any \
                     more. You have no tickets."
                )),
                paragraph(format!(
                    "What you paid ({}) goes back the way it came. You need not do anything.",
                    facts.text("refund")?
                )),
            ],
        }),
        // Facts: the same, and `tickets`: how many of them are no longer valid.
        "offer.refunded" => {
            let mut blocks = vec![paragraph(format!(
                "{} of what you paid for {event} goes back the way it came. It may take some days until you see it.",
                facts.text("refund")?
            ))];
            match facts.maybe("tickets").as_deref() {
                None | Some("0") => {}
                Some("1") => blocks.push(paragraph("The ticket that it was for is no longer valid.")),
                Some(n) => {
                    blocks.push(paragraph(format!("The {n} tickets that it was for are no longer valid.")))
                }
            }
            Ok(Letter { subject: format!("Your refund for {event}"), blocks })
        }
        _ => Err(ComposeError::UnknownKind(kind.to_owned())),
    }
}
