//! Access tokens: what they open, who is told whose they are, and the keys that anybody may read.

use std::time::Duration;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hvflvspot::store::member::{self, OrgRole};
use serde_json::{Value, json};
use support::server::TestServer;
use uuid::Uuid;

use crate::{clock, sign_out, sign_up, strict, text};

#[tokio::test]
async fn forged_and_foreign_tokens_open_nothing() -> Result<()> {
    let clock = clock()?;
    let server = TestServer::builder().clock(&clock).start().await?;
    let other = TestServer::builder().clock(&clock).seed(2).start().await?;
    let session = sign_up(&server, "ada@example.org").await?;
    let token = text(&session, "access_token");
    let [header, claims, signature]: [&str; 3] =
        token.split('.').collect::<Vec<_>>().try_into().map_err(|_| anyhow::anyhow!("not a JWS"))?;
    let kid = json_of(header)?["kid"].clone();
    let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let jwks = server.get("/.well-known/jwks.json").await?.expect(200)?;
    let mut point = vec![4];
    for coordinate in ["x", "y"] {
        point.extend(URL_SAFE_NO_PAD.decode(text(&jwks["keys"][0], coordinate))?);
    }
    // The same key as SubjectPublicKeyInfo, raw and in PEM: what a confused library would take as the secret.
    let mut spki = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200")?;
    spki.extend(&point);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&spki));
    let hs256 = |secret: &[u8]| {
        let signed = format!("{}.{claims}", encode(json!({ "alg": "HS256", "typ": "JWT", "kid": kid })));
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
        let tag = ring::hmac::sign(&key, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    };
    let mut admin = json_of(claims)?;
    admin["app_metadata"]["role"] = json!("admin");
    let mut forged = vec![
        ("alg none", format!("{}.{claims}.", encode(json!({ "alg": "none", "kid": kid })))),
        ("alg None", format!("{}.{claims}.", encode(json!({ "alg": "None", "kid": kid })))),
        (
            "alg none with the signature",
            format!("{}.{claims}.{signature}", encode(json!({ "alg": "none", "kid": kid }))),
        ),
        ("no kid", format!("{}.{claims}.{signature}", encode(json!({ "alg": "ES256" })))),
        ("another kid", format!("{}.{claims}.{signature}", encode(json!({ "alg": "ES256", "kid": "x" })))),
        ("HS256 by the point", hs256(&point)),
        ("HS256 by the DER", hs256(&spki)),
        ("HS256 by the PEM", hs256(pem.as_bytes())),
        ("other claims", format!("{header}.{}.{signature}", encode(admin))),
        ("no signature", format!("{header}.{claims}.")),
        ("a zero signature", format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode([0; 64]))),
        ("two parts", format!("{header}.{claims}")),
        ("nothing", "x".to_owned()),
        ("much", "x".repeat(20_000)),
        (
            "another installation's",
            text(&sign_up(&other, "ada@example.org").await?, "access_token").to_owned(),
        ),
    ];
    let mut bent = URL_SAFE_NO_PAD.decode(signature)?;
    for at in [0, 31, 32, 63] {
        bent[at] ^= 1;
        forged.push(("a bent signature", format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(&bent))));
        bent[at] ^= 1;
    }
    for path in ["/auth/v1/user", "/auth/verify"] {
        server.get_as(token, path).await?.expect(200)?;
        for (what, token) in &forged {
            let reply = server.get_as(token, path).await?;
            let code = if path == "/auth/verify" { "invalid_token" } else { "bad_jwt" };
            let got = reply.body["error_code"].as_str().or(reply.body["code"].as_str());
            if what == &"much" && reply.status.as_u16() == 431 {
                continue;
            }
            assert_eq!((reply.status.as_u16(), got), (401, Some(code)), "{what} at {path}: {}", reply.text);
        }
    }
    clock.advance(Duration::from_secs(3_599));
    server.get_as(token, "/auth/verify").await?.expect(200)?;
    clock.advance(Duration::from_secs(1));
    assert_eq!(server.get_as(token, "/auth/verify").await?.code(), "token_expired");
    assert_eq!(text(&server.get_as(token, "/auth/v1/user").await?.body, "error_code"), "bad_jwt");
    assert_eq!(text(&server.get("/auth/v1/user").await?.body, "error_code"), "no_authorization");
    Ok(())
}

fn json_of(part: &str) -> Result<Value> {
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part)?)?)
}

#[tokio::test]
async fn verify_says_who_is_calling_until_the_session_ends() -> Result<()> {
    let server = TestServer::start().await?;
    let session = sign_up(&server, "ada@example.org").await?;
    let token = text(&session, "access_token");
    let user_id: Uuid = text(&session["user"], "id").parse()?;
    let (mine, others) = (Uuid::from_u128(1), Uuid::from_u128(2));
    for (organizer, user, role) in
        [(mine, user_id, OrgRole::Manager), (others, Uuid::from_u128(3), OrgRole::Owner)]
    {
        let mut tx = server.app.db.tenant(organizer).await?;
        member::put(&mut tx, organizer, user, role, server.app.clock.now()).await?;
        tx.commit().await?;
    }
    let who = server.get_as(token, "/auth/verify").await?.expect(200)?;
    assert_eq!(who["kind"], "user");
    assert_eq!(who["user_id"], json!(user_id));
    assert_eq!((text(&who, "email"), text(&who, "role")), ("ada@example.org", "user"));
    assert_eq!(who["organizers"], json!([{ "organizer_id": mine, "role": "manager" }]));
    assert_eq!(server.get("/auth/verify").await?.code(), "not_signed_in");
    sign_out(&server, &session, "").await?.expect(204)?;
    let ended = server.get_as(token, "/auth/verify").await?;
    assert_eq!((ended.status.as_u16(), ended.code()), (401, "session_ended"));
    Ok(())
}

#[tokio::test]
async fn anybody_may_read_settings_health_and_public_keys() -> Result<()> {
    let server = strict().start().await?;
    let settings = server.get("/auth/v1/settings").await?.expect(200)?;
    assert_eq!(settings["external"]["email"], true);
    assert_eq!(
        (&settings["mailer_autoconfirm"], &settings["disable_signup"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(server.get("/auth/v1/health").await?.expect(200)?["name"], "HVFLVSPOT");
    let keys = server.get("/.well-known/jwks.json").await?;
    assert_eq!(keys.header("cache-control"), "public, max-age=300");
    assert_eq!(keys.body, server.get("/auth/v1/.well-known/jwks.json").await?.expect(200)?);
    let key = &keys.body["keys"][0];
    assert_eq!((text(key, "kty"), text(key, "crv"), text(key, "alg")), ("EC", "P-256", "ES256"));
    assert!(key["d"].is_null(), "the private half stays here");
    Ok(())
}
