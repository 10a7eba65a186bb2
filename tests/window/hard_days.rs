//! Disks that take nothing and databases that are damaged: a screen that says so, and never green without a record.
//! Starts while the window before ends.

use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use gate_core::db::Db;
use hvflvspot::tour::gate::Gate;
use serde_json::json;
use support::until;
use support::window::small_disk::{self, Disk};
use support::window::{Room, Setup, Window};

use crate::post::{Post, let_in};

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_and_nobody_is_let_in_without_a_record() -> Result<()> {
    let small = |setup: Setup, room: &Room| {
        let program = small_disk::program(room.home(), &setup.program, Disk::Small(16))?;
        Ok(Setup { program, ..setup })
    };
    let mut post = Post::open("On a small disk", 63, async |_| Ok(()), small).await?;
    let codes: Vec<String> = post.site.buy(100).await?.into_iter().map(|t| t.code).collect();
    post.enrol("North").await?;
    post.all_sent().await?;
    let_in(&post.window.scan_plugged(&codes[0]).await?)?;

    let data = small_disk::seen_by(post.window.pid(), &post.data());
    let filler = small_disk::fill(&data)?;
    // What was set aside before may still take some.
    let mut green = 1;
    let mut rest = codes[1..].iter();
    let red = loop {
        let Some(code) = rest.next() else { anyhow::bail!("{green} scans on a full disk") };
        let seen = post.window.scan_plugged(code).await?;
        match seen.tone.as_str() {
            "ok" => {
                let_in(&seen)?;
                green += 1;
            }
            _ => break seen,
        }
    };
    ensure!(red.tone == "refused" && red.place.is_none() && red.text.contains("Cannot record"), "{red:?}");
    post.window.picture("50-verdict-cannot-record").await?;
    post.window.key("Escape")?;
    post.window.see("The disk is full").await?;
    post.window.picture("51-disk-full").await?;
    post.window.press("Try again").await?;
    post.window.see("The disk is full").await?;

    std::fs::remove_file(&filler)?;
    // It looks by itself every few seconds: a press might come too late for the button.
    post.window.see("Last scans").await?;
    let Some(code) = rest.next() else { anyhow::bail!("no ticket is left") };
    let_in(&post.window.scan_plugged(code).await?)?;
    post.all_sent().await?;
    let stats = post.site.stats().await?;
    ensure!(stats["admitted"] == green + 1, "{green} and one were green: {stats}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_written_is_said_at_the_start() -> Result<()> {
    let mut post = Post::open("Read only", 64, async |_| Ok(()), |setup, _| Ok(setup)).await?;
    let codes: Vec<String> = post.site.buy(2).await?.into_iter().map(|t| t.code).collect();
    post.enrol("North").await?;
    let_in(&post.window.scan_plugged(&codes[0]).await?)?;
    post.all_sent().await?;
    post.window.close().await?;

    let program = small_disk::program(post.room.home(), &post.setup.program, Disk::ReadOnly)?;
    let setup = Setup { program, ..post.setup.clone() };
    post.window = Window::open(&post.room, &setup).await?;
    post.window.see("The disk cannot be written").await?;
    post.window.picture("52-disk-read-only").await?;
    post.room.keyboard().read(&codes[1], std::time::Duration::from_millis(2)).await?;
    post.window.press("Try again").await?;
    post.window.see("The disk cannot be written").await?;
    ensure!(!post.window.has("[data-testid=verdict][data-tone=ok]").await?, "green without a record");
    post.window.close().await?;

    post.window = Window::open(&post.room, &post.setup).await?;
    let_in(&post.window.scan_plugged(&codes[1]).await?)?;
    until("it is known at the organizer", async || Ok(post.site.stats().await?["admitted"] == 2)).await?;
    post.window.close().await?;
    let log = Gate::new("gate", post.room.home(), post.line.address()).json(&["log"]).await?;
    ensure!(log.len() == 2, "two scans are on record: {log:?}");
    Ok(())
}

/// Found at work: nobody at the door needs to know how to mend it.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_database_is_mended_and_the_queue_goes_on() -> Result<()> {
    let mut post = Post::open("Damaged", 67, async |_| Ok(()), |setup, _| Ok(setup)).await?;
    let codes: Vec<String> = post.site.buy(3).await?.into_iter().map(|t| t.code).collect();
    post.enrol("North").await?;
    let_in(&post.window.scan_plugged(&codes[0]).await?)?;
    post.window.key("Escape")?;
    damage(&post.data())?;
    post.window.ask("app_state", json!({})).await?;
    post.window.see("The database was repaired").await?;
    post.window.picture("53-database-repaired").await?;
    // Before anybody has read it.
    let_in(&post.window.scan_plugged(&codes[1]).await?)?;
    post.window.key("Escape")?;
    post.window.press("Continue").await?;
    post.window.see("Last scans").await?;

    // A second time it waits for somebody.
    damage(&post.data())?;
    post.window.ask("app_state", json!({})).await?;
    post.window.see("The database is damaged").await?;
    post.window.picture("54-database-damaged").await?;
    let red = post.window.scan_plugged(&codes[2]).await?;
    ensure!(red.tone == "refused" && red.place.is_none(), "{red:?}");
    post.window.key("Escape")?;
    post.window.press("Try again").await?;
    post.window.see("The database was repaired").await?;
    post.window.press("Continue").await?;
    post.window.see("Last scans").await?;
    let again = post.window.scan_plugged(&codes[0]).await?;
    ensure!(again.tone == "used", "it is known who came before: {again:?}");
    post.window.key("Escape")?;
    let_in(&post.window.scan_plugged(&codes[2]).await?)?;
    post.all_sent().await?;
    let stats = post.site.stats().await?;
    ensure!(stats["admitted"] == 3, "{stats}");
    Ok(())
}

