//! The list for a door where nothing else works: one HTML page that needs nothing beside it, for paper and for phones.

use std::fmt::Write as _;

use super::when::Moment;
use crate::domain::search::fold;
use crate::domain::text::escaped;

/// The page's only style.
pub const STYLE: &str = include_str!("door_list.css");

/// A ticket that may come.
#[derive(Debug, Clone)]
pub struct Guest {
    pub name: Option<String>,
    /// Where there is no name.
    pub email: Option<String>,
    pub ticket_type: String,
    /// Its last characters are enough to tell two of a name apart.
    pub booking: String,
    /// First admitted then, by the clocks at the venue.
    pub admitted: Option<Moment>,
    pub blocked: bool,
}

impl Guest {
    fn called(&self) -> Option<&str> {
        let said = |text: &'_ &str| !text.trim().is_empty();
        self.name.as_deref().filter(said).or_else(|| self.email.as_deref().filter(said))
    }
}

/// What stands above the list.
#[derive(Debug)]
pub struct Heading<'a> {
    pub title: &'a str,
    pub starts: &'a Moment,
    pub venue: &'a str,
    pub city: &'a str,
    pub as_of: &'a Moment,
}

/// The page: by name, letter by letter; who has none stands at the end.
#[must_use]
pub fn page(heading: &Heading<'_>, mut guests: Vec<Guest>) -> String {
    guests.sort_by_cached_key(|guest| {
        let name = guest.called().map(fold);
        (name.is_none(), letter(guest) == OTHERS, name, guest.ticket_type.clone(), guest.booking.clone())
    });
    let parts: Vec<&[Guest]> = guests.chunk_by(|a, b| letter(a) == letter(b)).collect();
    let mut out = String::with_capacity(1 << 14);
    head(&mut out, heading, &guests);
    if parts.len() > 1 {
        out.push_str("<nav aria-label=\"Letters\">");
        for (at, part) in parts.iter().enumerate() {
            let initial = part.first().map(letter).unwrap_or_default();
            write!(out, "<a href=\"#part-{at}\">{}</a>", escaped(&initial)).expect(ENDLESS);
        }
        out.push_str("</nav>\n");
    }
    if guests.is_empty() {
        out.push_str("<p class=\"empty\">Nobody has a ticket yet.</p>\n");
    } else {
        out.push_str(
            "<table>\n<thead><tr><th scope=\"col\">In</th><th scope=\"col\">Name</th><th scope=\"col\">Ticket</th>\
             <th scope=\"col\">Booking ends</th><th scope=\"col\">Note</th></tr></thead>\n",
        );
        for (at, part) in parts.iter().enumerate() {
            let initial = part.first().map(letter).unwrap_or_default();
            writeln!(
                out,
                "<tbody id=\"part-{at}\">\n<tr class=\"letter\"><th colspan=\"5\" scope=\"rowgroup\">{}</th></tr>",
                escaped(&initial)
            )
            .expect(ENDLESS);
            part.iter().for_each(|guest| row(&mut out, guest, heading.as_of));
            out.push_str("</tbody>\n");
        }
        out.push_str("</table>\n");
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

const ENDLESS: &str = "a string takes everything";
/// Where names stand that begin with no letter.
const OTHERS: &str = "#";
const NAMELESS: &str = "No name";

fn letter(guest: &Guest) -> String {
    let Some(name) = guest.called() else { return NAMELESS.to_owned() };
    match fold(name).chars().next() {
        Some(c) if c.is_alphabetic() => c.to_uppercase().collect(),
        _ => OTHERS.to_owned(),
    }
}

fn head(out: &mut String, heading: &Heading<'_>, guests: &[Guest]) {
    let title = escaped(heading.title);
    let place = [heading.venue, heading.city].iter().filter(|p| !p.is_empty()).fold(
        escaped(&heading.starts.long()),
        |mut line, part| {
            line.push_str(" · ");
            line.push_str(&escaped(part));
            line
        },
    );
    let admitted = guests.iter().filter(|g| g.admitted.is_some()).count();
    let blocked = guests.iter().filter(|g| g.blocked).count();
    let as_of = heading.as_of;
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"robots\" content=\"noindex\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n<title>Door list: {title}</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<main>\n<header>\n<p class=\"kind\">Door list</p>\n<h1>{title}</h1>\n<p class=\"where\">{place}</p>\n\
         <dl><div><dt>tickets</dt><dd>{}</dd></div><div><dt>already in</dt><dd>{admitted}</dd></div>\
         <div><dt>blocked</dt><dd>{blocked}</dd></div></dl>\n\
         <p class=\"made\">As of {}, {} ({}). Sales and scans after that are not on it.</p>\n</header>\n",
        guests.len(),
        as_of.date(),
        as_of.clock(),
        escaped(as_of.zone()),
    )
    .expect(ENDLESS);
}

fn row(out: &mut String, guest: &Guest, as_of: &Moment) {
    let (class, mark, label) = match guest {
        Guest { blocked: true, .. } => (" blocked", "\u{d7}", "blocked"),
        Guest { admitted: Some(_), .. } => (" in", "\u{2713}", "in"),
        _ => ("", "", "not in"),
    };
    let admitted = guest.admitted.as_ref().map(|at| format!("in since {}", at.short_beside(as_of)));
    let note = match (guest.blocked, admitted) {
        (true, Some(admitted)) => format!("blocked: do not admit ({admitted})"),
        (true, None) => "blocked: do not admit".to_owned(),
        (false, admitted) => admitted.unwrap_or_default(),
    };
    let name = guest.called().map_or(format!("<span class=\"none\">{NAMELESS}</span>"), escaped);
    let from = guest.booking.char_indices().rev().nth(5).map_or(0, |(at, _)| at);
    writeln!(
        out,
        "<tr class=\"ticket{class}\"><td><span class=\"box\" role=\"img\" aria-label=\"{label}\">{mark}</span></td>\
         <td class=\"name\">{name}</td><td class=\"type\">{}</td><td class=\"end\">{}</td><td class=\"note\">{}</td></tr>",
        escaped(&guest.ticket_type),
        escaped(&guest.booking[from..]),
        escaped(&note),
    )
    .expect(ENDLESS);
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    fn guest(name: &str) -> Guest {
        Guest {
            name: Some(name.to_owned()),
            email: None,
            ticket_type: "Standard".to_owned(),
            booking: "0192f0c1-0000-7000-8000-000000abcdef".to_owned(),
            admitted: None,
            blocked: false,
        }
    }

    fn made(guests: Vec<Guest>) -> String {
        let at = |at| Moment::new(at, "Europe/Vienna");
        let (starts, as_of) = (at(datetime!(2026-11-27 19:30 UTC)), at(datetime!(2026-11-27 20:05 UTC)));
        let heading = Heading { title: "A & B", starts: &starts, venue: "Hall", city: "Wien", as_of: &as_of };
        page(&heading, guests)
    }

    #[test]
    fn names_stand_in_the_order_of_their_letters_whatever_their_accents() {
        let nameless = Guest { name: Some("  ".to_owned()), ..guest("") };
        let page =
            made(vec![nameless, guest("zoe"), guest("42"), guest("Änne"), guest("adam"), guest("Émile")]);
        let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is missing"));
        let order = [">adam<", ">Änne<", ">Émile<", ">zoe<", ">42<", ">No name</span>"].map(place);
        assert!(order.is_sorted(), "{order:?}");
        for part in [">A</th>", ">E</th>", ">Z</th>", ">#</th>", ">No name</th>"] {
            assert_eq!(page.matches(part).count(), 1, "{part}");
        }
        assert!(page.contains(">abcdef<") && !page.contains("0192f0c1"), "the booking's end is enough");
    }

    #[test]
    fn what_somebody_wrote_is_text_and_blocked_ones_are_told() {
        let since = Moment::new(datetime!(2026-11-27 19:31 UTC), "Europe/Vienna");
        let inside = Guest { admitted: Some(since), ..guest("<b>\"Eve\"</b>") };
        let page = made(vec![inside, Guest { blocked: true, ..guest("Mal") }]);
        assert!(page.contains("&lt;b&gt;&quot;Eve&quot;&lt;/b&gt;") && !page.contains("<b>"));
        assert!(
            page.contains("A &amp; B")
                && page.contains("in since 20:31")
                && page.contains("20:30 · Hall · Wien")
        );
        assert_eq!(page.matches("blocked: do not admit").count(), 1);
        assert!(page.contains("<dd>2</dd>") && page.matches("<dd>1</dd>").count() == 2);
        assert!(made(Vec::new()).contains("Nobody has a ticket yet."));
    }
}
