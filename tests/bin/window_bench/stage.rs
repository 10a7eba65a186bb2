//! A server with an event of so many tickets, the app enrolled at it, and the list of all that was scanned.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hvflvspot::bench::fill;
use hvflvspot::bench::site::Site;
use hvflvspot::clock::SystemClock;
use hvflvspot::tour::api::text;
use hvflvspot::tour::gate::Gate;
use hvflvspot::tour::venue::{self, BoughtTicket, PIN};
use serde_json::{Value, json};
use shared::ticket::code::text_hash;
use support::window::{Room, Seen, Setup, Window};
use support::{until, until_within};

/// Changes below this are no growth: pages come and go.
const STILL: u64 = 1 << 20;

/// A line of a log: what the generator, the device and the server each say of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    pub seq: u64,
    pub kind: &'static str,
    pub outcome: &'static str,
    pub ticket: String,
    /// The server's export does not tell it.
    pub code_sha256: Option<String>,
}

/// The same from a log.
#[derive(Debug, Clone)]
pub struct Logged {
    pub seq: u64,
    pub kind: String,
    pub outcome: String,
    pub ticket: String,
    pub code_sha256: Option<String>,
}

impl Given {
    pub fn same(&self, logged: &Logged) -> bool {
        let code = match (&self.code_sha256, &logged.code_sha256) {
            (Some(made), Some(logged)) => made == logged,
            _ => true,
        };
        // An undo names its entry, not the ticket.
        let ticket = self.ticket == logged.ticket || self.kind == "undo";
        code && ticket && (self.seq, self.kind, self.outcome) == (logged.seq, &logged.kind, &logged.outcome)
    }
}

#[derive(Debug)]
pub struct Stage {
    pub window: Window,
    site: Site,
    room: Arc<Room>,
    data: PathBuf,
    tickets: Vec<BoughtTicket>,
    next: usize,
    made: Vec<Given>,
}

impl Stage {
    /// `tickets` in the manifest, of which `codes` are there to be scanned.
    pub async fn open(tickets: usize, codes: usize) -> Result<Self> {
        let site = Site::open("Window", u32::try_from(tickets)? + 1_000).await?;
        let mut bought = Vec::with_capacity(codes + 10);
        while bought.len() < codes {
            let key = site.rng.uuid(&SystemClock).to_string();
            bought.extend(venue::buy(&site.api, &site.show, 10, &key).await?.tickets);
        }
        fill::tickets(&site, tickets - bought.len()).await?;
        let room = Room::open().await?;
        let data = room.home().join("gate");
        let window = Window::open(&room, &Setup::new(&data, site.address)?).await?;
        let mut stage = Self { window, site, room, data, tickets: bought, next: 0, made: Vec::new() };
        stage.enrol(tickets).await?;
        Ok(stage)
    }

    async fn enrol(&mut self, tickets: usize) -> Result<()> {
        let devices = format!("/organizer/events/{}/devices", self.site.show.event);
        let slot = self.site.organizer.post(&format!("{devices}/slots"), json!({ "label": "Door" })).await?;
        self.window.paste_into("Enrolment link", text(&slot, "/link")?).await?;
        self.window.press("Connect").await?;
        let slot = format!("{devices}/slots/{}", text(&slot, "/slot_id")?);
        let mut seen = Value::Null;
        until("the organizer sees the digits", async || {
            seen = self.site.organizer.get(&slot).await?;
            Ok(seen["digits"].is_string())
        })
        .await?;
        self.site.organizer.post(&format!("{slot}/confirm"), json!({ "digits": seen["digits"] })).await?;
        self.window.press("Continue").await?;
        self.window.press("Start scanning").await?;
        self.window.see("Nothing scanned yet.").await?;
        self.all_sent().await?;
        let status = self.window.ask("status", json!({})).await?;
        ensure!(status["status"]["manifest"]["tickets"] == tickets, "{status}");
        Ok(())
    }

    /// Memory once it has stopped changing.
    pub async fn settled(&self) -> Result<u64> {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        let mut last: Vec<u64> = Vec::new();
        for _ in 0..90 {
            seconds.tick().await;
            last.push(self.window.memory()?);
            let recent = &last[last.len().saturating_sub(8)..];
            let (low, high) = (recent.iter().min(), recent.iter().max());
            if recent.len() == 8 && high.zip(low).is_some_and(|(h, l)| h - l < STILL) {
                break;
            }
        }
        last.last().copied().context("it was measured")
    }

    /// Keys that mean nothing: milliseconds from each to the second frame after it.
    pub async fn idle_keys(&self, count: usize) -> Result<Vec<f64>> {
        let listen = "window.__frames = [];
            window.addEventListener('keydown', (event) => {
              if (event.code !== 'F2') return;
              requestAnimationFrame(() => requestAnimationFrame((now) => window.__frames.push(performance.timeOrigin + now)));
            }, true);";
        self.window.execute(listen, vec![]).await?;
        let mut pace = tokio::time::interval(Duration::from_millis(100));
        let mut sent = Vec::with_capacity(count);
        for _ in 0..count {
            pace.tick().await;
            sent.push(self.room.keyboard().press(&["F2"])?);
        }
        let mut frames = Value::Null;
        until("all keys were heard", async || {
            frames = self.window.execute("return window.__frames", vec![]).await?;
            Ok(frames.as_array().is_some_and(|all| all.len() == count))
        })
        .await?;
        let frames: Vec<f64> = serde_json::from_value(frames)?;
        Ok(sent.into_iter().zip(frames).map(|(sent, frame)| frame - sent).collect())
    }

