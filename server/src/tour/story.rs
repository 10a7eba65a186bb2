//! The story: sell, enrol, cut, scan, mend, count.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::api::Api;
use super::gate::Gate;
use super::proxy::Proxy;
use super::stage::Stage;
use super::venue::{self, Plan, Show};
use crate::clock::{SharedClock, SharedRng};

/// What a tour needs.
#[derive(Debug)]
pub struct Tour {
    pub url: String,
    /// An approved organizer's account; without one the tour signs up its own, which needs `--dev`.
    pub account: Option<(String, String)>,
    pub json: bool,
    pub clock: SharedClock,
    pub rng: SharedRng,
}

/// A bought ticket.
#[derive(Debug)]
struct Bought {
    booking: String,
    secret: String,
    code: String,
    ticket: String,
}

/// Performs the tour. `Ok(true)` if everything happened as it must.
///
/// # Errors
/// If it could not go on at all.
pub async fn run(tour: Tour) -> Result<bool> {
    let mut stage = Stage::new(tour.json);
    let api = Api::new(&tour.url)?;
    let started = tour.clock.monotonic();

    stage.scene("An organizer puts an event on sale");
    let organizer = match &tour.account {
        Some((email, password)) => venue::sign_in(&api, email, password).await,
        None => venue::new_organizer(&api, &tour.rng).await,
    }
    .context("signing in as an organizer")?;
    let now = tour.clock.now();
    let title = format!("Tour of {}", now.date());
    let plan = Plan { title: &title, capacity: 100, gates: &["North", "South"], reentry: true };
    let show = venue::put_on_sale(&organizer, now, plan).await.context("putting an event on sale")?;
    stage.say(&format!("“{title}”, 100 tickets at 25.00 + 1.50 EUR, two gates; event {}", show.event));

    stage.scene("Guests buy, and pay through the simulated gateway");
    let valid = buy(&tour, &api, &show).await?;
    let both = buy(&tour, &api, &show).await?;
    let refunded = buy(&tour, &api, &show).await?;
    stage.say(&format!(
        "three tickets sold; a code is {} characters: {}…",
        valid.code.len(),
        &valid.code[..34]
    ));
    let picture =
        api.with_booking_secret(&valid.secret).bytes(&format!("/tickets/{}/qr.svg", valid.ticket)).await?;
    stage.check("the QR comes as a picture", picture.starts_with(b"<"), &format!("{} bytes", picture.len()));
    organizer
        .post_once(
            "/payment/refund",
            &key(&tour),
            json!({ "booking_id": refunded.booking, "reason": "tour" }),
        )
        .await
        .context("refunding a booking")?;
    stage.say("one of them was refunded");

    stage.scene("Two gates are enrolled and take the signed manifest along");
    let folder = tempfile_dir(&tour)?;
    let upstream = api.base().socket_addrs(|| None)?.into_iter().next().context("no address")?;
    let (mut line_a, mut line_b) = (Proxy::open(upstream, 1).await?, Proxy::open(upstream, 2).await?);
    let north = Gate::new("north", &folder.path, line_a.address());
    let south = Gate::new("south", &folder.path, line_b.address());
    for gate in [&north, &south] {
        let (shown, digits) = venue::enroll(&organizer, &show, gate)
            .await
            .with_context(|| format!("enrolling {}", gate.name))?;
        stage.check(&format!("{}: both sides show the digits {shown}", gate.name), shown == digits, &digits);
        gate.json(&["sync"]).await?;
        let status = gate.status().await?;
        stage.check(
            &format!("{} holds the manifest of three tickets", gate.name),
            status["manifest"]["tickets"] == 3,
            &status["manifest"].to_string(),
        );
    }

    stage.scene("The network is cut");
    line_a.close().await;
    line_b.close().await;
    let (synced, _) = north.try_json(&["sync"]).await?;
    stage.check("north cannot reach the server", !synced, "sync succeeded");
    let late = buy(&tour, &api, &show).await?;
    stage.say("meanwhile another ticket is sold, of which no gate has heard");

    stage.scene("The doors open, with no network at all");
    let (n, s) = (flags(&show, 0), flags(&show, 1));
    let mut scans = Scans { stage: &mut stage };
    scans.expect(&north, &n, "a valid ticket", &valid.code, "ok", &[]).await?;
    let again =
        scans.expect(&north, &n, "the same ticket again", &valid.code, "already_admitted", &[]).await?;
    let first = &again["first_admission"];
    scans.stage.check(
        "it says when and where the ticket was used first",
        first["at"].is_string() && first["gate"] == show.gates[0].as_str(),
        &first.to_string(),
    );
    scans.refused(&north, &n, "a forged ticket (one character changed)", &forged(&valid.code)).await?;
    scans.expect(&north, &n, "the refunded ticket", &refunded.code, "revoked", &[]).await?;
    scans.expect(&north, &n, "the ticket sold after the manifest", &late.code, "ok", &["late_sale"]).await?;
    let out: Vec<&str> = n.iter().copied().chain(["--exit"]).collect();
    scans.expect(&north, &out, "somebody leaves", &valid.code, "ok", &[]).await?;
    scans.expect(&north, &n, "and comes back, as the list allows", &valid.code, "ok", &[]).await?;
    scans.expect(&north, &n, "a ticket that has a copy, at north", &both.code, "ok", &[]).await?;
    scans.expect(&south, &s, "the copy, at south, which cannot know", &both.code, "ok", &[]).await?;
    let waiting = south.status().await?;
    stage.check(
        "south keeps its scan until it can tell",
        waiting["queue"]["unsent"] == 1,
        &waiting["queue"].to_string(),
    );

    stage.scene("The network is back");
    line_a.reopen().await?;
    line_b.reopen().await?;
    // Twice: what south uploads after north's turn reaches north in the second round.
    for gate in [&north, &south, &north, &south] {
        gate.json(&["sync"]).await?;
    }
    let mut scans = Scans { stage: &mut stage };
    scans
        .expect(
            &south,
            &s,
            "the ticket that north had admitted, at south",
            &valid.code,
            "already_admitted",
            &[],
        )
        .await?;
    scans.expect(&south, &s, "the copied ticket once more", &both.code, "already_admitted", &[]).await?;
    for gate in [&south, &north, &south] {
        gate.json(&["sync"]).await?;
    }

    stage.scene("What the organizer sees");
    let stats = organizer.get(&format!("/organizer/events/{}/stats", show.event)).await?;
    numbers(&mut stage, &stats);
    let hashes = [north.status().await?, south.status().await?].map(|status| status["fold"]["hash"].clone());
    stage.check(
        "server and both gates fold the same facts to the same result",
        hashes.iter().all(|h| h.is_string() && *h == stats["fold"]["hash"]),
        &format!("{hashes:?} and {}", stats["fold"]["hash"]),
    );

    let (passed, failed) = stage.result();
    let took = tour.clock.monotonic().saturating_sub(started);
    if !tour.json {
        stage.scene(&format!("{passed} passed, {} failed, in {:.1} s", failed.len(), took.as_secs_f64()));
    }
    Ok(failed.is_empty())
}

