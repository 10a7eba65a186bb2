//! ALL SQL of the server lives here, one file per aggregate; functions take `&mut PgConnection`.
//! No HTTP here, and no decision that is not part of a guarded write.
//!
//! Row level security stands under every query. Who is asking is said by opening the transaction
//! through one of [`Db`]'s doors; there is no other way to get a connection.

pub mod audit;
pub mod booking;
pub mod cancellation;
pub mod change;
pub mod complimentary;
pub mod cookie;
pub mod daily;
pub mod delivery;
pub mod devices;
pub mod directory;
pub mod door;
pub mod endpoint;
pub mod event;
pub mod export;
pub mod guest_code;
pub mod guests;
pub mod hand_on;
pub mod idempotency;
pub mod identity;
pub mod import;
pub mod incidents;
pub mod invitation;
pub mod issue;
pub mod ledger;
pub mod limits;
pub mod manifests;
pub mod member;
pub mod message;
pub mod migrate;
pub mod noticed;
pub mod one_time;
pub mod organizer;
pub mod outbox;
pub mod payment_account;
pub mod payment_event;
pub mod phone;
pub mod preferences;
pub mod promo;
pub mod push;
pub mod question;
pub mod receipt;
pub mod refund;
pub mod sale;
pub mod scans;
pub mod search;
pub mod search_row;
pub mod search_words;
pub mod series;
pub mod sessions;
pub mod signing_key;
pub mod slots;
pub mod stats;
pub mod sweep;
pub mod system;
pub mod taste;
pub mod ticket;
pub mod ticket_type;
pub mod totp;
pub mod transaction;
mod tx;
pub mod user_identity;
pub mod users;
pub mod waiting;
pub mod waiting_room;
pub mod webhook;

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, PgPool};
use tokio::sync::Notify;
use uuid::Uuid;

pub use endpoint::Endpoint;
pub use tx::Tx;

/// A connection that rested this long is asked whether it still lives before it is used.
const CHECK_AFTER_IDLE: Duration = Duration::from_millis(500);

/// The pools, one per role. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Db {
    app: PgPool,
    worker: PgPool,
    outbox: Arc<Notify>,
}

/// Who is asking: what the policies compare rows with.
#[derive(Debug, Clone, Copy, Default)]
struct Context<'a> {
    org: Option<Uuid>,
    user: Option<Uuid>,
    secret_hash: Option<&'a [u8; 32]>,
    admin: bool,
}

impl Db {
    /// Opens both pools. Refuses roles that row level security does not bind.
    pub async fn connect(endpoint: &Endpoint, connections: u32) -> anyhow::Result<Self> {
        let pool = |max| {
            PgPoolOptions::new()
                .max_connections(max)
                .acquire_timeout(Duration::from_secs(5))
                .idle_timeout(Duration::from_secs(600))
                // A ping before every use would be a round trip a request; one after a pause is
                // enough to notice that the database was restarted.
                .test_before_acquire(false)
                .before_acquire(|connection, about| {
                    Box::pin(async move {
                        if about.idle_for > CHECK_AFTER_IDLE {
                            connection.ping().await?;
                        }
                        Ok(true)
                    })
                })
        };
        let app = pool(connections).connect_with(endpoint.app()).await?;
        let worker = pool(connections.div_ceil(4).max(2)).connect_with(endpoint.worker()).await?;
        for pool in [&app, &worker] {
            migrate::refuse_unbound_role(pool).await?;
        }
        Ok(Self { app, worker, outbox: Arc::default() })
    }

    /// An organizer's own rows: for its members, its devices, and for whoever buys there.
    /// The handler must have checked that the caller may act there.
    pub async fn tenant(&self, organizer: impl Into<Uuid>) -> Result<Tx, sqlx::Error> {
        self.begin(&self.app, Context { org: Some(organizer.into()), ..Context::default() }).await
    }

    /// As [`Db::tenant`], and everything read is of one moment (repeatable read). A write that met another's
    /// fails as [`is_retryable`].
    pub async fn tenant_snapshot(&self, organizer: impl Into<Uuid>) -> Result<Tx, sqlx::Error> {
        let context = Context { org: Some(organizer.into()), ..Context::default() };
        self.begin_as(&self.app, "begin isolation level repeatable read", context).await
    }

    /// A user's own rows, over all organizers, and the user's account.
    pub async fn user(&self, user: impl Into<Uuid>) -> Result<Tx, sqlx::Error> {
        self.begin(&self.app, Context { user: Some(user.into()), ..Context::default() }).await
    }

    /// The rows of the booking whose secret hashes to `secret_hash` (SHA-256), and no others. The
    /// organizer is not set, for it would open all of its rows: queries name it all the same.
    pub async fn guest(&self, secret_hash: &[u8; 32]) -> Result<Tx, sqlx::Error> {
        self.begin(&self.app, Context { secret_hash: Some(secret_hash), ..Context::default() }).await
    }

