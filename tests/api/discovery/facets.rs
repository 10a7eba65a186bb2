//! Counts where very many events are found.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use sqlx::Connection as _;

use super::{Stage, text};

/// Copies of the stage's events until there are very many: every third one is free, every fourth is to be had.
async fn multiply(stage: &Stage, times: i32) -> Result<()> {
    let mut admin = stage.server.db.superuser().await?;
    // The events themselves, which rows of search belong to, are of no matter here.
    sqlx::query("set session_replication_role = replica").execute(&mut admin).await?;
    sqlx::query(
        "insert into event_search (organizer_id, event_id, slug, title, summary, category_id, organizer_name, venue_name,
                                   city, time_zone, starts_at, currency, price_from_minor, available, document, named,
                                   name_key, place_key, city_key, form, updated_at)
         select organizer_id, gen_random_uuid(), slug || '-' || n, title, summary, category_id, organizer_name, venue_name,
                city, time_zone, starts_at + n * interval '1 hour', currency, case when n % 3 = 0 then 0 else 2000 end,
                n % 4 = 0, document, named, name_key, place_key, city_key, form, updated_at
           from event_search cross join generate_series(1, $1) as n",
    )
    .bind(times)
    .execute(&mut admin)
    .await?;
    sqlx::query(
        "insert into event_words select organizer_id, event_id, strip(document) from event_search on conflict do nothing",
    )
    .execute(&mut admin)
    .await?;
    admin.close().await?;
    Ok(())
}

async fn facets(stage: &Stage, query: &str) -> Result<Value> {
    Ok(stage.search(&format!("{query}&facets=true")).await?.expect(200)?["facets"].clone())
}

async fn total(stage: &Stage, query: &str) -> Result<i64> {
    Ok(facets(stage, query).await?["total"].as_i64().unwrap_or(-1))
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
    let queries = [
        "q=",
        "q=owl",
        "q=owl&category=music",
        "q=owl&city=graz&free=true",
        "q=ibis",
        "q=owl&available=true",
        "category=comedy&available=false",
        "city=wien&currency=EUR&price_min=1",
        "from=2026-12-10T00:00:00Z&to=2026-12-15T00:00:00Z",
        "place=gra",
    ];
    let mut by_database = Vec::new();
    for query in queries {
        // After a silence the first one who asks is answered by the database.
        by_database.push(facets(&stage, query).await?);
        stage.server.app.background.wait().await;
        stage.clock.advance(Duration::from_secs(70));
    }
    assert_eq!(by_database[0]["total"], 1_803);
    total(&stage, "q=owl").await?;
    stage.server.app.background.wait().await;
    for (query, expected) in queries.iter().zip(&by_database) {
        assert_eq!(facets(&stage, query).await?, *expected, "{query}");
    }

    // One more, which what is kept does not know for some seconds; few are always counted as they are.
    let id = stage.event(json!({ "title": "Owl Returns", "city": "Linz" })).await?;
    assert_eq!((total(&stage, "q=").await?, total(&stage, "q=owl").await?), (1_803, 1_202));
    assert_eq!(total(&stage, "q=returns").await?, 1);
    stage.clock.advance(Duration::from_secs(12));
    total(&stage, "q=owl").await?;
    stage.server.app.background.wait().await;
    assert_eq!((total(&stage, "q=").await?, total(&stage, "q=owl").await?), (1_804, 1_203));

    // After a long silence nothing that was kept is believed.
    let path = format!("/organizer/events/{id}/cancel");
    super::own(&stage.server, &stage.owner, reqwest::Method::POST, &path, json!({})).await?;
    stage.clock.advance(Duration::from_secs(120));
    assert_eq!((total(&stage, "q=").await?, total(&stage, "q=owl").await?), (1_803, 1_202));
    let cities = facets(&stage, "q=owl").await?["cities"].as_array().cloned().unwrap_or_default();
    let names: Vec<String> = cities.iter().map(|c| text(c, "city")).collect();
    assert_eq!(names, ["Graz", "Wien"], "equal counts by name");
    Ok(())
}
