//! What takes the second factor, and what guessing at it leads to.

use std::time::Duration;

use anyhow::{Context as _, Result};
use hvflvspot::auth::totp::Secret;
use hvflvspot::clock::{Clock as _, TestClock};
use reqwest::Method;
use serde_json::{Value, json};
use support::server::{Reply, TestServer, send};
use time::OffsetDateTime;

use super::guessing::mails_of;
use super::mails::{ask, letter, verify};

const PASSWORD: &str = "correct horse battery";
const ADA: &str = "ada@example.org";
const HALF_MINUTE: Duration = Duration::from_secs(30);

/// Ada's account with its second factor, on a server where the minute limits nobody.
struct Ada {
    server: TestServer,
    clock: TestClock,
    app: Secret,
    recovery: Vec<String>,
}

fn text(of: &Value, name: &str) -> Result<String> {
    Ok(of[name].as_str().with_context(|| format!("no {name} in {of}"))?.to_owned())
}

impl Ada {
    async fn new() -> Result<Self> {
        let clock = TestClock::at(OffsetDateTime::from_unix_timestamp(1_800_000_000)?);
        let free = |c: &mut hvflvspot::config::Config| {
            c.auth.logins_per_minute = 1_000;
            c.auth.redirect_urls = vec!["https://app.example".to_owned()];
        };
        let server = TestServer::builder().clock(&clock).config(free).start().await?;
        let body = json!({ "email": ADA, "password": PASSWORD });
        let session = server.post("/auth/v1/signup", &body).await?.expect(200)?;
        let token = text(&session, "access_token")?;
        let begun = json!({ "password": PASSWORD });
        let begun = server.post_as(&token, "/auth/totp", &begun).await?.expect(200)?;
        let app = Secret::from_text(&text(&begun, "secret")?).context("base32")?;
        let mut ada = Self { server, clock, app, recovery: Vec::new() };
        let code = json!({ "code": ada.code() });
        let on = ada.server.post_as(&token, "/auth/totp/confirm", &code).await?.expect(200)?;
        let codes = on["recovery_codes"].as_array().context("codes")?;
        ada.recovery = codes.iter().filter_map(|c| c.as_str().map(str::to_owned)).collect();
        Ok(ada)
    }

    /// A code that was not shown before.
    fn code(&self) -> String {
        self.clock.advance(HALF_MINUTE);
        format!("{:06}", self.app.code(self.clock.now().unix_timestamp().div_euclid(30)))
    }

    fn wrong(&self) -> String {
        let right: u32 = self.code().parse().unwrap_or_default();
        format!("{:06}", (right + 500_000) % 1_000_000)
    }

    async fn by_password(&self) -> Result<String> {
        let body = json!({ "email": ADA, "password": PASSWORD });
        let session = self.server.post("/auth/v1/token?grant_type=password", &body).await?.expect(200)?;
        text(&session, "access_token")
    }

    async fn by_mail(&self, what: &str, kind: &str) -> Result<String> {
        ask(&self.server, what, &json!({ "email": ADA })).await?;
        let code = letter(&self.server, ADA).await?.code;
        text(&verify(&self.server, kind, ADA, &code).await?.expect(200)?, "access_token")
    }

    async fn show(&self, token: &str, name: &str, code: &str) -> Result<Reply> {
        self.server.post_as(token, "/auth/totp/verify", &json!({ name: code })).await
    }

    /// Twenty wrong codes.
    async fn guess(&self, token: &str) -> Result<()> {
        for n in 0..20 {
            let reply = self.show(token, "code", &self.wrong()).await?;
            anyhow::ensure!(reply.code() == "wrong_code", "{n}: {}", reply.text);
        }
        Ok(())
    }
}

fn told(reply: &Reply) -> (u16, &str) {
    (reply.status.as_u16(), reply.code())
}

