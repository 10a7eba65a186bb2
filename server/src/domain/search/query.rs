//! Reading a query: words, "phrases", -not and or; and writing it down as PostgreSQL's tsquery.
//!
//! All that goes into a tsquery was folded before, so that it holds letters and digits alone: nothing to be escaped.

use std::collections::BTreeMap;

use super::fold;

/// More words say nothing more.
const MOST_WORDS: usize = 12;
/// Shorter beginnings are half the dictionary.
const SHORTEST_BEGINNING: usize = 2;

/// A query as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// All of these are meant, of each one of its alternatives.
    clauses: Vec<Vec<Phrase>>,
    /// None of these.
    not: Vec<Phrase>,
    /// The whole in folded words, without what is not meant.
    pub folded: String,
}

/// Words in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Phrase {
    words: Vec<String>,
    /// The last word may go on.
    open: bool,
}

/// What a word may mean, as the database knows it.
#[derive(Debug, Clone, Default)]
pub struct Meaning {
    /// Its stems in the languages that have any.
    pub stems: Vec<String>,
    /// A language has it for one that says nothing, as "the".
    pub filler: bool,
    /// It is a known word, or (the last one) a beginning of one.
    pub known: bool,
    /// Known words that were perhaps meant.
    pub instead: Vec<String>,
}

/// The tsqueries of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readings {
    /// As typed, in all words.
    pub exact: String,
    /// With stems and beginnings.
    pub near: String,
    /// The same without what is not meant: for a part of the text.
    pub near_part: String,
    /// With what mistyped words may have meant; `None` if nothing is known of that.
    pub wide: Option<String>,
    /// The widest of these with any one of its words left out; `None` of a single word.
    pub most: Option<String>,
}

