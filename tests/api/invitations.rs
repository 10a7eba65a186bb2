//! Invitations: how many go out, which one replaces which, and the page that their mails lead to.

use std::time::Duration;

use anyhow::Result;
use hvflvspot::clock::TestClock;
use reqwest::Method;
use serde_json::{Value, json};
use support::server::{Reply, TestServer, send};
use time::macros::datetime;

use super::{accepted, delete_as, found, held, join, sign_up, text};

fn to(name: &str, role: &str) -> Value {
    json!({ "email": format!("{name}@access.example"), "role": role })
}

async fn invite(server: &TestServer, by: &str, name: &str, role: &str) -> Result<Reply> {
    server.post_as(by, "/organizer/invitations", &to(name, role)).await
}

fn told(reply: &Reply) -> (u16, &str) {
    (reply.status.as_u16(), reply.code())
}

/// A server as it stands in the world, but for confirmed addresses.
async fn strict() -> Result<(TestServer, TestClock)> {
    let clock = TestClock::at(datetime!(2026-11-20 12:00 UTC));
    let server = TestServer::builder()
        .clock(&clock)
        .config(|config| {
            config.dev = false;
            config.auth.autoconfirm = Some(true);
        })
        .start()
        .await?;
    Ok((server, clock))
}

async fn sign_in(server: &TestServer, name: &str) -> Result<String> {
    let body = json!({ "email": format!("{name}@access.example"), "password": "a-long-enough-password" });
    let session = server.post("/auth/v1/token?grant_type=password", &body).await?.expect(200)?;
    text(&session, "access_token")
}

