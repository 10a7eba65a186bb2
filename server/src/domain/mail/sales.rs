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
        kind: "organizer.approved",
        subject: text(
            "{organizer} is approved",
            "{organizer} ist freigegeben",
            "{organizer} está aprobado",
            "{organizer} est approuvé",
        ),
        parts: &[Paragraph(text(
            "{organizer} is approved: you can publish events now.",
            "{organizer} ist freigegeben: Sie können jetzt Veranstaltungen veröffentlichen.",
            "{organizer} está aprobado: ya puede publicar eventos.",
            "{organizer} est approuvé : vous pouvez maintenant publier des événements.",
        ))],
    },
    Template {
        kind: "organizer.rejected",
        subject: text(
            "{organizer} is not approved",
            "{organizer} ist nicht freigegeben",
            "{organizer} no está aprobado",
            "{organizer} n'est pas approuvé",
        ),
        parts: &[
            Paragraph(text(
                "{organizer} is not approved. The reason: {reason}",
                "{organizer} ist nicht freigegeben. Der Grund: {reason}",
                "{organizer} no está aprobado. El motivo: {reason}",
                "{organizer} n'est pas approuvé. La raison : {reason}",
            )),
            Paragraph(text(
                "Change the profile and submit it again.",
                "Ändern Sie das Profil und reichen Sie es noch einmal ein.",
                "Cambie el perfil y envíelo de nuevo.",
                "Modifiez le profil et soumettez-le à nouveau.",
            )),
        ],
    },
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
