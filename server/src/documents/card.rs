//! An event as a picture for link previews: 1200 × 630 pixels, its title, when and where it is, and who organizes it.
//!
//! One colour from dark to light: a pixel is how light it is, and the palette says what that looks like.

use super::fonts::{Fonts, Polygon, Weight};

pub const WIDTH: usize = 1_200;
pub const HEIGHT: usize = 630;

const MARGIN: f32 = 80.0;
/// Red, green, blue of what is darkest and of what is lightest.
const GROUND: [u8; 3] = [0x10, 0x1a, 0x3d];
const LIGHT: [u8; 3] = [0xff, 0xff, 0xff];
/// How light what is beside the title is.
const QUIET: u8 = 0xb8;
/// Lines within a pixel's height that are looked at.
const LINES: u8 = 4;

/// What stands on it.
#[derive(Debug, Clone)]
pub struct Card {
    pub title: String,
    pub when: String,
    pub place: String,
    pub organizer: String,
}

impl Card {
    /// The picture as PNG.
    ///
    /// # Errors
    /// None that memory does not give.
    pub fn png(&self, fonts: &Fonts) -> Result<Vec<u8>, png::EncodingError> {
        let mut canvas = Canvas { pixels: vec![0; WIDTH * HEIGHT] };
        canvas.bar();
        let width = WIDTH as f32 - 2.0 * MARGIN;
        let mut y = 190.0;
        for (text, weight, size, most, light) in [
            (&self.title, Weight::Bold, 72.0, 3, u8::MAX),
            (&self.when, Weight::Regular, 30.0, 1, QUIET),
            (&self.place, Weight::Regular, 30.0, 1, QUIET),
        ] {
            for line in fonts.broken(text, weight, width / size, most) {
                canvas.write(&fonts.outlines(&line, weight), (MARGIN, y), size, light);
                y += size * 1.25;
            }
            y += size * 0.2;
        }
        let foot = HEIGHT as f32 - 64.0;
        let name = "HVFLVSPOT";
        let name_width = fonts.line(name, Weight::Bold).width * 30.0;
        let at = (WIDTH as f32 - MARGIN - name_width, foot);
        canvas.write(&fonts.outlines(name, Weight::Bold), at, 30.0, QUIET);
        let beside = (width - name_width - 40.0) / 30.0;
        for line in fonts.broken(&self.organizer, Weight::Regular, beside, 1) {
            canvas.write(&fonts.outlines(&line, Weight::Regular), (MARGIN, foot), 30.0, QUIET);
        }
        canvas.png()
    }
}

struct Canvas {
    /// How light, row by row from the top.
    pixels: Vec<u8>,
}

impl Canvas {
    /// A short bar above the title.
    fn bar(&mut self) {
        for row in self.pixels.chunks_mut(WIDTH).skip(84).take(10) {
            row[80..200].fill(QUIET);
        }
    }

    /// Fills polygons of the unit `size`, whose origin is put at `at`.
    fn write(&mut self, polygons: &[Polygon], at: (f32, f32), size: f32, light: u8) {
        let edges: Vec<Edge> = polygons
            .iter()
            .flat_map(|polygon| {
                let next = polygon.iter().cycle().skip(1);
                polygon.iter().zip(next).filter_map(|(from, to)| Edge::of(*from, *to, at, size))
            })
            .collect();
        let top = edges.iter().map(|e| e.top).fold(f32::INFINITY, f32::min).max(0.0);
        let bottom = edges.iter().map(|e| e.bottom).fold(0.0, f32::max);
        // Of an empty text the one is below the other.
        let rows = self.pixels.chunks_mut(WIDTH).enumerate();
        for (y, row) in
            rows.skip_while(|(y, _)| ((y + 1) as f32) < top).take_while(|(y, _)| (*y as f32) < bottom)
        {
            let mut covered = [0.0_f32; WIDTH];
            for line in 0..LINES {
                let height = y as f32 + (f32::from(line) + 0.5) / f32::from(LINES);
                for (from, to) in spans(&edges, height) {
                    cover(&mut covered, from, to);
                }
            }
            for (pixel, covered) in row.iter_mut().zip(covered) {
                // Between 0 and 1 times at most 255: it fits.
                let lit = (covered.min(1.0) * f32::from(light)).round() as u8;
                *pixel = (*pixel).max(lit);
            }
        }
    }

    fn png(self) -> Result<Vec<u8>, png::EncodingError> {
        let mut out = Vec::new();
        let pixels = |n: usize| u32::try_from(n).expect("about a thousand pixels");
        let mut encoder = png::Encoder::new(&mut out, pixels(WIDTH), pixels(HEIGHT));
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Eight);
        let shade = |light: u8, of: usize| {
            let (dark, bright) = (u32::from(GROUND[of]), u32::from(LIGHT[of]));
            let mixed = (dark * u32::from(u8::MAX - light) + bright * u32::from(light)) / u32::from(u8::MAX);
            u8::try_from(mixed).expect("between two bytes")
        };
        let palette: Vec<u8> = (0..=u8::MAX).flat_map(|light| [0, 1, 2].map(|of| shade(light, of))).collect();
        encoder.set_palette(palette);
        encoder.write_header()?.write_image_data(&self.pixels)?;
        Ok(out)
    }
}

