//! The catalogue by HTTP: from an account to an event on sale, and everything that must not go.

mod desk;
mod published;

use anyhow::{Context as _, Result};
use hvflvspot::tour::api::Api;
use hvflvspot::tour::venue::{self, Plan};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Row as _;
use support::server::{TestServer, send};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::desk::{Desk, event_body, id, merge, public, type_body};

async fn change_seq(server: &TestServer, event: &str) -> Result<i64> {
    let event_id: Uuid = event.rsplit('/').next().context("an id")?.parse()?;
    let mut owner = server.db.owner().await?;
    let counted: i64 = sqlx::query_scalar(
        "select change_seq from change_counters c
          where event_id = $1
            and change_seq = (select count(*) from manifest_changes m
                               where m.organizer_id = c.organizer_id and m.event_id = c.event_id)",
    )
    .bind(event_id)
    .fetch_one(&mut owner)
    .await
    .context("a change without its row")?;
    Ok(counted)
}

#[tokio::test]
async fn the_tours_venue_is_set_up_and_on_sale() -> Result<()> {
    let server = TestServer::start().await?;
    let api = Api::new(&server.url)?;
    let organizer = venue::new_organizer(&api, &server.app.rng).await?;
    let plan = Plan { title: "Tour", capacity: 50, gates: &["North", "South"], reentry: true };
    let show = venue::put_on_sale(&organizer, server.app.clock.now(), plan).await?;

    let detail = organizer.get(&format!("/organizer/events/{}", show.event)).await?;
    assert_eq!(detail["status"], "published");
    assert_eq!(detail["lists"].as_array().map(Vec::len), Some(1), "the first list made room: {detail}");
    assert_eq!(detail["lists"][0]["list_id"], show.list.as_str());
    assert_eq!(detail["lists"][0]["attendance"], true);
    assert_eq!(detail["gates"].as_array().map(Vec::len), Some(2));
    assert_eq!(detail["quotas"][0]["capacity"], 50);
    assert_eq!(detail["ticket_types"][0]["total"], json!({ "amount_minor": 2_650, "currency": "EUR" }));
    assert_eq!(detail["stewards"][0]["supervisor"], true);
    assert!(!detail.to_string().contains("argon2"), "no hash of a PIN leaves");

    let seen = api.get(&format!("/events/{}", show.event)).await?;
    let of = &seen["ticket_types"][0];
    assert_eq!((&of["availability"], &of["total"]["amount_minor"]), (&json!("available"), &json!(2_650)));
    assert_eq!(of["tax"]["amount_minor"], 174, "164 of 25.00 and 10 of 1.50, rounded each");
    let slug = id(&seen, "slug")?;
    assert_eq!(api.get(&format!("/events/{slug}")).await?["event_id"], show.event.as_str());
    let found = api.get("/events/search?q=tour").await?;
    assert_eq!(found["items"][0]["event_id"], show.event.as_str());
    assert_eq!(found["items"][0]["price_from"]["amount_minor"], 2_650);
    let role = organizer.get("/auth/verify").await?;
    assert_eq!((&role["role"], &role["organizers"][0]["role"]), (&json!("organizer"), &json!("owner")));
    Ok(())
}

