//! Reads QR codes out of gray pictures.
//!
//! The symbol is looked for by rxing's port of zxing-cpp, in several versions of the picture: as it is, inverted, halved,
//! smoothed, enlarged. Where finder patterns are found but nothing is read, [`grid`] reads the gray picture itself.
//! No clock is looked at: how much is tried is limited by counts, so that the same picture always gives the same answer.
//! What was tried and what it brought stands in docs/decisions/0032-decoder.md.

mod busy;
mod gray;
mod grid;
mod leveled;
mod pattern;
mod plane;
mod sets;
mod threshold;

use gray::Gray;
use grid::{Corners, Looked};
use leveled::Leveled;
use plane::At;
use rxing::common::cpp_essentials::{ConcentricPattern, DecoderResult};
use rxing::common::{BitMatrix, DetectorRXingResult as _, HybridBinarizer};
use rxing::qrcode::cpp_port::decoder::Decode;
use rxing::qrcode::cpp_port::detector::{EstimateModuleSize, FindFinderPatterns, FinderPatternSet, SampleQR};
use rxing::{Binarizer as _, Luma8Source};
use threshold::{Means, Rule};

/// Larger pictures are halved until they are smaller: a code that fills a part of them has pixels enough.
const LARGE: usize = 1_500_000;
/// Sets of finder patterns that are looked at in a version of the picture, most plausible first.
const SETS: usize = 12;
/// Sets that are read from the gray picture, in all.
const GRIDS: usize = 10;
/// Pixels around one that are compared with it.
const REACH: usize = 20;
/// Smaller modules have no gray values of their own.
const SMALLEST_MODULE: f32 = 1.2;
/// A side of the squares that are enlarged: a code that needs it, of less than three pixels a module, with room around.
const ENLARGED: usize = 208;
/// Faint print, and anything that the blocks are too coarse for.
const FAINT_INK: Rule = Rule::Darker(2);
const FAINT_LIGHT: Rule = Rule::Lighter(2);
/// The dark bands of a screen's beat are still paper.
const BANDS: Rule = Rule::Below(65);
/// Finder patterns that are kept, of each kind.
const NOTED: usize = 8;
/// Modules of a side of a ticket's code: the first guess.
const TICKET_SIDE: usize = 41;

/// The text of a code in a picture of `width` × `height` gray bytes, if one is found.
#[must_use]
pub fn read(pixels: &[u8], width: usize, height: usize) -> Option<String> {
    if width == 0 || height == 0 || pixels.len() != width * height {
        return None;
    }
    // The detector trusts its own arithmetic; a picture for which that panics has no code.
    std::panic::catch_unwind(|| Search::of(Gray::borrowed(pixels, width, height)).run()).ok().flatten()
}

/// Which part of the picture a version of it shows.
#[derive(Debug, Clone, Copy)]
struct View {
    /// Pixels of the picture to a pixel of the version.
    scale: f32,
    left: f32,
    top: f32,
}

impl View {
    const WHOLE: Self = Self { scale: 1.0, left: 0.0, top: 0.0 };
}

/// What was tried with a picture.
struct Search<'p> {
    picture: Gray<'p>,
    /// Already read from the gray picture.
    grids: Vec<(Corners, f32)>,
    /// Finder patterns of all versions, in the picture's pixels; dark on light and light on dark.
    patterns: [Vec<ConcentricPattern>; 2],
}

impl<'p> Search<'p> {
    fn of(picture: Gray<'p>) -> Self {
        Self { picture, grids: Vec::new(), patterns: [Vec::new(), Vec::new()] }
    }

    fn run(mut self) -> Option<String> {
        let whole = self.picture.clone();
        if let Some(text) = self.blocks(&whole, View::WHOLE, 1.0) {
            return Some(text);
        }
        let halved = whole.halved();
        let by_half = View { scale: 2.0, ..View::WHOLE };
        if let Some(text) = self.blocks_either_way(&halved, by_half) {
            return Some(text);
        }
        if whole.pixels.len() > LARGE {
            return Search::of(halved).run();
        }
        // Light on dark as large as the picture is looked for here alone: a screen's code is not small.
        let means = Means::of(whole.smoothed(), REACH);
        if let Some(text) = self.bits(&means.ink(FAINT_INK)?, View::WHOLE, 1.0, false) {
            return Some(text);
        }
        if let Some(text) = self.bits(&means.ink(FAINT_LIGHT)?, View::WHOLE, -1.0, false) {
            return Some(text);
        }
        let bands = Means::of(halved, REACH).ink(BANDS)?;
        if let Some(text) = self.bits(&bands, by_half, 1.0, false) {
            return Some(text);
        }
        for (left, top) in busy::squares(&whole, ENLARGED, 2) {
            let part = whole.part(left, top, ENLARGED, ENLARGED).enlarged();
            let view = View { scale: 0.5, left: left as f32, top: top as f32 };
            if let Some(text) = self.blocks_either_way(&part, view) {
                return Some(text);
            }
        }
        self.together()
    }

