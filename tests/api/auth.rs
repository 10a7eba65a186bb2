//! Accounts at GoTrue's paths: every flow, and every way to abuse one.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hvflvspot::clock::TestClock;
use hvflvspot::demo;
use hvflvspot::store::member::{self, OrgRole};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _};
use support::server::{Builder, Reply, TestServer, send};
use time::OffsetDateTime;
use uuid::Uuid;

const PASSWORD: &str = "correct horse battery";

fn clock() -> Result<TestClock> {
    Ok(TestClock::at(OffsetDateTime::from_unix_timestamp(1_800_000_000)?))
}

/// A server on which addresses must be confirmed.
fn strict() -> Builder {
    TestServer::builder().config(|c| c.dev = false)
}

async fn sign_up(server: &TestServer, email: &str) -> Result<Value> {
    server.post("/auth/v1/signup", &json!({ "email": email, "password": PASSWORD })).await?.expect(200)
}

async fn sign_in(server: &TestServer, email: &str, password: &str) -> Result<Reply> {
    server.post("/auth/v1/token?grant_type=password", &json!({ "email": email, "password": password })).await
}

async fn refresh(server: &TestServer, token: &Value) -> Result<Reply> {
    server.post("/auth/v1/token?grant_type=refresh_token", &json!({ "refresh_token": token })).await
}

async fn change(server: &TestServer, session: &Value, body: &Value) -> Result<Reply> {
    send(server.request(Method::PUT, "/auth/v1/user").bearer_auth(text(session, "access_token")).json(body))
        .await
}

async fn sign_out(server: &TestServer, session: &Value, scope: &str) -> Result<Reply> {
    server.post_as(text(session, "access_token"), &format!("/auth/v1/logout{scope}"), &Value::Null).await
}

