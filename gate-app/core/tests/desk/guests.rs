//! Who comes: sealed on every gate, opened by the code, searched at the box office, and gone when it must be.

use crate::common::server::{Server, offline, problem};
use crate::common::{Venue, files_with, scan};
use crate::stage::{Stage, Wire, open, stewards};
use gate_core::db::{Db, FILE};
use gate_core::desk::contract::{AnswerShown, ErrorCode, Trouble};
use gate_core::sync::engine::{Engine, Report};
use gate_core::sync::transport::Response;
use shared::bytes::Nonce24;
use shared::guest::seal::{SealedTo, seal};
use shared::guest::{AnswerValue, GuestAnswer, GuestRecord};
use shared::manifest::docs::Capability;
use shared::manifest::rows::TicketState;
use shared::ticket::code;
use shared::wire::guests::{GuestRow, PlainGuest};

/// Ten valid tickets, and stewards who may search.
fn venue(capabilities: &[Capability]) -> Venue {
    Venue::with(|o| {
        o.header.stewards = stewards();
        o.capabilities = capabilities.to_vec();
    })
}

const GATE: &[Capability] = &[Capability::Scan];
const OFFICE: &[Capability] = &[Capability::Scan, Capability::BoxOffice];

fn server(venue: &Venue) -> Server {
    let mut server = Server::of(venue);
    server.organizer.header.stewards = stewards();
    server
}

fn round(venue: &mut Venue, server: &Server) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(Engine::new(venue.gate(), server).round()).unwrap()
}

/// A row as the server makes it for a device of the box office.
fn row(venue: &Venue, index: usize, name: &str, booking: &str) -> GuestRow {
    let record = GuestRecord {
        name: Some(name.to_owned()),
        note: Some("By the side door".to_owned()),
        born_on: None,
        answers: vec![
            GuestAnswer { label: "Dinner".to_owned(), value: AnswerValue::Text("vegan".to_owned()) },
            GuestAnswer { label: "Ramp?".to_owned(), value: AnswerValue::YesNo(true) },
        ],
    };
    let ticket = venue.rows[index].ticket_id;
    let signature = code::parse(&venue.code(index)).unwrap().signature;
    let to = SealedTo { signature, event: venue.device.event, ticket, generation: 0 };
    let nonce = Nonce24([u8::try_from(index).unwrap(); 24]);
    let plain = PlainGuest {
        type_no: 1,
        booking: booking.to_owned(),
        name: Some(name.to_owned()),
        note: record.note.clone(),
    };
    let sealed = seal(&record, &to, &nonce).unwrap();
    GuestRow { ticket, generation: 0, sealed: Some(sealed.into()), plain: Some(plain) }
}

fn without_plain(row: GuestRow) -> GuestRow {
    GuestRow { plain: None, ..row }
}

fn gone(venue: &Venue, index: usize) -> GuestRow {
    GuestRow { ticket: venue.rows[index].ticket_id, generation: 0, sealed: None, plain: None }
}

/// One more change of the event.
fn tell(server: &Server, rows: impl IntoIterator<Item = GuestRow>) {
    server.guests.borrow_mut().rows.extend(rows);
    server.publish(|_| {});
}

fn found(stage: &Stage, text: &str) -> Vec<String> {
    stage.desk.search(text).unwrap().into_iter().map(|hit| hit.name.unwrap_or_default()).collect()
}