    /// Dark on light, then light on dark.
    fn blocks_either_way(&mut self, version: &Gray<'_>, view: View) -> Option<String> {
        self.blocks(version, view, 1.0).or_else(|| self.blocks(&version.inverted(), view, -1.0))
    }

    /// By rxing's own binarizer, which looks at blocks of 8 × 8. It takes what is without contrast for paper, so that
    /// the picture has to be inverted and not its bits.
    fn blocks(&mut self, version: &Gray<'_>, view: View, sign: f32) -> Option<String> {
        let source =
            Luma8Source::new_with_slice(&version.pixels, version.width as u32, version.height as u32).ok()?;
        let binarizer = HybridBinarizer::new(source);
        self.bits(binarizer.get_black_matrix().ok()?, view, sign, true)
    }

    fn bits(&mut self, bits: &BitMatrix, view: View, sign: f32, every_row: bool) -> Option<String> {
        let patterns = FindFinderPatterns(bits, every_row, 0);
        self.note(&patterns, view, sign);
        let sets = sets::of(patterns);
        for set in &sets {
            let text = SampleQR(bits, set).ok().and_then(|found| text(Decode(found.getBits())));
            if text.is_some() {
                return text;
            }
        }
        sets.iter().find_map(|set| self.grid(bits, set, view, sign))
    }

    fn grid(&mut self, bits: &BitMatrix, set: &FinderPatternSet, view: View, sign: f32) -> Option<String> {
        let View { scale, left, top } = view;
        let at = |p: rxing::Point| (p.x * scale + left, p.y * scale + top);
        let corners = Corners { top_left: at(set.tl.p), top_right: at(set.tr.p), bottom_left: at(set.bl.p) };
        // Modules along the upper and the left side, each by what the pattern at either end says of their size.
        let length = |a: At, b: At| (a.0 - b.0).hypot(a.1 - b.1);
        let along = |other: ConcentricPattern, at: At| {
            let sizes = [(set.tl, other), (other, set.tl)].map(|(a, b)| EstimateModuleSize(bits, a, b));
            let found = sizes.iter().filter(|size| **size > 0.0);
            let module = found.clone().sum::<f64>() as f32 * scale / found.count().max(1) as f32;
            let module = if module > 0.0 { module } else { set.tl.size as f32 * scale / 7.0 };
            (module, length(corners.top_left, at) / module + 7.0)
        };
        let (upper, left) = (along(set.tr, corners.top_right), along(set.bl, corners.bottom_left));
        let module = upper.0.max(left.0);
        self.look(&corners, module, (upper.1 + left.1) / 2.0, sign)
    }

    /// Reads the gray picture where a symbol of about so many modules, each of about so many pixels, may have its corners.
    fn look(&mut self, corners: &Corners, module: f32, modules: f32, sign: f32) -> Option<String> {
        let near = |a: At, b: At| (a.0 - b.0).abs() + (a.1 - b.1).abs() < module * 2.0;
        let known = self.grids.iter().any(|(other, its)| {
            *its == sign
                && near(other.top_left, corners.top_left)
                && near(other.top_right, corners.top_right)
                && near(other.bottom_left, corners.bottom_left)
        });
        if known || self.grids.len() >= GRIDS || !(SMALLEST_MODULE..1_000.0).contains(&module) {
            return None;
        }
        let mut sides = sides(modules);
        sides.retain(|side| grid::promising(&self.picture, corners, *side, sign));
        if sides.is_empty() {
            return None;
        }
        self.grids.push((*corners, sign));
        let picture = self.leveled(corners, module)?;
        for side in sides {
            match grid::read(&picture, corners, side, sign) {
                Looked::Read(text) => return Some(text),
                // No other side would agree better.
                Looked::Unclear => return None,
                Looked::Nothing => {}
            }
        }
        None
    }

