//! The audit's chain finds whatever was done to the audit by hand.

use anyhow::{Context as _, Result};
use hvflvspot::audit::{Report, extend, verify_all};
use hvflvspot::domain::audit_chain::KEY_PURPOSE;
use sqlx::{Connection as _, Executor as _, PgConnection};
use uuid::Uuid;

use crate::Stage;

async fn prove(stage: &Stage) -> Result<Report> {
    let key = stage.server.app.master_key.subkey(KEY_PURPOSE);
    let reports = verify_all(&stage.server.app.db, &key).await?;
    reports.into_iter().next().context("there is an organizer")
}

/// What the chain says after `harm`, which is rolled back by nothing: one stage for each.
async fn after(harm: &str) -> Result<String> {
    let stage = Stage::open(10).await?;
    for _ in 0..3 {
        stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    }
    let organizer: Uuid = {
        let mut owner = stage.owner_connection().await?;
        sqlx::query_scalar("select distinct organizer_id from audit").fetch_one(&mut owner).await?
    };
    let fresh = prove(&stage).await?;
    assert_eq!((fresh.proven, fresh.broken), (0, None));
    assert!(fresh.waiting >= 3, "{}", fresh.waiting);
    extend(&stage.server.app, organizer).await?;
    let sound = prove(&stage).await?;
    assert_eq!((sound.proven, sound.waiting, sound.broken), (fresh.waiting, 0, None));
    // Nothing new: nothing changes. Something new: the chain goes on from its head.
    extend(&stage.server.app, organizer).await?;
    assert_eq!(prove(&stage).await?.head, sound.head);
    stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    extend(&stage.server.app, organizer).await?;
    assert_eq!(prove(&stage).await?.proven, sound.proven + 1);

    let mut owner: PgConnection = stage.owner_connection().await?;
    owner.execute(sqlx::AssertSqlSafe(harm.to_owned())).await?;
    owner.close().await?;
    Ok(prove(&stage).await?.broken.unwrap_or_default())
}

#[tokio::test]
async fn a_changed_act_is_found() -> Result<()> {
    let said = after(
        "update audit set detail = '{\"by\": \"somebody else\"}'
          where audit_id = (select audit_id from audit_chain where seq = 2)",
    )
    .await?;
    assert!(said.contains("link 2 is not what was written"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_removed_act_is_found_with_and_without_its_link() -> Result<()> {
    let act = "delete from audit where audit_id = (select audit_id from audit_chain where seq = 2)";
    let said = after(act).await?;
    assert!(said.contains("of link 2 is gone"), "{said}");
    let said = after(&format!("{act}; delete from audit_chain where seq = 2")).await?;
    assert!(said.contains("link 2 is missing"), "{said}");
    // Closing the gap does not help: the next link names the one before it.
    let said = after(&format!(
        "{act}; delete from audit_chain where seq = 2; update audit_chain set seq = seq - 1 where seq > 2"
    ))
    .await?;
    assert!(said.contains("link 2 is not what was written"), "{said}");
    Ok(())
}

#[tokio::test]
async fn an_act_slipped_in_behind_the_chain_is_found() -> Result<()> {
    let said = after(
        "insert into audit (organizer_id, audit_id, at, actor_kind, action, object_kind, object_id)
         select organizer_id, '0192f0c1-0000-7000-8000-000000000001', at, actor_kind, action, object_kind, object_id
           from audit limit 1",
    )
    .await?;
    assert!(said.contains("slipped in"), "{said}");
    Ok(())
}
