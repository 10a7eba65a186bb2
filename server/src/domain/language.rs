//! The languages that people are written to in, and how they write dates and amounts.

use shared::admission::zone::{EventZone, Utc, Zone};
use shared::money::Money;
use shared::time::UnixMillis;
use time::{OffsetDateTime, PrimitiveDateTime};

/// A language with templates of its own.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    #[default]
    En,
    De,
    Es,
    Fr,
}

impl Language {
    pub const ALL: [Self; 4] = [Self::En, Self::De, Self::Es, Self::Fr];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
            Self::Es => "es",
            Self::Fr => "fr",
        }
    }

    /// Of a tag (BCP 47), as `de-AT`; `None` for a language without templates.
    pub fn of_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next().unwrap_or_default().trim();
        Self::ALL.into_iter().find(|l| l.as_str().eq_ignore_ascii_case(primary))
    }

    /// What `Accept-Language` asks for (RFC 9110, section 12.5.4): the most wanted of ours, English without one.
    pub fn accepted(header: &str) -> Self {
        let mut best: Option<(f32, Self)> = None;
        for part in header.split(',').take(20) {
            let (tag, parameters) = part.split_once(';').unwrap_or((part, ""));
            let quality = parameters
                .split(';')
                .find_map(|p| p.trim().strip_prefix("q="))
                .map_or(1.0, |q| q.trim().parse::<f32>().unwrap_or(0.0));
            if let Some(language) = Self::of_tag(tag)
                && quality > best.map_or(0.0, |(q, _)| q)
            {
                best = Some((quality, language));
            }
        }
        best.map_or(Self::En, |(_, language)| language)
    }

    /// `Friday, 27 November 2026, 20:30 (Europe/Vienna)`, by the clocks of the IANA zone; by an unknown one in UTC.
    pub fn moment(self, at: OffsetDateTime, zone: &str) -> String {
        let instant = UnixMillis::from(at);
        let (local, zone) = match EventZone::named(zone).and_then(|z| z.local(instant)) {
            Some(local) => (local, zone),
            None => {
                let utc = PrimitiveDateTime::new(at.date(), at.time());
                (Utc.local(instant).unwrap_or(utc), "UTC")
            }
        };
        let weekday = self.weekdays()[usize::from(local.weekday().number_days_from_monday())];
        let month = self.months()[usize::from(u8::from(local.month()) - 1)];
        let (day, year) = (local.day(), local.year());
        let clock = format!("{:02}:{:02}", local.hour(), local.minute());
        let text = match self {
            Self::En => format!("{weekday}, {day} {month} {year}, {clock}"),
            Self::De => format!("{weekday}, {day}. {month} {year}, {clock} Uhr"),
            Self::Es => format!("{weekday}, {day} de {month} de {year}, {clock}"),
            Self::Fr => {
                let day = if day == 1 { "1er".to_owned() } else { day.to_string() };
                format!("{weekday} {day} {month} {year} à {clock}")
            }
        };
        format!("{text} ({zone})")
    }

    /// `1234.50 EUR`, with the language's point.
    pub fn money(self, amount: Money) -> String {
        let text = amount.to_string();
        match self {
            Self::En => text,
            Self::De | Self::Es | Self::Fr => text.replace('.', ","),
        }
    }

    const fn weekdays(self) -> [&'static str; 7] {
        match self {
            Self::En => ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
            Self::De => ["Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"],
            Self::Es => ["lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"],
            Self::Fr => ["lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"],
        }
    }

    const fn months(self) -> [&'static str; 12] {
        match self {
            Self::En => [
                "January",
                "February",
                "March",
                "April",
                "May",
                "June",
                "July",
                "August",
                "September",
                "October",
                "November",
                "December",
            ],
            Self::De => [
                "Januar",
                "Februar",
                "März",
                "April",
                "Mai",
                "Juni",
                "Juli",
                "August",
                "September",
                "Oktober",
                "November",
                "Dezember",
            ],
            Self::Es => [
                "enero",
                "febrero",
                "marzo",
                "abril",
                "mayo",
                "junio",
                "julio",
                "agosto",
                "septiembre",
                "octubre",
                "noviembre",
                "diciembre",
            ],
            Self::Fr => [
                "janvier",
                "février",
                "mars",
                "avril",
                "mai",
                "juin",
                "juillet",
                "août",
                "septembre",
                "octobre",
                "novembre",
                "décembre",
            ],
        }
    }
}

/// A text in every language.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text {
    pub en: &'static str,
    pub de: &'static str,
    pub es: &'static str,
    pub fr: &'static str,
}

impl Text {
    pub const fn of(&self, language: Language) -> &'static str {
        match language {
            Language::En => self.en,
            Language::De => self.de,
            Language::Es => self.es,
            Language::Fr => self.fr,
        }
    }
}

/// English, German, Spanish, French.
pub(crate) const fn text(en: &'static str, de: &'static str, es: &'static str, fr: &'static str) -> Text {
    Text { en, de, es, fr }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn the_most_wanted_of_our_languages_is_taken() {
        for (header, expected) in [
            ("de-AT,de;q=0.9,en;q=0.8", Language::De),
            ("en;q=0.5, fr;q=0.9", Language::Fr),
            ("it, es-MX;q=0.7", Language::Es),
            ("it, nl", Language::En),
            ("de;q=0", Language::En),
            ("", Language::En),
            (";;;,,q=x", Language::En),
        ] {
            assert_eq!(Language::accepted(header), expected, "{header}");
        }
    }

    #[test]
    fn a_date_is_written_as_the_language_does_by_the_clocks_of_the_place() {
        let at = datetime!(2026-07-31 22:30 UTC);
        assert_eq!(
            Language::En.moment(at, "Europe/Vienna"),
            "Saturday, 1 August 2026, 00:30 (Europe/Vienna)"
        );
        assert_eq!(
            Language::De.moment(at, "Europe/Vienna"),
            "Samstag, 1. August 2026, 00:30 Uhr (Europe/Vienna)"
        );
        assert_eq!(
            Language::Es.moment(at, "Europe/Vienna"),
            "sábado, 1 de agosto de 2026, 00:30 (Europe/Vienna)"
        );
        assert_eq!(Language::Fr.moment(at, "Europe/Vienna"), "samedi 1er août 2026 à 00:30 (Europe/Vienna)");
        assert_eq!(Language::De.moment(at, "Nowhere/Else"), "Freitag, 31. Juli 2026, 22:30 Uhr (UTC)");
        let amount = Money { amount_minor: 2_650, currency: "EUR".parse().unwrap() };
        assert_eq!(
            (Language::En.money(amount), Language::Fr.money(amount)),
            ("26.50 EUR".to_owned(), "26,50 EUR".to_owned())
        );
    }
}
