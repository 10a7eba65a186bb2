//! Counts where very many events are found.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hvflvspot::app::{App, AppState};
use hvflvspot::clock::SharedRng;
use hvflvspot::config::Config;
use hvflvspot::discovery::search::{Asked, Sort, search_reading};
use hvflvspot::domain::search::{Facets, Query};
use hvflvspot::keys::MasterKey;
use hvflvspot::store::Db;
use hvflvspot::store::search::{Narrow, Reading};
use serde_json::json;
use sqlx::Connection as _;

use super::Stage;

/// Copies of the stage's events until there are very many: every third one is free, every fourth is to be had.
async fn multiply(stage: &Stage, times: i32) -> Result<()> {
    let mut admin = stage.server.db.superuser().await?;
    // The events themselves, which rows of search belong to, are of no matter here.
    sqlx::query("set session_replication_role = replica").execute(&mut admin).await?;
    sqlx::query(
        "insert into event_search (organizer_id, event_id, slug, title, summary, category_id, organizer_name, venue_name,
                                   city, time_zone, starts_at, currency, price_from_minor, available, document, named,
                                   name_key, place_key, city_key, form, updated_at)
         select organizer_id, md5(title || n)::uuid, slug || '-' || n, title, summary, category_id, organizer_name, venue_name,
                city, time_zone, starts_at + n * interval '1 hour', currency, case when n % 3 = 0 then 0 else 2000 end,
                n % 4 = 0, document, named, name_key, place_key, city_key, form, updated_at
           from event_search cross join generate_series(1, $1) as n",
    )
    .bind(times)
    .execute(&mut admin)
    .await?;
    sqlx::raw_sql(
        "insert into event_words select organizer_id, event_id, strip(document) from event_search on conflict do nothing;
         insert into event_words_sample select * from event_words where event_sampled(event_id)
             on conflict do nothing",
    )
    .execute(&mut admin)
    .await?;
    admin.close().await?;
    Ok(())
}

/// Counts of a search, read as told.
async fn counts(app: &App, q: &str, narrow: &Narrow, reading: Reading) -> Result<Facets> {
    let asked = Asked {
        query: Some(q).filter(|q| !q.is_empty()).map(Query::parse),
        sort: Sort::Start,
        narrow: narrow.clone(),
        facets: true,
        after: None,
        limit: 1,
    };
    search_reading(app, asked, reading).await?.facets.context("counts were asked for")
}

async fn total(stage: &Stage, q: &str) -> Result<i64> {
    let facets = stage.search(&format!("q={q}&facets=true")).await?.expect(200)?["facets"].clone();
    Ok(facets["total"].as_i64().unwrap_or(-1))
}

fn any() -> Narrow {
    Narrow::not_over(super::now())
}

#[tokio::test]
async fn very_many_are_counted_alike_and_again_after_some_seconds() -> Result<()> {
    let stage = Stage::open().await?;
    for (title, category, city) in
        [("Owl by Night", "music", "Wien"), ("Owl Talks", "comedy", "Graz"), ("Ibis", "comedy", "Wien")]
    {
        stage.event(json!({ "title": title, "category_id": category, "city": city })).await?;
    }
    multiply(&stage, 600).await?;
    let day = |n| super::now() + time::Duration::days(n);
    let some = |text: &str| Some(text.to_owned());
    for (q, narrow) in [
        ("", any()),
        ("owl", any()),
        ("owl -\"by night\"", any()),
        ("-\"owl talks\"", any()),
        ("owl", Narrow { category_id: some("music"), ..any() }),
        ("owl", Narrow { city_key: some("graz"), free: Some(true), ..any() }),
        ("owl", Narrow { category_id: some("comedy"), city_key: some("wien"), ..any() }),
        ("ibis", any()),
        ("owl", Narrow { available: Some(true), ..any() }),
        ("", Narrow { category_id: some("comedy"), available: Some(false), ..any() }),
        ("", Narrow { city_key: some("wien"), currency: some("EUR"), price_min: Some(1), ..any() }),
        ("", Narrow { currency: some("EUR"), price_max: Some(1_999), ..any() }),
        ("", Narrow { from: day(15), to: Some(day(20)), ..any() }),
        ("", Narrow { place: some("gra"), ..any() }),
    ] {
        let counted = counts(stage.app(), q, &narrow, Reading::Indexes).await?;
        assert_eq!(counted, counts(stage.app(), q, &narrow, Reading::WholeTable).await?, "{q} {narrow:?}");
        assert!(
            counted.categories.iter().any(|(_, events)| *events > 0),
            "{q} {narrow:?}: nothing was counted"
        );
    }

    // One more, which what is kept does not know for some seconds; few are always counted as they are.
    assert_eq!((total(&stage, "").await?, total(&stage, "owl").await?), (1_803, 1_202));
    let id = stage.event(json!({ "title": "Owl Returns", "city": "Linz" })).await?;
    assert_eq!((total(&stage, "").await?, total(&stage, "owl").await?), (1_803, 1_202));
    assert_eq!(total(&stage, "returns").await?, 1);
    stage.clock.advance(Duration::from_secs(12));
    total(&stage, "owl").await?;
    stage.app().background.wait().await;
    assert_eq!((total(&stage, "").await?, total(&stage, "owl").await?), (1_804, 1_203));

    // After a silence nothing that was kept is believed.
    let path = format!("/organizer/events/{id}/cancel");
    super::own(&stage.server, &stage.owner, reqwest::Method::POST, &path, json!({})).await?;
    stage.clock.advance(Duration::from_secs(120));
    assert_eq!((total(&stage, "").await?, total(&stage, "owl").await?), (1_803, 1_202));
    Ok(())
}

