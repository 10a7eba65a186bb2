//! Sessions by cookie, second factors, and leaving for good.

use std::time::Duration;

use anyhow::{Context as _, Result};
use hvflvspot::auth::totp::Secret;
use hvflvspot::clock::{Clock as _, TestClock};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::Row as _;
use support::server::{Reply, TestServer, send};

use super::{account, event_body, found, held, join, log_in, put_as, sign_up, text};

const PASSWORD: &str = "a-long-enough-password";

/// `name=text` of the cookie that an answer sets.
fn cookie_of(reply: &Reply) -> Result<String> {
    let line = reply.header("set-cookie");
    Ok(line.split(';').next().filter(|pair| pair.contains('=')).context("no cookie")?.to_owned())
}

fn login(name: &str) -> Value {
    json!({ "email": format!("{name}@access.example"), "password": PASSWORD })
}

async fn open(server: &TestServer, name: &str) -> Result<String> {
    let reply = server.post("/auth/session", &login(name)).await?;
    anyhow::ensure!(reply.status.as_u16() == 201, "{}", reply.text);
    cookie_of(&reply)
}

/// A request as a browser makes it from a page of the server's own.
fn browse(server: &TestServer, method: Method, path: &str, cookie: &str) -> RequestBuilder {
    server.request(method, path).header("cookie", cookie).header("sec-fetch-site", "same-origin")
}

#[tokio::test]
async fn a_cookie_opens_what_a_token_opens_until_the_session_ends() -> Result<()> {
    let (server, _) = held().await?;
    found(&server, "owner").await?;
    let reply = server.post("/auth/session", &login("owner")).await?;
    let line = reply.header("set-cookie").to_owned();
    assert!(line.starts_with("hvflvspot-dev-session="), "plain HTTP under --dev: {line}");
    assert!(line.contains("HttpOnly") && line.contains("SameSite=Lax") && line.contains("Path=/"), "{line}");
    let cookie = cookie_of(&reply)?;
    let organizer = send(browse(&server, Method::GET, "/organizer/profile", &cookie)).await?.expect(200)?;
    assert_eq!(organizer["role"], "owner");
    let here = send(browse(&server, Method::GET, "/auth/session", &cookie)).await?.expect(200)?;
    assert_eq!((&here["email"], &here["aal"]), (&json!("owner@access.example"), &json!("aal1")));

    let ended = send(browse(&server, Method::DELETE, "/auth/session", &cookie)).await?;
    assert!(ended.header("set-cookie").contains("Max-Age=0"), "{:?}", ended.headers);
    ended.expect(204)?;
    let after = send(browse(&server, Method::GET, "/organizer/profile", &cookie)).await?;
    assert_eq!((after.status.as_u16(), after.code()), (401, "session_ended"));
    send(browse(&server, Method::DELETE, "/auth/session", &cookie)).await?.expect(204)?;
    Ok(())
}

#[tokio::test]
async fn behind_https_the_cookie_is_bound_to_the_host() -> Result<()> {
    let server = TestServer::builder()
        .config(|config| config.public_url = Some("https://tickets.example".to_owned()))
        .start()
        .await?;
    sign_up(&server, "ann").await?;
    let reply = server.post("/auth/session", &login("ann")).await?;
    let line = reply.header("set-cookie");
    assert!(line.starts_with("__Host-session=") && line.contains("Secure"), "{line}");
    assert!(!line.contains("Domain"), "{line}");
    let cookie = cookie_of(&reply)?;
    let end = |origin: &'static str| {
        send(
            server
                .request(Method::DELETE, "/auth/session")
                .header("cookie", &cookie)
                .header("origin", origin),
        )
    };
    assert_eq!(end("https://tickets.example.evil.example").await?.code(), "bad_origin");
    end("https://tickets.example").await?.expect(204)?;
    Ok(())
}

