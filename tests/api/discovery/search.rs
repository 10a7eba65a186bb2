//! What search narrows, orders, counts and pages; what it never shows; what it refuses.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::{Value, json};
use time::Duration;
use time::format_description::well_known::Rfc3339;

use super::{Stage, encoded, now, own, text, titles};

/// Six events that differ in everything that a search narrows by.
async fn six(stage: &Stage) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    for event in [
        json!({ "title": "Alpha", "category_id": "music", "city": "Wien", "venue_name": "Konzerthaus", "latitude": 48.2005, "longitude": 16.3765, "price": 3_000, "day": 5 }),
        json!({ "title": "Beta", "category_id": "music", "city": "Wien", "venue_name": "Flucc", "latitude": 48.2176, "longitude": 16.3925, "price": 0, "day": 9 }),
        json!({ "title": "Gamma", "category_id": "comedy", "city": "Sankt Pölten", "venue_name": "Bühne", "latitude": 48.2047, "longitude": 15.6256, "price": 1_500, "day": 3 }),
        json!({ "title": "Delta", "category_id": "comedy", "city": "Graz", "venue_name": "Orpheum", "latitude": 47.0707, "longitude": 15.4395, "price": 500, "day": 20, "capacity": 1 }),
        json!({ "title": "Epsilon", "category_id": "film", "city": "Zürich", "venue_name": "Kino Wiener Straße", "price": 1_000, "currency": "CHF", "day": 12 }),
        json!({ "title": "Zeta", "category_id": "film", "city": "", "price": 2_500, "day": 30 }),
    ] {
        ids.push(stage.event(event).await?);
    }
    Ok(ids)
}

#[tokio::test]
async fn every_filter_lets_through_what_it_says_and_nothing_else() -> Result<()> {
    let stage = Stage::open().await?;
    let ids = six(&stage).await?;
    stage.sell(&ids[3], 1).await?;
    stage.refresh().await?;
    let day = |n: i64| anyhow::Ok(encoded(&(now() + Duration::days(n)).format(&Rfc3339)?));
    let vienna = "latitude=48.2&longitude=16.37";
    for (query, expected) in [
        (String::new(), "Gamma Alpha Beta Epsilon Delta Zeta"),
        ("category=comedy".to_owned(), "Gamma Delta"),
        ("city=wien".to_owned(), "Alpha Beta"),
        ("city=ZURICH".to_owned(), "Epsilon"),
        ("city=wie".to_owned(), ""),
        ("place=wien".to_owned(), "Alpha Beta Epsilon"),
        ("place=konz".to_owned(), "Alpha"),
        ("place=polten".to_owned(), "Gamma"),
        ("place=sankt%20p".to_owned(), "Gamma"),
        ("place=%25".to_owned(), "Gamma Alpha Beta Epsilon Delta Zeta"),
        (vienna.to_owned(), "Alpha Beta"),
        (format!("{vienna}&radius_km=1"), "Alpha"),
        (format!("{vienna}&radius_km=60"), "Gamma Alpha Beta"),
        (format!("{vienna}&radius_km=200&sort=distance"), "Alpha Beta Gamma Delta"),
        ("currency=CHF".to_owned(), "Epsilon"),
        ("currency=EUR&price_min=1500".to_owned(), "Gamma Alpha Zeta"),
        ("currency=EUR&price_max=1499".to_owned(), "Beta Delta"),
        ("currency=EUR&price_min=500&price_max=500".to_owned(), "Delta"),
        ("free=true".to_owned(), "Beta"),
        ("free=false&category=music".to_owned(), "Alpha"),
        ("available=false".to_owned(), "Delta"),
        ("available=true&category=comedy".to_owned(), "Gamma"),
        (format!("from={}", day(10)?), "Epsilon Delta Zeta"),
        (format!("to={}", day(9)?), "Gamma Alpha"),
        (format!("from={}&to={}", day(5)?, day(13)?), "Alpha Beta Epsilon"),
        ("sort=price&currency=EUR".to_owned(), "Beta Delta Gamma Zeta Alpha"),
        ("sort=popularity".to_owned(), "Delta Gamma Alpha Beta Epsilon Zeta"),
        ("sort=relevance".to_owned(), "Gamma Alpha Beta Epsilon Delta Zeta"),
        ("q=wien&sort=date".to_owned(), "Alpha Beta Epsilon"),
        ("q=wien&category=music&free=true".to_owned(), "Beta"),
        (format!("q=nachtklang&{vienna}&sort=distance"), "Alpha Beta"),
        ("q=nachtklang%20-wien&sort=date".to_owned(), "Gamma Epsilon Delta Zeta"),
        ("q=-wien%20-graz".to_owned(), "Gamma Epsilon Zeta"),
        ("q=alpha%20or%20zeta&sort=date".to_owned(), "Alpha Zeta"),
    ] {
        assert_eq!(stage.titles(&query).await?.join(" "), expected, "{query}");
    }
    let found = stage.search(&format!("{vienna}&radius_km=1")).await?.expect(200)?;
    let alpha = &found["items"][0];
    let km = alpha["distance_km"].as_f64().context("a distance")?;
    assert!((0.4..0.6).contains(&km), "{km}");
    assert_eq!((&alpha["available"], &alpha["price_from"]["amount_minor"]), (&json!(true), &json!(3_000)));
    Ok(())
}