#[tokio::test]
async fn whatever_gates_must_know_raises_the_change_counter_by_one() -> Result<()> {
    let server = TestServer::start().await?;
    let desk = Desk::found(&server, "Owls").await?;
    let event = desk.draft(json!({})).await?;
    let mut seq = change_seq(&server, &event).await?;
    let of = desk.post(&format!("{event}/ticket-types"), &type_body()).await?.expect(201)?;
    let of = format!("{event}/ticket-types/{}", id(&of, "ticket_type_id")?);
    let list = desk.post(&format!("{event}/lists"), &json!({ "name": "VIP" })).await?.expect(201)?;
    let list = format!("{event}/lists/{}", id(&list, "list_id")?);
    let gate = desk.post(&format!("{event}/gates"), &json!({ "name": "North" })).await?.expect(201)?;
    let gate = format!("{event}/gates/{}", id(&gate, "gate_id")?);
    let steward = json!({ "label": "Ada", "pin": "2468" });
    let steward = desk.post(&format!("{event}/stewards"), &steward).await?.expect(201)?;
    let steward = format!("{event}/stewards/{}", id(&steward, "steward_id")?);
    seq += 4;
    assert_eq!(change_seq(&server, &event).await?, seq);
    for (path, body, status) in [
        (&event, json!({ "ends_at": null }), 200),
        (&of, json!({ "attention": "student card" }), 200),
        (&list, json!({ "multiple_entry": true }), 200),
        (&gate, json!({ "name": "South" }), 200),
        (&steward, json!({ "supervisor": true, "pin": "13579" }), 200),
        (&of, Value::Null, 204),
        (&list, Value::Null, 204),
        (&gate, Value::Null, 204),
        (&steward, Value::Null, 204),
    ] {
        let path = if *path == event { format!("{event}/update") } else { path.clone() };
        let reply = match &body {
            Value::Null => desk.delete(&path).await?,
            body => desk.put(&path, body).await?,
        };
        let _ = reply.expect(status).with_context(|| path.clone())?;
        seq += 1;
        assert_eq!(change_seq(&server, &event).await?, seq, "{path}");
    }
    let detail = desk.get(&event).await?.expect(200)?;
    assert_eq!((&detail["gates"], &detail["stewards"]), (&json!([]), &json!([])), "archived is gone");
    assert_eq!(detail["ticket_types"], json!([]));
    assert_eq!(detail["ends_at"], Value::Null);
    assert_eq!(detail["title"], "Night of Owls", "what a change leaves out stays");
    // A refused change leaves no trace.
    desk.put(&format!("{event}/update"), &json!({ "title": "" })).await?.expect(422)?;
    assert_eq!(change_seq(&server, &event).await?, seq);
    Ok(())
}