#[test]
fn a_code_opens_its_own_record_whatever_the_verdict_is() {
    let mut venue = venue(GATE);
    let server = server(&venue);
    let rotten =
        GuestRow { sealed: Some(vec![7; 168].into()), ..without_plain(row(&venue, 3, "Eve", "B-4")) };
    let stolen = row(&venue, 4, "Mallory", "B-5").sealed;
    let swapped = GuestRow { sealed: stolen, ..gone(&venue, 5) };
    tell(&server, [without_plain(row(&venue, 0, "Ada Lovelace", "B-1")), rotten, swapped]);
    let report = round(&mut venue, &server);
    assert!(report.is_complete() && report.guests.error.is_none(), "{report:?}");
    assert_eq!(report.guests.entries, 3);
    let stage = Stage::of(venue);
    let first = stage.scan(&stage.venue.code(0));
    assert!(first.answer.is_ok());
    let guest = first.guest.unwrap();
    assert_eq!(
        (guest.name.as_deref(), guest.note.as_deref()),
        (Some("Ada Lovelace"), Some("By the side door"))
    );
    let answers: Vec<_> = guest.answers.iter().map(|a| (a.label.as_str(), a.value.clone())).collect();
    assert_eq!(
        answers,
        [("Dinner", AnswerShown::Text("vegan".to_owned())), ("Ramp?", AnswerShown::YesNo(true))]
    );
    let again = stage.scan(&stage.venue.code(0));
    assert!(!again.answer.is_ok());
    assert_eq!(again.guest.unwrap().name.as_deref(), Some("Ada Lovelace"));
    for index in [1, 3, 5] {
        let verdict = stage.scan(&stage.venue.code(index));
        assert!(
            verdict.answer.is_ok() && verdict.guest.is_none(),
            "record {index} opens nothing and decides nothing"
        );
    }
    assert_eq!(
        files_with(stage.venue.path(), "Lovelace"),
        Vec::<String>::new(),
        "what was opened is not kept"
    );
}

#[test]
fn a_device_without_the_capability_keeps_nothing_plain_even_if_it_is_told() {
    let mut venue = venue(GATE);
    let server = server(&venue);
    server.guests.borrow_mut().names = true;
    tell(&server, [row(&venue, 0, "Ada Lovelace", "B-1")]);
    let report = round(&mut venue, &server);
    assert_eq!((report.guests.entries, report.guests.refused), (1, 0));
    assert_eq!(files_with(venue.path(), "Lovelace"), Vec::<String>::new());
    assert_eq!(files_with(venue.path(), "lovelace"), Vec::<String>::new());
    let stage = Stage::of(venue);
    stage.unlock();
    assert_eq!(stage.desk.search("Lovelace").unwrap_err().code, ErrorCode::NotBoxOffice);
    assert!(stage.desk.search(&stage.venue.code(0)).unwrap()[0].name.is_none());
    assert!(stage.scan(&stage.venue.code(0)).guest.is_some());
}

#[test]
fn the_box_office_finds_by_the_beginnings_of_names_and_bookings() {
    let mut venue = venue(OFFICE);
    let server = server(&venue);
    server.guests.borrow_mut().names = true;
    let names =
        [("Ada Lovelace", "B-1"), ("Zoë Müller", "B-2"), ("Jean-Luc O’Brien", "B-2"), ("Adam Łukasz", "C-3")];
    let rows = names.iter().enumerate().map(|(i, (name, booking))| row(&venue, i, name, booking));
    tell(&server, rows.collect::<Vec<_>>());
    round(&mut venue, &server);
    let refunded = venue.rows[3].ticket_id;
    server.publish(|rows| {
        rows.iter_mut().find(|r| r.ticket_id == refunded).unwrap().state = TicketState::Refunded;
    });
    round(&mut venue, &server);
    let stage = Stage::of(venue);
    assert_eq!(stage.desk.search("Ada").unwrap_err().code, ErrorCode::Locked);
    stage.unlock();
    assert_eq!(found(&stage, "ada"), ["Ada Lovelace", "Adam Łukasz"]);
    assert_eq!(found(&stage, "LOVE ada"), ["Ada Lovelace"], "in any order");
    for text in ["zoe mul", "Mueller", "muller", "  ZOË "] {
        assert_eq!(found(&stage, text), ["Zoë Müller"], "{text}");
    }
    assert_eq!(found(&stage, "o'brien"), ["Jean-Luc O’Brien"]);
    assert_eq!(found(&stage, "luc"), ["Jean-Luc O’Brien"]);
    assert_eq!(found(&stage, "B-2").len(), 2);
    assert_eq!(found(&stage, "lukasz c"), ["Adam Łukasz"]);
    for text in ["ovelace", "ada muller", "…", "%", "B-2' or '1'='1"] {
        assert_eq!(found(&stage, text), Vec::<String>::new(), "{text}");
    }
    assert!(stage.scan(&stage.venue.code(0)).answer.is_ok());
    let hit = stage.desk.search("lovelace").unwrap().remove(0);
    assert_eq!((hit.booking.as_deref(), hit.inside), (Some("B-1"), true));
    assert_eq!(hit.ticket_type_name.as_deref(), Some("Standard"));
    let hits = [stage.desk.search(&stage.venue.code(0)), stage.desk.search(&hit.ticket_id.to_string())];
    assert!(hits.into_iter().all(|h| h.unwrap() == [hit.clone()]), "by code and id as well");
    let state = serde_json::to_value(stage.desk.search("lukasz").unwrap()[0].state).unwrap();
    assert_eq!(state, "refunded");
}

