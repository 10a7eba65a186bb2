//! Where in a picture there is so much to see in both directions that a code may be there.

use crate::gray::Gray;

/// Pixels of a side of a tile.
const TILE: usize = 16;

/// The left upper corners of the `count` busiest squares of `side` pixels, which overlap by half at most.
pub fn squares(picture: &Gray<'_>, side: usize, count: usize) -> Vec<(usize, usize)> {
    let (columns, rows) = (picture.width / TILE, picture.height / TILE);
    let tiles = (side / TILE).max(1);
    let (wide, high) = (tiles.min(columns), tiles.min(rows));
    if wide == 0 || high == 0 || (wide < tiles && high < tiles) {
        return vec![(0, 0)];
    }
    let row = |y: usize| &picture.pixels[y * picture.width..][..picture.width];
    let mut busy = vec![0_u32; columns * rows];
    for (y, tiles) in busy.chunks_exact_mut(columns).enumerate() {
        let mut across = vec![0_u32; columns];
        let mut down = vec![0_u32; columns];
        for line in y * TILE..(y * TILE + TILE).min(picture.height - 1) {
            let (this, next) = (row(line), row(line + 1));
            for (column, (a, b)) in this.chunks_exact(TILE).zip(next.chunks_exact(TILE)).enumerate() {
                across[column] += a.windows(2).map(|w| u32::from(w[0].abs_diff(w[1]))).sum::<u32>();
                down[column] += a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b))).sum::<u32>();
            }
        }
        tiles.iter_mut().zip(across.iter().zip(&down)).for_each(|(tile, (a, d))| *tile = *a.min(d));
    }
    let mut found: Vec<(u32, usize, usize)> = Vec::new();
    let rows = (0..=rows - high).step_by(2);
    for (y, x) in rows.flat_map(|y| (0..=columns - wide).step_by(2).map(move |x| (y, x))) {
        let sum = (y..y + high).map(|y| busy[y * columns..][x..x + wide].iter().sum::<u32>()).sum();
        found.push((sum, x, y));
    }
    found.sort_by_key(|(sum, ..)| std::cmp::Reverse(*sum));
    let mut out: Vec<(usize, usize)> = Vec::new();
    for (_, x, y) in found {
        let apart = |other: &(usize, usize)| other.0.abs_diff(x).max(other.1.abs_diff(y)) * 2 >= tiles;
        if out.iter().all(apart) {
            out.push((x, y));
            if out.len() == count {
                break;
            }
        }
    }
    out.into_iter().map(|(x, y)| (x * TILE, y * TILE)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_square_is_where_something_changes_in_both_directions() {
        let (width, height) = (640, 480);
        let mut pixels = vec![90; width * height];
        // Lines across the picture are no code; squares are.
        for y in 0..height {
            for x in 0..width {
                if x < 300 && y % 2 == 0 {
                    pixels[y * width + x] = 200;
                }
                if (400..500).contains(&x) && (300..400).contains(&y) && (x / 3 + y / 3) % 2 == 0 {
                    pixels[y * width + x] = 200;
                }
            }
        }
        let (x, y) = squares(&Gray::borrowed(&pixels, width, height), 128, 1)[0];
        assert!(x <= 400 && x + 128 >= 500 && y <= 300 && y + 128 >= 400, "{x}, {y}");
        assert_eq!(squares(&Gray::borrowed(&pixels[..100], 10, 10), 128, 3), [(0, 0)]);
    }
}
