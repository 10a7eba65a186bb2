//! A gray picture in the making: light from 0 to 255, not yet rounded.

use crate::chance::Chance;

/// What desks' cameras give.
pub const WIDTH: usize = 1280;
/// Rows.
pub const HEIGHT: usize = 720;

#[derive(Debug, Clone)]
pub struct Picture(pub Vec<f32>);

impl Picture {
    /// Lens out of focus: a Gaussian of `sigma` pixels.
    pub fn blur(&mut self, sigma: f32) {
        if sigma <= 0.0 {
            return;
        }
        let reach = (sigma * 3.0).ceil() as isize;
        let weight = |i: isize| (-((i * i) as f32) / (2.0 * sigma * sigma)).exp();
        let total: f32 = (-reach..=reach).map(weight).sum();
        let taps: Vec<(isize, f32)> = (-reach..=reach).map(|i| (i, weight(i) / total)).collect();
        let across: Vec<(isize, isize, f32)> = taps.iter().map(|(i, w)| (*i, 0, *w)).collect();
        let down: Vec<(isize, isize, f32)> = taps.iter().map(|(i, w)| (0, *i, *w)).collect();
        self.fold_with(&across);
        self.fold_with(&down);
    }

    /// A hand that moved `length` pixels while the shutter was open.
    pub fn smear(&mut self, length: f32, angle: f32) {
        if length <= 0.0 {
            return;
        }
        // Quarter pixels along the way, each spread over the four pixels around it.
        let steps = (length * 4.0).ceil() as usize;
        let (sin, cos) = angle.sin_cos();
        let mut taps: Vec<(isize, isize, f32)> = Vec::new();
        for step in 0..=steps {
            let along = length * (step as f32 / steps as f32 - 0.5);
            let (x, y) = (along * cos, along * sin);
            let (left, top) = (x.floor(), y.floor());
            for (dx, dy) in [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)] {
                let weight =
                    (1.0 - (x - left - dx).abs()) * (1.0 - (y - top - dy).abs()) / (steps + 1) as f32;
                let at = ((left + dx) as isize, (top + dy) as isize);
                match taps.iter_mut().find(|t| (t.0, t.1) == at) {
                    Some(tap) => tap.2 += weight,
                    None => taps.push((at.0, at.1, weight)),
                }
            }
        }
        self.fold_with(&taps);
    }

    /// Each pixel becomes the weighted sum of its neighbours; beyond the edge lies the edge.
    fn fold_with(&mut self, taps: &[(isize, isize, f32)]) {
        let mut out = vec![0.0_f32; self.0.len()];
        let reach = taps.iter().map(|t| t.0.unsigned_abs()).max().unwrap_or(0);
        for (y, row) in out.chunks_exact_mut(WIDTH).enumerate() {
            for (dx, dy, weight) in taps {
                let from = (y as isize + dy).clamp(0, HEIGHT as isize - 1) as usize * WIDTH;
                let source = &self.0[from..from + WIDTH];
                let inner =
                    &source[(reach as isize + dx) as usize..(WIDTH as isize - reach as isize + dx) as usize];
                for (o, s) in row[reach..WIDTH - reach].iter_mut().zip(inner) {
                    *o += s * weight;
                }
                for x in (0..reach).chain(WIDTH - reach..WIDTH) {
                    row[x] += source[(x as isize + dx).clamp(0, WIDTH as isize - 1) as usize] * weight;
                }
            }
        }
        self.0 = out;
    }

    /// The beat of a screen's pixels against the camera's: brightness waves of `per_pixel` periods in both directions of
    /// the screen. Near one period a pixel they are seen as broad bands.
    pub fn beat(&mut self, depth: f32, per_pixel: f32, angle: f32, chance: &mut Chance) {
        use std::f32::consts::TAU;
        let (sin, cos) = angle.sin_cos();
        let (first, second) = (chance.between(0.0, TAU), chance.between(0.0, TAU));
        for (y, row) in self.0.chunks_exact_mut(WIDTH).enumerate() {
            for (x, light) in row.iter_mut().enumerate() {
                let (x, y) = (x as f32, y as f32);
                let along = TAU * per_pixel * (x * cos + y * sin) + first;
                let across = TAU * per_pixel * (y * cos - x * sin) + second;
                *light *=
                    (1.0 - depth * (0.5 + 0.5 * along.cos())) * (1.0 - depth * (0.5 + 0.5 * across.cos()));
            }
        }
    }

    /// A lamp's reflection: what is added saturates the sensor.
    pub fn glare(&mut self, at: (f32, f32), light: f32, radius: f32) {
        for (y, row) in self.0.chunks_exact_mut(WIDTH).enumerate() {
            let dy = y as f32 - at.1;
            if dy.abs() > radius * 4.0 {
                continue;
            }
            for (x, pixel) in row.iter_mut().enumerate() {
                let dx = x as f32 - at.0;
                *pixel = (*pixel + light * (-(dx * dx + dy * dy) / (2.0 * radius * radius)).exp()).min(255.0);
            }
        }
    }

    /// Brought to `middle` ± `half`, as in fog or on faded paper.
    pub fn fade(&mut self, middle: f32, half: f32) {
        self.0.iter_mut().for_each(|light| *light = middle + (*light - 127.5) / 127.5 * half);
    }

    /// What a sensor makes of it: noise of `sigma` gray values at white, less in the dark; whole numbers.
    pub fn sensed(&self, sigma: f32, chance: &mut Chance) -> Vec<u8> {
        self.0
            .iter()
            .map(|light| {
                let spread = sigma * (0.25 + 0.75 * light.clamp(0.0, 255.0) / 255.0).sqrt();
                (light + spread * chance.normal()).round().clamp(0.0, 255.0) as u8
            })
            .collect()
    }
}
