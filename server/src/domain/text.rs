//! Forms of short texts: slugs, addresses, names of time zones, texts within HTML.

use rand::Rng;

use super::account::Email;

/// The longest slug.
pub const MAX_SLUG: usize = 80;

/// A slug from a title: lower-case ASCII words joined by hyphens, and six random characters, so that it
/// is unique without asking and no other tenant's title can be found by trying.
pub fn slug_of<R: Rng + ?Sized>(title: &str, rng: &mut R) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut slug = String::new();
    for c in title.chars().flat_map(char::to_lowercase) {
        if slug.len() >= MAX_SLUG - 20 {
            break;
        }
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            'ä' | 'á' | 'à' | 'â' | 'å' | 'ã' => slug.push('a'),
            'ö' | 'ó' | 'ò' | 'ô' | 'õ' | 'ø' => slug.push('o'),
            'ü' | 'ú' | 'ù' | 'û' => slug.push('u'),
            'é' | 'è' | 'ê' | 'ë' => slug.push('e'),
            'í' | 'ì' | 'î' | 'ï' => slug.push('i'),
            'ç' => slug.push('c'),
            'ñ' => slug.push('n'),
            'ß' => slug.push_str("ss"),
            _ if !slug.is_empty() && !slug.ends_with('-') => slug.push('-'),
            _ => {}
        }
    }
    if !slug.is_empty() && !slug.ends_with('-') {
        slug.push('-');
    }
    let bits = rng.next_u64();
    slug.extend((0..6).map(|i| char::from(ALPHABET[(bits >> (5 * i)) as usize & 31])));
    slug
}

/// True for what an account's address may be, without spaces around it.
#[must_use]
pub fn is_email(text: &str) -> bool {
    Email::parse(text).is_ok() && text.trim() == text
}

/// True if the text has the form of an IANA zone name ("Europe/Berlin", "UTC"). Whether it exists is
/// asked of the database.
#[must_use]
pub fn looks_like_time_zone(text: &str) -> bool {
    let form = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_uppercase())
            && part.len() <= 40
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "_-+".contains(c))
    };
    text == "UTC" || (text.contains('/') && text.split('/').count() <= 3 && text.split('/').all(form))
}

/// A text for HTML, between tags or inside of quotes.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    #[test]
    fn slugs_are_plain_and_short() {
        let mut rng = StdRng::seed_from_u64(1);
        for (title, start) in [
            ("Summer Night 2026", "summer-night-2026-"),
            ("  Ärger & Überfluß!! ", "arger-uberfluss-"),
            ("日本", ""),
            (&"x".repeat(300), "xxxx"),
        ] {
            let slug = slug_of(title, &mut rng);
            assert!(slug.starts_with(start), "{slug}");
            assert!((3..=MAX_SLUG).contains(&slug.len()), "{slug}");
            assert!(slug.split('-').all(|w| !w.is_empty()), "{slug}");
            assert!(slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
        }
        assert_ne!(slug_of("a", &mut rng), slug_of("a", &mut rng));
    }

    #[test]
    fn addresses_are_checked_for_form_only() {
        for good in ["a@b.de", "first.last+tag@sub.example.org", "ö@exämple.org"] {
            assert!(is_email(good), "{good}");
        }
        for bad in ["", "a", "@b.de", "a@", "a@b", "a b@c.de", "a@b@c.de", "a@b..de", "a\n@b.de", "<a@b.de>"]
        {
            assert!(!is_email(bad), "{bad}");
        }
    }

    #[test]
    fn time_zones_have_the_form_of_iana_names() {
        for good in ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+3"] {
            assert!(looks_like_time_zone(good), "{good}");
        }
        for bad in ["", "CEST", "utc", "Europe/", "posix/Europe/Berlin", "../etc/passwd", "Europe/Ber lin"] {
            assert!(!looks_like_time_zone(bad), "{bad}");
        }
    }
}
