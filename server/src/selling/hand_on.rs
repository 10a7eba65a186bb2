//! A ticket's code made new, for the same holder or for another. The old code dies at once: the row of the new
//! generation stands in the next manifest, and the server knows it when the transaction ends.
//!
//! After fifteen new codes of an id there is no room for another in the code: the ticket goes on under a new id, and the
//! old one is withdrawn.
//!
//! The event's scan cursor is locked first, so that a scan is before the change or after it, never beside it.

use serde_json::{Value, json};
use shared::ids::TicketId;
use shared::ticket::MAX_GENERATION;
use shared::ticket::foreign::is_foreign;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::{Actor, StepError, keys};
use crate::app::App;
use crate::domain::catalog::type_window;
use crate::domain::keys::Purpose;
use crate::domain::ticket::Window;
use crate::gates::record;
use crate::jobs::outbox::seal;
use crate::store::audit::{self, Act};
use crate::store::event::{self, Event};
use crate::store::hand_on::{self as rows, NewCode, NewHolder, Reissued};
use crate::store::outbox::{self, NewMail};
use crate::store::ticket::{self, Ticket, manifest_rows};
use crate::store::{Tx, booking, change, scans, ticket_type};
use crate::webhooks::facts;

/// Who gets a ticket.
#[derive(Debug, Clone)]
pub struct Recipient {
    pub email: String,
    pub name: Option<String>,
    /// The account that has proved this address.
    pub user_id: Option<Uuid>,
    /// Opens the ticket; in the mail alone.
    pub secret: String,
    /// SHA-256 of it.
    pub secret_hash: [u8; 32],
}

/// Why a ticket keeps its code.
#[derive(Debug, thiserror::Error)]
pub enum NotReissued {
    #[error("there is no such ticket")]
    NoTicket,
    #[error("the ticket is {0}")]
    NotValid(String),
    #[error("the ticket has let somebody in already")]
    Admitted,
    #[error("the code of an imported ticket is its seller's to change")]
    Imported,
    #[error("the ticket is over")]
    Over,
    #[error("the event was canceled")]
    Canceled,
    #[error("the ticket changed at the same time")]
    Changed,
    #[error(transparent)]
    Step(#[from] StepError),
}

impl From<sqlx::Error> for NotReissued {
    fn from(error: sqlx::Error) -> Self {
        Self::Step(error.into())
    }
}

/// Gives a ticket a new code for its holder; after fifteen of them also a new id, unless it has let somebody in.
///
/// # Errors
/// [`NotReissued`]; the old code is good then.
pub async fn reissue(
    app: &App,
    organizer_id: Uuid,
    ticket_id: Uuid,
    actor: Actor,
) -> Result<Reissued, NotReissued> {
    change_code(app, organizer_id, ticket_id, None, actor).await
}

/// Gives a ticket to somebody else, with a new code. Not one that has let somebody in.
///
/// # Errors
/// [`NotReissued`]; nothing has changed then.
pub async fn transfer(
    app: &App,
    organizer_id: Uuid,
    ticket_id: Uuid,
    to: &Recipient,
    actor: Actor,
) -> Result<Reissued, NotReissued> {
    change_code(app, organizer_id, ticket_id, Some(to), actor).await
}

async fn change_code(
    app: &App,
    organizer_id: Uuid,
    ticket_id: Uuid,
    to: Option<&Recipient>,
    actor: Actor,
) -> Result<Reissued, NotReissued> {
    let mut tx = app.db.tenant(organizer_id).await?;
    let found = ticket::find(&mut tx, &[organizer_id], ticket_id).await?.ok_or(NotReissued::NoTicket)?;
    tx.commit().await?;
    let event_id = found.event_id;
    // Between the transactions: it may need a connection of its own.
    let opened =
        keys::opened(app, organizer_id, Purpose::Ticket, Some(event_id)).await.map_err(StepError::Key)?;
    let (key, _) = opened.active().ok_or_else(|| StepError::Key(anyhow::anyhow!("none is active")))?;
    let mut tx = app.db.tenant(organizer_id).await?;
    let event = event::find(&mut tx, organizer_id, event_id).await?.ok_or(NotReissued::NoTicket)?;
    scans::lock_cursor(&mut tx, organizer_id, event_id).await?;
    // As it stands now that nobody can scan it.
    let found = ticket::find(&mut tx, &[organizer_id], ticket_id).await?.ok_or(NotReissued::NoTicket)?;
    let now = app.clock.now();
    // As type and event are now: the event may have been postponed since the last code.
    let window = window_now(&mut tx, &found, &event).await?;
    may_change(&found, &event, &window, now)?;
    let last = found.generation >= i16::from(MAX_GENERATION);
    // Who has come in must not come in again under another id.
    if (to.is_some() || last)
        && record::admitted(&mut tx, organizer_id, found.event_id, &[found.ticket_id], last).await?
    {
        return Err(NotReissued::Admitted);
    }
    let old_address = rows::address(&mut tx, organizer_id, ticket_id).await?;
    let holder = to.map(|to| NewHolder {
        user_id: to.user_id,
        secret_hash: &to.secret_hash,
        email: &to.email,
        name: to.name.as_deref(),
    });
    let code = NewCode { kid: &key.kid.0, window };
    let generation = found.generation;
    let done = match &holder {
        holder if last => {
            let ids = (ticket_id, app.rng.uuid(&*app.clock));
            rows::replace(&mut tx, organizer_id, ids, &code, holder.as_ref(), now).await?
        }
        None => rows::reissue(&mut tx, organizer_id, ticket_id, generation, &code).await?,
        Some(holder) => {
            rows::transfer(&mut tx, organizer_id, ticket_id, generation, &code, holder, now).await?
        }
    };
    let done = done.ok_or(NotReissued::Changed)?;
    let booked = booking::find(&mut tx, organizer_id, found.booking_id).await?;
    let language = booked.as_ref().map_or("en", |b| b.language.as_str());
    let mails = Mails {
        app,
        ticket_id: done.ticket_id,
        organizer_id,
        event: &event,
        language,
        until: window.expires_at,
        now,
    };
    match to {
        None => mails.to_old(&mut tx, old_address, "ticket.reissued", json!({})).await?,
        Some(to) => {
            mails.to_new(&mut tx, to).await?;
            mails.to_old(&mut tx, old_address, "ticket.handed_on", json!({ "to": to.email })).await?;
            let of = (event_id, found.booking_id, found.ticket_type_id);
            let replaced = last.then_some(ticket_id);
            let fact = facts::ticket_transferred(app, of, (done.ticket_id, done.generation), replaced);
            facts::tell(&mut tx, organizer_id, &[fact], now).await?;
        }
    }
    let action = if to.is_some() { "ticket.transferred" } else { "ticket.reissued" };
    let mut changed = vec![done.changed()];
    let mut detail = json!({ "generation": done.generation });
    if last {
        changed.push(rows::withdrawn(ticket_id, found.type_no));
        detail["replaced_by"] = json!(done.ticket_id);
        let of_new = json!({ "replaces": ticket_id });
        audit_it(app, &mut tx, organizer_id, done.ticket_id, "ticket.replaces", of_new, &actor).await?;
    }
    audit_it(app, &mut tx, organizer_id, ticket_id, action, detail, &actor).await?;
    // The last statement: see `change`.
    let changed = manifest_rows(&changed);
    change::record(&mut tx, organizer_id, event_id, &changed, Some(done.issued_at))
        .await
        .map_err(StepError::from)?;
    tx.commit().await?;
    app.news.publish(event_id);
    Ok(done)
}

/// When a ticket of this type lets in, by what its organizer says now.
async fn window_now(tx: &mut Tx, of: &Ticket, event: &Event) -> Result<Window, NotReissued> {
    let types = ticket_type::of_event(tx, of.organizer_id, of.event_id).await?;
    let found = types.iter().find(|t| t.ticket_type_id == of.ticket_type_id).ok_or(NotReissued::NoTicket)?;
    let validity = (found.valid_from, found.valid_until, found.grace_secs);
    Ok(type_window((event.starts_at, event.ends_at), validity))
}

fn may_change(
    ticket: &Ticket,
    event: &Event,
    window: &Window,
    now: OffsetDateTime,
) -> Result<(), NotReissued> {
    if is_foreign(&TicketId(ticket.ticket_id)) {
        return Err(NotReissued::Imported);
    }
    if ticket.state != "valid" {
        return Err(NotReissued::NotValid(ticket.state.clone()));
    }
    if event.status == "canceled" {
        return Err(NotReissued::Canceled);
    }
    if now >= window.expires_at {
        return Err(NotReissued::Over);
    }
    Ok(())
}

/// What somebody did to a ticket, for the audit.
pub async fn audit_it(
    app: &App,
    tx: &mut Tx,
    organizer_id: Uuid,
    ticket_id: Uuid,
    action: &'static str,
    detail: Value,
    actor: &Actor,
) -> Result<(), sqlx::Error> {
    let act = Act {
        audit_id: app.rng.uuid(&*app.clock),
        actor_kind: actor.kind,
        actor_id: actor.id,
        action,
        object_kind: "ticket",
        object_id: ticket_id,
        request_id: actor.request_id.as_deref(),
        detail,
    };
    audit::record(tx, organizer_id, &act, app.clock.now()).await
}

struct Mails<'a> {
    app: &'a App,
    ticket_id: Uuid,
    organizer_id: Uuid,
    event: &'a Event,
    /// The booking's.
    language: &'a str,
    /// No mail of it makes sense after that.
    until: OffsetDateTime,
    now: OffsetDateTime,
}