#[tokio::test]
async fn twenty_wrong_codes_of_a_day_close_the_app_for_that_way_in_alone() -> Result<()> {
    let ada = Ada::new().await?;
    let token = ada.by_password().await?;
    ada.guess(&token).await?;
    let locked = ada.show(&token, "code", &ada.code()).await?;
    assert_eq!(told(&locked), (429, "second_factor_locked"), "also the right one");
    let wait: u64 = locked.header("retry-after").parse()?;
    assert!((80_000..86_400).contains(&wait), "{wait}");
    assert_eq!(mails_of(&ada.server, "auth.totp_locked", ADA).await?, 1);

    // The password still signs in, and whoever reads the mails comes in by them.
    let mail = ada.by_mail("otp", "email").await?;
    ada.show(&mail, "code", &ada.code()).await?.expect(200)?;
    let token = ada.by_password().await?;
    assert_eq!(told(&ada.show(&token, "code", &ada.code()).await?), (429, "second_factor_locked"));

    ada.clock.advance(Duration::from_secs(86_400));
    let token = ada.by_password().await?;
    ada.show(&token, "code", &ada.code()).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_recovery_code_opens_what_guesses_closed() -> Result<()> {
    let ada = Ada::new().await?;
    let token = ada.by_password().await?;
    ada.guess(&token).await?;
    assert_eq!(ada.show(&token, "code", &ada.code()).await?.code(), "second_factor_locked");
    let nonsense = ada.show(&token, "recovery_code", "AAAA-AAAA-AAAA-AAAA").await?;
    assert_eq!(nonsense.code(), "wrong_code");
    ada.show(&token, "recovery_code", &ada.recovery[0]).await?.expect(200)?;
    ada.show(&ada.by_password().await?, "code", &ada.code()).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn right_codes_and_guesses_of_other_accounts_count_for_nothing() -> Result<()> {
    let ada = Ada::new().await?;
    let token = ada.by_password().await?;
    for n in 0..25 {
        ada.show(&token, "code", &ada.code()).await?.expect(200).with_context(|| n.to_string())?;
    }
    for _ in 0..19 {
        assert_eq!(ada.show(&token, "code", &ada.wrong()).await?.code(), "wrong_code");
    }
    ada.show(&token, "code", &ada.code()).await?.expect(200)?;
    assert_eq!(mails_of(&ada.server, "auth.totp_locked", ADA).await?, 0);
    Ok(())
}

#[tokio::test]
async fn with_a_second_factor_the_account_itself_is_changed_by_both() -> Result<()> {
    let ada = Ada::new().await?;
    let put = |token: String, body: Value| {
        send(ada.server.request(Method::PUT, "/auth/v1/user").bearer_auth(token).json(&body))
    };
    let delete = |token: String, path: &'static str| {
        let body = json!({ "password": PASSWORD });
        send(ada.server.request(Method::DELETE, path).bearer_auth(token).json(&body))
    };
    let weak = [
        ada.by_password().await?,
        ada.by_mail("otp", "email").await?,
        // A mail proves one factor alone, also the mail that leads to a new password.
        ada.by_mail("recover", "recovery").await?,
    ];
    for (n, token) in weak.iter().enumerate() {
        for body in [
            json!({ "password": "a wholly new one" }),
            json!({ "password": "a wholly new one", "current_password": PASSWORD }),
            json!({ "email": "eve@example.org" }),
            json!({ "email": "eve@example.org", "current_password": PASSWORD }),
        ] {
            assert_eq!(
                told(&put(token.clone(), body.clone()).await?),
                (403, "insufficient_aal"),
                "{n} {body}"
            );
        }
        ada.server.get_as(token, "/auth/v1/reauthenticate").await?.expect(200)?;
        let nonce = letter(&ada.server, ADA).await?.code;
        let by_nonce = put(token.clone(), json!({ "password": "a wholly new one", "nonce": nonce })).await?;
        assert_eq!(told(&by_nonce), (403, "insufficient_aal"), "{n}");
        put(token.clone(), json!({ "data": { "name": "Ada" } })).await?.expect(200)?;
        assert_eq!(told(&delete(token.clone(), "/auth/totp").await?), (403, "insufficient_aal"), "{n}");
        assert_eq!(told(&delete(token.clone(), "/auth/account").await?), (403, "insufficient_aal"), "{n}");
        let begin = ada.server.post_as(token, "/auth/totp", &json!({ "password": PASSWORD })).await?;
        assert_eq!(told(&begin), (403, "insufficient_aal"), "{n}: new codes");
    }
    ada.by_password().await.context("the password is what it was")?;

    // Who forgot the password comes by the mail and shows the app.
    let raised = ada.show(&weak[2], "code", &ada.code()).await?.expect(200)?;
    let strong = text(&raised, "access_token")?;
    let old = put(weak[2].clone(), json!({ "password": "a wholly new one" })).await?;
    assert_eq!(told(&old), (403, "insufficient_aal"), "an older token of the same session says less");
    put(strong.clone(), json!({ "password": "a wholly new one" })).await?.expect(200)?;
    assert_eq!(delete(strong, "/auth/totp").await?.status.as_u16(), 204);
    Ok(())
}

#[tokio::test]
async fn the_owner_is_told_that_the_second_factor_is_on_or_off() -> Result<()> {
    let ada = Ada::new().await?;
    assert_eq!(mails_of(&ada.server, "auth.totp_on", ADA).await?, 1);
    let raised = ada.show(&ada.by_password().await?, "code", &ada.code()).await?.expect(200)?;
    let strong = text(&raised, "access_token")?;
    assert_eq!(mails_of(&ada.server, "auth.totp_off", ADA).await?, 0);
    let remove = ada.server.request(Method::DELETE, "/auth/totp").bearer_auth(&strong);
    assert_eq!(send(remove).await?.status.as_u16(), 204);
    assert_eq!(mails_of(&ada.server, "auth.totp_off", ADA).await?, 1);
    Ok(())
}