impl Query {
    /// Reads it. What cannot be understood is a word like others.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut query = Self::default();
        let (mut words, mut alternative) = (0, false);
        let mut rest = text;
        loop {
            rest = rest.trim_start();
            if rest.is_empty() {
                break;
            }
            let negated = rest.starts_with('-');
            let body = rest.strip_prefix('-').unwrap_or(rest);
            let (chunk, quoted, after) = match body.strip_prefix('"').and_then(|b| b.split_once('"')) {
                Some((inside, after)) => (inside, true, after),
                None => {
                    let end = body.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(body.len());
                    let end = if end == 0 { body.chars().next().map_or(0, char::len_utf8) } else { end };
                    (&body[..end], false, &body[end..])
                }
            };
            rest = after;
            let joins = !quoted && !negated && chunk.eq_ignore_ascii_case("or");
            if joins && !query.clauses.is_empty() && !rest.trim().is_empty() {
                alternative = true;
                continue;
            }
            let mut folded: Vec<String> =
                fold(chunk).split(' ').filter(|w| !w.is_empty()).map(str::to_owned).collect();
            folded.truncate(MOST_WORDS - words);
            if folded.is_empty() {
                continue;
            }
            words += folded.len();
            let phrases = match quoted || negated {
                true => vec![Phrase { words: folded, open: false }],
                false => {
                    let count = folded.len();
                    let one =
                        |(n, word)| Phrase { words: vec![word], open: n + 1 == count && rest.is_empty() };
                    folded.into_iter().enumerate().map(one).collect()
                }
            };
            match (negated, std::mem::take(&mut alternative), query.clauses.last_mut()) {
                (true, ..) => query.not.extend(phrases),
                (false, true, Some(clause)) => clause.extend(phrases),
                _ => query.clauses.extend(phrases.into_iter().map(|p| vec![p])),
            }
        }
        let all = query.clauses.iter().flatten().flat_map(|p| p.words.iter().map(String::as_str));
        query.folded = all.collect::<Vec<_>>().join(" ");
        query
    }

    /// True if there is no word in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clauses.is_empty() && self.not.is_empty()
    }

    /// True if it only says what is not meant.
    #[must_use]
    pub fn only_excludes(&self) -> bool {
        self.clauses.is_empty() && !self.not.is_empty()
    }

    /// True if it excludes something.
    #[must_use]
    pub fn excludes(&self) -> bool {
        !self.not.is_empty()
    }

    /// All of its words, each once.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let mut words: Vec<String> =
            self.clauses.iter().flatten().chain(&self.not).flat_map(|p| p.words.iter().cloned()).collect();
        words.sort_unstable();
        words.dedup();
        words
    }

    /// The word that is still being typed.
    #[must_use]
    pub fn open_word(&self) -> Option<&str> {
        let last = self.clauses.iter().flatten().find(|p| p.open)?;
        last.words.last().map(String::as_str).filter(|w| w.chars().count() >= SHORTEST_BEGINNING)
    }

    /// Single words that may be mistyped: all of them, or only those that nobody knows.
    #[must_use]
    pub fn doubtful(&self, meanings: &BTreeMap<String, Meaning>, all: bool) -> Vec<String> {
        let single = self.clauses.iter().flatten().filter(|p| p.words.len() == 1);
        let mut words: Vec<String> = single
            .flat_map(|p| p.words.iter())
            .filter(|w| meanings.get(*w).is_none_or(|m| !m.filler && (all || !m.known)))
            .cloned()
            .collect();
        words.sort_unstable();
        words.dedup();
        words
    }

    /// The query as tsqueries.
    #[must_use]
    pub fn readings(&self, meanings: &BTreeMap<String, Meaning>) -> Readings {
        let means = |word: &String| meanings.get(word).cloned().unwrap_or_default();
        let filler = |clause: &&Vec<Phrase>| {
            clause.iter().all(|p| p.words.len() == 1 && p.words.iter().all(|w| means(w).filler))
        };
        // Words that say nothing count only if there are no others.
        let telling: Vec<&Vec<Phrase>> = self.clauses.iter().filter(|c| !filler(c)).collect();
        let telling = if telling.is_empty() { self.clauses.iter().collect() } else { telling };
        let not: Vec<String> =
            self.not.iter().map(|p| format!("!({})", p.tsquery(|w, _| with_stems(w, &means(w))))).collect();
        let all = |clauses: &[&Vec<Phrase>], word: &dyn Fn(&String, bool) -> Vec<String>| {
            let one = |clause: &&Vec<Phrase>| {
                let phrases: Vec<String> = clause.iter().map(|p| p.tsquery(word)).collect();
                format!("({})", phrases.join(" | "))
            };
            clauses.iter().map(one).collect::<Vec<_>>()
        };
        let near = |word: &String, open: bool| {
            let mut forms = with_stems(word, &means(word));
            if open && word.chars().count() >= SHORTEST_BEGINNING {
                forms.push(format!("'{word}':*"));
            }
            forms
        };
        let wide = |word: &String, open: bool| {
            let mut forms = near(word, open);
            forms.extend(means(word).instead.iter().map(|w| format!("'{w}'")));
            forms
        };
        let near_part = all(&telling, &near);
        let wide = meanings.values().any(|m| !m.instead.is_empty()).then(|| all(&telling, &wide));
        let together = |mut parts: Vec<String>| {
            parts.extend(not.iter().cloned());
            parts.join(" & ")
        };
        let most = |parts: &[String]| {
            let without = |left_out: usize| {
                let kept = parts.iter().enumerate().filter(|(n, _)| *n != left_out);
                format!("({})", kept.map(|(_, part)| part.as_str()).collect::<Vec<_>>().join(" & "))
            };
            format!("({})", (0..parts.len()).map(without).collect::<Vec<_>>().join(" | "))
        };
        let most = (telling.len() > 1).then(|| together(vec![most(wide.as_deref().unwrap_or(&near_part))]));
        Readings {
            exact: all(&self.clauses.iter().collect::<Vec<_>>(), &|w, _| vec![format!("'{w}'")]).join(" & "),
            near: together(near_part.clone()),
            near_part: near_part.join(" & "),
            wide: wide.map(together),
            most,
        }
    }
}

