//! Small pictures of each kind; how good the reader is with hard ones, tests/decoders measures.

use gate_sight::read;
use qrcode::{Color, EcLevel, QrCode, Version};

const TEXT: &str = "HV1:SOMETHING OF A TICKET'S LENGTH: 0123456789 ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789";

struct Picture {
    pixels: Vec<u8>,
    width: usize,
    height: usize,
}

impl Picture {
    /// A code in the middle, turned by `degrees`, each pixel the mean of 16 looks.
    fn of(text: &str, width: usize, height: usize, module: f32, degrees: f32, light: (f32, f32)) -> Self {
        let code = QrCode::with_version(text.as_bytes(), Version::Normal(6), EcLevel::M).expect("it fits");
        let (side, colors) = (code.width(), code.to_colors());
        let (sin, cos) = degrees.to_radians().sin_cos();
        let (ink, paper) = light;
        let look = |x: f32, y: f32| {
            let (x, y) = ((x - width as f32 / 2.0) / module, (y - height as f32 / 2.0) / module);
            let (u, v) = (x * cos + y * sin + side as f32 / 2.0, y * cos - x * sin + side as f32 / 2.0);
            let inside = u >= 0.0 && v >= 0.0 && u < side as f32 && v < side as f32;
            if inside && colors[v as usize * side + u as usize] == Color::Dark { ink } else { paper }
        };
        let pixel = |x: usize, y: usize| {
            let looks =
                (0..16).map(|n| look(x as f32 + (n % 4) as f32 / 4.0, y as f32 + (n / 4) as f32 / 4.0));
            (looks.sum::<f32>() / 16.0) as u8
        };
        let pixels = (0..width * height).map(|n| pixel(n % width, n / width)).collect();
        Self { pixels, width, height }
    }

    fn read(&self) -> Option<String> {
        read(&self.pixels, self.width, self.height)
    }
}

const INK: (f32, f32) = (30.0, 220.0);

#[test]
fn nothing_is_read_where_nothing_is() {
    assert_eq!(read(&[128; 640 * 480], 640, 480), None);
    assert_eq!(read(&[], 0, 0), None);
    assert_eq!(read(&[0; 99], 10, 10), None, "fewer bytes than pixels");
    for (width, height) in [(1, 1), (1, 500), (500, 1), (2, 3), (20, 20), (41, 39)] {
        assert_eq!(read(&vec![0; width * height], width, height), None, "{width} × {height}");
    }
    let mut bits = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (bits >> 24) as u8
    })
    .take(320 * 240)
    .collect();
    assert_eq!(read(&noise, 320, 240), None);
}

#[test]
fn a_code_of_two_pixels_a_module_is_read() {
    assert_eq!(Picture::of(TEXT, 320, 240, 2.0, 0.0, INK).read().as_deref(), Some(TEXT));
}

#[test]
fn a_code_in_dark_mode_is_read() {
    assert_eq!(Picture::of(TEXT, 320, 240, 3.0, 0.0, (220.0, 20.0)).read().as_deref(), Some(TEXT));
}

#[test]
fn a_code_is_read_at_every_angle() {
    for degrees in (0..360).step_by(15) {
        let read = Picture::of(TEXT, 320, 240, 3.0, degrees as f32, INK).read();
        assert_eq!(read.as_deref(), Some(TEXT), "{degrees}°");
    }
}

#[test]
fn a_faint_code_is_read() {
    assert_eq!(Picture::of(TEXT, 320, 240, 3.0, 5.0, (120.0, 130.0)).read().as_deref(), Some(TEXT));
}

#[test]
fn a_code_that_fills_a_large_picture_is_read() {
    assert_eq!(Picture::of(TEXT, 2600, 2400, 50.0, 3.0, INK).read().as_deref(), Some(TEXT));
}

#[test]
fn a_mirrored_code_is_read() {
    let mut picture = Picture::of(TEXT, 320, 240, 3.0, 0.0, INK);
    picture.pixels.chunks_exact_mut(320).for_each(<[u8]>::reverse);
    assert_eq!(picture.read().as_deref(), Some(TEXT));
}
