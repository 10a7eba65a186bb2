//! Bookings and tickets as clients see them, and who may see them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use shared::ids::{EventId, OrganizerId, TicketId};
use shared::ticket::foreign::is_foreign;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::{Caller, Guest, User, lacks_second_factor, not_signed_in};
use super::error::ApiError;
use super::fields::money;
use super::page::MoneyJson;
use crate::adapters::payment::{simulated, stripe};
use crate::app::{App, AppState};
use crate::domain::booking::BookingStatus;
use crate::domain::keys::Purpose;
use crate::domain::ticket::code_text;
use crate::selling::keys::{self, Opened};
use crate::selling::{Actor, StepError};
use crate::selling::{gateway, pay};
use crate::store::booking::{self, Booking};
use crate::store::member::{self, OrgRole};
use crate::store::promo;
use crate::store::question;
use crate::store::ticket::{self, Ticket, TypeInWords};
use crate::store::transaction;

/// A booking.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BookingJson {
    pub booking_id: Uuid,
    /// Opens this booking without an account, in the header `Booking-Secret`. Told once, to a guest who buys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub booking_secret: Option<String>,
    pub event_id: Uuid,
    pub event_title: String,
    pub status: BookingStatus,
    pub items: Vec<ItemJson>,
    /// Net of tax.
    pub price: MoneyJson,
    /// Net of tax.
    pub fee: MoneyJson,
    pub tax: MoneyJson,
    /// Price, fee and tax: what is paid.
    pub total: MoneyJson,
    /// How much less that is than without the promo code.
    pub discount: MoneyJson,
    /// What went back, or is on its way back.
    pub refunded: MoneyJson,
    /// Until when an unpaid booking is held.
    #[serde(with = "time::serde::rfc3339")]
    pub held_until: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub paid_at: Option<OffsetDateTime>,
    pub email: Option<String>,
    /// Of a held booking, told to its buyer: by which methods it can be paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_methods: Option<Vec<String>>,
    /// Of a held booking, told to its buyer: what Stripe's form in the browser is opened with. Null where cards are not
    /// taken, or no publishable key is set up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<CardJson>,
    /// The latest payment or refund, if there is one.
    pub transaction: Option<TransactionBrief>,
    /// Empty until it is paid.
    pub tickets: Vec<TicketJson>,
}

/// Tickets of one type in a booking.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ItemJson {
    pub ticket_type_id: Uuid,
    pub name: String,
    pub quantity: u32,
    /// Price, fee and tax of one.
    pub unit_total: MoneyJson,
}

/// A movement of money, in short.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TransactionBrief {
    pub transaction_id: Uuid,
    /// `payment` or `refund`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `pending`, `completed`, `failed` or `refunded`.
    pub status: String,
    /// `decline` (another means may work), `provider` (try again) or `canceled`, of a failed one.
    pub failed_by: Option<String>,
    /// Why it failed, in the provider's word.
    pub failure_code: Option<String>,
    /// What the buyer has to do before the payment can go on; told to the buyer alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_action: Option<NextActionJson>,
}

/// What `Stripe(publishable_key)` and its `elements({ mode: "payment", amount, currency })` take.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CardJson {
    /// Of the account that takes the money.
    #[schema(example = "pk_test_51ExampleExampleExample")]
    pub publishable_key: String,
    /// What is paid, as Stripe counts: in the currency's smallest unit, with Stripe's exceptions.
    #[schema(example = 2_650)]
    pub amount: i64,
    /// ISO 4217 in lower case.
    #[schema(example = "eur")]
    pub currency: String,
}

impl CardJson {
    fn of(account: &gateway::Account, booking: &Booking) -> Option<Self> {
        Some(Self {
            publishable_key: account.publishable_key.clone()?,
            amount: stripe::to_stripe(booking.total_minor, &booking.currency)?,
            currency: booking.currency.to_lowercase(),
        })
    }
}

/// Something that a buyer has to do, as to confirm the payment at the bank (3-D Secure). Afterwards look at the
/// booking, or repeat POST /payment/process, which asks the provider at once.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct NextActionJson {
    /// `use_stripe_sdk` (hand `client_secret` to Stripe's script: `stripe.handleNextAction`), `redirect_to_url` or
    /// `simulated`.
    #[serde(rename = "type")]
    pub kind: String,
    pub client_secret: Option<String>,
    pub redirect_url: Option<String>,
    /// The key that the provider's script is opened with.
    pub publishable_key: Option<String>,
}