#[tokio::test]
async fn only_published_events_to_come_are_found() -> Result<()> {
    let stage = Stage::open().await?;
    let (draft, _) = stage.draft_of(&stage.owner, json!({ "title": "Secret draft" })).await?;
    let canceled = stage.event(json!({ "title": "Canceled show" })).await?;
    let long =
        json!({ "title": "Long show", "day": 1, "ends_at": (now() + Duration::days(4)).format(&Rfc3339)? });
    stage.event(long).await?;
    stage.event(json!({ "title": "Short show", "day": 2 })).await?;
    assert_eq!(stage.titles("q=show").await?, ["Long show", "Short show", "Canceled show"]);
    own(
        &stage.server,
        &stage.owner,
        Method::POST,
        &format!("/organizer/events/{canceled}/cancel"),
        json!({}),
    )
    .await?;
    assert_eq!(stage.titles("").await?.len(), 2);
    assert_eq!(stage.titles("q=draft").await?, Vec::<String>::new());
    // A change of a draft is no news to the public.
    let path = format!("/organizer/events/{draft}/update");
    own(&stage.server, &stage.owner, Method::PUT, &path, json!({ "title": "Secret show" })).await?;
    assert_eq!(stage.titles("q=show").await?.len(), 2);
    // Over is over, whatever `from` says; what goes on is not.
    stage.clock.advance(std::time::Duration::from_secs(3 * 86_400));
    let from = encoded(&now().format(&Rfc3339)?);
    for query in ["q=show".to_owned(), String::new(), format!("from={from}"), "sort=popularity".to_owned()] {
        assert_eq!(stage.titles(&query).await?, ["Long show"], "{query}");
    }
    stage.clock.advance(std::time::Duration::from_secs(4 * 86_400));
    stage.refresh().await?;
    let rows: i64 = sqlx::query_scalar("select count(*) from event_search")
        .fetch_one(&mut stage.server.db.owner().await?)
        .await?;
    assert_eq!(rows, 0, "what is over leaves the table");
    Ok(())
}

#[tokio::test]
async fn sold_out_and_on_sale_again_is_told_when_the_job_has_looked() -> Result<()> {
    let stage = Stage::open().await?;
    let id = stage.event(json!({ "title": "Tiny", "capacity": 2 })).await?;
    stage.event(json!({ "title": "Big" })).await?;
    assert_eq!(stage.titles("available=true").await?.len(), 2);
    stage.sell(&id, 2).await?;
    stage.refresh().await?;
    assert_eq!(stage.titles("available=false").await?, ["Tiny"]);
    assert_eq!(stage.titles("sort=popularity").await?, ["Tiny", "Big"]);
    let detail =
        own(&stage.server, &stage.owner, Method::GET, &format!("/organizer/events/{id}"), Value::Null)
            .await?;
    let quota = format!("/organizer/events/{id}/quotas/{}", text(&detail["quotas"][0], "quota_id"));
    own(&stage.server, &stage.owner, Method::PUT, &quota, json!({ "capacity": 3 })).await?;
    assert_eq!(
        stage.titles("available=false").await?,
        Vec::<String>::new(),
        "a change of the catalogue is seen at once"
    );
    assert_eq!(stage.titles("sort=popularity").await?, ["Tiny", "Big"], "and forgets no figures");
    Ok(())
}

