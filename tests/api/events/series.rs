//! Series: many dates in one request, all or none, each once.

use anyhow::{Context as _, Result};
use hvflvspot::store::series;
use serde_json::{Value, json};
use time::macros::datetime;
use uuid::Uuid;

use crate::{Desk, at, id, path};

fn weekly(count: u32) -> Value {
    json!({ "rule": { "frequency": "weekly", "count": count } })
}

fn starts(told: &Value) -> Result<Vec<time::OffsetDateTime>> {
    told["dates"].as_array().context("dates")?.iter().map(|date| at(&date["starts_at"])).collect()
}

async fn count(desk: &Desk) -> Result<i64> {
    let mut db = desk.server.db.owner().await?;
    Ok(sqlx::query_scalar("select count(*) from events").fetch_one(&mut db).await?)
}

#[tokio::test]
async fn a_weekly_concert_is_at_eight_on_every_date() -> Result<()> {
    let desk = Desk::open().await?;
    let event = desk
        .on_sale(json!({ "starts_at": "2027-03-11T19:00:00Z", "ends_at": "2027-03-11T22:00:00Z" }))
        .await?;
    let mut body = weekly(4);
    body["dry_run"] = json!(true);
    let preview = desk.post(&format!("{event}/series"), &body).await?.expect(200)?;
    let expected = [
        datetime!(2027-03-18 19:00 UTC),
        datetime!(2027-03-25 19:00 UTC),
        // Summer.
        datetime!(2027-04-01 18:00 UTC),
    ];
    assert_eq!(starts(&preview)?, expected);
    assert_eq!((count(&desk).await?, &preview["series_id"]), (1, &Value::Null), "a preview makes nothing");
    let made = desk.post(&format!("{event}/series"), &weekly(4)).await?.expect(201)?;
    assert_eq!(starts(&made)?, expected);
    let locals: Vec<_> =
        made["dates"].as_array().context("dates")?.iter().map(|d| d["local"].clone()).collect();
    assert_eq!(locals, ["2027-03-18T20:00:00", "2027-03-25T20:00:00", "2027-04-01T20:00:00"]);
    let last = desk.see(&path(&made["dates"][2]["event_id"])?).await?;
    assert_eq!(at(&last["ends_at"])?, datetime!(2027-04-01 21:00 UTC));
    assert_eq!((&last["series_id"], &last["status"]), (&made["series_id"], &json!("draft")));
    assert_eq!(desk.see(&event).await?["series_id"], made["series_id"], "the event is a date of it");
    Ok(())
}

#[tokio::test]
async fn a_series_is_listed_published_and_found_by_its_dates() -> Result<()> {
    let desk = Desk::open().await?;
    let event = desk.on_sale(json!({})).await?;
    let other = desk.draft(json!({ "title": "Alone" })).await?;
    let made = desk
        .post(
            &format!("{event}/series"),
            &json!({ "dates": ["2027-01-15", "2027-01-14T15:00", "2027-01-16"] }),
        )
        .await?
        .expect(201)?;
    assert_eq!(
        starts(&made)?,
        [datetime!(2027-01-14 14:00 UTC), datetime!(2027-01-15 19:00 UTC), datetime!(2027-01-16 19:00 UTC)],
        "in their order, and one at its own time"
    );
    let series = id(&made, "series_id")?;
    let listed = desk.get(&format!("/organizer/events?series={series}")).await?.expect(200)?;
    let listed = listed["items"].as_array().context("items")?;
    assert!(listed.len() == 4 && listed.iter().all(|e| e["title"] == "Winter concert"), "not {other}");
    assert_eq!(desk.get("/organizer/events?series=one").await?.status.as_u16(), 400);
    // The public sees what is published, is not over, and is not the one that it looks at.
    let public = event.replace("/organizer", "");
    let dates = async || -> Result<Vec<Value>> {
        let told = desk.server.get(&public).await?.expect(200)?;
        assert_eq!(told["series_id"], json!(series));
        Ok(told["other_dates"].as_array().context("dates")?.clone())
    };
    assert_eq!(dates().await?, Vec::<Value>::new(), "drafts are nobody's");
    let (first, second) = (path(&made["dates"][0]["event_id"])?, path(&made["dates"][1]["event_id"])?);
    desk.publish(&second).await?;
    desk.publish(&first).await?;
    let told = dates().await?;
    let ids: Vec<_> = told.iter().map(|d| d["event_id"].clone()).collect();
    assert_eq!(ids, [made["dates"][0]["event_id"].clone(), made["dates"][1]["event_id"].clone()]);
    let found = desk.server.get("/events/search?q=winter").await?.expect(200)?;
    let found = found["items"].as_array().context("items")?;
    assert!(found.len() == 3 && found.iter().all(|e| e["series_id"] == json!(series)), "{found:?}");
    desk.post(&format!("{first}/cancel"), &json!({})).await?.expect(202)?;
    assert_eq!(dates().await?.len(), 1, "what was canceled is no other date");
    desk.clock.set_wall(datetime!(2027-01-15 23:00 UTC));
    assert_eq!(dates().await?.len(), 0, "nor is what is over");
    Ok(())
}

