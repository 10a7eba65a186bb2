//! Rules of lists at the server: the table of cases, what may be set, and trying without recording.

#[path = "../../cases/rules.rs"]
mod table;

use std::time::Duration;

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::{Value, json};
use shared::admission::Flag;
use shared::log::entry::EntryKind;
use support::server::{Reply, send};
use table::{Case, Kind};
use uuid::Uuid;

use crate::venue::{Sold, Venue};

async fn put(venue: &Venue, rest: &str, body: &Value) -> Result<Reply> {
    send(venue.server.request(Method::PUT, &venue.path(rest)).bearer_auth(&venue.owner).json(body)).await
}

fn list_path(venue: &Venue) -> String {
    format!("/lists/{}", venue.list)
}

/// Ids of types 1 and 2. Both are valid at any time, and everything has the names of the table.
async fn furnish(venue: &Venue) -> Result<[Uuid; 2]> {
    let mut db = venue.server.db.owner().await?;
    let first: Uuid =
        sqlx::query_scalar("select ticket_type_id from ticket_types").fetch_one(&mut db).await?;
    let second = Uuid::from_u128(0x2222);
    sqlx::query(
        "insert into ticket_types (organizer_id, ticket_type_id, event_id, number, quota_id, name, price_minor, created_at, updated_at)
         select organizer_id, $1, event_id, 2, quota_id, 'Type 2', 1000, now(), now() from ticket_types",
    )
    .bind(second)
    .execute(&mut db)
    .await?;
    sqlx::query("update ticket_types set name = 'Type ' || number, valid_until = '2099-01-01'")
        .execute(&mut db)
        .await?;
    put(venue, &list_path(venue), &json!({ "name": "Main" })).await?.expect(200)?;
    for (gate, name) in venue.gates.iter().zip(["North", "South"]) {
        put(venue, &format!("/gates/{gate}"), &json!({ "name": name })).await?.expect(200)?;
    }
    Ok([first, second])
}

#[tokio::test]
async fn the_server_decides_every_case_of_the_table() -> Result<()> {
    let cases = table::all();
    let start = cases.first().context("cases")?.begin() - Duration::from_secs(3600);
    let mut venue = Venue::at(1, start).await?;
    let types = furnish(&venue).await?;
    let sold = venue.sell(cases.len()).await?;
    for (case, sold) in cases.iter().zip(&sold) {
        play(&mut venue, &types, case, sold).await.with_context(|| case.name.clone())?;
    }
    Ok(())
}

