//! Codes in pictures: a file, and a camera that holds one in view.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use fantoccini::Locator;
use hvflvspot::tour::venue::Bought;
use support::until;
use support::window::camera::Camera;

use crate::post::{Post, let_in, says};

/// The code's picture as the server hands it out.
async fn drawn(post: &Post, bought: &Bought, name: &str) -> Result<PathBuf> {
    let guest = post.site.api.with_booking_secret(&bought.secret);
    let picture = guest.bytes(&format!("/tickets/{}/qr.png", bought.tickets[0].id)).await?;
    let path = post.room.home().join(name);
    std::fs::write(&path, picture)?;
    Ok(path)
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_are_read_from_files_and_by_a_camera() -> Result<()> {
    let mut camera = None;
    let plug_in = async |room: &_| {
        let mut plugged = Camera::plug_in(room).await?;
        plugged.show(room, None).await?;
        camera = Some(plugged);
        Ok(())
    };
    let mut post = Post::open("In pictures", 62, plug_in, |setup, _| Ok(setup)).await?;
    let Some(mut camera) = camera else { anyhow::bail!("the camera is plugged in") };
    let (filed, held) = (post.site.book(1).await?, post.site.book(1).await?);
    post.enrol("South").await?;
    from_a_file(&mut post, &filed).await?;
    by_the_camera(&mut post, &mut camera, &held).await
}

async fn choose_file(post: &Post, path: &Path) -> Result<()> {
    let input = post.window.driver().find(Locator::Css("input[type=file]")).await?;
    Ok(input.send_keys(&path.display().to_string()).await?)
}

/// A gray wall.
fn blank(path: &Path) -> Result<()> {
    let mut encoder = png::Encoder::new(std::fs::File::create(path)?, 320, 240);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    Ok(encoder.write_header()?.write_image_data(&[0x77; 320 * 240])?)
}

async fn from_a_file(post: &mut Post, bought: &Bought) -> Result<()> {
    let picture = drawn(post, bought, "ticket.png").await?;
    choose_file(post, &picture).await?;
    let_in(&post.window.answer().await?)?;
    post.window.picture("40-file-ok").await?;
    choose_file(post, &picture).await?;
    says(&post.window.answer().await?, "used", &["South"])?;

    let nothing = post.room.home().join("nothing.png");
    blank(&nothing)?;
    choose_file(post, &nothing).await?;
    post.window.key("Escape")?;
    post.window.see("There is no code in this picture.").await?;
    post.window.picture("41-file-without-code").await
}

async fn by_the_camera(post: &mut Post, camera: &mut Camera, bought: &Bought) -> Result<()> {
    let picture = drawn(post, bought, "held.png").await?;
    camera.show(&post.room, Some(&picture)).await?;
    post.window.press("Camera").await?;
    let_in(&post.window.answer().await?)?;
    post.window.picture("42-camera-ok").await?;
    // The answer fades, the code still lies there: it is one scan.
    let answers = post.window.answers().await?;
    post.window.see("Hold the code into the frame").await?;
    until("the answer has gone", async || Ok(!post.window.has("[data-testid=verdict]").await?)).await?;
    post.window.picture("43-camera").await?;
    ensure!(post.window.answers().await? == answers, "what lies before the camera is one scan");
    // A reader works beside the camera.
    let again = post.window.scan_plugged(&bought.tickets[0].code).await?;
    says(&again, "used", &["First admission", "South"])?;
    post.window.key("Escape")?;
    post.window.press("Camera off").await?;
    post.window.see("Scan a ticket with the reader").await
}
