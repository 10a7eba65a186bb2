//! A window's desk against the real server: enrol, scan, undo, search, leave.

use anyhow::{Context, Result, ensure};
use gate_core::clock::{SystemClock, system_rng};
use gate_core::desk::contract::{EnrolmentNews, Place, Post, ScanSource};
use gate_core::desk::{Desk, Event, Internet};
use gate_core::gate::World;
use hvflvspot::tour::venue::{PIN, Plan};
use rand::Rng as _;
use serde_json::json;
use shared::admission::Outcome;
use shared::bytes::Nonce16;
use shared::log::entry::Direction;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;
use support::site::Site;

fn world() -> Result<World> {
    let mut rng = system_rng()?;
    Ok(World { clock: Arc::new(SystemClock::new(&mut rng)), rng })
}

fn nonce() -> Result<Nonce16> {
    let mut bytes = [0; 16];
    system_rng()?.fill_bytes(&mut bytes);
    Ok(Nonce16(bytes))
}

fn hear<T>(heard: &Receiver<Event>, what: &str, fits: impl Fn(Event) -> Option<T>) -> Result<T> {
    loop {
        let event =
            heard.recv_timeout(Duration::from_secs(30)).with_context(|| format!("not heard: {what}"))?;
        if let Some(found) = fits(event) {
            return Ok(found);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evening_at_the_desk_from_the_invitation_to_the_last_goodbye() -> Result<()> {
    let plan = Plan { title: "At the desk", capacity: 10, gates: &["North"], reentry: true };
    let site = Site::open(plan, 26).await?;
    let ticket = site.book(1).await?.tickets.remove(0);
    let network = Internet { connect: Some(site.server.address()?.to_string()) };
    let (desk, heard) = Desk::open(&site.path("desk"), world()?, network);
    let desk = Arc::new(desk);

    let devices = format!("/organizer/events/{}/devices", site.show.event);
    let slot = site.organizer.post(&format!("{devices}/slots"), json!({ "label": "Desk" })).await?;
    let link = slot["link"].as_str().context("a link")?.to_owned();
    let begun = tokio::task::block_in_place(|| desk.enrol_begin(&link, None))?;
    let device = format!("{devices}/slots/{}", slot["slot_id"].as_str().context("a slot")?);
    let seen = site.organizer.get(&device).await?;
    ensure!(seen["digits"] == begun.digits.as_str(), "{seen} beside {}", begun.digits);
    site.organizer.post(&format!("{device}/confirm"), json!({ "digits": begun.digits })).await?;
    tokio::task::block_in_place(|| -> Result<()> {
        let label = hear(&heard, "the organizer's yes", |e| match e {
            Event::Enrolment(EnrolmentNews::Done { label, .. }) => Some(label),
            _ => None,
        })?;
        ensure!(label == "Desk", "{label}");
        evening(&site, &desk, &heard, &ticket.code)
    })
}

fn evening(site: &Site, desk: &Arc<Desk>, heard: &Receiver<Event>, code: &str) -> Result<()> {
    let running = desk.start()?;
    let enrolment = hear(heard, "the first manifest", |e| match e {
        Event::AppState(state) => state.enrolments.into_iter().find(|e| e.title.is_some()),
        _ => None,
    })?;
    let list = enrolment.lists.iter().find(|l| l.id.to_string() == site.show.list).context("the list")?.id;
    let gate = enrolment.gates.first().map(|g| g.id);
    let post =
        Post { device_id: enrolment.device_id, list, gate, direction: Direction::In, rehearsal: false };
    desk.set_post(post)?;
    let scan = || -> Result<_> { Ok(desk.scan_text(code, nonce()?, ScanSource::Reader)?.answer) };
    let first = scan()?;
    ensure!(first.is_ok(), "{first:?}");
    ensure!(scan()?.outcome == Outcome::AlreadyAdmitted);

    let supervisor = site.show.supervisor.parse()?;
    desk.unlock(supervisor, PIN)?;
    let found = desk.search(code)?;
    ensure!(found.len() == 1 && found[0].inside, "{found:?}");
    let place = first.log_no.zip(first.seq).map(|(log_no, seq)| Place { log_no, seq });
    desk.undo(place.context("it is recorded")?, "the wrong guest")?;
    ensure!(scan()?.is_ok(), "scan, undo, scan");
    let status = hear(heard, "everything is sent", |e| match e {
        Event::Status(s) if s.status.queue.unsent == 0 && s.status.queue.last_seq == 4 => Some(s),
        _ => None,
    })?;
    ensure!(status.status.online && status.counts.admitted == 1 && status.counts.expected == 1, "{status:?}");
    let left = desk.leave(enrolment.device_id)?;
    ensure!(left.enrolments.is_empty() && left.post.is_none(), "{left:?}");
    drop(running);
    Ok(())
}
