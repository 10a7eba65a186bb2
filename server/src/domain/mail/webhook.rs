//! Letters to organizers about their webhooks.

use super::template::Part::{Paragraph, Small};
use super::template::{Part, Template, text};

const TOLD_NOTHING: Part = Paragraph(text(
    "We tell {url} nothing any more.",
    "Wir melden nichts mehr an {url}.",
    "Ya no avisamos a {url}.",
    "Nous n'envoyons plus rien à {url}.",
));
const REPLAY: Part = Small(text(
    "As soon as it answers again, enable the webhook and replay what was missed: it is kept for 90 days.",
    "Sobald sie wieder antwortet, schalten Sie den Webhook ein und lassen das Versäumte wiederholen: es liegt 90 Tage bereit.",
    "Cuando vuelva a responder, active el webhook y repita lo perdido: se guarda 90 días.",
    "Dès qu'elle répond à nouveau, activez le webhook et faites répéter ce qui manque : c'est gardé 90 jours.",
));
const SUBJECT: super::template::Text = text(
    "A webhook was switched off",
    "Ein Webhook wurde abgeschaltet",
    "Se ha desactivado un webhook",
    "Un webhook a été désactivé",
);

pub(super) const TEMPLATES: &[Template] = &[
    Template {
        kind: "webhook.failing",
        subject: SUBJECT,
        parts: &[
            TOLD_NOTHING,
            Paragraph(text(
                "Nothing has arrived there for three days.",
                "Seit drei Tagen kam dort nichts mehr an.",
                "Desde hace tres días no llega nada allí.",
                "Rien n'y est arrivé depuis trois jours.",
            )),
            REPLAY,
        ],
    },
    Template {
        kind: "webhook.gone",
        subject: SUBJECT,
        parts: &[
            TOLD_NOTHING,
            Paragraph(text(
                "The address answered that it is gone (410).",
                "Die Adresse hat geantwortet, dass es sie nicht mehr gibt (410).",
                "La dirección respondió que ya no existe (410).",
                "L'adresse a répondu qu'elle n'existe plus (410).",
            )),
            REPLAY,
        ],
    },
];
