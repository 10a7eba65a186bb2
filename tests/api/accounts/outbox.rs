//! Mail is enqueued with its cause, delivered once, tried again, given up, and never lost.

use std::time::Duration;

use anyhow::{Context as _, Result};
use hvflvspot::adapters::mail::Outgoing;
use hvflvspot::clock::TestClock;
use hvflvspot::config::Secret;
use hvflvspot::domain::notification::{Channel, Receipt};
use hvflvspot::jobs;
use hvflvspot::store::outbox::{self, NewMail};
use serde_json::json;
use support::mail_server::MailServer;
use support::server::{TestServer, send};
use time::OffsetDateTime;
use uuid::Uuid;

fn clock() -> Result<TestClock> {
    Ok(TestClock::at(OffsetDateTime::from_unix_timestamp(1_800_000_000)?))
}

async fn enqueue(server: &TestServer, to: &str, expires_in: Option<time::Duration>) -> Result<Uuid> {
    let app = &server.app;
    let id = app.rng.uuid(&*app.clock);
    let sealed =
        jobs::outbox::seal(app, id, &json!({ "link": "https://t.example/x?a=1&b=2", "code": "012345" }));
    let mut tx = app.db.platform().await?;
    let mail = NewMail {
        id,
        kind: "auth.magic_link",
        recipient: to,
        organizer_id: None,
        language: "en",
        facts: &json!({ "minutes": 60 }),
        sealed_facts: Some(&sealed),
        expires_at: expires_in.map(|d| app.clock.now() + d),
    };
    outbox::enqueue(&mut tx, &mail, app.clock.now()).await?;
    tx.commit().await?;
    Ok(id)
}

/// (status, attempts, seconds until the next attempt, error, whether something is sealed).
async fn state(server: &TestServer, id: Uuid) -> Result<(String, i32, i64, String, bool)> {
    let mut db = server.db.owner().await?;
    let row: (String, i32, OffsetDateTime, Option<String>, bool) = sqlx::query_as(
        "select status, attempts, next_attempt_at, last_error, sealed_facts is not null from outbox where id = $1",
    )
    .bind(id)
    .fetch_one(&mut db)
    .await?;
    let wait = (row.2 - server.app.clock.now()).whole_seconds();
    Ok((row.0, row.1, wait, row.3.unwrap_or_default(), row.4))
}

#[tokio::test]
async fn the_development_mailbox_shows_mails_to_this_machine_alone() -> Result<()> {
    let server = TestServer::start().await?;
    let first = enqueue(&server, "Ada@example.org", None).await?;
    enqueue(&server, "bob@example.org", None).await?;
    assert_eq!(server.get("/dev/mailbox").await?.expect(200)?, json!([]));
    jobs::outbox::run(&server.app).await?;
    jobs::outbox::run(&server.app).await?;
    let all = server.get("/dev/mailbox").await?.expect(200)?;
    assert_eq!(all.as_array().map(Vec::len), Some(2), "{all}");
    let of_ada = server.get("/dev/mailbox?recipient=ada@example.org").await?.expect(200)?;
    assert_eq!((&of_ada[0]["id"], of_ada.as_array().map(Vec::len)), (&json!(first), Some(1)));
    assert!(of_ada[0]["text"].as_str().is_some_and(|t| t.contains("https://t.example/x?a=1&b=2")));
    assert!(of_ada[0]["html"].as_str().is_some_and(|t| t.contains("a=1&amp;b=2")));
    let (status, attempts, _, _, sealed) = state(&server, first).await?;
    assert_eq!((status.as_str(), attempts, sealed), ("sent", 1, false), "the secret is gone once sent");

    let forwarded =
        server.request(reqwest::Method::GET, "/dev/mailbox").header("x-forwarded-for", "127.0.0.1");
    assert_eq!(send(forwarded).await?.status.as_u16(), 404);
    let strict = TestServer::builder().config(|c| c.dev = false).start().await?;
    assert_eq!(strict.get("/dev/mailbox").await?.status.as_u16(), 404);
    Ok(())
}

