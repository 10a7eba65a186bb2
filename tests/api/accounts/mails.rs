//! What a mail's link or code opens, how often, and for whom.

use std::time::Duration;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hvflvspot::clock::TestClock;
use hvflvspot::jobs;
use reqwest::{Method, Url};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use support::server::{Reply, TestServer, send};
use time::OffsetDateTime;

const PASSWORD: &str = "correct horse battery";
const APP: &str = "https://app.example/welcome";

/// A development server, for its mailbox, on which addresses must be confirmed all the same.
pub(super) async fn server() -> Result<(TestServer, TestClock)> {
    let clock = TestClock::at(OffsetDateTime::from_unix_timestamp(1_800_000_000)?);
    let server = TestServer::builder()
        .clock(&clock)
        .config(|c| {
            c.auth.redirect_urls = vec!["https://app.example".to_owned()];
            c.auth.autoconfirm = Some(false);
        })
        .start()
        .await?;
    Ok((server, clock))
}

pub(super) struct Letter {
    pub(super) kind: String,
    pub(super) link: Url,
    pub(super) code: String,
}

/// The newest mail to an address.
pub(super) async fn newest(server: &TestServer, to: &str) -> Result<Option<Letter>> {
    // Mails on request are written after the answer.
    server.app.background.wait().await;
    jobs::outbox::run(&server.app).await?;
    let mails = server.get(&format!("/dev/mailbox?recipient={to}")).await?.expect(200)?;
    let Some(mail) = mails.as_array().and_then(|m| m.first()).cloned() else { return Ok(None) };
    let text = mail["text"].as_str().context("a mail has text")?;
    let link = text.lines().find(|l| l.starts_with("http")).unwrap_or("http://localhost/");
    let code = text.lines().find(|l| l.starts_with("    ")).unwrap_or_default().trim().to_owned();
    Ok(Some(Letter {
        kind: mail["kind"].as_str().unwrap_or_default().to_owned(),
        link: Url::parse(link)?,
        code,
    }))
}

pub(super) async fn letter(server: &TestServer, to: &str) -> Result<Letter> {
    newest(server, to).await?.with_context(|| format!("no mail to {to}"))
}

pub(super) fn param(url: &Url, name: &str) -> String {
    url.query_pairs().find(|(n, _)| n == name).map(|(_, v)| v.into_owned()).unwrap_or_default()
}

pub(super) fn of_fragment(url: &Url, name: &str) -> String {
    let mut form = url.clone();
    form.set_query(url.fragment());
    param(&form, name)
}

/// Follows a link and says where it leads.
pub(super) async fn follow(server: &TestServer, link: &Url) -> Result<Url> {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let query = link.query().unwrap_or_default();
    let reply = send(client.get(format!("{}{}?{query}", server.url, link.path()))).await?;
    anyhow::ensure!(reply.status.as_u16() == 303, "{} {}", reply.status, reply.text);
    Ok(Url::parse(reply.header("location"))?)
}

pub(super) async fn verify(server: &TestServer, kind: &str, email: &str, code: &str) -> Result<Reply> {
    server.post("/auth/v1/verify", &json!({ "type": kind, "email": email, "token": code })).await
}

pub(super) async fn ask(server: &TestServer, what: &str, body: &Value) -> Result<()> {
    // Notices that wait go out first, so that the newest mail is the one asked for.
    jobs::outbox::run(&server.app).await?;
    let reply = server.post(&format!("/auth/v1/{what}?redirect_to={APP}"), body).await?.expect(200)?;
    assert_eq!(reply, json!({}), "an answer tells nothing");
    server.app.background.wait().await;
    Ok(())
}

pub(super) fn refusal(reply: &Reply) -> (u16, String) {
    (reply.status.as_u16(), reply.body["error_code"].as_str().unwrap_or_default().to_owned())
}

pub(super) fn expired() -> (u16, String) {
    (403, "otp_expired".to_owned())
}