#[tokio::test]
async fn a_bad_field_is_refused_by_name() -> Result<()> {
    let server = TestServer::start().await?;
    let desk = Desk::found(&server, "Owls").await?;
    let event = desk.draft(json!({})).await?;
    let long = |n: usize| "x".repeat(n);
    let money = |amount: i64, currency: &str| json!({ "amount_minor": amount, "currency": currency });
    let create = "/organizer/events/create".to_owned();
    let (types, lists) = (format!("{event}/ticket-types"), format!("{event}/lists"));
    let (gates, stewards) = (format!("{event}/gates"), format!("{event}/stewards"));
    let quotas = format!("{event}/quotas");
    let of_event = event_body();
    let of_type = type_body();
    let of_list = json!({ "name": "VIP" });
    let of_gate = json!({ "name": "North" });
    let of_steward = json!({ "label": "Ada", "pin": "2468" });
    let of_quota = json!({ "name": "Hall", "capacity": 10 });
    let cases: Vec<(&str, &Value, Value, &str)> = vec![
        (&create, &of_event, json!({ "title": "" }), "title"),
        (&create, &of_event, json!({ "title": long(201) }), "title"),
        (&create, &of_event, json!({ "title": "a\u{0}b" }), "title"),
        (&create, &of_event, json!({ "title": "two\nlines" }), "title"),
        (&create, &of_event, json!({ "title": 7 }), "title"),
        (&create, &of_event, json!({ "title": null }), "title"),
        (&create, &of_event, json!({ "description": long(20_001) }), "description"),
        (&create, &of_event, json!({ "description": "bell \u{7}" }), "description"),
        (&create, &of_event, json!({ "category_id": "nothing" }), "category_id"),
        (&create, &of_event, json!({ "venue_name": long(201) }), "venue_name"),
        (&create, &of_event, json!({ "venue_address": long(501) }), "venue_address"),
        (&create, &of_event, json!({ "city": long(121) }), "city"),
        (&create, &of_event, json!({ "country": "at" }), "country"),
        (&create, &of_event, json!({ "latitude": 91, "longitude": 0 }), "latitude"),
        (&create, &of_event, json!({ "latitude": 0, "longitude": -181 }), "longitude"),
        (&create, &of_event, json!({ "latitude": 48.2 }), "latitude"),
        (&create, &of_event, json!({ "time_zone": "Europe/Atlantis" }), "time_zone"),
        (&create, &of_event, json!({ "time_zone": "../etc" }), "time_zone"),
        (&create, &of_event, json!({ "starts_at": "tomorrow" }), "starts_at"),
        (&create, &of_event, json!({ "starts_at": "2150-01-01T00:00:00Z", "ends_at": null }), "starts_at"),
        (&create, &of_event, json!({ "ends_at": "2090-06-01T18:00:00Z" }), "ends_at"),
        (&create, &of_event, json!({ "admission_at": "2090-06-02T00:00:00Z" }), "admission_at"),
        (&create, &of_event, json!({ "currency": "eur" }), "currency"),
        (&create, &of_event, json!({ "hold_secs": 59 }), "hold_secs"),
        (&create, &of_event, json!({ "extension_secs": -1 }), "extension_secs"),
        (&create, &of_event, json!({ "max_per_booking": 0 }), "max_per_booking"),
        (&create, &of_event, json!({ "status": "published" }), "status"),
        (&types, &of_type, json!({ "name": "" }), "name"),
        (&types, &of_type, json!({ "description": long(2_001) }), "description"),
        (&types, &of_type, json!({ "price": money(-1, "EUR") }), "price.amount_minor"),
        (&types, &of_type, json!({ "price": money(1_000_000_001, "EUR") }), "price.amount_minor"),
        (&types, &of_type, json!({ "price": money(1, "USD") }), "price.currency"),
        (
            &types,
            &of_type,
            json!({ "price": { "amount_minor": 1.5, "currency": "EUR" } }),
            "price.amount_minor",
        ),
        (&types, &of_type, json!({ "fee": money(1, "USD") }), "fee.currency"),
        (&types, &of_type, json!({ "tax": { "rate_bp": 10_001, "inclusive": true } }), "tax.rate_bp"),
        (&types, &of_type, json!({ "capacity": -1 }), "capacity"),
        (&types, &of_type, json!({ "capacity": 4_000_001 }), "capacity"),
        (&types, &of_type, json!({ "capacity": null }), "capacity"),
        (&types, &of_type, json!({ "quota_id": Uuid::nil() }), "capacity"),
        (&types, &of_type, json!({ "capacity": null, "quota_id": Uuid::nil() }), "quota_id"),
        (
            &types,
            &of_type,
            json!({ "sales_from": "2090-01-02T00:00:00Z", "sales_until": "2090-01-02T00:00:00Z" }),
            "sales_until",
        ),
        (
            &types,
            &of_type,
            json!({ "valid_from": "2090-01-02T00:00:00Z", "valid_until": "2090-01-01T00:00:00Z" }),
            "valid_until",
        ),
        (&types, &of_type, json!({ "valid_from": "2090-06-03T00:00:00Z" }), "valid_from"),
        (&types, &of_type, json!({ "grace_secs": -1 }), "grace_secs"),
        (&types, &of_type, json!({ "max_per_booking": 1_001 }), "max_per_booking"),
        (&types, &of_type, json!({ "attention": long(301) }), "attention"),
        (&types, &of_type, json!({ "colour": "red" }), "colour"),
        (&lists, &of_list, json!({ "name": "" }), "name"),
        (&lists, &of_list, json!({ "ticket_type_ids": [Uuid::nil()] }), "ticket_type_ids[0]"),
        (&lists, &of_list, json!({ "rule": { "nonsense": 1 } }), "rule"),
        (&lists, &of_list, json!({ "rule": "nonsense" }), "rule"),
        (&gates, &of_gate, json!({ "name": long(201) }), "name"),
        (&gates, &of_gate, json!({ "colour": "red" }), "colour"),
        (&stewards, &of_steward, json!({ "label": "" }), "label"),
        (&stewards, &of_steward, json!({ "pin": null }), "pin"),
        (&stewards, &of_steward, json!({ "pin": "123" }), "pin"),
        (&stewards, &of_steward, json!({ "pin": "123456789" }), "pin"),
        (&stewards, &of_steward, json!({ "pin": "12a4" }), "pin"),
        (&stewards, &of_steward, json!({ "pin": "١٢٣٤" }), "pin"),
        (&quotas, &of_quota, json!({ "name": "" }), "name"),
        (&quotas, &of_quota, json!({ "capacity": -1 }), "capacity"),
    ];
    for (path, good, bad, field) in cases {
        let mut body = good.clone();
        merge(&mut body, bad.clone());
        let reply = desk.post(path, &body).await?;
        assert_eq!(reply.status.as_u16(), 422, "{path} {bad:.100}: {}", reply.text);
        let fields: Vec<&str> = reply.body["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|e| e["field"].as_str())
            .collect();
        // A field that is wrong may make others impossible; the culprit comes first.
        assert_eq!(fields.first(), Some(&field), "{path} {bad:.100}: {}", reply.text);
    }
    for (bad, field) in [
        (json!({ "name": "" }), "name"),
        (json!({ "contact_email": "nobody" }), "contact_email"),
        (json!({ "website": "javascript:alert(1)" }), "website"),
        (json!({ "country": "Austria" }), "country"),
        (json!({ "tax_id": long(65) }), "tax_id"),
        (json!({ "status": "approved" }), "status"),
    ] {
        let mut profile = json!({ "name": "Owls", "contact_email": "office@desk.example" });
        merge(&mut profile, bad);
        let reply = desk.put("/organizer/profile", &profile).await?;
        let told = (reply.status.as_u16(), &reply.body["errors"][0]["field"]);
        assert_eq!(told, (422, &json!(field)), "{}", reply.text);
    }
    // What the table started from is good.
    for (path, good) in [
        (&types, &of_type),
        (&lists, &of_list),
        (&gates, &of_gate),
        (&stewards, &of_steward),
        (&quotas, &of_quota),
    ] {
        desk.post(path, good).await?.expect(201)?;
    }
    Ok(())
}

#[tokio::test]
async fn another_organizer_finds_nothing_of_it_on_any_route() -> Result<()> {
    let server = TestServer::start().await?;
    let owls = Desk::found(&server, "Owls").await?;
    let foxes = Desk::found(&server, "Foxes").await?;
    let event = owls.on_sale(json!({})).await?;
    let draft = owls.draft(json!({})).await?;
    owls.post(&format!("{event}/gates"), &json!({ "name": "North" })).await?.expect(201)?;
    owls.post(&format!("{event}/stewards"), &json!({ "label": "Ada", "pin": "2468" })).await?.expect(201)?;
    let before = owls.get(&event).await?.expect(200)?;
    let one = |kind: &str, name: &str| -> Result<String> {
        Ok(format!("{kind}/{}", id(&before[kind.replace('-', "_")][0], name)?))
    };
    let objects = [
        (one("ticket-types", "ticket_type_id")?, type_body()),
        (one("quotas", "quota_id")?, json!({ "name": "Hall", "capacity": 10 })),
        (one("lists", "list_id")?, json!({ "name": "VIP" })),
        (one("gates", "gate_id")?, json!({ "name": "South" })),
        (one("stewards", "steward_id")?, json!({ "label": "Eve", "pin": "2468" })),
    ];
    let mut calls = vec![
        (Method::GET, event.clone(), None),
        (Method::PUT, format!("{event}/update"), Some(json!({ "title": "Mine" }))),
        (Method::POST, format!("{event}/publish"), Some(json!({}))),
    ];
    // The foxes' own event does not open what belongs to the owls' either.
    let own = foxes.draft(json!({})).await?;
    for (object, body) in &objects {
        let kind = object.split('/').next().context("a kind")?;
        calls.push((Method::GET, format!("{event}/{kind}"), None));
        calls.push((Method::POST, format!("{event}/{kind}"), Some(body.clone())));
        for base in [&event, &own] {
            let change = if kind == "ticket-types" { json!({ "name": "Mine" }) } else { body.clone() };
            calls.push((Method::PUT, format!("{base}/{object}"), Some(change)));
            if kind != "quotas" {
                calls.push((Method::DELETE, format!("{base}/{object}"), None));
            }
        }
    }
    for (method, path, body) in calls {
        let reply = foxes.call(method.clone(), &path, body.as_ref()).await?;
        assert_eq!(
            (reply.status.as_u16(), reply.code()),
            (404, "not_found"),
            "{method} {path}: {}",
            reply.text
        );
        let stranger = send(match &body {
            Some(body) => server.request(method.clone(), &path).json(body),
            None => server.request(method.clone(), &path),
        })
        .await?;
        assert_eq!(stranger.status.as_u16(), 401, "{method} {path}");
    }
    assert_eq!(owls.get(&event).await?.expect(200)?, before, "nothing changed");
    let list = foxes.get("/organizer/events").await?.expect(200)?;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "only their own: {list}");
    // A draft is nobody's business, and neither are its keys.
    for path in [public(&draft), format!("{}/ticket-keys", public(&draft))] {
        assert_eq!(server.get(&path).await?.status.as_u16(), 404, "{path}");
    }
    // Another's quota or ticket type cannot be drawn in.
    let mut stolen = type_body();
    merge(&mut stolen, json!({ "capacity": null, "quota_id": before["quotas"][0]["quota_id"] }));
    foxes.post(&format!("{own}/ticket-types"), &stolen).await?.expect(422)?;
    let list = json!({ "name": "x", "ticket_type_ids": [before["ticket_types"][0]["ticket_type_id"]] });
    foxes.post(&format!("{own}/lists"), &list).await?.expect(422)?;
    Ok(())
}

