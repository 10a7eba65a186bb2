//! Who may do what: the ONE table. [`Action`] says what is done, [`Action::granted_to`] to whom it is open,
//! [`ROUTES`] which route does it. The extractors of `http::auth` read it before a handler runs.
//!
//! What stands here is about kinds of callers. That the object is one's own – the guest's booking, the
//! member's organizer – is looked at with the object itself, and row level security stands behind both.
//! `tests/api/matrix.txt` is the same table as seen from outside.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::account::PlatformRole;

/// What a member may do, each role including the ones before it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum OrgRole {
    Door,
    Manager,
    Owner,
}

impl OrgRole {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Door => "door",
            Self::Manager => "manager",
            Self::Owner => "owner",
        }
    }

    /// From the column, whose values a CHECK bounds; an unknown one may do the least.
    pub fn from_column(text: &str) -> Self {
        match text {
            "owner" => Self::Owner,
            "manager" => Self::Manager,
            _ => Self::Door,
        }
    }

    /// Whether a member of this role may make others `other`, or end their being so: owners all, managers the
    /// people at the door.
    pub fn may_appoint(self, other: Self) -> bool {
        match self {
            Self::Owner => true,
            Self::Manager => other == Self::Door,
            Self::Door => false,
        }
    }
}

/// What a system account may be allowed. Closed: an unknown word is refused.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
pub enum Scope {
    #[serde(rename = "tickets.validate")]
    TicketsValidate,
    #[serde(rename = "bookings.read")]
    BookingsRead,
    #[serde(rename = "events.read")]
    EventsRead,
    #[serde(rename = "events.write")]
    EventsWrite,
    #[serde(rename = "stats.read")]
    StatsRead,
    #[serde(rename = "notifications.send")]
    NotificationsSend,
}

impl Scope {
    pub const ALL: [Self; 6] = [
        Self::TicketsValidate,
        Self::BookingsRead,
        Self::EventsRead,
        Self::EventsWrite,
        Self::StatsRead,
        Self::NotificationsSend,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::TicketsValidate => "tickets.validate",
            Self::BookingsRead => "bookings.read",
            Self::EventsRead => "events.read",
            Self::EventsWrite => "events.write",
            Self::StatsRead => "stats.read",
            Self::NotificationsSend => "notifications.send",
        }
    }

    /// `None` for a word that is no scope (any more): it allows nothing.
    pub fn from_word(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

/// How strong a sign-in is (authenticator assurance level, as GoTrue's tokens name it).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Aal {
    /// A password, or a mail.
    Aal1,
    /// A second factor too.
    Aal2,
}

impl Aal {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aal1 => "aal1",
            Self::Aal2 => "aal2",
        }
    }

    /// An unknown word is the lower one.
    pub fn from_word(text: &str) -> Self {
        if text == "aal2" { Self::Aal2 } else { Self::Aal1 }
    }
}

/// To whom an action is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Also who says nothing of themselves. Not system accounts.
    Anybody,
    /// Who holds the secret of a booking.
    Guest,
    /// Every signed-in account, for what is its own.
    Account,
    /// Members of the organizer of at least this role.
    Member(OrgRole),
    /// System accounts of the organizer with this scope.
    System(Scope),
    /// System accounts, whatever their scopes.
    AnySystem,
    /// Administrators of the platform.
    Admin,
    /// Enrolled gates, by their signature.
    Device,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    Browse,
    SignIn,
    KnowOneself,
    ManageAccount,
    AcceptInvitation,
    Buy,
    Pay,
    Refund,
    ReadBooking,
    ChangeBooking,
    ReadTickets,
    ReadTicket,
    ChangeTicket,
    ManageTickets,
    ReadExports,
    ProveMail,
    ReadPayments,
    FoundOrganizer,
    ReadProfile,
    AskVerification,
    ReadMembers,
    Invite,
    EndMembership,
    ManageSystemAccounts,
    ManagePaymentAccount,
    ManageWebhooks,
    TellPaymentEvent,
    TellDelivery,
    ReadEvents,
    WriteEvents,
    /// Codes and who waits: more than people at the door need.
    ReadOffers,
    ReadLedger,
    GiveTickets,
    CancelEvent,
    KeepPlace,
    ReadStewards,
    WriteStewards,
    ReadStatistics,
    ReadIncidents,
    ManageDevices,
    DecideQuarantine,
    ValidateTickets,
    GateWork,
    SendMessages,
    Administer,
    Operate,
}

