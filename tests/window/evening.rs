//! One evening at one gate, from the invitation to the day the device is taken out of use.

use anyhow::{Context as _, Result, ensure};
use hvflvspot::clock::{Clock as _, SystemClock};
use hvflvspot::tour::venue::{self, PIN, Plan};
use support::until;
use support::window::Window;

use crate::post::{Post, let_in, says};

/// The driver's keys are those of a steward, the plugged-in reader's come through the X server: both are used.
#[tokio::test(flavor = "multi_thread")]
async fn an_evening_in_the_window_from_the_invitation_to_the_last_day() -> Result<()> {
    let mut post = Post::open("Night of Lights", 61, async |_| Ok(()), |setup, _| Ok(setup)).await?;
    let refunded = post.site.book(1).await?;
    post.site.refund(&refunded.booking).await?;
    let codes: Vec<String> = post.site.buy(12).await?.into_iter().map(|t| t.code).collect();

    enrolled(&post).await?;
    four_signals(&mut post, &codes, &refunded.tickets[0].code).await?;
    late_sale(&mut post).await?;
    without_a_network(&mut post, &codes).await?;
    looked_up(&post, &codes).await?;
    settings(&post).await?;
    rehearsal(&mut post, &codes[6]).await?;
    kiosk(&mut post, &codes).await?;
    closed_and_started(&mut post, &codes).await?;
    interrupted(&mut post, &codes[9]).await?;
    taken_out_of_use(&mut post, &codes[11]).await
}

async fn enrolled(post: &Post) -> Result<()> {
    let window = &post.window;
    window.see("Make this device a gate").await?;
    window.picture("01-enrol").await?;
    window.paste_into("Enrolment link", "https://tickets.example.org/e/nothing").await?;
    window.press("Connect").await?;
    window.see("This is no enrolment link").await?;
    window.picture("02-enrol-wrong-link").await?;

    let (slot, link) = post.slot("Main door").await?;
    window.paste_into("Enrolment link", &link).await?;
    window.press("Connect").await?;
    window.see("Are these the same digits?").await?;
    window.picture("03-enrol-digits").await?;
    post.confirm(&slot).await?;
    window.see("How is this device called?").await?;
    window.type_into("Name of this device", "Blue tablet").await?;
    window.picture("04-enrol-name").await?;
    window.press("Continue").await?;
    window.see("What do you scan for?").await?;
    window.see("Blue tablet").await?;
    window.press("North").await?;
    window.picture("05-post").await?;
    window.press("Start scanning").await?;
    window.see("Nothing scanned yet.").await?;
    post.all_sent().await?;
    window.picture("06-scan").await
}

/// Ok, already used, refused three ways.
async fn four_signals(post: &mut Post, codes: &[String], refunded: &str) -> Result<()> {
    let plan = Plan { title: "Another evening", capacity: 5, gates: &["West"], reentry: false };
    let other = venue::put_on_sale(&post.site.organizer, SystemClock.now(), plan).await?;
    let key = post.site.rng.uuid(&SystemClock).to_string();
    let foreign = venue::buy(&post.site.api, &other, 1, &key).await?.tickets.remove(0).code;

    let window = &mut post.window;
    let first = window.scan(&codes[0]).await?;
    let_in(&first)?;
    window.picture("07-verdict-ok").await?;
    let again = window.scan(&codes[0]).await?;
    says(&again, "used", &["Already used", "First admission", "North", "What to do"])?;
    window.picture("08-verdict-used").await?;
    says(&window.scan(refunded).await?, "refused", &["Taken back", "refunded"])?;
    window.picture("09-verdict-revoked").await?;
    says(&window.scan(&foreign).await?, "refused", &["Stop"])?;
    window.picture("10-verdict-other-event").await?;
    says(&window.scan("4006381333931").await?, "refused", &["Not a ticket code"])?;
    window.picture("11-verdict-malformed").await?;
    // A doubled trigger is one scan: only the next code is answered.
    let before = window.answers().await?;
    post.room.keyboard().read(&codes[1], std::time::Duration::ZERO).await?;
    post.room.keyboard().read(&codes[1], std::time::Duration::ZERO).await?;
    let_in(&window.answer().await?)?;
    let_in(&window.scan_plugged(&codes[2]).await?)?;
    ensure!(window.answers().await? == before + 2, "a doubled trigger is one scan");
    window.key("Escape")?;
    window.see("Last scans").await?;
    window.see("Admitted").await?;
    window.picture("12-scan-recent").await?;
    post.all_sent().await
}