#[tokio::test]
async fn what_a_series_has_is_not_made_again() -> Result<()> {
    let desk = Desk::open().await?;
    let event = desk.draft(json!({})).await?;
    let route = format!("{event}/series");
    let first = desk.post(&route, &weekly(3)).await?.expect(201)?;
    let longer = desk.post(&route, &weekly(5)).await?.expect(201)?;
    let there: Vec<_> =
        longer["dates"].as_array().context("dates")?.iter().map(|d| d["there"].clone()).collect();
    assert_eq!(there, [json!(true), json!(true), json!(false), json!(false)]);
    assert_eq!(longer["dates"][0]["event_id"], first["dates"][0]["event_id"]);
    assert_eq!((longer["series_id"].clone(), count(&desk).await?), (first["series_id"].clone(), 5));
    // From any of its dates.
    let last = path(&longer["dates"][3]["event_id"])?;
    let further = desk.post(&format!("{last}/series"), &weekly(2)).await?.expect(201)?;
    assert_eq!((&further["series_id"], count(&desk).await?), (&first["series_id"], 6));
    for body in [weekly(5), json!({ "dates": ["2027-01-14"] })] {
        let refused = desk.post(&route, &body).await?;
        let told = &refused.body["errors"][0]["code"];
        assert_eq!((refused.status.as_u16(), told), (422, &json!("nothing_new")), "{body}");
    }
    // One that was canceled may be held after all.
    desk.publish_type(&path(&first["dates"][0]["event_id"])?).await?;
    let again = desk.post(&route, &weekly(2)).await?.expect(201)?;
    assert_eq!((&again["dates"][0]["there"], count(&desk).await?), (&json!(false), 7));
    Ok(())
}

impl Desk {
    /// Puts a draft on sale, and cancels it.
    async fn publish_type(&self, event: &str) -> Result<()> {
        self.ticket_type(event, json!({})).await?;
        self.publish(event).await?;
        self.post(&format!("{event}/cancel"), &json!({})).await?.expect(202)?;
        Ok(())
    }
}