/// A ticket.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TicketJson {
    pub ticket_id: Uuid,
    pub booking_id: Uuid,
    pub event_id: Uuid,
    pub ticket_type_id: Uuid,
    /// Name of its type.
    pub ticket_type: String,
    /// `valid`, `blocked`, `refunded`, `canceled` or `withdrawn`.
    pub state: String,
    pub generation: u8,
    /// Who will come, if that was said.
    pub attendee_name: Option<String>,
    /// What they answered.
    pub answers: Vec<AnswerJson>,
    /// It was handed on to somebody else.
    pub transferred: bool,
    /// The ticket that it goes on as, if fifteen new codes of it were used up.
    pub replaced_by: Option<Uuid>,
    /// The text of the QR code. Null unless the ticket is valid, and of tickets that others sold.
    pub code: Option<String>,
    /// Where the code comes as a picture.
    pub qr_svg: String,
    pub qr_png: String,
    #[serde(with = "time::serde::rfc3339")]
    pub issued_at: OffsetDateTime,
    /// First moment at which it lets in; null: from the start.
    #[serde(with = "time::serde::rfc3339::option")]
    pub not_before: Option<OffsetDateTime>,
    /// First moment at which it does not any more.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

/// An answer to a question of the organizer.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AnswerJson {
    pub question_id: Uuid,
    pub label: String,
    /// A text, or true or false.
    pub value: serde_json::Value,
}

impl TicketJson {
    /// What the booking still tells of a ticket that was handed on: its new code is its new holder's alone.
    fn for_buyer(self) -> Self {
        if !self.transferred {
            return self;
        }
        Self { code: None, attendee_name: None, answers: Vec::new(), ..self }
    }
}

/// How somebody stands to a booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// Bought it with an account.
    Holder,
    /// Holds its secret.
    Guest,
    /// Works for its organizer, or is a system of it.
    Staff,
}

/// The booking, if the caller may know of it: the buyer, who holds its secret, managers of its organizer.
pub async fn booking_of(
    app: &AppState,
    caller: &Caller,
    booking_id: Uuid,
) -> Result<(Booking, Relation), ApiError> {
    let found = match caller {
        Caller::Anonymous => return Err(not_signed_in()),
        Caller::Guest(guest) => {
            let mut tx = app.db.guest(&guest.secret_hash).await?;
            let found = booking::find(&mut tx, guest.organizer_id, booking_id).await?;
            tx.commit().await?;
            found.map(|b| (b, Relation::Guest))
        }
        Caller::User(user) => match of_holder(app, user, booking_id).await? {
            Some(booking) => Some((booking, Relation::Holder)),
            None => of_staff(app, user, booking_id).await?,
        },
        // Its scope allows to read, and no route that changes a booking lets it in.
        Caller::System(system) => {
            let mut tx = app.db.tenant(system.organizer_id).await?;
            let found = booking::find(&mut tx, system.organizer_id, booking_id).await?;
            tx.commit().await?;
            found.map(|b| (b, Relation::Staff))
        }
    };
    found.ok_or_else(|| ApiError::not_found("booking"))
}

async fn of_holder(app: &App, user: &User, booking_id: Uuid) -> Result<Option<Booking>, sqlx::Error> {
    let mut tx = app.db.user(user.user_id).await?;
    let found = match booking::organizer_of(&mut tx, user.user_id, booking_id).await? {
        Some(organizer_id) => booking::find(&mut tx, organizer_id, booking_id).await?,
        None => None,
    };
    tx.commit().await?;
    Ok(found)
}

async fn of_staff(
    app: &App,
    user: &User,
    booking_id: Uuid,
) -> Result<Option<(Booking, Relation)>, sqlx::Error> {
    for organizer in staff_of(app, user).await? {
        let mut tx = app.db.tenant(organizer.organizer_id).await?;
        let found = booking::find(&mut tx, organizer.organizer_id, booking_id).await?;
        tx.commit().await?;
        if let Some(booking) = found {
            return Ok(Some((booking, Relation::Staff)));
        }
    }
    Ok(None)
}

/// Where a user is a manager or owner; nowhere before a second factor that the account has was shown.
pub async fn staff_of(app: &App, user: &User) -> Result<Vec<member::Membership>, sqlx::Error> {
    let mut tx = app.db.user(user.user_id).await?;
    let mut all = member::of_user(&mut tx, user.user_id).await?;
    tx.commit().await?;
    all.retain(|m| m.role >= OrgRole::Manager);
    if !all.is_empty() && lacks_second_factor(app, user).await? {
        all.clear();
    }
    Ok(all)
}

