//! An event once more, on another date: everything that its organizer set up and nothing that came of it.
//!
//! Copied are the event itself (as a draft with a slug and a ticket key of its own), its quotas, empty, the ticket types
//! that are not archived, under their numbers, check-in lists and their rules, gates, questions and, if asked for, promo
//! codes, unused. Every moment moves along with the start, by the clocks at the venue ([`Shift`]). Not copied: bookings,
//! tickets, who waits, devices, stewards and their PINs, what was archived, and that it was published or canceled.

use std::collections::HashMap;

use serde_json::Value;
use shared::admission::rule::Rule;
use shared::admission::zone::{EventZone, Utc, Zone};
use shared::ids::GateId;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::app::App;
use crate::domain::catalog::{EventStatus, type_window};
use crate::domain::series::{LAST_YEAR, Shift};
use crate::domain::text::slug_of;
use crate::selling::keys;
use crate::store::change;
use crate::store::directory::{self, Place};
use crate::store::door::{self, CheckinList, Gate};
use crate::store::event::{self, Event};
use crate::store::promo::{self, Stored as Code};
use crate::store::question::{self, StoredQuestion};
use crate::store::ticket_type::{self, Quota, TicketType};

/// Rows that one request writes at most.
pub const MAX_ROWS: usize = 5_000;
/// Rows of an event beside those of what belongs to it: itself, its key, names, counter, and record.
const OWN_ROWS: usize = 8;

/// An event and what belongs to it: as read, or as it will be written.
#[derive(Debug, Clone)]
pub struct Whole {
    pub event: Event,
    /// What the next ticket type will be called in codes.
    next_type_no: i32,
    quotas: Vec<Quota>,
    types: Vec<TicketType>,
    /// The attendance list first.
    lists: Vec<CheckinList>,
    gates: Vec<Gate>,
    questions: Vec<StoredQuestion>,
    /// The youngest first.
    codes: Vec<Code>,
}

/// What is different about a copy.
#[derive(Debug, Clone)]
pub struct Changes {
    pub event_id: Uuid,
    pub starts_at: OffsetDateTime,
    /// `None`: as it was.
    pub title: Option<String>,
    pub series_id: Option<Uuid>,
}

/// Why an event cannot be on that date.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotMove {
    #[error("something of it would lie outside of the years 1970 to {LAST_YEAR}")]
    TooFar,
    #[error("by the clocks at the venue, which are set in between, it would end before it starts")]
    End,
    #[error("by the clocks at the venue, which are set in between, doors would open after its end")]
    Doors,
    #[error("the sales window of ticket type {0} would be empty")]
    Sales(String),
    #[error("the validity of ticket type {0} would be empty")]
    Validity(String),
    #[error("promo code {0} would end before it begins")]
    Code(String),
}

impl Whole {
    /// Reads an event's own set-up; `codes`: its promo codes too.
    ///
    /// # Errors
    /// Of the database.
    pub async fn read(conn: &mut PgConnection, event: Event, codes: bool) -> Result<Self, sqlx::Error> {
        let (organizer_id, event_id) = (event.organizer_id, event.event_id);
        let mut types = ticket_type::of_event(&mut *conn, organizer_id, event_id).await?;
        let mut quotas = ticket_type::quotas(&mut *conn, organizer_id, event_id).await?;
        let next_type_no = types.iter().map(|t| t.number + 1).max().unwrap_or(1);
        let used: Vec<(Uuid, bool)> = types.iter().map(|t| (t.quota_id, t.archived_at.is_none())).collect();
        // A quota that only archived types drew on is gone with them.
        quotas.retain(|q| {
            let mut of_it = used.iter().filter(|(id, _)| *id == q.quota_id).peekable();
            of_it.peek().is_none() || of_it.any(|(_, live)| *live)
        });
        types.retain(|t| t.archived_at.is_none());
        Ok(Self {
            next_type_no,
            quotas,
            types,
            lists: door::lists(&mut *conn, organizer_id, event_id).await?,
            gates: door::gates(&mut *conn, organizer_id, event_id).await?,
            questions: question::asked(&mut *conn, organizer_id, event_id).await?,
            codes: match codes {
                true => promo::list(conn, organizer_id, event_id, None, MAX_ROWS as i64 + 1).await?,
                false => Vec::new(),
            },
            event,
        })
    }

