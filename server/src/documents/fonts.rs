//! Text on paper and in pictures: which font has which letter, which way a line runs, how wide it is.
//!
//! Built in is DejaVu Sans, regular and bold: Latin, Greek, Cyrillic, Armenian, Georgian, Hebrew, Arabic and many
//! symbols. Operators add files for further scripts (`documents.fonts`). A letter that no font has is drawn as the
//! first font's box.

use std::ops::Range;
use std::path::Path;

use krilla::text::{Font, GlyphId, KrillaGlyph};
use rustybuzz::ttf_parser::{self, OutlineBuilder};
use rustybuzz::{Direction, Face, UnicodeBuffer};
use unicode_bidi::BidiInfo;

/// How dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    Regular,
    Bold,
}

/// All fonts, those asked first in front.
#[derive(Debug)]
pub struct Fonts {
    regular: Vec<Loaded>,
    bold: Vec<Loaded>,
}

struct Loaded {
    shaping: Face<'static>,
    embedding: Font,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Loaded({} glyphs)", self.shaping.number_of_glyphs())
    }
}

impl Loaded {
    fn of(bytes: &'static [u8]) -> Option<Self> {
        Some(Self { shaping: Face::from_slice(bytes, 0)?, embedding: Font::new(bytes.into(), 0)? })
    }

    fn has(&self, c: char) -> bool {
        self.shaping.glyph_index(c).is_some()
    }
}

/// Why a font file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FontError {
    #[error("the font file {path} cannot be read: {cause}")]
    Read { path: String, cause: std::io::Error },
    #[error("{0} is no font file (TrueType, OpenType or a collection)")]
    NoFont(String),
}

/// A piece of a line in one font, as it stands on paper.
#[derive(Debug)]
pub struct Run {
    pub font: Font,
    pub text: String,
    pub glyphs: Vec<KrillaGlyph>,
    /// In units of the font size.
    pub width: f32,
}

/// A line, its runs from left to right.
#[derive(Debug, Default)]
pub struct Line {
    pub runs: Vec<Run>,
    /// In units of the font size.
    pub width: f32,
}

impl Fonts {
    /// The built-in fonts and then `files`. They are read once and stay for as long as the process lives.
    ///
    /// # Errors
    /// A file that cannot be read or is no font.
    pub fn load(files: &[impl AsRef<Path>]) -> Result<Self, FontError> {
        let built_in = |bytes| Loaded::of(bytes).expect("the built-in fonts are sound");
        let mut fonts = Self {
            regular: vec![built_in(dejavu::sans::regular())],
            bold: vec![built_in(dejavu::sans::bold())],
        };
        for file in files {
            let path = file.as_ref();
            let name = || path.display().to_string();
            let bytes = std::fs::read(path).map_err(|cause| FontError::Read { path: name(), cause })?;
            // Shaping wants them for ever, and there are few of them.
            let font = Loaded::of(bytes.leak()).ok_or_else(|| FontError::NoFont(name()))?;
            fonts.regular.push(font);
        }
        Ok(fonts)
    }

    /// One line, however long. Control characters count as spaces.
    #[must_use]
    pub fn line(&self, text: &str, weight: Weight) -> Line {
        let runs: Vec<Run> = self.shaped(text, weight).into_iter().map(|(_, run)| run).collect();
        let width = runs.iter().map(|run| run.width).sum();
        Line { runs, width }
    }

    /// The same line as polygons that come close to its letters' outlines, in units of the font size: from its beginning on
    /// the baseline, upwards is positive. What is in them says the nonzero rule.
    #[must_use]
    pub fn outlines(&self, text: &str, weight: Weight) -> Vec<Polygon> {
        let mut drawn = Drawn { polygons: Vec::new(), origin: (0.0, 0.0), scale: 1.0 };
        let mut x = 0.0;
        for (font, run) in self.shaped(text, weight) {
            drawn.scale = 1.0 / font.shaping.units_per_em() as f32;
            for glyph in &run.glyphs {
                drawn.origin = (x + glyph.x_offset, glyph.y_offset);
                // Font files number their glyphs with 16 bits.
                let id = u16::try_from(glyph.glyph_id.to_u32()).unwrap_or_default();
                // What has no outline, as a space, draws nothing.
                let _ = font.shaping.outline_glyph(ttf_parser::GlyphId(id), &mut drawn);
                x += glyph.x_advance;
            }
        }
        drawn.polygons
    }

    /// The runs of a line from left to right, with their fonts.
    fn shaped(&self, text: &str, weight: Weight) -> Vec<(&Loaded, Run)> {
        let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let bidi = BidiInfo::new(&clean, None);
        let mut shaped = Vec::new();
        for paragraph in &bidi.paragraphs {
            let (levels, runs) = bidi.visual_runs(paragraph, paragraph.range.clone());
            for run in runs {
                let rtl = levels[run.start].is_rtl();
                let mut pieces = self.pieces(&clean[run], weight);
                if rtl {
                    pieces.reverse();
                }
                shaped.extend(pieces.into_iter().map(|(font, text)| (font, shape(font, text, rtl))));
            }
        }
        shaped
    }

