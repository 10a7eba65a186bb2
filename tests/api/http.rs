//! The HTTP ground: bad input of every kind gets a clear problem or a timely close.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Json;
use axum::extract::State;
use axum::routing::{get, post};
use hvflvspot::app::AppState;
use hvflvspot::auth::access_token::Subject;
use hvflvspot::clock::TestClock;
use hvflvspot::http::tls::Certificate;
use hvflvspot::http::{ApiError, ApiJson, ApiPath, ApiQuery, Caller, Client, InFlight, PageQuery};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use support::server::{TestServer, send};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    items: Vec<Item>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    quantity: u32,
}

async fn order(ApiJson(order): ApiJson<Order>) -> Result<Json<Value>, ApiError> {
    Ok(Json(json!({ "quantity": order.items.iter().map(|i| i.quantity).sum::<u32>() })))
}

async fn who(caller: Caller, client: Client) -> Json<Value> {
    let who = match caller {
        Caller::Anonymous => json!("anonymous"),
        Caller::User(user) => json!(user.user_id),
        Caller::Guest(guest) => json!(guest.organizer_id),
        Caller::System(system) => json!(system.account_id),
    };
    Json(json!({ "who": who, "addr": client.addr, "local": client.local }))
}

async fn panics() -> Result<Json<Value>, ApiError> {
    panic!("a secret that must not reach the client")
}

async fn bad_query(State(app): State<AppState>) -> Result<Json<Value>, ApiError> {
    let mut tx = app.db.platform().await?;
    sqlx::query("select secret_column from nowhere").execute(&mut *tx).await?;
    Ok(Json(Value::Null))
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .route("/test/order", post(order))
        .route("/test/who", get(who))
        .route("/test/panic", get(panics))
        .route("/test/sql", get(bad_query))
        .route(
            "/test/page",
            get(|ApiQuery(page): ApiQuery<PageQuery>| async move { page.limit().to_string() }),
        )
        .route("/test/id/{id}", get(|ApiPath(id): ApiPath<Uuid>| async move { id.to_string() }))
}

async fn server() -> Result<TestServer> {
    TestServer::builder().routes(routes()).start().await
}

