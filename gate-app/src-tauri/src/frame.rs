//! A picture as the page sends it: gray bytes as the raw body, width, height, nonce and source as headers.

use crate::desk::{Answer, internal};
use gate_core::desk::contract::{GrayFrame, PictureSource};
use serde::Deserialize;
use serde::de::IntoDeserializer as _;
use serde::de::value::{Error as ValueError, StrDeserializer};
use shared::bytes::Nonce16;
use tauri::http::HeaderMap;
use tauri::ipc::{InvokeBody, Request};

/// The page sends at most 2,400 by 2,400.
const MAX_PIXELS: u64 = 16 * 1024 * 1024;

/// With its own bytes, to be taken to another thread.
#[derive(Debug)]
pub struct Frame {
    width: u32,
    height: u32,
    nonce: Nonce16,
    source: PictureSource,
    pixels: Vec<u8>,
}

impl Frame {
    /// Takes a command apart.
    ///
    /// # Errors
    /// `internal`, naming the header or the size that is wrong.
    pub fn of(request: &Request<'_>) -> Answer<Self> {
        let InvokeBody::Raw(pixels) = request.body() else {
            return Err(internal("a picture travels as the raw body of its command"));
        };
        Self::parse(request.headers(), pixels)
    }

    fn parse(headers: &HeaderMap, pixels: &[u8]) -> Answer<Self> {
        let (width, height) = (number(headers, "width")?, number(headers, "height")?);
        let count = u64::from(width) * u64::from(height);
        if count == 0 || count > MAX_PIXELS || u64::try_from(pixels.len()) != Ok(count) {
            return Err(internal(format!("{width} × {height} pixels in {} bytes", pixels.len())));
        }
        let (nonce, source) = (word(headers, "nonce")?, word(headers, "source")?);
        Ok(Self { width, height, nonce, source, pixels: pixels.to_vec() })
    }

    /// As the desk takes it.
    pub fn gray(&self) -> GrayFrame<'_> {
        GrayFrame {
            width: self.width,
            height: self.height,
            pixels: &self.pixels,
            nonce: self.nonce,
            source: self.source,
        }
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Answer<&'h str> {
    let value = headers.get(name).ok_or_else(|| internal(format!("the header {name} is missing")))?;
    value.to_str().map_err(|_| internal(format!("the header {name} is no text")))
}

fn number(headers: &HeaderMap, name: &str) -> Answer<u32> {
    text(headers, name)?.parse().map_err(|_| internal(format!("the header {name} is no number")))
}

fn word<T: for<'de> Deserialize<'de>>(headers: &HeaderMap, name: &str) -> Answer<T> {
    let deserializer: StrDeserializer<'_, ValueError> = text(headers, name)?.into_deserializer();
    T::deserialize(deserializer).map_err(|error| internal(format!("the header {name}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tauri::http::HeaderName;

    const NONCE: &str = "000102030405060708090a0b0c0d0e0f";

    fn headers(changed: &[(&'static str, &str)]) -> HeaderMap {
        let usual = [("width", "4"), ("height", "2"), ("nonce", NONCE), ("source", "camera")];
        let pairs = usual.iter().chain(changed).filter(|(_, value)| !value.is_empty());
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(HeaderName::from_static(name), value.parse().unwrap());
        }
        headers
    }

    fn refusal(changed: &[(&'static str, &str)], bytes: usize) -> String {
        Frame::parse(&headers(changed), &vec![0; bytes]).unwrap_err().detail
    }

    #[test]
    fn a_picture_arrives_as_it_was_sent() {
        let frame = Frame::parse(&headers(&[("source", "image")]), &[1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
        let gray = frame.gray();
        assert_eq!((gray.width, gray.height, gray.source), (4, 2, PictureSource::Image));
        assert_eq!(gray.pixels, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(gray.nonce.0[15], 15);
    }

    #[test]
    fn what_is_wrong_with_a_picture_is_named() {
        assert_eq!(refusal(&[], 7), "4 × 2 pixels in 7 bytes");
        assert_eq!(refusal(&[("width", "0")], 0), "0 × 2 pixels in 0 bytes");
        assert_eq!(refusal(&[("width", "-4")], 8), "the header width is no number");
        assert_eq!(
            refusal(&[("width", "4294967295"), ("height", "4294967295")], 8),
            "4294967295 × 4294967295 pixels in 8 bytes"
        );
        assert!(refusal(&[("nonce", "12")], 8).starts_with("the header nonce: "));
        assert!(refusal(&[("source", "dream")], 8).starts_with("the header source: "));
        let mut without = headers(&[]);
        without.remove("source");
        assert_eq!(Frame::parse(&without, &[0; 8]).unwrap_err().detail, "the header source is missing");
    }
}
