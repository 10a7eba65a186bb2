//! A receipt on paper: who sold what to whom, what was paid, which tax is in it, and what went back.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::fonts::{Fonts, Weight};
use super::money::{percent, words};
use super::page::{DocumentError, HEIGHT, INNER, MARGIN, Page, Paper, Style, WIDTH};
use super::when::Moment;

/// Who sells, as it was when the receipt got its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issuer {
    pub name: String,
    pub legal_name: Option<String>,
    pub address: Option<String>,
    pub country: Option<String>,
    pub tax_id: Option<String>,
}

/// Some tickets of one kind.
#[derive(Debug, Clone)]
pub struct ReceiptLine {
    pub name: String,
    pub quantity: i64,
    /// Net of tax, of one.
    pub unit_price_minor: i64,
    pub unit_fee_minor: i64,
    pub unit_tax_minor: i64,
    /// As it was at the sale.
    pub rate_bp: i64,
    /// Net of tax, of one without the promo code.
    pub list_price_minor: i64,
    pub list_fee_minor: i64,
}

impl ReceiptLine {
    /// Net of tax, off one.
    fn discount_minor(&self) -> i64 {
        self.list_price_minor + self.list_fee_minor - self.unit_price_minor - self.unit_fee_minor
    }
}

/// Money that moved.
#[derive(Debug, Clone)]
pub struct Movement {
    pub at: Moment,
    pub refund: bool,
    pub amount_minor: i64,
    pub provider: String,
}

/// All of it.
#[derive(Debug, Clone)]
pub struct Receipt {
    pub number: String,
    pub issued: Moment,
    pub issuer: Issuer,
    pub buyer: Option<String>,
    pub event: String,
    pub event_at: Moment,
    pub booking: String,
    pub currency: String,
    /// By which some lines cost less than their list price.
    pub promo_code: Option<String>,
    pub lines: Vec<ReceiptLine>,
    pub movements: Vec<Movement>,
}

/// Net and tax by rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaxLine {
    pub rate_bp: i64,
    pub net_minor: i64,
    pub tax_minor: i64,
}

impl Receipt {
    /// Each rate once, in rising order.
    pub fn taxes(&self) -> Vec<TaxLine> {
        let mut all: Vec<TaxLine> = Vec::new();
        for line in &self.lines {
            let net = line.quantity * (line.unit_price_minor + line.unit_fee_minor);
            let tax = line.quantity * line.unit_tax_minor;
            match all.iter_mut().find(|t| t.rate_bp == line.rate_bp) {
                Some(of) => {
                    of.net_minor += net;
                    of.tax_minor += tax;
                }
                None => all.push(TaxLine { rate_bp: line.rate_bp, net_minor: net, tax_minor: tax }),
            }
        }
        all.sort_by_key(|t| t.rate_bp);
        all
    }

    /// What was to be paid.
    pub fn total_minor(&self) -> i64 {
        self.taxes().iter().map(|t| t.net_minor + t.tax_minor).sum()
    }

    /// What was paid and did not go back.
    pub fn balance_minor(&self) -> i64 {
        self.movements.iter().map(|m| if m.refund { -m.amount_minor } else { m.amount_minor }).sum()
    }
}

const LABEL: Style = Style::new(9.0, Weight::Regular).gray(90);
const PLAIN: Style = Style::new(10.5, Weight::Regular);
const BOLD: Style = Style::new(10.5, Weight::Bold);
/// Right edges of the columns.
const QUANTITY: f32 = MARGIN + INNER * 0.58;
const UNIT: f32 = MARGIN + INNER * 0.79;
const SUM: f32 = WIDTH - MARGIN;
/// Below this a page is full.
const FLOOR: f32 = HEIGHT - MARGIN - 30.0;

/// The PDF.
pub fn receipt(fonts: &Fonts, receipt: &Receipt, made_at: OffsetDateTime) -> Result<Vec<u8>, DocumentError> {
    let mut paper = Paper::new(fonts, &format!("Receipt {}", receipt.number), made_at);
    let mut rows = rows(receipt);
    rows.reverse();
    let mut first = true;
    while first || !rows.is_empty() {
        paper.page(|page| {
            let mut y = if first { head(page, receipt) } else { MARGIN + 20.0 };
            while let Some(row) = rows.pop() {
                y = row.draw(page, y);
                if y > FLOOR {
                    break;
                }
            }
            page.text(MARGIN, HEIGHT - MARGIN, LABEL, &format!("Receipt {}", receipt.number));
        });
        first = false;
    }
    paper.finish()
}

