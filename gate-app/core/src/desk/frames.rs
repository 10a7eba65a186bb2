//! Codes out of a window's pictures. How they are found is [`gate_sight`]'s; what a picture and a text may be is decided
//! here.

use super::contract::{CommandError, ErrorCode, GrayFrame};

/// More pixels than any camera's still picture has.
const MAX_PIXELS: usize = 64 * 1024 * 1024;
/// More bytes than any code, barcode or invitation that means something here; QR holds 7,089 digits at most.
const MAX_TEXT: usize = 4_096;

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
    let text = gate_sight::read(frame.pixels, frame.width as usize, frame.height as usize);
    Ok(text.filter(|text| text.len() <= MAX_TEXT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::contract::PictureSource;
    use qrcode::{Color, QrCode};
    use shared::bytes::Nonce16;

    /// A code of two pixels a module with a quiet zone of eight.
    fn code(text: &[u8]) -> (u32, Vec<u8>) {
        let code = QrCode::new(text).unwrap();
        let (side, colors) = (code.width(), code.to_colors());
        let across = side * 2 + 16;
        let light = |n: usize| {
            let (x, y) = ((n % across).wrapping_sub(8) / 2, (n / across).wrapping_sub(8) / 2);
            let dark = x < side && y < side && colors[y * side + x] == Color::Dark;
            if dark { 20 } else { 230 }
        };
        (across as u32, (0..across * across).map(light).collect())
    }

    fn frame(width: u32, height: u32, pixels: &[u8]) -> GrayFrame<'_> {
        GrayFrame { width, height, pixels, nonce: Nonce16([0; 16]), source: PictureSource::Camera }
    }

    #[test]
    fn a_picture_without_its_bytes_is_refused() {
        assert_eq!(decode(&frame(10, 10, &[0; 99])).unwrap_err().code, ErrorCode::Internal);
        assert!(decode(&frame(u32::MAX, u32::MAX, &[0; 99])).is_err());
        assert!(decode(&frame(0, 0, &[])).is_err());
        assert_eq!(decode(&frame(11, 9, &[0; 99])).unwrap(), None, "nothing is on it");
    }

    #[test]
    fn a_code_is_read_dark_on_light_and_light_on_dark() {
        let text = "HV1:A CODE OF TWO PIXELS A MODULE";
        let (side, mut pixels) = code(text.as_bytes());
        assert_eq!(decode(&frame(side, side, &pixels)).unwrap().as_deref(), Some(text));
        pixels.iter_mut().for_each(|p| *p = 255 - *p);
        assert_eq!(decode(&frame(side, side, &pixels)).unwrap().as_deref(), Some(text));
    }

    #[test]
    fn a_text_longer_than_any_that_means_something_is_no_text() {
        let (side, pixels) = code(&[b'7'; MAX_TEXT]);
        assert_eq!(decode(&frame(side, side, &pixels)).unwrap().map(|t| t.len()), Some(MAX_TEXT));
        let (side, pixels) = code(&[b'7'; MAX_TEXT + 1]);
        assert_eq!(decode(&frame(side, side, &pixels)).unwrap(), None);
    }
}