async fn play(venue: &mut Venue, types: &[Uuid; 2], case: &Case, sold: &Sold) -> Result<()> {
    venue.clock.set_wall(case.begin());
    venue.owner = venue.member("owner").await?;
    let mut db = venue.server.db.owner().await?;
    sqlx::query(
        "update events set time_zone = 'Europe/Vienna', admission_at = $1, starts_at = $2, ends_at = $3",
    )
    .bind(case.admission)
    .bind(table::START)
    .bind(case.end)
    .execute(&mut db)
    .await?;
    if case.ticket_type == 2 {
        sqlx::query("update tickets set type_no = 2, ticket_type_id = $1 where ticket_id = $2")
            .bind(types[1])
            .bind(sold.id.0)
            .execute(&mut db)
            .await?;
    }
    let free =
        json!({ "multiple_entry": true, "reentry_after_exit": true, "ticket_type_ids": null, "rule": null });
    put(venue, &list_path(venue), &free).await?.expect(200)?;
    replay(venue, case, sold).await?;
    venue.owner = venue.member("owner").await?;

    let of_list = case
        .types
        .as_ref()
        .map(|numbers| numbers.iter().map(|n| json!(types[usize::from(*n) - 1])).collect::<Vec<_>>());
    let rule = case.rule(venue.gates[0], venue.gates[1]);
    let mut fields = json!({
        "multiple_entry": case.multiple_entry, "reentry_after_exit": case.reentry_after_exit, "ticket_type_ids": of_list,
    });
    if case.invalid {
        let refused = put(venue, &list_path(venue), &json!({ "rule": rule })).await?;
        assert_eq!((refused.status.as_u16(), &refused.body["errors"][0]["field"]), (422, &json!("rule")));
        let text = rule.as_ref().context("an invalid rule")?.to_string();
        sqlx::query("update checkin_lists set rule = $1::jsonb where list_id = $2")
            .bind(text)
            .bind(venue.list.0)
            .execute(&mut db)
            .await?;
    } else {
        fields["rule"] = json!(rule);
    }
    put(venue, &list_path(venue), &fields).await?.expect(200)?;
    sqlx::query("update events set time_zone = $1").bind(&case.zone).execute(&mut db).await?;
    venue.clock.set_wall(case.now);
    venue.owner = venue.member("owner").await?;
    let gate = case.gate.as_deref().map(|name| venue.gates[usize::from(name == "south")]);
    // Trying says the same beforehand, and leaves nothing behind.
    let trial = json!({ "ticket_id": sold.id, "gate_id": gate });
    let tried = venue.post(&format!("{}/try", list_path(venue)), trial).await?.expect(200)?;
    case.check(tried["outcome"].as_str().context("outcome")?, tried["explanation"].as_str().context("text")?);
    let body = json!({ "code": sold.code, "check_in": { "list_id": venue.list, "gate_id": gate } });
    let verdict = venue.server.post_as(&venue.owner, "/tickets/validate", &body).await?.expect(200)?;
    case.check(
        verdict["outcome"].as_str().context("outcome")?,
        verdict["explanation"].as_str().context("text")?,
    );
    Ok(())
}

/// Entries and exits by the server itself; overrides by a gate, which alone makes them.
async fn replay(venue: &Venue, case: &Case, sold: &Sold) -> Result<()> {
    for past in &case.history {
        venue.clock.set_wall(past.at);
        let way = match past.kind {
            Kind::Entry => "in",
            Kind::Exit => "out",
            Kind::Override => {
                let mut gate = venue.device("A").await?;
                gate.write(venue, |e| {
                    e.kind = EntryKind::Override;
                    e.ticket = Some(sold.id);
                    e.type_no = Some(case.ticket_type);
                    e.flags = e.flags.with(Flag::Overridden).with(Flag::Blocked);
                    e.reason = Some("a known person".into());
                });
                gate.push(venue).await?;
                continue;
            }
        };
        let check_in = json!({ "list_id": venue.list, "gate_id": venue.gates[0], "direction": way });
        let body = json!({ "code": sold.code, "check_in": check_in });
        // The list lets in again and again, so that whatever the table wants can have happened.
        let owner = venue.member("owner").await?;
        let done = venue.server.post_as(&owner, "/tickets/validate", &body).await?.expect(200)?;
        assert_eq!(done["admit"], true, "{done}");
    }
    Ok(())
}

