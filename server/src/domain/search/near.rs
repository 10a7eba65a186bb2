//! A circle on the earth, and the box around it that an index can find.

/// A point and how far around it, in degrees and kilometres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    pub latitude: f64,
    pub longitude: f64,
    pub radius_km: f64,
}

/// Kilometres of one degree of latitude, a little less than the truth, so that the box is never too small.
const DEGREE_KM: f64 = 111.0;

/// Great-circle distance of two points (latitude, longitude), in kilometres; the mean radius of the earth is 6,371.
#[must_use]
pub fn distance_km((lat1, lon1): (f64, f64), (lat2, lon2): (f64, f64)) -> f64 {
    let half = |a: f64, b: f64| ((b - a).to_radians() / 2.0).sin().powi(2);
    let chord = half(lat1, lat2) + lat1.to_radians().cos() * lat2.to_radians().cos() * half(lon1, lon2);
    12_742.0 * chord.sqrt().min(1.0).asin()
}

impl Near {
    /// Whether the point is in the circle.
    #[must_use]
    pub fn holds(&self, point: (f64, f64)) -> bool {
        // The box first, which is sooner computed.
        let (south, north) = self.latitudes();
        (south..=north).contains(&point.0)
            && distance_km(point, (self.latitude, self.longitude)) <= self.radius_km
    }

    /// The same point with another radius.
    #[must_use]
    pub const fn within(self, radius_km: f64) -> Self {
        Self { radius_km, ..self }
    }

    /// The latitudes that the circle touches.
    #[must_use]
    pub fn latitudes(&self) -> (f64, f64) {
        let reach = self.radius_km / DEGREE_KM;
        (self.latitude - reach, self.latitude + reach)
    }

    /// The longitudes that it touches; `None` if all of them may be, near a pole or the date line.
    #[must_use]
    pub fn longitudes(&self) -> Option<(f64, f64)> {
        let (south, north) = self.latitudes();
        let widest = south.abs().max(north.abs());
        if widest >= 89.0 {
            return None;
        }
        let reach = self.radius_km / (DEGREE_KM * widest.to_radians().cos());
        let (west, east) = (self.longitude - reach, self.longitude + reach);
        (west >= -180.0 && east <= 180.0).then_some((west, east))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_box_holds_the_circle() {
        let vienna = Near { latitude: 48.2, longitude: 16.37, radius_km: 100.0 };
        let (south, north) = vienna.latitudes();
        // 100 km are 0.8993 degrees of latitude.
        assert!(south < 48.2 - 0.8993 && north > 48.2 + 0.8993);
        let (west, east) = vienna.longitudes().unwrap();
        assert!(west < 16.37 - 1.36 && east > 16.37 + 1.36, "{west} {east}");
        let fiji = Near { latitude: -17.0, longitude: 179.9, radius_km: 100.0 };
        assert_eq!(fiji.longitudes(), None, "over the date line");
        let pole = Near { latitude: 89.9, longitude: 0.0, radius_km: 100.0 };
        assert_eq!(pole.longitudes(), None);
    }

    #[test]
    fn distances_are_those_of_the_earth() {
        let km = distance_km((48.2082, 16.3738), (47.0707, 15.4395));
        assert!((140.0..150.0).contains(&km), "Vienna to Graz: {km}");
        assert_eq!(distance_km((1.0, 2.0), (1.0, 2.0)), 0.0);
    }

    #[test]
    fn the_circle_holds_what_is_near() {
        let vienna = Near { latitude: 48.2082, longitude: 16.3738, radius_km: 150.0 };
        assert!(vienna.holds((47.0707, 15.4395)) && !vienna.within(140.0).holds((47.0707, 15.4395)));
        assert!(!vienna.holds((52.52, 13.405)), "Berlin");
    }
}
