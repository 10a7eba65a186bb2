//! Names as they are searched: without accents, case and marks, so that whoever types at the door finds who stands there.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// Words of one search at most.
const MAX_WORDS: usize = 8;

/// The words of a text: letters and digits in lower case, without accents. An apostrophe joins (O'Brien, obrien); anything
/// else that is no letter parts (Jean-Luc, jean luc).
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in text.nfkd().filter(|c| !is_combining_mark(*c)) {
        if matches!(c, '\'' | '’' | '‘' | 'ʼ' | '`') {
            continue;
        }
        if !c.is_alphanumeric() {
            words.push(String::new());
            continue;
        }
        for lower in c.to_lowercase() {
            if let Some(word) = words.last_mut() {
                match latin(lower) {
                    Some(plain) => word.push_str(plain),
                    None => word.push(lower),
                }
            }
        }
    }
    words.retain(|w| !w.is_empty());
    words
}

/// What is searched for: at most so many words that nobody waits for it.
#[must_use]
pub fn query(text: &str) -> Vec<String> {
    let mut words = words(text);
    words.truncate(MAX_WORDS);
    words
}

/// What is searched in: each word of the texts after a space. Umlauts stand in both spellings (Müller: muller, mueller).
#[must_use]
pub fn index(texts: &[&str]) -> String {
    let mut out = String::new();
    for text in texts {
        let plain = words(text);
        let spelled = words(&spelled(text));
        for word in plain.iter().chain(spelled.iter().filter(|w| !plain.contains(w))) {
            out.push(' ');
            out.push_str(word);
        }
    }
    out
}

/// Letters without a decomposition that people type otherwise.
const fn latin(c: char) -> Option<&'static str> {
    Some(match c {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'đ' | 'ð' => "d",
        'ł' => "l",
        'þ' => "th",
        'ı' => "i",
        _ => return None,
    })
}

fn spelled(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.nfc() {
        match c {
            'ä' | 'Ä' => out.push_str("ae"),
            'ö' | 'Ö' | 'ø' | 'Ø' => out.push_str("oe"),
            'ü' | 'Ü' => out.push_str("ue"),
            'å' | 'Å' => out.push_str("aa"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accents_case_and_marks_do_not_matter() {
        assert_eq!(words("  José-María  O'BRIEN "), ["jose", "maria", "obrien"]);
        assert_eq!(words("Łukasz Straße Ærø"), ["lukasz", "strasse", "aero"]);
        assert_eq!(words("Zoe\u{308}"), words("Zoë"), "composed or not");
        assert_eq!(words("İnci ﬁ"), ["inci", "fi"]);
        assert_eq!(words("…"), Vec::<String>::new());
        assert_eq!(words("Ελένη Дмитрий 田中"), ["ελενη", "дмитрии", "田中"]);
    }

    #[test]
    fn umlauts_are_found_in_both_spellings() {
        assert_eq!(index(&["Jürgen Müller", "B-1"]), " jurgen muller juergen mueller b 1");
        assert_eq!(index(&["Ada"]), " ada");
    }

    #[test]
    fn a_search_has_few_words() {
        assert_eq!(query(&"a ".repeat(100)).len(), MAX_WORDS);
    }
}
