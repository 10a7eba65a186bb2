//! The table of what a gate sees, each from easy to beyond what anything reads.

use crate::chance::Chance;
use crate::picture::{HEIGHT, WIDTH};
use crate::scene::{Card, Pose, hold, room};
use crate::texts;
use anyhow::Result;
use std::f32::consts::TAU;

/// One strength of a condition.
#[derive(Debug, Clone, Copy)]
pub struct Shot {
    /// Pixels of a module.
    pub module: f32,
    /// Any angle in the plane; else up to 10°.
    pub any_turn: bool,
    /// Degrees out of the plane, around any axis.
    pub tilt: f32,
    /// Blur of the lens, pixels.
    pub blur: f32,
    /// Pixels that the hand moves.
    pub smear: f32,
    /// Light of a reflection (255 is white) and its radius in modules.
    pub glare: (f32, f32),
    /// Noise at white, gray values.
    pub noise: f32,
    /// Half of the gray values between black and white.
    pub half_contrast: f32,
    /// Depth of a screen's beat, 0 to 1.
    pub beat: f32,
    /// Share of the symbol under spots and creases.
    pub soil: f32,
    /// Light modules on a dark screen.
    pub dark_mode: bool,
}

/// A fair shot of a printed code.
const FAIR: Shot = Shot {
    module: 4.0,
    any_turn: false,
    tilt: 0.0,
    blur: 0.6,
    smear: 0.0,
    glare: (0.0, 0.0),
    noise: 3.0,
    half_contrast: 127.5,
    beat: 0.0,
    soil: 0.0,
    dark_mode: false,
};

/// A condition: its name, what its numbers are, and a shot for each.
#[derive(Debug)]
pub struct Condition {
    pub name: &'static str,
    pub measure: &'static str,
    pub shots: Vec<(f32, Shot)>,
}

/// A picture and what is on it.
#[derive(Debug)]
pub struct Frame {
    /// Gray bytes, [`WIDTH`] × [`HEIGHT`].
    pub pixels: Vec<u8>,
    /// `None` for a room without a code.
    pub text: Option<String>,
}

pub fn all() -> Vec<Condition> {
    let with = |name, measure, strengths: &[f32], change: fn(&mut Shot, f32)| {
        let shot = |strength: &f32| {
            let mut shot = FAIR;
            change(&mut shot, *strength);
            (*strength, shot)
        };
        Condition { name, measure, shots: strengths.iter().map(shot).collect() }
    };
    vec![
        with("size", "pixels a module", &[6.0, 5.0, 4.0, 3.0, 2.5, 2.0, 1.75, 1.5], |s, px| {
            (s.module, s.blur) = (px, 0.4);
        }),
        with("blur", "σ in pixels, 4 a module", &[1.0, 1.5, 2.0, 2.5, 3.0, 3.5], |s, sigma| s.blur = sigma),
        with("blur, small", "σ, 2.5 a module", &[0.6, 0.9, 1.2, 1.5, 1.8, 2.1], |s, sigma| {
            (s.module, s.blur) = (2.5, sigma);
        }),
        with("motion", "pixels moved, 4 a module", &[3.0, 5.0, 7.0, 9.0, 11.0, 13.0], |s, px| s.smear = px),
        with("motion, small", "pixels moved, 2.5 a module", &[2.0, 3.0, 4.0, 5.0, 6.0, 8.0], |s, px| {
            (s.module, s.smear) = (2.5, px);
        }),
        with(
            "glare",
            "radius in modules, added light 160",
            &[3.0, 5.0, 7.0, 9.0, 12.0, 16.0],
            |s, radius| {
                s.glare = (160.0, radius);
            },
        ),
        with(
            "glare, hard",
            "radius in modules, added light 500",
            &[1.0, 2.0, 3.0, 4.0, 5.0, 7.0],
            |s, radius| {
                s.glare = (500.0, radius);
            },
        ),
        with("night", "noise at white, 4 a module", &[20.0, 35.0, 50.0, 65.0, 80.0, 100.0], |s, noise| {
            s.noise = noise;
        }),
        with(
            "night, small",
            "noise at white, 2.5 a module",
            &[10.0, 20.0, 30.0, 40.0, 50.0, 60.0],
            |s, noise| {
                (s.module, s.noise) = (2.5, noise);
            },
        ),
        with("low contrast", "gray values of 255", &[80.0, 40.0, 24.0, 16.0, 10.0, 6.0], |s, values| {
            (s.half_contrast, s.noise) = (values / 2.0, 1.5);
        }),
        with("rotation", "any angle, pixels a module", &[4.0, 3.0, 2.5, 2.25, 2.0, 1.75], |s, px| {
            (s.module, s.any_turn) = (px, true);
        }),
        with(
            "perspective",
            "degrees, 5 pixels a module",
            &[20.0, 35.0, 45.0, 55.0, 62.0, 68.0],
            |s, degrees| {
                (s.module, s.tilt, s.any_turn) = (5.0, degrees, true);
            },
        ),
        with("dirt", "share covered", &[0.01, 0.02, 0.03, 0.04, 0.06, 0.08], |s, share| s.soil = share),
        with("moiré", "depth of the beat", &[0.1, 0.2, 0.3, 0.4, 0.5, 0.65], |s, depth| s.beat = depth),
        with("dark mode", "pixels a module", &[6.0, 4.0, 3.0, 2.5, 2.0, 1.75], |s, px| {
            (s.module, s.dark_mode) = (px, true);
        }),
        with("dark mode, blurred", "σ in pixels, 4 a module", &[1.0, 1.5, 2.0, 2.5, 3.0], |s, sigma| {
            (s.blur, s.dark_mode) = (sigma, true);
        }),
        // Everything at once: a phone at arm's length, at night, not quite still.
        with("evening", "strength", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], |s, strength| {
            *s = Shot {
                module: 4.5 - 0.3 * strength,
                any_turn: true,
                tilt: 6.0 * strength,
                blur: 0.6 + 0.12 * strength,
                smear: 0.7 * strength,
                glare: (60.0, 2.0 * strength),
                noise: 4.0 * strength,
                half_contrast: 110.0 - 12.0 * strength,
                beat: 0.06 * strength,
                soil: 0.005 * strength,
                dark_mode: false,
            };
        }),
    ]
}

