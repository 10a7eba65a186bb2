//! Members, invitations and system accounts, by HTTP; in `session` the sessions of browsers.

mod invitations;
mod session;

use std::time::Duration;

use anyhow::{Context as _, Result};
use hvflvspot::clock::TestClock;
use hvflvspot::jobs;
use reqwest::Method;
use serde_json::{Value, json};
use support::server::{Reply, TestServer, send};
use time::macros::datetime;

/// A server whose clock the test holds.
async fn held() -> Result<(TestServer, TestClock)> {
    let clock = TestClock::at(datetime!(2026-11-20 12:00 UTC));
    let server = TestServer::builder().clock(&clock).start().await?;
    Ok((server, clock))
}

fn text(of: &Value, name: &str) -> Result<String> {
    Ok(of[name].as_str().with_context(|| format!("no {name} in {of}"))?.to_owned())
}

/// (access token, user id) of a new account.
async fn sign_up(server: &TestServer, name: &str) -> Result<(String, String)> {
    let body = json!({ "email": format!("{name}@access.example"), "password": "a-long-enough-password" });
    let session = server.post("/auth/v1/signup", &body).await?.expect(200)?;
    Ok((text(&session, "access_token")?, text(&session["user"], "id")?))
}

/// (access token, user id, organizer id) of a new organizer's owner.
async fn found(server: &TestServer, name: &str) -> Result<(String, String, String)> {
    let (token, user) = sign_up(server, name).await?;
    let profile = json!({ "name": name, "contact_email": "office@access.example" });
    let request = server.request(Method::PUT, "/organizer/profile").bearer_auth(&token).json(&profile);
    let organizer = send(request).await?.expect(201)?;
    Ok((token, user, text(&organizer, "organizer_id")?))
}

async fn delete_as(server: &TestServer, token: &str, path: &str) -> Result<Reply> {
    send(server.request(Method::DELETE, path).bearer_auth(token)).await
}

async fn put_as(server: &TestServer, token: &str, path: &str, body: &Value) -> Result<Reply> {
    send(server.request(Method::PUT, path).bearer_auth(token).json(body)).await
}

/// Makes `name` a member by invitation; (access token, user id).
async fn join(server: &TestServer, owner: &str, name: &str, role: &str) -> Result<(String, String)> {
    let (token, user) = sign_up(server, name).await?;
    let body = json!({ "email": format!("{name}@access.example"), "role": role });
    let invitation = server.post_as(owner, "/organizer/invitations", &body).await?.expect(201)?;
    let body = json!({ "token": invitation["token"] });
    server.post_as(&token, "/auth/invitations/accept", &body).await?.expect(200)?;
    Ok((token, user))
}

async fn accepted(server: &TestServer, token: &str, invitation: &Value) -> Result<Reply> {
    let body = json!({ "token": invitation["token"] });
    server.post_as(token, "/auth/invitations/accept", &body).await
}

/// A new system account: (account id, credentials).
async fn account(server: &TestServer, owner: &str, scopes: &[&str]) -> Result<(String, Value)> {
    let body = json!({ "label": "Turnstile", "scopes": scopes });
    let made = server.post_as(owner, "/organizer/system-accounts", &body).await?.expect(201)?;
    let credentials = json!({ "client_id": made["client_id"], "client_secret": made["client_secret"] });
    Ok((text(&made, "account_id")?, credentials))
}

async fn log_in(server: &TestServer, credentials: &Value) -> Result<String> {
    let session = server.post("/auth/system/login", credentials).await?.expect(200)?;
    anyhow::ensure!(session["expires_in"] == 30 * 86_400, "{session}");
    text(&session, "access_token")
}

fn event_body() -> Value {
    json!({
        "title": "Night of Owls", "category_id": "music", "venue_name": "Main hall", "city": "Wien",
        "time_zone": "Europe/Vienna", "currency": "EUR",
        "starts_at": "2090-06-01T18:00:00Z", "ends_at": "2090-06-01T23:00:00Z",
    })
}

