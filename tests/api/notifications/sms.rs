//! Text messages: whose number it is, the request that leaves, and what the provider's answers mean.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hvflvspot::config::{Config, Secret};
use reqwest::Method;
use serde_json::{Value, json};
use support::recorder::{Recorded, Recorder};
use support::server::{Reply, send};

use crate::{Stage, sign_up, text};

pub const PAID: &str = "tok_always_succeeds";
const SID: &str = "AC00000000000000000000000000000001";
pub const NUMBER: &str = "+436641234567";
/// What such a provider answers to a message that it takes.
const TAKEN: (u16, &str) = (
    201,
    r#"{"sid":"SM00000000000000000000000000000007","status":"queued","error_code":null,"error_message":null,"num_segments":"1"}"#,
);

/// A provider that takes everything, and a server that sends there.
pub async fn open(change: impl FnOnce(&mut Config)) -> Result<(Recorder, Stage)> {
    let provider = Recorder::start(TAKEN).await?;
    let base = provider.url.clone();
    let stage = Stage::open(|config| {
        config.sms.account_sid = Some(SID.to_owned());
        config.sms.auth_token = Some(Secret::new("hunter2:secret".to_owned()));
        config.sms.from = Some("+15005550006".to_owned());
        config.sms.api_base = base;
        change(config);
    })
    .await?;
    Ok((provider, stage))
}

async fn set(stage: &Stage, token: &str, number: &str) -> Result<Reply> {
    let put = stage.server.request(Method::PUT, "/notifications/phone").bearer_auth(token);
    send(put.json(&json!({ "number": number }))).await
}

async fn verify(stage: &Stage, token: &str, code: &str) -> Result<Reply> {
    stage.server.post_as(token, "/notifications/phone/verify", &json!({ "code": code })).await
}

async fn phone(stage: &Stage, token: &str) -> Result<Value> {
    Ok(stage.server.get_as(token, "/notifications/phone").await?.expect(200)?["phone"].clone())
}

/// The digits of a message.
fn code_of(message: &Recorded) -> Result<String> {
    let body = message.field("Body").context("a body")?;
    let words = body.split(|c: char| !c.is_ascii_digit());
    words.into_iter().find(|word| word.len() == 6).map(str::to_owned).context("a code")
}

/// An account with a verified number that wants to hear of bookings there.
pub async fn reader(provider: &Recorder, stage: &Stage, email: &str, number: &str) -> Result<String> {
    let token = sign_up(&stage.server, email).await?;
    set(stage, &token, number).await?.expect(202)?;
    stage.deliver().await?;
    let code = code_of(provider.recorded().last().context("a message")?)?;
    verify(stage, &token, &code).await?.expect(200)?;
    let on = json!({ "preferences": [{ "type": "bookings", "channel": "sms", "enabled": true }] });
    let put = stage.server.request(Method::PUT, "/notifications/preferences").bearer_auth(&token).json(&on);
    send(put).await?.expect(200)?;
    Ok(token)
}

/// (status, why it is dead, what was said) of the last text message that is no code.
async fn last(stage: &Stage) -> Result<(String, String, String)> {
    let mut db = stage.server.db.owner().await?;
    let row: (String, Option<String>, Option<String>) = sqlx::query_as(
        "select status, dead_because, last_error from outbox where channel = 'sms' and kind <> 'phone.code'
          order by created_at desc, id desc limit 1",
    )
    .fetch_one(&mut db)
    .await?;
    Ok((row.0, row.1.unwrap_or_default(), row.2.unwrap_or_default()))
}