    fn note(&mut self, kind: &'static str, outcome: &'static str, ticket: usize) {
        let bought = &self.tickets[ticket];
        let code_sha256 = (kind != "undo").then(|| hex::encode(text_hash(&bought.code).0));
        let seq = self.made.len() as u64 + 1;
        self.made.push(Given { seq, kind, outcome, ticket: bought.id.clone(), code_sha256 });
    }

    fn take(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }

    /// Reads a ticket that nobody has seen, and does not wait. Tells when its last key was sent, milliseconds since 1970.
    pub async fn read_next(&mut self, gap: Duration) -> Result<f64> {
        let at = self.take();
        self.note("entry", "ok", at);
        self.room.keyboard().read(&self.tickets[at].code, gap).await
    }

    /// The same with one that came in some time ago.
    pub async fn read_again(&mut self, gap: Duration) -> Result<f64> {
        let at = self.next - 5;
        self.note("refuse", "already_admitted", at);
        self.room.keyboard().read(&self.tickets[at].code, gap).await
    }

    /// Reads the next and waits for its answer.
    pub async fn scan_next(&mut self) -> Result<Seen> {
        let at = self.take();
        self.note("entry", "ok", at);
        self.window.scan_plugged(&self.tickets[at].code).await
    }

    /// Takes an entry back by the buttons of its answer.
    pub async fn undo(&mut self, seen: &Seen) -> Result<()> {
        ensure!(seen.place.is_some(), "{seen:?}");
        self.window.press("Undo").await?;
        self.window.enter_pin(PIN).await?;
        self.window.press("Wrong person").await?;
        self.window.press("Take back").await?;
        self.window.see("The ticket can be scanned again.").await?;
        self.note("undo", "ok", self.next - 1);
        Ok(())
    }

    /// Reads the one that was taken back.
    pub async fn scan_undone(&mut self) -> Result<Seen> {
        let at = self.next - 1;
        self.note("entry", "ok", at);
        // Waits until it is no second pull of the same trigger.
        self.window.scan_plugged(&self.tickets[at].code).await
    }

    /// Many scans by keys that are made in the page, each after the answer to the one before.
    pub async fn dispatch(&mut self, count: usize) -> Result<()> {
        let mut left = count;
        while left > 0 {
            let batch = left.min(50);
            let first = self.next;
            for _ in 0..batch {
                let at = self.take();
                self.note("entry", "ok", at);
            }
            let codes: Vec<&str> =
                self.tickets[first..first + batch].iter().map(|t| t.code.as_str()).collect();
            let tones =
                self.window.driver().execute_async(include_str!("dispatch.js"), vec![json!(codes)]).await?;
            let all_ok =
                tones.as_array().is_some_and(|all| all.len() == batch && all.iter().all(|t| t == "ok"));
            ensure!(all_ok, "{tones}");
            left -= batch;
        }
        self.window.look_away().await
    }

    /// Waits until the server has everything.
    pub async fn all_sent(&self) -> Result<()> {
        until_within("everything is sent", Duration::from_secs(120), async || {
            let status = self.window.ask("status", json!({})).await?;
            let queue = &status["status"]["queue"];
            Ok(queue["unsent"] == 0 && queue["last_seq"] == self.made.len())
        })
        .await
    }

    /// What the generator made.
    pub fn made(&self) -> Vec<Given> {
        self.made.clone()
    }

    /// What the device has on record.
    pub async fn device_log(&self) -> Result<Vec<Logged>> {
        let folder = self.data.parent().context("it has a parent")?;
        let lines = Gate::new("gate", folder, self.site.address).json(&["log"]).await?;
        lines.iter().map(logged).collect()
    }

    /// What the server tells the organizer.
    pub async fn server_log(&self) -> Result<Vec<Logged>> {
        let path = format!("/organizer/events/{}/exports/scans.csv", self.site.show.event);
        let bytes = self.site.organizer.bytes(&path).await?;
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
        let mut reader = csv::Reader::from_reader(bytes);
        let mut lines = Vec::new();
        for row in reader.deserialize::<std::collections::BTreeMap<String, String>>() {
            let row = row?;
            let cell = |name: &str| row.get(name).cloned().with_context(|| format!("no column {name}"));
            ensure!(cell("log_no")? == "1", "one log: {row:?}");
            lines.push(Logged {
                seq: cell("seq")?.parse()?,
                kind: cell("kind")?,
                outcome: cell("outcome")?,
                ticket: cell("ticket_id")?,
                code_sha256: None,
            });
        }
        lines.sort_by_key(|line| line.seq);
        Ok(lines)
    }

    /// Closes the window, then the server.
    pub async fn close(self) -> Result<()> {
        self.window.close().await?;
        self.site.close().await
    }
}

fn logged(line: &Value) -> Result<Logged> {
    ensure!(line["log_no"] == 1, "one log: {line}");
    let word = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
    Ok(Logged {
        seq: line["seq"].as_u64().context("a place")?,
        kind: word("kind"),
        outcome: word("outcome"),
        ticket: word("ticket_id"),
        code_sha256: line["code_sha256"].as_str().map(str::to_owned),
    })
}
