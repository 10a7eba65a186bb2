//! Reads a symbol whose finder patterns are known from the gray picture itself.
//!
//! A binarizer decides each pixel by itself; here the symbol's own function patterns, some 270 modules whose colours are
//! known, say first where exactly the symbol lies and then how its modules run into each other: what lens, motion and
//! noise have done is estimated as a filter that gives those modules back, and the same filter gives the others.

use crate::gray::Gray;
use crate::leveled::Leveled;
use crate::pattern::{self, Known};
use crate::plane::{At, Plane};
use rxing::common::BitMatrix;
use rxing::qrcode::cpp_port::decoder::Decode;

/// Middles of the three finder patterns.
#[derive(Debug, Clone, Copy)]
pub struct Corners {
    pub top_left: At,
    pub top_right: At,
    pub bottom_left: At,
}

impl Corners {
    /// One module to the right and one down, in pixels, if so many lie between the corners.
    fn steps(&self, span: f32) -> (At, At) {
        let ((x0, y0), (x1, y1), (x2, y2)) = (self.top_left, self.top_right, self.bottom_left);
        (((x1 - x0) / span, (y1 - y0) / span), ((x2 - x0) / span, (y2 - y0) / span))
    }
}

/// What came of it.
#[derive(Debug)]
pub enum Looked {
    /// The known modules are not there.
    Nothing,
    /// They are; the rest is not to be made out.
    Unclear,
    Read(String),
}

/// Fewer of the known modules than this agree with the picture: no symbol lies there. Of 1; noise alone comes to 0.2.
const AGREED: f32 = 0.3;
/// Half modules that the filter reaches to each side: at first, when only the known modules teach it, …
const NARROW: usize = 2;
/// … and when what it has decided teaches it too.
const WIDE: usize = 3;
/// Towards small taps.
const PULL: f32 = 0.03;
/// How often the filter is fitted again to what it decided itself.
const ROUNDS: usize = 3;

/// Less than this, and what was taken for finder patterns is none.
const ALIKE: f32 = 0.3;

/// True if the three corners look like finder patterns of a symbol of `side` modules in the picture as it is: cheap, and
/// refuses what noise and clutter bring.
pub fn promising(picture: &Gray<'_>, corners: &Corners, side: usize, sign: f32) -> bool {
    let (right, down) = corners.steps(side as f32 - 7.0);
    let all = [corners.top_left, corners.top_right, corners.bottom_left];
    all.iter().map(|at| likeness(picture, *at, right, down, sign)).sum::<f32>() / 3.0 > ALIKE
}

/// Two of the corners are known, the third is guessed: the corners with the guess moved, by three modules at most, to
/// where a finder pattern is, if one is.
pub fn third(picture: &Gray<'_>, corners: &Corners, module: f32, sign: f32) -> Option<Corners> {
    let ((x0, y0), (x1, y1)) = (corners.top_left, corners.top_right);
    let span = ((x1 - x0).hypot(y1 - y0) / module).max(14.0);
    let (right, down) = corners.steps(span);
    let mut all = [corners.top_left, corners.top_right, corners.bottom_left];
    // The one that looks least like one is the guess.
    let alike = all.map(|at| likeness(picture, at, right, down, sign));
    let guess = (0..3).min_by(|a, b| alike[*a].total_cmp(&alike[*b]))?;
    if (0..3).any(|n| n != guess && alike[n] < ALIKE) {
        return None;
    }
    let from = all[guess];
    let places = (-6..=6_i8).flat_map(|j| (-6..=6_i8).map(move |i| (f32::from(i) / 2.0, f32::from(j) / 2.0)));
    let (best, at) = places
        .map(|(i, j)| (from.0 + i * right.0 + j * down.0, from.1 + i * right.1 + j * down.1))
        .map(|at| (likeness(picture, at, right, down, sign), at))
        .max_by(|a, b| a.0.total_cmp(&b.0))?;
    if best < ALIKE {
        return None;
    }
    all[guess] = at;
    Some(Corners { top_left: all[0], top_right: all[1], bottom_left: all[2] })
}