#[tokio::test]
async fn a_mail_exists_only_with_its_cause() -> Result<()> {
    let server = TestServer::start().await?;
    let mut tx = server.app.db.platform().await?;
    let mail = NewMail {
        id: Uuid::from_u128(1),
        kind: "auth.new_login",
        recipient: "ada@example.org",
        organizer_id: None,
        language: "en",
        facts: &json!({ "at": "noon" }),
        sealed_facts: None,
        expires_at: None,
    };
    outbox::enqueue(&mut tx, &mail, server.app.clock.now()).await?;
    drop(tx);
    jobs::outbox::run(&server.app).await?;
    assert_eq!(server.get("/dev/mailbox").await?.expect(200)?, json!([]));
    // From within any context, and for no other organizer than the context's.
    let (mine, theirs) = (Uuid::from_u128(0xA), Uuid::from_u128(0xB));
    for (context, organizer_id, may) in [
        (server.app.db.user(mine).await?, None, true),
        (server.app.db.tenant(mine).await?, Some(mine), true),
        (server.app.db.tenant(mine).await?, Some(theirs), false),
    ] {
        let mut tx = context;
        let mail = NewMail { organizer_id, ..mail.clone() };
        assert_eq!(outbox::enqueue(&mut tx, &mail, server.app.clock.now()).await.is_ok(), may);
    }
    Ok(())
}

