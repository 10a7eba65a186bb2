//! Who is told what, when, and in which language; each of it once.

use std::time::Duration;

use anyhow::{Context as _, Result};
use hvflvspot::config::Secret;
use hvflvspot::jobs;
use reqwest::Method;
use serde_json::json;
use support::mail_server::MailServer;
use support::server::send;
use time::format_description::well_known::Rfc3339;

use crate::{Stage, now, text};

const PAID: &str = "tok_always_succeeds";

#[tokio::test]
async fn a_paid_booking_goes_to_its_buyer_with_tickets_and_date_in_the_language_of_the_purchase() -> Result<()>
{
    let stage = Stage::open(|_| ()).await?;
    stage.buy(None, "guest@example.org", PAID, "de-AT,de;q=0.9").await?.expect(201)?;
    stage.buy(None, "autre@example.org", PAID, "fr").await?.expect(201)?;
    stage.deliver().await?;
    let mail = stage.mail("guest@example.org", "booking.paid").await?;
    assert_eq!(
        (&mail["subject"], &mail["language"]),
        (&json!("Ihre Tickets für Winter concert"), &json!("de"))
    );
    let words = text(&mail, "text");
    for part in
        ["1 × Standing, 26,50 EUR", "Dienstag, 1. Dezember 2026, 13:00 Uhr", "Stadtsaal, Wien", "#secret="]
    {
        assert!(words.contains(part), "{part} is missing in {words}");
    }
    let files = mail["attachments"].as_array().context("files")?;
    let names: Vec<_> = files.iter().map(|f| text(f, "name")).collect();
    assert_eq!(names, ["tickets.pdf", "event.ics"]);
    assert!(files[0]["size"].as_u64().is_some_and(|size| size > 5_000), "{files:?}");
    let other = stage.mail("autre@example.org", "booking.paid").await?;
    assert!(text(&other, "text").contains("mardi 1er décembre 2026 à 13:00"), "{other}");
    Ok(())
}

#[tokio::test]
async fn a_real_mail_server_gets_text_html_and_both_files() -> Result<()> {
    let mut mail_server = MailServer::start().await?;
    let url = format!("smtp://127.0.0.1:{}", mail_server.port);
    let stage = Stage::open(|config| config.mail.smtp_url = Some(Secret::new(url))).await?;
    stage.buy(None, "guest@example.org", PAID, "es").await?.expect(201)?;
    stage.deliver().await?;
    let mail = mail_server.next().await?;
    assert_eq!(
        (&mail["subject"], &mail["language"]),
        (&json!("Sus entradas para Winter concert"), &json!("es"))
    );
    assert!(
        text(&mail, "text").contains("26,50 EUR") && text(&mail, "html").contains("color-scheme"),
        "{mail}"
    );
    let file = |at: usize| (text(&mail["files"][at], "name"), text(&mail["files"][at], "type"));
    assert_eq!(file(0), ("tickets.pdf".to_owned(), "application/pdf".to_owned()));
    assert_eq!(file(1), ("event.ics".to_owned(), "text/calendar".to_owned()));
    assert!(text(&mail["files"][0], "begins").starts_with("%PDF-"));
    assert_eq!(mail["files"][1]["begins"], "BEGIN:VCALENDAR");
    Ok(())
}

#[tokio::test]
async fn a_refused_payment_is_told_once_and_not_at_all_if_it_was_paid_meanwhile() -> Result<()> {
    let stage = Stage::open(|_| ()).await?;
    for email in ["poor@example.org", "quick@example.org"] {
        stage.buy(None, email, "tok_declined", "en").await?.expect(422)?;
    }
    let mut db = stage.server.db.owner().await?;
    let queued: i64 = sqlx::query_scalar("select count(*) from outbox where kind = 'booking.payment_failed'")
        .fetch_one(&mut db)
        .await?;
    assert_eq!(queued, 2);
    sqlx::query("update bookings set status = 'expired' where email = 'quick@example.org'")
        .execute(&mut db)
        .await?;
    stage.deliver().await?;
    let mail = stage.mail("poor@example.org", "booking.payment_failed").await?;
    assert!(text(&mail, "text").contains("nothing was charged"), "{mail}");
    assert_eq!(stage.mails("quick@example.org").await?.len(), 0);
    let gone: String =
        sqlx::query_scalar("select dead_because from outbox where recipient = 'quick@example.org'")
            .fetch_one(&mut db)
            .await?;
    assert_eq!(gone, "gone");
    Ok(())
}