    /// How many rows a copy is.
    #[must_use]
    pub fn rows(&self) -> usize {
        let door = self.lists.len() + self.gates.len() + self.questions.len();
        OWN_ROWS + self.quotas.len() + self.types.len() + door + self.codes.len()
    }

    /// The event as it will be on another date, made `now`.
    ///
    /// # Errors
    /// [`CannotMove`]
    pub fn copy(&self, app: &App, changes: Changes, now: OffsetDateTime) -> Result<Self, CannotMove> {
        let zone = EventZone::named(&self.event.time_zone);
        let zone: &dyn Zone = zone.as_ref().map_or(&Utc, |z| z);
        let shift =
            Shift::between(zone, self.event.starts_at, changes.starts_at).ok_or(CannotMove::TooFar)?;
        let event_id = changes.event_id;
        let making = Making { app, shift, event_id, now, was: &self.event };
        let event = making.event(changes)?;
        let quota_ids = making.ids(self.quotas.iter().map(|q| q.quota_id));
        let type_ids = making.ids(self.types.iter().map(|t| t.ticket_type_id));
        let gate_ids = making.ids(self.gates.iter().map(|g| g.gate_id));
        let gates = self.gates.iter().enumerate().map(|(n, gate)| Gate {
            gate_id: gate_ids[&gate.gate_id],
            event_id,
            created_at: making.at(n),
            ..gate.clone()
        });
        let quotas = self.quotas.iter().map(|quota| Quota {
            quota_id: quota_ids[&quota.quota_id],
            event_id,
            held: 0,
            sold: 0,
            queued: false,
            ..quota.clone()
        });
        let types = self.types.iter().map(|t| making.ticket_type(t, &event, &quota_ids, &type_ids));
        let codes = self.codes.iter().enumerate().filter_map(|(n, code)| {
            // The list is the youngest first.
            making.code(code, self.codes.len() - n, &type_ids).transpose()
        });
        let questions = self.questions.iter().enumerate();
        let questions = questions.filter_map(|(n, asked)| making.question(asked, n, &type_ids));
        Ok(Self {
            next_type_no: self.next_type_no,
            quotas: quotas.collect(),
            types: types.collect::<Result<_, _>>()?,
            lists: making.lists(&self.lists, &self.types, &gate_ids)?,
            gates: gates.collect(),
            questions: questions.collect(),
            codes: codes.collect::<Result<_, _>>()?,
            event,
        })
    }

    /// Writes a copy, with a ticket key of its own, in its organizer's transaction. Nothing is counted on its counter yet:
    /// the first change is the caller's to record.
    ///
    /// # Errors
    /// Of the database.
    pub async fn write(&self, conn: &mut PgConnection, app: &App) -> Result<(), sqlx::Error> {
        let Event { organizer_id, event_id, created_at: now, .. } = self.event;
        event::insert(&mut *conn, &self.event).await?;
        ticket_type::go_on_from(&mut *conn, organizer_id, event_id, self.next_type_no).await?;
        let place = Place { organizer_id, event_id: Some(event_id) };
        directory::add(&mut *conn, "event", &event_id.to_string(), place).await?;
        directory::add(&mut *conn, "slug", &self.event.slug, place).await?;
        keys::found_event(&mut *conn, app, organizer_id, event_id, now).await?;
        for (n, quota) in self.quotas.iter().enumerate() {
            ticket_type::insert_quota(&mut *conn, organizer_id, quota, later(now, n)).await?;
        }
        for of in &self.types {
            ticket_type::insert(&mut *conn, of).await?;
        }
        for gate in &self.gates {
            door::put_gate(&mut *conn, organizer_id, gate).await?;
        }
        for list in &self.lists {
            door::put_list(&mut *conn, organizer_id, list).await?;
        }
        for asked in &self.questions {
            question::put(&mut *conn, organizer_id, asked).await?;
        }
        for code in &self.codes {
            promo::insert(&mut *conn, organizer_id, code).await?;
        }
        change::create_counter(conn, organizer_id, event_id).await
    }
}