#[tokio::test]
async fn a_text_message_is_the_request_of_the_interface_byte_for_byte() -> Result<()> {
    let (provider, stage) = open(|_| ()).await?;
    let ada = reader(&provider, &stage, "ada@example.org", "0043 (664) 123-45-67").await?;
    let host = provider.url.trim_start_matches("http://").to_owned();
    let expected = |body: &str| Recorded {
        line: format!("POST /2010-04-01/Accounts/{SID}/Messages.json HTTP/1.1"),
        headers: vec![
            "accept: application/json".to_owned(),
            // base64 of "AC00000000000000000000000000000001:hunter2:secret"
            "authorization: Basic QUMwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMTpodW50ZXIyOnNlY3JldA=="
                .to_owned(),
            format!("content-length: {}", body.len()),
            "content-type: application/x-www-form-urlencoded".to_owned(),
            format!("host: {host}"),
            format!("user-agent: hvflvspot/{}", env!("CARGO_PKG_VERSION")),
        ],
        body: body.to_owned(),
    };
    let sent = provider.recorded();
    let code = code_of(&sent[0])?;
    let body = format!(
        "To=%2B436641234567&From=%2B15005550006&Body=Your+code%0A{code}+confirms+this+number.+Good+for+15+minutes%3B+\
         tell+it+to+nobody."
    );
    assert_eq!(sent, [expected(&body)]);

    let booking = stage.buy(Some(&ada), "ada@example.org", PAID, "de").await?.expect(201)?;
    stage.deliver().await?;
    let sent = provider.recorded();
    let body = format!(
        "To=%2B436641234567&From=%2B15005550006&Body=Ihre+Tickets+f%C3%BCr+Winter+concert%0A\
         Vielen+Dank.+Ihre+Buchung+ist+vollst%C3%A4ndig%3A+1+%C3%97+Standing%2C+26%2C50+EUR.%0A\
         Winter+concert%3A+Dienstag%2C+1.+Dezember+2026%2C+13%3A00+Uhr+%28Europe%2FVienna%29.%0AStadtsaal%2C+Wien%0A\
         http%3A%2F%2Flocalhost%2Fweb%2Fbookings%2F{}",
        text(&booking, "booking_id")
    );
    assert_eq!(sent[1..], [expected(&body)]);
    let told = stage.server.get_as(&ada, "/notifications?channel=sms").await?.expect(200)?;
    let items = told["items"].as_array().context("a list")?;
    let of_booking = items.iter().find(|item| item["kind"] == "booking.paid").context("the booking's")?;
    assert_eq!(of_booking["status"], "sent");
    let mut db = stage.server.db.owner().await?;
    let refs: Vec<String> =
        sqlx::query_scalar("select distinct provider_ref from outbox where channel = 'sms'")
            .fetch_all(&mut db)
            .await?;
    assert_eq!(refs, ["SM00000000000000000000000000000007"]);
    Ok(())
}

#[tokio::test]
async fn a_messaging_service_takes_the_place_of_a_number() -> Result<()> {
    let service = "MG00000000000000000000000000000001";
    let (provider, stage) = open(|config| config.sms.from = Some(service.to_owned())).await?;
    reader(&provider, &stage, "ada@example.org", NUMBER).await?;
    let sent = provider.recorded();
    assert_eq!(
        (sent[0].field("MessagingServiceSid").as_deref(), sent[0].field("From")),
        (Some(service), None)
    );
    Ok(())
}

