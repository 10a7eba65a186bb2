//! The exports prove the statistics: every figure is recomputed from the files.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use shared::admission::{Flag, Outcome};

use crate::venue::Venue;

type Row = BTreeMap<String, String>;

async fn file(venue: &Venue, name: &str) -> Result<Vec<Row>> {
    let reply = venue.get(&format!("/exports/{name}.csv")).await?;
    anyhow::ensure!(reply.status == 200, "{}", reply.text);
    assert!(reply.header("content-type").starts_with("text/csv"));
    assert!(reply.header("content-disposition").contains(&format!("{name}.csv")));
    let text = reply.text.strip_prefix('\u{feff}').context("a byte order mark")?;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    Ok(reader.deserialize().collect::<Result<Vec<Row>, _>>()?)
}

fn sum(rows: &[Row], column: &str) -> i64 {
    rows.iter().map(|r| r[column].parse::<i64>().expect("a number")).sum()
}

fn count(rows: &[Row], of: impl Fn(&Row) -> bool) -> usize {
    rows.iter().filter(|r| of(r)).count()
}

fn admission(row: &Row) -> bool {
    row["counts"] == "1" && matches!(row["kind"].as_str(), "entry" | "override")
}

/// More tickets than a page has, money, a hold, and a door that saw everything.
async fn busy() -> Result<Venue> {
    let venue = Venue::open().await?;
    let sold = venue.sell(2_300).await?;
    venue.refund(sold[7].id).await?;
    let mut db = venue.server.db.owner().await?;
    for sql in [
        "update tickets set state = 'blocked', block_reason = 'organizer' where ticket_id = (select ticket_id from tickets order by 1 desc limit 1)",
        "update tickets set attendee_name = '=HYPERLINK(\"http://evil.example\")' where ticket_id = (select ticket_id from tickets order by 1 limit 1)",
        "update tickets set attendee_name = E'\\tTab <b>&' where ticket_id = (select ticket_id from tickets order by 1 offset 1 limit 1)",
        "insert into bookings (organizer_id, booking_id, event_id, booking_secret_hash, email, status, currency, price_minor, fee_minor,
                               tax_minor, total_minor, held_until, created_at)
         select organizer_id, gen_random_uuid(), event_id, sha256('y'), '+ada@example.org', 'held', 'EUR', 3000, 0, 0, 3000,
                now() + interval '1 hour', now() from events",
        "insert into booking_lines (organizer_id, booking_id, line, ticket_type_id, quota_id, quantity, name, tax_rate_bp, unit_price_minor,
                                    unit_fee_minor, unit_tax_minor, list_price_minor, list_fee_minor)
         select b.organizer_id, b.booking_id, 1, t.ticket_type_id, t.quota_id, 3, t.name, t.tax_rate_bp, 1000, 0, 0, 1000, 0
           from bookings b cross join ticket_types t where b.status = 'held'",
        "update quotas set held = 3",
        "insert into transactions (organizer_id, transaction_id, booking_id, event_id, kind, status, amount_minor, currency,
                                   provider, created_at, completed_at)
         select organizer_id, '11111111-1111-7111-8111-111111111111', booking_id, event_id, 'payment', 'completed', 9000, 'EUR',
                'simulated', now(), now() from bookings where status = 'paid'",
        "insert into transactions (organizer_id, transaction_id, booking_id, event_id, kind, status, amount_minor, currency,
                                   provider, refund_of, reason, price_minor, fee_minor, tax_minor, created_at, completed_at)
         select organizer_id, gen_random_uuid(), booking_id, event_id, 'refund', s, a, 'EUR', 'simulated',
                '11111111-1111-7111-8111-111111111111', '@SUM(A1)', a, 0, 0, now(), case s when 'completed' then now() end
           from bookings cross join (values ('completed', 1000), ('pending', 500)) as v (s, a) where status = 'paid'",
    ] {
        sqlx::query(sql).execute(&mut db).await.with_context(|| sql.to_owned())?;
    }
    let t = |n: usize| sold[n].id;
    let mut a = venue.device("A").await?;
    let mut b = venue.device("=B").await?;
    for n in 0..6 {
        a.admit(&venue, t(n));
    }
    a.refuse(&venue, t(7), Outcome::Revoked);
    venue.clock.advance(Duration::from_secs(60));
    a.exit(&venue, t(1));
    let wrong = b.admit(&venue, t(8));
    b.undo(&venue, wrong);
    b.refuse(&venue, t(0), Outcome::AlreadyAdmitted);
    b.write(&venue, |e| {
        e.ticket = Some(t(9));
        e.list = Some(venue.other_list);
        e.gate = Some(venue.gates[1]);
    });
    b.write(&venue, |e| {
        e.ticket = Some(t(10));
        e.rehearsal = true;
        e.flags = e.flags.with(Flag::Rehearsal);
    });
    a.push(&venue).await?;
    venue.clock.advance(Duration::from_secs(600));
    b.push(&venue).await?;
    let body =
        json!({ "code": sold[11].code, "check_in": { "list_id": venue.list, "gate_id": venue.gates[1] } });
    venue.server.post_as(&venue.owner, "/tickets/validate", &body).await?.expect(200)?;
    Ok(venue)
}