/// Correlation of the light around a place with a finder pattern and its separator: 1 for one.
fn likeness(picture: &Gray<'_>, (x, y): At, right: At, down: At, sign: f32) -> f32 {
    let (mut light, mut squares, mut product) = (0.0_f32, 0.0_f32, 0.0_f32);
    for (i, j) in (-4..=4_i8).flat_map(|j| (-4..=4_i8).map(move |i| (i, j))) {
        let ring = i.abs().max(j.abs());
        let (i, j) = (f32::from(i), f32::from(j));
        let value = sign * picture.at((x + i * right.0 + j * down.0, y + i * right.1 + j * down.1));
        light += value;
        squares += value * value;
        // 33 dark cells and 48 light ones: weighted, their sum is nothing.
        product += if ring == 2 || ring == 4 { value / 48.0 } else { -value / 33.0 };
    }
    let spread = (squares / 81.0 - (light / 81.0) * (light / 81.0)).max(1.0).sqrt();
    // Of two colours alone, light and dark are so many spreads apart.
    product / spread / 2.04
}

/// The text of a symbol of `side` modules, dark on light if `sign` is 1 and light on dark if it is −1.
pub fn read(picture: &Leveled, corners: &Corners, side: usize, sign: f32) -> Looked {
    let known: Vec<Known> = pattern::finders(side).into_iter().chain(pattern::others(side)).collect();
    let Some(plane) = lie(picture, corners, side, sign, &known) else { return Looked::Nothing };
    Fine::of(picture, &plane, side, sign).read(&known).map_or(Looked::Unclear, Looked::Read)
}

fn decoded(side: usize, dark: impl Fn(usize) -> bool) -> Option<String> {
    let mut bits = BitMatrix::with_single_dimension(side as u32).ok()?;
    for n in (0..side * side).filter(|n| dark(*n)) {
        bits.set((n % side) as u32, (n / side) as u32);
    }
    crate::text(Decode(&bits))
}

/// Finds the plane on which the known modules agree with the picture best.
fn lie(picture: &Leveled, corners: &Corners, side: usize, sign: f32, known: &[Known]) -> Option<Plane> {
    let far = side as f32 - 3.5;
    // The fourth point is where smaller symbols have their one alignment pattern.
    let fourth = if side > 21 { far - 3.0 } else { far };
    let modules = [(3.5, 3.5), (far, 3.5), (3.5, far), (fourth, fourth)];
    let span = far - 3.5;
    let (right, down) = corners.steps(span);
    let (x0, y0) = corners.top_left;
    let along = fourth - 3.5;
    let flat = (x0 + along * (right.0 + down.0), y0 + along * (right.1 + down.1));
    let agreement = |pixels: &[At; 4], known: &[Known]| {
        let Some(plane) = Plane::through(&modules, pixels) else { return f32::MIN };
        let sum: f32 = known
            .iter()
            .map(|k| {
                let value = sign * picture.at(plane.seen((k.x as f32 + 0.5, k.y as f32 + 0.5)));
                if k.dark { -value } else { value }
            })
            .sum();
        sum / known.len() as f32
    };
    let (_, others) = known.split_at(pattern::FINDERS);
    let moved = |(x, y): At, i: f32, j: f32| (x + i * right.0 + j * down.0, y + i * right.1 + j * down.1);

    // Seen from the side, the fourth point may lie several modules off.
    let reach = (side as f32 * 0.15).ceil() as isize;
    let mut starts: Vec<(f32, [At; 4])> = Vec::new();
    for (i, j) in (-reach..=reach).flat_map(|j| (-reach..=reach).map(move |i| (i, j))) {
        let pixels =
            [corners.top_left, corners.top_right, corners.bottom_left, moved(flat, i as f32, j as f32)];
        starts.push((agreement(&pixels, others), pixels));
    }
    starts.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut best = (f32::MIN, [(0.0, 0.0); 4]);
    for start in starts.iter().take(2) {
        let mut pixels = start.1;
        let mut score = agreement(&pixels, known);
        for step in [0.6, 0.3, 0.15, 0.07] {
            for _ in 0..3 {
                let before = score;
                for corner in 0..4 {
                    for (i, j) in [(step, 0.0), (-step, 0.0), (0.0, step), (0.0, -step)] {
                        let mut other = pixels;
                        other[corner] = moved(other[corner], i, j);
                        let now = agreement(&other, known);
                        if now > score {
                            (score, pixels) = (now, other);
                        }
                    }
                }
                if score <= before {
                    break;
                }
            }
            if score < AGREED / 2.0 {
                break;
            }
        }
        if score > best.0 {
            best = (score, pixels);
        }
    }
    if best.0 < AGREED {
        return None;
    }
    Plane::through(&modules, &best.1)
}

/// A symbol's light at every half module, with a module and a half around it.
struct Fine {
    side: usize,
    across: usize,
    light: Vec<f32>,
}