impl Mails<'_> {
    async fn to_new(&self, tx: &mut Tx, to: &Recipient) -> Result<(), sqlx::Error> {
        let id = self.app.rng.uuid(&*self.app.clock);
        let origin = self.app.config.link_origin();
        // Programs that look at links in passing see no fragment.
        let link = format!("{origin}/web/tickets/{}#secret={}", self.ticket_id, to.secret);
        let sealed = seal(self.app, id, &json!({ "link": link }));
        self.enqueue(tx, id, "ticket.received", &to.email, json!({}), Some(&sealed)).await
    }

    async fn to_old(
        &self,
        tx: &mut Tx,
        address: Option<String>,
        kind: &'static str,
        more: Value,
    ) -> Result<(), sqlx::Error> {
        let Some(address) = address else { return Ok(()) };
        let id = self.app.rng.uuid(&*self.app.clock);
        self.enqueue(tx, id, kind, &address, more, None).await
    }

    async fn enqueue(
        &self,
        tx: &mut Tx,
        id: Uuid,
        kind: &'static str,
        recipient: &str,
        mut facts: Value,
        sealed_facts: Option<&[u8]>,
    ) -> Result<(), sqlx::Error> {
        facts["event"] = json!(self.event.title);
        let at = self.event.starts_at.format(&Rfc3339).unwrap_or_default();
        facts["starts"] = json!({ "at": at, "zone": self.event.time_zone });
        let mail = NewMail {
            id,
            kind,
            recipient,
            organizer_id: Some(self.organizer_id),
            language: self.language,
            facts: &facts,
            sealed_facts,
            expires_at: Some(self.until),
        };
        outbox::enqueue(tx, &mail, self.now).await
    }
}