#[test]
fn names_are_wiped_with_the_capability_and_everything_with_the_revocation() {
    let mut venue = venue(OFFICE);
    let server = server(&venue);
    server.guests.borrow_mut().names = true;
    tell(&server, [row(&venue, 0, "Ada Lovelace", "B-1")]);
    round(&mut venue, &server);
    // Another process looks on, so that the write-ahead log does not end with a connection.
    let onlooker = Db::open(venue.path()).unwrap();
    assert!(!files_with(venue.path(), "Lovelace").is_empty(), "it is there to be searched");
    server.guests.borrow_mut().names = false;
    tell(&server, []);
    round(&mut venue, &server);
    assert_eq!(files_with(venue.path(), "Lovelace"), Vec::<String>::new());
    assert_eq!(files_with(venue.path(), "lovelace"), Vec::<String>::new());
    let stage = Stage::of(venue);
    assert!(stage.scan(&stage.venue.code(0)).guest.is_some(), "the sealed record stays");
    let Stage { mut venue, desk, .. } = stage;
    drop(desk);

    server.guests.borrow_mut().names = true;
    tell(&server, []);
    round(&mut venue, &server);
    assert!(!files_with(venue.path(), "Lovelace").is_empty());
    let sealed = row(&venue, 0, "Ada Lovelace", "B-1").sealed.unwrap();
    let holds = |venue: &Venue| !bytes_in(venue, &sealed).is_empty();
    assert!(holds(&venue));
    server.revoked.set(true);
    round(&mut venue, &server);
    assert_eq!(files_with(venue.path(), "Lovelace"), Vec::<String>::new());
    assert!(!holds(&venue), "sealed records go as well");
    drop(onlooker);
    let asked = server.asked("/gates/guest-records");
    round(&mut venue, &server);
    assert_eq!(server.asked("/gates/guest-records"), asked, "and none are fetched");
}

fn bytes_in(venue: &Venue, bytes: &[u8]) -> Vec<String> {
    crate::common::files_with_bytes(venue.path(), bytes)
}

#[test]
fn pages_go_on_where_they_were_broken_off_and_what_is_gone_goes() {
    let mut venue = venue(GATE);
    let server = server(&venue);
    let all: Vec<GuestRow> = (0..7).map(|i| without_plain(row(&venue, i, "Ada", "B-1"))).collect();
    server.guests.borrow_mut().page = Some(3);
    tell(&server, all);
    server.tamper(|request, answer| match request.query.as_str() {
        query if request.path == "/gates/guest-records" && query.starts_with("cursor=06") => Err(offline()),
        _ => Ok(answer),
    });
    let broken = round(&mut venue, &server);
    assert!(broken.is_complete() && broken.guests.error.is_some(), "{broken:?}");
    assert_eq!((broken.guests.exchanges, broken.guests.entries), (2, 6));
    server.tamper(|_, answer| Ok(answer));
    let rest = round(&mut venue, &server);
    assert_eq!((rest.guests.exchanges, rest.guests.entries), (1, 1));
    assert_eq!(round(&mut venue, &server).guests.exchanges, 0, "nothing is new");
    let opened = |venue: &mut Venue, index: usize| {
        let code = venue.code(index);
        venue.scanner().scan(&code, None).detail.guest.is_some()
    };
    assert!(opened(&mut venue, 0) && opened(&mut venue, 6));

    tell(&server, [gone(&venue, 0)]);
    assert_eq!(round(&mut venue, &server).guests.entries, 1);
    assert!(!opened(&mut venue, 0) && opened(&mut venue, 1));

    // Told anew without one of them: as after a database that lost something.
    server.guests.borrow_mut().rows.drain(..2);
    server.guests.borrow_mut().names = true;
    tell(&server, []);
    let anew = round(&mut venue, &server);
    assert_eq!((anew.guests.exchanges, anew.guests.entries), (2, 6));
    assert!(!opened(&mut venue, 1) && opened(&mut venue, 2));
}