#[tokio::test]
async fn malformed_wrong_and_unknown_json_is_refused_by_name() -> Result<()> {
    let server = server().await?;
    let cases: &[(&str, u16, &str, &str)] = &[
        ("{", 400, "malformed_json", ""),
        ("", 400, "malformed_json", ""),
        (r#"{"items":[]} trailing"#, 400, "malformed_json", ""),
        (r#"{"items":[{"quantity":"two"}]}"#, 422, "invalid_body", "items[0].quantity"),
        (r#"{"items":[{"quantity":-1}]}"#, 422, "invalid_body", "items[0].quantity"),
        (r#"{"items":[{"quantity":99999999999}]}"#, 422, "invalid_body", "items[0].quantity"),
        (r#"{"items":[{"quantity":1,"price":0}]}"#, 422, "invalid_body", "items[0].price"),
        (r#"{"items":null}"#, 422, "invalid_body", "items"),
        ("{}", 422, "invalid_body", "items"),
    ];
    for (body, status, code, field) in cases {
        let reply = send(
            server
                .request(Method::POST, "/test/order")
                .header("content-type", "application/json")
                .body(*body),
        )
        .await?;
        assert_eq!((reply.status.as_u16(), reply.code()), (*status, *code), "{body}: {}", reply.text);
        assert_eq!(reply.header("content-type"), "application/problem+json");
        assert_eq!(reply.body["request_id"], reply.header("x-request-id"));
        assert_eq!(reply.body["status"], *status);
        if !field.is_empty() {
            assert_eq!(reply.body["errors"][0]["field"], *field, "{}", reply.text);
        }
    }
    let fine = server.post("/test/order", &json!({"items": [{"quantity": 2}, {"quantity": 3}]})).await?;
    assert_eq!(fine.expect(200)?["quantity"], 5);
    Ok(())
}

#[tokio::test]
async fn another_media_type_and_a_huge_body_are_refused() -> Result<()> {
    let server = server().await?;
    let plain = send(server.request(Method::POST, "/test/order").body("items=1")).await?;
    assert_eq!((plain.status.as_u16(), plain.code()), (415, "unsupported_media_type"));
    let huge = format!(r#"{{"items":[],"x":"{}"}}"#, "y".repeat(300 * 1024));
    let request = || server.request(Method::POST, "/test/order").header("content-type", "application/json");
    let declared = send(request().body(huge.clone())).await?;
    assert_eq!((declared.status.as_u16(), declared.code()), (413, "body_too_large"));

    // The same without a length: counted while it is read.
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).await?;
    let head = "POST /test/order HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\n\
                transfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    let chunk = format!("{:x}\r\n{huge}\r\n0\r\n\r\n", huge.len());
    // The server may close before it has read all.
    let _ = stream.write_all(chunk.as_bytes()).await;
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await?;
    assert_eq!(answer, b"HTTP/1.1 413");
    Ok(())
}

#[tokio::test]
async fn unknown_routes_and_wrong_methods_are_problems() -> Result<()> {
    let server = server().await?;
    let unknown = server.get("/nowhere?secret=1").await?;
    assert_eq!((unknown.status.as_u16(), unknown.code()), (404, "no_such_route"));
    assert!(!unknown.text.contains("secret"), "the query is not repeated");
    let wrong = server.post("/test/who", &json!({})).await?;
    assert_eq!((wrong.status.as_u16(), wrong.code()), (405, "method_not_allowed"));
    assert_eq!(wrong.header("allow"), "GET,HEAD");
    let query = server.get("/test/page?limit=many").await?;
    assert_eq!((query.status.as_u16(), query.code()), (400, "invalid_query"));
    assert_eq!(query.body["errors"][0]["field"], "limit", "{}", query.text);
    let unknown = server.get("/test/page?colour=red").await?;
    assert_eq!((unknown.status.as_u16(), unknown.code()), (400, "invalid_query"));
    for out in ["0", "201", "5000", "-1"] {
        let refused = server.get(&format!("/test/page?limit={out}")).await?;
        assert_eq!((refused.status.as_u16(), refused.code()), (400, "invalid_query"), "{out}");
        assert_eq!(refused.body["errors"][0]["field"], "limit", "{}", refused.text);
    }
    assert_eq!(server.get("/test/page?limit=200").await?.text, "200");
    assert_eq!(server.get("/test/page").await?.text, "50");
    let path = server.get("/test/id/not-an-id").await?;
    assert_eq!((path.status.as_u16(), path.code()), (400, "invalid_path"));
    Ok(())
}

#[tokio::test]
async fn under_auth_v1_refusals_have_gotrues_form() -> Result<()> {
    let server = server().await?;
    let reply = server.get("/auth/v1/nowhere").await?;
    assert_eq!(reply.status.as_u16(), 404);
    assert_eq!(reply.body["code"], 404);
    assert_eq!(reply.body["error_code"], "no_such_route");
    assert!(reply.body["msg"].is_string());
    Ok(())
}

#[tokio::test]
async fn a_harmless_request_id_is_kept_and_any_other_replaced() -> Result<()> {
    let server = server().await?;
    let with = |id: &'static str| server.request(Method::GET, "/test/who").header("x-request-id", id);
    assert_eq!(send(with("till-7_order.0001")).await?.header("x-request-id"), "till-7_order.0001");
    for bad in ["short", "has spaces in it", "quote\"in-it-somewhere"] {
        let id = send(with(bad)).await?.header("x-request-id").to_owned();
        assert!(id.parse::<Uuid>().is_ok(), "{bad} became {id}");
    }
    Ok(())
}

#[tokio::test]
async fn every_reply_carries_the_headers_that_protect_browsers() -> Result<()> {
    let server = server().await?;
    for path in ["/test/who", "/nowhere", "/openapi.json"] {
        let reply = server.get(path).await?;
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(reply.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(reply.header("referrer-policy"), "no-referrer", "{path}");
        assert!(reply.header("content-security-policy").contains("default-src 'none'"), "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn a_panicking_handler_is_one_500_and_nothing_else() -> Result<()> {
    let server = server().await?;
    let reply = server.get("/test/panic").await?;
    assert_eq!((reply.status.as_u16(), reply.code()), (500, "internal_error"));
    assert!(!reply.text.contains("secret"));
    assert_eq!(server.get("/test/who").await?.status.as_u16(), 200);
    Ok(())
}

#[tokio::test]
async fn a_database_error_is_a_500_that_tells_nothing() -> Result<()> {
    let server = server().await?;
    let reply = server.get("/test/sql").await?;
    assert_eq!((reply.status.as_u16(), reply.code()), (500, "internal_error"));
    assert!(!reply.text.contains("secret_column") && !reply.text.contains("nowhere"));
    Ok(())
}

#[tokio::test]
async fn a_slow_handler_is_abandoned_and_a_full_server_says_when_to_return() -> Result<()> {
    let entered = Arc::new(Notify::new());
    let (slow, polling) = (Arc::clone(&entered), Arc::clone(&entered));
    let routes = OpenApiRouter::new()
        .route(
            "/test/slow",
            get(move || async move {
                slow.notify_one();
                std::future::pending::<()>().await;
            }),
        )
        .route(
            "/test/poll",
            get(move |place: InFlight| async move {
                place.release();
                polling.notify_one();
                std::future::pending::<()>().await;
            }),
        )
        .route("/test/quick", get(|| async { "done" }));
    let server = TestServer::builder()
        .routes(routes)
        .config(|c| {
            c.http.max_in_flight = 1;
            c.http.request_timeout = Duration::from_millis(1_500);
        })
        .start()
        .await?;
    let slow = tokio::spawn(send(server.request(Method::GET, "/test/slow")));
    entered.notified().await;
    let refused = server.get("/test/quick").await?;
    assert_eq!((refused.status.as_u16(), refused.code()), (503, "overloaded"));
    assert_eq!(refused.header("retry-after"), "1");
    let abandoned = slow.await??;
    assert_eq!((abandoned.status.as_u16(), abandoned.code()), (503, "timeout"));

    let poll = tokio::spawn(send(server.request(Method::GET, "/test/poll")));
    entered.notified().await;
    assert_eq!(server.get("/test/quick").await?.status.as_u16(), 200, "a long poll gave its place back");
    poll.abort();
    Ok(())
}

#[tokio::test]
async fn connections_that_make_no_request_are_closed_in_time() -> Result<()> {
    let server =
        TestServer::builder().config(|c| c.http.header_timeout = Duration::from_millis(300)).start().await?;
    let address = server.url.trim_start_matches("http://").to_owned();
    // Nothing; half a request line; half a head; half of HTTP/2's preface.
    for opening in ["", "GET /hea", "GET /health HTTP/1.1\r\nhost: t\r\nx-slow:", "PRI * HTTP/2"] {
        let mut stream = TcpStream::connect(&address).await?;
        stream.write_all(opening.as_bytes()).await?;
        let mut rest = Vec::new();
        // A reset is as good a close as any.
        let closed = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "still open after {opening:?}");
    }
    assert_eq!(server.get("/health/live").await?.status.as_u16(), 204);
    Ok(())
}

#[tokio::test]
async fn a_body_that_never_comes_is_given_up() -> Result<()> {
    let server = TestServer::builder()
        .routes(routes())
        .config(|c| c.http.request_timeout = Duration::from_millis(300))
        .start()
        .await?;
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).await?;
    let head = "POST /test/order HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{";
    stream.write_all(head.as_bytes()).await?;
    let mut answer = vec![0; 12];
    tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut answer)).await??;
    assert_eq!(answer, b"HTTP/1.1 503");
    Ok(())
}

#[tokio::test]
async fn a_graceful_stop_answers_the_request_in_flight() -> Result<()> {
    let (entered, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (there, wait) = (Arc::clone(&entered), Arc::clone(&go_on));
    let routes = OpenApiRouter::new().route(
        "/test/work",
        get(move || async move {
            there.notify_one();
            wait.notified().await;
            "done"
        }),
    );
    let server = TestServer::builder().routes(routes).start().await?;
    let (client, url) = (server.client.clone(), server.url.clone());
    let work = tokio::spawn(send(server.request(Method::GET, "/test/work")));
    entered.notified().await;
    let app = server.app.clone();
    let stopping = tokio::spawn(server.stop());
    app.stopping.cancelled().await;
    // The door closes while the work goes on.
    let refused = async {
        while client.get(format!("{url}/health/live")).header("connection", "close").send().await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), refused).await.context("it still takes connections")?;
    go_on.notify_one();
    assert_eq!(work.await??.text, "done");
    assert!(stopping.await??, "nothing was cut off");
    Ok(())
}

#[tokio::test]
async fn a_token_is_believed_until_it_expires_and_only_untouched() -> Result<()> {
    let clock = TestClock::at(time::OffsetDateTime::from_unix_timestamp(1_800_000_000)?);
    let server = TestServer::builder().routes(routes()).clock(&clock).start().await?;
    let user_id = Uuid::from_u128(7);
    let subject = Subject {
        method: "password",
        user_id,
        email: "ada@example.org",
        role: "user",
        session_id: Uuid::from_u128(8),
        signed_in_at: server.app.clock.now(),
        aal: hvflvspot::domain::access::Aal::Aal1,
        user_metadata: json!({"role": "admin"}),
    };
    let token = server.app.tokens.issue(&subject)?;
    let who = server.get_as(&token, "/test/who").await?.expect(200)?;
    assert_eq!(who["who"], json!(user_id));
    assert_eq!(server.get("/test/who").await?.expect(200)?["who"], "anonymous");

    let parts: Vec<&str> = token.split('.').collect();
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", parts[1]);
    let mut bent = token.clone().into_bytes();
    let at = parts[0].len() + 10;
    bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
    let bent = String::from_utf8(bent)?;
    let other = TestServer::builder().routes(routes()).clock(&clock).seed(2).start().await?;
    let foreign = other.app.tokens.issue(&subject)?;
    for bad in [unsigned.as_str(), &bent, &foreign, &token[..token.len() - 2], "nonsense", ""] {
        let reply = server.get_as(bad, "/test/who").await?;
        assert_eq!((reply.status.as_u16(), reply.code()), (401, "invalid_token"), "{bad}");
        assert_eq!(reply.header("www-authenticate"), "Bearer");
    }
    clock.advance(Duration::from_secs(3_599));
    server.get_as(&token, "/test/who").await?.expect(200)?;
    clock.advance(Duration::from_secs(1));
    assert_eq!(server.get_as(&token, "/test/who").await?.code(), "token_expired");
    Ok(())
}

#[tokio::test]
async fn a_booking_secret_names_its_organizer() -> Result<()> {
    use base64::Engine as _;
    let server = server().await?;
    let organizer = Uuid::from_u128(42);
    let mut bytes = organizer.as_bytes().to_vec();
    bytes.extend([9; 32]);
    let secret = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&bytes);
    let with =
        |secret: String| send(server.request(Method::GET, "/test/who").header("booking-secret", secret));
    assert_eq!(with(secret.clone()).await?.expect(200)?["who"], json!(organizer));
    for bad in [secret[1..].to_owned(), "x".to_owned(), String::new()] {
        assert_eq!(with(bad).await?.code(), "invalid_booking_secret");
    }
    Ok(())
}

#[tokio::test]
async fn a_forwarded_address_is_believed_from_a_trusted_proxy_alone() -> Result<()> {
    let server = server().await?;
    let ask = |server: &TestServer, chain: &'static str| {
        send(server.request(Method::GET, "/test/who").header("x-forwarded-for", chain))
    };
    let untrusted = ask(&server, "203.0.113.9").await?.expect(200)?;
    assert_eq!((&untrusted["addr"], &untrusted["local"]), (&json!("127.0.0.1"), &json!(false)));
    let trusting = TestServer::builder()
        .routes(routes())
        .config(|c| c.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap(), "10.0.0.0/8".parse().unwrap()])
        .start()
        .await?;
    // The client wrote the first entry itself; the proxies appended the others.
    let seen = ask(&trusting, "1.1.1.1, 203.0.113.9, 10.0.0.3").await?.expect(200)?;
    assert_eq!(seen["addr"], "203.0.113.9");
    Ok(())
}

#[tokio::test]
async fn health_tells_details_to_this_machine_alone() -> Result<()> {
    let server = TestServer::builder()
        .config(|c| c.health_token = Some(hvflvspot::config::Secret::new("let-me-see")))
        .start()
        .await?;
    let local = server.get("/health").await?.expect(200)?;
    assert_eq!(local["status"], "ok");
    assert_eq!(local["checks"][0]["name"], "database");
    assert!(local["checks"][0]["latency_ms"].as_f64().is_some_and(|ms| ms > 0.0));
    let forwarded = || server.request(Method::GET, "/health").header("x-forwarded-for", "203.0.113.9");
    assert_eq!(send(forwarded()).await?.expect(200)?["checks"], Value::Null);
    assert_eq!(send(forwarded().bearer_auth("let-me")).await?.expect(200)?["checks"], Value::Null);
    assert!(send(forwarded().bearer_auth("let-me-see")).await?.expect(200)?["checks"].is_array());
    assert_eq!(server.get("/health/ready").await?.status.as_u16(), 204);

    server.app.heartbeats.beat("demo", Duration::from_secs(1), false);
    assert_eq!(server.get("/health").await?.expect(200)?["status"], "degraded");
    server.app.db.close().await;
    assert_eq!(server.get("/health").await?.expect(503)?["status"], "down");
    assert_eq!(server.get("/health/live").await?.status.as_u16(), 204);
    let ready = server.get("/health/ready").await?;
    assert_eq!((ready.status.as_u16(), ready.code()), (503, "not_ready"));
    Ok(())
}

#[tokio::test]
async fn the_openapi_document_is_of_this_server_and_its_page_needs_no_network() -> Result<()> {
    let server = server().await?;
    let document = server.get("/openapi.json").await?.expect(200)?;
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/health"]["get"].is_object());
    for scheme in ["bearer", "booking_secret", "device_signature"] {
        assert!(document["components"]["securitySchemes"][scheme].is_object(), "{scheme}");
    }
    let page = server.get("/docs/").await?;
    assert_eq!(page.status.as_u16(), 200);
    assert!(!page.text.contains("https://"), "the page loads something from elsewhere");
    let script = server.get("/docs/swagger-ui-bundle.js").await?;
    assert_eq!((script.status.as_u16(), script.text.len() > 100_000), (200, true));
    Ok(())
}

#[tokio::test]
async fn browsers_may_call_from_configured_origins_alone() -> Result<()> {
    let server = TestServer::builder()
        .routes(routes())
        .config(|c| c.http.cors_origins = vec!["https://shop.example".to_owned()])
        .start()
        .await?;
    let preflight = |origin: &'static str| {
        send(
            server
                .request(Method::OPTIONS, "/test/order")
                .header("origin", origin)
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "content-type,idempotency-key"),
        )
    };
    assert_eq!(
        preflight("https://shop.example").await?.header("access-control-allow-origin"),
        "https://shop.example"
    );
    assert_eq!(preflight("https://evil.example").await?.header("access-control-allow-origin"), "");
    Ok(())
}

