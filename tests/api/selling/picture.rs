//! The QR as a picture, read back by an independent decoder.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use rxing::common::GlobalHistogramBinarizer;
use rxing::qrcode::cpp_port::QrReader;
use rxing::{BinaryBitmap, DecodeHints, Luma8LuminanceSource, Reader as _};
use shared::bytes::PublicKey;
use shared::ids::{EventId, OrganizerId};
use shared::manifest::docs::{KeyList, KeyStatus, TicketKey};
use shared::ticket::keys::{KeyRing, Presented, kid_of};
use shared::time::UnixSecs;
use support::server::send;

use crate::{Stage, now, text};

#[tokio::test]
async fn both_pictures_read_back_to_the_exact_code_which_verifies_by_the_published_key_alone() -> Result<()> {
    let stage = Stage::open(10).await?;
    let booking = stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    let ticket = &booking["tickets"][0];
    let code = text(ticket, "code");

    let svg = send(stage.as_guest(Method::GET, &text(ticket, "qr_svg"), &booking)).await?;
    assert_eq!(svg.header("content-type"), "image/svg+xml");
    assert_eq!(read_svg(&svg.text)?, code);
    let png = stage.as_guest(Method::GET, &text(ticket, "qr_png"), &booking).send().await?;
    assert_eq!(png.headers()["content-type"], "image/png");
    assert_eq!(read_png(&png.bytes().await?)?, code);

    let event = EventId(stage.event_id.parse()?);
    let ring = published_keys(&stage, event).await?;
    let Presented::Verified { payload, .. } = ring.present(&code) else {
        anyhow::bail!("{code} does not verify")
    };
    assert_eq!(payload.ticket_id.to_string(), text(ticket, "ticket_id"));
    let ends = now() + time::Duration::days(9) + time::Duration::hours(3);
    assert_eq!(payload.expires_at, UnixSecs::from(ends + time::Duration::DAY), "the end and 24 hours");
    assert_eq!(payload.not_before, UnixSecs(0));
    Ok(())
}

#[tokio::test]
async fn a_refunded_ticket_has_no_picture() -> Result<()> {
    let stage = Stage::open(10).await?;
    let booking = stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    stage.refund(&booking).await?.expect(200)?;
    let refused =
        send(stage.as_guest(Method::GET, &text(&booking["tickets"][0], "qr_svg"), &booking)).await?;
    assert_eq!((refused.status.as_u16(), refused.code()), (409, "ticket_not_valid"));
    Ok(())
}

/// A key ring of nothing but what `/events/{id}/ticket-keys` says.
async fn published_keys(stage: &Stage, event: EventId) -> Result<KeyRing> {
    let keys = stage.server.get(&format!("/events/{event}/ticket-keys")).await?.expect(200)?;
    let x = URL_SAFE_NO_PAD.decode(text(&keys["keys"][0], "x"))?;
    let public_key = PublicKey::from_slice(&x).context("32 bytes")?;
    assert_eq!(text(&keys["keys"][0], "kid"), kid_of(&public_key).to_string());
    let key = TicketKey { kid: kid_of(&public_key), public_key, event, status: KeyStatus::Active };
    let list = KeyList {
        organizer: OrganizerId(stage.organizer_id),
        issued_at: UnixSecs(0),
        ticket_keys: vec![key],
        revoked_devices: vec![],
    };
    Ok(KeyRing::new(&list, event)?)
}

pub fn read(luma: Vec<u8>, width: u32, height: u32) -> Result<String> {
    let source = Luma8LuminanceSource::new(luma, width, height)?;
    let mut image = BinaryBitmap::new(GlobalHistogramBinarizer::new(source));
    let hints = DecodeHints { TryHarder: Some(true), ..DecodeHints::default() };
    Ok(QrReader.decode_with_hints(&mut image, &hints)?.getText().to_owned())
}

pub fn read_png(bytes: &[u8]) -> Result<String> {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info()?;
    let mut luma = vec![0; reader.output_buffer_size().context("a small picture")?];
    let info = reader.next_frame(&mut luma)?;
    luma.truncate(info.buffer_size());
    read(luma, info.width, info.height)
}

/// Paints the rectangles of the picture's one path, `M{x} {y}h{w}v{h}H{x}V{y}`, black on white.
fn read_svg(svg: &str) -> Result<String> {
    let attribute = |name: &str| -> Option<&str> {
        svg.split_once(&format!(" {name}=\""))?.1.split_once('"').map(|(value, _)| value)
    };
    let side: usize = attribute("width").context("a width")?.parse()?;
    let mut luma = vec![255; side * side];
    let path = svg.split_once("<path d=\"").or_else(|| svg.split_once(" d=\"")).context("a path")?.1;
    let path = path.split_once('"').context("an end")?.0;
    for rectangle in path.split('M').skip(1) {
        let numbers: Vec<usize> = rectangle
            .split(|c: char| !c.is_ascii_digit())
            .filter(|n| !n.is_empty())
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let [x, y, width, height, ..] = numbers[..] else { anyhow::bail!("{rectangle}") };
        for row in y..y + height {
            luma[row * side + x..row * side + x + width].fill(0);
        }
    }
    let side = u32::try_from(side)?;
    read(luma, side, side)
}