/// Sold while the device cannot hear of it.
async fn late_sale(post: &mut Post) -> Result<()> {
    post.line.close().await;
    post.window.see("Offline").await?;
    let late = post.site.book(1).await?.tickets.remove(0).code;
    let seen = post.window.scan_plugged(&late).await?;
    let_in(&seen)?;
    says(&seen, "ok", &["Sold after the last sync of this device."])?;
    post.window.picture("13-verdict-late-sale").await
}

/// Still offline: a repeat, an override, an undo and the scan after it; then everything reaches the server.
async fn without_a_network(post: &mut Post, codes: &[String]) -> Result<()> {
    let window = &mut post.window;
    let_in(&window.scan_plugged(&codes[3]).await?)?;
    let repeat = window.scan_plugged(&codes[0]).await?;
    says(&repeat, "used", &["First admission", "North"])?;
    window.press("Override").await?;
    window.see("PIN of Supervisor").await?;
    window.picture("14-pin").await?;
    window.enter_pin("111111").await?;
    window.see("Wrong PIN").await?;
    window.picture("15-pin-wrong").await?;
    window.enter_pin(PIN).await?;
    window.see("Admit all the same").await?;
    window.press("Identity checked").await?;
    window.picture("16-override-reason").await?;
    window.press("Admit").await?;
    let overridden = window.answer().await?;
    says(&overridden, "ok", &["Admitted by a supervisor"])?;
    window.picture("17-verdict-override").await?;

    let_in(&window.scan_plugged(&codes[4]).await?)?;
    window.key("Escape")?;
    // Opened again, an answer stays.
    window.press_element("button.past").await?;
    window.press("Undo").await?;
    window.press("Wrong person").await?;
    window.picture("18-undo-reason").await?;
    window.press("Take back").await?;
    window.see("The ticket can be scanned again.").await?;
    window.picture("19-undone").await?;
    window.look_away().await?;
    let_in(&window.scan_plugged(&codes[4]).await?)?;
    window.key("Escape")?;
    // Late sale, entry, repeat, override, entry, undo, entry.
    window.see("7 scans waiting").await?;
    window.picture("20-offline-queue").await?;

    post.line.reopen().await?;
    post.all_sent().await?;
    post.window.see("Online").await?;
    let stats = post.site.stats().await?;
    // Three before the line was cut; the late sale, the fourth and the fifth guest after.
    ensure!(stats["admitted"] == 6, "{stats}");
    post.window.picture("21-drained").await
}

async fn looked_up(post: &Post, codes: &[String]) -> Result<()> {
    let window = &post.window;
    post.go("History").await?;
    // Entry, repeat, three refusals, two entries, and the seven.
    window.see("14 scans").await?;
    window.picture("22-history").await?;
    window.press("Refused").await?;
    window.see("5 scans").await?;
    window.press("Override, undo").await?;
    window.see("2 scans").await?;
    window.press("All").await?;
    window.type_into("Search", "Identity").await?;
    window.see("1 scan").await?;
    window.press_element("summary").await?;
    window.see("Reason: Identity checked").await?;
    window.picture("23-history-search").await?;

    post.supervise("Search").await?;
    window.paste_into("Ticket or code", &codes[3]).await?;
    window.key("Return")?;
    window.see("1 ticket found").await?;
    window.see("Inside since").await?;
    window.picture("24-search").await?;
    window.press("Last scan").await?;
    window.see("Valid ticket").await?;
    window.picture("25-last-scan").await?;
    window.press("Incidents").await?;
    window.see("No incidents.").await?;
    window.press("Quarantine").await?;
    window.see("Nothing waits for a decision.").await?;
    window.press("Device").await?;
    window.see("Begin a rehearsal").await?;
    window.picture("26-device-tools").await
}

async fn settings(post: &Post) -> Result<()> {
    let window = &post.window;
    post.go("Settings").await?;
    window.see("How long answers stay").await?;
    window.picture("27-settings").await?;
    window.field("Language").await?.select_by_value("de").await?;
    window.see("Optionen").await?;
    window.see("Alles gesendet").await?;
    window.picture("28-settings-german").await?;
    window.press("Scannen").await?;
    window.see("Gäste kommen herein").await?;
    window.picture("29-scan-german").await?;
    window.press("Optionen").await?;
    window.field("Sprache").await?.select_by_value("en").await?;
    window.see("How long answers stay").await
}