async fn confirm(server: &TestServer, email: &str) -> Result<()> {
    let mut db = server.db.owner().await?;
    let done = sqlx::query("update users set email_confirmed_at = created_at where email = $1::text::citext")
        .bind(email)
        .execute(&mut db)
        .await?;
    assert_eq!(done.rows_affected(), 1);
    Ok(())
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

/// An answer without what differs each time.
fn comparable(reply: &Reply) -> (u16, Value) {
    let mut body = reply.body.clone();
    if let Some(members) = body.as_object_mut() {
        members.remove("request_id");
    }
    (reply.status.as_u16(), body)
}

#[tokio::test]
async fn signing_up_opens_a_session_of_the_shape_that_supabase_js_reads() -> Result<()> {
    let clock = clock()?;
    let server = TestServer::builder().clock(&clock).start().await?;
    let body = json!({
        "email": "Ada@Example.ORG", "password": PASSWORD, "data": { "name": "Ada" },
        "gotrue_meta_security": { "captcha_token": null }, "code_challenge": null, "channel": "sms",
    });
    let session = server.post("/auth/v1/signup", &body).await?.expect(200)?;
    assert_eq!(session["token_type"], "bearer");
    assert_eq!(session["expires_in"], 3_600);
    assert_eq!(session["expires_at"], 1_800_003_600_i64);
    let user = &session["user"];
    assert_eq!(user["email"], "Ada@example.org");
    assert_eq!((text(user, "aud"), text(user, "role")), ("authenticated", "authenticated"));
    assert_eq!(user["app_metadata"], json!({ "provider": "email", "providers": ["email"], "role": "user" }));
    assert_eq!(user["user_metadata"], json!({ "name": "Ada" }));
    assert_eq!(user["identities"][0]["identity_data"]["email"], "Ada@example.org");
    for member in ["created_at", "updated_at", "email_confirmed_at", "confirmed_at", "last_sign_in_at"] {
        assert_eq!(text(user, member), "2027-01-15T08:00:00Z", "{member}");
    }
    let read = server.get_as(text(&session, "access_token"), "/auth/v1/user").await?.expect(200)?;
    assert_eq!(&read, user);
    let again = sign_in(&server, " ada@EXAMPLE.org ", PASSWORD).await?.expect(200)?;
    assert_eq!(again["user"]["id"], user["id"]);
    assert_ne!(again["refresh_token"], session["refresh_token"]);
    Ok(())
}

#[tokio::test]
async fn a_taken_address_is_told_only_where_addresses_count_as_confirmed() -> Result<()> {
    let open = TestServer::start().await?;
    sign_up(&open, "ada@example.org").await?;
    let taken = open
        .post("/auth/v1/signup", &json!({ "email": "ADA@example.org", "password": "another password" }))
        .await?;
    assert_eq!((taken.status.as_u16(), text(&taken.body, "error_code")), (422, "user_already_exists"));

    let strict = strict().start().await?;
    let body = |email: &str| json!({ "email": email, "password": "another password", "data": { "a": 1 } });
    let real = strict.post("/auth/v1/signup", &body("ada@example.org")).await?.expect(200)?;
    let fake = strict.post("/auth/v1/signup", &body("Ada@Example.org")).await?.expect(200)?;
    assert!(real["access_token"].is_null(), "no session before the address is confirmed");
    let names = |value: &Value| -> Vec<String> {
        value.as_object().map(|o| o.keys().cloned().collect()).unwrap_or_default()
    };
    assert_eq!(names(&real), names(&fake));
    assert_eq!(fake["identities"][0]["user_id"], fake["id"]);
    assert_ne!(real["id"], fake["id"]);
    let mut db = strict.db.owner().await?;
    let users: Vec<(Uuid, String)> =
        sqlx::query_as("select id, email::text from users").fetch_all(&mut db).await?;
    assert_eq!(users.len(), 1);
    assert_eq!(json!(users[0].0), real["id"]);
    Ok(())
}

#[tokio::test]
async fn an_unconfirmed_account_is_told_so_by_its_password_alone() -> Result<()> {
    let server = strict().start().await?;
    server
        .post("/auth/v1/signup", &json!({ "email": "ada@example.org", "password": PASSWORD }))
        .await?
        .expect(200)?;
    let wrong = sign_in(&server, "ada@example.org", "wrong password").await?;
    assert_eq!(text(&wrong.body, "error_code"), "invalid_credentials");
    let right = sign_in(&server, "ada@example.org", PASSWORD).await?;
    assert_eq!((right.status.as_u16(), text(&right.body, "error_code")), (400, "email_not_confirmed"));
    confirm(&server, "ada@example.org").await?;
    sign_in(&server, "ada@example.org", PASSWORD).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_account_get_the_same_answer() -> Result<()> {
    let server = TestServer::start().await?;
    sign_up(&server, "ada@example.org").await?;
    let wrong = sign_in(&server, "ada@example.org", "wrong password").await?;
    let unknown = sign_in(&server, "bob@example.org", "wrong password").await?;
    let no_address = sign_in(&server, "bob", "wrong password").await?;
    assert_eq!(comparable(&wrong), comparable(&unknown));
    assert_eq!(comparable(&wrong), comparable(&no_address));
    assert_eq!((wrong.status.as_u16(), text(&wrong.body, "error_code")), (400, "invalid_credentials"));
    Ok(())
}

#[tokio::test]
async fn refusals_have_the_form_of_the_api_version_that_the_client_names() -> Result<()> {
    let server = TestServer::start().await?;
    let ask = |version: Option<&'static str>| {
        let body = json!({ "email": "bob@example.org", "password": "wrong password" });
        let mut request = server.request(Method::POST, "/auth/v1/token?grant_type=password").json(&body);
        if let Some(version) = version {
            request = request.header("x-supabase-api-version", version);
        }
        send(request)
    };
    for version in [None, Some("2023-12-31"), Some("later")] {
        let reply = ask(version).await?;
        assert_eq!(reply.body["code"], 400, "{version:?}");
        assert_eq!(reply.body["error_code"], "invalid_credentials");
        assert_eq!(reply.body["msg"], "Invalid login credentials");
        assert_eq!(reply.header("x-supabase-api-version"), "");
    }
    let reply = ask(Some("2024-01-01")).await?;
    assert_eq!(reply.body["code"], "invalid_credentials");
    assert_eq!(reply.body["message"], "Invalid login credentials");
    assert_eq!(reply.header("x-supabase-api-version"), "2024-01-01");
    Ok(())
}

#[tokio::test]
async fn bad_requests_are_refused_and_make_no_account() -> Result<()> {
    let server = TestServer::start().await?;
    let signup = |email: &str, password: &str| json!({ "email": email, "password": password });
    let long = "long ".repeat(60);
    let cases = [
        (json!([]), 422, "validation_failed"),
        (json!({}), 422, "anonymous_provider_disabled"),
        (json!({ "data": {} }), 422, "anonymous_provider_disabled"),
        (json!({ "phone": "+4912345", "password": PASSWORD }), 400, "phone_provider_disabled"),
        (json!({ "email": "ada@example.org" }), 400, "validation_failed"),
        (json!({ "email": 7, "password": PASSWORD }), 422, "validation_failed"),
        (json!({ "email": "ada@example.org", "password": [] }), 422, "validation_failed"),
        (json!({ "email": "ada@example.org", "password": PASSWORD, "data": 7 }), 422, "validation_failed"),
        (signup("ada", PASSWORD), 400, "validation_failed"),
        (signup("ada@example.org\0", PASSWORD), 400, "validation_failed"),
        (signup("ada@example.org", "short"), 422, "weak_password"),
        (signup("ada@example.org", "ada@example.org"), 422, "weak_password"),
        (signup("ada@example.org", &long), 400, "validation_failed"),
        (
            json!({ "email": "ada@example.org", "password": PASSWORD, "data": { "a": ["\0"] } }),
            400,
            "validation_failed",
        ),
        (
            json!({ "email": "ada@example.org", "password": PASSWORD, "data": { "a": "x".repeat(5_000) } }),
            400,
            "validation_failed",
        ),
    ];
    for (body, status, code) in &cases {
        let reply = server.post("/auth/v1/signup", body).await?;
        let got = (reply.status.as_u16(), text(&reply.body, "error_code"));
        assert_eq!(got, (*status, *code), "{body}: {}", reply.text);
    }
    let weak = server.post("/auth/v1/signup", &signup("ada@example.org", "short")).await?;
    assert_eq!(weak.body["weak_password"]["reasons"], json!(["length"]));
    for (path, body) in [
        ("/auth/v1/token", json!({ "email": "a@b.de", "password": "x" })),
        ("/auth/v1/token?grant_type=pkce", json!({ "auth_code": "x" })),
        ("/auth/v1/token?grant_type=password", json!({ "password": "x" })),
        ("/auth/v1/token?grant_type=password", json!({ "email": "a@b.de" })),
        ("/auth/v1/token?grant_type=refresh_token", json!({})),
        ("/auth/v1/token?grant_type=refresh_token", json!({ "refresh_token": "" })),
    ] {
        let reply = server.post(path, &body).await?;
        assert_eq!(reply.status.as_u16(), 400, "{path} {body}");
        assert_eq!(text(&reply.body, "error_code"), "validation_failed", "{path} {body}");
    }
    let mut request =
        server.request(Method::POST, "/auth/v1/signup").header("content-type", "application/json");
    request = request.body("{\"email\":");
    assert_eq!(text(&send(request).await?.body, "error_code"), "bad_json");
    let mut db = server.db.owner().await?;
    let users: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&mut db).await?;
    assert_eq!(users, 0);
    Ok(())
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_its_second_use_ends_the_session() -> Result<()> {
    let server = TestServer::start().await?;
    let first = sign_up(&server, "ada@example.org").await?;
    let elsewhere = sign_in(&server, "ada@example.org", PASSWORD).await?.expect(200)?;
    let second = refresh(&server, &first["refresh_token"]).await?.expect(200)?;
    let third = refresh(&server, &second["refresh_token"]).await?.expect(200)?;
    assert_eq!(third["user"]["id"], first["user"]["id"]);
    let token = text(&third, "access_token").to_owned();
    server.get_as(&token, "/auth/v1/user").await?.expect(200)?;

    let reused = refresh(&server, &first["refresh_token"]).await?;
    assert_eq!(
        (reused.status.as_u16(), text(&reused.body, "error_code")),
        (400, "refresh_token_already_used")
    );
    for dead in [&first, &second, &third] {
        let reply = refresh(&server, &dead["refresh_token"]).await?;
        assert_eq!(reply.status.as_u16(), 400, "{}", reply.text);
    }
    let gone = server.get_as(&token, "/auth/v1/user").await?;
    assert_eq!((gone.status.as_u16(), text(&gone.body, "error_code")), (401, "session_not_found"));
    // Another sign-in of the same account is another family.
    refresh(&server, &elsewhere["refresh_token"]).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn no_grace_is_given_unless_the_operator_gives_one() -> Result<()> {
    let server = TestServer::start().await?;
    let first = sign_up(&server, "ada@example.org").await?;
    let second = refresh(&server, &first["refresh_token"]).await?.expect(200)?;
    // Immediately again: no grace unless the operator gives one.
    let again = refresh(&server, &first["refresh_token"]).await?;
    assert_eq!(text(&again.body, "error_code"), "refresh_token_already_used");
    assert_eq!(refresh(&server, &second["refresh_token"]).await?.status.as_u16(), 400);
    Ok(())
}

#[tokio::test]
async fn two_requests_that_race_with_one_token_get_one_and_the_same_successor() -> Result<()> {
    let server = TestServer::start().await?;
    let first = sign_up(&server, "ada@example.org").await?;
    // Both have looked at the token before either gets the session's lock.
    let mut owner = server.db.owner().await?;
    let mut hold = owner.begin().await?;
    hold.execute("select from sessions for update").await?;
    let (one, two) = (
        tokio::spawn(send(refresh_request(&server, &first))),
        tokio::spawn(send(refresh_request(&server, &first))),
    );
    let mut watch = server.db.superuser().await?;
    let both_wait = async {
        loop {
            let waiting: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity
                  where datname = current_database() and wait_event_type = 'Lock'",
            )
            .fetch_one(&mut watch)
            .await?;
            if waiting >= 2 {
                return Ok::<_, sqlx::Error>(());
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), both_wait).await.context("the requests do not wait")??;
    hold.commit().await?;
    let (one, two) = (one.await??.expect(200)?, two.await??.expect(200)?);
    assert_eq!(one["refresh_token"], two["refresh_token"]);
    // The race is over: the same token now is a reused one.
    refresh(&server, &one["refresh_token"]).await?.expect(200)?;
    assert_eq!(
        text(&refresh(&server, &first["refresh_token"]).await?.body, "error_code"),
        "refresh_token_already_used"
    );
    Ok(())
}

fn refresh_request(server: &TestServer, session: &Value) -> reqwest::RequestBuilder {
    server
        .request(Method::POST, "/auth/v1/token?grant_type=refresh_token")
        .json(&json!({ "refresh_token": session["refresh_token"] }))
}

#[tokio::test]
async fn with_a_grace_a_lost_answer_is_given_again_until_its_successor_is_used() -> Result<()> {
    let clock = clock()?;
    let server = TestServer::builder()
        .clock(&clock)
        .config(|c| c.auth.refresh_grace = Duration::from_secs(10))
        .start()
        .await?;
    let first = sign_up(&server, "ada@example.org").await?;
    let second = refresh(&server, &first["refresh_token"]).await?.expect(200)?;
    clock.advance(Duration::from_secs(9));
    let again = refresh(&server, &first["refresh_token"]).await?.expect(200)?;
    assert_eq!(again["refresh_token"], second["refresh_token"]);
    refresh(&server, &second["refresh_token"]).await?.expect(200)?;
    assert_eq!(
        refresh(&server, &first["refresh_token"]).await?.status.as_u16(),
        400,
        "its successor was used"
    );

    let first = sign_in(&server, "ada@example.org", PASSWORD).await?.expect(200)?;
    refresh(&server, &first["refresh_token"]).await?.expect(200)?;
    clock.advance(Duration::from_secs(10));
    assert_eq!(refresh(&server, &first["refresh_token"]).await?.status.as_u16(), 400, "the grace has passed");
    Ok(())
}

#[tokio::test]
async fn sessions_end_by_idleness_and_by_age() -> Result<()> {
    let clock = clock()?;
    let server = TestServer::builder().clock(&clock).start().await?;
    let idle = sign_up(&server, "ada@example.org").await?;
    let mut busy = sign_in(&server, "ada@example.org", PASSWORD).await?.expect(200)?;
    let day = Duration::from_secs(86_400);
    for _ in 0..4 {
        clock.advance(day * 20);
        busy = refresh(&server, &busy["refresh_token"]).await?.expect(200)?;
    }
    let over = |reply: Reply| (reply.status.as_u16(), text(&reply.body, "error_code").to_owned());
    let expired = (400, "session_expired".to_owned());
    assert_eq!(over(refresh(&server, &idle["refresh_token"]).await?), expired);
    clock.advance(day * 11);
    assert_eq!(over(refresh(&server, &busy["refresh_token"]).await?), expired);
    Ok(())
}

#[tokio::test]
async fn signing_out_ends_this_session_the_others_or_all() -> Result<()> {
    let server = TestServer::start().await?;
    let three = || async {
        let email = format!("{}@example.org", server.app.rng.uuid(&*server.app.clock));
        let one = sign_up(&server, &email).await?;
        let two = sign_in(&server, &email, PASSWORD).await?.expect(200)?;
        let other = sign_in(&server, &email, PASSWORD).await?.expect(200)?;
        anyhow::Ok([one, two, other])
    };
    for (scope, alive) in [
        ("?scope=local", [false, true, true]),
        ("?scope=others", [true, false, false]),
        ("?scope=global", [false, false, false]),
        ("", [false, false, false]),
    ] {
        let bystander = three().await?;
        let sessions = three().await?;
        assert_eq!(sign_out(&server, &sessions[0], scope).await?.status.as_u16(), 204);
        for (session, lives) in sessions.iter().zip(alive) {
            let user = server.get_as(text(session, "access_token"), "/auth/v1/user").await?;
            assert_eq!(user.status.is_success(), lives, "{scope}: {}", user.text);
            assert_eq!(
                refresh(&server, &session["refresh_token"]).await?.status.is_success(),
                lives,
                "{scope}"
            );
        }
        refresh(&server, &bystander[0]["refresh_token"]).await?.expect(200)?;
    }
    let [session, ..] = three().await?;
    assert_eq!(sign_out(&server, &session, "?scope=everybody").await?.status.as_u16(), 400);
    sign_out(&server, &session, "?scope=local").await?.expect(204)?;
    assert_eq!(text(&sign_out(&server, &session, "").await?.body, "error_code"), "session_not_found");
    Ok(())
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions_and_keeps_this_one() -> Result<()> {
    let server = TestServer::start().await?;
    let here = sign_up(&server, "ada@example.org").await?;
    let there = sign_in(&server, "ada@example.org", PASSWORD).await?.expect(200)?;
    let refused = |reply: Reply| (reply.status.as_u16(), text(&reply.body, "error_code").to_owned());
    let same = change(&server, &here, &json!({ "password": PASSWORD })).await?;
    assert_eq!(refused(same), (422, "same_password".to_owned()));
    let weak = change(&server, &here, &json!({ "password": "short" })).await?;
    assert_eq!(refused(weak), (422, "weak_password".to_owned()));
    refresh(&server, &there["refresh_token"]).await?.expect(200)?;

    let there = sign_in(&server, "ada@example.org", PASSWORD).await?.expect(200)?;
    change(&server, &here, &json!({ "password": "a new password" })).await?.expect(200)?;
    assert_eq!(
        refused(refresh(&server, &there["refresh_token"]).await?),
        (400, "session_expired".to_owned())
    );
    refresh(&server, &here["refresh_token"]).await?.expect(200)?;
    assert_eq!(sign_in(&server, "ada@example.org", PASSWORD).await?.status.as_u16(), 400);
    sign_in(&server, "ada@example.org", "a new password").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn an_old_session_proves_the_password_before_it_changes_address_or_password() -> Result<()> {
    let clock = clock()?;
    let server = TestServer::builder().clock(&clock).start().await?;
    let session = sign_up(&server, "ada@example.org").await?;
    for _ in 0..25 {
        clock.advance(Duration::from_secs(3_600));
    }
    let session = refresh(&server, &session["refresh_token"]).await?.expect(200)?;
    let code = |reply: &Reply| text(&reply.body, "error_code").to_owned();
    for body in [json!({ "password": "a new password" }), json!({ "email": "eve@example.org" })] {
        assert_eq!(code(&change(&server, &session, &body).await?), "reauthentication_needed");
    }
    change(&server, &session, &json!({ "data": { "shoe": 43 } })).await?.expect(200)?;
    let guess = json!({ "password": "a new password", "current_password": "a guess" });
    for _ in 0..5 {
        assert_eq!(code(&change(&server, &session, &guess).await?), "invalid_credentials");
    }
    let limited = change(&server, &session, &guess).await?;
    assert_eq!((limited.status.as_u16(), code(&limited)), (429, "over_request_rate_limit".to_owned()));
    clock.advance(Duration::from_secs(61));
    let right = json!({ "password": "a new password", "current_password": PASSWORD });
    change(&server, &session, &right).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn metadata_are_merged_and_never_grant_anything() -> Result<()> {
    let server = TestServer::start().await?;
    let session = sign_up(&server, "ada@example.org").await?;
    let set = json!({ "data": { "name": "Ada", "shoe": 43, "role": "admin" }, "app_metadata": { "role": "admin" } });
    change(&server, &session, &set).await?.expect(200)?;
    let user =
        change(&server, &session, &json!({ "data": { "shoe": null, "hat": 7 } })).await?.expect(200)?;
    assert_eq!(user["user_metadata"], json!({ "name": "Ada", "hat": 7, "role": "admin" }));
    assert_eq!(user["app_metadata"]["role"], "user");
    let session = refresh(&server, &session["refresh_token"]).await?.expect(200)?;
    let who = server.get_as(text(&session, "access_token"), "/auth/verify").await?.expect(200)?;
    assert_eq!(who["role"], "user");
    // Two halves that fit and a whole that does not.
    let half = "x".repeat(2_500);
    change(&server, &session, &json!({ "data": { "a": half } })).await?.expect(200)?;
    let full = change(&server, &session, &json!({ "data": { "b": half } })).await?;
    assert_eq!((full.status.as_u16(), text(&full.body, "error_code")), (400, "validation_failed"));
    Ok(())
}

#[tokio::test]
async fn an_address_changes_to_a_free_one_where_it_counts_as_confirmed() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = sign_up(&server, "ada@example.org").await?;
    sign_up(&server, "bob@example.org").await?;
    let taken = change(&server, &ada, &json!({ "email": "BOB@example.org" })).await?;
    assert_eq!((taken.status.as_u16(), text(&taken.body, "error_code")), (422, "email_exists"));
    let user = change(&server, &ada, &json!({ "email": "countess@example.org" })).await?.expect(200)?;
    assert_eq!(user["email"], "countess@example.org");
    assert_eq!(sign_in(&server, "ada@example.org", PASSWORD).await?.status.as_u16(), 400);
    sign_in(&server, "countess@example.org", PASSWORD).await?.expect(200)?;

    let strict = strict().start().await?;
    strict
        .post("/auth/v1/signup", &json!({ "email": "ada@example.org", "password": PASSWORD }))
        .await?
        .expect(200)?;
    confirm(&strict, "ada@example.org").await?;
    let ada = sign_in(&strict, "ada@example.org", PASSWORD).await?.expect(200)?;
    let later = change(&strict, &ada, &json!({ "email": "eve@example.org" })).await?.expect(200)?;
    assert_eq!((text(&later, "email"), text(&later, "new_email")), ("ada@example.org", "eve@example.org"));
    Ok(())
}

#[tokio::test]
async fn five_attempts_a_minute_for_an_account_wherever_they_come_from() -> Result<()> {
    let clock = clock()?;
    let server = behind_a_proxy(&clock).await?;
    sign_up(&server, "ada@example.org").await?;
    for i in 0..5 {
        let reply = sign_in_from(&server, "ada@example.org", "wrong password", i).await?;
        assert_eq!(reply.status.as_u16(), 400, "attempt {i}");
        clock.advance(Duration::from_secs(2));
    }
    // Not even the right password, and in any case of the address.
    let limited = sign_in_from(&server, "ADA@example.org", PASSWORD, 9).await?;
    assert_eq!(
        (limited.status.as_u16(), text(&limited.body, "error_code")),
        (429, "over_request_rate_limit")
    );
    // The first attempt was ten seconds ago.
    assert_eq!(limited.header("retry-after"), "50");
    sign_up(&server, "bob@example.org").await?;
    sign_in_from(&server, "bob@example.org", PASSWORD, 9).await?.expect(200)?;
    clock.advance(Duration::from_secs(49));
    assert_eq!(sign_in_from(&server, "ada@example.org", PASSWORD, 9).await?.status.as_u16(), 429);
    clock.advance(Duration::from_secs(1));
    sign_in_from(&server, "ada@example.org", PASSWORD, 9).await?.expect(200)?;
    // One place only has become free: refused attempts did not count, the others still do.
    assert_eq!(sign_in_from(&server, "ada@example.org", PASSWORD, 9).await?.status.as_u16(), 429);
    Ok(())
}

#[tokio::test]
async fn five_wrong_passwords_a_minute_from_one_address_whatever_the_account() -> Result<()> {
    let clock = clock()?;
    let server = behind_a_proxy(&clock).await?;
    // Many people behind one address may sign in.
    for i in 0..8 {
        let email = format!("guest{i}@example.org");
        sign_up(&server, &email).await?;
        sign_in_from(&server, &email, PASSWORD, 1).await?.expect(200)?;
    }
    for i in 0..5 {
        let reply = sign_in_from(&server, &format!("nobody{i}@example.org"), "a guess", 1).await?;
        assert_eq!(reply.status.as_u16(), 400, "attempt {i}");
    }
    assert_eq!(sign_in_from(&server, "nobody9@example.org", "a guess", 1).await?.status.as_u16(), 429);
    assert_eq!(sign_in_from(&server, "guest0@example.org", PASSWORD, 1).await?.status.as_u16(), 429);
    // What the address was refused did not count against the account.
    sign_in_from(&server, "guest0@example.org", PASSWORD, 2).await?.expect(200)?;
    clock.advance(Duration::from_secs(60));
    sign_in_from(&server, "guest1@example.org", PASSWORD, 1).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_rush_of_attempts_at_once_gets_no_more_than_its_five() -> Result<()> {
    let server = TestServer::start().await?;
    sign_up(&server, "ada@example.org").await?;
    let attempts: Vec<_> = (0..12)
        .map(|_| {
            let body = json!({ "email": "ada@example.org", "password": "a guess" });
            tokio::spawn(send(server.request(Method::POST, "/auth/v1/token?grant_type=password").json(&body)))
        })
        .collect();
    let mut statuses = Vec::new();
    for attempt in attempts {
        statuses.push(attempt.await??.status.as_u16());
    }
    assert_eq!(statuses.iter().filter(|s| **s == 400).count(), 5, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|s| **s == 429).count(), 7, "{statuses:?}");
    Ok(())
}

#[tokio::test]
async fn accounts_made_from_one_address_are_limited() -> Result<()> {
    let clock = clock()?;
    let server = TestServer::builder()
        .clock(&clock)
        .config(|c| {
            c.dev = false;
            c.auth.signups_per_minute = 2;
        })
        .start()
        .await?;
    let sign_up = |i: u8| {
        let body = json!({ "email": format!("guest{i}@example.org"), "password": PASSWORD });
        send(server.request(Method::POST, "/auth/v1/signup").json(&body))
    };
    for i in 0..2 {
        sign_up(i).await?.expect(200)?;
    }
    let limited = sign_up(2).await?;
    assert_eq!((limited.status.as_u16(), limited.header("retry-after")), (429, "60"));
    clock.advance(Duration::from_secs(60));
    sign_up(2).await?.expect(200)?;
    Ok(())
}

/// A server that believes the proxy on this machine, so that a test can come from anywhere.
async fn behind_a_proxy(clock: &TestClock) -> Result<TestServer> {
    let net = "127.0.0.1".parse().map_err(|e| anyhow::anyhow!("{e}"))?;
    TestServer::builder().clock(clock).config(|c| c.trusted_proxies = vec![net]).start().await
}

async fn sign_in_from(server: &TestServer, email: &str, password: &str, host: u8) -> Result<Reply> {
    let body = json!({ "email": email, "password": password });
    let request = server
        .request(Method::POST, "/auth/v1/token?grant_type=password")
        .header("x-forwarded-for", format!("198.51.100.{host}"));
    send(request.json(&body)).await
}

#[tokio::test]
async fn forged_and_foreign_tokens_open_nothing() -> Result<()> {
    let clock = clock()?;
    let server = TestServer::builder().clock(&clock).start().await?;
    let other = TestServer::builder().clock(&clock).seed(2).start().await?;
    let session = sign_up(&server, "ada@example.org").await?;
    let token = text(&session, "access_token");
    let [header, claims, signature]: [&str; 3] =
        token.split('.').collect::<Vec<_>>().try_into().map_err(|_| anyhow::anyhow!("not a JWS"))?;
    let kid = json_of(header)?["kid"].clone();
    let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let jwks = server.get("/.well-known/jwks.json").await?.expect(200)?;
    let mut point = vec![4];
    for coordinate in ["x", "y"] {
        point.extend(URL_SAFE_NO_PAD.decode(text(&jwks["keys"][0], coordinate))?);
    }
    // The same key as SubjectPublicKeyInfo, raw and in PEM: what a confused library would take as the secret.
    let mut spki = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200")?;
    spki.extend(&point);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&spki));
    let hs256 = |secret: &[u8]| {
        let signed = format!("{}.{claims}", encode(json!({ "alg": "HS256", "typ": "JWT", "kid": kid })));
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
        let tag = ring::hmac::sign(&key, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    };
    let mut admin = json_of(claims)?;
    admin["app_metadata"]["role"] = json!("admin");
    let mut forged = vec![
        ("alg none", format!("{}.{claims}.", encode(json!({ "alg": "none", "kid": kid })))),
        ("alg None", format!("{}.{claims}.", encode(json!({ "alg": "None", "kid": kid })))),
        (
            "alg none with the signature",
            format!("{}.{claims}.{signature}", encode(json!({ "alg": "none", "kid": kid }))),
        ),
        ("no kid", format!("{}.{claims}.{signature}", encode(json!({ "alg": "ES256" })))),
        ("another kid", format!("{}.{claims}.{signature}", encode(json!({ "alg": "ES256", "kid": "x" })))),
        ("HS256 by the point", hs256(&point)),
        ("HS256 by the DER", hs256(&spki)),
        ("HS256 by the PEM", hs256(pem.as_bytes())),
        ("other claims", format!("{header}.{}.{signature}", encode(admin))),
        ("no signature", format!("{header}.{claims}.")),
        ("a zero signature", format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode([0; 64]))),
        ("two parts", format!("{header}.{claims}")),
        ("nothing", "x".to_owned()),
        ("much", "x".repeat(20_000)),
        (
            "another installation's",
            text(&sign_up(&other, "ada@example.org").await?, "access_token").to_owned(),
        ),
    ];
    let mut bent = URL_SAFE_NO_PAD.decode(signature)?;
    for at in [0, 31, 32, 63] {
        bent[at] ^= 1;
        forged.push(("a bent signature", format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(&bent))));
        bent[at] ^= 1;
    }
    for path in ["/auth/v1/user", "/auth/verify"] {
        server.get_as(token, path).await?.expect(200)?;
        for (what, token) in &forged {
            let reply = server.get_as(token, path).await?;
            let code = if path == "/auth/verify" { "invalid_token" } else { "bad_jwt" };
            let got = reply.body["error_code"].as_str().or(reply.body["code"].as_str());
            if what == &"much" && reply.status.as_u16() == 431 {
                continue;
            }
            assert_eq!((reply.status.as_u16(), got), (401, Some(code)), "{what} at {path}: {}", reply.text);
        }
    }
    clock.advance(Duration::from_secs(3_599));
    server.get_as(token, "/auth/verify").await?.expect(200)?;
    clock.advance(Duration::from_secs(1));
    assert_eq!(server.get_as(token, "/auth/verify").await?.code(), "token_expired");
    assert_eq!(text(&server.get_as(token, "/auth/v1/user").await?.body, "error_code"), "bad_jwt");
    assert_eq!(text(&server.get("/auth/v1/user").await?.body, "error_code"), "no_authorization");
    Ok(())
}

fn json_of(part: &str) -> Result<Value> {
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part)?)?)
}