/// Counted anew from what all pages show.
fn recount(items: &[Value]) -> (usize, usize, usize, BTreeMap<String, usize>, BTreeMap<String, usize>) {
    let mut by_category = BTreeMap::new();
    let mut by_city = BTreeMap::new();
    for item in items {
        *by_category.entry(text(item, "category_id")).or_default() += 1;
        if !text(item, "city").is_empty() {
            *by_city.entry(text(item, "city")).or_default() += 1;
        }
    }
    let free = items.iter().filter(|i| i["price_from"]["amount_minor"] == 0).count();
    let available = items.iter().filter(|i| i["available"] == true).count();
    (items.len(), free, available, by_category, by_city)
}

#[tokio::test]
async fn facets_equal_a_recount() -> Result<()> {
    let stage = Stage::open().await?;
    let ids = six(&stage).await?;
    stage.sell(&ids[3], 1).await?;
    stage.refresh().await?;
    let items = async |query: &str| {
        let page = stage.search(query).await?.expect(200)?;
        anyhow::Ok(page["items"].as_array().cloned().unwrap_or_default())
    };
    // The same search, without its filters of category and of city.
    for (query, no_category, no_city) in [
        ("", "", ""),
        ("q=wien", "q=wien", "q=wien"),
        ("q=wein&x", "q=wein", "q=wein"),
        ("category=music", "", "category=music"),
        ("city=wien&free=false", "city=wien&free=false", "free=false"),
        ("q=nachtklang&category=comedy&city=graz", "q=nachtklang&city=graz", "q=nachtklang&category=comedy"),
        (
            "latitude=48.2&longitude=16.37&radius_km=60",
            "latitude=48.2&longitude=16.37&radius_km=60",
            "latitude=48.2&longitude=16.37&radius_km=60",
        ),
        ("q=nothinglikethis", "q=nothinglikethis", "q=nothinglikethis"),
        ("q=%3A", "q=%3A", "q=%3A"),
    ] {
        let query = query.trim_end_matches("&x");
        let facets = stage.search(&format!("{query}&facets=true")).await?.expect(200)?["facets"].clone();
        let (total, free, available, ..) = recount(&items(query).await?);
        assert_eq!(
            (&facets["total"], &facets["free"], &facets["available"]),
            (&json!(total), &json!(free), &json!(available)),
            "{query}"
        );
        let counts = |list: &str, name: &str| -> BTreeMap<String, usize> {
            let list = facets[list].as_array().cloned().unwrap_or_default();
            list.iter().map(|c| (text(c, name), c["events"].as_u64().unwrap_or(0) as usize)).collect()
        };
        assert_eq!(counts("categories", "category_id"), recount(&items(no_category).await?).3, "{query}");
        assert_eq!(counts("cities", "city"), recount(&items(no_city).await?).4, "{query}");
    }
    assert_eq!(stage.search("").await?.expect(200)?["facets"], Value::Null, "only if asked for");
    Ok(())
}

/// All pages of a list, `between` called after each.
async fn pages<F: AsyncFnMut(usize) -> Result<()>>(
    stage: &Stage,
    query: &str,
    mut between: F,
) -> Result<Vec<String>> {
    let (mut seen, mut next, mut page_no) = (Vec::new(), String::new(), 0);
    loop {
        let page = stage.search(&format!("{query}&limit=3{next}")).await?.expect(200)?;
        seen.extend(titles(&page));
        between(page_no).await?;
        page_no += 1;
        match page["next_cursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => return Ok(seen),
        }
        anyhow::ensure!(page_no < 50, "the list does not end");
    }
}