/// What stands in a list's order by when it was made: a microsecond each keeps it.
fn later(now: OffsetDateTime, n: usize) -> OffsetDateTime {
    now + Duration::microseconds(i64::try_from(n).unwrap_or(i64::MAX))
}

/// A copy on its way.
struct Making<'a> {
    app: &'a App,
    shift: Shift<'a>,
    event_id: Uuid,
    now: OffsetDateTime,
    /// What is copied.
    was: &'a Event,
}

impl Making<'_> {
    fn id(&self) -> Uuid {
        self.app.rng.uuid(&*self.app.clock)
    }

    /// A new id for each.
    fn ids(&self, of: impl Iterator<Item = Uuid>) -> HashMap<Uuid, Uuid> {
        of.map(|id| (id, self.id())).collect()
    }

    fn at(&self, n: usize) -> OffsetDateTime {
        later(self.now, n)
    }

    fn moved(&self, at: Option<OffsetDateTime>) -> Result<Option<OffsetDateTime>, CannotMove> {
        self.shift.moved_if(at).ok_or(CannotMove::TooFar)
    }

    fn event(&self, changes: Changes) -> Result<Event, CannotMove> {
        let was = self.was;
        let title = changes.title.unwrap_or_else(|| was.title.clone());
        let starts_at = changes.starts_at;
        if !(1970..=LAST_YEAR).contains(&starts_at.year()) {
            return Err(CannotMove::TooFar);
        }
        let (ends_at, admission_at) = (self.moved(was.ends_at)?, self.moved(was.admission_at)?);
        if ends_at.is_some_and(|end| end <= starts_at) {
            return Err(CannotMove::End);
        }
        if admission_at.is_some_and(|doors| doors > ends_at.unwrap_or(starts_at)) {
            return Err(CannotMove::Doors);
        }
        Ok(Event {
            event_id: self.event_id,
            slug: slug_of(&title, &mut self.app.rng.clone()),
            title,
            starts_at,
            ends_at,
            admission_at,
            refundable_until: self.moved(was.refundable_until)?,
            status: EventStatus::Draft.as_str().to_owned(),
            series_id: changes.series_id,
            sale_version: 1,
            created_at: self.now,
            updated_at: self.now,
            published_at: None,
            ..was.clone()
        })
    }

    fn ticket_type(
        &self,
        of: &TicketType,
        event: &Event,
        quota_ids: &HashMap<Uuid, Uuid>,
        type_ids: &HashMap<Uuid, Uuid>,
    ) -> Result<TicketType, CannotMove> {
        let made = TicketType {
            ticket_type_id: type_ids[&of.ticket_type_id],
            event_id: self.event_id,
            quota_id: quota_ids[&of.quota_id],
            sales_from: self.moved(of.sales_from)?,
            sales_until: self.moved(of.sales_until)?,
            valid_from: self.moved(of.valid_from)?,
            valid_until: self.moved(of.valid_until)?,
            created_at: self.now,
            updated_at: self.now,
            held: 0,
            sold: 0,
            queued: false,
            ..of.clone()
        };
        if in_order(made.sales_from, made.sales_until).is_none() {
            return Err(CannotMove::Sales(made.name));
        }
        let times = (event.starts_at, event.ends_at);
        let window = type_window(times, (made.valid_from, made.valid_until, made.grace_secs));
        let empty = window.not_before.is_some_and(|from| from >= window.expires_at);
        if empty || in_order(made.valid_from, made.valid_until).is_none() {
            return Err(CannotMove::Validity(made.name));
        }
        Ok(made)
    }

    fn lists(
        &self,
        lists: &[CheckinList],
        types: &[TicketType],
        gate_ids: &HashMap<Uuid, Uuid>,
    ) -> Result<Vec<CheckinList>, CannotMove> {
        let gates = gate_ids.iter().map(|(from, to)| (GateId(*from), GateId(*to))).collect();
        // The list that an event begins with gives way as long as nobody changed it; that shows in when it was made.
        let begun =
            |list: &CheckinList| list.created_at == self.was.created_at && list.updated_at == list.created_at;
        let first = usize::from(!lists.first().is_some_and(begun));
        let live = |number: &i32| types.iter().any(|t| t.number == *number);
        let copy = |(n, list): (usize, &CheckinList)| {
            Ok(CheckinList {
                list_id: self.id(),
                event_id: self.event_id,
                type_numbers: list.type_numbers.as_ref().map(|of| of.iter().copied().filter(live).collect()),
                rule: list.rule.as_ref().map(|rule| self.rule(rule, &gates)).transpose()?,
                created_at: self.at(first + n),
                updated_at: self.at(first + n),
                ..list.clone()
            })
        };
        lists.iter().enumerate().map(copy).collect()
    }

    /// One that cannot be read is copied as it stands: it refuses, here as there.
    fn rule(&self, rule: &Value, gates: &HashMap<GateId, GateId>) -> Result<Value, CannotMove> {
        let Ok(read) = serde_json::from_value::<Rule>(rule.clone()) else { return Ok(rule.clone()) };
        let moved = self.shift.moved_rule(read.clone(), gates).ok_or(CannotMove::TooFar)?;
        if moved == read {
            return Ok(rule.clone());
        }
        Ok(serde_json::to_value(moved).expect("a rule is plain data"))
    }

    /// `None` if it was about a type that is archived.
    fn question(
        &self,
        of: &StoredQuestion,
        n: usize,
        type_ids: &HashMap<Uuid, Uuid>,
    ) -> Option<StoredQuestion> {
        let ticket_type_id = match of.ticket_type_id {
            Some(id) => Some(*type_ids.get(&id)?),
            None => None,
        };
        Some(StoredQuestion {
            question_id: self.id(),
            event_id: self.event_id,
            ticket_type_id,
            created_at: self.at(n),
            updated_at: self.at(n),
            ..of.clone()
        })
    }

    /// `None` if all types that it was for are archived.
    fn code(&self, of: &Code, n: usize, type_ids: &HashMap<Uuid, Uuid>) -> Result<Option<Code>, CannotMove> {
        let ticket_type_ids = of
            .ticket_type_ids
            .as_ref()
            .map(|all| all.iter().filter_map(|id| type_ids.get(id).copied()).collect::<Vec<_>>());
        if ticket_type_ids.as_ref().is_some_and(Vec::is_empty) {
            return Ok(None);
        }
        let made = Code {
            promo_code_id: self.id(),
            event_id: self.event_id,
            ticket_type_ids,
            valid_from: self.moved(of.valid_from)?,
            valid_until: self.moved(of.valid_until)?,
            revision: 1,
            uses: 0,
            spent_minor: 0,
            created_at: self.at(n),
            updated_at: self.at(n),
            ..of.clone()
        };
        match in_order(made.valid_from, made.valid_until) {
            Some(()) => Ok(Some(made)),
            None => Err(CannotMove::Code(made.code)),
        }
    }
}

/// `None` if the one comes after the other.
fn in_order(from: Option<OffsetDateTime>, until: Option<OffsetDateTime>) -> Option<()> {
    from.zip(until).is_none_or(|(from, until)| from < until).then_some(())
}