#[tokio::test]
async fn an_unsafe_request_with_a_cookie_comes_from_a_page_of_ours() -> Result<()> {
    let (server, _) = held().await?;
    found(&server, "owner").await?;
    let cookie = open(&server, "owner").await?;
    let host = server.url.strip_prefix("http://").context("plain HTTP")?.to_owned();
    let create = |name: &'static str, value: String| {
        let request = server.request(Method::POST, "/organizer/events/create").header("cookie", &cookie);
        let request = if name.is_empty() { request } else { request.header(name, value) };
        send(request.json(&event_body()))
    };
    for (name, value) in [
        ("", String::new()),
        ("origin", "https://evil.example".to_owned()),
        ("origin", format!("http://{host}.evil.example")),
        ("origin", "null".to_owned()),
        ("sec-fetch-site", "cross-site".to_owned()),
        ("sec-fetch-site", "same-site".to_owned()),
        ("sec-fetch-site", "none".to_owned()),
    ] {
        let reply = create(name, value.clone()).await?;
        assert_eq!((reply.status.as_u16(), reply.code()), (403, "bad_origin"), "{name}: {value}");
    }
    create("origin", format!("http://{host}")).await?.expect(201)?;
    create("sec-fetch-site", "same-origin".to_owned()).await?.expect(201)?;
    let read = server.request(Method::GET, "/organizer/events").header("cookie", &cookie);
    let events = send(read.header("origin", "https://evil.example")).await?.expect(200)?;
    assert_eq!(events["items"].as_array().map(Vec::len), Some(2), "nothing was made by the others");

    let sign_in = server.request(Method::POST, "/auth/session").header("origin", "https://evil.example");
    assert_eq!(
        send(sign_in.json(&login("owner"))).await?.code(),
        "bad_origin",
        "signing in as somebody else"
    );
    Ok(())
}

#[tokio::test]
async fn a_cookie_and_a_bearer_token_are_two_credentials() -> Result<()> {
    let (server, _) = held().await?;
    let (token, ..) = found(&server, "owner").await?;
    let cookie = open(&server, "owner").await?;
    let both = browse(&server, Method::GET, "/organizer/events", &cookie).bearer_auth(&token);
    let reply = send(both).await?;
    assert_eq!((reply.status.as_u16(), reply.code()), (400, "two_credentials"));
    let both = server.request(Method::POST, "/auth/session").bearer_auth(&token).json(&login("owner"));
    assert_eq!(send(both).await?.code(), "two_credentials");
    Ok(())
}

