//! Tickets to print and to put into a calendar, read back as strangers would.

use std::io::Read as _;

use anyhow::{Context as _, Result};
use reqwest::Method;
use support::server::send;

use crate::picture::{read, read_png};
use crate::{Stage, text};

const MM: f32 = 72.0 / 25.4;

#[tokio::test]
async fn a_printed_ticket_carries_its_code_large_enough_and_no_other() -> Result<()> {
    let stage = Stage::open(10).await?;
    let booking = stage.buy(3, Some("tok_always_succeeds")).await?.expect(201)?;
    let ticket = &booking["tickets"][0];
    let path = format!("/tickets/{}/ticket.pdf", text(ticket, "ticket_id"));
    let reply = stage.as_guest(Method::GET, &path, &booking).send().await?;
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.headers()["content-type"], "application/pdf");
    assert_eq!(reply.headers()["cache-control"], "private, no-store");
    let pages = codes(&reply.bytes().await?)?;
    assert_eq!(pages.len(), 1);
    assert_eq!(pages[0].text, text(ticket, "code"));
    assert!(pages[0].side >= 35.0 * MM, "the symbol is {} mm wide", pages[0].side / MM);

    let all = format!("/bookings/{}/tickets.pdf", text(&booking, "booking_id"));
    let pages = codes(&stage.as_guest(Method::GET, &all, &booking).send().await?.bytes().await?)?;
    let mut printed: Vec<String> = pages.into_iter().map(|p| p.text).collect();
    let mut sold: Vec<String> = (0..3).map(|n| text(&booking["tickets"][n], "code")).collect();
    printed.sort();
    sold.sort();
    assert_eq!(printed, sold, "a page each");

    assert_eq!(stage.server.get(&path).await?.status, 401);
    let other = stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    assert_eq!(send(stage.as_guest(Method::GET, &path, &other)).await?.status, 404);
    Ok(())
}

#[tokio::test]
async fn a_refunded_ticket_is_not_printed_and_a_held_booking_has_none() -> Result<()> {
    let stage = Stage::open(10).await?;
    let booking = stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    stage.refund(&booking).await?.expect(200)?;
    let ticket = text(&booking["tickets"][0], "ticket_id");
    for name in ["ticket.pdf", "event.ics"] {
        let path = format!("/tickets/{ticket}/{name}");
        let refused = send(stage.as_guest(Method::GET, &path, &booking)).await?;
        assert_eq!((refused.status.as_u16(), refused.code()), (409, "ticket_not_valid"), "{name}");
    }
    let held = stage.buy(1, None).await?.expect(201)?;
    let path = format!("/bookings/{}/tickets.pdf", text(&held, "booking_id"));
    let refused = send(stage.as_guest(Method::GET, &path, &held)).await?;
    assert_eq!((refused.status.as_u16(), refused.code()), (409, "no_valid_tickets"));
    Ok(())
}