/// The `n`th picture of a shot.
pub fn shoot(name: &str, level: usize, n: usize, shot: &Shot) -> Result<Frame> {
    let mut chance = Chance::of(name, level, n);
    let text = texts::ticket(&mut chance);
    let (ink, paper) = (chance.between(15.0, 45.0), chance.between(205.0, 240.0));
    let (ink, paper) = if shot.dark_mode { (paper, ink) } else { (ink, paper) };
    let mut card = Card::new(&texts::symbol(&text)?, ink, paper);
    card.soil(shot.soil, &mut chance);
    let half = texts::SIDE as f32 / 2.0 * shot.module;
    let slight = 10.0 / 360.0 * TAU;
    let pose = Pose {
        module: shot.module,
        turn: if shot.any_turn { chance.between(0.0, TAU) } else { chance.between(-slight, slight) },
        tilt: shot.tilt.to_radians(),
        tilt_axis: chance.between(0.0, TAU),
        middle: (
            chance.between(half * 1.7, WIDTH as f32 - half * 1.7),
            chance.between(half * 1.7, HEIGHT as f32 - half * 1.7),
        ),
    };
    let mut picture = room(&mut chance);
    hold(&mut picture, &card, &pose);
    if shot.beat > 0.0 {
        let side = if chance.below(2) == 0 { 1.0 } else { -1.0 };
        let per_pixel = 1.0 + side * chance.between(0.03, 0.14);
        picture.beat(shot.beat, per_pixel, pose.turn + chance.between(-0.02, 0.02), &mut chance);
    }
    if shot.glare.0 > 0.0 {
        let mut within = || chance.between(-0.7, 0.7) * half;
        let at = (pose.middle.0 + within(), pose.middle.1 + within());
        picture.glare(at, shot.glare.0, shot.glare.1 * shot.module);
    }
    picture.smear(shot.smear, chance.between(0.0, TAU));
    picture.blur(shot.blur);
    if shot.half_contrast < 127.0 {
        picture.fade(chance.between(100.0, 150.0), shot.half_contrast);
    }
    Ok(Frame { pixels: picture.sensed(shot.noise, &mut chance), text: Some(text) })
}

/// A room in which nobody holds anything up.
pub fn empty(n: usize) -> Frame {
    let mut chance = Chance::of("empty", 0, n);
    let noise = 2.0 + (n % 4) as f32 * 6.0;
    Frame { pixels: room(&mut chance).sensed(noise, &mut chance), text: None }
}
