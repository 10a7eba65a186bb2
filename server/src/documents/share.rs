//! What an event's page says of it to those who do not run its script: link previews (Open Graph, ogp.me; Twitter cards)
//! and search engines (schema.org `Event` as JSON-LD).

use serde_json::{Value, json};
use shared::admission::zone::{EventZone, Utc, Zone};
use shared::time::UnixMillis;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use super::money;
use crate::domain::catalog::Availability;
use crate::domain::language::Language;
use crate::domain::text::escaped;

/// Characters of a description that are shown; previews cut it earlier.
const DESCRIPTION: usize = 300;
/// Offers that are told; the page shows all.
const OFFERS: usize = 20;

/// An event as everybody may see it.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Of its page.
    pub url: String,
    /// Of a picture of it.
    pub image: String,
    pub title: String,
    pub artists: Vec<String>,
    pub description: String,
    /// ISO 639-1.
    pub language: Option<String>,
    pub organizer_name: String,
    pub organizer_website: Option<String>,
    pub venue_name: String,
    pub venue_address: String,
    pub city: String,
    /// ISO 3166-1, two letters.
    pub country: Option<String>,
    /// Latitude and longitude.
    pub place: Option<(f64, f64)>,
    pub time_zone: String,
    pub admission_at: Option<OffsetDateTime>,
    pub starts_at: OffsetDateTime,
    pub ends_at: Option<OffsetDateTime>,
    pub canceled: bool,
    /// ISO 4217.
    pub currency: String,
    pub offers: Vec<Offered>,
}

/// A ticket type on public sale, now or later.
#[derive(Debug, Clone)]
pub struct Offered {
    pub name: String,
    /// What a buyer pays for one.
    pub total_minor: i64,
    pub availability: Availability,
    pub sales_from: Option<OffsetDateTime>,
    pub sales_until: Option<OffsetDateTime>,
}

impl Shown {
    /// By the clocks at the venue, in the event's language if it is one of ours.
    #[must_use]
    pub fn when(&self) -> String {
        let language = self.language.as_deref().and_then(Language::of_tag).unwrap_or_default();
        language.moment(self.starts_at, &self.time_zone)
    }

    /// Venue and city, as far as they are known.
    #[must_use]
    pub fn place_in_words(&self) -> String {
        joined(&[&self.venue_name, &self.city])
    }

    /// When and where, in one line.
    #[must_use]
    pub fn when_and_where(&self) -> String {
        joined(&[&self.when(), &self.venue_name, &self.city])
    }

    /// What previews say below the title: the description's beginning, in one line; without one, when and where.
    #[must_use]
    pub fn summary(&self) -> String {
        let line = self.description.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.is_empty() {
            return self.when_and_where();
        }
        cut(&line, DESCRIPTION)
    }

    /// The part of the page's head that is about the event, title included.
    #[must_use]
    pub fn head(&self) -> String {
        let (summary, when_and_where) = (self.summary(), self.when_and_where());
        let mut head = format!(
            "<title>{0} · HVFLVSPOT</title>\n<link rel=\"canonical\" href=\"{1}\">\n\
             <meta name=\"description\" content=\"{2}\">\n",
            escaped(&self.title),
            escaped(&self.url),
            escaped(&summary),
        );
        for (property, content) in [
            ("og:type", "website"),
            ("og:site_name", "HVFLVSPOT"),
            ("og:title", self.title.as_str()),
            ("og:description", summary.as_str()),
            ("og:url", self.url.as_str()),
            ("og:image", self.image.as_str()),
            ("og:image:width", "1200"),
            ("og:image:height", "630"),
            ("og:image:alt", when_and_where.as_str()),
        ] {
            head += &format!("<meta property=\"{property}\" content=\"{}\">\n", escaped(content));
        }
        // What else a card shows it reads from the properties above.
        head += "<meta name=\"twitter:card\" content=\"summary_large_image\">\n";
        head + &format!("<script type=\"application/ld+json\">{}</script>\n", data_block(&self.json_ld()))
    }

    /// schema.org's `Event`.
    #[must_use]
    pub fn json_ld(&self) -> Value {
        let mut event = json!({
            "@context": "https://schema.org", "@type": "Event",
            "name": self.title, "description": self.summary(), "url": self.url, "image": [self.image],
            "startDate": self.at_the_venue(self.starts_at),
            "eventStatus": schema(if self.canceled { "EventCancelled" } else { "EventScheduled" }),
            "eventAttendanceMode": schema("OfflineEventAttendanceMode"),
            "location": self.location(),
            "organizer": { "@type": "Organization", "name": self.organizer_name },
        });
        if let Some(website) = &self.organizer_website {
            event["organizer"]["url"] = json!(website);
        }
        for (name, at) in [("endDate", self.ends_at), ("doorTime", self.admission_at)] {
            if let Some(at) = at {
                event[name] = json!(self.at_the_venue(at));
            }
        }
        if let Some(language) = &self.language {
            event["inLanguage"] = json!(language);
        }
        if !self.artists.is_empty() {
            let performer = |name: &String| json!({ "@type": "PerformingGroup", "name": name });
            event["performer"] = self.artists.iter().map(performer).collect();
        }
        if !self.canceled && !self.offers.is_empty() {
            event["offers"] = self.offers.iter().take(OFFERS).map(|of| self.offer(of)).collect();
        }
        event
    }