#[tokio::test]
async fn pages_stay_as_they_are_while_events_are_added() -> Result<()> {
    let stage = Stage::open().await?;
    for n in 0..9 {
        let title = ["Owl concert", "Owls at night", "Barn owl show"][n % 3];
        stage
            .event(json!({
                "title": format!("{title} {n}"), "day": 5 + n, "price": 1_000 + 100 * (n % 4), "city": "Wien",
                "description": "With a fagott.", "latitude": 48.2, "longitude": 16.37 + 0.01 * (n as f64),
            }))
            .await?;
    }
    stage.event(json!({ "title": "Fagott alone", "day": 40 })).await?;
    let point = "latitude=48.2&longitude=16.37&radius_km=100";
    for (round, (query, word)) in [
        ("sort=date".to_owned(), "owl"),
        ("q=owl".to_owned(), "owl"),
        ("q=owls%20wien".to_owned(), "owls"),
        // A typo; then the word that was typed becomes known.
        ("q=fagot%20".to_owned(), "fagot"),
        ("q=fagotto%20&sort=date".to_owned(), "fagotto"),
        ("sort=price&currency=EUR".to_owned(), "owl"),
        (format!("{point}&sort=distance"), "owl"),
        ("q=owl&sort=popularity".to_owned(), "owl"),
        ("city=wien".to_owned(), "owl"),
    ]
    .into_iter()
    .enumerate()
    {
        let before = pages(&stage, &query, async |_| Ok(())).await?;
        assert!(before.len() >= 9, "{query}: {before:?}");
        let unique: BTreeSet<&String> = before.iter().collect();
        assert_eq!(unique.len(), before.len(), "{query} shows an event twice");
        let mut added = 0;
        let during = pages(&stage, &query, async |page| {
            if page < 2 {
                added += 1;
                // Before, among and after what was shown already.
                for (other, day) in [("Owl", 2), ("Owls at", 9), ("Fagott", 60)] {
                    let title = format!("{other} {word} new {round} {page} {day}");
                    stage
                        .event(json!({
                            "title": title, "day": day, "price": 1_050 * page, "city": "Wien", "latitude": 48.2,
                            "longitude": 16.37 + 0.012 * (page as f64),
                        }))
                        .await?;
                }
            }
            Ok(())
        })
        .await?;
        assert!(added > 0);
        let old: Vec<&String> = during.iter().filter(|t| before.contains(t)).collect();
        assert_eq!(old, before.iter().collect::<Vec<_>>(), "{query}: nothing is skipped, doubled or moved");
        let unique: BTreeSet<&String> = during.iter().collect();
        assert_eq!(unique.len(), during.len(), "{query} shows an event twice");
    }
    Ok(())
}

