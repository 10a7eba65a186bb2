//! Accounts at GoTrue's paths: every flow, and every way to abuse one.

mod demo;
mod limits;
mod secrets;
mod tokens;

use std::time::Duration;

use anyhow::{Context as _, Result};
use hvflvspot::clock::TestClock;
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
