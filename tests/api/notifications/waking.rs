//! Who puts something into the outbox wakes its worker, with the COMMIT and not before.

use anyhow::{Context as _, Result};
use hvflvspot::app::AppState;
use hvflvspot::store::Tx;
use hvflvspot::store::outbox::{self, NewMail};
use serde_json::json;
use sqlx::Connection as _;
use support::server::TestServer;
use uuid::Uuid;

use crate::Stage;
use crate::sms::PAID;

async fn enqueue(app: &AppState, tx: &mut Tx) -> Result<Uuid> {
    let id = app.rng.uuid(&*app.clock);
    let facts = json!({ "link": "https://t.example/x" });
    let mail = NewMail {
        id,
        kind: "auth.magic_link",
        recipient: "ada@example.org",
        organizer_id: None,
        language: "en",
        facts: &facts,
        sealed_facts: None,
        expires_at: None,
    };
    outbox::enqueue(tx, &mail, app.clock.now()).await?;
    Ok(id)
}

async fn was_woken(app: &AppState) -> bool {
    tokio::select! {
        biased;
        () = app.db.outbox_filled() => true,
        () = std::future::ready(()) => false,
    }
}

#[tokio::test]
async fn the_commit_wakes_and_nothing_else_does() -> Result<()> {
    let server = TestServer::start().await?;
    let app = &server.app;
    let mut tx = app.db.platform().await?;
    enqueue(app, &mut tx).await?;
    assert!(!was_woken(app).await, "nobody sees the message yet");
    tx.commit().await?;
    assert!(was_woken(app).await, "it is there");
    assert!(!was_woken(app).await, "once");

    let mut tx = app.db.platform().await?;
    enqueue(app, &mut tx).await?;
    drop(tx);
    assert!(!was_woken(app).await, "it was rolled back");

    let mut tx = app.db.platform().await?;
    sqlx::query("select 1").execute(&mut *tx).await?;
    tx.commit().await?;
    assert!(!was_woken(app).await, "nothing was put there");
    Ok(())
}

#[tokio::test]
async fn a_message_that_is_sent_again_wakes() -> Result<()> {
    let server = TestServer::start().await?;
    let app = &server.app;
    let mut tx = app.db.platform().await?;
    let id = enqueue(app, &mut tx).await?;
    tx.commit().await?;
    assert!(was_woken(app).await);
    let mut owner = server.db.owner().await?;
    let dead = "update outbox set status = 'dead', dead_because = 'exhausted' where id = $1";
    sqlx::query(dead).bind(id).execute(&mut owner).await?;
    owner.close().await?;
    let mut tx = app.db.worker_platform().await?;
    outbox::replay(&mut tx, id, app.clock.now()).await?;
    tx.commit().await?;
    assert!(was_woken(app).await);
    Ok(())
}

#[tokio::test]
async fn a_sale_wakes_for_its_letter() -> Result<()> {
    let stage = Stage::open(|_| ()).await?;
    while was_woken(&stage.server.app).await {}
    stage.buy(None, "guest@example.org", PAID, "en").await?.expect(201).context("sold")?;
    assert!(was_woken(&stage.server.app).await);
    Ok(())
}
