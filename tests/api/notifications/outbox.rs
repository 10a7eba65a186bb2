//! One outbox for every channel: preferences at send time, statuses, dead letters, what organizers write.

use anyhow::{Context as _, Result};
use hvflvspot::config::Config;
use hvflvspot::domain::notification::Channel;
use hvflvspot::store::outbox::{self, NewMail};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Connection as _;
use support::server::send;
use uuid::Uuid;

use crate::{PASSWORD, Stage, sign_up, text};

async fn enqueue(stage: &Stage, kind: &str, to: &str) -> Result<Uuid> {
    let app = &stage.server.app;
    let id = app.rng.uuid(&*app.clock);
    let facts = json!({
        "event": "Night", "starts": "Friday", "quantity": 1, "ticket_type": "Standing", "place": 1,
        "link": "https://t.example/x", "at": "noon",
    });
    let mail = NewMail {
        id,
        kind,
        recipient: to,
        organizer_id: None,
        language: "en",
        facts: &facts,
        sealed_facts: None,
        expires_at: None,
    };
    let mut tx = app.db.platform().await?;
    outbox::enqueue(&mut tx, &mail, app.clock.now()).await?;
    tx.commit().await?;
    Ok(id)
}

/// (status, why it is dead).
async fn state(stage: &Stage, id: Uuid) -> Result<(String, String)> {
    let mut db = stage.server.db.owner().await?;
    let row: (String, Option<String>) =
        sqlx::query_as("select status, dead_because from outbox where id = $1")
            .bind(id)
            .fetch_one(&mut db)
            .await?;
    db.close().await?;
    Ok((row.0, row.1.unwrap_or_default()))
}

async fn choose(stage: &Stage, token: &str, of: &str, channel: &str, enabled: bool) -> Result<(u16, Value)> {
    let body = json!({ "preferences": [{ "type": of, "channel": channel, "enabled": enabled }] });
    let put = stage.server.request(Method::PUT, "/notifications/preferences").bearer_auth(token).json(&body);
    let reply = send(put).await?;
    Ok((reply.status.as_u16(), reply.body))
}

fn simulated(channels: &[Channel], failing: f64, refusing: f64) -> impl FnOnce(&mut Config) {
    let channels = channels.to_vec();
    move |config| {
        config.simulated.channels = channels;
        config.simulated.failure_rate = failing;
        config.simulated.refusal_rate = refusing;
    }
}

#[tokio::test]
async fn what_somebody_switched_off_does_not_go_even_if_it_was_queued_before() -> Result<()> {
    let stage = Stage::open(|_| ()).await?;
    let ada = sign_up(&stage.server, "ada@example.org").await?;
    let all = stage.server.get_as(&ada, "/notifications/preferences").await?.expect(200)?;
    let all = all["preferences"].as_array().context("a list")?;
    assert_eq!(all.len(), 21);
    let sms = |p: &&Value| p["channel"] == "sms";
    assert!(all.iter().filter(sms).all(|p| p["enabled"] == false), "nobody gets text messages unasked");
    assert!(all.iter().filter(|p| !sms(p)).all(|p| p["enabled"] == true));

    let unwanted = enqueue(&stage, "offer.waiting", "Ada@example.org").await?;
    let stranger = enqueue(&stage, "offer.waiting", "bob@example.org").await?;
    let security = enqueue(&stage, "auth.new_login", "ada@example.org").await?;
    let (status, chosen) = choose(&stage, &ada, "waiting_list", "email", false).await?;
    assert_eq!(status, 200, "{chosen}");
    let (status, refused) = choose(&stage, &ada, "security", "email", false).await?;
    assert_eq!((status, &refused["errors"][0]["code"]), (422, &json!("fixed")), "{refused}");
    stage.deliver().await?;
    assert_eq!(state(&stage, unwanted).await?, ("dead".to_owned(), "switched_off".to_owned()));
    assert_eq!(state(&stage, stranger).await?.0, "sent", "another's choice is not theirs");
    assert_eq!(state(&stage, security).await?.0, "sent");
    choose(&stage, &ada, "waiting_list", "email", true).await?;
    let wanted = enqueue(&stage, "offer.waiting", "ada@example.org").await?;
    stage.deliver().await?;
    assert_eq!(state(&stage, wanted).await?.0, "sent");
    Ok(())
}