#[tokio::test]
async fn the_first_who_asks_what_very_many_have_is_told_about_how_many() -> Result<()> {
    let stage = Stage::open().await?;
    for (title, city) in [("Owl by Night", "Wien"), ("Owl Talks", "Graz"), ("Ibis", "Wien")] {
        stage.event(json!({ "title": title, "city": city })).await?;
    }
    multiply(&stage, 6_000).await?;
    stage.event(json!({ "title": "Owl Returns", "city": "Linz" })).await?;
    let ask = async |q: &str, narrow: &Narrow| counts(stage.app(), q, narrow, Reading::Indexes).await;

    let first = ask("owl", &any()).await?;
    assert!(first.estimated);
    // Five standard deviations of a sample of one in eight.
    assert!((10_500..13_500).contains(&first.total), "{first:?}");
    assert!((3_300..4_700).contains(&first.free), "{first:?}");
    assert_eq!(first.categories, [("music".to_owned(), first.total)]);
    assert_eq!(first.cities.iter().map(|(_, events)| events).sum::<i64>(), first.total);
    stage.app().background.wait().await;
    let then = ask("owl", &any()).await?;
    assert_eq!(then, counts(stage.app(), "owl", &any(), Reading::WholeTable).await?);
    assert_eq!((then.total, then.estimated), (12_003, false));

    // No estimate of what is few, of what a sample cannot know, nor of what needs no look at words.
    let linz = Narrow { city_key: Some("linz".to_owned()), ..any() };
    for (q, narrow, total) in
        [("-ibis", &linz, 1), ("\"owl by\"", &any(), 6_001), ("returns", &any(), 1), ("", &any(), 18_004)]
    {
        let exact = ask(q, narrow).await?;
        assert_eq!((exact.total, exact.estimated), (total, false), "{q}");
    }
    Ok(())
}

#[tokio::test]
async fn who_waits_for_columns_holds_no_connection_that_reading_them_needs() -> Result<()> {
    let stage = Stage::open().await?;
    stage.event(json!({ "title": "Owl" })).await?;
    multiply(&stage, 1_200).await?;
    let one = Db::connect(&stage.server.db.endpoint, 1).await?;
    // The seed of the stage, for it draws the same master key.
    let rng = SharedRng::seeded(1);
    let clock = Arc::new(stage.clock.clone());
    let app = AppState::new(Config::built_in(), one, MasterKey::generate(&rng), clock, rng).await?;
    assert_eq!(counts(&app, "owl", &any(), Reading::Indexes).await?.total, 1_201);
    // Not by the database, which would know of one more.
    stage.event(json!({ "title": "Owl" })).await?;
    assert_eq!(counts(&app, "", &any(), Reading::Indexes).await?.total, 1_201);
    Ok(())
}
