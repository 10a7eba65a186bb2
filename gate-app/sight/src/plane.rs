//! Where modules lie in a picture: a flat symbol seen from anywhere.

/// A place: pixels or modules from the left and from the top.
pub type At = (f32, f32);

/// A homography from modules to pixels.
#[derive(Debug, Clone, Copy)]
pub struct Plane([f64; 8]);

impl Plane {
    /// The one that takes four places to four others; none if three of them are in line.
    pub fn through(modules: &[At; 4], pixels: &[At; 4]) -> Option<Self> {
        let mut rows = [[0.0_f64; 9]; 8];
        for (n, ((u, v), (x, y))) in modules.iter().zip(pixels).enumerate() {
            let (u, v, x, y) = (f64::from(*u), f64::from(*v), f64::from(*x), f64::from(*y));
            rows[2 * n] = [u, v, 1.0, 0.0, 0.0, 0.0, -u * x, -v * x, x];
            rows[2 * n + 1] = [0.0, 0.0, 0.0, u, v, 1.0, -u * y, -v * y, y];
        }
        for n in 0..8 {
            let best = (n..8).max_by(|a, b| rows[*a][n].abs().total_cmp(&rows[*b][n].abs()))?;
            rows.swap(n, best);
            if rows[n][n].abs() < 1e-9 {
                return None;
            }
            let pivot = rows[n];
            for row in &mut rows[n + 1..] {
                let share = row[n] / pivot[n];
                for (value, above) in row[n..].iter_mut().zip(&pivot[n..]) {
                    *value -= share * above;
                }
            }
        }
        let mut h = [0.0; 8];
        for n in (0..8).rev() {
            let known: f64 = (n + 1..8).map(|m| rows[n][m] * h[m]).sum();
            h[n] = (rows[n][8] - known) / rows[n][n];
        }
        Some(Self(h))
    }

    /// Where a place of the symbol is seen.
    pub fn seen(&self, (u, v): At) -> At {
        let h = &self.0;
        let (u, v) = (f64::from(u), f64::from(v));
        let depth = h[6] * u + h[7] * v + 1.0;
        (((h[0] * u + h[1] * v + h[2]) / depth) as f32, ((h[3] * u + h[4] * v + h[5]) / depth) as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_places_come_out_where_they_went_in() {
        let modules = [(3.5, 3.5), (37.5, 3.5), (3.5, 37.5), (34.5, 34.5)];
        let pixels = [(100.0, 80.0), (240.0, 70.0), (110.0, 210.0), (260.0, 230.0)];
        let plane = Plane::through(&modules, &pixels).unwrap();
        for (m, p) in modules.iter().zip(&pixels) {
            let (x, y) = plane.seen(*m);
            assert!((x - p.0).abs() < 0.01 && (y - p.1).abs() < 0.01, "{m:?} is seen at {x}, {y}");
        }
        assert!(Plane::through(&modules, &[(0.0, 0.0), (1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]).is_none());
    }
}
