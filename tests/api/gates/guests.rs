//! Guest records: who gets which, and that every change reaches the next page.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::json;
use shared::guest::seal::{OpenError, SealedTo, open};
use shared::guest::{AnswerValue, GuestRecord};
use shared::ids::TicketId;
use shared::manifest::rows::TicketState;
use shared::ticket::code;
use shared::wire::gates::ManifestBody;
use shared::wire::guests::{GuestPage, GuestRow, MAX_PAGE_RECORDS, PlainGuest};
use support::server::Reply;

use crate::device::TestDevice;
use crate::venue::{Sold, Venue, next_header, row, run};

const PATH: &str = "/gates/guest-records";

/// A device's records and its cursor.
struct Desk<'d> {
    device: &'d TestDevice,
    cursor: Vec<u8>,
    held: BTreeMap<TicketId, GuestRow>,
    /// Rows of the last fetch, in their order.
    told: Vec<TicketId>,
    pages: Vec<GuestPage>,
}

impl<'d> Desk<'d> {
    fn of(device: &'d TestDevice) -> Self {
        Self { device, cursor: Vec::new(), held: BTreeMap::new(), told: Vec::new(), pages: Vec::new() }
    }

    async fn ask(&self, venue: &Venue) -> Result<(Reply, Result<GuestPage>)> {
        self.device.get(venue, PATH, &format!("cursor={}", hex::encode(&self.cursor))).await
    }

    /// One page, taken in as a gate does.
    async fn page(&mut self, venue: &Venue) -> Result<GuestPage> {
        let page = self.ask(venue).await?.1?;
        assert!(page.rows.len() <= MAX_PAGE_RECORDS);
        if page.anew {
            self.held.clear();
        }
        for row in &page.rows {
            self.told.push(row.ticket);
            if row.sealed.is_none() && row.plain.is_none() {
                self.held.remove(&row.ticket);
            } else {
                self.held.insert(row.ticket, row.clone());
            }
        }
        self.cursor = page.cursor.to_vec();
        self.pages.push(page.clone());
        Ok(page)
    }

    /// All pages; the tickets that were told.
    async fn fetch(&mut self, venue: &Venue) -> Result<Vec<TicketId>> {
        self.told.clear();
        self.pages.clear();
        while self.page(venue).await?.more {}
        Ok(self.told.clone())
    }

    fn open(&self, venue: &Venue, ticket: TicketId, code: &str) -> Result<GuestRecord> {
        let row = self.held.get(&ticket).context("a record")?;
        let sealed = row.sealed.as_ref().context("sealed")?;
        Ok(open(sealed, &sealed_to(venue, row, code)?)?)
    }

    fn plain(&self, ticket: TicketId) -> Result<&PlainGuest> {
        self.held.get(&ticket).and_then(|row| row.plain.as_ref()).context("a name")
    }
}

fn sealed_to(venue: &Venue, row: &GuestRow, code: &str) -> Result<SealedTo> {
    let signature = code::parse(code)?.signature;
    Ok(SealedTo { signature, event: venue.event, ticket: row.ticket, generation: row.generation })
}

fn named(name: &str) -> GuestRecord {
    GuestRecord { name: Some(name.to_owned()), ..GuestRecord::default() }
}

/// A venue with a manifest, and tickets.
async fn open_with(tickets: usize) -> Result<(Venue, Vec<Sold>)> {
    let venue = Venue::open().await?;
    let sold = venue.sell(tickets).await?;
    Ok((venue, sold))
}

