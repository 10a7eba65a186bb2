//! Which QR reader reads most of what a gate's camera sees? The same generated pictures for all of them.
//!
//! Prints a table per condition, one per strength and one of times; fails if ours reads fewer pictures of any condition
//! than zxing-cpp. scripts/third/decoders runs it.

mod chance;
mod conditions;
mod picture;
mod readers;
mod scene;
mod table;
mod texts;

use anyhow::{Result, bail};
use clap::Parser;
use conditions::Frame;
use readers::{HERE, ZXING, Zxing};
use std::path::{Path, PathBuf};
use table::{Row, Score};

#[derive(Debug, Parser)]
struct Args {
    /// Pictures of each strength of each condition.
    #[arg(long, default_value_t = 4)]
    frames: usize,
    /// The Python that has zxing-cpp; without it, zxing-cpp takes no part.
    #[arg(long, requires = "script")]
    python: Option<PathBuf>,
    /// What that Python runs.
    #[arg(long)]
    script: Option<PathBuf>,
    /// Conditions with this in their name only.
    #[arg(long, default_value = "")]
    only: String,
    /// Only our own reader and zxing-cpp.
    #[arg(long)]
    brief: bool,
    /// Writes the first picture of each strength into this folder.
    #[arg(long)]
    save: Option<PathBuf>,
    /// Writes the pictures that zxing-cpp reads and ours does not into this folder.
    #[arg(long)]
    missed: Option<PathBuf>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let mut bench = Bench::start(&args)?;
    let (mut rows, mut levels) = (Vec::new(), Vec::new());
    for condition in conditions::all().iter().filter(|c| c.name.contains(&args.only)) {
        let mut whole = bench.row(condition.name, condition.measure);
        for (level, (strength, shot)) in condition.shots.iter().enumerate() {
            let mut row = bench.row(&format!("{} {strength}", condition.name), "");
            for n in 0..args.frames {
                let frame = conditions::shoot(condition.name, level, n, shot)?;
                let name = format!("{}-{strength}-{n}", condition.name.replace([',', ' '], "-"));
                if let Some(dir) = args.save.as_ref().filter(|_| n == 0) {
                    save(dir, &name, &frame)?;
                }
                if bench.ours_alone_missed(&frame, &mut row)?
                    && let Some(dir) = &args.missed
                {
                    save(dir, &name, &frame)?;
                }
            }
            whole.frames += row.frames;
            whole.scores.iter_mut().zip(&row.scores).for_each(|(all, one)| all.add(one));
            levels.push(row);
        }
        rows.push(whole);
    }
    let mut empty = bench.row("no code", "");
    for n in 0..args.frames * 8 {
        bench.ours_alone_missed(&conditions::empty(n), &mut empty)?;
    }
    let readers = bench.names.clone();
    bench.stop()?;

    let mut all = Row {
        name: "all".into(),
        measure: String::new(),
        frames: 0,
        scores: vec![Score::default(); readers.len()],
    };
    for row in &rows {
        all.frames += row.frames;
        all.scores.iter_mut().zip(&row.scores).for_each(|(all, one)| all.add(one));
    }
    println!("{}", table::successes("strength, % read", &readers, &levels));
    rows.push(all);
    println!("{}", table::successes("condition, % read", &readers, &rows));
    if let Some(all) = rows.last() {
        println!("{}", table::times(&readers, all, &empty));
    }
    verdict(&readers, &rows, &empty)
}

/// Nothing but equality or better, in each condition; and never a text that was not there.
fn verdict(readers: &[&str], rows: &[Row], empty: &Row) -> Result<()> {
    let mut behind = Vec::new();
    for row in rows {
        let ours = &row.scores[0];
        for (name, theirs) in readers.iter().zip(&row.scores).filter(|(name, _)| ZXING.contains(name)) {
            if theirs.read > ours.read {
                behind.push(format!(
                    "{}: ours {} of {}, {name} {}",
                    row.name, ours.read, row.frames, theirs.read
                ));
            }
        }
        if ours.wrong > 0 {
            behind.push(format!("{}: ours made up {} texts", row.name, ours.wrong));
        }
    }
    if empty.scores[0].wrong > 0 {
        behind.push("ours read a code in an empty room".to_owned());
    }
    if !behind.is_empty() {
        bail!("behind:\n{}", behind.join("\n"));
    }
    Ok(())
}

/// The readers that take part.
struct Bench {
    names: Vec<&'static str>,
    here: usize,
    zxing: Option<Zxing>,
}

impl Bench {
    fn start(args: &Args) -> Result<Self> {
        let here = if args.brief { 1 } else { HERE.len() };
        let mut names: Vec<&str> = HERE[..here].iter().map(|(name, _)| *name).collect();
        let zxing = match (&args.python, &args.script) {
            (Some(python), Some(script)) => Some(Zxing::start(python, script)?),
            _ => None,
        };
        if zxing.is_some() {
            names.extend(ZXING);
        }
        Ok(Self { names, here, zxing })
    }

    fn row(&self, name: &str, measure: &str) -> Row {
        Row {
            name: name.to_owned(),
            measure: measure.to_owned(),
            frames: 0,
            scores: vec![Score::default(); self.names.len()],
        }
    }

    /// Shows the picture to all; true if zxing-cpp as it comes read it and ours did not.
    fn ours_alone_missed(&mut self, frame: &Frame, row: &mut Row) -> Result<bool> {
        let mut readings: Vec<_> =
            HERE[..self.here].iter().map(|(_, reader)| readers::read_here(*reader, frame)).collect();
        if let Some(zxing) = &mut self.zxing {
            readings.extend(zxing.read(frame)?);
        }
        let truth = frame.text.as_deref();
        row.frames += 1;
        row.scores.iter_mut().zip(&readings).for_each(|(score, reading)| score.count(reading, truth));
        let right = |at: usize| readings.get(at).is_some_and(|r| r.text.as_deref() == truth);
        Ok(truth.is_some() && !right(0) && (right(self.here) || right(self.here + 1)))
    }

    fn stop(self) -> Result<()> {
        self.zxing.map_or(Ok(()), Zxing::stop)
    }
}

fn save(dir: &Path, name: &str, frame: &Frame) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    let file = std::io::BufWriter::new(std::fs::File::create(dir.join(format!("{name}.png")))?);
    let mut encoder = png::Encoder::new(file, picture::WIDTH as u32, picture::HEIGHT as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&frame.pixels)?;
    Ok(())
}