fn numbers(stage: &mut Stage, stats: &Value) {
    let wanted = [
        ("three tickets are sold and one was refunded", "/tickets/sold", 3),
        ("three people were admitted", "/admitted", 3),
        ("three are on site: the copy does not count twice", "/on_site", 3),
        ("one incident, and only one", "/incidents/open", 1),
    ];
    for (what, pointer, number) in wanted {
        let seen = stats.pointer(pointer).cloned().unwrap_or_default();
        stage.check(what, seen == number, &seen.to_string());
    }
    let refusals = stats["refusals"].clone();
    stage.check(
        "refusals stand beside, by reason",
        refusals["already_admitted"] == 3 && refusals["revoked"] == 1,
        &refusals.to_string(),
    );
    if let Some(incident) = stats.pointer("/incidents/items/0") {
        stage.say(&format!("the incident: {incident}"));
    }
}

struct Scans<'s> {
    stage: &'s mut Stage,
}

impl Scans<'_> {
    async fn expect(
        &mut self,
        gate: &Gate,
        flags: &[&str],
        what: &str,
        code: &str,
        outcome: &str,
        with: &[&str],
    ) -> Result<Value> {
        let answer = gate.scan(flags, code).await?;
        let has = |flag: &&str| answer["flags"].as_array().is_some_and(|all| all.iter().any(|f| f == flag));
        let so = answer["outcome"] == outcome && with.iter().all(has);
        let shown = with.iter().fold(outcome.to_owned(), |all, flag| format!("{all}, {flag}"));
        self.stage.check(&format!("{}: {what} → {shown}", gate.name), so, &answer.to_string());
        Ok(answer)
    }

    async fn refused(&mut self, gate: &Gate, flags: &[&str], what: &str, code: &str) -> Result<()> {
        let answer = gate.scan(flags, code).await?;
        let outcome = answer["outcome"].as_str().unwrap_or_default();
        let so = matches!(outcome, "bad_signature" | "malformed" | "unknown_key");
        self.stage.check(&format!("{}: {what} → {outcome}", gate.name), so, &answer.to_string());
        Ok(())
    }
}

fn flags(show: &Show, gate: usize) -> Vec<&str> {
    vec!["--list", &show.list, "--gate", &show.gates[gate]]
}

/// Changes one character in the signature's part to another of the same alphabet.
fn forged(code: &str) -> String {
    let mut chars: Vec<char> = code.chars().collect();
    let at = 100;
    chars[at] = if chars[at] == '7' { '8' } else { '7' };
    chars.into_iter().collect()
}

fn key(tour: &Tour) -> String {
    tour.rng.uuid(tour.clock.as_ref()).to_string()
}

async fn buy(tour: &Tour, api: &Api, show: &Show) -> Result<Bought> {
    let bought = venue::buy(api, show, 1, &key(tour)).await?;
    let ticket = bought.tickets.into_iter().next().context("one ticket was bought")?;
    Ok(Bought { booking: bought.booking, secret: bought.secret, code: ticket.code, ticket: ticket.id })
}

/// A folder for the gates' data, gone at the end.
#[derive(Debug)]
struct Folder {
    path: std::path::PathBuf,
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Left-over data of a tour harm nobody.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn tempfile_dir(tour: &Tour) -> Result<Folder> {
    let path = std::env::temp_dir().join(format!("hvflvspot-tour-{}", hex::encode(tour.rng.bytes::<8>())));
    std::fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
    Ok(Folder { path })
}
