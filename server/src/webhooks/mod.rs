//! Telling organizers' own servers what happens: `facts` says what of it is told, `domain/webhook` how it is signed,
//! `jobs/webhooks` delivers it.

pub mod facts;

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use crate::app::App;
use crate::domain::webhook::Signing;
use crate::keys::OpenError;

/// What delivering remembers.
#[derive(Debug, Default)]
pub struct Webhooks {
    /// Endpoints whose last attempt failed, as far as this server knows: they share few of the places, so that those that
    /// hang hold up nobody else.
    failing: Mutex<BTreeSet<Uuid>>,
}

impl Webhooks {
    /// Notes how an endpoint's last attempt went.
    pub fn note(&self, endpoint_id: Uuid, well: bool) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if well {
            failing.remove(&endpoint_id);
        } else {
            failing.insert(endpoint_id);
        }
    }

    /// Those that failed last.
    pub fn failing(&self) -> Vec<String> {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        failing.iter().map(Uuid::to_string).collect()
    }
}

/// Seals an endpoint's secrets.
pub fn seal(app: &App, endpoint_id: Uuid, secrets: &[Signing]) -> Vec<u8> {
    let plain = serde_json::to_vec(secrets).expect("strings and times become JSON");
    app.master_key.seal(&purpose(endpoint_id), &plain, &app.rng)
}

/// Opens an endpoint's secrets.
///
/// # Errors
/// They were not sealed for this endpoint by this installation.
pub fn open(app: &App, endpoint_id: Uuid, sealed: &[u8]) -> Result<Vec<Signing>, OpenError> {
    let plain = app.master_key.open(&purpose(endpoint_id), sealed)?;
    serde_json::from_slice(&plain).map_err(|_| OpenError::Malformed)
}

fn purpose(endpoint_id: Uuid) -> String {
    format!("webhook_endpoints/{endpoint_id}")
}
