//! Which finder patterns may belong together.

use crate::grid::Corners;
use crate::plane::At;
use rxing::common::cpp_essentials::ConcentricPattern;
use rxing::qrcode::cpp_port::detector::{FinderPatternSet, GenerateFinderPatternSets};

/// Patterns of which every three are looked at, largest first.
const PATTERNS: usize = 12;
/// Guesses from two patterns.
const GUESSES: usize = 36;
/// Of sets that are seen from the side, so many.
const ASLANT_SETS: usize = 8;
/// One side of a symbol that lies aslant looks longer than the other, at most so many times.
const LONGER: f32 = 3.0;
/// Cosine of the flattest and sharpest angle at which its sides meet: 38° and 142°.
const ASLANT: f32 = 0.79;

/// Sets, most plausible first. rxing knows those whose sides meet at 60° to 120° and are at most twice as long; what is
/// seen more from the side than that follows.
pub fn of(mut patterns: Vec<ConcentricPattern>) -> Vec<FinderPatternSet> {
    let mut sets = GenerateFinderPatternSets(&mut patterns);
    sets.truncate(super::SETS);
    patterns.sort_by_key(|p| std::cmp::Reverse(p.size));
    patterns.truncate(PATTERNS);
    let more: Vec<FinderPatternSet> =
        aslant(&patterns).into_iter().filter(|set| !sets.contains(set)).collect();
    sets.extend(more);
    sets
}

/// All plausible sets among a few patterns, however much aslant.
pub fn aslant(patterns: &[ConcentricPattern]) -> Vec<FinderPatternSet> {
    let mut found: Vec<(f32, FinderPatternSet)> = Vec::new();
    for (n, corner) in patterns.iter().enumerate() {
        for (m, first) in patterns.iter().enumerate().filter(|(m, _)| *m != n) {
            let rest = patterns.iter().enumerate().skip(m + 1).filter(|(k, _)| *k != n);
            found.extend(rest.filter_map(|(_, second)| plausible((*corner, *first, *second))));
        }
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    found.into_iter().map(|(_, set)| set).take(ASLANT_SETS).collect()
}

/// Where three corners may be if two of them are known, and the pixels of a module. Seen from the front: from the side,
/// the third lies near.
pub fn pairs(patterns: &[ConcentricPattern]) -> Vec<(Corners, f32)> {
    let mut out = Vec::new();
    for (n, a) in patterns.iter().enumerate() {
        for b in &patterns[n + 1..] {
            let (x, y) = (b.p.x - a.p.x, b.p.y - a.p.y);
            let module = (a.size + b.size) as f32 / 14.0;
            let modules = x.hypot(y) / module;
            if a.size.max(b.size) * 2 > a.size.min(b.size) * 3 || !(12.0..240.0).contains(&modules) {
                continue;
            }
            let (first, second) = ((a.p.x, a.p.y), (b.p.x, b.p.y));
            // Clockwise from the first to the second is one side of the line between them.
            let beside = |(px, py): At, turn: f32, share: f32| (px - y * turn * share, py + x * turn * share);
            let corners = |top_left, top_right, bottom_left| Corners { top_left, top_right, bottom_left };
            let middle = ((first.0 + second.0) / 2.0, (first.1 + second.1) / 2.0);
            // They are the two upper ones, or the two left ones, either way round; or those across.
            out.push((corners(first, second, beside(first, 1.0, 1.0)), module));
            out.push((corners(second, first, beside(second, -1.0, 1.0)), module));
            out.push((corners(first, beside(first, -1.0, 1.0), second), module));
            out.push((corners(second, beside(second, 1.0, 1.0), first), module));
            out.push((corners(beside(middle, -1.0, 0.5), second, first), module));
            out.push((corners(beside(middle, 1.0, 0.5), first, second), module));
        }
    }
    out.truncate(GUESSES);
    out
}

/// The set that has this corner, and how little plausible it is.
fn plausible(
    (corner, first, second): (ConcentricPattern, ConcentricPattern, ConcentricPattern),
) -> Option<(f32, FinderPatternSet)> {
    let sizes = [corner.size, first.size, second.size];
    if sizes.iter().max()? > &(sizes.iter().min()? * 2) {
        return None;
    }
    let (a, b) = (first - corner, second - corner);
    let (long, short) = (a.p.x.hypot(a.p.y), b.p.x.hypot(b.p.y));
    let (long, short) = (long.max(short), long.min(short));
    let module = sizes.iter().sum::<i32>() as f32 / 21.0;
    // 14 modules lie between the patterns of the smallest symbol, 170 between those of the largest.
    if long > short * LONGER || long < 14.0 * module * 0.6 || long > 170.0 * module * 1.5 {
        return None;
    }
    if (ConcentricPattern::dot(a, b) / (long * short)).abs() > ASLANT {
        return None;
    }
    // Seen from the front, the second follows the first clockwise: what is at the right comes first.
    let (right, down) = if ConcentricPattern::cross(a, b) > 0.0 { (first, second) } else { (second, first) };
    Some((long + short + (long - short), FinderPatternSet { bl: down, tl: corner, tr: right }))
}
