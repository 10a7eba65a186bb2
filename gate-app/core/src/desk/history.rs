//! This device's log, newest first: filtered, by page, and as a table for spreadsheets.

use super::contract::{CommandError, HistoryFilter, HistoryPage, HistoryShow, Language, LogLine, Place};
use super::{Desk, Network, of_sql};
use crate::answer::rfc3339;
use crate::db::table::log_page::{self, Which};
use crate::db::table::{log_entry, upload};
use crate::gate::Gate;
use crate::loaded;
use shared::bytes::Hash32;
use shared::cells::guarded;
use shared::log::entry::{EntryKind, EntryPlace};
use shared::ticket::code::text_hash;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;

/// Lines of a page at most.
const MAX_PAGE: usize = 500;

impl<N: Network> Desk<N> {
    /// A page of the log of the chosen enrolment, from before a place.
    ///
    /// # Errors
    /// `cannot_record` if it cannot be read; `internal` without a post.
    pub fn history(
        &self,
        filter: &HistoryFilter,
        before: Option<Place>,
        limit: usize,
    ) -> Result<HistoryPage, CommandError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let gate = self.gate(self.post_device()?)?;
        let (db, wanted) = (gate.db.conn(), Wanted::of(filter));
        let mut page = Filling { lines: Vec::new(), limit, more: false };
        let mut total = 0;
        if wanted.text.is_empty() {
            // The window asks after every scan: of a long evening only this page is opened.
            total = log_page::count(db, &wanted.which(&gate, None)).map_err(|e| of_sql(&e))?;
            let reader = Reader::new(&gate).map_err(|e| of_sql(&e))?;
            log_page::each(db, &wanted.which(&gate, before), |stored| page.take(reader.line(stored)))
                .map_err(|e| of_sql(&e))?;
        } else {
            // Words stand inside of the entries: to count them all are opened, one at a time.
            each_line(&gate, &wanted, |line| {
                total += 1;
                if before.is_none_or(|b| (Place { log_no: line.log_no, seq: line.seq }) < b) {
                    page.take(line);
                }
            })?;
        }
        let last = page.lines.last().filter(|_| page.more);
        let next = last.map(|last| Place { log_no: last.log_no, seq: last.seq });
        Ok(HistoryPage { lines: page.lines, total, next })
    }

    /// Writes all that the filter lets through as CSV, with names of columns in a language; how many lines. No cell
    /// runs as a formula. The file is there whole or not at all.
    ///
    /// # Errors
    /// `cannot_record` if it cannot be written; as [`Desk::history`].
    pub fn export_history(
        &self,
        filter: &HistoryFilter,
        language: Language,
        to: &Path,
    ) -> Result<u64, CommandError> {
        let failed = |e: std::io::Error| super::refused(&crate::fault::Fault::of_io(&e));
        let mut out = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        let mut lines = 0;
        let write = |e: csv::Error| CommandError::internal(&e);
        out.write_record(heading(language)).map_err(write)?;
        let gate = self.gate(self.post_device()?)?;
        let mut written = Ok(());
        each_line(&gate, &Wanted::of(filter), |line| {
            lines += 1;
            if written.is_ok() {
                written = out.write_record(cells(&line)).map_err(write);
            }
        })?;
        written?;
        let table = out.into_inner().map_err(|e| CommandError::internal(e.error()))?;
        // Beside it, under a name that nothing else has.
        let mut part = to.as_os_str().to_owned();
        part.push(format!(".{}.part", std::process::id()));
        let part = std::path::PathBuf::from(part);
        let written = std::fs::File::create_new(&part).and_then(|mut file| {
            // Spreadsheets take a table without a mark for one of their own country's old encodings.
            file.write_all("\u{feff}".as_bytes())?;
            file.write_all(&table)?;
            file.sync_all()
        });
        written.and_then(|()| std::fs::rename(&part, to)).map_err(|e| {
            // What was left of it is of no use.
            let _ = std::fs::remove_file(&part);
            failed(e)
        })?;
        Ok(lines)
    }
}

/// All that the filter lets through, newest first.
fn each_line(gate: &Gate, wanted: &Wanted, mut each: impl FnMut(LogLine)) -> Result<(), CommandError> {
    let reader = Reader::new(gate).map_err(|e| of_sql(&e))?;
    let read = log_page::each(gate.db.conn(), &wanted.which(gate, None), |stored| {
        let line = reader.line(stored);
        if wanted.text.is_empty() || wanted.says(&line) {
            each(line);
        }
        true
    });
    read.map_err(|e| of_sql(&e))
}

/// A page that is being read.
struct Filling {
    lines: Vec<LogLine>,
    limit: usize,
    more: bool,
}

impl Filling {
    /// False once it is known that there is more than fits.
    fn take(&mut self, line: LogLine) -> bool {
        if self.lines.len() < self.limit {
            self.lines.push(line);
        } else {
            self.more = true;
        }
        !self.more
    }
}

/// What a line needs beside its entry.
struct Reader {
    types: BTreeMap<u16, String>,
    acknowledged: BTreeMap<u32, u64>,
    undone: BTreeSet<EntryPlace>,
}

impl Reader {
    fn new(gate: &Gate) -> rusqlite::Result<Self> {
        let (db, me) = (gate.db.conn(), &gate.device);
        // Without a manifest types have no names.
        let loaded = loaded::load(db, me).ok().flatten();
        let types = loaded.map(|l| l.header.ticket_types).unwrap_or_default();
        Ok(Self {
            types: types.into_iter().map(|t| (t.number, t.name)).collect(),
            acknowledged: upload::all(db, me.no)?.into_iter().collect(),
            undone: log_entry::undone_of(db, me.device)?,
        })
    }

