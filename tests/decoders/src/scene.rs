//! A code before a camera: on a card or a screen, somewhere in a room that is not empty.

use crate::chance::Chance;
use crate::picture::{HEIGHT, Picture, WIDTH};
use crate::texts::SIDE;

/// Points of the card's texture for each module.
const FINE: usize = 8;
/// Modules of card on each side of the symbol, quiet zone included.
const MARGIN: usize = 9;
/// Points of a side of the texture.
const CARD: usize = (SIDE + 2 * MARGIN) * FINE;
/// In pixels: how strongly near things look larger than far ones.
const FOCAL: f32 = 1100.0;

/// How the card is held.
#[derive(Debug, Clone, Copy)]
pub struct Pose {
    /// Pixels of a module at the symbol's middle.
    pub module: f32,
    /// In the plane, radians.
    pub turn: f32,
    /// Out of the plane, radians.
    pub tilt: f32,
    /// Around which axis of the plane, radians.
    pub tilt_axis: f32,
    /// Where the symbol's middle lies.
    pub middle: (f32, f32),
}

/// What is held up.
#[derive(Debug, Clone)]
pub struct Card {
    /// Light of each point.
    points: Vec<f32>,
}

impl Card {
    /// Dark modules of light `ink` on `paper`; for a code in dark mode, swap them.
    pub fn new(modules: &[bool], ink: f32, paper: f32) -> Self {
        let mut points = vec![paper; CARD * CARD];
        for (y, row) in points.chunks_exact_mut(CARD).enumerate() {
            for (x, point) in row.iter_mut().enumerate() {
                let (mx, my) = ((x / FINE).wrapping_sub(MARGIN), (y / FINE).wrapping_sub(MARGIN));
                if mx < SIDE && my < SIDE && modules[my * SIDE + mx] {
                    *point = ink;
                }
            }
        }
        let mut card = Self { points };
        // A line of print above and below, where tickets have one.
        for (n, column) in (0..SIDE * 2).enumerate() {
            if n % 5 != 4 {
                for row in [2 * FINE, CARD - 3 * FINE] {
                    card.rectangle(MARGIN * FINE + column * FINE / 2, row, FINE / 4 + n % 3, FINE, ink);
                }
            }
        }
        card
    }

    fn rectangle(&mut self, left: usize, top: usize, width: usize, height: usize, light: f32) {
        for y in top..(top + height).min(CARD) {
            for x in left..(left + width).min(CARD) {
                self.points[y * CARD + x] = light;
            }
        }
    }

    /// Spots and creases over `share` of the symbol, half of them dark.
    pub fn soil(&mut self, share: f32, chance: &mut Chance) {
        let (first, last) = ((MARGIN * FINE) as f32, ((MARGIN + SIDE) * FINE) as f32);
        let mut left = share * (last - first) * (last - first);
        while left > 0.0 {
            let light =
                if chance.below(2) == 0 { chance.between(10.0, 50.0) } else { chance.between(190.0, 240.0) };
            let (cx, cy) = (chance.between(first, last), chance.between(first, last));
            let f = FINE as f32;
            let (radius, length) = if chance.below(3) == 0 {
                (chance.between(0.2, 0.5) * f, chance.between(4.0, 16.0) * f)
            } else {
                (chance.between(0.5, 2.2) * f, 0.0)
            };
            let (sin, cos) = chance.between(0.0, std::f32::consts::TAU).sin_cos();
            let reach = radius + length / 2.0;
            for y in (cy - reach).max(0.0) as usize..((cy + reach) as usize).min(CARD) {
                for x in (cx - reach).max(0.0) as usize..((cx + reach) as usize).min(CARD) {
                    let (dx, dy) = (x as f32 - cx, y as f32 - cy);
                    let along = (dx * cos + dy * sin).clamp(-length / 2.0, length / 2.0);
                    let (ox, oy) = (dx - along * cos, dy - along * sin);
                    if ox * ox + oy * oy < radius * radius {
                        self.points[y * CARD + x] = light;
                    }
                }
            }
            left -= std::f32::consts::PI * radius * radius + 2.0 * radius * length;
        }
    }

    /// Its light at a place in modules from the symbol's middle; nothing beyond its edge.
    fn at(&self, u: f32, v: f32) -> Option<f32> {
        let place = |w: f32| (w + SIDE as f32 / 2.0 + MARGIN as f32) * FINE as f32;
        let (x, y) = (place(u), place(v));
        (x >= 0.0 && y >= 0.0 && x < CARD as f32 && y < CARD as f32)
            .then(|| self.points[y as usize * CARD + x as usize])
    }
}

