//! Ink or paper, pixel by pixel, by the mean of the surroundings.

use crate::gray::Gray;
use rxing::common::{BitArray, BitMatrix};

/// A pixel is ink if it and `margin` gray values more are darker than so many `percent` of the mean around it.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    pub percent: u32,
    pub margin: u32,
}

/// The surroundings reach so many pixels to each side.
pub fn ink(picture: &Gray<'_>, reach: usize, rule: Rule) -> Option<BitMatrix> {
    let (width, height) = (picture.width, picture.height);
    let mut bits = BitMatrix::new(width as u32, height as u32).ok()?;
    let row = |y: usize| &picture.pixels[y * width..][..width];
    // Of each column, the sum of the rows that reach the current one; of each pixel, the sum around it.
    let mut columns = vec![0_u32; width];
    let mut around = vec![0_u32; width];
    let across: Vec<u32> =
        (0..width).map(|x| ((x + reach + 1).min(width) - x.saturating_sub(reach)) as u32).collect();
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
        for (x, around) in around.iter_mut().enumerate() {
            sum += columns.get(x + reach).copied().unwrap_or(0);
            if x > reach {
                sum -= columns[x - reach - 1];
            }
            *around = sum;
        }
        let rows = ((y + reach + 1).min(height) - y.saturating_sub(reach)) as u32;
        let is_ink = |((pixel, sum), across): ((&u8, &u32), &u32)| {
            (u32::from(*pixel) + rule.margin) * rows * across * 100 < sum * rule.percent
        };
        let cells = row(y).iter().zip(&around).zip(&across);
        let dark: Vec<bool> = cells.map(is_ink).collect();
        let mut line = BitArray::with_size(width);
        for (n, word) in dark.chunks(usize::BITS as usize).enumerate() {
            let word = word.iter().enumerate().fold(0, |bits, (n, dark)| bits | usize::from(*dark) << n);
            line.setBulk(n * usize::BITS as usize, word);
        }
        bits.setRow(y as u32, &line);
    }
    Some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixel_is_compared_with_the_mean_of_those_around_it_within_the_picture() {
        let pixels = [100, 100, 100, 100, 94, 100, 100, 100, 100];
        let picture = Gray::borrowed(&pixels, 3, 3);
        let set = |percent, margin| {
            let bits = ink(&picture, 1, Rule { percent, margin }).unwrap();
            (0..9).filter(|n| bits.get(n % 3, n / 3)).collect::<Vec<_>>()
        };
        assert_eq!(set(100, 3), [4]);
        assert_eq!(set(100, 6), Vec::<u32>::new());
        assert_eq!(set(97, 0), [4]);
        assert_eq!(set(90, 0), Vec::<u32>::new());
    }

    #[test]
    fn every_pixel_of_a_wide_picture_has_its_place() {
        let mut pixels = vec![200; 200 * 50];
        for at in [0, 63, 64, 127, 199, 25 * 200 + 130, 49 * 200 + 199] {
            pixels[at] = 10;
        }
        let bits = ink(&Gray::borrowed(&pixels, 200, 50), 20, Rule { percent: 100, margin: 5 }).unwrap();
        for (at, pixel) in pixels.iter().enumerate() {
            assert_eq!(bits.get(at as u32 % 200, at as u32 / 200), *pixel == 10, "{at}");
        }
    }
}
