//! Codes in pictures: what is found, what is scanned, and what still lies before the camera.

use crate::stage::{Stage, nonce};
use gate_core::desk::contract::{FrameAnswer, GrayFrame, PictureSource};
use gate_core::desk::{GONE_AFTER_MS, decode};
use qrcode::{Color, EcLevel, QrCode};
use shared::bytes::Nonce16;

/// A gray picture with a code in its middle.
struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Picture {
    /// Modules of `module` pixels, four of them as a margin, in a picture of that size.
    fn of(text: &str, module: usize, (width, height): (usize, usize), (dark, light): (u8, u8)) -> Self {
        let code = QrCode::with_error_correction_level(text, EcLevel::M).unwrap();
        let side = (code.width() + 8) * module;
        assert!(side <= width && side <= height, "{side} pixels do not fit");
        let mut pixels = vec![light; width * height];
        let (left, top) = ((width - side) / 2 + 4 * module, (height - side) / 2 + 4 * module);
        for (i, _) in code.to_colors().iter().enumerate().filter(|(_, c)| **c == Color::Dark) {
            let (x, y) = (left + i % code.width() * module, top + i / code.width() * module);
            for row in y..y + module {
                pixels[row * width + x..row * width + x + module].fill(dark);
            }
        }
        Self { width, height, pixels }
    }

    fn frame(&self, nonce: Nonce16, source: PictureSource) -> GrayFrame<'_> {
        GrayFrame {
            width: u32::try_from(self.width).unwrap(),
            height: u32::try_from(self.height).unwrap(),
            pixels: &self.pixels,
            nonce,
            source,
        }
    }
}

const VGA: (usize, usize) = (640, 480);
const INK: (u8, u8) = (20, 235);

#[test]
fn codes_are_read_at_three_and_two_pixels_a_module_inverted_and_with_little_contrast() {
    let stage = Stage::new();
    let code = stage.venue.code(0);
    let cases = [
        ("3 pixels a module", 3, VGA, INK),
        ("inverted", 3, VGA, (235, 20)),
        ("2 pixels a module", 2, VGA, INK),
        ("2 pixels a module, inverted", 2, VGA, (235, 20)),
        ("little contrast", 4, VGA, (110, 150)),
        ("a large picture", 8, (1920, 1080), INK),
        ("hardly larger than the code", 3, (260, 260), INK),
    ];
    for (what, module, size, ink) in cases {
        let picture = Picture::of(&code, module, size, ink);
        let read = decode(&picture.frame(nonce(), PictureSource::Image)).unwrap();
        assert_eq!(read.as_deref(), Some(&*code), "{what}");
    }
}

#[test]
fn a_code_before_the_camera_is_one_scan_until_it_was_gone() {
    let stage = Stage::new();
    let code = stage.venue.code(0);
    let shown = Picture::of(&code, 3, VGA, INK);
    let empty = Picture { width: 640, height: 480, pixels: vec![200; 640 * 480] };
    let look = |p: &Picture| stage.desk.scan_frame(&p.frame(nonce(), PictureSource::Camera)).unwrap();

    let FrameAnswer::Scan { verdict } = look(&shown) else { panic!("a first sight is a scan") };
    assert!(verdict.answer.is_ok());
    for _ in 0..5 {
        stage.venue.clock.advance_ms(GONE_AFTER_MS - 1);
        assert_eq!(look(&shown), FrameAnswer::InView);
    }
    assert_eq!(look(&empty), FrameAnswer::Nothing);
    stage.venue.clock.advance_ms(GONE_AFTER_MS);
    let FrameAnswer::Scan { verdict } = look(&shown) else { panic!("it was gone") };
    assert!(!verdict.answer.is_ok(), "and has been admitted before");

    let other = Picture::of(&stage.venue.code(1), 3, VGA, INK);
    assert!(matches!(look(&other), FrameAnswer::Scan { .. }), "another code is another scan at once");
    assert_eq!(stage.venue.log().len(), 3);
}

#[test]
fn after_an_undo_the_same_code_may_come_again_at_once() {
    let stage = Stage::new();
    let shown = Picture::of(&stage.venue.code(0), 3, VGA, INK);
    let look = || stage.desk.scan_frame(&shown.frame(nonce(), PictureSource::Camera)).unwrap();
    let FrameAnswer::Scan { verdict } = look() else { panic!("a scan") };
    stage.unlock();
    stage.desk.undo(crate::stage::place(&verdict).unwrap(), "wrong person").unwrap();
    assert!(matches!(look(), FrameAnswer::Scan { verdict } if verdict.answer.is_ok()));
}

#[test]
fn the_same_frame_again_has_the_same_answer_and_each_image_file_is_a_scan() {
    let stage = Stage::new();
    let shown = Picture::of(&stage.venue.code(0), 3, VGA, INK);
    let attempt = nonce();
    let ask = |nonce, source| stage.desk.scan_frame(&shown.frame(nonce, source)).unwrap();
    assert!(matches!(ask(attempt, PictureSource::Camera), FrameAnswer::Scan { .. }));
    let FrameAnswer::Scan { verdict } = ask(attempt, PictureSource::Camera) else { panic!("its answer") };
    assert!(verdict.answer.is_ok());
    assert_eq!(stage.venue.log().len(), 1);
    assert!(
        matches!(ask(nonce(), PictureSource::Image), FrameAnswer::Scan { verdict } if !verdict.answer.is_ok())
    );
}

#[test]
fn an_invitation_is_read_and_not_scanned() {
    let stage = Stage::new();
    let link = "https://tickets.example/gates/enroll#1.AAAA.BBBB.CCCC";
    let shown = Picture::of(link, 4, VGA, INK);
    let read = stage.desk.read_frame(&shown.frame(nonce(), PictureSource::Camera)).unwrap();
    assert_eq!(read.as_deref(), Some(link));
    assert!(stage.venue.log().is_empty());
}