#[tokio::test]
async fn a_browsers_session_ends_after_two_weeks_without_use_and_ninety_days_in_all() -> Result<()> {
    let (server, clock) = held().await?;
    sign_up(&server, "ann").await?;
    let cookie = open(&server, "ann").await?;
    let there = async || send(browse(&server, Method::GET, "/auth/session", &cookie)).await;
    let days = |n: u64| Duration::from_secs(n * 86_400);
    for day in 1..=6 {
        clock.advance(days(14) - Duration::from_secs(1));
        assert_eq!(there().await?.status.as_u16(), 200, "fortnight {day}");
    }
    clock.advance(days(6) + Duration::from_secs(6));
    assert_eq!(there().await?.code(), "session_ended", "ninety days");
    let cookie = open(&server, "ann").await?;
    clock.advance(days(14));
    let reply = send(browse(&server, Method::GET, "/auth/session", &cookie)).await?;
    assert_eq!(reply.code(), "session_ended", "idle");
    Ok(())
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one() -> Result<()> {
    let (server, _) = held().await?;
    let (token, _) = sign_up(&server, "ann").await?;
    let (other, _) = sign_up(&server, "bob").await?;
    let request =
        server.request(Method::POST, "/auth/session").header("user-agent", "Old phone").json(&login("ann"));
    let cookie = cookie_of(&send(request).await?)?;
    let listed = server.get_as(&token, "/auth/sessions").await?.expect(200)?;
    let all = listed["items"].as_array().context("a list")?;
    assert_eq!(all.len(), 2, "{listed}");
    let browser = all.iter().find(|s| s["browser"] == true).context("the browser's")?;
    assert_eq!((&browser["user_agent"], &browser["current"]), (&json!("Old phone"), &json!(false)));
    assert_eq!(all.iter().filter(|s| s["current"] == true).count(), 1);

    let path = format!("/auth/sessions/{}", text(browser, "session_id")?);
    let end = |token: String| send(server.request(Method::DELETE, &path).bearer_auth(token));
    assert_eq!(end(other).await?.status.as_u16(), 404, "somebody else's");
    end(token.clone()).await?.expect(204)?;
    let reply = send(browse(&server, Method::GET, "/auth/session", &cookie)).await?;
    assert_eq!(reply.code(), "session_ended");
    assert_eq!(end(token).await?.status.as_u16(), 404, "ended before");
    Ok(())
}

#[tokio::test]
async fn an_exchanged_token_gives_a_session_as_old_as_its_own() -> Result<()> {
    let (server, clock) = held().await?;
    let (token, _) = sign_up(&server, "ann").await?;
    clock.advance(Duration::from_secs(3_000));
    let reply = send(server.request(Method::POST, "/auth/session").bearer_auth(&token)).await?;
    let cookie = cookie_of(&reply)?;
    reply.expect(201)?;
    let listed = send(browse(&server, Method::GET, "/auth/sessions", &cookie)).await?.expect(200)?;
    let began: Vec<&Value> =
        listed["items"].as_array().context("a list")?.iter().map(|s| &s["created_at"]).collect();
    assert_eq!(began, [&json!("2026-11-20T12:00:00Z"), &json!("2026-11-20T12:00:00Z")]);
    Ok(())
}

#[tokio::test]
async fn wrong_passwords_count_against_the_limit_that_all_sign_ins_share() -> Result<()> {
    let (server, _) = held().await?;
    sign_up(&server, "ann").await?;
    let wrong = json!({ "email": "ann@access.example", "password": "not-the-password" });
    for n in 0..5 {
        let reply = match n % 2 {
            0 => server.post("/auth/session", &wrong).await?,
            _ => server.post("/auth/v1/token?grant_type=password", &wrong).await?,
        };
        assert_eq!(reply.code(), "invalid_credentials");
    }
    assert_eq!(server.post("/auth/session", &login("ann")).await?.status.as_u16(), 429);
    Ok(())
}

/// The authenticator app of a test.
struct App {
    secret: Secret,
    clock: TestClock,
}

impl App {
    fn now(&self) -> String {
        format!("{:06}", self.secret.code(self.clock.now().unix_timestamp().div_euclid(30)))
    }
}

/// Turns the second factor on: the app, the recovery codes and an access token of level aal2.
async fn with_totp(
    server: &TestServer,
    clock: &TestClock,
    token: &str,
) -> Result<(App, Vec<String>, String)> {
    let begun = server.post_as(token, "/auth/totp", &json!({ "password": PASSWORD })).await?.expect(200)?;
    let text_of = text(&begun, "secret")?;
    assert!(text(&begun, "otpauth_url")?.contains(&text_of));
    let app = App { secret: Secret::from_text(&text_of).context("base32")?, clock: clock.clone() };
    let confirmed =
        server.post_as(token, "/auth/totp/confirm", &json!({ "code": app.now() })).await?.expect(200)?;
    let codes = confirmed["recovery_codes"].as_array().context("codes")?;
    let codes = codes.iter().filter_map(|c| c.as_str().map(str::to_owned)).collect();
    Ok((app, codes, text(&confirmed, "access_token")?))
}

#[tokio::test]
async fn with_a_second_factor_work_for_an_organizer_takes_both() -> Result<()> {
    let (server, clock) = held().await?;
    let (token, ..) = found(&server, "owner").await?;
    let early = server.post_as(&token, "/auth/totp", &json!({})).await?;
    assert_eq!(early.code(), "reauthentication_needed", "a token alone turns nothing on");
    let (app, codes, strong) = with_totp(&server, &clock, &token).await?;
    assert_eq!(codes.len(), 10);
    server.get_as(&strong, "/organizer/events").await?.expect(200)?;
    let weak = server.get_as(&token, "/organizer/events").await?;
    assert_eq!((weak.status.as_u16(), weak.code()), (403, "totp_required"));
    server.get_as(&token, "/tickets/view").await?.expect(200)?;

    // A new sign-in begins below, by cookie as by token, and rises with a code.
    let session = server.post("/auth/v1/token?grant_type=password", &login("owner")).await?.expect(200)?;
    let bearer = text(&session, "access_token")?;
    assert_eq!(server.get_as(&bearer, "/organizer/events").await?.code(), "totp_required");
    let opened = server.post("/auth/session", &login("owner")).await?;
    assert_eq!(opened.body["totp_required"], true);
    let cookie = cookie_of(&opened)?;
    let events = async |cookie: &str| send(browse(&server, Method::GET, "/organizer/events", cookie)).await;
    assert_eq!(events(&cookie).await?.code(), "totp_required");
    clock.advance(Duration::from_secs(30));
    let verify = browse(&server, Method::POST, "/auth/totp/verify", &cookie);
    let raised = send(verify.json(&json!({ "code": app.now() }))).await?;
    let better = cookie_of(&raised)?;
    assert_ne!(better, cookie, "another cookie for the higher level");
    raised.expect(200)?;
    events(&better).await?.expect(200)?;
    assert_eq!(events(&cookie).await?.code(), "session_ended");

    let again = server.post_as(&bearer, "/auth/totp/verify", &json!({ "code": app.now() })).await?;
    assert_eq!((again.status.as_u16(), again.code()), (422, "wrong_code"), "a step is used once");
    clock.advance(Duration::from_secs(30));
    let raised =
        server.post_as(&bearer, "/auth/totp/verify", &json!({ "code": app.now() })).await?.expect(200)?;
    server.get_as(&text(&raised, "access_token")?, "/organizer/events").await?.expect(200)?;

    // What is refreshed keeps its level.
    let refresh = json!({ "refresh_token": session["refresh_token"] });
    let next = server.post("/auth/v1/token?grant_type=refresh_token", &refresh).await?.expect(200)?;
    server.get_as(&text(&next, "access_token")?, "/organizer/events").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_recovery_code_works_once_and_guessing_is_limited() -> Result<()> {
    let (server, clock) = held().await?;
    let (token, ..) = found(&server, "owner").await?;
    let (_, codes, strong) = with_totp(&server, &clock, &token).await?;
    let show = |code: String| {
        let body = json!({ "recovery_code": code });
        let server = &server;
        let token = &token;
        async move { server.post_as(token, "/auth/totp/verify", &body).await }
    };
    let raised = show(codes[0].to_lowercase().replace('-', "")).await?.expect(200)?;
    assert_eq!(raised["recovery_codes_left"], 9);
    assert_eq!(show(codes[0].clone()).await?.code(), "wrong_code");
    for _ in 0..2 {
        assert_eq!(show("AAAA-AAAA-AAAA-AAAA".to_owned()).await?.code(), "wrong_code");
    }
    // With the confirmation these were five within the minute.
    assert_eq!(show(codes[1].clone()).await?.status.as_u16(), 429);
    clock.advance(Duration::from_secs(61));
    show(codes[1].clone()).await?.expect(200)?;

    let weak = send(server.request(Method::DELETE, "/auth/totp").bearer_auth(&token)).await?;
    assert_eq!((weak.status.as_u16(), weak.code()), (403, "insufficient_aal"));
    send(server.request(Method::DELETE, "/auth/totp").bearer_auth(&strong)).await?.expect(204)?;
    server.get_as(&token, "/organizer/events").await?.expect(200)?;
    Ok(())
}

/// (rows, sum of all amounts) of the ledger, and what the quotas say is sold.
async fn books(server: &TestServer) -> Result<(i64, i64, i64, i64)> {
    let mut db = server.db.owner().await?;
    let row = sqlx::query(
        "select (select count(*) from ledger) as lines, (select coalesce(sum(abs(amount_minor)), 0)::bigint from ledger) as moved,
                (select coalesce(sum(sold), 0)::bigint from quotas) as sold, (select count(*) from tickets) as tickets",
    )
    .fetch_one(&mut db)
    .await?;
    Ok((row.get("lines"), row.get("moved"), row.get("sold"), row.get("tickets")))
}

#[tokio::test]
async fn an_account_that_leaves_takes_its_name_and_leaves_the_books() -> Result<()> {
    let (server, _) = held().await?;
    let (owner, _, organizer) = found(&server, "owner").await?;
    let (ann, ann_id) = join(&server, &owner, "ann", "manager").await?;
    let event = server.post_as(&owner, "/organizer/events/create", &event_body()).await?.expect(201)?;
    let event = text(&event, "event_id")?;
    let kind = json!({
        "name": "Standing", "price": { "amount_minor": 2_000, "currency": "EUR" },
        "tax": { "rate_bp": 1_000, "inclusive": true }, "capacity": 10,
    });
    let path = format!("/organizer/events/{event}");
    let kind = server.post_as(&owner, &format!("{path}/ticket-types"), &kind).await?.expect(201)?;
    server.post_as(&owner, &format!("{path}/publish"), &json!({})).await?.expect(200)?;
    let order = json!({
        "event_id": event, "items": [{ "ticket_type_id": kind["ticket_type_id"], "quantity": 2 }],
        "payment": { "method": "simulated", "token": "tok_always_succeeds" },
        "attendees": [{ "name": "Ann" }, { "name": "Ann's friend" }],
    });
    let booking = server.post_as(&ann, "/tickets/purchase", &order).await?.expect(201)?;
    let cookie = open(&server, "ann").await?;
    let before = books(&server).await?;
    assert!(before.0 > 0 && before.2 == 2, "{before:?}");

    let leave = |body: Value| send(browse(&server, Method::DELETE, "/auth/account", &cookie).json(&body));
    assert_eq!(leave(json!({})).await?.code(), "reauthentication_needed");
    assert_eq!(leave(json!({ "password": "wrong-password" })).await?.status.as_u16(), 422);
    let gone = leave(json!({ "password": PASSWORD })).await?.expect(200)?;
    assert_eq!(gone, json!({ "bookings": 1, "memberships": 1 }));

    assert_eq!(books(&server).await?, before, "ledger and counts are untouched");
    assert_eq!(leave(json!({ "password": PASSWORD })).await?.code(), "session_ended");
    assert_eq!(server.get_as(&ann, "/auth/verify").await?.code(), "session_ended");
    assert_eq!(server.post("/auth/session", &login("ann")).await?.code(), "invalid_credentials");
    let path = format!("/bookings/{}", text(&booking, "booking_id")?);
    let seen = server.get_as(&owner, &path).await?.expect(200)?;
    assert_eq!((&seen["status"], &seen["total"]), (&json!("paid"), &booking["total"]));
    assert!(seen["email"].is_null(), "{seen}");
    let mut db = server.db.owner().await?;
    let traces: i64 = sqlx::query_scalar(
        "select (select count(*) from users where id = $1::uuid) + (select count(*) from sessions where user_id = $1::uuid)
              + (select count(*) from members where user_id = $1::uuid and organizer_id = $2::uuid)
              + (select count(*) from invitations where email like 'ann@%') + (select count(*) from bookings where email like 'ann@%')
              + (select count(*) from known_clients where user_id = $1::uuid)",
    )
    .bind(&ann_id)
    .bind(&organizer)
    .fetch_one(&mut db)
    .await?;
    assert_eq!(traces, 0);
    let (named, told): (i64, i64) = sqlx::query_as(
        "select (select count(*) from tickets where attendee_name is not null),
                (select count(*) from manifest_changes where length(rows) = 40)",
    )
    .fetch_one(&mut db)
    .await?;
    assert_eq!((named, told), (0, 2), "the sale and the end of both names are changes that gates fetch");
    Ok(())
}

#[tokio::test]
async fn the_last_owner_hands_over_before_leaving_for_good() -> Result<()> {
    let (server, _) = held().await?;
    let (owner, _, organizer) = found(&server, "owner").await?;
    let leave = |token: String| {
        let request = server.request(Method::DELETE, "/auth/account").bearer_auth(token);
        send(request.json(&json!({ "password": PASSWORD })))
    };
    let refused = leave(owner.clone()).await?;
    assert_eq!((refused.status.as_u16(), refused.code()), (409, "last_owner"));
    assert_eq!(refused.body["organizers"], json!([organizer]));
    let (heir, heir_id) = join(&server, &owner, "heir", "door").await?;
    let path = format!("/organizer/members/{heir_id}");
    put_as(&server, &owner, &path, &json!({ "role": "owner" })).await?.expect(204)?;
    // What the organizer made meanwhile works on.
    let (_, credentials) = account(&server, &owner, &["events.read"]).await?;
    leave(owner).await?.expect(200)?;
    server.get_as(&heir, "/organizer/members").await?.expect(200)?;
    let token = log_in(&server, &credentials).await?;
    server.get_as(&token, "/organizer/events").await?.expect(200)?;
    Ok(())
}

/// The mails to `name` that the development mailbox holds.
async fn mails(server: &TestServer, name: &str) -> Result<Vec<Value>> {
    hvflvspot::jobs::outbox::run(&server.app).await?;
    let path = format!("/dev/mailbox?recipient={name}@access.example");
    let all = server.get(&path).await?.expect(200)?;
    Ok(all.as_array().context("a list")?.clone())
}

#[tokio::test]
async fn a_sign_in_from_a_new_place_is_told_to_the_accounts_owner_once() -> Result<()> {
    let (server, _) = held().await?;
    sign_up(&server, "ann").await?;
    let sign_in = async |agent: &'static str, path: &'static str| -> Result<()> {
        let request = server.request(Method::POST, path).header("user-agent", agent).json(&login("ann"));
        let reply = send(request).await?;
        anyhow::ensure!(reply.status.is_success(), "{}", reply.text);
        Ok(())
    };
    let token = "/auth/v1/token?grant_type=password";
    sign_in("First browser", "/auth/session").await?;
    sign_in("First browser", token).await?;
    let told = |mails: &[Value]| {
        mails.iter().filter(|m| m["subject"].as_str().is_some_and(|s| s.contains("new sign-in"))).count()
    };
    assert_eq!(told(&mails(&server, "ann").await?), 0, "the first place is no news, and known then");
    sign_in("Second browser", token).await?;
    sign_in("Second browser", "/auth/session").await?;
    let mails = mails(&server, "ann").await?;
    assert_eq!(told(&mails), 1);
    assert!(mails.iter().any(|m| m["text"].as_str().is_some_and(|t| t.contains("with Second"))), "{mails:?}");
    Ok(())
}

#[tokio::test]
async fn an_invitations_mail_carries_its_token_in_a_fragment() -> Result<()> {
    let (server, _) = held().await?;
    let (owner, ..) = found(&server, "owner").await?;
    let (token, _) = sign_up(&server, "new").await?;
    let body = json!({ "email": "new@access.example", "role": "door" });
    server.post_as(&owner, "/organizer/invitations", &body).await?.expect(201)?;
    let mails = mails(&server, "new").await?;
    let text =
        mails.iter().filter_map(|m| m["text"].as_str()).find(|t| t.contains("#token=")).context("a mail")?;
    let invitation =
        text.split("#token=").nth(1).and_then(|t| t.split_whitespace().next()).context("a token")?;
    let accept = json!({ "token": invitation });
    server.post_as(&token, "/auth/invitations/accept", &accept).await?.expect(200)?;
    let mut db = server.db.owner().await?;
    let readable: i64 = sqlx::query_scalar("select count(*) from outbox where facts::text like '%hvi_%'")
        .fetch_one(&mut db)
        .await?;
    assert_eq!(readable, 0, "the database does not hold it in clear");
    Ok(())
}