impl Action {
    /// The table.
    pub fn granted_to(self) -> &'static [Who] {
        use OrgRole::{Door, Manager, Owner};
        use Who::{Account, Admin, AnySystem, Anybody, Device, Guest, Member, System};
        match self {
            Self::Browse | Self::SignIn | Self::Buy => &[Anybody, Guest, Account],
            // Who says nothing of themselves, and signs what they say.
            Self::TellPaymentEvent | Self::TellDelivery => &[Anybody, Guest, Account],
            Self::KnowOneself => &[Guest, Account, AnySystem],
            Self::ManageAccount | Self::AcceptInvitation | Self::FoundOrganizer => &[Account],
            Self::Pay | Self::ReadTickets => &[Guest, Account],
            Self::ReadTicket | Self::ChangeTicket | Self::ChangeBooking => &[Guest, Account, Member(Manager)],
            Self::ProveMail => &[Guest, Account],
            Self::ReadExports => &[Member(Manager), System(Scope::BookingsRead)],
            Self::ReadBooking => &[Guest, Account, Member(Manager), System(Scope::BookingsRead)],
            Self::Refund => &[Account, Member(Manager)],
            Self::ReadPayments => &[Account, Member(Manager), System(Scope::BookingsRead)],
            Self::ReadProfile | Self::ReadStewards => &[Member(Door)],
            Self::AskVerification
            | Self::ManageSystemAccounts
            | Self::ManagePaymentAccount
            | Self::ManageWebhooks
            | Self::DecideQuarantine => &[Member(Owner)],
            Self::ReadMembers | Self::Invite => &[Member(Manager)],
            // Everybody may leave; whom else one may put out says `OrgRole::may_appoint`.
            Self::EndMembership => &[Member(Door)],
            Self::ReadEvents => &[Member(Door), System(Scope::EventsRead)],
            Self::WriteEvents => &[Member(Manager), System(Scope::EventsWrite)],
            Self::ReadOffers => &[Member(Manager), System(Scope::EventsRead)],
            Self::ReadLedger => &[Member(Manager), System(Scope::StatsRead)],
            Self::GiveTickets
            | Self::CancelEvent
            | Self::WriteStewards
            | Self::ManageDevices
            | Self::ManageTickets => &[Member(Manager)],
            Self::KeepPlace => &[Guest, Account],
            Self::ReadStatistics | Self::ReadIncidents => &[Member(Door), System(Scope::StatsRead)],
            Self::ValidateTickets => &[Member(Door), System(Scope::TicketsValidate)],
            Self::GateWork => &[Device],
            Self::SendMessages => &[Member(Manager), System(Scope::NotificationsSend)],
            Self::Administer => &[Admin],
            // By a token of its own, or from the machine itself.
            Self::Operate => &[Anybody, Admin],
        }
    }

    /// The least role of members who may do it; `None`: it is nothing that members do as such.
    pub fn least_role(self) -> Option<OrgRole> {
        self.granted_to().iter().find_map(|who| match who {
            Who::Member(role) => Some(*role),
            _ => None,
        })
    }

    /// The scope of system accounts that may do it.
    pub fn scope(self) -> Option<Scope> {
        self.granted_to().iter().find_map(|who| match who {
            Who::System(scope) => Some(*scope),
            _ => None,
        })
    }

    /// True if it is done for an organizer or for the platform, and not for oneself: an account with a second
    /// factor must have shown it.
    pub fn is_staff_work(self) -> bool {
        let mut for_others = false;
        for who in self.granted_to() {
            match who {
                Who::Member(_) | Who::Admin => for_others = true,
                Who::Anybody | Who::Account | Who::Guest => return false,
                Who::System(_) | Who::AnySystem | Who::Device => {}
            }
        }
        for_others
    }
}

/// What a caller proved to be, before any organizer comes into it.
#[derive(Debug, Clone, Copy)]
pub enum Standing<'a> {
    Anonymous,
    Guest,
    Account(PlatformRole),
    System(&'a [Scope]),
}