#[tokio::test]
async fn door_staff_read_and_do_not_write() -> Result<()> {
    let server = TestServer::start().await?;
    let owls = Desk::found(&server, "Owls").await?;
    let event = owls.on_sale(json!({})).await?;
    let door = Desk::sign_up(&server, "door@desk.example").await?;
    assert_eq!(door.get(&event).await?.code(), "not_an_organizer");
    let mut owner = server.db.owner().await?;
    sqlx::query(
        "insert into members (organizer_id, user_id, role, created_at)
         select m.organizer_id, u.id, 'door', now() from members m, users u where u.email = 'door@desk.example'",
    )
    .execute(&mut owner)
    .await?;
    let detail = door.get(&event).await?.expect(200)?;
    door.get(&format!("{event}/stewards")).await?.expect(200)?;
    let list = id(&detail["lists"][0], "list_id")?;
    for (method, path, body) in [
        (
            Method::PUT,
            "/organizer/profile".to_owned(),
            json!({ "name": "Mine", "contact_email": "a@b.example" }),
        ),
        (Method::POST, "/organizer/events/create".to_owned(), event_body()),
        (Method::PUT, format!("{event}/update"), json!({ "title": "Mine" })),
        (Method::POST, format!("{event}/publish"), json!({})),
        (Method::POST, format!("{event}/ticket-types"), type_body()),
        (Method::POST, format!("{event}/gates"), json!({ "name": "x" })),
        (Method::POST, format!("{event}/stewards"), json!({ "label": "x", "pin": "2468" })),
        (Method::PUT, format!("{event}/lists/{list}"), json!({ "name": "x" })),
        (Method::DELETE, format!("{event}/lists/{list}"), json!({})),
    ] {
        let reply = door.call(method.clone(), &path, Some(&body)).await?;
        assert_eq!((reply.status.as_u16(), reply.code()), (403, "forbidden"), "{method} {path}");
    }
    assert_eq!(owls.get(&event).await?.expect(200)?, detail);
    Ok(())
}

