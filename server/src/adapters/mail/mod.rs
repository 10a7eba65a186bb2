//! Messages leave through one [`Mailer`] for each channel: mail through a mail server by SMTP or into the development
//! mailbox, or any channel through a simulated provider. A mail may arrive twice (a crash between the server's answer and
//! our commit); its Message-ID is then the same.

pub mod mailbox;
pub mod simulated;
pub mod smtp;

use std::fmt;
use std::sync::Arc;

use time::OffsetDateTime;
use uuid::Uuid;

pub use super::Answer;
use crate::clock::SharedRng;
use crate::config::Config;
pub use crate::domain::notification::{Channel, Receipt};
use mailbox::Mailbox;
use simulated::Simulated;

/// Takes messages of a channel out of the house.
pub trait Mailer: Send + Sync + fmt::Debug {
    /// For `/health`.
    fn name(&self) -> &'static str;

    fn send<'a>(&'a self, mail: &'a Mail) -> Answer<'a, Result<Receipt, SendError>>;
}

/// A mail, ready to go.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Of the outbox's row; becomes the Message-ID.
    pub id: Uuid,
    pub channel: Channel,
    pub kind: String,
    /// An address; of a push its subscription as JSON.
    pub to: String,
    /// Where its button leads.
    pub link: Option<String>,
    pub subject: String,
    pub text: String,
    pub html: String,
    pub language: String,
    pub attachments: Vec<Attachment>,
    pub created_at: OffsetDateTime,
}

/// A file that goes with a mail.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// Plain ASCII.
    pub name: String,
    pub content_type: &'static str,
    pub bytes: Arc<[u8]>,
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
    /// There is nobody any more.
    #[error("gone: {0}")]
    Gone(String),
    /// Its recipient told the other side to take nothing more.
    #[error("unwanted: {0}")]
    Unwanted(String),
}

/// How mail leaves here.
#[derive(Debug, Clone)]
pub enum Outgoing {
    /// Nowhere: mails wait.
    Unconfigured,
    Smtp(Arc<dyn Mailer>),
    /// Into the development mailbox.
    Mailbox(Mailbox),
    /// To a provider that is none.
    Simulated(Arc<Simulated>),
}

impl Outgoing {
    /// Simulated if the configuration says so; SMTP if it is configured, else with `--dev` the mailbox.
    pub fn new(config: &Config, rng: &SharedRng) -> anyhow::Result<Self> {
        if config.simulated.channels.contains(&Channel::Email) {
            return Ok(Self::Simulated(Arc::new(Simulated::new(&config.simulated, None, rng))));
        }
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
            Self::Simulated(simulated) => Some(&**simulated),
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

/// The ways out of every channel.
#[derive(Debug, Clone)]
pub struct Ways {
    email: Outgoing,
    push: Option<Arc<dyn Mailer>>,
    sms: Option<Arc<dyn Mailer>>,
}

impl Ways {
    /// As configured; with `--dev` what has no provider goes into the development mailbox.
    pub fn new(
        config: &Config,
        email: Outgoing,
        push: Arc<dyn Mailer>,
        sms: Option<Arc<dyn Mailer>>,
        rng: &SharedRng,
    ) -> Self {
        let wanted = |channel| config.simulated.channels.contains(&channel);
        let simulated =
            |mailbox| Arc::new(Simulated::new(&config.simulated, mailbox, rng)) as Arc<dyn Mailer>;
        let mailbox = email.mailbox().cloned();
        let push = if wanted(Channel::Push) { simulated(mailbox.clone()) } else { push };
        let sms = if wanted(Channel::Sms) { Some(simulated(mailbox.clone())) } else { sms };
        let sms = sms.or_else(|| mailbox.map(|mailbox| simulated(Some(mailbox))));
        Self { push: Some(push), sms, email }
    }

    /// What takes the channel's messages, if anything does.
    pub fn of(&self, channel: Channel) -> Option<&dyn Mailer> {
        match channel {
            Channel::Email => self.email.mailer(),
            Channel::Push => self.push.as_deref(),
            Channel::Sms => self.sms.as_deref(),
        }
    }

    /// The channels that have a way out; messages of the others wait.
    pub fn open(&self) -> Vec<Channel> {
        Channel::ALL.into_iter().filter(|channel| self.of(*channel).is_some()).collect()
    }
}
