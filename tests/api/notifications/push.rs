//! Browsers are reached through their push services, which are somebody else's and may be anywhere.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::{Value, json};
use support::server::{Reply, send};

use crate::{Stage, sign_up, text};

/// The key of RFC 8291's example.
const P256DH: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

/// What came, and what is answered next.
#[derive(Debug, Default)]
struct Heard {
    requests: Vec<(String, HeaderMap, usize)>,
    answer: Option<StatusCode>,
}

/// A push service that notes what it hears.
#[derive(Debug, Clone)]
struct Service {
    url: String,
    heard: Arc<Mutex<Heard>>,
}

impl Service {
    async fn start() -> Result<Self> {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let routes = Router::new().fallback(hear).with_state(Arc::clone(&heard));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(Self { url, heard })
    }

    fn answer(&self, status: StatusCode) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).answer = Some(status);
    }

    fn requests(&self) -> Vec<(String, HeaderMap, usize)> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).requests.clone()
    }
}

async fn hear(
    State(heard): State<Arc<Mutex<Heard>>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
    heard.requests.push((uri.path().to_owned(), headers, body.len()));
    heard.answer.unwrap_or(StatusCode::CREATED)
}

async fn subscribe(stage: &Stage, token: &str, endpoint: &str) -> Result<Reply> {
    let body = json!({
        "endpoint": endpoint, "expirationTime": null, "keys": { "p256dh": P256DH, "auth": AUTH }, "label": "Phone",
    });
    stage.server.post_as(token, "/notifications/push", &body).await
}

/// Claims of the header, if its signature is by the key that it names, which is the server's.
fn claims(authorization: &str, key: &str) -> Result<Value> {
    let (token, named) = authorization
        .strip_prefix("vapid t=")
        .and_then(|rest| rest.split_once(", k="))
        .context("it is of the scheme vapid")?;
    anyhow::ensure!(named == key, "another key");
    let (signed, signature) = token.rsplit_once('.').context("a token")?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, URL_SAFE_NO_PAD.decode(named)?)
        .verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature)?)
        .map_err(|_| anyhow::anyhow!("the signature is wrong"))?;
    let claims = signed.split_once('.').context("a token")?.1;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?)
}

#[tokio::test]
async fn a_notice_goes_to_every_browser_of_its_account_and_one_that_is_gone_is_forgotten() -> Result<()> {
    let service = Service::start().await?;
    let origin = service.url.clone();
    let stage = Stage::open(|config| config.outside_exceptions = vec![origin]).await?;
    let ada = sign_up(&stage.server, "ada@example.org").await?;
    let bob = sign_up(&stage.server, "bob@example.org").await?;
    let key = text(&stage.server.get_as(&ada, "/notifications/push/key").await?.expect(200)?, "public_key");
    for browser in ["one", "two"] {
        subscribe(&stage, &ada, &format!("{}/{browser}", service.url)).await?.expect(201)?;
    }
    subscribe(&stage, &bob, &format!("{}/bob", service.url)).await?.expect(201)?;
    // The same browser again is the same one.
    subscribe(&stage, &ada, &format!("{}/two", service.url)).await?.expect(201)?;
    let list = stage.server.get_as(&ada, "/notifications/push").await?.expect(200)?;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2), "{list}");
    assert!(!list.to_string().contains(&service.url), "the address is a secret of the browser's");

    stage.buy(Some(&ada), "ada@example.org", "tok_always_succeeds", "de").await?.expect(201)?;
    stage.deliver().await?;
    stage.deliver().await?;
    let heard = service.requests();
    let mut paths: Vec<&str> = heard.iter().map(|(path, ..)| path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/one", "/two"], "each once, and no other account's");
    for (_, headers, size) in &heard {
        let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        assert_eq!(
            (header("content-encoding"), header("ttl"), header("urgency")),
            ("aes128gcm", "86400", "normal")
        );
        assert!(*size > 86 + 17, "it is encrypted: {size}");
        let claims = claims(header("authorization"), &key)?;
        assert_eq!(
            (&claims["aud"], &claims["sub"]),
            (&json!(service.url), &json!("mailto:noreply@localhost"))
        );
    }
    let told = stage.server.get_as(&ada, "/notifications?channel=push").await?.expect(200)?;
    assert_eq!(told["items"].as_array().map(Vec::len), Some(2), "{told}");
    assert_eq!(
        (&told["items"][0]["status"], &told["items"][0]["kind"]),
        (&json!("sent"), &json!("booking.paid"))
    );

    service.answer(StatusCode::GONE);
    stage.buy(Some(&ada), "ada@example.org", "tok_always_succeeds", "de").await?.expect(201)?;
    stage.deliver().await?;
    let list = stage.server.get_as(&ada, "/notifications/push").await?.expect(200)?;
    assert_eq!(list["items"], json!([]), "gone is gone");
    let of_bob = stage.server.get_as(&bob, "/notifications/push").await?.expect(200)?;
    let id = text(&of_bob["items"][0], "subscription_id");
    let remove = |token: &str| {
        send(stage.server.request(Method::DELETE, &format!("/notifications/push/{id}")).bearer_auth(token))
    };
    assert_eq!(remove(&ada).await?.status.as_u16(), 404);
    assert_eq!(remove(&bob).await?.status.as_u16(), 204);
    Ok(())
}

#[tokio::test]
async fn who_switched_push_off_gets_none_and_a_failing_service_is_asked_again() -> Result<()> {
    let service = Service::start().await?;
    let origin = service.url.clone();
    let stage = Stage::open(|config| config.outside_exceptions = vec![origin]).await?;
    let ada = sign_up(&stage.server, "ada@example.org").await?;
    subscribe(&stage, &ada, &format!("{}/ada", service.url)).await?.expect(201)?;
    service.answer(StatusCode::SERVICE_UNAVAILABLE);
    stage.buy(Some(&ada), "ada@example.org", "tok_always_succeeds", "en").await?.expect(201)?;
    assert!(stage.deliver().await.is_err(), "health hears of it");
    service.answer(StatusCode::CREATED);
    stage.clock.advance(std::time::Duration::from_secs(11));
    stage.deliver().await?;
    assert_eq!(service.requests().len(), 2);
    let off = json!({ "preferences": [{ "type": "bookings", "channel": "push", "enabled": false }] });
    let put = stage.server.request(Method::PUT, "/notifications/preferences").bearer_auth(&ada).json(&off);
    send(put).await?.expect(200)?;
    stage.buy(Some(&ada), "ada@example.org", "tok_always_succeeds", "en").await?.expect(201)?;
    stage.deliver().await?;
    assert_eq!(service.requests().len(), 2, "nothing more");
    Ok(())
}

#[tokio::test]
async fn an_address_within_the_house_is_no_push_service() -> Result<()> {
    let stage = Stage::open(|_| ()).await?;
    let ada = sign_up(&stage.server, "ada@example.org").await?;
    for endpoint in [
        "http://push.example.com/x",
        "https://127.0.0.1/x",
        "https://169.254.169.254/latest",
        "https://[::1]/x",
        "https://localhost/x",
        "https://10.0.0.1/x",
        "nonsense",
    ] {
        let reply = subscribe(&stage, &ada, endpoint).await?;
        assert_eq!((reply.status.as_u16(), reply.code()), (422, "invalid_fields"), "{endpoint}");
    }
    let body = json!({ "endpoint": "https://push.example.com/x", "keys": { "p256dh": AUTH, "auth": AUTH } });
    assert_eq!(stage.server.post_as(&ada, "/notifications/push", &body).await?.status.as_u16(), 422);
    Ok(())
}