#[tokio::test]
async fn a_system_account_does_what_its_scopes_say_for_thirty_days() -> Result<()> {
    let (server, clock) = held().await?;
    let (owner, _, organizer) = found(&server, "owner").await?;
    let (id, credentials) = account(&server, &owner, &["events.read", "events.write"]).await?;
    let token = log_in(&server, &credentials).await?;

    let who = server.get_as(&token, "/auth/verify").await?.expect(200)?;
    assert_eq!((&who["kind"], &who["organizer_id"]), (&json!("system"), &json!(organizer)));
    assert_eq!(who["scopes"], json!(["events.read", "events.write"]));
    let event = server.post_as(&token, "/organizer/events/create", &event_body()).await?.expect(201)?;
    let event = format!("/organizer/events/{}", text(&event, "event_id")?);
    server.get_as(&token, &event).await?.expect(200)?;

    let stats = server.get_as(&token, &format!("{event}/stats")).await?;
    assert_eq!((stats.status.as_u16(), stats.code()), (403, "scope_required"), "{}", stats.text);
    for path in ["/organizer/members", "/organizer/system-accounts", "/organizer/profile", "/tickets/view"] {
        assert_eq!(server.get_as(&token, path).await?.code(), "scope_required", "{path}");
    }
    let mut db = server.db.owner().await?;
    let actors: Vec<String> = sqlx::query_scalar(
        "select actor_kind from audit where action = 'event.created' and actor_id = $1::uuid",
    )
    .bind(&id)
    .fetch_all(&mut db)
    .await?;
    assert_eq!(actors, ["system"], "what it did is on record as its own");

    clock.advance(Duration::from_secs(30 * 86_400 - 1));
    server.get_as(&token, &event).await?.expect(200)?;
    clock.advance(Duration::from_secs(1));
    assert_eq!(server.get_as(&token, &event).await?.code(), "invalid_token");
    Ok(())
}

#[tokio::test]
async fn rotating_and_revoking_a_system_account_end_its_tokens_at_once() -> Result<()> {
    let (server, _) = held().await?;
    let (owner, ..) = found(&server, "owner").await?;
    let (id, old) = account(&server, &owner, &["events.read"]).await?;
    let (_, other) = account(&server, &owner, &["events.read"]).await?;
    let (token, others) = (log_in(&server, &old).await?, log_in(&server, &other).await?);

    let path = format!("/organizer/system-accounts/{id}");
    let rotated = server.post_as(&owner, &format!("{path}/rotate"), &json!({})).await?.expect(200)?;
    assert_eq!(server.get_as(&token, "/organizer/events").await?.code(), "invalid_token");
    assert_eq!(server.post("/auth/system/login", &old).await?.code(), "invalid_client");
    let new = json!({ "client_id": rotated["client_id"], "client_secret": rotated["client_secret"] });
    let token = log_in(&server, &new).await?;
    server.get_as(&token, "/organizer/events").await?.expect(200)?;

    for _ in 0..2 {
        delete_as(&server, &owner, &path).await?.expect(204)?;
    }
    assert_eq!(server.get_as(&token, "/organizer/events").await?.code(), "invalid_token");
    assert_eq!(server.post("/auth/system/login", &new).await?.code(), "invalid_client");
    assert_eq!(server.post_as(&owner, &format!("{path}/rotate"), &json!({})).await?.status.as_u16(), 404);
    server.get_as(&others, "/organizer/events").await?.expect(200)?;
    let mut db = server.db.owner().await?;
    let acts: Vec<String> = sqlx::query_scalar(
        "select action from audit where object_id = $1::uuid and action <> 'system_account.signed_in' order by action",
    )
    .bind(&id)
    .fetch_all(&mut db)
    .await?;
    assert_eq!(acts, ["system_account.created", "system_account.revoked", "system_account.rotated"]);
    Ok(())
}

#[tokio::test]
async fn use_of_a_system_account_is_written_at_most_once_a_minute() -> Result<()> {
    let (server, clock) = held().await?;
    let (owner, ..) = found(&server, "owner").await?;
    let (_, credentials) = account(&server, &owner, &["events.read"]).await?;
    let token = log_in(&server, &credentials).await?;
    let used = async || -> Result<Value> {
        server.get_as(&token, "/organizer/events").await?.expect(200)?;
        let all = server.get_as(&owner, "/organizer/system-accounts").await?.expect(200)?;
        Ok(all["items"][0]["last_used_at"].clone())
    };
    clock.advance(Duration::from_secs(59));
    assert_eq!(used().await?, "2026-11-20T12:00:00Z");
    clock.advance(Duration::from_secs(1));
    assert_eq!(used().await?, "2026-11-20T12:01:00Z");
    Ok(())
}