/// Overwrites a page of the database while the app works with it.
fn damage(data: &Path) -> Result<()> {
    let db = Db::open(data)?;
    db.conn().query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(()))?;
    let page = "select rootpage from sqlite_schema where name = 'own_note'";
    let page: u32 = db.conn().query_row(page, [], |row| row.get(0))?;
    drop(db);
    let file = std::fs::OpenOptions::new().write(true).open(data.join(gate_core::db::FILE))?;
    file.write_all_at(&[0xa5; 4096], u64::from(page - 1) * 4096)?;
    Ok(())
}

/// It is still known on the session's bus, and the next start asks it to show itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_while_the_window_before_is_ending_is_the_window() -> Result<()> {
    let mut post = Post::open("Ending", 65, async |_| Ok(()), |setup, _| Ok(setup)).await?;
    post.window.see("Make this device a gate").await?;
    let mut asked = post.room.listen_for("ExecuteCallback").await?;
    post.window.freeze();
    let ended = async {
        asked.hear().await?;
        post.window.kill().await
    };
    let (next, ended) = tokio::join!(Window::open(&post.room, &post.setup), ended);
    ended?;
    post.window = next?;
    post.window.see("Make this device a gate").await
}

/// Closing waits for a command, which waits for a server that says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn who_closes_the_window_and_starts_it_again_has_a_window() -> Result<()> {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let connect = silent.local_addr()?.to_string();
    let setup = |setup, _: &Room| Ok(Setup { connect, ..setup });
    let post = Post::open("Closing", 66, async |_| Ok(()), setup).await?;
    let (_, link) = post.slot("Door").await?;
    post.window.paste_into("Enrolment link", &link).await?;
    post.window.press("Connect").await?;
    let (asked, _) = silent.accept().await?;
    let (app, before) = (post.window.pid(), post.window.family());
    post.room.keyboard().press(&["Alt", "F4"])?;
    until("it is being closed", async || {
        let answer = post.window.ask("app_state", json!({})).await;
        Ok(answer.is_err_and(|error| error.to_string().contains("being closed")))
    })
    .await?;
    let program = post.setup.program.to_str().context("a readable path")?;
    let mut start = post.room.command(program);
    let mut start = start.envs(post.setup.environment()).kill_on_drop(true).spawn()?;
    let started = tokio::time::timeout(std::time::Duration::from_secs(60), start.wait()).await??;
    ensure!(started.success(), "the window that is there answers for it: {started}");
    drop((asked, silent));
    until("a page follows, by the same process and no other one of before", async || {
        let now = post.window.family();
        Ok(now.len() > 1 && now.iter().all(|id| *id == app || !before.contains(id)))
    })
    .await
}
