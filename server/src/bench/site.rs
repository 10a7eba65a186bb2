//! A server of the bench's own: private PostgreSQL with fsync on in a temporary folder, the real router on a real
//! port; on top of it, a site with an organizer and an event. The database is open to the bench too, so that the floor is measured on the
//! very same one.

use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::app::AppState;
use crate::clock::{Clock as _, SharedClock, SharedRng, SystemClock};
use crate::config;
use crate::http::{router, serve};
use crate::jobs;
use crate::serve::Database;
use crate::store::{Db, Endpoint, migrate};
use crate::tour::api::Api;
use crate::tour::venue::{self, Plan, Show};

/// A server with an event on sale.
#[derive(Debug)]
pub struct Site {
    server: Server,
    pub organizer: Api,
    pub show: Show,
}

impl Deref for Site {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl Site {
    /// Opens one whose show has `capacity` tickets.
    ///
    /// # Errors
    /// If anything of it cannot be had.
    pub async fn open(title: &str, capacity: u32) -> Result<Self> {
        let server = Server::open().await?;
        let organizer = venue::new_organizer(&server.api, &server.rng).await?;
        let plan = Plan { title, capacity, gates: &["Door"], reentry: false };
        let show = venue::put_on_sale(&organizer, SystemClock.now(), plan).await?;
        Ok(Self { server, organizer, show })
    }

    /// Stops everything and deletes it.
    ///
    /// # Errors
    /// If the database does not stop.
    pub async fn close(self) -> Result<()> {
        self.server.close().await
    }
}

/// A running server and its database, empty.
#[derive(Debug)]
pub struct Server {
    pub app: AppState,
    pub api: Api,
    pub address: SocketAddr,
    pub rng: SharedRng,
    database: Database,
    jobs: jobs::Jobs,
    server: JoinHandle<bool>,
    folder: Folder,
}

impl Server {
    /// Opens one.
    ///
    /// # Errors
    /// If anything of it cannot be had.
    pub async fn open() -> Result<Self> {
        let rng = SharedRng::from_system();
        let folder = Folder::new(&rng)?;
        let settings = [
            ("data_dir", folder.path().join("data").display().to_string()),
            ("listen", "127.0.0.1:0".to_owned()),
            ("dev", "true".to_owned()),
            ("gateway.latency_ms", "0".to_owned()),
            ("auth.logins_per_minute", "1000".to_owned()),
            ("notifications.messages_per_day", "1000".to_owned()),
        ];
        let config = config::load(None, [], &settings)?.config;
        let database = Database::open(&config, &rng).await?;
        migrate::run(&database.endpoint).await?;
        let db = Db::connect(&database.endpoint, config.database_connections).await?;
        let clock: SharedClock = Arc::new(SystemClock);
        let listener = TcpListener::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let app = AppState::new(config, db, database.master_key.clone(), clock, rng.clone()).await?;
        let jobs = jobs::start(&app);
        let server = tokio::spawn({
            let app = app.clone();
            async move {
                serve::serve(listener, router::router(app.clone()), &app.config.http, app.stopping.clone())
                    .await
            }
        });
        let api = Api::new(&format!("http://{address}"))?;
        Ok(Self { app, api, address, rng, database, jobs, server, folder })
    }

    /// The database, for floors and for filling it.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.database.endpoint
    }

    /// A folder that goes away with the server.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Stops everything and deletes it.
    ///
    /// # Errors
    /// If the database does not stop.
    pub async fn close(self) -> Result<()> {
        self.app.stopping.cancel();
        self.server.await.context("the server panicked")?;
        self.jobs.finish(std::time::Duration::from_secs(10)).await;
        self.app.db.close().await;
        self.database.close().await
    }
}

#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn new(rng: &SharedRng) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("hvflvspot-bench-{}", hex::encode(rng.bytes::<8>())));
        std::fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left in a temporary folder harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
