//! An event for calendars (RFC 5545). Times are in UTC: right everywhere, and no calendar has to know our time zones.

use icalendar::{Calendar, Component as _, Event, EventLike as _, EventStatus};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};
use uuid::Uuid;

/// What a calendar learns.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Names the entry for ever: a later file changes the same entry.
    pub event_id: Uuid,
    pub title: String,
    pub description: String,
    pub location: String,
    /// Latitude and longitude.
    pub place: Option<(f64, f64)>,
    pub url: Option<String>,
    pub starts_at: OffsetDateTime,
    pub ends_at: Option<OffsetDateTime>,
    /// When the organizer changed it last.
    pub changed_at: OffsetDateTime,
    pub created_at: OffsetDateTime,
    pub canceled: bool,
}

/// The file.
#[must_use]
pub fn file(entry: &Entry) -> String {
    let mut event = Event::new();
    event
        .uid(&format!("{}@hvflvspot", entry.event_id))
        .add_property("DTSTAMP", stamp(entry.changed_at))
        .add_property("LAST-MODIFIED", stamp(entry.changed_at))
        // A later state of the entry has a higher number (RFC 5545 section 3.8.7.4).
        .add_property("SEQUENCE", (entry.changed_at - entry.created_at).whole_seconds().max(0).to_string())
        .add_property("DTSTART", stamp(entry.starts_at))
        .summary(&lines(&entry.title))
        .description(&lines(&entry.description))
        .location(&lines(&entry.location))
        .status(if entry.canceled { EventStatus::Cancelled } else { EventStatus::Confirmed });
    if let Some(ends_at) = entry.ends_at {
        event.add_property("DTEND", stamp(ends_at));
    }
    if let Some((latitude, longitude)) = entry.place {
        event.add_property("GEO", format!("{latitude:.6};{longitude:.6}"));
    }
    if let Some(url) = &entry.url {
        event.url(&lines(url));
    }
    let mut calendar = Calendar::empty();
    calendar
        .append_property(("VERSION", "2.0"))
        .append_property(("PRODID", "-//HVFLVSPOT//tickets//EN"))
        .append_property(("CALSCALE", "GREGORIAN"))
        .append_property(("METHOD", "PUBLISH"))
        .push(event.done());
    calendar.done().to_string()
}

/// With one kind of line break, which is escaped then; a bare CR would end the property.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

const UTC_BASIC: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");

fn stamp(at: OffsetDateTime) -> String {
    at.to_offset(UtcOffset::UTC).format(UTC_BASIC).expect("the years of events have four digits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn an_entry_is_escaped_folded_and_in_utc() {
        let entry = Entry {
            event_id: Uuid::from_u128(7),
            title: "Bach; Händel, & \"more\"".into(),
            description:
                "First line\r\nsecond; with, marks and enough of them to be folded after 75 octets — as is due"
                    .into(),
            location: "Konzerthaus, Wien\rBEGIN:VALARM".into(),
            place: Some((48.2, 16.37)),
            url: Some("https://t.example/e".into()),
            starts_at: datetime!(2026-12-01 19:30 +1),
            ends_at: Some(datetime!(2026-12-01 23:00 UTC)),
            changed_at: datetime!(2026-11-22 12:00 UTC),
            created_at: datetime!(2026-11-22 11:59 UTC),
            canceled: false,
        };
        let text = file(&entry);
        assert!(text.starts_with("BEGIN:VCALENDAR\r\n") && text.ends_with("END:VCALENDAR\r\n"), "{text}");
        assert!(text.split("\r\n").all(|line| line.len() <= 75 && !line.contains(['\r', '\n'])), "{text}");
        let unfolded = text.replace("\r\n ", "");
        for line in [
            "VERSION:2.0",
            "DTSTART:20261201T183000Z",
            "DTEND:20261201T230000Z",
            "DTSTAMP:20261122T120000Z",
            "SEQUENCE:60",
            "SUMMARY:Bach\\; Händel\\, & \"more\"",
            "LOCATION:Konzerthaus\\, Wien\\nBEGIN:VALARM",
            "STATUS:CONFIRMED",
            "GEO:48.200000;16.370000",
            "UID:00000000-0000-0000-0000-000000000007@hvflvspot",
        ] {
            assert!(unfolded.lines().any(|l| l == line), "{line} is missing in {unfolded}");
        }
        assert!(unfolded.contains("First line\\nsecond\\; with\\, marks"), "{unfolded}");
        assert!(file(&Entry { canceled: true, ..entry }).contains("STATUS:CANCELLED"));
    }
}
