//! Letters about offers: tickets given away, places on a waiting list, events that were canceled, money that goes back.

use super::template::Part::{Count, If, Link, Paragraph, Small};
use super::template::{Template, text};

pub(super) const TEMPLATES: &[Template] = &[
    Template {
        kind: "offer.complimentary",
        subject: text(
            "Your tickets for {event}",
            "Ihre Tickets für {event}",
            "Sus entradas para {event}",
            "Vos billets pour {event}",
        ),
        parts: &[
            Paragraph(text(
                "You have been given {quantity} × {ticket_type} for {event}.",
                "Sie haben {quantity} × {ticket_type} für {event} geschenkt bekommen.",
                "Le han regalado {quantity} × {ticket_type} para {event}.",
                "On vous a offert {quantity} × {ticket_type} pour {event}.",
            )),
            Link(text("Open the tickets", "Tickets öffnen", "Abrir las entradas", "Ouvrir les billets")),
            Small(text(
                "Whoever has this link has the tickets: keep it to yourself.",
                "Wer diesen Link hat, hat die Tickets: Behalten Sie ihn für sich.",
                "Quien tenga este enlace tiene las entradas: guárdelo para usted.",
                "Qui possède ce lien possède les billets : gardez-le pour vous.",
            )),
        ],
    },
    Template {
        kind: "offer.waiting",
        subject: text(
            "You are on the waiting list for {event}",
            "Sie stehen auf der Warteliste für {event}",
            "Está en la lista de espera de {event}",
            "Vous êtes sur la liste d'attente de {event}",
        ),
        parts: &[
            Paragraph(text(
                "You wait for {quantity} × {ticket_type} for {event}, at place {place}. We write as soon as it is your turn.",
                "Sie warten auf {quantity} × {ticket_type} für {event}, auf Platz {place}. Wir schreiben, sobald Sie an der \
                 Reihe sind.",
                "Espera {quantity} × {ticket_type} para {event}, en el puesto {place}. Le escribiremos en cuanto sea su turno.",
                "Vous attendez {quantity} × {ticket_type} pour {event}, à la place {place}. Nous vous écrirons dès que ce sera \
                 votre tour.",
            )),
            Link(text(
                "See your place, or leave the list",
                "Platz ansehen oder die Liste verlassen",
                "Ver su puesto o dejar la lista",
                "Voir votre place ou quitter la liste",
            )),
        ],
    },
    Template {
        kind: "offer.made",
        subject: text(
            "It is your turn: tickets for {event}",
            "Sie sind an der Reihe: Tickets für {event}",
            "Es su turno: entradas para {event}",
            "C'est votre tour : billets pour {event}",
        ),
        parts: &[
            Paragraph(text(
                "{quantity} × {ticket_type} for {event} are held for you until {until}. After that they go to the next in \
                 line.",
                "{quantity} × {ticket_type} für {event} sind für Sie reserviert bis {until}. Danach gehen sie an die Nächsten \
                 in der Reihe.",
                "{quantity} × {ticket_type} para {event} están reservadas para usted hasta {until}. Después pasan a los \
                 siguientes de la lista.",
                "{quantity} × {ticket_type} pour {event} vous sont réservés jusqu'à {until}. Ensuite ils vont aux suivants de \
                 la liste.",
            )),
            Link(text("Open the offer", "Angebot öffnen", "Abrir la oferta", "Ouvrir l'offre")),
            Small(text(
                "Whoever has this link can buy and see the tickets: keep it to yourself.",
                "Wer diesen Link hat, kann die Tickets kaufen und sehen: Behalten Sie ihn für sich.",
                "Quien tenga este enlace puede comprar y ver las entradas: guárdelo para usted.",
                "Qui possède ce lien peut acheter et voir les billets : gardez-le pour vous.",
            )),
        ],
    },
    Template {
        kind: "offer.event_canceled",
        subject: text("Canceled: {event}", "Abgesagt: {event}", "Cancelado: {event}", "Annulé : {event}"),
        // Facts: `event`; if they are known `reason`, and `refund`: what goes back.
        parts: &[
            Paragraph(text(
                "{event} was canceled and does not take place. Your tickets are no longer valid.",
                "{event} wurde abgesagt und findet nicht statt. Ihre Tickets gelten nicht mehr.",
                "{event} se ha cancelado y no se celebra. Sus entradas ya no son válidas.",
                "{event} est annulé et n'aura pas lieu. Vos billets ne sont plus valables.",
            )),
            If(
                "reason",
                text(
                    "The organizer says: {reason}",
                    "Der Veranstalter sagt dazu: {reason}",
                    "El organizador dice: {reason}",
                    "L'organisateur précise : {reason}",
                ),
            ),
            If(
                "refund",
                text(
                    "What you paid ({refund}) goes back the way it came, as far as it has not already. You need not do \
                     anything.",
                    "Was Sie bezahlt haben ({refund}), geht auf demselben Weg zurück, soweit es nicht schon zurück ist. Sie \
                     brauchen nichts zu tun.",
                    "Lo que pagó ({refund}) vuelve por donde vino, si no ha vuelto ya. No tiene que hacer nada.",
                    "Ce que vous avez payé ({refund}) vous revient par la même voie, si ce n'est déjà fait. Vous n'avez rien à \
                     faire.",
                ),
            ),
        ],
    },
    Template {
        kind: "offer.paid_too_late",
        subject: text(
            "Your payment for {event} came too late",
            "Ihre Zahlung für {event} kam zu spät",
            "Su pago para {event} llegó demasiado tarde",
            "Votre paiement pour {event} est arrivé trop tard",
        ),
        // Facts: `event`, `refund`: what goes back.
        parts: &[
            Paragraph(text(
                "Your payment for {event} arrived after your tickets were no longer held, and they cannot be had any more. \
                 You have no tickets.",
                "Ihre Zahlung für {event} kam an, als Ihre Tickets nicht mehr reserviert waren, und es gibt sie nicht mehr. \
                 Sie haben keine Tickets.",
                "Su pago para {event} llegó cuando sus entradas ya no estaban reservadas, y ya no se pueden conseguir. No \
                 tiene entradas.",
                "Votre paiement pour {event} est arrivé alors que vos billets n'étaient plus réservés, et il n'y en a plus. \
                 Vous n'avez pas de billets.",
            )),
            Paragraph(text(
                "What you paid ({refund}) goes back the way it came. You need not do anything.",
                "Was Sie bezahlt haben ({refund}), geht auf demselben Weg zurück. Sie brauchen nichts zu tun.",
                "Lo que pagó ({refund}) vuelve por donde vino. No tiene que hacer nada.",
                "Ce que vous avez payé ({refund}) vous revient par la même voie. Vous n'avez rien à faire.",
            )),
        ],
    },
    Template {
        kind: "offer.refunded",
        subject: text(
            "Your refund for {event}",
            "Ihre Rückzahlung für {event}",
            "Su reembolso de {event}",
            "Votre remboursement pour {event}",
        ),
        // Facts: the same, and `tickets`: how many of them are no longer valid.
        parts: &[
            Paragraph(text(
                "{refund} of what you paid for {event} goes back the way it came. It may take some days until you see it.",
                "{refund} von dem, was Sie für {event} bezahlt haben, geht auf demselben Weg zurück. Es kann einige Tage \
                 dauern, bis Sie es sehen.",
                "{refund} de lo que pagó por {event} vuelve por donde vino. Puede tardar unos días en verlo.",
                "{refund} de ce que vous avez payé pour {event} vous revient par la même voie. Cela peut prendre quelques \
                 jours.",
            )),
            Count(
                "tickets",
                text(
                    "The ticket that it was for is no longer valid.",
                    "Das Ticket, um das es ging, gilt nicht mehr.",
                    "La entrada de la que se trata ya no es válida.",
                    "Le billet concerné n'est plus valable.",
                ),
                text(
                    "The {tickets} tickets that it was for are no longer valid.",
                    "Die {tickets} Tickets, um die es ging, gelten nicht mehr.",
                    "Las {tickets} entradas de las que se trata ya no son válidas.",
                    "Les {tickets} billets concernés ne sont plus valables.",
                ),
            ),
        ],
    },
];
