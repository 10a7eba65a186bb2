//! Finding tickets: one by its code or its id, on every device; by name or booking on devices of the box office, which
//! alone have names in plain. On others a search by anything else is answered with `not_box_office`.

use super::contract::{CommandError, ErrorCode, Hit, TicketWord};
use super::{Desk, Network, of_sql, refused};
use crate::db::table::guest_name::{self, GuestName};
use crate::db::table::{bucket, log_entry};
use crate::fault::Fault;
use crate::folded;
use crate::gate::Gate;
use crate::loaded::{self, Loaded};
use crate::sync::guests;
use shared::admission::TicketHistory;
use shared::ids::{EventId, ListId, TicketId};
use shared::manifest::buckets;
use shared::manifest::rows::{TicketRow, TicketState};
use shared::ticket::foreign;
use shared::ticket::keys::Presented;

/// Tickets found by a name at most: who has more to choose from types another word.
const MAX_HITS: usize = 50;

impl<N: Network> Desk<N> {
    /// Finds a ticket by its code or its whole id; on a device of the box office all by the beginnings of words of name or
    /// booking, the first 50 in the order of their names.
    ///
    /// # Errors
    /// `locked`, `not_supervisor`, `not_box_office` for any other text, `cannot_record` without a manifest or disk.
    pub fn search(&self, text: &str) -> Result<Vec<Hit>, CommandError> {
        let (device, list) = {
            let mut state = self.state();
            self.supervised(&mut state)?;
            let post = state.post.ok_or_else(super::no_post)?;
            (post.device_id, post.list)
        };
        let gate = self.gate(device)?;
        let loaded = loaded::load(gate.db.conn(), &gate.device).map_err(|e| refused(&Fault::of_load(&e)))?;
        let loaded = loaded.ok_or_else(|| refused(&Fault::NoManifest))?;
        let names = guests::may_know_names(gate.db.conn(), &gate.device);
        let search = Search { gate: &gate, loaded: &loaded, list, names };
        match meant(&loaded, gate.device.event, text.trim()) {
            Meant::Nothing => Ok(Vec::new()),
            Meant::Code(ticket) => Ok(search.one(ticket)?.into_iter().collect()),
            // Bookings have ids of the same form.
            Meant::Id(ticket) => match search.one(ticket)? {
                None if names => search.by_name(text),
                found => Ok(found.into_iter().collect()),
            },
            Meant::Text(ticket) => match search.imported(ticket)? {
                None if names => search.by_name(text),
                None => Err(not_box_office()),
                found => Ok(found.into_iter().collect()),
            },
        }
    }
}

struct Search<'s> {
    gate: &'s Gate,
    loaded: &'s Loaded,
    list: ListId,
    names: bool,
}

impl Search<'_> {
    /// What is known of a ticket; `None` if nothing is.
    fn one(&self, ticket: TicketId) -> Result<Option<Hit>, CommandError> {
        let (db, no) = (self.gate.db.conn(), self.gate.device.no);
        let guest = match self.names {
            true => guest_name::get(db, no, ticket).map_err(|e| of_sql(&e))?,
            false => None,
        };
        self.hit(ticket, guest)
    }

    /// The ticket that a foreign barcode would be, if it was imported.
    fn imported(&self, ticket: TicketId) -> Result<Option<Hit>, CommandError> {
        if self.row(&ticket)?.is_some() { self.one(ticket) } else { Ok(None) }
    }

    fn by_name(&self, text: &str) -> Result<Vec<Hit>, CommandError> {
        let words = folded::query(text);
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let (db, no) = (self.gate.db.conn(), self.gate.device.no);
        let guests = guest_name::search(db, no, &words, MAX_HITS).map_err(|e| of_sql(&e))?;
        let hits = guests.into_iter().map(|guest| self.hit(guest.ticket, Some(guest)));
        hits.filter_map(Result::transpose).collect()
    }

    fn row(&self, ticket: &TicketId) -> Result<Option<TicketRow>, CommandError> {
        let no = buckets::bucket_of(ticket);
        let find = |rows: &[u8]| buckets::find(rows, ticket);
        bucket::with_rows(self.gate.db.conn(), self.gate.device.no, no, find).map_err(|e| of_sql(&e))
    }

    fn hit(&self, ticket: TicketId, guest: Option<GuestName>) -> Result<Option<Hit>, CommandError> {
        let row = self.row(&ticket)?;
        let event = self.gate.device.event;
        let records = log_entry::of_ticket(self.gate.db.conn(), event, ticket).map_err(|e| of_sql(&e))?;
        if row.is_none() && records.is_empty() && guest.is_none() {
            return Ok(None);
        }
        let of_list = records.iter().filter(|r| r.list == Some(self.list));
        let history = TicketHistory::fold(of_list, &records, &self.loaded.cut_offs);
        let type_no = row.map(|r| r.type_no).or_else(|| guest.as_ref().map(|g| g.type_no));
        let type_no = type_no.or_else(|| records.iter().find_map(|r| r.type_no));
        let types = &self.loaded.header.ticket_types;
        let config = type_no.and_then(|no| types.iter().find(|t| t.number == no));
        let (name, booking) = guest.map_or((None, None), |g| (g.name, Some(g.booking)));
        Ok(Some(Hit {
            ticket_id: ticket,
            ticket_type_name: config.map(|t| t.name.clone()),
            // Sold after the manifest, and let in: valid as far as this gate can know.
            state: row.map_or(TicketWord::Valid, |r| r.state.into()),
            name,
            booking,
            first_admission: history.first_admission().map(Into::into),
            inside: history.present(),
        }))
    }
}

fn not_box_office() -> CommandError {
    CommandError::new(ErrorCode::NotBoxOffice, "this device finds tickets by code or id only")
}

enum Meant {
    /// A genuine code.
    Code(TicketId),
    /// An id.
    Id(TicketId),
    /// A name, or a foreign barcode: the ticket that it would be, if it was imported.
    Text(TicketId),
    /// A code that is not genuine, or not of this event.
    Nothing,
}

fn meant(loaded: &Loaded, event: EventId, text: &str) -> Meant {
    if let Ok(id) = text.parse() {
        return Meant::Id(id);
    }
    match loaded.ring.present(text) {
        Presented::Verified { payload, .. } => Meant::Code(payload.ticket_id),
        Presented::Foreign { text_hash } => Meant::Text(foreign::ticket_of(event, &text_hash)),
        Presented::Malformed { .. }
        | Presented::UnknownKey { .. }
        | Presented::BadSignature { .. }
        | Presented::WrongEvent { .. } => Meant::Nothing,
    }
}

impl From<TicketState> for TicketWord {
    fn from(state: TicketState) -> Self {
        match state {
            TicketState::Valid => Self::Valid,
            TicketState::Blocked => Self::Blocked,
            TicketState::Refunded => Self::Refunded,
            TicketState::Canceled => Self::Canceled,
            TicketState::Withdrawn => Self::Withdrawn,
        }
    }
}
