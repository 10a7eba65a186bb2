//! Limits of calls, what caches may keep, and who may call from a browser: what stands in headers.

use std::time::Duration;

use anyhow::{Context as _, Result};
use hvflvspot::clock::TestClock;
use hvflvspot::config::Rate;
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use support::server::{Builder, Reply, TestServer, send};

/// A server behind a proxy on this machine, which forwards addresses.
fn proxied() -> Builder {
    TestServer::builder().config(|c| c.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a range")])
}

fn from(request: RequestBuilder, chain: &str) -> RequestBuilder {
    request.header("x-forwarded-for", chain)
}

async fn search(server: &TestServer, chain: &str) -> Result<Reply> {
    send(from(server.request(Method::GET, "/events/search"), chain)).await
}

async fn sign_up(server: &TestServer, email: &str) -> Result<String> {
    let body = json!({ "email": email, "password": "correct-horse-battery" });
    let session = server.post("/auth/v1/signup", &body).await?.expect(200)?;
    Ok(session["access_token"].as_str().context("a token")?.to_owned())
}

#[tokio::test]
async fn a_limited_route_says_what_is_left_and_when_to_come_back() -> Result<()> {
    let clock = TestClock::at(time::OffsetDateTime::from_unix_timestamp(1_800_000_000)?);
    let server =
        proxied().clock(&clock).config(|c| c.limits.search = Rate { client: 3, account: 0 }).start().await?;
    for left in [2, 1, 0] {
        let reply = search(&server, "203.0.113.1").await?;
        assert_eq!(reply.status.as_u16(), 200, "{}", reply.text);
        assert_eq!(reply.header("ratelimit-policy"), "\"search\";q=3;w=60");
        let limit = format!("\"search\";r={left};t={}", 60 - 20 * left);
        assert_eq!(reply.header("ratelimit"), limit);
    }
    let refused = search(&server, "203.0.113.1").await?;
    assert_eq!((refused.status.as_u16(), refused.code()), (429, "rate_limited"));
    assert_eq!((refused.header("retry-after"), refused.header("ratelimit")), ("20", "\"search\";r=0;t=60"));
    assert_eq!(refused.header("cache-control"), "no-store");
    assert_eq!(search(&server, "203.0.113.2").await?.status.as_u16(), 200, "another client");
    assert_eq!(server.get("/events/search").await?.status.as_u16(), 200, "this machine is not limited");
    clock.advance(Duration::from_secs(20));
    assert_eq!(search(&server, "203.0.113.1").await?.status.as_u16(), 200);
    assert_eq!(search(&server, "203.0.113.1").await?.status.as_u16(), 429);
    let unlimited = send(from(server.request(Method::GET, "/categories"), "203.0.113.1")).await?;
    assert_eq!(unlimited.header("ratelimit-policy"), "");
    Ok(())
}

#[tokio::test]
async fn nobody_escapes_a_limit_or_spends_anothers_by_a_made_up_address() -> Result<()> {
    let clock = TestClock::at(time::OffsetDateTime::from_unix_timestamp(1_800_000_000)?);
    let once = |c: &mut hvflvspot::config::Config| c.limits.search = Rate { client: 1, account: 0 };
    let server = proxied().clock(&clock).config(once).start().await?;
    // The client writes what it likes on the left; the proxy appends what it sees.
    assert_eq!(search(&server, "1.1.1.1, 203.0.113.9").await?.status.as_u16(), 200);
    assert_eq!(search(&server, "2.2.2.2, 203.0.113.9").await?.status.as_u16(), 429);
    assert_eq!(search(&server, "203.0.113.10").await?.status.as_u16(), 200);
    // Without a trusted proxy the header moves nobody elsewhere.
    let direct = TestServer::builder().clock(&clock).config(once).start().await?;
    assert_eq!(search(&direct, "1.1.1.1").await?.status.as_u16(), 200);
    assert_eq!(search(&direct, "2.2.2.2").await?.status.as_u16(), 429);
    // An IPv6 client has the whole of its network.
    assert_eq!(search(&server, "2001:db8::1").await?.status.as_u16(), 200);
    assert_eq!(search(&server, "2001:db8::2").await?.status.as_u16(), 429);
    assert_eq!(search(&server, "2001:db8:1::1").await?.status.as_u16(), 200);
    Ok(())
}

#[tokio::test]
async fn an_account_is_limited_wherever_it_calls_from_and_only_by_its_own_calls() -> Result<()> {
    let server = proxied().config(|c| c.limits.purchase = Rate { client: 100, account: 2 }).start().await?;
    let (ada, bob) = (sign_up(&server, "ada@example.org").await?, sign_up(&server, "bob@example.org").await?);
    let buy = async |token: &str, chain: &str| {
        let body = json!({ "event_id": uuid::Uuid::nil(), "items": [] });
        send(from(server.request(Method::POST, "/tickets/purchase").json(&body).bearer_auth(token), chain))
            .await
    };
    // Somebody claims to be Ada, in vain: it costs her nothing.
    let forged = format!("{}x", &ada[..ada.len() - 3]);
    for _ in 0..5 {
        assert_eq!(buy(&forged, "203.0.113.66").await?.status.as_u16(), 401);
    }
    assert_eq!(buy(&ada, "203.0.113.1").await?.status.as_u16(), 404, "there is no such event");
    let second = buy(&ada, "203.0.113.2").await?;
    assert_eq!(second.header("ratelimit-policy"), "\"purchase\";q=100;w=60, \"purchase-account\";q=2;w=60");
    let refused = buy(&ada, "203.0.113.3").await?;
    assert_eq!((refused.status.as_u16(), refused.code()), (429, "rate_limited"));
    assert_eq!(buy(&bob, "203.0.113.3").await?.status.as_u16(), 404);
    Ok(())
}

#[tokio::test]
async fn every_limited_route_is_in_the_document_and_tells_its_policy() -> Result<()> {
    let server = proxied().start().await?;
    let document = server.get("/openapi.json").await?.expect(200)?;
    // A link of a mail leads to the shop's own page, which is none of ours.
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let mut limited = 0;
    for (path, item) in document["paths"].as_object().context("paths")? {
        for (method, operation) in item.as_object().context("methods")? {
            let says = operation["responses"]["429"].is_object();
            let method = Method::from_bytes(method.to_uppercase().as_bytes())?;
            if path.contains('{') || path == "/gates/wait" {
                continue;
            }
            let request = client.request(method.clone(), format!("{}{path}", server.url)).json(&json!({}));
            let reply = send(from(request, "203.0.113.7")).await?;
            let tells = !reply.header("ratelimit-policy").is_empty();
            assert!(!tells || says, "{method} {path} is limited, and its 429 is not documented");
            limited += usize::from(tells);
        }
    }
    assert!(limited >= 6, "found {limited}");
    Ok(())
}

#[tokio::test]
async fn a_wrong_login_tells_the_policy_and_a_refused_one_when_to_return() -> Result<()> {
    let server = TestServer::start().await?;
    let body = json!({ "email": "ada@example.org", "password": "not-her-password" });
    let mut last = server.post("/auth/v1/token?grant_type=password", &body).await?;
    assert_eq!(last.header("ratelimit-policy"), "\"login\";q=5;w=60");
    for _ in 0..5 {
        last = server.post("/auth/v1/token?grant_type=password", &body).await?;
    }
    assert_eq!(last.status.as_u16(), 429, "{}", last.text);
    let wait = last.header("retry-after");
    assert_eq!(last.header("ratelimit"), format!("\"login\";r=0;t={wait}"));
    Ok(())
}

#[tokio::test]
async fn what_is_public_may_be_kept_and_asked_for_by_its_tag() -> Result<()> {
    let server = TestServer::start().await?;
    for path in ["/openapi.json", "/categories", "/events/search"] {
        let get =
            |encoding: &'static str| server.request(Method::GET, path).header("accept-encoding", encoding);
        let first = send(get("identity")).await?;
        assert_eq!(first.header("cache-control"), "public, max-age=30", "{path}");
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with("W/\""), "{path}: {tag}: compression changes the bytes");
        // A cache keeps compressed and plain answers apart, and those for other origins.
        if path == "/openapi.json" {
            // The others are too short to be worth it.
            assert!(all_vary(&first).contains("accept-encoding"), "{path}: {}", all_vary(&first));
        }
        assert!(all_vary(&first).contains("origin"), "{path}: {}", all_vary(&first));
        let packed = send(get("gzip")).await?;
        assert_eq!(packed.header("etag"), tag, "{path}");
        for known in
            [tag.clone(), tag.trim_start_matches("W/").to_owned(), "*".to_owned(), format!("\"x\", {tag}")]
        {
            let same = send(get("identity").header("if-none-match", &known)).await?;
            assert_eq!((same.status.as_u16(), same.text.as_str()), (304, ""), "{path} {known}");
            assert_eq!(same.header("etag"), tag);
        }
        assert_eq!(send(get("identity").header("if-none-match", "W/\"x\"")).await?.status.as_u16(), 200);
    }
    for path in ["/auth/verify", "/tickets/view", "/health", "/nowhere"] {
        let private = server.get(path).await?;
        assert!(private.header("cache-control").contains("no-store"), "{path}");
        assert_eq!(private.header("etag"), "", "{path}");
    }
    Ok(())
}

