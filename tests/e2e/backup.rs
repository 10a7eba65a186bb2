//! A backup of a running server, restored elsewhere: everything is there, and gates go on with it.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Output;

use anyhow::{Result, ensure};
use hvflvspot::tour::venue::Plan;
use support::process::{ServerProcess, binary};
use support::site::{Site, outcome};

async fn command(data_dir: &Path, args: &[&str]) -> Result<Output> {
    let mut command = tokio::process::Command::new(binary("hvflvspot")?);
    command.args(args).env("HVFLVSPOT_DATA_DIR", data_dir).env_remove("DATABASE_URL");
    // Meant for somebody else's programs: ours go where they are configured to go.
    command.env("PGSERVICE", "nowhere").env("PGPORT", "1");
    Ok(command.output().await?)
}

/// A master key that only its owner can read.
fn write_key(path: &Path, text: &str) -> Result<()> {
    let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_running_server_opens_elsewhere_and_gates_go_on_with_it() -> Result<()> {
    let plan = Plan { title: "Backup", capacity: 100, gates: &["Door"], reentry: false };
    let site = Site::open(plan, 71).await?;
    let booked = site.book(2).await?;
    let (gate, mut line) = site.gate("door", 71, |gate| gate).await?;
    let flags = site.flags(0);
    let scan = async |code: &str| {
        let mut scanning = gate.scanning(&flags)?;
        let answer = scanning.scan(code).await?;
        ensure!(scanning.finish().await?.success());
        anyhow::Ok(outcome(&answer).to_owned())
    };
    ensure!(scan(&booked.tickets[0].code).await? == "ok");
    gate.json(&["sync"]).await?;

    let (old, new) = (site.path("server"), site.path("restored"));
    let file = site.path("tickets.backup");
    let name = file.display().to_string();
    let done = command(&old, &["backup", &name]).await?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let again = command(&old, &["backup", &name]).await?;
    ensure!(!again.status.success(), "a backup was overwritten");
    // After the backup: lost with the old server, but not for the gate.
    ensure!(scan(&booked.tickets[1].code).await? == "ok");
    gate.json(&["sync"]).await?;

    std::fs::create_dir(&new)?;
    let refused = command(&new, &["restore", &name]).await?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(!refused.status.success() && said.contains("master.key"), "without its key: {said}");
    let other = site.path("other");
    std::fs::create_dir(&other)?;
    write_key(&other.join("master.key"), &"17".repeat(32))?;
    let refused = command(&other, &["restore", &name]).await?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(!refused.status.success() && said.contains("sealed under"), "with another key: {said}");
    // Nothing came of it: with the right key the same folder takes the backup.
    std::fs::remove_file(other.join("master.key"))?;
    std::fs::copy(old.join("master.key"), other.join("master.key"))?;
    let done = command(&other, &["restore", &name]).await?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    std::fs::copy(old.join("master.key"), new.join("master.key"))?;
    let done = command(&new, &["restore", &name]).await?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let again = command(&new, &["restore", &name]).await?;
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    ensure!(!again.status.success() && said.contains("not empty"), "restored over data: {said}");

    let before = gate.status().await?;
    line.close().await;
    let restored = ServerProcess::start(&new, &[]).await?;
    line.lead_to(restored.address()?);
    line.reopen().await?;
    gate.json(&["sync"]).await?;
    let after = gate.status().await?;
    ensure!(
        after["manifest"]["epoch"].as_u64() > before["manifest"]["epoch"].as_u64(),
        "the epoch did not rise: {before} {after}"
    );
    // The key of the organizer's token is in the backup too.
    let organizer = site.organizer.at(&restored.url)?;
    let stats = organizer.get(&format!("/organizer/events/{}/stats", site.show.event)).await?;
    ensure!(stats["admitted"] == 2, "what came after the backup did not come back: {stats}");
    ensure!(stats["fold"]["hash"] == after["fold"]["hash"], "server and gate disagree");
    ensure!(restored.stop().await?.success());
    Ok(())
}
