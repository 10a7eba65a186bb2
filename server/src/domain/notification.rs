//! Notices: of which type a letter is, over which channels it may go, and what its recipient may switch off.

use std::collections::BTreeMap;

/// A way to a person.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    Email,
    Push,
    Sms,
}

impl Channel {
    pub const ALL: [Self; 3] = [Self::Email, Self::Push, Self::Sms];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Push => "push",
            Self::Sms => "sms",
        }
    }

    /// From the column, whose values a CHECK bounds.
    pub fn from_column(text: &str) -> Self {
        match text {
            "push" => Self::Push,
            "sms" => Self::Sms,
            _ => Self::Email,
        }
    }
}

/// What a notice is about: what people switch on and off.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum NoticeType {
    /// Sign-ins, passwords, second factors, invitations.
    Security,
    /// Bookings, payments, refunds, tickets that change hands.
    Bookings,
    /// An event was changed or canceled.
    EventChanges,
    /// The day before; a hold that ends soon.
    Reminders,
    WaitingList,
    /// What an organizer writes to those who come.
    Messages,
    /// To organizers: the first sale, sold out, incidents.
    Sales,
}

impl NoticeType {
    pub const ALL: [Self; 7] = [
        Self::Security,
        Self::Bookings,
        Self::EventChanges,
        Self::Reminders,
        Self::WaitingList,
        Self::Messages,
        Self::Sales,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Security => "security",
            Self::Bookings => "bookings",
            Self::EventChanges => "event_changes",
            Self::Reminders => "reminders",
            Self::WaitingList => "waiting_list",
            Self::Messages => "messages",
            Self::Sales => "sales",
        }
    }

    pub fn from_column(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.as_str() == text)
    }

    /// Of which type a letter is. What nobody entered here counts as a letter that must arrive.
    pub fn of_kind(kind: &str) -> Self {
        match kind {
            "offer.waiting" | "offer.made" => Self::WaitingList,
            "offer.event_canceled" | "event.changed" | "message.event" => Self::EventChanges,
            "booking.hold_ending" | "booking.reminder" => Self::Reminders,
            "message.news" => Self::Messages,
            _ if kind.starts_with("sales.") => Self::Sales,
            "phone.code" => Self::Security,
            _ if kind.starts_with("auth.") => Self::Security,
            _ => Self::Bookings,
        }
    }

    /// Its mails belong to a contract or keep an account safe: they cannot be switched off.
    pub const fn is_transactional(self) -> bool {
        matches!(self, Self::Security | Self::Bookings | Self::EventChanges)
    }

    /// Whether an account may choose.
    pub const fn may_choose(self, channel: Channel) -> bool {
        !(self.is_transactional() && matches!(channel, Channel::Email))
    }

    /// Without a choice: mail yes; push yes, because a browser had to ask for it; text messages no.
    pub const fn by_default(self, channel: Channel) -> bool {
        !matches!(channel, Channel::Sms)
    }
}

/// What an account chose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preferences(BTreeMap<(NoticeType, Channel), bool>);

impl Preferences {
    pub fn new(chosen: impl IntoIterator<Item = (NoticeType, Channel, bool)>) -> Self {
        Self(chosen.into_iter().map(|(t, c, enabled)| ((t, c), enabled)).collect())
    }

    /// Whether a notice of the type may go over the channel.
    pub fn allow(&self, of: NoticeType, channel: Channel) -> bool {
        match self.0.get(&(of, channel)) {
            Some(chosen) if of.may_choose(channel) => *chosen,
            _ => of.by_default(channel),
        }
    }
}

/// True if a letter carries a key to an account or a code to type: it belongs into the mail alone, and what it carries
/// ends with it.
pub fn carries_key(kind: &str) -> bool {
    match kind {
        "ticket.code" | "phone.code" => true,
        "auth.new_login"
        | "auth.password_changed"
        | "auth.email_change_notice"
        | "auth.totp_on"
        | "auth.totp_off"
        | "auth.totp_locked"
        | "auth.code_guessed" => false,
        _ => kind.starts_with("auth."),
    }
}

/// What a provider said of what it took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Its name for it.
    pub provider_ref: Option<String>,
    /// It has arrived, and was not merely taken over.
    pub delivered: bool,
}

/// Why a message is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeadBecause {
    /// The other side said no for good.
    Refused,
    /// Tried too often.
    Exhausted,
    /// Good for nothing any more.
    Expired,
    /// Its recipient does not want it.
    SwitchedOff,
    /// What it told of is no more.
    Gone,
    /// Its provider took it, and said later that it did not arrive.
    Undelivered,
}

impl DeadBecause {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Exhausted => "exhausted",
            Self::Expired => "expired",
            Self::SwitchedOff => "switched_off",
            Self::Gone => "gone",
            Self::Undelivered => "undelivered",
        }
    }

    /// From the column, whose values a CHECK bounds.
    pub fn from_column(text: &str) -> Self {
        match text {
            "refused" => Self::Refused,
            "expired" => Self::Expired,
            "switched_off" => Self::SwitchedOff,
            "gone" => Self::Gone,
            "undelivered" => Self::Undelivered,
            _ => Self::Exhausted,
        }
    }

    /// Sending it again may help. Not what did not arrive: what it carried is gone, and its carrier tried more than once.
    pub const fn may_replay(self) -> bool {
        matches!(self, Self::Refused | Self::Exhausted)
    }
}