    /// Lines of at most `width` (in units of the font size), broken between words, and within one that is too
    /// long; the last of `most` lines ends with an ellipsis if there is more.
    #[must_use]
    pub fn wrap(&self, text: &str, weight: Weight, width: f32, most: usize) -> Vec<Line> {
        self.broken(text, weight, width, most).iter().map(|text| self.line(text, weight)).collect()
    }

    /// The texts of these lines.
    #[must_use]
    pub fn broken(&self, text: &str, weight: Weight, width: f32, most: usize) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        let mut rest: Vec<String> = text.split_whitespace().rev().map(str::to_owned).collect();
        let mut now = String::new();
        let fits = |text: &str| self.line(text, weight).width <= width;
        while let Some(word) = rest.pop() {
            let longer = if now.is_empty() { word.clone() } else { format!("{now} {word}") };
            if fits(&longer) {
                now = longer;
            } else if now.is_empty() {
                // One letter at least, or this never ends.
                let cut = word
                    .char_indices()
                    .map(|(at, _)| at)
                    .skip(1)
                    .take_while(|at| fits(&word[..*at]))
                    .last()
                    .or_else(|| word.char_indices().nth(1).map(|(at, _)| at));
                match cut {
                    Some(at) => {
                        lines.push(word[..at].to_owned());
                        rest.push(word[at..].to_owned());
                    }
                    None => lines.push(word),
                }
            } else {
                lines.push(std::mem::take(&mut now));
                rest.push(word);
            }
            if lines.len() > most {
                break;
            }
        }
        if !now.is_empty() {
            lines.push(now);
        }
        if lines.len() > most {
            lines.truncate(most);
            if let Some(last) = lines.last_mut() {
                while !last.is_empty() && !fits(&format!("{last}…")) {
                    last.pop();
                }
                last.push('…');
            }
        }
        lines
    }

    /// The text cut where another font must take over. Spaces and marks stay with what is before them.
    fn pieces<'t>(&self, text: &'t str, weight: Weight) -> Vec<(&Loaded, &'t str)> {
        let fonts = match weight {
            Weight::Regular => &self.regular,
            Weight::Bold => &self.bold,
        };
        // What the bold one lacks, a regular one may have.
        let all: Vec<&Loaded> = fonts.iter().chain(&self.regular).collect();
        let mut out: Vec<(usize, Range<usize>)> = Vec::new();
        for (at, c) in text.char_indices() {
            let end = at + c.len_utf8();
            let best = all.iter().position(|font| font.has(c)).unwrap_or(0);
            match out.last_mut() {
                Some((font, range)) if *font == best || all[*font].has(c) || joins(c) => range.end = end,
                _ => out.push((best, at..end)),
            }
        }
        out.into_iter().map(|(font, range)| (all[font], &text[range])).collect()
    }
}

/// A closed line through points.
pub type Polygon = Vec<(f32, f32)>;

/// Straight pieces that stand for a curve.
const PIECES: u8 = 8;

/// Gathers outlines.
struct Drawn {
    polygons: Vec<Polygon>,
    origin: (f32, f32),
    scale: f32,
}

impl Drawn {
    fn put(&mut self, (x, y): (f32, f32)) {
        let point = (self.origin.0 + x * self.scale, self.origin.1 + y * self.scale);
        if let Some(polygon) = self.polygons.last_mut() {
            polygon.push(point);
        }
    }

    /// Where the outline is, in the font's units.
    fn here(&self) -> (f32, f32) {
        let (x, y) = self.polygons.last().and_then(|p| p.last()).copied().unwrap_or(self.origin);
        ((x - self.origin.0) / self.scale, (y - self.origin.1) / self.scale)
    }

    /// A curve from here on: its point at each `t` of 0 to 1.
    fn curve(&mut self, at: impl Fn(f32) -> (f32, f32)) {
        for n in 1..=PIECES {
            self.put(at(f32::from(n) / f32::from(PIECES)));
        }
    }
}

impl OutlineBuilder for Drawn {
    fn move_to(&mut self, x: f32, y: f32) {
        self.polygons.push(Vec::new());
        self.put((x, y));
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.put((x, y));
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let (x0, y0) = self.here();
        self.curve(|t| {
            let bend = |a: f32, b: f32, c: f32| (1.0 - t).powi(2) * a + 2.0 * (1.0 - t) * t * b + t * t * c;
            (bend(x0, x1, x), bend(y0, y1, y))
        });
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let (x0, y0) = self.here();
        self.curve(|t| {
            let s = 1.0 - t;
            let bend = |a: f32, b: f32, c: f32, d: f32| {
                s.powi(3) * a + 3.0 * s * s * t * b + 3.0 * s * t * t * c + t.powi(3) * d
            };
            (bend(x0, x1, x2, x), bend(y0, y1, y2, y))
        });
    }

