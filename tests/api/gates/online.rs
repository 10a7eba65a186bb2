use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use shared::ids::TicketId;
use shared::log::run::verify_run;
use shared::manifest::online::open_certificate;
use uuid::Uuid;

use crate::venue::Venue;

async fn validate(venue: &Venue, body: Value) -> Result<Value> {
    venue.server.post_as(&venue.owner, "/tickets/validate", &body).await?.expect(200)
}

#[tokio::test]
async fn the_server_decides_as_gates_do_and_records_nothing_unasked() -> Result<()> {
    let venue = Venue::open().await?;
    let sold = venue.sell(3).await?;
    venue.refund(sold[1].id).await?;
    let outcome = async |code: &str| {
        Ok::<_, anyhow::Error>(
            validate(&venue, json!({ "code": code, "event_id": venue.event })).await?["outcome"].clone(),
        )
    };
    assert_eq!(outcome(&sold[0].code).await?, "ok");
    assert_eq!(outcome(&sold[0].code).await?, "ok", "nothing was recorded");
    assert_eq!(outcome(&sold[1].code).await?, "revoked");
    assert_eq!(outcome("HELLO").await?, "malformed");
    let mut owner = venue.server.db.owner().await?;
    sqlx::query("update tickets set state = 'blocked', block_reason = 'organizer' where ticket_id = $1")
        .bind(sold[2].id.0)
        .execute(&mut owner)
        .await?;
    assert_eq!(outcome(&sold[2].code).await?, "blocked");
    sqlx::query("delete from tickets where ticket_id = $1").bind(sold[2].id.0).execute(&mut owner).await?;
    assert_eq!(
        outcome(&sold[2].code).await?,
        "unknown_ticket",
        "the server is the truth: nothing is late here"
    );
    let verdict = validate(&venue, json!({ "code": sold[0].code })).await?;
    assert_eq!(verdict["event_id"], json!(venue.event), "found by its ticket");
    assert!(verdict["recorded"].is_null());
    let count: i64 = sqlx::query_scalar("select count(*) from scans").fetch_one(&mut owner).await?;
    assert_eq!(count, 0);
    Ok(())
}

#[tokio::test]
async fn a_check_in_stands_in_the_servers_own_log_and_gates_hear_of_it() -> Result<()> {
    let venue = Venue::open().await?;
    let mut gate = venue.device("A").await?;
    let sold = venue.sell(2).await?;
    gate.sync(&venue).await?;
    let check_in = json!({ "list_id": venue.list, "gate_id": venue.gates[0] });
    let first = validate(&venue, json!({ "code": sold[0].code, "check_in": check_in })).await?;
    assert_eq!((&first["outcome"], &first["kind"]), (&json!("ok"), &json!("entry")));
    assert_eq!(first["recorded"]["seq"], 1);
    venue.clock.advance(Duration::from_secs(5));
    let second = validate(&venue, json!({ "code": sold[0].code, "check_in": check_in })).await?;
    assert_eq!((&second["outcome"], &second["recorded"]["seq"]), (&json!("already_admitted"), &json!(2)));
    assert_eq!(second["first_admission"]["device_id"], first["recorded"]["device_id"]);
    let out = json!({ "list_id": venue.list, "direction": "out" });
    assert_eq!(validate(&venue, json!({ "code": sold[0].code, "check_in": out })).await?["kind"], "exit");

    let news = gate.wait(&venue, 0).await?;
    assert_eq!(news.runs.len(), 3);
    let (certificate, key) = open_certificate(&gate.trust, venue.event, &news.certificates[0])?;
    assert_eq!(certificate.number, 0);
    for run in &news.runs {
        for (entry, _) in verify_run(run, &key)? {
            entry.check()?;
        }
    }
    let counts = venue.get("/stats").await?.expect(200)?;
    assert_eq!(
        (&counts["admitted"], &counts["on_site"], &counts["scans"]),
        (&json!(1), &json!(0), &json!(3))
    );

    // What a gate admitted the server knows, and the other way round.
    gate.admit(&venue, sold[1].id);
    gate.push(&venue).await?;
    let known = validate(&venue, json!({ "code": sold[1].code, "check_in": check_in })).await?;
    assert_eq!(known["outcome"], "already_admitted");
    assert_eq!(known["first_admission"]["device_id"], json!(gate.id));
    Ok(())
}

