//! A part of a picture without its shades: each pixel as it differs from its surroundings, in units of how much they
//! differ among themselves. Glare, shadows and faded print look alike then.

use crate::gray::Gray;
use crate::plane::At;

/// Gray values: less contrast than this is noise, not ink.
const FAINT: f32 = 1.5;

#[derive(Debug)]
pub struct Leveled {
    left: f32,
    top: f32,
    width: usize,
    height: usize,
    /// Near −1 is dark, near 1 is light.
    values: Vec<f32>,
}

impl Leveled {
    /// `reach`: how far the surroundings of a pixel reach, to each side.
    pub fn of(
        picture: &Gray<'_>,
        left: usize,
        top: usize,
        width: usize,
        height: usize,
        reach: usize,
    ) -> Option<Self> {
        let part = picture.part(left, top, width, height);
        let (width, height) = (part.width, part.height);
        if width < 21 || height < 21 {
            return None;
        }
        // Sums of all pixels above and to the left, and of their squares.
        let across = width + 1;
        let mut sums = vec![(0_u32, 0_u64); across * (height + 1)];
        for y in 0..height {
            let (mut sum, mut squares) = (0_u32, 0_u64);
            for x in 0..width {
                let p = u32::from(part.pixels[y * width + x]);
                sum += p;
                squares += u64::from(p * p);
                let above = sums[y * across + x + 1];
                sums[(y + 1) * across + x + 1] = (above.0.wrapping_add(sum), above.1 + squares);
            }
        }
        let mut values = Vec::with_capacity(width * height);
        for y in 0..height {
            let (y0, y1) = (y.saturating_sub(reach), (y + reach + 1).min(height));
            for x in 0..width {
                let (x0, x1) = (x.saturating_sub(reach), (x + reach + 1).min(width));
                let count = ((y1 - y0) * (x1 - x0)) as f32;
                let (a, b) = (sums[y0 * across + x0], sums[y0 * across + x1]);
                let (c, d) = (sums[y1 * across + x0], sums[y1 * across + x1]);
                let sum = d.0.wrapping_add(a.0).wrapping_sub(b.0).wrapping_sub(c.0);
                let mean = sum as f32 / count;
                let square = ((d.1 + a.1) - (b.1 + c.1)) as f32 / count;
                let spread = (square - mean * mean).max(0.0).sqrt();
                let value = (f32::from(part.pixels[y * width + x]) - mean) / spread.max(FAINT);
                values.push(value.clamp(-2.0, 2.0));
            }
        }
        Some(Self { left: left as f32, top: top as f32, width, height, values })
    }

    /// The value at a place of the whole picture, between the pixels; 0 outside.
    pub fn at(&self, (x, y): At) -> f32 {
        let (x, y) = (x - self.left - 0.5, y - self.top - 0.5);
        if !(x >= 0.0 && y >= 0.0 && x < (self.width - 1) as f32 && y < (self.height - 1) as f32) {
            return 0.0;
        }
        let (column, row) = (x as usize, y as usize);
        let (fx, fy) = (x - column as f32, y - row as f32);
        let upper = &self.values[row * self.width + column..][..2];
        let lower = &self.values[(row + 1) * self.width + column..][..2];
        let (u, l) = (upper[0] + (upper[1] - upper[0]) * fx, lower[0] + (lower[1] - lower[0]) * fx);
        u + (l - u) * fy
    }
}