#[tokio::test]
async fn without_a_way_out_mails_wait_and_health_says_so() -> Result<()> {
    let clock = clock()?;
    let server = TestServer::builder().clock(&clock).config(|c| c.dev = false).start().await?;
    let waits = enqueue(&server, "ada@example.org", None).await?;
    let hurries = enqueue(&server, "ada@example.org", Some(time::Duration::HOUR)).await?;
    for _ in 0..3 {
        jobs::outbox::run(&server.app).await?;
        clock.advance(Duration::from_secs(3_600));
    }
    let (status, attempts, .., sealed) = state(&server, waits).await?;
    assert_eq!((status.as_str(), attempts, sealed), ("queued", 0, true));
    let (status, attempts, .., sealed) = state(&server, hurries).await?;
    assert_eq!((status.as_str(), attempts, sealed), ("dead", 0, false));
    let health = server.get("/health").await?.expect(200)?;
    assert_eq!(health["status"], "degraded");
    let mail = health["checks"].as_array().and_then(|c| c.iter().find(|c| c["name"] == "mail"));
    assert!(mail.is_some_and(|m| m["detail"].to_string().contains("unconfigured")), "{health}");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_delivered_is_tried_later_and_later_and_given_up() -> Result<()> {
    // A port that was free a moment ago: nobody listens.
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let clock = clock()?;
    let server = TestServer::builder()
        .clock(&clock)
        .config(|c| c.mail.smtp_url = Some(Secret::new(format!("smtp://127.0.0.1:{port}"))))
        .start()
        .await?;
    let id = enqueue(&server, "ada@example.org", None).await?;
    let mut waits = Vec::new();
    for attempt in 1..=12 {
        assert!(jobs::outbox::run(&server.app).await.is_err(), "health must hear of it");
        let (status, attempts, wait, error, sealed) = state(&server, id).await?;
        assert_eq!(attempts, attempt);
        assert!(!error.is_empty());
        if attempt == 12 {
            assert_eq!((status.as_str(), sealed), ("dead", false));
        } else {
            assert_eq!((status.as_str(), sealed), ("failed", true));
            // Not yet due: nothing happens.
            jobs::outbox::run(&server.app).await?;
            assert_eq!(state(&server, id).await?.1, attempt);
            waits.push(wait);
            clock.advance(Duration::from_secs(wait.unsigned_abs() + 1));
        }
    }
    assert!(waits[0] <= 10 && waits[10] >= 1_799 && waits[10] <= 3_600, "{waits:?}");
    jobs::outbox::run(&server.app).await?;
    assert_eq!(state(&server, id).await?.1, 12);
    Ok(())
}

#[tokio::test]
async fn two_workers_never_hold_the_same_mail_and_a_lost_lease_changes_nothing() -> Result<()> {
    let clock = clock()?;
    let server = TestServer::builder().clock(&clock).start().await?;
    for i in 0..20 {
        enqueue(&server, &format!("guest{i}@example.org"), None).await?;
    }
    let app = &server.app;
    let lease = time::Duration::minutes(5);
    let (mut one, mut two) = (app.db.worker_platform().await?, app.db.worker_platform().await?);
    // Both transactions are open at once.
    let first = outbox::lease(&mut one, &Channel::ALL, 12, lease, app.clock.now()).await?;
    let second = outbox::lease(&mut two, &Channel::ALL, 12, lease, app.clock.now()).await?;
    one.commit().await?;
    two.commit().await?;
    assert_eq!((first.len(), second.len()), (12, 8));
    assert!(first.iter().all(|a| second.iter().all(|b| a.id != b.id)));
    let mut tx = app.db.worker_platform().await?;
    assert!(outbox::lease(&mut tx, &Channel::ALL, 50, lease, app.clock.now()).await?.is_empty());
    clock.advance(Duration::from_secs(301));
    let again = outbox::lease(&mut tx, &Channel::ALL, 50, lease, app.clock.now()).await?;
    assert_eq!(again.len(), 20, "a worker that died holds nothing for ever");
    let receipt = Receipt::default();
    let sent = outbox::Ending::Sent(&receipt);
    assert!(!outbox::end(&mut tx, &first[0], &sent, None, app.clock.now()).await?);
    let held = again.iter().find(|m| m.id == first[0].id).context("all are held again")?;
    assert!(outbox::end(&mut tx, held, &sent, None, app.clock.now()).await?);
    Ok(())
}

#[tokio::test]
async fn a_real_mail_server_receives_text_and_html_and_its_refusal_is_final() -> Result<()> {
    let mut mail_server = MailServer::start().await?;
    let url = format!("smtp://127.0.0.1:{}", mail_server.port);
    let server = TestServer::builder()
        .config(|c| {
            c.mail.smtp_url = Some(Secret::new(url));
            c.mail.from = "Tickets <tickets@example.org>".to_owned();
        })
        .start()
        .await?;
    assert!(matches!(server.app.mail, Outgoing::Smtp(_)));
    assert_eq!(server.get("/dev/mailbox").await?.status.as_u16(), 404, "mails went elsewhere");
    let id = enqueue(&server, "ada@example.org", None).await?;
    jobs::outbox::run(&server.app).await?;
    let received = mail_server.next().await?;
    assert_eq!(received["to"], json!(["ada@example.org"]));
    assert_eq!(received["from"], "Tickets <tickets@example.org>");
    assert_eq!(received["subject"], "Your sign-in link");
    assert_eq!(received["message_id"], json!(format!("<{id}@example.org>")));
    assert!(
        received["text"].as_str().is_some_and(|t| t.contains("https://t.example/x?a=1&b=2")),
        "{received}"
    );
    assert!(received["html"].as_str().is_some_and(|t| t.contains("012345")), "{received}");

    let refused = enqueue(&server, "nobody@example.org", None).await?;
    let welcome = enqueue(&server, "bob@example.org", None).await?;
    assert!(jobs::outbox::run(&server.app).await.is_err());
    let (status, attempts, _, error, _) = state(&server, refused).await?;
    assert_eq!((status.as_str(), attempts), ("dead", 1), "{error}");
    assert_eq!(state(&server, welcome).await?.0, "sent", "one bad address holds up nobody");
    Ok(())
}