#[tokio::test]
async fn all_dates_are_made_or_none() -> Result<()> {
    let desk = Desk::open().await?;
    // One of its Sundays is the one on which the clocks go from 02:00 to 03:00.
    let event =
        desk.draft(json!({ "starts_at": "2027-03-21T00:30:00Z", "ends_at": "2027-03-21T02:30:00Z" })).await?;
    let window = json!({ "valid_from": "2027-03-21T01:40:00Z", "valid_until": "2027-03-21T02:05:00Z" });
    desk.ticket_type(&event, window).await?;
    let route = format!("{event}/series");
    for dry_run in [true, false] {
        let body = json!({ "dates": ["2027-04-04", "2027-03-28"], "dry_run": dry_run });
        let refused = desk.post(&route, &body).await?;
        let told = &refused.body["errors"][0];
        assert_eq!((refused.status.as_u16(), &told["code"]), (422, &json!("conflict")));
        assert!(told["message"].as_str().is_some_and(|m| m.starts_with("2027-03-28: ")), "{told}");
    }
    assert_eq!(count(&desk).await?, 1);
    assert_eq!(desk.see(&event).await?["series_id"], Value::Null);
    desk.post(&route, &json!({ "dates": ["2027-04-04"] })).await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn dates_and_rules_are_checked() -> Result<()> {
    let desk = Desk::open().await?;
    let event = desk.draft(json!({})).await?;
    let route = format!("{event}/series");
    let rule = |change: Value| {
        let mut rule = json!({ "frequency": "weekly", "count": 3 });
        rule.as_object_mut().into_iter().zip(change.as_object()).for_each(|(r, c)| r.extend(c.clone()));
        rule.as_object_mut().into_iter().for_each(|r| r.retain(|_, v| !v.is_null()));
        json!({ "rule": rule })
    };
    let many: Vec<String> = (1..=61).map(|n| format!("2028-{:02}-{:02}", 1 + n / 28, 1 + n % 28)).collect();
    for (body, field, code) in [
        (json!({}), "dates", "required"),
        (
            json!({ "dates": ["2027-01-15"], "rule": { "frequency": "daily", "count": 2 } }),
            "dates",
            "conflict",
        ),
        (json!({ "dates": [] }), "dates", "out_of_range"),
        (json!({ "dates": many }), "dates", "out_of_range"),
        (json!({ "dates": ["2027-02-29"] }), "dates[0]", "invalid"),
        (json!({ "dates": ["2027-01-15", "15.1.2027"] }), "dates[1]", "invalid"),
        (json!({ "dates": ["2027-01-15", "2027-01-15T20:00"] }), "dates[1]", "repeated"),
        (rule(json!({ "count": null })), "rule.count", "required"),
        (rule(json!({ "until": "2027-03-01" })), "rule.count", "conflict"),
        (rule(json!({ "count": 1 })), "rule.count", "out_of_range"),
        (rule(json!({ "count": 62 })), "rule.count", "out_of_range"),
        (rule(json!({ "count": null, "until": "soon" })), "rule.until", "invalid"),
        (rule(json!({ "count": null, "until": "2099-01-01" })), "rule", "out_of_range"),
        (rule(json!({ "interval": 0 })), "rule.interval", "out_of_range"),
        (rule(json!({ "weekdays": [] })), "rule.weekdays", "out_of_range"),
        (rule(json!({ "frequency": "daily", "weekdays": ["monday"] })), "rule.weekdays", "conflict"),
        (rule(json!({ "frequency": "hourly" })), "rule.frequency", "invalid"),
        (rule(json!({ "count": null, "until": "2027-01-15" })), "rule", "nothing_new"),
    ] {
        let refused = desk.post(&route, &body).await?;
        let told = (&refused.body["errors"][0]["field"], &refused.body["errors"][0]["code"]);
        assert_eq!((refused.status.as_u16(), told), (422, (&json!(field), &json!(code))), "{body}");
    }
    assert_eq!(count(&desk).await?, 1);
    let canceled = desk.on_sale(json!({})).await?;
    desk.post(&format!("{canceled}/cancel"), &json!({})).await?.expect(202)?;
    let refused = desk.post(&format!("{canceled}/series"), &weekly(2)).await?;
    assert_eq!((refused.status.as_u16(), refused.code()), (409, "event_canceled"));
    Ok(())
}

#[tokio::test]
async fn what_would_be_too_much_for_one_request_is_refused() -> Result<()> {
    let desk = Desk::open().await?;
    let event = desk.draft(json!({})).await?;
    let mut db = desk.server.db.owner().await?;
    sqlx::query(
        "insert into gates (organizer_id, gate_id, event_id, name, created_at)
         select organizer_id, gen_random_uuid(), event_id, 'Gate ' || n, now() from events, generate_series(1, 100) n",
    )
    .execute(&mut db)
    .await?;
    let refused = desk.post(&format!("{event}/series"), &weekly(61)).await?;
    let told = &refused.body["errors"][0];
    assert_eq!((refused.status.as_u16(), &told["code"]), (422, &json!("too_large")), "{told}");
    desk.post(&format!("{event}/series"), &weekly(41)).await?.expect(201)?;
    assert_eq!(count(&desk).await?, 41);
    Ok(())
}

/// Two of an event at once, and two of different dates of one series at once: none is made twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_who_add_the_same_dates_make_each_once() -> Result<()> {
    let desk = Desk::open().await?;
    let event = desk.draft(json!({})).await?;
    let route = format!("{event}/series");
    let (one, two) = (weekly(4), weekly(6));
    let (first, second) = tokio::join!(desk.post(&route, &one), desk.post(&route, &two));
    let (first, second) = (first?, second?);
    // The shorter one, if it comes second, finds nothing new.
    assert!(
        second.status.as_u16() == 201 && [201, 422].contains(&first.status.as_u16()),
        "{first:?} {second:?}"
    );
    assert_eq!(count(&desk).await?, 6);
    let third = path(&second.body["dates"][1]["event_id"])?;
    let (elsewhere, here) = (format!("{third}/series"), route);
    let (one, two) = (weekly(6), weekly(8));
    let (first, second) = tokio::join!(desk.post(&elsewhere, &one), desk.post(&here, &two));
    assert!(first?.status.as_u16() < 500 && second?.status.as_u16() < 500);
    let mut db = desk.server.db.owner().await?;
    let (events, starts): (i64, i64) =
        sqlx::query_as("select count(*), count(distinct starts_at) from events").fetch_one(&mut db).await?;
    assert_eq!((events, starts), (8, 8));
    let series: i64 = sqlx::query_scalar("select count(*) from event_series").fetch_one(&mut db).await?;
    assert_eq!(series, 1);
    Ok(())
}