#[tokio::test]
async fn verify_says_who_is_calling_until_the_session_ends() -> Result<()> {
    let server = TestServer::start().await?;
    let session = sign_up(&server, "ada@example.org").await?;
    let token = text(&session, "access_token");
    let user_id: Uuid = text(&session["user"], "id").parse()?;
    let (mine, others) = (Uuid::from_u128(1), Uuid::from_u128(2));
    for (organizer, user, role) in
        [(mine, user_id, OrgRole::Manager), (others, Uuid::from_u128(3), OrgRole::Owner)]
    {
        let mut tx = server.app.db.tenant(organizer).await?;
        member::put(&mut tx, organizer, user, role, server.app.clock.now()).await?;
        tx.commit().await?;
    }
    let who = server.get_as(token, "/auth/verify").await?.expect(200)?;
    assert_eq!(who["kind"], "user");
    assert_eq!(who["user_id"], json!(user_id));
    assert_eq!((text(&who, "email"), text(&who, "role")), ("ada@example.org", "user"));
    assert_eq!(who["organizers"], json!([{ "organizer_id": mine, "role": "manager" }]));
    assert_eq!(server.get("/auth/verify").await?.code(), "not_signed_in");
    sign_out(&server, &session, "").await?.expect(204)?;
    let ended = server.get_as(token, "/auth/verify").await?;
    assert_eq!((ended.status.as_u16(), ended.code()), (401, "session_ended"));
    Ok(())
}