    /// Keeps finder patterns for [`Search::together`].
    fn note(&mut self, patterns: &[ConcentricPattern], view: View, sign: f32) {
        let all = &mut self.patterns[usize::from(sign < 0.0)];
        for pattern in patterns {
            let p =
                rxing::Point::new(pattern.p.x * view.scale + view.left, pattern.p.y * view.scale + view.top);
            let size = (pattern.size as f32 * view.scale).round() as i32;
            let known = |other: &ConcentricPattern| {
                (other.p.x - p.x).abs().max((other.p.y - p.y).abs()) < other.size as f32 / 2.0
            };
            if size as f32 > 7.0 * SMALLEST_MODULE && all.len() < NOTED && !all.iter().any(known) {
                all.push(ConcentricPattern { p, size });
            }
        }
    }

    /// What one version of the picture has hidden another has shown: finder patterns of all of them, and where there are
    /// but two, the place where the third must be.
    fn together(&mut self) -> Option<String> {
        for (patterns, sign) in std::mem::take(&mut self.patterns).into_iter().zip([1.0, -1.0]) {
            let threes = sets::aslant(&patterns).into_iter().map(|set| {
                let at = |p: ConcentricPattern| (p.p.x, p.p.y);
                let size = (set.tl.size + set.tr.size + set.bl.size) as f32 / 3.0;
                (Corners { top_left: at(set.tl), top_right: at(set.tr), bottom_left: at(set.bl) }, size / 7.0)
            });
            let found: Vec<(Corners, f32)> = threes.collect();
            let guessed = sets::pairs(&patterns).into_iter().filter_map(|(corners, module)| {
                Some((grid::third(&self.picture, &corners, module, sign)?, module))
            });
            let all: Vec<(Corners, f32)> = found.into_iter().chain(guessed).collect();
            for (corners, module) in all {
                let length = |a: At, b: At| (a.0 - b.0).hypot(a.1 - b.1);
                let span = length(corners.top_left, corners.top_right)
                    + length(corners.top_left, corners.bottom_left);
                if let Some(text) = self.look(&corners, module, span / 2.0 / module + 7.0, sign) {
                    return Some(text);
                }
            }
        }
        None
    }

    /// The part of the picture that a symbol with these corners may cover.
    fn leveled(&self, corners: &Corners, module: f32) -> Option<Leveled> {
        let fourth = (
            corners.top_right.0 + corners.bottom_left.0 - corners.top_left.0,
            corners.top_right.1 + corners.bottom_left.1 - corners.top_left.1,
        );
        let all = [corners.top_left, corners.top_right, corners.bottom_left, fourth];
        let margin = module * 10.0;
        let least =
            |of: fn(&At) -> f32| (all.iter().map(of).fold(f32::MAX, f32::min) - margin).max(0.0) as usize;
        let most = |of: fn(&At) -> f32| (all.iter().map(of).fold(0.0, f32::max) + margin).max(0.0) as usize;
        let (left, top) = (least(|p| p.0), least(|p| p.1));
        let (right, bottom) = (most(|p| p.0).max(left), most(|p| p.1).max(top));
        Leveled::of(&self.picture, left, top, right - left, bottom - top, (module * 5.0) as usize + 1)
    }
}

/// Which sides to try where one of about `modules` was measured.
fn sides(modules: f32) -> Vec<usize> {
    let version = ((modules - 17.0) / 4.0).round().clamp(1.0, 40.0) as usize;
    let mut out = vec![version * 4 + 17, version * 4 + 21, (version * 4 + 13).max(21)];
    if out.contains(&TICKET_SIDE) || (modules - TICKET_SIDE as f32).abs() < 12.0 {
        out.insert(0, TICKET_SIDE);
    }
    let mut seen = Vec::new();
    out.retain(|side| {
        pattern::is_side(*side) && !seen.contains(side) && {
            seen.push(*side);
            true
        }
    });
    out
}

/// The text of a symbol that was decoded without an error.
fn text(result: rxing::common::Result<DecoderResult<bool>>) -> Option<String> {
    let result = result.ok().filter(DecoderResult::isValid)?;
    Some(result.text()).filter(|text| !text.is_empty())
}