fn head(page: &mut Page<'_>, receipt: &Receipt) -> f32 {
    let issuer = &receipt.issuer;
    let mut y = MARGIN + 12.0;
    let name = issuer.legal_name.as_ref().unwrap_or(&issuer.name);
    y = page.block(MARGIN, y, INNER * 0.6, 2, Style::new(12.0, Weight::Bold), name);
    if issuer.legal_name.as_ref().is_some_and(|legal| *legal != issuer.name) {
        y = page.block(MARGIN, y, INNER * 0.6, 1, PLAIN, &issuer.name);
    }
    for line in issuer.address.iter().flat_map(|a| a.lines()).chain(issuer.country.as_deref()).take(8) {
        y = page.block(MARGIN, y, INNER * 0.6, 2, PLAIN, line);
    }
    if let Some(tax_id) = &issuer.tax_id {
        y = page.block(MARGIN, y, INNER * 0.6, 1, PLAIN, &format!("Tax id {tax_id}"));
    }
    let mut right = MARGIN + 12.0;
    page.right(SUM, right, Style::new(18.0, Weight::Bold), "Receipt");
    right += 20.0;
    for (label, value) in [("Number", receipt.number.clone()), ("Date", receipt.issued.date())] {
        page.right(SUM, right, PLAIN, &format!("{label} {value}"));
        right += PLAIN.leading();
    }
    y = y.max(right) + 16.0;
    if let Some(buyer) = &receipt.buyer {
        page.text(MARGIN, y, LABEL, "For");
        y = page.block(MARGIN, y + 13.0, INNER, 1, PLAIN, buyer) + 4.0;
    }
    page.text(MARGIN, y, LABEL, "Event");
    y = page.block(MARGIN, y + 13.0, INNER, 2, BOLD, &receipt.event);
    y = page.block(MARGIN, y, INNER, 1, PLAIN, &receipt.event_at.long()) + 4.0;
    page.text(MARGIN, y, LABEL, "Booking");
    page.block(MARGIN, y + 13.0, INNER, 1, PLAIN, &receipt.booking) + 12.0
}