#[tokio::test]
async fn a_cursor_is_of_its_very_search() -> Result<()> {
    let stage = Stage::open().await?;
    for n in 0..3 {
        stage.event(json!({ "title": format!("Owl {n}"), "day": 3 + n })).await?;
    }
    let page = stage.search("q=owl&limit=1").await?.expect(200)?;
    let cursor = text(&page, "next_cursor");
    assert_eq!(
        stage.titles(&format!("q=owl&limit=2&cursor={cursor}")).await?,
        ["Owl 1", "Owl 2"],
        "the size may change"
    );
    for other in ["q=owls", "q=owl&sort=date", "", "q=owl&category=music"] {
        let refused = stage.search(&format!("{other}&cursor={cursor}")).await?;
        assert_eq!((refused.status.as_u16(), refused.code()), (400, "invalid_cursor"), "{other}");
    }
    Ok(())
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_name_and_the_rest_is_harmless() -> Result<()> {
    let stage = Stage::open().await?;
    stage.event(json!({ "title": "Owl" })).await?;
    let long = "x".repeat(10_000);
    for (query, field) in [
        ("sort=best", "sort"),
        ("sort=distance", "sort"),
        ("sort=price", "currency"),
        ("price_min=5", "currency"),
        ("currency=EUR&price_min=-1", "price_min"),
        ("currency=EUR&price_min=5&price_max=4", "price_max"),
        ("currency=EUR&price_min=1e3", "price_min"),
        ("currency=eur", "currency"),
        ("latitude=91&longitude=0", "latitude"),
        ("latitude=NaN&longitude=0", "latitude"),
        ("latitude=inf&longitude=0", "latitude"),
        ("latitude=0&longitude=-180.1", "longitude"),
        ("latitude=1", "latitude"),
        ("latitude=x&longitude=0", "latitude"),
        ("radius_km=5", "radius_km"),
        ("latitude=0&longitude=0&radius_km=0", "radius_km"),
        ("latitude=0&longitude=0&radius_km=501", "radius_km"),
        ("from=2027-01-02T00:00:00Z&to=2027-01-01T00:00:00Z", "to"),
        ("free=maybe", "free"),
        ("q=%00", "q"),
        ("city=a%00b", "city"),
        (&format!("q={long}"), "q"),
        (&format!("place={long}"), "place"),
        ("limit=0", "limit"),
    ] {
        let refused = stage.search(query).await?;
        assert_eq!((refused.status.as_u16(), refused.code()), (400, "invalid_query"), "{query:.60}");
        assert_eq!(refused.body["errors"][0]["field"], field, "{query:.60}: {}", refused.text);
    }
    for harmless in [
        "'",
        "\"",
        "\"\"",
        ":*&|!",
        "a:*",
        "!a",
        "a & b | !c",
        "<->",
        "owl <2> owl",
        "((((",
        "\\",
        "%",
        "_",
        "'; drop table events; --",
        "-",
        "--",
        "-\"",
        "or",
        "or or or",
        "-or",
        "\u{feff}",
        "🦉",
        "a'b",
        "ow\u{301}l",
        "日本",
        "$1",
        "{}",
        "\n\t",
        "O W L",
        "the",
        "the or a",
        "-the",
        "é",
        "x y z a b c d e f g h i j k l m n o p",
    ] {
        for extra in ["", "&sort=date", "&facets=true", "&sort=popularity"] {
            let reply = stage.search(&format!("q={}{extra}", encoded(harmless))).await?;
            assert_eq!(reply.status.as_u16(), 200, "{harmless}{extra}: {}", reply.text);
        }
        let reply = stage.search(&format!("place={0}&city={0}&category={0}", encoded(harmless))).await?;
        assert_eq!(reply.status.as_u16(), 200, "{harmless}: {}", reply.text);
    }
    assert_eq!(stage.titles("q=owl").await?, ["Owl"], "and nothing is broken");
    Ok(())
}

#[tokio::test]
async fn artists_and_language_are_kept_shown_and_checked() -> Result<()> {
    let stage = Stage::open().await?;
    let id = stage
        .event(json!({ "title": "Abend", "artists": ["Die Ärzte", " Nena "], "language": "de" }))
        .await?;
    let shown = stage.server.get(&format!("/events/{id}")).await?.expect(200)?;
    assert_eq!((&shown["artists"], &shown["language"]), (&json!(["Die Ärzte", "Nena"]), &json!("de")));
    assert_eq!(stage.titles("q=arzte").await?, ["Abend"]);
    let path = format!("/organizer/events/{id}/update");
    own(&stage.server, &stage.owner, Method::PUT, &path, json!({ "artists": ["Falco"], "language": null }))
        .await?;
    assert_eq!((stage.titles("q=arzte").await?.len(), stage.titles("q=falco").await?.len()), (0, 1));
    for (bad, field) in [
        (json!({ "artists": [""] }), "artists"),
        (json!({ "artists": vec!["x"; 51] }), "artists"),
        (json!({ "artists": ["a\nb"] }), "artists"),
        (json!({ "language": "deu" }), "language"),
        (json!({ "language": "DE" }), "language"),
    ] {
        let request = stage.server.request(Method::PUT, &path).bearer_auth(&stage.owner).json(&bad);
        let refused = support::server::send(request).await?;
        assert_eq!(
            (refused.status.as_u16(), &refused.body["errors"][0]["field"]),
            (422, &json!(field)),
            "{bad}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn rows_of_an_older_form_are_written_anew() -> Result<()> {
    let stage = Stage::open().await?;
    stage.event(json!({ "title": "Owl" })).await?;
    let mut owner = stage.server.db.owner().await?;
    sqlx::query("update event_search set form = 0, document = '', named = '', name_key = ''")
        .execute(&mut owner)
        .await?;
    assert_eq!(stage.titles("q=owl").await?.len(), 0);
    stage.refresh().await?;
    assert_eq!(stage.titles("q=owl").await?, ["Owl"]);
    Ok(())
}

#[tokio::test]
async fn many_matches_are_read_in_order_and_paged_as_well() -> Result<()> {
    let stage = Stage::open().await?;
    stage.event(json!({ "title": "Owl zero", "city": "Wien", "latitude": 48.2, "longitude": 16.4 })).await?;
    let mut owner = stage.server.db.owner().await?;
    // More than are ranked one by one; copies of the row, each a minute later and a cent dearer.
    for statement in [
        "create temp table n as select n, md5(n::text)::uuid as id from generate_series(1, 3500) n",
        "insert into events select (jsonb_populate_record(e, jsonb_build_object('event_id', id, 'slug', 'copy-' || n))).* from events e, n",
        "insert into event_search (organizer_id, event_id, slug, title, artists, summary, category_id, organizer_name,
                venue_name, city, latitude, longitude, time_zone, starts_at, currency, price_from_minor, document, updated_at,
                name_key, place_key, city_key, named, available, popularity, form)
         select organizer_id, id, slug, 'Owl ' || n, artists, summary, category_id, organizer_name, venue_name, city,
                latitude + n * 0.0001, longitude, time_zone, starts_at + n * interval '1 minute', currency,
                price_from_minor + n, document, updated_at, name_key, place_key, city_key, named, n > 3300, n % 50, form
           from event_search, n",
        "insert into event_words_sample
         select organizer_id, event_id, strip(document) from event_search where event_sampled(event_id)
             on conflict do nothing",
    ] {
        sqlx::query(statement).execute(&mut owner).await?;
    }
    let all = |query: &'static str| {
        let stage = &stage;
        async move {
            let (mut seen, mut next) = (Vec::new(), String::new());
            loop {
                let page = stage.search(&format!("{query}&limit=200{next}")).await?.expect(200)?;
                seen.extend(titles(&page));
                match page["next_cursor"].as_str() {
                    Some(cursor) => next = format!("&cursor={cursor}"),
                    None => return Ok::<_, anyhow::Error>(seen),
                }
            }
        }
    };
    // The last one's matches are too few of the first in its order to fill a page.
    let queries = [
        "q=owl",
        "q=owl&sort=date",
        "q=owl&sort=price&currency=EUR",
        "q=owl&sort=popularity",
        "city=wien",
        "latitude=48.2&longitude=16.4&sort=distance",
        "q=owl&sort=date&available=true",
    ];
    let mut told = Vec::new();
    for query in queries {
        let seen = all(query).await?;
        let expected = if query.contains("available") { 201 } else { 3_501 };
        assert_eq!(seen.len(), expected, "{query}");
        assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), expected, "{query}");
        if expected == 3_501 && !query.contains("popularity") {
            assert_eq!((seen[1].as_str(), seen[3_500].as_str()), ("Owl 1", "Owl 3500"), "{query}");
        }
        told.push(seen);
    }
    // A sample that promised many spared looking; without it the same is found.
    sqlx::query("delete from event_words_sample").execute(&mut owner).await?;
    for (query, told) in queries.into_iter().zip(told) {
        assert_eq!(all(query).await?, told, "{query}");
    }
    Ok(())
}

