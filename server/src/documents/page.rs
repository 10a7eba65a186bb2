//! A4 pages: texts, rules and codes at places in points from the top left corner.

use krilla::Document;
use krilla::SerializeSettings;
use krilla::color::rgb;
use krilla::geom::{PathBuilder, Point, Rect};
use krilla::metadata::{DateTime, Metadata};
use krilla::num::NormalizedF32;
use krilla::page::PageSettings;
use krilla::paint::Fill;
use krilla::surface::Surface;
use time::OffsetDateTime;

use super::fonts::{Fonts, Line, Weight};
use super::qr;

/// Points of a millimetre.
pub const MM: f32 = 72.0 / 25.4;
pub const WIDTH: f32 = 210.0 * MM;
pub const HEIGHT: f32 = 297.0 * MM;
pub const MARGIN: f32 = 18.0 * MM;
/// What text may take.
pub const INNER: f32 = WIDTH - 2.0 * MARGIN;

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    #[error("the document cannot be written: {0}")]
    Pdf(String),
    #[error("the code does not fit a picture")]
    Code(#[from] qr::TooLong),
}

/// Letters of one kind.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    pub size: f32,
    pub weight: Weight,
    pub gray: u8,
}

impl Style {
    pub const fn new(size: f32, weight: Weight) -> Self {
        Self { size, weight, gray: 0 }
    }

    pub const fn gray(self, gray: u8) -> Self {
        Self { gray, ..self }
    }

    /// From one line to the next.
    pub fn leading(self) -> f32 {
        self.size * 1.3
    }
}

/// A document under way.
pub struct Paper<'f> {
    document: Document,
    fonts: &'f Fonts,
}

impl std::fmt::Debug for Paper<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Paper")
    }
}

/// One page.
pub struct Page<'p> {
    surface: Surface<'p>,
    fonts: &'p Fonts,
}

impl std::fmt::Debug for Page<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Page")
    }
}

impl<'f> Paper<'f> {
    pub fn new(fonts: &'f Fonts, title: &str, made_at: OffsetDateTime) -> Self {
        let mut document = Document::new_with(SerializeSettings::default());
        let at = made_at.to_offset(time::UtcOffset::UTC);
        let year = u16::try_from(at.year()).unwrap_or(0);
        let date = DateTime::new(year)
            .month(at.month().into())
            .day(at.day())
            .hour(at.hour())
            .minute(at.minute())
            .second(at.second())
            .utc_offset_hour(0)
            .utc_offset_minute(0);
        document.set_metadata(
            Metadata::new()
                .title(title.to_owned())
                .language("en".to_owned())
                .producer("HVFLVSPOT".to_owned())
                .creation_date(date),
        );
        Self { document, fonts }
    }

    /// Adds a page and draws on it.
    pub fn page<T>(&mut self, draw: impl FnOnce(&mut Page<'_>) -> T) -> T {
        let settings = PageSettings::from_wh(WIDTH, HEIGHT).expect("A4 has a size");
        let mut page = self.document.start_page_with(settings);
        // Surface and page end as they go out of scope.
        draw(&mut Page { surface: page.surface(), fonts: self.fonts })
    }

    pub fn finish(self) -> Result<Vec<u8>, DocumentError> {
        self.document.finish().map_err(|e| DocumentError::Pdf(format!("{e:?}")))
    }
}

impl Page<'_> {
    /// One line with its baseline at `y`.
    pub fn text(&mut self, x: f32, y: f32, style: Style, text: &str) {
        let line = self.fonts.line(text, style.weight);
        self.line(x, y, style, &line);
    }

    /// The same, ending at `x`.
    pub fn right(&mut self, x: f32, y: f32, style: Style, text: &str) {
        let line = self.fonts.line(text, style.weight);
        self.line(x - line.width * style.size, y, style, &line);
    }

    /// At most `most` lines within `width`, the first one's baseline at `y`; returns where the next line would be.
    pub fn block(&mut self, x: f32, y: f32, width: f32, most: usize, style: Style, text: &str) -> f32 {
        let lines = self.fonts.wrap(text, style.weight, width / style.size, most);
        let mut y = y;
        for line in &lines {
            self.line(x, y, style, line);
            y += style.leading();
        }
        y
    }

    fn line(&mut self, x: f32, y: f32, style: Style, line: &Line) {
        self.fill(style.gray);
        let mut x = x;
        for run in &line.runs {
            let start = Point::from_xy(x, y);
            self.surface.draw_glyphs(start, &run.glyphs, run.font.clone(), &run.text, style.size, false);
            x += run.width * style.size;
        }
    }

    /// A horizontal line across the page's text.
    pub fn rule(&mut self, y: f32) {
        self.fill(170);
        self.rectangles([Rect::from_xywh(MARGIN, y, INNER, 0.6)]);
    }

    /// A code as squares, `side` wide with its quiet zone, its top left corner at (x, y). Returns the width of the
    /// symbol itself.
    pub fn code(&mut self, x: f32, y: f32, side: f32, code: &qr::Symbol) -> f32 {
        let modules = code.side();
        // Small whole numbers.
        let module = side / (modules + 2 * qr::QUIET) as f32;
        let place = |n: usize| (n + qr::QUIET) as f32 * module;
        self.fill(0);
        let runs: Vec<Option<Rect>> = code
            .runs()
            .map(|(column, row, length)| {
                Rect::from_xywh(x + place(column), y + place(row), length as f32 * module, module)
            })
            .collect();
        self.rectangles(runs);
        modules as f32 * module
    }

    /// All of them as one path: no hairlines between neighbours.
    fn rectangles(&mut self, all: impl IntoIterator<Item = Option<Rect>>) {
        let mut path = PathBuilder::new();
        for rectangle in all.into_iter().flatten() {
            path.push_rect(rectangle);
        }
        if let Some(path) = path.finish() {
            self.surface.draw_path(&path);
        }
    }

    fn fill(&mut self, gray: u8) {
        self.surface.set_stroke(None);
        self.surface.set_fill(Some(Fill {
            paint: rgb::Color::new(gray, gray, gray).into(),
            opacity: NormalizedF32::ONE,
            rule: krilla::paint::FillRule::NonZero,
        }));
    }
}
