//! Which finder patterns may belong together.

use rxing::common::cpp_essentials::ConcentricPattern;
use rxing::qrcode::cpp_port::detector::{FinderPatternSet, GenerateFinderPatternSets};

/// Patterns of which every three are looked at, largest first.
const PATTERNS: usize = 12;
/// Of these sets, so many.
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
    let mut aslant: Vec<(f32, FinderPatternSet)> = Vec::new();
    let count = patterns.len();
    for corner in 0..count {
        for first in 0..count {
            for second in first + 1..count {
                if first == corner || second == corner {
                    continue;
                }
                let set = (patterns[corner], patterns[first], patterns[second]);
                if let Some(found) = plausible(set)
                    && !sets.contains(&found.1)
                {
                    aslant.push(found);
                }
            }
        }
    }
    aslant.sort_by(|a, b| a.0.total_cmp(&b.0));
    sets.extend(aslant.into_iter().map(|(_, set)| set).take(ASLANT_SETS));
    sets
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
