//! A desktop: an X server without a screen, a window manager, a session bus, a home.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

use super::keys::Keyboard;
use super::process::{Kept, Told, command};

/// Everything ends with the last window in it.
#[derive(Debug)]
pub struct Room {
    display: String,
    bus: String,
    keyboard: Keyboard,
    _processes: Vec<Kept>,
    home: tempfile::TempDir,
}

impl Room {
    /// Opens one.
    ///
    /// # Errors
    /// If a program is missing or does not come up.
    pub async fn open() -> Result<Arc<Self>> {
        let home = tempfile::Builder::new().prefix("hvflvspot-window-").tempdir()?;
        let screen = ["-displayfd", "1", "-screen", "0", "1366x900x24", "-nolisten", "tcp", "-noreset"];
        let (x, number) = Kept::start_speaking(command("Xvfb").args(screen)).await?;
        let display = format!(":{}", number.trim());
        let bus = ["--session", "--nofork", "--nopidfile", "--print-address=1"];
        let (dbus, bus) = Kept::start_speaking(command("dbus-daemon").args(bus)).await?;
        let keyboard = Keyboard::plug_in(&display)?;
        let mut room =
            Self { display, keyboard, bus: bus.trim().to_owned(), _processes: vec![x, dbus], home };
        // Gives new windows the keyboard, and lets one fill the screen.
        let manager = Kept::start(&mut room.command("openbox"))?;
        room._processes.push(manager);
        crate::until("the window manager manages", async || {
            let mut asked = room.command("xprop");
            let answer = asked.args(["-root", "_NET_SUPPORTING_WM_CHECK"]).output().await?;
            Ok(String::from_utf8_lossy(&answer.stdout).contains("window id"))
        })
        .await?;
        Ok(Arc::new(room))
    }

    /// A folder of its own, short-lived.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Its keyboard, or a reader that acts as one.
    #[must_use]
    pub const fn keyboard(&self) -> &Keyboard {
        &self.keyboard
    }

    /// A program on this desktop, which the system kills when we end.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = command(program);
        command
            .env("DISPLAY", &self.display)
            .env("DBUS_SESSION_BUS_ADDRESS", &self.bus)
            .env("HOME", self.home())
            .env("XDG_RUNTIME_DIR", self.home())
            .env("LANG", "C.UTF-8")
            .env("GDK_BACKEND", "x11")
            .env("NO_AT_BRIDGE", "1");
        for unwanted in
            ["WAYLAND_DISPLAY", "XAUTHORITY", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"]
        {
            command.env_remove(unwanted);
        }
        command
    }

    /// Listens to the session's bus for a call of this name, from now on.
    ///
    /// # Errors
    /// If nobody may listen.
    pub async fn listen_for(&self, member: &str) -> Result<Listener> {
        let mut monitor = self.command("dbus-monitor");
        monitor.args(["--session", &format!("type='method_call',member='{member}'")]);
        let (monitor, mut heard) = Kept::start_telling(&mut monitor)?;
        // Who listens to everything is nobody any more.
        heard.line("member=NameLost").await?;
        Ok(Listener { _monitor: monitor, heard, member: format!("member={member}") })
    }

    /// Puts text where Ctrl+V takes it from.
    ///
    /// # Errors
    /// If it cannot.
    pub async fn copy(&self, text: &str) -> Result<()> {
        let file = self.home().join("clipboard");
        std::fs::write(&file, text)?;
        // It stays behind, to hand the text out, until another takes its place or the display ends.
        let path = file.to_str().context("a readable path")?;
        let status = self
            .command("xclip")
            .args(["-selection", "clipboard", "-i", path])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status();
        ensure!(status.await?.success(), "xclip failed");
        // It goes to the background before the display knows whose the clipboard is now.
        crate::until("the clipboard hands it out", async || {
            let mut asked = self.command("xclip");
            let out = asked.args(["-selection", "clipboard", "-o"]).output().await?;
            Ok(out.stdout == text.as_bytes())
        })
        .await
    }
}

/// Hears one kind of calls on a session's bus.
#[derive(Debug)]
pub struct Listener {
    _monitor: Kept,
    heard: Told,
    member: String,
}

impl Listener {
    /// Waits for the next one.
    ///
    /// # Errors
    /// If none comes in time.
    pub async fn hear(&mut self) -> Result<()> {
        self.heard.line(&self.member).await.map(drop)
    }
}