#[tokio::test]
async fn a_provider_in_trouble_is_asked_again_and_a_number_that_is_none_is_given_up_until_replayed()
-> Result<()> {
    let (provider, stage) = open(|_| ()).await?;
    let ada = reader(&provider, &stage, "ada@example.org", NUMBER).await?;
    let admin = stage.admin().await?;
    let before = provider.recorded().len();
    provider.answer_next(503, "<html>");
    provider.answer_next(429, r#"{"code":20429,"message":"Too Many Requests","status":429}"#);
    provider.answer_next(
        400,
        r#"{"code":21211,"message":"Invalid 'To' Phone Number","more_info":"https://x.example","status":400}"#,
    );
    stage.buy(Some(&ada), "ada@example.org", PAID, "en").await?.expect(201)?;
    assert!(stage.deliver().await.is_err(), "health hears of it");
    assert_eq!(last(&stage).await?.0, "failed");
    stage.clock.advance(Duration::from_secs(11));
    assert!(stage.deliver().await.is_err());
    let (status, _, said) = last(&stage).await?;
    assert_eq!((status.as_str(), said.as_str()), ("failed", "20429: Too Many Requests"));
    stage.clock.advance(Duration::from_secs(21));
    assert!(stage.deliver().await.is_err());
    assert_eq!(
        last(&stage).await?,
        ("dead".to_owned(), "refused".to_owned(), "21211: Invalid 'To' Phone Number".to_owned())
    );
    stage.clock.advance(Duration::from_secs(1_800));
    stage.deliver().await?;
    assert_eq!(provider.recorded().len(), before + 3, "given up is given up");

    let dead = stage.server.get_as(&admin, "/admin/notifications/dead").await?.expect(200)?;
    let letter = &dead["items"][0];
    assert_eq!(
        (&letter["channel"], &letter["because"], &letter["may_replay"]),
        (&json!("sms"), &json!("refused"), &json!(true)),
        "{dead}"
    );
    let replay = format!("/admin/notifications/dead/{}/replay", text(letter, "notification_id"));
    stage.server.post_as(&admin, &replay, &json!({})).await?.expect(202)?;
    stage.deliver().await?;
    let sent = provider.recorded();
    assert_eq!(sent.len(), before + 4);
    assert_eq!(sent[before], sent[before + 3], "the same message, the same bytes");
    assert_eq!(last(&stage).await?.0, "sent");
    Ok(())
}

#[tokio::test]
async fn who_answers_stop_gets_nothing_more_until_they_verify_the_number_again() -> Result<()> {
    let (provider, stage) = open(|_| ()).await?;
    let ada = reader(&provider, &stage, "ada@example.org", NUMBER).await?;
    let bob = reader(&provider, &stage, "bob@example.org", "+436649999999").await?;
    provider.answer_next(
        400,
        r#"{"code":21610,"message":"Attempt to send to unsubscribed recipient","status":400}"#,
    );
    stage.buy(Some(&ada), "ada@example.org", PAID, "en").await?.expect(201)?;
    stage.deliver().await?;
    let (status, because, _) = last(&stage).await?;
    assert_eq!((status.as_str(), because.as_str()), ("dead", "switched_off"));
    assert!(phone(&stage, &ada).await?["stopped_at"].is_string());
    assert!(phone(&stage, &bob).await?["stopped_at"].is_null());
    let before = provider.recorded().len();
    stage.buy(Some(&ada), "ada@example.org", PAID, "en").await?.expect(201)?;
    stage.buy(Some(&bob), "bob@example.org", PAID, "en").await?.expect(201)?;
    stage.deliver().await?;
    let sent = provider.recorded();
    let to: Vec<_> = sent[before..].iter().map(|m| m.field("To")).collect();
    assert_eq!(to, [Some("+436649999999".to_owned())], "the other's number goes on");

    set(&stage, &ada, NUMBER).await?.expect(202)?;
    stage.deliver().await?;
    let code = code_of(provider.recorded().last().context("a message")?)?;
    assert!(verify(&stage, &ada, &code).await?.expect(200)?["phone"]["stopped_at"].is_null());
    let before = provider.recorded().len();
    stage.buy(Some(&ada), "ada@example.org", PAID, "en").await?.expect(201)?;
    stage.deliver().await?;
    assert_eq!(provider.recorded().len(), before + 1);
    Ok(())
}

#[tokio::test]
async fn a_number_is_an_accounts_once_it_typed_the_code_that_went_there() -> Result<()> {
    let (provider, stage) =
        open(|config| config.sms.prefixes = vec!["+43".to_owned(), "+1".to_owned()]).await?;
    let ada = sign_up(&stage.server, "ada@example.org").await?;
    let bob = sign_up(&stage.server, "bob@example.org").await?;
    assert_eq!(phone(&stage, &ada).await?, Value::Null);
    for (number, code) in [("0664 1234567", "invalid"), ("+4930123456", "not_served")] {
        let reply = set(&stage, &ada, number).await?;
        assert_eq!(
            (reply.status.as_u16(), &reply.body["errors"][0]["code"]),
            (422, &json!(code)),
            "{number}"
        );
    }
    let told = set(&stage, &ada, NUMBER).await?.expect(202)?;
    assert_eq!(told["sent_to"], "+43…67");
    stage.deliver().await?;
    let code = code_of(&provider.recorded()[0])?;
    let wrong = if code == "000000" { "000001" } else { "000000" };
    let refused = async |token: &str, code: &str| -> Result<()> {
        let reply = verify(&stage, token, code).await?;
        ensure!((reply.status.as_u16(), reply.code()) == (422, "wrong_code"), "{reply:?}");
        Ok(())
    };
    refused(&bob, &code).await?;
    refused(&ada, wrong).await?;
    assert!(
        verify(&stage, &ada, &format!(" {code} ")).await?.expect(200)?["phone"]["verified_at"].is_string()
    );
    refused(&ada, &code).await?;

    // Another number, whose code is over, or was tried too often.
    set(&stage, &ada, "+12025550143").await?.expect(202)?;
    let unverified = phone(&stage, &ada).await?;
    assert_eq!((&unverified["number"], &unverified["verified_at"]), (&json!("+12025550143"), &Value::Null));
    stage.deliver().await?;
    let code = code_of(&provider.recorded()[1])?;
    stage.clock.advance(Duration::from_secs(15 * 60 + 1));
    refused(&ada, &code).await?;
    set(&stage, &ada, "+12025550143").await?.expect(202)?;
    stage.deliver().await?;
    let code = code_of(&provider.recorded()[2])?;
    let wrong = if code == "000000" { "000001" } else { "000000" };
    for _ in 0..5 {
        refused(&ada, wrong).await?;
    }
    refused(&ada, &code).await?;
    let remove = stage.server.request(Method::DELETE, "/notifications/phone").bearer_auth(&ada);
    assert_eq!(send(remove).await?.status.as_u16(), 204);
    assert_eq!(phone(&stage, &ada).await?, Value::Null);
    Ok(())
}

#[tokio::test]
async fn what_is_on_its_way_to_a_number_that_was_changed_does_not_go() -> Result<()> {
    let (provider, stage) = open(|_| ()).await?;
    let ada = reader(&provider, &stage, "ada@example.org", NUMBER).await?;
    provider.answer_next(503, "");
    stage.buy(Some(&ada), "ada@example.org", PAID, "en").await?.expect(201)?;
    assert!(stage.deliver().await.is_err());
    let before = provider.recorded().len();
    let remove = stage.server.request(Method::DELETE, "/notifications/phone").bearer_auth(&ada);
    assert_eq!(send(remove).await?.status.as_u16(), 204);
    stage.clock.advance(Duration::from_secs(11));
    stage.deliver().await?;
    assert_eq!(provider.recorded().len(), before);
    let (status, because, _) = last(&stage).await?;
    assert_eq!((status.as_str(), because.as_str()), ("dead", "gone"));
    Ok(())
}

#[tokio::test]
async fn codes_are_counted_for_the_number_and_for_the_account() -> Result<()> {
    // Thirty times as many with --dev.
    let (_provider, stage) = open(|config| config.sms.codes_per_day = 1).await?;
    let ada = sign_up(&stage.server, "ada@example.org").await?;
    let bob = sign_up(&stage.server, "bob@example.org").await?;
    for _ in 0..30 {
        set(&stage, &ada, NUMBER).await?.expect(202)?;
    }
    let full = async |token: &str, number: &str| -> Result<()> {
        let reply = set(&stage, token, number).await?;
        ensure!((reply.status.as_u16(), reply.code()) == (429, "rate_limited"), "{reply:?}");
        Ok(())
    };
    full(&ada, NUMBER).await?;
    full(&ada, "+436649999999").await?;
    full(&bob, NUMBER).await?;
    set(&stage, &bob, "+436649999999").await?.expect(202)?;
    stage.clock.advance(Duration::from_secs(24 * 3_600 + 1));
    let login = json!({ "email": "ada@example.org", "password": crate::PASSWORD });
    let again = stage.server.post("/auth/v1/token?grant_type=password", &login).await?.expect(200)?;
    set(&stage, &text(&again, "access_token"), NUMBER).await?.expect(202)?;
    Ok(())
}

#[tokio::test]
async fn a_server_without_a_provider_says_so() -> Result<()> {
    // Mail has a server, and so there is no development mailbox that takes the rest.
    let stage =
        Stage::open(|config| config.mail.smtp_url = Some(Secret::new("smtp://127.0.0.1:9".to_owned())))
            .await?;
    let ada = sign_up(&stage.server, "ada@example.org").await?;
    let reply = set(&stage, &ada, NUMBER).await?;
    assert_eq!((reply.status.as_u16(), reply.code()), (409, "no_text_messages"));
    Ok(())
}