/// A side of a polygon, in pixels from the upper left corner.
#[derive(Debug, Clone, Copy)]
struct Edge {
    top: f32,
    bottom: f32,
    /// Where it is at its top, and how far it goes to the right on its way down, for each pixel.
    x: f32,
    slope: f32,
    /// 1 if it is drawn downwards, else −1.
    winding: i32,
}

impl Edge {
    /// `None` for a level one, which no line across meets.
    fn of(from: (f32, f32), to: (f32, f32), at: (f32, f32), size: f32) -> Option<Self> {
        let place = |(x, y): (f32, f32)| (at.0 + x * size, at.1 - y * size);
        let (from, to) = (place(from), place(to));
        let ((x, top), (end, bottom), winding) = if from.1 < to.1 { (from, to, 1) } else { (to, from, -1) };
        (bottom > top).then(|| Self { top, bottom, x, slope: (end - x) / (bottom - top), winding })
    }
}

/// What is within the polygons at this height: from, to.
fn spans(edges: &[Edge], height: f32) -> Vec<(f32, f32)> {
    let met = edges.iter().filter(|e| e.top <= height && height < e.bottom);
    let mut met: Vec<(f32, i32)> = met.map(|e| (e.x + (height - e.top) * e.slope, e.winding)).collect();
    met.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut spans, mut inside, mut begun) = (Vec::new(), 0, 0.0);
    for (x, winding) in met {
        if inside == 0 {
            begun = x;
        }
        inside += winding;
        if inside == 0 {
            spans.push((begun, x));
        }
    }
    spans
}

/// Adds to each pixel how much of it lies between the two, on one of the lines.
fn cover(row: &mut [f32; WIDTH], from: f32, to: f32) {
    let (from, to) = (from.clamp(0.0, WIDTH as f32), to.clamp(0.0, WIDTH as f32));
    // Floats to places: negative ones there are none, and beyond the last one nothing is.
    for (x, covered) in row.iter_mut().enumerate().take(to.ceil() as usize).skip(from as usize) {
        let left = x as f32;
        *covered += (to.min(left + 1.0) - from.max(left)).max(0.0) / f32::from(LINES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(png: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        pixels.truncate(info.buffer_size());
        (info.width, info.height, pixels)
    }

    fn card(title: &str) -> Vec<u8> {
        let fonts = Fonts::load(&[] as &[&str]).unwrap();
        let text = str::to_owned;
        let card = Card {
            title: text(title),
            when: text("Thursday, 24 December 2026, 20:00"),
            place: text("Main hall, Wien"),
            organizer: text("Nachtklang"),
        };
        card.png(&fonts).unwrap()
    }

    #[test]
    fn a_card_is_small_and_every_title_has_one() {
        let long = "Überaus langer Titel ohne ein Ende in Sicht ".repeat(5);
        for title in ["Winter concert", &long, &"x".repeat(200), "", "王小明", "محمد عبد الله"]
        {
            let png = card(title);
            let (width, height, pixels) = decoded(&png);
            assert_eq!((width, height, pixels.len()), (1_200, 630, 1_200 * 630), "{title}");
            assert!(png.len() < 120_000, "{title}: {} bytes", png.len());
            let edge = |x: usize, y: usize| pixels[y * WIDTH + x];
            assert!(
                (0..HEIGHT).all(|y| edge(0, y) == 0 && edge(WIDTH - 1, y) == 0),
                "{title}: within margins"
            );
        }
    }

    #[test]
    fn letters_are_filled_and_their_holes_are_not() {
        let fonts = Fonts::load(&[] as &[&str]).unwrap();
        let mut canvas = Canvas { pixels: vec![0; WIDTH * HEIGHT] };
        canvas.write(&fonts.outlines("O", Weight::Bold), (100.0, 500.0), 400.0, 200);
        let width = fonts.line("O", Weight::Bold).width * 400.0;
        let middle = 100 + width as usize / 2;
        // Across its middle: ground, stroke, hole, stroke, ground.
        let row = &canvas.pixels[(500 - 146) * WIDTH..][..WIDTH];
        let mut turns: Vec<u8> = row.iter().copied().filter(|p| *p == 0 || *p == 200).collect();
        turns.dedup();
        assert_eq!(turns, [0, 200, 0, 200, 0]);
        assert_eq!(row[middle], 0, "the hole");
        assert!(row.iter().any(|p| !matches!(*p, 0 | 200)), "its edge is soft");
        canvas.write(&fonts.outlines("  ", Weight::Bold), (0.0, 10.0), 40.0, 255);
        assert!(!canvas.pixels.contains(&255), "a space is nothing");
    }
}