    /// The platform's administrator `user`: the rows that tables open with `admin_may`.
    pub async fn admin(&self, user: impl Into<Uuid>) -> Result<Tx, sqlx::Error> {
        self.begin(&self.app, Context { user: Some(user.into()), admin: true, ..Context::default() }).await
    }

    /// Nobody in particular: platform tables (accounts, directory) and public rows.
    pub async fn platform(&self) -> Result<Tx, sqlx::Error> {
        self.begin(&self.app, Context::default()).await
    }

    /// A job at work for one organizer.
    pub async fn worker_tenant(&self, organizer: impl Into<Uuid>) -> Result<Tx, sqlx::Error> {
        self.begin(&self.worker, Context { org: Some(organizer.into()), ..Context::default() }).await
    }

    /// A job at work on platform tables, as to list the organizers that it will visit.
    pub async fn worker_platform(&self) -> Result<Tx, sqlx::Error> {
        self.begin(&self.worker, Context::default()).await
    }

    /// Woken when something may have been put into the outbox here; once for all that was while nobody waited.
    pub async fn outbox_filled(&self) {
        self.outbox.notified().await;
    }

    /// Sends a message to whoever listens on the channel, at any server.
    pub async fn notify(&self, channel: &str, payload: &str) -> Result<(), sqlx::Error> {
        sqlx::query("select pg_notify($1, $2)")
            .bind(channel)
            .bind(payload)
            .execute(&self.worker)
            .await
            .map(drop)
    }

    /// A connection that hears messages, one of the worker's.
    pub async fn listener(&self) -> Result<PgListener, sqlx::Error> {
        PgListener::connect_with(&self.worker).await
    }

    /// One round trip, for `/health`.
    pub async fn ping(&self) -> Result<(), sqlx::Error> {
        sqlx::query("select 1").execute(&self.app).await.map(drop)
    }

    /// (connections open, of them idle) of the app's pool.
    pub fn connections(&self) -> (u32, usize) {
        (self.app.size(), self.app.num_idle())
    }

    /// Waits for running queries and closes every connection.
    pub async fn close(&self) {
        self.app.close().await;
        self.worker.close().await;
    }

    /// `begin` and the context in one round trip. The text is safe: UUIDs, hex digits and a boolean.
    async fn begin(&self, pool: &PgPool, context: Context<'_>) -> Result<Tx, sqlx::Error> {
        self.begin_as(pool, "begin", context).await
    }

    async fn begin_as(&self, pool: &PgPool, begin: &str, context: Context<'_>) -> Result<Tx, sqlx::Error> {
        let quoted = |id: Option<Uuid>| id.map_or_else(|| "null".to_owned(), |id| format!("'{id}'"));
        let secret = context
            .secret_hash
            .map_or_else(|| "null".to_owned(), |hash| format!("'\\x{}'", hex::encode(hash)));
        let statement = format!(
            "{begin}; select ctx({}, {}, {secret}, {})",
            quoted(context.org),
            quoted(context.user),
            context.admin,
        );
        // In a task of its own, because a caller may go away at any await (a client hangs up) and sqlx 0.9 counts a
        // transaction only once BEGIN was answered: dropped in between, the connection would go back into the pool with
        // a transaction open. The task ends the beginning, and then drops the transaction, which rolls it back.
        let pool = pool.clone();
        let begun = tokio::spawn(async move { pool.begin_with(AssertSqlSafe(statement)).await });
        let begun = begun.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))?;
        Ok(Tx::new(begun, Arc::clone(&self.outbox)))
    }
}

/// True if `error` is a unique violation of a constraint whose name starts with `prefix`.
/// By prefix, because partitioned and distributed tables append to constraint names.
pub fn is_unique_violation(error: &sqlx::Error, prefix: &str) -> bool {
    violates(error, "23505", prefix)
}

/// True if `error` is a check violation of a constraint whose name starts with `prefix`.
pub fn is_check_violation(error: &sqlx::Error, prefix: &str) -> bool {
    violates(error, "23514", prefix)
}

/// True if the transaction lost a race and the whole of it may simply be tried again.
pub fn is_retryable(error: &sqlx::Error) -> bool {
    matches!(sqlstate(error).as_deref(), Some("40001" | "40P01"))
}

/// True if the database cannot be reached or has no room just now: somebody should come back later.
pub fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) => true,
        // 57P0x: being shut down or not yet up; 53xxx: out of connections, memory or disk; 08xxx: connection.
        _ => sqlstate(error)
            .is_some_and(|s| s.starts_with("57P0") || s.starts_with("53") || s.starts_with("08")),
    }
}

fn sqlstate(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

fn violates(error: &sqlx::Error, state: &str, prefix: &str) -> bool {
    error.as_database_error().is_some_and(|e| {
        e.code().as_deref() == Some(state) && e.constraint().is_some_and(|c| c.starts_with(prefix))
    })
}
