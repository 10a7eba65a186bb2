//! Who comes: from the organizer's page through the real server to a box office's window, and away again.

use anyhow::{Context, Result, ensure};
use gate_core::clock::{SystemClock, system_rng};
use gate_core::desk::contract::{EnrolmentNews, ErrorCode, Hit, Post, ScanSource, Verdict};
use gate_core::desk::{Desk, Event, Internet, Running};
use gate_core::gate::World;
use hvflvspot::tour::venue::{BoughtTicket, PIN, Plan};
use rand::Rng as _;
use serde_json::{Value, json};
use shared::bytes::Nonce16;
use shared::log::entry::Direction;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;
use support::site::Site;
use support::until;
use tokio::task::block_in_place;

fn hear<T>(heard: &Receiver<Event>, what: &str, fits: impl Fn(Event) -> Option<T>) -> Result<T> {
    loop {
        let event =
            heard.recv_timeout(Duration::from_secs(30)).with_context(|| format!("not heard: {what}"))?;
        if let Some(found) = fits(event) {
            return Ok(found);
        }
    }
}

/// A window at work.
struct Window {
    desk: Arc<Desk>,
    heard: Receiver<Event>,
    folder: std::path::PathBuf,
    device: String,
    running: Option<Running>,
}

impl Window {
    /// Enrolled as the slot says, with a manifest, at the show's list, a supervisor beside it.
    async fn open(site: &Site, name: &str, slot: Value) -> Result<Self> {
        let mut rng = system_rng()?;
        let world = World { clock: Arc::new(SystemClock::new(&mut rng)), rng };
        let network = Internet { connect: Some(site.server.address()?.to_string()) };
        let folder = site.path(name);
        let (desk, heard) = Desk::open(&folder, world, network);
        let desk = Arc::new(desk);
        let devices = format!("/organizer/events/{}/devices", site.show.event);
        let slot = site.organizer.post(&format!("{devices}/slots"), slot).await?;
        let link = slot["link"].as_str().context("a link")?.to_owned();
        let begun = block_in_place(|| desk.enrol_begin(&link, None))?;
        let path = format!("{devices}/slots/{}/confirm", slot["slot_id"].as_str().context("a slot")?);
        site.organizer.post(&path, json!({ "digits": begun.digits })).await?;
        let (device, running) = block_in_place(|| -> Result<_> {
            let device = hear(&heard, "the organizer's yes", |e| match e {
                Event::Enrolment(EnrolmentNews::Done { device_id, .. }) => Some(device_id.to_string()),
                _ => None,
            })?;
            let running = desk.start()?;
            let enrolment = hear(&heard, "the first manifest", |e| match e {
                Event::AppState(state) => state.enrolments.into_iter().find(|e| e.title.is_some()),
                _ => None,
            })?;
            let list = enrolment.lists.iter().find(|l| l.id.to_string() == site.show.list);
            desk.set_post(Post {
                device_id: enrolment.device_id,
                list: list.context("the list")?.id,
                gate: enrolment.gates.first().map(|g| g.id),
                direction: Direction::In,
                rehearsal: false,
            })?;
            Ok((device, running))
        })?;
        Ok(Self { desk, heard, folder, device, running: Some(running) })
    }

    fn scan(&self, code: &str) -> Result<Verdict> {
        let mut bytes = [0; 16];
        system_rng()?.fill_bytes(&mut bytes);
        Ok(block_in_place(|| self.desk.scan_text(code, Nonce16(bytes), ScanSource::Reader))?)
    }

    fn search(&self, site: &Site, text: &str) -> Result<Vec<Hit>> {
        block_in_place(|| {
            self.desk.unlock(site.show.supervisor.parse()?, PIN)?;
            Ok(self.desk.search(text)?)
        })
    }

