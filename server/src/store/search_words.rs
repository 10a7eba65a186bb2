//! The words of names and places: what a query's words are, and what mistyped ones may have been.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use crate::domain::search::{Meaning, corrections, edits};

/// The number of the newest word.
pub async fn newest(conn: &mut PgConnection) -> Result<i64, sqlx::Error> {
    let newest = sqlx::query_scalar!("select max(word_no) from search_words").fetch_one(conn).await?;
    Ok(newest.unwrap_or(0))
}

/// What `words` mean to those who know the words up to number `newest`; `open` is still being typed.
pub async fn meanings(
    conn: &mut PgConnection,
    words: &[String],
    open: Option<&str>,
    newest: i64,
) -> Result<BTreeMap<String, Meaning>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select w.word as "word!", stems.stems as "stems!", stems.filler as "filler!",
                  exists (select from search_words s where s.word = any (stems.stems || w.word) and s.word_no <= $2)
                  or (coalesce(w.word = $3, false) and exists (
                        select from search_words s
                         where s.word >= w.word collate "C" and s.word < (w.word || U&'\+10FFFF') collate "C"
                           and s.word_no <= $2)) as "known!"
             from unnest($1::text[]) as w (word)
            cross join lateral (
                  select coalesce(array_agg(distinct l.lexeme) filter (where l.lexeme is not null), '{}') as stems,
                         coalesce(bool_or(cardinality(d.found) = 0), false) as filler
                    from (select ts_lexize(dictionary, w.word) as found
                            from unnest('{english_stem,german_stem,spanish_stem,french_stem,italian_stem,dutch_stem,portuguese_stem}'::regdictionary[])
                                 as all_of (dictionary)) d
                    left join lateral unnest(d.found) as l (lexeme) on true) stems"#,
        words,
        newest,
        open,
    )
    .fetch_all(conn)
    .await?;
    let meaning = |stems, filler, known| Meaning { stems, filler, known, instead: Vec::new() };
    Ok(rows.into_iter().map(|row| (row.word, meaning(row.stems, row.filler, row.known))).collect())
}

/// Adds what the doubtful ones of `meanings` may have meant: known words of nearly the same letters, and those that a
/// word is a part of, as compounds have them.
pub async fn guess(
    conn: &mut PgConnection,
    meanings: &mut BTreeMap<String, Meaning>,
    doubtful: &[String],
    newest: i64,
) -> Result<(), sqlx::Error> {
    let lookups: Vec<String> = doubtful.iter().flat_map(|word| edits(word)).collect();
    let edited: Vec<String> = sqlx::query_scalar!(
        "select word from search_words where word = any($1) and word_no <= $2 order by word",
        &lookups,
        newest,
    )
    .fetch_all(&mut *conn)
    .await?;
    // One mistake explains the word: those with more are not meant, and comparing with all of them takes longest.
    let explained: Vec<String> =
        doubtful.iter().filter(|word| !corrections(word, &edited).is_empty()).cloned().collect();
    let alike = sqlx::query!(
        r#"select w.word as "word!", s.word as "other!", s.part as "part!"
             from unnest($1::text[]) as w (word)
            cross join lateral (
                  (select word, false as part from search_words
                    where w.word <> all ($3) and word % w.word and word_no <= $2
                    order by similarity(word, w.word) desc, word limit 30)
                  union all
                  (select word, true from search_words
                    where length(w.word) >= 4 and word like '%' || w.word || '%' and word <> w.word and word_no <= $2
                    order by length(word), word limit 20)) s"#,
        doubtful,
        newest,
        &explained,
    )
    .fetch_all(conn)
    .await?;
    for word in doubtful {
        let of_word = alike.iter().filter(|row| row.word == *word);
        let mut known: Vec<String> = of_word.clone().filter(|r| !r.part).map(|r| r.other.clone()).collect();
        known.extend(edited.iter().cloned());
        let mut instead = corrections(word, &known);
        instead.extend(of_word.filter(|row| row.part).map(|row| row.other.clone()));
        if let Some(meaning) = meanings.get_mut(word) {
            meaning.instead = instead;
        }
    }
    Ok(())
}
