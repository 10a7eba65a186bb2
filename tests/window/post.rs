//! A site, a desktop and a window that was enrolled at it.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use hvflvspot::tour::proxy::Proxy;
use hvflvspot::tour::venue::Plan;
use serde_json::{Value, json};
use support::site::Site;
use support::until;
use support::window::{Room, Seen, Setup, Window};

/// Everything stops when it is dropped.
#[derive(Debug)]
pub struct Post {
    pub window: Window,
    pub setup: Setup,
    pub site: Site,
    pub line: Proxy,
    pub room: Arc<Room>,
}

impl Post {
    /// Opens a site and a desktop with the app, which knows nobody yet. `first` may do something on the desktop before;
    /// `shape` may change what is started.
    pub async fn open(
        title: &str,
        seed: u64,
        first: impl AsyncFnOnce(&Room) -> Result<()>,
        shape: impl FnOnce(Setup, &Room) -> Result<Setup>,
    ) -> Result<Self> {
        let plan = Plan { title, capacity: 200, gates: &["North", "South"], reentry: false };
        let site = Site::open(plan, seed).await?;
        let line = Proxy::open(site.server.address()?, seed).await?;
        let room = Room::open().await?;
        first(&room).await?;
        let data = room.home().join("gate");
        let setup = shape(Setup::new(&data, line.address())?, &room)?;
        let window = Window::open(&room, &setup).await?;
        Ok(Self { window, setup, site, line, room })
    }

    /// The device's data.
    pub fn data(&self) -> PathBuf {
        self.setup.data.clone()
    }

    fn devices(&self) -> String {
        format!("/organizer/events/{}/devices", self.site.show.event)
    }

    /// A place for a new device: its path and its link.
    pub async fn slot(&self, label: &str) -> Result<(String, String)> {
        let slot =
            self.site.organizer.post(&format!("{}/slots", self.devices()), json!({ "label": label })).await?;
        let id = slot["slot_id"].as_str().context("a slot has an id")?;
        let link = slot["link"].as_str().context("a slot has a link")?;
        Ok((format!("{}/slots/{id}", self.devices()), link.to_owned()))
    }

    /// Compares the six digits of both screens and confirms.
    pub async fn confirm(&self, slot: &str) -> Result<()> {
        self.window.see_element(".digits").await?;
        let shown: String =
            self.window.text_of(".digits").await?.chars().filter(char::is_ascii_digit).collect();
        let mut seen = Value::Null;
        until("the organizer sees the digits", async || {
            seen = self.site.organizer.get(slot).await?;
            Ok(seen["digits"].is_string())
        })
        .await?;
        ensure!(seen["digits"] == shown.as_str(), "the window shows {shown}, the organizer {seen}");
        self.site.organizer.post(&format!("{slot}/confirm"), json!({ "digits": shown })).await?;
        Ok(())
    }

    /// Enrols by link, keeps the label, takes the first list and the gate of that name.
    pub async fn enrol(&self, gate: &str) -> Result<()> {
        let (slot, link) = self.slot("Door").await?;
        self.window.paste_into("Enrolment link", &link).await?;
        self.window.press("Connect").await?;
        self.confirm(&slot).await?;
        self.window.press("Continue").await?;
        self.choose(gate).await
    }

    /// Takes the attendance list and the gate of that name, once the manifest is here.
    pub async fn choose(&self, gate: &str) -> Result<()> {
        self.window.press(gate).await?;
        self.window.press("Start scanning").await?;
        self.window.see("Nothing scanned yet.").await
    }

    /// The device's own id.
    pub async fn device(&self) -> Result<String> {
        let state = self.window.ask("app_state", json!({})).await?;
        Ok(state["post"]["device_id"].as_str().context("a post is chosen")?.to_owned())
    }

    /// The organizer takes it out of use.
    pub async fn revoke(&self) -> Result<()> {
        let path = format!("{}/{}/revoke", self.devices(), self.device().await?);
        self.site.organizer.post(&path, json!({})).await?;
        Ok(())
    }

    /// Waits until the server has everything, and the window says so.
    pub async fn all_sent(&self) -> Result<()> {
        until("everything is sent", async || {
            let status = self.window.ask("status", json!({})).await?;
            Ok(status["status"]["queue"]["unsent"] == 0 && status["status"]["online"] == true)
        })
        .await?;
        self.window.see("All sent").await
    }

    /// Goes to an area of the window.
    pub async fn go(&self, area: &str) -> Result<()> {
        self.window.press(area).await
    }

    /// Unlocks the supervisor's tools and opens a tab of them.
    pub async fn supervise(&self, tab: &str) -> Result<()> {
        self.go("Supervisor").await?;
        if !self.window.has("[role=tab]").await? {
            self.window.enter_pin(hvflvspot::tour::venue::PIN).await?;
        }
        self.window.press(tab).await
    }
}

/// Green, and on record.
pub fn let_in(seen: &Seen) -> Result<()> {
    ensure!(seen.tone == "ok" && seen.word == "Let in" && seen.place.is_some(), "{seen:?}");
    Ok(())
}

/// An answer of this colour that says all of this.
pub fn says(seen: &Seen, tone: &str, words: &[&str]) -> Result<()> {
    ensure!(seen.tone == tone, "{seen:?}");
    for word in words {
        ensure!(seen.text.contains(word), "it does not say “{word}”: {seen:?}");
    }
    Ok(())
}