/// Why somebody may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// They did not say who they are; `secret_helps`: a booking's secret would do too.
    SignIn {
        secret_helps: bool,
    },
    /// A system account lacks this scope; `None`: no scope allows it.
    Scope(Option<Scope>),
    AdminOnly,
}

/// Whether such a caller may try. Members' roles come later, with their organizer: [`member_may`].
pub fn may_try(action: Option<Action>, who: Standing<'_>) -> Result<(), Denied> {
    let Some(action) = action else {
        // A route that nobody entered above is no system's.
        return if matches!(who, Standing::System(_)) { Err(Denied::Scope(None)) } else { Ok(()) };
    };
    let to = action.granted_to();
    let sign_in = Denied::SignIn { secret_helps: to.contains(&Who::Guest) };
    match who {
        Standing::Anonymous => to.contains(&Who::Anybody).then_some(()).ok_or(sign_in),
        Standing::Guest => {
            (to.contains(&Who::Anybody) || to.contains(&Who::Guest)).then_some(()).ok_or(sign_in)
        }
        Standing::Account(PlatformRole::Admin) if to.contains(&Who::Admin) => Ok(()),
        Standing::Account(_) => {
            let open = |who: &Who| matches!(who, Who::Anybody | Who::Account | Who::Member(_));
            to.iter().any(open).then_some(()).ok_or(Denied::AdminOnly)
        }
        Standing::System(held) => {
            let open = |who: &Who| match who {
                Who::AnySystem => true,
                Who::System(scope) => held.contains(scope),
                _ => false,
            };
            to.iter().any(open).then_some(()).ok_or(Denied::Scope(action.scope()))
        }
    }
}

/// Whether a member of that role may; else the role it takes. A route that nobody entered below is the owner's.
pub fn member_may(action: Option<Action>, role: OrgRole) -> Result<(), OrgRole> {
    let needed = action.map_or(Some(OrgRole::Owner), Action::least_role).unwrap_or(OrgRole::Owner);
    if role >= needed { Ok(()) } else { Err(needed) }
}

/// What a route does, by `METHOD /path/{template}`.
pub fn action_of(method: &str, path: &str) -> Option<Action> {
    static BY_ROUTE: LazyLock<HashMap<(&str, &str), Action>> =
        LazyLock::new(|| ROUTES.iter().map(|(method, path, action)| ((*method, *path), *action)).collect());
    // The router answers a HEAD as the GET that it is.
    let method = if method == "HEAD" { "GET" } else { method };
    BY_ROUTE.get(&(method, path)).copied()
}

