//! Letters about accounts. Whoever did not ask for one can ignore it: none says whether an account exists.

use super::template::Part::{Code, CodeIf, If, Link, Paragraph, Small, SmallIf};
use super::template::{Part, Template, text};

const OR_TYPE: Part = CodeIf(text(
    "Or type this code:",
    "Oder tippen Sie diesen Code ein:",
    "O escriba este código:",
    "Ou saisissez ce code :",
));

const VALIDITY: Part = SmallIf(
    "minutes",
    text(
        "Good for {minutes} minutes and for one use.",
        "{minutes} Minuten lang gültig, für einmaligen Gebrauch.",
        "Válido durante {minutes} minutos y para un solo uso.",
        "Valable {minutes} minutes, pour une seule utilisation.",
    ),
    text(
        "Good for one use.",
        "Für einmaligen Gebrauch.",
        "Válido para un solo uso.",
        "Valable pour une seule utilisation.",
    ),
);

const NOT_YOU: Part = Small(text(
    "If you did not ask for this, ignore this mail: nothing happens without the link or the code.",
    "Wenn Sie das nicht angefordert haben, ignorieren Sie diese E-Mail: Ohne den Link oder den Code geschieht nichts.",
    "Si no lo ha pedido usted, ignore este correo: sin el enlace o el código no ocurre nada.",
    "Si vous n'avez rien demandé, ignorez ce message : sans le lien ou le code, rien ne se passe.",
));