#[tokio::test]
async fn every_figure_of_the_statistics_is_a_sum_over_the_exports() -> Result<()> {
    let venue = busy().await?;
    let stats = venue.get("/stats").await?.expect(200)?;
    let tickets = file(&venue, "tickets").await?;
    assert_eq!(tickets.len(), 2_300);
    assert_eq!(tickets.iter().map(|t| &t["ticket_id"]).collect::<BTreeSet<_>>().len(), 2_300, "each once");
    assert_eq!(stats["tickets"]["sold"], json!(sum(&tickets, "sold")));
    assert_eq!(stats["tickets"]["by_type"][0]["sold"], json!(sum(&tickets, "sold")));
    for state in ["blocked", "refunded", "canceled", "withdrawn"] {
        assert_eq!(stats["tickets"][state], json!(count(&tickets, |t| t["state"] == state)), "{state}");
    }
    assert_eq!(stats["admitted"], json!(sum(&tickets, "admitted")));
    assert_eq!(stats["on_site"], json!(sum(&tickets, "on_site")));
    assert_eq!(stats["expected"], json!(sum(&tickets, "sold") - sum(&tickets, "admitted")));
    assert_eq!((&stats["admitted"], &stats["on_site"]), (&json!(7), &json!(6)), "{stats}");

    let bookings = file(&venue, "bookings").await?;
    assert_eq!(stats["tickets"]["held"], json!(sum(&bookings, "held")));
    assert_eq!(sum(&bookings, "held"), 3);

    let money = file(&venue, "transactions").await?;
    let net: Vec<i64> = money.iter().map(|m| m["net_minor"].parse()).collect::<Result<_, _>>()?;
    let (gross, back): (Vec<i64>, Vec<i64>) = net.iter().partition(|n| **n > 0);
    assert_eq!(stats["revenue"]["gross"]["amount_minor"], json!(gross.iter().sum::<i64>()));
    assert_eq!(stats["revenue"]["refunds"]["amount_minor"], json!(-back.iter().sum::<i64>()));
    assert_eq!(stats["revenue"]["net"]["amount_minor"], json!(8_000));

    let scans = file(&venue, "scans").await?;
    let attempt = |s: &Row| {
        s["rehearsal"] == "0" && matches!(s["kind"].as_str(), "entry" | "exit" | "refuse" | "override")
    };
    assert_eq!(stats["scans"], json!(count(&scans, attempt)));
    assert_eq!(scans.len(), 14, "undo and rehearsal too");
    for gate in stats["gates"].as_array().context("gates")? {
        let here = |s: &Row| gate["gate_id"] == json!(s["gate_id"]);
        let of = |kind: &str| count(&scans, |s| here(s) && s["counts"] == "1" && s["kind"] == kind);
        assert_eq!(gate["admissions"], json!(of("entry") + of("override")));
        assert_eq!(gate["exits"], json!(of("exit")));
        assert_eq!(
            gate["refusals"],
            json!(count(&scans, |s| here(s) && attempt(s) && s["kind"] == "refuse"))
        );
        assert_eq!(gate["scans"], json!(count(&scans, |s| here(s) && attempt(s))));
    }
    for list in stats["lists"].as_array().context("lists")? {
        check_list(list, &scans);
    }
    let late: BTreeSet<&str> =
        scans.iter().filter(|s| s["late"] == "1").map(|s| s["device"].as_str()).collect();
    assert_eq!(late, BTreeSet::from(["'=B"]), "B was away for ten minutes");
    Ok(())
}

fn check_list(list: &Value, scans: &[Row]) {
    let here: Vec<&Row> = scans.iter().filter(|s| list["list_id"] == json!(s["list_id"])).collect();
    let people: BTreeSet<&str> =
        here.iter().filter(|s| admission(s)).map(|s| s["ticket_id"].as_str()).collect();
    assert_eq!(list["admitted"], json!(people.len()));
    assert_eq!(list["entries"], json!(here.iter().filter(|s| admission(s)).count()));
    let latest = |ticket: &str| {
        here.iter()
            .filter(|s| s["ticket_id"] == ticket && s["counts"] == "1")
            .max_by_key(|s| s["scanned_at"].clone())
            .map(|s| s["kind"].clone())
    };
    let inside = people.iter().filter(|ticket| latest(ticket).is_some_and(|kind| kind != "exit")).count();
    assert_eq!(list["on_site"], json!(inside));
    let mut refusals: BTreeMap<&str, u64> = BTreeMap::new();
    for refused in here.iter().filter(|s| s["kind"] == "refuse" && s["rehearsal"] == "0") {
        *refusals.entry(&refused["outcome"]).or_default() += 1;
    }
    assert_eq!(list["refusals"], json!(refusals));
}

