//! Signing in over HTTP, one after the other, beside one bare argon2id of the same costs; and asking who a token
//! belongs to; verifying a token alone; health.

use std::time::Duration;

use anyhow::{Context, Result};
use argon2::{Argon2, Params};
use serde_json::json;

use super::report::{Report, Times};
use super::site::Server;
use crate::auth::verify_access_token;
use crate::clock::{Clock as _, SystemClock};
use crate::tour::venue;

const ROUNDS: usize = 100;
const EMAIL: &str = "bench@demo.example";
const PASSWORD: &str = "a-password-for-the-bench";

/// Runs the bench.
///
/// # Errors
/// If the server refuses.
pub async fn run(report: Report) -> Result<()> {
    let server = Server::open().await?;
    let api = &server.api;
    api.post("/auth/v1/signup", json!({ "email": EMAIL, "password": PASSWORD })).await?;
    let (mut bare, mut login) = (Times::default(), Times::default());
    for round in 0..ROUNDS + 5 {
        // Turn by turn, so that a busy machine is as unkind to either.
        let hashing =
            tokio::task::spawn_blocking(bare_argon2).await.context("the hashing thread ended")??;
        let started = SystemClock.monotonic();
        venue::sign_in(api, EMAIL, PASSWORD).await?;
        let signing_in = SystemClock.monotonic() - started;
        // The first few warm up.
        if round >= 5 {
            bare.push(hashing);
            login.push(signing_in);
        }
    }
    for (metric, q) in [("p50", 0.5), ("p99", 0.99)] {
        report.against("sign in by password", metric, login.quantile_ms(q), "ms", bare.quantile_ms(q));
    }
    let me = venue::sign_in(api, EMAIL, PASSWORD).await?;
    let mut verify = Times::default();
    for _ in 0..10 * ROUNDS {
        let started = SystemClock.monotonic();
        me.get("/auth/verify").await?;
        verify.push(SystemClock.monotonic() - started);
    }
    for (metric, q) in [("p50", 0.5), ("p99", 0.99)] {
        report.plain("verify a token and its session", metric, verify.quantile_ms(q), "ms");
    }
    let mut health = Times::default();
    for _ in 0..10 * ROUNDS {
        let started = SystemClock.monotonic();
        api.get("/health").await?;
        health.push(SystemClock.monotonic() - started);
    }
    for (metric, q) in [("p50", 0.5), ("p99", 0.99)] {
        report.plain("health, over HTTP", metric, health.quantile_ms(q), "ms");
    }
    let token = me.bearer().context("signed in")?;
    let mut alone = Times::default();
    for _ in 0..10 * ROUNDS {
        let started = SystemClock.monotonic();
        let claims = verify_access_token(&server.app, token).await?;
        alone.push(SystemClock.monotonic() - started);
        std::hint::black_box(claims);
    }
    for (metric, q) in [("p50", 0.5), ("p99", 0.99)] {
        report.plain("verify a token", metric, alone.quantile_ms(q), "ms");
    }
    server.close().await
}

fn bare_argon2() -> Result<Duration> {
    let started = SystemClock.monotonic();
    let mut out = [0; Params::DEFAULT_OUTPUT_LEN];
    Argon2::default()
        .hash_password_into(PASSWORD.as_bytes(), b"sixteen byte sal", &mut out)
        .map_err(|e| anyhow::anyhow!("argon2: {e}"))?;
    std::hint::black_box(out);
    Ok(SystemClock.monotonic() - started)
}
