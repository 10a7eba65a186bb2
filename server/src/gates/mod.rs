//! What several routes of gates do together: issuing manifests, recording runs, folding an event. Between
//! `http` and `store`: opens the transactions, asks `domain`, writes through `store`.

pub mod fold;
pub mod guests;
pub mod issue;
pub mod online;
pub mod record;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ed25519_dalek::SigningKey;
use shared::bytes::Nonce16;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::app::AppState;
use crate::clock::SharedRng;
use crate::keys::MasterKey;
use crate::store;

/// What this server keeps in memory for gates. Losing it costs time only.
#[derive(Debug)]
pub struct Gates {
    /// Names this run of the server in the log entries of virtual devices.
    boot_id: Nonce16,
    /// One at a time makes an event's header or packs its rows; the others then find it done.
    turns: Mutex<HashMap<Uuid, Arc<tokio::sync::Mutex<()>>>>,
    packed: Mutex<issue::Packed>,
    folds: Mutex<fold::Folds>,
}

impl Gates {
    pub fn new(rng: &SharedRng) -> Self {
        Self {
            boot_id: Nonce16(rng.bytes()),
            turns: Mutex::default(),
            packed: Mutex::default(),
            folds: Mutex::default(),
        }
    }

    fn turn(&self, event: Uuid) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.len() > 1_024 {
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        Arc::clone(turns.entry(event).or_default())
    }
}

/// Why an organizer's key cannot sign.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the organizer has no {0} key here")]
    Missing(&'static str),
    #[error("the organizer's {0} key does not open: {1}")]
    Sealed(&'static str, #[source] crate::keys::OpenError),
    #[error("the organizer's {0} key has another length than 32 bytes")]
    Length(&'static str),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The organizer's key for this purpose ('manifest' or 'online').
pub async fn organizer_key(
    app: &AppState,
    conn: &mut PgConnection,
    organizer: Uuid,
    purpose: &'static str,
) -> Result<SigningKey, KeyError> {
    let sealed =
        store::manifests::sealed_key(conn, organizer, purpose).await?.ok_or(KeyError::Missing(purpose))?;
    open_key(&app.master_key, &format!("organizer_keys/{purpose}"), purpose, &sealed)
}

fn open_key(
    master: &MasterKey,
    seal_purpose: &str,
    name: &'static str,
    sealed: &[u8],
) -> Result<SigningKey, KeyError> {
    let plain = master.open(seal_purpose, sealed).map_err(|e| KeyError::Sealed(name, e))?;
    let bytes: &[u8; 32] = plain.as_slice().try_into().map_err(|_| KeyError::Length(name))?;
    Ok(SigningKey::from_bytes(bytes))
}
