//! Tokens of a Supabase project: genuine ones of all three kinds come in, and everything else stays out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hvflvspot::clock::TestClock;
use hvflvspot::config::Secret;
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, KeyPair as _, RsaKeyPair};
use serde_json::{Value, json};
use support::server::{Reply, TestServer};
use time::OffsetDateTime;
use tokio::net::TcpListener;
use uuid::Uuid;

const NOW: i64 = 1_800_000_000;
const LEGACY: &str = "the-legacy-secret-of-the-project-0123456789";
/// An RSA key of 2048 bits made for this test (PKCS #1): ring can use such keys and cannot make them.
const RSA_KEY: &str = include_str!("rsa_key.b64");

/// A project: its keys, and a server for the public halves.
struct Project {
    url: String,
    es256: EcdsaKeyPair,
    rs256: RsaKeyPair,
    random: SystemRandom,
    asked: Arc<AtomicUsize>,
    down: Arc<AtomicBool>,
}

impl Project {
    async fn start() -> Result<Self> {
        let random = SystemRandom::new();
        let lost = |_| anyhow::anyhow!("ring refuses a key");
        let alg = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(alg, &random).map_err(lost)?;
        let es256 =
            EcdsaKeyPair::from_pkcs8(alg, pkcs8.as_ref(), &random).map_err(|e| anyhow::anyhow!("{e}"))?;
        let rs256 = RsaKeyPair::from_der(&STANDARD.decode(RSA_KEY.replace('\n', ""))?)
            .map_err(|e| anyhow::anyhow!("{e}"))?;
        let point = es256.public_key().as_ref();
        let components: signature::RsaPublicKeyComponents<Vec<u8>> = rs256.public().into();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let jwks = json!({ "keys": [
            { "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "es", "x": text(&point[1..33]), "y": text(&point[33..]) },
            { "kty": "RSA", "alg": "RS256", "use": "sig", "kid": "rs", "n": text(&components.n), "e": text(&components.e) },
            // A careless project publishes its secret: it is not taken for a key.
            { "kty": "oct", "alg": "HS256", "kid": "oct", "k": text(b"published") },
        ] });
        let (asked, down) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let answer = {
            let (asked, down) = (Arc::clone(&asked), Arc::clone(&down));
            move || {
                asked.fetch_add(1, Ordering::SeqCst);
                let reply = match down.load(Ordering::SeqCst) {
                    true => Err(StatusCode::SERVICE_UNAVAILABLE),
                    false => Ok(Json(jwks)),
                };
                async move { reply }
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let routes = Router::new().route("/auth/v1/.well-known/jwks.json", get(answer));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(Self { url, es256, rs256, random, asked, down })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn claims(&self) -> Value {
        json!({
            "iss": format!("{}/auth/v1", self.url), "sub": "8f1c1c4e-5a50-4c1e-9d9e-0c3a5e0f7a11",
            "aud": "authenticated", "role": "authenticated", "email": "ada@example.org",
            "iat": NOW, "exp": NOW + 3_600, "aal": "aal1", "session_id": Uuid::from_u128(9),
            "amr": [{ "method": "password", "timestamp": NOW }], "is_anonymous": false,
            "app_metadata": { "provider": "email", "role": "admin" },
            "user_metadata": { "full_name": "Ada Lovelace", "role": "admin" },
        })
    }

    /// Our claims with `change` merged in; null removes one.
    fn with(&self, change: &Value) -> Value {
        let mut claims = self.claims();
        if let (Some(claims), Some(change)) = (claims.as_object_mut(), change.as_object()) {
            for (name, value) in change {
                match value {
                    Value::Null => drop(claims.remove(name)),
                    value => drop(claims.insert(name.clone(), value.clone())),
                }
            }
        }
        claims
    }

    fn es256(&self, kid: &str, claims: &Value) -> Result<String> {
        signed(&json!({ "alg": "ES256", "typ": "JWT", "kid": kid }), claims, |text| {
            let signature = self.es256.sign(&self.random, text);
            Ok(signature.map_err(|_| anyhow::anyhow!("ring cannot sign"))?.as_ref().to_vec())
        })
    }

    fn rs256(&self, header: &Value, claims: &Value) -> Result<String> {
        signed(header, claims, |text| {
            let mut out = vec![0; self.rs256.public().modulus_len()];
            self.rs256
                .sign(&signature::RSA_PKCS1_SHA256, &self.random, text, &mut out)
                .map_err(|_| anyhow::anyhow!("ring cannot sign"))?;
            Ok(out)
        })
    }
}

fn hs256(header: &Value, claims: &Value, secret: &[u8]) -> Result<String> {
    signed(header, claims, |text| {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
        Ok(ring::hmac::sign(&key, text).as_ref().to_vec())
    })
}

fn signed(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Result<Vec<u8>>) -> Result<String> {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encode(header), encode(claims));
    let signature = sign(text.as_bytes())?;
    Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

async fn server(project: &Project, legacy: bool) -> Result<(TestServer, TestClock)> {
    let clock = TestClock::at(OffsetDateTime::from_unix_timestamp(NOW)?);
    let url = project.url.clone();
    let server = TestServer::builder()
        .clock(&clock)
        .config(|c| {
            c.supabase.url = Some(url);
            c.supabase.emails_confirmed = true;
            c.supabase.jwt_secret = legacy.then(|| Secret::new(LEGACY));
        })
        .start()
        .await?;
    Ok((server, clock))
}

async fn callback(server: &TestServer, token: &str) -> Result<Reply> {
    server.post_as(token, "/auth/supabase/callback", &json!({})).await
}

fn refusal(reply: &Reply) -> (u16, &str) {
    (reply.status.as_u16(), reply.code())
}

#[tokio::test]
async fn tokens_of_all_three_kinds_come_in_as_one_account() -> Result<()> {
    let project = Project::start().await?;
    let (server, _) = server(&project, true).await?;
    let claims = project.claims();
    let tokens = [
        project.es256("es", &claims)?,
        project.rs256(&json!({ "alg": "RS256", "kid": "rs" }), &claims)?,
        hs256(&json!({ "alg": "HS256", "typ": "JWT" }), &claims, LEGACY.as_bytes())?,
    ];
    let early = server.get_as(&tokens[0], "/auth/verify").await?;
    assert_eq!(refusal(&early), (401, "profile_required"));
    let made = callback(&server, &tokens[0]).await?.expect(201)?;
    assert_eq!((&made["email"], &made["name"]), (&json!("ada@example.org"), &json!("Ada Lovelace")));
    assert_eq!(
        made["role"], "user",
        "neither app_metadata nor user_metadata of another house grant anything"
    );
    assert!(made["email_confirmed_at"].is_string());
    for token in &tokens {
        let known = callback(&server, token).await?.expect(200)?;
        assert_eq!(known["user_id"], made["user_id"]);
        let who = server.get_as(token, "/auth/verify").await?.expect(200)?;
        assert_eq!((&who["user_id"], &who["role"]), (&made["user_id"], &json!("user")));
        assert_eq!(server.get_as(token, "/tickets/view").await?.status.as_u16(), 200);
    }
    assert_eq!(project.asked(), 1, "keys are kept");
    // The account itself is kept at the project: GoTrue's routes here are for our own accounts.
    assert_eq!(server.get_as(&tokens[0], "/auth/v1/user").await?.status.as_u16(), 401);
    Ok(())
}

#[tokio::test]
async fn what_supabase_writes_in_two_forms_is_read_in_both() -> Result<()> {
    let project = Project::start().await?;
    let (server, _) = server(&project, false).await?;
    for (n, change) in [
        json!({ "aud": ["other", "authenticated"] }),
        json!({ "amr": ["password"] }),
        json!({ "amr": "oauth" }),
        json!({ "amr": null, "aal": null, "session_id": null, "app_metadata": null, "user_metadata": null }),
        json!({ "nbf": NOW + 20, "iat": NOW + 20 }),
    ]
    .iter()
    .enumerate()
    {
        let mut claims = project.with(change);
        claims["sub"] = json!(format!("user-{n}"));
        claims["email"] = json!(format!("user{n}@example.org"));
        let reply = callback(&server, &project.es256("es", &claims)?).await?;
        assert_eq!(reply.status.as_u16(), 201, "{change}: {}", reply.text);
    }
    Ok(())
}

#[tokio::test]
async fn forged_foreign_and_stale_tokens_stay_out() -> Result<()> {
    let project = Project::start().await?;
    let stranger = Project::start().await?;
    let (server, _) = server(&project, true).await?;
    let claims = project.claims();
    let es = |change: Value| project.es256("es", &project.with(&change));
    callback(&server, &es(json!({}))?).await?.expect(201)?;
    let genuine = es(json!({}))?;
    let (text, signature) = genuine.rsplit_once('.').context("three parts")?;
    let body = text.split_once('.').context("two parts")?.1;
    let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let point = project.es256.public_key().as_ref();
    let rsa_public = project.rs256.public().as_ref();
    let rs_header = json!({ "alg": "RS256", "kid": "rs" });
    let forged = [
        ("alg none", format!("{}.{body}.", encode(json!({ "alg": "none", "kid": "es" })))),
        ("alg none, signed", format!("{}.{body}.{signature}", encode(json!({ "alg": "none", "kid": "es" })))),
        ("no signature", format!("{text}.")),
        ("HS256 by the EC key", hs256(&json!({ "alg": "HS256", "kid": "es" }), &claims, point)?),
        ("HS256 by the RSA key", hs256(&json!({ "alg": "HS256", "kid": "rs" }), &claims, rsa_public)?),
        (
            "HS256 by the published key",
            hs256(&json!({ "alg": "HS256", "kid": "oct" }), &claims, b"published")?,
        ),
        ("HS256 by another secret", hs256(&json!({ "alg": "HS256" }), &claims, b"another")?),
        ("HS256 by nothing", hs256(&json!({ "alg": "HS256" }), &claims, b"")?),
        ("HS512", hs256(&json!({ "alg": "HS512" }), &claims, LEGACY.as_bytes())?),
        ("the RSA key as ES256", project.rs256(&json!({ "alg": "ES256", "kid": "rs" }), &claims)?),
        ("the EC key as RS256", project.rs256(&json!({ "alg": "RS256", "kid": "es" }), &claims)?),
        ("PS256", project.rs256(&json!({ "alg": "PS256", "kid": "rs" }), &claims)?),
        ("critical", project.rs256(&json!({ "alg": "RS256", "kid": "rs", "crit": ["x"], "x": 1 }), &claims)?),
        ("no kid", project.rs256(&json!({ "alg": "RS256" }), &claims)?),
        ("another project's key", stranger.es256("es", &claims)?),
        ("wrong aud", es(json!({ "aud": "anon" }))?),
        ("wrong aud in a list", es(json!({ "aud": ["x", "y"] }))?),
        ("no aud", es(json!({ "aud": null }))?),
        ("wrong iss", es(json!({ "iss": "https://other.example/auth/v1" }))?),
        ("no iss", es(json!({ "iss": null }))?),
        ("not yet valid", es(json!({ "nbf": NOW + 3_000 }))?),
        ("issued tomorrow", es(json!({ "iat": NOW + 86_400, "exp": NOW + 90_000 }))?),
        ("no exp", es(json!({ "exp": null }))?),
        ("no sub", es(json!({ "sub": null }))?),
        ("empty sub", es(json!({ "sub": "" }))?),
        ("no role", es(json!({ "role": null }))?),
        (
            "anon key",
            hs256(&json!({ "alg": "HS256" }), &project.with(&json!({ "role": "anon" })), LEGACY.as_bytes())?,
        ),
        (
            "service key",
            hs256(
                &json!({ "alg": "HS256" }),
                &project.with(&json!({ "role": "service_role" })),
                LEGACY.as_bytes(),
            )?,
        ),
        (
            "legacy anon key",
            hs256(
                &json!({ "alg": "HS256" }),
                &json!({ "iss": "supabase", "ref": "abc", "role": "anon", "iat": NOW, "exp": NOW + 9_999 }),
                LEGACY.as_bytes(),
            )?,
        ),
        ("nothing", String::from("x")),
        ("much", "x".repeat(5_000)),
    ];
    for (what, token) in &forged {
        for path in ["/auth/verify", "/tickets/view"] {
            let reply = server.get_as(token, path).await?;
            assert_eq!(refusal(&reply), (401, "invalid_token"), "{what} at {path}: {}", reply.text);
        }
    }
    for (what, token) in forged.iter().take(10) {
        assert_eq!(refusal(&callback(&server, token).await?), (401, "invalid_token"), "{what}");
    }
    let expired = es(json!({ "exp": NOW }))?;
    assert_eq!(refusal(&server.get_as(&expired, "/auth/verify").await?), (401, "token_expired"));
    server.get_as(&project.rs256(&rs_header, &claims)?, "/auth/verify").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn an_unknown_kid_makes_us_ask_once_and_then_not_for_a_while() -> Result<()> {
    let project = Project::start().await?;
    let (server, clock) = server(&project, false).await?;
    callback(&server, &project.es256("es", &project.claims())?).await?.expect(201)?;
    assert_eq!(project.asked(), 1);
    let unknown = project.es256("unknown", &project.claims())?;
    clock.advance(Duration::from_secs(31));
    for _ in 0..3 {
        assert_eq!(refusal(&server.get_as(&unknown, "/auth/verify").await?), (401, "invalid_token"));
    }
    assert_eq!(project.asked(), 2, "one refetch for all of them");
    clock.advance(Duration::from_secs(31));
    let tries: Vec<_> = (0..8)
        .map(|_| {
            let request = server.request(reqwest::Method::GET, "/auth/verify").bearer_auth(&unknown);
            tokio::spawn(support::server::send(request))
        })
        .collect();
    for one in tries {
        assert_eq!(one.await??.status.as_u16(), 401);
    }
    assert_eq!(project.asked(), 3, "one refetch, however many come at once");
    Ok(())
}

#[tokio::test]
async fn keys_at_hand_stay_good_while_the_project_is_down() -> Result<()> {
    let project = Project::start().await?;
    let (server, clock) = server(&project, false).await?;
    let token = project.es256("es", &project.with(&json!({ "exp": NOW + 90_000 })))?;
    callback(&server, &token).await?.expect(201)?;
    project.down.store(true, Ordering::SeqCst);
    clock.advance(Duration::from_secs(3_600));
    for _ in 0..3 {
        server.get_as(&token, "/auth/verify").await?.expect(200)?;
    }
    assert_eq!(project.asked(), 2, "it was asked, once");
    Ok(())
}

#[tokio::test]
async fn without_the_legacy_secret_hs256_is_nothing() -> Result<()> {
    let project = Project::start().await?;
    let (server, _) = server(&project, false).await?;
    let token = hs256(&json!({ "alg": "HS256" }), &project.claims(), LEGACY.as_bytes())?;
    assert_eq!(refusal(&callback(&server, &token).await?), (401, "invalid_token"));
    let none = TestServer::start().await?;
    assert_eq!(refusal(&callback(&none, &token).await?), (404, "supabase_not_configured"));
    Ok(())
}

#[tokio::test]
async fn a_user_is_who_issuer_and_subject_say_never_who_an_address_says() -> Result<()> {
    let project = Project::start().await?;
    let (server, clock) = server(&project, false).await?;
    let local = json!({ "email": "ada@example.org", "password": "correct horse battery" });
    server.post("/auth/v1/signup", &local).await?.expect(200)?;
    let token = project.es256("es", &project.claims())?;
    assert_eq!(refusal(&callback(&server, &token).await?), (409, "email_exists"));
    assert_eq!(refusal(&server.get_as(&token, "/auth/verify").await?), (401, "profile_required"));

    let mine = |change: Value| project.es256("es", &project.with(&change));
    let first = callback(&server, &mine(json!({ "email": "eve@example.org" }))?).await?.expect(201)?;
    clock.advance(Duration::from_secs(60));
    let renamed = json!({ "email": "eva@example.org", "user_metadata": { "name": "Eva" } });
    let second = callback(&server, &mine(renamed)?).await?.expect(200)?;
    assert_eq!(second["user_id"], first["user_id"]);
    assert_eq!((&second["email"], &second["name"]), (&json!("eva@example.org"), &json!("Eva")));
    assert_eq!(
        refusal(&callback(&server, &mine(json!({}))?).await?),
        (409, "email_exists"),
        "not onto a taken one"
    );
    let other = mine(json!({ "sub": "somebody else", "email": "eva@example.org" }))?;
    assert_eq!(refusal(&callback(&server, &other).await?), (409, "email_exists"));
    for change in [json!({ "email": null }), json!({ "email": "" }), json!({ "is_anonymous": true })] {
        let mut change = change;
        change["sub"] = json!("nameless");
        assert_eq!(refusal(&callback(&server, &mine(change)?).await?), (422, "email_required"));
    }
    Ok(())
}