/// A booking with all that belongs to it, as it stands now.
pub async fn booking_json(app: &App, booking: &Booking) -> Result<BookingJson, ApiError> {
    let (organizer_id, booking_id) = (booking.organizer_id, booking.booking_id);
    let mut tx = app.db.tenant(organizer_id).await?;
    let lines = booking::lines(&mut tx, organizer_id, booking_id).await?;
    let tickets = ticket::of_booking(&mut tx, organizer_id, booking_id).await?;
    let movements = transaction::of_booking(&mut tx, organizer_id, booking_id).await?;
    let types: Vec<Uuid> = lines.iter().map(|l| l.ticket_type_id).collect();
    let words = ticket::types_in_words(&mut tx, organizer_id, &types).await?;
    let claimed = promo::of_booking(&mut tx, organizer_id, booking_id).await?;
    tx.commit().await?;
    let amount = |minor| money(minor, &booking.currency);
    let items = lines.iter().map(|line| ItemJson {
        ticket_type_id: line.ticket_type_id,
        name: line.name.clone(),
        quantity: line.quantity.unsigned_abs(),
        unit_total: amount(line.unit_price_minor + line.unit_fee_minor + line.unit_tax_minor),
    });
    Ok(BookingJson {
        booking_id,
        booking_secret: None,
        event_id: booking.event_id,
        event_title: words.first().map(|w| w.event_title.clone()).unwrap_or_default(),
        status: booking.status,
        items: items.collect(),
        price: amount(booking.price_minor),
        fee: amount(booking.fee_minor),
        tax: amount(booking.tax_minor),
        total: amount(booking.total_minor),
        discount: amount(claimed.map(|c| c.discount_minor).unwrap_or_default()),
        refunded: amount(booking.refunded_minor),
        held_until: booking.held_until,
        created_at: booking.created_at,
        paid_at: booking.paid_at,
        email: booking.email.clone(),
        payment_methods: None,
        card: None,
        transaction: movements.last().map(|t| TransactionBrief {
            transaction_id: t.transaction_id,
            kind: t.kind.clone(),
            status: t.status.clone(),
            failed_by: t.failed_by.clone(),
            failure_code: t.failure_code.clone(),
            next_action: None,
        }),
        tickets: tickets_json(app, &tickets, &words).await?.into_iter().map(TicketJson::for_buyer).collect(),
    })
}

/// The same for its buyer: with what there is to do for the payment.
pub async fn buyers_json(app: &AppState, booking: &Booking) -> Result<BookingJson, ApiError> {
    let mut json = booking_json(app, booking).await?;
    if booking.status == BookingStatus::Held {
        let mut methods = Vec::new();
        for method in [simulated::NAME, stripe::NAME] {
            if gateway::for_payment(app, booking.organizer_id, method).await?.is_some() {
                methods.push(method.to_owned());
            }
        }
        json.payment_methods = Some(methods);
        let account = gateway::account(app, booking.organizer_id).await?;
        json.card = account.and_then(|account| CardJson::of(&account, booking));
    }
    let Some(brief) = json.transaction.as_mut().filter(|t| t.status == "pending") else { return Ok(json) };
    let mut tx = app.db.tenant(booking.organizer_id).await?;
    let row = transaction::find(&mut tx, booking.organizer_id, brief.transaction_id).await?;
    tx.commit().await?;
    let Some(row) = row else { return Ok(json) };
    if let Some(action) = pay::action_of(app, &row) {
        let account = match row.account_id {
            Some(_) => gateway::own(app, booking.organizer_id).await?,
            None => app.selling.gateways.servers().cloned(),
        };
        brief.next_action = Some(NextActionJson {
            kind: action.kind,
            client_secret: action.client_secret,
            redirect_url: action.redirect_url,
            publishable_key: account.and_then(|a| a.publishable_key.clone()),
        });
    }
    Ok(json)
}

/// Tickets with their codes; `words` of their types.
pub async fn tickets_json(
    app: &App,
    tickets: &[Ticket],
    words: &[TypeInWords],
) -> Result<Vec<TicketJson>, ApiError> {
    let names: HashMap<Uuid, &str> = words.iter().map(|w| (w.ticket_type_id, w.name.as_str())).collect();
    let labels = labels_of(app, tickets).await?;
    let mut out = Vec::with_capacity(tickets.len());
    for ticket in tickets {
        let code = code_of(app, ticket).await?;
        let name = names.get(&ticket.ticket_type_id).copied().unwrap_or_default().to_owned();
        let mut json = ticket_json(ticket, name, code);
        json.answers = answers_json(ticket, &labels);
        out.push(json);
    }
    Ok(out)
}

