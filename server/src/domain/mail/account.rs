//! Letters about accounts. Whoever did not ask for one can ignore it: none says whether an account exists.

use super::{Block, ComposeError, Facts, Letter, link, paragraph, small};

pub(super) fn compose(kind: &str, _language: &str, facts: &Facts<'_>) -> Result<Letter, ComposeError> {
    match kind {
        "auth.confirm" => with_link(
            facts,
            "Confirm your address",
            "Confirm this address to finish signing up.",
            "Confirm the address",
        ),
        "auth.magic_link" => with_link(
            facts,
            "Your sign-in link",
            "Sign in with this link, or with the code below.",
            "Sign in",
        ),
        "auth.recovery" => with_link(
            facts,
            "Choose a new password",
            "Somebody, hopefully you, asked for a new password for this address.",
            "Choose a new password",
        ),
        "auth.email_change" => with_link(
            facts,
            "Confirm your new address",
            "Confirm that this address shall be the one of your account from now on.",
            "Confirm the new address",
        ),
        "auth.email_change_notice" => Ok(Letter {
            subject: "Your account's address is about to change".to_owned(),
            blocks: vec![
                paragraph(format!(
                    "A change of your account's address to {} was asked for. It takes effect once that address is \
                     confirmed.",
                    facts.text("new_email")?
                )),
                small("If it was not you: choose a new password now, which ends all other sign-ins."),
            ],
        }),
        "auth.reauthentication" => Ok(Letter {
            subject: "Your confirmation code".to_owned(),
            blocks: vec![
                paragraph("Type this code where you were asked for it."),
                Block::Code(facts.text("code")?),
                validity(facts),
                not_you(),
            ],
        }),
        "auth.password_changed" => Ok(Letter {
            subject: "Your password was changed".to_owned(),
            blocks: vec![
                paragraph("The password of your account was changed, and its other sign-ins have ended."),
                small("If it was not you: ask for a new password at once."),
            ],
        }),
        "auth.new_login" => new_login(facts),
        "auth.totp_on" => Ok(notice(
            "Your account has a second factor now",
            "From now on your account asks for a code of your authenticator app too. Keep the recovery codes where you \
             find them without the app.",
            "If it was not you: somebody else is in your account. Choose a new password at once and write to us.",
        )),
        "auth.totp_off" => Ok(notice(
            "Your account's second factor was switched off",
            "Your account no longer asks for a code of your authenticator app: its password, or a mail to this \
             address, is enough.",
            "If it was not you: choose a new password at once, which ends all other sign-ins.",
        )),
        "auth.totp_locked" => Ok(notice(
            "Somebody guesses the codes of your second factor",
            &format!(
                "{} wrong codes were typed for your account within a day, by somebody who knows its password or reads \
                 its mails. For that way of signing in, codes of your app are refused until a day has passed.",
                facts.text("tries")?
            ),
            "If it was not you: sign in by a link to this address if you otherwise use the password, or the other way \
             round, or use a recovery code; then choose a new password.",
        )),
        "auth.code_guessed" => Ok(notice(
            "Wrong codes were typed for your account",
            "A code that we sent you was typed wrong five times and no longer works. The link in the same mail still does.",
            "If it was not you, somebody tried to guess it. You need do nothing: nobody got in.",
        )),
        "auth.invitation" => Ok(Letter {
            subject: format!("Work with {}", facts.text("organizer")?),
            blocks: vec![
                paragraph(format!(
                    "{} invites you to become a member, in the role {}. Sign in or sign up with this address, then \
                     accept.",
                    facts.text("organizer")?,
                    facts.text("role")?
                )),
                link("Accept the invitation", facts.text("link")?),
                small(
                    "Good for seven days, for this address alone. If you do not know them, ignore this mail.",
                ),
            ],
        }),
        _ => Err(ComposeError::UnknownKind(kind.to_owned())),
    }
}

/// A link and, where there is one, a code that does the same.
fn with_link(facts: &Facts<'_>, subject: &str, why: &str, label: &str) -> Result<Letter, ComposeError> {
    let mut blocks = vec![paragraph(why), link(label, facts.text("link")?)];
    if let Some(code) = facts.maybe("code") {
        blocks.push(paragraph("Or type this code:"));
        blocks.push(Block::Code(code));
    }
    blocks.push(validity(facts));
    blocks.push(not_you());
    Ok(Letter { subject: subject.to_owned(), blocks })
}

/// Facts: `at`, and if they are known `client` (browser) and `address` (network).
fn new_login(facts: &Facts<'_>) -> Result<Letter, ComposeError> {
    let mut text = format!("Somebody signed in to your account at {}", facts.text("at")?);
    if let Some(client) = facts.maybe("client") {
        text.push_str(&format!(", with {client}"));
    }
    if let Some(address) = facts.maybe("address") {
        text.push_str(&format!(", from {address}"));
    }
    text.push('.');
    Ok(Letter {
        subject: "A new sign-in to your account".to_owned(),
        blocks: vec![
            paragraph(text),
            small(
                "If it was you, all is well. If not: choose a new password, which ends all other sign-ins.",
            ),
        ],
    })
}

fn notice(subject: &str, what: &str, advice: &str) -> Letter {
    Letter { subject: subject.to_owned(), blocks: vec![paragraph(what), small(advice)] }
}

fn validity(facts: &Facts<'_>) -> Block {
    match facts.maybe("minutes") {
        Some(minutes) => small(format!("Good for {minutes} minutes and for one use.")),
        None => small("Good for one use."),
    }
}

fn not_you() -> Block {
    small("If you did not ask for this, ignore this mail: nothing happens without the link or the code.")
}