impl Phrase {
    fn tsquery(&self, forms: impl Fn(&String, bool) -> Vec<String>) -> String {
        let last = self.words.len().saturating_sub(1);
        let word = |(n, word)| format!("({})", forms(word, self.open && n == last).join(" | "));
        self.words.iter().enumerate().map(word).collect::<Vec<_>>().join(" <-> ")
    }
}

fn with_stems(word: &str, meaning: &Meaning) -> Vec<String> {
    let mut forms = vec![format!("'{word}'")];
    forms.extend(meaning.stems.iter().filter(|s| *s != word).map(|s| format!("'{s}'")));
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(text: &str) -> String {
        Query::parse(text).readings(&BTreeMap::new()).near
    }

    #[test]
    fn words_phrases_exclusions_and_alternatives_are_read() {
        for (text, expected) in [
            ("jazz", "(('jazz' | 'jazz':*))"),
            ("jazz ", "(('jazz'))"),
            ("Café BERLIN", "(('cafe')) & (('berlin' | 'berlin':*))"),
            ("\"red hot\" x", "(('red') <-> ('hot')) & (('x'))"),
            ("blue -whales", "(('blue')) & !(('whales'))"),
            ("blue -\"big whales\" ", "(('blue')) & !(('big') <-> ('whales'))"),
            ("jazz or blues berlin ", "(('jazz') | ('blues')) & (('berlin'))"),
            ("or", "(('or' | 'or':*))"),
            ("AC/DC ", "(('ac')) & (('dc'))"),
            ("'\":&|!(*", ""),
            ("\"", ""),
            ("-", ""),
            ("\"open quote", "(('open')) & (('quote' | 'quote':*))"),
        ] {
            assert_eq!(near(text), expected, "{text}");
        }
        assert!(Query::parse(" \u{0}:*").is_empty());
        assert!(Query::parse("-x").only_excludes());
        assert_eq!(Query::parse(&"a b c ".repeat(1_000)).clauses.len(), MOST_WORDS);
        assert_eq!(Query::parse("Die Ärzte -live").folded, "die arzte");
    }

    #[test]
    fn a_words_meanings_stand_beside_it() {
        let meanings = BTreeMap::from([
            ("das".to_owned(), Meaning { filler: true, known: true, ..Meaning::default() }),
            ("konzerte".to_owned(), Meaning { stems: vec!["konzert".to_owned()], ..Meaning::default() }),
            ("mozrat".to_owned(), Meaning { instead: vec!["mozart".to_owned()], ..Meaning::default() }),
        ]);
        let readings = Query::parse("das konzerte mozrat ").readings(&meanings);
        assert_eq!(readings.near, "(('konzerte' | 'konzert')) & (('mozrat'))");
        assert_eq!(readings.exact, "(('das')) & (('konzerte')) & (('mozrat'))");
        assert_eq!(readings.wide.as_deref(), Some("(('konzerte' | 'konzert')) & (('mozrat' | 'mozart'))"));
        assert_eq!(
            readings.most.as_deref(),
            Some("(((('mozrat' | 'mozart'))) | ((('konzerte' | 'konzert'))))"),
            "without either of the two"
        );
        let three = Query::parse("a1 b1 c1 -d1 ").readings(&BTreeMap::new()).most;
        let expected = "(((('b1')) & (('c1'))) | ((('a1')) & (('c1'))) | ((('a1')) & (('b1')))) & !(('d1'))";
        assert_eq!(three.as_deref(), Some(expected));
        assert_eq!(Query::parse("das ").readings(&meanings).most, None);
        assert_eq!(Query::parse("das ").readings(&meanings).near, "(('das'))", "nothing else is left");
        assert_eq!(Query::parse("das mozrat x").doubtful(&meanings, false), ["mozrat", "x"]);
    }
}