    /// Waits until a search finds just this ticket.
    async fn finds(&self, site: &Site, text: &str, ticket: &BoughtTicket) -> Result<()> {
        let what = format!("{text} leads to {}", ticket.id);
        until(&what, async || {
            let hits = self.search(site, text)?;
            Ok(hits.len() == 1 && hits[0].ticket_id.to_string() == ticket.id)
        })
        .await
    }
}

/// True if these letters stand in any file of the folder.
fn holds(folder: &Path, text: &str) -> Result<bool> {
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        if path.is_file() {
            let bytes = std::fs::read(&path)?;
            if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

#[tokio::test(flavor = "multi_thread")]
async fn names_reach_the_box_office_and_records_open_at_every_gate_until_the_device_is_revoked() -> Result<()>
{
    let plan = Plan { title: "Who comes", capacity: 10, gates: &["North"], reentry: true };
    let site = Site::open(plan, 41).await?;
    let tickets = site.book(2).await?.tickets;
    let attend = async |ticket: &BoughtTicket, fields: Value| {
        site.organizer.put(&format!("/tickets/{}/attendee", ticket.id), fields).await
    };
    attend(&tickets[0], json!({ "name": "Ada Lovelace" })).await?;
    let office = Window::open(&site, "office", json!({ "label": "Office", "box_office": true })).await?;
    let gate = Window::open(&site, "gate", json!({ "label": "Gate" })).await?;

    office.finds(&site, "lovel", &tickets[0]).await?;
    attend(&tickets[1], json!({ "name": "Zoë Müller" })).await?;
    office.finds(&site, "muller zoe", &tickets[1]).await?;
    // The other gate hears of the same changes.
    until("the gate has both records", async || {
        let name = |verdict: Verdict| verdict.guest.and_then(|g| g.name);
        let names = (name(gate.scan(&tickets[0].code)?), name(gate.scan(&tickets[1].code)?));
        Ok(names == (Some("Ada Lovelace".to_owned()), Some("Zoë Müller".to_owned())))
    })
    .await?;
    let refused = block_in_place(|| {
        gate.desk.unlock(site.show.supervisor.parse()?, PIN)?;
        anyhow::Ok(gate.desk.search("lovelace").map_err(|e| e.code))
    })?;
    ensure!(refused == Err(ErrorCode::NotBoxOffice), "{refused:?}");
    ensure!(!holds(&gate.folder, "Lovelace")? && holds(&office.folder, "Lovelace")?);

    // Another holder: the old code opens nothing of theirs, the new one does.
    let path = format!("/tickets/{}/transfer", tickets[0].id);
    site.organizer.post(&path, json!({ "email": "grace@example.org", "name": "Grace Hopper" })).await?;
    let renewed = site.organizer.get(&format!("/tickets/{}", tickets[0].id)).await?;
    let code = renewed["code"].as_str().context("a code")?;
    office.finds(&site, "hopper", &tickets[0]).await?;
    ensure!(office.search(&site, "lovelace")?.is_empty(), "she is not coming");
    let old = office.scan(&tickets[0].code)?;
    ensure!(!old.answer.is_ok() && old.guest.is_none(), "{:?}", old.answer);
    // The other gate let the ticket in: a verdict that refuses says who comes, too.
    let new = office.scan(code)?;
    ensure!(new.guest.and_then(|g| g.name).as_deref() == Some("Grace Hopper"));

    let devices = format!("/organizer/events/{}/devices", site.show.event);
    site.organizer.post(&format!("{devices}/{}/revoke", office.device), json!({})).await?;
    let mut office = office;
    block_in_place(|| {
        hear(&office.heard, "it was revoked and wiped", |e| match e {
            Event::AppState(state) => state.enrolments.iter().find(|e| e.state == "revoked").map(|_| ()),
            _ => None,
        })
    })?;
    block_in_place(|| drop(office.running.take()));
    ensure!(!holds(&office.folder, "Hopper")? && !holds(&office.folder, "hopper")?, "names are wiped");
    Ok(())
}