#[tokio::test]
async fn guessing_a_client_secret_is_limited_for_each_account() -> Result<()> {
    let (server, clock) = held().await?;
    let (owner, ..) = found(&server, "owner").await?;
    let (_, credentials) = account(&server, &owner, &["events.read"]).await?;
    let mut wrong = credentials.clone();
    wrong["client_secret"] = json!("hvk_nothing");
    for _ in 0..5 {
        assert_eq!(server.post("/auth/system/login", &wrong).await?.code(), "invalid_client");
    }
    let limited = server.post("/auth/system/login", &credentials).await?;
    assert_eq!((limited.status.as_u16(), limited.header("retry-after")), (429, "60"));
    clock.advance(Duration::from_secs(61));
    log_in(&server, &credentials).await?;
    Ok(())
}

#[tokio::test]
async fn verify_answers_a_guest_and_refuses_a_secret_of_nothing() -> Result<()> {
    let (server, _) = held().await?;
    let (owner, _, organizer) = found(&server, "owner").await?;
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
        "event_id": event, "email": "guest@access.example",
        "items": [{ "ticket_type_id": kind["ticket_type_id"], "quantity": 1 }],
    });
    let booking = server.post("/tickets/purchase", &order).await?.expect(201)?;
    let verify = async |secret: &str| {
        send(server.request(Method::GET, "/auth/verify").header("booking-secret", secret)).await
    };
    let who = verify(&text(&booking, "booking_secret")?).await?.expect(200)?;
    assert_eq!((&who["kind"], &who["organizer_id"]), (&json!("guest"), &json!(organizer)));
    assert_eq!(who["booking_id"], booking["booking_id"]);
    let stranger = verify(&"A".repeat(64)).await?;
    assert_eq!((stranger.status.as_u16(), stranger.code()), (401, "invalid_booking_secret"));

    // A system account that reads bookings reads this one, and cannot touch it.
    let (_, credentials) = account(&server, &owner, &["bookings.read"]).await?;
    let token = log_in(&server, &credentials).await?;
    let path = format!("/bookings/{}", text(&booking, "booking_id")?);
    server.get_as(&token, &path).await?.expect(200)?;
    let cancel = server.post_as(&token, &format!("{path}/cancel"), &json!({})).await?;
    assert_eq!((cancel.status.as_u16(), cancel.code()), (403, "scope_required"));
    assert_eq!(server.get_as(&token, &path).await?.expect(200)?["status"], "held");
    Ok(())
}

#[tokio::test]
async fn an_invitation_is_for_its_address_once_and_for_seven_days() -> Result<()> {
    let (server, clock) = held().await?;
    let (owner, _, organizer) = found(&server, "owner").await?;
    let (invited, _) = sign_up(&server, "invited").await?;
    let (other, _) = sign_up(&server, "other").await?;
    let body = json!({ "email": "Invited@access.example", "role": "manager" });
    let first = server.post_as(&owner, "/organizer/invitations", &body).await?.expect(201)?;
    let second = server.post_as(&owner, "/organizer/invitations", &body).await?.expect(201)?;
    let accept = async |token: &str, invitation: &Value| {
        server.post_as(token, "/auth/invitations/accept", &json!({ "token": invitation["token"] })).await
    };
    assert_eq!(accept(&invited, &first).await?.status.as_u16(), 404, "replaced by the second");
    assert_eq!(accept(&other, &second).await?.status.as_u16(), 404, "meant for somebody else");
    let listed = server.get_as(&owner, "/organizer/invitations").await?.expect(200)?;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1), "{listed}");
    assert!(listed["items"][0]["token"].is_null());

    let joined = accept(&invited, &second).await?.expect(200)?;
    assert_eq!(joined, json!({ "organizer_id": organizer, "role": "manager" }));
    assert_eq!(accept(&invited, &second).await?.status.as_u16(), 404, "used");
    server.get_as(&invited, "/organizer/members").await?.expect(200)?;

    let body = json!({ "email": "other@access.example", "role": "door" });
    let late = server.post_as(&invited, "/organizer/invitations", &body).await?.expect(201)?;
    let body = json!({ "email": "other@access.example", "role": "owner" });
    assert_eq!(server.post_as(&invited, "/organizer/invitations", &body).await?.status.as_u16(), 403);
    clock.advance(Duration::from_secs(7 * 86_400));
    let body = json!({ "email": "other@access.example", "password": "a-long-enough-password" });
    let session = server.post("/auth/v1/token?grant_type=password", &body).await?.expect(200)?;
    assert_eq!(accept(&text(&session, "access_token")?, &late).await?.status.as_u16(), 404, "too late");
    Ok(())
}