#[tokio::test]
async fn a_hold_that_ends_and_an_event_tomorrow_are_told_once_whoever_looks_how_often() -> Result<()> {
    let stage = Stage::open(|_| ()).await?;
    let body = json!({
        "event_id": stage.event_id, "email": "slow@example.org",
        "items": [{ "ticket_type_id": stage.ticket_type_id, "quantity": 2 }],
    });
    stage.server.post("/tickets/purchase", &body).await?.expect(201)?;
    stage.buy(None, "guest@example.org", PAID, "en").await?.expect(201)?;
    stage.look_and_deliver().await?;
    assert!(stage.mails("slow@example.org").await?.is_empty(), "a quarter of an hour is left");
    stage.clock.advance(Duration::from_secs(11 * 60));
    let app = &stage.server.app;
    let (one, two) = tokio::join!(jobs::notices::run(app), jobs::notices::run(app));
    one?;
    two?;
    stage.look_and_deliver().await?;
    let mail = stage.mail("slow@example.org", "booking.hold_ending").await?;
    assert!(text(&mail, "text").contains("2 × Standing"), "{mail}");

    stage.clock.advance(Duration::from_secs(8 * 86_400 - 20 * 60));
    stage.look_and_deliver().await?;
    assert_eq!(stage.mails("guest@example.org").await?.len(), 1, "more than a day is left");
    stage.clock.advance(Duration::from_secs(30 * 60));
    // Bought on the last day: nobody forgets that fast.
    stage.buy(None, "late@example.org", PAID, "en").await?.expect(201)?;
    let (one, two) = tokio::join!(jobs::notices::run(app), jobs::notices::run(app));
    one?;
    two?;
    stage.look_and_deliver().await?;
    let reminder = stage.mail("guest@example.org", "booking.reminder").await?;
    assert_eq!(reminder["subject"], "Soon: Winter concert");
    assert!(stage.mail("late@example.org", "booking.reminder").await.is_err());
    assert!(stage.mail("slow@example.org", "booking.reminder").await.is_err(), "nothing was bought");
    Ok(())
}

#[tokio::test]
async fn a_refund_and_a_change_of_the_event_are_told_to_who_holds_tickets() -> Result<()> {
    let stage = Stage::open(|_| ()).await?;
    let stays = stage.buy(None, "stays@example.org", PAID, "de").await?.expect(201)?;
    let goes = stage.buy(None, "goes@example.org", PAID, "en").await?.expect(201)?;
    stage.own("/payment/refund", json!({ "booking_id": goes["booking_id"] })).await?.expect(200)?;
    let update = |body| {
        let path = format!("/organizer/events/{}/update", stage.event_id);
        stage.server.request(Method::PUT, &path).bearer_auth(&stage.owner).json(&body)
    };
    send(update(json!({ "description": "With soup." }))).await?.expect(200)?;
    let later = (now() + time::Duration::days(10)).format(&Rfc3339)?;
    send(update(json!({ "starts_at": later, "venue_name": "Konzerthaus" }))).await?.expect(200)?;
    stage.deliver().await?;
    let refund = stage.mail("goes@example.org", "offer.refunded").await?;
    assert!(text(&refund, "text").contains("26.50 EUR"), "{refund}");
    let changed = stage.mail("stays@example.org", "event.changed").await?;
    assert_eq!(changed["subject"], "Geändert: Winter concert");
    let words = text(&changed, "text");
    assert!(
        words.contains("Mittwoch, 2. Dezember 2026, 13:00 Uhr") && words.contains("Konzerthaus"),
        "{words}"
    );
    assert!(stage.mail("goes@example.org", "event.changed").await.is_err(), "no ticket any more");
    assert_eq!(stays["status"], "paid");
    Ok(())
}

#[tokio::test]
async fn organizers_hear_of_the_first_sale_and_of_the_last_once_and_who_does_not_want_to_does_not()
-> Result<()> {
    let stage = Stage::open(|_| ()).await?;
    for n in 0..10 {
        stage.look_and_deliver().await?;
        stage.buy(None, &format!("guest{n}@example.org"), PAID, "en").await?.expect(201)?;
        if n == 0 {
            stage.look_and_deliver().await?;
            stage.mail("owner@example.org", "sales.first").await?;
            let off = json!({ "language": "fr" });
            let put = stage.server.request(Method::PUT, "/notifications/preferences");
            send(put.bearer_auth(&stage.owner).json(&off)).await?.expect(200)?;
        }
    }
    stage.look_and_deliver().await?;
    stage.look_and_deliver().await?;
    stage.mail("owner@example.org", "sales.first").await?;
    let sold_out = stage.mail("owner@example.org", "sales.sold_out").await?;
    assert_eq!(
        sold_out["subject"], "Complet : Winter concert",
        "in the language that the owner chose meanwhile"
    );
    Ok(())
}

#[tokio::test]
async fn an_account_is_written_to_in_the_language_of_its_sign_up_until_it_chooses_another() -> Result<()> {
    let stage = Stage::open(|_| ()).await?;
    let body = json!({ "email": "ines@example.org", "password": crate::PASSWORD });
    let request = stage.server.request(Method::POST, "/auth/v1/signup").json(&body);
    let session = send(request.header("Accept-Language", "es-ES,es;q=0.9,en;q=0.5")).await?.expect(200)?;
    let ask = json!({ "email": "ines@example.org" });
    stage.server.post("/auth/v1/magiclink", &ask).await?.expect(200)?;
    stage.server.app.background.wait().await;
    stage.deliver().await?;
    let mail = stage.mail("ines@example.org", "auth.magic_link").await?;
    assert_eq!(mail["subject"], "Su enlace de acceso");
    let chosen = json!({ "language": "de" });
    let put = stage.server.request(Method::PUT, "/notifications/preferences");
    let put = put.bearer_auth(text(&session, "access_token")).json(&chosen);
    assert_eq!(send(put).await?.expect(200)?["language"], "de");
    stage.clock.advance(Duration::from_secs(120));
    stage.server.post("/auth/v1/magiclink", &ask).await?.expect(200)?;
    stage.server.app.background.wait().await;
    stage.deliver().await?;
    let newest = stage.mails("ines@example.org").await?.into_iter().next().context("a mail")?;
    assert_eq!(newest["subject"], "Ihr Anmeldelink");
    Ok(())
}