    fn line(&self, stored: log_entry::Stored) -> LogLine {
        let e = stored.entry;
        LogLine {
            log_no: e.place.log_no,
            seq: e.place.seq,
            hash: stored.hash,
            kind: e.kind,
            outcome: e.outcome,
            flags: e.flags,
            list: e.list,
            ticket_id: e.ticket,
            ticket_type_name: e.type_no.and_then(|no| self.types.get(&no)).cloned(),
            code_sha256: e.text_hash,
            direction: e.direction,
            gate: e.gate,
            staff: e.staff,
            reason: e.reason,
            target: e.target.map(|t| Place { log_no: t.log_no, seq: t.seq }),
            rehearsal: e.rehearsal,
            scanned_at: rfc3339(e.time.corrected),
            error_ms: e.time.error_ms,
            acknowledged: self.acknowledged.get(&e.place.log_no).is_some_and(|upto| e.place.seq <= *upto),
            undone: self.undone.contains(&e.place),
        }
    }
}

/// A filter, prepared.
struct Wanted {
    show: HistoryShow,
    text: String,
    code: Hash32,
}

impl Wanted {
    fn of(filter: &HistoryFilter) -> Self {
        let text = filter.text.trim();
        Self { show: filter.show, text: text.to_lowercase(), code: text_hash(text) }
    }

    /// What of the filter the database can tell.
    fn which(&self, gate: &Gate, before: Option<Place>) -> Which<'static> {
        let kinds: Option<&'static [EntryKind]> = match self.show {
            HistoryShow::All | HistoryShow::Unsent => None,
            HistoryShow::Admitted => Some(&[EntryKind::Entry, EntryKind::Exit, EntryKind::Override]),
            HistoryShow::Refused => Some(&[EntryKind::Refuse]),
            HistoryShow::Supervised => Some(&[EntryKind::Override, EntryKind::Undo]),
        };
        Which {
            author: gate.device.author,
            kinds,
            unsent_of: (self.show == HistoryShow::Unsent).then_some(gate.device.no),
            before: before.map(|b| (b.log_no, b.seq)),
        }
    }

    fn says(&self, line: &LogLine) -> bool {
        let holds = |text: &str| text.to_lowercase().contains(&self.text);
        line.code_sha256 == Some(self.code)
            || line.ticket_id.is_some_and(|t| holds(&t.to_string()))
            || line.ticket_type_name.as_deref().is_some_and(holds)
            || line.reason.as_deref().is_some_and(holds)
    }
}

const fn heading(language: Language) -> [&'static str; 16] {
    match language {
        Language::En => [
            "Log",
            "No.",
            "Time (UTC)",
            "Kind",
            "Outcome",
            "Remarks",
            "Ticket type",
            "Ticket",
            "Direction",
            "Gate",
            "Staff",
            "Reason",
            "Takes back",
            "Rehearsal",
            "Sent",
            "Taken back",
        ],
        Language::De => [
            "Protokoll",
            "Nr.",
            "Zeit (UTC)",
            "Art",
            "Ergebnis",
            "Hinweise",
            "Ticketart",
            "Ticket",
            "Richtung",
            "Einlass",
            "Personal",
            "Grund",
            "Nimmt zurück",
            "Probe",
            "Gesendet",
            "Zurückgenommen",
        ],
        Language::Es => [
            "Registro",
            "N.º",
            "Hora (UTC)",
            "Tipo",
            "Resultado",
            "Notas",
            "Tipo de entrada",
            "Entrada",
            "Dirección",
            "Puerta",
            "Personal",
            "Motivo",
            "Anula",
            "Ensayo",
            "Enviado",
            "Anulado",
        ],
        Language::Fr => [
            "Journal",
            "N°",
            "Heure (UTC)",
            "Nature",
            "Résultat",
            "Remarques",
            "Type de billet",
            "Billet",
            "Sens",
            "Porte",
            "Personnel",
            "Motif",
            "Annule",
            "Répétition",
            "Envoyé",
            "Annulé",
        ],
    }
}

/// Words of the protocol stay as they are, so that tables of all languages can be compared.
fn cells(line: &LogLine) -> [String; 16] {
    let yes = |is: bool| if is { "1" } else { "0" }.to_owned();
    let id = |id: Option<String>| id.unwrap_or_default();
    let flags: Vec<&str> = line.flags.names().collect();
    let text = |text: Option<&str>| guarded(text.unwrap_or_default());
    [
        line.log_no.to_string(),
        line.seq.to_string(),
        line.scanned_at.clone(),
        format!("{:?}", line.kind).to_lowercase(),
        line.outcome.as_str().to_owned(),
        flags.join(" "),
        text(line.ticket_type_name.as_deref()),
        id(line.ticket_id.map(|t| t.to_string())),
        format!("{:?}", line.direction).to_lowercase(),
        id(line.gate.map(|g| g.to_string())),
        id(line.staff.map(|s| s.to_string())),
        text(line.reason.as_deref()),
        id(line.target.map(|t| format!("{}:{}", t.log_no, t.seq))),
        yes(line.rehearsal),
        yes(line.acknowledged),
        yes(line.undone),
    ]
}