#[tokio::test]
async fn the_last_owner_stays_and_a_member_who_is_put_out_is_out_at_once() -> Result<()> {
    let (server, _) = held().await?;
    let (owner, owner_id, _) = found(&server, "owner").await?;
    let (manager, manager_id) = join(&server, &owner, "manager", "manager").await?;
    let (door, door_id) = join(&server, &owner, "door", "door").await?;
    let at = |id: &str| format!("/organizer/members/{id}");

    for reply in [
        delete_as(&server, &owner, &at(&owner_id)).await?,
        put_as(&server, &owner, &at(&owner_id), &json!({ "role": "door" })).await?,
    ] {
        assert_eq!((reply.status.as_u16(), reply.code()), (409, "last_owner"), "{}", reply.text);
    }
    assert_eq!(delete_as(&server, &manager, &at(&owner_id)).await?.status.as_u16(), 403);
    assert_eq!(
        put_as(&server, &manager, &at(&manager_id), &json!({ "role": "owner" })).await?.status.as_u16(),
        403
    );
    assert_eq!(delete_as(&server, &door, &at(&manager_id)).await?.status.as_u16(), 403);

    delete_as(&server, &manager, &at(&door_id)).await?.expect(204)?;
    assert_eq!(server.get_as(&door, "/organizer/events").await?.code(), "not_an_organizer");
    put_as(&server, &owner, &at(&manager_id), &json!({ "role": "owner" })).await?.expect(204)?;
    delete_as(&server, &owner, &at(&owner_id)).await?.expect(204)?;
    let members = server.get_as(&manager, "/organizer/members").await?.expect(200)?;
    let members = &members["items"];
    assert_eq!(members.as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&members[0]["email"], &members[0]["role"]),
        (&json!("manager@access.example"), &json!("owner"))
    );
    Ok(())
}

/// The account's row is changed in a transaction of its own: the server may die before it.
#[tokio::test]
async fn whoever_works_for_nobody_any_more_is_a_mere_user_even_after_a_crash() -> Result<()> {
    let (server, clock) = held().await?;
    let (owner, owner_id, _) = found(&server, "owner").await?;
    let (_, gone) = join(&server, &owner, "gone", "door").await?;
    let (other, elsewhere, _) = found(&server, "elsewhere").await?;
    let body = json!({ "email": "elsewhere@access.example", "role": "door" });
    let invitation = server.post_as(&owner, "/organizer/invitations", &body).await?.expect(201)?;
    accepted(&server, &other, &invitation).await?.expect(200)?;
    for id in [&gone, &elsewhere] {
        delete_as(&server, &owner, &format!("/organizer/members/{id}")).await?.expect(204)?;
    }
    let mut db = server.db.superuser().await?;
    sqlx::query("update users set role = 'organizer'").execute(&mut db).await?;
    clock.advance(Duration::from_secs(20 * 86_400));
    jobs::sweep::run(&server.app).await?;
    for (id, expected) in [(&gone, "user"), (&elsewhere, "organizer"), (&owner_id, "organizer")] {
        let role: String = sqlx::query_scalar("select role from users where id = $1::uuid")
            .bind(id)
            .fetch_one(&mut db)
            .await?;
        assert_eq!(role, expected, "{id}");
    }
    Ok(())
}

#[tokio::test]
async fn of_two_owners_who_leave_at_once_one_stays() -> Result<()> {
    let (server, _) = held().await?;
    let (first, first_id, _) = found(&server, "owner").await?;
    let (second, second_id) = join(&server, &first, "second", "owner").await?;
    let (a, b) = (format!("/organizer/members/{first_id}"), format!("/organizer/members/{second_id}"));
    let (a, b) = tokio::join!(delete_as(&server, &first, &a), delete_as(&server, &second, &b));
    let mut answers = [a?.status.as_u16(), b?.status.as_u16()];
    answers.sort_unstable();
    assert_eq!(answers, [204, 409]);
    Ok(())
}