pub(super) fn other(code: &str) -> String {
    let n: u32 = code.parse().unwrap_or_default();
    format!("{:06}", (n + 1) % 1_000_000)
}

#[tokio::test]
async fn a_sign_up_is_confirmed_by_its_link_once() -> Result<()> {
    let (server, _) = server().await?;
    let body = json!({ "email": "ada@example.org", "password": PASSWORD });
    server.post(&format!("/auth/v1/signup?redirect_to={APP}"), &body).await?.expect(200)?;
    let mail = letter(&server, "ada@example.org").await?;
    assert_eq!((mail.kind.as_str(), param(&mail.link, "redirect_to").as_str()), ("auth.confirm", APP));
    // A mail program looks first.
    let head =
        server.request(Method::HEAD, &format!("/auth/v1/verify?{}", mail.link.query().unwrap_or_default()));
    assert_eq!(send(head).await?.status.as_u16(), 200);

    let target = follow(&server, &mail.link).await?;
    assert!(target.as_str().starts_with("https://app.example/welcome#access_token="), "{target}");
    assert_eq!(
        (of_fragment(&target, "type"), of_fragment(&target, "token_type")),
        ("signup".into(), "bearer".into())
    );
    let user = server.get_as(&of_fragment(&target, "access_token"), "/auth/v1/user").await?.expect(200)?;
    assert!(user["email_confirmed_at"].is_string());
    let again = follow(&server, &mail.link).await?;
    assert_eq!(of_fragment(&again, "error_code"), "otp_expired");
    assert!(!again.as_str().contains("access_token"));
    server.post("/auth/v1/token?grant_type=password", &body).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_code_is_good_for_five_tries_and_for_its_hour() -> Result<()> {
    let (server, clock) = server().await?;
    let email = "ada@example.org";
    ask(&server, "otp", &json!({ "email": email })).await?;
    let mail = letter(&server, email).await?;
    for _ in 0..5 {
        assert_eq!(refusal(&verify(&server, "email", email, &other(&mail.code)).await?), expired());
    }
    assert_eq!(refusal(&verify(&server, "email", email, &mail.code).await?), expired(), "the sixth try");
    clock.advance(Duration::from_secs(61));

    ask(&server, "otp", &json!({ "email": email })).await?;
    let mail = letter(&server, email).await?;
    assert_eq!(refusal(&verify(&server, "recovery", email, &mail.code).await?), expired(), "another purpose");
    assert_eq!(
        refusal(&verify(&server, "email", "bob@example.org", &mail.code).await?),
        expired(),
        "of nobody"
    );
    let session = verify(&server, "email", "ADA@example.org", &mail.code).await?.expect(200)?;
    let claims: Value = serde_json::from_slice(
        &URL_SAFE_NO_PAD
            .decode(session["access_token"].as_str().and_then(|t| t.split('.').nth(1)).unwrap_or_default())?,
    )?;
    assert_eq!(claims["amr"][0]["method"], "otp");
    assert_eq!(refusal(&verify(&server, "email", email, &mail.code).await?), expired(), "used");

    ask(&server, "otp", &json!({ "email": email })).await?;
    let old = letter(&server, email).await?;
    clock.advance(Duration::from_secs(3_600));
    assert_eq!(refusal(&verify(&server, "email", email, &old.code).await?), expired(), "too old");
    Ok(())
}

#[tokio::test]
async fn tries_that_race_are_no_more_than_five() -> Result<()> {
    let (server, _) = server().await?;
    let email = "ada@example.org";
    ask(&server, "otp", &json!({ "email": email })).await?;
    let mail = letter(&server, email).await?;
    let wrong = other(&mail.code);
    let tries: Vec<_> = (0..9)
        .map(|_| {
            let body = json!({ "type": "email", "email": email, "token": wrong });
            tokio::spawn(send(server.request(Method::POST, "/auth/v1/verify").json(&body)))
        })
        .collect();
    for one in tries {
        one.await??;
    }
    let mut db = server.db.owner().await?;
    let tries: i16 = sqlx::query_scalar("select tries from one_time_tokens").fetch_one(&mut db).await?;
    assert_eq!(tries, 5);
    Ok(())
}

#[tokio::test]
async fn nobody_learns_whether_an_address_has_an_account() -> Result<()> {
    let (server, _) = server().await?;
    ask(&server, "otp", &json!({ "email": "known@example.org" })).await?;
    let known = letter(&server, "known@example.org").await?;
    verify(&server, "email", "known@example.org", &known.code).await?.expect(200)?;
    for what in ["recover", "resend", "otp"] {
        for email in ["known@example.org", "unknown@example.org"] {
            let body = json!({ "email": email, "type": "signup", "create_user": false });
            ask(&server, what, &body).await?;
        }
    }
    assert!(newest(&server, "unknown@example.org").await?.is_none(), "nobody is written to who is nobody");
    let mut db = server.db.owner().await?;
    let users: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&mut db).await?;
    assert_eq!(users, 1);
    Ok(())
}