#[tokio::test]
async fn an_account_reads_its_own_notices_in_pages_and_nobody_elses() -> Result<()> {
    let stage = Stage::open(|_| ()).await?;
    let ada = sign_up(&stage.server, "ada@example.org").await?;
    let bob = sign_up(&stage.server, "bob@example.org").await?;
    for kind in ["auth.new_login", "offer.waiting", "auth.password_changed"] {
        enqueue(&stage, kind, "ada@example.org").await?;
        stage.clock.advance(std::time::Duration::from_secs(1));
    }
    let path = "/notifications?limit=2";
    let queued = stage.server.get_as(&ada, path).await?.expect(200)?;
    assert_eq!(
        (&queued["items"][0]["status"], &queued["items"][0]["subject"]),
        (&json!("queued"), &Value::Null)
    );
    stage.deliver().await?;
    let first = stage.server.get_as(&ada, path).await?.expect(200)?;
    let item = &first["items"][0];
    assert_eq!(
        (&item["status"], &item["subject"]),
        (&json!("sent"), &json!("Your password was changed")),
        "{item}"
    );
    assert!(!first.to_string().contains("t.example"), "what a letter carries stays in it");
    let next = text(&first, "next_cursor");
    let second = stage.server.get_as(&ada, &format!("{path}&cursor={next}")).await?.expect(200)?;
    assert_eq!((second["items"].as_array().map(Vec::len), &second["next_cursor"]), (Some(1), &Value::Null));
    let filtered =
        stage.server.get_as(&ada, "/notifications?type=waiting_list&channel=email").await?.expect(200)?;
    assert_eq!(filtered["items"].as_array().map(Vec::len), Some(1), "{filtered}");
    let of_bob = stage.server.get_as(&bob, "/notifications").await?.expect(200)?;
    assert_eq!(of_bob["items"], json!([]));
    assert_eq!(stage.server.get("/notifications").await?.status.as_u16(), 401);
    Ok(())
}

#[tokio::test]
async fn every_channel_has_a_simulated_provider_that_fails_as_it_is_told_to() -> Result<()> {
    for (failing, refusing, status) in [(0.0, 0.0, "delivered"), (1.0, 0.0, "failed"), (0.0, 1.0, "dead")] {
        let stage = Stage::open(simulated(&Channel::ALL, failing, refusing)).await?;
        let mut db = stage.server.db.owner().await?;
        for channel in Channel::ALL {
            let id = enqueue(&stage, "auth.new_login", "ada@example.org").await?;
            sqlx::query("update outbox set channel = $2 where id = $1")
                .bind(id)
                .bind(channel.as_str())
                .execute(&mut db)
                .await?;
        }
        let _ = stage.deliver().await;
        let told: Vec<(String, String)> =
            sqlx::query_as("select channel, status from outbox order by channel").fetch_all(&mut db).await?;
        let expected = ["email", "push", "sms"].map(|channel| (channel.to_owned(), status.to_owned()));
        assert_eq!(told, expected);
    }
    Ok(())
}

#[tokio::test]
async fn administrators_see_dead_letters_and_send_them_again() -> Result<()> {
    let stage = Stage::open(simulated(&[Channel::Email], 0.0, 1.0)).await?;
    let admin = stage.admin().await?;
    let ticket = enqueue(&stage, "ticket.received", "ada@example.org").await?;
    let key = enqueue(&stage, "auth.magic_link", "ada@example.org").await?;
    assert!(stage.deliver().await.is_err(), "health hears of it");
    let dead = "/admin/notifications/dead";
    assert_eq!(stage.server.get_as(&stage.owner, dead).await?.status.as_u16(), 403);
    let list = stage.server.get_as(&admin, dead).await?.expect(200)?;
    let items = list["items"].as_array().context("a list")?;
    let item = |id: Uuid| items.iter().find(|i| i["notification_id"] == json!(id)).context("it is listed");
    assert_eq!((&item(ticket)?["because"], &item(ticket)?["may_replay"]), (&json!("refused"), &json!(true)));
    assert_eq!(item(key)?["may_replay"], false, "the key is gone");
    let replay = |id: Uuid| format!("{dead}/{id}/replay");
    let refused = stage.server.post_as(&admin, &replay(key), &json!({})).await?;
    assert_eq!((refused.status.as_u16(), refused.code()), (409, "not_replayable"));
    assert_eq!(stage.server.post_as(&admin, &replay(Uuid::nil()), &json!({})).await?.status.as_u16(), 404);
    stage.server.post_as(&admin, &replay(ticket), &json!({})).await?.expect(202)?;
    assert_eq!(state(&stage, ticket).await?, ("queued".to_owned(), String::new()));
    assert_eq!(stage.server.post_as(&admin, &replay(ticket), &json!({})).await?.status.as_u16(), 404);
    assert!(stage.deliver().await.is_err());
    assert_eq!(state(&stage, ticket).await?.0, "dead", "it was tried again");
    Ok(())
}

