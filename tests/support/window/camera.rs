//! A camera without a device: PipeWire on the desktop's own session, and a picture that it shows.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::process::Kept;
use super::room::Room;
use crate::until;

/// Shows pictures until it is dropped.
#[derive(Debug)]
pub struct Camera {
    _service: Vec<Kept>,
    showing: Option<Kept>,
    shown: u32,
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
        Ok(Self { _service: vec![pipewire, wireplumber], showing: None, shown: 0 })
    }

    /// Holds a picture before it (PNG, smaller than 1280 by 720), or nothing.
    ///
    /// # Errors
    /// If it is not to be seen in time.
    pub async fn show(&mut self, room: &Room, picture: Option<&Path>) -> Result<()> {
        self.showing = None;
        // Each has a name of its own: the one before may be listed for a moment longer.
        self.shown += 1;
        let name = format!("qrcam-{}", self.shown);
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
             stream-properties=p,media.class=Video/Source,media.role=Camera,node.name={name},node.description=TestCamera"
        );
        let mut command = room.command("gst-launch-1.0");
        command.arg("-q").args(line.split_whitespace());
        let mut showing = Kept::start(&mut command)?;
        until("the camera is there", async || {
            ensure!(showing.lives(), "gst-launch ended: run `scripts/setup third`");
            let listed = room.command("pw-dump").output().await?;
            // It cannot be parsed while things come and go.
            Ok(serde_json::from_slice(&listed.stdout).is_ok_and(|all: Value| offers_pictures(&all, &name)))
        })
        .await?;
        self.showing = Some(showing);
        Ok(())
    }
}

/// True once this camera has said what its pictures lie in. It is listed before its first picture, when it has not yet;
/// whoever opens it then gets memory of no kind, and the camera crashes (PipeWire 0.3.65).
fn offers_pictures(all: &Value, name: &str) -> bool {
    let all = || all.as_array().into_iter().flatten();
    let camera = all().find(|o| o["info"]["props"]["node.name"] == name);
    let ports = |of: &Value| all().filter(|o| o["info"]["props"]["node.id"] == *of).any(offers_buffers);
    camera.is_some_and(|camera| ports(&camera["id"]))
}

fn offers_buffers(port: &Value) -> bool {
    port["info"]["params"]["Buffers"].as_array().is_some_and(|buffers| !buffers.is_empty())
}
