//! Mail leaves through one [`Mailer`]: a mail server by SMTP, or the development mailbox. A mail may arrive
//! twice (a crash between the server's answer and our commit); its Message-ID is then the same.

pub mod mailbox;
pub mod smtp;

use std::fmt;
use std::sync::Arc;

use time::OffsetDateTime;
use uuid::Uuid;

pub use super::Answer;
use crate::config::Config;
use mailbox::Mailbox;

/// Takes mails out of the house.
pub trait Mailer: Send + Sync + fmt::Debug {
    /// For `/health`.
    fn name(&self) -> &'static str;

    fn send<'a>(&'a self, mail: &'a Mail) -> Answer<'a, Result<(), SendError>>;
}

/// A mail, ready to go.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Of the outbox's row; becomes the Message-ID.
    pub id: Uuid,
    pub kind: String,
    pub to: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    pub language: String,
    pub created_at: OffsetDateTime,
}

/// Why a mail did not go.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Trying again will not help: an address that does not exist.
    #[error("refused: {0}")]
    Refused(String),
    /// Later it may work.
    #[error("not delivered: {0}")]
    Failed(String),
}

/// How mail leaves here.
#[derive(Debug, Clone)]
pub enum Outgoing {
    /// Nowhere: mails wait.
    Unconfigured,
    Smtp(Arc<dyn Mailer>),
    /// Into the development mailbox.
    Mailbox(Mailbox),
}

impl Outgoing {
    /// SMTP if it is configured, else with `--dev` the mailbox.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        Ok(match &config.mail.smtp_url {
            Some(url) => Self::Smtp(Arc::new(smtp::Smtp::new(url.reveal(), &config.mail.from)?)),
            None if config.dev => Self::Mailbox(Mailbox::default()),
            None => Self::Unconfigured,
        })
    }

    pub fn mailer(&self) -> Option<&dyn Mailer> {
        match self {
            Self::Unconfigured => None,
            Self::Smtp(smtp) => Some(&**smtp),
            Self::Mailbox(mailbox) => Some(mailbox),
        }
    }

    /// The development mailbox, if mail goes there.
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            Self::Mailbox(mailbox) => Some(mailbox),
            _ => None,
        }
    }
}
