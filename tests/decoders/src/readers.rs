//! The readers, each as it comes, one picture at a time on one thread.

use crate::conditions::Frame;
use crate::picture::{HEIGHT, WIDTH};
use anyhow::{Context as _, Result, bail};
use gate_core::desk::contract::{GrayFrame, PictureSource};
use rustix::time::{ClockId, clock_gettime};
use rxing::common::HybridBinarizer;
use rxing::{BarcodeFormat, BinaryBitmap, DecodeHints, Luma8Source, Reader};
use shared::bytes::Nonce16;
use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What a reader made of a picture.
#[derive(Debug, Clone)]
pub struct Reading {
    pub text: Option<String>,
    /// Of the processor, on the reader's one thread.
    pub millis: f64,
}

/// A reader of this process.
pub type Here = fn(&Frame) -> Option<String>;

/// Readers of this process, best first.
pub const HERE: [(&str, Here); 4] =
    [("ours", ours), ("rxing, C++ port", port), ("rxing, older", older), ("rqrr", rqrr)];

pub fn read_here(reader: Here, frame: &Frame) -> Reading {
    let before = clock_gettime(ClockId::ThreadCPUTime);
    let text = reader(frame);
    let after = clock_gettime(ClockId::ThreadCPUTime);
    let nanos = (after.tv_sec - before.tv_sec) * 1_000_000_000 + after.tv_nsec - before.tv_nsec;
    Reading { text, millis: nanos as f64 / 1e6 }
}

fn ours(frame: &Frame) -> Option<String> {
    let frame = GrayFrame {
        width: WIDTH as u32,
        height: HEIGHT as u32,
        pixels: &frame.pixels,
        nonce: Nonce16([0; 16]),
        source: PictureSource::Camera,
    };
    gate_core::desk::decode(&frame).ok().flatten()
}

fn with_rxing(mut reader: impl Reader, frame: &Frame) -> Option<String> {
    let source = Luma8Source::new_with_slice(&frame.pixels, WIDTH as u32, HEIGHT as u32).ok()?;
    let mut bitmap = BinaryBitmap::new(HybridBinarizer::new(source));
    let hints = DecodeHints {
        TryHarder: Some(true),
        PossibleFormats: Some(HashSet::from([BarcodeFormat::QR_CODE])),
        ..DecodeHints::default()
    };
    Some(reader.decode_with_hints(&mut bitmap, &hints).ok()?.getText().to_owned())
}

fn port(frame: &Frame) -> Option<String> {
    with_rxing(rxing::qrcode::cpp_port::QrReader, frame)
}

fn older(frame: &Frame) -> Option<String> {
    with_rxing(rxing::qrcode::QRCodeReader, frame)
}

fn rqrr(frame: &Frame) -> Option<String> {
    let mut prepared =
        rqrr::PreparedImage::prepare_from_greyscale(WIDTH, HEIGHT, |x, y| frame.pixels[y * WIDTH + x]);
    prepared.detect_grids().iter().find_map(|grid| grid.decode().ok()).map(|(_, text)| text)
}

/// zxing-cpp in a process of its own (scripts/third/decoders.py).
#[derive(Debug)]
pub struct Zxing {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

/// How [`Zxing`] was asked.
pub const ZXING: [&str; 2] = ["zxing-cpp", "zxing-cpp, every binarizer"];

impl Zxing {
    pub fn start(python: &Path, script: &Path) -> Result<Self> {
        let mut child = Command::new(python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} does not start", python.display()))?;
        let to = child.stdin.take().context("its input is a pipe")?;
        let from = BufReader::new(child.stdout.take().context("its output is a pipe")?);
        Ok(Self { child, to, from })
    }

    /// One reading for each of [`ZXING`].
    pub fn read(&mut self, frame: &Frame) -> Result<Vec<Reading>> {
        self.to.write_all(&(WIDTH as u32).to_le_bytes())?;
        self.to.write_all(&(HEIGHT as u32).to_le_bytes())?;
        self.to.write_all(&frame.pixels)?;
        self.to.flush()?;
        ZXING.iter().map(|_| self.answer()).collect()
    }

    fn answer(&mut self) -> Result<Reading> {
        let mut line = String::new();
        if self.from.read_line(&mut line)? == 0 {
            bail!("zxing-cpp's process ended");
        }
        let (nanos, text) = line.trim_end_matches('\n').split_once(' ').context("an answer has two words")?;
        Ok(Reading {
            text: Some(text.to_owned()).filter(|t| !t.is_empty()),
            millis: nanos.parse::<f64>().context("an answer begins with its time")? / 1e6,
        })
    }

    pub fn stop(mut self) -> Result<()> {
        drop(self.to);
        self.child.wait()?;
        Ok(())
    }
}
