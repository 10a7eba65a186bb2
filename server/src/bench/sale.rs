//! Bookings on one hot ticket type, and on many: the whole way over HTTP, paid by simulation at zero latency, beside
//! the barest sale that one SQL statement can be, on the same database and on as many rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Executor as _, PgPool, Row as _};
use tokio::task::JoinSet;

use super::report::{Report, Times};
use super::site::Site;
use crate::clock::{Clock as _, SystemClock};
use crate::tour::venue::{self, Show};

/// Connections of the floor: more only wait for its one row.
const FLOOR: usize = 32;
/// Buyers at once over HTTP: as many as the floor has connections, and a rush, which is what selling several bookings
/// to a transaction is for.
const BUYERS: [usize; 2] = [32, 128];
/// Ticket types of the second round, each with a capacity of its own.
const MANY: usize = 32;

/// Runs the bench for `seconds` each way.
///
/// # Errors
/// If a sale fails, one too many is sold, or the ledger does not balance.
pub async fn run(report: Report, seconds: u64) -> Result<()> {
    let span = Duration::from_secs(seconds);
    let site = Site::open("Sale", 1_000_000).await?;
    let mut types = vec![site.show.ticket_type.clone()];
    for n in 1..MANY {
        types.push(venue::add_type(&site.organizer, &site.show.event, &format!("Block {n}"), 30_000).await?);
    }
    let pool = PgPoolOptions::new()
        .max_connections(u32::try_from(FLOOR)?)
        .min_connections(u32::try_from(FLOOR)?)
        .connect_with(site.endpoint().admin())
        .await?;
    let types = Arc::new(types);
    let one = Arc::new(types[..1].to_vec());
    // Warm both before either counts.
    bare(&pool, 1, Duration::from_secs(1)).await?;
    over_http(&site, &types, FLOOR, Duration::from_secs(1)).await?;

    let per_second = |n: i64| n as f64 / span.as_secs_f64();
    for (types, buyers) in [&one, &types].into_iter().flat_map(|types| BUYERS.map(|n| (types, n))) {
        // A floor of its own before each: the machine may be busier now than a minute ago.
        let (bare_sales, mut bare_times) = bare(&pool, types.len(), span).await?;
        let (sales, mut times) = over_http(&site, types, buyers, span).await?;
        let what =
            if types.len() == 1 { "one hot type".to_owned() } else { format!("{} types", types.len()) };
        let case = format!("{what}, {buyers} buyers, floor of {FLOOR}");
        report.against(&case, "sales", per_second(sales), "1/s", per_second(bare_sales));
        report.against(&case, "p50", times.quantile_ms(0.5), "ms", bare_times.quantile_ms(0.5));
        report.against(&case, "p99", times.quantile_ms(0.99), "ms", bare_times.quantile_ms(0.99));
    }
    prove(&pool).await?;
    pool.close().await;
    site.close().await
}

/// The floor: one statement takes one place of one of `rows`, writes a booking and a ticket.
async fn bare(pool: &PgPool, rows: usize, span: Duration) -> Result<(i64, Times)> {
    pool.execute(
        "create schema if not exists bench;
         create table if not exists bench.quota (id int primary key, sold int not null, capacity int not null check (sold <= capacity)) with (fillfactor = 50);
         create table if not exists bench.booking (id uuid primary key default gen_random_uuid(), quota_id int not null, at timestamptz not null default now());
         create table if not exists bench.ticket (id uuid primary key default gen_random_uuid(), booking_id uuid not null, state text not null);
         insert into bench.quota select n, 0, 100000000 from generate_series(0, 31) n on conflict do nothing;",
    )
    .await?;
    let pool = pool.clone();
    let rows = i32::try_from(rows)?;
    storm(FLOOR, span, move |n| {
        let pool = pool.clone();
        let row = i32::try_from(n).unwrap_or_default() % rows;
        async move {
            let done = sqlx::query(
                "with taken as (update bench.quota set sold = sold + 1 where id = $1 and sold < capacity returning id),
                      booked as (insert into bench.booking (quota_id) select id from taken returning id)
                 insert into bench.ticket (booking_id, state) select id, 'valid' from booked",
            )
            .bind(row)
            .execute(&pool)
            .await?;
            ensure!(done.rows_affected() == 1, "the floor's sale sold nothing");
            Ok(())
        }
    })
    .await
}

async fn over_http(
    site: &Site,
    types: &Arc<Vec<String>>,
    buyers: usize,
    span: Duration,
) -> Result<(i64, Times)> {
    let (api, rng, types) = (site.api.clone(), site.rng.clone(), Arc::clone(types));
    let event = Arc::new(site.show.clone());
    storm(buyers, span, move |n| {
        let (api, rng) = (api.clone(), rng.clone());
        let show = Show { ticket_type: types[n % types.len()].clone(), ..Show::clone(&event) };
        async move {
            let key = rng.uuid(&SystemClock).to_string();
            venue::buy(&api, &show, 1, &key).await.map(drop)
        }
    })
    .await
}

/// As many tasks as there are `buyers`, that each do `sale` again and again, told their number, until the time is over.
async fn storm<F, R>(buyers: usize, span: Duration, sale: F) -> Result<(i64, Times)>
where
    F: Fn(usize) -> R + Clone + Send + 'static,
    R: Future<Output = Result<()>> + Send,
{
    let sold = Arc::new(AtomicI64::new(0));
    let until = SystemClock.monotonic() + span;
    let mut tasks = JoinSet::new();
    for n in 0..buyers {
        let (sale, sold) = (sale.clone(), Arc::clone(&sold));
        tasks.spawn(async move {
            let mut times = Times::default();
            loop {
                let started = SystemClock.monotonic();
                if started >= until {
                    return Ok::<_, anyhow::Error>(times);
                }
                sale(n).await?;
                times.push(SystemClock.monotonic().saturating_sub(started));
                sold.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let mut times = Times::default();
    while let Some(done) = tasks.join_next().await {
        times.extend(done.context("a buyer panicked")??);
    }
    Ok((sold.load(Ordering::Relaxed), times))
}

/// A fast sale that is wrong is no sale: counters equal tickets, and the ledger sums to zero.
async fn prove(pool: &PgPool) -> Result<()> {
    let row = sqlx::query(
        "select (select sum(sold) from quotas)::bigint as sold,
                (select sum(held) from quotas)::bigint as held,
                (select count(*) from tickets where state in ('valid', 'blocked')) as tickets,
                coalesce((select sum(amount_minor) from ledger), 0)::bigint as ledger",
    )
    .fetch_one(pool)
    .await?;
    let (sold, held): (i64, i64) = (row.get("sold"), row.get("held"));
    let (tickets, ledger): (i64, i64) = (row.get("tickets"), row.get("ledger"));
    ensure!(sold == tickets, "{sold} sold, {tickets} tickets");
    ensure!(held == 0, "{held} are still held");
    ensure!(ledger == 0, "the ledger sums to {ledger}");
    Ok(())
}