/// Questions by id, in their order: what they ask, and whether the door sees the answers.
pub(super) type Labels = Vec<(Uuid, String, bool)>;

/// The labels of all questions that these tickets answer.
pub(super) async fn labels_of(app: &App, tickets: &[Ticket]) -> Result<Labels, sqlx::Error> {
    let mut asked: BTreeMap<Uuid, BTreeSet<Uuid>> = BTreeMap::new();
    for ticket in tickets {
        let answers = ticket.answers();
        if !answers.is_empty() {
            asked.entry(ticket.organizer_id).or_default().extend(answers.into_keys());
        }
    }
    let mut labels = Labels::new();
    for (organizer_id, ids) in asked {
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let mut tx = app.db.tenant(organizer_id).await?;
        labels.extend(question::labels(&mut tx, organizer_id, &ids).await?);
        tx.commit().await?;
    }
    Ok(labels)
}

fn answers_json(ticket: &Ticket, labels: &Labels) -> Vec<AnswerJson> {
    let mut answers = ticket.answers();
    let of = labels.iter().filter_map(|(question_id, label, _)| {
        let value = answers.remove(question_id)?;
        Some(AnswerJson { question_id: *question_id, label: label.clone(), value })
    });
    of.collect()
}

fn ticket_json(ticket: &Ticket, ticket_type: String, code: Option<String>) -> TicketJson {
    TicketJson {
        ticket_id: ticket.ticket_id,
        booking_id: ticket.booking_id,
        event_id: ticket.event_id,
        ticket_type_id: ticket.ticket_type_id,
        ticket_type,
        state: ticket.state.clone(),
        generation: ticket.facts().generation,
        attendee_name: ticket.attendee_name.clone(),
        answers: Vec::new(),
        transferred: ticket.transferred_at.is_some(),
        replaced_by: ticket.replaced_by,
        code,
        qr_svg: format!("/tickets/{}/qr.svg", ticket.ticket_id),
        qr_png: format!("/tickets/{}/qr.png", ticket.ticket_id),
        issued_at: ticket.issued_at,
        not_before: ticket.not_before,
        expires_at: ticket.expires_at,
    }
}

/// The text of a valid ticket's code.
pub async fn code_of(app: &App, ticket: &Ticket) -> Result<Option<String>, ApiError> {
    // The code of an imported ticket is its seller's.
    if ticket.state != "valid" || is_foreign(&TicketId(ticket.ticket_id)) {
        return Ok(None);
    }
    let opened = keys::opened(app, ticket.organizer_id, Purpose::Ticket, Some(ticket.event_id)).await?;
    code_with(&opened, ticket).map(Some)
}

fn code_with(opened: &Opened, ticket: &Ticket) -> Result<String, ApiError> {
    let facts = ticket.facts();
    let key = opened
        .of_kid(facts.kid)
        .ok_or_else(|| ApiError::internal(anyhow::anyhow!("the key {} of a ticket is gone", facts.kid)))?;
    Ok(code_text(key, OrganizerId(ticket.organizer_id), EventId(ticket.event_id), &facts))
}

/// The secret of a guest's booking, and what it opens.
pub fn booking_secret(app: &App, organizer_id: Uuid, booking_id: Uuid) -> (String, Guest) {
    let (text, secret_hash) = crate::selling::booking_secret(app, organizer_id, booking_id);
    (text, Guest { organizer_id, secret_hash })
}

/// Who acts, for the audit.
pub fn actor(caller: &Caller) -> Actor {
    let (kind, id) = match caller {
        Caller::User(user) => ("user", Some(user.user_id)),
        Caller::System(system) => ("system", Some(system.account_id)),
        Caller::Guest(_) | Caller::Anonymous => ("guest", None),
    };
    let (request_id, _) = super::edge::current();
    Actor { kind, id, request_id: Some(request_id).filter(|id| !id.is_empty()) }
}

impl From<StepError> for ApiError {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Database(e) => e.into(),
            StepError::Record(crate::store::change::RecordError::Database(e)) => e.into(),
            e @ StepError::Record(crate::store::change::RecordError::TooLate) => Self::unavailable(
                "busy",
                "the sale took too long and was undone; please repeat",
                std::time::Duration::from_secs(1),
            )
            .with_cause(e),
            e => Self::internal(e),
        }
    }
}
