//! Guessing by the day, and what an answer tells of an address.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hvflvspot::clock::TestClock;
use hvflvspot::jobs;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _};
use support::server::{Reply, TestServer, send};
use time::OffsetDateTime;

use super::mails::{ask, expired, follow, letter, of_fragment, other, refusal, server, verify};

const ADA: &str = "ada@example.org";

/// How many mails of a kind went to an address.
pub(super) async fn mails_of(server: &TestServer, kind: &str, to: &str) -> Result<usize> {
    server.app.background.wait().await;
    jobs::outbox::run(&server.app).await?;
    let mails = server.get(&format!("/dev/mailbox?recipient={to}")).await?.expect(200)?;
    Ok(mails.as_array().context("a list")?.iter().filter(|mail| mail["kind"] == kind).count())
}

#[tokio::test]
async fn after_the_days_codes_a_mail_carries_its_link_alone() -> Result<()> {
    let clock = TestClock::at(OffsetDateTime::from_unix_timestamp(1_800_000_000)?);
    let server = TestServer::builder()
        .clock(&clock)
        .config(|c| {
            c.auth.autoconfirm = Some(false);
            c.auth.redirect_urls = vec!["https://app.example".to_owned()];
            // Thirty times as many in development.
            c.auth.mail_codes_per_day = 1;
        })
        .start()
        .await?;
    for n in 0..30 {
        // By whatever route, over many hours.
        ask(&server, if n % 2 == 0 { "otp" } else { "recover" }, &json!({ "email": ADA })).await?;
        clock.advance(Duration::from_secs(600));
    }
    assert_eq!(letter(&server, ADA).await?.code.len(), 6, "the thirtieth");
    ask(&server, "otp", &json!({ "email": ADA })).await?;
    let mail = letter(&server, ADA).await?;
    assert_eq!((mail.kind.as_str(), mail.code.as_str()), ("auth.magic_link", ""));
    for code in ["000000", ""] {
        assert_eq!(refusal(&verify(&server, "email", ADA, code).await?), expired());
    }
    let target = follow(&server, &mail.link).await?;
    let access = of_fragment(&target, "access_token");
    server.get_as(&access, "/auth/v1/user").await?.expect(200)?;
    // What only the account's own session asks for is counted by itself.
    server.get_as(&access, "/auth/v1/reauthenticate").await?.expect(200)?;
    assert_eq!(letter(&server, ADA).await?.code.len(), 6);
    ask(&server, "otp", &json!({ "email": "bob@example.org" })).await?;
    assert_eq!(letter(&server, "bob@example.org").await?.code.len(), 6, "another address has its own");
    clock.advance(Duration::from_secs(86_400));
    ask(&server, "otp", &json!({ "email": ADA })).await?;
    assert_eq!(letter(&server, ADA).await?.code.len(), 6, "the next day");
    Ok(())
}

#[tokio::test]
async fn whoever_is_guessed_at_is_told_once_a_day() -> Result<()> {
    let (server, clock) = server().await?;
    for _ in 0..2 {
        ask(&server, "otp", &json!({ "email": ADA })).await?;
        let mail = letter(&server, ADA).await?;
        for n in 1..=5 {
            let told = mails_of(&server, "auth.code_guessed", ADA).await?;
            assert!(n > 1 || told < 2);
            assert_eq!(refusal(&verify(&server, "email", ADA, &other(&mail.code)).await?), expired());
        }
        assert_eq!(mails_of(&server, "auth.code_guessed", ADA).await?, 1);
        clock.advance(Duration::from_secs(120));
    }
    for _ in 0..5 {
        verify(&server, "email", "nobody@example.org", "123456").await?;
    }
    assert_eq!(mails_of(&server, "auth.code_guessed", "nobody@example.org").await?, 0);
    Ok(())
}

#[tokio::test]
async fn what_is_counted_by_the_day_survives_a_crash() -> Result<()> {
    let (server, _) = server().await?;
    let mut db = server.db.owner().await?;
    let kept: String =
        sqlx::query_scalar("select relpersistence::text from pg_class where relname = 'daily_attempts'")
            .fetch_one(&mut db)
            .await?;
    assert_eq!(kept, "p", "in the log of the database, unlike what is counted by the minute");
    Ok(())
}

/// All headers but those that differ between any two answers.
fn headers(reply: &Reply) -> BTreeMap<String, String> {
    let text = |value: &reqwest::header::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let all = reply.headers.iter().map(|(name, value)| (name.to_string(), text(value)));
    all.filter(|(name, _)| !matches!(name.as_str(), "x-request-id" | "date")).collect()
}

#[tokio::test]
async fn an_answer_comes_before_anybody_looks_for_the_account() -> Result<()> {
    let (server, _) = server().await?;
    ask(&server, "otp", &json!({ "email": ADA })).await?;
    let known = letter(&server, ADA).await?;
    verify(&server, "email", ADA, &known.code).await?.expect(200)?;

    // Nobody can read accounts or write tokens now: whoever waited for that would get no answer.
    let mut db = server.db.owner().await?;
    let mut held = db.begin().await?;
    held.execute("lock table users, one_time_tokens, outbox in access exclusive mode").await?;
    let mut answers = Vec::new();
    for what in ["recover", "otp", "magiclink", "resend"] {
        for email in [ADA, "unknown@example.org"] {
            let body: Value = json!({ "email": email, "type": "signup", "create_user": false });
            let request = server.request(Method::POST, &format!("/auth/v1/{what}")).json(&body);
            let reply = send(request.timeout(Duration::from_secs(5))).await?;
            answers.push((reply.status.as_u16(), reply.text.clone(), headers(&reply)));
        }
    }
    held.rollback().await?;
    for pair in answers.chunks(2) {
        assert_eq!(pair[0], pair[1], "known and unknown");
        assert_eq!((pair[0].0, pair[0].1.as_str()), (200, "{}"));
    }
    assert_eq!(mails_of(&server, "auth.recovery", ADA).await?, 1, "and then it is done");
    assert_eq!(mails_of(&server, "auth.magic_link", ADA).await?, 3);
    assert_eq!(mails_of(&server, "auth.recovery", "unknown@example.org").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_sign_in_by_mail_from_a_new_place_is_told() -> Result<()> {
    let (server, _) = server().await?;
    let by_mail = async |agent: &'static str, link: bool| -> Result<()> {
        ask(&server, "otp", &json!({ "email": ADA })).await?;
        let mail = letter(&server, ADA).await?;
        let request = if link {
            let query = mail.link.query().unwrap_or_default().to_owned();
            reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .build()?
                .get(format!("{}/auth/v1/verify?{query}", server.url))
        } else {
            let body = json!({ "type": "email", "email": ADA, "token": mail.code });
            server.request(Method::POST, "/auth/v1/verify").json(&body)
        };
        let reply = send(request.header("user-agent", agent)).await?;
        anyhow::ensure!(reply.status.as_u16() < 400, "{}", reply.text);
        Ok(())
    };
    by_mail("First", true).await?;
    by_mail("First", false).await?;
    assert_eq!(mails_of(&server, "auth.new_login", ADA).await?, 0);
    by_mail("Second", true).await?;
    assert_eq!(mails_of(&server, "auth.new_login", ADA).await?, 1, "by link");
    by_mail("Third", false).await?;
    by_mail("Second", false).await?;
    assert_eq!(mails_of(&server, "auth.new_login", ADA).await?, 2, "by code");
    Ok(())
}
