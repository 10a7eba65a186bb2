//! Ink or paper, pixel by pixel, by the mean of the surroundings.

use crate::gray::Gray;
use rxing::common::{BitArray, BitMatrix};

/// How a pixel compares with the mean around it to count as ink.
#[derive(Debug, Clone, Copy)]
pub enum Rule {
    /// Darker by more gray values than that.
    Darker(i32),
    /// Lighter by more: what is light on dark.
    Lighter(i32),
    /// Darker than so many hundredths of the mean.
    Below(i32),
}

/// A picture and the mean around each of its pixels.
#[derive(Debug)]
pub struct Means {
    picture: Gray<'static>,
    /// In 256ths of a gray value.
    means: Vec<u16>,
}

impl Means {
    /// The surroundings reach so many pixels to each side.
    pub fn of(picture: Gray<'static>, reach: usize) -> Self {
        let (width, height) = (picture.width, picture.height);
        let row = |y: usize| &picture.pixels[y * width..][..width];
        let mut means = Vec::with_capacity(width * height);
        // Of each column, the sum of the rows that reach the current one.
        let mut columns = vec![0_u32; width];
        let count = |at: usize, end: usize| (at + reach + 1).min(end) - at.saturating_sub(reach);
        let shares: Vec<f32> = (0..width).map(|x| 256.0 / count(x, width) as f32).collect();
        let mut sums = vec![0_u32; width];
        for y in 0..reach.min(height) {
            columns.iter_mut().zip(row(y)).for_each(|(sum, p)| *sum += u32::from(*p));
        }
        for y in 0..height {
            if y + reach < height {
                columns.iter_mut().zip(row(y + reach)).for_each(|(sum, p)| *sum += u32::from(*p));
            }
            if y > reach {
                columns.iter_mut().zip(row(y - reach - 1)).for_each(|(sum, p)| *sum -= u32::from(*p));
            }
            let mut sum: u32 = columns[..reach.min(width)].iter().sum();
            for (x, out) in sums.iter_mut().enumerate() {
                sum += columns.get(x + reach).copied().unwrap_or(0);
                if x > reach {
                    sum -= columns[x - reach - 1];
                }
                *out = sum;
            }
            let rows = 1.0 / count(y, height) as f32;
            means.extend(sums.iter().zip(&shares).map(|(sum, share)| (*sum as f32 * share * rows) as u16));
        }
        Self { picture, means }
    }

    pub fn ink(&self, rule: Rule) -> Option<BitMatrix> {
        match rule {
            Rule::Darker(by) => self.where_is(|pixel, mean| pixel + by * 256 < mean),
            Rule::Lighter(by) => self.where_is(|pixel, mean| pixel > mean + by * 256),
            Rule::Below(hundredths) => self.where_is(|pixel, mean| pixel * 100 < mean * hundredths),
        }
    }

    /// Both in 256ths of a gray value.
    fn where_is(&self, ink: impl Fn(i32, i32) -> bool) -> Option<BitMatrix> {
        let (width, height) = (self.picture.width, self.picture.height);
        let mut bits = BitMatrix::new(width as u32, height as u32).ok()?;
        let rows = self.picture.pixels.chunks_exact(width).zip(self.means.chunks_exact(width));
        for (y, (pixels, means)) in rows.enumerate() {
            let mut line = BitArray::with_size(width);
            let words = pixels.chunks(usize::BITS as usize).zip(means.chunks(usize::BITS as usize));
            for (n, (pixels, means)) in words.enumerate() {
                let mut word = 0_usize;
                for (n, (pixel, mean)) in pixels.iter().zip(means).enumerate() {
                    word |= usize::from(ink(i32::from(*pixel) * 256, i32::from(*mean))) << n;
                }
                line.setBulk(n * usize::BITS as usize, word);
            }
            bits.setRow(y as u32, &line);
        }
        Some(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pixels: &[u8], width: usize, reach: usize) -> Means {
        Means::of(Gray::borrowed(pixels, width, pixels.len() / width).part(0, 0, width, pixels.len()), reach)
    }

    #[test]
    fn a_pixel_is_compared_with_the_mean_of_those_around_it_within_the_picture() {
        let means = of(&[100, 100, 100, 100, 94, 100, 100, 100, 108], 3, 1);
        let set = |rule: Rule| {
            let bits = means.ink(rule).unwrap();
            (0..9).filter(|n| bits.get(n % 3, n / 3)).collect::<Vec<_>>()
        };
        assert_eq!(set(Rule::Darker(3)), [4]);
        assert_eq!(set(Rule::Darker(7)), Vec::<u32>::new());
        assert_eq!(set(Rule::Lighter(3)), [8]);
        assert_eq!(set(Rule::Below(97)), [4]);
        assert_eq!(set(Rule::Below(90)), Vec::<u32>::new());
    }

    #[test]
    fn every_pixel_of_a_wide_picture_has_its_place() {
        let mut pixels = vec![200; 200 * 50];
        for at in [0, 63, 64, 127, 199, 25 * 200 + 130, 49 * 200 + 199] {
            pixels[at] = 10;
        }
        let bits = of(&pixels, 200, 20).ink(Rule::Darker(5)).unwrap();
        for (at, pixel) in pixels.iter().enumerate() {
            assert_eq!(bits.get(at as u32 % 200, at as u32 / 200), *pixel == 10, "{at}");
        }
    }
}