#[tokio::test]
async fn a_rule_names_only_what_the_event_has_and_types_by_id_or_number() -> Result<()> {
    let venue = Venue::open().await?;
    let types = furnish(&venue).await?;
    let list = list_path(&venue);
    let nobody = Uuid::from_u128(77);
    let refused = async |rule: Value| {
        let reply = put(&venue, &list, &json!({ "rule": rule })).await?;
        let error = &reply.body["errors"][0];
        Ok::<_, anyhow::Error>((reply.status.as_u16(), error["field"].clone(), error["code"].clone()))
    };
    for (rule, field) in [
        (json!({ "gate": [nobody] }), "rule.gate[0]"),
        (json!({ "gate": [venue.gates[0], nobody] }), "rule.gate[1]"),
        (json!({ "ticket_type": [3] }), "rule.ticket_type[0]"),
        (json!({ "ticket_type": [types[0], nobody] }), "rule.ticket_type[1]"),
        (
            json!({ "and": [{ "present": true }, { "not": { "ticket_type": [9] } }] }),
            "rule.and[1].not.ticket_type[0]",
        ),
    ] {
        assert_eq!(refused(rule.clone()).await?, (422, json!(field), json!("unknown")), "{rule}");
    }
    for rule in
        [json!({ "gate": ["North"] }), json!({ "ticket_type": ["Type 1"] }), json!({ "ticket_type": [-1] })]
    {
        assert_eq!(refused(rule.clone()).await?.0, 422, "{rule}");
    }
    let north = venue.gates[0].to_string().to_uppercase();
    let written = json!({ "or": [{ "ticket_type": [types[1], 1] }, { "gate": [north] }] });
    let told = put(&venue, &list, &json!({ "rule": written })).await?.expect(200)?;
    let by_id = json!({ "or": [{ "ticket_type": [types[1], types[0]] }, { "gate": [venue.gates[0]] }] });
    assert_eq!(told["rule"], by_id);
    let again = put(&venue, &list, &json!({ "rule": told["rule"] })).await?.expect(200)?;
    assert_eq!(again["rule"], by_id, "what is read can be written");
    // Gates get numbers.
    let mut gate = venue.device("A").await?;
    gate.sync(&venue).await?;
    let lists = &gate.header.as_ref().context("header")?.lists;
    let rule = lists.iter().find(|l| l.id == venue.list).and_then(|l| l.rule.clone()).context("rule")?;
    let rule: Value = serde_json::from_str(&rule)?;
    assert_eq!(rule, json!({ "or": [{ "ticket_type": [2, 1] }, { "gate": [venue.gates[0]] }] }));

    let remove = async |gate: Uuid| {
        let path = venue.path(&format!("/gates/{gate}"));
        send(venue.server.request(Method::DELETE, &path).bearer_auth(&venue.owner)).await
    };
    let kept = remove(venue.gates[0].0).await?;
    assert_eq!((kept.status.as_u16(), kept.code()), (409, "gate_in_rule"));
    let _ = remove(venue.gates[1].0).await?.expect(204)?;
    put(&venue, &list, &json!({ "rule": null })).await?.expect(200)?;
    let _ = remove(venue.gates[0].0).await?.expect(204)?;
    Ok(())
}

