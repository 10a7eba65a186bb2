//! What is known of every symbol before it is read: its function patterns (ISO/IEC 18004, 6.3).

/// Modules of a side: 21, 25 … 177.
pub fn is_side(side: usize) -> bool {
    (21..=177).contains(&side) && side % 4 == 1
}

/// A module whose colour is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    pub x: usize,
    pub y: usize,
    pub dark: bool,
}

/// Modules of the three finder patterns with their separators.
pub const FINDERS: usize = 3 * 64;

/// These.
pub fn finders(side: usize) -> Vec<Known> {
    let mut out = Vec::with_capacity(FINDERS);
    for (left, top) in [(0, 0), (side - 7, 0), (0, side - 7)] {
        let cells = (-1..8_isize).flat_map(|y| (-1..8_isize).map(move |x| (x, y)));
        for (dx, dy) in cells {
            let (x, y) = (left as isize + dx, top as isize + dy);
            if x < 0 || y < 0 || x >= side as isize || y >= side as isize {
                continue;
            }
            // Rings around the middle: 0 and 1 dark, 2 light, 3 dark, 4 light.
            let ring = (dx - 3).abs().max((dy - 3).abs());
            out.push(Known { x: x as usize, y: y as usize, dark: ring != 2 && ring != 4 });
        }
    }
    out
}

/// Timing patterns, alignment patterns, and the module that is always dark.
pub fn others(side: usize) -> Vec<Known> {
    let mut out = vec![Known { x: 8, y: side - 8, dark: true }];
    let centres = alignment_centres(side);
    let last = centres.len().saturating_sub(1);
    let mut aligned = Vec::new();
    for (i, cy) in centres.iter().enumerate() {
        for (j, cx) in centres.iter().enumerate() {
            if (i, j) == (0, 0) || (i, j) == (0, last) || (i, j) == (last, 0) {
                continue;
            }
            aligned.push((*cx, *cy));
            for (dx, dy) in (0..5).flat_map(|y| (0..5).map(move |x| (x, y))) {
                let ring = usize::abs_diff(dx, 2).max(usize::abs_diff(dy, 2));
                out.push(Known { x: cx + dx - 2, y: cy + dy - 2, dark: ring != 1 });
            }
        }
    }
    for n in 8..side - 8 {
        for (x, y) in [(n, 6), (6, n)] {
            if !aligned.iter().any(|(cx, cy)| x.abs_diff(*cx) <= 2 && y.abs_diff(*cy) <= 2) {
                out.push(Known { x, y, dark: n % 2 == 0 });
            }
        }
    }
    out
}

/// Where alignment patterns have their middles, in both directions (annex E).
fn alignment_centres(side: usize) -> Vec<usize> {
    let version = (side - 17) / 4;
    if version < 2 {
        return Vec::new();
    }
    let gaps = version / 7 + 1;
    let (first, last) = (6, side - 7);
    // Even steps counted from the far end; version 32 is the standard's own exception.
    let step =
        if version == 32 { 26 } else { ((last - first) as f32 / gaps as f32 / 2.0).ceil() as usize * 2 };
    let mut out = vec![first];
    out.extend((0..gaps).rev().map(|n| last - n * step));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use qrcode::{Color, EcLevel, QrCode, Version};

    #[test]
    fn every_version_has_its_function_patterns_where_they_are_expected() {
        for version in 1..=40_i16 {
            let code = QrCode::with_version(b"1", Version::Normal(version), EcLevel::L).unwrap();
            let side = code.width();
            assert!(is_side(side));
            let colors = code.to_colors();
            let known = finders(side).into_iter().chain(others(side));
            for Known { x, y, dark } in known {
                assert_eq!(colors[y * side + x] == Color::Dark, dark, "version {version}: {x}, {y}");
            }
        }
    }
}
