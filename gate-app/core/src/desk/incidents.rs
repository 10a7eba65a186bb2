//! What the fold over all known entries says that somebody should see, with names for people.

use super::contract::{CommandError, ForkedAt, Incident, Place, QuarantineNote, Side, SidePlace};
use super::knowing::{Knowing, ReadLog};
use super::{Desk, Network, of_sql, refused};
use crate::answer::rfc3339;
use crate::db::table::cert::{self, Cert};
use crate::db::table::log_entry;
use crate::fault::Fault;
use crate::gate::Gate;
use crate::status::{Look, StatusError, look};
use shared::admission::fold;
use shared::admission::history;
use shared::ids::DeviceId;
use shared::log::entry::EntryPlace;
use std::collections::BTreeMap;

impl<N: Network> Desk<N> {
    /// All incidents of the event, open and closed.
    ///
    /// # Errors
    /// `locked`, `not_supervisor`, `cannot_record` if the log cannot be read; `internal` without a post.
    pub fn incidents(&self) -> Result<Vec<Incident>, CommandError> {
        let (gate, seen) = self.look_supervised()?;
        let people = People::of(&gate)?;
        let mut knowing = Knowing::new(|author, each| {
            log_entry::for_each_of_author(gate.db.conn(), author, |entry| each(entry.place, &entry.seen))
        });
        seen.fold.incidents().into_iter().map(|i| people.incident(&mut knowing, &seen, i)).collect()
    }

    /// Entries of revoked devices that do not count, by device.
    ///
    /// # Errors
    /// As [`Desk::incidents`].
    pub fn quarantine(&self) -> Result<Vec<QuarantineNote>, CommandError> {
        let (gate, seen) = self.look_supervised()?;
        let people = People::of(&gate)?;
        let Some(loaded) = &seen.loaded else { return Ok(Vec::new()) };
        let mut waiting: BTreeMap<DeviceId, (u64, shared::time::UnixMillis)> = BTreeMap::new();
        let counted = log_entry::for_each_of_event(gate.db.conn(), gate.device.event, |record| {
            if !loaded.cut_offs.include(record.place) {
                let (entries, last_at) = waiting.entry(record.place.device).or_insert((0, record.at));
                *entries += 1;
                *last_at = record.at.max(*last_at);
            }
        });
        counted.map_err(|e| of_sql(&e))?;
        let notes = loaded.cut_offs.ends().filter_map(|(device, end)| {
            let (entries, last_at) = *waiting.get(&device)?;
            Some(QuarantineNote {
                device,
                device_label: people.label(device),
                revoked_after: Place { log_no: end.log_no, seq: end.seq },
                entries,
                last_at: rfc3339(last_at),
            })
        });
        Ok(notes.collect())
    }

    fn look_supervised(&self) -> Result<(Gate, Look), CommandError> {
        let device = self.post_device()?;
        self.supervised(&mut self.state())?;
        let gate = self.gate(device)?;
        let seen = look(&gate).map_err(|e| unread(&e))?;
        Ok((gate, seen))
    }
}

pub(super) fn fault_of(error: &StatusError) -> Fault {
    match error {
        StatusError::Sql(sql) => Fault::of_sql(sql),
        StatusError::Load(load) => Fault::of_load(load),
    }
}

fn unread(error: &StatusError) -> CommandError {
    refused(&fault_of(error))
}

/// The devices of the event.
struct People(BTreeMap<DeviceId, Cert>);

impl People {
    fn of(gate: &Gate) -> Result<Self, CommandError> {
        let all = cert::of_event(gate.db.conn(), gate.device.event).map_err(|e| of_sql(&e))?;
        Ok(Self(all.into_iter().map(|c| (c.device, c)).collect()))
    }

    fn label(&self, device: DeviceId) -> String {
        self.0.get(&device).map_or_else(|| device.to_string(), |c| c.label.clone())
    }

    fn incident(
        &self,
        knowing: &mut Knowing<impl ReadLog>,
        seen: &Look,
        incident: fold::Incident,
    ) -> Result<Incident, CommandError> {
        Ok(match incident {
            fold::Incident::DoubleAdmission { list, ticket, double } => {
                let header = seen.loaded.as_ref().map(|l| &l.header);
                let known = header.and_then(|h| h.lists.iter().find(|l| l.id == list));
                let history = seen.fold.history(list, ticket);
                let type_no = history.and_then(|h| h.records().iter().find_map(|r| r.type_no));
                let config =
                    header.zip(type_no).and_then(|(h, no)| h.ticket_types.iter().find(|t| t.number == no));
                Incident::DoubleAdmission {
                    list,
                    list_name: known.map_or_else(|| list.to_string(), |l| l.name.clone()),
                    ticket,
                    ticket_type_name: config.map(|t| t.name.clone()),
                    status: double.status,
                    sides: self.sides(knowing, &double.sides)?,
                }
            }
            fold::Incident::ForkedLog { device, log_no, places } => Incident::ForkedLog {
                device,
                device_label: self.label(device),
                log_no,
                places: places.into_iter().map(|p| ForkedAt { seq: p.seq, hashes: p.hashes }).collect(),
            },
        })
    }

    fn sides(
        &self,
        knowing: &mut Knowing<impl ReadLog>,
        sides: &[history::Side],
    ) -> Result<Vec<Side>, CommandError> {
        let mut told = Vec::with_capacity(sides.len());
        for (i, side) in sides.iter().enumerate() {
            told.push(Side {
                place: SidePlace {
                    device: side.place.device,
                    log_no: side.place.log_no,
                    seq: side.place.seq,
                },
                device_label: self.label(side.place.device),
                at: rfc3339(side.at),
                error_ms: side.error_ms,
                gate: side.gate,
                staff: side.staff,
                undone: side.undone,
                knew: self.knew(knowing, side.place, &sides[..i]).map_err(|e| of_sql(&e))?,
            });
        }
        Ok(told)
    }

    /// True if the log of the later side proves that its device had one of the earlier ones.
    fn knew(
        &self,
        knowing: &mut Knowing<impl ReadLog>,
        later: EntryPlace,
        earlier: &[history::Side],
    ) -> rusqlite::Result<bool> {
        let Some(author) = self.0.get(&later.device).map(|c| c.no) else { return Ok(false) };
        for first in earlier {
            let number = self.0.get(&first.place.device).map_or(u32::MAX, |c| c.number);
            if knowing.knew(author, later, first.place, number)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