    fn location(&self) -> Value {
        let named = if self.venue_name.is_empty() { &self.city } else { &self.venue_name };
        let mut address = json!({ "@type": "PostalAddress" });
        for (name, text) in [
            ("streetAddress", Some(&self.venue_address)),
            ("addressLocality", Some(&self.city)),
            ("addressCountry", self.country.as_ref()),
        ] {
            if let Some(text) = text.filter(|t| !t.is_empty()) {
                address[name] = json!(text);
            }
        }
        let mut place = json!({ "@type": "Place", "name": named, "address": address });
        if let Some((latitude, longitude)) = self.place {
            place["geo"] = json!({ "@type": "GeoCoordinates", "latitude": latitude, "longitude": longitude });
        }
        place
    }

    fn offer(&self, of: &Offered) -> Value {
        let mut offer = json!({
            "@type": "Offer", "name": of.name, "url": self.url,
            "price": money::plain(of.total_minor, &self.currency), "priceCurrency": self.currency,
            "availability": schema(match of.availability {
                Availability::Available => "InStock",
                Availability::Few => "LimitedAvailability",
                Availability::SoldOut => "SoldOut",
            }),
        });
        for (name, at) in [("validFrom", of.sales_from), ("validThrough", of.sales_until)] {
            if let Some(at) = at {
                offer[name] = json!(self.at_the_venue(at));
            }
        }
        offer
    }

    /// `2026-12-24T20:00:00+01:00`: what clocks at the venue show, and how far they are from UTC.
    fn at_the_venue(&self, at: OffsetDateTime) -> String {
        let zone = EventZone::named(&self.time_zone);
        let zone: &dyn Zone = zone.as_ref().map_or(&Utc, |z| z);
        let at = at.replace_nanosecond(0).unwrap_or(at);
        let offset = zone
            .local(UnixMillis::from(at))
            .map(|local| (local.assume_utc() - at).whole_seconds())
            .and_then(|secs| UtcOffset::from_whole_seconds(i32::try_from(secs).ok()?).ok())
            .unwrap_or(UtcOffset::UTC);
        // Offsets with seconds were before there was RFC 3339.
        at.to_offset(offset).format(&Rfc3339).or_else(|_| at.format(&Rfc3339)).unwrap_or_default()
    }
}

fn schema(word: &str) -> String {
    format!("https://schema.org/{word}")
}

/// The parts that say something.
fn joined(parts: &[&str]) -> String {
    parts.iter().copied().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
}

/// At most `most` characters, the last one an ellipsis if there were more.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most - 1).collect();
    format!("{}…", kept.trim_end())
}

/// JSON as it may stand between the tags of a script: nothing in it ends the script or begins a comment.
fn data_block(json: &Value) -> String {
    json.to_string()
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    fn shown() -> Shown {
        Shown {
            url: "https://tickets.example/web/events/night-abc".to_owned(),
            image: "https://tickets.example/web/events/night-abc/card.png".to_owned(),
            title: "Night </script><script>alert(1)</script> & \"Owls\"".to_owned(),
            artists: vec!["The Owls".to_owned()],
            description: "<!-- <script> ]]>\n\nA night.".to_owned(),
            language: Some("de".to_owned()),
            organizer_name: "Nachtklang".to_owned(),
            organizer_website: None,
            venue_name: "Main hall".to_owned(),
            venue_address: String::new(),
            city: "Wien".to_owned(),
            country: Some("AT".to_owned()),
            place: None,
            time_zone: "Europe/Vienna".to_owned(),
            admission_at: None,
            starts_at: datetime!(2026-12-24 19:00 UTC),
            ends_at: Some(datetime!(2027-03-28 01:00 UTC)),
            canceled: false,
            currency: "EUR".to_owned(),
            offers: vec![Offered {
                name: "Standing".to_owned(),
                total_minor: 2_650,
                availability: Availability::Few,
                sales_from: None,
                sales_until: Some(datetime!(2026-12-24 18:00 UTC)),
            }],
        }
    }

    #[test]
    fn nothing_that_an_organizer_writes_leaves_its_place() {
        let head = shown().head();
        assert_eq!(head.matches("<script").count(), 1, "{head}");
        assert_eq!(head.matches("</script>").count(), 1, "{head}");
        assert!(!head.contains("<!--") && !head.contains("alert(1)</"), "{head}");
        assert!(head.contains("content=\"Night &lt;/script&gt;"), "{head}");
        let block = head.split("ld+json\">").nth(1).and_then(|rest| rest.split("</script>").next()).unwrap();
        let read: Value = serde_json::from_str(block).unwrap();
        assert_eq!(read["name"], shown().title, "and it says what was written");
    }

    #[test]
    fn moments_are_told_as_clocks_at_the_venue_show_them() {
        let told = shown().json_ld();
        assert_eq!(told["startDate"], "2026-12-24T20:00:00+01:00");
        assert_eq!(told["endDate"], "2027-03-28T03:00:00+02:00", "in summer already");
        assert_eq!(told["offers"][0]["price"], "26.50");
        assert_eq!(told["offers"][0]["availability"], "https://schema.org/LimitedAvailability");
        let mut canceled = shown();
        canceled.canceled = true;
        let told = canceled.json_ld();
        assert_eq!(told["eventStatus"], "https://schema.org/EventCancelled");
        assert_eq!(told["offers"], Value::Null);
    }

    #[test]
    fn a_summary_is_one_short_line() {
        let mut of = shown();
        assert_eq!(of.summary(), "<!-- <script> ]]> A night.");
        of.description = "wort ".repeat(200);
        assert!(of.summary().chars().count() <= DESCRIPTION && of.summary().ends_with("wort…"));
        of.description = " \n ".to_owned();
        assert_eq!(
            of.summary(),
            "Donnerstag, 24. Dezember 2026, 20:00 Uhr (Europe/Vienna) · Main hall · Wien"
        );
    }
}