#[tokio::test]
async fn a_calendar_gets_the_event_in_universal_time() -> Result<()> {
    let stage = Stage::open(10).await?;
    let booking = stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    for path in [
        format!("/tickets/{}/event.ics", text(&booking["tickets"][0], "ticket_id")),
        format!("/bookings/{}/event.ics", text(&booking, "booking_id")),
    ] {
        let reply = send(stage.as_guest(Method::GET, &path, &booking)).await?;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert!(reply.header("content-type").starts_with("text/calendar"));
        for line in ["DTSTART:20261201T120000Z", "DTEND:20261201T150000Z", "SUMMARY:Winter concert"] {
            assert!(reply.text.lines().any(|l| l == line), "{line} is missing: {}", reply.text);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_picture_is_as_large_as_one_asks() -> Result<()> {
    let stage = Stage::open(10).await?;
    let booking = stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    let ticket = &booking["tickets"][0];
    let path = format!("{}?scale=3", text(ticket, "qr_png"));
    let png = stage.as_guest(Method::GET, &path, &booking).send().await?.bytes().await?;
    assert_eq!(read_png(&png)?, text(ticket, "code"), "three pixels a module and a quiet zone");
    for bad in ["1", "41", "x"] {
        let path = format!("{}?scale={bad}", text(ticket, "qr_svg"));
        assert_eq!(send(stage.as_guest(Method::GET, &path, &booking)).await?.status, 400, "{bad}");
    }
    Ok(())
}

/// A code found in a PDF.
struct Found {
    text: String,
    /// Of the symbol without its quiet zone, in points.
    side: f32,
}

/// Paints the rectangles of each page's largest path and reads them.
fn codes(pdf: &[u8]) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for content in streams(pdf) {
        let Some(squares) = largest_path(&content) else { continue };
        if squares.len() < 100 {
            continue;
        }
        let edge = |pick: fn(&[f32; 4]) -> f32, best: fn(f32, f32) -> f32| {
            squares.iter().map(pick).reduce(best).context("no squares")
        };
        let (left, right) = (edge(|s| s[0], f32::min)?, edge(|s| s[2], f32::max)?);
        let (bottom, top) = (edge(|s| s[1], f32::min)?, edge(|s| s[3], f32::max)?);
        assert!(((right - left) - (top - bottom)).abs() < 0.1, "square");
        let side = right - left;
        // 41 modules of 6 pixels, and 4 of white around.
        const MODULES: usize = 41;
        const SCALE: usize = 6;
        let pixels = (MODULES + 8) * SCALE;
        let mut luma = vec![255_u8; pixels * pixels];
        let to_pixel = |points: f32| (points / side * (MODULES * SCALE) as f32).round() as usize + 4 * SCALE;
        for [x0, y0, x1, y1] in squares {
            // PDF counts from below.
            for row in to_pixel(top - y1)..to_pixel(top - y0) {
                luma[row * pixels + to_pixel(x0 - left)..row * pixels + to_pixel(x1 - left)].fill(0);
            }
        }
        let pixels = u32::try_from(pixels)?;
        found.push(Found { text: read(luma, pixels, pixels)?, side });
    }
    Ok(found)
}

/// The packed streams of a PDF that are texts.
fn streams(pdf: &[u8]) -> Vec<String> {
    let mut out = Vec::new();
    let find = |from: usize, what: &[u8]| {
        pdf[from..].windows(what.len()).position(|w| w == what).map(|at| from + at)
    };
    let mut at = 0;
    while let Some(begin) = find(at, b"stream\n").or_else(|| find(at, b"stream\r\n")) {
        let begin = begin + b"stream\n".len();
        let Some(end) = find(begin, b"endstream") else { break };
        let mut text = String::new();
        if flate2::read::ZlibDecoder::new(&pdf[begin..end]).read_to_string(&mut text).is_ok() {
            out.push(text);
        }
        at = end + b"endstream".len();
    }
    out
}

/// The filled path with the most rectangles, as (left, bottom, right, top) after the page's transformation.
fn largest_path(content: &str) -> Option<Vec<[f32; 4]>> {
    let (mut numbers, mut best, mut now) = (Vec::<f32>::new(), Vec::new(), Vec::new());
    let mut corners: Vec<(f32, f32)> = Vec::new();
    // One flip of the page at its beginning is all that is expected.
    let mut transform = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0];
    for token in content.split_ascii_whitespace() {
        if let Ok(number) = token.parse::<f32>() {
            numbers.push(number);
            continue;
        }
        let place = |x: f32, y: f32| {
            let [a, b, c, d, e, f] = transform;
            (a * x + c * y + e, b * x + d * y + f)
        };
        match (token, numbers.as_slice()) {
            ("cm", [a, b, c, d, e, f]) => transform = [*a, *b, *c, *d, *e, *f],
            ("re", [x, y, w, h]) => {
                corners = vec![place(*x, *y), place(x + w, y + h)];
                close(&mut corners, &mut now);
            }
            ("m" | "l", [x, y]) => corners.push(place(*x, *y)),
            ("h", _) => close(&mut corners, &mut now),
            ("f" | "f*", _) => {
                if now.len() > Vec::len(&best) {
                    best = std::mem::take(&mut now);
                }
                now.clear();
            }
            _ => {}
        }
        numbers.clear();
    }
    (!best.is_empty()).then_some(best)
}

fn close(corners: &mut Vec<(f32, f32)>, into: &mut Vec<[f32; 4]>) {
    let xs = || corners.iter().map(|c| c.0);
    let ys = || corners.iter().map(|c| c.1);
    if let (Some(x0), Some(y0), Some(x1), Some(y1)) =
        (xs().reduce(f32::min), ys().reduce(f32::min), xs().reduce(f32::max), ys().reduce(f32::max))
    {
        into.push([x0, y0, x1, y1]);
    }
    corners.clear();
}