#[tokio::test]
async fn where_nothing_has_all_the_words_one_may_be_missing_and_it_is_said() -> Result<()> {
    let stage = Stage::open().await?;
    for (title, city) in [("Harp Night", "Graz"), ("Harp Matinee", "Linz"), ("Organ Night", "Linz")] {
        stage.event(json!({ "title": title, "city": city })).await?;
    }
    for (typed, expected, most) in [
        ("harp linz", "Harp Matinee", false),
        ("harp night graz", "Harp Night", false),
        ("harp night linz", "Harp Night|Harp Matinee|Organ Night", true),
        ("hrap night linz", "Harp Night|Harp Matinee|Organ Night", true),
        ("harp night linz -matinee", "Harp Night|Organ Night", true),
        ("bassoon trombone tuba", "", false),
        ("bassoon", "", false),
    ] {
        let page = stage.search(&format!("q={}", encoded(typed))).await?.expect(200)?;
        let mut found = titles(&page);
        found.sort_by_key(|title| expected.find(title.as_str()));
        assert_eq!((found.join("|").as_str(), &page["most_words"]), (expected, &json!(most)), "{typed}");
    }
    // The pages go on as the first one began.
    let (mut seen, mut cursor) = (BTreeSet::new(), String::new());
    for _ in 0..3 {
        let query = format!("q={}&limit=1{cursor}", encoded("harp night linz"));
        let page = stage.search(&query).await?.expect(200)?;
        assert_eq!(page["most_words"], true);
        seen.extend(titles(&page));
        cursor = format!("&cursor={}", text(&page, "next_cursor"));
    }
    assert_eq!((seen.len(), cursor.as_str()), (3, "&cursor="));
    Ok(())
}