#[tokio::test]
async fn trying_tells_the_verdict_of_a_rule_that_is_not_set_and_records_nothing() -> Result<()> {
    let venue = Venue::at(1, time::macros::datetime!(2027-06-19 17:00 UTC)).await?;
    let types = furnish(&venue).await?;
    let sold = venue.sell(2).await?;
    let path = format!("{}/try", list_path(&venue));
    let say = async |body: Value| {
        let said = venue.post(&path, body).await?.expect(200)?;
        Ok::<_, anyhow::Error>((said["outcome"].clone(), said["explanation"].clone()))
    };
    let (ok, by_rule) = (json!("ok"), json!("rules"));
    let late = json!({ "after": { "time": { "time_of_day": "21:50" } } });
    let of_type = json!({ "ticket_type_id": types[0] });
    assert_eq!(say(of_type.clone()).await?, (ok.clone(), json!("Admitted to Main: Type 1.")));
    let body = json!({ "ticket_type_id": types[0], "rule": late });
    assert_eq!(say(body).await?, (by_rule.clone(), json!("Admitted from 21:50.")));
    let body = json!({ "ticket_type_id": types[0], "rule": late, "at": "2027-06-19T21:50:00+02:00" });
    assert_eq!(say(body).await?.0, ok);
    let body = json!({ "ticket_type_id": types[0], "rule": { "ticket_type": [types[1]] } });
    assert_eq!(say(body).await?.1, json!("Type 1 is not admitted by the rule of Main."));
    let there = json!({ "gate": [venue.gates[1]] });
    let body = json!({ "ticket_id": sold[0].id, "rule": there, "gate_id": venue.gates[0] });
    assert_eq!(say(body).await?, (by_rule, json!("Admitted at South only.")));

    venue.refund(sold[1].id).await?;
    assert_eq!(say(json!({ "ticket_id": sold[1].id })).await?.0, json!("revoked"));
    put(&venue, &list_path(&venue), &json!({ "rule": late })).await?.expect(200)?;
    assert_eq!(say(of_type.clone()).await?.0, json!("rules"), "the list's own rule");
    assert_eq!(say(json!({ "ticket_type_id": types[0], "rule": null })).await?.0, ok);

    let post = async |body: Value| Ok::<_, anyhow::Error>(venue.post(&path, body).await?.status.as_u16());
    assert_eq!(post(json!({})).await?, 422);
    assert_eq!(post(json!({ "ticket_id": sold[0].id, "ticket_type_id": types[0] })).await?, 422);
    assert_eq!(post(json!({ "ticket_type_id": types[0], "rule": { "gate": [Uuid::nil()] } })).await?, 422);
    assert_eq!(post(json!({ "ticket_id": Uuid::nil() })).await?, 404);
    assert_eq!(post(json!({ "ticket_type_id": Uuid::nil() })).await?, 404);
    assert_eq!(post(json!({ "ticket_type_id": types[0], "gate_id": Uuid::nil() })).await?, 404);
    let other = venue.path(&format!("/lists/{}/try", Uuid::nil()));
    assert_eq!(venue.server.post_as(&venue.owner, &other, &of_type).await?.status, 404);
    let door = venue.member("door").await?;
    assert_eq!(venue.server.post_as(&door, &venue.path(&path), &of_type).await?.status, 403);

    let mut db = venue.server.db.owner().await?;
    let scans: i64 = sqlx::query_scalar("select count(*) from scans").fetch_one(&mut db).await?;
    assert_eq!(scans, 0);
    Ok(())
}

#[tokio::test]
async fn a_rehearsal_counts_on_no_list_and_breaks_no_rule() -> Result<()> {
    let venue = Venue::open().await?;
    let sold = venue.sell(1).await?;
    let once = json!({ "rule": { "compare": { "value": "entries_total", "op": "<", "to": 1 } } });
    put(&venue, &list_path(&venue), &once).await?.expect(200)?;
    let before = venue.get("/stats").await?.expect(200)?;
    let scan = async |list, way: &str, rehearsal: bool| {
        venue.clock.advance(Duration::from_secs(1));
        let check_in = json!({ "list_id": list, "direction": way, "rehearsal": rehearsal });
        let body = json!({ "code": sold[0].code, "check_in": check_in });
        venue.server.post_as(&venue.owner, "/tickets/validate", &body).await?.expect(200)
    };
    for list in [venue.list, venue.other_list] {
        for way in ["in", "in", "out"] {
            let verdict = scan(list, way, true).await?;
            assert_eq!(
                (&verdict["admit"], &verdict["flags"]),
                (&json!(true), &json!(["rehearsal"])),
                "{verdict}"
            );
            assert!(!verdict["recorded"].is_null(), "it stands in the log all the same");
        }
    }
    let after = venue.get("/stats").await?.expect(200)?;
    for same in ["admitted", "on_site", "expected", "scans", "refusals", "lists", "gates", "incidents"] {
        assert_eq!(after[same], before[same], "{same}");
    }
    assert_eq!(after["fold"]["hash"], before["fold"]["hash"]);
    for list in [venue.list, venue.other_list] {
        assert_eq!(scan(list, "in", false).await?["outcome"], "ok", "the first that counts");
    }
    assert_eq!(scan(venue.list, "in", false).await?["outcome"], "rules");
    assert_eq!(venue.get("/stats").await?.expect(200)?["admitted"], 1);
    Ok(())
}
