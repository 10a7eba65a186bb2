//! Ticket codes as pictures: QR version 6, level M, alphanumeric, with a quiet zone of four modules (ISO/IEC 18004).

use qrcode::types::Mode;
use qrcode::{Color, EcLevel, QrCode, Version, bits::Bits};

/// Modules of white around the symbol.
pub const QUIET: usize = 4;

/// The text fits no version 6-M symbol, or is not alphanumeric.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TooLong(#[from] qrcode::types::QrError);

/// The squares of a code.
#[derive(Debug)]
pub struct Symbol {
    side: usize,
    dark: Vec<bool>,
}

impl Symbol {
    /// The symbol of a ticket's code.
    pub fn of(text: &str) -> Result<Self, TooLong> {
        let mut bits = Bits::new(Version::Normal(6));
        bits.push_segments(
            text.as_bytes(),
            std::iter::once(qrcode::optimize::Segment {
                mode: Mode::Alphanumeric,
                begin: 0,
                end: text.len(),
            }),
        )?;
        bits.push_terminator(EcLevel::M)?;
        let code = QrCode::with_bits(bits, EcLevel::M)?;
        Ok(Self {
            side: code.width(),
            dark: code.to_colors().into_iter().map(|color| color == Color::Dark).collect(),
        })
    }

    /// Modules of a side, without the quiet zone.
    pub fn side(&self) -> usize {
        self.side
    }

    /// Dark runs of each row: (column, row, length).
    pub fn runs(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        self.dark.chunks(self.side).enumerate().flat_map(|(row, modules)| {
            let mut runs: Vec<(usize, usize, usize)> = Vec::new();
            for (column, _) in modules.iter().enumerate().filter(|(_, dark)| **dark) {
                match runs.last_mut() {
                    Some((start, _, length)) if *start + *length == column => *length += 1,
                    _ => runs.push((column, row, 1)),
                }
            }
            runs
        })
    }

    fn is_dark(&self, x: usize, y: usize) -> bool {
        x < self.side && y < self.side && self.dark[y * self.side + x]
    }

    /// As SVG, black on white, each module `scale` units wide.
    pub fn svg(&self, scale: usize) -> String {
        use std::fmt::Write as _;
        let side = (self.side + 2 * QUIET) * scale;
        let mut path = String::new();
        for (column, row, length) in self.runs() {
            let (x, y, width) = ((column + QUIET) * scale, (row + QUIET) * scale, length * scale);
            write!(path, "M{x} {y}h{width}v{scale}H{x}V{y}").expect("a String takes everything");
        }
        format!(
            "<?xml version=\"1.0\" standalone=\"yes\"?><svg xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\" \
             width=\"{side}\" height=\"{side}\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
             <rect x=\"0\" y=\"0\" width=\"{side}\" height=\"{side}\" fill=\"#ffffff\"/>\
             <path d=\"{path}\" fill=\"#000000\"/></svg>"
        )
    }

    /// As PNG, one bit a pixel, each module `scale` pixels wide.
    pub fn png(&self, scale: usize) -> Result<Vec<u8>, png::EncodingError> {
        let side = (self.side + 2 * QUIET) * scale;
        // Rows padded to bytes; 1 is white.
        let stride = side.div_ceil(8);
        let mut pixels = vec![0_u8; side * stride];
        for y in 0..side {
            for x in 0..side {
                let (column, row) = ((x / scale).wrapping_sub(QUIET), (y / scale).wrapping_sub(QUIET));
                if !self.is_dark(column, row) {
                    pixels[y * stride + x / 8] |= 0x80 >> (x % 8);
                }
            }
        }
        let mut out = Vec::new();
        let side = u32::try_from(side).expect("a few thousand pixels");
        let mut encoder = png::Encoder::new(&mut out, side, side);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        encoder.write_header()?.write_image_data(&pixels)?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_154_characters_fits_version_6_m() {
        let code = Symbol::of(&"A".repeat(shared::ticket::code::TEXT_LEN)).unwrap();
        assert_eq!(code.side(), 41);
        assert!(Symbol::of(&"A".repeat(155 + 50)).is_err(), "what does not fit is refused, not cut");
        let dark = code.dark.iter().filter(|d| **d).count();
        assert_eq!(code.runs().map(|(_, _, length)| length).sum::<usize>(), dark, "each module once");
    }
}