#[tokio::test]
async fn the_same_nonce_is_the_same_scan() -> Result<()> {
    let venue = Venue::open().await?;
    let sold = venue.sell(2).await?;
    let body = |code: &str, nonce: &str| json!({ "code": code, "check_in": { "list_id": venue.list, "nonce": nonce } });
    let nonce = "000102030405060708090a0b0c0d0e0f";
    let first = validate(&venue, body(&sold[0].code, nonce)).await?;
    venue.clock.advance(Duration::from_secs(5));
    assert_eq!(validate(&venue, body(&sold[0].code, nonce)).await?, first);
    assert_eq!(first["outcome"], "ok");
    let other = venue.server.post_as(&venue.owner, "/tickets/validate", &body(&sold[1].code, nonce)).await?;
    assert_eq!((other.status.as_u16(), other.code()), (409, "nonce_reused"));
    assert_eq!(venue.get("/stats").await?.expect(200)?["scans"], 1);
    Ok(())
}

#[tokio::test]
async fn two_doors_at_once_admit_one() -> Result<()> {
    let venue = Venue::open().await?;
    let sold = venue.sell(1).await?;
    let body = json!({ "code": sold[0].code, "check_in": { "list_id": venue.list } });
    let ask = async || validate(&venue, body.clone()).await;
    let (a, b, c, d) = tokio::try_join!(ask(), ask(), ask(), ask())?;
    let ok = [a, b, c, d].iter().filter(|v| v["outcome"] == "ok").count();
    assert_eq!(ok, 1);
    let counts = venue.get("/stats").await?.expect(200)?;
    assert_eq!((&counts["scans"], &counts["incidents"]["open"]), (&json!(4), &json!(0)));
    Ok(())
}

#[tokio::test]
async fn what_is_not_there_or_not_allowed_changes_nothing() -> Result<()> {
    let venue = Venue::open().await?;
    let code = venue.sell(1).await?[0].code.clone();
    let post = async |body: Value| {
        let reply = venue.server.post_as(&venue.owner, "/tickets/validate", &body).await?;
        Ok::<_, anyhow::Error>((reply.status.as_u16(), reply.code().to_owned()))
    };
    let list = json!(venue.list);
    assert_eq!(post(json!({ "code": "HELLO" })).await?.1, "event_unknown");
    assert_eq!(post(json!({ "code": code, "event_id": Uuid::from_u128(1) })).await?.0, 404);
    assert_eq!(post(json!({ "code": code, "check_in": { "list_id": Uuid::from_u128(1) } })).await?.0, 404);
    assert_eq!(
        post(json!({ "code": code, "check_in": { "list_id": list, "gate_id": Uuid::from_u128(1) } }))
            .await?
            .0,
        404
    );
    assert_eq!(post(json!({ "code": "X".repeat(600) })).await?.0, 422);
    assert_eq!(post(json!({ "code": code, "check_in": { "list_id": list, "nonce": "12" } })).await?.0, 422);
    assert_eq!(venue.server.post("/tickets/validate", &json!({ "code": code })).await?.status, 401);
    let door = venue.member("door").await?;
    assert_eq!(venue.server.post_as(&door, "/tickets/validate", &json!({ "code": code })).await?.status, 200);

    // Another organizer's key proves nothing here.
    let stranger = Venue::seeded(2).await?;
    let foreign = stranger.sell(1).await?[0].clone();
    let verdict = validate(&venue, json!({ "code": foreign.code, "event_id": venue.event })).await?;
    assert_eq!(verdict["outcome"], "unknown_key");
    assert_eq!(verdict["ticket_id"], json!(TicketId(foreign.id.0)));
    let count: i64 = sqlx::query_scalar("select count(*) from scans")
        .fetch_one(&mut venue.server.db.owner().await?)
        .await?;
    assert_eq!(count, 0, "nothing was recorded");
    verdict["explanation"].as_str().context("explanation")?;
    Ok(())
}