#[tokio::test]
async fn a_date_of_one_series_joins_no_other_and_who_asks_is_told() -> Result<()> {
    let desk = Desk::open().await?;
    let event = desk.draft(json!({})).await?;
    let mut db = desk.server.db.owner().await?;
    let event_id = event.rsplit('/').next().context("an id")?.parse()?;
    let organizer_id = sqlx::query_scalar("select organizer_id from events where event_id = $1")
        .bind(event_id)
        .fetch_one(&mut db)
        .await?;
    let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let mut tx = desk.server.app.db.tenant(organizer_id).await?;
    for series_id in [one, other] {
        series::create(&mut tx, organizer_id, series_id, desk.server.app.clock.now()).await?;
    }
    assert!(series::join(&mut tx, organizer_id, event_id, one).await?);
    assert!(!series::join(&mut tx, organizer_id, event_id, other).await?);
    assert!(!series::join(&mut tx, organizer_id, Uuid::from_u128(3), one).await?, "no such event");
    Ok(())
}

#[tokio::test]
async fn a_key_makes_a_series_once_also_after_a_crash() -> Result<()> {
    let desk = Desk::open().await?;
    let event = desk.draft(json!({})).await?;
    let route = format!("{event}/series");
    let first = desk.post_once("one", &route, &weekly(3)).await?.expect(201)?;
    let again = desk.post_once("one", &route, &weekly(3)).await?;
    assert_eq!((again.header("idempotent-replayed"), &again.body), ("true", &first));
    // The server died before it could keep its answer.
    let tasks = &desk.server.app.selling.tasks;
    tasks.close();
    tasks.wait().await;
    tasks.reopen();
    let mut db = desk.server.db.owner().await?;
    let forgotten = sqlx::query(
        "update idempotency_keys set leased_until = created_at - interval '1 hour', status = null, answer_sealed = null",
    );
    assert_eq!(forgotten.execute(&mut db).await?.rows_affected(), 1);
    assert_eq!(
        desk.post_once("one", &route, &weekly(3)).await?.expect(201)?,
        first,
        "and nothing is made again"
    );
    assert_eq!(count(&desk).await?, 3);
    Ok(())
}