#[tokio::test]
async fn every_device_gets_what_codes_open_and_only_the_box_office_reads_names() -> Result<()> {
    let (venue, sold) = open_with(3).await?;
    let (mut gate, mut office) = (venue.device("Gate").await?, venue.box_office("Office").await?);
    venue.attend(sold[0].id, json!({ "name": "Ada Lovelace" })).await?;
    venue.attend(sold[1].id, json!({ "name": "Zoë" })).await?;
    let (reply, _) = Desk::of(&gate).ask(&venue).await?;
    assert_eq!((reply.status.as_u16(), reply.code()), (409, "event_not_ready"), "no gate has a manifest yet");
    gate.sync(&venue).await?;
    office.sync(&venue).await?;

    let mut at_gate = Desk::of(&gate);
    let (reply, _) = at_gate.ask(&venue).await?;
    assert!(!reply.text.contains("Ada"), "nobody reads it on its way either");
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(
        at_gate.fetch(&venue).await?,
        [sold[0].id, sold[1].id],
        "a ticket without a name says nothing"
    );
    assert_eq!(at_gate.open(&venue, sold[0].id, &sold[0].code)?, named("Ada Lovelace"));
    let row = &at_gate.held[&sold[0].id];
    let other = sealed_to(&venue, row, &sold[1].code)?;
    assert_eq!(open(row.sealed.as_ref().context("sealed")?, &other), Err(OpenError::Forged));
    assert!(at_gate.held.values().all(|row| row.plain.is_none()));
    let page = &at_gate.pages[0];
    assert_eq!((page.anew, page.more, page.names), (true, false, false));
    assert_eq!((page.epoch, page.change_seq), (1, 3));

    let mut at_office = Desk::of(&office);
    assert_eq!(at_office.fetch(&venue).await?.len(), 3, "bookings are found by their reference too");
    assert_eq!(at_office.open(&venue, sold[1].id, &sold[1].code)?, named("Zoë"));
    let plain = at_office.plain(sold[0].id)?;
    assert_eq!(
        (plain.name.as_deref(), plain.type_no, plain.note.as_deref()),
        (Some("Ada Lovelace"), 1, None)
    );
    assert_eq!(plain.booking.len(), 36);
    assert_eq!(at_office.plain(sold[2].id)?.name, None);
    assert!(at_office.held[&sold[2].id].sealed.is_none() && at_office.pages[0].names);
    Ok(())
}

