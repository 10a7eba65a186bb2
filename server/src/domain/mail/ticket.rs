//! Letters about tickets that change hands.

use super::template::Part::{Code, Link, Paragraph, Small};
use super::template::{Template, text};

pub(super) const TEMPLATES: &[Template] = &[
    Template {
        kind: "ticket.received",
        subject: text(
            "A ticket for {event}",
            "Ein Ticket für {event}",
            "Una entrada para {event}",
            "Un billet pour {event}",
        ),
        parts: &[
            Paragraph(text(
                "You have been given a ticket for {event}: {starts}.",
                "Sie haben ein Ticket für {event} bekommen: {starts}.",
                "Le han dado una entrada para {event}: {starts}.",
                "On vous a donné un billet pour {event} : {starts}.",
            )),
            Link(text("Open the ticket", "Ticket öffnen", "Abrir la entrada", "Ouvrir le billet")),
            Small(text(
                "Whoever has this link has the ticket: keep this mail to yourself. Codes of this ticket that others may \
                 still have let nobody in any more.",
                "Wer diesen Link hat, hat das Ticket: Behalten Sie diese E-Mail für sich. Codes dieses Tickets, die andere \
                 vielleicht noch haben, lassen niemanden mehr ein.",
                "Quien tenga este enlace tiene la entrada: guarde este correo para usted. Los códigos de esta entrada que \
                 otros aún tengan ya no dejan pasar a nadie.",
                "Qui possède ce lien possède le billet : gardez ce message pour vous. Les codes de ce billet que d'autres \
                 auraient encore ne laissent plus entrer personne.",
            )),
        ],
    },
    Template {
        kind: "ticket.handed_on",
        subject: text(
            "Your ticket for {event} was handed on",
            "Ihr Ticket für {event} wurde weitergegeben",
            "Su entrada para {event} ha pasado a otra persona",
            "Votre billet pour {event} a été transmis",
        ),
        parts: &[
            Paragraph(text(
                "A ticket of yours for {event} now belongs to {to}. Its old code lets nobody in any more.",
                "Eines Ihrer Tickets für {event} gehört jetzt {to}. Sein alter Code lässt niemanden mehr ein.",
                "Una de sus entradas para {event} pertenece ahora a {to}. Su código antiguo ya no deja pasar a nadie.",
                "L'un de vos billets pour {event} appartient désormais à {to}. Son ancien code ne laisse plus entrer personne.",
            )),
            Small(text(
                "If it was not you: tell the organizer at once.",
                "Wenn Sie das nicht waren: Sagen Sie es sofort dem Veranstalter.",
                "Si no ha sido usted: avise enseguida al organizador.",
                "Si ce n'était pas vous : prévenez tout de suite l'organisateur.",
            )),
        ],
    },
    Template {
        kind: "ticket.reissued",
        subject: text(
            "A new code of your ticket for {event}",
            "Ein neuer Code Ihres Tickets für {event}",
            "Un código nuevo de su entrada para {event}",
            "Un nouveau code de votre billet pour {event}",
        ),
        parts: &[
            Paragraph(text(
                "A ticket of yours for {event} has a new code. The old one lets nobody in any more: open or print the \
                 ticket again.",
                "Eines Ihrer Tickets für {event} hat einen neuen Code. Der alte lässt niemanden mehr ein: Öffnen oder \
                 drucken Sie das Ticket neu.",
                "Una de sus entradas para {event} tiene un código nuevo. El antiguo ya no deja pasar a nadie: abra o \
                 imprima la entrada de nuevo.",
                "L'un de vos billets pour {event} a un nouveau code. L'ancien ne laisse plus entrer personne : ouvrez ou \
                 imprimez à nouveau le billet.",
            )),
            Small(text(
                "If nobody asked for it on your behalf: tell the organizer.",
                "Wenn niemand das für Sie angefordert hat: Sagen Sie es dem Veranstalter.",
                "Si nadie lo ha pedido en su nombre: avise al organizador.",
                "Si personne ne l'a demandé pour vous : prévenez l'organisateur.",
            )),
        ],
    },
    Template {
        kind: "ticket.code",
        subject: text(
            "Your confirmation code",
            "Ihr Bestätigungscode",
            "Su código de confirmación",
            "Votre code de confirmation",
        ),
        parts: &[
            Paragraph(text(
                "Type this code to change or hand on your tickets.",
                "Geben Sie diesen Code ein, um Ihre Tickets zu ändern oder weiterzugeben.",
                "Escriba este código para cambiar o pasar sus entradas.",
                "Saisissez ce code pour modifier ou transmettre vos billets.",
            )),
            Code,
            Small(text(
                "Good for {minutes} minutes.",
                "{minutes} Minuten lang gültig.",
                "Válido durante {minutes} minutos.",
                "Valable {minutes} minutes.",
            )),
            Small(text(
                "If you did not ask for it: somebody has the link to your tickets. Tell nobody the code.",
                "Wenn Sie ihn nicht angefordert haben: Jemand hat den Link zu Ihren Tickets. Nennen Sie niemandem den Code.",
                "Si no lo ha pedido usted: alguien tiene el enlace a sus entradas. No diga el código a nadie.",
                "Si vous ne l'avez pas demandé : quelqu'un a le lien de vos billets. Ne donnez le code à personne.",
            )),
        ],
    },
];