/// A line of the tables, which go on over pages.
enum Row {
    Heading([&'static str; 4]),
    Cells([String; 4], Style),
    Rule,
    Gap,
}

impl Row {
    fn draw(&self, page: &mut Page<'_>, y: f32) -> f32 {
        match self {
            Self::Heading([what, quantity, unit, sum]) => {
                page.text(MARGIN, y, LABEL, what);
                page.right(QUANTITY, y, LABEL, quantity);
                page.right(UNIT, y, LABEL, unit);
                page.right(SUM, y, LABEL, sum);
                y + 16.0
            }
            Self::Cells([what, quantity, unit, sum], style) => {
                page.right(QUANTITY, y, *style, quantity);
                page.right(UNIT, y, *style, unit);
                page.right(SUM, y, *style, sum);
                let width = if quantity.is_empty() { INNER * 0.55 } else { INNER * 0.48 };
                page.block(MARGIN, y, width, 2, *style, what)
            }
            Self::Rule => {
                page.rule(y - 8.0);
                y + 6.0
            }
            Self::Gap => y + 10.0,
        }
    }
}

fn rows(receipt: &Receipt) -> Vec<Row> {
    let money = |minor| words(minor, &receipt.currency);
    let cells = |what: String, quantity: String, unit: String, sum: String, style| {
        Row::Cells([what, quantity, unit, sum], style)
    };
    let none = String::new;
    let mut rows = vec![Row::Heading(["What", "Quantity", "Net, each", "Net"])];
    let discount = match &receipt.promo_code {
        Some(code) => format!("discount (code {code})"),
        None => "discount".to_owned(),
    };
    for line in &receipt.lines {
        let mut each = |what: String, unit: i64| {
            let (quantity, sum) = (line.quantity.to_string(), line.quantity * unit);
            rows.push(cells(what, quantity, money(unit), money(sum), PLAIN));
        };
        each(line.name.clone(), line.list_price_minor);
        if line.list_fee_minor != 0 {
            each(format!("{}: fee", line.name), line.list_fee_minor);
        }
        if line.discount_minor() != 0 {
            each(format!("{}: {discount}", line.name), -line.discount_minor());
        }
    }
    rows.push(Row::Rule);
    let taxes = receipt.taxes();
    let net: i64 = taxes.iter().map(|t| t.net_minor).sum();
    rows.push(cells("Net".to_owned(), none(), none(), money(net), PLAIN));
    for tax in &taxes {
        let what = format!("Tax {} on {}", percent(tax.rate_bp), money(tax.net_minor));
        rows.push(cells(what, none(), none(), money(tax.tax_minor), PLAIN));
    }
    rows.push(cells("Total".to_owned(), none(), none(), money(receipt.total_minor()), BOLD));
    rows.push(Row::Gap);
    rows.push(Row::Heading(["Money", "", "", "Amount"]));
    for movement in &receipt.movements {
        let (word, sign) = if movement.refund { ("Refunded", -1) } else { ("Paid", 1) };
        let what = format!("{word} {} ({})", movement.at.date(), movement.provider);
        rows.push(cells(what, none(), none(), money(sign * movement.amount_minor), PLAIN));
    }
    rows.push(Row::Rule);
    rows.push(cells("Paid in the end".to_owned(), none(), none(), money(receipt.balance_minor()), BOLD));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    fn sample(currency: &str) -> Receipt {
        let at = |at| Moment::new(at, "Europe/Vienna");
        let line = |name: &str, quantity, price, fee, tax, rate_bp| ReceiptLine {
            name: name.to_owned(),
            quantity,
            unit_price_minor: price,
            unit_fee_minor: fee,
            unit_tax_minor: tax,
            rate_bp,
            list_price_minor: price,
            list_fee_minor: fee,
        };
        Receipt {
            number: "2026-000017".into(),
            issued: at(datetime!(2026-11-22 12:00 UTC)),
            issuer: Issuer {
                name: "Nachtklang".into(),
                legal_name: Some("Nachtklang Kultur GmbH".into()),
                address: Some("Lothringerstraße 20\n1030 Wien".into()),
                country: Some("AT".into()),
                tax_id: Some("ATU12345678".into()),
            },
            buyer: Some("guest@example.org".into()),
            event: "Winter concert".into(),
            event_at: at(datetime!(2026-12-01 18:30 UTC)),
            booking: "0192f0c1-0000-7000-8000-000000000001".into(),
            currency: currency.into(),
            promo_code: None,
            lines: vec![
                line("Standing", 2, 2_336, 140, 174, 700),
                line("Book", 1, 1_000, 0, 200, 2_000),
                line("Seat", 1, 2_000, 100, 147, 700),
            ],
            movements: vec![
                Movement {
                    at: at(datetime!(2026-11-22 12:00 UTC)),
                    refund: false,
                    amount_minor: 8_747,
                    provider: "simulated".into(),
                },
                Movement {
                    at: at(datetime!(2026-11-23 12:00 UTC)),
                    refund: true,
                    amount_minor: 1_200,
                    provider: "simulated".into(),
                },
            ],
        }
    }

    #[test]
    fn taxes_are_summed_by_rate_and_the_total_is_what_was_paid() {
        let receipt = sample("EUR");
        assert_eq!(
            receipt.taxes(),
            [
                TaxLine { rate_bp: 700, net_minor: 7_052, tax_minor: 495 },
                TaxLine { rate_bp: 2_000, net_minor: 1_000, tax_minor: 200 },
            ]
        );
        assert_eq!((receipt.total_minor(), receipt.balance_minor()), (8_747, 7_547));
    }

    #[test]
    fn a_discount_stands_on_a_line_of_its_own_under_the_list_price() {
        let mut of = sample("EUR");
        of.promo_code = Some("SOMMER".into());
        of.lines[0].list_price_minor = 4_672;
        let written: Vec<[String; 4]> = rows(&of)
            .into_iter()
            .filter_map(|row| if let Row::Cells(cells, _) = row { Some(cells) } else { None })
            .collect();
        let line = |n: usize| written[n].each_ref().map(String::as_str);
        assert_eq!(line(0), ["Standing", "2", "46.72 EUR", "93.44 EUR"]);
        assert_eq!(line(1), ["Standing: fee", "2", "1.40 EUR", "2.80 EUR"]);
        assert_eq!(line(2), ["Standing: discount (code SOMMER)", "2", "-23.36 EUR", "-46.72 EUR"]);
        assert_eq!(line(3)[0], "Book", "no discount, no line");
        assert_eq!(of.total_minor(), 8_747, "what was paid is what it was");
    }

    #[test]
    fn a_long_receipt_goes_on_over_pages() {
        let fonts = Fonts::load(&[] as &[&str]).unwrap();
        let mut long = sample("JPY");
        for n in 0..60 {
            long.lines.push(ReceiptLine { name: format!("Line {n}"), ..long.lines[0].clone() });
        }
        let now = datetime!(2026-11-22 12:00 UTC);
        let one = receipt(&fonts, &sample("JPY"), now).unwrap();
        let many = receipt(&fonts, &long, now).unwrap();
        assert!(one.starts_with(b"%PDF-") && many.len() > one.len());
    }
}
