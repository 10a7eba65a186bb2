//! Which known words a mistyped one may mean: by the number of single mistakes between them.

/// So many words stand in for a mistyped one at most.
const AT_MOST: usize = 8;
/// Longer words share enough trigrams with what they should have been, and would need too many lookups.
const SHORT: usize = 8;

/// How many mistakes a word of so many letters may have.
const fn allowed(letters: usize) -> usize {
    match letters {
        0..=2 => 0,
        3..=5 => 1,
        6..=9 => 2,
        _ => 3,
    }
}

/// Words with one mistake in ASCII letters, to be looked up as they are: letters swapped (trigrams are blind to that)
/// and, in short words, also left out, put in or mistaken.
#[must_use]
pub fn edits(word: &str) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    if allowed(letters.len()) == 0 {
        return Vec::new();
    }
    let mut all = Vec::new();
    for i in 1..letters.len() {
        let mut swapped = letters.clone();
        swapped.swap(i - 1, i);
        all.push(swapped);
    }
    if letters.len() <= SHORT {
        for i in 0..=letters.len() {
            let (before, after) = letters.split_at(i);
            if let Some((_, rest)) = after.split_first() {
                all.push([before, rest].concat());
                all.extend(('a'..='z').map(|c| [before, &[c], rest].concat()));
            }
            all.extend(('a'..='z').map(|c| [before, &[c], after].concat()));
        }
    }
    let mut all: Vec<String> = all.into_iter().map(String::from_iter).filter(|w| w != word).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Of `known` words those that `word` may have been meant for, the likeliest first.
#[must_use]
pub fn corrections(word: &str, known: &[String]) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    let most = allowed(letters.len());
    let mut near: Vec<(usize, bool, &String)> = known
        .iter()
        .map(|other| (mistakes(&letters, &other.chars().collect::<Vec<_>>()), other))
        .filter(|(n, _)| (1..=most).contains(n))
        // People seldom mistake the first letter.
        .map(|(n, other)| (n, other.chars().next() != letters.first().copied(), other))
        .collect();
    near.sort_unstable();
    near.dedup();
    // Words with more mistakes than the best one need are hardly meant.
    let best = near.first().map_or(0, |(n, ..)| *n);
    near.into_iter()
        .filter(|(n, ..)| *n <= best + usize::from(best > 1))
        .take(AT_MOST)
        .map(|(.., w)| w.clone())
        .collect()
}

/// Letters left out, put in, mistaken, and neighbours swapped (optimal string alignment).
fn mistakes(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_counted() {
        for (a, b, n) in [
            ("", "", 0),
            ("jazz", "jazz", 0),
            ("mozrat", "mozart", 1),
            ("bethoven", "beethoven", 1),
            ("abc", "", 3),
            ("jass", "jazz", 2),
        ] {
            let count =
                |a: &str, b: &str| mistakes(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>());
            assert_eq!((count(a, b), count(b, a)), (n, n), "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_words_come_first_and_far_ones_not_at_all() {
        let known: Vec<String> =
            ["beethoven", "beethovens", "mozart", "jazz", "jam", "go"].map(String::from).to_vec();
        assert_eq!(corrections("bethoven", &known), ["beethoven"]);
        assert_eq!(corrections("mozrat", &known), ["mozart"]);
        assert_eq!(corrections("jaz", &known), ["jam", "jazz"]);
        assert_eq!(corrections("og", &known), Vec::<String>::new(), "two letters may be anything");
        assert_eq!(corrections("mozart", &known), Vec::<String>::new(), "no mistake, nothing to put right");
    }

    #[test]
    fn edits_hold_swaps_and_in_short_words_every_single_mistake() {
        let short = edits("jaz");
        for meant in ["jazz", "az", "ajz", "jam"] {
            assert!(short.iter().any(|w| w == meant), "{meant}");
        }
        assert!(!short.iter().any(|w| w == "jaz"));
        let long = edits("beethvoen");
        assert!(long.iter().any(|w| w == "beethoven") && long.len() < 10);
        assert!(edits("ab").is_empty());
    }
}
