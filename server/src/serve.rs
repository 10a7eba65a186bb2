//! `hvflvspot serve`: database, migrations, state, jobs, sockets, and the way back down.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::AppState;
use crate::clock::{SharedClock, SharedRng, SystemClock};
use crate::config::Config;
use crate::demo;
use crate::http::tls::Certificate;
use crate::http::{router, serve};
use crate::jobs;
use crate::keys::MasterKey;
use crate::pg::{Cluster, Settings};
use crate::store::{Db, Endpoint, migrate};

/// How often the certificate's files are looked at.
const LOOK_AT_CERTIFICATE: Duration = Duration::from_secs(30);

/// The database that a configuration names, running, with the key to its secrets.
#[derive(Debug)]
pub struct Database {
    /// `None` if it is not ours to run.
    pub cluster: Option<Cluster>,
    pub endpoint: Endpoint,
    pub master_key: MasterKey,
}

impl Database {
    /// Connects to the database of `DATABASE_URL`, or starts the private one. On the main thread.
    pub async fn open(config: &Config, rng: &SharedRng) -> anyhow::Result<Self> {
        if let Some(url) = &config.database_url {
            let key =
                config.master_key.as_ref().context("HVFLVSPOT_MASTER_KEY is required with a database URL")?;
            let master_key = MasterKey::parse(key.reveal())?;
            let endpoint = Endpoint::external(url.reveal(), &master_key)
                // The URL holds a password: it is not told.
                .map_err(|_| anyhow::anyhow!("the database URL cannot be read: it must be like postgres://user:password@host/database"))?;
            return Ok(Self { cluster: None, endpoint, master_key });
        }
        let cluster = Cluster::start(Settings {
            data_dir: config.data_dir.clone(),
            pg_bin: config.pg_bin.clone(),
            // Both pools, migrations, backups, and somebody's psql; never fewer than PostgreSQL's own default.
            max_connections: (config.database_connections + config.database_connections.div_ceil(4) + 15)
                .max(100),
            // A plan that was made while a table was empty serves badly until the table is analysed: a rush on a
            // new installation cannot wait a minute for that.
            // And its default cache of 128 MB holds no large site's search, whose pages then come from the kernel.
            options: vec!["autovacuum_naptime=10s".to_owned(), format!("shared_buffers={}MB", cache_mb())],
            dies_with_us: true,
        })
        .await?;
        let master_key = private_key(config, rng)?;
        Ok(Self { endpoint: cluster.endpoint(), cluster: Some(cluster), master_key })
    }

    /// The same, or the private one of a server that already runs on the data folder: for commands that
    /// work beside it.
    pub async fn join_or_open(config: &Config, rng: &SharedRng) -> anyhow::Result<Self> {
        let running = match config.database_url {
            Some(_) => None,
            None => Cluster::running(&config.data_dir),
        };
        match running {
            Some(endpoint) => Ok(Self { cluster: None, endpoint, master_key: private_key(config, rng)? }),
            None => Self::open(config, rng).await,
        }
    }

    /// Stops the cluster, if it is ours.
    pub async fn close(self) -> anyhow::Result<()> {
        match self.cluster {
            Some(cluster) => cluster.stop().await,
            None => Ok(()),
        }
    }
}

/// The configured master key, or the one of the data folder.
fn private_key(config: &Config, rng: &SharedRng) -> anyhow::Result<MasterKey> {
    match &config.master_key {
        Some(key) => MasterKey::parse(key.reveal()),
        None => MasterKey::load_or_create(&config.data_dir.join("master.key"), rng),
    }
}

/// Everything up to the open door.
async fn start(
    mut config: Config,
) -> anyhow::Result<(Database, AppState, TcpListener, Option<Arc<Certificate>>)> {
    let clock: SharedClock = Arc::new(SystemClock);
    let rng = SharedRng::from_system();
    // What costs nothing and may be wrong comes first.
    let tls = match (&config.tls_cert, &config.tls_key) {
        (Some(certificate), Some(key)) => Some(Certificate::load(certificate, key)?),
        _ => None,
    };
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    config.bound_url = Some(bound_url(listener.local_addr()?, tls.is_some()));
    let database = Database::open(&config, &rng).await?;
    migrate::run(&database.endpoint).await?;
    let db = Db::connect(&database.endpoint, config.database_connections).await?;
    let app = AppState::new(config, db, database.master_key.clone(), clock, rng).await?;
    if app.config.dev
        && let Err(e) = demo::seed(&app, &router::router(app.clone())).await
    {
        tracing::warn!("the demo data could not be made: {e:#}");
    }
    Ok((database, app, listener, tls))
}

/// How a browser on this machine reaches us.
fn bound_url(address: SocketAddr, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    match address.ip().is_unspecified() {
        true => format!("{scheme}://localhost:{}", address.port()),
        false => format!("{scheme}://{address}"),
    }
}

/// Serves until SIGTERM or SIGINT.
pub async fn run(config: Config) -> anyhow::Result<()> {
    // Before anything slow: a stop that comes while we start must stop us too.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (mut database, app, listener, tls) = tokio::select! {
        started = start(config) => started?,
        // What was started on the way ends with this thread.
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    let address = listener.local_addr()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut jobs = jobs::start(&app);
    let acceptor = tls.as_ref().map(Certificate::acceptor);
    if let Some(certificate) = tls {
        let renew = move |_| {
            let certificate = Arc::clone(&certificate);
            async move {
                if certificate.reload()? {
                    tracing::info!("a renewed certificate is shown from now on");
                }
                Ok(())
            }
        };
        jobs.every(&app, "certificate", LOOK_AT_CERTIFICATE, renew);
    }
    let server = tokio::spawn({
        let app = app.clone();
        async move {
            let routes = router::router(app.clone());
            serve::serve_tls(listener, routes, &app.config.http, acceptor, app.stopping.clone()).await
        }
    });
    let mut stdout = std::io::stdout();
    // Whoever started us may have closed our stdout; that is no reason not to serve.
    let _ = writeln!(stdout, "listening on {scheme}://{address}").and_then(|()| stdout.flush());

    let database_stays = async {
        match &mut database.cluster {
            Some(cluster) => cluster.keep_alive().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = database_stays => {}
    }
    tracing::info!("stopping: finishing the requests in flight");
    app.stopping.cancel();
    if !server.await? {
        tracing::warn!("some requests took longer than the shutdown timeout and were cut off");
    }
    if tokio::time::timeout(Duration::from_secs(10), app.background.wait()).await.is_err() {
        tracing::warn!("some mails that were asked for were not written");
    }
    if !jobs.finish(Duration::from_secs(10)).await {
        tracing::warn!("some jobs did not finish their step and will repeat it");
    }
    if !app.selling.finish(Duration::from_secs(10)).await {
        tracing::warn!("some payments are still in flight; the reconcile job will close them");
    }
    app.db.close().await;
    database.close().await?;
    tracing::info!("stopped");
    Ok(())
}

/// An eighth of the memory that we may use, within bounds: beside PostgreSQL we and the kernel's own cache live there too.
fn cache_mb() -> u64 {
    const MB: u64 = 1024 * 1024;
    let machine = rustix::system::sysinfo();
    let machine = machine.totalram.saturating_mul(u64::from(machine.mem_unit));
    // "max" where nothing is set; absent outside of cgroups (version 2).
    let ours =
        std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    (machine.min(ours.unwrap_or(machine)) / 8 / MB).clamp(128, 1_024)
}
