//! A camera without a device: PipeWire on the desktop's own session, and a picture that it shows.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::process::Kept;
use super::room::Room;
use crate::until;

/// Shows pictures until it is dropped.
#[derive(Debug)]
pub struct Camera {
    _service: Vec<Kept>,
    showing: Option<Kept>,
}

impl Camera {
    /// Starts what cameras are asked for through. An app must be started after it.
    ///
    /// # Errors
    /// If a program is missing or does not come up.
    pub async fn plug_in(room: &Room) -> Result<Self> {
        let pipewire = Kept::start(&mut room.command("pipewire"))?;
        until("PipeWire answers", async || Ok(room.home().join("pipewire-0").exists())).await?;
        let wireplumber = Kept::start(&mut room.command("wireplumber"))?;
        Ok(Self { _service: vec![pipewire, wireplumber], showing: None })
    }

    /// Holds a picture before it (PNG, smaller than 1280 by 720), or nothing.
    ///
    /// # Errors
    /// If it is not to be seen in time.
    pub async fn show(&mut self, room: &Room, picture: Option<&Path>) -> Result<()> {
        self.showing = None;
        let overlay = match picture {
            Some(path) => {
                let path = path.to_str().context("a readable path")?;
                format!("gdkpixbufoverlay location={path} offset-x=440 offset-y=160 !")
            }
            None => String::new(),
        };
        let line = format!(
            "videotestsrc is-live=true pattern=white ! video/x-raw,format=BGRA,width=1280,height=720,framerate=15/1 ! {overlay} \
             identity drop-allocation=true ! pipewiresink mode=provide \
             stream-properties=p,media.class=Video/Source,media.role=Camera,node.name=qrcam,node.description=TestCamera"
        );
        let mut command = room.command("gst-launch-1.0");
        command.arg("-q").args(line.split_whitespace());
        let mut showing = Kept::start(&mut command)?;
        until("the camera is there", async || {
            ensure!(showing.lives(), "gst-launch ended: run `scripts/setup third`");
            let listed = room.command("pw-dump").output().await?;
            Ok(String::from_utf8_lossy(&listed.stdout).contains("qrcam"))
        })
        .await?;
        self.showing = Some(showing);
        Ok(())
    }
}
