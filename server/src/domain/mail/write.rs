//! Letters as text and as HTML.

use super::{Block, Letter};
use crate::domain::text::escaped;

/// For readers that show mails on a dark ground; the others have the colours beside each element.
const DARK: &str = ":root{color-scheme:light dark}@media(prefers-color-scheme:dark){\
    .b{color:#e8e8e8!important;background:#16181d!important}.s{color:#b0b0b0!important}\
    .l{background:#93b4ff!important;color:#0b1020!important}}";
/// Characters a line of text.
const WIDTH: usize = 76;

impl Letter {
    /// As plain text.
    pub fn text(&self) -> String {
        let blocks: Vec<String> = self
            .blocks
            .iter()
            .map(|block| match block {
                Block::Paragraph(text) | Block::Small(text) => wrapped(text),
                // An address stands alone in its line: programs make it a link whole.
                Block::Link { label, url } => format!("{label}:\n{url}"),
                Block::Code(code) => format!("    {code}"),
            })
            .collect();
        blocks.join("\n\n") + "\n"
    }

    /// As HTML that loads nothing.
    pub fn html(&self, language: &str) -> String {
        let blocks: String = self.blocks.iter().map(block).collect();
        format!(
            "<!doctype html><html lang=\"{}\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\
             <title>{}</title><style>{DARK}</style></head>\
             <body class=\"b\" style=\"margin:0;padding:24px;font:16px/1.5 sans-serif;color:#1a1a1a;background:#fff\">\
             <div style=\"max-width:560px;margin:0 auto\">{blocks}</div></body></html>",
            escaped(language),
            escaped(&self.subject),
        )
    }
}

fn block(block: &Block) -> String {
    match block {
        Block::Paragraph(text) => format!("<p>{}</p>", escaped(text)),
        Block::Small(text) => {
            format!("<p class=\"s\" style=\"font-size:13px;color:#5a5a5a\">{}</p>", escaped(text))
        }
        Block::Code(code) => format!(
            "<p style=\"font:28px/1.2 monospace;letter-spacing:4px;font-weight:bold\">{}</p>",
            escaped(code)
        ),
        Block::Link { label, url } => {
            // What is no web address stays text: no `javascript:` behind a button.
            if !(url.starts_with("https://") || url.starts_with("http://")) {
                return format!("<p>{}: {}</p>", escaped(label), escaped(url));
            }
            format!(
                "<p><a class=\"l\" href=\"{0}\" style=\"display:inline-block;padding:10px 18px;border-radius:6px;\
                 background:#1d4ed8;color:#fff;text-decoration:none\">{1}</a></p>\
                 <p class=\"s\" style=\"font-size:13px;color:#5a5a5a;word-break:break-all\">{0}</p>",
                escaped(url),
                escaped(label),
            )
        }
    }
}

fn wrapped(text: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > WIDTH {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::compose;
    use super::*;

    #[test]
    fn a_letter_says_the_same_as_text_and_as_html() {
        let facts = json!({ "link": "https://t.example/v?a=1&b=2", "code": "012345", "minutes": 60 });
        let letter = compose("auth.magic_link", "en", facts.as_object().unwrap()).unwrap();
        let (text, html) = (letter.text(), letter.html("en"));
        assert!(text.contains("\nhttps://t.example/v?a=1&b=2\n") && text.contains("012345"), "{text}");
        assert!(
            html.contains("href=\"https://t.example/v?a=1&amp;b=2\"") && html.contains("012345"),
            "{html}"
        );
        assert!(text.lines().all(|line| line.chars().count() <= 120));
    }

    #[test]
    fn what_a_stranger_wrote_stays_text() {
        let facts = json!({ "at": "today", "client": "<script>alert(1)</script>\"'" });
        let letter = compose("auth.new_login", "xx", facts.as_object().unwrap()).unwrap();
        assert!(!letter.html("xx").contains("<script"));
        let letter = Letter {
            subject: "x".into(),
            blocks: vec![Block::Link { label: "y".into(), url: "javascript:alert(1)".into() }],
        };
        assert!(!letter.html("en").contains("href"));
    }

    #[test]
    fn a_kind_without_a_template_and_a_missing_fact_are_named() {
        let lacking = compose("auth.magic_link", "en", &serde_json::Map::new()).unwrap_err();
        assert_eq!(lacking.to_string(), "the facts lack link");
        assert!(compose("auth.poem", "en", &serde_json::Map::new()).is_err());
    }
}
