//! Letters to organizers, about how their events sell and what happens at the door.

use super::template::Part::{Link, Paragraph, Small};
use super::template::{Part, Template, text};

const OPEN: Part =
    Link(text("Open the event", "Veranstaltung öffnen", "Abrir el evento", "Ouvrir l'événement"));
const WHY: Part = Small(text(
    "You get this as a member of the organizer; your notification settings switch it off.",
    "Sie erhalten dies als Mitglied des Veranstalters; in Ihren Benachrichtigungen schalten Sie es ab.",
    "Recibe esto como miembro del organizador; puede desactivarlo en sus notificaciones.",
    "Vous recevez ceci comme membre de l'organisateur ; vos réglages de notification le désactivent.",
));

pub(super) const TEMPLATES: &[Template] = &[
    Template {
        kind: "sales.first",
        subject: text(
            "The first sale: {event}",
            "Der erste Verkauf: {event}",
            "La primera venta: {event}",
            "La première vente : {event}",
        ),
        parts: &[
            Paragraph(text(
                "The first tickets for {event} are sold.",
                "Die ersten Tickets für {event} sind verkauft.",
                "Se han vendido las primeras entradas para {event}.",
                "Les premiers billets pour {event} sont vendus.",
            )),
            OPEN,
            WHY,
        ],
    },
    Template {
        kind: "sales.sold_out",
        subject: text("Sold out: {event}", "Ausverkauft: {event}", "Agotado: {event}", "Complet : {event}"),
        parts: &[
            Paragraph(text(
                "All tickets for {event} are sold.",
                "Alle Tickets für {event} sind verkauft.",
                "Todas las entradas para {event} están vendidas.",
                "Tous les billets pour {event} sont vendus.",
            )),
            OPEN,
            WHY,
        ],
    },
    Template {
        kind: "sales.incident",
        subject: text(
            "Somebody should look: {event}",
            "Jemand sollte nachsehen: {event}",
            "Alguien debería mirar: {event}",
            "À vérifier : {event}",
        ),
        parts: &[
            Paragraph(text(
                "The gates of {event} recorded something that should not happen: {what}.",
                "An den Eingängen von {event} wurde etwas festgehalten, das nicht vorkommen sollte: {what}.",
                "Las puertas de {event} han registrado algo que no debería ocurrir: {what}.",
                "Les entrées de {event} ont enregistré quelque chose qui ne devrait pas arriver : {what}.",
            )),
            OPEN,
            WHY,
        ],
    },
];