#[tokio::test]
async fn mails_on_request_are_limited_for_known_and_unknown_alike() -> Result<()> {
    let clock = TestClock::at(OffsetDateTime::from_unix_timestamp(1_800_000_000)?);
    let server = TestServer::builder()
        .clock(&clock)
        .config(|c| {
            c.dev = false;
            c.auth.mails_per_hour = 3;
        })
        .start()
        .await?;
    let max = server.app.config.auth.mails_per_hour;
    for email in ["known@example.org", "unknown@example.org"] {
        for _ in 0..max {
            server.post("/auth/v1/recover", &json!({ "email": email })).await?.expect(200)?;
        }
        let refused = server.post("/auth/v1/recover", &json!({ "email": email })).await?;
        assert_eq!(refusal(&refused), (429, "over_email_send_rate_limit".to_owned()));
        assert_eq!(refused.header("retry-after"), "3600");
    }
    clock.advance(Duration::from_secs(3_600));
    server.post("/auth/v1/recover", &json!({ "email": "known@example.org" })).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_recovery_leads_to_a_new_password_and_ends_the_other_sessions() -> Result<()> {
    let (server, _) = server().await?;
    let email = "ada@example.org";
    let body = json!({ "email": email, "password": PASSWORD });
    server.post("/auth/v1/signup", &body).await?.expect(200)?;
    let mail = letter(&server, email).await?;
    let thief = verify(&server, "signup", email, &mail.code).await?.expect(200)?;

    ask(&server, "recover", &json!({ "email": email })).await?;
    let mail = letter(&server, email).await?;
    assert_eq!(mail.kind, "auth.recovery");
    let token = param(&mail.link, "token");
    let wrong = server.post("/auth/v1/verify", &json!({ "type": "email", "token_hash": token })).await?;
    assert_eq!(refusal(&wrong), expired(), "of another purpose");
    let session = server
        .post("/auth/v1/verify", &json!({ "type": "recovery", "token_hash": token }))
        .await?
        .expect(200)?;
    let access = session["access_token"].as_str().unwrap_or_default();
    let change = server.request(Method::PUT, "/auth/v1/user").bearer_auth(access);
    send(change.json(&json!({ "password": "a wholly new one" }))).await?.expect(200)?;
    let dead = json!({ "refresh_token": thief["refresh_token"] });
    assert_eq!(server.post("/auth/v1/token?grant_type=refresh_token", &dead).await?.status.as_u16(), 400);
    assert_eq!(server.post("/auth/v1/token?grant_type=password", &body).await?.status.as_u16(), 400);
    let new = json!({ "email": email, "password": "a wholly new one" });
    server.post("/auth/v1/token?grant_type=password", &new).await?.expect(200)?;
    assert_eq!(letter(&server, email).await?.kind, "auth.password_changed");
    Ok(())
}

#[tokio::test]
async fn a_password_chosen_by_a_stranger_dies_when_the_owner_comes_by_mail() -> Result<()> {
    let (server, _) = server().await?;
    let email = "victim@example.org";
    let body = json!({ "email": email, "password": "the stranger's own" });
    server.post("/auth/v1/signup", &body).await?.expect(200)?;
    assert_eq!(letter(&server, email).await?.kind, "auth.confirm");
    ask(&server, "otp", &json!({ "email": email })).await?;
    let mail = letter(&server, email).await?;
    assert_eq!(mail.kind, "auth.magic_link");
    verify(&server, "magiclink", email, &mail.code).await?.expect(200)?;
    let stranger = server.post("/auth/v1/token?grant_type=password", &body).await?;
    assert_eq!(refusal(&stranger), (400, "invalid_credentials".to_owned()));
    Ok(())
}

#[tokio::test]
async fn with_a_challenge_the_link_gives_a_code_for_who_knows_the_verifier() -> Result<()> {
    let (server, clock) = server().await?;
    let verifier = "v".repeat(56);
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    let begin = async |n: u8| -> Result<String> {
        let email = format!("ada{n}@example.org");
        let body = json!({ "email": email, "code_challenge": challenge, "code_challenge_method": "s256" });
        ask(&server, "otp", &body).await?;
        let target = follow(&server, &letter(&server, &email).await?.link).await?;
        assert!(target.fragment().is_none(), "no session in the address: {target}");
        Ok(param(&target, "code"))
    };
    let exchange = |code: &str, verifier: &str| {
        let body = json!({ "auth_code": code, "code_verifier": verifier });
        send(server.request(Method::POST, "/auth/v1/token?grant_type=pkce").json(&body))
    };
    let code = begin(1).await?;
    exchange(&code, &verifier).await?.expect(200)?;
    assert_eq!(refusal(&exchange(&code, &verifier).await?), (404, "flow_state_not_found".to_owned()));
    let code = begin(2).await?;
    assert_eq!(refusal(&exchange(&code, "a guess").await?), (400, "bad_code_verifier".to_owned()));
    assert_eq!(refusal(&exchange(&code, &verifier).await?), (404, "flow_state_not_found".to_owned()));
    let code = begin(3).await?;
    clock.advance(Duration::from_secs(300));
    assert_eq!(refusal(&exchange(&code, &verifier).await?), (404, "flow_state_not_found".to_owned()));
    let bad = json!({ "email": "a@example.org", "code_challenge": "short", "code_challenge_method": "s256" });
    assert_eq!(refusal(&server.post("/auth/v1/otp", &bad).await?), (400, "validation_failed".to_owned()));
    Ok(())
}

#[tokio::test]
async fn a_new_address_is_confirmed_by_mail_and_the_old_one_is_told() -> Result<()> {
    let (server, _) = server().await?;
    for email in ["ada@example.org", "taken@example.org"] {
        ask(&server, "otp", &json!({ "email": email })).await?;
    }
    let mail = letter(&server, "ada@example.org").await?;
    let session = verify(&server, "email", "ada@example.org", &mail.code).await?.expect(200)?;
    let access = session["access_token"].as_str().unwrap_or_default().to_owned();
    let change = |email: &str| {
        let request = server.request(Method::PUT, "/auth/v1/user").bearer_auth(&access);
        send(request.json(&json!({ "email": email })))
    };
    let taken_before = letter(&server, "taken@example.org").await?.code;
    let taken = change("taken@example.org").await?.expect(200)?;
    assert_eq!(taken["new_email"], "taken@example.org", "nothing is told of a taken one");
    assert_eq!(letter(&server, "taken@example.org").await?.code, taken_before, "and nobody is written to");

    change("eve@example.org").await?.expect(200)?;
    assert_eq!(letter(&server, "ada@example.org").await?.kind, "auth.email_change_notice");
    ask(&server, "resend", &json!({ "email": "ada@example.org", "type": "email_change" })).await?;
    let mail = letter(&server, "eve@example.org").await?;
    assert_eq!(mail.kind, "auth.email_change");
    let user = server.get_as(&access, "/auth/v1/user").await?.expect(200)?;
    assert_eq!(user["email"], "ada@example.org", "not before it is confirmed");
    let session = verify(&server, "email_change", "eve@example.org", &mail.code).await?.expect(200)?;
    assert_eq!(session["user"]["email"], "eve@example.org");
    Ok(())
}

#[tokio::test]
async fn an_old_session_changes_the_password_by_a_code_from_the_mail() -> Result<()> {
    let (server, clock) = server().await?;
    let email = "ada@example.org";
    ask(&server, "otp", &json!({ "email": email })).await?;
    let mail = letter(&server, email).await?;
    let mut session = verify(&server, "email", email, &mail.code).await?.expect(200)?;
    for _ in 0..2 {
        clock.advance(Duration::from_secs(13 * 3_600));
        let body = json!({ "refresh_token": session["refresh_token"] });
        session = server.post("/auth/v1/token?grant_type=refresh_token", &body).await?.expect(200)?;
    }
    let access = session["access_token"].as_str().unwrap_or_default().to_owned();
    let change = |nonce: &str| {
        let request = server.request(Method::PUT, "/auth/v1/user").bearer_auth(&access);
        send(request.json(&json!({ "password": PASSWORD, "nonce": nonce })))
    };
    assert_eq!(refusal(&change("").await?), (400, "reauthentication_needed".to_owned()));
    server.get_as(&access, "/auth/v1/reauthenticate").await?.expect(200)?;
    let mail = letter(&server, email).await?;
    assert_eq!(mail.kind, "auth.reauthentication");
    assert_eq!(
        refusal(&verify(&server, "email", email, &mail.code).await?),
        expired(),
        "it opens no session"
    );
    assert_eq!(refusal(&change(&other(&mail.code)).await?), (422, "reauthentication_not_valid".to_owned()));
    change(&mail.code).await?.expect(200)?;
    assert_eq!(refusal(&change(&mail.code).await?), (422, "reauthentication_not_valid".to_owned()));
    Ok(())
}

#[tokio::test]
async fn links_lead_back_to_allowed_places_alone() -> Result<()> {
    let (server, _) = server().await?;
    for (n, (wished, allowed)) in [
        ("https://app.example/a?b=c", true),
        ("https://app.example:8443/", false),
        ("https://app.example.evil.example/", false),
        ("https://app.example@evil.example/", false),
        ("//evil.example", false),
        ("javascript:alert(1)", false),
        ("http://localhost:5173/x", true),
    ]
    .into_iter()
    .enumerate()
    {
        let email = format!("guest{n}@example.org");
        let mut url = Url::parse(&server.url)?;
        url.set_path("/auth/v1/otp");
        url.query_pairs_mut().append_pair("redirect_to", wished);
        send(server.client.post(url).json(&json!({ "email": email }))).await?.expect(200)?;
        let mut link = letter(&server, &email).await?.link;
        let told = param(&link, "redirect_to");
        assert_eq!(told == wished, allowed, "{wished}: {told}");
        // Also where somebody wrote it into the link by hand.
        let token = param(&link, "token");
        link.query_pairs_mut()
            .clear()
            .append_pair("token", &token)
            .append_pair("type", "magiclink")
            .append_pair("redirect_to", wished);
        let target = follow(&server, &link).await?;
        let back = target.as_str().starts_with(wished);
        assert_eq!(back, allowed, "{wished}: {target}");
    }
    Ok(())
}

#[tokio::test]
async fn the_database_holds_no_link_and_no_code() -> Result<()> {
    let (server, _) = server().await?;
    let email = "ada@example.org";
    ask(&server, "otp", &json!({ "email": email })).await?;
    let stored = server.db.dump(&["one_time_tokens", "outbox", "users"]).await?;
    let mail = letter(&server, email).await?;
    assert!(!stored.contains(&param(&mail.link, "token")));
    assert!(!stored.contains(&hex::encode(param(&mail.link, "token"))));
    assert!(!stored.contains(&mail.code), "{stored}");
    Ok(())
}