#[tokio::test]
async fn an_unapproved_organizer_prepares_and_does_not_publish() -> Result<()> {
    let settings = |c: &mut hvflvspot::config::Config| {
        c.dev = false;
        c.auth.autoconfirm = Some(true);
    };
    let server = TestServer::builder().config(settings).start().await?;
    let desk = Desk::found(&server, "Owls").await?;
    assert_eq!(desk.get("/organizer/profile").await?.expect(200)?["status"], "draft");
    let event = desk.draft(json!({})).await?;
    desk.post(&format!("{event}/ticket-types"), &type_body()).await?.expect(201)?;
    let refused = desk.post(&format!("{event}/publish"), &json!({})).await?;
    assert_eq!((refused.status.as_u16(), refused.code()), (403, "organizer_not_approved"));
    assert_eq!(server.get(&public(&event)).await?.status.as_u16(), 404);
    let mut owner = server.db.owner().await?;
    sqlx::query("update organizers set status = 'approved'").execute(&mut owner).await?;
    desk.post(&format!("{event}/publish"), &json!({})).await?.expect(200)?;
    server.get(&public(&event)).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn what_is_missing_before_publishing_is_listed() -> Result<()> {
    let server = TestServer::start().await?;
    let desk = Desk::found(&server, "Owls").await?;
    let event = desk.draft(json!({ "starts_at": "2020-01-01T00:00:00Z", "ends_at": null })).await?;
    let refused = desk.post(&format!("{event}/publish"), &json!({})).await?;
    assert_eq!((refused.status.as_u16(), refused.code()), (422, "not_ready"));
    let fields: Vec<_> =
        refused.body["errors"].as_array().into_iter().flatten().map(|e| &e["field"]).collect();
    assert_eq!(fields, ["ticket_types", "starts_at"]);
    Ok(())
}

#[tokio::test]
async fn the_same_profile_twice_at_once_makes_one_organizer() -> Result<()> {
    let server = TestServer::start().await?;
    let desk = Desk::sign_up(&server, "twice@desk.example").await?;
    assert_eq!(desk.get("/organizer/profile").await?.code(), "not_an_organizer");
    let profile = json!({ "name": "Owls", "contact_email": "office@desk.example" });
    let (one, two) =
        tokio::try_join!(desk.put("/organizer/profile", &profile), desk.put("/organizer/profile", &profile))?;
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 201], "{} {}", one.text, two.text);
    let mut owner = server.db.owner().await?;
    let counts = sqlx::query(
        "select (select count(*) from organizers) as organizers, (select count(*) from organizer_keys) as keys,
                (select count(*) from trust_roots) as roots, (select count(*) from members) as members",
    )
    .fetch_one(&mut owner)
    .await?;
    let count = |name: &str| counts.get::<i64, _>(name);
    assert_eq!((count("organizers"), count("keys"), count("roots"), count("members")), (1, 3, 1, 1));
    let mut profile = profile;
    merge(&mut profile, json!({ "website": "https://owls.example" }));
    let changed = desk.put("/organizer/profile", &profile).await?.expect(200)?;
    assert_eq!(
        (&changed["website"], &changed["status"]),
        (&json!("https://owls.example"), &json!("approved"))
    );
    Ok(())
}

