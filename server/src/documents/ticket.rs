//! A ticket on paper: one A4 page, which survives being folded twice and a tired printer.

use time::OffsetDateTime;

use super::fonts::{Fonts, Weight};
use super::page::{DocumentError, HEIGHT, INNER, MARGIN, MM, Page, Paper, Style, WIDTH};
use super::qr;
use super::when::Moment;

/// Side of the code with its quiet zone: the symbol itself is 46 mm wide, 1.1 mm a module.
const CODE: f32 = 55.0 * MM;

/// What one page says.
#[derive(Debug, Clone)]
pub struct TicketPage {
    pub organizer: String,
    pub event: String,
    pub starts: Moment,
    pub admission: Option<Moment>,
    pub ends: Option<Moment>,
    /// Name, address, place: those that there are.
    pub venue: Vec<String>,
    pub ticket_type: String,
    pub holder: Option<String>,
    /// From when it lets in, if not from the start.
    pub valid_from: Option<Moment>,
    pub booking: String,
    pub ticket: String,
    /// The text of the code.
    pub code: String,
}

/// The PDF of some tickets, a page each.
pub fn tickets(
    fonts: &Fonts,
    title: &str,
    pages: &[TicketPage],
    made_at: OffsetDateTime,
) -> Result<Vec<u8>, DocumentError> {
    let mut paper = Paper::new(fonts, title, made_at);
    for (at, ticket) in pages.iter().enumerate() {
        let symbol = qr::Symbol::of(&ticket.code)?;
        paper.page(|page| draw(page, ticket, &symbol, (at + 1, pages.len())));
    }
    paper.finish()
}

const LABEL: Style = Style::new(9.5, Weight::Regular).gray(90);
const FACT: Style = Style::new(13.0, Weight::Bold);
const PLAIN: Style = Style::new(12.0, Weight::Regular);
const FINE: Style = Style::new(9.0, Weight::Regular).gray(70);

fn draw(page: &mut Page<'_>, ticket: &TicketPage, symbol: &qr::Symbol, (number, of): (usize, usize)) {
    let mut y = MARGIN + 10.0;
    // Beside "Ticket 1000 of 1000".
    let end = page.block(MARGIN, y, INNER * 0.75, 2, LABEL, &ticket.organizer);
    if of > 1 {
        page.right(WIDTH - MARGIN, y, LABEL, &format!("Ticket {number} of {of}"));
    }
    y = end + 21.0;
    y = page.block(MARGIN, y, INNER, 3, Style::new(26.0, Weight::Bold), &ticket.event);
    y += 2.0;
    page.text(MARGIN, y, Style::new(15.0, Weight::Bold), &ticket.starts.long());
    y += 19.0;
    let mut times = Vec::new();
    times.extend(ticket.admission.as_ref().map(|at| format!("Doors {}", at.short_beside(&ticket.starts))));
    times.extend(ticket.ends.as_ref().map(|at| format!("Ends {}", at.short_beside(&ticket.starts))));
    times.push(format!("Times are local ({})", ticket.starts.zone()));
    y = page.block(MARGIN, y, INNER, 2, PLAIN, &times.join("  ·  "));
    y += 6.0;
    for (at, line) in ticket.venue.iter().enumerate() {
        let style = if at == 0 { FACT } else { PLAIN };
        y = page.block(MARGIN, y, INNER, 2, style, line);
    }
    y += 6.0;
    page.rule(y);
    y += 22.0;

    // The code on the right, what it stands for on the left.
    let left = INNER - CODE - 8.0 * MM;
    page.code(WIDTH - MARGIN - CODE, y - 4.0, CODE, symbol);
    let under = y + CODE + 8.0;
    let mut facts = vec![("Ticket", ticket.ticket_type.clone(), FACT)];
    facts.extend(ticket.holder.clone().map(|name| ("Name", name, FACT)));
    facts.extend(ticket.valid_from.as_ref().map(|at| ("Admits from", at.long(), PLAIN)));
    facts.push(("Booking", ticket.booking.clone(), Style::new(10.0, Weight::Regular)));
    facts.push(("Ticket number", ticket.ticket.clone(), Style::new(10.0, Weight::Regular)));
    for (label, value, style) in facts {
        page.text(MARGIN, y, LABEL, label);
        y = page.block(MARGIN, y + style.leading(), left, 3, style, &value);
        y += 9.0;
    }
    y = y.max(under);
    page.rule(y);
    page.block(
        MARGIN,
        y + 16.0,
        INNER,
        4,
        FINE,
        "Show this code at the entrance, on paper or on a screen. Whoever shows it first is let in: give it to \
         nobody else and publish no picture of it.",
    );
    page.block(MARGIN, HEIGHT - MARGIN, INNER, 1, FINE, &ticket.organizer);
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    fn page(organizer: &str, event: &str, holder: &str) -> TicketPage {
        TicketPage {
            organizer: organizer.into(),
            event: event.into(),
            starts: Moment::new(datetime!(2026-12-01 18:30 UTC), "Europe/Vienna"),
            admission: None,
            ends: None,
            venue: vec![event.into(), organizer.into()],
            ticket_type: event.into(),
            holder: Some(holder.into()),
            valid_from: None,
            booking: "0192f0c1-0000-7000-8000-000000000001".into(),
            ticket: "0192f0c1-0000-7000-8000-000000000002".into(),
            code: "HV1:TEST".into(),
        }
    }

    #[test]
    fn names_in_every_script_are_printed_or_stand_as_boxes_and_never_keep_a_ticket_from_its_holder() {
        let fonts = Fonts::load(&[] as &[&str]).unwrap();
        let now = datetime!(2026-11-22 12:00 UTC);
        for name in [
            "محمد عبد الله",
            "יעל כהן",
            "王小明",
            "田中 さくら",
            "김민준",
            "नेहा शर्मा",
            "Zoë 🎸👩‍👩‍👧 !",
            "e\u{301}\u{301}\u{301}",
            "\u{202e}abc",
            "",
        ] {
            for weight in [Weight::Regular, Weight::Bold] {
                let visible = name.chars().any(|c| !c.is_whitespace() && !c.is_control());
                assert_eq!(fonts.line(name, weight).width > 0.0, visible, "{name}: something stands there");
            }
            let pdf = tickets(&fonts, name, &[page(name, name, name)], now).unwrap();
            assert!(pdf.starts_with(b"%PDF-"), "{name}");
        }
    }

    #[test]
    fn long_names_wrap_and_leave_the_code_its_place() {
        let fonts = Fonts::load(&[] as &[&str]).unwrap();
        let long = "Internationale Gesellschaft zur Förderung zeitgenössischer Musik ".repeat(20);
        for style in [LABEL, FINE] {
            let lines = fonts.wrap(&long, style.weight, INNER / style.size, 2);
            assert!(lines.iter().all(|l| l.width * style.size <= INNER));
        }
        let all = [page(&long, &long, &long), page("A", "B", "C")];
        assert!(tickets(&fonts, &long, &all, datetime!(2026-11-22 12:00 UTC)).is_ok());
    }
}