/// What a provider tells later of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// It has it, and does what it can.
    Taken,
    Arrived,
    /// It will not arrive; `unwanted`: its recipient wants nothing more.
    Lost {
        unwanted: bool,
    },
}

/// How a message stands, for what its provider tells.
#[derive(Debug, Clone, Copy)]
pub struct Stands<'a> {
    /// Of the outbox: `queued`, `sent`, `delivered`, `failed`, `dead`.
    pub status: &'a str,
    /// A worker sends it just now.
    pub is_leased: bool,
    /// The provider's id of the last attempt whose answer was written down.
    pub provider_ref: Option<&'a str>,
}

/// What becomes of a message by what its provider told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Sent,
    Delivered,
    Dead(DeadBecause),
}

/// What news of the attempt `provider_ref` change, in whatever order and however often they come. `None`: nothing.
///
/// What arrived has arrived, by whichever attempt. Otherwise news count for the attempt whose answer was written down,
/// or, while the message waits, for one whose answer was lost: it goes no second time then. News of an attempt before
/// that say nothing of the next.
#[must_use]
pub fn step(stands: Stands<'_>, provider_ref: &str, news: News) -> Option<Step> {
    let is_noted = stands.provider_ref == Some(provider_ref);
    let waits = matches!(stands.status, "queued" | "failed");
    match news {
        News::Arrived => (stands.status != "delivered").then_some(Step::Delivered),
        // The worker writes its answer down in a moment, and more than is known here.
        News::Taken => (waits && !is_noted && !stands.is_leased).then_some(Step::Sent),
        News::Lost { unwanted } => {
            let because = if unwanted { DeadBecause::SwitchedOff } else { DeadBecause::Undelivered };
            let counts = if waits { !is_noted } else { stands.status == "sent" && is_noted };
            counts.then_some(Step::Dead(because))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactional_mails_cannot_be_switched_off_and_everything_else_can() {
        let off =
            |of: NoticeType, channel: Channel| Preferences::new([(of, channel, false)]).allow(of, channel);
        for of in NoticeType::ALL {
            assert_eq!(off(of, Channel::Email), of.is_transactional(), "{of:?}");
            assert!(!off(of, Channel::Push) && !off(of, Channel::Sms), "{of:?}");
            assert!(Preferences::default().allow(of, Channel::Push));
            assert!(!Preferences::default().allow(of, Channel::Sms), "nobody pays for messages unasked");
            assert!(Preferences::new([(of, Channel::Sms, true)]).allow(of, Channel::Sms));
            assert_eq!(NoticeType::from_column(of.as_str()), Some(of));
        }
    }

    #[test]
    fn a_letter_with_a_key_goes_by_mail_alone() {
        for kind in
            ["auth.magic_link", "auth.recovery", "auth.reauthentication", "auth.invitation", "ticket.code"]
        {
            assert!(carries_key(kind), "{kind}");
        }
        for kind in ["auth.new_login", "booking.paid", "offer.made", "sales.first"] {
            assert!(!carries_key(kind), "{kind}");
        }
        assert_eq!(NoticeType::of_kind("auth.magic_link"), NoticeType::Security);
        assert_eq!(NoticeType::of_kind("something.new"), NoticeType::Bookings, "must arrive");
    }

    #[test]
    fn news_move_a_message_forwards_whatever_their_order() {
        let lost = News::Lost { unwanted: false };
        let stop = News::Lost { unwanted: true };
        let dead = Some(Step::Dead(DeadBecause::Undelivered));
        let (sent, delivered) = (Some(Step::Sent), Some(Step::Delivered));
        let stands = |status, provider_ref| Stands { status, is_leased: false, provider_ref };
        for (of, news, expected) in [
            // The usual way.
            (stands("sent", Some("SM1")), News::Taken, None),
            (stands("sent", Some("SM1")), News::Arrived, delivered),
            (stands("sent", Some("SM1")), lost, dead),
            (stands("sent", Some("SM1")), stop, Some(Step::Dead(DeadBecause::SwitchedOff))),
            // Twice, and late.
            (stands("delivered", Some("SM1")), News::Arrived, None),
            (stands("delivered", Some("SM1")), News::Taken, None),
            (stands("delivered", Some("SM1")), lost, None),
            (stands("dead", Some("SM1")), News::Taken, None),
            (stands("dead", Some("SM1")), lost, None),
            (stands("dead", Some("SM1")), News::Arrived, delivered),
            // The answer was lost, or is not written down yet.
            (stands("failed", None), News::Taken, sent),
            (stands("queued", None), News::Arrived, delivered),
            (stands("failed", Some("SM0")), lost, dead),
            // Of an attempt before: the message was queued again.
            (stands("queued", Some("SM1")), News::Taken, None),
            (stands("queued", Some("SM1")), lost, None),
            (stands("sent", Some("SM2")), lost, None),
            (stands("sent", Some("SM2")), News::Arrived, delivered),
        ] {
            assert_eq!(step(of, "SM1", news), expected, "{of:?} {news:?}");
        }
        let at_work = Stands { status: "queued", is_leased: true, provider_ref: None };
        assert_eq!(step(at_work, "SM1", News::Taken), None, "its worker says more");
        assert_eq!(step(at_work, "SM1", News::Arrived), delivered);
    }
}
