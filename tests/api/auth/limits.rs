//! How often one may try, by account and by address.

use std::time::Duration;

use anyhow::Result;
use hvflvspot::clock::TestClock;
use reqwest::Method;
use serde_json::json;
use support::server::{Reply, TestServer, send};

use crate::{PASSWORD, clock, sign_up, text};

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