#[tokio::test]
async fn a_change_reaches_the_next_page_and_nothing_else_does() -> Result<()> {
    let (venue, sold) = open_with(4).await?;
    let mut office = venue.box_office("Office").await?;
    for (n, ticket) in sold.iter().enumerate() {
        venue.attend(ticket.id, json!({ "name": format!("Guest {n}") })).await?;
    }
    office.sync(&venue).await?;
    let mut desk = Desk::of(&office);
    assert_eq!(desk.fetch(&venue).await?.len(), 4);
    assert!(desk.fetch(&venue).await?.is_empty());

    venue.attend(sold[2].id, json!({ "name": "Grace" })).await?;
    venue.attend(sold[2].id, json!({ "name": "Grace" })).await?;
    assert_eq!(desk.fetch(&venue).await?, [sold[2].id], "renamed");
    assert_eq!(desk.open(&venue, sold[2].id, &sold[2].code)?, named("Grace"));
    assert!(!desk.pages[0].anew);

    venue.refund(sold[0].id).await?;
    let new = venue.sell(1).await?.remove(0);
    assert_eq!(desk.fetch(&venue).await?, [sold[0].id, new.id], "in the order of their changes");
    assert!(!desk.held.contains_key(&sold[0].id), "withdrawn");
    assert_eq!(desk.plain(new.id)?.name, None);

    let path = format!("/tickets/{}/transfer", sold[1].id);
    let to = json!({ "email": "friend@example.org", "name": "Friend" });
    venue.server.post_as(&venue.owner, &path, &to).await?.expect(200)?;
    assert_eq!(desk.fetch(&venue).await?, [sold[1].id], "handed on");
    let row = &desk.held[&sold[1].id];
    assert_eq!((row.generation, desk.plain(sold[1].id)?.name.as_deref()), (1, Some("Friend")));
    assert!(desk.open(&venue, sold[1].id, &sold[1].code).is_err(), "the old code opens nothing");
    let path = format!("/tickets/{}", sold[1].id);
    let shown = venue.server.get_as(&venue.owner, &path).await?.expect(200)?;
    let code = shown["code"].as_str().context("a code")?;
    assert_eq!(desk.open(&venue, sold[1].id, code)?, named("Friend"));

    venue.attend(sold[2].id, json!({ "name": null })).await?;
    assert_eq!(desk.fetch(&venue).await?, [sold[2].id]);
    assert_eq!(desk.held[&sold[2].id].sealed, None, "it says nothing any more");
    assert!(desk.fetch(&venue).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_rename_is_a_change_of_the_manifest_that_changes_no_row() -> Result<()> {
    let (venue, sold) = open_with(2).await?;
    let mut gate = venue.device("Gate").await?;
    gate.sync(&venue).await?;
    let (before, version) = (gate.rows()?, gate.version());
    venue.attend(sold[0].id, json!({ "name": "Ada" })).await?;
    next_header(&venue);
    assert!(matches!(gate.sync(&venue).await?.body, ManifestBody::Delta { .. }));
    assert_eq!(gate.version().change_seq, version.change_seq + 1);
    assert_eq!(gate.rows()?, before);
    venue.attend(sold[0].id, json!({ "name": "Ada" })).await?;
    next_header(&venue);
    assert!(
        matches!(gate.sync(&venue).await?.body, ManifestBody::Same {}),
        "what says the same is no change"
    );
    Ok(())
}

#[tokio::test]
async fn many_records_come_in_pages_each_once_while_the_sale_goes_on() -> Result<()> {
    let (venue, sold) = open_with(MAX_PAGE_RECORDS * 2 + 7).await?;
    let mut owner = venue.server.db.owner().await?;
    sqlx::query("update tickets set attendee_name = 'Guest ' || ticket_id").execute(&mut owner).await?;
    let mut gate = venue.device("Gate").await?;
    gate.sync(&venue).await?;
    let mut desk = Desk::of(&gate);
    let first = desk.page(&venue).await?;
    assert_eq!((first.rows.len(), first.more, first.anew), (MAX_PAGE_RECORDS, true, true));
    // One that was told already and one that was not.
    let (told, open) = (sold[0].id, sold[MAX_PAGE_RECORDS * 2].id);
    venue.attend(told, json!({ "name": "Told" })).await?;
    venue.attend(open, json!({ "name": "Open" })).await?;
    while desk.page(&venue).await?.more {}
    assert!(desk.pages[1..].iter().all(|p| !p.anew));
    let tail = &desk.told[sold.len()..];
    assert_eq!(tail, [told, open], "all once, and then what changed");
    let mut all = desk.told[..sold.len()].to_vec();
    all.dedup();
    assert_eq!(all.len(), sold.len());
    assert_eq!(desk.open(&venue, told, &sold[0].code)?, named("Told"));

    // A change of many tickets at once is told in pages as well, and a cursor works a second time.
    let rows: Vec<u8> = sold.iter().flat_map(|t| row(t.id.0, TicketState::Valid).to_bytes()).collect();
    let mut tx = venue.server.app.db.tenant(venue.organizer.0).await?;
    hvflvspot::store::change::record(&mut tx, venue.organizer.0, venue.event.0, &rows, None).await?;
    tx.commit().await?;
    let before = desk.cursor.clone();
    let told = desk.fetch(&venue).await?;
    assert_eq!(told, sold.iter().map(|t| t.id).collect::<Vec<_>>());
    assert_eq!(desk.pages.iter().map(|p| p.rows.len()).collect::<Vec<_>>(), [500, 500, 7]);
    desk.cursor = before;
    assert_eq!(desk.fetch(&venue).await?, told);
    Ok(())
}

#[tokio::test]
async fn answers_for_the_door_come_with_it_and_no_others() -> Result<()> {
    let (venue, sold) = open_with(1).await?;
    let ask = async |label: &str, kind: &str, at_door: bool| -> Result<String> {
        let body = json!({ "label": label, "kind": kind, "show_at_door": at_door });
        let asked = venue.post("/questions", body).await?.expect(201)?;
        Ok(asked["question_id"].as_str().context("an id")?.to_owned())
    };
    let (dinner, size) = (ask("Dinner", "text", true).await?, ask("Size", "text", false).await?);
    let ramp = ask("Ramp?", "yes_no", true).await?;
    let answers = json!({ dinner.as_str(): "vegan", size.as_str(): "XXL", ramp.as_str(): true });
    venue.attend(sold[0].id, json!({ "answers": answers })).await?;
    let mut gate = venue.device("Gate").await?;
    gate.sync(&venue).await?;
    let mut desk = Desk::of(&gate);
    desk.fetch(&venue).await?;
    let told = |record: GuestRecord| -> Vec<(String, AnswerValue)> {
        record.answers.into_iter().map(|a| (a.label, a.value)).collect()
    };
    let text = |t: &str| AnswerValue::Text(t.to_owned());
    let mut both = told(desk.open(&venue, sold[0].id, &sold[0].code)?);
    both.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(both, [("Dinner".to_owned(), text("vegan")), ("Ramp?".to_owned(), AnswerValue::YesNo(true))]);

    // Another question for the door: every record may be another one.
    let path = venue.path(&format!("/questions/{size}"));
    let request = venue.server.request(reqwest::Method::PUT, &path).bearer_auth(&venue.owner);
    support::server::send(request.json(&json!({ "show_at_door": true }))).await?.expect(200)?;
    assert_eq!(desk.fetch(&venue).await?, [sold[0].id]);
    assert!(desk.pages[0].anew);
    assert_eq!(told(desk.open(&venue, sold[0].id, &sold[0].code)?).len(), 3);
    venue.attend(sold[0].id, json!({ "answers": { dinner.as_str(): "fish" } })).await?;
    assert_eq!(desk.fetch(&venue).await?, [sold[0].id]);
    let now = told(desk.open(&venue, sold[0].id, &sold[0].code)?);
    assert!(now.contains(&("Dinner".to_owned(), text("fish"))), "{}", now.len());
    Ok(())
}

#[tokio::test]
async fn a_revoked_device_gets_nothing_and_one_that_lost_the_capability_no_names() -> Result<()> {
    let (venue, sold) = open_with(1).await?;
    venue.attend(sold[0].id, json!({ "name": "Ada Lovelace" })).await?;
    let mut office = venue.box_office("Office").await?;
    office.sync(&venue).await?;
    let mut desk = Desk::of(&office);
    desk.fetch(&venue).await?;
    assert!(desk.plain(sold[0].id).is_ok());

    let mut tx = venue.server.app.db.tenant(venue.organizer.0).await?;
    let sql = "update devices set box_office = false where organizer_id = $1 and device_id = $2";
    run(&mut tx, sql, &[venue.organizer.0, office.id.0]).await?;
    tx.commit().await?;
    let (reply, _) = desk.ask(&venue).await?;
    assert!(!reply.text.contains("Lovelace"));
    desk.fetch(&venue).await?;
    assert!(desk.pages[0].anew && !desk.pages[0].names);
    assert!(desk.plain(sold[0].id).is_err(), "what comes anew has no names");
    assert_eq!(desk.open(&venue, sold[0].id, &sold[0].code)?, named("Ada Lovelace"));

    venue.post(&format!("/devices/{}/revoke", office.id), json!({})).await?.expect(200)?;
    let (reply, _) = desk.ask(&venue).await?;
    assert_eq!((reply.status.as_u16(), reply.code()), (403, "device_revoked"));
    Ok(())
}

#[tokio::test]
async fn one_ticket_whose_key_is_gone_holds_up_nobody_and_a_cursor_of_rubbish_begins_anew() -> Result<()> {
    let (venue, sold) = open_with(2).await?;
    for ticket in &sold {
        venue.attend(ticket.id, json!({ "name": "Ada" })).await?;
    }
    let mut tx = venue.server.app.db.tenant(venue.organizer.0).await?;
    let sql = "update tickets set kid = '\\x01020304' where organizer_id = $1 and ticket_id = $2";
    run(&mut tx, sql, &[venue.organizer.0, sold[0].id.0]).await?;
    tx.commit().await?;
    let mut gate = venue.device("Gate").await?;
    gate.sync(&venue).await?;
    let mut desk = Desk::of(&gate);
    assert_eq!(desk.fetch(&venue).await?, [sold[1].id]);
    for cursor in [vec![0xff; 12], vec![0xa0], vec![1; 200]] {
        desk.cursor = cursor;
        assert_eq!(desk.fetch(&venue).await?, [sold[1].id]);
        assert!(desk.pages[0].anew);
    }
    let (reply, _) = gate.get::<GuestPage>(&venue, PATH, "cursor=zz&other=1").await?;
    assert_eq!((reply.status.as_u16(), reply.code()), (400, "invalid_query"));
    Ok(())
}