#[tokio::test]
async fn an_organizer_writes_to_every_holder_once_and_not_without_end() -> Result<()> {
    let stage = Stage::open(|config| config.messages_per_day = 2).await?;
    for (email, pay) in [
        ("guest@example.org", "tok_always_succeeds"),
        ("Guest@example.org", "tok_always_succeeds"),
        ("other@example.org", "tok_always_succeeds"),
        ("poor@example.org", "tok_declined"),
    ] {
        stage.buy(None, email, pay, "en").await?;
    }
    let body = json!({
        "type": "messages", "audience": { "event_id": stage.event_id }, "subject": "The doors open at seven",
        "body": "Come by the yard.\n\nThere is soup.",
    });
    let ask = |body: &Value, token: &str| {
        let request = stage.server.request(Method::POST, "/notifications/send").bearer_auth(token);
        request.header("Idempotency-Key", "the-doors").json(body)
    };
    let sent = send(ask(&body, &stage.owner)).await?.expect(202)?;
    assert_eq!(sent["recipients"], 2, "each address once, and nobody who has no ticket");
    assert_eq!(send(ask(&body, &stage.owner)).await?.expect(202)?, sent, "repeated, it goes once");
    stage.deliver().await?;
    let mail = stage.mail("other@example.org", "message.news").await?;
    assert_eq!(mail["subject"], "The doors open at seven");
    assert!(text(&mail, "text").contains("Come by the yard.\n\nThere is soup."), "{mail}");
    stage.mail("guest@example.org", "message.news").await?;
    assert!(stage.mails("poor@example.org").await?.iter().all(|m| m["kind"] != "message.news"));

    let mut db = stage.server.db.owner().await?;
    let audited: i64 = sqlx::query_scalar("select count(*) from audit where action = 'message.sent'")
        .fetch_one(&mut db)
        .await?;
    assert_eq!(audited, 1);
    let mut elsewhere = body.clone();
    elsewhere["audience"]["ticket_type_ids"] = json!([Uuid::nil()]);
    let unknown = stage.own("/notifications/send", elsewhere).await?;
    assert_eq!((unknown.status.as_u16(), unknown.code()), (422, "invalid_fields"));
    stage.own("/notifications/send", body.clone()).await?.expect(202)?;
    assert_eq!(stage.own("/notifications/send", body.clone()).await?.status.as_u16(), 429);
    let rival = sign_up(&stage.server, "rival@example.org").await?;
    let profile = json!({ "name": "Rival", "contact_email": "rival@example.org" });
    let put = stage.server.request(Method::PUT, "/organizer/profile").bearer_auth(&rival).json(&profile);
    send(put).await?.expect(201)?;
    assert_eq!(stage.server.post_as(&rival, "/notifications/send", &body).await?.status.as_u16(), 404);
    stage.clock.advance(std::time::Duration::from_secs(24 * 3_600 + 1));
    let login = json!({ "email": "owner@example.org", "password": PASSWORD });
    let again = stage.server.post("/auth/v1/token?grant_type=password", &login).await?.expect(200)?;
    stage.server.post_as(&text(&again, "access_token"), "/notifications/send", &body).await?.expect(202)?;
    Ok(())
}

#[tokio::test]
async fn a_worker_that_dies_at_any_point_loses_no_message_and_sends_none_a_third_time() -> Result<()> {
    let stage = Stage::open(|_| ()).await?;
    for polls in 1..40_u32 {
        let to = format!("guest{polls}@example.org");
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(enqueue(&stage, "auth.new_login", &to).await?);
        }
        {
            // Dropped in the middle, with everything that it had begun.
            let mut working = std::pin::pin!(stage.deliver());
            let mut left = polls;
            std::future::poll_fn(|context| {
                left -= 1;
                let done = working.as_mut().poll(context).is_ready();
                if done || left == 0 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            })
            .await;
        }
        // The lease of the dead worker ends.
        stage.clock.advance(std::time::Duration::from_secs(301));
        stage.deliver().await?;
        let mails = stage.mails(&to).await?;
        for id in ids {
            let times = mails.iter().filter(|mail| mail["id"] == json!(id)).count();
            assert!((1..=2).contains(&times), "killed after {polls} polls: {id} came {times} times");
            assert_eq!(state(&stage, id).await?.0, "sent");
        }
    }
    Ok(())
}