pub(super) const TEMPLATES: &[Template] = &[
    Template {
        kind: "auth.confirm",
        subject: text(
            "Confirm your address",
            "Bestätigen Sie Ihre Adresse",
            "Confirme su dirección",
            "Confirmez votre adresse",
        ),
        parts: &[
            Paragraph(text(
                "Confirm this address to finish signing up.",
                "Bestätigen Sie diese Adresse, um die Anmeldung abzuschließen.",
                "Confirme esta dirección para terminar el registro.",
                "Confirmez cette adresse pour terminer l'inscription.",
            )),
            Link(text(
                "Confirm the address",
                "Adresse bestätigen",
                "Confirmar la dirección",
                "Confirmer l'adresse",
            )),
            OR_TYPE,
            VALIDITY,
            NOT_YOU,
        ],
    },
    Template {
        kind: "auth.magic_link",
        subject: text(
            "Your sign-in link",
            "Ihr Anmeldelink",
            "Su enlace de acceso",
            "Votre lien de connexion",
        ),
        parts: &[
            Paragraph(text(
                "Sign in with this link, or with the code below.",
                "Melden Sie sich mit diesem Link an oder mit dem Code darunter.",
                "Entre con este enlace o con el código de abajo.",
                "Connectez-vous par ce lien ou par le code ci-dessous.",
            )),
            Link(text("Sign in", "Anmelden", "Entrar", "Se connecter")),
            OR_TYPE,
            VALIDITY,
            NOT_YOU,
        ],
    },
    Template {
        kind: "auth.recovery",
        subject: text(
            "Choose a new password",
            "Wählen Sie ein neues Passwort",
            "Elija una contraseña nueva",
            "Choisissez un nouveau mot de passe",
        ),
        parts: &[
            Paragraph(text(
                "Somebody, hopefully you, asked for a new password for this address.",
                "Jemand, hoffentlich Sie, hat für diese Adresse ein neues Passwort angefordert.",
                "Alguien, esperamos que usted, ha pedido una contraseña nueva para esta dirección.",
                "Quelqu'un, vous sans doute, a demandé un nouveau mot de passe pour cette adresse.",
            )),
            Link(text(
                "Choose a new password",
                "Neues Passwort wählen",
                "Elegir una contraseña nueva",
                "Choisir un nouveau mot de passe",
            )),
            OR_TYPE,
            VALIDITY,
            NOT_YOU,
        ],
    },
    Template {
        kind: "auth.email_change",
        subject: text(
            "Confirm your new address",
            "Bestätigen Sie Ihre neue Adresse",
            "Confirme su nueva dirección",
            "Confirmez votre nouvelle adresse",
        ),
        parts: &[
            Paragraph(text(
                "Confirm that this address shall be the one of your account from now on.",
                "Bestätigen Sie, dass diese Adresse ab jetzt die Ihres Kontos sein soll.",
                "Confirme que esta dirección será la de su cuenta a partir de ahora.",
                "Confirmez que cette adresse sera désormais celle de votre compte.",
            )),
            Link(text(
                "Confirm the new address",
                "Neue Adresse bestätigen",
                "Confirmar la nueva dirección",
                "Confirmer la nouvelle adresse",
            )),
            OR_TYPE,
            VALIDITY,
            NOT_YOU,
        ],
    },
    Template {
        kind: "auth.email_change_notice",
        subject: text(
            "Your account's address is about to change",
            "Die Adresse Ihres Kontos soll sich ändern",
            "La dirección de su cuenta está a punto de cambiar",
            "L'adresse de votre compte va changer",
        ),
        parts: &[
            Paragraph(text(
                "A change of your account's address to {new_email} was asked for. It takes effect once that address is \
                 confirmed.",
                "Für Ihr Konto wurde die Adresse {new_email} angefordert. Die Änderung gilt, sobald diese Adresse \
                 bestätigt ist.",
                "Se ha pedido cambiar la dirección de su cuenta a {new_email}. El cambio surte efecto cuando esa \
                 dirección se confirme.",
                "Un changement d'adresse de votre compte vers {new_email} a été demandé. Il prend effet dès que cette \
                 adresse est confirmée.",
            )),
            Small(text(
                "If it was not you: choose a new password now, which ends all other sign-ins.",
                "Wenn Sie das nicht waren: Wählen Sie jetzt ein neues Passwort, das beendet alle anderen Anmeldungen.",
                "Si no ha sido usted: elija ahora una contraseña nueva, que cierra todas las demás sesiones.",
                "Si ce n'était pas vous : choisissez tout de suite un nouveau mot de passe, ce qui met fin à toutes les \
                 autres connexions.",
            )),
        ],
    },
    Template {
        kind: "auth.reauthentication",
        subject: text(
            "Your confirmation code",
            "Ihr Bestätigungscode",
            "Su código de confirmación",
            "Votre code de confirmation",
        ),
        parts: &[
            Paragraph(text(
                "Type this code where you were asked for it.",
                "Geben Sie diesen Code dort ein, wo Sie danach gefragt wurden.",
                "Escriba este código donde se le ha pedido.",
                "Saisissez ce code là où il vous est demandé.",
            )),
            Code,
            VALIDITY,
            NOT_YOU,
        ],
    },
    Template {
        kind: "auth.password_changed",
        subject: text(
            "Your password was changed",
            "Ihr Passwort wurde geändert",
            "Se ha cambiado su contraseña",
            "Votre mot de passe a été modifié",
        ),
        parts: &[
            Paragraph(text(
                "The password of your account was changed, and its other sign-ins have ended.",
                "Das Passwort Ihres Kontos wurde geändert, und seine anderen Anmeldungen sind beendet.",
                "Se ha cambiado la contraseña de su cuenta y se han cerrado sus demás sesiones.",
                "Le mot de passe de votre compte a été modifié et ses autres connexions sont terminées.",
            )),
            Small(text(
                "If it was not you: ask for a new password at once.",
                "Wenn Sie das nicht waren: Fordern Sie sofort ein neues Passwort an.",
                "Si no ha sido usted: pida enseguida una contraseña nueva.",
                "Si ce n'était pas vous : demandez tout de suite un nouveau mot de passe.",
            )),
        ],
    },
    Template {
        kind: "auth.new_login",
        subject: text(
            "A new sign-in to your account",
            "Eine neue Anmeldung an Ihrem Konto",
            "Un nuevo acceso a su cuenta",
            "Une nouvelle connexion à votre compte",
        ),
        // Facts: `at`, and if they are known `client` (browser) and `address` (network).
        parts: &[
            Paragraph(text(
                "Somebody signed in to your account at {at}.",
                "Jemand hat sich an Ihrem Konto angemeldet: {at}.",
                "Alguien ha entrado en su cuenta: {at}.",
                "Quelqu'un s'est connecté à votre compte : {at}.",
            )),
            If(
                "client",
                text(
                    "It was done with {client}.",
                    "Verwendet wurde {client}.",
                    "Se usó {client}.",
                    "Avec {client}.",
                ),
            ),
            If(
                "address",
                text(
                    "It came from {address}.",
                    "Die Anmeldung kam von {address}.",
                    "Llegó desde {address}.",
                    "Depuis {address}.",
                ),
            ),
            Small(text(
                "If it was you, all is well. If not: choose a new password, which ends all other sign-ins.",
                "Wenn Sie das waren, ist alles in Ordnung. Wenn nicht: Wählen Sie ein neues Passwort, das beendet alle \
                 anderen Anmeldungen.",
                "Si ha sido usted, todo está bien. Si no: elija una contraseña nueva, que cierra todas las demás sesiones.",
                "Si c'était vous, tout va bien. Sinon : choisissez un nouveau mot de passe, ce qui met fin à toutes les \
                 autres connexions.",
            )),
        ],
    },
    Template {
        kind: "auth.totp_on",
        subject: text(
            "Your account has a second factor now",
            "Ihr Konto hat jetzt einen zweiten Faktor",
            "Su cuenta tiene ahora un segundo factor",
            "Votre compte a désormais un second facteur",
        ),
        parts: &[
            Paragraph(text(
                "From now on your account asks for a code of your authenticator app too. Keep the recovery codes where you \
                 find them without the app.",
                "Ab jetzt fragt Ihr Konto auch nach einem Code Ihrer Authenticator-App. Bewahren Sie die \
                 Wiederherstellungscodes dort auf, wo Sie sie ohne die App finden.",
                "A partir de ahora su cuenta pide también un código de su aplicación de autenticación. Guarde los códigos \
                 de recuperación donde los encuentre sin la aplicación.",
                "Désormais votre compte demande aussi un code de votre application d'authentification. Gardez les codes de \
                 récupération là où vous les trouverez sans l'application.",
            )),
            Small(text(
                "If it was not you: somebody else is in your account. Choose a new password at once and write to us.",
                "Wenn Sie das nicht waren: Jemand anderes ist in Ihrem Konto. Wählen Sie sofort ein neues Passwort und \
                 schreiben Sie uns.",
                "Si no ha sido usted: otra persona está en su cuenta. Elija enseguida una contraseña nueva y escríbanos.",
                "Si ce n'était pas vous : quelqu'un d'autre est dans votre compte. Choisissez tout de suite un nouveau mot \
                 de passe et écrivez-nous.",
            )),
        ],
    },
    Template {
        kind: "auth.totp_off",
        subject: text(
            "Your account's second factor was switched off",
            "Der zweite Faktor Ihres Kontos wurde abgeschaltet",
            "Se ha desactivado el segundo factor de su cuenta",
            "Le second facteur de votre compte a été désactivé",
        ),
        parts: &[
            Paragraph(text(
                "Your account no longer asks for a code of your authenticator app: its password, or a mail to this \
                 address, is enough.",
                "Ihr Konto fragt nicht mehr nach einem Code Ihrer Authenticator-App: Sein Passwort oder eine E-Mail an \
                 diese Adresse genügt.",
                "Su cuenta ya no pide un código de su aplicación de autenticación: basta su contraseña o un correo a esta \
                 dirección.",
                "Votre compte ne demande plus de code de votre application d'authentification : son mot de passe, ou un \
                 message à cette adresse, suffit.",
            )),
            Small(text(
                "If it was not you: choose a new password at once, which ends all other sign-ins.",
                "Wenn Sie das nicht waren: Wählen Sie sofort ein neues Passwort, das beendet alle anderen Anmeldungen.",
                "Si no ha sido usted: elija enseguida una contraseña nueva, que cierra todas las demás sesiones.",
                "Si ce n'était pas vous : choisissez tout de suite un nouveau mot de passe, ce qui met fin à toutes les \
                 autres connexions.",
            )),
        ],
    },
    Template {
        kind: "auth.totp_locked",
        subject: text(
            "Somebody guesses the codes of your second factor",
            "Jemand rät die Codes Ihres zweiten Faktors",
            "Alguien intenta adivinar los códigos de su segundo factor",
            "Quelqu'un essaie de deviner les codes de votre second facteur",
        ),
        parts: &[
            Paragraph(text(
                "{tries} wrong codes were typed for your account within a day, by somebody who knows its password or reads \
                 its mails. For that way of signing in, codes of your app are refused until a day has passed.",
                "Innerhalb eines Tages wurden für Ihr Konto {tries} falsche Codes eingegeben, von jemandem, der sein \
                 Passwort kennt oder seine E-Mails liest. Für diesen Anmeldeweg werden Codes Ihrer App abgelehnt, bis ein \
                 Tag vergangen ist.",
                "En un día se han escrito {tries} códigos erróneos para su cuenta, por alguien que conoce su contraseña o \
                 lee sus correos. Para esa forma de entrar, los códigos de su aplicación se rechazan hasta que pase un día.",
                "{tries} codes erronés ont été saisis pour votre compte en une journée, par quelqu'un qui connaît son mot \
                 de passe ou lit ses messages. Pour ce mode de connexion, les codes de votre application sont refusés \
                 pendant un jour.",
            )),
            Small(text(
                "If it was not you: sign in by a link to this address if you otherwise use the password, or the other way \
                 round, or use a recovery code; then choose a new password.",
                "Wenn Sie das nicht waren: Melden Sie sich per Link an diese Adresse an, wenn Sie sonst das Passwort \
                 verwenden, oder umgekehrt, oder mit einem Wiederherstellungscode; wählen Sie dann ein neues Passwort.",
                "Si no ha sido usted: entre con un enlace a esta dirección si suele usar la contraseña, o al revés, o use un \
                 código de recuperación; después elija una contraseña nueva.",
                "Si ce n'était pas vous : connectez-vous par un lien envoyé à cette adresse si vous utilisez d'ordinaire le \
                 mot de passe, ou l'inverse, ou par un code de récupération ; choisissez ensuite un nouveau mot de passe.",
            )),
        ],
    },
    Template {
        kind: "auth.code_guessed",
        subject: text(
            "Wrong codes were typed for your account",
            "Für Ihr Konto wurden falsche Codes eingegeben",
            "Se han escrito códigos erróneos para su cuenta",
            "Des codes erronés ont été saisis pour votre compte",
        ),
        parts: &[
            Paragraph(text(
                "A code that we sent you was typed wrong five times and no longer works. The link in the same mail still does.",
                "Ein Code, den wir Ihnen gesandt haben, wurde fünfmal falsch eingegeben und gilt nicht mehr. Der Link in \
                 derselben E-Mail gilt weiterhin.",
                "Un código que le enviamos se ha escrito mal cinco veces y ya no sirve. El enlace del mismo correo sí.",
                "Un code que nous vous avons envoyé a été mal saisi cinq fois et ne fonctionne plus. Le lien du même message \
                 fonctionne toujours.",
            )),
            Small(text(
                "If it was not you, somebody tried to guess it. You need do nothing: nobody got in.",
                "Wenn Sie das nicht waren, hat jemand zu raten versucht. Sie brauchen nichts zu tun: Niemand kam hinein.",
                "Si no ha sido usted, alguien intentó adivinarlo. No tiene que hacer nada: nadie ha entrado.",
                "Si ce n'était pas vous, quelqu'un a essayé de le deviner. Vous n'avez rien à faire : personne n'est entré.",
            )),
        ],
    },
    Template {
        kind: "auth.invitation",
        subject: text(
            "Work with {organizer}",
            "Arbeiten Sie mit {organizer}",
            "Trabaje con {organizer}",
            "Travaillez avec {organizer}",
        ),
        parts: &[
            Paragraph(text(
                "{organizer} invites you to become a member, in the role {role}. Sign in or sign up with this address, then \
                 accept.",
                "{organizer} lädt Sie ein, Mitglied zu werden, in der Rolle {role}. Melden Sie sich mit dieser Adresse an \
                 oder registrieren Sie sich, dann nehmen Sie an.",
                "{organizer} le invita a ser miembro, con el papel {role}. Entre o regístrese con esta dirección y acepte.",
                "{organizer} vous invite à devenir membre, avec le rôle {role}. Connectez-vous ou inscrivez-vous avec cette \
                 adresse, puis acceptez.",
            )),
            Link(text(
                "Accept the invitation",
                "Einladung annehmen",
                "Aceptar la invitación",
                "Accepter l'invitation",
            )),
            Small(text(
                "Good for seven days, for this address alone. If you do not know them, ignore this mail.",
                "Sieben Tage lang gültig, nur für diese Adresse. Wenn Sie den Absender nicht kennen, ignorieren Sie diese \
                 E-Mail.",
                "Válida durante siete días, solo para esta dirección. Si no los conoce, ignore este correo.",
                "Valable sept jours, pour cette adresse seulement. Si vous ne les connaissez pas, ignorez ce message.",
            )),
        ],
    },
    // By text message.
    Template {
        kind: "phone.code",
        subject: text("Your code", "Ihr Code", "Su código", "Votre code"),
        parts: &[Paragraph(text(
            "{code} confirms this number. Good for {minutes} minutes; tell it to nobody.",
            "{code} bestätigt diese Nummer. {minutes} Minuten lang gültig; sagen Sie ihn niemandem.",
            "{code} confirma este número. Válido durante {minutes} minutos; no se lo diga a nadie.",
            "{code} confirme ce numéro. Valable {minutes} minutes ; ne le donnez à personne.",
        ))],
    },
];
