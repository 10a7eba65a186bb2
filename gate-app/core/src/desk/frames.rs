//! Codes out of pictures, with the QR reader of rxing's port of zxing-cpp (see the table of decoders in
//! docs/decisions). A picture without a code is read again inverted (a code on a dark screen), and a small one
//! enlarged (modules of two pixels and fewer fall between the samples otherwise).

use super::contract::{CommandError, ErrorCode, GrayFrame};
use rxing::common::HybridBinarizer;
use rxing::qrcode::cpp_port::QrReader;
use rxing::{BarcodeFormat, BinaryBitmap, DecodeHints, Luma8Source, LuminanceSource as _, Reader as _};
use std::collections::HashSet;

/// More pixels than any camera's still picture has.
const MAX_PIXELS: usize = 64 * 1024 * 1024;
/// Larger pictures have pixels enough; enlarging them would take longer than the next picture.
const ENLARGED_BELOW: usize = 1_300_000;

/// The text of a code in a picture, if one is found.
///
/// # Errors
/// `internal` for a picture without the bytes that its size promises.
pub fn decode(frame: &GrayFrame<'_>) -> Result<Option<String>, CommandError> {
    let count = usize::try_from(u64::from(frame.width) * u64::from(frame.height)).unwrap_or(usize::MAX);
    if count == 0 || count > MAX_PIXELS || count != frame.pixels.len() {
        let what = format!("{} × {} pixels in {} bytes", frame.width, frame.height, frame.pixels.len());
        return Err(CommandError::new(ErrorCode::Internal, what));
    }
    let (width, height) = (frame.width, frame.height);
    if let Some(text) = either_way(frame.pixels, width, height) {
        return Ok(Some(text));
    }
    if count > ENLARGED_BELOW {
        return Ok(None);
    }
    Ok(either_way(&enlarged(frame.pixels, width as usize), width * 2, height * 2))
}

/// Dark on light, then light on dark.
fn either_way(pixels: &[u8], width: u32, height: u32) -> Option<String> {
    read(pixels, width, height, false).or_else(|| read(pixels, width, height, true))
}

fn read(pixels: &[u8], width: u32, height: u32, inverted: bool) -> Option<String> {
    let mut source = Luma8Source::new_with_slice(pixels, width, height).ok()?;
    if inverted {
        source.invert();
    }
    let mut bitmap = BinaryBitmap::new(HybridBinarizer::new(source));
    let hints = DecodeHints {
        TryHarder: Some(true),
        PossibleFormats: Some(HashSet::from([BarcodeFormat::QR_CODE])),
        ..DecodeHints::default()
    };
    let found = QrReader.decode_with_hints(&mut bitmap, &hints).ok()?;
    Some(found.getText().to_owned())
}

/// Twice as wide and high; between two pixels stands their mean.
fn enlarged(pixels: &[u8], width: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(pixels.len() * 4);
    let rows: Vec<&[u8]> = pixels.chunks_exact(width).collect();
    let mean = |a: u8, b: u8| u16::midpoint(u16::from(a), u16::from(b)) as u8;
    let mut widened = Vec::with_capacity(width * 2);
    let mut next = Vec::with_capacity(width * 2);
    let widen = |row: &[u8], out: &mut Vec<u8>| {
        out.clear();
        for (x, p) in row.iter().enumerate() {
            out.push(*p);
            out.push(mean(*p, row.get(x + 1).copied().unwrap_or(*p)));
        }
    };
    for (y, row) in rows.iter().enumerate() {
        widen(row, &mut widened);
        widen(rows.get(y + 1).unwrap_or(row), &mut next);
        out.extend_from_slice(&widened);
        out.extend(widened.iter().zip(&next).map(|(a, b)| mean(*a, *b)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::contract::PictureSource;
    use shared::bytes::Nonce16;

    #[test]
    fn an_enlarged_picture_keeps_its_pixels_and_fills_between() {
        assert_eq!(
            enlarged(&[0, 100, 200, 40], 2),
            [0, 50, 100, 100, 100, 85, 70, 70, 200, 120, 40, 40, 200, 120, 40, 40]
        );
    }

    #[test]
    fn a_picture_without_its_bytes_is_refused() {
        let frame = GrayFrame {
            width: 10,
            height: 10,
            pixels: &[0; 99],
            nonce: Nonce16([0; 16]),
            source: PictureSource::Camera,
        };
        assert_eq!(decode(&frame).unwrap_err().code, ErrorCode::Internal);
        let huge = GrayFrame { width: u32::MAX, height: u32::MAX, ..frame };
        assert!(decode(&huge).is_err());
        let blank = GrayFrame { width: 11, height: 9, ..frame };
        assert_eq!(decode(&blank).unwrap(), None);
    }
}