#[test]
fn whatever_becomes_of_records_holds_up_neither_scans_nor_the_manifest() {
    let mut venue = venue(GATE);
    let server = server(&venue);
    tell(&server, [without_plain(row(&venue, 0, "Ada", "B-1"))]);
    let answers: [fn() -> Response; 3] = [
        || problem(404, "not_found"),
        || problem(500, "internal"),
        || Response { status: 200, body: vec![0xff; 9] },
    ];
    for (n, answer) in answers.into_iter().enumerate() {
        server.tamper(move |request, right| {
            Ok(if request.path == "/gates/guest-records" { answer() } else { right })
        });
        server.publish(|_| {});
        let code = venue.code(n + 1);
        assert!(scan(&mut venue.scanner(), &code).is_ok());
        let report = round(&mut venue, &server);
        assert!(report.is_complete() && report.new_manifest && report.guests.error.is_some(), "{report:?}");
        assert_eq!(report.upload.entries, 1);
    }
    // Rows that no server sends are left out, the others kept.
    server.tamper(|_, right| Ok(right));
    let vast = GuestRow { sealed: Some(vec![0; 5_000].into()), ..gone(&venue, 8) };
    let future = GuestRow { generation: 16, ..without_plain(row(&venue, 9, "Ada", "B-1")) };
    tell(&server, [vast, future]);
    let report = round(&mut venue, &server);
    assert_eq!((report.guests.entries, report.guests.refused), (1, 2));
    let code = venue.code(0);
    assert!(venue.scanner().scan(&code, None).detail.guest.is_some());
}

#[test]
fn records_survive_a_damaged_database_and_come_once_more() {
    let mut venue = venue(OFFICE);
    let server = server(&venue);
    server.guests.borrow_mut().names = true;
    tell(&server, [row(&venue, 0, "Ada Lovelace", "B-1"), row(&venue, 1, "Zoë", "B-2")]);
    round(&mut venue, &server);
    let stage = Stage::of(venue);
    for i in 0..10 {
        assert!(stage.scan(&stage.venue.code(i)).answer.is_ok());
    }
    let Stage { mut venue, desk, heard } = stage;
    drop((desk, heard));
    let file = venue.path().join(FILE);
    let db = Db::open(venue.path()).unwrap();
    db.conn().query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(())).unwrap();
    drop(db);
    let (mut bytes, entry) = (std::fs::read(&file).unwrap(), venue.log()[5].bytes.clone());
    let at = bytes.windows(entry.len()).position(|w| w == &entry[..]).unwrap() / 4096 * 4096;
    bytes[at..at + 4096].fill(0xa5);
    std::fs::write(&file, bytes).unwrap();

    let dir = venue.path().to_owned();
    let (desk, heard) = open(&mut venue, &dir, Wire::default());
    let stage = Stage { venue, desk, heard };
    assert!(matches!(stage.desk.app_state().trouble, Some(Trouble::DatabaseRepaired { .. })));
    assert_eq!(stage.desk.trouble_retry(), None);
    stage.unlock();
    assert_eq!(found(&stage, "lovelace"), ["Ada Lovelace"]);
    assert_eq!(stage.scan(&stage.venue.code(1)).guest.unwrap().name.as_deref(), Some("Zoë"));
    let Stage { mut venue, desk, .. } = stage;
    drop(desk);
    server.guests.borrow_mut().rows.remove(0);
    assert_eq!(round(&mut venue, &server).guests.entries, 1, "all come anew");
    let stage = Stage::of(venue);
    stage.unlock();
    assert_eq!(found(&stage, "lovelace"), Vec::<String>::new(), "and what is not among them is gone");
    assert_eq!(found(&stage, "zoe"), ["Zoë"]);
}