/// A room: slow shades, edges, lettering.
pub fn room(chance: &mut Chance) -> Picture {
    let (base, slope_x, slope_y) =
        (chance.between(60.0, 150.0), chance.between(-50.0, 50.0), chance.between(-50.0, 50.0));
    let mut light = Vec::with_capacity(WIDTH * HEIGHT);
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            light.push(base + slope_x * x as f32 / WIDTH as f32 + slope_y * y as f32 / HEIGHT as f32);
        }
    }
    let mut block = |left: usize, top: usize, width: usize, height: usize, shade: f32| {
        for y in top..(top + height).min(HEIGHT) {
            light[y * WIDTH..][left.min(WIDTH)..(left + width).min(WIDTH)].fill(shade);
        }
    };
    for _ in 0..14 {
        let (left, top) = (chance.below(WIDTH), chance.below(HEIGHT));
        let (width, height) = (20 + chance.below(260), 20 + chance.below(260));
        block(left, top, width, height, chance.between(15.0, 235.0));
    }
    for _ in 0..5 {
        let (left, top, size) = (chance.below(WIDTH), chance.below(HEIGHT), 3 + chance.below(10));
        let shade = chance.between(10.0, 245.0);
        for n in 0..30 {
            let height = size * (2 + chance.below(2));
            block(left + n * size * 2, top, 1 + chance.below(size), height, shade);
        }
    }
    let mut picture = Picture(light);
    picture.blur(0.8);
    picture
}

impl Pose {
    /// From pixels to modules around the symbol's middle: rows of a homography.
    fn inverse(&self) -> [[f32; 3]; 3] {
        let (s, c) = self.turn.sin_cos();
        let (st, ct) = self.tilt.sin_cos();
        let (sa, ca) = self.tilt_axis.sin_cos();
        // The plane's two directions after turning and tilting around an axis in the plane.
        let tilted = |x: f32, y: f32| {
            let along = x * ca + y * sa;
            let off = -x * sa + y * ca;
            (along * ca - off * ct * sa, along * sa + off * ct * ca, off * st)
        };
        let ((ax, ay, az), (bx, by, bz)) = (tilted(c, s), tilted(-s, c));
        let m = self.module;
        let (cx, cy) = self.middle;
        let depth = [az * m / FOCAL, bz * m / FOCAL, 1.0];
        let h = [
            [ax * m + cx * depth[0], bx * m + cx * depth[1], cx],
            [ay * m + cy * depth[0], by * m + cy * depth[1], cy],
            depth,
        ];
        let minor = |a: usize, b: usize, c: usize, d: usize| h[a][c] * h[b][d] - h[a][d] * h[b][c];
        [
            [minor(1, 2, 1, 2), -minor(0, 2, 1, 2), minor(0, 1, 1, 2)],
            [-minor(1, 2, 0, 2), minor(0, 2, 0, 2), -minor(0, 1, 0, 2)],
            [minor(1, 2, 0, 1), -minor(0, 2, 0, 1), minor(0, 1, 0, 1)],
        ]
    }

    /// Half of the longest way across the card, in pixels and generously.
    fn reach(&self) -> f32 {
        let half = (SIDE as f32 / 2.0 + MARGIN as f32) * self.module * 1.4143;
        half / (1.0 - (half * self.tilt.sin().abs() / FOCAL).min(0.6))
    }
}

/// Holds a card up: each pixel is the mean of 4 × 4 looks at it, as a sensor's cell would gather light.
pub fn hold(picture: &mut Picture, card: &Card, pose: &Pose) {
    const LOOKS: usize = 4;
    let h = pose.inverse();
    let reach = pose.reach();
    let clamp = |v: f32, end: usize| v.clamp(0.0, end as f32) as usize;
    for y in clamp(pose.middle.1 - reach, HEIGHT)..clamp(pose.middle.1 + reach, HEIGHT) {
        for x in clamp(pose.middle.0 - reach, WIDTH)..clamp(pose.middle.0 + reach, WIDTH) {
            let behind = picture.0[y * WIDTH + x];
            let mut sum = 0.0;
            for look in 0..LOOKS * LOOKS {
                let px = x as f32 + ((look % LOOKS) as f32 + 0.5) / LOOKS as f32;
                let py = y as f32 + ((look / LOOKS) as f32 + 0.5) / LOOKS as f32;
                let row = |r: &[f32; 3]| r[0] * px + r[1] * py + r[2];
                let w = row(&h[2]);
                sum += card.at(row(&h[0]) / w, row(&h[1]) / w).unwrap_or(behind);
            }
            picture.0[y * WIDTH + x] = sum / (LOOKS * LOOKS) as f32;
        }
    }
}
