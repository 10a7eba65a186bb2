//! 500 buyers, 100 tickets, real parallel connections.

use anyhow::Result;
use sqlx::Executor as _;
use tokio::task::JoinSet;

use crate::Stage;

const BUYERS: usize = 500;
const TICKETS: u32 = 100;

/// Everybody buys one at once; the number of those who got one, and of those who heard "sold out".
async fn storm(stage: &Stage) -> Result<(usize, usize)> {
    let mut buyers = JoinSet::new();
    for _ in 0..BUYERS {
        let order = stage.order(1, Some("tok_always_succeeds"));
        // HTTP/1: each request in flight has a connection of its own.
        let request = stage.server.request(reqwest::Method::POST, "/tickets/purchase").json(&order);
        buyers.spawn(support::server::send(request));
    }
    let (mut bought, mut sold_out) = (0, 0);
    while let Some(reply) = buyers.join_next().await {
        let reply = reply??;
        match (reply.status.as_u16(), reply.code()) {
            (201, _) => bought += 1,
            (409, "sold_out") => sold_out += 1,
            _ => anyhow::bail!("{}: {}", reply.status, reply.text),
        }
    }
    Ok((bought, sold_out))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn five_hundred_buyers_get_exactly_a_hundred_tickets() -> Result<()> {
    let stage = Stage::open(TICKETS).await?;
    assert_eq!(storm(&stage).await?, (100, 400));
    assert_eq!(stage.counters().await?, (0, 100));
    stage.audit().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_storm_oversells_once_guard_and_check_are_gone() -> Result<()> {
    let stage = Stage::open(TICKETS).await?;
    let mut owner = stage.owner_connection().await?;
    owner
        .execute(
            "alter table quotas drop constraint quotas_capacity;
             create or replace function quota_fits(held integer, sold integer, n bigint, capacity integer)
             returns boolean language sql immutable parallel safe as $$ select true $$",
        )
        .await?;
    let (bought, _) = storm(&stage).await?;
    assert!(bought > 100, "only {bought}: then the other test proves nothing");
    assert!(stage.audit().await.is_err(), "the audit must see what was oversold");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_check_alone_keeps_the_capacity_when_the_guard_is_gone() -> Result<()> {
    let stage = Stage::open(5).await?;
    let mut owner = stage.owner_connection().await?;
    owner
        .execute(
            "create or replace function quota_fits(held integer, sold integer, n bigint, capacity integer)
             returns boolean language sql immutable parallel safe as $$ select true $$",
        )
        .await?;
    for n in 0..8 {
        let reply = stage.buy(1, Some("tok_always_succeeds")).await?;
        assert_eq!(reply.status.is_success(), n < 5, "{}", reply.text);
    }
    assert_eq!(stage.counters().await?, (0, 5));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_servers_on_one_database_never_sell_one_too_many() -> Result<()> {
    use hvflvspot::store::sale::{self, Held};
    // Past the queue, straight at the statement: 60 connections' worth of transactions at once.
    let stage = Stage::open(30).await?;
    let event = hvflvspot::selling::catalog::event_for_sale(&stage.server.app, stage.event_id.parse()?)
        .await?
        .expect("it is on sale");
    let mut all = JoinSet::new();
    for _ in 0..100 {
        let (app, event) = (stage.server.app.clone(), std::sync::Arc::clone(&event));
        all.spawn(async move {
            let booking_id = app.rng.uuid(&*app.clock);
            let (of, now) = (&event.types[0], app.clock.now());
            let hold = sale::NewHold {
                booking_id,
                user_id: None,
                secret_hash: Some("00".repeat(32)),
                email: None,
                language: hvflvspot::domain::language::Language::En,
                price_minor: 0,
                fee_minor: 0,
                tax_minor: 0,
                held_until: now + event.hold,
                lines: vec![sale::NewLine {
                    booking_id,
                    line: 0,
                    ticket_type_id: of.ticket_type_id.0,
                    quota_id: of.quota_id.0,
                    quantity: 1,
                    unit_price_minor: 0,
                    unit_fee_minor: 0,
                    unit_tax_minor: 0,
                    name: of.name.clone(),
                    tax_rate_bp: 0,
                    list_price_minor: 0,
                    list_fee_minor: 0,
                }],
                payment: None,
            };
            let mut tx = app.db.tenant(event.organizer_id.0).await?;
            let held =
                sale::hold(&mut tx, event.organizer_id.0, event.event_id.0, event.version, &[hold], now)
                    .await?;
            tx.commit().await?;
            anyhow::Ok(held == Held::All)
        });
    }
    let mut held = 0;
    while let Some(one) = all.join_next().await {
        held += i64::from(one??);
    }
    assert_eq!((held, stage.counters().await?), (30, (30, 0)));
    stage.audit().await
}