    // Polygons are closed as it is.
    fn close(&mut self) {}
}

/// True for what belongs to the letter before it: spaces, joiners, selectors.
fn joins(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{fe00}'..='\u{fe0f}')
}

fn shape(font: &Loaded, text: &str, rtl: bool) -> Run {
    let mut buffer = UnicodeBuffer::new();
    buffer.push_str(text);
    buffer.guess_segment_properties();
    buffer.set_direction(if rtl { Direction::RightToLeft } else { Direction::LeftToRight });
    let shaped = rustybuzz::shape(&font.shaping, &[], buffer);
    let mut starts: Vec<usize> = shaped.glyph_infos().iter().map(|info| cluster(info.cluster)).collect();
    starts.sort_unstable();
    starts.dedup();
    // Fonts have at most 16,384 units to the em: no float loses any of them.
    let em = font.shaping.units_per_em() as f32;
    let units = |n: i32| n as f32 / em;
    let glyphs: Vec<KrillaGlyph> = shaped
        .glyph_infos()
        .iter()
        .zip(shaped.glyph_positions())
        .map(|(info, at)| {
            let start = cluster(info.cluster);
            let end = starts.iter().copied().find(|s| *s > start).unwrap_or(text.len());
            KrillaGlyph::new(
                GlyphId::new(info.glyph_id),
                units(at.x_advance),
                units(at.x_offset),
                units(at.y_offset),
                units(at.y_advance),
                start..end,
                None,
            )
        })
        .collect();
    let width = shaped.glyph_positions().iter().map(|at| units(at.x_advance)).sum();
    Run { font: font.embedding.clone(), text: text.to_owned(), glyphs, width }
}

fn cluster(at: u32) -> usize {
    usize::try_from(at).expect("a cluster is a place in a text in memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fonts() -> Fonts {
        Fonts::load(&[] as &[&str]).unwrap()
    }

    fn has_every_glyph(line: &Line) -> bool {
        line.runs.iter().flat_map(|run| &run.glyphs).all(|glyph| {
            use krilla::text::Glyph as _;
            glyph.glyph_id().to_u32() != 0
        })
    }

    #[test]
    fn names_of_many_scripts_have_their_letters() {
        let fonts = fonts();
        for name in [
            "Zoë Brontë-Ångström",
            "Łukasz Żółć",
            "Ελένη Παπαδοπούλου",
            "Олександр Шевченко",
            "Արամ Խաչատրյան",
            "ნინო ბერიძე",
            "יעל כהן",
            "محمد عبد الله",
        ] {
            for weight in [Weight::Regular, Weight::Bold] {
                let line = fonts.line(name, weight);
                assert!(has_every_glyph(&line), "{name}");
                assert!(line.width > 1.0, "{name}");
            }
        }
        assert!(
            !has_every_glyph(&fonts.line("王小明", Weight::Regular)),
            "this takes a font of the operator"
        );
    }

    #[test]
    fn arabic_is_joined_and_runs_from_the_right() {
        let fonts = fonts();
        let drawn = |text: &str| -> Vec<(u32, usize)> {
            use krilla::text::Glyph as _;
            let line = fonts.line(text, Weight::Regular);
            let glyphs = line.runs.iter().flat_map(|run| &run.glyphs);
            glyphs.map(|glyph| (glyph.glyph_id().to_u32(), glyph.text_range().start)).collect()
        };
        let joined = drawn("محمد");
        let apart: Vec<u32> = "محمد".chars().flat_map(|c| drawn(&c.to_string())).map(|(id, _)| id).collect();
        assert!(joined.iter().any(|(id, _)| !apart.contains(id)), "joined forms are other glyphs");
        let from_left: Vec<usize> = joined.iter().map(|(_, at)| *at).collect();
        assert!(from_left.is_sorted_by(|a, b| a >= b), "the last letter stands leftmost: {from_left:?}");
        let mixed = fonts.line("Tor יעל 7", Weight::Regular);
        assert_eq!(mixed.runs.first().map(|r| r.text.trim()), Some("Tor"));
    }

    #[test]
    fn lines_keep_their_width_and_the_last_one_says_that_there_is_more() {
        let fonts = fonts();
        let text = "A long title about nothing in particular ".repeat(5);
        let lines = fonts.wrap(&text, Weight::Bold, 12.0, 3);
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|l| l.width <= 12.0));
        assert!(lines[2].runs.last().is_some_and(|r| r.text.ends_with('…')));
        let word = fonts.wrap(&"x".repeat(100), Weight::Regular, 10.0, 50);
        assert!(word.len() > 3 && word.iter().all(|l| l.width <= 10.0));
        assert!(fonts.wrap("", Weight::Regular, 10.0, 3).is_empty());
        assert_eq!(fonts.wrap("W", Weight::Regular, 0.1, 3).len(), 1, "narrower than a letter");
    }
}
