//! Pictures of gray bytes, and what can be made of them.

use crate::plane::At;

/// A picture: row by row, one byte a pixel, 0 is black.
#[derive(Debug, Clone)]
pub struct Gray<'p> {
    pub pixels: std::borrow::Cow<'p, [u8]>,
    pub width: usize,
    pub height: usize,
}

impl<'p> Gray<'p> {
    pub fn borrowed(pixels: &'p [u8], width: usize, height: usize) -> Self {
        Self { pixels: pixels.into(), width, height }
    }

    fn owned(pixels: Vec<u8>, width: usize, height: usize) -> Gray<'static> {
        Gray { pixels: pixels.into(), width, height }
    }

    fn row(&self, y: usize) -> &[u8] {
        &self.pixels[y * self.width..][..self.width]
    }

    /// Half as wide and high: each pixel the mean of four. Takes out noise, motion and a screen's grid.
    pub fn halved(&self) -> Gray<'static> {
        let (width, height) = (self.width / 2, self.height / 2);
        let mut out = Vec::with_capacity(width * height);
        for y in 0..height {
            let (upper, lower) = (self.row(2 * y), self.row(2 * y + 1));
            out.extend(upper.chunks_exact(2).zip(lower.chunks_exact(2)).map(|(u, l)| {
                ((u16::from(u[0]) + u16::from(u[1]) + u16::from(l[0]) + u16::from(l[1]) + 2) / 4) as u8
            }));
        }
        Self::owned(out, width, height)
    }

    /// Twice as wide and high; between two pixels stands their mean.
    pub fn enlarged(&self) -> Gray<'static> {
        let mean = |a: u8, b: u8| u16::midpoint(u16::from(a), u16::from(b)) as u8;
        let widen = |row: &[u8], out: &mut Vec<u8>| {
            out.clear();
            for (x, p) in row.iter().enumerate() {
                out.push(*p);
                out.push(mean(*p, row.get(x + 1).copied().unwrap_or(*p)));
            }
        };
        let mut out = Vec::with_capacity(self.pixels.len() * 4);
        let (mut this, mut next) = (Vec::new(), Vec::new());
        for y in 0..self.height {
            widen(self.row(y), &mut this);
            widen(self.row((y + 1).min(self.height - 1)), &mut next);
            out.extend_from_slice(&this);
            out.extend(this.iter().zip(&next).map(|(a, b)| mean(*a, *b)));
        }
        Self::owned(out, self.width * 2, self.height * 2)
    }

    /// Each pixel the weighted mean of the nine around it (1 2 1 in both directions): noise out, edges stay.
    pub fn smoothed(&self) -> Gray<'static> {
        let blend = |a: u8, b: u8, c: u8| u16::from(a) + 2 * u16::from(b) + u16::from(c);
        let mut out = Vec::with_capacity(self.pixels.len());
        let mut sums = vec![0_u16; self.width];
        for y in 0..self.height {
            let (upper, row, lower) =
                (self.row(y.saturating_sub(1)), self.row(y), self.row((y + 1).min(self.height - 1)));
            for (sum, ((a, b), c)) in sums.iter_mut().zip(upper.iter().zip(row).zip(lower)) {
                *sum = blend(*a, *b, *c);
            }
            let last = self.width - 1;
            out.push(((3 * sums[0] + sums[1.min(last)] + 8) / 16) as u8);
            out.extend(sums.windows(3).map(|s| ((s[0] + 2 * s[1] + s[2] + 8) / 16) as u8));
            if last > 0 {
                out.push(((3 * sums[last] + sums[last - 1] + 8) / 16) as u8);
            }
        }
        Self::owned(out, self.width, self.height)
    }

    /// Dark for light.
    pub fn inverted(&self) -> Gray<'static> {
        Self::owned(self.pixels.iter().map(|p| 255 - p).collect(), self.width, self.height)
    }

    /// A part of it, cut off at its edges.
    pub fn part(&self, left: usize, top: usize, width: usize, height: usize) -> Gray<'static> {
        let (right, bottom) = ((left + width).min(self.width), (top + height).min(self.height));
        let (left, top) = (left.min(right), top.min(bottom));
        let out: Vec<u8> = (top..bottom).flat_map(|y| self.row(y)[left..right].iter().copied()).collect();
        Self::owned(out, right - left, bottom - top)
    }

    /// Light at a place between the pixels' middles; beyond the edge lies the edge.
    pub fn at(&self, (x, y): At) -> f32 {
        let within = |v: f32, end: usize| (v - 0.5).clamp(0.0, (end - 1) as f32);
        let (x, y) = (within(x, self.width), within(y, self.height));
        let (left, top) = (x as usize, y as usize);
        let (right, bottom) = ((left + 1).min(self.width - 1), (top + 1).min(self.height - 1));
        let (fx, fy) = (x - left as f32, y - top as f32);
        let across = |row: &[u8]| {
            let (a, b) = (f32::from(row[left]), f32::from(row[right]));
            a + (b - a) * fx
        };
        let (upper, lower) = (across(self.row(top)), across(self.row(bottom)));
        upper + (lower - upper) * fy
    }
}