fn all_vary(reply: &Reply) -> String {
    let values: Vec<&str> = reply.headers.get_all("vary").iter().filter_map(|v| v.to_str().ok()).collect();
    values.join(", ").to_lowercase()
}

#[tokio::test]
async fn a_browser_elsewhere_may_call_if_its_origin_is_listed_and_never_with_cookies() -> Result<()> {
    let server = TestServer::builder()
        .config(|c| c.http.cors_origins = vec!["https://shop.example".to_owned()])
        .start()
        .await?;
    let preflight = async |origin: &str| {
        let request = server.request(Method::OPTIONS, "/tickets/purchase").header("origin", origin);
        let request = request.header("access-control-request-method", "POST");
        send(request.header("access-control-request-headers", "authorization,content-type,idempotency-key"))
            .await
    };
    let listed = preflight("https://shop.example").await?;
    assert!(listed.status.is_success());
    assert_eq!(listed.header("access-control-allow-origin"), "https://shop.example");
    for (name, word) in [
        ("access-control-allow-methods", "POST"),
        ("access-control-allow-headers", "idempotency-key"),
        ("access-control-max-age", "3600"),
    ] {
        assert!(listed.header(name).contains(word), "{name}: {}", listed.header(name));
    }
    for foreign in
        ["https://evil.example", "https://shop.example.evil.example", "http://shop.example", "null"]
    {
        assert_eq!(preflight(foreign).await?.header("access-control-allow-origin"), "", "{foreign}");
    }
    let ask =
        |origin: &'static str| send(server.request(Method::GET, "/categories").header("origin", origin));
    let (own, foreign) = (ask("https://shop.example").await?, ask("https://evil.example").await?);
    assert_eq!(own.header("access-control-allow-origin"), "https://shop.example");
    for exposed in ["etag", "retry-after", "ratelimit", "x-request-id"] {
        assert!(own.header("access-control-expose-headers").contains(exposed), "{exposed}");
    }
    assert_eq!(foreign.header("access-control-allow-origin"), "");
    for reply in [&listed, &own, &foreign] {
        assert_eq!(reply.header("access-control-allow-credentials"), "", "cookies stay at home");
        assert!(all_vary(reply).contains("origin"));
    }
    // A refusal can be read there too.
    let refused =
        send(server.request(Method::GET, "/tickets/view").header("origin", "https://shop.example")).await?;
    assert_eq!(refused.status.as_u16(), 401);
    assert_eq!(refused.header("access-control-allow-origin"), "https://shop.example");
    // Nobody is listed by default.
    let silent = TestServer::start().await?;
    let reply =
        send(silent.request(Method::GET, "/categories").header("origin", "https://shop.example")).await?;
    assert_eq!(reply.header("access-control-allow-origin"), "");
    Ok(())
}