/// Every route and what it does.
pub const ROUTES: &[(&str, &str, Action)] = &[
    ("GET", "/.well-known/jwks.json", Action::Browse),
    ("GET", "/auth/v1/.well-known/jwks.json", Action::Browse),
    ("GET", "/auth/v1/health", Action::Browse),
    ("GET", "/auth/v1/settings", Action::Browse),
    ("POST", "/auth/v1/signup", Action::SignIn),
    ("POST", "/auth/v1/token", Action::SignIn),
    ("POST", "/auth/supabase/callback", Action::SignIn),
    ("POST", "/auth/v1/otp", Action::SignIn),
    ("POST", "/auth/v1/magiclink", Action::SignIn),
    ("POST", "/auth/v1/recover", Action::SignIn),
    ("POST", "/auth/v1/resend", Action::SignIn),
    ("GET", "/auth/v1/verify", Action::SignIn),
    ("POST", "/auth/v1/verify", Action::SignIn),
    ("GET", "/auth/v1/reauthenticate", Action::ManageAccount),
    ("POST", "/auth/v1/logout", Action::ManageAccount),
    ("GET", "/auth/v1/user", Action::ManageAccount),
    ("PUT", "/auth/v1/user", Action::ManageAccount),
    ("POST", "/auth/system/login", Action::SignIn),
    ("GET", "/auth/verify", Action::KnowOneself),
    ("POST", "/auth/session", Action::SignIn),
    ("GET", "/auth/session", Action::ManageAccount),
    ("DELETE", "/auth/session", Action::SignIn),
    ("GET", "/auth/sessions", Action::ManageAccount),
    ("POST", "/auth/totp", Action::ManageAccount),
    ("DELETE", "/auth/totp", Action::ManageAccount),
    ("POST", "/auth/totp/confirm", Action::ManageAccount),
    ("POST", "/auth/totp/verify", Action::ManageAccount),
    ("DELETE", "/auth/account", Action::ManageAccount),
    ("DELETE", "/auth/sessions/{session_id}", Action::ManageAccount),
    ("POST", "/auth/invitations/accept", Action::AcceptInvitation),
    ("POST", "/auth/invitations/show", Action::SignIn),
    ("POST", "/bookings/code", Action::ProveMail),
    ("GET", "/bookings/{booking_id}", Action::ReadBooking),
    ("POST", "/bookings/{booking_id}/cancel", Action::ChangeBooking),
    ("POST", "/bookings/{booking_id}/extend", Action::ChangeBooking),
    ("GET", "/bookings/{booking_id}/event.ics", Action::ReadTicket),
    ("GET", "/bookings/{booking_id}/receipt.pdf", Action::ReadTicket),
    ("GET", "/bookings/{booking_id}/tickets.pdf", Action::ReadTicket),
    ("GET", "/categories", Action::Browse),
    ("GET", "/dev/mailbox", Action::Operate),
    ("GET", "/events/recommended", Action::Browse),
    ("GET", "/events/search", Action::Browse),
    ("POST", "/events/{event_id}/queue", Action::Buy),
    ("GET", "/events/{event_id}/queue", Action::Browse),
    ("POST", "/events/{event_id}/waiting-list", Action::Buy),
    ("GET", "/events/{event_id}/waiting-list/{entry_id}", Action::KeepPlace),
    ("DELETE", "/events/{event_id}/waiting-list/{entry_id}", Action::KeepPlace),
    ("POST", "/events/{event_id}/unlock", Action::Buy),
    ("GET", "/events/{event_id}", Action::Browse),
    ("GET", "/events/{event_id}/card.png", Action::Browse),
    ("GET", "/events/{event_id}/share", Action::Browse),
    ("GET", "/events/{event_id}/ticket-keys", Action::Browse),
    ("POST", "/gates/enroll", Action::SignIn),
    ("GET", "/gates/guest-records", Action::GateWork),
    ("POST", "/gates/log", Action::GateWork),
    ("GET", "/gates/manifest", Action::GateWork),
    ("GET", "/gates/time", Action::Browse),
    ("GET", "/gates/wait", Action::GateWork),
    ("GET", "/health", Action::Browse),
    ("GET", "/health/live", Action::Browse),
    ("GET", "/health/ready", Action::Browse),
    ("GET", "/metrics", Action::Operate),
    ("GET", "/notifications", Action::ManageAccount),
    ("GET", "/notifications/preferences", Action::ManageAccount),
    ("PUT", "/notifications/preferences", Action::ManageAccount),
    ("GET", "/notifications/phone", Action::ManageAccount),
    ("PUT", "/notifications/phone", Action::ManageAccount),
    ("DELETE", "/notifications/phone", Action::ManageAccount),
    ("POST", "/notifications/phone/verify", Action::ManageAccount),
    ("GET", "/notifications/push/key", Action::ManageAccount),
    ("GET", "/notifications/push", Action::ManageAccount),
    ("POST", "/notifications/push", Action::ManageAccount),
    ("DELETE", "/notifications/push/{subscription_id}", Action::ManageAccount),
    ("POST", "/notifications/send", Action::SendMessages),
    ("POST", "/notifications/sms/{notification_id}/status", Action::TellDelivery),
    ("GET", "/admin/notifications/dead", Action::Administer),
    ("GET", "/admin/organizers", Action::Administer),
    ("POST", "/admin/organizers/{organizer_id}/approve", Action::Administer),
    ("POST", "/admin/organizers/{organizer_id}/reject", Action::Administer),
    ("POST", "/admin/notifications/dead/{notification_id}/replay", Action::Administer),
    ("GET", "/organizer/events", Action::ReadEvents),
    ("POST", "/organizer/events/create", Action::WriteEvents),
    ("GET", "/organizer/events/{event_id}", Action::ReadEvents),
    ("PUT", "/organizer/events/{event_id}/update", Action::WriteEvents),
    ("POST", "/organizer/events/{event_id}/publish", Action::WriteEvents),
    ("POST", "/organizer/events/{event_id}/clone", Action::WriteEvents),
    ("POST", "/organizer/events/{event_id}/series", Action::WriteEvents),
    ("GET", "/organizer/events/{event_id}/ticket-types", Action::ReadEvents),
    ("POST", "/organizer/events/{event_id}/ticket-types", Action::WriteEvents),
    ("PUT", "/organizer/events/{event_id}/ticket-types/{ticket_type_id}", Action::WriteEvents),
    ("DELETE", "/organizer/events/{event_id}/ticket-types/{ticket_type_id}", Action::WriteEvents),
    ("POST", "/organizer/events/{event_id}/cancel", Action::CancelEvent),
    ("GET", "/organizer/events/{event_id}/cancel", Action::CancelEvent),
    ("POST", "/organizer/events/{event_id}/complimentary", Action::GiveTickets),
    ("GET", "/organizer/events/{event_id}/complimentary", Action::GiveTickets),
    ("GET", "/organizer/events/{event_id}/waiting-list", Action::ReadOffers),
    ("DELETE", "/organizer/events/{event_id}/waiting-list/{entry_id}", Action::WriteEvents),
    ("GET", "/organizer/events/{event_id}/ledger", Action::ReadLedger),
    ("GET", "/organizer/events/{event_id}/promo-codes", Action::ReadOffers),
    ("POST", "/organizer/events/{event_id}/promo-codes", Action::WriteEvents),
    ("PUT", "/organizer/events/{event_id}/promo-codes/{promo_code_id}", Action::WriteEvents),
    ("DELETE", "/organizer/events/{event_id}/promo-codes/{promo_code_id}", Action::WriteEvents),
    ("GET", "/organizer/events/{event_id}/quotas", Action::ReadEvents),
    ("POST", "/organizer/events/{event_id}/quotas", Action::WriteEvents),
    ("PUT", "/organizer/events/{event_id}/quotas/{quota_id}", Action::WriteEvents),
    ("GET", "/organizer/events/{event_id}/lists", Action::ReadEvents),
    ("POST", "/organizer/events/{event_id}/lists", Action::WriteEvents),
    ("PUT", "/organizer/events/{event_id}/lists/{list_id}", Action::WriteEvents),
    ("DELETE", "/organizer/events/{event_id}/lists/{list_id}", Action::WriteEvents),
    ("POST", "/organizer/events/{event_id}/lists/{list_id}/try", Action::WriteEvents),
    ("GET", "/organizer/events/{event_id}/gates", Action::ReadEvents),
    ("POST", "/organizer/events/{event_id}/gates", Action::WriteEvents),
    ("PUT", "/organizer/events/{event_id}/gates/{gate_id}", Action::WriteEvents),
    ("DELETE", "/organizer/events/{event_id}/gates/{gate_id}", Action::WriteEvents),
    ("GET", "/organizer/events/{event_id}/stewards", Action::ReadStewards),
    ("POST", "/organizer/events/{event_id}/stewards", Action::WriteStewards),
    ("PUT", "/organizer/events/{event_id}/stewards/{steward_id}", Action::WriteStewards),
    ("DELETE", "/organizer/events/{event_id}/stewards/{steward_id}", Action::WriteStewards),
    ("GET", "/organizer/events/{event_id}/imports", Action::ManageTickets),
    ("POST", "/organizer/events/{event_id}/imports", Action::ManageTickets),
    ("POST", "/organizer/events/{event_id}/imports/{import_id}/undo", Action::ManageTickets),
    ("GET", "/organizer/events/{event_id}/imports.csv", Action::ReadExports),
    ("GET", "/organizer/events/{event_id}/ledger.csv", Action::ReadExports),
    ("GET", "/organizer/events/{event_id}/exports/bookings.csv", Action::ReadExports),
    ("GET", "/organizer/events/{event_id}/exports/tickets.csv", Action::ReadExports),
    ("GET", "/organizer/events/{event_id}/exports/scans.csv", Action::ReadExports),
    ("GET", "/organizer/events/{event_id}/exports/transactions.csv", Action::ReadExports),
    ("GET", "/organizer/events/{event_id}/door-list.html", Action::ReadExports),
    ("GET", "/organizer/events/{event_id}/questions", Action::ReadEvents),
    ("POST", "/organizer/events/{event_id}/questions", Action::WriteEvents),
    ("PUT", "/organizer/events/{event_id}/questions/{question_id}", Action::WriteEvents),
    ("DELETE", "/organizer/events/{event_id}/questions/{question_id}", Action::WriteEvents),
    ("GET", "/organizer/events/{event_id}/stats", Action::ReadStatistics),
    ("GET", "/organizer/events/{event_id}/stats/series", Action::ReadStatistics),
    ("GET", "/organizer/events/{event_id}/stats/live", Action::ReadStatistics),
    ("GET", "/organizer/events/{event_id}/incidents", Action::ReadIncidents),
    ("GET", "/organizer/events/{event_id}/devices", Action::ManageDevices),
    ("GET", "/organizer/events/{event_id}/devices/slots", Action::ManageDevices),
    ("POST", "/organizer/events/{event_id}/devices/slots", Action::ManageDevices),
    ("GET", "/organizer/events/{event_id}/devices/slots/{slot_id}", Action::ManageDevices),
    ("POST", "/organizer/events/{event_id}/devices/slots/{slot_id}/confirm", Action::ManageDevices),
    ("POST", "/organizer/events/{event_id}/devices/slots/{slot_id}/decline", Action::ManageDevices),
    ("GET", "/organizer/events/{event_id}/devices/{device_id}/quarantine", Action::ManageDevices),
    ("POST", "/organizer/events/{event_id}/devices/{device_id}/quarantine", Action::DecideQuarantine),
    ("POST", "/organizer/events/{event_id}/devices/{device_id}/revoke", Action::ManageDevices),
    ("POST", "/organizer/tickets/{ticket_id}/block", Action::ManageTickets),
    ("POST", "/organizer/tickets/{ticket_id}/unblock", Action::ManageTickets),
    ("POST", "/organizer/tickets/{ticket_id}/withdraw", Action::ManageTickets),
    ("GET", "/organizer/profile", Action::ReadProfile),
    ("PUT", "/organizer/profile", Action::FoundOrganizer),
    ("GET", "/organizer/payment/stripe", Action::ManagePaymentAccount),
    ("PUT", "/organizer/payment/stripe", Action::ManagePaymentAccount),
    ("DELETE", "/organizer/payment/stripe", Action::ManagePaymentAccount),
    ("POST", "/organizer/verification", Action::AskVerification),
    ("GET", "/organizer/members", Action::ReadMembers),
    ("PUT", "/organizer/members/{user_id}", Action::Invite),
    ("DELETE", "/organizer/members/{user_id}", Action::EndMembership),
    ("GET", "/organizer/invitations", Action::ReadMembers),
    ("POST", "/organizer/invitations", Action::Invite),
    ("DELETE", "/organizer/invitations/{invitation_id}", Action::Invite),
    ("GET", "/organizer/system-accounts", Action::ManageSystemAccounts),
    ("POST", "/organizer/system-accounts", Action::ManageSystemAccounts),
    ("POST", "/organizer/system-accounts/{account_id}/rotate", Action::ManageSystemAccounts),
    ("DELETE", "/organizer/system-accounts/{account_id}", Action::ManageSystemAccounts),
    ("GET", "/organizer/webhooks", Action::ManageWebhooks),
    ("POST", "/organizer/webhooks", Action::ManageWebhooks),
    ("GET", "/organizer/webhooks/{endpoint_id}", Action::ManageWebhooks),
    ("PUT", "/organizer/webhooks/{endpoint_id}", Action::ManageWebhooks),
    ("DELETE", "/organizer/webhooks/{endpoint_id}", Action::ManageWebhooks),
    ("POST", "/organizer/webhooks/{endpoint_id}/rotate", Action::ManageWebhooks),
    ("POST", "/organizer/webhooks/{endpoint_id}/ping", Action::ManageWebhooks),
    ("POST", "/organizer/webhooks/{endpoint_id}/replay", Action::ManageWebhooks),
    ("GET", "/organizer/webhooks/{endpoint_id}/deliveries", Action::ManageWebhooks),
    ("GET", "/organizer/webhooks/{endpoint_id}/deliveries/{delivery_id}", Action::ManageWebhooks),
    ("POST", "/organizer/webhooks/{endpoint_id}/deliveries/{delivery_id}/replay", Action::ManageWebhooks),
    ("GET", "/payment/history", Action::ReadPayments),
    ("POST", "/payment/process", Action::Pay),
    ("POST", "/payment/refund", Action::Refund),
    ("POST", "/tickets/quote", Action::Buy),
    ("POST", "/payment/webhooks/{provider}/{endpoint_id}", Action::TellPaymentEvent),
    ("POST", "/tickets/purchase", Action::Buy),
    ("POST", "/tickets/validate", Action::ValidateTickets),
    ("GET", "/tickets/view", Action::ReadTickets),
    ("GET", "/tickets/{ticket_id}", Action::ReadTicket),
    ("GET", "/tickets/{ticket_id}/event.ics", Action::ReadTicket),
    ("GET", "/tickets/{ticket_id}/qr.png", Action::ReadTicket),
    ("GET", "/tickets/{ticket_id}/qr.svg", Action::ReadTicket),
    ("GET", "/tickets/{ticket_id}/ticket.pdf", Action::ReadTicket),
    ("PUT", "/tickets/{ticket_id}/attendee", Action::ChangeTicket),
    ("POST", "/tickets/{ticket_id}/reissue", Action::ChangeTicket),
    ("POST", "/tickets/{ticket_id}/transfer", Action::ChangeTicket),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_that_nobody_entered_is_the_owners_and_no_systems() {
        assert_eq!(action_of("GET", "/organizer/secrets"), None);
        assert_eq!(member_may(None, OrgRole::Manager), Err(OrgRole::Owner));
        assert_eq!(member_may(None, OrgRole::Owner), Ok(()));
        assert_eq!(may_try(None, Standing::System(&Scope::ALL)), Err(Denied::Scope(None)));
    }

    #[test]
    fn a_system_account_does_what_its_scopes_say_and_nothing_else() {
        let reads = [Scope::EventsRead];
        assert_eq!(may_try(Some(Action::ReadEvents), Standing::System(&reads)), Ok(()));
        assert_eq!(
            may_try(Some(Action::WriteEvents), Standing::System(&reads)),
            Err(Denied::Scope(Some(Scope::EventsWrite)))
        );
        for action in [Action::Buy, Action::ManageSystemAccounts, Action::Invite, Action::ManageAccount] {
            assert!(may_try(Some(action), Standing::System(&Scope::ALL)).is_err(), "{action:?}");
        }
    }

    #[test]
    fn who_is_nobody_is_asked_to_sign_in() {
        assert_eq!(may_try(Some(Action::Buy), Standing::Anonymous), Ok(()));
        assert_eq!(
            may_try(Some(Action::ReadTickets), Standing::Anonymous),
            Err(Denied::SignIn { secret_helps: true })
        );
        assert_eq!(
            may_try(Some(Action::ManageAccount), Standing::Guest),
            Err(Denied::SignIn { secret_helps: false })
        );
    }

    #[test]
    fn each_route_stands_once_and_every_scope_has_its_word() {
        let mut seen = std::collections::HashSet::new();
        assert!(ROUTES.iter().all(|(method, path, _)| seen.insert((method, path))));
        for scope in Scope::ALL {
            assert_eq!(Scope::from_word(scope.as_str()), Some(scope));
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.as_str());
        }
    }

    #[test]
    fn managers_appoint_the_door_and_owners_everybody() {
        assert!(OrgRole::Owner.may_appoint(OrgRole::Owner));
        assert!(OrgRole::Manager.may_appoint(OrgRole::Door));
        assert!(!OrgRole::Manager.may_appoint(OrgRole::Manager));
        assert!(!OrgRole::Door.may_appoint(OrgRole::Door));
    }
}