impl Fine {
    fn of(picture: &Leveled, plane: &Plane, side: usize, sign: f32) -> Self {
        let across = 2 * side + 2 * WIDE - 1;
        let mut light = Vec::with_capacity(across * across);
        for (j, i) in (0..across).flat_map(|j| (0..across).map(move |i| (j, i))) {
            // Module m has its middle at 2 m + WIDE.
            let place = |n: usize| (n as f32 - WIDE as f32 + 1.0) * 0.5;
            let (u, v) = (place(i), place(j));
            let near = [(-0.125, -0.125), (0.125, -0.125), (-0.125, 0.125), (0.125, 0.125)];
            let sum: f32 = near.iter().map(|(du, dv)| picture.at(plane.seen((u + du, v + dv)))).sum();
            light.push(sign * sum / near.len() as f32);
        }
        Self { side, across, light }
    }

    fn read(&self, known: &[Known]) -> Option<String> {
        let side = self.side;
        let truth = || known.iter().map(|k| (k.x, k.y, if k.dark { -1.0 } else { 1.0 }));
        let mut weights = self.fit(NARROW, truth())?;
        for round in 0..=ROUNDS {
            let values = self.values(if round == 0 { NARROW } else { WIDE }, &weights);
            if let Some(text) = decoded(side, |n| values[n] < 0.0) {
                return Some(text);
            }
            // What is clear teaches what is not.
            let clear = values.iter().enumerate().filter(|(_, v)| v.abs() > 0.3);
            let sure = clear.map(|(n, v)| (n % side, n / side, v.signum()));
            weights = self.fit(WIDE, sure.chain(truth()))?;
        }
        decoded(side, |n| self.light[(2 * (n / side) + WIDE) * self.across + 2 * (n % side) + WIDE] < 0.0)
    }

    /// What the filter sees of a module: light around it, and a constant.
    fn around(&self, reach: usize, (x, y): (usize, usize), out: &mut [f32]) {
        let taps = 2 * reach + 1;
        let (constant, light) = out.split_last_mut().expect("a filter has a constant");
        *constant = 1.0;
        for (j, row) in light.chunks_exact_mut(taps).enumerate() {
            let from = (2 * y + WIDE - reach + j) * self.across + 2 * x + WIDE - reach;
            row.copy_from_slice(&self.light[from..from + taps]);
        }
    }

    /// The taps that give these modules' colours back best (least squares, with a pull towards small taps).
    fn fit(&self, reach: usize, truth: impl Iterator<Item = (usize, usize, f32)>) -> Option<Vec<f32>> {
        let count = weights(reach);
        let mut products = vec![0.0_f32; count * count];
        let mut wanted = vec![0.0_f32; count];
        let mut around = vec![0.0_f32; count];
        let mut taught = 0.0;
        for (x, y, colour) in truth {
            self.around(reach, (x, y), &mut around);
            for (n, a) in around.iter().enumerate() {
                for (product, b) in products[n * count..][..=n].iter_mut().zip(&around) {
                    *product += a * b;
                }
                wanted[n] += a * colour;
            }
            taught += 1.0;
        }
        (0..count).for_each(|n| products[n * count + n] += PULL * taught);
        solved(products, wanted)
    }

    fn values(&self, reach: usize, filter: &[f32]) -> Vec<f32> {
        let mut around = vec![0.0_f32; weights(reach)];
        let value = |n: usize| {
            self.around(reach, (n % self.side, n / self.side), &mut around);
            around.iter().zip(filter).map(|(a, w)| a * w).sum()
        };
        (0..self.side * self.side).map(value).collect()
    }
}

const fn weights(reach: usize) -> usize {
    (2 * reach + 1) * (2 * reach + 1) + 1
}

/// Solves a symmetric system, of which the lower half is given, by Cholesky's decomposition.
fn solved(mut a: Vec<f32>, mut b: Vec<f32>) -> Option<Vec<f32>> {
    let count = b.len();
    for i in 0..count {
        for j in 0..=i {
            let (row, other) = (&a[i * count..][..j], &a[j * count..][..j]);
            let sum: f32 = row.iter().zip(other).map(|(p, q)| p * q).sum();
            let rest = a[i * count + j] - sum;
            if i == j && rest <= 0.0 {
                return None;
            }
            a[i * count + j] = if i == j { rest.sqrt() } else { rest / a[j * count + j] };
        }
    }
    for i in 0..count {
        let sum: f32 = (0..i).map(|k| a[i * count + k] * b[k]).sum();
        b[i] = (b[i] - sum) / a[i * count + i];
    }
    for i in (0..count).rev() {
        let sum: f32 = (i + 1..count).map(|k| a[k * count + i] * b[k]).sum();
        b[i] = (b[i] - sum) / a[i * count + i];
    }
    Some(b)
}
