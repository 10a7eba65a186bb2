//! Tickets that others sold: what becomes of each row, and what they are once they are in.

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::{Value, json};
use support::server::{Reply, send};

use crate::{Stage, text};

impl Stage {
    async fn import(&self, csv: &str, more: Value) -> Result<Reply> {
        let mut body = json!({ "csv": csv });
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        self.server.post_as(&self.owner, &format!("/organizer/events/{}/imports", self.event_id), &body).await
    }

    async fn scan(&self, code: &str, record: bool) -> Result<Value> {
        let lists = format!("/organizer/events/{}/lists", self.event_id);
        let lists = self.server.get_as(&self.owner, &lists).await?.expect(200)?;
        let mut body = json!({ "code": code, "event_id": self.event_id });
        if record {
            body["check_in"] = json!({ "list_id": lists["items"][0]["list_id"] });
        }
        self.server.post_as(&self.owner, "/tickets/validate", &body).await?.expect(200)
    }

    async fn undo(&self, import: &Value) -> Result<Reply> {
        let id = text(&import["import"], "import_id");
        let path = format!("/organizer/events/{}/imports/{id}/undo", self.event_id);
        self.server.post_as(&self.owner, &path, &json!({})).await
    }
}

const THREE: &str = "barcode;ticket_type;name;email;reference\n\
                     4006381333931;Standing;Zoë;zoe@example.org;R-1\n=1+2;Standing;-;;\nA B;1;;;\n";

#[tokio::test]
async fn a_preview_says_of_every_row_what_would_become_of_it_and_does_nothing() -> Result<()> {
    let stage = Stage::open(10).await?;
    let csv = "barcode,ticket_type,name\nA,Standing,\nA,Standing,\nB,Seat,\nHV1:X,Standing,\n,Standing,\nC,Standing\n";
    let report = stage.import(csv, json!({ "preview": true })).await?.expect(200)?;
    assert_eq!((&report["new"], &report["wrong"], &report["import"]), (&json!(1), &json!(5), &Value::Null));
    let errors: Vec<(u64, String)> = report["rows"]
        .as_array()
        .context("rows")?
        .iter()
        .filter(|r| r["status"] == "wrong")
        .map(|r| (r["row"].as_u64().unwrap_or_default(), text(r, "error")))
        .collect();
    let expected = [
        (3, "duplicate_in_file"),
        (4, "ticket_type_unknown"),
        (5, "barcode_of_ours"),
        (6, "barcode_missing"),
        (7, "malformed"),
    ];
    assert_eq!(errors, expected.map(|(row, error)| (row, error.to_owned())));
    assert_eq!(stage.counters().await?, (0, 0));
    let refused = stage.import(csv, json!({})).await?;
    assert_eq!((refused.status.as_u16(), refused.code()), (422, "wrong_rows"));
    assert_eq!(refused.body["report"]["wrong"], 5);
    let done = stage.import(csv, json!({ "skip_wrong": true })).await?.expect(201)?;
    assert_eq!((&done["new"], &done["import"]["tickets"]), (&json!(1), &json!(1)));
    assert_eq!(stage.import("name\n", json!({})).await?.code(), "invalid_fields");
    stage.audit().await
}

