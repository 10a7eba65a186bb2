//! Letters about bookings, and about what becomes of an event. Their facts are read when they are sent
//! (`jobs::outbox`): `event`, `starts`, `place` if it is known, `tickets` (what was booked, in words), `total`, `link`, `attached` if
//! there are files.

use super::template::Part::{If, Link, Paragraph, Small};
use super::template::{Part, Template, text};

const WHEN: Part =
    Paragraph(text("{event}: {starts}.", "{event}: {starts}.", "{event}: {starts}.", "{event} : {starts}."));
const PLACE: Part = If("place", text("{place}", "{place}", "{place}", "{place}"));
const KEEP: Part = Small(text(
    "Whoever has this link has the tickets: keep it to yourself.",
    "Wer diesen Link hat, hat die Tickets: Behalten Sie ihn für sich.",
    "Quien tenga este enlace tiene las entradas: guárdelo para usted.",
    "Qui possède ce lien possède les billets : gardez-le pour vous.",
));

pub(super) const TEMPLATES: &[Template] = &[
    Template {
        kind: "booking.paid",
        subject: text(
            "Your tickets for {event}",
            "Ihre Tickets für {event}",
            "Sus entradas para {event}",
            "Vos billets pour {event}",
        ),
        parts: &[
            Paragraph(text(
                "Thank you. Your booking is complete: {tickets}, {total}.",
                "Vielen Dank. Ihre Buchung ist vollständig: {tickets}, {total}.",
                "Gracias. Su reserva está completa: {tickets}, {total}.",
                "Merci. Votre réservation est complète : {tickets}, {total}.",
            )),
            If(
                "attached",
                text(
                    "The tickets are attached as a PDF, and the date for your calendar.",
                    "Die Tickets liegen als PDF bei, der Termin für Ihren Kalender ebenfalls.",
                    "Las entradas van adjuntas en PDF, y la fecha para su calendario.",
                    "Les billets sont joints en PDF, ainsi que la date pour votre agenda.",
                ),
            ),
            WHEN,
            PLACE,
            Link(text("Open the tickets", "Tickets öffnen", "Abrir las entradas", "Ouvrir les billets")),
            KEEP,
        ],
    },
    Template {
        kind: "booking.payment_failed",
        subject: text(
            "Your payment for {event} did not go through",
            "Ihre Zahlung für {event} hat nicht geklappt",
            "Su pago para {event} no se ha realizado",
            "Votre paiement pour {event} n'a pas abouti",
        ),
        parts: &[
            Paragraph(text(
                "{tickets}, {total}: the payment was refused, and nothing was charged. The tickets are held for you until \
                 {until}; try again until then, perhaps with another card.",
                "{tickets}, {total}: Die Zahlung wurde abgelehnt, und es wurde nichts abgebucht. Die Tickets sind für Sie \
                 reserviert bis {until}; versuchen Sie es bis dahin noch einmal, vielleicht mit einer anderen Karte.",
                "{tickets}, {total}: el pago se ha rechazado y no se ha cobrado nada. Las entradas están reservadas para usted \
                 hasta {until}; inténtelo de nuevo hasta entonces, quizá con otra tarjeta.",
                "{tickets}, {total} : le paiement a été refusé et rien n'a été débité. Les billets vous sont réservés jusqu'à \
                 {until} ; réessayez d'ici là, peut-être avec une autre carte.",
            )),
            Link(text("Pay", "Bezahlen", "Pagar", "Payer")),
            KEEP,
        ],
    },
    Template {
        kind: "booking.hold_ending",
        subject: text(
            "Your tickets for {event} are held only a little longer",
            "Ihre Tickets für {event} sind nur noch kurz reserviert",
            "Sus entradas para {event} están reservadas poco tiempo más",
            "Vos billets pour {event} ne sont plus réservés que peu de temps",
        ),
        parts: &[
            Paragraph(text(
                "{tickets}, {total}, are held for you until {until} and not paid yet. After that others can buy them.",
                "{tickets}, {total}, sind für Sie reserviert bis {until} und noch nicht bezahlt. Danach können andere sie \
                 kaufen.",
                "{tickets}, {total}, están reservadas para usted hasta {until} y aún no están pagadas. Después podrán \
                 comprarlas otros.",
                "{tickets}, {total}, vous sont réservés jusqu'à {until} et ne sont pas encore payés. Ensuite d'autres pourront \
                 les acheter.",
            )),
            Link(text("Pay", "Bezahlen", "Pagar", "Payer")),
            KEEP,
        ],
    },
    Template {
        kind: "booking.reminder",
        subject: text("Soon: {event}", "Bald: {event}", "Pronto: {event}", "Bientôt : {event}"),
        parts: &[
            Paragraph(text(
                "You have {tickets}. Have the code ready at the entrance, on paper or on your phone.",
                "Sie haben {tickets}. Halten Sie den Code am Eingang bereit, auf Papier oder auf dem Telefon.",
                "Tiene {tickets}. Tenga el código a mano en la entrada, en papel o en el teléfono.",
                "Vous avez {tickets}. Ayez le code prêt à l'entrée, sur papier ou sur votre téléphone.",
            )),
            WHEN,
            PLACE,
            Link(text("Open the tickets", "Tickets öffnen", "Abrir las entradas", "Ouvrir les billets")),
            KEEP,
        ],
    },
    Template {
        kind: "event.changed",
        subject: text("Changed: {event}", "Geändert: {event}", "Cambios: {event}", "Changement : {event}"),
        parts: &[
            Paragraph(text(
                "The organizer has changed when or where {event} takes place. Your tickets stay valid. It is now so:",
                "Der Veranstalter hat geändert, wann oder wo {event} stattfindet. Ihre Tickets bleiben gültig. Jetzt gilt:",
                "El organizador ha cambiado cuándo o dónde se celebra {event}. Sus entradas siguen siendo válidas. Ahora es así:",
                "L'organisateur a changé la date ou le lieu de {event}. Vos billets restent valables. Voici ce qui vaut \
                 désormais :",
            )),
            WHEN,
            PLACE,
        ],
    },
];
