//! The development mailbox: keeps what was sent, in memory, for `GET /dev/mailbox`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Answer, Mail, Mailer, Receipt, SendError};

/// The oldest go first.
const KEPT: usize = 500;

/// The last mails, newest last. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Mailbox(Arc<Mutex<VecDeque<Mail>>>);

impl Mailbox {
    /// Mails to `recipient` (in whatever case), or all, newest first.
    pub fn list(&self, recipient: Option<&str>, limit: usize) -> Vec<Mail> {
        let mails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = |mail: &&Mail| recipient.is_none_or(|r| mail.to.eq_ignore_ascii_case(r));
        mails.iter().rev().filter(wanted).take(limit).cloned().collect()
    }
}

impl Mailer for Mailbox {
    fn name(&self) -> &'static str {
        "mailbox"
    }

    fn send<'a>(&'a self, mail: &'a Mail) -> Answer<'a, Result<Receipt, SendError>> {
        let mut mails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if mails.len() == KEPT {
            mails.pop_front();
        }
        mails.push_back(mail.clone());
        Box::pin(std::future::ready(Ok(Receipt::default())))
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn the_mailbox_keeps_the_newest_and_filters_by_recipient() {
        let mailbox = Mailbox::default();
        for n in 0..KEPT + 3 {
            let mail = Mail {
                id: Uuid::from_u128(n as u128),
                channel: super::super::Channel::Email,
                kind: "auth.magic_link".into(),
                to: if n % 2 == 0 { "Ada@example.org" } else { "bob@example.org" }.into(),
                subject: n.to_string(),
                text: String::new(),
                html: String::new(),
                language: "en".into(),
                link: None,
                attachments: Vec::new(),
                created_at: OffsetDateTime::UNIX_EPOCH,
            };
            mailbox.send(&mail).await.unwrap();
        }
        let all = mailbox.list(None, usize::MAX);
        assert_eq!((all.len(), all[0].subject.as_str()), (KEPT, "502"));
        assert_eq!(all[KEPT - 1].subject, "3");
        let of_ada = mailbox.list(Some("ada@example.org"), 2);
        assert_eq!(of_ada.iter().map(|m| m.subject.as_str()).collect::<Vec<_>>(), ["502", "500"]);
    }
}