#[tokio::test]
async fn imported_tickets_take_room_are_scanned_once_and_come_in_once() -> Result<()> {
    let stage = Stage::open(4).await?;
    assert_eq!(stage.scan("4006381333931", false).await?["outcome"], "malformed", "nothing is imported yet");
    let done = stage.import(THREE, json!({})).await?.expect(201)?;
    assert_eq!((&done["new"], &done["room"][0]["needed"]), (&json!(3), &json!(3)));
    assert_eq!(stage.counters().await?, (0, 3));
    let again = stage.import(THREE, json!({})).await?.expect(200)?;
    assert_eq!((&again["new"], &again["already_imported"]), (&json!(0), &json!(3)));
    let refused = stage.import("barcode,ticket_type\nX,1\nY,1\n", json!({})).await?;
    assert_eq!((refused.status.as_u16(), refused.code()), (409, "sold_out"));
    assert_eq!(stage.buy(2, Some("tok_always_succeeds")).await?.code(), "sold_out", "one place is left");

    let verdict = stage.scan("4006381333931", true).await?;
    assert_eq!((&verdict["outcome"], &verdict["ticket_type"]), (&json!("ok"), &json!("Standing")));
    assert_eq!(stage.scan("4006381333931", true).await?["outcome"], "already_admitted");
    assert_eq!(stage.scan("4006381333932", true).await?["outcome"], "unknown_ticket");

    let ticket = text(&verdict, "ticket_id");
    let reissue =
        stage.server.post_as(&stage.owner, &format!("/tickets/{ticket}/reissue"), &json!({})).await?;
    assert_eq!(reissue.code(), "imported_ticket");
    let shown = stage.server.get_as(&stage.owner, &format!("/tickets/{ticket}")).await?.expect(200)?;
    assert_eq!((&shown["code"], &shown["attendee_name"]), (&Value::Null, &json!("Zoë")));
    let picture = stage.server.get_as(&stage.owner, &format!("/tickets/{ticket}/qr.svg")).await?;
    assert_eq!(picture.code(), "ticket_not_valid");
    let pdf = stage.server.get_as(&stage.owner, &format!("/tickets/{ticket}/ticket.pdf")).await?;
    assert_eq!(pdf.code(), "ticket_not_valid");
    let refused = stage.undo(&done).await?;
    assert_eq!((refused.status.as_u16(), refused.code()), (409, "already_scanned"));
    stage.audit().await
}

#[tokio::test]
async fn an_undone_import_gives_its_places_back_and_comes_in_again_from_its_own_export() -> Result<()> {
    let stage = Stage::open(10).await?;
    let first = stage.import(THREE, json!({})).await?.expect(201)?;
    let path = format!("/organizer/events/{}/imports.csv", stage.event_id);
    let export = stage.server.get_as(&stage.owner, &path).await?;
    assert!(export.header("content-type").starts_with("text/csv"));
    let id = &stage.ticket_type_id;
    let row = format!("\r\n'=1+2,{id},'-,,,Standing\r\n");
    assert!(export.text.contains(&row), "no cell is a formula: {}", export.text);
    let row = format!("4006381333931,{id},Zoë,zoe@example.org,R-1,Standing");
    assert!(export.text.contains(&row), "{}", export.text);
    let same = stage.import(&export.text, json!({})).await?.expect(200)?;
    assert_eq!((&same["new"], &same["already_imported"], &same["wrong"]), (&json!(0), &json!(3), &json!(0)));

    assert_eq!(stage.undo(&first).await?.expect(200)?["state"], "undone");
    assert_eq!(stage.undo(&first).await?.status, 200, "twice is once");
    assert_eq!(stage.counters().await?, (0, 0));
    assert_eq!(stage.scan("A B", false).await?["outcome"], "revoked");
    stage.audit().await?;

    stage.clock.advance(std::time::Duration::from_secs(1));
    let second = stage.import(&export.text, json!({})).await?.expect(201)?;
    assert_eq!((&second["new"], &second["again"], &second["wrong"]), (&json!(3), &json!(3), &json!(0)));
    assert_eq!(second["rows"][0]["status"], "again");
    for barcode in ["A B", "=1+2", "4006381333931"] {
        assert_eq!(stage.scan(barcode, false).await?["outcome"], "ok", "{barcode}");
    }
    let list = format!("/organizer/events/{}/imports", stage.event_id);
    let list = stage.server.get_as(&stage.owner, &list).await?.expect(200)?;
    let states: Vec<String> =
        list["items"].as_array().context("items")?.iter().map(|i| text(i, "state")).collect();
    assert_eq!(states, ["done", "undone"]);
    assert_eq!(stage.server.get_as(&stage.owner, &path).await?.text.lines().count(), 4);

    // One ticket withdrawn by hand stays so, whatever is imported.
    let rows = second["rows"].as_array().context("rows")?;
    let path = format!("/organizer/tickets/{}/withdraw", text(&rows[0], "ticket_id"));
    send(stage.server.request(Method::POST, &path).bearer_auth(&stage.owner).json(&json!({})))
        .await?
        .expect(200)?;
    assert_eq!(stage.import(THREE, json!({})).await?.expect(200)?["already_imported"], 3);
    assert_eq!(stage.counters().await?, (0, 2));

    // Nor does an undone import bring back what was stopped by hand before.
    let path = format!("/organizer/tickets/{}/block", text(&rows[1], "ticket_id"));
    stage.own(Method::POST, &path, json!({})).await?;
    assert_eq!(stage.undo(&second).await?.expect(200)?["state"], "undone");
    assert_eq!(stage.counters().await?, (0, 0));
    stage.clock.advance(std::time::Duration::from_secs(1));
    let third = stage.import(THREE, json!({})).await?.expect(201)?;
    assert_eq!((&third["new"], &third["already_imported"]), (&json!(1), &json!(2)));
    assert_eq!((&third["again"], &third["stopped"]), (&json!(1), &json!(2)), "a row each says so");
    assert_eq!(stage.counters().await?, (0, 1));
    let mut outcomes = Vec::new();
    for barcode in ["A B", "=1+2", "4006381333931"] {
        outcomes.push(text(&stage.scan(barcode, false).await?, "outcome"));
    }
    outcomes.sort();
    assert_eq!(outcomes, ["ok", "revoked", "revoked"]);
    stage.audit().await
}

