//! The steps of a sale put together, for the routes and for the jobs: hold → pay → issue, and back.
//! Each step is a transaction of its own; whatever breaks between two of them, the reconcile job or the
//! expiry of the hold brings to an end.

pub mod catalog;
pub(crate) mod claims;
pub mod gateway;
pub mod gift;
pub mod hand_on;
pub mod issue;
pub mod keys;
pub mod once;
pub mod pay;
pub mod purchase;
pub mod queue;
pub mod refund;
mod rush;
pub mod waiting;
pub mod waiting_room;
pub mod webhook;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::app::App;
use crate::config::Config;
use crate::keys::MasterKey;
use crate::store::change::RecordError;

/// What selling keeps in memory.
#[derive(Debug)]
pub struct Selling {
    pub gateways: gateway::Gateways,
    pub catalog: catalog::Cache,
    pub keys: keys::Cache,
    pub(crate) line: rush::Line,
    /// Who just came into a waiting room.
    pub(crate) arrivals: waiting_room::Arrivals,
    /// Work that goes on when its request goes away; waited for at a stop.
    pub tasks: TaskTracker,
}

/// The secret of a guest's booking and its SHA-256: base64url(organizer id ‖ 32 bytes), made from the master key and
/// the booking's id, so that a purchase that is taken over after a crash can still tell it. Only its hash is stored.
#[must_use]
pub fn booking_secret(app: &App, organizer_id: Uuid, booking_id: Uuid) -> (String, [u8; 32]) {
    let random = app.master_key.subkey(&format!("hvflvspot/booking-secret/v1\0{booking_id}"));
    let mut bytes = organizer_id.as_bytes().to_vec();
    bytes.extend_from_slice(&*random);
    let text = URL_SAFE_NO_PAD.encode(&bytes);
    let hash = Sha256::digest(text.as_bytes()).into();
    (text, hash)
}

/// Who acts, for the audit.
#[derive(Debug, Clone)]
pub struct Actor {
    /// `user`, `guest`, `system` or `job`.
    pub kind: &'static str,
    pub id: Option<Uuid>,
    pub request_id: Option<String>,
}

impl Actor {
    /// A job of this server.
    #[must_use]
    pub const fn job() -> Self {
        Self { kind: "job", id: None, request_id: None }
    }
}

/// A step that did not happen, for no fault of the caller's.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("the event's ticket key is missing or does not open: {0}")]
    Key(#[source] anyhow::Error),
    #[error("a payment account's secrets do not open: {0}")]
    Sealed(#[source] anyhow::Error),
    #[error("the step's task died")]
    Died,
    #[error("the payment provider {0} is not configured")]
    NoProvider(String),
}

impl Selling {
    /// # Errors
    /// The connection to providers cannot be set up.
    pub fn new(config: &Config, master_key: &MasterKey) -> anyhow::Result<Self> {
        Ok(Self {
            gateways: gateway::Gateways::new(config, master_key)?,
            catalog: catalog::Cache::default(),
            keys: keys::Cache::default(),
            line: rush::Line::default(),
            arrivals: waiting_room::Arrivals::default(),
            tasks: TaskTracker::new(),
        })
    }

    /// Waits for work in flight. True if all of it ended within `patience`.
    pub async fn finish(&self, patience: Duration) -> bool {
        self.tasks.close();
        tokio::time::timeout(patience, self.tasks.wait()).await.is_ok()
    }
}