#[tokio::test]
async fn capacity_never_falls_below_what_is_held_and_sold() -> Result<()> {
    let server = TestServer::start().await?;
    let desk = Desk::found(&server, "Owls").await?;
    let event = desk.on_sale(json!({})).await?;
    let mut owner = server.db.owner().await?;
    sqlx::query("update quotas set held = 2, sold = 89").execute(&mut owner).await?;
    let detail = desk.get(&event).await?.expect(200)?;
    let of = format!("{event}/ticket-types/{}", id(&detail["ticket_types"][0], "ticket_type_id")?);
    let quota = format!("{event}/quotas/{}", id(&detail["quotas"][0], "quota_id")?);
    let availability = || async {
        anyhow::Ok(server.get(&public(&event)).await?.expect(200)?["ticket_types"][0]["availability"].clone())
    };
    assert_eq!(availability().await?, "few");
    for path in [&of, &quota] {
        let refused = desk.put(path, &json!({ "capacity": 90 })).await?;
        assert_eq!((refused.status.as_u16(), refused.code()), (409, "capacity_in_use"), "{path}");
        desk.put(path, &json!({ "capacity": 91 })).await?.expect(200)?;
        assert_eq!(availability().await?, "sold_out");
        desk.put(path, &json!({ "capacity": 200 })).await?.expect(200)?;
        assert_eq!(availability().await?, "available");
    }
    // Two types on one quota share its counters.
    let mut second = type_body();
    merge(&mut second, json!({ "capacity": null, "quota_id": detail["quotas"][0]["quota_id"] }));
    let second = desk.post(&format!("{event}/ticket-types"), &second).await?.expect(201)?;
    assert_eq!((&second["number"], &second["sold"]), (&json!(2), &json!(89)));
    desk.put(&quota, &json!({ "capacity": 300 })).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn an_event_has_exactly_one_attendance_list() -> Result<()> {
    let server = TestServer::start().await?;
    let desk = Desk::found(&server, "Owls").await?;
    let event = desk.draft(json!({})).await?;
    let lists = format!("{event}/lists");
    let attendance = || async {
        let all = desk.get(&lists).await?.expect(200)?;
        let all = all["items"].as_array().context("a list")?.clone();
        let which: Vec<_> =
            all.iter().filter(|l| l["attendance"] == true).map(|l| l["name"].clone()).collect();
        anyhow::Ok((which, all.len()))
    };
    assert_eq!(attendance().await?, (vec![json!("Admission")], 1));
    let main = desk.post(&lists, &json!({ "name": "Main", "attendance": true })).await?.expect(201)?;
    assert_eq!(attendance().await?, (vec![json!("Main")], 1), "the untouched first list is gone");
    let vip = desk.post(&lists, &json!({ "name": "VIP" })).await?.expect(201)?;
    let (main, vip) =
        (format!("{lists}/{}", id(&main, "list_id")?), format!("{lists}/{}", id(&vip, "list_id")?));
    for refused in [desk.delete(&main).await?, desk.put(&main, &json!({ "attendance": false })).await?] {
        assert_eq!((refused.status.as_u16(), refused.code()), (409, "attendance_required"));
    }
    desk.put(&vip, &json!({ "attendance": true })).await?.expect(200)?;
    assert_eq!(attendance().await?, (vec![json!("VIP")], 2), "a list that somebody made stays");
    let _ = desk.delete(&main).await?.expect(204)?;
    assert_eq!(attendance().await?, (vec![json!("VIP")], 1));
    desk.put(&main, &json!({ "name": "Back" })).await?.expect(404)?;
    let rule = json!({ "nonsense": true });
    assert_eq!(desk.put(&vip, &json!({ "rule": rule })).await?.body["errors"][0]["field"], "rule");
    let rule = json!({ "compare": { "value": "entries_today", "op": "<", "to": 2 } });
    assert_eq!(desk.put(&vip, &json!({ "rule": rule })).await?.expect(200)?["rule"], rule);
    assert_eq!(desk.put(&vip, &json!({ "rule": null })).await?.expect(200)?["rule"], Value::Null);
    // Which types a list takes is told by id, and an empty list is not all.
    let of = desk.post(&format!("{event}/ticket-types"), &type_body()).await?.expect(201)?;
    let ids = json!([of["ticket_type_id"]]);
    let changed = desk.put(&vip, &json!({ "ticket_type_ids": ids })).await?.expect(200)?;
    assert_eq!(changed["ticket_type_ids"], ids);
    assert_eq!(
        desk.put(&vip, &json!({ "ticket_type_ids": [] })).await?.expect(200)?["ticket_type_ids"],
        json!([])
    );
    let all = desk.put(&vip, &json!({ "ticket_type_ids": null })).await?.expect(200)?;
    assert_eq!(all["ticket_type_ids"], Value::Null);
    Ok(())
}

#[tokio::test]
async fn the_organizers_list_is_paged_and_filtered_by_status() -> Result<()> {
    let server = TestServer::start().await?;
    let desk = Desk::found(&server, "Owls").await?;
    for day in 1..=3 {
        let starts = format!("2090-01-0{day}T18:00:00Z");
        let change = json!({ "title": format!("Day {day}"), "starts_at": starts, "ends_at": null });
        if day == 2 {
            desk.on_sale(change).await?
        } else {
            desk.draft(change).await?
        };
    }
    let page = desk.get("/organizer/events?limit=2").await?.expect(200)?;
    assert_eq!((&page["items"][0]["title"], &page["items"][1]["title"]), (&json!("Day 3"), &json!("Day 2")));
    let next = id(&page, "next_cursor")?;
    let page = desk.get(&format!("/organizer/events?limit=2&cursor={next}")).await?.expect(200)?;
    assert_eq!((&page["items"][0]["title"], &page["next_cursor"]), (&json!("Day 1"), &Value::Null));
    let drafts = desk.get("/organizer/events?status=draft").await?.expect(200)?;
    assert_eq!(drafts["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(desk.get("/organizer/events?status=lost").await?.code(), "invalid_query");
    Ok(())
}

#[tokio::test]
async fn a_moved_event_keeps_ticket_types_that_let_in() -> Result<()> {
    let server = TestServer::start().await?;
    let desk = Desk::found(&server, "Owls").await?;
    let event = desk.draft(json!({})).await?;
    let mut late = type_body();
    merge(&mut late, json!({ "valid_from": "2090-06-01T20:00:00Z", "grace_secs": 0 }));
    desk.post(&format!("{event}/ticket-types"), &late).await?.expect(201)?;
    let earlier = json!({ "starts_at": "2090-05-01T18:00:00Z", "ends_at": "2090-05-01T23:00:00Z" });
    let refused = desk.put(&format!("{event}/update"), &earlier).await?;
    assert_eq!((refused.status.as_u16(), &refused.body["errors"][0]["field"]), (422, &json!("ends_at")));
    let dollars = desk.put(&format!("{event}/update"), &json!({ "currency": "USD" })).await?;
    assert_eq!(dollars.body["errors"][0]["code"], "fixed");
    let detail = desk.get(&event).await?.expect(200)?;
    let starts = OffsetDateTime::parse(&id(&detail, "starts_at")?, &Rfc3339)?;
    assert_eq!(
        starts,
        OffsetDateTime::parse("2090-06-01T18:00:00Z", &Rfc3339)?,
        "a refused change leaves no trace"
    );
    let mut owner = server.db.owner().await?;
    sqlx::query("update events set status = 'canceled'").execute(&mut owner).await?;
    for reply in [
        desk.put(&format!("{event}/update"), &json!({ "title": "x" })).await?,
        desk.post(&format!("{event}/publish"), &json!({})).await?,
        desk.post(&format!("{event}/ticket-types"), &type_body()).await?,
    ] {
        assert_eq!((reply.status.as_u16(), reply.code()), (409, "event_canceled"));
    }
    Ok(())
}