#[tokio::test]
async fn a_list_of_thousands_comes_in_whole() -> Result<()> {
    let stage = Stage::open(10_000).await?;
    let mut csv = "barcode,ticket_type,name,reference\n".to_owned();
    for n in 0..6_000 {
        csv.push_str(&format!("SELLER/2026/{n:08},Standing,Somebody With A Name {n},ORDER-{n}\n"));
    }
    assert!(csv.len() > 300_000, "larger than what other routes take");
    let done = stage.import(&csv, json!({})).await?.expect(201)?;
    assert_eq!((&done["new"], &done["import"]["tickets"]), (&json!(6_000), &json!(6_000)));
    assert_eq!(stage.counters().await?, (0, 6_000));
    assert_eq!(stage.scan("SELLER/2026/00005999", false).await?["outcome"], "ok");
    let undone = stage.undo(&done).await?.expect(200)?;
    assert_eq!(undone["state"], "undone");
    assert_eq!(stage.counters().await?, (0, 0));
    Ok(())
}

#[tokio::test]
async fn a_ticket_withdrawn_after_its_import_was_undone_stays_out() -> Result<()> {
    let stage = Stage::open(10).await?;
    let first = stage.import(THREE, json!({})).await?.expect(201)?;
    stage.undo(&first).await?.expect(200)?;
    let ticket = text(&first["rows"][0], "ticket_id");
    let path = format!("/organizer/tickets/{ticket}/withdraw");
    let withdrawn = stage.own(Method::POST, &path, json!({ "reason": "stolen" })).await?;
    assert_eq!(withdrawn["state"], "canceled");
    assert_eq!(stage.audited("ticket.withdrawn").await?, 1);
    let other = stage.server.post_as(&stage.owner, &path, &json!({})).await?;
    assert_eq!(other.code(), "ticket_not_valid", "there is nothing more to withdraw");
    stage.clock.advance(std::time::Duration::from_secs(1));
    let preview = stage.import(THREE, json!({ "preview": true })).await?.expect(200)?;
    assert_eq!(preview["rows"][0]["status"], "stopped");
    assert_eq!(preview["rows"][1]["status"], "again");
    stage.import(THREE, json!({})).await?.expect(201)?;
    assert_eq!(stage.scan("4006381333931", false).await?["outcome"], "revoked");
    assert_eq!(stage.counters().await?, (0, 2));
    stage.audit().await
}