#[tokio::test]
async fn the_series_sum_up_to_the_statistics() -> Result<()> {
    let venue = busy().await?;
    let stats = venue.get("/stats").await?.expect(200)?;
    let series = venue.get("/stats/series").await?.expect(200)?;
    let rows = |name: &str| series[name].as_array().cloned().unwrap_or_default();
    let total =
        |name: &str, of: &dyn Fn(&Value) -> Option<u64>| rows(name).iter().filter_map(of).sum::<u64>();
    assert_eq!(stats["tickets"]["sold"], total("sales", &|r| r["sold"].as_u64()));
    assert_eq!(
        stats["revenue"]["gross"]["amount_minor"],
        total("money", &|r| r["gross"]["amount_minor"].as_u64())
    );
    assert_eq!(
        stats["revenue"]["refunds"]["amount_minor"],
        total("money", &|r| r["refunds"]["amount_minor"].as_u64())
    );
    assert_eq!(stats["scans"], total("attempts", &|r| r["scans"].as_u64()));
    for list in stats["lists"].as_array().context("lists")? {
        let here = |r: &Value| r["list_id"] == list["list_id"];
        assert_eq!(list["entries"], total("arrivals", &|r| r["entries"].as_u64().filter(|_| here(r))));
    }
    for gate in stats["gates"].as_array().context("gates")? {
        let here = |r: &Value| r["gate_id"] == gate["gate_id"];
        assert_eq!(gate["admissions"], total("arrivals", &|r| r["entries"].as_u64().filter(|_| here(r))));
        assert_eq!(gate["exits"], total("arrivals", &|r| r["exits"].as_u64().filter(|_| here(r))));
        assert_eq!(gate["scans"], total("attempts", &|r| r["scans"].as_u64().filter(|_| here(r))));
        let refused = |r: &Value| {
            let by_reason = r["refusals"].as_object().filter(|_| here(r))?;
            Some(by_reason.values().filter_map(Value::as_u64).sum())
        };
        assert_eq!(gate["refusals"], total("attempts", &refused));
    }
    let scans = file(&venue, "scans").await?;
    let late = count(&scans, |s| s["late"] == "1" && s["rehearsal"] == "0" && s["kind"] != "undo");
    assert_eq!(total("attempts", &|r| r["late"].as_u64()), late as u64);
    let starts: BTreeSet<String> = rows("attempts").iter().map(|r| r["at"].to_string()).collect();
    assert!(starts.iter().all(|at| at.ends_with("0:00Z\"") || at.ends_with("5:00Z\"")), "{starts:?}");
    Ok(())
}

#[tokio::test]
async fn no_cell_is_a_formula_and_every_export_is_on_record() -> Result<()> {
    let venue = busy().await?;
    for name in ["bookings", "tickets", "scans", "transactions"] {
        for row in file(&venue, name).await? {
            for (column, cell) in row {
                let runs = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
                assert!(!runs || cell.parse::<f64>().is_ok(), "{name}, {column}: {cell}");
            }
        }
    }
    let names: BTreeSet<String> = file(&venue, "tickets")
        .await?
        .into_iter()
        .map(|mut t| t.remove("name").unwrap_or_default())
        .collect();
    assert!(names.contains("'=HYPERLINK(\"http://evil.example\")"), "{names:?}");

    let page = venue.get("/door-list.html").await?;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.text.contains("Tab &lt;b&gt;&amp;") && !page.text.contains("<b>&"), "escaped");
    let policy = page.header("content-security-policy");
    let style =
        page.text.split_once("<style>").and_then(|(_, rest)| rest.split_once("</style>")).context("style")?.0;
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(style));
    assert!(policy.contains(&format!("style-src 'sha256-{hash}'")), "browsers take the style: {policy}");
    assert_eq!(page.text.matches("<tr class=\"ticket").count(), 2_299, "sold ones alone");
    assert_eq!(page.text.matches("<tr class=\"ticket in\"").count(), 7, "admitted ones are ticked");
    assert_eq!(page.text.matches("blocked: do not admit").count(), 1);

    let mut db = venue.server.db.owner().await?;
    let acts: Vec<String> =
        sqlx::query_scalar("select detail->>'what' from audit where action = 'event.exported' order by 1")
            .fetch_all(&mut db)
            .await?;
    assert_eq!(acts, ["bookings", "door_list", "scans", "tickets", "tickets", "transactions"]);
    let door = venue.member("door").await?;
    for path in [
        "/exports/bookings.csv",
        "/exports/tickets.csv",
        "/exports/scans.csv",
        "/exports/transactions.csv",
        "/door-list.html",
    ] {
        assert_eq!(venue.server.get_as(&door, &venue.path(path)).await?.status, 403, "{path}");
        let nowhere = format!("/organizer/events/{}{path}", uuid::Uuid::nil());
        assert_eq!(venue.server.get_as(&venue.owner, &nowhere).await?.status, 404, "{path}");
    }
    Ok(())
}