#[tokio::test]
async fn metrics_count_by_route_and_are_for_this_machine_alone() -> Result<()> {
    let server = server().await?;
    server.get("/test/id/00000000-0000-0000-0000-000000000007").await?;
    server.get("/nowhere/at/all").await?;
    let text = server.get("/metrics").await?.text;
    let count = "hvflvspot_request_seconds_count{route=\"/test/id/{id}\",method=\"GET\",status=\"200\"} 1";
    assert!(text.contains(count), "{text}");
    assert!(text.contains("hvflvspot_requests_in_flight 1"), "{text}");
    assert!(!text.contains("nowhere") && !text.contains("000000000007"));
    let elsewhere =
        send(server.request(Method::GET, "/metrics").header("x-forwarded-for", "203.0.113.9")).await?;
    assert_eq!((elsewhere.status.as_u16(), elsewhere.code()), (401, "health_token_required"));
    Ok(())
}

#[tokio::test]
async fn the_packaged_alerts_watch_what_is_counted() -> Result<()> {
    let server = server().await?;
    server.get("/health/live").await?;
    server.app.heartbeats.beat("sweep", Duration::from_secs(1), true);
    let served = server.get("/metrics").await?.text;
    let alerts = include_str!("../../packaging/prometheus/alerts.yml");
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let watched: BTreeSet<&str> = alerts.split(word).filter(|w| w.starts_with("hvflvspot_")).collect();
    assert!(watched.len() >= 5, "{watched:?}");
    for name in watched {
        let told = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
        assert!(served.lines().any(told), "no {name} in {served}");
    }
    let document = include_str!("../../docs/openapi.json");
    for route in ["/tickets/purchase", "/payment/process", "/gates/wait"] {
        assert!(alerts.contains(route) && document.contains(&format!("\"{route}\"")), "{route}");
    }
    Ok(())
}

