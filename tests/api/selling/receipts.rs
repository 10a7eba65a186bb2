//! Receipts and the ledger, as an accountant would want them.

use anyhow::{Context as _, Result};
use hvflvspot::store::receipt;
use reqwest::Method;
use serde_json::json;
use support::server::send;

use crate::{Stage, text};

#[tokio::test]
async fn receipts_are_numbered_without_a_gap_and_keep_their_number() -> Result<()> {
    let stage = Stage::open(10).await?;
    let first = stage.buy(2, Some("tok_always_succeeds")).await?.expect(201)?;
    let second = stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    let get = async |booking: &serde_json::Value| {
        let path = format!("/bookings/{}/receipt.pdf", text(booking, "booking_id"));
        send(stage.as_guest(Method::GET, &path, booking)).await
    };
    let (a, b, c) = tokio::try_join!(get(&second), get(&first), get(&second))?;
    for reply in [&a, &b, &c] {
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(reply.header("content-type"), "application/pdf");
    }
    assert_eq!(a.header("content-disposition"), c.header("content-disposition"), "a booking has one number");
    let mut names = [a.header("content-disposition"), b.header("content-disposition")];
    names.sort_unstable();
    assert_eq!(
        names,
        ["inline; filename=\"receipt-2026-000001.pdf\"", "inline; filename=\"receipt-2026-000002.pdf\""]
    );
    stage.refund(&first).await?.expect(200)?;
    assert_eq!(get(&first).await?.header("content-disposition"), b.header("content-disposition"));

    let held = stage.buy(1, None).await?.expect(201)?;
    assert_eq!(get(&held).await?.code(), "not_paid");
    let other = format!("/bookings/{}/receipt.pdf", text(&first, "booking_id"));
    assert_eq!(send(stage.as_guest(Method::GET, &other, &second)).await?.status, 404);
    Ok(())
}

#[tokio::test]
async fn the_ledger_comes_as_a_table_whose_entries_sum_to_zero() -> Result<()> {
    let stage = Stage::open(10).await?;
    let booking = stage.buy(2, Some("tok_always_succeeds")).await?.expect(201)?;
    stage.refund(&booking).await?.expect(200)?;
    let path = format!("/organizer/events/{}/ledger.csv", stage.event_id);
    let reply = stage.server.get_as(&stage.owner, &path).await?;
    assert!(reply.header("content-type").starts_with("text/csv"), "{}", reply.text);
    let mut lines = reply.text.split("\r\n").filter(|l| !l.is_empty());
    assert_eq!(
        lines.next(),
        Some("booked_at,entry_id,line,kind,booking_id,account,amount,amount_minor,currency,tax_rates_bp")
    );
    let rows: Vec<Vec<&str>> = lines.map(|l| l.split(',').collect()).collect();
    assert_eq!(rows.len(), 8, "two entries of four lines: {}", reply.text);
    let sum: i64 = rows.iter().map(|r| r[7].parse::<i64>()).sum::<Result<i64, _>>()?;
    assert_eq!(sum, 0);
    let paid =
        rows.iter().find(|r| r[5] == "provider:simulated" && r[3] == "payment").context("a payment")?;
    assert_eq!((paid[6], paid[8], paid[9]), ("53.00", "EUR", ""));
    assert!(rows.iter().filter(|r| r[5] == "tax").all(|r| r[9] == "700"), "{}", reply.text);
    assert!(rows.iter().any(|r| r[6] == "-53.00"), "a number, not a text");
    assert_eq!(stage.server.get(&path).await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn a_receipt_says_what_was_sold_however_the_type_is_named_priced_and_taxed_since() -> Result<()> {
    let stage = Stage::open(10).await?;
    stage.code(json!({ "code": "Half", "percent_bp": 5_000 })).await?;
    let mut order = stage.order(2, Some("tok_always_succeeds"));
    order["promo_code"] = json!("half");
    let booking = stage.server.post("/tickets/purchase", &order).await?.expect(201)?;
    let path = format!("/organizer/events/{}/ticket-types/{}", stage.event_id, stage.ticket_type_id);
    let tax = json!({ "rate_bp": 2_000, "inclusive": false });
    stage.own(reqwest::Method::PUT, &path, json!({ "name": "Balcony", "tax": tax })).await?;
    let booking_id = text(&booking, "booking_id").parse()?;
    let mut tx = stage.server.app.db.tenant(stage.organizer_id).await?;
    let lines = receipt::lines(&mut tx, stage.organizer_id, booking_id).await?;
    let code = receipt::promo_code(&mut tx, stage.organizer_id, booking_id).await?;
    tx.commit().await?;
    let [line] = lines.as_slice() else { anyhow::bail!("one line: {lines:?}") };
    assert_eq!((line.name.as_str(), line.tax_rate_bp, code.as_deref()), ("Standing", 700, Some("Half")));
    assert_eq!((line.list_price_minor, line.unit_price_minor), (2_336, 1_168));
    assert_eq!((line.list_fee_minor, line.unit_fee_minor), (140, 140), "no code lowers a fixed fee");
    stage.audit().await
}

#[tokio::test]
async fn a_receipts_number_is_of_the_year_that_its_date_says() -> Result<()> {
    let stage = Stage::open(10).await?;
    let booking = stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    let new_year_in_vienna = time::macros::datetime!(2026-12-31 23:30 UTC);
    let wait = new_year_in_vienna - crate::now();
    stage.clock.advance(wait.unsigned_abs());
    let path = format!("/bookings/{}/receipt.pdf", text(&booking, "booking_id"));
    let reply = send(stage.as_guest(Method::GET, &path, &booking)).await?;
    assert_eq!(reply.header("content-disposition"), "inline; filename=\"receipt-2027-000001.pdf\"");
    Ok(())
}