#[tokio::test]
async fn an_address_gets_three_invitations_a_day_from_one_organizer_and_ten_from_all() -> Result<()> {
    let (server, clock) = strict().await?;
    let (first, ..) = found(&server, "first").await?;
    for _ in 0..3 {
        invite(&server, &first, "bob", "door").await?.expect(201)?;
        clock.advance(Duration::from_secs(60));
    }
    let refused = invite(&server, &first, "BOB", "door").await?;
    assert_eq!(told(&refused), (429, "rate_limited"));
    let wait: u64 = refused.header("retry-after").parse()?;
    assert_eq!(wait, 86_400 - 180);
    invite(&server, &first, "eve", "door").await?.expect(201)?;

    for n in 2..=3 {
        let (other, ..) = found(&server, &format!("organizer{n}")).await?;
        for _ in 0..3 {
            invite(&server, &other, "bob", "door").await?.expect(201)?;
        }
    }
    let (last, ..) = found(&server, "last").await?;
    invite(&server, &last, "bob", "door").await?.expect(201)?;
    assert_eq!(told(&invite(&server, &last, "bob", "door").await?), (429, "rate_limited"), "the eleventh");
    // Those whom an administrator approved depend on nobody else's count.
    let mut db = server.db.owner().await?;
    sqlx::query("update organizers set status = 'approved' where name = 'last'").execute(&mut db).await?;
    invite(&server, &last, "bob", "door").await?.expect(201)?;
    clock.advance(Duration::from_secs(86_400));
    invite(&server, &sign_in(&server, "first").await?, "bob", "door").await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn an_organizer_sends_a_hundred_invitations_a_day() -> Result<()> {
    let (server, clock) = strict().await?;
    let (owner, ..) = found(&server, "owner").await?;
    for n in 0..100 {
        invite(&server, &owner, &format!("guest{n}"), "door").await?.expect(201)?;
    }
    assert_eq!(told(&invite(&server, &owner, "guest100", "door").await?), (429, "rate_limited"));
    let (other, ..) = found(&server, "other").await?;
    invite(&server, &other, "guest100", "door").await?.expect(201)?;
    clock.advance(Duration::from_secs(86_400));
    invite(&server, &sign_in(&server, "owner").await?, "guest100", "door").await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn nobody_replaces_an_invitation_that_they_could_not_make() -> Result<()> {
    let (server, clock) = held().await?;
    let (owner, ..) = found(&server, "owner").await?;
    let (manager, _) = join(&server, &owner, "manager", "manager").await?;
    let (bob, _) = sign_up(&server, "bob").await?;
    let first = invite(&server, &owner, "Bob", "owner").await?.expect(201)?;
    let refused = invite(&server, &manager, "bob", "door").await?;
    assert_eq!(told(&refused), (409, "already_invited"));
    let path = format!("/organizer/invitations/{}", text(&first, "invitation_id")?);
    assert_eq!(delete_as(&server, &manager, &path).await?.status.as_u16(), 403);
    assert_eq!(accepted(&server, &bob, &first).await?.expect(200)?["role"], "owner", "it is still open");

    // Of equal right, or by somebody of higher right.
    sign_up(&server, "eve").await?;
    let by_owner = invite(&server, &owner, "eve", "door").await?.expect(201)?;
    let by_manager = invite(&server, &manager, "eve", "door").await?.expect(201)?;
    let lowered = invite(&server, &owner, "zoe", "owner").await?.expect(201)?;
    let as_door = invite(&server, &owner, "zoe", "door").await?.expect(201)?;
    let (eve, zoe) = (sign_in(&server, "eve").await?, sign_up(&server, "zoe").await?.0);
    assert_eq!(accepted(&server, &eve, &by_owner).await?.status.as_u16(), 404);
    accepted(&server, &eve, &by_manager).await?.expect(200)?;
    assert_eq!(accepted(&server, &zoe, &lowered).await?.status.as_u16(), 404);
    accepted(&server, &zoe, &as_door).await?.expect(200)?;

    // What is over stands in nobody's way.
    invite(&server, &owner, "ann", "manager").await?.expect(201)?;
    clock.advance(Duration::from_secs(7 * 86_400));
    invite(&server, &sign_in(&server, "manager").await?, "ann", "door").await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn whoever_holds_an_invitation_sees_what_it_says_while_it_can_be_accepted() -> Result<()> {
    let (server, clock) = held().await?;
    let (owner, owner_id, _) = found(&server, "owner").await?;
    let (heir, _) = join(&server, &owner, "heir", "owner").await?;
    let show = async |invitation: &Value| {
        server.post("/auth/invitations/show", &json!({ "token": invitation["token"] })).await
    };
    let open = invite(&server, &owner, "bob", "manager").await?.expect(201)?;
    let seen = show(&open).await?.expect(200)?;
    assert_eq!(
        seen,
        json!({
            "organizer": "owner", "role": "manager", "email": "bob@access.example",
            "expires_at": "2026-11-27T12:00:00Z",
        })
    );
    for nonsense in ["", "hvi_nothing", "hvk_AAAA"] {
        assert_eq!(show(&json!({ "token": nonsense })).await?.status.as_u16(), 404);
    }
    delete_as(&server, &heir, &format!("/organizer/members/{owner_id}")).await?.expect(204)?;
    assert_eq!(show(&open).await?.status.as_u16(), 404, "who invited is no member any more");
    let open = invite(&server, &heir, "bob", "door").await?.expect(201)?;
    show(&open).await?.expect(200)?;
    clock.advance(Duration::from_secs(7 * 86_400));
    assert_eq!(show(&open).await?.status.as_u16(), 404, "over");
    Ok(())
}

#[tokio::test]
async fn the_page_that_the_mail_leads_to_is_there_and_runs_its_own_script_alone() -> Result<()> {
    let (server, _) = held().await?;
    for (path, kind) in [
        ("/web/invitation", "text/html; charset=utf-8"),
        ("/web/invitation.js", "text/javascript; charset=utf-8"),
        ("/web/page.css", "text/css; charset=utf-8"),
    ] {
        let reply = server.get(path).await?;
        assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, kind), "{path}");
        let policy = reply.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
    }
    let page = server.get("/web/invitation").await?.text;
    for inline in [" style=", " onclick=", "<style", "javascript:"] {
        assert!(!page.contains(inline), "{inline} would not be run");
    }
    assert!(page.contains("<html lang=\"en\">") && page.contains("name=\"viewport\""));
    let fields = page.matches("<input").count() + page.matches("<select").count();
    assert_eq!(fields, page.matches("<label for=").count(), "each has its label");
    let head = send(server.request(Method::HEAD, "/web/invitation")).await?;
    assert_eq!(head.status.as_u16(), 200);
    Ok(())
}

#[tokio::test]
async fn an_account_is_an_organizer_as_long_as_it_is_a_member_somewhere() -> Result<()> {
    let (server, _) = held().await?;
    let (first, ..) = found(&server, "first").await?;
    let (second, ..) = found(&server, "second").await?;
    let (bob, bob_id) = sign_up(&server, "bob").await?;
    let mut db = server.db.owner().await?;
    let mut stored = async || -> Result<String> {
        let query = sqlx::query_scalar("select role from users where email = 'bob@access.example'");
        Ok(query.fetch_one(&mut db).await?)
    };
    assert_eq!(stored().await?, "user");
    for owner in [&first, &second] {
        let invitation = invite(&server, owner, "bob", "door").await?.expect(201)?;
        accepted(&server, &bob, &invitation).await?.expect(200)?;
        assert_eq!(stored().await?, "organizer");
    }
    let path = format!("/organizer/members/{bob_id}");
    delete_as(&server, &first, &path).await?.expect(204)?;
    assert_eq!(stored().await?, "organizer", "the second has him still");
    delete_as(&server, &second, &path).await?.expect(204)?;
    assert_eq!(stored().await?, "user");
    Ok(())
}