#[tokio::test]
async fn a_stop_still_answers_who_connected_before_it_and_speaks_right_after() -> Result<()> {
    let server = server().await?;
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).await?;
    let stopping = server.app.stopping.clone();
    let stop = tokio::spawn(server.stop());
    stopping.cancelled().await;
    stream.write_all(b"GET /test/who HTTP/1.1\r\nhost: t\r\n\r\n").await?;
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await??;
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    assert!(stop.await??);
    Ok(())
}

#[tokio::test]
async fn https_is_served_with_a_certificate_of_ones_own() -> Result<()> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let dir = tempfile::tempdir()?;
    let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem())?;
    std::fs::write(&key, made.signing_key.serialize_pem())?;
    let shown = Certificate::load(&certificate, &key)?;
    let server = TestServer::builder()
        .tls(shown.acceptor())
        .config(|c| c.http.header_timeout = Duration::from_millis(500))
        .start()
        .await?;
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(made.cert.pem().as_bytes())?])
        .build()?;
    let url = server.url.replace("127.0.0.1", "localhost");
    let reply = client.get(format!("{url}/health")).send().await?;
    assert_eq!(reply.status().as_u16(), 200);

    // Who does not shake hands is let go.
    let mut silent = TcpStream::connect(server.url.trim_start_matches("https://")).await?;
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), silent.read_to_end(&mut rest))
        .await
        .context("still open")?
        .ok();

    let swapped = Certificate::load(&key, &certificate).err().context("swapped files pass")?;
    assert!(swapped.to_string().contains("key.pem"), "{swapped:#}");

    // Renewed while the door is open: half of it changes nothing, the whole is shown to the next who comes.
    assert!(!shown.reload()?, "nothing has changed");
    let renewed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let later = std::fs::metadata(&key)?.modified()? + Duration::from_secs(5);
    let write = |file: &std::path::Path, text: String| {
        std::fs::write(file, text)?;
        std::fs::File::options().write(true).open(file)?.set_modified(later)
    };
    write(&certificate, renewed.cert.pem())?;
    assert!(shown.reload().is_err(), "a certificate without its key was taken");
    assert_eq!(client.get(format!("{url}/health/live")).send().await?.status().as_u16(), 204);
    write(&key, renewed.signing_key.serialize_pem())?;
    assert!(shown.reload()?);
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(renewed.cert.pem().as_bytes())?])
        .build()?;
    assert_eq!(client.get(format!("{url}/health/live")).send().await?.status().as_u16(), 204);
    Ok(())
}
