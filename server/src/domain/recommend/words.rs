//! Why an event is recommended, in the words of each language.

use super::Reason;
use crate::domain::language::{Language, Text, text};

// `{}` stands for a name: of the organizer, of the other event, or of the category.
const ORGANIZER: Text = text(
    "From {}, whose events you know",
    "Von {}: Sie kennen die Veranstaltungen",
    "De {}, cuyos eventos ya conoce",
    "Par {}, dont vous connaissez les événements",
);
const LIKE_BOOKED: Text = text(
    "Like “{}”, which you booked",
    "Ähnlich wie „{}“, das Sie gebucht haben",
    "Parecido a «{}», que usted reservó",
    "Dans le genre de « {} », que vous avez réservé",
);
const LIKE_LOOKED_AT: Text = text(
    "Like “{}”, which you looked at",
    "Ähnlich wie „{}“, das Sie sich angesehen haben",
    "Parecido a «{}», que usted miró",
    "Dans le genre de « {} », que vous avez regardé",
);
const CATEGORY: Text =
    text("You like {}", "Sie mögen {}", "Le interesa la categoría {}", "Vous aimez la catégorie {}");
const NEAR: Text = text("Near you", "In Ihrer Nähe", "Cerca de usted", "Près de vous");
const TIME: Text = text(
    "At a time when you often go out",
    "Zu einer Zeit, zu der Sie oft ausgehen",
    "En un momento en que suele salir",
    "À un moment où vous sortez souvent",
);
const POPULAR: Text =
    text("Many people go there", "Viele gehen hin", "Va mucha gente", "Beaucoup de monde y va");
const SOON: Text =
    text("It takes place soon", "Es findet bald statt", "Tiene lugar pronto", "Cela a lieu bientôt");

/// The categories that every installation begins with; in English as the database has them.
const CATEGORIES: [(&str, Text); 14] = [
    ("music", text("Music", "Musik", "Música", "Musique")),
    ("festival", text("Festivals", "Festivals", "Festivales", "Festivals")),
    ("nightlife", text("Nightlife", "Nachtleben", "Vida nocturna", "Vie nocturne")),
    ("theatre", text("Theatre", "Theater", "Teatro", "Théâtre")),
    ("comedy", text("Comedy", "Kabarett & Comedy", "Comedia", "Humour")),
    ("film", text("Film", "Film", "Cine", "Cinéma")),
    ("art", text("Art & exhibitions", "Kunst & Ausstellungen", "Arte y exposiciones", "Art et expositions")),
    ("sports", text("Sports", "Sport", "Deportes", "Sport")),
    ("conference", text("Conferences", "Konferenzen", "Conferencias", "Conférences")),
    ("workshop", text("Workshops & classes", "Workshops & Kurse", "Talleres y clases", "Ateliers et cours")),
    ("food", text("Food & drink", "Essen & Trinken", "Comida y bebida", "Gastronomie")),
    ("family", text("Family", "Familie", "Familia", "Famille")),
    ("community", text("Community", "Gemeinschaft", "Comunidad", "Vie locale")),
    ("other", text("Other", "Sonstiges", "Otros", "Autres")),
];

/// A category's name in a language; `None` for one that an installation added by itself.
#[must_use]
pub fn category_name(category_id: &str, language: Language) -> Option<&'static str> {
    CATEGORIES.iter().find(|(id, _)| *id == category_id).map(|(_, name)| name.of(language))
}

impl Reason {
    /// The reason for people: of an event by this organizer and in this category, both by name.
    #[must_use]
    pub fn words(&self, language: Language, organizer: &str, category: &str) -> String {
        let (said, name) = match self {
            Self::Organizer => (ORGANIZER, organizer),
            Self::Similar { title, booked: true } => (LIKE_BOOKED, title.as_str()),
            Self::Similar { title, booked: false } => (LIKE_LOOKED_AT, title.as_str()),
            Self::Category => (CATEGORY, category),
            Self::Near => (NEAR, ""),
            Self::Time => (TIME, ""),
            Self::Popular => (POPULAR, ""),
            Self::Soon => (SOON, ""),
        };
        said.of(language).replacen("{}", name, 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_is_said_in_every_language_and_names_what_it_is_about() {
        let similar = |booked| Reason::Similar { title: "Owl {} night".to_owned(), booked };
        for (reason, named) in [
            (Reason::Organizer, "Nachtklang"),
            (similar(true), "Owl {} night"),
            (similar(false), "Owl {} night"),
            (Reason::Category, "Tango"),
            (Reason::Near, ""),
            (Reason::Time, ""),
            (Reason::Popular, ""),
            (Reason::Soon, ""),
        ] {
            let said = Language::ALL.map(|language| reason.words(language, "Nachtklang", "Tango"));
            assert_eq!(said.iter().collect::<BTreeSet<_>>().len(), 4, "one text for two languages: {said:?}");
            assert!(said.iter().all(|text| text.contains(named) && text.len() > 5), "{said:?}");
        }
    }
}