/// Everything for real, and nothing counts.
async fn rehearsal(post: &mut Post, code: &str) -> Result<()> {
    let before = post.site.stats().await?["admitted"].clone();
    post.supervise("Device").await?;
    post.window.press("Begin a rehearsal").await?;
    post.window.see("Rehearsal: nothing counts").await?;
    post.go("Scan").await?;
    post.window.picture("30-rehearsal").await?;
    says(&post.window.scan_plugged(code).await?, "ok", &["Rehearsal: this does not count."])?;
    post.window.picture("31-verdict-rehearsal").await?;
    post.window.key("Escape")?;
    post.supervise("Device").await?;
    post.window.press("End the rehearsal").await?;
    until("the rehearsal is over", async || {
        Ok(!post.window.words().await?.to_lowercase().contains("nothing counts"))
    })
    .await?;
    post.go("Scan").await?;
    let_in(&post.window.scan_plugged(code).await?).context("a rehearsal uses no ticket up")?;
    post.all_sent().await?;
    let after = post.site.stats().await?["admitted"].clone();
    ensure!(after.as_i64() == before.as_i64().map(|n| n + 1), "{before} before, {after} after");
    Ok(())
}

/// Guests scan for themselves; only a PIN ends it.
async fn kiosk(post: &mut Post, codes: &[String]) -> Result<()> {
    post.supervise("Device").await?;
    let window = &post.window;
    window.press("Start kiosk mode").await?;
    window.see("Please hold your ticket under the reader").await?;
    window.picture("32-kiosk").await?;
    let gap = std::time::Duration::from_millis(2);
    for (code, tone, words) in [
        (codes[7].as_str(), "ok", "Welcome!"),
        (codes[7].as_str(), "used", "This ticket was used already"),
        ("4006381333931", "refused", "Please ask the staff"),
    ] {
        // The same code again within a second would be the same pull of the trigger.
        until("the kiosk is ready", async || window.has("main[data-tone=ready]").await).await?;
        post.room.keyboard().read(code, gap).await?;
        window.see_element(&format!("main[data-tone={tone}]")).await?;
        window.see(words).await?;
        window.picture(&format!("33-kiosk-{tone}")).await?;
    }
    window.press("Staff: end kiosk mode").await?;
    window.see("PIN of Supervisor").await?;
    window.picture("34-kiosk-leave").await?;
    window.enter_pin(PIN).await?;
    window.see_element("nav").await?;
    post.all_sent().await
}

/// The next run stands where the last one stood, and knows what it let in.
async fn closed_and_started(post: &mut Post, codes: &[String]) -> Result<()> {
    post.go("Scan").await?;
    post.window.close().await?;
    post.window = Window::open(&post.room, &post.setup).await?;
    post.window.see("Nothing scanned yet.").await?;
    post.window.see("North").await?;
    post.window.see("Night of Lights").await?;
    says(&post.window.scan_plugged(&codes[4]).await?, "used", &["First admission", "North"])?;
    let_in(&post.window.scan_plugged(&codes[8]).await?)?;
    post.go("Settings").await?;
    post.window.see("Blue tablet").await
}

/// Power is lost while the answer is on the screen: it is given once more.
async fn interrupted(post: &mut Post, code: &str) -> Result<()> {
    post.go("Scan").await?;
    // Nobody may say that the answer was shown.
    let hidden = "Object.defineProperty(document, 'visibilityState', { get: () => 'hidden' })";
    post.window.execute(hidden, vec![]).await?;
    let_in(&post.window.scan_plugged(code).await?)?;
    post.window.kill().await?;
    post.window = Window::open(&post.room, &post.setup).await?;
    post.window.see("Closed in the middle of a scan").await?;
    post.window.picture("35-interrupted").await?;
    post.window.press("Continue").await?;
    says(
        &post.window.scan_plugged(code).await?,
        "attention",
        &["nobody had seen the answer", "The guest may go in now."],
    )?;
    post.window.picture("36-verdict-resumed").await?;
    says(&post.window.scan_plugged(code).await?, "used", &["First admission"])
}

async fn taken_out_of_use(post: &mut Post, code: &str) -> Result<()> {
    post.all_sent().await?;
    post.go("Scan").await?;
    post.revoke().await?;
    post.window.see("This device was taken out of use").await?;
    post.window.picture("37-revoked").await?;
    let before = post.window.answers().await?;
    post.room.keyboard().read(code, std::time::Duration::from_millis(2)).await?;
    until("it answers", async || Ok(post.window.answers().await? > before)).await?;
    let seen = post.window.answer().await?;
    ensure!(seen.tone == "refused", "{seen:?}");
    post.window.picture("38-revoked-scan").await
}
