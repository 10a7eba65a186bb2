//! Finding one ticket by its code or its id. Names and bookings are not on any gate: guest records are sealed for the
//! code alone, and there is no record yet that the capability `box_office` could open. So a search by anything else
//! is answered with `not_box_office`, on every device.

use super::contract::{CommandError, ErrorCode, Hit, TicketWord};
use super::{Desk, Network, of_sql, refused};
use crate::db::table::{bucket, log_entry};
use crate::fault::Fault;
use crate::loaded::{self, Loaded};
use shared::admission::TicketHistory;
use shared::ids::{EventId, TicketId};
use shared::manifest::buckets;
use shared::manifest::rows::TicketState;
use shared::ticket::foreign;
use shared::ticket::keys::Presented;

impl<N: Network> Desk<N> {
    /// Finds a ticket by its code or its whole id; at most one.
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
        let (db, me) = (gate.db.conn(), &gate.device);
        let loaded = loaded::load(db, me).map_err(|e| refused(&Fault::of_load(&e)))?;
        let loaded = loaded.ok_or_else(|| refused(&Fault::NoManifest))?;
        let row_of = |ticket: &TicketId| {
            let no = buckets::bucket_of(ticket);
            bucket::with_rows(db, me.no, no, |rows| buckets::find(rows, ticket)).map_err(|e| of_sql(&e))
        };
        let ticket = match meant(&loaded, me.event, text.trim()) {
            Meant::Ticket(ticket) => ticket,
            Meant::Nothing => return Ok(Vec::new()),
            Meant::Barcode(ticket) if row_of(&ticket)?.is_some() => ticket,
            Meant::Barcode(_) => return Err(not_box_office()),
        };
        let row = row_of(&ticket)?;
        let records = log_entry::of_ticket(db, me.event, ticket).map_err(|e| of_sql(&e))?;
        if row.is_none() && records.is_empty() {
            return Ok(Vec::new());
        }
        let of_list = records.iter().filter(|r| r.list == Some(list));
        let history = TicketHistory::fold(of_list, &records, &loaded.cut_offs);
        let type_no = row.map(|r| r.type_no).or_else(|| records.iter().find_map(|r| r.type_no));
        let config = type_no.and_then(|no| loaded.header.ticket_types.iter().find(|t| t.number == no));
        Ok(vec![Hit {
            ticket_id: ticket,
            ticket_type_name: config.map(|t| t.name.clone()),
            // Sold after the manifest, and let in: valid as far as this gate can know.
            state: row.map_or(TicketWord::Valid, |r| r.state.into()),
            name: None,
            booking: None,
            first_admission: history.first_admission().map(Into::into),
            inside: history.present(),
        }])
    }
}

fn not_box_office() -> CommandError {
    CommandError::new(ErrorCode::NotBoxOffice, "this device finds tickets by code or id only")
}

enum Meant {
    Ticket(TicketId),
    /// The ticket that a foreign barcode would be, if it was imported.
    Barcode(TicketId),
    /// A code that is not genuine, or not of this event.
    Nothing,
}

fn meant(loaded: &Loaded, event: EventId, text: &str) -> Meant {
    if let Ok(id) = text.parse() {
        return Meant::Ticket(id);
    }
    match loaded.ring.present(text) {
        Presented::Verified { payload, .. } => Meant::Ticket(payload.ticket_id),
        Presented::Foreign { text_hash } => Meant::Barcode(foreign::ticket_of(event, &text_hash)),
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
