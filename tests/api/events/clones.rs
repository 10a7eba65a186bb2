//! A clone is the event again, on another date: compared column by column, as the catalogue has them, so that neither a
//! new column nor a new table can be forgotten.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use support::server::send;
use uuid::Uuid;

use crate::{Desk, at, id, path};

/// How a clone has a column.
#[derive(Debug, Clone, PartialEq)]
enum How {
    /// As the source has it.
    Same,
    /// There is one, and it is another.
    Other,
    /// Later by the days between the two.
    Moved,
    Is(Value),
}

const DAYS: i64 = 7;

/// A table that is copied: by what its rows are told apart, and its columns.
type Copied = (&'static str, &'static str, BTreeMap<&'static str, How>);

fn copied() -> Vec<Copied> {
    use How::{Is, Moved, Other, Same};
    let table = |name, key, columns: Vec<(How, &'static str)>| -> Copied {
        let each =
            |(how, names): (How, &'static str)| names.split_whitespace().map(move |name| (name, how.clone()));
        (name, key, columns.into_iter().flat_map(each).collect())
    };
    let archived = || (Is(Value::Null), "archived_at");
    vec![
        table(
            "events",
            "currency",
            vec![
                (
                    Same,
                    "organizer_id description category_id venue_name venue_address city country latitude longitude",
                ),
                (
                    Same,
                    "time_zone currency hold_secs extension_secs max_per_booking next_type_no fee_fixed_minor",
                ),
                (
                    Same,
                    "fee_rate_bp fee_bearer max_per_person waiting_list offer_secs admit_per_minute artists language",
                ),
                (Other, "event_id slug created_at updated_at"),
                (Moved, "admission_at starts_at ends_at refundable_until"),
                (Is(json!("Second night")), "title"),
                (Is(json!("draft")), "status"),
                (Is(json!(1)), "sale_version"),
                (Is(Value::Null), "published_at series_id"),
            ],
        ),
        table(
            "quotas",
            "name",
            vec![
                (Same, "organizer_id name capacity"),
                (Other, "quota_id event_id created_at"),
                (Is(json!(0)), "held sold"),
                (Is(json!(false)), "queued closed"),
            ],
        ),
        table(
            "ticket_types",
            "number",
            vec![
                (
                    Same,
                    "organizer_id number name description price_minor fee_minor tax_rate_bp tax_inclusive",
                ),
                (Same, "grace_secs max_per_booking max_per_person attention hidden position"),
                (Other, "ticket_type_id event_id quota_id created_at updated_at"),
                (Moved, "sales_from sales_until valid_from valid_until"),
                archived(),
            ],
        ),
        table(
            "checkin_lists",
            "name",
            vec![
                (Same, "organizer_id name attendance multiple_entry reentry_after_exit"),
                (Other, "list_id event_id type_numbers rule created_at updated_at"),
                archived(),
            ],
        ),
        table(
            "gates",
            "name",
            vec![(Same, "organizer_id name"), (Other, "gate_id event_id created_at"), archived()],
        ),
        table(
            "questions",
            "label",
            vec![
                (Same, "organizer_id label kind choices required show_at_door position"),
                (Other, "question_id event_id ticket_type_id created_at updated_at"),
                archived(),
            ],
        ),
        table(
            "promo_codes",
            "code",
            vec![
                (
                    Same,
                    "organizer_id code code_key percent_bp amount_minor unlocks max_uses max_uses_per_person",
                ),
                (Same, "budget_minor"),
                (Other, "promo_code_id event_id ticket_type_ids created_at updated_at"),
                (Moved, "valid_from valid_until"),
                (Is(json!(1)), "revision"),
                (Is(json!(0)), "uses spent_minor"),
                archived(),
            ],
        ),
    ]
}

/// What an event has and its clone has not, or makes for itself.
const NOT_COPIED: &[&str] = &[
    "bookings",
    "booking_claims",
    "booking_lines",
    "cancellation_items",
    "change_counters",
    "claim_locks",
    "complimentary",
    "device_logs",
    "device_slots",
    "devices",
    "event_cancellations",
    "event_search",
    "event_words",
    "event_words_sample",
    "imported_tickets",
    "imports",
    "incidents",
    "ledger",
    "manifest_buckets",
    "manifest_changes",
    "manifest_epochs",
    "manifest_headers",
    "messages",
    "online_scans",
    "organizer_keys",
    "scan_counters",
    "scan_runs",
    "scans",
    "stewards",
    "tickets",
    "transactions",
    "waiting_list",
    "waiting_rooms",
];

async fn columns(db: &mut PgConnection, table: &str) -> Result<Vec<(String, Option<String>)>> {
    let rows = sqlx::query(
        "select column_name::text as name, column_default::text as usual from information_schema.columns
          where table_schema = 'public' and table_name = $1 order by ordinal_position",
    )
    .bind(table)
    .fetch_all(db)
    .await?;
    Ok(rows.iter().map(|row| (row.get("name"), row.get("usual"))).collect())
}

/// The event's rows that are not archived, by what tells them apart.
async fn rows(db: &mut PgConnection, table: &str, key: &str, event: Uuid) -> Result<BTreeMap<String, Value>> {
    let live = if ["events", "quotas"].contains(&table) { "" } else { "and archived_at is null" };
    let query = format!("select to_jsonb(t) from \"{table}\" t where event_id = $1 {live}");
    let all: Vec<Value> = sqlx::query_scalar(AssertSqlSafe(query)).bind(event).fetch_all(db).await?;
    Ok(all.into_iter().map(|row| (row[key].to_string(), row)).collect())
}

/// An event with nothing left as it comes.
async fn full(desk: &Desk) -> Result<String> {
    let event = desk
        .draft(json!({
            "description": "One night.", "artists": ["The Owls"], "language": "de", "venue_address": "Ring 1",
            "country": "AT", "latitude": 48.2, "longitude": 16.37, "admission_at": "2027-01-14T18:00:00Z",
            "refundable_until": "2027-01-10T12:00:00Z", "hold_secs": 600, "extension_secs": 300,
            "max_per_booking": 6, "max_per_person": 8, "waiting_list": false, "offer_secs": 7_200,
            "admit_per_minute": 30, "fee": {
                "amount": { "amount_minor": 50, "currency": "EUR" }, "rate_bp": 250, "bearer": "organizer",
            },
        }))
        .await?;
    let shared = desk.post(&format!("{event}/quotas"), &json!({ "name": "Hall", "capacity": 300 })).await?;
    let shared = id(&shared.expect(201)?, "quota_id")?;
    let gone = desk.ticket_type(&event, json!({ "name": "Gone" })).await?;
    let standing = desk
        .ticket_type(
            &event,
            json!({
                "description": "Stand", "fee": { "amount_minor": 150, "currency": "EUR" },
                "tax": { "rate_bp": 700, "inclusive": false }, "sales_from": "2026-12-01T09:00:00Z",
                "sales_until": "2027-01-14T18:00:00Z", "valid_from": "2027-01-14T17:00:00Z",
                "valid_until": "2027-01-14T23:00:00Z", "grace_secs": 3_600, "max_per_booking": 4,
                "max_per_person": 5, "attention": "Student card", "hidden": true, "position": 2,
            }),
        )
        .await?;
    let seated = json!({
        "name": "Seated", "quota_id": shared, "price": { "amount_minor": 4_500, "currency": "EUR" },
        "tax": { "rate_bp": 700, "inclusive": true },
    });
    desk.post(&format!("{event}/ticket-types"), &seated).await?.expect(201)?;
    let gate = desk.post(&format!("{event}/gates"), &json!({ "name": "North" })).await?.expect(201)?;
    let first = desk.see(&event).await?["lists"][0]["list_id"].clone();
    let rule = json!({ "and": [
        { "gate": [gate["gate_id"]] },
        { "after": { "time": { "at": "2027-01-14T17:30:00Z" }, "tolerance_minutes": 0 } },
    ]});
    let change = json!({
        "name": "Door", "rule": rule, "ticket_type_ids": [standing["ticket_type_id"], gone["ticket_type_id"]],
    });
    let list = format!("{event}/lists/{}", first.as_str().context("an id")?);
    desk.call(reqwest::Method::PUT, &list, &change).await?.expect(200)?;
    let backstage = json!({ "name": "Backstage", "multiple_entry": true, "rule": { "present": false } });
    desk.post(&format!("{event}/lists"), &backstage).await?.expect(201)?;
    let size = json!({
        "label": "Size", "kind": "choice", "choices": ["S", "M"], "required": true, "show_at_door": true,
        "position": 3, "ticket_type_id": standing["ticket_type_id"],
    });
    desk.post(&format!("{event}/questions"), &size).await?.expect(201)?;
    let of_gone = json!({ "label": "Gone", "kind": "text", "ticket_type_id": gone["ticket_type_id"] });
    desk.post(&format!("{event}/questions"), &of_gone).await?.expect(201)?;
    for code in [
        json!({
            "code": "EARLY", "percent_bp": 1_000, "max_uses": 9, "max_uses_per_person": 2, "unlocks": true,
            "budget": { "amount_minor": 9_000, "currency": "EUR" }, "valid_from": "2026-12-01T09:00:00Z",
            "valid_until": "2027-01-01T09:00:00Z", "ticket_type_ids": [standing["ticket_type_id"]],
        }),
        json!({ "code": "FIVER", "amount": { "amount_minor": 500, "currency": "EUR" } }),
        json!({ "code": "GONE", "percent_bp": 500, "ticket_type_ids": [gone["ticket_type_id"]] }),
    ] {
        desk.post(&format!("{event}/promo-codes"), &code).await?.expect(201)?;
    }
    desk.post(&format!("{event}/stewards"), &json!({ "label": "Ann", "pin": "492817" }))
        .await?
        .expect(201)?;
    let archived = format!("{event}/ticket-types/{}", id(&gone, "ticket_type_id")?);
    desk.call(reqwest::Method::DELETE, &archived, &json!({})).await?.expect(204)?;
    desk.publish(&event).await?;
    let mut db = desk.server.db.owner().await?;
    sqlx::query("update quotas set sold = 7, held = 2, queued = true, closed = true")
        .execute(&mut db)
        .await?;
    sqlx::query("update promo_codes set uses = 3, spent_minor = 900, revision = 4").execute(&mut db).await?;
    Ok(event)
}

fn event_id(path: &str) -> Result<Uuid> {
    Ok(path.rsplit('/').next().context("an id")?.parse()?)
}

async fn cloned(desk: &Desk, event: &str, codes: bool) -> Result<String> {
    desk.clock.advance(Duration::from_secs(90));
    let body = json!({ "title": "Second night", "starts_at": "2027-01-21T19:00:00Z", "promo_codes": codes });
    let clone = desk.post(&format!("{event}/clone"), &body).await?.expect(201)?;
    path(&clone["event_id"])
}

#[tokio::test]
async fn a_clone_has_every_column_of_its_source_as_it_should() -> Result<()> {
    let desk = Desk::open().await?;
    let source = full(&desk).await?;
    let clone = cloned(&desk, &source, true).await?;
    let mut db = desk.server.db.owner().await?;
    let mut wrong = Vec::new();
    for (table, key, known) in copied() {
        let from = rows(&mut db, table, key, event_id(&source)?).await?;
        let to = rows(&mut db, table, key, event_id(&clone)?).await?;
        // What was of an archived type alone stays behind.
        let expected: Vec<_> = from.keys().filter(|key| key.to_lowercase() != "\"gone\"").collect();
        assert_eq!(to.keys().collect::<Vec<_>>(), expected, "{table}");
        for (column, usual) in columns(&mut db, table).await? {
            let Some(how) = known.get(column.as_str()) else {
                wrong.push(format!("{table}.{column}: say in this test how a clone has it, and copy it"));
                continue;
            };
            let usual: Value = match usual {
                Some(usual) => {
                    sqlx::query_scalar(AssertSqlSafe(format!("select to_jsonb({usual})")))
                        .fetch_one(&mut db)
                        .await?
                }
                None => Value::Null,
            };
            let mut told = false;
            for (key, to) in &to {
                let (was, is) = (&from[key][&column], &to[&column]);
                told |= *was != usual && !was.is_null();
                let right = match how {
                    How::Same => is == was,
                    How::Other => {
                        is.is_null() == was.is_null() && (is != was || was.is_null() || column == "rule")
                    }
                    How::Moved if was.is_null() => is.is_null(),
                    How::Moved => at(is)? - at(was)? == time::Duration::days(DAYS),
                    How::Is(value) => is == value,
                };
                if !right {
                    wrong.push(format!("{table} {key}: {column} was {was} and is {is}: not {how:?}"));
                }
            }
            // Nothing is learned of what the source leaves as it comes.
            if matches!(how, How::Same | How::Moved) && !told {
                wrong
                    .push(format!("{table}.{column}: give the source of this test another value than usual"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test]
async fn every_table_of_an_event_is_copied_or_known_not_to_be() -> Result<()> {
    let desk = Desk::open().await?;
    let source = full(&desk).await?;
    let clone = cloned(&desk, &source, false).await?;
    let mut db = desk.server.db.owner().await?;
    // What payment providers call an event is a text.
    let tables: Vec<String> = sqlx::query_scalar(
        "select c.table_name::text from information_schema.columns c
           join table_registry r on r.table_name = c.table_name and r.kind = 'tenant'
          where c.table_schema = 'public' and c.column_name = 'event_id' and c.data_type = 'uuid' order by 1",
    )
    .fetch_all(&mut db)
    .await?;
    let copied: Vec<&str> = copied().into_iter().map(|(table, ..)| table).collect();
    let unknown: Vec<_> = tables
        .iter()
        .filter(|t| !copied.contains(&t.as_str()) && !NOT_COPIED.contains(&t.as_str()))
        .collect();
    assert!(unknown.is_empty(), "copy them, or say in this test that clones do not have them: {unknown:?}");
    for table in &tables {
        let query = format!("select count(*) from \"{table}\" where event_id = $1");
        let count: i64 =
            sqlx::query_scalar(AssertSqlSafe(query)).bind(event_id(&clone)?).fetch_one(&mut db).await?;
        match table.as_str() {
            // Its own key, counter, and that it was made; as every new event.
            "organizer_keys" | "change_counters" | "manifest_changes" => assert_eq!(count, 1, "{table}"),
            // Not asked for.
            "promo_codes" => assert_eq!(count, 0),
            table if copied.contains(&table) => assert!(count > 0, "{table}"),
            _ => assert_eq!(count, 0, "{table}"),
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_belongs_together_still_does() -> Result<()> {
    let desk = Desk::open().await?;
    let source = full(&desk).await?;
    let clone = cloned(&desk, &source, true).await?;
    let (was, is) = (desk.see(&source).await?, desk.see(&clone).await?);
    let names = |of: &Value, list: &str| -> Vec<String> {
        of[list]
            .as_array()
            .into_iter()
            .flatten()
            .map(|x| x["name"].as_str().unwrap_or("").to_owned())
            .collect()
    };
    for list in ["ticket_types", "lists", "gates"] {
        assert_eq!(names(&is, list), names(&was, list), "{list} in their order");
    }
    let by_name = |of: &Value, list: &str, name: &str| -> Result<Value> {
        let found = of[list].as_array().context("a list")?.iter().find(|x| x["name"] == name);
        found.cloned().with_context(|| format!("no {name} in {list}"))
    };
    assert_eq!(
        by_name(&is, "ticket_types", "Seated")?["quota_id"],
        by_name(&is, "quotas", "Hall")?["quota_id"]
    );
    let standing = by_name(&is, "ticket_types", "Standing")?;
    let door = by_name(&is, "lists", "Door")?;
    // By number, which is the same; as ids these are the clone's own, and the archived type is not among them.
    assert_eq!(door["ticket_type_ids"], json!([standing["ticket_type_id"]]));
    let gate = by_name(&is, "gates", "North")?;
    assert_eq!(door["rule"]["and"][0]["gate"], json!([gate["gate_id"]]));
    assert_eq!(
        at(&door["rule"]["and"][1]["after"]["time"]["at"])?,
        time::macros::datetime!(2027-01-21 17:30 UTC)
    );
    let asked = desk.get(&format!("{clone}/questions")).await?.expect(200)?;
    assert_eq!(asked["items"][0]["ticket_type_id"], standing["ticket_type_id"]);
    let codes = async |of: &str| -> Result<Vec<Value>> {
        let told = desk.get(&format!("{of}/promo-codes")).await?.expect(200)?;
        let mut codes = told["items"].as_array().context("items")?.clone();
        codes.retain(|code| code["code"] != "GONE");
        Ok(codes)
    };
    let (before, now) = (codes(&source).await?, codes(&clone).await?);
    let words = |codes: &[Value]| codes.iter().map(|c| c["code"].clone()).collect::<Vec<_>>();
    assert_eq!(words(&now), words(&before), "in their order");
    let early = now.iter().find(|c| c["code"] == "EARLY").context("EARLY")?;
    assert_eq!(early["ticket_type_ids"], json!([standing["ticket_type_id"]]));
    // It is an event like any other: it is published, and its next type gets the next number.
    desk.publish(&clone).await?;
    let next = desk.ticket_type(&clone, json!({ "name": "Later" })).await?;
    assert_eq!(next["number"], json!(4), "the archived one's number is not given again");
    let told = desk.server.get(&clone.replace("/organizer", "")).await?.expect(200)?;
    assert_eq!(told["title"], "Second night");
    Ok(())
}

#[tokio::test]
async fn moments_move_by_the_clocks_at_the_venue() -> Result<()> {
    let desk = Desk::open().await?;
    let event = desk.draft(json!({ "admission_at": "2027-01-14T18:00:00Z" })).await?;
    desk.ticket_type(
        &event,
        json!({ "sales_from": "2026-12-01T09:00:00Z", "sales_until": "2027-01-14T18:30:00Z" }),
    )
    .await?;
    // From winter to summer: 20:00 in Vienna is 18:00 UTC then. Where the sale begins it is winter still.
    let body = json!({ "starts_at": "2027-04-01T18:00:00Z" });
    let clone = desk.post(&format!("{event}/clone"), &body).await?.expect(201)?;
    assert_eq!((&clone["title"], &clone["status"]), (&json!("Winter concert"), &json!("draft")));
    let clone = desk.see(&path(&clone["event_id"])?).await?;
    for (field, expected) in [
        ("admission_at", "2027-04-01T17:00:00Z"),
        ("starts_at", "2027-04-01T18:00:00Z"),
        ("ends_at", "2027-04-01T21:00:00Z"),
    ] {
        assert_eq!(at(&clone[field])?, at(&json!(expected))?, "{field}");
    }
    let of = &clone["ticket_types"][0];
    assert_eq!(at(&of["sales_from"])?, at(&json!("2027-02-16T09:00:00Z"))?, "10:00 in winter");
    assert_eq!(at(&of["sales_until"])?, at(&json!("2027-04-01T17:30:00Z"))?, "19:30 in summer");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_on_that_date_is_refused_and_leaves_nothing() -> Result<()> {
    let desk = Desk::open().await?;
    // Lets in from 02:40 to 03:05. In the night in which clocks go from 02:00 to 03:00 the one is after the other.
    let event =
        desk.draft(json!({ "starts_at": "2027-03-21T00:30:00Z", "ends_at": "2027-03-21T02:30:00Z" })).await?;
    desk.ticket_type(
        &event,
        json!({ "name": "Late", "valid_from": "2027-03-21T01:40:00Z", "valid_until": "2027-03-21T02:05:00Z" }),
    )
    .await?;
    let ask = async |body: Value| desk.post(&format!("{event}/clone"), &body).await;
    let refused = ask(json!({ "starts_at": "2027-03-28T00:30:00Z" })).await?;
    let told = &refused.body["errors"][0];
    assert_eq!(
        (refused.status.as_u16(), &told["field"], &told["code"]),
        (422, &json!("starts_at"), &json!("conflict"))
    );
    assert!(told["message"].as_str().is_some_and(|m| m.contains("Late")), "{told}");
    for (body, field) in [
        (json!({ "starts_at": "2200-01-01T19:00:00Z" }), "starts_at"),
        (json!({ "starts_at": "2027-05-01T19:00:00Z", "title": "" }), "title"),
        (json!({ "starts_at": "2027-05-01T19:00:00Z", "title": "two\nlines" }), "title"),
        (json!({ "title": "Again" }), "starts_at"),
        (json!({ "starts_at": "tomorrow" }), "starts_at"),
        (json!({ "starts_at": "2027-05-01T19:00:00Z", "slug": "mine" }), "slug"),
    ] {
        let refused = ask(body.clone()).await?;
        assert_eq!(
            (refused.status.as_u16(), &refused.body["errors"][0]["field"]),
            (422, &json!(field)),
            "{body}"
        );
    }
    let events = desk.get("/organizer/events").await?.expect(200)?;
    assert_eq!(events["items"].as_array().map(Vec::len), Some(1));
    Ok(())
}

#[tokio::test]
async fn a_canceled_event_may_be_held_on_another_date() -> Result<()> {
    let desk = Desk::open().await?;
    let event = desk.on_sale(json!({})).await?;
    desk.post(&format!("{event}/cancel"), &json!({})).await?.expect(202)?;
    let body = json!({ "starts_at": "2027-02-14T19:00:00Z" });
    let clone = desk.post(&format!("{event}/clone"), &body).await?.expect(201)?;
    assert_eq!((&clone["status"], &clone["published_at"]), (&json!("draft"), &Value::Null));
    let route = path(&clone["event_id"])?;
    desk.publish(&route).await?;
    let types = desk.see(&route).await?["ticket_types"].clone();
    let order = json!({
        "event_id": clone["event_id"], "email": "guest@example.org",
        "items": [{ "ticket_type_id": types[0]["ticket_type_id"], "quantity": 1 }],
        "payment": { "method": "simulated", "token": "tok_always_succeeds" },
    });
    let bought = desk.server.post("/tickets/purchase", &order).await?.expect(201)?;
    assert_eq!(bought["status"], "paid", "its quotas are open");
    Ok(())
}

#[tokio::test]
async fn a_key_makes_one_clone_also_after_a_crash() -> Result<()> {
    let desk = Desk::open().await?;
    let event = desk.draft(json!({})).await?;
    let route = format!("{event}/clone");
    let body = json!({ "starts_at": "2027-02-14T19:00:00Z" });
    let first = desk.post_once("one", &route, &body).await?;
    let again = desk.post_once("one", &route, &body).await?;
    assert_eq!((again.header("idempotent-replayed"), &again.body), ("true", &first.clone().expect(201)?));
    let other = desk.post_once("one", &route, &json!({ "starts_at": "2027-02-15T19:00:00Z" })).await?;
    assert_eq!((other.status.as_u16(), other.code()), (422, "idempotency_key_reused"));
    // The server died before it could keep its answer.
    desk.server.app.selling.tasks.close();
    desk.server.app.selling.tasks.wait().await;
    desk.server.app.selling.tasks.reopen();
    let mut db = desk.server.db.owner().await?;
    let forgotten = sqlx::query(
        "update idempotency_keys set leased_until = created_at - interval '1 hour', status = null, answer_sealed = null",
    )
    .execute(&mut db)
    .await?;
    assert_eq!(forgotten.rows_affected(), 1);
    let healed = desk.post_once("one", &route, &body).await?.expect(201)?;
    assert_eq!(healed, first.expect(201)?);
    let events = desk.get("/organizer/events").await?.expect(200)?;
    assert_eq!(events["items"].as_array().map(Vec::len), Some(2));
    Ok(())
}

/// A change of the source that is under way is in the copy whole, or would not be at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_clone_waits_for_a_change_of_its_source() -> Result<()> {
    let desk = Desk::open().await?;
    let event = desk.on_sale(json!({})).await?;
    let mut changing = desk.server.db.owner().await?;
    let mut change = changing.begin().await?;
    let source = event_id(&event)?;
    sqlx::query("select from events where event_id = $1 for no key update")
        .bind(source)
        .execute(&mut *change)
        .await?;
    sqlx::query("update ticket_types set name = 'Seated' where event_id = $1")
        .bind(source)
        .execute(&mut *change)
        .await?;
    let body = json!({ "starts_at": "2027-02-14T19:00:00Z" });
    let request =
        desk.server.request(Method::POST, &format!("{event}/clone")).bearer_auth(&desk.owner).json(&body);
    let cloning = tokio::spawn(send(request));
    let mut looking = desk.server.db.superuser().await?;
    loop {
        let waiting: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
        )
        .fetch_one(&mut looking)
        .await?;
        if waiting > 0 {
            break;
        }
        anyhow::ensure!(!cloning.is_finished(), "it read the source in the midst of a change");
    }
    change.commit().await?;
    let clone = cloning.await??.expect(201)?;
    let clone = desk.see(&path(&clone["event_id"])?).await?;
    assert_eq!(clone["ticket_types"][0]["name"], json!("Seated"));
    Ok(())
}

#[tokio::test]
async fn nobody_clones_what_is_not_his() -> Result<()> {
    let desk = Desk::open().await?;
    let event = desk.on_sale(json!({})).await?;
    let body = json!({ "starts_at": "2027-02-14T19:00:00Z" });
    for route in ["clone", "series"] {
        let body = if route == "clone" { body.clone() } else { json!({ "dates": ["2027-02-14"] }) };
        let refused = desk.server.post_as(&desk.rival, &format!("{event}/{route}"), &body).await?;
        assert_eq!(refused.status.as_u16(), 404, "{route}");
        let nobody = desk.server.post(&format!("{event}/{route}"), &body).await?;
        assert_eq!(nobody.status.as_u16(), 401, "{route}");
    }
    Ok(())
}