#[tokio::test]
async fn anybody_may_read_settings_health_and_public_keys() -> Result<()> {
    let server = strict().start().await?;
    let settings = server.get("/auth/v1/settings").await?.expect(200)?;
    assert_eq!(settings["external"]["email"], true);
    assert_eq!(
        (&settings["mailer_autoconfirm"], &settings["disable_signup"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(server.get("/auth/v1/health").await?.expect(200)?["name"], "HVFLVSPOT");
    let keys = server.get("/.well-known/jwks.json").await?;
    assert_eq!(keys.header("cache-control"), "public, max-age=300");
    assert_eq!(keys.body, server.get("/auth/v1/.well-known/jwks.json").await?.expect(200)?);
    let key = &keys.body["keys"][0];
    assert_eq!((text(key, "kty"), text(key, "crv"), text(key, "alg")), ("EC", "P-256", "ES256"));
    assert!(key["d"].is_null(), "the private half stays here");
    Ok(())
}

#[tokio::test]
async fn neither_the_database_nor_the_log_holds_a_secret_in_the_clear() -> Result<()> {
    let log = Log::default();
    let _guard = log.listen();
    let server = TestServer::start().await?;
    let password = "a very secret password";
    let body = json!({ "email": "ada@example.org", "password": password, "data": { "name": "Countess" } });
    let session = server.post("/auth/v1/signup", &body).await?.expect(200)?;
    let next = refresh(&server, &session["refresh_token"]).await?.expect(200)?;
    refresh(&server, &session["refresh_token"]).await?;
    sign_in(&server, "ada@example.org", "wrong password").await?;
    let again = sign_in(&server, "ada@example.org", password).await?.expect(200)?;
    change(&server, &again, &json!({ "password": "wholly new password" })).await?.expect(200)?;
    server.post("/auth/v1/signup", &json!({ "email": "eve@example.org", "password": "short7" })).await?;
    server.post("/auth/v1/signup", &json!({ "email": "eve@example.org", "password": [password] })).await?;

    let mut secrets =
        vec![password.to_owned(), "wrong password".into(), "wholly new password".into(), "short7".into()];
    for session in [&session, &next, &again] {
        secrets.push(text(session, "refresh_token").to_owned());
        let token = text(session, "access_token");
        secrets.extend(token.rsplit_once('.').map(|(_, signature)| signature.to_owned()));
    }
    let mut db = server.db.owner().await?;
    let mut stored = String::new();
    for table in ["users", "sessions", "refresh_tokens", "rate_limits"] {
        let rows: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select t::text from {table} t")))
                .fetch_all(&mut db)
                .await?;
        assert!(!rows.is_empty(), "{table}");
        stored.push_str(&rows.join("\n"));
    }
    let logged = log.text();
    assert!(logged.contains("a used refresh token came again"), "the log was heard");
    assert!(logged.contains("insert into refresh_tokens"), "and with every statement");
    for secret in &secrets {
        assert!(!stored.contains(secret), "{secret} is stored");
        assert!(!logged.contains(secret), "{secret} is logged");
    }
    for personal in ["ada@example.org", "eve@example.org", "Countess"] {
        assert!(!logged.contains(personal), "{personal} is logged");
    }
    Ok(())
}

#[tokio::test]
async fn the_demo_is_made_once_and_again_when_its_event_is_over() -> Result<()> {
    let clock = clock()?;
    let server = TestServer::builder().clock(&clock).start().await?;
    let router = hvflvspot::http::router::router(server.app.clone());
    for _ in 0..2 {
        demo::seed(&server.app, &router).await?;
    }
    sign_in(&server, demo::ATTENDEE.0, demo::ATTENDEE.1).await?.expect(200)?;
    let session = sign_in(&server, demo::ORGANIZER.0, demo::ORGANIZER.1).await?.expect(200)?;
    let token = text(&session, "access_token");
    let who = server.get_as(token, "/auth/verify").await?.expect(200)?;
    assert_eq!(who["role"], "organizer");
    assert_eq!(who["organizers"].as_array().map(Vec::len), Some(1));
    let profile = server.get_as(token, "/organizer/profile").await?.expect(200)?;
    assert_eq!((text(&profile, "name"), text(&profile, "status")), ("Demo Organizer", "approved"));
    let events = async |count: usize| -> Result<String> {
        let page = server.get_as(token, "/organizer/events").await?.expect(200)?;
        let items = page["items"].as_array().context("a page has items")?;
        assert_eq!(items.len(), count, "{page}");
        assert!(items.iter().all(|event| event["status"] == "published"), "{page}");
        Ok(text(&items[0], "event_id").to_owned())
    };
    let base = format!("/organizer/events/{}", events(1).await?);
    for (part, count) in [("ticket-types", 2), ("lists", 1), ("gates", 2), ("stewards", 1)] {
        let list = server.get_as(token, &format!("{base}/{part}")).await?.expect(200)?;
        assert_eq!(list["items"].as_array().map(Vec::len), Some(count), "{part}: {list}");
    }
    // Less than a day to go.
    let mut db = server.db.owner().await?;
    db.execute("update events set ends_at = starts_at + interval '1 hour'").await?;
    demo::seed(&server.app, &router).await?;
    events(2).await?;
    Ok(())
}

/// Everything that is logged on this thread.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen(&self) -> impl Drop + use<> {
        let writer = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter("trace,h2=off,hyper=off,hyper_util=off,reqwest=off,mio=off")
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        use tracing_subscriber::util::SubscriberInitExt as _;
        subscriber.set_default()
    }

    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
